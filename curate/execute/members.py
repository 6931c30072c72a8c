"""What a shard hands to a deduplicator: keys of its rows; and the digest of every row's sketch, a tag and a rank."""

from __future__ import annotations

from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate import cluster
from curate.arrays import one, scatter
from curate.execute.batch import Batch, blamed
from curate.execute.batches import BatchWriter
from curate.execute.overlay import BYTES
from curate.execute.parts import evidence_step
from curate.operator import Deduplicator
from curate.plan import PlannedStep
from curate.store import Store

KEYS = pa.schema([("key", pa.uint64()), ("row", pa.uint32())])
DOCUMENTS = pa.schema([("digest", pa.uint64()), ("tag", pa.uint64()), ("rank", pa.uint64())])


class MemberWriter:
    """Writes the two files, a batch of each for every batch of rows."""

    def __init__(self, store: Store, pass_key: str, shard: str):
        self._members = BatchWriter(store.members(pass_key, shard), KEYS)
        self._documents = BatchWriter(store.documents(pass_key, shard), DOCUMENTS)

    def write(self, made: tuple[pa.Table, pa.Table]) -> None:
        self._members.write(made[0])
        self._documents.write(made[1])

    def __enter__(self) -> MemberWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._documents.close(kind is not None)
        self._members.close(kind is not None)


def members(batch: Batch, end: PlannedStep) -> tuple[pa.Table, pa.Table]:
    """Keys with the rows that have them, in the order of the keys; and what is known of every row."""
    from curate.kernels.hashing import xxh3_128
    from curate.kernels.sorting import in_order

    operator, rows = end.operator, batch.scope(end)
    assert isinstance(operator, Deduplicator)
    values = batch.values(end, rows)
    if operator.remember == "evidence" and operator.evidences():
        batch.values(evidence_step(end), rows)
    sketch = pa.table({own: values(own) for own in operator.sketches()})
    present = rows & pc.is_valid(one(sketch.column(0))).to_numpy(zero_copy_only=False)
    sketch, positions = (sketch if present.all() else sketch.filter(pa.array(present))), np.flatnonzero(present)
    sketch = sketch.combine_chunks()
    with batch.walk.timed(f"step {end.step.name}"), blamed(end, f"shard {batch.walk.shard.name}"):
        at, keys = operator.keys(sketch) if len(sketch) else (positions, np.zeros(0, np.uint64))
        keys, order = in_order(keys)  # so that a partition of the keys is a slice of every batch
        digest = scatter(pa.array(cluster.digests(sketch)), present).fill_null(0)
        rank = _ranks(batch, end, operator)
    tag, _ = xxh3_128(one(batch.index["id"]))
    row = pa.array((positions[at[order]] + batch.start).astype(np.uint32))
    keyed = pa.table({"key": pa.array(keys), "row": row}, schema=KEYS)
    return keyed, pa.table({"digest": digest, "tag": pa.array(tag), "rank": pa.array(rank)}, schema=DOCUMENTS)


def _ranks(batch: Batch, end: PlannedStep, operator: Deduplicator) -> np.ndarray:
    if operator.keep in ("first", "all"):
        return np.zeros(batch.size, np.uint64)
    if operator.keep != "longest":
        reads = {own: batch.column(end.inputs[own]) for own in cluster.keep_reads(operator.keep)}
        return cluster.ranks(operator.keep, reads)
    name = end.inputs[operator.arguments()[0]]
    if batch.is_as_read(name):
        return cluster.ranks("longest", {}, one(batch.index[BYTES]).to_numpy())
    return cluster.ranks("longest", {}, pc.binary_length(batch.column(name)).fill_null(0).to_numpy())
