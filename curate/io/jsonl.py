"""Reads JSON Lines, plain or compressed, as a stream.

Two ways give the same rows: record by record, which defines what a record means, and Arrow's own parser for blocks
in which every line is one object of the expected fields, which is several times faster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from curate.errors import DataError, nearest
from curate.io.columns import arrange, declared, excerpt, fields, is_utf8, missing_text, utf8_error, wanted
from curate.io.source import MB, BadRecord, DamagedFile, Shard, Source
from curate.io.stream import Block, Blocks, Stream

FIRST_RECORDS = 1_000
NAMES = {str: "string", int: "int", float: "float", bool: "bool", list: "array", dict: "object", type(None): "null"}
TYPES = {"string": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}
EXPECTED = {type: name for name, type in TYPES.items()}


def rows(
    shard: Shard,
    source: Source,
    schema: pa.Schema,
    batch_bytes: int,
    quarantine: Callable[[BadRecord], None],
    needed: set[str] | None = None,
    skip: np.ndarray | None = None,
) -> Iterator[pa.RecordBatch]:
    """The good rows of a shard; a batch holds the lines that fit in `batch_bytes` of JSON."""
    records = Records(shard, source, schema, wanted(schema, needed), quarantine)
    stream = Stream(shard.paths[0])
    blocks = Blocks(stream, batch_bytes, source.max_record_bytes)
    for block in blocks:
        batch = records.at_once(block)
        if batch is None:
            batch = records.one_by_one(block)
        if batch.num_rows:
            yield batch
    if stream.damage:
        raise DamagedFile(stream.url, stream.damage, blocks.line, excerpt(blocks.rest))


class Records:
    """Turns blocks of lines into rows.

    A record is bad when it is not a JSON object, is too long, has no text, or when a column of the schema has a value
    of another type (an integer or a float may be an id, an integer may be a float). Fields that are not in the schema
    go to the column `metadata` as JSON. Of a field that a record has twice, the last counts.
    """

    def __init__(
        self,
        shard: Shard,
        source: Source,
        schema: pa.Schema,
        out: pa.Schema,
        quarantine: Callable[[BadRecord], None],
    ) -> None:
        self.shard, self.out, self.quarantine = shard, out, quarantine
        self.limit = source.max_record_bytes
        mapping = fields(source)
        own = {name: mapping.get(name, name) for name in schema.names if name != "metadata"}
        self.fields = {name: field for name, field in own.items() if name in mapping or field not in mapping.values()}
        self.known = set(self.fields.values())
        self.types = {name: schema.field(name).type for name in self.fields}
        self.has_rest = "metadata" in schema.names
        odd = next((name for name, type in self.types.items() if type not in ACCEPTED), None)
        if odd:
            raise DataError(
                f"{shard.paths[0]}: the column {odd!r} is {self.types[odd]} in the source's first shard, "
                "which JSON has not; make the JSON Lines a source of their own"
            )
        self.accepted = {name: ACCEPTED_IDS if name == "id" else ACCEPTED[type] for name, type in self.types.items()}

    def one_by_one(self, block: Block) -> pa.RecordBatch:
        """Record by record: this is what a record means."""
        columns: dict[str, list[Any]] = {name: [] for name in (*self.fields, "metadata")}
        positions: list[int] = []
        start = 0
        for number, end in enumerate(block.ends.tolist(), start=block.line):
            line = bytes(block.data[start:end])
            start = end + 1
            if not line.strip(b" \t\r"):
                continue
            try:
                values = self._values(line)
            except (BadValue, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                reason = str(error) if isinstance(error, BadValue) else _why_not_json(line, error)
                self.quarantine(BadRecord(self.shard.name, number, reason, excerpt(line)))
                continue
            for name, value in values.items():
                columns[name].append(value)
            positions.append(number)
        types = self.types | {"metadata": pa.string()}
        arrays = {name: pa.array(values, types[name]) for name, values in columns.items() if name in self.out.names}
        return arrange(arrays, np.array(positions, np.int64), self.shard, self.out)

    def _values(self, line: bytes) -> dict[str, Any]:
        if len(line) > self.limit:
            raise BadValue(f"the record is longer than {self.limit} bytes (max_record_bytes)")
        record = msgspec.json.decode(line)
        if not isinstance(record, dict):
            raise BadValue(f"the record is {NAMES[type(record)]}, expected object")
        values = {name: self._value(name, field, record) for name, field in self.fields.items()}
        rest = {field: value for field, value in record.items() if field not in self.known}
        if rest and not self.has_rest:
            raise BadValue(f"field {next(iter(rest))!r} is in no column of the source's first shard")
        values["metadata"] = msgspec.json.encode(rest).decode() if rest and "metadata" in self.out.names else None
        return values

    def _value(self, name: str, field: str, record: dict[str, Any]) -> Any:
        value = record.get(field)
        if value is None:
            if name == "text":
                raise BadValue(f"field {field!r} is {'null' if field in record else 'missing'}")
            return None
        convert = self.accepted[name].get(type(value))
        if convert is None:
            expected = "string or integer" if name == "id" else EXPECTED[self.types[name]]
            raise BadValue(f"field {field!r} is {NAMES[type(value)]}, expected {expected}")
        try:
            return convert(value)
        except OverflowError:
            raise BadValue(f"field {field!r} is out of range: {value}") from None

    def at_once(self, block: Block) -> pa.RecordBatch | None:
        """All records by Arrow's parser, or None where it might differ from `one_by_one`."""
        schema = self._expected(block)
        if schema is None:
            return None
        try:
            table = pj.read_json(
                pa.BufferReader(pa.py_buffer(block.data)),
                pj.ReadOptions(use_threads=False, block_size=len(block.data) + 1),
                pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error"),
            )
        except pa.ArrowException:
            return None
        if table.num_rows != len(block.ends) or any(column.num_chunks != 1 for column in table.columns):
            return None
        columns = {name: table[field].chunk(0) for name, field in self.fields.items()}
        if columns["text"].null_count or not all(_is_sound(array) for array in columns.values()):
            return None
        floats = {name: pc.add(array, 0.0) for name, array in columns.items() if array.type == pa.float64()}
        positions = np.arange(block.line, block.line + len(block.ends))
        return arrange(columns | floats, positions, self.shard, self.out)

    def _expected(self, block: Block) -> pa.Schema | None:
        """The fields and types of the block as its first record shows them; None where the lines are not all objects.

        Raw line ends cannot be inside a JSON value, so that lines from { to } hold at least one object each; when
        Arrow then finds as many objects as lines, each line is one object.
        """
        data, starts = np.frombuffer(block.data, np.uint8), np.append(0, block.ends[:-1] + 1)
        lengths = block.ends - starts
        if lengths.min() < 2 or lengths.max() > self.limit:
            return None
        if (data[starts] != ord("{")).any() or (data[block.ends - 1] != ord("}")).any():
            return None
        try:
            first = msgspec.json.decode(block.data[: block.ends[0]])
        except (ValueError, msgspec.DecodeError, RecursionError):
            return None
        if not first.keys() <= self.known:
            return None
        types = dict(self.types)
        if "id" in types and type(first.get(self.fields["id"])) is int:
            types["id"] = pa.int64()
        return pa.schema([pa.field(field, types[name]) for name, field in self.fields.items()])


