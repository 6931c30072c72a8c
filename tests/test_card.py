"""README.md of a run: a dataset card that the Hub's own library reads, and that invents nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import msgspec
import pytest
import yaml

from curate import Config, Result, ops, read
from curate.card import AUTHOR

SHARDS = Path(__file__).resolve().parent / "data" / "shards"


def run(folder: Path, card: dict[str, Any]) -> Result:
    rules = {"words": {"column": "gopher_word_count", "min": 30}}
    corpus = read(f"{SHARDS}/web-*.jsonl.zst", name="web") | ops.Gopher() | ops.Keep(rules=rules)
    corpus = msgspec.structs.replace(corpus, recipe=msgspec.structs.replace(corpus.recipe, card=card))
    return corpus.run(str(folder), Config(workers=1))


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return run(tmp_path_factory.mktemp("card") / "out", {})


def read_card(result: Result) -> str:
    return (result.path / "README.md").read_text(encoding="utf-8")


def test_front_matter_is_yaml_and_knows_both_configs(result: Result) -> None:
    _, front, _ = read_card(result).split("---\n", 2)
    about = yaml.safe_load(front)
    assert about["pretty_name"] == "web"
    assert [config["config_name"] for config in about["configs"]] == ["default", "annotations"]
    assert about["size_categories"] == ["n<1K"]
    assert "license" not in about


def test_the_hub_reads_the_card(result: Result) -> None:
    from huggingface_hub import DatasetCard

    card = DatasetCard.load(result.path / "README.md")
    assert card.data.to_dict()["pretty_name"] == "web"
    assert "## How it was made" in card.text


@pytest.mark.parametrize(("config", "count"), [("default", "kept"), ("annotations", "records")])
def test_both_configs_load_offline(result: Result, tmp_path: Path, config: str, count: str) -> None:
    import datasets

    found = datasets.load_dataset(str(result.path), config, split="train", cache_dir=str(tmp_path))
    assert len(found) == result.manifest[count]
    assert datasets.get_dataset_config_names(str(result.path)) == ["default", "annotations"]


def test_what_the_author_did_not_say_is_not_stated(result: Result) -> None:
    text = read_card(result)
    for field in AUTHOR:
        assert f"Not stated (recipe: card.{field})" in text


def test_what_the_author_said_is_printed(tmp_path: Path) -> None:
    said = {"summary": "Pages of an invented web.", "license": "cc0-1.0", "creators": ["A", "B"], "pretty_name": "Web"}
    text = read_card(run(tmp_path / "out", said))
    assert yaml.safe_load(text.split("---\n", 2)[1])["license"] == "cc0-1.0"
    assert "# Web\n\nPages of an invented web.\n" in text
    assert "- **license**: cc0-1.0" in text
    assert "- **creators**: [A, B]" in text
    assert [field for field in AUTHOR if f"Not stated (recipe: card.{field})" in text] == [
        "contact", "uses", "limitations", "biases"
    ]  # fmt: skip


def test_figures_are_those_of_the_manifest(result: Result) -> None:
    text, manifest = read_card(result), result.manifest
    assert f"{manifest['kept']:,} documents" in text
    assert f"of {manifest['records']:,} read" in text
    for step in manifest["funnel"]["steps"]:
        assert f"| {step['step']} | {step['documents']:,} | {step['words']:,} | {step['documents_left']:,} |" in text
    for name, kind in manifest["columns"].items():
        assert f"| `{name}` | {kind} |" in text
