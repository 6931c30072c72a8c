"""Connected components by union-find, and the pairs of items to compare when items that share a key are candidates."""

from __future__ import annotations

from typing import Any

import numpy as np

from curate.kernels.bits import ONE, u64
from curate.kernels.jit import inner, kernel
from curate.kernels.text import read_only


def components(n: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The smallest member of each item's connected component, given edges a[i] - b[i] between items 0..n-1: int64[n].

    Raises ValueError when the ends differ in number or an item is outside 0..n-1.

    >>> components(5, np.array([4, 1]), np.array([1, 3])).tolist()
    [0, 1, 2, 1, 1]
    """
    a, b = _items(a), _items(b)
    if len(a) != len(b):
        raise ValueError(f"an edge has two ends, but there are {len(a)} and {len(b)}")
    least, most = min(a.min(initial=n), b.min(initial=n)), max(a.max(initial=-1), b.max(initial=-1))
    if least < 0 or most >= n:
        raise ValueError(f"edges must join items 0..{n - 1}, these reach {least}..{most}")
    parent = np.arange(n)
    join(parent, a, b)
    return parent


def bucket_pairs(keys: np.ndarray, items: np.ndarray, cap: int) -> tuple[np.ndarray, np.ndarray]:
    """Candidate pairs (a, b), a < b, of items that share a key: two int64 arrays, unique and sorted.

    Item items[i] is in the bucket keys[i] (uint64). Buckets of up to `cap` items give all their pairs; a larger one
    links each item to the smallest of the bucket and to its neighbour, so that it stays connected at a linear cost.
    The order of the input does not matter. Raises ValueError when the lengths differ or `cap` is below 2.

    >>> a, b = bucket_pairs(np.array([7, 9, 7, 9, 7]), np.array([10, 20, 30, 10, 40]), cap=3)
    >>> list(zip(a.tolist(), b.tolist()))
    [(10, 20), (10, 30), (10, 40), (30, 40)]
    """
    if len(keys) != len(items):
        raise ValueError(f"each item needs its key, but there are {len(items)} items and {len(keys)} keys")
    if cap < 2:
        raise ValueError(f"cap must be at least 2, not {cap}")
    keys = read_only(np.ascontiguousarray(keys, np.uint64))
    is_shared = may_repeat(keys)  # few are, and what follows sorts with indices, which is slow
    names, ranks = np.unique(_items(items)[is_shared], return_inverse=True)  # ranks fit 32 bits, so a pair fits 64
    if len(names) > 1 << 32:
        raise ValueError(f"{len(names)} items are too many for one partition; the limit is {1 << 32}")
    _, buckets = np.unique(keys[is_shared], return_inverse=True)
    members = np.unique(buckets.astype(np.uint64) << u64(32) | ranks.astype(np.uint64))
    members = read_only(members)
    pairs = np.empty(count_pairs(members, cap), np.uint64)
    write_pairs(members, cap, pairs)
    pairs = np.unique(pairs)
    return names[pairs >> u64(32)], names[pairs & u64(0xFFFFFFFF)]


def may_repeat(keys: np.ndarray) -> np.ndarray:
    """Which keys may occur more than once: true for all that do, and for 0."""
    ordered = np.sort(keys)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    table = np.zeros(1 << max(4, (2 * len(repeated)).bit_length()), np.uint64)
    found = np.empty(len(keys), np.bool_)
    find_keys(keys, repeated, table, found)
    return found


def _items(items: np.ndarray) -> np.ndarray:
    return read_only(np.ascontiguousarray(items, np.int64))


@inner
def slot_of(table: Any, key: Any) -> Any:
    """Where in an open-addressing table a key is, or the empty slot (0) where it would be."""
    mask = u64(len(table) - 1)
    mixed = key * u64(0x9E3779B97F4A7C15)
    i = (mixed ^ mixed >> u64(32)) & mask
    while table[i] != key and table[i] != 0:
        i = (i + ONE) & mask
    return i


@kernel(allocates=False)
def find_keys(keys: Any, wanted: Any, table: Any, found: Any) -> None:
    """Fill whether each key is among the wanted ones; `table` is empty and has room for twice as many."""
    for k in range(len(wanted)):
        table[slot_of(table, wanted[k])] = wanted[k]
    for k in range(len(keys)):
        found[k] = table[slot_of(table, keys[k])] == keys[k]


@inner
def root(parent: Any, i: Any) -> Any:
    """The root of an item's tree; halves the path on the way."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@kernel(allocates=False)
def join(parent: Any, a: Any, b: Any) -> None:
    """Join along the edges, the smaller root on top; then let every item point to its root."""
    for e in range(len(a)):
        x, y = root(parent, a[e]), root(parent, b[e])
        if x < y:
            parent[y] = x
        else:
            parent[x] = y
    for i in range(len(parent)):
        parent[i] = parent[parent[i]]  # parents are smaller, so already roots


@inner
def bucket_end(members: Any, begin: Any) -> Any:
    """One past the last member (bucket << 32 | rank, sorted) of the bucket that begins at `begin`."""
    end = begin + 1
    while end < len(members) and members[end] >> u64(32) == members[begin] >> u64(32):
        end += 1
    return end


@kernel(allocates=False)
def count_pairs(members: Any, cap: Any) -> Any:
    """How many pairs `write_pairs` writes."""
    total, begin = 0, 0
    while begin < len(members):
        end = bucket_end(members, begin)
        size = end - begin
        total += size * (size - 1) // 2 if size <= cap else 2 * size - 3
        begin = end
    return total


@kernel(allocates=False)
def write_pairs(members: Any, cap: Any, pairs: Any) -> None:
    """Write the candidate pairs of every bucket as smaller rank << 32 | larger rank."""
    at, begin = 0, 0
    low = u64(0xFFFFFFFF)
    while begin < len(members):
        end = bucket_end(members, begin)
        is_large = end - begin > cap
        for i in range(begin, end):
            last = min(i + 2, end) if is_large and i > begin else end
            for j in range(i + 1, last):
                pairs[at] = (members[i] & low) << u64(32) | members[j] & low
                at += 1
        begin = end
