"""Sets of 64-bit hashes, a list for each document with the members once and in order: how far two of them agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from curate.kernels.jit import kernel
from curate.kernels.text import read_only


def as_lists(values: np.ndarray, offsets: np.ndarray) -> pa.Array:
    """Sets as list<uint64>. Document d has values[offsets[d]:offsets[d + 1]].

    >>> as_lists(np.array([3, 7, 1], np.uint64), np.array([0, 2, 3])).to_pylist()
    [[3, 7], [1]]
    """
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), pa.array(values))


def jaccard(left: pa.Array, right: pa.Array) -> np.ndarray:
    """The Jaccard similarity (float64[m], 0..1) of m pairs of sets, each ascending; of two empty sets 1.

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
