"""Which columns the rows of a source have, and how the fields of its data become them.

Every row has `id` and `text` first and `source` last; between them are the declared columns, then the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import DataError, nearest

if TYPE_CHECKING:
    from curate.io.source import Shard, Source

FEW = 1 << 16  # bytes that Arrow checks sooner
EXCERPT = 200


def fields(source: Source) -> dict[str, str]:
    """Our column -> the field of the data it is read from: id, text and source, unless declared otherwise.

    >>> from curate.io.source import Source
    >>> fields(Source(path="x.jsonl", columns={"text": "content", "language": "lang"}))
    {'id': 'id', 'text': 'content', 'source': 'source', 'language': 'lang'}
    """
    claimed = set(source.columns.values())
    return {name: name for name in ("id", "text", "source") if name not in claimed} | source.columns


def declared(source: Source) -> dict[str, str]:
    """The columns of `fields` that the recipe added to id, text and source."""
    return {name: field for name, field in fields(source).items() if name not in ("id", "text", "source")}


def missing_text(place: str, source: Source, names: Iterable[str]) -> DataError:
    """The error for data in which no field holds the text."""
    names, field = list(names), fields(source).get("text")
    if field is None:
        return DataError(f"{place}: the field 'text' is declared as another column; say which one holds the text")
    return DataError(
        f"{place}: there is no field {field!r}, only {', '.join(names) or 'none'}; say which one holds the text, "
        f"as in `columns: {{text: FIELD}}`{nearest(field, names)}"
    )


def is_text(kind: pa.DataType) -> bool:
    """Any of Arrow's string types, or a dictionary of one."""
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def is_bytes(kind: pa.DataType) -> bool:
    """Any of Arrow's binary types of variable length, or a dictionary of one."""
    if pa.types.is_dictionary(kind):
        return is_bytes(kind.value_type)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Strings of every kind are pa.string(); dictionaries are decoded; other types stay as they are."""
    if is_text(kind):
        return pa.string()
    return plain_type(kind.value_type) if pa.types.is_dictionary(kind) else kind


def plain(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """The array as `kind`, its plain type; binary becomes text unchecked where `kind` is text."""
    if array.type == kind:
        return array
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if kind == pa.string() and is_bytes(array.type):
        return array.cast(pa.binary()).view(pa.string())
    return array.cast(kind)


# ---------------------------------------------------------------- the schema of typed data


def typed_schema(data: pa.Schema, source: Source, shard: Shard) -> pa.Schema:
    """The schema of the rows of Parquet files and other data that has types of its own.

    Raises DataError when the text or a declared column is missing, or has a type it cannot have.
    """
    mapping, types = fields(source), {field.name: field.type for field in data}
    if mapping.get("text") not in types:
        raise missing_text(shard.paths[0], source, types)
    for name, field in source.columns.items():
        if field not in types:
            raise DataError(
                f"{shard.paths[0]}: there is no field {field!r} for the column {name!r}{nearest(field, types)}"
            )
    for name in ("id", "text", "source"):
        _check_type(name, types.get(mapping.get(name, "")), shard)
    found = [pa.field("id", pa.string()), pa.field("text", pa.string())]
    found += [pa.field(name, plain_type(types[field])) for name, field in declared(source).items()]
    rest = [name for name in types if name not in mapping.values()]
    if shard.other == "metadata":
        found.append(pa.field("metadata", pa.string()))
    else:
        found += [pa.field(name, plain_type(types[name])) for name in rest]
    found.append(pa.field("source", pa.string()))
    _check_unique(found, shard)
    return pa.schema(found, metadata={"shard": shard.name})


def _check_type(name: str, kind: pa.DataType | None, shard: Shard) -> None:
    if kind is None or is_text(kind):
        return
    if (name == "id" and pa.types.is_integer(kind)) or (name == "text" and is_bytes(kind)):
        return
    expected = {"id": "strings or integers", "text": "strings", "source": "strings"}[name]
    raise DataError(
        f"{shard.paths[0]}: {name!r} must be {expected} but is {kind}; take another field for it, "
        f"or give this one a name of its own, as in `columns: {{my_{name}: {name}}}`"
    )


def _check_unique(found: list[pa.Field], shard: Shard) -> None:
    names = [field.name for field in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise DataError(
            f"{shard.paths[0]}: two columns would be named {twice!r}, one declared and one the data has; "
            f"give the latter a name of its own, as in `columns: {{my_{twice}: {twice}}}`"
        )


def check_same(data: pa.Schema, source: Source, shard: Shard, schema: pa.Schema) -> None:
    """Refuse, with DataError, a shard whose columns are not those of the source's first shard."""
    own = typed_schema(data, source, shard)
    first = (schema.metadata or {}).get(b"shard", b"the first shard").decode()
    for name in [*schema.names, *own.names]:
        there = schema.field(name).type if name in schema.names else None
        here = own.field(name).type if name in own.names else None
        if there != here:
            raise DataError(
                f"{shard.paths[0]}: the column {name!r} is {here or 'missing'}, but {there or 'missing'} in {first}; "
                "the shards of a source must have the same columns: make them two sources, or rewrite one of them"
            )


# ---------------------------------------------------------------- rows


def wanted(schema: pa.Schema, needed: set[str] | None) -> pa.Schema:
    """The part of the schema that is asked for, in its order."""
    return pa.schema([field for field in schema if needed is None or field.name in needed])


def arrange(columns: dict[str, pa.Array], positions: np.ndarray, shard: Shard, schema: pa.Schema) -> pa.RecordBatch:
    """Rows as `schema` has them: ids and sources filled in, columns the shard lacks null."""
    arrays = []
    for field in schema:
        array = columns.get(field.name)
        if array is None:
            missing = pa.scalar(shard.source if field.name == "source" else None, field.type)
            array = pa.repeat(missing, len(positions))
        if field.name == "id":
            array = _with_ids(plain(array, pa.string()), positions, shard)
        elif field.name == "source" and array.null_count:
            array = pc.fill_null(plain(array, pa.string()), shard.source)
        arrays.append(plain(array, field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema.remove_metadata())


def _with_ids(ids: pa.Array, positions: np.ndarray, shard: Shard) -> pa.Array:
    if not ids.null_count:
        return ids
    numbers = pa.array(positions).cast(pa.string())
    return pc.coalesce(ids, pc.binary_join_element_wise(f"{shard.name}#", numbers, ""))


def is_utf8(array: pa.Array) -> bool:
    """Whether every value of a string or binary array is valid UTF-8.

    Polars checks ten times faster than Arrow, but takes longer to begin.
    """
    import polars as pl

    try:
        if array.nbytes < FEW and not array.null_count:
            array.view(pa.string()).validate(full=True)
        else:
            pl.Series(array.view(pa.binary())).cast(pl.String)
    except (pa.ArrowInvalid, pl.exceptions.PolarsError):
        return False
    return True


def utf8_error(data: bytes) -> str:
    """What is wrong with bytes that should be UTF-8; empty when nothing is."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return f"not valid UTF-8 at byte {error.start}"
    return ""


def excerpt(data: bytes | bytearray) -> str:
    r"""The first 200 characters of a record, on one line.

    >>> excerpt(b'{"a":\n\xff}')
    '{"a":\\n\\xff}'
    """
    text = data[: 4 * EXCERPT].decode("utf-8", "backslashreplace")[:EXCERPT]
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