class BadValue(Exception):
    """A record that is JSON but not a row: why."""


def _is_sound(array: pa.Array) -> bool:
    """Whether the values are such as the record-by-record way accepts: valid UTF-8, finite numbers."""
    if array.type == pa.string():
        return is_utf8(array)
    return array.type != pa.float64() or bool(pc.all(pc.is_finite(array)).as_py() is not False)


def _why_not_json(line: bytes, error: Exception) -> str:
    wrong = utf8_error(line)
    return f"the record is {wrong}" if wrong else f"not JSON: {str(error).removeprefix('JSON is malformed: ')}"


def _int64(value: int) -> int:
    if not -(2**63) <= value < 2**63:
        raise OverflowError
    return value


def _float_id(value: float) -> str:
    """Whole numbers that went through a float, as in tables with gaps. Larger ones may have lost digits."""
    if abs(value) >= 2**53:
        raise OverflowError
    return str(value)


# Python type of a value -> how it becomes a value of the column. Adding 0.0 makes -0.0 plain zero.
ACCEPTED: dict[pa.DataType, dict[type, Callable[[Any], Any]]] = {
    pa.string(): {str: lambda value: value},
    pa.int64(): {int: _int64},
    pa.float64(): {float: lambda value: value + 0.0, int: float},
    pa.bool_(): {bool: lambda value: value},
}
ACCEPTED_IDS: dict[type, Callable[[Any], Any]] = {str: lambda value: value, int: str, float: _float_id}


# ---------------------------------------------------------------- the schema


def shard_schema(source: Source, shard: Shard) -> tuple[pa.Schema, bool]:
    """The schema that a shard's first records show, and whether it has any."""
    records = _first_records(source, shard)
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


def _first_records(source: Source, shard: Shard) -> list[dict[str, Any]]:
    """The objects among the first lines. Raises DataError when there are lines but no objects among them."""
    found: list[dict[str, Any]] = []
    seen, first = 0, b""
    stream = Stream(shard.paths[0])
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
            return found if found else _raise_no_objects(shard, seen, first)
    if stream.damage:
        raise DamagedFile(shard.paths[0], stream.damage)
    return found if not seen else _raise_no_objects(shard, seen, first)


def _raise_no_objects(shard: Shard, seen: int, first: bytes) -> Any:
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
