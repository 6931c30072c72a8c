"""Rows as Arrow batches, for formats whose parser gives a record at a time, or now and then many in columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from curate.errors import DataError
from curate.io.columns import arrange
from curate.io.cut import cut
from curate.io.source import Shard, Source
from curate.io.typed import columns_of

ROWS_AT_ONCE = 256


class Row(NamedTuple):
    """position in the shard; values of the fields; about how many bytes they have."""

    position: int
    values: tuple[object, ...]
    bytes: int


class Columns(NamedTuple):
    """positions of rows in the shard; their values, an array for each field."""

    positions: np.ndarray
    arrays: list[pa.Array]


def batched(
    rows: Iterable[Row | Columns], fields: pa.Schema, shard: Shard, source: Source, out: pa.Schema, batch_bytes: int
) -> Iterator[pa.RecordBatch]:
    """Batches of `out`, of about `batch_bytes`. When reading fails, the rows before the failure still come out."""
    made = (_batch(group, fields, shard, source, out) for group in _groups(rows, fields, batch_bytes // 8))
    yield from cut(made, batch_bytes)


def _groups(rows: Iterable[Row | Columns], fields: pa.Schema, size: int) -> Iterator[Columns]:
    held: list[Row] = []
    total = 0
    try:
        for row in rows:
            if isinstance(row, Columns):
                if held:
                    yield _columns(held, fields)
                yield row
                held, total = [], 0
                continue
            held.append(row)
            total += row.bytes
            if total > size or len(held) == ROWS_AT_ONCE:
                yield _columns(held, fields)
                held, total = [], 0
    except DataError:
        if held:
            yield _columns(held, fields)
        raise
    if held:
        yield _columns(held, fields)


def _columns(rows: list[Row], fields: pa.Schema) -> Columns:
    columns = zip(*(row.values for row in rows), strict=True)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, fields, strict=True)]
    return Columns(np.array([row.position for row in rows], np.int64), arrays)


def _batch(rows: Columns, fields: pa.Schema, shard: Shard, source: Source, out: pa.Schema) -> pa.RecordBatch:
    named = columns_of(pa.RecordBatch.from_arrays(rows.arrays, schema=fields), source, shard)
    return arrange(named, rows.positions, shard, out)
