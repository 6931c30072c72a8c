"""Rankings against a plain-Python twin: cuts and sums, in groups or of all, between places, in any number of parts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.ranking import UNIT, in_memory, number, ordered

Row = tuple[float | None, int, float | None, str | None]  # score, tie, size, group
SCORE = st.none() | st.sampled_from([0.0, -0.0, 1.5, -2.0, 1e-300, math.inf]) | st.floats(-3, 3)
ROWS = st.lists(
    st.tuples(SCORE, st.integers(0, 3), st.none() | st.integers(0, 9).map(float), st.sampled_from(["a", "b", None])),
    max_size=25,
)
KINDS = {"score": pa.float64(), "tie": pa.uint64(), "size": pa.float64(), "group": pa.string()}


def sketch(rows: Sequence[Row], tie: bool = True) -> pa.Table:
    columns = [[row[at] for row in rows] for at in range(4)]
    made = {n: pa.array(c, k) for (n, k), c in zip(KINDS.items(), columns, strict=True)}
    return pa.table({name: column for name, column in made.items() if tie or name != "tie"})


def in_order(rows: Sequence[Row], group: Any = "any") -> list[int]:
    """Rows that are ranked, of a group or of all, the best first."""
    mine = [at for at, row in enumerate(rows) if None not in (row[0], row[2]) and group in ("any", row[3])]
    return sorted(mine, key=lambda at: (-(rows[at][0] or 0.0), rows[at][1], at))


def parts(table: pa.Table, cuts: list[int]) -> list[pa.Table]:
    bounds = [0, *sorted(min(cut, len(table)) for cut in cuts), len(table)]
    return [table.slice(low, high - low) for low, high in itertools.pairwise(bounds)]


@settings(max_examples=40)
@given(ROWS, st.lists(st.integers(0, 25), max_size=6), st.integers(0, 40), st.booleans(), st.booleans())
def test_a_cut_is_where_the_running_sum_passes_the_limit(
    rows: list[Row], cuts: list[int], limit: int, by_size: bool, whole: bool
) -> None:
    ranking, shards = in_memory(*parts(sketch(rows), cuts))
    assert ranking.names == sorted({row[3] for row in rows}, key=lambda name: (name is None, name or ""))
    found = ranking.cut(limit, "size" if by_size else "documents", whole=whole)
    before = np.concatenate([shard.before(found) for shard in shards])
    at = np.concatenate([shard.at(found) for shard in shards])
    for place, name in enumerate(ranking.names):
        order, upto = in_order(rows, "any" if whole else name), 0.0
        expected: list[int] = []
        own = None
        for row in order:
            weight = (rows[row][2] or 0.0) if by_size else 1
            if upto + weight > limit:
                own = row
                break
            upto += weight
            expected.append(row)
        mine = [row for row in range(len(rows)) if rows[row][3] == name]
        assert {row for row in mine if before[row]} == {row for row in expected if row in mine}
        assert {row for row in mine if at[row]} == ({own} & set(mine))
        assert found.found[place] == (own is not None)
        assert found.before.documents[place] == len(expected)
        assert found.before.size[place] == sum(rows[row][2] or 0.0 for row in expected)
        assert found.own.size[place] == ((rows[own][2] if own is not None else 0.0) or 0.0)


@settings(max_examples=40)
@given(ROWS, st.integers(0, 9), st.integers(0, 9), st.integers(0, 20))
def test_a_cut_of_what_lies_between_two_places(rows: list[Row], first: int, last: int, limit: int) -> None:
    ranking, (shard,) = in_memory(sketch(rows))
    since, until = (ranking.cut(at, "documents") for at in (first, last))
    found = ranking.cut(limit, "documents", since=since.place, until=until.place, whole=True)
    inside = [at for at in in_order(rows) if in_order(rows, rows[at][3]).index(at) in range(first, last)]
    between = shard.before(until) & ~shard.before(since)
    assert {at for at in inside if shard.before(found)[at]} == set(inside[:limit])
    assert {int(at) for at in np.flatnonzero(between)} == set(inside)
    sums = ranking.sums(found.place)
    assert sums.documents.sum() == shard.before(found).sum()


@settings(max_examples=40)
@given(ROWS)
def test_without_ties_rows_of_one_score_are_at_one_place(rows: list[Row]) -> None:
    ranking, (shard,) = in_memory(sketch(rows, tie=False))
    cut = ranking.cut(0, "documents")
    for place, name in enumerate(ranking.names):
        mine = in_order(rows, name)
        best = [at for at in mine if rows[at][0] == rows[mine[0]][0]]
        assert cut.own.documents[place] == len(best)
        assert [at for at in np.flatnonzero(shard.at(cut)) if rows[at][3] == name] == sorted(best)
        assert not mine or cut.place.number[place] == rows[mine[0]][0]


def test_sums_of_fractions_do_not_depend_on_the_order() -> None:
    chance = np.random.default_rng(0)
    table = pa.table({"size": chance.random(1000), "tie": pa.array(chance.integers(0, 2**63, 1000), pa.uint64())})
    one, (shard,) = in_memory(table)
    other, _ = in_memory(table.take(pa.array(chance.permutation(1000))))
    assert one.size == other.size == pytest.approx(table["size"].to_numpy().sum(), abs=1000 / UNIT)
    cut = one.cut(250)
    assert cut.place.tie == other.cut(250).place.tie
    assert table["size"].to_numpy()[shard.before(cut)].sum() == pytest.approx(250, abs=2)


@given(st.lists(st.floats(allow_nan=False)))
def test_codes_are_in_the_order_of_scores_and_say_them(scores: list[float]) -> None:
    code = ordered(-np.array(scores, float))
    assert number(code).tolist() == scores
    assert (np.argsort(code, kind="stable") == np.argsort(-np.array(scores, float), kind="stable")).all()
