"""From keys to pairs that count: candidates by range of keys, comparison by range of pairs, measurement of the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from curate import cluster
from curate.execute.batches import BatchFile, BatchWriter, read_table, write_table
from curate.execute.gather import gathered
from curate.execute.grouping import LAST, Grouping, column, position
from curate.execute.tasks import Task

if TYPE_CHECKING:
    from curate.kernels.components import Look

KEY_BYTES = 24  # that looking for candidates takes for a key
PIECE = 1 << 20  # keys that are looked through at a time
EDGES = pa.schema([("pair", pa.uint64()), ("similarity", pa.float64())])
RUN = pa.schema([("pair", pa.uint64())])


def partitions(grouping: Grouping) -> int:
    """How many ranges the keys are cut into."""
    keys = sum(BatchFile(part.members).count for part in grouping.parts)
    return max(1, -(-keys // grouping.room_for(KEY_BYTES)))


def pairs_task(grouping: Grouping, task: Task, part: int, parts: int) -> dict[str, Any]:
    """Candidate pairs among the keys of one range, of all shards."""
    from curate.kernels.components import crowd_pairs

    heavy = np.zeros(0, np.uint64)
    held = _held(grouping, part, parts, heavy, int(1.1 * grouping.room_for(KEY_BYTES)))
    if held is None:
        heavy = _heavy(grouping, part, parts)
        held = _held(grouping, part, parts, heavy)
    most = grouping.room_for(32)
    few = candidates(held or [], grouping.look, most)
    many = (run for key in heavy for run in crowd_pairs(int(key), _sharing(grouping, key), grouping.look, most))
    count = 0
    with BatchWriter(grouping.file("pairs", part), RUN) as writer:
        for run in _merged(chain(few, many), most):
            writer.write(pa.table({"pair": run}))
            count += len(run)
    return {"found": count}


def _held(
    grouping: Grouping, part: int, parts: int, heavy: np.ndarray, most: int | None = None
) -> list[tuple[np.ndarray, np.ndarray]] | None:
    """The keys of one range but the heavy ones, with their items, batch by batch; None if they are too many."""
    held, count = [], 0
    for key, item in _range(grouping, part, parts):
        light = ~np.isin(key, heavy) if len(heavy) else slice(None)
        count += len(key)
        if most is not None and count > most:
            return None
        held.append((key[light].copy(), item[light]))
    return held


def candidates(parts: list[tuple[np.ndarray, np.ndarray]], look: Look, most: int) -> Iterator[np.ndarray]:
    """Runs of candidate pairs among keys and their items, part by part sorted by key."""
    from curate.kernels.components import candidate_pairs

    return (run for keys, items in _pieces(parts) for run in candidate_pairs(keys, items, look, most))


def _pieces(parts: list[tuple[np.ndarray, np.ndarray]]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Keys and items, each part sorted by key, as ranges of the keys of all parts that fit into a processor's cache."""
    parts = [part for part in parts if len(part[0])]
    if not parts:
        return
    least, most = min(int(keys[0]) for keys, _ in parts), max(int(keys[-1]) for keys, _ in parts)
    pieces = -(-sum(len(keys) for keys, _ in parts) // PIECE)
    bounds = np.array([least + (most - least) * at // pieces for at in range(1, pieces)], np.uint64)
    cuts = [[0, *np.searchsorted(keys, bounds).tolist(), len(keys)] for keys, _ in parts]
    for at in range(pieces):
        slices = [(part, slice(cut[at], cut[at + 1])) for part, cut in zip(parts, cuts, strict=True)]
        yield (
            np.concatenate([keys[cut] for (keys, _), cut in slices]),
            np.concatenate([it[cut] for (_, it), cut in slices]),
        )


def _merged(runs: Iterator[np.ndarray], most: int) -> Iterator[np.ndarray]:
    """Runs of sorted pairs, each once, as larger ones of about `most`."""
    from curate.kernels.components import once

    held: list[np.ndarray] = []
    for run in runs:
        held.append(run)
        if sum(map(len, held)) >= most:
            yield once(_joined(held))
    if held:
        yield once(_joined(held))


def _range(grouping: Grouping, part: int, parts: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Sorted keys of one range and their items, batch by batch."""
    low, high = (LAST * at // parts for at in (part, part + 1))
    for number, shard in enumerate(grouping.parts):
        for members in BatchFile(shard.members):
            found = members["key"].to_numpy()
            cut = slice(position(found, low), position(found, high))
            yield found[cut], members["row"].to_numpy()[cut] + np.uint32(grouping.starts[number])


def _heavy(grouping: Grouping, part: int, parts: int) -> np.ndarray:
    """Keys that so many items share that no cut of the keys makes them fit: those of a page with many copies.

    What is missed costs memory, nothing else.
    """
    from curate.kernels.components import CROWD

    room = grouping.room_for(KEY_BYTES)
    named, counted = np.zeros(0, np.uint64), np.zeros(0, np.int64)
    for key, _ in _range(grouping, part, parts):
        names, counts = np.unique(key, return_counts=True)
        often = counts * 16 >= len(key)  # a heavy key is in many batches, and often in some of them
        named, where = np.unique(np.concatenate([named, names[often]]), return_inverse=True)
        counted = np.bincount(where, np.concatenate([counted, counts[often]]), len(named)).astype(np.int64)
    return named[counted > max(CROWD, room // 16)]


def _sharing(grouping: Grouping, key: np.uint64) -> Callable[[], Iterator[np.ndarray]]:
    """The items that have a key, batch by batch."""

    def parts() -> Iterator[np.ndarray]:
        for number, shard in enumerate(grouping.parts):
            for members in BatchFile(shard.members):
                low, high = (int(np.searchsorted(members["key"].to_numpy(), key, side)) for side in ("left", "right"))
                yield (members["row"].to_numpy()[low:high] + grouping.starts[number]).astype(np.uint32)

    return parts


def _joined(pieces: list[np.ndarray]) -> np.ndarray:
    """All pieces in one array; they are let go of."""
    whole = np.concatenate(pieces)
    pieces.clear()
    return whole


def verify_task(grouping: Grouping, task: Task, number: int) -> dict[str, Any]:
    """Compare the pairs of one slice by their sketches."""
    pairs = column(read_table(grouping.file("merged", number)), "pair")
    similarity = cluster.compare(pairs, gathered(grouping, number), grouping.operator.similarity)
    counts, doubts = cluster.verdicts(grouping.operator, similarity)
    write_edges(grouping, "edges", number, pairs[counts], similarity[counts])
    write_edges(grouping, "doubts", number, pairs[doubts], similarity[doubts])
    return {"edges": int(counts.sum()), "doubts": int(doubts.sum())}


def write_edges(grouping: Grouping, stage: str, number: int, pairs: np.ndarray, similarity: np.ndarray) -> None:
    write_table(grouping.file(stage, number), pa.table({"pair": pairs, "similarity": similarity}, schema=EDGES))


def judge_task(grouping: Grouping, task: Task, number: int) -> dict[str, Any]:
    """Measure the pairs in doubt of one range on their evidence, as much of it at a time as there is room for.

    Where an earlier run has kept no evidence of a row, the estimate decides.
    """
    from curate.execute.evidence import Evidences
    from curate.kernels.components import unpack

    table = next(iter(BatchFile(grouping.file("doubts", number))), None)
    pairs, similarity = (column(table, name) if table else np.zeros(0) for name in ("pair", "similarity"))
    evidence = Evidences(grouping)
    a, b = unpack(pairs.astype(np.uint64))
    sizes = evidence.sizes(a) + evidence.sizes(b)
    known = np.flatnonzero(~np.isnan(sizes))
    at = 0
    load = np.cumsum(sizes[known])
    while at < len(known):
        before = load[at - 1] if at else 0
        stop = max(at + 1, int(np.searchsorted(load, before + max(grouping.room // 4, 1 << 20), "right")))
        chosen = known[at:stop]
        similarity[chosen] = cluster.compare(pairs[chosen], evidence, grouping.operator.measure)
        at = stop
    counts = similarity >= grouping.operator.threshold
    write_edges(grouping, "judged", number, pairs[counts], similarity[counts])
    return {"measured": len(known), "estimated": len(pairs) - len(known), "edges": int(counts.sum())}
