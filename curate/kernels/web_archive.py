"""Where the values of ordinary records of a web archive are (WARC, ISO 28500): headers, HTTP headers, content.

What is found here is part of what `curate.io.framing` and `curate.io.http` find in the same bytes, with the same
outcome. They are lenient and take one record at a time; this stops before a record that is in any way odd, and says
which of the messages are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from curate.kernels.bits import EACH, HIGH, load8, load64, u64
from curate.kernels.jit import inner, kernel
from curate.kernels.text import read_only

HEADERS = (
    "content-length",
    "content-type",
    "warc-type",
    "warc-record-id",
    "warc-target-uri",
    "warc-date",
    "warc-identified-content-language",
    "warc-payload-digest",
    "warc-truncated",
    "warc-block-digest",
)
LENGTH, TYPE, KIND, ID, ADDRESS, DATE, LANGUAGES, DIGEST, TRUNCATED, BLOCK_DIGEST = range(len(HEADERS))
VALUES = ("id", "url", "date", "languages", "digest", "truncated")  # of the headers from ID on
HTTP_HEADERS = ("content-type", "transfer-encoding", "content-encoding")
HTTP_TYPE, TRANSFER, ENCODING = range(3)
HEADER_BYTES = 1 << 16
MOST_DIGITS = 9  # of a length
MOST = 1_024  # rows that are found at once
MOST_BYTES = 1 << 30
TAB, LINE_FEED, RETURN, SPACE, DOT, SLASH, ZERO, COLON, DELETE = b"\t\n\r ./0:\x7f"
LESS, GREATER = b"<>"
SPACES = u64(0x2020202020202020)
WARC, WARC_MASK = u64(0x2E302F43524157), u64(0xFFFEFFFFFFFFFF)  # b"WARC/0.", and what b"WARC/1." has in common with it
HTTP, HTTP_MASK = u64(0x2F50545448), u64(0xFFFFFFFFFF)  # b"HTTP/"


class Names(NamedTuple):
    """Words that are looked for."""

    data: np.ndarray  # uint8, one after the other
    offsets: np.ndarray  # int64[names + 1]


class Found(NamedTuple):
    """The records of the kinds that were asked for, among those that were found.

    A span is the first byte and one past the last; both are -1 where there is no such header.
    """

    number: np.ndarray  # int32[rows], which of the records it is
    kind: np.ndarray  # int32[rows], which of the kinds
    place: np.ndarray  # int32[rows, 3], where the record, its block and what follows begin
    headers: np.ndarray  # int32[rows, HEADERS, 2], spans of their values
    status: np.ndarray  # int32[rows], of an HTTP response; -1 for what is none
    type: np.ndarray  # int32[rows, 2], span of the Content-Type of what the record holds
    body: np.ndarray  # int32[rows, 2], span of what it holds
    is_odd: np.ndarray  # bool[rows]; where true, status, type and body are for others to say


def names(words: Iterable[str]) -> Names:
    """Words as `find` takes them.

    >>> names(["response", "resource"]).offsets.tolist()
    [0, 8, 16]
    """
    encoded = [word.encode() for word in words]
    data = np.frombuffer(b"".join(encoded) + b" ", np.uint8)
    return Names(data, read_only(np.cumsum([0, *map(len, encoded)])))


_HEADERS, _HTTP_HEADERS, _HTTP_MESSAGE = names(HEADERS), names(HTTP_HEADERS), names(["application/http"])


def find(data: bytes | memoryview, at: int, kinds: Names, limit: int) -> tuple[int, int, Found]:
    """How many records from byte `at` on are ordinary, where the next one begins, and those of the `kinds`.

    A record is ordinary when its header is in 64 KiB and has no folded lines, its block has at most `limit` bytes, and
    two line ends follow it.

    >>> record = b"WARC/1.0\\r\\nWARC-Type: resource\\r\\nContent-Length: 2\\r\\n\\r\\nHi\\r\\n\\r\\n"
    >>> count, end, found = find(record * 2 + b"WARC", 0, names(["resource"]), 99)
    >>> count, end == 2 * len(record), found.place.tolist()
    (2, True, [[0, 52, 54], [58, 110, 112]])
    """
    shapes = {"headers": (len(HEADERS), 2), "place": (3,), "type": (2,), "body": (2,)}
    kind_of = {"is_odd": np.bool_}
    found = Found(*(np.empty((MOST, *shapes.get(name, ())), kind_of.get(name, np.int32)) for name in Found._fields))
    if len(data) > MOST_BYTES:
        return 0, at, Found(*(part[:0] for part in found))
    words = kinds, _HEADERS, _HTTP_HEADERS, _HTTP_MESSAGE
    http = np.empty((len(HTTP_HEADERS), 2), np.int32)
    count, rows, end = find_records(np.frombuffer(data, np.uint8), at, limit, words, http, found)
    return count, end, Found(*(part[:rows] for part in found))


def value_spans(data: bytes | memoryview, found: Found, rows: np.ndarray) -> np.ndarray:
    """Where the VALUES of some rows are, int32[VALUES, rows, 2]: addresses without the `<` and `>` around them, and the
    digest of the block where there is none of the payload.

    >>> from curate.kernels.spans import gather
    >>> record = b"WARC/1.0\\nWARC-Type: x\\nWARC-Target-URI: <a:b>\\nContent-Length: 0\\n\\n\\r\\n\\r\\n"
    >>> _, _, found = find(record, 0, names(["x"]), 99)
    >>> spans = value_spans(record, found, np.arange(1))
    >>> gather(record, spans[:, 0]).to_pylist()
    [None, 'a:b', None, None, None, None]
    """
    spans = np.empty((len(VALUES), len(rows), 2), np.int32)
    choose_spans(np.frombuffer(data or b" ", np.uint8), found.headers, rows, spans)
    return spans


def look_up(data: bytes | memoryview, spans: np.ndarray, words: Names) -> np.ndarray:
    """Which of the words is in each of the int32[n, 2] spans (int64); -1 for none of them.

    >>> look_up(b"one two", np.array([[4, 7], [0, 2], [-1, -1]], np.int32), names(["", "two"])).tolist()
    [1, -1, 0]
    """
    codes = np.empty(len(spans), np.int64)
    name_spans(np.frombuffer(data or b" ", np.uint8), spans, words, codes)
    return codes


# ---------------------------------------------------------------- records


@kernel(allocates=False)
def find_records(data: Any, at: Any, limit: Any, words: Any, http: Any, found: Found) -> Any:
    """Fill `found`; returns how many records and rows there are, and where the next record begins."""
    kinds, wanted, _, _ = words
    count = row = 0
    while row < MOST:
        headers = found.headers[row]
        begin = skip_line_ends(data, at)
        block = read_headers(data, skip_version(data, begin), min(len(data), begin + HEADER_BYTES), wanted, headers)
        length = number_at(data, headers[LENGTH]) if block >= 0 else -1
        if length < 0 or length > limit or not is_ended(data, block + length):
            break
        kind = name_at(data, headers[KIND, 0], headers[KIND, 1], kinds, False)
        if kind >= 0:
            found.number[row], found.kind[row] = count, kind
            found.place[row, 0], found.place[row, 1], found.place[row, 2] = begin, block, block + length
            found.is_odd[row] = not read_content(data, words, http, found, row)
            row += 1
        at = block + length + 4
        count += 1
    return count, row, at


@inner
def skip_line_ends(data: Any, i: Any) -> Any:
    """The index of the first byte that is no line end."""
    while i < len(data) and (load8(data, i) == RETURN or load8(data, i) == LINE_FEED):
        i += 1
    return i


@inner
def is_ended(data: Any, i: Any) -> Any:
    """Whether two line ends are here."""
    if i + 4 > len(data):
        return False
    first = load8(data, i) == RETURN and load8(data, i + 1) == LINE_FEED
    return first and load8(data, i + 2) == RETURN and load8(data, i + 3) == LINE_FEED


@inner
def skip_version(data: Any, i: Any) -> Any:
    """The index after the line `WARC/1.0`; -1 where it is not there."""
    if i + 8 > len(data) or load64(data, i) & WARC_MASK != WARC or not is_digit(data, i + 7):
        return -1
    i += 7
    while i < len(data) and is_digit(data, i):
        i += 1
    i += i < len(data) and load8(data, i) == RETURN
    return i + 1 if i < len(data) and load8(data, i) == LINE_FEED else -1


@inner
def is_digit(data: Any, i: Any) -> Any:
    return ZERO <= load8(data, i) <= ZERO + 9


@inner
def number_at(data: Any, span: Any) -> Any:
    """The number that a value is; -1 where it is none."""
    if span[0] < 0 or span[0] == span[1] or span[1] - span[0] > MOST_DIGITS:
        return -1
    value = 0
    for i in range(span[0], span[1]):
        if not is_digit(data, i):
            return -1
        value = 10 * value + load8(data, i) - ZERO
    return value


@inner
def name_at(data: Any, begin: Any, end: Any, words: Names, fold: Any) -> Any:
    """Which of the words data[begin:end] is, with `fold` in lower case; -1 where it is none of them."""
    for name in range(len(words.offsets) - 1):
        first, k = words.offsets[name], 0
        if words.offsets[name + 1] - first != end - begin:
            continue
        while k < end - begin:
            c = load8(data, begin + k)
            c += 32 if fold and 65 <= c <= 90 else 0
            if c != load8(words.data, first + k):
                break
            k += 1
        if k == end - begin:
            return name
    return -1


@inner
def read_headers(data: Any, i: Any, end: Any, wanted: Names, spans: Any) -> Any:
    """Note the values of the wanted headers; of one that is there twice the first counts. Returns the index after the
    blank line; -1 where there is none before `end`, or anything but a name, a colon and a value in a line."""
    for k in range(len(spans)):
        spans[k, 0] = spans[k, 1] = -1
    while 0 <= i < end:
        name = i
        while i < end and SPACE < load8(data, i) < DELETE and load8(data, i) != COLON:
            i += 1
        colon = i
        odd = returns = 0
        i = skip_printable(data, i, end)
        while i < end and load8(data, i) != LINE_FEED:
            c = load8(data, i)
            returns += c == RETURN
            odd += (c < SPACE and c != TAB and c != RETURN) or c >= DELETE
            i += 1
        if i == end:
            return -1
        stop = i - (i > name and load8(data, i - 1) == RETURN)
        if stop == name:
            return i + 1
        if colon == name or load8(data, colon) != COLON or returns != i - stop:
            return -1
        k = name_at(data, name, colon, wanted, True)
        if k >= 0 and spans[k, 0] < 0:
            if odd:
                return -1
            spans[k, 0], spans[k, 1] = strip(data, colon + 1, stop)
        i += 1
    return -1


@inner
def skip_printable(data: Any, i: Any, end: Any) -> Any:
    """The index of the first eight bytes that are not all of printable ASCII."""
    while i + 8 <= end:
        x = load64(data, i)
        if ((x - SPACES) | (x + EACH) | x) & HIGH:
            break
        i += 8
    return i


@inner
def strip(data: Any, begin: Any, end: Any) -> Any:
    """A span without the spaces and tabs at its ends."""
    while begin < end and (load8(data, begin) == SPACE or load8(data, begin) == TAB):
        begin += 1
    while begin < end and (load8(data, end - 1) == SPACE or load8(data, end - 1) == TAB):
        end -= 1
    return begin, end


@inner
def read_content(data: Any, words: Any, http: Any, found: Found, row: Any) -> Any:
    """Note what a record holds: an HTTP message, or the thing itself. False where the message is not a plain one."""
    _, _, in_http, is_http = words
    begin, end = found.place[row, 1], found.place[row, 2]
    type = found.headers[row, TYPE]
    found.status[row] = -1
    found.type[row, 0], found.type[row, 1] = type
    found.body[row, 0], found.body[row, 1] = begin, end
    length = is_http.offsets[1]
    if type[1] - type[0] < length or name_at(data, type[0], type[0] + length, is_http, True) < 0:
        return True
    status = status_at(data, begin, end)
    if status < 0:
        return False
    line = status + 3
    while line < end and load8(data, line) != LINE_FEED and load8(data, line) != RETURN:
        line += 1
    line += line < end and load8(data, line) == RETURN
    if line >= end or load8(data, line) != LINE_FEED:
        return False
    body = read_headers(data, line + 1, min(end, status + 3 + HEADER_BYTES), in_http, http)
    if body < 0 or http[TRANSFER, 0] >= 0 or http[ENCODING, 0] >= 0 or http[HTTP_TYPE, 0] == http[HTTP_TYPE, 1]:
        return False
    for k in range(status, status + 3):
        found.status[row] = 10 * max(found.status[row], 0) + load8(data, k) - ZERO
    found.type[row, 0], found.type[row, 1] = http[HTTP_TYPE, 0], http[HTTP_TYPE, 1]
    found.body[row, 0] = body
    return True


@inner
def status_at(data: Any, i: Any, end: Any) -> Any:
    """Where the three digits of `HTTP/1.1 200` begin; -1 where there are none."""
    if i + 12 > end or load64(data, i) & HTTP_MASK != HTTP or not is_digit(data, i + 5):
        return -1
    i += 8 if load8(data, i + 6) == DOT and is_digit(data, i + 7) else 6
    first = i
    while i + 3 < end and (load8(data, i) == SPACE or load8(data, i) == TAB):
        i += 1
    is_status = i > first and is_digit(data, i) and is_digit(data, i + 1) and is_digit(data, i + 2)
    return i if is_status else -1


@kernel(allocates=False)
def choose_spans(data: Any, headers: Any, rows: Any, out: Any) -> None:
    """Fill `out`."""
    for n in range(len(rows)):
        spans = headers[rows[n]]
        for value in range(len(VALUES)):
            header = ID + value
            if header == DIGEST and spans[DIGEST, 0] >= spans[DIGEST, 1]:
                header = BLOCK_DIGEST
            begin, end = spans[header]
            if header == ADDRESS:
                begin, end = without_brackets(data, begin, end)
            out[value, n, 0], out[value, n, 1] = begin, end


@inner
def without_brackets(data: Any, begin: Any, end: Any) -> Any:
    """A span without `<` and `>` at its ends; (-1, -1) where nothing is left."""
    while begin < end and (load8(data, begin) == LESS or load8(data, begin) == GREATER):
        begin += 1
    while begin < end and (load8(data, end - 1) == LESS or load8(data, end - 1) == GREATER):
        end -= 1
    return (begin, end) if begin < end else (-1, -1)


@kernel(allocates=False)
def name_spans(data: Any, spans: Any, words: Names, codes: Any) -> None:
    """Fill the codes."""
    for row in range(len(spans)):
        codes[row] = name_at(data, spans[row, 0], spans[row, 1], words, False)
