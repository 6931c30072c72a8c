"""Row-aligned files beside a shard: row group i holds the values of batch i."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROWS = "__rows"  # rows for which the step was computed
ERROR = "__error"  # why a row could not be


class Overlay:
    """Reads a step's stored values batch by batch, and replaces the file when a batch gains values.

    Only rows that were asked for are computed, so a stored batch may cover some rows; a later run that needs
    more computes the missing ones and the file is written anew, under a temporary name until it is whole.
    Batches are asked for in order. Two steps that compute the same share an overlay: the second sees what the first
    has put.
    """

    def __init__(self, path: Path, types: dict[str, pa.DataType]):
        self.path, self.types = path, types
        self.schema = pa.schema([*types.items(), (ROWS, pa.bool_()), (ERROR, pa.string())])
        self._old = pq.ParquetFile(path) if path.exists() else None
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        self._writer: pq.ParquetWriter | None = None
        self._sizes: list[int] = []
        self._fresh: pa.Table | None = None  # the last batch that was asked for, when it has gained values

    def covered(self, batch: int, rows: int) -> tuple[np.ndarray, pa.Array]:
        """Which rows of the batch have stored values, and their errors."""
        if batch == len(self._sizes):
            self._settle()
            self._sizes.append(rows)
        table = self._values(batch, [ROWS, ERROR])
        return one(table[ROWS]).to_numpy(zero_copy_only=False), one(table[ERROR])

    def load(self, batch: int, column: str) -> pa.Array:
        """A stored column of the batch; nulls where nothing was ever computed."""
        return one(self._values(batch, [column])[column])

    def put(self, values: dict[str, pa.Array], rows: np.ndarray, errors: pa.Array) -> None:
        """Store new values of the last batch that was asked for."""
        self._fresh = pa.table({**values, ROWS: pa.array(rows), ERROR: errors}, schema=self.schema)

    def _values(self, batch: int, columns: list[str]) -> pa.Table:
        if self._fresh is not None and batch == len(self._sizes) - 1:
            return self._fresh.select(columns)
        return self._stored(batch).select(columns) if self._old is None else self._old.read_row_group(batch, columns)

    def _stored(self, batch: int) -> pa.Table:
        """A batch as the file has it; without a file, no row of it has values."""
        if self._old is not None:
            return self._old.read_row_group(batch)
        empty = {name: pa.nulls(self._sizes[batch], kind) for name, kind in self.types.items()}
        rows, errors = pa.array(np.zeros(self._sizes[batch], bool)), pa.nulls(self._sizes[batch], pa.string())
        return pa.table({**empty, ROWS: rows, ERROR: errors}, schema=self.schema)

    def _settle(self) -> None:
        """Write the last batch: as it has become or, once anything is written, as it was."""
        last = len(self._sizes) - 1
        if self._fresh is not None and self._writer is None:
            self._writer = self._begin()
            for earlier in range(last):
                self._write(self._stored(earlier))
        if self._writer is not None:
            self._write(self._stored(last) if self._fresh is None else self._fresh)
        self._fresh = None

    def _begin(self) -> pq.ParquetWriter:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        compression = self._compression()
        return pq.ParquetWriter(
            self._temporary, self.schema, compression=compression, use_dictionary=False, write_statistics=False
        )

    def _write(self, table: pa.Table) -> None:
        assert self._writer is not None
        self._writer.write_table(table, row_group_size=max(1, len(table)))

    def _compression(self) -> dict[str, str]:
        """Sketches are random bits: compressing them costs time and saves nothing."""
        types = {field.name: field.type for field in self.schema}
        return {name: "none" if pa.types.is_fixed_size_binary(kind) else "lz4" for name, kind in types.items()}

    def close(self, error: bool) -> None:
        """Put the new file in the place of the old one if there is anything new, and if all went well."""
        if not error:
            self._settle()
        if self._writer is not None:
            self._writer.close()
            if error:
                self._temporary.unlink()
            else:
                os.replace(self._temporary, self.path)
        if self._old is not None:
            self._old.close()


LABELS = ("id", "source", "language")  # short columns that most passes want without reading text again


class Index:
    """Size and labels of every row of a shard. Its row groups are the batches of every later read."""

    def __init__(self, path: Path, schema: pa.Schema):
        self.path = path
        labels = [
            (name, pa.string()) for name in LABELS if name in schema.names and schema.field(name).type == pa.string()
        ]
        self.schema = pa.schema([*labels, ("bytes", pa.int64()), ("words", pa.int32())])
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> Index:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = pq.ParquetWriter(
            self._temporary,
            self.schema,
            compression="lz4",
            use_dictionary=["source", "language"],
            write_statistics=False,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._writer is not None
        self._writer.close()
        if kind is None:
            os.replace(self._temporary, self.path)
        else:
            self._temporary.unlink()

    def write(self, table: pa.Table) -> None:
        assert self._writer is not None
        self._writer.write_table(table, row_group_size=max(1, len(table)))

    @staticmethod
    def read(path: Path) -> Iterator[pa.Table]:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                yield file.read_row_group(group)


def one(column: pa.ChunkedArray) -> pa.Array:
    """A chunked column as one array."""
    if column.num_chunks == 1:
        return column.chunk(0)
    whole = column.combine_chunks()
    return pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole


def choose(mask: np.ndarray, yes: pa.Array, no: pa.Array) -> pa.Array:
    """Row by row, `yes` where the mask is true, else `no`."""
    return yes if mask.all() else pc.if_else(pa.array(mask), yes, no)
