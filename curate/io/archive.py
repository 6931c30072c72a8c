"""Reads web archives: WARC, WET, WAT and ARC, one row for each record of the kinds and media types that are asked for.

The text of a WARC or ARC record is its page, decoded from HTTP and into Unicode: HTML until `extract_text` has run.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from curate.io.batched import Columns, Row, batched
from curate.io.columns import excerpt, is_utf8, typed_schema, utf8_error, wanted
from curate.io.framing import Find, Frames, Record, Run, fields
from curate.io.http import BadMessage, Message, decoded, media_type, parse
from curate.io.source import BadRecord, DamagedFile, Shard, Source
from curate.io.stream import Stream

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
ODD_AT_ONCE = 1 << 22  # bytes of texts that are made one by one
MOST_WORDS = 512  # that are remembered
WORDS = ("kind", "content_type", "charset")  # columns whose values are few
NULL = -1, -1  # the span of what is not there
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


def _rows(shard: Shard, source: Source, quarantine: Callable[[BadRecord], None]) -> Iterator[Row | Columns]:
    make, is_arc = Rows(shard, source, quarantine), shard.format == "arc"
    stream = Stream(shard.paths[0], source.max_expansion)
    frames = Frames(stream, is_arc, source.max_record_bytes, None if is_arc else finder(make.kinds))
    for found in frames:
        if isinstance(found, Run):
            yield from make.columns(found)
        elif (values := make.values(found)) is not None:
            yield Row(found.position, values, len(found.block))
    if damage := stream.damage or frames.damage:
        raise DamagedFile(shard.paths[0], damage, frames.position, excerpt(frames.rest))


def finder(kinds: list[str]) -> Find | None:
    """What finds ordinary records of these kinds."""
    from curate.kernels.web_archive import find, names

    words = names(kinds)
    return lambda data, at, limit: find(data, at, words, limit)


class Content(NamedTuple):
    """What a record holds: its text in UTF-8, the charset it was read as, status of an HTTP response, media type."""

    text: bytes
    charset: str
    status: int | None
    type: str


class Rows:
    """Makes rows of a source's records."""

    def __init__(self, shard: Shard, source: Source, quarantine: Callable[[BadRecord], None]) -> None:
        self.shard, self.limit, self.quarantine = shard, source.max_record_bytes, quarantine
        self.kinds = sorted(source.records or KINDS[shard.format])
        self.is_page = shard.format in ("warc", "arc")
        globs = source.mime or (PAGES if self.is_page else ("*",))
        self.mime = re.compile("|".join(fnmatch.translate(glob.lower()) for glob in globs))
        self.types = Types(self.mime)

    def values(self, record: Record) -> tuple[object, ...] | None:
        """A record's values for FIELDS; None where it is bad, or of another kind or media type."""
        headers = record.headers
        kind = _arc_kind(headers) if self.shard.format == "arc" else headers.get("warc-type", "")
        content = self._content(record) if record.error or kind in self.kinds else None
        return content and (
            headers.get("warc-record-id"),
            content.text,
            headers.get("warc-target-uri", "").strip("<>") or None,
            headers.get("warc-date"),
            kind,
            content.status,
            content.type or None,
            content.charset,
            headers.get("warc-identified-content-language"),
            headers.get("warc-payload-digest") or headers.get("warc-block-digest"),
            headers.get("warc-truncated"),
        )

    def columns(self, run: Run) -> Iterator[Columns]:
        """The rows of ordinary records. Only those whose content is odd are looked at one by one."""
        found = run.found
        types, is_wanted = self.types.of(run.data, found.type)
        is_odd = found.is_odd | (found.status >= 0) & (types[:, 0] < 0)
        plain = np.flatnonzero(is_wanted & ~is_odd)
        is_odd[plain] = ~self._are_plain(run.data, found.body[plain])
        is_wanted |= is_odd
        contents: dict[int, Content] = {}
        first = size = 0
        for row in np.flatnonzero(is_odd).tolist():
            content = self._content(_record(run, row))
            is_wanted[row] = content is not None
            if content is not None:
                contents[row] = content
                size += len(content.text)
            if size > ODD_AT_ONCE:
                yield self._columns(run, first + np.flatnonzero(is_wanted[first : row + 1]), types, contents)
                contents, first, size = {}, row + 1, 0
        yield self._columns(run, first + np.flatnonzero(is_wanted[first:]), types, contents)

    def _columns(self, run: Run, rows: np.ndarray, types: np.ndarray, contents: dict[int, Content]) -> Columns:
        """Some rows of a run as columns for FIELDS; what they hold is in `contents`, for all others in its data."""
        from curate.kernels.spans import gather
        from curate.kernels.web_archive import VALUES, value_spans

        found, words = run.found, self.types.words
        kinds, charset = (np.array([words.span(word) for word in some], np.int32) for some in (self.kinds, ["utf-8"]))
        text, status = found.body[rows].astype(np.int64), found.status[rows]
        short = np.stack([kinds[found.kind[rows]], types[rows], charset.repeat(len(rows), axis=0)])
        end = len(run.data)
        for row, content in zip(np.searchsorted(rows, [*contents]), contents.values(), strict=True):
            text[row] = end, end + len(content.text)
            end += len(content.text)
            status[row] = -1 if content.status is None else content.status
            short[1:, row] = words.span(content.type) if content.type else NULL, words.span(content.charset)
        short = np.where(short < 0, -1, short + len(run.data))
        spans = np.concatenate([value_spans(run.data, found, rows), short])
        values = gather(run.data, spans.reshape(-1, 2), words.data)
        columns = {name: values.slice(k * len(rows), len(rows)) for k, name in enumerate((*VALUES, *WORDS))}
        columns["text"] = gather(run.data, text, b"".join(content.text for content in contents.values()))
        columns["status"] = pa.array(status, mask=status < 0)
        return Columns(run.position + found.number[rows].astype(np.int64), [columns[name] for name in FIELDS.names])

    def _are_plain(self, data: memoryview, spans: np.ndarray) -> np.ndarray:
        """Which contents are UTF-8 and need no other look. Around them is ASCII: where all is valid, so is each."""
        from curate.kernels.spans import are_plain

        if len(spans) and not self.is_page:
            offsets = pa.py_buffer(np.append(spans[:, 0], spans[-1, 1]))
            if is_utf8(pa.BinaryArray.from_buffers(pa.binary(), len(spans), [None, offsets, pa.py_buffer(data)])):
                return np.ones(len(spans), bool)
        return are_plain(data, spans, self.is_page)

    def _content(self, record: Record) -> Content | None:
        """What a record holds; None where it is bad, or of another media type."""
        try:
            if record.error:
                raise BadMessage(record.error)
            message = self._message(record)
            if not self.mime.match(message.type):
                return None
            text, charset = decoded(message.body, message.charset) if self.is_page else (message.body, "utf-8")
            if not self.is_page and (why := utf8_error(text)):
                raise BadMessage(why)
            return Content(text, charset, message.status, message.type)
        except BadMessage as error:
            self.quarantine(BadRecord(self.shard.name, record.position, str(error), excerpt(record.block)))
            return None

    def _message(self, record: Record) -> Message:
        """What a record holds: an HTTP message, or the thing itself."""
        type = record.headers.get("content-type", "")
        is_http = type.lower().startswith("application/http") or self.shard.format == "arc"
        if is_http and (self.shard.format != "arc" or record.block.lstrip()[:4].upper() in (b"HTTP", b"ICY ")):
            message = parse(record.block, self.limit)
            identified = record.headers.get("warc-identified-payload-type", "")
            type = record.headers["content-type"] if self.shard.format == "arc" else identified
            return message if message.type else message._replace(type=media_type(type)[0])
        return Message(None, *media_type(type), record.block)


