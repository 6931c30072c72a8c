"""Ray beside the local executor on the same cores, and one Ray worker beside two; the bytes that come out are compared.

    python -m benchmarks.ray --corpus mix_150mb.jsonl.zst --shards 4 --rounds 3

Each run is a process of its own, which has its cluster and has done a small run before; what is timed is `run`, to the
last file. CPU seconds are those of all its processes, of Ray's own too; where the machine is not quiet, they say more
than seconds. Rounds take turns, so that what else the machine does is shared; a row has the medians. What many shards
cost the driver: `python -m benchmarks.shards`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import psutil  # type: ignore[import-untyped]
import zstandard

from benchmarks.end_to_end import MIX
from curate import Config, ops, read
from curate.execute import local
from curate.result import table_text

WAYS = [("local", 1), ("ray", 1), ("local", 2), ("ray", 2)]


def drive(folder: Path, executor: str, workers: int) -> dict[str, float | str]:
    """A small run, and the run that is timed."""
    local.PATIENCE = 0  # workers at once, however little there is to do
    config = Config(executor=executor, workers=workers)  # type: ignore[arg-type]
    if executor == "ray":
        import ray

        ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, object_store_memory=100_000_000)
    found: dict[str, float | str] = {}
    for part in ("warm", "shards"):
        out = folder / f"out-{part}"
        corpus = read(str(folder / part)) | ops.Gopher() | ops.Keep(rules={"words": "gopher_word_count >= 20"})
        began, spent = time.perf_counter(), cpu()
        corpus.run(str(out), config)
        found = {"seconds": time.perf_counter() - began, "cpu": cpu() - spent, "bytes": digest(out)}
        shutil.rmtree(out)
    return found


def cpu() -> float:
    """Of this process, of those that have ended, and of those that it has now."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    spent = sum(each.ru_utime + each.ru_stime for each in used)
    for process in psutil.Process().children(recursive=True):
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        spent += times.user + times.system
    return spent


def digest(out: Path) -> str:
    """Of the documents and annotations that a run wrote."""
    files = [file for part in ("data", "annotations") for file in sorted((out / part).iterdir())]
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()[:16]


def report(corpus: Path, shards: int, rounds: int) -> None:
    folder = Path(tempfile.mkdtemp(prefix="bench-ray"))
    for part in ("warm", "shards"):
        (folder / part).mkdir()
    with corpus.open("rb") as file:
        lines = zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(file).read(4_000_000).splitlines(True)
    for number in range(2):
        (folder / "warm" / f"{number:03d}.jsonl.zst").write_bytes(zstandard.compress(b"".join(lines[number:-1:2])))
    for number in range(shards):
        shutil.copy(corpus, folder / "shards" / f"{number:03d}.jsonl.zst")
    rows: dict[tuple[str, int], list[dict[str, float]]] = {way: [] for way in WAYS}
    seen = set()
    for _ in range(rounds):
        for executor, workers in WAYS:
            command = [sys.executable, "-m", "benchmarks.ray", "--drive", str(folder), executor, str(workers)]
            told = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
            found = json.loads(told.splitlines()[-1])
            seen.add(found.pop("bytes"))
            rows[executor, workers].append(found)
            print(executor, workers, found, file=sys.stderr, flush=True)
    shutil.rmtree(folder)
    show(rows)
    print(f"bytes: {'equal in all runs' if len(seen) == 1 else 'DIFFERENT'}")


def show(rows: dict[tuple[str, int], list[dict[str, float]]]) -> None:
    middle = {
        way: {unit: median(one[unit] for one in found) for unit in ("seconds", "cpu")} for way, found in rows.items()
    }
    table = [["executor", "workers", "seconds", "CPU s", "seconds over local", "CPU over local"]]
    for (executor, workers), found in middle.items():
        alone = middle["local", workers]
        over = (
            [f"{found[unit] / alone[unit] - 1:+.0%}" for unit in ("seconds", "cpu")] if executor == "ray" else ["", ""]
        )
        table.append([executor, str(workers), f"{found['seconds']:.1f}", f"{found['cpu']:.1f}", *over])
    print(table_text(table, left=1))
    for executor in ("local", "ray"):
        pairs = zip(rows[executor, 1], rows[executor, 2], strict=True)
        each = ", ".join(f"{one['seconds'] / two['seconds']:.2f}" for one, two in pairs)
        speed = middle[executor, 1]["seconds"] / middle[executor, 2]["seconds"]
        print(f"{executor}: 2 workers over 1 {speed:.2f}x (round by round {each})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=MIX)
    parser.add_argument("--shards", type=int, default=4, help="how many times the corpus, each a shard")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--drive", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.drive:
        folder, executor, workers = given.drive
        print(json.dumps(drive(Path(folder), executor, int(workers))))
        return
    report(given.corpus, given.shards, given.rounds)


if __name__ == "__main__":
    main()
