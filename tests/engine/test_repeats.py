"""Repeated lines and runs of words across shards: the same whatever the workers, batches, ranges of keys and shards."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curate.operators.repeats import DedupLines, DedupSubstrings

RECIPE = """\
name: probe
sources:
  all: {path: "${shards}"}
  more: {path: "${more}"}
steps:
  - normalize
  - dedup_lines: {keep: "${keep:-first}", within: "${within:-corpus}"}
  - keep: {rules: {emptied: "NOT dedup_lines_is_emptied"}}
  - dedup_substrings: {min_tokens: 12, keep: "${keep:-first}"}
output: {path: out}
"""
CHANCE = random.Random(4)
WORDS = [f"word{n}" for n in range(400)]
FOOTER = "All rights reserved, ask before you copy any of this, and then do not copy it."


def documents() -> list[dict[str, str]]:
    """Pages with lines and stretches that repeat, copies, and text of their own."""
    stretches = [" ".join(CHANCE.choices(WORDS, k=CHANCE.randint(10, 40))) for _ in range(12)]
    found = []
    for at in range(240):
        lines = [" ".join(CHANCE.choices(WORDS, k=CHANCE.randint(3, 30))) for _ in range(CHANCE.randint(0, 4))]
        lines[1:1] = [f"Page {at}", f"{CHANCE.choice(WORDS)} {CHANCE.choice(stretches)} {CHANCE.choice(WORDS)}", FOOTER]
        found.append({"id": f"d{at:03d}", "text": "\n".join(lines[CHANCE.randint(0, 2) :])})
    return [*found, *({"id": f"copy-{d['id']}", "text": d["text"].upper()} for d in found[::20])]


@pytest.fixture(scope="module")
def pages() -> list[dict[str, str]]:
    return documents()


def lay_out(lab: Any, pages: list[dict[str, str]], sizes: tuple[int, ...], more: int = 40) -> None:
    """Write the pages as shards of so many documents, the last `more` as another source."""
    for folder, part in (("shards", pages[:-more]), ("more", pages[-more:])):
        at = 0
        for number, size in enumerate((*sizes, len(part))):
            lines = [json.dumps(page) + "\n" for page in part[at : at + size]]
            if lines:
                lab.write(f"{folder}/{number:02d}.jsonl", "".join(lines))
            at += size
        lab.variables[folder] = str(lab.folder / folder)


@pytest.fixture
def first(lab: Any, pages: list[dict[str, str]]) -> Any:
    """A lab in which the recipe has run over five shards, one worker."""
    lay_out(lab, pages, (50, 3, 70))
    lab.run(RECIPE)
    return lab


def test_a_run_does_what_the_operators_do_to_one_table(first: Any, pages: list[dict[str, str]]) -> None:
    table = DedupLines()(pa.table({"text": [page["text"] for page in pages]}))
    table = table.append_column("id", pa.array([page["id"] for page in pages]))
    emptied = table["dedup_lines_is_emptied"].to_pylist()
    table = DedupSubstrings(min_tokens=12)(table.filter(pa.array([not is_it for is_it in emptied])))
    found = first.result().arrow("data")
    assert 5 < sum(emptied) < 100
    assert found["id"].to_pylist() == table["id"].to_pylist()
    for name in ("text", "dedup_lines_removed_count", "dedup_substrings_start", "dedup_substrings_repeated_ratio"):
        assert found[name].to_pylist() == table[name].to_pylist(), name
    assert sum(map(len, found["dedup_substrings_start"].to_pylist())) > 30


def test_every_document_has_its_account(first: Any, pages: list[dict[str, str]]) -> None:
    rows = {row["id"]: row for row in first.result().arrow("annotations").to_pylist()}
    assert len(rows) == len(pages)
    texts = {page["id"]: page["text"] for page in pages}
    for name, row in rows.items():
        assert row["dedup_lines_count"] == len([line for line in texts[name].split("\n") if line.strip()])
        assert (row["dropped_by"] == "emptied") == row["dedup_lines_is_emptied"]
        assert (row["dedup_substrings_start"] is None) == (row["dropped_by"] is not None)


def test_workers_batches_and_ranges_of_keys_change_nothing(
    first: Any, pages: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from curate.execute import local, train

    expected = first.contents()
    monkeypatch.setattr(local, "PATIENCE", 0)
    first.run(RECIPE, out="two", workers=2)
    assert first.contents("two") == expected
    monkeypatch.setattr(train, "ROWS_PER_RANGE", 37)
    first.run(RECIPE, out="small", batch_size="8kB")
    assert first.contents("small") == expected


@pytest.mark.parametrize("sizes", [(), (10, 20, 30, 40), (1, 1, 199)])
def test_shards_do_not_matter(first: Any, pages: list[dict[str, str]], tmp_path: Path, sizes: tuple[int, ...]) -> None:
    """In the same order of documents everything is the same but the addresses."""
    from tests.engine.conftest import Lab

    (tmp_path / "other").mkdir()
    other = Lab(tmp_path / "other")
    lay_out(other, pages, sizes)
    other.run(RECIPE)
    for part in ("data", "annotations"):
        one, two = (lab.result().arrow(part) for lab in (first, other))
        assert one.drop_columns(["row"] if part == "annotations" else []).equals(
            two.drop_columns(["row"] if part == "annotations" else [])
        )


def test_the_order_of_documents_decides_only_who_is_first(lab: Any, pages: list[dict[str, str]]) -> None:
    """Where none is kept, every document is left with the same text, whatever the order."""
    texts: list[dict[str, str]] = []
    for order in (pages, random.Random(1).sample(pages, len(pages))):
        lay_out(lab, order, (60, 60))
        lab.run(RECIPE, keep="none", out=f"out-{len(texts)}")
        kept = lab.result(f"out-{len(texts)}").arrow("data")
        texts.append(dict(zip(kept["id"].to_pylist(), kept["text"].to_pylist(), strict=True)))
    assert texts[0] == texts[1]


def test_lines_repeat_within_their_shard_alone(lab: Any) -> None:
    pages = [{"id": f"d{at}", "text": f"{FOOTER}\nPage of {word}"} for at, word in enumerate(WORDS[:6])]
    lay_out(lab, pages, (2,), more=2)
    for within, firsts in (("shard", ["d0", "d2", "d4"]), ("source", ["d0", "d4"]), ("corpus", ["d0"])):
        lab.run(RECIPE.replace("min_tokens: 12", "min_tokens: 50"), within=within, out=within)
        found = lab.result(within).arrow("data").to_pylist()
        assert [row["id"] for row in found if FOOTER in row["text"]] == firsts


def test_a_rerun_costs_nothing_and_another_count_only_what_hangs_on_it(first: Any) -> None:
    before = first.times("[cimvp]*/**/*")
    first.run(RECIPE)
    assert first.times("[cimvp]*/**/*") == before
    edited = first.overlays("dedup_lines_count")
    first.run(RECIPE.replace("min_tokens: 12", "min_tokens: 13"))
    assert first.overlays("dedup_lines_count") == edited
    assert len(first.overlays("dedup_substrings_start")) == 2 * len(edited)


def test_only_a_trainer_reads_addresses(lab: Any) -> None:
    from curate.errors import PlanError

    lay_out(lab, [{"id": "a", "text": "b"}] * 3, (), more=1)
    recipe = RECIPE.replace("  - normalize\n", "  - keep: {rules: {early: 'row < 3'}}\n")
    with pytest.raises(PlanError, match="keep reads 'row', which nothing before it writes"):
        lab.run(recipe)
