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
from curate.card import AUTHOR, front_matter, write_card
from curate.recipe import Recipe

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
    said |= {"citation": "A and B,\na title"}
    text = read_card(run(tmp_path / "out", said))
    assert yaml.safe_load(text.split("---\n", 2)[1])["license"] == "cc0-1.0"
    assert "# Web\n\nPages of an invented web.\n" in text
    assert "- **license**: cc0-1.0" in text
    assert "- **creators**: A, B" in text
    assert "- **citation**: A and B,\n  a title\n" in text
    assert [field for field in AUTHOR if f"Not stated (recipe: card.{field})" in text] == [
        "contact", "uses", "limitations", "biases"
    ]  # fmt: skip


def test_figures_are_those_of_the_manifest(result: Result) -> None:
    text, manifest = read_card(result), result.manifest
    dropped = manifest["records"] - manifest["kept"] - manifest["quarantined"]
    assert f"{manifest['kept']:,} documents of {manifest['records']:,} read" in text
    assert f"{dropped:,} documents were dropped and {manifest['quarantined']:,} records quarantined" in text
    rows = table(text, "### Funnel")
    for row, step in zip(rows, manifest["funnel"]["steps"], strict=True):
        assert row[0] == f"`{step['step']}`"
        assert row[-2:] == [f"{step['documents_left']:,}", f"{step['words_left']:,}"]
        if "failed" in step:
            megabytes = f"{step['bytes'] / 1e6:,.2f}"
            assert row[1:5] == [f"{step['failed']:,}", f"{step['documents']:,}", megabytes, f"{step['words']:,}"]
    for name, kind in manifest["columns"].items():
        assert f"| `{name}` | `{kind}` |" in text


def table(text: str, heading: str) -> list[list[str]]:
    """The rows of the first table below a heading."""
    lines = text.split(f"{heading}\n", 1)[1].split("\n## ")[0].splitlines()
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in lines if line.startswith("|")][2:]


def manifest_of(groups: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A manifest as the engine leaves it, with the given funnel groups."""
    units = ("documents", "bytes", "words")
    names = [step["step"] for step in groups[0]["steps"]]
    steps = [
        {"step": name, **{unit: sum(g["steps"][at][unit] for g in groups) for unit in units}}
        for at, name in enumerate(names)
    ]
    left = dict(steps[0])
    for step in steps:
        taken = step["step"] not in ("read", "kept")
        left = {unit: left[unit] - (step[unit] if taken else 0) for unit in units}
        step |= {f"{unit}_left": left[unit] for unit in units} | ({"failed": step["documents"]} if taken else {})
    about = {
        "curate": "0",
        "recipe": "web",
        "key": "0123abcd",
        "quarantined": 0,
        "corpus": {},
        "columns": {"id": "string"},
    }
    about |= {
        "records": steps[0]["documents"],
        "kept": steps[-1]["documents"],
        "funnel": {"steps": steps, "groups": groups},
    }
    return about | more


def group(source: str, language: str | None, read_: int, kept: int, reason: str = "words") -> dict[str, Any]:
    counts = (("read", read_), (reason, read_ - kept), ("kept", kept))
    return {
        "source": source,
        "language": language,
        "steps": [{"step": name, "documents": n, "bytes": 1000 * n, "words": 100 * n} for name, n in counts],
    }


def card_of(folder: Path, manifest: dict[str, Any], steps: str = "[gopher]") -> str:
    write_card(
        folder / "README.md", manifest, Recipe.parse(f"name: web\nsources: {{web: {{path: x}}}}\nsteps: {steps}\n")
    )
    return (folder / "README.md").read_text(encoding="utf-8")


def test_only_languages_of_kept_documents_that_are_iso_codes_are_named() -> None:
    codes = {"en": 9, "no": 8, "und": 7, "zxx": 6, "de": 0, "__label__fr": 5, "English": 4, "EN": 3, "yue": 2}
    groups = [group("web", code, 9, kept) for code, kept in codes.items()] + [group("web", None, 9, 9)]
    front = front_matter(manifest_of(groups), Recipe.parse("{name: web, sources: {web: {path: x}}, steps: [gopher]}"))
    assert front["language"] == ["en", "no", "yue"]


def test_norwegian_is_not_false(tmp_path: Path) -> None:
    text = card_of(tmp_path, manifest_of([group("web", "no", 3, 2)]))
    assert yaml.safe_load(text.split("---\n")[1])["language"] == ["no"]


@pytest.mark.parametrize("count", [1, 30, 31, 90])
def test_the_composition_adds_up(tmp_path: Path, count: int) -> None:
    groups = [group(f"s{n}", "en", 1 + 2 * n, n % 7) for n in range(count)]
    rows = table(card_of(tmp_path, manifest_of(groups)), "## What it holds")
    assert len(rows) <= 31
    for at, unit in ((2, [1 + 2 * n for n in range(count)]), (3, [n % 7 for n in range(count)])):
        assert sum(int(row[at].replace(",", "")) for row in rows) == sum(unit)
    assert sum(int(row[5].replace(",", "")) for row in rows) == sum(100 * (n % 7) for n in range(count))


@pytest.mark.parametrize("name", ["a|b", "<b>bold</b>|", "[x](http://x)|", "two\nlines|"])
def test_names_from_the_data_stay_in_their_cell(tmp_path: Path, name: str) -> None:
    """A row has as many cells as its head, whatever a source, a rule or a column is called."""
    about = manifest_of([group(name, name, 3, 2, reason=name)], columns={name: "string"})
    lines = [line.replace("\\|", "") for line in card_of(tmp_path, about).splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {7, 8, 4}
    assert "\\<b\\>" in card_of(tmp_path, about) or "<" not in name


def test_parameters_are_printed_though_they_are_defaults(tmp_path: Path) -> None:
    text = card_of(tmp_path, manifest_of([group("web", "en", 3, 2)]), "[dedup_minhash: {as: near, rows: 6}]")
    block = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])
    assert block["threshold"] == 0.8 and block["rows"] == 6 and block["as"] == "near"


def test_columns_are_described_in_the_words_of_their_operator(tmp_path: Path) -> None:
    names = ("language", "language_score", "gopher_word_count", "score")
    about = manifest_of([group("web", "en", 3, 2)], columns=dict.fromkeys(names, "string"))
    meanings = dict(row[::2] for row in table(card_of(tmp_path, about, "[language, gopher]"), "## Columns"))
    assert meanings["`gopher_word_count`"].startswith("words")
    assert meanings["`language`"].startswith("ISO 639 code") and "The embedded" not in meanings["`language`"]
    assert meanings["`score`"].startswith("as the source gives it")


def test_quarantined_records_are_told(tmp_path: Path) -> None:
    about = manifest_of([group("web", None, 5, 4, reason="quarantine.read")], quarantined=1)
    about["funnel"]["steps"][1]["failed"] = 0
    text = card_of(tmp_path, about)
    assert "1 of 5 records could not be read or processed, each with its source, position and error" in text
    assert "0 documents were dropped and 1 records quarantined" in text
    assert "| `quarantine.read` | – | 1 |" in text


def test_the_same_run_gives_the_same_card(result: Result, tmp_path: Path) -> None:
    assert read_card(run(tmp_path / "elsewhere", {})) == read_card(result)
