"""Reads documents whose annotations lie in files beside them: the layouts of RedPajama-V2 and of Dolma.

RedPajama-V2 (Weber et al. 2024) joins by the row number that ids end with; Dolma (Soldaini et al. 2024) line by line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curate.errors import DataError
from curate.io.batched import Row, batched
from curate.io.blocks import Blocks
from curate.io.columns import excerpt, missing_text, typed_schema, wanted
from curate.io.source import MB, BadRecord, DamagedFile, Shard, Source
from curate.io.stream import Stream, open_bytes, unreadable

STRING, INT, FLOAT = pa.string(), pa.int64(), pa.float64()
SPANS = pa.list_(pa.struct([("start", INT), ("end", INT), ("score", FLOAT)]))
# The fields of a document that get columns of their own; the others go to `metadata`.
REDPAJAMA = dict.fromkeys(("url", "date_download", "digest", "source_domain", "title", "cc_segment"), STRING)
REDPAJAMA |= dict.fromkeys(("length", "nlines", "original_length", "original_nlines"), INT)
REDPAJAMA |= {"language": STRING, "language_score": FLOAT, "perplexity": FLOAT, "bucket": STRING}
DOLMA = dict.fromkeys(("source", "added", "created"), STRING)
DOCUMENT = {"redpajama-v2": REDPAJAMA, "dolma": DOLMA}
TEXT = {"redpajama-v2": "raw_content", "dolma": "text"}
KINDS: dict[pa.DataType, Any] = {STRING: str, INT: int, FLOAT: (int, float)}
FIRST_LINES = 1_000
SIGNATURES = 5_000  # rows of minhash read at once
DOC_SIGNALS = ("ccnet_", "rps_doc_")


def shard_schema(source: Source, shard: Shard) -> tuple[pa.Schema, bool]:
    """The documents' columns, and one for each annotation that the first lines of the files beside them show."""
    fields, has_rows = _fields(shard, source)
    return typed_schema(fields, source, shard), has_rows


def rows(
    shard: Shard,
    source: Source,
    schema: pa.Schema,
    batch_bytes: int,
    quarantine: Callable[[BadRecord], None],
    needed: set[str] | None = None,
    skip: np.ndarray | None = None,
) -> Iterator[pa.RecordBatch]:
    """The documents of a shard with their annotations; null where there is none."""
    fields, _ = _fields(shard, source)
    lost = [name for name in fields.names if name not in {source.columns.get(known, known) for known in schema.names}]
    if lost and shard.other == "columns" and lost != ["source"]:
        first = (schema.metadata or {}).get(b"shard", b"the first shard").decode()
        raise DataError(
            f"{shard.paths[0]}: has {lost[0]!r} beside it, which {first} has not; make the two sources of their own, "
            "by `include` and `exclude`"
        )
    found = _rows(shard, source, fields, quarantine)
    yield from batched(found, fields, shard, source, wanted(schema, needed), batch_bytes)


def _fields(shard: Shard, source: Source) -> tuple[pa.Schema, bool]:
    lines = [line for _, line in islice(numbered_lines(shard.paths[0], source), FIRST_LINES)]
    first = next((record for line in lines if isinstance(record := _plain(line), dict)), None)
    if first is not None and TEXT[shard.format] not in first:
        raise missing_text(shard.paths[0], Source(path=shard.paths[0], columns={"text": TEXT[shard.format]}), first)
    fields = {"id": STRING, "text": STRING, **DOCUMENT[shard.format], "metadata": STRING}
    if shard.format == "dolma":
        for path in shard.paths[1:]:
            for _, line in islice(numbered_lines(path, source), FIRST_LINES):
                found = _attributes(_plain(line))
                fields |= {name: _kind(found[name]) for name in sorted(found.keys() - fields.keys())}
        return pa.schema(list(fields.items())), bool(lines)
    signals, minhash, duplicates = shard.paths[1:]
    if signals:
        for _, line in islice(numbered_lines(signals, source), 1):
            for name in _signal_names(_plain(line)):
                fields[name] = FLOAT if name.startswith(DOC_SIGNALS) else pa.list_(FLOAT)
        fields |= {"rps_lines_start": pa.list_(INT), "rps_lines_end": pa.list_(INT)}
    if minhash:
        with _parquet(minhash) as file:
            fields |= {name: pa.list_(pa.binary()) for name in file.schema_arrow.names if name.startswith("signature")}
    if duplicates:
        fields["is_duplicate"] = pa.bool_()
    return pa.schema(list(fields.items())), bool(lines)


