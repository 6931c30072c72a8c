"""The grouping of near-duplicates at scale: N synthetic signatures through the real tasks, in a stated memory.

    python -m benchmarks.dedup_scale --documents 1_000_000 10_000_000 50_000_000 --memory 4GB --folder /big/disk

A fifth of the documents are near-copies (J = 0.95) of others, anywhere in the corpus; one in a hundred is a copy of one
page. With `--one-page` all of them are. Signatures (128 slots), keys (9 bands of 13) and ids are as a pass would
leave them; to write them is not timed. Every size is recorded in dedup_scale.json, from which the table in RESULTS.md
and the plot dedup_scale.svg are made anew (`--plot` does only that).
"""

from __future__ import annotations

import argparse
import json
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
from curate.execute import corpus, local
from curate.execute.batches import BatchWriter
from curate.execute.dedup import KIND
from curate.execute.members import DOCUMENTS, KEYS
from curate.execute.overlay import ERROR, ROWS
from curate.execute.tasks import Task, save_plan
from curate.kernels.mixing import mix
from curate.lsh import signature_array
from curate.plan import Plan, stored
from curate.recipe import Recipe
from curate.store import Store

SHARD, BATCH, SLOTS = 500_000, 25_000, 128
HERE = Path(__file__).resolve().parent
ROWS_FILE, PLOT, RESULTS = HERE / "dedup_scale.json", HERE / "dedup_scale.svg", HERE / "RESULTS.md"
BEGIN, END = "<!-- benchmarks.dedup_scale -->\n", "<!-- end -->\n"
COLORS = ("#1f6f8b", "#d1603d", "#5b8c5a", "#7a5195")


def signatures(first: int, rows: int, one_page: bool = False) -> np.ndarray:
    """uint32[rows, SLOTS]. Every fifth document is like one before it, anywhere; every hundredth is one page."""
    number = np.arange(first, first + rows, dtype=np.uint64)
    is_copy, is_page = number % np.uint64(5) == 0, one_page | (number % np.uint64(100) == 7)
    original = np.where(is_page, np.uint64(7), np.where(is_copy, mix(number, 5) % (number + np.uint64(1)), number))
    slots = np.arange(SLOTS, dtype=np.uint64)
    values = mix(original[:, None] * np.uint64(SLOTS) + slots, 0)
    own = mix(number[:, None] * np.uint64(SLOTS) + slots, 1)
    is_edited = (is_copy & ~is_page)[:, None] & (own % np.uint64(40) == 0)
    return np.where(is_edited, own, values).astype(np.uint32)


def write(plan: Plan, store: Store, documents: int, one_page: bool = False) -> None:
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
                sketch = pa.table({"signature": signature_array(signatures(first, count, one_page))})
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
    """The largest memory of this process and its children, while a block runs: together (what they share, such as a
    file that is mapped by both, counts once: PSS) and of one (RSS). To look costs CPU time too (`spent`, in seconds),
    the more of files is mapped, the more."""

    def __enter__(self) -> Peak:
        self.together = self.one = 0
        self.spent = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *how: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        me = psutil.Process()
        while not self._over.wait(0.5):
            sizes = [*_sizes([me, *me.children(recursive=True)])]
            self.together = max(self.together, sum(shared for shared, _ in sizes))
            self.one = max(self.one, *(own for _, own in sizes))
            self.spent = time.thread_time()


