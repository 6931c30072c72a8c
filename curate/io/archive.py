"""Reads web archives: WARC, WET, WAT and ARC, one row for each record of the kinds and media types that are asked for.

The text of a WARC or ARC record is its page, decoded from HTTP and into Unicode: HTML until `extract_text` has run.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa

from curate.io.batched import Row, batched
from curate.io.columns import excerpt, typed_schema, wanted
from curate.io.framing import Record
from curate.io.http import BadMessage, Message, decoded, media_type, parse
from curate.io.records import Records
from curate.io.source import BadRecord, DamagedFile, Shard, Source

FIELDS = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.string()),
        ("url", pa.string()),
        ("date", pa.string()),
        ("kind", pa.string()),
        ("status", pa.int32()),
        ("content_type", pa.string()),
        ("charset", pa.string()),
        ("languages", pa.string()),
        ("digest", pa.string()),
        ("truncated", pa.string()),
    ]
)
KINDS = {"warc": ("response", "resource"), "wet": ("conversion",), "wat": ("metadata",), "arc": ("response",)}
PAGES = ("text/html", "application/xhtml+xml", "text/plain")


def shard_schema(source: Source, shard: Shard) -> tuple[pa.Schema, bool]:
    """The columns of every archive are the same, whether it has them or not."""
    return typed_schema(FIELDS, source, shard), True


def rows(
    shard: Shard,
    source: Source,
    schema: pa.Schema,
    batch_bytes: int,
    quarantine: Callable[[BadRecord], None],
    needed: set[str] | None = None,
    skip: np.ndarray | None = None,
) -> Iterator[pa.RecordBatch]:
    """The records that `records` and `mime` ask for. A record without an id is called by its number in the archive."""
    found = _rows(shard, source, quarantine)
    yield from batched(found, FIELDS, shard, source, wanted(schema, needed), batch_bytes)


def _rows(shard: Shard, source: Source, quarantine: Callable[[BadRecord], None]) -> Iterator[Row]:
    make = Rows(shard, source)
    records = Records(shard.paths[0], shard.format == "arc", make.kinds, source.max_record_bytes, source.max_expansion)
    for record in records:
        try:
            values = make.of(record)
        except (BadMessage, UnicodeDecodeError) as error:
            why = f"not valid UTF-8 at byte {error.start}" if isinstance(error, UnicodeDecodeError) else str(error)
            quarantine(BadRecord(shard.name, record.position, why, excerpt(record.block)))
            continue
        if values is not None:
            yield Row(record.position, values, len(record.block))
    if records.damage:
        raise DamagedFile(shard.paths[0], records.damage, records.position, excerpt(records.rest))


class Rows:
    """Makes rows of a source's records."""

    def __init__(self, shard: Shard, source: Source) -> None:
        self.format, self.limit = shard.format, source.max_record_bytes
        self.kinds = set(source.records or KINDS[shard.format])
        is_page = shard.format in ("warc", "arc")
        globs = source.mime or (PAGES if is_page else ("*",))
        self.mime = re.compile("|".join(fnmatch.translate(glob.lower()) for glob in globs))

    def of(self, record: Record) -> tuple[object, ...] | None:
        """A record's values for FIELDS; None where it is of another kind or media type. Raises BadMessage."""
        if record.error:
            raise BadMessage(record.error)
        headers = record.headers
        kind = _arc_kind(headers) if self.format == "arc" else headers.get("warc-type", "")
        if kind not in self.kinds:
            return None
        message = self._message(record)
        if not self.mime.match(message.type):
            return None
        if self.format in ("wet", "wat"):
            text, charset = message.body.decode(), "utf-8"
        else:
            text, charset = decoded(message.body, message.charset)
        return (
            headers.get("warc-record-id"),
            text,
            headers.get("warc-target-uri", "").strip("<>") or None,
            headers.get("warc-date"),
            kind,
            message.status,
            message.type or None,
            charset,
            headers.get("warc-identified-content-language"),
            headers.get("warc-payload-digest") or headers.get("warc-block-digest"),
            headers.get("warc-truncated"),
        )

    def _message(self, record: Record) -> Message:
        """What a record holds: an HTTP message, or the thing itself."""
        type = record.headers.get("content-type", "")
        is_http = type.lower().startswith("application/http") or self.format == "arc"
        if is_http and (self.format != "arc" or record.block.lstrip()[:4].upper() in (b"HTTP", b"ICY ")):
            message = parse(record.block, self.limit)
            identified = record.headers.get("warc-identified-payload-type", "")
            type = record.headers["content-type"] if self.format == "arc" else identified
            return message if message.type else message._replace(type=media_type(type)[0])
        return Message(None, *media_type(type), record.block)


def _arc_kind(headers: dict[str, str]) -> str:
    return "warcinfo" if headers.get("warc-target-uri", "").startswith("filedesc:") else "response"
