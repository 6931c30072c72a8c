"""What a run has kept: sketches of corpus-wide steps by the ids of documents, and their texts as they were read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, suppress
from itertools import groupby

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.config import Config
from curate.errors import DataError, nearest
from curate.execute.batches import BatchFile
from curate.execute.overlay import ROWS
from curate.execute.tasks import load_plan
from curate.execute.walk import Walk, bad_positions
from curate.io.source import MB, Shard, read
from curate.operator import Deduplicator, Selector
from curate.plan import Plan, PlannedStep
from curate.store import Store


def sketches(store: Store, step: str, ids: Collection[str] | None = None) -> pa.Table:
    """`id` and the sketch of a step, for all documents it saw in corpus order, or for those with some ids.

    Raises DataError when the work folder is gone, and when no such step has a sketch.
    """
    plan = _plan(store)
    found = {each.step.name: each for each in plan.steps if isinstance(each.operator, Deduplicator | Selector)}
    if step not in found:
        raise DataError(f"{store.root}: no step {step!r} has a sketch{nearest(step, found)}")
    schema = pa.schema([("id", pa.string()), *found[step].operator.sketches().items()])  # type: ignore[attr-defined]
    wanted = None if ids is None else pa.array(sorted(ids), pa.string())
    pieces = [piece for shard in plan.shards for piece in _of_shard(store, shard.key, found[step], schema, wanted)]
    return pa.concat_tables([schema.empty_table(), *pieces])


def _of_shard(
    store: Store, shard: str, step: PlannedStep, schema: pa.Schema, wanted: pa.Array | None
) -> list[pa.Table]:
    values, index = store.values(step.value_key, shard), store.index(shard)
    if not values.exists() or not index.exists():
        return []
    pieces = []
    for made, names in zip(BatchFile(values), BatchFile(index), strict=True):
        table = pa.Table.from_arrays([names["id"], *(made[name] for name in schema.names[1:])], schema=schema)
        rows = pc.and_(made[ROWS], table[1].is_valid())
        pieces.append(table.filter(rows if wanted is None else pc.and_(rows, pc.is_in(table["id"], wanted))))
    return pieces


def texts(store: Store, wanted: Mapping[int, str], key: str | None = None, most: int = 4_000) -> dict[int, str]:
    """Texts as they were read, by row address; `wanted`: row address -> id.

    Only what is cheap to reach: rows among the first `most` of a shard, from sources that are still what they were.
    `key` is that of the run when its manifest is not written yet.
    """
    try:
        plan = _plan(store, key)
    except DataError:
        return {}
    found: dict[int, str] = {}
    near = sorted(row for row in wanted if row >= 0 and row & 0xFFFFFFFF < most)
    for number, rows in groupby(near, key=lambda row: row >> 32):
        with suppress(DataError, OSError):
            for row, batch in _as_read(plan, store, number, [*rows]):
                if batch["id"][0].as_py() == wanted[row] and batch["text"][0].is_valid:
                    found[row] = batch["text"][0].as_py()
    return found


def _as_read(plan: Plan, store: Store, number: int, rows: list[int]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Rows of a shard by their addresses, each as a batch."""
    shard = plan.shards[number]
    if shard.format == "files":
        yield from _files(plan, shard, bad_positions(store, shard.key), rows)
        return
    walk = Walk(plan, store, Config(batch_size="1MB"), number, 0)
    with closing(walk._source):
        yield from ((row, walk.source(row & 0xFFFFFFFF, 1)) for row in rows)


def _files(plan: Plan, shard: Shard, bad: np.ndarray, rows: list[int]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The same where each row is a file: no other file is opened."""
    source, schema = plan.recipe.sources[shard.source], plan.source_schemas[shard.source]
    at = np.delete(np.arange(len(shard.paths)), bad)[np.array(rows) & 0xFFFFFFFF]
    wanted = {name: tuple(np.array(getattr(shard, name))[at].tolist()) for name in ("paths", "stamps")}
    batches = read(
        msgspec.structs.replace(shard, **wanted), source, schema, MB, lambda record: None, skip=np.zeros(0, np.int64)
    )
    yield from zip(rows, (batch.slice(row, 1) for batch in batches for row in range(len(batch))), strict=False)


def _plan(store: Store, key: str | None = None) -> Plan:
    """The plan of the run that the manifest is of, or of the run with a key."""
    key = key or (store.manifest() or {}).get("key")
    for path in store.files(".work", "plans", f"{key}-*.pickle"):
        return load_plan(str(path))
    raise DataError(f"{store.root} has no work folder of this run any more (.work): run the recipe again")
