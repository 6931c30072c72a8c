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
    """

    def __init__(self, path: Path, types: dict[str, pa.DataType]):
        self.path, self.types = path, types
        self.schema = pa.schema([*types.items(), (ROWS, pa.bool_()), (ERROR, pa.string())])
        self._old = pq.ParquetFile(path) if path.exists() else None
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        self._writer: pq.ParquetWriter | None = None

    def covered(self, batch: int, rows: int) -> tuple[np.ndarray, pa.Array]:
        """Which rows of the batch have stored values, and their errors."""
        if self._old is None:
            return np.zeros(rows, bool), pa.nulls(rows, pa.string())
        table = self._old.read_row_group(batch, columns=[ROWS, ERROR])
        return one(table[ROWS]).to_numpy(zero_copy_only=False), one(table[ERROR])

    def load(self, batch: int, column: str, rows: int) -> pa.Array:
        """A stored column of the batch; nulls where nothing was ever computed."""
        if self._old is None:
            return pa.nulls(rows, self.types[column])
        return one(self._old.read_row_group(batch, columns=[column])[column])

    def put(self, batch: int, values: dict[str, pa.Array], rows: np.ndarray, errors: pa.Array) -> None:
        """Store a batch whose values changed; batches that did not are copied."""
        if self._writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(
                self._temporary,
                self.schema,
                compression=self._compression(),
                use_dictionary=False,
                write_statistics=False,
            )
            for earlier in range(batch):
                self._copy(earlier)
        table = pa.table({**values, ROWS: pa.array(rows), ERROR: errors}, schema=self.schema)
        self._writer.write_table(table, row_group_size=max(1, len(table)))

    def _compression(self) -> dict[str, str]:
        """Sketches are random bits: compressing them costs time and saves nothing."""
        types = {field.name: field.type for field in self.schema}
        return {name: "none" if pa.types.is_fixed_size_binary(kind) else "lz4" for name, kind in types.items()}

    def keep(self, batch: int) -> None:
        """The batch is as it was."""
        if self._writer is not None:
            self._copy(batch)

    def _copy(self, batch: int) -> None:
        assert self._old is not None and self._writer is not None
        table = self._old.read_row_group(batch)
        self._writer.write_table(table, row_group_size=max(1, len(table)))

    def close(self, error: bool) -> None:
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
