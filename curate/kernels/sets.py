"""Sets of 64-bit hashes, one list per document: their members once and in order, and how far two sets agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from curate.kernels.jit import kernel
from curate.kernels.text import read_only, splits


def sets_of(values: np.ndarray, offsets: np.ndarray) -> pa.Array:
    """Each document's members once, ascending, as list<uint64>. Document d has values[offsets[d]:offsets[d + 1]].

    >>> sets_of(np.array([7, 3, 7, 1], np.uint64), np.array([0, 3, 4])).to_pylist()
    [[3, 7], [1]]
    """
    members = np.array(values, np.uint64)
    counts = np.empty(len(offsets) - 1, np.int64)
    keep_once(members, read_only(np.ascontiguousarray(offsets, np.int64)), counts)
    ends = splits(counts)
    return pa.ListArray.from_arrays(pa.array(ends.astype(np.int32)), pa.array(members[: ends[-1]]))


def jaccard(left: pa.Array, right: pa.Array) -> np.ndarray:
    """The Jaccard similarity (float64[m], 0..1) of m pairs of sets as `sets_of` makes them; two empty sets: 1.

    >>> a, b = pa.array([[1, 2, 3], []], pa.list_(pa.uint64())), pa.array([[2, 3, 4], []], pa.list_(pa.uint64()))
    >>> jaccard(a, b).tolist()
    [0.5, 1.0]
    """
    if len(left) != len(right):
        raise ValueError(f"sets are compared row by row, but there are {len(left)} and {len(right)}")
    shares = np.empty(len(left))
    overlap(*_parts(left), *_parts(right), shares)
    return shares


def _parts(lists: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """All values of a list array, and the offsets into them."""
    offsets = lists.offsets.to_numpy().astype(np.int64)
    return read_only(lists.values.to_numpy()), read_only(offsets)


@kernel
def keep_once(members: Any, offsets: Any, counts: Any) -> None:
    """Sort each document's members, move them up to the last document's, and count them."""
    at = 0
    for d in range(len(counts)):
        ordered = np.sort(members[offsets[d] : offsets[d + 1]])
        first = at
        for i in range(len(ordered)):
            if i == 0 or ordered[i] != ordered[i - 1]:
                members[at] = ordered[i]
                at += 1
        counts[d] = at - first


@kernel(allocates=False)
def overlap(left: Any, left_offsets: Any, right: Any, right_offsets: Any, shares: Any) -> None:
    """Fill the share of common members among all members of each pair of ascending lists."""
    for d in range(len(shares)):
        i, j = left_offsets[d], right_offsets[d]
        last_i, last_j = left_offsets[d + 1], right_offsets[d + 1]
        both, total = 0, (last_i - i) + (last_j - j)
        while i < last_i and j < last_j:
            x, y = left[i], right[j]
            both += x == y
            i += x <= y
            j += y <= x
        shares[d] = both / (total - both) if total else 1.0
