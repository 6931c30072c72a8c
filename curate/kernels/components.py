"""Which items to compare when those that share a key are candidates, and what pairs that hold make of them.

Items are numbers below 2^32, so a pair is one uint64: smaller << 32 | larger. Components are found by union-find, or,
where an array of all items does not fit, by the alternating stars of Kiveris et al. (2014).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from curate.kernels.bits import ONE, u64
from curate.kernels.jit import inner, kernel
from curate.kernels.sorting import in_order, ordered
from curate.kernels.text import read_only

CROWD = 64  # members of a bucket of which all pairs are candidates; beyond, copies of one sketch count once
FAMILY = 1024  # different sketches in a bucket of which all pairs are candidates
NEAR = 64  # beyond, the candidates of each

Look = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def pack(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pairs as uint64, the smaller item above.

    >>> unpack(pack(np.array([3, 1]), np.array([2, 5])))[0].tolist()
    [2, 1]
    """
    a, b = a.astype(np.uint64), b.astype(np.uint64)
    return np.minimum(a, b) << u64(32) | np.maximum(a, b)


def unpack(pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The smaller and the larger item of each pair, uint32."""
    return (pairs >> u64(32)).astype(np.uint32), pairs.astype(np.uint32)


def once(values: np.ndarray) -> np.ndarray:
    """Values in order, each once. NumPy's own way hashes them, which for many is slower by far than to sort.

    >>> once(np.array([3, 1, 3])).tolist()
    [1, 3]
    """
    found = ordered(values)
    return found[np.concatenate([[True], found[1:] != found[:-1]])[: len(found)]]


def components(n: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The smallest member of each item's connected component, given edges a[i] - b[i] between items 0..n-1: int64[n].

    Raises ValueError when the ends differ in number or an item is outside 0..n-1.

    >>> components(5, np.array([4, 1]), np.array([1, 3])).tolist()
    [0, 1, 2, 1, 1]
    """
    if len(a) != len(b):
        raise ValueError(f"an edge has two ends, but there are {len(a)} and {len(b)}")
    least, most = (min(a.min(), b.min()), max(a.max(), b.max())) if len(a) else (0, -1)
    if least < 0 or most >= n:
        raise ValueError(f"edges must join items 0..{n - 1}, these reach {least}..{most}")
    parent = np.arange(n, dtype=np.uint32)
    join(parent, a, b)
    flatten(parent)
    return parent.astype(np.int64)


def join(parent: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
    """Union-find: join the trees (`parent`, uint32 for each item) along edges. `flatten` ends it."""
    unite(parent, _items(a), _items(b))


def large_star(pairs: np.ndarray) -> np.ndarray:
    """One large-star step on the edges of some items: what is larger than an item is tied to its least neighbour.

    Holds every edge of those items with the item above: item << 32 | neighbour. The edges it gives are such that the
    larger end is above; each is one of an item that may be anywhere.

    >>> [divmod(int(edge), 2**32) for edge in large_star(np.array([2 << 32 | 5, 2 << 32 | 1], np.uint64))]
    [(5, 1)]
    """
    ends, neighbours, least = _stars(pairs)
    larger = neighbours > ends
    return once(neighbours[larger] << u64(32) | np.minimum(least, ends)[larger])


def small_star(pairs: np.ndarray) -> np.ndarray:
    """One small-star step: an item and its smaller neighbours are tied to the least of them.

    Holds the edges of some items to smaller ones, the item above; the edges it gives also have the larger end above.

    >>> [divmod(int(edge), 2**32) for edge in small_star(np.array([5 << 32 | 2, 5 << 32 | 1], np.uint64))]
    [(2, 1), (5, 1)]
    """
    ends, neighbours, least = _stars(pairs)
    others = neighbours > least
    return once(np.concatenate([neighbours[others] << u64(32) | least[others], ends << u64(32) | least]))


def _stars(pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Item, neighbour, and the item's least neighbour, of each edge once."""
    pairs = once(pairs)
    ends, neighbours = pairs >> u64(32), pairs & u64(0xFFFFFFFF)
    is_first = np.concatenate([[True], ends[1:] != ends[:-1]])[: len(ends)]
    least = neighbours[is_first][np.cumsum(is_first) - 1]
    return ends, neighbours, least


def stay_or_go(n: int, earlier: np.ndarray, later: np.ndarray) -> np.ndarray:
    """Going through items 0..n-1 in order: for each the first item that stays and that it is tied to; itself: it stays.

    Ties are earlier[i] < later[i], in any order.

    >>> stay_or_go(4, np.array([0, 1, 2]), np.array([1, 2, 3])).tolist()
    [0, 0, 2, 2]
    """
    head = np.arange(n, dtype=np.uint32)
    follow(head, later.astype(np.uint64) << u64(32) | earlier.astype(np.uint64))
    return head.astype(np.int64)


def follow(head: np.ndarray, ties: np.ndarray) -> None:
    """A part of `stay_or_go`: go through the ties (item << 32 | earlier item, in any order) of a range of items.

    `head` (uint32) holds what is known of the items before the range, and itself for every other one.
    """
    settle(read_only(once(ties)), head)


def candidate_pairs(
    keys: np.ndarray,
    items: np.ndarray,
    look: Look,
    most: int,
    crowd: int = CROWD,
    family: int = FAMILY,
    near: int = NEAR,
) -> Iterator[np.ndarray]:
    """Runs of packed candidate pairs of items that share a key, each unique and sorted, of about `most` pairs.

    Item items[i] is in the bucket keys[i] (uint64). A bucket of up to `crowd` items gives all its pairs. In a larger
    one, copies of one sketch are tied to one of them, and only that one goes on: `look(items)` tells the digest of
    their sketches and a tag that says which of them goes on (the least). All pairs of up to `family` different
    sketches are candidates; of more than that, each with the `near` that follow it in the order of their mixed digests.
    So no pair of a family is lost, and the cost is linear. The order of the input does not matter.
    """
    if crowd < 1 or family < 1 or near < 1:
        raise ValueError(f"crowd, family and near must be at least 1, not {crowd}, {family} and {near}")
    if len(keys) != len(items):
        raise ValueError(f"each item needs its key, but there are {len(items)} items and {len(keys)} keys")
    keys = read_only(np.ascontiguousarray(keys, np.uint64))
    is_shared = may_repeat(keys)  # few are, and what follows sorts with indices, which is slow
    names, members = _buckets(keys[is_shared], items[is_shared])
    sizes = np.bincount((members >> u64(32)).astype(np.int64), minlength=len(names))
    is_crowded = np.repeat(sizes > crowd, sizes)
    yield from _runs(members[~is_crowded], crowd, near, most)
    if is_crowded.any():
        leaders, copies = _by_sketch(members[is_crowded], names, look)
        yield from (once(copies[at : at + most]) for at in range(0, len(copies), most))
        yield from _runs(leaders, family, near, most)


def _buckets(keys: np.ndarray, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The keys in order, each once; and bucket << 32 | item for each item, in order, each once."""
    keys, order = in_order(keys)
    is_new = np.ones(len(keys), np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=is_new[1:])
    buckets = np.cumsum(is_new).astype(np.uint64) - u64(1)
    return keys[is_new], once(buckets << u64(32) | items[order].astype(np.uint64))


def crowd_pairs(
    key: int, parts: Callable[[], Iterator[np.ndarray]], look: Look, most: int, family: int = FAMILY, near: int = NEAR
) -> Iterator[np.ndarray]:
    """The pairs of one bucket of `candidate_pairs` that is too large for memory: its items, part by part, twice.

    Memory is that of its different sketches.
    """
    digests, tags, items = np.zeros(0, np.uint64), np.zeros(0, np.uint64), np.zeros(0, np.uint32)
    for part in parts():
        digest, tag = look(part)
        digests, tags = np.concatenate([digests, digest]), np.concatenate([tags, tag])
        items = np.concatenate([items, part.astype(np.uint32)])
        order = np.lexsort((tags, digests))
        is_new = np.concatenate([[True], digests[order][1:] != digests[order][:-1]])[: len(order)]
        digests, tags, items = (values[order][is_new] for values in (digests, tags, items))
    for part in parts():
        leader = items[np.searchsorted(digests, look(part)[0])]
        copies = leader != part
        yield once(pack(leader[copies], part[copies]))
    place = (digests ^ u64(key)) * u64(0x9E3779B97F4A7C15)
    yield from _runs(items[np.argsort(place)].astype(np.uint64), family, near, most)


def _by_sketch(members: np.ndarray, names: np.ndarray, look: Look) -> tuple[np.ndarray, np.ndarray]:
    """Of each bucket one item of each sketch, in the order of mixed digests; and all others, paired with their one."""
    bucket, item = (members >> u64(32)).astype(np.int64), members.astype(np.uint32)
    different, where = np.unique(item, return_inverse=True)
    digest, tag = (values[where] for values in look(different))
    place = (digest ^ names[bucket]) * u64(0x9E3779B97F4A7C15)  # another order in each bucket
    order = np.lexsort((tag, place, bucket))
    bucket, place, item = bucket[order], place[order], item[order]
    is_new = np.concatenate([[True], (bucket[1:] != bucket[:-1]) | (place[1:] != place[:-1])])
    leader = item[is_new][np.cumsum(is_new) - 1]
    return members[order][is_new], pack(leader[~is_new], item[~is_new])


def _runs(members: np.ndarray, family: int, near: int, most: int) -> Iterator[np.ndarray]:
    """The pairs of each bucket's members (bucket << 32 | item, bucket by bucket), about `most` at a time."""
    last = np.empty(len(members), np.int64)
    members = read_only(members)
    reach(members, family, near, last)
    ends = np.cumsum(last - np.arange(1, len(members) + 1))
    total = int(ends[-1]) if len(ends) else 0
    cuts = once(np.searchsorted(ends, np.arange(0, total, most)[1:], "right"))
    for first, stop in zip([0, *cuts.tolist()], [*cuts.tolist(), len(members)], strict=True):
        count = (int(ends[stop - 1]) if stop else 0) - (int(ends[first - 1]) if first else 0)
        if count:
            pairs = np.empty(count, np.uint64)
            write_pairs(members, last, first, stop, pairs)
            yield once(pairs)


def may_repeat(keys: np.ndarray) -> np.ndarray:
    """Which keys may occur more than once: true for all that do, and for about 6 % of the others where keys are hashes.

    A filter with some sixteen places for a key, in the order of the keys: where these come in sorted batches, it is
    gone through from one end to the other.
    """
    found = np.empty(len(keys), np.bool_)
    if len(keys):
        least, most = keys.min(), keys.max()
        places = max(10, (8 * len(keys)).bit_length())
        shift = u64(max(0, int(most - least).bit_length() - places))
        seen = np.zeros(1 << places - 5, np.uint64)
        note_keys(keys, least, shift, seen)
        find_keys(keys, least, shift, read_only(seen), found)
    return found


def _items(items: np.ndarray) -> np.ndarray:
    return read_only(np.ascontiguousarray(items, np.uint32))


@kernel(allocates=False)
def note_keys(keys: Any, least: Any, shift: Any, seen: Any) -> None:
    """Note each key in two bits: once as 1, more often as 3."""
    for k in range(len(keys)):
        place = keys[k] - least >> shift
        word, at = place >> u64(5), (place & u64(31)) << ONE
        seen[word] |= (seen[word] >> at & ONE) + ONE << at


@kernel(allocates=False)
def find_keys(keys: Any, least: Any, shift: Any, seen: Any, found: Any) -> None:
    """Fill whether each key was noted more than once."""
    for k in range(len(keys)):
        place = keys[k] - least >> shift
        found[k] = seen[place >> u64(5)] >> ((place & u64(31)) << ONE) & u64(2) != 0


@inner
def root(parent: Any, item: Any) -> Any:
    """The root of an item's tree; halves the path on the way."""
    i = np.int64(item)
    while parent[i] != i:
        parent[i] = parent[np.int64(parent[i])]
        i = np.int64(parent[i])
    return i


@kernel(allocates=False)
def unite(parent: Any, a: Any, b: Any) -> None:
    """Join along the edges, the smaller root on top."""
    for e in range(len(a)):
        x, y = root(parent, a[e]), root(parent, b[e])
        if x < y:
            parent[y] = x
        else:
            parent[x] = y


@kernel(allocates=False)
def flatten(parent: Any) -> None:
    """Let every item point to its root."""
    for i in range(len(parent)):
        parent[i] = parent[np.int64(parent[i])]  # parents are smaller, so already roots


@kernel(allocates=False)
def settle(ties: Any, head: Any) -> None:
    """Fill the head of each item, given its ties (item << 32 | earlier item), sorted."""
    for t in range(len(ties)):
        later, earlier = np.int64(ties[t] >> u64(32)), np.int64(ties[t] & u64(0xFFFFFFFF))
        if head[later] == later and head[earlier] == earlier:
            head[later] = ties[t] & u64(0xFFFFFFFF)


@kernel(allocates=False)
def reach(members: Any, family: Any, near: Any, last: Any) -> None:
    """Fill one past the last member that each member of a bucket is paired with."""
    begin = 0
    while begin < len(members):
        end = begin + 1
        while end < len(members) and members[end] >> u64(32) == members[begin] >> u64(32):
            end += 1
        for i in range(begin, end):
            last[i] = end if end - begin <= family else min(end, i + 1 + near)
        begin = end


@kernel(allocates=False)
def write_pairs(members: Any, last: Any, first: Any, stop: Any, pairs: Any) -> None:
    """Write the pairs of members[first:stop], the smaller item above."""
    at, low = 0, u64(0xFFFFFFFF)
    for i in range(first, stop):
        for j in range(i + 1, last[i]):
            x, y = members[i] & low, members[j] & low
            pairs[at] = min(x, y) << u64(32) | max(x, y)
            at += 1
