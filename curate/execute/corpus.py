"""Corpus-wide steps: keys per shard -> candidate pairs per partition -> clusters -> decisions per shard."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from curate import cluster
from curate.errors import OperatorError
from curate.execute.batch import blamed
from curate.execute.batches import BatchFile, read_table, write_table
from curate.execute.tasks import Task, address
from curate.execute.train import receipt_of, train
from curate.operator import Deduplicator, Expander, Selector, Trainer
from curate.plan import Pass, Plan, PlannedStep, stored
from curate.store import Store

KEYS_PER_PARTITION = 8_000_000
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
        facts = _select(plan, store, this, step)
    else:
        facts = _deduplicate(plan, store, this, step, task, run)
    store.sign(step.corpus_key, name, facts)
    return facts


def candidates_task(task: Task, plan: Plan) -> dict[str, Any]:
    """Candidate pairs among the keys of one partition: a slice of the key range, from every shard."""
    this = plan.passes[task.at]
    assert this.end is not None
    partition, partitions = task.shards
    low, high = (2**64 * at // partitions for at in (partition, partition + 1))
    keys, rows = [], []
    for number in plan.taking_part(this):
        for members in BatchFile(task.store.members(this.key, plan.shards[number].key)):
            found = members["key"].to_numpy()
            start = np.searchsorted(found, np.uint64(low))
            stop = len(found) if high == 2**64 else np.searchsorted(found, np.uint64(high))
            keys.append(found[start:stop])
            rows.append(address(number, members["row"].to_numpy()[start:stop]))
    none = np.zeros(0, np.uint64), np.zeros(0, np.int64)
    a, b = cluster.candidates(np.concatenate([none[0], *keys]), np.concatenate([none[1], *rows]))
    path = _pairs(task.store, plan.steps[this.end], partition)
    write_table(path, pa.table({"a": a, "b": b}))
    return {"pairs": len(a)}


def _deduplicate(plan: Plan, store: Store, this: Pass, step: PlannedStep, task: Task, run: Map) -> dict[str, Any]:
    assert isinstance(step.operator, Deduplicator)
    files = [BatchFile(store.members(this.key, plan.shards[number].key)) for number in plan.taking_part(this)]
    total = sum(len(members) for file in files for members in file)
    partitions = max(1, -(-total // KEYS_PER_PARTITION))
    tasks = [
        Task("candidates", task.plan, store, task.config, this.index, (at, partitions)) for at in range(partitions)
    ]
    found = sum(facts["pairs"] for _, facts in run(tasks))
    tables = [read_table(_pairs(store, step, at)) for at in range(partitions)]
    pairs = np.unique(np.stack([pa.concat_tables(tables)[c].to_numpy() for c in "ab"], axis=1), axis=0)
    fetch = Sketches(plan, store, step)
    with blamed(step, "corpus-wide"):
        members, representatives = cluster.clusters(step.operator, pairs[:, 0].copy(), pairs[:, 1].copy(), fetch)
    ids = _ids(plan, store, np.unique(representatives))
    _write_clusters(plan, store, this, step, members, representatives, ids)
    copies = int((members != representatives).sum())
    return {"candidates": found, "clusters": len(ids), "copies": copies}


class Sketches:
    """Sketches of rows by address, read from the overlays and cached for the rows of candidate pairs."""

    def __init__(self, plan: Plan, store: Store, step: PlannedStep):
        self.plan, self.store, self.step = plan, store, step

    def __call__(self, addresses: np.ndarray) -> pa.Table:
        wanted, back = np.unique(addresses, return_inverse=True)
        pieces = []
        for number, rows in by_shard(wanted):
            path = self.store.values(self.step.value_key, self.plan.shards[number].key)
            pieces.append(BatchFile(path).rows(rows, [*stored(self.step)]))
        if not pieces:
            return pa.schema([*stored(self.step).items()]).empty_table()
        return pa.concat_tables(pieces).take(pa.array(back)).combine_chunks()


def by_shard(addresses: np.ndarray) -> Iterable[tuple[int, np.ndarray]]:
    """Sorted addresses, cut into (shard, rows)."""
    shards = addresses >> 32
    for number in np.unique(shards):
        yield int(number), addresses[shards == number] & 0xFFFFFFFF


def _ids(plan: Plan, store: Store, addresses: np.ndarray) -> dict[int, str]:
    """The user's ids of some rows."""
    ids: dict[int, str] = {}
    for number, rows in by_shard(addresses):
        table = BatchFile(store.index(plan.shards[number].key)).rows(rows, ["id"])
        ids |= dict(zip(address(number, rows).tolist(), table["id"].to_pylist(), strict=True))
    return ids


def _write_clusters(
    plan: Plan,
    store: Store,
    this: Pass,
    step: PlannedStep,
    members: np.ndarray,
    representatives: np.ndarray,
    ids: dict[int, str],
) -> None:
    cluster_name, twin_name = step.operator.writes()
    shards = members >> 32
    for number in plan.taking_part(this):
        low, high = np.searchsorted(shards, [number, number + 1])
        mine, heads = members[low:high], representatives[low:high]
        copies = mine != heads
        twins = [ids[head] if copy else None for head, copy in zip(heads.tolist(), copies.tolist(), strict=True)]
        table = {
            "row": pa.array((mine & 0xFFFFFFFF).astype(np.uint32)),
            cluster_name: pa.array(heads, pa.int64()),
            twin_name: pa.array(twins, pa.string()),
            "drop": pa.array(copies),
        }
        _write_decisions(store, step, plan.shards[number].key, pa.table(table))


def _select(plan: Plan, store: Store, this: Pass, step: PlannedStep) -> dict[str, Any]:
    """A selector sees the small sketches of all rows at once."""
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
        keep = np.asarray(step.operator.select(whole_corpus))
    if keep.dtype != bool or len(keep) != len(whole_corpus):
        raise OperatorError(f"{step.step.name}: select() must return one true or false per row")
    start = 0
    for shard, rows in zip(shards, sizes, strict=True):
        dropped = rows[~keep[start : start + len(rows)]]
        start += len(rows)
        table = pa.table({"row": pa.array(dropped.astype(np.uint32)), "drop": pa.array(np.ones(len(dropped), bool))})
        _write_decisions(store, step, shard.key, table)
    return {"rows": len(keep), "kept": int(keep.sum())}


def _members(store: Store, this: Pass, shard: str) -> pa.Table:
    return read_table(store.members(this.key, shard))


def _pairs(store: Store, step: PlannedStep, partition: int) -> Any:
    return store.work("corpus", step.corpus_key, "pairs", f"{partition:05d}.arrow")


def _write_decisions(store: Store, step: PlannedStep, shard: str, table: pa.Table) -> None:
    write_table(store.decisions(step.corpus_key, shard), table)
