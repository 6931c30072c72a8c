"""Corpus-wide steps: what shards handed over -> a decision per row, or a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from curate.execute import dedup, select
from curate.execute.tasks import Task
from curate.execute.train import receipt_of, train
from curate.operator import Deduplicator, Expander, Selector, Trainer
from curate.plan import Pass, Plan
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
        facts = select.select(plan, this, task, run)
    else:
        facts = dedup.deduplicate(plan, this, task, run)
    store.sign(step.corpus_key, name, facts)
    if isinstance(step.operator, Deduplicator):
        dedup.clear(store, step)
    if isinstance(step.operator, Selector):
        select.clear(store, step)
    return facts
