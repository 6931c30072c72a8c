"""A deduplication in tasks, each of which fits in the memory that the config allows:

    pairs     a range of the keys, from all shards     -> candidate pairs, in sorted runs
    merge     a slice of the pairs, from all runs      -> the same, each once (gather.py)
    gather    some shards, if there are many pairs     -> the sketches that each slice needs of them
    verify    a slice of the pairs                     -> pairs that count, pairs in doubt
    evidence  a shard                                  -> what pairs in doubt are measured on
    judge     the pairs in doubt of a slice            -> pairs that count
    unite     all pairs that count (components.py)     -> the same by cluster, in partitions
    settle    the clusters of a partition              -> who stays
    decide    a shard                                  -> its decisions

Every task leaves a file and a receipt. How they are cut depends on the memory, what comes out does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from curate import cluster
from curate.arrays import one
from curate.execute import bloom, components, earlier, gather, pairs
from curate.execute.batch import blamed
from curate.execute.batches import BatchWriter, write_table
from curate.execute.grouping import Grouping, column
from curate.execute.tasks import Task
from curate.plan import Pass, Plan, PlannedStep
from curate.settle import Decisions, settle
from curate.store import Store

KIND = "dedup."
EDGE_BYTES = 160  # that settling takes for a pair, where clusters are small; in a large one it is rows that cost
TIE_BYTES = 48  # that sorting ties takes
BATCH = 1 << 18  # settled rows written at a time
SETTLED = pa.schema(
    [
        ("item", pa.uint32()),
        ("twin", pa.uint32()),
        ("size", pa.int64()),
        ("similarity", pa.float64()),
        ("id", pa.string()),
    ]
)

Map = Callable[[Iterable[Task]], Iterable[tuple[Task, dict[str, Any]]]]


def dedup_task(task: Task, plan: Plan) -> dict[str, Any]:
    """One task of a deduplication; `task.kind` says of which stage."""
    from curate.execute import evidence

    stages: dict[str, Callable[..., dict[str, Any]]] = {
        "pairs": pairs.pairs_task,
        "merge": gather.merge_task,
        "gather": gather.gather_task,
        "verify": pairs.verify_task,
        "evidence": evidence.evidence_task,
        "judge": pairs.judge_task,
        **components.STAGES,
        "settle": settle_task,
        "decide": decide_task,
        "earlier": earlier.earlier_task,
        **bloom.STAGES,
    }
    grouping = Grouping(plan, task.store, task.config, plan.passes[task.at])
    stage = task.kind.removeprefix(KIND)
    with blamed(grouping.step, stage):
        facts = stages[stage](grouping, task, *task.shards)
    task.store.sign(grouping.key, _name(task), facts)
    return facts


def _name(task: Task) -> str:
    return "-".join([task.kind.removeprefix(KIND), *map(str, task.shards)])


class Stages:
    """Runs the tasks of one stage after the other, those without a receipt."""

    def __init__(self, grouping: Grouping, pattern: Task, run: Map):
        self.grouping, self.pattern, self.run = grouping, pattern, run

    def __call__(self, stage: str, work: Iterable[tuple[int, ...]]) -> dict[str, int]:
        """Do a stage's tasks; the sums of what they found."""
        at = self.grouping.this.index
        tasks = [msgspec.structs.replace(self.pattern, kind=KIND + stage, at=at, shards=shards) for shards in work]
        for _ in self.run([task for task in tasks if self._receipt(task) is None]):
            pass
        total: dict[str, int] = {}
        for task in tasks:
            for name, count in (self._receipt(task) or {}).items():
                total[name] = total.get(name, 0) + count
        return total

    def _receipt(self, task: Task) -> dict[str, Any] | None:
        return self.pattern.store.receipt(self.grouping.key, _name(task))


