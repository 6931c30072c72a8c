"""The project's own shards: the good ones without loss, the broken ones as their table says."""

from __future__ import annotations

import gzip
import lzma
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import zstandard

from curate.errors import DataError
from curate.io.source import BadRecord, Source, discover, read, schema

Load = Callable[..., Any]
DATA = Path(__file__).resolve().parents[1] / "data"
# The table counts a JSON array as a bad record; it stops the reader, because it means that the whole file is one.
STOPS = {"json-array.jsonl": (0, 0, "yes")}


def table() -> list[tuple[str, int, int, str]]:
    lines = (DATA / "broken/README.md").read_text("utf-8").splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| ")][1:]
    return [(name, *STOPS.get(name, (int(good), int(bad), damage))) for name, _, good, bad, damage in rows]


@pytest.mark.parametrize(("name", "good", "bad", "damage"), table(), ids=lambda value: str(value))
def test_broken_shards(name: str, good: int, bad: int, damage: str) -> None:
    source = Source(path=str(DATA / "broken" / name))
    found: list[BadRecord] = []
    rows = 0
    error = ""
    try:
        (shard,) = discover("web", source)
        for batch in read(shard, source, schema(source, [shard]), 1 << 20, found.append):
            rows += batch.num_rows
    except DataError as stopped:
        error = str(stopped)
    assert (rows, len(found)) == (good, bad)
    assert bool(error) == (damage == "yes")
    assert not error or name in error


def records(path: Path) -> int:
    opened = {".gz": gzip.open, ".xz": lzma.open, ".zst": zstandard.open, ".jsonl": Path.open}
    if path.suffix == ".parquet":
        return pq.read_metadata(path).num_rows
    with opened[path.suffix](path, "rb") as file:  # type: ignore[operator]
        return sum(bool(line.strip()) for line in file.read().split(b"\n"))


def test_good_shards(load: Load) -> None:
    shards = sorted(path for path in (DATA / "shards").iterdir() if path.is_file())
    got = load(DATA / "shards", columns={"language": "language", "url": "url"})
    assert [shard.name for shard in got.shards] == [path.name for path in shards]
    assert len(got.table) == sum(map(records, shards))
    assert got.bad == []
    assert got.table.schema.names == ["id", "text", "language", "url", "metadata", "source"]
    assert [got.table[name].null_count for name in ("id", "text", "source")] == [0, 0, 0]


def test_declaring_a_source_loads_no_heavy_library() -> None:
    heavy = {"pyarrow.json", "pyarrow.parquet", "fsspec", "zstandard", "datasets", "polars"}
    code = f"import sys, curate.io.source; print({heavy} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