def _sizes(processes: list[psutil.Process]) -> Iterator[tuple[int, int]]:
    for process in processes:
        try:
            found = process.memory_full_info()
            yield found.pss, found.rss
        except psutil.Error:
            continue


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def planned(folder: Path, documents: int) -> tuple[Plan, Store]:
    """A recipe over shards of so many documents, whose text nobody reads."""
    shutil.rmtree(folder, ignore_errors=True)
    source = folder / "shards"
    source.mkdir(parents=True)
    for number in range(-(-documents // SHARD)):
        (source / f"{number:05d}.jsonl").write_text(f'{{"id": "{number}", "text": ""}}\n')
    steps = "steps: [dedup_minhash: {bands: 9, rows: 13, verify: estimate}]"
    plan = plan_recipe(Recipe.parse(f"name: scale\nsources: {{all: {{path: {source}}}}}\n{steps}\n"))
    return plan, Store(str(folder / "out"))


def group(folder: Path, documents: int, config: Config, one_page: bool) -> dict[str, Any]:
    """One size: write, group; what it took and found."""
    plan, store = planned(folder, documents)
    write(plan, store, documents, one_page)
    task = Task("pass", save_plan(plan, store, plan.key), store, config, 0)
    cpu, began = _cpu(), time.perf_counter()
    executor: Any = make_executor(config)
    stages: dict[str, float] = {}
    with Peak() as peak:
        facts = corpus.decide(plan, store, plan.passes[0], task, clocked(executor, stages))
        executor.close()
        local.dismiss()  # what they have used is known when they have ended
    seconds, cpu = time.perf_counter() - began, _cpu() - cpu - peak.spent
    if config.workers == 1:
        print("CPU seconds:", ", ".join(f"{name} {spent:.2f}" for name, spent in stages.items()))
    shutil.rmtree(folder)
    row = {"documents": documents, "memory": config.memory, "workers": config.workers, "one_page": one_page}
    row |= {"seconds": round(seconds, 1), "cpu": round(cpu, 1), "peak_together": peak.together // 1_000_000}
    row |= {"peak_one": peak.one // 1_000_000}
    return row | {name: facts[name] for name in ("candidates", "pairs", "clusters", "copies")}


def in_memory(documents: int) -> str:
    """CPU time of one core from band keys in memory (9 a document; a fifth of them are near-copies) to clusters."""
    from curate.execute.pairs import candidates
    from curate.kernels.components import components, unpack

    number = np.arange(documents, dtype=np.uint64)
    is_copy = number % np.uint64(5) == 0
    original = np.where(is_copy, number // np.uint64(2) | np.uint64(1), number)
    parts = []
    for start in range(0, documents, BATCH):
        rows = slice(start, start + BATCH)
        band = np.arange(9, dtype=np.uint64)
        is_shared = ~is_copy[rows, None] | (mix(number[rows, None] * np.uint64(9) + band, 3) % np.uint64(2) == 0)
        of = np.where(is_shared, original[rows, None], number[rows, None] + np.uint64(documents))
        keys = mix(of * np.uint64(9) + band, 4).ravel()
        order = np.argsort(keys)
        parts.append((keys[order], np.repeat(number[rows], 9)[order].astype(np.uint32)))
    began = time.process_time()
    pairs = np.concatenate([*candidates(parts, lambda items: (items, items), documents)])
    paired = time.process_time() - began
    clusters = components(documents, *unpack(pairs))
    spent = time.process_time() - began
    joined = int((clusters != np.arange(documents)).sum())
    return (
        f"{documents:,} documents x 9 bands in memory: {spent:.2f} s CPU, of it pairs {paired:.2f} s; {joined:,} joined"
    )


def clocked(executor: Any, stages: dict[str, float]) -> Any:
    """The executor's map, which adds up the CPU time of this process by stage (with one worker: all of it)."""

    def run(tasks: Any) -> Iterator[Any]:
        began = time.process_time()
        for task, facts in executor.map(tasks):
            stage = task.kind.removeprefix(KIND)
            stages[stage] = stages.get(stage, 0.0) + time.process_time() - began
            yield task, facts
            began = time.process_time()

    return run


# ---------------------------------------------------------------- what was recorded


def recorded() -> list[dict[str, Any]]:
    return json.loads(ROWS_FILE.read_text()) if ROWS_FILE.exists() else []


def record(row: dict[str, Any]) -> None:
    """Keep a row in the place of an earlier one of the same kind."""
    kind = ("documents", "memory", "workers", "one_page")
    rows = [each for each in recorded() if [each[name] for name in kind] != [row[name] for name in kind]]
    rows = sorted([*rows, row], key=lambda each: [each[name] for name in reversed(kind)])
    ROWS_FILE.write_text("[\n" + ",\n".join(json.dumps(each) for each in rows) + "\n]\n")


def table(rows: list[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    lines = [
        "| documents | memory | workers | s | CPU s | us CPU a document | peak MB, all | of one | clusters | copies |"
    ]
    lines.append("|--:" * 10 + "|")
    for row in rows:
        what = f"{row['documents']:,}" + (" (all one page)" if row["one_page"] else "")
        cells = [what, row["memory"], row["workers"], row["seconds"], row["cpu"], f"{cost(row):.2f}"]
        cells += [f"{row[name]:,}" for name in ("peak_together", "peak_one", "clusters", "copies")]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def cost(row: dict[str, Any]) -> float:
    """Microseconds of CPU for a document."""
    return float(row["cpu"]) / row["documents"] * 1e6


def show(rows: list[dict[str, Any]]) -> None:
    """Put the table into RESULTS.md and draw the plot."""
    text = RESULTS.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    RESULTS.write_text(before + BEGIN + "\n" + table(rows) + "\n" + END + after, encoding="utf-8")
    PLOT.write_text(plot([row for row in rows if not row["one_page"]]), encoding="utf-8")


def plot(rows: list[dict[str, Any]]) -> str:
    """CPU for a document by number of documents (logarithmic), a line for each memory and number of workers, as SVG."""
    wide, high, left, top, bottom = 640, 320, 60, 30, 50
    sizes = [row["documents"] for row in rows] or [1, 10]
    low, span = np.log10(min(sizes)), max(0.1, float(np.log10(max(sizes) / min(sizes))))
    most = max([1.2 * cost(row) for row in rows] or [1.0])
    x = lambda documents: left + (np.log10(documents) - low) / span * (wide - left - 30)  # noqa: E731
    y = lambda value: high - bottom - value / most * (high - top - bottom)  # noqa: E731
    made = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" font-family="sans-serif" font-size="12">'
    ]
    made.append(f'<text x="{left}" y="16">microseconds of CPU for a document, by number of documents</text>')
    for value in np.linspace(0, most, 5):
        made.append(f'<path d="M{left} {y(value):.1f}H{wide - 30}" stroke="#ddd"/>')
        made.append(f'<text x="{left - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.1f}</text>')
    for size in sorted({*sizes}):
        at = f'x="{x(size):.1f}" y="{high - bottom + 18}"'
        made.append(f'<text {at} text-anchor="middle">{size / 1e6:g} M</text>')
    lines: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        lines.setdefault(f"{row['memory']}, {row['workers']} worker{'s' * (row['workers'] > 1)}", []).append(row)
    for number, what in enumerate(what for what in lines if len(lines[what]) > 1):
        points = [(x(row["documents"]), y(cost(row))) for row in lines[what]]
        color = COLORS[number % len(COLORS)]
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        made.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
        made += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="4" fill="{color}"/>' for a, b in points]
        made.append(f'<text x="{left + 130 * number}" y="{high - 8}" fill="{color}">{what}</text>')
    return "\n".join([*made, "</svg>"]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", nargs="+", type=int, default=[], help="how many, e.g. 1_000_000 50_000_000")
    parser.add_argument("--memory", default="1GB")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--one-page", action="store_true", help="all documents are copies of one page")
    parser.add_argument("--folder", default="out/dedup-scale", help="needs 0.8 GB a million documents")
    parser.add_argument("--in-memory", type=int, metavar="N", help="only time N documents' keys in memory")
    parser.add_argument("--plot", action="store_true", help="only make the table and the plot anew")
    given = parser.parse_args()
    if given.in_memory:
        print(in_memory(given.in_memory))
        return
    for documents in () if given.plot else given.documents or [1_000_000]:
        config = Config(memory=given.memory, workers=given.workers)
        record(group(Path(given.folder), documents, config, given.one_page))
        print(table(recorded()), flush=True)
    show(recorded())


if __name__ == "__main__":
    main()
