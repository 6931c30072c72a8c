"""Rows in groups, and by a hash in an order that does not depend on where they are stored."""

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


def lowest_ties(table: pa.Table, count: int) -> pa.Table:
    """So many of the rows with the lowest `tie`."""
    return table.take(pc.select_k_unstable(table, count, [("tie", "ascending")]))


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


def level(sizes: np.ndarray, total: int) -> int:
    """The most that may be taken of each group so that no more than `total` are taken in all.

    >>> level(np.array([10, 2, 10]), 13)
    5
    """
    rising = np.sort(sizes)
    upto = np.concatenate([[0], np.cumsum(rising)])[:-1] + rising * (len(rising) - np.arange(len(rising)))
    whole = int(np.searchsorted(upto, total, "right"))  # groups that are taken whole
    if whole == len(rising):
        return int(rising.max(initial=0))
    return int((total - rising[:whole].sum()) // (len(rising) - whole))
