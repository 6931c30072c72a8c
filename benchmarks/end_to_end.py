"""From .jsonl.zst to annotated Parquet with Gopher signals and MinHash signatures: speed, scaling, overhead, memory.

    python -m benchmarks.end_to_end [--documents mix_150mb.jsonl.zst] [--variants 8] [--runs 3]

The corpus is the documents and, so that start-up does not hide the rate, variants of them with their words shuffled
(other n-grams, same words). Every run is a process of its own. Its first run, on small pieces, starts the workers,
which load libraries and compiled kernels and stay for the second, which is timed. Near-duplicates are told by their
signatures (`verify: estimate`): to look at the shingles of pairs in doubt costs one more read of the text. One worker
is pinned to one core. The engine's own share is what is neither operators, reading nor writing.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from curate.result import table_text

MIX = Path(__file__).resolve().parents[2] / "shared/data/mix_150mb.jsonl.zst"
SHARDS = 6  # of 25 MB of text each
STEPS = """
steps:
  - gopher
  - keep:
      rules:
        words: {column: gopher_word_count, min: 50, max: 100000}
        repeated_lines: {column: gopher_duplicate_line_ratio, max: 0.3}
  - dedup_minhash: {verify: estimate}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=Path, default=MIX)
    parser.add_argument("--variants", type=int, default=8, help="how many times the documents, one of them as they are")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--one", nargs=2, metavar=("FOLDER", "WORKERS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one_run(Path(given.one[0]), int(given.one[1]))))
        return
    if not given.documents.exists():
        sys.exit(f"no documents at {given.documents}: give a .jsonl.zst file with --documents")
    with tempfile.TemporaryDirectory() as folder:
        # In a process of its own: what it holds would count as the peak of those that are timed.
        cutting = multiprocessing.get_context("spawn").Process(
            target=cut, args=(given.documents, Path(folder), given.variants)
        )
        cutting.start()
        cutting.join()
        report(Path(folder), given.runs)


def cut(documents: Path, folder: Path, variants: int) -> None:
    """The documents and their variants as shards, and small pieces of them to warm up on."""
    import zstandard

    with documents.open("rb") as file:
        lines = zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(file).read().splitlines(keepends=True)
    parts = {f"warm/warm-{piece}": lines[piece :: len(lines) // 50] for piece in range(8)}
    parts |= {f"mix/mix-0-{shard:02d}": lines[shard::SHARDS] for shard in range(SHARDS)}
    for variant in range(1, variants):
        for shard in range(SHARDS):
            parts[f"mix/mix-{variant}-{shard:02d}"] = [shuffled(line, variant) for line in lines[shard::SHARDS]]
    for name, part in parts.items():
        path = folder / f"{name}.jsonl.zst"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(zstandard.compress(b"".join(part), 3))


def shuffled(line: bytes, variant: int) -> bytes:
    """A document with its words in another order within each line."""
    record = json.loads(line)
    chance = random.Random(f"{variant}:{record['id']}")
    rows = [row.split(" ") for row in record["text"].split("\n")]
    for row in rows:
        chance.shuffle(row)
    record |= {"text": "\n".join(map(" ".join, rows)), "id": f"{record['id']}-{variant}"}
    return json.dumps(record, ensure_ascii=False).encode() + b"\n"


def one_run(folder: Path, workers: int) -> dict[str, Any]:
    """In a process of its own: warm up, then time one whole run."""
    import curate
    from curate.config import Config
    from curate.execute import local

    local.PATIENCE = 0  # workers at once, however little there is to do

    timings = {}
    for name in ("warm", "mix"):
        source = f"name: {name}\nsources: {{mix: {{path: {folder / name}, columns: {{url: url, language: lang}}}}}}"
        out = folder / f"out-{name}-{workers}-{os.getpid()}"
        recipe = curate.Recipe.parse(f"{source}{STEPS}output: {{path: {out}, file_size: 32MB}}")
        began, cpu = time.perf_counter(), time.process_time()
        result = curate.run(recipe, Config(workers=workers))
        timings[name] = (time.perf_counter() - began, time.process_time() - cpu)
    local.dismiss()  # their memory is known when they have ended
    events = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    clock = next(event["clock"] for event in events if event["event"] == "run")
    first = result.manifest["funnel"]["steps"][0]
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return {
        "seconds": timings["mix"][0],
        "cpu": timings["mix"][1],
        "documents": first["documents"],
        "bytes": first["bytes"],
        "clock": clock,
        "rss": max(own, worker) / 1024,
    }


def report(folder: Path, runs: int) -> None:
    """One and two workers in turn; medians."""
    timed: dict[int, list[dict[str, Any]]] = {1: [], 2: []}
    for _ in range(runs):
        for workers, done in timed.items():
            pin = ["taskset", "-c", "0"] if workers == 1 and Path("/usr/bin/taskset").exists() else []
            command = [*pin, sys.executable, "-m", "benchmarks.end_to_end", "--one", str(folder), str(workers)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            done.append(json.loads(output.splitlines()[-1]))
    rows = [["workers", "seconds", "CPU s", "MB/s", "documents/s", "peak MB per process"]]
    for workers, done in timed.items():
        seconds, first = median(run["seconds"] for run in done), done[0]
        rate, documents = first["bytes"] / seconds / 1e6, first["documents"] / seconds
        cpu = f"{median(run['cpu'] for run in done):.2f}" if workers == 1 else "-"
        peak = max(run["rss"] for run in done)
        rows.append([str(workers), f"{seconds:.2f}", cpu, f"{rate:.1f}", f"{documents:,.0f}", f"{peak:.0f}"])
    print(table_text(rows, left=1))
    pairs = [one["seconds"] / two["seconds"] for one, two in zip(timed[1], timed[2], strict=True)]
    print(f"\n2 workers over 1: {median(pairs):.2f}x (pair by pair: {', '.join(f'{pair:.2f}' for pair in pairs)})")
    print(f"\nwhere the time of one worker goes (median run of {runs}):")
    print(shares(sorted(timed[1], key=lambda run: run["seconds"])[runs // 2]))


def shares(run: dict[str, Any]) -> str:
    """Operators, reading, writing, and what is left: the engine."""
    clock = dict(run["clock"])
    del clock["total"]
    clock["engine"] = run["seconds"] - sum(clock.values())
    rows = [["part", "seconds", "share"]]
    rows += [[part, f"{seconds:.2f}", f"{seconds / run['seconds']:.1%}"] for part, seconds in clock.items()]
    return table_text(rows, left=1)


if __name__ == "__main__":
    main()
