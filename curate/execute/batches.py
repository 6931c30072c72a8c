"""Arrow IPC files of record batches: mapped into memory, opened in microseconds, whole or not there at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa

from curate.store import put, unfinished, whole

Where = Path | str


class BatchFile:
    """Reads single batches. Files are mapped into memory: columns that nobody looks at cost nothing."""

    def __init__(self, path: Where):
        self._map = pa.memory_map(str(path))
        self._all = pa.ipc.open_file(self._map)
        self._parts: dict[tuple[str, ...], Any] = {}
        self._number, self._batch = -1, pa.record_batch({})  # the last batch that was asked for
        self.schema = self._all.schema

    def __len__(self) -> int:
        return int(self._all.num_record_batches)

    def get(self, number: int, columns: list[str] | None = None) -> pa.RecordBatch:
        """One batch, or some of its columns."""
        if columns is not None and "text" in self.schema.names:
            return self._part(tuple(columns)).get_batch(number)
        if self._number != number:
            self._number, self._batch = number, self._all.get_batch(number)
        return self._batch if columns is None else self._batch.select(columns)

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
        """Some rows, by their sorted numbers."""
        pieces, start = [self.schema.empty_table().select(columns)], 0
        for number in range(len(self)):
            batch = self.get(number, columns)
            low, high = np.searchsorted(rows, [start, start + len(batch)])
            if high > low:
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

    def write(self, table: pa.Table) -> None:
        """One batch."""
        for batch in table.combine_chunks().to_batches():
            self._writer.write_batch(batch)

    def batch(self, table: pa.Table) -> None:
        """One batch, be it empty."""
        whole = table.combine_chunks().to_batches()
        self._writer.write_batch(whole[0] if whole else pa.RecordBatch.from_pylist([], schema=self.schema))

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
        writer.write_table(table.combine_chunks())


def read_table(path: Where) -> pa.Table:
    """All of a file, mapped into memory if it is of one batch."""
    return read_chunks(path).combine_chunks()


def read_chunks(path: Where) -> pa.Table:
    """All of a file, mapped into memory: a chunk for each batch."""
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def _options(schema: pa.Schema) -> pa.ipc.IpcWriteOptions:
    is_text = "text" in schema.names
    return pa.ipc.IpcWriteOptions(compression="lz4" if is_text else None)
