"""Writes Parquet whose bytes depend on the rows alone, in files that appear whole or not at all."""

from __future__ import annotations

import hashlib
import itertools
import os
import secrets
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from curate.io.cut import Cutter, cut
from curate.io.source import MB, Source

ROW_GROUP_ROWS = 10_000
ROW_GROUP_BYTES = 64 * MB
# Long, distinct values: a dictionary or minima and maxima of them only cost space.
UNIQUE = ("text", "metadata")


class Written(msgspec.Struct, frozen=True):
    """A finished file: its path, rows, size in bytes, and SHA-256 of its content."""

    path: str
    rows: int
    bytes: int
    sha256: str


class ParquetSink:
    """Writes rows to `folder` as files of a target size. A context manager; `files` lists what is finished.

    Row groups and files begin at rows that depend on the sequence of rows alone, not on the batches they come in.

    name_pattern     file name; `{}` becomes the file's number, five digits
    file_bytes       a file ends with the row group that brings its rows (before compression) to this size
    row_group_rows, row_group_bytes  a row group ends before it would pass one of these
    metadata         strings for the file's footer
    compression_level  of ZSTD
    content_defined_chunking  pages end where the content says, so that an edited file shares bytes with the old one

    >>> import tempfile
    >>> with ParquetSink(tempfile.mkdtemp(), "part-{}.parquet", pa.schema([("id", pa.string())])) as sink:
    ...     sink.append(pa.table({"id": ["a", "b"]}))
    >>> [(Path(file.path).name, file.rows) for file in sink.files]
    [('part-00000.parquet', 2)]
    """

    def __init__(
        self,
        folder: str | Path,
        name_pattern: str,
        schema: pa.Schema,
        file_bytes: int = 512 * MB,
        row_group_rows: int = ROW_GROUP_ROWS,
        row_group_bytes: int = ROW_GROUP_BYTES,
        metadata: dict[str, str] | None = None,
        compression_level: int = 3,
        content_defined_chunking: bool = False,
    ) -> None:
        self.folder, self.name_pattern = Path(folder), name_pattern
        self.schema = schema.with_metadata(metadata or None)
        self.file_bytes, self.compression_level = file_bytes, compression_level
        self.content_defined_chunking = content_defined_chunking
        self.files: list[Written] = []
        self._cutter = Cutter(row_group_bytes, row_group_rows)
        self._file: _File | None = None
        self._size = 0  # of its rows, before compression

    def append(self, rows: pa.RecordBatch | pa.Table) -> None:
        """Take rows. Raises ValueError when they do not have the columns and types of the schema."""
        for batch in [rows] if isinstance(rows, pa.RecordBatch) else rows.to_batches():
            for group, size in self._cutter.push(_conform(batch, self.schema)):
                self._write(group, size)

    def close(self) -> list[Written]:
        """Write what is left and finish the last file; a sink without rows makes one file without rows."""
        for group, size in self._cutter.flush():
            self._write(group, size)
        if self._file is None and not self.files:
            self._file = self._open()
        self._finish()
        return self.files

    def _write(self, group: pa.RecordBatch, size: int) -> None:
        self._file = self._file or self._open()
        self._file.write(group)
        self._size += size
        if self._size >= self.file_bytes:
            self._finish()

    def _open(self) -> _File:
        name = self.name_pattern.replace("{}", f"{len(self.files):05d}")
        return _File(self.folder / name, self.schema, self.compression_level, self.content_defined_chunking)

    def _finish(self) -> None:
        if self._file is not None:
            self.files.append(self._file.finish())
            self._file, self._size = None, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        elif self._file is not None:
            self._file.discard()


def write_table(
    path: str | Path,
    data: pa.Table | pa.RecordBatch | Iterable[pa.RecordBatch],
    schema: pa.Schema | None = None,
    metadata: dict[str, str] | None = None,
    compression_level: int = 1,
) -> Written:
    """Write one Parquet file, whole or not at all. `schema` is needed where `data` are batches that may be none.

    >>> import tempfile
    >>> write_table(Path(tempfile.mkdtemp()) / "x.parquet", pa.table({"n": [1, 2, 3]})).rows
    3
    """
    if isinstance(data, pa.Table | pa.RecordBatch):
        schema = schema or data.schema
        data = data.to_batches() if isinstance(data, pa.Table) else [data]
    batches = iter(data)
    first = [] if schema else [next(batches)]
    schema = (schema or first[0].schema).with_metadata(metadata)
    file = _File(Path(path), schema, compression_level)
    try:
        rows = (_conform(batch, schema) for part in (first, batches) for batch in part)
        for group in cut(rows, ROW_GROUP_BYTES, max_rows=1 << 16):
            file.write(group)
    except BaseException:
        file.discard()
        raise
    return file.finish()