def _signal_names(record: Any) -> list[str]:
    found = record.get("quality_signals") if isinstance(record, dict) else None
    return [*found] if isinstance(found, dict) else []


def _attributes(record: Any) -> dict[str, Any]:
    found = record.get("attributes") if isinstance(record, dict) else None
    return _flat(found) if isinstance(found, dict) else {}


def _kind(value: Any) -> pa.DataType:
    """A number for the document, or scores of spans of it; anything else stays JSON."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return FLOAT
    is_spans = isinstance(value, list) and all(isinstance(span, list) and len(span) == 3 for span in value)
    return SPANS if is_spans else STRING


def _plain(line: bytes) -> Any:
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


# ---------------------------------------------------------------- rows


def _rows(shard: Shard, source: Source, fields: pa.Schema, quarantine: Callable[[BadRecord], None]) -> Iterator[Row]:
    is_dolma = shard.format == "dolma"
    annotate = Dolma(shard, source, fields).of if is_dolma else RedPajama(shard, source).of
    known = DOCUMENT[shard.format]
    for number, line in numbered_lines(shard.paths[0], source):
        try:
            document = _document(line, TEXT[shard.format], known, source.max_record_bytes)
        except ValueError as error:
            quarantine(BadRecord(shard.name, number, str(error), excerpt(line)))
            continue
        text = document.pop(TEXT[shard.format])
        values = {name: document.pop(name, None) for name in ("id", *known)} | {"text": text}
        values |= annotate(number, values["id"])
        values["metadata"] = msgspec.json.encode(document).decode()
        yield Row(number, tuple(values.get(name) for name in fields.names), len(line))


def _document(line: bytes, text: str, known: dict[str, pa.DataType], limit: int) -> dict[str, Any]:
    """A line as a document. Raises ValueError with what is wrong."""
    if len(line) > limit:
        raise ValueError(f"the record is longer than {limit} bytes (max_record_bytes)")
    try:
        record = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not valid JSON: {error}") from error
    if not isinstance(record, dict):
        raise ValueError("the record is no JSON object")
    for name, kind in {"id": STRING, text: STRING, **known}.items():
        value = record.get(name)
        is_wrong = value is not None and (not isinstance(value, KINDS[kind]) or isinstance(value, bool))
        if is_wrong or (value is None and name == text):
            raise ValueError(f"field {name!r} is {type(value).__name__}, expected {kind}")
        if kind == INT and value is not None and not -(2**63) <= value < 2**63:
            raise ValueError(f"field {name!r} is out of range")
    return record


class RedPajama:
    """Signals, signatures and duplicates of one shard, asked for in the order of its documents."""

    def __init__(self, shard: Shard, source: Source) -> None:
        signals, minhash, duplicates = shard.paths[1:]
        self.name = shard.name
        self.signals = Joined(_signals(signals, source) if signals else iter(()))
        self.minhash = Joined(_signatures(minhash) if minhash else iter(()))
        self.duplicates = _duplicates(duplicates) if duplicates else None

    def of(self, row: int, _: str | None) -> dict[str, Any]:
        known = {} if self.duplicates is None else {"is_duplicate": row in self.duplicates}
        return {"id": f"{self.name}/{row}", **known, **self.signals.at(row), **self.minhash.at(row)}


class Joined:
    """Values in ascending order of rows, not every row among them."""

    def __init__(self, pairs: Iterator[tuple[int, dict[str, Any]]]) -> None:
        self.pairs, self.row, self.values = pairs, -1, dict[str, Any]()

    def at(self, row: int) -> dict[str, Any]:
        while self.row < row:
            self.row, self.values = next(self.pairs, (1 << 62, {}))
        return self.values if self.row == row else {}


def _row_of(id: Any, path: str) -> int:
    number = str(id).rpartition("/")[2]
    if not number.isdecimal():
        raise DataError(f"{path}: the id {str(id)[:80]!r} does not end with the number of a document")
    return int(number)


def _signals(path: str, source: Source) -> Iterator[tuple[int, dict[str, Any]]]:
    """Of each line its document's row and signals. A signal of the document is one number, of its lines a list."""
    for number, line in numbered_lines(path, source):
        record = _plain(line)
        try:
            signals = record["quality_signals"]
            values: dict[str, Any] = {}
            for name, spans in signals.items():
                scores = [_number(score) for _, _, score in spans]
                values[name] = (scores[0] if scores else None) if name.startswith(DOC_SIGNALS) else scores
            lines: list[Any] = next((spans for name, spans in signals.items() if name.startswith("rps_lines_")), [])
            values |= {"rps_lines_start": [_place(span[0]) for span in lines]}
            values |= {"rps_lines_end": [_place(span[1]) for span in lines]}
        except (TypeError, KeyError, ValueError, AttributeError, OverflowError) as error:
            raise DataError(f"{path}: line {number + 1} has no quality signals ({excerpt(line[:80])})") from error
        yield _row_of(record.get("id"), path), values


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _place(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value < 2**63:
        raise ValueError(f"{value!r} is no place in a text")
    return value


def _signatures(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    with _parquet(path) as file:
        names = [name for name in file.schema_arrow.names if name.startswith("signature")]
        for batch in file.iter_batches(SIGNATURES, columns=["id", *names], use_threads=False):
            for record in batch.to_pylist():
                yield _row_of(record.pop("id"), path), record


def _duplicates(path: str) -> set[int]:
    with _parquet(path) as file:
        name = next((name for name in ("doc_id", "id") if name in file.schema_arrow.names), None)
        if name is None:
            raise DataError(f"{path}: has neither a column 'doc_id' nor 'id'")
        return {_row_of(id, path) for id in file.read([name])[name].to_pylist()}


def _parquet(path: str) -> pq.ParquetFile:
    with open_bytes(path, seekable=True):
        pass
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise unreadable(path, error) from error


class Dolma:
    """Attributes of one shard, line by line with its documents."""

    def __init__(self, shard: Shard, source: Source, fields: pa.Schema) -> None:
        types = {field.name: field.type for field in fields}
        self.files = [(path, Joined(_attribute_lines(path, source, types))) for path in shard.paths[1:]]

    def of(self, row: int, id: str | None) -> dict[str, Any]:
        found: dict[str, Any] = {"id": id}
        for path, lines in self.files:
            values = lines.at(row)
            if values.get("id") != id:
                raise DataError(
                    f"{path}: line {row + 1} is about {values.get('id')!r}, but the document there is {id!r}; "
                    "attributes stand in the order of the documents: make them anew, or take the folder out"
                )
            found |= values["attributes"]
        return found


def _attribute_lines(path: str, source: Source, types: dict[str, pa.DataType]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in numbered_lines(path, source):
        record = _plain(line)
        try:
            named = {name: _value(name, value, types) for name, value in _flat(record["attributes"]).items()}
            yield number, {"id": record["id"], "attributes": named}
        except (TypeError, KeyError, IndexError, ValueError, AttributeError, OverflowError) as error:
            raise DataError(
                f"{path}: line {number + 1} has no attributes, or others than its first lines: {error!r}"
            ) from error


def _value(name: str, value: Any, types: dict[str, pa.DataType]) -> Any:
    if types[name] == SPANS:
        return [{"start": _place(start), "end": _place(end), "score": float(score)} for start, end, score in value]
    return float(value) if types[name] == FLOAT else msgspec.json.encode(value).decode()


def _flat(attributes: dict[str, Any]) -> dict[str, Any]:
    """Attributes by name; those inside another get the names of both, as Dolma's taggers write them.

    >>> _flat({"pii": {"email": [[0, 5, 1.0]]}, "length": [[0, 9, 9.0]]})
    {'pii__email': [[0, 5, 1.0]], 'length': [[0, 9, 9.0]]}
    """
    found: dict[str, Any] = {}
    for name, value in attributes.items():
        inner = (
            {f"{name}__{part}": spans for part, spans in value.items()} if isinstance(value, dict) else {name: value}
        )
        found |= inner
    return found


def numbered_lines(path: str, source: Source) -> Iterator[tuple[int, bytes]]:
    """The lines of a file that are not blank, with their numbers. Raises DamagedFile at its end when it is damaged."""
    stream = Stream(path, source.max_expansion)
    blocks = Blocks(stream, MB, source.max_record_bytes)
    for block in blocks:
        start = 0
        for number, end in enumerate(block.ends.tolist(), start=block.line):
            line = bytes(block.data[start:end])
            start = end + 1
            if line.strip():
                yield number, line
    if stream.damage:
        raise DamagedFile(path, stream.damage, blocks.line, excerpt(blocks.rest))
