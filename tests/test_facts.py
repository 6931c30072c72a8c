"""What the report reads from a run's files: every numeric column, and nothing that is not there."""

from __future__ import annotations

import math
from pathlib import Path

import pyarrow as pa
import pytest

from curate import Config, Corpus, Result, ops, read
from curate.facts import Distribution, distributions, examples

TABLE = pa.table(
    {
        "id": ["a", "b", "c", "d"],
        "text": ["one two three", "four five six seven", "z", "the last of four"],
        "score": [0.5, 1.5, math.inf, None],
    }
)


def run(folder: Path, rules: dict[str, object]) -> tuple[Corpus, Result]:
    corpus = read(TABLE, name="web") | ops.Keep(rules=rules)
    return corpus, corpus.run(str(folder / "out"), Config(workers=1))


def test_a_rule_on_the_text_leaves_a_whole_run(tmp_path: Path) -> None:
    """Annotations have no text to show: the page shows the rest."""
    corpus, result = run(tmp_path, {"long": "length(text) > 3"})
    assert result.manifest["kept"] == 3
    assert examples(result.path, corpus.recipe, ["long"])["long"] == [{"id": "c", "source": "web"}]


@pytest.fixture
def score(tmp_path: Path) -> Distribution:
    corpus, result = run(tmp_path, {"good": {"column": "score", "min": 1}})
    (found,) = distributions(result.path, corpus.recipe)
    return found


def test_a_numeric_column_of_the_source_has_its_distribution_and_bounds(score: Distribution) -> None:
    assert (score.column, score.bounds, score.nulls) == ("score", [("min", 1.0)], 1)


def test_infinite_values_are_left_out_of_the_picture(score: Distribution) -> None:
    assert all(map(math.isfinite, [*score.edges, *score.quantiles.values()]))
    assert (sum(score.kept), sum(score.dropped)) == (1, 1)
