"""Radix sort of unsigned numbers, the last digit first: from 10,000 on in half the time of NumPy's sort, or a sixth."""

from __future__ import annotations

from typing import Any

import numpy as np

from curate.kernels.bits import u64
from curate.kernels.jit import kernel
from curate.kernels.text import read_only

FEW = 10_000  # numbers that NumPy sorts as fast


def ordered(values: np.ndarray) -> np.ndarray:
    """The values in ascending order; the array itself where they are so. Those with signs are sorted by NumPy.

    >>> ordered(np.array([3, 1, 2], np.uint64)).tolist()
    [1, 2, 3]
    """
    if _is_numpys(values):
        return np.sort(values)
    source, found, spare = np.ascontiguousarray(values), np.empty_like(values), np.empty_like(values)
    for shift, starts in _digits(source):
        place(read_only(source), shift, starts, found)
        source, found, spare = found, spare, found
    return source


def in_order(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values in ascending order, and the position that each had; of equal ones the first first.

    >>> [found.tolist() for found in in_order(np.array([3, 1, 3, 2], np.uint64))]
    [[1, 2, 3, 3], [1, 3, 0, 2]]
    """
    kind = np.uint32 if len(values) < 1 << 32 else np.uint64
    if _is_numpys(values):
        at = np.argsort(values, kind="stable").astype(kind)
        return values[at], at
    source, found, spare = np.ascontiguousarray(values), np.empty_like(values), np.empty_like(values)
    at = np.arange(len(values), dtype=kind)
    found_at = np.empty_like(at)
    for shift, starts in _digits(source):
        place_both(read_only(source), read_only(at), shift, starts, found, found_at)
        source, found, spare = found, spare, found
        at, found_at = found_at, at
    return source, at


def _is_numpys(values: np.ndarray) -> bool:
    return len(values) < FEW or values.dtype.kind != "u"


def _digits(values: np.ndarray) -> list[tuple[np.uint64, np.ndarray]]:
    """Of each byte in which values differ: where in a value it is, and where those with each value of it begin.

    Nothing of values that are in order.
    """
    counts = np.zeros((values.itemsize, 256), np.int64)
    if count(read_only(values), counts):
        return []
    differ = np.flatnonzero(counts.max(axis=1) < len(values))
    return [(u64(8 * byte), np.cumsum(counts[byte]) - counts[byte]) for byte in differ.tolist()]


@kernel(allocates=False)
def count(values: Any, counts: Any) -> Any:
    """Add up how often each byte of the values has each value; returns whether they are in order."""
    is_ordered: Any = True
    last = u64(0)
    for i in range(len(values)):
        value = u64(values[i])
        is_ordered, last = is_ordered & (value >= last), value
        for byte in range(len(counts)):
            counts[byte, np.int64(value & u64(255))] += 1
            value >>= u64(8)
    return is_ordered


@kernel(allocates=False)
def place(values: Any, shift: Any, starts: Any, found: Any) -> None:
    """Write the values in the order of one byte."""
    for i in range(len(values)):
        digit = np.int64(u64(values[i]) >> shift & u64(255))
        found[starts[digit]] = values[i]
        starts[digit] += 1


@kernel(allocates=False)
def place_both(values: Any, positions: Any, shift: Any, starts: Any, found: Any, found_at: Any) -> None:
    """Write the values, and with them their positions, in the order of one byte."""
    for i in range(len(values)):
        digit = np.int64(u64(values[i]) >> shift & u64(255))
        found[starts[digit]], found_at[starts[digit]] = values[i], positions[i]
        starts[digit] += 1
