"""Reads CSV and TSV with a header line, plain or compressed, as a stream (RFC 4180). Every value is a string."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pyarrow as pa

from curate.errors import DataError
from curate.io.batched import Row, batched
from curate.io.blocks import Blocks
from curate.io.columns import check_same, excerpt, typed_schema, wanted
from curate.io.source import MB, BadRecord, DamagedFile, Shard, Source
from curate.io.stream import COMPRESSED, Stream


def shard_schema(source: Source, shard: Shard) -> tuple[pa.Schema, bool]:
    """A column of strings for each name in the first line."""
    records = Records(source, shard)
    found = typed_schema(records.schema(), source, shard)
    return found, next(iter(records), None) is not None


def rows(
    shard: Shard,
    source: Source,
    schema: pa.Schema,
    batch_bytes: int,
    quarantine: Callable[[BadRecord], None],
    needed: set[str] | None = None,
    skip: np.ndarray | None = None,
) -> Iterator[pa.RecordBatch]:
    """The records that have as many values as the header has names; an empty value of a column but text is null."""
    records = Records(source, shard)
    fields = records.schema()
    check_same(fields, source, shard, schema)
    yield from batched(_good(records, shard, quarantine), fields, shard, source, wanted(schema, needed), batch_bytes)


def _good(records: Records, shard: Shard, quarantine: Callable[[BadRecord], None]) -> Iterator[Row]:
    text = records.names.index(records.text)
    for position, (values, size, error) in enumerate(records):
        if error:
            quarantine(BadRecord(shard.name, position, error, excerpt(_joined(values, records.delimiter))))
            continue
        yield Row(position, tuple(value if at == text else value or None for at, value in enumerate(values)), size)
    if records.stream.damage:
        raise DamagedFile(shard.paths[0], records.stream.damage, records.count, excerpt(records.blocks.rest))


def _joined(values: list[str], delimiter: str) -> bytes:
    return delimiter.join(values).encode("utf-8", "surrogateescape")


class Records:
    """The records after the header: values, about how many bytes they have, and what is wrong with them."""

    def __init__(self, source: Source, shard: Shard) -> None:
        self.path, self.limit = shard.paths[0], source.max_record_bytes
        stem = self.path.lower().removesuffix(next((s for s in COMPRESSED if self.path.lower().endswith(s)), ""))
        self.delimiter = "\t" if stem.endswith((".tsv", ".tab")) else ","
        self.stream = Stream(self.path, source.max_expansion)
        self.blocks = Blocks(self.stream, MB, source.max_record_bytes)
        self.text = source.columns.get("text", "text")
        self.size = self.count = 0
        csv.field_size_limit(1 << 30)
        self._reader = csv.reader(self._lines(), delimiter=self.delimiter, strict=True)
        self.names = self._header()

    def schema(self) -> pa.Schema:
        return pa.schema([(name, pa.string()) for name in self.names])

    def _header(self) -> list[str]:
        try:
            names = next(self._reader, [])
        except csv.Error as error:
            raise DataError(f"{self.path}: the first line is no header ({error})") from error
        if self.stream.damage and not names:
            raise DamagedFile(self.path, self.stream.damage)
        twice = next((name for name, other in pairwise(sorted(names)) if name == other), None)
        if twice is not None or not all(names):
            raise DataError(f"{self.path}: the header names {twice or 'nothing'!r} more than once or has an empty name")
        other = next((sign for sign in "\t;,|" if len(names) == 1 and sign in names[0]), None)
        if other:
            what = "let the name end in .tsv" if other == "\t" else "write it with commas"
            raise DataError(f"{self.path}: the header has one name, {names[0][:80]!r}; {what}")
        _check_utf8(names, self.path)
        return names

    def __iter__(self) -> Iterator[tuple[list[str], int, str]]:
        while True:
            self.size, values, error = 0, [], ""
            try:
                values = next(self._reader)
            except StopIteration:
                return
            except csv.Error as failure:
                if self.stream.damage:
                    return  # the end of a damaged file
                error = f"not CSV: {failure}"
            if not values and not error:
                continue
            yield values, self.size, error or self._wrong(values)
            self.count += 1

    def _wrong(self, values: list[str]) -> str:
        if self.size > self.limit:
            return f"the record is longer than {self.limit} bytes (max_record_bytes)"
        if len(values) != len(self.names):
            return f"the record has {len(values)} values, the header {len(self.names)} names"
        if any("\udc80" <= c <= "\udcff" for value in values if not value.isascii() for c in value):
            return "the record is not valid UTF-8"
        return ""

    def _lines(self) -> Iterator[str]:
        """Lines with their ends, as the parser asks for them; bytes that are no UTF-8 stay recognisable."""
        for block in self.blocks:
            start = 0
            for end in block.ends.tolist():
                line = bytes(block.data[start : end + 1])
                start = end + 1
                self.size += len(line)
                yield line.decode("utf-8", "surrogateescape").replace("\0", "\ufffd")


def _check_utf8(names: list[str], path: str) -> None:
    if not all(name.isprintable() for name in names):
        raise DataError(f"{path}: the header is not readable text; is it CSV in UTF-8?")
