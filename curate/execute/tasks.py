"""What a worker does: one shard through one pass, one partition of a corpus-wide step, one group of shards to files.

A task is small and names files; files are the only channel between tasks. A finished task leaves a receipt.
"""

from __future__ import annotations

import functools
import hashlib
import os
import pickle
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate import shared
from curate.arrays import one
from curate.config import Config
from curate.errors import CurateError, DataError, OperatorError, PlanError, RecipeError
from curate.evaluate import complete
from curate.execute import memory
from curate.execute.batch import Batch, blamed
from curate.execute.batches import BatchWriter, DamagedWork
from curate.execute.damage import healing
from curate.execute.members import MemberWriter, members
from curate.execute.overlay import BYTES, WORDS
from curate.execute.walk import Walk, read_model
from curate.operator import SOURCE, Deduplicator, Expander, Trainer
from curate.plan import Pass, Plan, PlannedStep, pieces_of
from curate.store import Store, whole

AT_ONCE = 100_000  # rows that are counted together
WORKER = "CURATE_WORKER"  # set in the environment of processes that do nothing but tasks


class Task(msgspec.Struct, frozen=True):
    """One piece of work: `kind` says which function below does it, `at` and `shards` on what."""

    kind: str
    plan: str
    store: Store
    config: Config
    at: int
    shards: tuple[int, ...] = ()


def run_task(task: Task) -> dict[str, Any]:
    """Do one task and return what is worth knowing about it (small plain values)."""
    memory.treat(in_batches=task.kind in ("pass", "export"))
    try:
        return _work(task)
    except DamagedWork as error:
        raise healing(task.store, error) from error
    except CurateError as error:
        # An error crosses to the driver by its class and its message; a subclass may need more to be made again.
        kinds = (RecipeError, PlanError, DataError, OperatorError, CurateError)
        raise next(kind for kind in kinds if isinstance(error, kind))(str(error)) from error
    finally:
        shared.forget(task.store.root)


def _work(task: Task) -> dict[str, Any]:
    from curate.execute import dedup, export, select, train

    plan = load_plan(task.plan)
    if task.kind == "pass":
        return shard_pass(task, plan, plan.passes[task.at])
    if task.kind.startswith(dedup.KIND):
        return dedup.dedup_task(task, plan)
    if task.kind.startswith(select.KIND):
        return select.select_task(task, plan)
    if task.kind.startswith("fit"):
        return train.fit_task(task, plan)
    if task.kind == "export":
        return export.export_task(task, plan)
    raise ValueError(f"no task is called {task.kind!r}")


@functools.lru_cache(maxsize=2)
def load_plan(path: str) -> Plan:
    from curate.execute.warm import postpone_pandas

    plan: Plan = pickle.loads(shared.read(path))
    if os.environ.get(WORKER):
        postpone_pandas(step.operator for step in plan.steps)
    return plan


def save_plan(plan: Plan, store: Store, key: str) -> str:
    """Put the plan of a run with a key where every worker finds it; operators of notebooks and `uses:` files travel by
    value."""
    from curate import by_value

    content = by_value.dumps(plan)
    # Named by content too: workers keep what they have loaded.
    name = f"{key}-{hashlib.sha256(content).hexdigest()[:20]}.pickle"
    with whole(store.work("plans", name)) as temporary:
        temporary.write_bytes(content)
    return f"{store.root}/.work/plans/{name}"


def shard_pass(task: Task, plan: Plan, this: Pass) -> dict[str, Any]:
    """Lead a shard through the pass's steps; hand the corpus-wide step that ends it what it needs."""
    began = time.perf_counter()
    number = task.shards[0]
    shard = plan.shards[number]
    end = plan.steps[this.end] if this.end is not None else None
    walk = Walk(plan, task.store, task.config, number, len(plan.steps) if end is None else end.index)
    tally, sketched = Tally(plan), 0
    with handover(task.store, plan, this, number) as handed:
        for batch in walk:
            if handed is None or end is None:
                tally.add(batch)
            else:
                make = MAKERS.get(end.operator.kind)
                made = make(batch, end) if make else member_rows(batch, end, this.round)
                sketched += made.num_rows if isinstance(end.operator, Trainer) else 0
                with walk.timed("write"):
                    handed.write(made)
            for at in this.ahead:
                batch.values(plan.steps[at], batch.scope(plan.steps[at]))
    facts = {"rows": walk.rows, "bad": bad_count(task.store, shard.key)}
    facts |= tally.facts() if end is None else {"sketched": sketched}
    with walk.timed("write"):
        task.store.sign(this.key, shard.key, facts)
    return {**facts, "clock": {**walk.clock, "total": time.perf_counter() - began}, "bytes": tally.bytes or shard.bytes}


