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
from fsspec.implementations.http import HTTPStreamFile
from fsspec.implementations.memory import MemoryFile

from curate.errors import DataError
from curate.io import remote
from curate.io.source import Source, discover

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


def test_an_archive_that_ends_early_gives_as_much_over_http(server: str, tmp_path: Path, load: Load) -> None:
    (tmp_path / "served/a.jsonl.gz").write_bytes(gzip.compress(LINES)[:-200])
    found, there = (
        load(path, corrupt="quarantine") for path in (f"{server}/a.jsonl.gz", tmp_path / "served/a.jsonl.gz")
    )
    assert found.column("text") == there.column("text")
    assert 0 < len(found.column("text")) < 200
    assert [bad.error for bad in found.bad] == [bad.error for bad in there.bad]


def test_parquet_over_http(server: str, tmp_path: Path, load: Load) -> None:
    pq.write_table(pa.table({"text": ["x", "y"], "n": [1, 2]}), tmp_path / "served/a.parquet")
    assert load(f"{server}/a.parquet").column("n") == [1, 2]
    (tmp_path / "served/b.parquet").write_bytes(b"x" * 100)
    with pytest.raises(DataError, match=r"b\.parquet: damaged from its start"):
        load(f"{server}/b.parquet")


def test_a_connection_that_breaks_is_an_error_even_under_quarantine(
    server: str, tmp_path: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "WAITS", (0.0, 0.0))
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


@pytest.fixture
def flaky(memory: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every third read of a remote file fails; the list counts failures."""
    failures = [0]
    calls = [0]
    read = MemoryFile.read

    def failing(self: Any, size: int = -1) -> bytes:
        calls[0] += 1
        if calls[0] % 3 == 0:
            failures[0] += 1
            raise ConnectionResetError("the peer is gone")
        return read(self, size)

    monkeypatch.setattr(MemoryFile, "read", failing, raising=False)
    monkeypatch.setattr(remote, "WAITS", (0.0, 0.0))
    return failures


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.parquet"])
def test_a_read_that_fails_is_tried_again_from_where_it_was(
    memory: Any, load: Load, name: str, flaky: list[int]
) -> None:
    lines = b"".join(b'{"id": "%d", "text": "%s"}\n' % (n, b"word " * (n % 97)) for n in range(30_000))
    table = pa.table({"id": [str(n) for n in range(3_000)], "text": [f"text {n}" for n in range(3_000)]})
    with memory.open(f"/data/{name}", "wb") as file:
        if name.endswith("parquet"):
            pq.write_table(table, file, row_group_size=100)
        else:
            file.write(gzip.compress(lines) if name.endswith("gz") else lines)
    got = load(f"memory://data/{name}")
    assert got.column("id") == [str(n) for n in range(len(got.table))]
    assert len(got.table) in (3_000, 30_000)
    assert flaky[0] > 0


def test_a_stream_is_read_again_up_to_where_it_was(
    server: str, tmp_path: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server without ranges: what was read is passed over."""
    lines = b"".join(b'{"id": "%d", "text": "%s"}\n' % (n, b"word " * 50) for n in range(20_000))
    (tmp_path / "served/a.jsonl").write_bytes(lines)
    monkeypatch.setattr(remote, "WAITS", (0.0,))
    read, broken = HTTPStreamFile.read, [0]

    def failing(self: Any, size: int = -1) -> bytes:
        broken[0] += 1
        if broken[0] == 3:
            raise ConnectionResetError("the peer is gone")
        return read(self, size)

    monkeypatch.setattr(HTTPStreamFile, "read", failing)
    assert load(f"{server}/a.jsonl").column("id") == [str(n) for n in range(20_000)]
    assert broken[0] > 3


def test_a_file_that_is_another_one_by_then(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.pipe("/data/a.txt", b"x" * 100)
    monkeypatch.setattr(remote, "WAITS", (0.0,))
    file = remote.Remote("memory://data/a.txt", seekable=False)
    file._stamp = "an earlier version"
    assert file.read(10) == b"x" * 10
    monkeypatch.setattr(MemoryFile, "read", lambda self, size=-1: 1 / 0, raising=False)
    monkeypatch.setattr(MemoryFile, "details", {"ETag": "a later version"}, raising=False)
    with pytest.raises(DataError, match="has changed while it was read"):
        file.read(10)


def test_what_waiting_does_not_mend_is_told_at_once(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote.time, "sleep", lambda seconds: pytest.fail("it waited"))
    with pytest.raises(FileNotFoundError):
        remote.Remote("memory://data/none.txt", seekable=False)


class Paged(fsspec.AbstractFileSystem):
    """A bucket of 2,500 objects, of which an answer has a thousand."""

    def isdir(self, path: str) -> bool:
        return True

    def isfile(self, path: str) -> bool:
        return False

    def split_path(self, path: str) -> tuple[str, str, None]:
        bucket, _, key = path.partition("/")
        return bucket, key, None

    def page(self, first: int) -> tuple[list[str], int]:
        keys = [f"crawl/{n % 7}/{n:05d}.jsonl" for n in range(first, min(first + 1_000, 2_500))]
        return ["crawl/", *keys], first + 1_000


class S3(Paged):
    protocol = "paged-s3"

    def call_s3(self, method: str, Bucket: str, Prefix: str, ContinuationToken: str = "0") -> dict[str, Any]:
        assert (method, Bucket, Prefix) == ("list_objects_v2", "bucket", "crawl/")
        keys, after = self.page(int(ContinuationToken))
        found = [{"Key": key, "ETag": key, "Size": 1} for key in keys]
        return {"Contents": found, "IsTruncated": after < 2_500, "NextContinuationToken": str(after)}


class GCS(Paged):
    protocol = ("paged-gcs", "gcs")

    def call(self, method: str, path: str, bucket: str, prefix: str, pageToken: str | None, **_: Any) -> dict[str, Any]:
        assert (method, path, bucket, prefix) == ("GET", "b/{}/o", "bucket", "crawl/")
        keys, after = self.page(int(pageToken or 0))
        found = {"items": [{"name": key, "etag": key, "size": "1"} for key in keys]}
        return found | ({"nextPageToken": str(after)} if after < 2_500 else {})


@pytest.mark.parametrize("store", [S3, GCS])
def test_objects_of_a_store_are_listed_page_by_page(store: type[Paged]) -> None:
    name = f"paged-{store.__name__.lower()}"
    fsspec.register_implementation(name, store, clobber=True)
    shards = discover("web", Source(path=f"{name}://bucket/crawl"))
    assert sorted(shard.name for shard in shards) == sorted(f"{n % 7}/{n:05d}.jsonl" for n in range(2_500))
    assert shards[0].paths[0].startswith(f"{name}://bucket/crawl/0/")
