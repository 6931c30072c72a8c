"""Arrow IPC files of record batches: mapped into memory, opened in microseconds, whole or not there at all.

Each batch says what its columns' digests are; a column is compared with its digest when a process first reads it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from curate.errors import DataError
from curate.store import put, unfinished, whole

Where = Path | str
MANY = 200_000  # columns that a process remembers to have checked
_checked: set[tuple[Any, ...]] = set()


class DamagedWork(DataError):
    """A file of the work folder that is not as it was written."""

    def __init__(self, path: Where, why: str) -> None:
        self.path, self.why = Path(path), " ".join(why.split())
        super().__init__(f"{path}: damaged ({self.why})")


def digests(batch: pa.RecordBatch) -> dict[str, str]:
    """A digest of each column, of the bytes that a file has for it."""
    return {name: _digest(array) for name, array in zip(batch.schema.names, batch.columns, strict=True)}


def _digest(array: pa.Array) -> str:
    hashed = xxhash.xxh3_64(struct.pack("<qq", len(array), array.null_count))
    for buffer in array.buffers():
        if buffer is not None:
            hashed.update(buffer)
    return hashed.hexdigest()


def _open(path: Where) -> tuple[pa.Buffer, Any]:
    """A file's bytes, mapped into memory, and a reader of them: of bytes, because one of the file asks the system for
    all that it might read, piece by piece, which takes three times as long."""
    try:
        with pa.memory_map(str(path)) as file:
            first = file.read_buffer(1)  # which keeps all of the file mapped
            mapped = pa.foreign_buffer(first.address, file.size(), first)
        return mapped, pa.ipc.open_file(mapped)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise DamagedWork(path, str(error)) from error


def _read(path: Where, reader: Any, number: int) -> tuple[pa.RecordBatch, dict[str, str]]:
    """A batch and the digests that its columns should have."""
    try:
        batch, said = reader.get_batch_with_custom_metadata(number)
        _ = batch.schema.names  # which may be no text any more
        return batch, {key.decode(): value.decode() for key, value in (said or {}).items()}
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DamagedWork(path, str(error)) from error


def _check(path: Where, file: tuple[Any, ...], number: int, batch: pa.RecordBatch, said: dict[str, str]) -> None:
    for name, array in zip(batch.schema.names, batch.columns, strict=True):
        _check_column(path, (*file, number, name), array, said.get(name))


def _check_column(path: Where, column: tuple[Any, ...], array: pa.Array, said: str | None) -> None:
    if said is None or column in _checked:
        return
    if _digest(array) != said:
        *_, number, name = column
        raise DamagedWork(path, f"column {name!r} of batch {number} has other values than were written")
    if len(_checked) > MANY:
        _checked.clear()
    _checked.add(column)


def _identity(path: Where) -> tuple[Any, ...]:
    """Of a file that nobody has written to since."""
    found = os.stat(path)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _write(writer: Any, batch: pa.RecordBatch, schema: pa.Schema) -> None:
    """A batch with its digests: of the bytes that a file gets, and a slice has more."""
    columns = {name: _exact(array) for name, array in zip(schema.names, batch.columns, strict=True)}
    rest = pa.schema([field for field in schema if columns[field.name] is None])
    copies = pa.ipc.read_record_batch(batch.select(rest.names).serialize(), rest)
    columns |= dict(zip(rest.names, copies.columns, strict=True))
    batch = pa.record_batch([*columns.values()], schema=schema)
    writer.write_batch(batch, custom_metadata=digests(batch))


def _exact(array: pa.Array) -> pa.Array | None:
    """Numbers without the bytes around a slice of them; None of what has to be copied for that."""
    is_fixed = pa.types.is_primitive(array.type) or pa.types.is_fixed_size_binary(array.type)
    data = array.buffers()[1] if is_fixed and array.type.bit_width % 8 == 0 and not array.null_count else None
    if data is None:
        return None
    width = array.type.bit_width // 8
    data = data.slice(array.offset * width, len(array) * width)
    return pa.Array.from_buffers(array.type, len(array), [None, data])


class BatchFile:
    """Reads single batches. Files are mapped into memory: columns that nobody looks at cost nothing."""

    def __init__(self, path: Where):
        self.path = path
        self._map, self._all = _open(path)
        self._parts: dict[tuple[str, ...], Any] = {}
        self._number, self._batch = -1, pa.record_batch({})  # the last batch that was asked for
        self._said: dict[str, str] = {}  # digests of its columns
        self._file = _identity(path)
        self.schema = self._all.schema

    def __len__(self) -> int:
        return int(self._all.num_record_batches)

    @property
    def count(self) -> int:
        """Rows in all batches, whose values nobody looks at for that."""
        return sum(_read(self.path, self._all, number)[0].num_rows for number in range(len(self)))

    def get(self, number: int, columns: list[str] | None = None) -> pa.RecordBatch:
        """One batch, or some of its columns."""
        batch, said = self._unchecked(number, columns)
        _check(self.path, self._file, number, batch, said)
        return batch

    def _unchecked(self, number: int, columns: list[str] | None) -> tuple[pa.RecordBatch, dict[str, str]]:
        """The same, and the digests that it should have."""
        if columns is not None and "text" in self.schema.names:
            return _read(self.path, self._part(tuple(columns)), number)
        batch = self._mapped(number)
        return (batch if columns is None else batch.select(columns)), self._said

    def column(self, number: int, name: str) -> pa.Array:
        """One column of a batch."""
        if "text" in self.schema.names:
            return self.get(number, [name]).column(0)
        array = self._mapped(number).column(name)
        _check_column(self.path, (*self._file, number, name), array, self._said.get(name))
        return array

    def place(self, number: int) -> tuple[int, int]:
        """Where in the file the values of a batch are, and how many bytes of it."""
        buffers = [buffer for array in self._mapped(number).columns for buffer in array.buffers() if buffer]
        first = min((buffer.address for buffer in buffers), default=self._map.address)
        stop = max((buffer.address + buffer.size for buffer in buffers), default=first)
        return first - self._map.address, stop - first

    def _mapped(self, number: int) -> pa.RecordBatch:
        """A batch of a file that is not compressed."""
        if self._number != number:
            self._batch, self._said = _read(self.path, self._all, number)
            self._number = number
        return self._batch

    def _part(self, columns: tuple[str, ...]) -> Any:
        """A reader of some columns of a compressed file."""
        if columns not in self._parts:
            fields = [self.schema.get_field_index(name) for name in columns]
            options = pa.ipc.IpcReadOptions(included_fields=fields)
            self._parts[columns] = pa.ipc.open_file(self._map, options=options)
        return self._parts[columns]

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return (self.get(number) for number in range(len(self)))

    def rows(self, rows: np.ndarray, columns: list[str]) -> pa.Table:
        """Some rows, by their sorted numbers. Batches that have none of them are not looked at."""
        pieces, start = [self.schema.empty_table().select(columns)], 0
        for number in range(len(self)):
            batch, said = self._unchecked(number, columns)
            low, high = np.searchsorted(rows, [start, start + len(batch)])
            if high > low:
                _check(self.path, self._file, number, batch, said)
                pieces.append(pa.Table.from_batches([batch.take(pa.array(rows[low:high] - start))]).select(columns))
            start += len(batch)
        return pa.concat_tables(pieces)


class BatchWriter:
    """Writes batches to a temporary file that takes its place when closed well.

    Text is compressed; numbers and sketches are not, so that they can be used where they lie.
    """

    def __init__(self, path: Path, schema: pa.Schema):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.schema = path, schema
        self._temporary = unfinished(path)
        self._sink = pa.OSFile(str(self._temporary), "wb")
        self._writer = pa.ipc.new_file(self._sink, schema, options=_options(schema))

    def write(self, table: pa.Table | pa.RecordBatch) -> None:
        """One batch."""
        batches = [table] if isinstance(table, pa.RecordBatch) else table.combine_chunks().to_batches()
        for batch in batches:
            _write(self._writer, batch, self.schema)

    def batch(self, table: pa.Table) -> None:
        """One batch, be it empty."""
        whole = table.combine_chunks().to_batches()
        _write(self._writer, whole[0] if whole else pa.RecordBatch.from_pylist([], schema=self.schema), self.schema)

    def __enter__(self) -> BatchWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(kind is not None)

    def close(self, error: bool = False) -> None:
        self._writer.close()
        self._sink.close()
        if error:
            self._temporary.unlink()
        else:
            put(self._temporary, self.path)


def write_table(path: Path, table: pa.Table) -> None:
    """A table as a file of its own, whole or not at all."""
    with (
        whole(path) as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, table.schema) as writer,
    ):
        for batch in table.combine_chunks().to_batches():
            _write(writer, batch, table.schema)


def read_table(path: Where) -> pa.Table:
    """All of a file, mapped into memory if it is of one batch."""
    file = BatchFile(path)
    return pa.Table.from_batches([*file], schema=file.schema).combine_chunks()


def read_chunks(path: Where) -> pa.Table:
    """All of a file, mapped into memory: a chunk for each batch, not compared with its digests until it is used."""
    return _open(path)[1].read_all()


def _options(schema: pa.Schema) -> pa.ipc.IpcWriteOptions:
    is_text = "text" in schema.names
    return pa.ipc.IpcWriteOptions(compression="lz4" if is_text else None)
