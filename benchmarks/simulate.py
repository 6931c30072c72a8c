"""A run on 10, 100 and 1,000 nodes, simulated by discrete events from the times that tasks took here.

    python -m benchmarks.simulate --record mix_150mb.jsonl.zst     # run it in six shards, one worker: task_times.json
    python -m benchmarks.simulate                                  # the table of docs/scale.md

A stage has the tasks that the engine would give out: one for each shard, or as many as its partitions need. A task over
a shard takes as long as one that was recorded (drawn with a seed) would on its bytes; the recorded seconds of
partitions are divided among them. The driver gives a task out in GIVE seconds, and no more than three for each core
are with the cluster; a stage begins when the last task of the one before it has ended. All tasks of a stage together
get no more than `--storage` bytes a second. Nodes that are lost and autoscaling are not in it.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from curate.result import table_text

TIMES = Path(__file__).resolve().parent / "task_times.json"
SHARDS = 6
GIVE = 0.0012  # seconds of the driver for a task, on Ray: `python -m benchmarks.shards`
AHEAD = 3
PACKED = 0.46  # bytes stored for a byte of text
READS = 2.5e-9  # seconds a byte: a stage that takes less does not read the text
ROOM = 1e9  # bytes of text whose keys a partition takes
BY_SHARD = ("pass", "dedup.evidence", "dedup.decide", "export")
STEPS = """
steps:
  - gopher
  - keep: {rules: {words: {column: gopher_word_count, min: 50}}}
  - dedup_minhash
"""


class Stage(NamedTuple):
    """What was recorded of one: its kind, and seconds by bytes of text of each task."""

    kind: str
    tasks: list[tuple[float, float]]

    @property
    def per_byte(self) -> float:
        return sum(seconds for seconds, _ in self.tasks) / max(1.0, sum(size for _, size in self.tasks))


class Outcome(NamedTuple):
    """Of a simulated run: seconds, the same by stage, and the share of the time that cores worked."""

    seconds: float
    stages: dict[str, float]
    busy: float
    driver: float


# ---------------------------------------------------------------- what tasks take


def record(documents: Path) -> None:
    """Run a recipe in this process; note what each of its tasks took."""
    import zstandard

    from curate import engine
    from curate.config import Config
    from curate.execute.local import Local
    from curate.recipe import Recipe

    times: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with documents.open("rb") as file:
            lines = zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(file).read().splitlines(True)
        for number in range(SHARDS):
            shard = b"".join(lines[number::SHARDS])
            (folder / "shards").mkdir(exist_ok=True)
            (folder / "shards" / f"{number:03d}.jsonl.zst").write_bytes(zstandard.compress(shard, 3))
        text = sum(len(json.loads(line)["text"].encode()) for line in lines)

        def clocked(self: Local, tasks: Iterable[Any]) -> Iterator[Any]:
            began = time.process_time()
            for task, facts in spread(self, tasks):
                stage = f"pass {task.at + 1}" if task.kind == "pass" else task.kind
                times.setdefault(stage, []).append((time.process_time() - began, 0.0))
                yield task, facts
                began = time.process_time()

        spread = Local.map
        Local.map = clocked  # type: ignore[method-assign]
        for out in ("warm", "out"):
            times.clear()
            source = f"name: {out}\nsources: {{mix: {{path: {folder}/shards}}}}"
            recipe = Recipe.parse(f"{source}{STEPS}output: {{path: {folder / out}, file_size: 8MB}}")
            engine.run(recipe, Config(workers=1, memory="300MB"))
    stages = {stage: [(seconds, text / len(found)) for seconds, _ in found] for stage, found in times.items()}
    TIMES.write_text(json.dumps(stages, indent=1) + "\n")
    for stage, found in stages.items():
        print(f"{stage}: {len(found)} tasks, {1e9 * Stage(stage, found).per_byte:.2f} ns per byte of text")


# ---------------------------------------------------------------- the simulation


def simulate(stages: list[Stage], slots: int, text: float, shard: float, storage: float, seed: int = 0) -> Outcome:
    """All stages in order on so many cores."""
    chance, clock, worked = random.Random(seed), 0.0, 0.0
    taken: dict[str, float] = {}
    given = 0
    for stage in stages:
        seconds = list(durations(stage, text, shard, storage, slots, chance))
        taken[stage.kind] = run_stage(seconds, slots)
        clock += taken[stage.kind]
        worked += sum(seconds)
        given += len(seconds)
    return Outcome(clock, taken, worked / clock / slots, given * GIVE / clock)


def durations(
    stage: Stage, text: float, shard: float, storage: float, slots: int, chance: random.Random
) -> Iterator[float]:
    """What each task of a stage takes, the longest first as the engine gives them out."""
    by_shard = stage.kind.startswith(BY_SHARD)
    size = min(shard, text) if by_shard else ROOM
    count = max(1, round(text / size))
    moved = size * PACKED * (1.0 if stage.per_byte > READS else 0.1)
    least = moved * min(slots, count) / storage
    drawn = chance.choices([seconds / bytes for seconds, bytes in stage.tasks], k=count)
    rates = drawn if by_shard else [stage.per_byte] * count
    return iter(sorted((max(least, rate * size) for rate in rates), reverse=True))


def run_stage(seconds: list[float], slots: int) -> float:
    """When the last task ends. Events are the ends of tasks; a task begins when it is given out and a core is free."""
    free = [0.0] * min(slots, len(seconds))
    flying: list[float] = []
    driver = 0.0
    for duration in seconds:
        while len(flying) >= AHEAD * slots:
            driver = max(driver, heapq.heappop(flying))
        driver += GIVE
        end = max(driver, heapq.heappop(free)) + duration
        heapq.heappush(free, end)
        heapq.heappush(flying, end)
    return max(free)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", type=Path, metavar="DOCUMENTS")
    parser.add_argument("--nodes", nargs="+", type=int, default=[1, 10, 100, 1_000])
    parser.add_argument("--cores", type=int, default=64)
    parser.add_argument("--text", type=float, default=15e12, help="bytes")
    parser.add_argument("--shards", nargs="+", type=float, default=[1e9, 100e6], help="bytes of text of a shard")
    parser.add_argument("--storage", type=float, default=100e9, help="bytes a second for all tasks")
    given = parser.parse_args()
    if given.record:
        record(given.record)
        return
    stages = [Stage(kind, tasks) for kind, tasks in json.loads(TIMES.read_text()).items()]
    rows = [["shard", "nodes", "cores", "minutes", "speed-up", "cores busy", "driver busy", "longest stages"]]
    for shard in given.shards:
        base = 0.0
        for nodes in given.nodes:
            found = simulate(stages, nodes * given.cores, given.text, shard, given.storage)
            base = base or found.seconds * nodes
            longest = sorted(found.stages.items(), key=lambda item: -item[1])[:3]
            told = ", ".join(f"{kind} {seconds / found.seconds:.0%}" for kind, seconds in longest)
            cells = [f"{shard / 1e6:,.0f} MB", f"{nodes:,}", f"{nodes * given.cores:,}", f"{found.seconds / 60:,.1f}"]
            rows.append([*cells, f"{base / found.seconds:,.0f}x", f"{found.busy:.0%}", f"{found.driver:.0%}", told])
    print(table_text(rows, left=1))


if __name__ == "__main__":
    main()
