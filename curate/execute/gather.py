"""Candidate pairs in slices, and the sketches of each slice brought together.

The rows of a slice of the pairs lie anywhere in the corpus. Looked up where they are, they would have each slice read
most of the sketches, which are larger than memory. So these are read once, a stretch of the corpus at a time, and each
stretch leaves for every slice the rows that it needs. The system need not keep in memory what was read, nor, if it is
much, what was written: what comes next can have the place.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curate.cluster import Fetch
from curate.execute.batches import BatchFile, BatchWriter, read_table, write_table
from curate.execute.grouping import LAST, Grouping, position, read_part
from curate.execute.memory import let_go, machine
from curate.execute.tasks import Task

SAMPLES = 64  # that a slice is cut by
BEHIND = 4  # files of which the system is told that they can leave memory: first it writes them, which takes a while


def slices(grouping: Grouping) -> list[tuple[int, int, int]]:
    """Ranges of pairs (number, from, below), with about as many as can be compared at a time."""
    step = max(1, grouping.compared // SAMPLES)
    samples = [run["pair"].to_numpy()[step - 1 :: step].copy() for file in grouping.files("pairs") for run in file]
    ordered = np.sort(np.concatenate([np.zeros(0, np.uint64), *samples]))
    cuts = [0, *np.unique(ordered[SAMPLES - 1 :: SAMPLES]).tolist(), LAST]
    return [(number, *cuts[number : number + 2]) for number in range(len(cuts) - 1)]


def stretches(grouping: Grouping) -> list[tuple[int, int, int]]:
    """Shards in a row (number, first, one past the last) with about as many rows as can be held at a time."""
    rooms = grouping.starts[:-1] // grouping.compared
    firsts = np.flatnonzero(np.diff(rooms, prepend=-1))
    return [(n, int(a), int(b)) for n, (a, b) in enumerate(zip(firsts, [*firsts[1:], len(rooms)], strict=True))]


def merge_task(grouping: Grouping, task: Task, number: int, low: int, high: int) -> dict[str, Any]:
    """The candidate pairs of one slice, each once; and the rows in them."""
    from curate.kernels.components import once, unpack

    found = [run["pair"].to_numpy() for file in grouping.files("pairs") for run in file]
    cuts = [run[position(run, low) : position(run, high)] for run in found]
    pairs = once(np.concatenate([np.zeros(0, np.uint64), *cuts]))
    write_table(grouping.file("merged", number), pa.table({"pair": pairs}))
    write_table(grouping.file("items", number), pa.table({"item": once(np.concatenate(unpack(pairs)))}))
    return {"compared": len(pairs)}


def gather_task(grouping: Grouping, task: Task, number: int, first: int, stop: int) -> dict[str, Any]:
    """Of some shards the sketches of the rows in pairs: a batch for each slice."""
    from curate.kernels.components import once

    ends = grouping.starts[[first, stop]]
    items = [read_table(path)["item"].to_numpy() for path in grouping.paths("items")]  # mapped: what is cut is read
    items = [some[slice(*np.searchsorted(some, ends))] for some in items]
    whole = once(np.concatenate(items))
    sketches = grouping.sketches(whole)
    for part in grouping.parts[first:stop]:
        let_go(part.sketches)
    with BatchWriter(grouping.file("gathered", number), sketches.schema) as writer:
        for some in items:
            writer.batch(sketches.take(pa.array(np.searchsorted(whole, some))))
    if (number + 1) * grouping.file("gathered", number).stat().st_size > machine() // 16:  # of all stretches so far
        for path in grouping.paths("gathered")[-BEHIND:]:
            let_go(path)
    return {}


def gathered(grouping: Grouping, number: int) -> Fetch:
    """The sketches of the rows in a slice's pairs: from where they were gathered, or from where they are."""
    paths = grouping.paths("gathered")
    return (lambda items: _slice(paths, number)) if paths else grouping.sketches


def _slice(paths: list[Path], number: int) -> pa.Table:
    """What every stretch has left for a slice. Nobody else reads it."""
    files = [BatchFile(path) for path in paths]
    found = read_part(files, number, files[0].schema)
    places = [file.place(number) for file in files]
    files.clear()  # what is mapped would stay
    for path, (first, length) in zip(paths, places, strict=True):
        let_go(path, first, length)
    return found
