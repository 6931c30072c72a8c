"""Memory is bounded by the batch size, whatever the size of a shard.

CURATE_SHARD_MB=2000 makes the shard larger than the 300 MB of a normal test run.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

MB = 1_000_000
SHARD = int(os.environ.get("CURATE_SHARD_MB", "300")) * MB
LIMIT = 900 * MB
CORPUS = Path(__file__).resolve().parents[1] / "data/corpus"


def documents(size: int, seed: int = 7) -> Iterator[bytes]:
    """JSON Lines of that many bytes: documents of sentences drawn from the test corpus, lengths all over the place."""
    chance = random.Random(seed)
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(CORPUS.rglob("*.txt")))
    sentences = [line for line in re.split(r"(?<=[.!?。])\s|\n", text) if len(line) > 20 and not line.startswith("===")]
    quoted = [json.dumps(sentence + " ", ensure_ascii=False)[1:-1].encode() for sentence in sentences]
    total = number = 0
    while total < size:
        count = int(chance.paretovariate(1.2) * 8)
        body = b"".join(chance.choices(quoted, k=min(count, 2000)))
        line = b'{"id": "d%d", "text": "%s"}\n' % (number, body)
        total, number = total + len(line), number + 1
        yield line


@pytest.fixture
def shard(tmp_path: Path) -> Iterator[Path]:
    import zstandard

    path = tmp_path / "shards" / "large.jsonl.zst"
    path.parent.mkdir()
    with path.open("wb") as file, zstandard.ZstdCompressor(level=1).stream_writer(file) as writer:
        for line in documents(SHARD):
            writer.write(line)
    yield path
    path.unlink()


def high_water(pid: int) -> int:
    """Peak memory of a process so far. (What wait4 tells includes the process that started it.)"""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_a_large_shard_runs_in_little_memory(lab: Any, shard: Path) -> None:
    lab.write(
        "recipe.yaml",
        "name: large\nsources: {d: {path: shards}}\nsteps:\n  - gopher\n"
        "  - keep: {rules: {gopher_word_count: {min: 20}}}\n  - dedup_minhash\n"
        "output: {path: out, file_size: 64MB}\n",
    )
    lab.write("small.yaml", "batch_size: 8MB\n")
    process = lab.start("run", "recipe.yaml", "--workers", "1", "--config", "small.yaml")
    peak = 0
    while process.poll() is None:
        peak = max(peak, high_water(process.pid))
        time.sleep(0.05)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    manifest = lab.result().manifest
    assert manifest["records"] > SHARD / 10_000
    assert len(manifest["data"]) > SHARD / 100 / MB
    print(f"\n{manifest['records']:,} documents, peak {peak / MB:,.0f} MB\n{errors}")
    assert peak < LIMIT


FAULTS = """
import resource
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from curate.execute import memory

numbers = pa.array(np.ones(1 << 17))

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    held = [np.ones(1 << 20, np.uint8) for _ in range(100)]
    held += [pc.add(numbers, 1) for _ in range(100)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

memory.treat(in_batches=True)
print(faults(), faults())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the memory is reused by glibc's mallopt")
def test_the_memory_of_one_batch_serves_the_next() -> None:
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    first, second = map(int, done.stdout.split())
    assert first > 10 * second
