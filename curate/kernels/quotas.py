"""Rows in groups and in an order: what selectors with quotas count with."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.kernels.hashing import xxh3_128
from curate.kernels.mixing import mix


def ties(ids: pa.Array, seed: int) -> pa.Array:
    """A number for each id that breaks ties and shuffles, wherever the row is stored; null for a null."""
    low, _ = xxh3_128(ids.fill_null(""))
    return pa.array(mix(low, seed))


def groups(column: pa.Array | pa.ChunkedArray) -> tuple[list[str | None], np.ndarray]:
    """The values of a column in order, null last, and for each row the place of its own among them.

    >>> groups(pa.array(["b", None, "a", "b"]))
    (['a', 'b', None], array([1, 2, 0, 1]))
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    found = pc.unique(array).drop_null()
    names = found.take(pc.sort_indices(found))
    at = pc.index_in(array, names).fill_null(len(names)).to_numpy().astype(np.int64)
    return [*names.to_pylist(), *([None] if array.null_count else [])], at


def ranked(tie: np.ndarray, score: np.ndarray | None = None, lowest: bool = False) -> np.ndarray:
    """Rows from the best to the worst: the highest score first, then by tie; without scores by tie alone."""
    if score is None:
        return np.argsort(tie, kind="stable")
    return np.lexsort((tie, score if lowest else -score))


def running(size: np.ndarray, group: np.ndarray, order: np.ndarray) -> np.ndarray:
    """For each row the sum of sizes up to and including it, within its group, in this order.

    >>> running(np.array([1.0, 2.0, 4.0]), np.array([0, 1, 0]), np.array([2, 1, 0])).tolist()
    [5.0, 2.0, 4.0]
    """
    rows = order[np.argsort(group[order], kind="stable")]
    sums = np.cumsum(size[rows])
    starts = np.flatnonzero(np.diff(group[rows], prepend=-1))
    before = np.concatenate([[0.0], sums])[starts]
    found = np.empty(len(size), np.float64)
    found[rows] = sums - np.repeat(before, np.diff(np.append(starts, len(rows))))
    return found


def sums(size: np.ndarray, group: np.ndarray, count: int) -> np.ndarray:
    """The size of each group."""
    return np.bincount(group, size, count)
