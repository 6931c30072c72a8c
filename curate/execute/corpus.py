"""Corpus-wide steps: what shards handed over -> a decision per row, or a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from curate.evaluate import selection
from curate.execute import dedup
from curate.execute.batch import blamed
from curate.execute.batches import BatchFile, read_table, write_table
from curate.execute.tasks import Task
from curate.execute.train import receipt_of, train
from curate.operator import Deduplicator, Expander, Selector, Trainer
from curate.plan import Pass, Plan, PlannedStep, stored
from curate.store import Store

Map = Callable[[Iterable[Task]], Iterable[tuple[Task, dict[str, Any]]]]


def decide(plan: Plan, store: Store, this: Pass, task: Task, run: Map) -> dict[str, Any]:
    """Do the corpus-wide step that ends a pass. `task` is the pattern for tasks that are spread over workers."""
    assert this.end is not None
    step = plan.steps[this.end]
    name = receipt_of(step, this.round)
    done = store.receipt(step.corpus_key, name)
    if done is not None:
        return done
    if isinstance(step.operator, Expander):
        facts = {"shards": len(plan.taking_part(this))}
    elif isinstance(step.operator, Trainer):
        facts = train(plan, store, this, step, task, run)
    elif isinstance(step.operator, Selector):
        ((_, facts),) = run([msgspec.structs.replace(task, kind="select", at=this.index)])
    else:
        facts = dedup.deduplicate(plan, this, task, run)
    store.sign(step.corpus_key, name, facts)
    if isinstance(step.operator, Deduplicator):
        dedup.clear(store, step)
    return facts


def select_task(task: Task, plan: Plan) -> dict[str, Any]:
    """A selector sees the small sketches of all rows at once: on one worker, not where the run is driven from."""
    this, store = plan.passes[task.at], task.store
    step = plan.steps[this.end or 0]
    assert isinstance(step.operator, Selector)
    pieces, sizes = [], []
    shards = [plan.shards[number] for number in plan.taking_part(this)]
    for shard in shards:
        rows = _members(store, this, shard.key)["row"].to_numpy().astype(np.int64)
        sizes.append(rows)
        if len(rows):
            values = BatchFile(store.values(step.value_key, shard.key)).rows(rows, [*stored(step)])
            ids = BatchFile(store.index(shard.key)).rows(rows, ["id"])
            pieces.append(values.append_column("id", ids["id"]))
    schema = pa.schema([*stored(step).items(), ("id", pa.string())])
    whole_corpus = pa.concat_tables(pieces).combine_chunks() if pieces else schema.empty_table()
    with blamed(step, "corpus-wide"):
        found = selection(step.operator, whole_corpus)
    keep = np.ones(len(whole_corpus), bool) if found.keep is None else found.keep
    start = 0
    for shard, rows in zip(shards, sizes, strict=True):
        part = slice(start, start + len(rows))
        start += len(rows)
        told = np.ones(len(rows), bool) if found.columns else ~keep[part]
        columns = {own: array.slice(part.start, len(rows)).filter(told) for own, array in found.columns.items()}
        columns |= {"row": pa.array(rows[told].astype(np.uint32)), "drop": pa.array(~keep[part][told])}
        _write_decisions(store, step, shard.key, pa.table(columns))
    return {"rows": len(keep), "kept": int(keep.sum()), **found.facts}


def _members(store: Store, this: Pass, shard: str) -> pa.Table:
    return read_table(store.members(this.key, shard))


def _write_decisions(store: Store, step: PlannedStep, shard: str, table: pa.Table) -> None:
    write_table(store.decisions(step.corpus_key, shard), table)
