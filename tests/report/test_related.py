"""Rank correlations agree with their definition, pair by pair."""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.report.related import related, spearman

COLUMN = st.lists(st.integers(0, 9), min_size=40, max_size=40)


def plain(one: list[int], two: list[int]) -> float:
    """Pearson's correlation of mean ranks."""

    def ranks(values: list[int]) -> list[float]:
        ordered = sorted(values)
        return [ordered.index(v) + (ordered.count(v) - 1) / 2 for v in values]

    a, b = ranks(one), ranks(two)
    mean = sum(a) / len(a)
    top = sum((x - mean) * (y - mean) for x, y in zip(a, b, strict=True))
    bottom = sum((x - mean) ** 2 for x in a) * sum((y - mean) ** 2 for y in b)
    return top / bottom**0.5 if bottom else float("nan")


@given(one=COLUMN, two=COLUMN)
def test_agrees_with_the_definition(one: list[int], two: list[int]) -> None:
    found = spearman(pl.DataFrame({"one": one, "two": two}))[0, 1]
    assert found == pytest.approx(plain(one, two), abs=1e-9, nan_ok=True)


def test_too_few_documents_in_common_is_no_number() -> None:
    one = [*range(30), *[None] * 30]
    two = [*[None] * 20, *range(40)]
    assert np.isnan(spearman(pl.DataFrame({"one": one, "two": two}))[0, 1])


def test_columns_that_do_not_vary_are_left_out_and_like_stands_beside_like() -> None:
    chance = np.random.default_rng(7)
    base = chance.normal(size=200)
    columns = {"a": base, "x": chance.normal(size=200), "b": base * 2, "same": np.ones(200), "c": -base}
    found = related(pa.table(columns), [*columns], ["a"])
    assert sorted(found.names) == ["a", "b", "c", "x"]
    assert abs(found.pairs()[0][2]) == 1.0
    assert abs(found.names.index("a") - found.names.index("b")) == 1
