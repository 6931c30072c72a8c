"""Rows that are made one by one in Python, as Arrow batches: for formats whose parser gives a record at a time."""

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


def batched(
    rows: Iterable[Row], fields: pa.Schema, shard: Shard, source: Source, out: pa.Schema, batch_bytes: int
) -> Iterator[pa.RecordBatch]:
    """Batches of `out`, of about `batch_bytes`. When reading fails, the rows before the failure still come out."""
    made = (_batch(group, fields, shard, source, out) for group in _groups(rows, batch_bytes // 8))
    yield from cut(made, batch_bytes)


def _groups(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    held: list[Row] = []
    total = 0
    try:
        for row in rows:
            held.append(row)
            total += row.bytes
            if total > size or len(held) == ROWS_AT_ONCE:
                yield held
                held, total = [], 0
    except DataError:
        if held:
            yield held
        raise
    if held:
        yield held


def _batch(rows: list[Row], fields: pa.Schema, shard: Shard, source: Source, out: pa.Schema) -> pa.RecordBatch:
    columns = zip(*(row.values for row in rows), strict=True)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, fields, strict=True)]
    named = columns_of(pa.RecordBatch.from_arrays(arrays, schema=fields), source, shard)
    return arrange(named, np.array([row.position for row in rows], np.int64), shard, out)
