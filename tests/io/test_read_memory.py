"""A shard of any size is read in bounded memory: measured in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

READ = """
import pathlib, re, sys
from curate.io.source import Source, discover, read, schema
def peak():
    # Not getrusage: its peak starts with that of the process this one was forked from.
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1]) >> 10

source = Source(path=sys.argv[1])
(shard,) = discover("web", source)
columns = schema(source, [shard])
rows, before = 0, 0
for batch in read(shard, source, columns, 8 << 20, print):
    rows += batch.num_rows
    before = before or peak()
print(rows, before, peak())
"""
ROWS = 40_000


pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """40,000 texts of about 8 kB, 330 MB in all, a few of them 100 times as long."""
    words = np.random.default_rng(0).integers(0, 10**6, 2_000).astype(str)
    page = " ".join(words)
    return [f"{n} " + (page[n % 5_000 :][:8_000] if n % 10_000 else page * 60) for n in range(ROWS)]


def measure(path: Path) -> tuple[int, int, int]:
    """Rows, and peak memory in MB after the first batch and at the end."""
    done = subprocess.run([sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=True)
    rows, first, last = map(int, done.stdout.split())
    print(f"{path.name}: {first} MB after the first batch, {last} MB at the end")
    return rows, first, last


@pytest.mark.parametrize("has_extra", [False, True])
def test_a_large_archive_of_json_lines(tmp_path: Path, texts: list[str], has_extra: bool) -> None:
    extra = ', "extra": 1' if has_extra else ""
    with zstandard.open(tmp_path / "a.jsonl.zst", "wb") as file:
        for n, text in enumerate(texts):
            file.write(f'{{"id": "{n}", "text": "{text}"{extra}}}\n'.encode())
    rows, first, last = measure(tmp_path / "a.jsonl.zst")
    assert rows == ROWS
    assert last - first < 100
    assert last < 500


def test_a_large_row_group_of_parquet(tmp_path: Path, texts: list[str]) -> None:
    table = pa.table({"id": [str(n) for n in range(ROWS)], "text": texts})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=ROWS, compression="zstd", use_dictionary=False)
    rows, first, last = measure(tmp_path / "a.parquet")
    assert rows == ROWS
    assert last - first < 100
    assert last < 500
