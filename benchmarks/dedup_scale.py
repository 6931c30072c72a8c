"""The grouping of near-duplicates at scale: N million synthetic signatures through the real tasks, in a stated memory.

    python -m benchmarks.dedup_scale 1 10 50 --memory 4GB --folder /big/disk

A fifth of the documents are near-copies (J = 0.95) of others, anywhere in the corpus; one in a hundred is a copy of one
page. Signatures (128 slots), keys (9 bands of 13) and ids are written as a pass would leave them; that is not timed.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import pyarrow as pa

from curate import cluster
from curate.config import Config
from curate.engine import make_executor, plan_recipe
from curate.execute import corpus
from curate.execute.batches import BatchWriter
from curate.execute.members import DOCUMENTS, KEYS
from curate.execute.overlay import ERROR, ROWS
from curate.execute.tasks import Task, save_plan
from curate.kernels.mixing import mix
from curate.lsh import signature_array
from curate.plan import Plan, stored
from curate.recipe import Recipe
from curate.store import Store

SHARD, BATCH, SLOTS = 500_000, 25_000, 128
MEGA = 1_000_000


def signatures(first: int, rows: int) -> np.ndarray:
    """uint32[rows, SLOTS]. Every fifth document is like the one at half its number, every hundredth is one page."""
    number = np.arange(first, first + rows, dtype=np.uint64)
    is_copy, is_page = number % np.uint64(5) == 0, number % np.uint64(100) == 7
    original = np.where(is_page, np.uint64(7), np.where(is_copy, number // np.uint64(2) | np.uint64(1), number))
    slots = np.arange(SLOTS, dtype=np.uint64)
    values = mix(original[:, None] * np.uint64(SLOTS) + slots, 0)
    own = mix(number[:, None] * np.uint64(SLOTS) + slots, 1)
    is_edited = is_copy[:, None] & (own % np.uint64(40) == 0)
    return np.where(is_edited, own, values).astype(np.uint32)


def write(plan: Plan, store: Store, documents: int) -> None:
    """What the pass over the shards would have left."""
    this = plan.passes[0]
    step = plan.steps[this.end or 0]
    operator: Any = step.operator
    for number, shard in enumerate(plan.shards):
        rows = min(SHARD, documents - number * SHARD)
        sketches = pa.schema([*stored(step).items(), (ROWS, pa.bool_()), (ERROR, pa.string())])
        with (
            BatchWriter(store.values(step.value_key, shard.key), sketches) as values,
            BatchWriter(store.members(this.key, shard.key), KEYS) as members,
            BatchWriter(store.documents(this.key, shard.key), DOCUMENTS) as details,
            BatchWriter(store.index(shard.key), pa.schema([("id", pa.string())])) as index,
        ):
            for start in range(0, rows, BATCH):
                count = min(BATCH, rows - start)
                first = number * SHARD + start
                sketch = pa.table({"signature": signature_array(signatures(first, count))})
                whole = {ROWS: pa.array(np.ones(count, bool)), ERROR: pa.nulls(count, pa.string())}
                values.write(pa.table({"signature": sketch["signature"], **whole}, schema=sketches))
                at, keys = operator.keys(sketch)
                order = np.argsort(keys, kind="stable")
                members.write(pa.table([keys[order], (at[order] + start).astype(np.uint32)], schema=KEYS))
                ids = np.arange(first, first + count, dtype=np.uint64)
                columns = [cluster.digests(sketch), mix(ids, 2), np.zeros(count, np.uint64)]
                details.write(pa.table(columns, schema=DOCUMENTS))
                index.write(pa.table({"id": pa.array(ids).cast(pa.string())}))
        store.sign(this.key, shard.key, {"rows": rows})


class Peak:
    """The largest memory (RSS) of this process and its children, together and of one, while a block runs."""

    def __enter__(self) -> Peak:
        self.together = self.one = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *how: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        me = psutil.Process()
        while not self._over.wait(0.1):
            sizes = [*_sizes([me, *me.children(recursive=True)])]
            self.together, self.one = max(self.together, sum(sizes)), max(self.one, *sizes)


def _sizes(processes: list[psutil.Process]) -> Iterator[int]:
    for process in processes:
        try:
            yield process.memory_info().rss
        except psutil.Error:
            continue


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def group(folder: Path, documents: int, config: Config) -> None:
    """One size: write, group, print."""
    shutil.rmtree(folder, ignore_errors=True)
    source = folder / "shards"
    source.mkdir(parents=True)
    for number in range(-(-documents // SHARD)):
        (source / f"{number:05d}.jsonl").write_text(f'{{"id": "{number}", "text": ""}}\n')
    steps = "steps: [dedup_minhash: {bands: 9, rows: 13, verify: estimate}]"
    plan = plan_recipe(Recipe.parse(f"name: scale\nsources: {{all: {{path: {source}}}}}\n{steps}\n"))
    store = Store(str(folder / "out"))
    write(plan, store, documents)
    task = Task("pass", save_plan(plan, store), store, config, 0)
    cpu, began = _cpu(), time.perf_counter()
    executor: Any = make_executor(config)
    with Peak() as peak:
        facts = corpus.decide(plan, store, plan.passes[0], task, executor.map)
        executor.close()
    seconds, cpu = time.perf_counter() - began, _cpu() - cpu
    print(
        f"{documents / MEGA:g} million documents, memory {config.memory}, {config.workers} workers: {seconds:.1f} s,"
        f" {cpu:.1f} s CPU, {cpu / documents * 1e6:.2f} us CPU a document, peak RSS {peak.together / 1e6:,.0f} MB"
        f" together, {peak.one / 1e6:,.0f} MB in one process; {facts}",
        flush=True,
    )
    shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("millions", nargs="*", type=float, default=[1])
    parser.add_argument("--memory", default="1GB")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", default="out/dedup-scale", help="needs 0.8 GB a million documents")
    given = parser.parse_args()
    for millions in given.millions:
        group(Path(given.folder), int(millions * MEGA), Config(memory=given.memory, workers=given.workers))


if __name__ == "__main__":
    main()
