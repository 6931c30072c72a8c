"""What occurs more than once in a corpus: grouped by key and check (`collapse`, `repeated`), looked up (`find`)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from curate.kernels.bits import u64
from curate.kernels.components import may_repeat
from curate.kernels.jit import kernel
from curate.kernels.runs import MIX_1
from curate.kernels.sorting import in_order
from curate.kernels.text import read_only


class Seen(NamedTuple):
    """What was seen: 128 bits, where first, how often."""

    key: np.ndarray  # uint64
    check: np.ndarray  # uint64
    row: np.ndarray  # int64, address
    at: np.ndarray  # int32, position within the row
    times: np.ndarray  # int64


def collapse(seen: Seen) -> Seen:
    """One of each, in the order of the keys: where it is first and the sum of the counts.

    >>> one, two = np.array([5, 3, 5], np.uint64), np.array([7, 8, 9])
    >>> found = collapse(Seen(one, one, two, np.zeros(3, np.int32), np.ones(3, np.int64)))
    >>> found.key.tolist(), found.row.tolist(), found.times.tolist()
    ([3, 5], [8, 7], [1, 2])
    """
    total = len(seen.key)
    table = np.zeros(1 << max(4, (2 * total - 1).bit_length()), np.int32)
    first, times = np.empty(total, np.int64), np.empty(total, np.int64)
    found = int(number_seen(Seen(*(read_only(np.ascontiguousarray(array)) for array in seen)), table, first, times))
    first, times = first[:found], times[:found]
    order = _sorted(seen.key[first], seen.check[first])
    return Seen(*(array[first[order]] for array in seen))._replace(times=times[order])


def _sorted(key: np.ndarray, check: np.ndarray) -> np.ndarray:
    """The order by key, then by check, which hardly ever matters."""
    ordered, order = in_order(key)
    is_same = ordered[1:] == ordered[:-1]
    if is_same.any():
        tied = np.flatnonzero(np.concatenate([[False], is_same]) | np.concatenate([is_same, [False]]))
        few = order[tied]
        order[tied] = few[np.lexsort((check[few], key[few]))]
    return order


@kernel(allocates=False)
def number_seen(seen: Seen, table: Any, first: Any, times: Any) -> Any:
    """Fill where each is first and how often it was seen; returns how many there are; `table` is empty."""
    mask, n = u64(len(table) - 1), 0
    for i in range(len(seen.key)):
        mixed = (seen.key[i] ^ seen.check[i]) * MIX_1
        slot = (mixed ^ mixed >> u64(32)) & mask
        while table[slot]:
            k = first[table[slot] - 1]
            if seen.key[k] == seen.key[i] and seen.check[k] == seen.check[i]:
                break
            slot = (slot + u64(1)) & mask
        if not table[slot]:
            first[n], times[n] = i, seen.times[i]
            n += 1
            table[slot] = n
            continue
        k = np.int64(table[slot]) - 1
        times[k] += seen.times[i]
        was = first[k]
        if seen.row[i] < seen.row[was] or (seen.row[i] == seen.row[was] and seen.at[i] < seen.at[was]):
            first[k] = i
    return n


def repeated(seen: Seen, least: int) -> Seen:
    """Of all that was seen, what was seen at least so often (2 or more)."""
    often = may_repeat(read_only(np.ascontiguousarray(seen.key))) | (seen.times > 1)  # most is not: spares the sorting
    found = collapse(Seen(*(array[often] for array in seen)))
    kept = found.times >= least
    return Seen(*(array[kept] for array in found))


def find(chunks: list[Seen], key: np.ndarray, check: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Look up what repeats: (whether it is there, address and position of the first one, 0 where it is not).

    The keys of each chunk are sorted, and no key is in two chunks. Lookups go through each in order, so that one
    on disk is read from front to back.
    """
    wanted, order = (read_only(found) for found in in_order(key))
    is_there, row, at = (np.zeros(len(key), kind) for kind in (bool, np.int64, np.int64))
    for chunk in chunks:
        if len(chunk.key):
            low, high = np.searchsorted(wanted, chunk.key[0]), np.searchsorted(wanted, chunk.key[-1], side="right")
            join(Seen(*map(read_only, chunk)), wanted[low:high], check, order[low:high], is_there, row, at)
    return is_there, row, at


@kernel(allocates=False)
def join(chunk: Seen, key: Any, check: Any, order: Any, is_there: Any, row: Any, at: Any) -> None:
    """Fill, at the places `order`, where each of the sorted keys was first seen, if it is in the chunk."""
    p, end = 0, len(chunk.key)
    for i in range(len(key)):
        high, step = p, 1
        while high < end and chunk.key[high] < key[i]:  # in ever longer strides, then in halves
            p, high, step = high + 1, high + step, 2 * step
        high = min(high, end)
        while p < high:
            middle = (p + high) // 2
            if chunk.key[middle] < key[i]:
                p = middle + 1
            else:
                high = middle
        q = p
        while q < end and chunk.key[q] == key[i]:  # mostly one: two of one key but another check are rare
            if chunk.check[q] == check[order[i]]:
                is_there[order[i]], row[order[i]], at[order[i]] = True, chunk.row[q], chunk.at[q]
            q += 1
