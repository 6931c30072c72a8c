"""Reads data that has types of its own: Parquet files and datasets that the `datasets` library saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curate.errors import DataError
from curate.io.columns import (
    arrange,
    check_same,
    excerpt,
    fields,
    is_bytes,
    is_text,
    is_utf8,
    plain,
    typed_schema,
    utf8_error,
    wanted,
)
from curate.io.cut import cut
from curate.io.source import BadRecord, DamagedFile, Shard, Source
from curate.io.stream import open_bytes, unreadable

# How many pieces a batch is read in: rows differ in size, and a piece is read before its size is known.
PIECES = 4
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


def typed_rows(
    batches: Iterable[pa.RecordBatch],
    shard: Shard,
    source: Source,
    schema: pa.Schema,
    quarantine: Callable[[BadRecord], None],
    skip: np.ndarray | None,
) -> Iterator[pa.RecordBatch]:
    """Rows of typed data. `batches` hold fields of the data: the wanted ones and, unless `skip` is given, text and id.

    A row is bad when its text is null or when its text or id is not valid UTF-8. With `skip` (positions of the bad
    rows, known from an earlier read) nothing is checked and nothing is reported.
    """
    first = 0
    for batch in batches:
        positions = np.arange(first, first + batch.num_rows)
        first += batch.num_rows
        _check_strings(batch, source, shard, positions)
        columns = columns_of(batch, source, shard)
        if skip is None:
            good = _good_rows(columns, positions, shard, quarantine)
        else:
            good = np.isin(positions, skip, invert=True)
        if not good.all():
            columns = {name: array.filter(pa.array(good)) for name, array in columns.items()}
        if good.any():
            yield arrange(columns, positions[good], shard, schema)


def fields_to_read(source: Source, shard: Shard, data: pa.Schema, schema: pa.Schema, checked: bool) -> list[str]:
    """The fields of the data that `typed_rows` needs for the columns of `schema`."""
    names = {*schema.names, *(("id", "text") if checked else ())}
    chosen = {field for name, field in fields(source).items() if name in names}
    others = {name for name in data.names if name not in fields(source).values()}
    chosen |= others if shard.other == "metadata" and "metadata" in names else others & names
    return [name for name in data.names if name in chosen]


def columns_of(batch: pa.RecordBatch, source: Source, shard: Shard) -> dict[str, pa.Array]:
    present = dict(zip(batch.schema.names, batch.columns, strict=True))
    columns = {name: present.pop(field) for name, field in fields(source).items() if field in present}
    for name in ("id", "text", "source"):
        if name in columns:
            columns[name] = plain(columns[name], pa.string())
    if shard.other == "metadata":
        return columns | {"metadata": _as_json(present, batch.num_rows)}
    return columns | present


def _as_json(columns: dict[str, pa.Array], rows: int) -> pa.Array:
    """One JSON object per row; null values are left out, and a row without values is null."""
    if not columns:
        return pa.nulls(rows, pa.string())
    records = pa.RecordBatch.from_pydict(columns).to_pylist()
    present = [{name: value for name, value in record.items() if value is not None} for record in records]
    encoded = [msgspec.json.encode(record, enc_hook=str).decode() if record else None for record in present]
    return pa.array(encoded, pa.string())


def _good_rows(
    columns: dict[str, pa.Array], positions: np.ndarray, shard: Shard, quarantine: Callable[[BadRecord], None]
) -> np.ndarray:
    checked = [(name, columns[name]) for name in ("text", "id") if name in columns]
    good = np.ones(len(positions), bool)
    if not columns["text"].null_count and all(is_utf8(array) for _, array in checked):
        return good
    values = {name: array.view(pa.binary()).to_pylist() for name, array in checked}
    for row, position in enumerate(positions.tolist()):
        text = values["text"][row]
        error = "field 'text' is null" if text is None else ""
        for name, array in values.items():
            wrong = utf8_error(array[row] or b"")
            error = error or (f"field {name!r} is {wrong}" if wrong else "")
        if error:
            good[row] = False
            about = text if text is not None else values["id"][row] if "id" in values else None
            quarantine(BadRecord(shard.name, position, error, excerpt(about or b"")))
    return good


def _check_strings(batch: pa.RecordBatch, source: Source, shard: Shard, positions: np.ndarray) -> None:
    """Refuse, with DataError, a column beside text and id whose strings are not valid UTF-8."""
    mapping = fields(source)
    for name, array in zip(batch.schema.names, batch.columns, strict=True):
        if name in (mapping.get("text"), mapping.get("id")) or is_bytes(array.type) or _is_valid(array):
            continue
        row = next(row for row in range(len(array)) if not _is_valid(array.take(pa.array([row]))))
        raise DataError(
            f"{shard.paths[0]}: the column {name!r} is not valid UTF-8 in row {positions[row]}; "
            "repair it, or store the column as binary"
        )


def _is_valid(array: pa.Array) -> bool:
    if is_text(array.type):
        return is_utf8(plain(array, pa.string()))
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


# ---------------------------------------------------------------- Parquet


@contextmanager
def _parquet(shard: Shard) -> Iterator[pq.ParquetFile]:
    """An open Parquet file; DamagedFile when it has no readable footer, DataError when its pages are damaged.

    Read through a buffer and not mapped, so that a worker's memory does not seem to grow with the file.
    """
    path = shard.paths[0]
    with open_bytes(path, seekable=True) as handle:
        try:
            file = pq.ParquetFile(handle, pre_buffer=False, buffer_size=BUFFER)
        except Exception as error:
            raise _damage(path, error) or unreadable(path, error) from error
        try:
            yield file
        except DataError:
            raise
        except Exception as error:
            if not _damage(path, error):
                raise unreadable(path, error) from error
            raise _damaged_inside(path, error) from error


def _damaged_inside(path: str, error: Exception) -> DataError:
    return DataError(f"{path}: damaged inside ({' '.join(str(error).split())}); fetch the file again or take it out")


def _damage(path: str, error: Exception) -> DamagedFile | None:
    """The error for content that Arrow cannot read. It says so with a plain OSError, the network with kinds of it."""
    if isinstance(error, pa.ArrowException) or type(error) is OSError:
        return DamagedFile(path, f"not readable as Parquet: {error}")
    return None


def _parquet_batches(
    shard: Shard, source: Source, schema: pa.Schema, batch_bytes: int, chosen: Callable[[pa.Schema], list[str]]
) -> Iterator[pa.RecordBatch]:
    """Fields of the data, a few rows at a time, so that never a whole row group is in memory."""
    with _parquet(shard) as file:
        check_same(file.schema_arrow, source, shard, schema)
        columns = chosen(file.schema_arrow)
        total = sum(file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups))
        if total != file.metadata.num_rows:
            raise pa.ArrowInvalid(f"the file has {file.metadata.num_rows} rows, its row groups {total}")
        for number in range(file.metadata.num_row_groups):
            # Of the group as a whole: where the footer is damaged, Arrow ends the process when asked about a column.
            group = file.metadata.row_group(number)
            count, read = rows_per_piece(group.num_rows, group.total_byte_size, batch_bytes), 0
            for batch in file.iter_batches(count, row_groups=[number], columns=columns, use_threads=False):
                read += batch.num_rows
                yield batch
            if read != group.num_rows:
                raise pa.ArrowInvalid(f"row group {number} has {group.num_rows} rows, of which {read} are there")


def rows_per_piece(rows: int, size: int, batch_bytes: int) -> int:
    """How many rows to read at once where `rows` of them have `size` bytes, so that PIECES reads make a batch.

    >>> rows_per_piece(1000, 8_000_000, batch_bytes=800_000)
    25
    """
    return int(min(max(rows * batch_bytes // PIECES // max(size, 1), 1), MAX_ROWS))


# ---------------------------------------------------------------- saved datasets


def _dataset(shard: Shard) -> Any:
    import datasets

    try:
        dataset = datasets.Dataset.from_file(shard.paths[0])
        str(dataset.data.schema)  # of a damaged file even the names may be unreadable
        return dataset
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        raise DamagedFile(shard.paths[0], f"not readable as a saved dataset: {error}") from error


def _dataset_batches(
    shard: Shard, source: Source, schema: pa.Schema, batch_bytes: int, chosen: Callable[[pa.Schema], list[str]]
) -> Iterator[pa.RecordBatch]:
    dataset = _dataset(shard)
    check_same(dataset.data.schema, source, shard, schema)
    columns = chosen(dataset.data.schema)
    count = rows_per_piece(len(dataset), shard.bytes, batch_bytes)
    try:
        for stored in dataset.data.table.to_batches():
            batch = stored.select(columns)
            _check_offsets(batch)
            yield from (batch.slice(start, count) for start in range(0, len(batch), count))
    except pa.ArrowException as error:
        raise _damaged_inside(shard.paths[0], error) from error


def _check_offsets(batch: pa.RecordBatch) -> None:
    """Refuse a batch with values outside its buffers: Arrow maps such files and believes what they say."""
    for array in batch.columns:
        _as_bytes(array).validate(full=True)


def _as_bytes(array: pa.Array) -> pa.Array:
    """Strings as bytes, for what is not valid UTF-8 is another question."""
    if pa.types.is_dictionary(array.type):
        return pa.DictionaryArray.from_arrays(array.indices, _as_bytes(array.dictionary), safe=False)
    views = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary(), pa.string_view(): pa.binary_view()}
    return array.view(views[array.type]) if array.type in views else array