def remove_unfinished(folder: str | Path) -> int:
    """Remove what killed writers left in a folder and below. Only when no writer is at work there."""
    left = list(Path(folder).rglob(".*.tmp"))
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


class _File:
    """A Parquet file that has a temporary name until it is whole."""

    def __init__(self, path: Path, schema: pa.Schema, compression_level: int, chunking: bool = False) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.unfinished = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
        self.rows = 0
        short = [field.name for field in schema if field.name not in UNIQUE]
        repeated = [name for name in short if name != "id" and _repeats(schema.field(name).type)]
        self.writer = pq.ParquetWriter(
            self.unfinished,
            schema,
            compression="zstd",
            compression_level=compression_level,
            use_dictionary=repeated,
            write_statistics=short,
            write_page_index=True,
            **({"use_content_defined_chunking": True} if chunking else {}),  # pyarrow 21 and later
        )

    def write(self, group: pa.RecordBatch) -> None:
        self.writer.write_batch(group, row_group_size=max(group.num_rows, 1))
        self.rows += group.num_rows

    def finish(self) -> Written:
        self.writer.close()
        with self.unfinished.open("rb+") as handle, ThreadPoolExecutor(1) as beside:
            synced = beside.submit(os.fsync, handle.fileno())  # the disk writes while the digest is computed
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
            size = handle.tell()
            synced.result()
        os.replace(self.unfinished, self.path)
        _sync_folder(self.path.parent)
        return Written(str(self.path), self.rows, size, digest)

    def discard(self) -> None:
        self.writer.close()
        self.unfinished.unlink(missing_ok=True)


def _repeats(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_integer(kind) or pa.types.is_dictionary(kind)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch with its columns in the schema's order."""
    if batch.schema.equals(schema):
        return batch.replace_schema_metadata(schema.metadata)
    if set(batch.schema.names) != set(schema.names):
        raise ValueError(f"the rows have the columns {batch.schema.names}, the file has {schema.names}")
    for field in schema:
        if batch.schema.field(field.name).type != field.type:
            raise ValueError(f"{field.name} is {batch.schema.field(field.name).type}, the file has {field.type}")
    return batch.select(schema.names).replace_schema_metadata(schema.metadata)


# ---------------------------------------------------------------- datasets in memory


def from_dataset(dataset: object, folder: str | Path) -> Source:
    """A Hugging Face `datasets.Dataset` as a source: its rows go to `folder` as Parquet, for all workers to read.

    The same rows give the same files, which then are left as they are, so that nothing is computed anew for them.
    Raises TypeError for anything but a Dataset or IterableDataset (of a DatasetDict take one split).

    >>> import datasets, tempfile
    >>> source = from_dataset(datasets.Dataset.from_dict({"text": ["one", "two"]}), tempfile.mkdtemp())
    >>> source.format
    'parquet'
    """
    import datasets

    if not isinstance(dataset, datasets.Dataset | datasets.IterableDataset):
        hint = "; take one split of it" if isinstance(dataset, dict) else ""
        raise TypeError(f"expected a datasets.Dataset, got {type(dataset).__name__}{hint}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as spill:
        made = {Path(file.path).name: file for file in _spill(dataset, Path(spill))}
        for name, file in made.items():
            if not _has_content(folder / name, file.sha256):
                os.replace(file.path, folder / name)
    for stale in set(folder.glob("part-*.parquet")) - {folder / name for name in made}:
        stale.unlink()
    return Source(path=str(folder), format="parquet")


def _spill(dataset: Any, folder: Path) -> list[Written]:
    tables = dataset.with_format("arrow").iter(1_000)
    first = next(tables, None)
    schema = (dataset.features.arrow_schema if first is None else first.schema).remove_metadata()
    with ParquetSink(folder, "part-{}.parquet", schema, file_bytes=64 * MB, compression_level=1) as sink:
        for table in itertools.chain([] if first is None else [first], tables):
            sink.append(table)
    return sink.files


def _has_content(path: Path, sha256: str) -> bool:
    if not path.exists():
        return False
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest() == sha256