def handover(store: Store, plan: Plan, this: Pass, number: int) -> AbstractContextManager[Any]:
    """The file in which a shard hands the step that ends the pass what it needs, a batch for each batch of rows."""
    if this.end is None:
        return nullcontext()
    end, shard = plan.steps[this.end], plan.shards[number]
    if isinstance(end.operator, Expander):
        schema = [*plan.source_schemas[shard.source], pa.field("parent_id", pa.string())]
        return BatchWriter(store.pieces(pieces_of(shard, end, this).key), pa.schema(schema))
    if isinstance(end.operator, Deduplicator):
        return MemberWriter(store, this.key, shard.key)
    kind = sketch_schema(end) if isinstance(end.operator, Trainer) else pa.schema([("row", pa.uint32())])
    return BatchWriter(store.members(this.key, shard.key), kind)


def member_rows(batch: Batch, end: PlannedStep, round: int) -> pa.Table:
    """What a batch gives to a corpus-wide step: a selector's rows, a trainer's sketch."""
    rows = batch.open if end.fitted_on else batch.scope(end)
    operator = end.operator
    part, where = f"step {end.step.name}", f"shard {batch.walk.shard.name}"
    if isinstance(operator, Trainer):
        given = batch.inputs(end, rows)
        if end.fitted_on and SOURCE in given:
            given = {**given, SOURCE: pa.repeat(batch.walk.shard.source, int(rows.sum()))}
        inputs = complete(given)
        if operator.rounds > 1:
            inputs["model"] = read_model(batch.walk.store, end, round - 1) if round else None
        with batch.walk.timed(part), blamed(end, where):
            sketch = by_key(operator, operator.sketch(**inputs))  # type: ignore[attr-defined]
        source = pa.repeat(batch.walk.shard.source, len(sketch))
        return sketch.append_column(SOURCE, source) if end.fitted_on else sketch
    batch.values(end, rows)
    return pa.table({"row": pa.array((np.flatnonzero(rows) + batch.start).astype(np.uint32))})


def sketch_schema(step: PlannedStep) -> pa.Schema:
    """What a trainer is fitted on: with the source of each row, if it is not that of the rows it is applied to."""
    schema: pa.Schema = step.operator.sketch_schema()  # type: ignore[attr-defined]
    return schema.append(pa.field(SOURCE, pa.string())) if step.fitted_on else schema


def by_key(operator: Trainer, sketch: pa.Table) -> pa.Table:
    """A trainer's sketch in the order of its key, so that a range of keys is a slice of every batch."""
    if not operator.key:
        return sketch
    return sketch.take(pa.array(np.argsort(sketch[operator.key].to_numpy(), kind="stable")))


def pieces(batch: Batch, end: PlannedStep) -> pa.Table:
    """The new rows an expander makes of a batch, with the columns of the source they inherit."""
    rows = batch.scope(end)
    with blamed(end, f"shard {batch.walk.shard.name}"):
        parents, made = end.operator.expand(**batch.inputs(end, rows))  # type: ignore[attr-defined]
    at = pa.array(np.flatnonzero(rows)[parents])
    numbers = np.arange(len(parents)) - np.searchsorted(parents, parents)
    parent_ids = batch.index["id"].take(at)
    ids = pc.binary_join_element_wise(parent_ids, pa.array(numbers).cast(pa.string()), "#")
    edited = {end.inputs[own]: array for own, array in made.items()}
    schema = batch.walk.plan.source_schemas[batch.walk.shard.source]
    kept = {name: batch.column(name).take(at) for name in schema.names if name not in ("id", *edited)}
    table = pa.table({"id": ids, **edited, **kept, "parent_id": parent_ids})
    return table.select([*schema.names, "parent_id"])


