"""Reads folders of documents: each file is one, its path its id."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import msgspec
import numpy as np
import pyarrow as pa

from curate.io.columns import typed_schema, wanted
from curate.io.cut import cut
from curate.io.source import BadRecord, Shard, Source
from curate.io.stream import BOM, name_of, open_bytes, unreadable
from curate.io.typed import fields_to_read, typed_rows

FIELDS = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.binary()),
        ("path", pa.string()),
        ("extension", pa.string()),
        ("bytes", pa.int64()),
    ]
)
FILES_AT_ONCE = 256


def shard_schema(source: Source, shard: Shard) -> tuple[pa.Schema, bool]:
    """A document has an id, a text, and its file's path, extension (without the dot) and size in bytes."""
    return typed_schema(FIELDS, source, shard), True


def rows(
    shard: Shard,
    source: Source,
    schema: pa.Schema,
    batch_bytes: int,
    quarantine: Callable[[BadRecord], None],
    needed: set[str] | None = None,
    skip: np.ndarray | None = None,
) -> Iterator[pa.RecordBatch]:
    """The documents that are valid UTF-8, as they are but for a byte order mark at the start."""
    out = wanted(schema, needed)
    columns = fields_to_read(source, shard, FIELDS, out, checked=skip is None)

    def name_it(bad: BadRecord) -> None:
        name, reason = name_of(shard.paths[bad.position], shard.root), bad.error.removeprefix("field 'text' is ")
        quarantine(msgspec.structs.replace(bad, error=f"{name}: {reason}"))

    raw = _batches(shard, columns, batch_bytes)
    yield from cut(typed_rows(raw, shard, source, out, name_it, skip), batch_bytes)


def _batches(shard: Shard, columns: list[str], batch_bytes: int) -> Iterator[pa.RecordBatch]:
    """A few files at a time, fewer where they are large."""
    held: list[tuple[str, bytes]] = []
    size = 0
    for path in shard.paths:
        content = _content(path) if {"text", "bytes"} & set(columns) else b""
        held.append((name_of(path, shard.root), content))
        size += len(content)
        if size > batch_bytes // 8 or len(held) == FILES_AT_ONCE:
            yield _batch(held, columns)
            held, size = [], 0
    if held:
        yield _batch(held, columns)


def _content(path: str) -> bytes:
    with open_bytes(path) as handle:
        try:
            return handle.read()
        except Exception as error:
            raise unreadable(path, error) from error


def _batch(files: list[tuple[str, bytes]], columns: list[str]) -> pa.RecordBatch:
    names = pa.array([name for name, _ in files], pa.string())
    made = {
        "id": lambda: names,
        "text": lambda: pa.array([content.removeprefix(BOM) for _, content in files], pa.binary()),
        "path": lambda: names,
        "extension": lambda: pa.array([os.path.splitext(name)[1][1:] for name, _ in files], pa.string()),
        "bytes": lambda: pa.array([len(content) for _, content in files], pa.int64()),
    }
    schema = pa.schema([FIELDS.field(name) for name in columns])
    if not columns:
        return pa.RecordBatch.from_struct_array(pa.array([{}] * len(files), pa.struct([])))
    return pa.RecordBatch.from_arrays([made[name]() for name in columns], schema=schema)
