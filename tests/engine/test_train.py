"""Models are fitted on sketches that many tasks have combined, and are the same."""

from __future__ import annotations

from typing import Any

import pytest

TRAINERS = """  - surprisal: {bits: 12}
  - train_dsir: {target: [good], raw: [all]}
  - train_embed: {dim: 8, samples: 50, min_count: 1, epoch: 1}
  - cluster: {vector: train_embed_vector, count: 3, sample: 20, method: full, iterations: 2}
  - train_fasttext: {positives: [good], negatives: [all], samples: 40, dim: 8, epoch: 1}
  - dedup_lines: {edit: false}
"""


def test_sketches_are_combined_in_as_many_steps_as_it_takes(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from curate.execute import train

    good = "  good:\n    path: ${shards}/forum*\n    columns: {url: url, language: language}\n    reference: true\n"
    recipe = lab.probe_with({"  - dedup_exact\n  - dedup_minhash\n": TRAINERS, "steps:\n": good + "steps:\n"})
    combined: list[tuple[int, ...]] = []
    task = train.combine_task

    def combine(*given: Any) -> Any:
        combined.append(given[0].shards)
        return task(*given)

    monkeypatch.setattr(train, "combine_task", combine)
    lab.run(recipe)
    assert not combined
    monkeypatch.setattr(train, "AT_ONCE", 2)
    lab.run(recipe, "two")
    assert {level for *_, level in combined} == {1, 2}
    assert lab.contents() == lab.contents("two")
    assert not [*(lab.root("two") / ".work/corpus").glob("*/parts-*")]
