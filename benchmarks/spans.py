"""Lines and runs of words that repeat: speed of each step, what is cut, cost of what repeats without end, peak memory.

    python -m benchmarks.spans [--documents mix_150mb.jsonl.zst] [--megabytes 20] [--whole]

One process, one core, CPU time; the text is in memory in batches of 8 MB, as a run holds it. `--whole` also runs
recipes over the whole file with one worker, each in a process of its own, and says how much memory that took.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import zstandard

from curate.evaluate import fitted
from curate.operator import Columns, Trainer
from curate.operators.repeats import DedupLines, DedupSubstrings
from curate.result import table_text

MIX = Path(__file__).resolve().parents[2] / "shared/data/mix_150mb.jsonl.zst"
BATCH = 8_000_000
OPERATORS: dict[str, Trainer] = {
    "dedup_lines": DedupLines(min_length=20),
    "dedup_lines, keep: none": DedupLines(min_length=20, keep="none"),
    "dedup_lines, paragraphs": DedupLines(unit="paragraph"),
    "dedup_lines, 3 sentences": DedupLines(unit="sentence", span=3),
    "dedup_substrings, 50 words": DedupSubstrings(),
    "dedup_substrings, 200 bytes": DedupSubstrings(min_tokens=200, tokens="bytes"),
}
ENDLESS = {
    "one page, again and again": lambda n: ["It is this page of some forty letters. " * 50] * (n // 1950),
    "one letter, again and again": lambda n: ["a " * (n // 2)],
    "nothing repeats": lambda n: [" ".join(map(str, range(at, at + 2000))) for at in range(0, n // 8, 2000)],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=Path, default=MIX)
    parser.add_argument("--megabytes", type=float, default=20)
    parser.add_argument("--whole", action="store_true")
    given = parser.parse_args()
    if not given.documents.exists():
        sys.exit(f"no documents at {given.documents}: give a .jsonl.zst file with --documents")
    if given.whole:  # before this process grows: a child counts what its parent held
        heads = ["recipe over the whole file", "CPU s", "MB/s", "peak MB"]
        runs = [[name, *whole(given.documents, name)] for name in ("dedup_lines", "dedup_substrings")]
        print(table_text([heads, *runs], left=1) + "\n")
    shards = [*batches(read(given.documents, given.megabytes * 1e6))]
    print(f"{size(shards) / 1e6:.1f} MB, {sum(len(shard['text']) for shard in shards):,} documents\n")
    heads = ["operator", "sketch MB/s", "fit MB/s", "apply MB/s", "all MB/s", "sketch bytes per byte", "cut"]
    print(table_text([heads, *([name, *steps(operator, shards)] for name, operator in OPERATORS.items())], left=1))
    print("\ndedup_substrings, 50 words: ns per byte by size\n")
    sizes = [1_000_000, 4_000_000, 16_000_000]
    rows = [[name, *(endless(make(n)) for n in sizes)] for name, make in ENDLESS.items()]
    print(table_text([["text", *(f"{n // 1_000_000} MB" for n in sizes)], *rows], left=1))


def read(path: Path, limit: float) -> Iterator[str]:
    """Texts up to a number of bytes."""
    with path.open("rb") as packed:
        stream = zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(packed)
        for line in io.TextIOWrapper(stream, encoding="utf-8"):
            text = json.loads(line)["text"]
            limit -= len(text.encode())
            yield text
            if limit < 0:
                return


def batches(texts: Iterator[str]) -> Iterator[Columns]:
    """Texts with their addresses, in batches."""
    held: list[str] = []
    row = room = 0
    for text in texts:
        if room >= BATCH:
            yield batch(held, row)
            row, room, held = row + len(held), 0, []
        held.append(text)
        room += len(text.encode())
    yield batch(held, row)


def batch(texts: list[str], row: int) -> Columns:
    return {"text": pa.array(texts), "row": pa.array(np.arange(row, row + len(texts)))}


def size(shards: list[Columns]) -> int:
    return sum(pc.sum(pc.binary_length(shard["text"])).as_py() for shard in shards)


def steps(operator: Any, shards: list[Columns]) -> list[str]:
    """MB/s of the steps, of all together, bytes handed over, code points that are cut."""
    operator.apply(**shards[0], model=fitted(operator, shards[:1]))  # compiled and loaded
    seconds = {"sketch": 0.0, "fit": 0.0, "apply": 0.0}
    model, handed, total = None, 0, size(shards)
    for _ in range(operator.rounds):
        before = {"model": model} if operator.rounds > 1 else {}
        began = time.process_time()
        sketches = [operator.sketch(**shard, **before) for shard in shards]
        done = time.process_time()
        model = operator.fit(pa.concat_tables(sketches).combine_chunks())
        seconds["fit"] += time.process_time() - done
        seconds["sketch"] += done - began
        handed += sum(sketch.nbytes for sketch in sketches)
    began = time.process_time()
    left = sum(pc.sum(pc.utf8_length(operator.apply(**shard, model=model)["text"])).as_py() for shard in shards)
    seconds["apply"] = time.process_time() - began
    read = sum(pc.sum(pc.utf8_length(shard["text"])).as_py() for shard in shards)
    rates = [f"{total / 1e6 / spent:,.0f}" for spent in (*seconds.values(), sum(seconds.values()))]
    return [*rates, f"{handed / total:.2f}", f"{1 - left / read:.1%}"]


def endless(texts: list[str]) -> str:
    """CPU time of a whole use."""
    shards = [*batches(iter(texts))]
    operator = DedupSubstrings()
    began = time.process_time()
    model = fitted(operator, shards)
    for shard in shards:
        operator.apply(**shard, model=model)
    return f"{(time.process_time() - began) / size(shards) * 1e9:.0f}"


def whole(documents: Path, step: str) -> list[str]:
    """A run of a recipe of one step, from .jsonl.zst to Parquet."""
    total = sum(len(text.encode()) for text in read(documents, 1e18))
    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder, "recipe.yaml")
        source = f"sources: {{all: {{path: '{documents.resolve()}'}}}}"
        recipe.write_text(f"name: spans\n{source}\nsteps: [{step}]\noutput: {{path: {folder}/out}}\n", "utf-8")
        command = [sys.executable, "-m", "curate.cli", "run", str(recipe), "--workers", "1", "--quiet"]
        _, failed, used = os.wait4(subprocess.Popen(command).pid, 0)
    if failed:
        sys.exit("the run failed")
    seconds = used.ru_utime + used.ru_stime
    return [f"{seconds:.1f}", f"{total / 1e6 / seconds:.1f}", f"{used.ru_maxrss / 1000:,.0f}"]


if __name__ == "__main__":
    main()
