"""The Parquet files of a release: one domain per file, in flat folders, in the order asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.arrays import one
from curate.convert import size
from curate.errors import DataError
from curate.io.parquet import ParquetSink
from curate.release.columns import UNSAFE, Layout
from curate.release.routes import Route, Sorter, Tally, splits
from curate.release.settings import Settings

LICENCE = "require_license"
HELD = 64_000_000  # bytes on their way to temporary files


class Part(NamedTuple):
    """A folder of a release to be: where its rows are, and how they become rows of the release with a key.

    files    of the run
    layout   of the release
    keys     rows of the run and of the release -> split and domain of each row, null for rows that stay out
    folder   (split) -> the folder its files go to
    lines    whether each row becomes one for each value of its lists
    """

    files: list[Path]
    layout: Layout
    keys: Callable[[pa.Table, pa.Table], pa.Table]
    folder: Callable[[str], str]
    lines: bool = False


def write_part(part: Part, root: Path, settings: Settings, metadata: dict[str, str]) -> list[tuple[Route, str]]:
    """Write the files of a part below `root`: each route with the paths of its files."""
    tally = Tally()
    for _, keys, sizes in _rows(part, needed=_needed(part, settings)):
        tally.add(keys, sizes)
    routes = tally.routes(max(size(settings.memory) // 4, 1))  # rows, their order and a copy of them
    sorter = Sorter(root / ".sort", routes, settings, min(HELD, size(settings.memory) // 4))
    for rows, keys, _ in _rows(part):
        sorter.add(rows, keys)
    writer = _Writer(part, root, settings, metadata)
    for route, rows in sorter:
        writer.add(route, rows)
    writer.close()
    (root / ".sort").rmdir()
    return writer.written


class _Writer:
    """One open file at a time: routes come one after the other."""

    def __init__(self, part: Part, root: Path, settings: Settings, metadata: dict[str, str]) -> None:
        self.part, self.root, self.settings, self.metadata = part, root, settings, metadata
        self.schema = line_schema(part.layout.schema) if part.lines else part.layout.schema
        self.route: Route | None = None
        self.sink: ParquetSink | None = None
        self.written: list[tuple[Route, str]] = []

    def add(self, route: Route, rows: pa.Table) -> None:
        if route != self.route:
            self.close()
            self.route, self.sink = route, self._open(route)
        if self.part.lines:
            rows = exploded(rows)
        if "domain" in self.schema.names:
            rows = rows.append_column("domain", pa.repeat(route.domain, rows.num_rows))
        at = rows.schema.get_field_index("dropped_by")
        if at >= 0:  # what export itself drops has no reason yet
            rows = rows.set_column(at, "dropped_by", pa.repeat(route.values[0], rows.num_rows))
        rows = rows.select(self.schema.names).cast(self.schema)
        assert self.sink is not None
        self.sink.append(rows)

    def close(self) -> None:
        """Finish the files of a route, and put into their names how many they are."""
        if self.sink is None or self.route is None:
            return
        files = self.sink.close()
        for at, file in enumerate(files):
            name = f"{self.route.domain}-{at:05d}-of-{len(files):05d}.parquet"
            path = Path(file.path).rename(Path(file.path).with_name(name))
            self.written.append((self.route, str(path.relative_to(self.root))))
        self.sink = None

    def _open(self, route: Route) -> ParquetSink:
        return ParquetSink(
            self.root / self.part.folder(route.split),
            f"{route.domain}-{{}}.parquet",
            self.schema,
            file_bytes=size(self.settings.file_size),
            row_group_rows=self.settings.row_group_rows,
            row_group_bytes=size(self.settings.row_group_size),
            metadata=self.metadata,
            compression_level=self.settings.compression,
            content_defined_chunking=self.settings.chunking,
        )


def line_schema(schema: pa.Schema) -> pa.Schema:
    """Lines: the document's id, the number of the line, and a value of each list."""
    fields = [field.with_type(field.type.value_type) for field in schema if pa.types.is_list(field.type)]
    return pa.schema([schema.field("id"), pa.field("line", pa.int32(), nullable=False), *fields])


