"""Reads folders of documents: each file is one, its path its id."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import msgspec
import numpy as np
import pyarrow as pa

from curate.io.blocks import BOM
from curate.io.columns import typed_schema, wanted
from curate.io.cut import cut
from curate.io.source import BadRecord, Shard, Source
from curate.io.stream import name_of, open_bytes, unreadable
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
File = tuple[str, bytes]  # name and content
Makers = dict[str, Callable[[pa.StringArray], pa.Array]]  # column -> how it is made of the names of files


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
    yield from documents(FIELDS, shard.paths, {}, shard, source, wanted(schema, needed), batch_bytes, quarantine, skip)


def documents(
    fields: pa.Schema,
    paths: tuple[str, ...],
    more: Makers,
    shard: Shard,
    source: Source,
    out: pa.Schema,
    batch_bytes: int,
    quarantine: Callable[[BadRecord], None],
    skip: np.ndarray | None,
) -> Iterator[pa.RecordBatch]:
    """The rows of the files at `paths`; `more` makes columns of their own from the names of files."""
    columns = fields_to_read(source, shard, fields, out, checked=skip is None)
    schema = pa.schema([fields.field(name) for name in columns])

    def name_it(bad: BadRecord) -> None:
        name, reason = name_of(paths[bad.position], shard.root), bad.error.removeprefix("field 'text' is ")
        quarantine(msgspec.structs.replace(bad, error=f"{name}: {reason}"))

    raw = (_batch(held, schema, more) for held in _groups(shard, paths, columns, batch_bytes))
    yield from cut(typed_rows(raw, shard, source, out, name_it, skip), batch_bytes)


def _groups(shard: Shard, paths: tuple[str, ...], columns: list[str], batch_bytes: int) -> Iterator[list[File]]:
    """A few files at a time, fewer where they are large."""
    held: list[File] = []
    size = 0
    for path in paths:
        content = _content(path) if {"text", "bytes"} & set(columns) else b""
        held.append((name_of(path, shard.root), content))
        size += len(content)
        if size > batch_bytes // 8 or len(held) == FILES_AT_ONCE:
            yield held
            held, size = [], 0
    if held:
        yield held


def _content(path: str) -> bytes:
    with open_bytes(path) as handle:
        try:
            return handle.read()
        except Exception as error:
            raise unreadable(path, error) from error


def _batch(files: list[File], schema: pa.Schema, more: Makers) -> pa.RecordBatch:
    names = pa.array([name for name, _ in files], pa.string())
    made: Makers = {
        "id": lambda _: names,
        "text": lambda _: pa.array([content.removeprefix(BOM) for _, content in files], pa.binary()),
        "path": lambda _: names,
        "extension": lambda _: pa.array([os.path.splitext(name)[1][1:] for name, _ in files], pa.string()),
        "bytes": lambda _: pa.array([len(content) for _, content in files], pa.int64()),
        **more,
    }
    if not schema.names:
        return pa.RecordBatch.from_struct_array(pa.array([{}] * len(files), pa.struct([])))
    return pa.RecordBatch.from_arrays([made[name](names) for name in schema.names], schema=schema)
