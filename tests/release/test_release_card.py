"""The card of a release is true, loads where it says, and tells a stranger what is missing."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import pyarrow.parquet as pq
import pytest
import yaml

import curate
from curate import Result
from curate.errors import DataError, PlanError
from curate.release.check import check
from tests.release.reading import manifest


@pytest.mark.parametrize(("config", "split"), [("default", "train"), ("default", "validation"), ("text_only", "train")])
def test_datasets_loads_it(release: Path, tmp_path: Path, config: str, split: str) -> None:
    import datasets

    found = datasets.load_dataset(str(release), config, split=split, cache_dir=str(tmp_path))
    assert len(found) == manifest(release)["splits"][split]["rows"]
    assert ("domain" in found.features) == (config == "default")


def test_datasets_loads_what_was_dropped(run: Result, release: Path, tmp_path: Path) -> None:
    import datasets

    found = datasets.load_dataset(str(release), "dropped", split="train", cache_dir=str(tmp_path))
    assert len(found) == run.manifest["records"] - run.manifest["kept"]


def test_the_hub_reads_the_card(release: Path) -> None:
    from huggingface_hub import DatasetCard

    card = DatasetCard.load(release / "README.md")
    assert [config["config_name"] for config in card.data.to_dict()["configs"]] == ["default", "text_only", "dropped"]


def test_croissant_is_valid_and_gives_every_record(release: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
    found = mlcroissant.Dataset(str(release / "croissant.json"))
    assert not found.metadata.ctx.issues.errors
    assert sum(1 for _ in found.records("train")) == manifest(release)["splits"]["train"]["rows"]


def test_the_card_of_a_release_agrees_with_its_data(release: Path) -> None:
    found = check(release)
    assert found.problems == []
    assert found.compared > 300


def spoiled(release: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(release, tmp_path / "spoiled"))


def test_a_number_changed_in_the_card_is_found(release: Path, tmp_path: Path) -> None:
    folder = spoiled(release, tmp_path)
    text = (folder / "README.md").read_text(encoding="utf-8")
    number = f"{manifest(release)['total']['text_bytes']:,}"
    (folder / "README.md").write_text(text.replace(number, "999,999", 1), encoding="utf-8")
    assert any("999,999" in problem for problem in check(folder).problems)


def test_a_number_changed_in_the_manifest_is_found(release: Path, tmp_path: Path) -> None:
    folder = spoiled(release, tmp_path)
    told = manifest(folder)
    told["statistics"]["gopher_word_count"]["50%"] += 1
    told["funnel"]["steps"][1]["documents"] += 1
    told["properties"]["language"]["tlh"] = {"rows": 1, "text_bytes": 1, "tokens": 1}
    (folder / "manifest.json").write_text(json.dumps(told), encoding="utf-8")
    problems = " ".join(check(folder).problems)
    assert "statistics.gopher_word_count.50%" in problems
    assert "funnel" in problems
    assert "properties.language.tlh" in problems


def test_a_file_changed_added_or_lost_is_found(release: Path, tmp_path: Path) -> None:
    folder = spoiled(release, tmp_path)
    first, second = (folder / file["path"] for file in manifest(folder)["files"][:2])
    shutil.copy(first, first.with_name("more.parquet"))
    pq.write_table(pq.read_table(first), first)
    problems = " ".join(check(folder).problems)
    assert "sha256" in problems
    assert "more.parquet" in problems
    second.unlink()
    assert second.name in " ".join(check(folder).problems)


def test_what_a_person_wrote_into_the_card_stays(run: Result, tmp_path: Path) -> None:
    folder = curate.export(run, tmp_path / "dir")
    text = (folder / "README.md").read_text(encoding="utf-8")
    (folder / "README.md").write_text(text.replace("is yours", "was written by Ada"), encoding="utf-8")
    curate.export(run, folder, domain=["language"])
    assert "was written by Ada" in (folder / "README.md").read_text(encoding="utf-8")
    assert check(folder).problems == []


def test_what_the_author_does_not_say_is_listed_as_missing(release: Path) -> None:
    card = json.loads((release / "card.json").read_text(encoding="utf-8"))
    assert {"card.license", "card.contact", "card.motivation.purpose", "card.limitations"} <= set(card["missing"])
    assert "card.summary" not in card["missing"]
    assert "⚠ no licence stated" in (release / "README.md").read_text(encoding="utf-8")
    yaml.safe_load((release / "README.md").read_text(encoding="utf-8").split("---\n")[1])


def test_a_folder_with_other_things_is_left_alone(run: Result, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(PlanError, match="no release"):
        curate.export(run, tmp_path)
    with pytest.raises(PlanError, match="holds the run itself"):
        curate.export(run, run.path)
    with pytest.raises(DataError, match="a run, not a release"):
        check(run.path)
