"""Row-aligned files beside a shard: record batch i holds the values of batch i of its rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.execute.batches import BatchFile, BatchWriter

ROWS = "__rows"  # rows for which the step was computed
ERROR = "__error"  # why a row could not be
LABELS = ("id", "source", "language", "url", "path", "extension")  # strings that are short
BYTES, WORDS = "__bytes", "__words"  # the size of every text


class Overlay:
    """Reads a step's stored values batch by batch, and replaces the file when a batch gains values.

    Only rows that were asked for are computed, so a stored batch may cover some rows; a later run that needs
    more computes the missing ones and the file is written anew, under a temporary name until it is whole.
    Batches are asked for in order. Two steps that compute the same share an overlay: the second sees what the first
    has put.
    """

    def __init__(self, path: Path, types: dict[str, pa.DataType]):
        self.path = path
        self.schema = pa.schema([*types.items(), (ROWS, pa.bool_()), (ERROR, pa.string())])
        self._old = BatchFile(path) if path.exists() else None
        self._writer: BatchWriter | None = None
        self._sizes: list[int] = []
        self._fresh: pa.RecordBatch | None = None  # the last batch that was asked for, when it has gained values

    def covered(self, batch: int, rows: int) -> tuple[np.ndarray, pa.Array]:
        """Which rows of the batch have stored values, and their errors."""
        if batch == len(self._sizes):
            self._settle()
            self._sizes.append(rows)
        return self.load(batch, ROWS).to_numpy(zero_copy_only=False), self.load(batch, ERROR)

    def load(self, batch: int, column: str) -> pa.Array:
        """A stored column of the batch; nulls where nothing was ever computed."""
        if self._fresh is not None and batch == len(self._sizes) - 1:
            return self._fresh[column]
        return self._stored(batch, column)

    def put(self, values: dict[str, pa.Array], rows: np.ndarray, errors: pa.Array) -> None:
        """Store new values of the last batch that was asked for."""
        made = {**values, ROWS: pa.array(rows), ERROR: errors}
        self._fresh = pa.record_batch([made[name] for name in self.schema.names], schema=self.schema)

    def _stored(self, batch: int, column: str) -> pa.Array:
        """A column of a batch as the file has it; without a file, no row of it has values."""
        if self._old is not None:
            return self._old.column(batch, column)
        rows = self._sizes[batch]
        return pa.array(np.zeros(rows, bool)) if column == ROWS else pa.nulls(rows, self.schema.field(column).type)

    def _whole(self, batch: int) -> pa.RecordBatch:
        columns = [self._stored(batch, name) for name in self.schema.names]
        return pa.record_batch(columns, schema=self.schema)

    def _settle(self) -> None:
        """Write the last batch: as it has become or, once anything is written, as it was."""
        last = len(self._sizes) - 1
        if self._fresh is not None and self._writer is None:
            self._writer = BatchWriter(self.path, self.schema)
            for earlier in range(last):
                self._writer.write(self._whole(earlier))
        if self._writer is not None:
            self._writer.write(self._whole(last) if self._fresh is None else self._fresh)
        self._fresh = None

    def close(self, error: bool) -> None:
        """Put the new file in the place of the old one if there is anything new, and if all went well."""
        if not error:
            self._settle()
        if self._writer is not None:
            self._writer.close(error)


def index_schema(source: pa.Schema) -> pa.Schema:
    """Columns of a shard's index: short ones that its source has, so that text is not read for them; sizes of texts.

    The record batches of an index are the batches of every later read of its shard.
    """
    short = [field for field in source if _is_short(field)]
    return pa.schema([*short, (BYTES, pa.int64()), (WORDS, pa.int32())])


def _is_short(field: pa.Field) -> bool:
    kind = field.type
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    return is_number or (kind == pa.string() and field.name in LABELS)


def choose(mask: np.ndarray, yes: pa.Array, no: pa.Array) -> pa.Array:
    """Row by row, `yes` where the mask is true, else `no`."""
    return yes if mask.all() else pc.if_else(pa.array(mask), yes, no)
