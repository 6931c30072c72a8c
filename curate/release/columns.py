"""The columns of a release: flat and typed; properties are plain text that query engines and mixture tools take."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.arrays import one
from curate.errors import PlanError, nearest
from curate.release.settings import Settings

UNKNOWN = "unknown"
ALWAYS = ("source", "language", "license")
UNSAFE = re.compile(r"[^A-Za-z0-9._+/-]+")  # Mixtera splits values at ; and , and : and others at spaces
NAME = re.compile(r"[A-Za-z_]\w*")
LABELS = {1: ("low", "high"), 2: ("low", "mid", "high")}
WHOLE = "all"  # in the place of the domain's columns: one domain
MADE = ("domain",)  # a column that export adds


class Layout(msgspec.Struct, frozen=True):
    """From the columns of a run to those of a release.

    schema      of the release, without metadata
    domain      columns whose values make the domain
    properties  columns of plain text without nulls, those of the domain among them
    buckets     new column -> (column, cut points, labels)
    licences    source (a glob) -> licence, as the author says
    """

    schema: pa.Schema
    domain: tuple[str, ...]
    properties: tuple[str, ...]
    buckets: dict[str, tuple[str, tuple[float, ...], tuple[str, ...]]]
    licences: dict[str, str]

    def apply(self, rows: pa.Table) -> pa.Table:
        """Rows of the run as rows of the release, but for `domain`, which depends on all of them."""
        made: dict[str, Any] = {}
        for field in self.schema:
            if field.name in MADE:
                continue
            made[field.name] = self._column(field, rows)
        fields = [field for field in self.schema if field.name in made]
        return pa.table(made, schema=pa.schema(fields))

    def _column(self, field: pa.Field, rows: pa.Table) -> Any:
        if field.name in self.buckets:
            column, edges, labels = self.buckets[field.name]
            return bucketed(rows[column], edges, labels)
        if field.name == "license":
            given = rows["license"] if "license" in rows.column_names else None
            return safe(licence(given, rows["source"], self.licences))
        if field.name in self.properties:
            return safe(rows[field.name])
        values = plain(rows[field.name], field.type)
        return values if field.nullable else values.fill_null("")


def layout(schema: pa.Schema, settings: Settings, licences: Mapping[str, str]) -> Layout:
    """The layout of a release of documents with these columns. PlanError for what cannot be one."""
    taken = next((name for name in MADE if name in schema.names), None)
    if taken:
        raise PlanError(f"the run has a column {taken!r}, which a release has for itself: rename it in the recipe")
    for column in settings.bucket:
        _check_number(schema, column)
    buckets = {f"{column}_bucket": (column, edges, labels(edges)) for column, edges in settings.bucket.items()}
    named = {field.name: plain_type(field.type) for field in schema}
    known = [*named, *buckets, "license"]
    domain = settings.domain or tuple(name for name in ("source", "language") if name in known)
    if domain == (WHOLE,) and WHOLE not in known:
        domain = ()
    for column in (*domain, *settings.properties):
        _check_property(column, known, named)
    for column in settings.split_by:
        if column not in named:
            raise PlanError(f"split_by: no column {column!r}{nearest(column, named)}")
    always = [name for name in ALWAYS if name in known]
    properties = tuple(dict.fromkeys([*domain, *settings.properties, *always, *buckets]))
    return Layout(_schema(named, properties), domain, properties, buckets, dict(licences))


def parted(plan: Layout, globs: tuple[str, ...]) -> tuple[Layout, Layout]:
    """A layout without the columns that hold a value for each line, and one of these alone. PlanError for others."""
    names = [field.name for field in plan.schema if any(fnmatchcase(field.name, glob) for glob in globs)]
    lists = [name for name in names if pa.types.is_list(plan.schema.field(name).type)]
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in names):
            raise PlanError(f"lines: no column {glob!r}{nearest(glob, plan.schema.names)}")
    if names != lists:
        wrong = next(name for name in names if name not in lists)
        raise PlanError(f"lines: {wrong} is {plan.schema.field(wrong).type}, not a list with a value for each line")
    rest = [field for field in plan.schema if field.name not in lists]
    lines = pa.schema([plan.schema.field(name) for name in ("id", *plan.properties, *lists)])
    replace = msgspec.structs.replace
    return replace(plan, schema=pa.schema(rest)), replace(plan, schema=lines)


def _schema(named: dict[str, pa.DataType], properties: tuple[str, ...]) -> pa.Schema:
    first = [name for name in ("id", "text") if name in named]
    rest = [name for name in named if name not in (*first, *properties)]
    fields = [pa.field(name, named[name], nullable=False) for name in first]
    fields += [pa.field(name, pa.string(), nullable=False) for name in (*properties, *MADE)]
    return pa.schema([*fields, *(pa.field(name, named[name]) for name in rest)])


def _check_property(column: str, known: list[str], types: dict[str, pa.DataType]) -> None:
    if column not in known:
        raise PlanError(f"no column {column!r}{nearest(column, known)}")
    if not NAME.fullmatch(column):
        raise PlanError(f"{column!r} is no name that SQL takes without quotes: rename the column in the recipe")
    kind = types.get(column, pa.string())
    if not (pa.types.is_string(kind) or pa.types.is_boolean(kind) or pa.types.is_integer(kind)):
        raise PlanError(f"{column} is {kind}, no property: make classes of it with --bucket {column}=CUT,CUT")


def _check_number(schema: pa.Schema, column: str) -> None:
    if column not in schema.names:
        raise PlanError(f"bucket: no column {column!r}{nearest(column, schema.names)}")
    kind = schema.field(column).type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        raise PlanError(f"bucket: {column} is {kind}, not a number")


def labels(edges: tuple[float, ...]) -> tuple[str, ...]:
    """Names of the classes between cut points, from the lowest on.

    >>> labels((0.3, 0.7)), labels((1, 2, 3))
    (('low', 'mid', 'high'), ('b0', 'b1', 'b2', 'b3'))
    """
    return LABELS.get(len(edges), tuple(f"b{at}" for at in range(len(edges) + 1)))


def bucketed(values: Any, edges: tuple[float, ...], names: tuple[str, ...]) -> pa.Array:
    """The class of each value; a value at a cut point is in the class above it.

    >>> bucketed(pa.array([0.1, 0.3, None]), (0.3,), ("low", "high")).to_pylist()
    ['low', 'high', 'unknown']
    """
    numbers = np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
    at = np.where(np.isnan(numbers), len(names), np.searchsorted(edges, numbers, side="right"))
    return pa.array([*names, UNKNOWN]).take(pa.array(at))


def licence(given: Any, source: Any, licences: Mapping[str, str]) -> Any:
    """The licence of each document: its own, else its source's; the first glob that fits counts."""
    encoded = one(source).cast(pa.string()).dictionary_encode()
    names = [licence_of(name, licences) for name in encoded.dictionary.to_pylist()]
    by_source = pa.array(names, pa.string()).take(encoded.indices)
    return by_source if given is None else pc.coalesce(one(given).cast(pa.string()), by_source)