class Types:
    """The media types of contents, each looked at once however often it is stated, and which of them are asked for."""

    def __init__(self, mime: re.Pattern[str]) -> None:
        self.mime = mime
        self._forget()

    def _forget(self) -> None:
        from curate.kernels.web_archive import names

        self.words, self.stated = Words(), list[str]()
        self.names = names(self.stated)
        self.spans, self.is_wanted = np.empty((0, 2), np.int32), np.empty(0, bool)

    def of(self, data: memoryview, stated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The spans in `words` of the media types that are stated there, NULL for none; whether they are wanted."""
        from curate.kernels.web_archive import look_up, names

        if len(self.stated) + len(self.words.spans) > MOST_WORDS:
            self._forget()
        codes = look_up(data, stated, self.names)
        if (codes < 0).any():
            new = {bytes(data[begin:end]).decode() for begin, end in stated[codes < 0].tolist()}
            self.stated += sorted(new)
            types = [media_type(value)[0] for value in self.stated]
            self.spans = np.array([self.words.span(type) if type else NULL for type in types], np.int32)
            self.is_wanted = np.array([self.mime.match(type) is not None for type in types])
            self.names = names(self.stated)
            codes = look_up(data, stated, self.names)
        return self.spans[codes], self.is_wanted[codes]


class Words:
    """Short texts that occur again and again, one after another in `data`."""

    def __init__(self) -> None:
        self.data = b""
        self.spans: dict[str, tuple[int, int]] = {}

    def span(self, word: str) -> tuple[int, int]:
        """Where it is, from now on if it was not there."""
        if word not in self.spans:
            begin = len(self.data)
            self.data += word.encode()
            self.spans[word] = begin, len(self.data)
        return self.spans[word]


def _record(run: Run, row: int) -> Record:
    begin, block, end = run.found.place[row].tolist()
    number, header = run.position + int(run.found.number[row]), bytes(run.data[begin:block])
    return Record(number, fields(header), bytes(run.data[block:end]))


def _arc_kind(headers: dict[str, str]) -> str:
    return "warcinfo" if headers.get("warc-target-uri", "").startswith("filedesc:") else "response"