def deduplicate(plan: Plan, this: Pass, task: Task, run: Map) -> dict[str, Any]:
    """All stages; what the manifest says of them."""
    grouping = Grouping(plan, task.store, task.config, this)
    stages = Stages(grouping, task, run)
    if grouping.operator.bloom:
        return bloom.deduplicate(grouping, stages)
    parts = pairs.partitions(grouping)
    stages("pairs", [(part, parts) for part in range(parts)])
    slices = gather.slices(grouping)
    merged = stages("merge", slices)
    if len(slices) > 1:
        stages("gather", gather.stretches(grouping))
    found = stages("verify", [(number,) for number, *_ in slices])
    facts: dict[str, Any] = {"candidates": merged["compared"], "measured": 0, "pairs": found["edges"]}
    if found.get("doubts"):
        stages("evidence", [(number,) for number in range(grouping.old, len(grouping.parts))])
        judged = stages("judge", [(number,) for number, *_ in slices])
        facts |= {"measured": judged["measured"], "pairs": facts["pairs"] + judged["edges"]}
        facts |= {"estimated": judged["estimated"]} if judged["estimated"] else {}
    clusters = -(-facts["pairs"] // grouping.room_for(EDGE_BYTES))
    if clusters:
        components.unite(grouping, stages, facts["pairs"], clusters)
    facts |= dict.fromkeys(("clusters", "copies", "copies_by_components", "copies_by_representative"), 0)
    facts |= stages("settle", [(part, clusters) for part in range(clusters)])
    stages("decide", [(number,) for number in range(grouping.old, len(grouping.parts))])
    if grouping.old:
        facts["earlier_documents"] = int(grouping.starts[grouping.old])
        facts |= stages("earlier", [(number,) for number in range(grouping.old)])
        facts["earlier_file"] = earlier.report(grouping)
    earlier.describe(grouping)
    return facts


def settle_task(grouping: Grouping, task: Task, part: int, parts: int) -> dict[str, Any]:
    """Who stays of the clusters of one partition."""
    operator = grouping.operator

    def edges() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for file in grouping.files("clusters"):
            batch = file.get(part)
            yield column(batch, "pair"), column(batch, "similarity")

    decided, facts = settle(operator.link, edges, grouping.ranks, grouping.room_for(TIE_BYTES))
    decided = cluster.filled(operator, decided, grouping.digests, grouping.sketches, grouping.compared)
    twins, ids = _twin_ids(grouping, decided)
    with BatchWriter(grouping.file("settled", part), SETTLED) as writer:
        for at in range(0, len(decided.items), BATCH):
            some = Decisions(*(values[at : at + BATCH] for values in decided))
            of = pa.array(np.searchsorted(twins, some.twins), mask=~some.copies)
            writer.write(pa.table([*map(pa.array, some), ids.take(of)], schema=SETTLED))
    return facts


def _twin_ids(grouping: Grouping, decided: Decisions) -> tuple[np.ndarray, pa.Array]:
    """The rows that stay, ascending, and the user's ids of them."""
    from curate.kernels.components import once

    twins = once(decided.twins)
    if not len(twins):
        return twins, pa.nulls(0, pa.string())
    return twins, one(grouping.rows(twins, lambda part: part.index, ["id"])["id"])


def settled(grouping: Grouping, number: int) -> pa.Table:
    """The settled rows of one shard, in order."""
    first, stop = grouping.starts[number], grouping.starts[number + 1]
    pieces = [SETTLED.empty_table()]
    for file in grouping.files("settled"):
        for batch in file:
            low, high = np.searchsorted(batch["item"].to_numpy(), [first, stop])
            pieces.append(pa.Table.from_batches([batch.slice(low, high - low)]))
    return pa.concat_tables(pieces).sort_by("item").combine_chunks()


def decide_task(grouping: Grouping, task: Task, number: int) -> dict[str, Any]:
    """The decisions of one shard, out of those of all partitions."""
    table = decisions(grouping, settled(grouping, number), grouping.starts[number])
    write_table(task.store.decisions(grouping.step.corpus_key, grouping.parts[number].shard), table)
    return {}


def decisions(grouping: Grouping, found: pa.Table, first: int) -> pa.Table:
    """Settled rows of one shard as its decisions: row, the operator's columns, drop."""
    items, twins = (found[name].to_numpy().astype(np.int64) for name in ("item", "twin"))
    copies, kept = pa.array(items != twins), items == twins
    heads = grouping.addresses(twins)
    values = [
        pa.array(heads),
        found["size"],
        copies,
        found["id"],
        pa.array(heads, mask=kept),
        pa.array(found["similarity"].to_numpy(), mask=kept),
    ]
    made = dict(zip(grouping.operator.writes(), values, strict=True))
    drops = copies if grouping.operator.keep != "all" else pa.array(np.zeros(len(items), bool))
    return pa.table({"row": pa.array((items - first).astype(np.uint32)), **made, "drop": drops})


def clear(store: Store, step: PlannedStep) -> None:
    """Take away what only the tasks needed, for any memory."""
    for folder in ("corpus", "done"):
        for memory in store.folders(".work", folder, step.corpus_key):
            store.remove(".work", folder, step.corpus_key, memory)