def exploded(rows: pa.Table) -> pa.Table:
    """A row for each line of a document. DataError where its lists are of different lengths.

    >>> exploded(pa.table({"id": ["a", "b"], "words": [[3, 1], [2]]})).to_pydict()
    {'id': ['a', 'a', 'b'], 'line': [0, 1, 0], 'words': [3, 1, 2]}
    """
    lists = {field.name: one(rows[field.name]) for field in rows.schema if pa.types.is_list(field.type)}
    lengths = {name: np.asarray(pc.fill_null(pc.list_value_length(column), 0)) for name, column in lists.items()}
    first, *others = lengths
    for name in others:
        if not np.array_equal(lengths[first], lengths[name]):
            raise DataError(f"lines: {first} and {name} have different numbers of lines in some document")
    count = lengths[first]
    of = np.repeat(np.arange(rows.num_rows), count)
    line = np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count)
    made = {"id": rows["id"].take(pa.array(of)), "line": pa.array(line, pa.int32())}
    return pa.table(made | {name: pc.list_flatten(column) for name, column in lists.items()})


def _needed(part: Part, settings: Settings) -> list[str]:
    """Columns of the run that say where a document belongs, and how large it is."""
    layout = part.layout
    wanted = {"text", "source", "license", "dropped_by", *layout.domain, *settings.split_by, *settings.bucket}
    return [name for name in pq.read_schema(part.files[0]).names if name in wanted]


def _rows(part: Part, needed: list[str] | None = None) -> Iterator[tuple[pa.Table, pa.Table, np.ndarray]]:
    """Rows of the release, their keys and sizes, a row group of the run at a time; of some columns, or of all."""
    for path in part.files:
        file = pq.ParquetFile(path)
        for at in range(file.num_row_groups):
            given = file.read_row_group(at, columns=needed)
            rows = _applied(part.layout, given)
            keys = part.keys(given, rows)
            stays = keys.column(0).is_valid()
            sizes = _sizes(given)
            if not pc.all(stays).as_py() and rows.num_rows:
                rows, keys, sizes = rows.filter(stays), keys.filter(stays), sizes[np.asarray(stays)]
            if rows.num_rows:
                yield rows, keys, sizes


def _applied(layout: Layout, given: pa.Table) -> pa.Table:
    names = {*given.column_names, *layout.buckets, *(["license"] if "source" in given.column_names else [])}
    fields = [field for field in layout.schema if field.name in names]
    rows = Layout(pa.schema(fields), layout.domain, layout.properties, layout.buckets, layout.licences).apply(given)
    return rows


def _sizes(given: pa.Table) -> np.ndarray:
    """Bytes of each row, near enough: text as it is, the rest on average."""
    if "text" not in given.column_names:
        return np.full(given.num_rows, given.nbytes // max(given.num_rows, 1) + 1, np.int64)
    text = np.asarray(pc.fill_null(pc.binary_length(given["text"]), 0), np.int64)
    rest = max(given.nbytes - int(text.sum()), 0) // max(given.num_rows, 1)
    return text + rest + 16


def data_keys(layout: Layout, settings: Settings) -> Callable[[pa.Table, pa.Table], pa.Table]:
    """Split and domain of kept documents; null for those whose licence is not among those wanted."""

    def keys(given: pa.Table, rows: pa.Table) -> pa.Table:
        split = splits(given, settings)
        if settings.require_license:
            split = pc.if_else(licensed(rows, settings), split, None)
        return pa.table({"__split": split, **{name: rows[name] for name in layout.domain}})

    return keys


def dropped_keys(layout: Layout, settings: Settings) -> Callable[[pa.Table, pa.Table], pa.Table]:
    """The reason of dropped documents; null for those that are kept."""

    def keys(given: pa.Table, rows: pa.Table) -> pa.Table:
        reason = one(given["dropped_by"])
        if settings.require_license:
            reason = pc.coalesce(reason, pc.if_else(licensed(rows, settings), None, LICENCE))
        return pa.table({"__split": pc.if_else(pc.is_valid(reason), "dropped", None), "reason": reason})

    return keys


def licensed(rows: pa.Table, settings: Settings) -> pa.Array:
    """Whether each document's licence is one of those wanted; names of licences know no case."""
    wanted = pa.array([UNSAFE.sub("_", name).lower() for name in settings.require_license])
    return pc.is_in(pc.utf8_lower(one(rows["license"])), value_set=wanted)
