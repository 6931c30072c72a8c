"""What the first records of JSON Lines tell: which columns the rows have, and that the file is what it should be."""

from __future__ import annotations

from typing import Any, NoReturn

import msgspec
import pyarrow as pa

from curate.errors import DataError, nearest
from curate.io.blocks import Blocks
from curate.io.columns import declared, excerpt, fields, missing_text
from curate.io.source import MB, DamagedFile, Shard, Source
from curate.io.stream import Stream

FIRST_RECORDS = 1_000
NAMES = {str: "string", int: "int", float: "float", bool: "bool", list: "array", dict: "object", type(None): "null"}
TYPES = {"string": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}


def shard_schema(source: Source, shard: Shard) -> tuple[pa.Schema, bool]:
    """The schema that a shard's first records show, and whether it has any."""
    return schema_of(source, shard, first_records(source, shard))


def schema_of(source: Source, shard: Shard, records: list[dict[str, Any]]) -> tuple[pa.Schema, bool]:
    """The schema that records show, and whether there are any."""
    kinds: dict[str, set[str]] = {}
    for record in records:
        for field, value in record.items():
            kinds.setdefault(field, set()).update({_kind(value)} - {"null"})
    _check_fields(source, shard, kinds)
    types = {field: _column_type(kind) for field, kind in kinds.items()}
    names = {name: types.get(field) or pa.string() for name, field in declared(source).items()}
    if "metadata" in names:
        raise DataError(
            f"{shard.paths[0]}: the column 'metadata' holds the fields without a column; choose another name"
        )
    if shard.other == "columns":
        taken = {"id", "text", "source", "metadata", *names}
        free = [field for field in types if field not in fields(source).values() and field not in taken]
        names |= {field: types[field] for field in free if types[field] is not None}
    names = {"id": pa.string(), "text": pa.string(), **names, "metadata": pa.string(), "source": pa.string()}
    return pa.schema(list(names.items()), metadata={"shard": shard.name}), bool(records)


def _kind(value: Any) -> str:
    if type(value) is int and not -(2**63) <= value < 2**63:
        return "large int"
    return NAMES[type(value)]


def _column_type(kinds: set[str]) -> pa.DataType | None:
    """The type that holds all values of these kinds, if it is a simple one."""
    if kinds == {"int", "float"}:
        return pa.float64()
    return TYPES.get(next(iter(kinds))) if len(kinds) == 1 else None


def _check_fields(source: Source, shard: Shard, kinds: dict[str, set[str]]) -> None:
    """Refuse a source whose first records have no text, or not a declared field but one of nearly the same name."""
    if not kinds:
        return
    if fields(source).get("text") not in kinds:
        raise missing_text(shard.paths[0], source, kinds)
    free = [field for field in kinds if field not in fields(source).values()]
    for name, field in declared(source).items():
        if field not in kinds and nearest(field, free):
            raise DataError(
                f"{shard.paths[0]}: the first {FIRST_RECORDS} records have no field {field!r} for the column "
                f"{name!r}{nearest(field, free)} If it is only rare, declare the other one as a column too"
            )


def first_records(source: Source, shard: Shard) -> list[dict[str, Any]]:
    """The objects among the first lines. Raises DataError when there are lines but no objects among them."""
    found: list[dict[str, Any]] = []
    seen, first = 0, b""
    stream = Stream(shard.paths[0], source.max_expansion)
    for block in Blocks(stream, MB, source.max_record_bytes):
        for line in bytes(block.data).split(b"\n"):
            line = line.strip(b" \t\r")
            if not line or seen == FIRST_RECORDS:
                continue
            seen, first = seen + 1, first or line
            try:
                record = msgspec.json.decode(line)
            except (ValueError, msgspec.DecodeError, RecursionError):
                continue
            if isinstance(record, dict):
                found.append(record)
        if found or seen == FIRST_RECORDS:
            break
    if stream.damage and not found:
        raise DamagedFile(shard.paths[0], stream.damage)
    if seen and not found:
        _raise_no_objects(shard, seen, first)
    return found


def _raise_no_objects(shard: Shard, seen: int, first: bytes) -> NoReturn:
    path = shard.paths[0]
    archives = {b"\x1f\x8b": ".gz", b"\x28\xb5\x2f\xfd": ".zst", b"\xfd7zXZ": ".xz"}
    suffix = next((suffix for magic, suffix in archives.items() if first.startswith(magic)), None)
    if suffix:
        raise DataError(f"{path}: is compressed, which its name does not say; let the name end in {suffix}")
    if first.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{path}: is UTF-16; convert it: iconv -f UTF-16 -t UTF-8 {path} > utf8.jsonl")
    if first.startswith(b"["):
        raise DataError(
            f"{path}: is one JSON array, not one object per line; convert it: jq -c '.[]' {path} > lines.jsonl"
        )
    raise DataError(
        f"{path}: none of the first {seen} lines is a JSON object; JSON Lines have one object per line. "
        f"The first line is {excerpt(first[:80])}"
    )
