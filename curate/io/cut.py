"""Cuts a stream of Arrow batches anew, at places that depend on the rows alone and not on how they arrived."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import DataError

OFFSETS = {kind.id: np.int32 for kind in (pa.string(), pa.binary())}
OFFSETS |= {kind.id: np.int64 for kind in (pa.large_string(), pa.large_binary())}
WIDTHS: dict[int, int] = {}  # by the id of a type, as they are asked for


def row_bytes(batch: pa.RecordBatch) -> np.ndarray:
    """Bytes of data in each row (int64), without the bookkeeping that depends on where a batch begins.

    >>> row_bytes(pa.record_batch({"text": ["abc", None], "n": [1, 2]})).tolist()
    [11, 8]
    """
    columns = batch.columns
    widths = [_width(column.type) for column in columns]
    total = np.full(batch.num_rows, sum(widths), np.int64)
    for column, width in zip(columns, widths, strict=True):
        if not width:
            total += _value_bytes(column)
    return total


def _width(kind: pa.DataType) -> int:
    """Bytes of each value of a primitive type; 0 for the others, whose values differ."""
    if kind.id not in WIDTHS:
        WIDTHS[kind.id] = max(1, kind.bit_width // 8) if pa.types.is_primitive(kind) else 0
    return WIDTHS[kind.id]


def _value_bytes(array: pa.Array) -> np.ndarray:
    kind = array.type
    if kind.id in OFFSETS:
        return _lengths(array)
    if isinstance(array, pa.ExtensionArray):
        return _value_bytes(array.storage)
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        return _value_bytes(array.cast(pa.large_string() if pa.types.is_string_view(kind) else pa.large_binary()))
    if pa.types.is_map(kind):
        return _value_bytes(array.cast(pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)]))))
    if _is_list(kind):
        return _list_bytes(array)
    if pa.types.is_struct(kind):
        parts = [_value_bytes(part) for part in array.flatten()]
        return np.sum(parts, axis=0) if parts else np.zeros(len(array), np.int64)
    if pa.types.is_dictionary(kind):
        return _value_bytes(array.dictionary_decode())
    if pa.types.is_null(kind):
        return np.zeros(len(array), np.int64)
    return np.full(len(array), max(1, kind.bit_width // 8), np.int64)


def _lengths(array: pa.Array) -> np.ndarray:
    if array.null_count == len(array):
        return np.zeros(len(array), np.int32)
    offsets = np.frombuffer(array.buffers()[1], OFFSETS[array.type.id])
    lengths = np.diff(offsets[array.offset : array.offset + len(array) + 1])
    return lengths * array.is_valid().to_numpy(zero_copy_only=False) if array.null_count else lengths


def _is_list(kind: pa.DataType) -> bool:
    checks = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(check(kind) for check in checks) or pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind)


def _list_bytes(array: pa.Array) -> np.ndarray:
    lengths = np.asarray(pc.fill_null(pc.list_value_length(array), 0), np.int64)
    summed = np.concatenate([[0], np.cumsum(_value_bytes(array.flatten()))])
    ends = np.cumsum(lengths)
    return np.asarray(summed[ends] - summed[ends - lengths])


class Cutter:
    """Collects rows and gives them back in pieces, each with its bytes: a piece ends before the row that would take it
    over a limit.

    A row that is larger than `max_bytes` is a piece of its own.

    >>> cutter = Cutter(max_bytes=6)
    >>> batch = pa.record_batch({"text": ["abc", "de", "fgh", "i"]})
    >>> [(piece["text"].to_pylist(), size) for piece, size in [*cutter.push(batch), *cutter.flush()]]
    [(['abc', 'de'], 5), (['fgh', 'i'], 4)]
    """

    def __init__(self, max_bytes: int, max_rows: int | None = None) -> None:
        self.max_bytes = max_bytes
        self.max_rows = max_rows or np.iinfo(np.int64).max
        self.held: list[pa.RecordBatch] = []
        self.bytes = self.rows = 0

    def push(self, batch: pa.RecordBatch) -> Iterator[tuple[pa.RecordBatch, int]]:
        """Take rows; give the pieces that are now complete."""
        summed = np.cumsum(row_bytes(batch))
        start = taken = 0
        while start < batch.num_rows:
            by_bytes = int(np.searchsorted(summed, taken + self.max_bytes - self.bytes, side="right"))
            end = min(by_bytes, batch.num_rows, start + self.max_rows - self.rows)
            if end == start and not self.held:
                end = start + 1
            if end > start:
                self.held.append(batch.slice(start, end - start))
                self.bytes += int(summed[end - 1]) - taken
                self.rows += end - start
                start, taken = end, int(summed[end - 1])
            if start < batch.num_rows:
                yield from self.flush()

    def flush(self) -> Iterator[tuple[pa.RecordBatch, int]]:
        """Give what is left."""
        if self.held:
            yield pa.concat_batches(self.held), self.bytes
        self.held, self.bytes, self.rows = [], 0, 0


def cut(batches: Iterable[pa.RecordBatch], max_bytes: int, max_rows: int | None = None) -> Iterator[pa.RecordBatch]:
    """Cut a stream of batches anew. When reading fails, the rows before the failure still come out."""
    cutter = Cutter(max_bytes, max_rows)
    try:
        for batch in batches:
            yield from (piece for piece, _ in cutter.push(batch))
    except DataError:
        yield from (piece for piece, _ in cutter.flush())
        raise
    yield from (piece for piece, _ in cutter.flush())
