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

from curate.errors import DataError
from curate.io.columns import arrange, excerpt, fields, is_utf8, utf8_error, wanted
from curate.io.first_records import NAMES, TYPES
from curate.io.first_records import shard_schema as shard_schema
from curate.io.source import BadRecord, DamagedFile, Shard, Source
from curate.io.stream import Block, Blocks, Stream

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
    stream = Stream(shard.paths[0], source.max_expansion)
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
