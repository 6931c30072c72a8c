"""What pairs in doubt are measured on: made for their rows alone, shard by shard, and stored like a step's columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.execute.batches import BatchFile
from curate.execute.grouping import Grouping
from curate.execute.overlay import ROWS
from curate.execute.parts import evidence_step
from curate.execute.tasks import Task
from curate.execute.walk import Walk


def evidence_task(grouping: Grouping, task: Task, number: int) -> dict[str, Any]:
    """The evidence of one shard's rows that are in doubt; what an earlier run has stored is not made again."""
    wanted = _in_doubt(grouping, number)
    if not len(wanted):
        return {}
    step = evidence_step(grouping.step)
    walk = Walk(grouping.plan, task.store, task.config, number - grouping.old, grouping.step.index)
    for batch in walk:
        low, high = np.searchsorted(wanted, [batch.start, batch.start + batch.size])
        rows = np.zeros(batch.size, bool)
        rows[wanted[low:high] - batch.start] = True
        batch.values(step, rows)
    return {"rows": len(wanted)}


def _in_doubt(grouping: Grouping, number: int) -> np.ndarray:
    """Ascending rows of a shard."""
    from curate.kernels.components import once, unpack

    first, stop = grouping.starts[number], grouping.starts[number + 1]
    found = [np.zeros(0, np.int64)]
    for file in grouping.files("doubts"):
        for table in file:
            ends = np.concatenate(unpack(table["pair"].to_numpy())).astype(np.int64)
            found.append(once(ends[(ends >= first) & (ends < stop)]))
    return once(np.concatenate(found)) - first


class Evidences:
    """The stored evidence of rows."""

    def __init__(self, grouping: Grouping):
        self.grouping = grouping
        self.names = [*grouping.operator.evidences()]

    def __call__(self, items: np.ndarray) -> pa.Table:
        """A row for each of some ascending items."""
        return self.grouping.rows(items, lambda part: part.evidence, self.names)

    def sizes(self, items: np.ndarray) -> np.ndarray:
        """Bytes of the evidence of each item; NaN where there is none."""
        different, back = np.unique(items, return_inverse=True)
        found = [np.zeros(0), *(_sizes(part.evidence, rows) for part, rows in self.grouping.by_part(different))]
        return np.concatenate(found)[back]


def _sizes(path: Path, rows: np.ndarray) -> np.ndarray:
    """Bytes of the evidence in some rows of a shard."""
    start, found = 0, np.full(len(rows), np.nan)
    for batch in BatchFile(path) if path.exists() else ():
        low, high = np.searchsorted(rows, [start, start + len(batch)])
        if high > low:
            at = rows[low:high] - start
            made = batch[ROWS].to_numpy(zero_copy_only=False)[at]
            columns = [_bytes(batch[name])[at] for name in batch.schema.names if not name.startswith("__")]
            found[low:high] = np.where(made, np.sum(columns, axis=0), np.nan)
        start += len(batch)
    return found


def _bytes(array: pa.Array) -> np.ndarray:
    """Bytes of every value."""
    if pa.types.is_list(array.type):
        return 8.0 * np.diff(array.offsets.to_numpy())
    if pa.types.is_string(array.type) or pa.types.is_binary(array.type):
        return pc.binary_length(array).fill_null(0).to_numpy().astype(float)
    return np.full(len(array), 8.0)
