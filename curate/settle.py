"""Who stays of the documents of a cluster. Pairs are looked at part by part: memory is that of rows, however many pairs
there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

PART = 100_000  # items that are gathered before they are sorted in
TIES = 10_000_000  # ties between rows of a cluster that are sorted at a time
RANGES = 4096  # that rows are cut into, to choose so many ties
UP = np.uint64(32)

Ranks = Callable[[np.ndarray], np.ndarray]  # ascending items -> their ranks
Edges = Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]]  # pairs and their similarity, part by part, every time
Ends = Callable[
    [], Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]
]  # the same by place: earlier, later, similarity


class Decisions(NamedTuple):
    """Rows in clusters, ascending."""

    items: np.ndarray  # uint32
    twins: np.ndarray  # uint32, the item that stays: itself where it does
    sizes: np.ndarray  # int64, of the cluster
    similarity: np.ndarray  # float64 to the twin, NaN where the two were never compared

    @property
    def copies(self) -> np.ndarray:
        return self.items != self.twins


def settle(link: str, edges: Edges, rank: Ranks, most: int = TIES) -> tuple[Decisions, dict[str, int]]:
    """Who stays, given the pairs that count of some whole clusters; and how many copies each way of linking makes.

    components       of each connected component the best by rank (then by address) stays
    representative   going through the rows best first, a row goes only when it pairs with one that stays; rows with
                     one and the same sketch count as one

    Memory is that of the rows (some 50 bytes each) and of `most` pairs: a cluster may have many more.
    """
    items, ends = _by_place(edges, rank)
    ends, count = _held(ends, most // 2), len(items)
    heads, group = np.arange(count, dtype=np.uint32), np.arange(count, dtype=np.uint32)
    for earlier, later, similarity in ends():
        same = similarity == 1.0
        _join(heads, earlier, later)
        _join(group, earlier[same], later[same])
    links = {"components": _flat(heads), "representative": _representatives(ends, _flat(group), most)}
    copies = {name: int(np.count_nonzero(twin != np.arange(count, dtype=np.uint32))) for name, twin in links.items()}
    twins = links[link]
    del heads, group, links
    found = np.full(count, np.nan)
    for earlier, later, similarity in ends():
        is_edge = twins[later] == earlier
        found[later[is_edge]] = similarity[is_edge]
    decided = _by_item(items, twins, found)
    facts = {"clusters": len(decided.items) - copies[link], "copies": copies[link]}
    return decided, facts | {f"copies_by_{name}": number for name, number in copies.items()}


def _by_place(edges: Edges, rank: Ranks) -> tuple[np.ndarray, Ends]:
    """The rows of some pairs, best first; and the pairs by the places of their rows in that order."""
    from curate.kernels.components import unpack

    items = _items(edges)
    ranked = rank(items)
    order = np.arange(len(items), dtype=np.uint32)
    order = np.lexsort((items, ranked)).astype(np.uint32) if ranked.any() else order
    del ranked
    place = np.empty(len(items), np.uint32)
    place[order] = np.arange(len(items), dtype=np.uint32)

    def ends() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        for pairs, similarity in edges():
            a, b = (place[_positions(items, side)] for side in unpack(pairs))
            yield np.minimum(a, b), np.maximum(a, b), similarity

    return items[order], ends


def _held(ends: Ends, most: int) -> Ends:
    """The same, found once and not every time if they are few."""
    held, count = [], 0
    for part in ends():
        held.append(part)
        count += len(part[0])
        if count > most:
            return ends
    return lambda: iter(held)


def _positions(items: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where each is among items in order. To look them up in order is several times faster than as they come."""
    from curate.kernels.sorting import in_order

    ordered, order = in_order(wanted)
    found = np.empty(len(wanted), np.int64)
    found[order] = np.searchsorted(items, ordered)
    return found


def _items(edges: Edges) -> np.ndarray:
    """The items of some pairs, ascending, each once."""
    from curate.kernels.components import once, unpack

    known, new = np.zeros(0, np.uint32), [np.zeros(0, np.uint32)]
    for pairs, _ in edges():
        new.append(once(np.concatenate(unpack(pairs))))
        if sum(map(len, new)) > max(PART, len(known)):  # seldom, so that many parts cost no more than few
            known, new = once(np.concatenate([known, *new])), []
    return once(np.concatenate([known, *new]))


def _join(parent: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
    from curate.kernels.components import join

    join(parent, a, b)


def _flat(parent: np.ndarray) -> np.ndarray:
    from curate.kernels.components import flatten

    flatten(parent)
    return parent


def _representatives(ends: Ends, group: np.ndarray, most: int) -> np.ndarray:
    """For each place the one that it is a copy of, or itself; about `most` ties between groups at a time."""
    from curate.kernels.components import follow

    width = max(1, -(-len(group) // RANGES))
    sizes = np.zeros(RANGES, np.int64)
    for ties in _ties(ends, group):
        sizes += np.bincount((ties >> UP).astype(np.int64) // width, minlength=RANGES)
    head, at = np.arange(len(group), dtype=np.uint32), 0
    while sizes[at:].any():
        stop = at + max(1, int(np.searchsorted(np.cumsum(sizes[at:]), most, "right")))
        low, high = np.uint64(at * width), np.uint64(stop * width)
        chosen = [ties[(ties >> UP >= low) & (ties >> UP < high)] for ties in _ties(ends, group)]
        follow(head, np.concatenate(chosen))
        at = stop
    return head[group]


def _ties(ends: Ends, group: np.ndarray) -> Iterator[np.ndarray]:
    """Pairs of different groups, the later one above; each once in every part."""
    from curate.kernels.components import once

    for earlier, later, _ in ends():
        a, b = group[earlier], group[later]
        a, b = a[a != b], b[a != b]
        yield once(np.maximum(a, b).astype(np.uint64) << UP | np.minimum(a, b).astype(np.uint64))


def _by_item(items: np.ndarray, twins: np.ndarray, found: np.ndarray) -> Decisions:
    """What was found by place, for the items of clusters in ascending order."""
    from curate.kernels.sorting import in_order

    sizes = np.bincount(twins, minlength=len(items)).astype(np.uint32)[twins]
    chosen = np.flatnonzero(sizes > 1).astype(np.uint32)
    chosen = chosen[in_order(items[chosen])[1]]
    return Decisions(items[chosen], items[twins[chosen]], sizes[chosen].astype(np.int64), found[chosen])
