"""Ray beside the local executor on the same cores, from one worker to two, and what a task costs the driver.

python -m benchmarks.ray --corpus mix.jsonl.zst --shards 4     # run times
python -m benchmarks.ray --tasks 100000                        # scheduling: time and memory of the driver
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from curate import Config, ops, read
from curate.execute.tasks import Task, save_plan
from curate.store import Store


def nothing(task: Task, *_: Any) -> dict[str, Any]:
    """A task that does nothing, but says as much as a pass over a shard."""
    cells = [["source", "en", fate, 1000, 5_000_000, 1_000_000] for fate in (None, "words", "letters", "copies")]
    return {"rows": 4000, "bad": 0, "bytes": 20_000_000, "cells": cells, "clock": {"read": 1.0, "total": 2.0}}


def schedule(count: int) -> None:
    """Give so many tasks to Ray, with a plan of as many shards."""
    import msgspec
    import ray

    from curate.engine import plan_recipe
    from curate.execute.ray import Ray

    folder = Path(tempfile.mkdtemp())
    corpus = read({"text": ["some text"]}) | ops.Gopher()
    plan = plan_recipe(corpus.recipe)
    shards = tuple(msgspec.structs.replace(plan.shards[0], name=f"part-{n:06d}.jsonl.zst") for n in range(count))
    plan = msgspec.structs.replace(plan, shards=shards, born=(-1,) * count)
    config = Config(executor="ray")
    store = Store(str(folder))
    pattern = Task("pass", save_plan(plan, store, plan.key), store, config, 0)
    executor = Ray(config)
    executor._work = ray.remote(max_retries=0)(nothing)
    before = _peak()
    began, cpu = time.perf_counter(), time.process_time()
    tasks = (msgspec.structs.replace(pattern, shards=(number,)) for number in range(count))
    done = sum(1 for _ in executor.map(tasks))
    seconds, spent = time.perf_counter() - began, time.process_time() - cpu
    executor.close()
    shutil.rmtree(folder)
    print(
        f"{done:,} tasks in {seconds:.1f} s, {1e3 * seconds / done:.2f} ms each; driver {1e3 * spent / done:.2f} ms CPU"
    )
    print(f"driver: {_peak():.0f} MB at most, {_peak() - before:.0f} MB more than before the first task")


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def runs(corpus: str, shards: int) -> None:
    """The same recipe under both executors; the first run of each compiles and starts what there is to start."""
    folder = Path(tempfile.mkdtemp())
    for number in range(shards):
        (folder / "shards").mkdir(exist_ok=True)
        shutil.copy(corpus, folder / "shards" / f"{number:03d}.jsonl.zst")
    recipe = read(str(folder / "shards")) | ops.Gopher() | ops.Keep(rules={"words": "gopher_word_count >= 20"})
    for executor, workers in (("local", 1), ("ray", 1), ("local", 2), ("ray", 2)):
        began = time.perf_counter()
        recipe.run(str(folder / f"{executor}-{workers}"), Config(executor=executor, workers=workers))  # type: ignore[arg-type]
        print(f"{executor}, {workers} workers: {time.perf_counter() - began:.1f} s")
    shutil.rmtree(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--tasks", type=int, default=0)
    chosen = parser.parse_args()
    if chosen.tasks:
        schedule(chosen.tasks)
    if chosen.corpus:
        runs(chosen.corpus, chosen.shards)
