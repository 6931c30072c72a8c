"""Cuts web archives into records: WARC (ISO 28500, with its kin WET and WAT) and the Internet Archive's ARC.

Lenient where archives are: a record whose length is wrong is bad, and reading goes on at the next record that is found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from curate.io.stream import Inflow, Stream

if TYPE_CHECKING:
    from curate.kernels.web_archive import Found

HEADER_BYTES = 1 << 16
NEWLINES = re.compile(rb"[\r\n]*")
BLANK_LINE = re.compile(rb"\r?\n\r?\n")
WARC_START = re.compile(rb"WARC/[01]\.\d+\r?$", re.MULTILINE)
ADDRESS = rb"(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F:]*:[0-9a-fA-F:]*|-)"
ARC_START = re.compile(
    rb"(?P<url>[a-zA-Z][\w+.-]*:[^\r\n]*) " + ADDRESS + rb" (?P<date>\d{8,14}) (?P<type>[^\r\n ]*)"
    rb"(?: (?P<status>\d{3}|-) \S+ \S+ \d+ \S+)? (?P<length>\d+)\r?$",
    re.MULTILINE,
)
LATER = {pattern: re.compile(b"^" + pattern.pattern, re.MULTILINE) for pattern in (WARC_START, ARC_START)}
LONGEST_START = 1 << 14
AT_ONCE = 1 << 23  # bytes in which records are looked for
FIELD = re.compile(rb"^([^\s:][^:\r\n]*):[ \t]*((?:[^\r\n]|\r?\n[ \t]|\r(?!\n))*)", re.MULTILINE)
FOLD = re.compile(rb"\r?\n[ \t]+")


class Record(NamedTuple):
    """A record as it stands in the archive.

    position  its number, from 0
    headers   names in lower case; of an ARC record the names that WARC has for the same
    block     what the header is followed by: for most an HTTP message
    error     why it is no record, in which case `block` holds what could be seen of it
    """

    position: int
    headers: dict[str, str]
    block: bytes
    error: str = ""


class Run(NamedTuple):
    """Ordinary records one after another: the number of the first, and what was found of them in `data`.

    The memory of `data` is used again for what follows: what is needed of it must be copied before.
    """

    position: int
    data: memoryview
    found: Found


# Of data, where to begin and the longest block: how many records, where they end, and what is found.
Find = Callable[[memoryview, int, int], tuple[int, int, "Found"]]


class Frames(Inflow):
    """The records of one archive, from a stream of decompressed pieces. After the last, `damage` says what is missing.

    A block of more than `limit` bytes is passed over, not kept. With `find`, ordinary records of a WARC come in runs.
    """

    def __init__(self, pieces: Stream | Iterable[bytes], is_arc: bool, limit: int, find: Find | None = None) -> None:
        super().__init__(pieces, AT_ONCE + AT_ONCE // 4)
        self.start = ARC_START if is_arc else WARC_START
        self.is_arc, self.limit, self.position, self.find = is_arc, limit, 0, find
        self.damage, self.rest = "", b""

    def __iter__(self) -> Iterator[Record | Run]:
        while self._skip_newlines():
            if self.find and (run := self._run(self.find)):
                yield run
                continue
            match = self.start.match(self.data, self.at) if self._at_start() else None
            record = self._record(match) if match else self._garbage(self.at)
            if record is None:
                self.rest = self._bytes(self.at, self.at + HEADER_BYTES)
                return
            yield record
            self.position += 1

    def _run(self, find: Find) -> Run | None:
        self.fill(AT_ONCE // 4)  # so that few records are cut by the end of what is here
        count, end, found = find(self.data, self.at, self.limit)
        run = Run(self.position, self.data, found)
        self.position, self.at = self.position + count, end
        return run if count else None

    def _record(self, match: re.Match[bytes]) -> Record | None:
        headers, begin = self._arc_header(match) if self.is_arc else self._warc_header()
        if begin < 0:
            if self.is_over:
                self.damage = "the last record's header is incomplete"
                return None
            return self._garbage(self.at + 5, "the header is not followed by a blank line")
        length = headers.get("content-length", "").strip()
        if not (length.isascii() and length.isdigit()) or len(length) > 18:
            return self._garbage(
                begin, f"Content-Length is {length[:40]!r}" if length else "there is no Content-Length"
            )
        if int(length) > self.limit:
            return self._too_long(headers, begin, int(length))
        offset, end = begin - self.at, begin - self.at + int(length)
        self.fill(end + LONGEST_START)
        begin, end = self.at + offset, self.at + end
        if end > len(self.data):
            return self._incomplete(begin, end)
        if not self._leads_on(end):
            return self._garbage(begin, f"its length, {length}, does not lead to the next record")
        record = Record(self.position, headers, self._bytes(begin, end))
        self.at = end
        return record

    def _warc_header(self) -> tuple[dict[str, str], int]:
        end = BLANK_LINE.search(self.data, self.at, self.at + HEADER_BYTES)
        while end is None and len(self.data) - self.at < HEADER_BYTES and self.fill(len(self.data) - self.at + 1):
            end = BLANK_LINE.search(self.data, self.at, self.at + HEADER_BYTES)
        if end is None:
            return {}, -1
        return fields(self._bytes(self.at, end.start())), end.end()

    def _arc_header(self, match: re.Match[bytes]) -> tuple[dict[str, str], int]:
        names = {"url": "warc-target-uri", "date": "warc-date", "type": "content-type", "length": "content-length"}
        found = {name: match[group].decode("utf-8", "replace") for group, name in names.items()}
        found["warc-date"] = iso_date(found["warc-date"])
        return found, min(match.end() + 1, len(self.data))

    def _too_long(self, headers: dict[str, str], begin: int, length: int) -> Record | None:
        seen, self.at = self._bytes(self.at, begin), begin
        while length and self.fill(1):
            passed = min(length, len(self.data) - self.at)
            self.at, length = self.at + passed, length - passed
        if length:
            self.damage = f"the last record lacks {length} bytes"
            return None
        return Record(self.position, headers, seen, f"the record is longer than {self.limit} bytes (max_record_bytes)")

    def _incomplete(self, begin: int, end: int) -> Record | None:
        """The archive ends inside this record, unless there is a record inside it: then its length is wrong."""
        if LATER[self.start].search(self.data, begin):
            return self._garbage(begin, f"its length, {end - begin}, does not lead to the next record")
        self.damage = f"the last record lacks {end - len(self.data)} bytes"
        return None

    def _leads_on(self, end: int) -> bool:
        """Whether a record's end comes next: a WARC's two line ends, or the next record, or the end of the archive."""
        if not self.is_arc and self._bytes(end, end + 4) == b"\r\n\r\n":
            return True
        at = NEWLINES.match(self.data, end).end()  # type: ignore[union-attr]  # it matches nothing, too
        if at == len(self.data) or self.start.match(self.data, at):
            return True
        # The archive may end in the middle of the next record's first line.
        return self.is_over and b"\n" not in self._bytes(at, len(self.data))

    def _garbage(self, search_from: int, why: str = "is not the start of a record") -> Record | None:
        """What lies before the next start of a record, as a bad record. None where it is the end of a damaged file."""
        seen, offset = self._bytes(self.at, self.at + HEADER_BYTES), search_from - self.at
        while True:
            match = LATER[self.start].search(self.data, self.at + offset)
            if match and (match.end() < len(self.data) or self.is_over):
                self.at = match.start()
                break
            offset = max(offset, len(self.data) - self.at - LONGEST_START)
            if offset > self.limit:
                self.at, offset = self.at + offset, 0
            if not self.fill(len(self.data) - self.at + 1):
                self.at = len(self.data)
                break
        return Record(self.position, {}, seen, why)

    def _skip_newlines(self) -> bool:
        """Go to the next byte that is no line end; False when there is none."""
        while True:
            self.at = NEWLINES.match(self.data, self.at).end()  # type: ignore[union-attr]
            if self.at < len(self.data):
                return True
            if not self.fill(1):
                return False

    def _at_start(self) -> bool:
        self.fill(LONGEST_START)
        return True

    def _bytes(self, begin: int, end: int) -> bytes:
        """A part of the data, to keep."""
        return bytes(self.data[begin:end])


def fields(header: bytes) -> dict[str, str]:
    """The fields of a WARC or HTTP header; of one that is there twice the first counts. Names in lower case.

    >>> fields(b"WARC/1.0\\r\\nWARC-Type: response\\r\\n folded\\r\\nodd line")
    {'warc-type': 'response folded'}
    """
    found: dict[str, str] = {}
    for name, value in FIELD.findall(header, header.find(b"\n") + 1):
        unfolded = FOLD.sub(b" ", value) if b"\n" in value else value
        found.setdefault(name.decode("latin-1").strip().lower(), unfolded.decode("utf-8", "replace").strip())
    return found


def iso_date(digits: str) -> str:
    """ARC's date as WARC writes it; parts that are not there are the least they can be.

    >>> iso_date("20080430204825"), iso_date("20080430")
    ('2008-04-30T20:48:25Z', '2008-04-30T00:00:00Z')
    """
    whole = digits.ljust(14, "0")
    return f"{whole[:4]}-{whole[4:6]}-{whole[6:8]}T{whole[8:10]}:{whole[10:12]}:{whole[12:14]}Z"
