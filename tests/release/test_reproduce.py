"""A release is made again from its own recipe, file for file."""

from __future__ import annotations

import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"


from curate import Config
from curate.recipe import Recipe
from curate.release.reproduce import reproduce
from tests.release.reading import SHARDS, digests


def test_a_release_is_made_again_from_its_own_recipe(release: Path) -> None:
    verdicts = reproduce(release, {"corpus": str(SHARDS)}, config=Config(workers=1))
    assert set(verdicts.values()) == {"same"}
    assert set(digests(release)) <= set(verdicts)


def test_other_sources_make_another_release(release: Path) -> None:
    verdicts = reproduce(release, {"corpus": str(SHARDS / "web-*.jsonl.zst")}, config=Config(workers=1))
    assert "same" not in {verdicts[path] for path in digests(release) if "/books" in path}
    assert len(set(verdicts.values())) > 1


def test_the_released_recipe_names_no_folder_of_this_machine(release: Path) -> None:
    assert str(SHARDS.parent) not in (release / "recipe.yaml").read_text(encoding="utf-8")
    assert Recipe.load(release / "recipe.yaml").sources["corpus"].path == "shards"
