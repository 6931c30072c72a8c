"""Faults below the engine: of the disk, of the network's disk, of sources that change. Each ends in a clear error,
never in wrong data, and the same run with the fault gone gives the right bytes.
"""

from __future__ import annotations

import errno
import io
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curate.errors import CurateError, DataError
from curate.io import stream

Fault = Callable[[pytest.MonkeyPatch, int], None]


def failing(original: Callable[..., Any], after: int, code: int, only: str = "") -> Callable[..., Any]:
    """A function of the system that fails once it has been called so often (for paths that hold `only`)."""
    calls = iter(range(1 << 30))

    def call(*given: Any, **how: Any) -> Any:
        if only in str(given[0]) and next(calls) >= after:
            raise OSError(code, os.strerror(code), str(given[0]))
        return original(*given, **how)

    return call


def full_disk(patch: pytest.MonkeyPatch, after: int) -> None:
    """Arrow's files cannot be opened for writing any more: no space, or an error of the device."""
    code = errno.ENOSPC if after % 2 else errno.EIO
    patch.setattr(pa, "OSFile", failing(pa.OSFile, after, code))


def no_small_files(patch: pytest.MonkeyPatch, after: int) -> None:
    patch.setattr(Path, "write_text", failing(Path.write_text, after, errno.ENOSPC))


def no_renames(patch: pytest.MonkeyPatch, after: int) -> None:
    patch.setattr(os, "replace", failing(os.replace, after, errno.EACCES))


def no_folders(patch: pytest.MonkeyPatch, after: int) -> None:
    patch.setattr(os, "rename", failing(os.rename, after // 8, errno.EXDEV))


def stale_source(patch: pytest.MonkeyPatch, after: int) -> None:
    patch.setattr(Path, "open", failing(Path.open, after // 2, errno.ESTALE, only="/shards/"))


def no_permission(patch: pytest.MonkeyPatch, after: int) -> None:
    patch.setattr(Path, "open", failing(Path.open, after // 2, errno.EACCES, only="/shards/"))


FAULTS: list[Fault] = [full_disk, no_small_files, no_renames, no_folders, stale_source, no_permission]


@pytest.mark.parametrize("after", [0, 3, 14])
@pytest.mark.parametrize("fault", FAULTS, ids=[fault.__name__ for fault in FAULTS])
def test_a_fault_is_an_error_and_the_next_run_is_right(lab: Any, probe: Any, fault: Fault, after: int) -> None:
    lab.copy_shards()
    with pytest.MonkeyPatch.context() as patch:
        fault(patch, after)
        with pytest.raises((CurateError, OSError)) as caught:
            lab.run()
    assert str(caught.value)
    assert not (lab.root() / "manifest.json").exists()
    lab.run()
    assert _same(lab, probe)


def _same(lab: Any, probe: Any) -> bool:
    """Documents and reasons; the folder that the shards are in is another."""
    parts = ("data", "annotations")
    return all(lab.result().arrow(part).equals(probe.result().arrow(part)) for part in parts)


class Short(io.RawIOBase):
    """A file of a network's disk that gives a few bytes at a time, and waits now and then."""

    def __init__(self, file: Any) -> None:
        self.file, self.reads = file, 0

    def read(self, size: int = -1) -> bytes:
        self.reads += 1
        if self.reads % 500 == 0:
            time.sleep(0.001)
        return bytes(self.file.read(min(size, 977) if size > 0 else size))

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return int(self.file.tell())

    def seek(self, *where: int) -> int:
        return int(self.file.seek(*where))

    def close(self) -> None:
        self.file.close()
        super().close()


def test_short_and_slow_reads_change_nothing(lab: Any, probe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = stream._open
    monkeypatch.setattr(stream, "_open", lambda url, seekable: io.BufferedReader(Short(opened(url, seekable))))
    lab.run()
    assert lab.contents() == probe.contents()


@pytest.fixture
def after_first_pass(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Do something once, when the first pass is over."""
    from curate import engine

    def arrange(act: Callable[[], Any]) -> None:
        original, todo = engine._Run._barrier, [act]

        def barrier(self: Any, this: Any) -> None:
            if todo:
                todo.pop()()
            original(self, this)

        monkeypatch.setattr(engine._Run, "_barrier", barrier)

    return arrange


@pytest.mark.parametrize("kind", ["changes", "grows", "vanishes"])
def test_a_source_that_changes_in_mid_run(lab: Any, probe: Any, after_first_pass: Any, kind: str) -> None:
    path = lab.copy_shards() / "books-000.jsonl"
    content = path.read_bytes()

    def change() -> None:
        if kind == "vanishes":
            path.unlink()
        else:
            path.write_bytes(content + b'{"id": "new"}\n' if kind == "grows" else content.replace(b"the", b"THE"))

    after_first_pass(change)
    message = "is not there any more" if kind == "vanishes" else "has changed since the run began"
    with pytest.raises(DataError, match=message):
        lab.run()
    path.write_bytes(content)
    lab.run()
    assert _same(lab, probe)


def test_a_source_that_is_written_while_it_is_read(lab: Any) -> None:
    path = lab.copy_shards("books-000.jsonl") / "books-000.jsonl"
    opened: Iterator[Any]
    from curate.io.source import Source, discover, read, schema

    source = Source(path=str(path))
    (shard,) = discover("web", source)
    opened = read(shard, source, schema(source, [shard]), 2_000, print)
    next(opened)
    with path.open("ab") as file:
        file.write(b'{"id": "new", "text": "new"}\n')
    with pytest.raises(DataError, match="has changed since the run began"):
        list(opened)
