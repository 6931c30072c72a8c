"""Radix sort against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.kernels import sorting

KINDS = (np.uint8, np.uint16, np.uint32, np.uint64, np.int32, np.int64)


def numbers(kind: type, bits: int, count: int) -> np.ndarray:
    made = np.random.default_rng(bits).integers(0, 2**64, count, np.uint64)
    return (made >> np.uint64(64 - bits)).astype(kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [0, 1, sorting.FEW - 1, sorting.FEW, 3 * sorting.FEW])
@pytest.mark.parametrize("share", [1, 2, 8])
def test_it_is_numpys_order(kind: type, count: int, share: int) -> None:
    values = numbers(kind, max(1, 8 * np.dtype(kind).itemsize // share), count)
    before = values.copy()
    ordered, at = sorting.in_order(values)
    assert np.array_equal(sorting.ordered(values), np.sort(values))
    assert np.array_equal(ordered, np.sort(values))
    assert np.array_equal(at, np.argsort(values, kind="stable"))
    assert np.array_equal(values, before)


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20), st.integers(0, 8))
def test_few_different_numbers_many_times(few: list[int], step: int) -> None:
    values = np.resize(np.array(few, np.uint64), sorting.FEW + step)
    ordered, at = sorting.in_order(values)
    assert np.array_equal(ordered, np.sort(values))
    assert np.array_equal(at, np.argsort(values, kind="stable"))
    assert np.array_equal(sorting.ordered(values), ordered)


def test_a_slice_with_strides_is_sorted_too() -> None:
    values = numbers(np.uint64, 64, 4 * sorting.FEW)[::2]
    assert np.array_equal(sorting.ordered(values), np.sort(values))
    assert np.array_equal(sorting.in_order(values)[1], np.argsort(values, kind="stable"))
