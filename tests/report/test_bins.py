"""Edges of histograms: they hold every value, have the bounds among them, and are round and few."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from curate.report.bins import edges

NUMBERS = st.floats(-1e9, 1e9, allow_nan=False).map(lambda value: round(value, 6))


@given(values=st.lists(NUMBERS, min_size=1, max_size=60), bounds=st.lists(NUMBERS, max_size=4))
@example(values=[0.0, 500000001.0, 0.007812], bounds=[])  # thirteen decades
def test_edges_hold_all_values_and_all_bounds(values: list[float], bounds: list[float]) -> None:
    found = edges(np.sort(values), min(values), max(values), bounds, False)
    assert (np.diff(found) > 0).all()
    assert found[0] <= min(values) and max(values) <= found[-1]
    assert set(bounds) <= set(found.tolist())
    assert 2 <= len(found) <= 130


@given(values=st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=60), bounds=st.lists(NUMBERS, max_size=4))
@example(values=[0.0, 1e300], bounds=[])
@example(values=[1e300], bounds=[])
@example(values=[k * 1e-14 for k in range(100)], bounds=[])
@pytest.mark.filterwarnings("error")
def test_edges_of_any_numbers_ascend(values: list[float], bounds: list[float]) -> None:
    found = edges(np.sort(values), min(values), max(values), bounds, False)
    assert np.isfinite(found).all() and (np.diff(found) > 0).all()
    assert found[0] <= min(values) and max(values) <= found[-1]
    assert set(bounds) <= set(found.tolist())


@given(values=st.lists(st.integers(0, 10**9), min_size=1, max_size=60), bound=st.integers(0, 10**6))
@example(values=[990293325, 991102217], bound=0)
def test_edges_of_whole_numbers_are_whole(values: list[int], bound: int) -> None:
    found = edges(np.sort(values).astype(float), min(values), max(values), [float(bound)], True)
    assert all(float(edge).is_integer() for edge in found)
    assert bound in found.tolist()


@pytest.mark.parametrize(
    ("values", "some"),
    [
        (np.linspace(0, 1, 1001), [0.1, 0.25, 0.5, 0.975]),
        (np.concatenate([np.arange(1, 1001), [50_000.0]]), [100.0, 525.0]),
        (np.linspace(0, 1e-13, 1001), [5e-14, 7.5e-14]),
        (np.concatenate([np.full(500, 300.0), np.geomspace(300, 30_000, 499)]), [400.0, 1000.0, 10_000.0]),
    ],
    ids=["share", "even", "tiny", "skewed"],
)
def test_edges_are_round(values: np.ndarray, some: list[float]) -> None:
    assert set(some) <= set(edges(np.sort(values), values.min(), values.max(), [], False).tolist())


def test_a_bound_takes_the_place_of_the_edge_beside_it() -> None:
    found = edges(np.linspace(0, 1, 1001), 0.0, 1.0, [0.302], False).tolist()
    assert 0.302 in found and 0.3 not in found and 0.325 in found


def test_two_bounds_side_by_side_are_both_there() -> None:
    assert {0.302, 0.303} <= set(edges(np.linspace(0, 1, 1001), 0.0, 1.0, [0.302, 0.303], False).tolist())


def test_one_value_has_one_bin() -> None:
    assert edges(np.zeros(5), 0.0, 0.0, [], False).tolist() == [0.0, 1.0]
