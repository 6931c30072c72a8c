"""Connected components of the pairs that count, beyond memory: union-find over an array of all items, or, where that
does not fit, the alternating large and small stars of Kiveris et al., "Connected Components in MapReduce and Beyond"
(2014), over hash partitions. Either leaves the pairs by cluster, in partitions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from curate.execute.batches import BatchFile
from curate.execute.grouping import Grouping, column, read_part, write_parts
from curate.execute.pairs import EDGES, RUN
from curate.execute.tasks import Task

if TYPE_CHECKING:
    from curate.execute.dedup import Stages

ITEM_BYTES = 4  # of union-find
STAR_BYTES = 96  # that a star step takes for an edge
LOW = np.uint64(0xFFFFFFFF)
UP = np.uint64(32)


def unite(grouping: Grouping, stages: Stages, edges: int, clusters: int) -> None:
    """Leave the pairs that count in `clusters` partitions, those of a connected component in one."""
    if ITEM_BYTES * int(grouping.starts[-1]) <= grouping.room:
        stages("unite", [(clusters,)])
        return
    parts = max(2, -(-edges // grouping.room_for(STAR_BYTES)))
    stages("spread", [(number, parts) for number in range(len(grouping.paths("edges", "judged")))])
    before, number = None, 0
    while True:
        found = stages("large", [(part, parts, number) for part in range(parts)])
        found = stages("small", [(part, parts, number) for part in range(parts)])
        now = (found["edges"], found["checksum"] % 2**64)
        if now == before:
            break
        before, number = now, number + 1
    stages("label", [(part, parts, number, clusters) for part in range(parts)])


def unite_task(grouping: Grouping, task: Task, clusters: int) -> dict[str, Any]:
    """Union-find over all items."""
    from curate.kernels.components import flatten, join, unpack

    parent = np.arange(grouping.starts[-1], dtype=np.uint32)
    for edges in _edges(grouping):
        join(parent, *unpack(column(edges, "pair")))
    flatten(parent)
    for number, edges in enumerate(_edges(grouping)):
        _by_cluster(grouping, number, edges, parent[unpack(column(edges, "pair"))[0]], clusters)
    return {}


def _edges(grouping: Grouping) -> Iterator[pa.RecordBatch]:
    for file in grouping.files("edges", "judged"):
        yield from file


def _by_cluster(grouping: Grouping, number: int, edges: Any, label: np.ndarray, clusters: int) -> None:
    table = edges if isinstance(edges, pa.Table) else pa.Table.from_batches([edges])
    write_parts(grouping.file("clusters", number), table.select(EDGES.names), _hash(label, clusters), clusters)


def _hash(items: np.ndarray, parts: int) -> np.ndarray:
    from curate.kernels.mixing import mix

    return (mix(items.astype(np.uint64), 0) % np.uint64(parts)).astype(np.int64)


def spread_task(grouping: Grouping, task: Task, number: int, parts: int) -> dict[str, Any]:
    """The edges of one file: by their smaller item for `label`, and from both of their items for the first star."""
    table = pa.Table.from_batches([*BatchFile(grouping.paths("edges", "judged")[number])], EDGES)
    pairs = column(table, "pair")
    write_parts(grouping.file("byitem", number), table, _hash(pairs >> UP, parts), parts)
    _write_both(grouping, _round("small", -1), number, pairs, parts)
    return {}


def _round(step: str, number: int) -> str:
    return f"{step}{number + 1}"


def _write_both(grouping: Grouping, stage: str, number: int, pairs: np.ndarray, parts: int) -> None:
    turned = np.concatenate([pairs, pairs << UP | pairs >> UP])
    write_parts(grouping.file(stage, number), pa.table({"pair": turned}), _hash(turned >> UP, parts), parts)


def large_task(grouping: Grouping, task: Task, part: int, parts: int, number: int) -> dict[str, Any]:
    """A large-star step on the items of one partition."""
    from curate.kernels.components import large_star

    pairs = column(read_part(grouping.files(_round("small", number - 1)), part, RUN), "pair")
    made = large_star(pairs)
    write_parts(grouping.file(_round("large", number), part), pa.table({"pair": made}), _hash(made >> UP, parts), parts)
    return {}


def small_task(grouping: Grouping, task: Task, part: int, parts: int, number: int) -> dict[str, Any]:
    """A small-star step; what it was given is summed up, so that the driver sees when nothing changes any more."""
    from curate.kernels.components import once, small_star
    from curate.kernels.mixing import mix

    pairs = once(column(read_part(grouping.files(_round("large", number)), part, RUN), "pair"))
    _write_both(grouping, _round("small", number), part, small_star(pairs), parts)
    return {"edges": len(pairs), "checksum": int(mix(pairs, 0).sum(dtype=np.uint64))}


def label_task(grouping: Grouping, task: Task, part: int, parts: int, number: int, clusters: int) -> dict[str, Any]:
    """The pairs whose smaller item is in one partition, by cluster."""
    from curate.kernels.components import once

    stars = once(column(read_part(grouping.files(_round("large", number)), part, RUN), "pair"))
    edges = read_part(grouping.files("byitem"), part, EDGES)
    items = column(edges, "pair") >> UP
    at = np.searchsorted(stars >> UP, items)
    found = stars[np.minimum(at, len(stars) - 1)] if len(stars) else items << UP
    label = np.where(found >> UP == items, found & LOW, items)
    _by_cluster(grouping, part, edges, label, clusters)
    return {}


STAGES: dict[str, Callable[..., dict[str, Any]]] = {
    "unite": unite_task,
    "spread": spread_task,
    "large": large_task,
    "small": small_task,
    "label": label_task,
}
