"""Fitting a Trainer: on all sketches at once, which many tasks have combined before if it can; or, if it has a key, one
range of keys after the other, a task each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from curate.evaluate import folded
from curate.execute.batch import blamed
from curate.execute.batches import BatchFile, BatchWriter, read_chunks, read_table, write_table
from curate.execute.tasks import Task, sketch_schema
from curate.operator import Trainer
from curate.plan import Pass, Plan, PlannedStep
from curate.store import Store, whole_folder

AT_ONCE = 32  # files of sketches that a task combines
ROWS_PER_RANGE = 1_000_000  # rows of sketches that `fit` is given at a time by a trainer with a key
Map = Callable[[Iterable[Task]], Iterable[tuple[Task, dict[str, Any]]]]


def receipt_of(step: PlannedStep, round: int) -> str:
    """The name of the receipt of a corpus-wide step; `all` for the last round."""
    return "all" if round == getattr(step.operator, "rounds", 1) - 1 else f"round-{round}"


def train(plan: Plan, store: Store, this: Pass, step: PlannedStep, task: Task, run: Map) -> dict[str, Any]:
    """Fit the trainer that ends a pass. `task` is the pattern for tasks that are spread over workers."""
    assert isinstance(step.operator, Trainer)
    pattern = msgspec.structs.replace(task, kind="fit", at=this.index)
    if not step.operator.key:
        _combine(step, pattern, run, len(plan.taking_part(this)))
        ((_, facts),) = run([pattern])
    else:
        facts = _fit_ranges(plan, store, this, pattern, run)
    store.remove(".work", "corpus", step.corpus_key, f"parts-{this.round}")
    return facts


def _fit_ranges(plan: Plan, store: Store, this: Pass, pattern: Task, run: Map) -> dict[str, Any]:
    """Fit one range of keys after the other, and put what comes out into one file."""
    keys = (plan.shards[number].key for number in plan.taking_part(this))
    rows = sum(facts.get("sketched", 0) for facts in store.receipts(this.key, keys))
    count = max(1, -(-rows // ROWS_PER_RANGE))
    tasks = [msgspec.structs.replace(pattern, shards=(at, count)) for at in range(count)]
    found = sum(facts["rows"] for _, facts in run(tasks))
    for _ in run([msgspec.structs.replace(pattern, kind="fit.join", shards=(0, count))]):
        pass
    return {"model_rows": found}


def _combine(step: PlannedStep, pattern: Task, run: Map, files: int) -> None:
    """Combine sketches until so few are left that one task can go through them."""
    assert isinstance(step.operator, Trainer)
    sizes = _levels(step.operator, files)
    for level, groups in enumerate(sizes[1:], 1):
        work = ((at, groups, level) for at in range(groups))
        for _ in run([msgspec.structs.replace(pattern, kind="fit.combine", shards=shards) for shards in work]):
            pass


def _levels(operator: Trainer, files: int) -> list[int]:
    """How many files of sketches there are, and how many of them are left after each combining."""
    sizes = [files]
    while sizes[-1] > AT_ONCE and type(operator).combine is not Trainer.combine:
        sizes.append(-(-sizes[-1] // AT_ONCE))
    return sizes


def _sketches(task: Task, plan: Plan, level: int, which: slice) -> list[Path]:
    """Some of the files of sketches after so many combinings; at first there is one of each shard."""
    this = plan.passes[task.at]
    step, numbers = plan.steps[this.end or 0], plan.taking_part(this)
    if not level:
        return [task.store.members(this.key, plan.shards[number].key) for number in numbers[which]]
    count = _levels(step.operator, len(numbers))[level]  # type: ignore[arg-type]
    return [_combined(task.store, step, this, level, at) for at in range(count)[which]]


def combine_task(task: Task, plan: Plan) -> dict[str, Any]:
    """Combine some sketches: what takes memory is that of one file and of what they come to."""
    this = plan.passes[task.at]
    step = plan.steps[this.end or 0]
    assert isinstance(step.operator, Trainer)
    at, _, level = task.shards
    path = _combined(task.store, step, this, level, at)
    if not path.exists():
        files = _sketches(task, plan, level - 1, slice(at * AT_ONCE, (at + 1) * AT_ONCE))
        with blamed(step, "corpus-wide"):
            table = folded(step.operator, map(read_chunks, files))
        write_table(path, table)
    return {}


def join_task(task: Task, plan: Plan) -> dict[str, Any]:
    """Put the models of all ranges of keys into one file, a chunk each."""
    this, (_, count) = plan.passes[task.at], task.shards
    step = plan.steps[this.end or 0]
    parts = [_part(task.store, step, this, at, count) for at in range(count)]
    with BatchWriter(task.store.model(step.corpus_key, this.round), BatchFile(parts[0]).schema) as model_file:
        for part in parts:
            model_file.write(read_table(part))
    return {}


def fit_task(task: Task, plan: Plan) -> dict[str, Any]:
    """Fit the rows of one range of keys, from every shard."""
    this = plan.passes[task.at]
    step = plan.steps[this.end or 0]
    assert isinstance(step.operator, Trainer)
    if task.kind == "fit.combine":
        return combine_task(task, plan)
    if task.kind == "fit.join":
        return join_task(task, plan)
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
    sizes = _levels(step.operator, len(plan.taking_part(this)))
    files = _sketches(task, plan, len(sizes) - 1, slice(None))
    path = task.store.model(step.corpus_key, this.round)
    with blamed(step, "corpus-wide"):
        if type(step.operator).combine is not Trainer.combine:
            sketches = folded(step.operator, map(read_chunks, files))
        else:
            sketches = pa.concat_tables([read_chunks(file) for file in files])
        model = step.operator.fit(sketches if step.operator.chunks else sketches.combine_chunks())
    facts = step.operator.facts(model)
    write_table(path, model)
    del sketches, model  # which may be as large as memory, and exporting reads the file
    pa.default_memory_pool().release_unused()
    if this.round == step.operator.rounds - 1:
        with whole_folder(task.store.exported(step.corpus_key)) as folder, blamed(step, "corpus-wide"):
            step.operator.export(read_table(path), folder)
    return facts


def _combined(store: Store, step: PlannedStep, this: Pass, level: int, at: int) -> Path:
    return store.part(step.corpus_key, this.round, f"combined-{level}-{at:05d}")


def _part(store: Store, step: PlannedStep, this: Pass, at: int, count: int) -> Path:
    return store.part(step.corpus_key, this.round, f"{at:05d}-of-{count:05d}")
