"""Sources behind URLs: fsspec's memory, file and HTTP, and files inside an archive."""

from __future__ import annotations

import functools
import gzip
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import DataError

Load = Callable[..., Any]
LINES = b"".join(b'{"id": "%d", "text": "%s"}\n' % (n, b"word " * n) for n in range(200))


@pytest.fixture
def memory() -> Iterator[Any]:
    fs = fsspec.filesystem("memory")
    yield fs
    fs.store.clear()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    pytest.importorskip("aiohttp", reason="fsspec reads HTTP with aiohttp")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

        def send_header(self, name: str, value: str) -> None:
            if name == "Content-Length" and "broken" in self.path:
                value = str(int(value) + 1_000)
            super().send_header(name, value)

    (tmp_path / "served").mkdir()
    handler = functools.partial(Quiet, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_memory(memory: Any, load: Load) -> None:
    memory.pipe({"/data/a.jsonl.gz": gzip.compress(LINES), "/data/x/b.jsonl": LINES, "/data/README": b"hello"})
    for path in ("memory://data", "memory://data/**/*.jsonl*"):
        got = load(path)
        assert [shard.name for shard in got.shards] == ["a.jsonl.gz", "x/b.jsonl"]
        assert got.column("id") == [str(n) for n in range(200)] * 2
    assert len(load("memory://data/x/b.jsonl").table) == 200
    before = got.shards[1].key
    memory.pipe("/data/x/b.jsonl", LINES)
    assert load("memory://data").shards[1].key != before


def test_parquet_in_memory(memory: Any, load: Load) -> None:
    with memory.open("/data/a.parquet", "wb") as file:
        pq.write_table(pa.table({"text": ["x", "y"], "n": [1, 2]}), file)
    assert load("memory://data/*.parquet").column("n") == [1, 2]
    memory.pipe("/data/a.parquet", b"x" * 100)
    with pytest.raises(DataError, match=r"memory:///data/a\.parquet: damaged from its start"):
        load("memory://data")


def test_documents_in_memory(memory: Any, load: Load) -> None:
    memory.pipe({"/docs/a/1.md": b"one", "/docs/2.md": b"two", "/docs/.git/3.md": b"three"})
    got = load("memory://docs", format="files")
    assert got.table.select(["id", "text"]).to_pylist() == [
        {"id": "a/1.md", "text": "one"},
        {"id": "2.md", "text": "two"},
    ]


def test_file_urls_are_local_paths(tmp_path: Path, load: Load) -> None:
    (tmp_path / "a.jsonl").write_bytes(LINES)
    got = load(f"file://{tmp_path}")
    assert got.shards == load(tmp_path).shards
    assert len(got.table) == 200


def test_http(server: str, tmp_path: Path, load: Load) -> None:
    (tmp_path / "served/data").mkdir()
    (tmp_path / "served/data/a.jsonl.gz").write_bytes(gzip.compress(LINES))
    (tmp_path / "served/data/b.jsonl").write_bytes(LINES)
    assert load(f"{server}/data/a.jsonl.gz").column("id") == [str(n) for n in range(200)]
    got = load(f"{server}/data/")
    assert [shard.name for shard in got.shards] == ["a.jsonl.gz", "b.jsonl"]
    assert len(got.table) == 400


def test_parquet_over_http(server: str, tmp_path: Path, load: Load) -> None:
    pq.write_table(pa.table({"text": ["x", "y"], "n": [1, 2]}), tmp_path / "served/a.parquet")
    assert load(f"{server}/a.parquet").column("n") == [1, 2]
    (tmp_path / "served/b.parquet").write_bytes(b"x" * 100)
    with pytest.raises(DataError, match=r"b\.parquet: damaged from its start"):
        load(f"{server}/b.parquet")


def test_a_connection_that_breaks_is_an_error_even_under_quarantine(server: str, tmp_path: Path, load: Load) -> None:
    (tmp_path / "served/broken.jsonl").write_bytes(LINES)
    with pytest.raises(DataError, match=r"broken\.jsonl: cannot be read"):
        load(f"{server}/broken.jsonl", corrupt="quarantine")
    with pytest.raises(DataError, match="there is nothing; check the address"):
        load(f"{server}/gone.jsonl")


def test_inside_an_archive(tmp_path: Path, load: Load) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("docs/a.jsonl", LINES)
        file.writestr("docs/b.jsonl", LINES)
    got = load(f"zip://docs/*.jsonl::{tmp_path}/a.zip")
    assert [shard.name for shard in got.shards] == ["a.jsonl", "b.jsonl"]
    assert len(got.table) == 400


def test_a_missing_address(memory: Any, load: Load) -> None:
    with pytest.raises(DataError, match=r"memory://nowhere/a\.jsonl: there is nothing; check the address"):
        load("memory://nowhere/a.jsonl")
