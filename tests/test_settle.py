"""Who stays agrees with a plain-Python twin, however pairs are cut; memory is that of rows, not of pairs."""

from __future__ import annotations

import itertools
import time
import tracemalloc
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate import cluster, settle
from curate.kernels.components import pack

Pairs = dict[tuple[int, int], float]


def connected(items: list[int], pairs: list[tuple[int, int]]) -> dict[int, set[int]]:
    sets = {item: {item} for item in items}
    for a, b in pairs:
        if sets[a] is not sets[b]:
            sets[a] |= sets[b]
            for item in sets[b]:
                sets[item] = sets[a]
    return sets


def twin(pairs: Pairs, rank: dict[int, int], link: str) -> dict[int, int]:
    """Item -> the item that stays in its place."""
    items = sorted({item for pair in pairs for item in pair})
    best = lambda some: min(some, key=lambda item: (rank[item], item))  # noqa: E731
    if link == "components":
        return {item: best(some) for item, some in connected(items, [*pairs]).items()}
    same = connected(items, [pair for pair, similarity in pairs.items() if similarity == 1.0])
    head = {item: best(same[item]) for item in items}
    ties: dict[int, set[int]] = {}
    for a, b in pairs:
        if head[a] != head[b]:
            one, two = sorted((head[a], head[b]), key=lambda item: (rank[item], item))
            ties.setdefault(two, set()).add(one)
    stays: dict[int, int] = {}
    for item in sorted({*head.values()}, key=lambda item: (rank[item], item)):
        near = [other for other in ties.get(item, ()) if stays[other] == other]
        stays[item] = best(near) if near else item
    return {item: stays[head[item]] for item in items}


edges = st.dictionaries(
    st.tuples(st.integers(0, 25), st.integers(0, 25)).map(sorted).filter(lambda pair: pair[0] < pair[1]).map(tuple),
    st.sampled_from([0.8, 0.9, 1.0]),
    max_size=50,
)


@pytest.mark.parametrize("link", ["components", "representative"])
@settings(max_examples=200, deadline=None)
@given(edges, st.lists(st.integers(0, 3), min_size=26, max_size=26), st.integers(1, 9), st.integers(1, 60))
def test_it_agrees_with_the_twin(link: str, pairs: Pairs, ranks: list[int], part: int, most: int) -> None:
    packed = [pack(np.array([a]), np.array([b]))[0] for a, b in pairs]
    given = np.array([*packed], np.uint64), np.array([*pairs.values()], float)

    def parts() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for at in range(0, len(pairs), part):
            yield given[0][at : at + part], given[1][at : at + part]

    rank = np.array(ranks, np.uint64)
    found, facts = settle.settle(link, parts, lambda items: rank[items], most)
    truth = twin(pairs, dict(enumerate(ranks)), link)
    sizes = {item: [*truth.values()].count(of) for item, of in truth.items()}
    truth = {item: of for item, of in truth.items() if sizes[item] > 1}
    assert dict(zip(found.items.tolist(), found.twins.tolist(), strict=True)) == truth
    assert found.items.tolist() == sorted(truth) and found.sizes.tolist() == [sizes[item] for item in sorted(truth)]
    for item, of, similarity in zip(found.items.tolist(), found.twins.tolist(), found.similarity, strict=True):
        known = pairs.get((min(item, of), max(item, of)))
        assert similarity == known if known is not None and item != of else np.isnan(similarity)
    assert facts["copies"] == facts[f"copies_by_{link}"] == sum(item != of for item, of in truth.items())
    assert facts["clusters"] == len({*truth.values()})


def cluster_of(rows: int, pairs: int, similarity: float, part: int = 10_000) -> settle.Edges:
    """One cluster of so many rows and pairs, made anew whenever it is asked for."""

    def edges() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for at in range(0, pairs, part):
            number = np.arange(at, min(at + part, pairs), dtype=np.int64)
            right = number % (rows - 1) + 1
            yield pack(number * 7919 % right, right), np.full(len(number), similarity)

    return edges


def measured(link: str, edges: settle.Edges, most: int) -> tuple[Any, int]:
    tracemalloc.start()
    try:
        found = settle.settle(link, edges, lambda items: np.zeros(len(items), np.uint64), most)
        return found, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("link", ["components", "representative"])
def test_memory_is_that_of_rows(link: str) -> None:
    """Six times the pairs, which would take 16 bytes each, in the same memory."""
    rows, most = 20_000, 20_000
    (few, _), less = measured(link, cluster_of(rows, 2 * rows, 0.9), most)
    (many, _), more = measured(link, cluster_of(rows, 12 * rows, 0.9), most)
    assert len(many.items) >= len(few.items) > 0.8 * rows
    assert more < 1.2 * less < 1.2 * (80 * rows + 160 * most)


def test_copies_of_one_page_cost_a_straight_line_of_time() -> None:
    """Every pair of similarity 1: there are no ties, and pairs are read a few times however many they are."""
    seconds = []
    for rows in (200_000, 800_000):
        edges = cluster_of(rows, rows, 1.0)
        count = itertools.count()

        def counted(edges: settle.Edges = edges, count: Any = count) -> Any:
            next(count)
            return edges()

        began = time.process_time()
        found, _ = settle.settle("representative", counted, lambda items: np.zeros(len(items), np.uint64), 1000)
        seconds.append(time.process_time() - began)
        assert next(count) <= 5 and found.sizes.tolist() == [rows] * rows
    assert seconds[1] < 4 * seconds[0] * 2 + 0.2


def test_copies_of_one_sketch_are_compared_by_that_of_their_twin() -> None:
    values = np.array([7, 3, 7, 5, 7], np.uint64)  # a sketch for each item
    operator = SimpleNamespace(similarity=lambda a, b: 1 / (1 + np.abs(np.subtract(*(column(t) for t in (a, b))))))
    fetched: list[list[int]] = []

    def fetch(items: np.ndarray) -> pa.Table:
        fetched.append(items.tolist())
        return pa.table({"value": values[items].astype(np.int64)})

    items, twins, similarity = np.arange(5, dtype=np.uint32), np.array([0, 0, 0, 0, 0], np.uint32), np.full(5, np.nan)
    similarity[3] = 0.25  # as it was when the two were compared
    decided = settle.Decisions(items, twins, np.full(5, 5), similarity)
    found = cluster.filled(operator, decided, lambda items: values[items], fetch)  # type: ignore[arg-type]
    assert found.similarity[1:].tolist() == [0.2, 1.0, 0.25, 1.0]
    assert fetched == [[0, 1]]


def column(table: pa.Table) -> np.ndarray:
    return table["value"].to_numpy()
