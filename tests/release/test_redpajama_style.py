"""The shipped recipe in the style of RedPajama-V2, run and released: its card answers what a stranger asks."""

from __future__ import annotations

from pathlib import Path

import curate
from curate import Config, Recipe
from curate.release.check import check

SHARDS = Path(__file__).resolve().parents[1] / "data" / "shards"
QUESTIONS = {
    "## May I use it?": "have no stated licence",
    "## Where it is from": "| forum |",
    "## How to load it": "datasets.load_dataset(folder",
    "## What was thrown away, and why": "`rps_doc_word_count >= 50 and rps_doc_word_count <= 100000`",
    "## Deduplication": "`dedup_minhash`: Drop near-duplicates",
    "## How to make it again": "--sources documents=PATH",
    "## Limitations and biases": "The rules look at form",
}


def test_the_card_answers_what_a_stranger_asks(tmp_path: Path) -> None:
    sets = {"documents": str(SHARDS), "output.path": str(tmp_path / "run")}
    result = curate.run(Recipe.load("redpajama-v2-style", sets=sets), Config(workers=1))
    folder = curate.export(result, tmp_path / "dir", lines=["rps_lines_*"], dropped=True)
    card = (folder / "README.md").read_text(encoding="utf-8")
    for heading, answer in QUESTIONS.items():
        section = card.split(heading)[1].split("\n## ")[0]
        assert answer in section, heading
    assert str(SHARDS) not in card
    assert check(folder).problems == []
