"""Reads data that has types of its own: Parquet files and datasets that the `datasets` library saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curate.errors import DataError
from curate.io.columns import check_same, fields_to_read, typed_rows, typed_schema, wanted
from curate.io.cut import cut
from curate.io.source import BadRecord, DamagedFile, Shard, Source
from curate.io.stream import open_bytes

# How many pieces a batch is read in: rows differ in size, and a piece is read before its size is known.
PIECES = 8
MAX_ROWS = 65_536
BUFFER = 1 << 20


def shard_schema(source: Source, shard: Shard) -> tuple[pa.Schema, bool]:
    """The schema of the rows of a shard; that it has no rows does not matter."""
    if shard.format == "dataset":
        return typed_schema(_dataset(shard).data.schema, source, shard), True
    with _parquet(shard) as file:
        return typed_schema(file.schema_arrow, source, shard), True


def rows(
    shard: Shard,
    source: Source,
    schema: pa.Schema,
    batch_bytes: int,
    quarantine: Callable[[BadRecord], None],
    needed: set[str] | None = None,
    skip: np.ndarray | None = None,
) -> Iterator[pa.RecordBatch]:
    """The good rows of a shard. A batch holds as many rows as have `batch_bytes` in the columns that were read."""
    batches = _dataset_batches if shard.format == "dataset" else _parquet_batches
    out = wanted(schema, needed)
    raw = batches(
        shard, source, schema, batch_bytes, lambda data: fields_to_read(source, shard, data, out, skip is None)
    )
    yield from cut(typed_rows(raw, shard, source, out, quarantine, skip), batch_bytes)


# ---------------------------------------------------------------- Parquet


@contextmanager
def _parquet(shard: Shard) -> Iterator[pq.ParquetFile]:
    """An open Parquet file; DamagedFile when it has no readable footer, DataError when its pages are damaged.

    Read through a buffer and not mapped, so that a worker's memory does not seem to grow with the file.
    """
    path = shard.paths[0]
    with open_bytes(path) as handle:
        try:
            file = pq.ParquetFile(handle, pre_buffer=False, buffer_size=BUFFER)
        except (pa.ArrowException, OSError) as error:
            raise DamagedFile(path, f"not readable as Parquet: {error}") from error
        try:
            yield file
        except (pa.ArrowException, OSError) as error:
            reason = " ".join(str(error).split())
            raise DataError(f"{path}: damaged inside ({reason}); fetch the file again or take it out") from error


def _parquet_batches(
    shard: Shard, source: Source, schema: pa.Schema, batch_bytes: int, chosen: Callable[[pa.Schema], list[str]]
) -> Iterator[pa.RecordBatch]:
    """Fields of the data, a few rows at a time, so that never a whole row group is in memory."""
    with _parquet(shard) as file:
        check_same(file.schema_arrow, source, shard, schema)
        columns = chosen(file.schema_arrow)
        for group in range(file.metadata.num_row_groups):
            size = _group_bytes(file.metadata.row_group(group), columns)
            count = rows_per_piece(file.metadata.row_group(group).num_rows, size, batch_bytes)
            yield from file.iter_batches(count, row_groups=[group], columns=columns, use_threads=False)


def _group_bytes(group: Any, columns: list[str]) -> int:
    parts = (group.column(number) for number in range(group.num_columns))
    return sum(part.total_uncompressed_size for part in parts if part.path_in_schema.split(".")[0] in columns)


def rows_per_piece(rows: int, size: int, batch_bytes: int) -> int:
    """How many rows to read at once where `rows` of them have `size` bytes, so that PIECES reads make a batch.

    >>> rows_per_piece(1000, 8_000_000, batch_bytes=800_000)
    12
    """
    return int(min(max(rows * batch_bytes // PIECES // max(size, 1), 1), MAX_ROWS))


# ---------------------------------------------------------------- saved datasets


def _dataset(shard: Shard) -> Any:
    import datasets

    try:
        return datasets.Dataset.from_file(shard.paths[0])
    except (pa.ArrowException, OSError) as error:
        raise DamagedFile(shard.paths[0], f"not readable as a saved dataset: {error}") from error


def _dataset_batches(
    shard: Shard, source: Source, schema: pa.Schema, batch_bytes: int, chosen: Callable[[pa.Schema], list[str]]
) -> Iterator[pa.RecordBatch]:
    dataset = _dataset(shard)
    check_same(dataset.data.schema, source, shard, schema)
    columns = chosen(dataset.data.schema)
    count = rows_per_piece(len(dataset), shard.bytes, batch_bytes)
    for table in dataset.with_format("arrow").iter(count):
        yield from table.select(columns).combine_chunks().to_batches()