def licence_of(source: str, licences: Mapping[str, str]) -> str | None:
    """What the author says of a source's licence.

    >>> licence_of("wiki/de", {"wiki/*": "cc-by-sa-4.0"})
    'cc-by-sa-4.0'
    """
    return next((found for glob, found in licences.items() if fnmatchcase(source, glob)), None)


def safe(values: Any) -> pa.Array:
    """Values as properties: text without nulls, and without signs that mixture tools or SQL take for their own.

    >>> safe(pa.array(["cc;main 2", None, ""])).to_pylist()
    ['cc_main_2', 'unknown', 'unknown']
    """
    encoded = one(values).cast(pa.string()).dictionary_encode()
    names = [UNSAFE.sub("_", name) or UNKNOWN for name in encoded.dictionary.to_pylist()]
    return pa.array([*names, UNKNOWN], pa.string()).take(encoded.indices.fill_null(len(names)))


def plain(values: Any, kind: pa.DataType) -> Any:
    """Values in a type that every reader knows."""
    if pa.types.is_string(kind) and not _is_text(values.type):
        if pa.types.is_null(values.type):
            return values.cast(kind)
        import json

        return pa.array([None if v is None else json.dumps(v, default=str) for v in values.to_pylist()], kind)
    return values if values.type == kind else values.cast(kind)


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type a release has for one of the run: maps, views, times with zones and unions trouble some reader.

    >>> plain_type(pa.large_string()), plain_type(pa.map_(pa.string(), pa.int32()))
    (DataType(string), DataType(string))
    """
    if pa.types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if pa.types.is_uint64(kind):
        return pa.int64()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_list_view(kind):
        return pa.list_(pa.field("element", plain_type(kind.value_type)))  # Parquet's own name, which comes back
    is_odd = pa.types.is_map(kind) or pa.types.is_null(kind) or pa.types.is_temporal(kind) or pa.types.is_union(kind)
    return pa.string() if _is_text(kind) or is_odd else kind


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
