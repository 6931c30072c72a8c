"""What the driver costs where shards are many: time and memory by number of shards, with tasks that do no work.

    python -m benchmarks.shards --shards 1_000 10_000 100_000 --executors local ray

Each shard is a file of one document, which is listed; its task leaves a receipt as a pass does, and says as much. So
what is measured is what the driver does for each shard: listing and planning, giving tasks out and taking their word,
reading receipts, adding up. Each run is a process of its own with two workers.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pickle
import pstats
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from curate import Config, ops, read
from curate.execute import local
from curate.execute.tasks import Task, load_plan
from curate.plan import Plan

PER_FOLDER = 1_000
FACTS = {
    "rows": 2000,
    "bad": 0,
    "bytes": 10_000_000,
    "kept_bytes": 5_000_000,
    "failed": {"words": 9},
    "quarantined": [],
}
CELLS = [["all", None, fate, 1000, 5_000_000, 1_000_000] for fate in (None, "words")]


def stand_in(task: Task, *_: Any) -> dict[str, Any]:
    """A pass over a shard without the pass: its receipt, and what it says."""
    plan = load_plan(task.plan)
    shard, this = plan.shards[task.shards[0]], plan.passes[task.at]
    bad = task.store.bad(shard.key)
    bad.parent.mkdir(parents=True, exist_ok=True)
    bad.touch()
    facts = {**FACTS, "cells": CELLS, "quarantined": []}
    task.store.sign(this.key, shard.key, facts)
    return {**facts, "clock": {"read": 1.0, "total": 2.0}}


def write(folder: Path, count: int) -> None:
    """So many shards, in folders of a thousand."""
    for number in range(count):
        shard = folder / f"{number // PER_FOLDER:04d}" / f"{number:07d}.jsonl"
        shard.parent.mkdir(parents=True, exist_ok=True)
        shard.write_text(f'{{"id": "{number}", "text": "one of many"}}\n')


class Watch:
    """Seconds, CPU seconds and the most memory of this process, part by part."""

    def __init__(self) -> None:
        self.parts: dict[str, tuple[float, float, float]] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        began, cpu = time.perf_counter(), time.process_time()
        yield
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        self.parts[name] = (time.perf_counter() - began, time.process_time() - cpu, peak)


def drive(folder: Path, executor: str) -> dict[str, Any]:
    """All that the driver does up to the files of a result."""
    from curate import engine
    from curate.execute import export
    from curate.progress import Progress
    from curate.store import Store

    corpus = read(str(folder / "shards"), name="all", format="jsonl") | ops.Gopher()
    corpus = corpus | ops.Keep(rules={"words": "gopher_word_count >= 20"})
    config, store, watch = Config(executor=executor, workers=2), Store(str(folder / "out")), Watch()  # type: ignore[arg-type]
    with watch.part("start"):
        local.run_task = stand_in
        local.PATIENCE = 0.0  # workers alone do tasks
        progress = Progress("quiet")
        progress.log_to(store.path("log.jsonl"))
        made: Any = engine.make_executor(config)
        if executor == "ray":
            made._work = made._ray.remote(max_retries=0)(stand_in)
    with watch.part("list and plan"):
        plan: Plan = engine.plan_recipe(corpus.recipe)
    engine.make_executor = lambda config: made
    with watch.part("send the plan"):
        run = engine._Run(plan, store, config, progress)
    with watch.part("tasks"):
        run._pass(plan.passes[0])
    with watch.part("receipts and funnel"):
        run._check_quarantine(plan.passes[0])
        funnel = run._funnel()
        export.groups(plan, [fact["kept_bytes"] for fact in run._receipts(plan.passes[0])])
    assert funnel.rows == 2000 * len(plan.shards)
    made.close()
    return {"parts": watch.parts, "plan": len(pickle.dumps(plan))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", nargs="+", type=int, default=[1_000, 10_000])
    parser.add_argument("--executors", nargs="+", default=["local", "ray"])
    parser.add_argument("--profile", action="store_true", help="say where the driver's time goes, on stderr")
    parser.add_argument("--drive", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.drive:
        with cProfile.Profile() as profile:
            profile.disable() if not given.profile else None
            found = drive(Path(given.drive[0]), given.drive[1])
        if given.profile:
            pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(30)
        print(json.dumps(found))
        return
    for count in given.shards:
        folder = Path(tempfile.mkdtemp(prefix="shards"))
        write(folder / "shards", count)
        for executor in given.executors:
            command = [sys.executable, "-m", "benchmarks.shards", "--drive", str(folder), executor]
            told = subprocess.run([*command, *(["--profile"] * given.profile)], check=True, stdout=subprocess.PIPE)
            found = json.loads(told.stdout.splitlines()[-1])
            for name, (seconds, cpu, peak) in found["parts"].items():
                each = f"{1e3 * seconds / count:.3f} | {1e3 * cpu / count:.3f}"
                print(f"| {count:,} | {executor} | {name} | {seconds:.1f} | {each} | {peak:.0f} |", flush=True)
            print(f"the plan: {found['plan'] / 1e6:.1f} MB")
            shutil.rmtree(folder / "out")
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
