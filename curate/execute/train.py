"""Fitting a Trainer: on all sketches at once or, if it has a key, one range of keys after the other, a task each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from curate.execute.batch import blamed
from curate.execute.batches import BatchFile, BatchWriter, read_chunks, read_table, write_table
from curate.execute.tasks import Task, sketch_schema
from curate.operator import Trainer
from curate.plan import Pass, Plan, PlannedStep
from curate.store import Store, whole_folder

ROWS_PER_RANGE = 1_000_000  # rows of sketches that `fit` is given at a time by a trainer with a key
Map = Callable[[Iterable[Task]], Iterable[tuple[Task, dict[str, Any]]]]


def receipt_of(step: PlannedStep, round: int) -> str:
    """The name of the receipt of a corpus-wide step; `all` for the last round."""
    return "all" if round == getattr(step.operator, "rounds", 1) - 1 else f"round-{round}"


def train(plan: Plan, store: Store, this: Pass, step: PlannedStep, task: Task, run: Map) -> dict[str, Any]:
    """Fit the trainer that ends a pass. `task` is the pattern for tasks that are spread over workers."""
    assert isinstance(step.operator, Trainer)
    files = [store.members(this.key, plan.shards[number].key) for number in plan.taking_part(this)]
    path = store.model(step.corpus_key, this.round)
    pattern = msgspec.structs.replace(task, kind="fit", at=this.index)
    if not step.operator.key:
        ((_, facts),) = run([pattern])
        return facts
    rows = sum(len(batch) for file in files for batch in BatchFile(file))
    count = max(1, -(-rows // ROWS_PER_RANGE))
    tasks = [msgspec.structs.replace(pattern, shards=(at, count)) for at in range(count)]
    found = sum(facts["rows"] for _, facts in run(tasks))
    parts = [_part(store, step, this, at, count) for at in range(count)]
    with BatchWriter(path, BatchFile(parts[0]).schema) as model_file:
        for part in parts:
            model_file.write(read_table(part))
    for part in parts:
        part.unlink()
    return {"model_rows": found}


def fit_task(task: Task, plan: Plan) -> dict[str, Any]:
    """Fit the rows of one range of keys, from every shard."""
    this = plan.passes[task.at]
    step = plan.steps[this.end or 0]
    assert isinstance(step.operator, Trainer)
    if not task.shards:
        return _fit_at_once(task, plan, this, step)
    path = _part(task.store, step, this, *task.shards)
    if path.exists():  # made by a run that was stopped
        return {"rows": len(read_table(path))}
    part, count = task.shards
    low, high = (2**64 * at // count for at in (part, part + 1))
    slices = [sketch_schema(step).empty_table()]
    for number in plan.taking_part(this):
        for batch in BatchFile(task.store.members(this.key, plan.shards[number].key)):
            keys = batch[step.operator.key].to_numpy()
            start = int(np.searchsorted(keys, np.uint64(low)))
            stop = len(keys) if part + 1 == count else int(np.searchsorted(keys, np.uint64(high)))
            slices.append(pa.Table.from_batches([batch.slice(start, stop - start)]))
    with blamed(step, "corpus-wide"):
        model = step.operator.fit(pa.concat_tables(slices).combine_chunks())
    write_table(path, model)
    return {"rows": len(model)}


def _fit_at_once(task: Task, plan: Plan, this: Pass, step: PlannedStep) -> dict[str, Any]:
    """Fit all sketches: on one worker, not where the run is driven from."""
    assert isinstance(step.operator, Trainer)
    files = [task.store.members(this.key, plan.shards[number].key) for number in plan.taking_part(this)]
    path = task.store.model(step.corpus_key, this.round)
    sketches = pa.concat_tables([read_chunks(file) for file in files])
    with blamed(step, "corpus-wide"):
        model = step.operator.fit(sketches if step.operator.chunks else sketches.combine_chunks())
    facts = step.operator.facts(model)
    write_table(path, model)
    del sketches, model  # which may be as large as memory, and exporting reads the file
    pa.default_memory_pool().release_unused()
    if this.round == step.operator.rounds - 1:
        with whole_folder(task.store.exported(step.corpus_key)) as folder, blamed(step, "corpus-wide"):
            step.operator.export(read_table(path), folder)
    return facts


def _part(store: Store, step: PlannedStep, this: Pass, at: int, count: int) -> Any:
    return store.part(step.corpus_key, this.round, f"{at:05d}-of-{count:05d}")
