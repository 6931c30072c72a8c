"""The records of a web archive, by FastWARC (Bevendorff et al. 2021) as far as all is well, then by our own framing.

For .gz it is several times faster, but it ends a truncated archive without a word, and a record whose length is wrong
ends it. So what it gives counts only once the next record has begun, and `Frames` reads on from the last one.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from itertools import islice
from typing import Any

from curate.io.framing import BLANK_LINE, HEADER_BYTES, WARC_START, Frames, Record, fields
from curate.io.stream import Stream, is_local, open_bytes

GZIP = b"\x1f\x8b"


class Records:
    """All records of an archive, in order; those that are not of `kinds` may come without their block.

    After the last, `damage`, `rest` and `position` are those of Frames.
    """

    def __init__(self, path: str, is_arc: bool, kinds: set[str], limit: int, expansion: int) -> None:
        self.path, self.is_arc, self.kinds, self.limit = path, is_arc, kinds, limit
        self.expansion = expansion
        self.damage, self.rest, self.position = "", b"", 0
        self._last: tuple[Record, int] | None = None  # the record that FastWARC read last, if a member begins with it

    def __iter__(self) -> Iterator[Record]:
        is_gzip = self.path.lower().endswith(".gz") and is_local(self.path) and self._begins_at(0)
        if is_gzip and not self.is_arc and _has_fastwarc():
            yield from self._swift()
        start = self._last_start()
        passed = 0 if start or not self.position else self.position
        stream = Stream(self.path, self.expansion, start)
        frames = Frames(stream, self.is_arc, self.limit, self.position - passed)
        yield from islice(frames, passed, None)
        self.damage, self.rest, self.position = stream.damage or frames.damage, frames.rest, frames.position

    def _swift(self) -> Iterator[Record]:
        """Every record but the last, or but the last before one that FastWARC cannot read."""
        held, start = None, -1
        for record in self._fastwarc():
            if held is not None:
                yield held[0]
                self.position += 1
                self._last = None
            if record is None:
                return
            self._last = record if record[1] != start else None
            held, start = record, record[1]

    def _fastwarc(self) -> Iterator[tuple[Record, int] | None]:
        from fastwarc import ArchiveIterator, WarcRecordType

        wanted = sum(int(getattr(WarcRecordType, kind, WarcRecordType.unknown)) for kind in self.kinds)
        number = 0
        with open_bytes(self.path) as raw:
            try:
                for found in ArchiveIterator(raw, parse_http=False):
                    is_wanted = int(found.record_type) & wanted
                    record = self._record(number, found, bool(is_wanted))
                    if record is None:
                        return
                    yield record, found.stream_pos
                    number += 1
            except OSError:
                return
            except BaseException as error:
                if type(error).__name__ != "PanicException":  # what a failure inside Rust comes as
                    raise

    def _record(self, number: int, found: Any, is_wanted: bool) -> Record | None:
        """A record that FastWARC found; None where it is not whole, or has swallowed the header of the next."""
        length = found.content_length
        headers = _first_of(found.headers.items())
        if headers.get("content-length") != str(length):
            return None
        if length > self.limit:
            return Record(number, headers, b"", f"the record is longer than {self.limit} bytes (max_record_bytes)")
        if not is_wanted:
            return Record(number, headers, b"")
        block = found.reader.read()
        return Record(number, headers, block) if len(block) == length else None

    def _last_start(self) -> int:
        """Where the last record begins; 0 where it is in the middle of a member, of which FastWARC tells the start."""
        if self._last is None or not self._begins_at(self._last[1]):
            return 0
        record, start = self._last
        head = next(iter(Stream(self.path, self.expansion, start)), b"").lstrip(b"\r\n")[:HEADER_BYTES]
        end = BLANK_LINE.search(head)
        return start if end and WARC_START.match(head) and fields(head[: end.start()]) == record.headers else 0

    def _begins_at(self, start: int) -> bool:
        """Whether a member of the gzip file begins there."""
        with open_bytes(self.path) as raw:
            raw.seek(start)
            return raw.read(len(GZIP)) == GZIP


def _first_of(pairs: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Headers by their names in lower case; of several of one name the first, but no length that is stated twice.

    >>> _first_of((("WARC-Type", "a"), ("warc-type", "b"), ("Content-Length", "1"), ("content-length", "1")))
    {'warc-type': 'a'}
    """
    headers = {name.lower(): value for name, value in pairs}
    if len(headers) == len(pairs):
        return headers
    names = [name.lower() for name, _ in pairs]
    first = {name: value for name, (_, value) in zip(reversed(names), reversed(pairs), strict=True)}
    return {name: first[name] for name in headers if name != "content-length" or names.count(name) == 1}


def _has_fastwarc() -> bool:
    return importlib.util.find_spec("fastwarc") is not None