MAKERS: dict[str, Callable[[Batch, PlannedStep], Any]] = {"Expander": pieces, "Deduplicator": members}


def bad_count(store: Store, shard: str) -> int:
    with store.bad(shard).open("rb") as lines:
        return sum(1 for _ in lines)


def address(shard: int, rows: np.ndarray) -> np.ndarray:
    """Row address: shard << 32 | row.

    >>> address(1, np.array([5], np.uint32)).tolist()
    [4294967301]
    """
    return (np.int64(shard) << np.int64(32)) | rows.astype(np.int64)


class Tally:
    """Counts of a shard: documents, bytes and words by source, language and fate."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.names = outcomes(plan)
        self.has_language = (
            plan.schema.field("language").type == pa.string() if "language" in plan.schema.names else False
        )
        self.bytes = self.kept_bytes = 0
        self.cells: Counter[tuple[str, str | None, str | None, str]] = Counter()
        self.failed: Counter[str] = Counter()
        self.quarantined: list[dict[str, Any]] = []
        self._waiting: list[pa.Table] = []  # rows that are not in the cells yet

    def add(self, batch: Batch) -> None:
        size = one(batch.index[BYTES])
        self.bytes += pc.sum(size).as_py() or 0
        if not self.plan.exported(batch.walk.shard):
            return
        self.kept_bytes += int(size.to_numpy()[batch.kept].sum())
        nulls = pa.nulls(batch.size, pa.string())
        table = pa.table(
            {
                "source": batch.column("source"),
                "language": batch.column("language") if self.has_language else nulls,
                "fate": fate(batch, self.names),
                "bytes": size,
                "words": batch.index[WORDS],
            }
        )
        self._waiting.append(table)
        if sum(map(len, self._waiting)) > AT_ONCE:
            self._count()
        self.failed.update({reason: int(fails.sum()) for reason, fails in batch.fails.items()})
        self._note_errors(batch)

    def _count(self) -> None:
        groups = (
            pa.concat_tables(self._waiting)
            .group_by(["source", "language", "fate"], use_threads=False)
            .aggregate([([], "count_all"), ("bytes", "sum"), ("words", "sum")])
        )
        self._waiting.clear()
        for row in groups.to_pylist():
            key = (row["source"], row["language"], row["fate"])
            self.cells.update({(*key, "documents"): row["count_all"]})
            self.cells.update({(*key, "bytes"): row["bytes_sum"], (*key, "words"): row["words_sum"]})

    def _note_errors(self, batch: Batch) -> None:
        for step, errors in batch.errors.items():
            for at in np.flatnonzero(errors.is_valid().to_numpy(zero_copy_only=False)):
                record = {"shard": batch.walk.shard.name, "position": int(batch.start + at), "step": step}
                self.quarantined.append({**record, "id": batch.index["id"][at].as_py(), "error": errors[at].as_py()})

    def facts(self) -> dict[str, Any]:
        if self._waiting:
            self._count()
        keys = sorted({key[:3] for key in self.cells}, key=str)
        cells = [[*key, *(self.cells[*key, unit] for unit in ("documents", "bytes", "words"))] for key in keys]
        return {
            "bytes": self.bytes,
            "kept_bytes": self.kept_bytes,
            "cells": cells,
            "failed": dict(self.failed),
            "quarantined": self.quarantined,
        }


def outcomes(plan: Plan) -> list[str]:
    """Names of all fates a row can have, by the number a batch gives them."""
    return [*plan.reasons, *(f"quarantine.{step.step.name}" for step in plan.steps)]


def fate(batch: Batch, names: list[str]) -> pa.Array:
    """`dropped_by` of every row: null for kept documents."""
    if not names:
        return pa.nulls(batch.size, pa.string())
    return pa.array(names, pa.string()).take(pa.array(batch.first, mask=batch.first < 0))
