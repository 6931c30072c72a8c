"""A recipe in a loop, killed at random moments under a limit of memory: is every result the same, is memory flat?

python -m benchmarks.soak RECIPE [--minutes N] [--memory MB] [--workers N] [--seed S]
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np


def digest(folder: Path) -> str:
    """Of the bytes of all data and annotations."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    files = [(file["path"], file["sha256"]) for part in ("data", "annotations") for file in manifest[part]]
    real = [hashlib.sha256((folder / path).read_bytes()).hexdigest() for path, _ in files]
    assert real == [sha256 for _, sha256 in files], "the manifest tells of other bytes"
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()


def attempt(command: list[str], seconds: float | None, memory: int) -> tuple[int, int]:
    """Run once, killed after so many seconds; the exit status, and the most memory (MB) that one process had."""
    limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (memory << 20, memory << 20))  # noqa: E731
    running = subprocess.Popen(command, start_new_session=True, preexec_fn=limit, stdout=subprocess.DEVNULL)
    end = threading.Timer(seconds or 0, _kill, [running.pid])
    if seconds is not None:
        end.start()
    _, status, used = os.wait4(running.pid, 0)
    end.cancel()
    running.returncode = os.waitstatus_to_exitcode(status)
    return running.returncode, used.ru_maxrss >> 10


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it was done just then
        os.killpg(group, signal.SIGKILL)


def quarters(peaks: list[int]) -> list[list[int]]:
    """The peaks in four parts, in the order of time; with fewer runs, fewer parts.

    >>> quarters([1, 2, 3, 4, 5])
    [[1, 2], [3, 4], [5]]
    """
    size = -(-len(peaks) // 4)
    return [peaks[start : start + size] for start in range(0, len(peaks), size)]


def slope(peaks: list[int]) -> float:
    """How much a later run takes more than the one before, in MB: near 0 when memory is flat."""
    return float(np.polyfit(np.arange(len(peaks)), peaks, 1)[0]) if len(peaks) > 1 else 0.0


def _range(peaks: list[int]) -> str:
    return f"{min(peaks)} to {max(peaks)}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--memory", type=int, default=16_000, help="MB of address space for each process")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    chance, began, digests, peaks, kills = random.Random(given.seed), time.monotonic(), set[str](), list[int](), 0
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        command = [sys.executable, "-m", "curate.cli", "run", given.recipe, "--output", str(out), "--quiet"]
        command += ["--workers", str(given.workers)]
        whole = 5.0
        while time.monotonic() - began < 60 * given.minutes:
            shutil.rmtree(out, ignore_errors=True)
            tries = chance.randint(0, 3) if peaks else 0
            for _ in range(tries):
                kills += attempt(command, chance.uniform(0.2, whole), given.memory)[0] < 0
            start = time.monotonic()
            code, peak = attempt(command, None, given.memory)
            if code:
                print(f"a run failed ({code}) after {kills} kills")
                return 1
            if not tries:  # as long as a run takes now: kernels are compiled in the first, the machine may be busy
                whole = time.monotonic() - start
            digests.add(digest(out))
            peaks.append(peak)
            so_far = f"{len(peaks)} runs, {kills} kills, {len(digests)} result(s), the last {peak} MB"
            print(f"{time.monotonic() - began:6.0f} s: {so_far}", flush=True)
    print(f"{len(peaks)} runs, {kills} kills, {len(digests)} result(s), peak memory {min(peaks)} to {max(peaks)} MB")
    print(f"peaks by quarter: {', '.join(map(_range, quarters(peaks)))} MB; least squares {slope(peaks):+.2f} MB a run")
    return 0 if len(digests) == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
