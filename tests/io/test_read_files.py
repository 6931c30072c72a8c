"""Folders of documents."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from curate.io.source import BadRecord

Load = Callable[..., Any]


def test_each_file_is_a_document(tmp_path: Path, load: Load) -> None:
    (tmp_path / "docs/deep").mkdir(parents=True)
    (tmp_path / "docs/a.md").write_bytes(b"one\r\ntwo\r\n")
    (tmp_path / "docs/deep/b.tar.TXT").write_bytes("\ufeffdrei é".encode())
    (tmp_path / "LICENSE").write_bytes(b"")
    got = load(tmp_path, format="files")
    assert got.table.schema.names == ["id", "text", "path", "extension", "bytes", "source"]
    assert got.table.to_pylist() == [
        {"id": name, "text": text, "path": name, "extension": extension, "bytes": size, "source": "web"}
        for name, text, extension, size in [
            ("docs/a.md", "one\r\ntwo\r\n", "md", 10),
            ("docs/deep/b.tar.TXT", "drei é", "TXT", 10),
            ("LICENSE", "", "", 0),
        ]
    ]


def test_a_file_that_is_not_text_is_quarantined_under_its_name(tmp_path: Path, load: Load) -> None:
    (tmp_path / "a.md").write_text("fine")
    (tmp_path / "b.md").write_bytes("ä".encode("utf-16"))
    (tmp_path / "c.md").write_bytes(b"\xef\xbb\xbfok \xff")
    got = load(tmp_path, format="files")
    assert got.column("id") == ["a.md"]
    assert got.bad == [
        BadRecord("part-00000", 1, "b.md: not valid UTF-8 at byte 0", "\\xff\\xfe\\xe4\\x00"),
        BadRecord("part-00000", 2, "c.md: not valid UTF-8 at byte 3", "ok \\xff"),
    ]
    for needed in ({"id"}, {"bytes", "source"}):
        part = load(tmp_path, format="files", needed=needed)
        assert (part.table.num_rows, part.bad) == (1, got.bad)


def test_known_bad_files_are_not_opened_again(tmp_path: Path, load: Load, monkeypatch: Any) -> None:
    (tmp_path / "a.md").write_bytes(b"\xff")
    (tmp_path / "b.md").write_text("x")
    monkeypatch.setattr("curate.io.files.open_bytes", None)
    got = load(tmp_path, format="files", needed={"id", "extension"}, skip=np.array([0]))
    assert got.table.to_pylist() == [{"id": "b.md", "extension": "md"}]
    assert load(tmp_path, format="files", needed={"source"}, skip=np.array([0])).column("source") == ["web"]


def test_columns_can_be_renamed(tmp_path: Path, load: Load) -> None:
    (tmp_path / "a.md").write_text("x")
    got = load(tmp_path, format="files", columns={"url": "path"}, include=["*.md"])
    assert got.table.to_pylist() == [
        {"id": "a.md", "text": "x", "url": "a.md", "extension": "md", "bytes": 1, "source": "web"}
    ]


def test_batches_hold_so_many_bytes(tmp_path: Path, load: Load) -> None:
    for n in range(700):
        (tmp_path / f"{n:03d}.txt").write_text("x" * n)
    got = load(tmp_path, format="files", batch_bytes=10_000)
    assert [len(text) for text in got.column("text")] == list(range(700))
    start = 0
    for rows in got.batches:
        assert sum(range(start, start + rows)) <= 10_000
        start += rows
    assert len(got.batches) < 60
