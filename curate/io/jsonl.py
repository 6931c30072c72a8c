"""Reads JSON Lines, plain or compressed, as a stream.

Two ways give the same rows: record by record, which defines what a record means, and a kernel for lines that are one
object with values of the expected types, which is many times faster.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import DataError
from curate.io.blocks import Block, Blocks
from curate.io.columns import arrange, excerpt, fields, is_utf8, utf8_error, wanted
from curate.io.first_records import NAMES, TYPES
from curate.io.first_records import shard_schema as shard_schema
from curate.io.source import BadRecord, DamagedFile, Shard, Source
from curate.io.stream import Stream

if TYPE_CHECKING:
    from curate.kernels.json_lines import Members, Names

EXPECTED = {type: name for name, type in TYPES.items()}
SAFE_DIGITS = 18  # an integer of so many characters is an int64


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
    from curate.kernels.json_lines import line_ends

    records = Records(shard, source, schema, wanted(schema, needed), quarantine)
    stream = Stream(shard.paths[0], source.max_expansion)
    blocks = Blocks(stream, batch_bytes, source.max_record_bytes, line_ends)
    for block in blocks:
        batch = records.rows(block)
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
        self.numbers = {name: type for name, type in self.types.items() if type in (pa.int64(), pa.float64())}
        self.at = {name: [*dict.fromkeys(self.fields.values())].index(field) for name, field in self.fields.items()}
        self.has_rest = "metadata" in schema.names
        odd = next((name for name, type in self.types.items() if type not in ACCEPTED), None)
        if odd:
            raise DataError(
                f"{shard.paths[0]}: the column {odd!r} is {self.types[odd]} in the source's first shard, "
                "which JSON has not; make the JSON Lines a source of their own"
            )
        self.accepted = {name: ACCEPTED_IDS if name == "id" else ACCEPTED[type] for name, type in self.types.items()}

    def rows(self, block: Block) -> pa.RecordBatch:
        """The rows of the good records, in their order."""
        batch, positions, others = self.at_once(block)
        if not len(others):
            return batch
        slowly, places = self.one_by_one(block, others)
        order = np.argsort(np.concatenate([positions, places]))
        both = pa.Table.from_batches([batch, slowly]).take(pa.array(order)).combine_chunks()
        return both.to_batches()[0] if len(both) else batch

    def one_by_one(self, block: Block, lines: np.ndarray) -> tuple[pa.RecordBatch, np.ndarray]:
        """The rows of some lines, and their positions, record by record: this is what a record means."""
        columns: dict[str, list[Any]] = {name: [] for name in (*self.fields, "metadata")}
        positions: list[int] = []
        starts = np.append(0, block.ends + 1)
        for line_number in lines.tolist():
            number = block.line + line_number
            line = bytes(block.data[starts[line_number] : block.ends[line_number]])
            if not line.strip(b" \t\r"):
                continue
            try:
                values = self._values(line, number)
            except (BadValue, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                reason = str(error) if isinstance(error, BadValue) else _why_not_json(line, error)
                self.quarantine(BadRecord(self.shard.name, number, reason, excerpt(line)))
                continue
            for name, value in values.items():
                columns[name].append(value)
            positions.append(number)
        types = self.types | {"metadata": pa.string()}
        arrays = {name: pa.array(values, types[name]) for name, values in columns.items() if name in self.out.names}
        places = np.array(positions, np.int64)
        return arrange(arrays, places, self.shard, self.out), places

    def record(self, line: bytes, number: int) -> dict[str, Any]:
        """The object of a line. Raises BadValue."""
        if len(line) > self.limit:
            raise BadValue(f"the record is longer than {self.limit} bytes (max_record_bytes)")
        record = msgspec.json.decode(line)
        if not isinstance(record, dict):
            raise BadValue(f"the record is {NAMES[type(record)]}, expected object")
        return record

    def _values(self, line: bytes, number: int) -> dict[str, Any]:
        record = self.record(line, number)
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

    def at_once(self, block: Block) -> tuple[pa.RecordBatch, np.ndarray, np.ndarray]:
        """The rows of the lines that a kernel can read, their positions, and the lines left for `one_by_one`."""
        from curate.kernels.json_lines import OBJECT, OTHER, booleans, members, strings

        data = np.frombuffer(block.data, np.uint8)
        found = members(data, block.ends, self.names, self.limit)
        if not _is_utf8(block.data):
            found.line[_not_utf8(block)] = OTHER
        numbers = {name: _numbers(data, found, self.at[name], kind) for name, kind in self.numbers.items()}
        rest = self._rest(block, found)
        rows = np.flatnonzero(found.line == OBJECT)
        columns = {name: array.take(pa.array(rows)) for name, array in numbers.items()}
        for name in self.fields.keys() & set(self.out.names) - columns.keys():
            kind, span = found.kind[rows, self.at[name]], found.span[rows, self.at[name]]
            columns[name] = booleans(kind) if self.types[name] == pa.bool_() else strings(data, kind, span)
        if rest:
            columns["metadata"] = pa.array([rest.get(line) for line in rows.tolist()], pa.string())
        places = block.line + rows
        return arrange(columns, places, self.shard, self.out), places, np.flatnonzero(found.line == OTHER)

    @functools.cached_property
    def names(self) -> Names:
        """The fields and what each may hold; of one that is read into two columns, what both may hold."""
        from curate.kernels.json_lines import INTEGER, KINDS, NOTHING, TEXTS, names

        kinds = {name: KINDS[type] | NOTHING for name, type in self.types.items()}
        kinds |= {"text": TEXTS, "id": TEXTS | {INTEGER} | NOTHING}
        allowed: dict[str, frozenset[int]] = {}
        for name, field in self.fields.items():
            allowed[field] = allowed.get(field, kinds[name]) & kinds[name]
        return names(allowed)

    def _rest(self, block: Block, found: Members) -> dict[int, str]:
        """Line -> the fields without a column, as JSON; lines in which they are not sound become OTHER."""
        from curate.kernels.json_lines import OBJECT, OTHER

        lines, firsts = np.unique(found.others[:, 0], return_index=True)
        if not self.has_rest:
            found.line[lines] = OTHER
        rest = {}
        spans, edges = found.others[:, 1:].tolist(), [*firsts.tolist(), len(found.others)]
        for line, first, last in zip(lines.tolist(), edges, edges[1:], strict=False):
            if found.line[line] != OBJECT:
                continue
            try:
                fields = msgspec.json.decode(b"{%b}" % b",".join(block.data[a:b] for a, b in spans[first:last]))
            except (ValueError, msgspec.DecodeError, RecursionError):
                found.line[line] = OTHER
                continue
            if "metadata" in self.out.names:
                rest[line] = msgspec.json.encode(fields).decode()
        return rest


def _numbers(data: np.ndarray, found: Members, k: int, kind: pa.DataType) -> pa.Array:
    """The numbers of member k in every line that is an object; lines with one that is out of range become OTHER."""
    from curate.kernels.json_lines import INTEGER, NULL, OBJECT, OTHER, strings

    kinds, span = np.where(found.line == OBJECT, found.kind[:, k], np.uint8(NULL)), found.span[:, k]
    if pa.types.is_integer(kind):
        long = (kinds == INTEGER) & (span[:, 1] - span[:, 0] > SAFE_DIGITS)
        found.line[long], kinds[long] = OTHER, NULL
        return strings(data, kinds, span).cast(kind)
    try:
        values = pc.add(strings(data, kinds, span).cast(kind), 0.0)  # makes -0.0 plain zero
    except pa.ArrowInvalid:
        found.line[kinds != NULL] = OTHER
        return pa.nulls(len(kinds), kind)
    found.line[~pc.fill_null(pc.is_finite(values), True).to_numpy(zero_copy_only=False)] = OTHER
    return values


def _is_utf8(data: memoryview) -> bool:
    """Whether a block is valid UTF-8; it is looked at where it lies."""
    if len(data) > np.iinfo(np.int32).max:
        return False
    ends = pa.py_buffer(np.array([0, len(data)], np.int32))
    return is_utf8(pa.BinaryArray.from_buffers(pa.binary(), 1, [None, ends, pa.py_buffer(data)]))


def _not_utf8(block: Block) -> np.ndarray:
    """Which lines are not valid UTF-8 (bool[lines])."""
    starts = np.append(0, block.ends[:-1] + 1)
    lines = (bytes(block.data[start:end]) for start, end in zip(starts.tolist(), block.ends.tolist(), strict=True))
    return np.array([bool(utf8_error(line)) for line in lines])


class BadValue(Exception):
    """A record that is JSON but not a row: why."""


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
