"""Reads lines of JSON objects (RFC 8259) in two steps: where the members of each object are, then their values.

The first step accepts part of what a JSON parser accepts and tells the other lines apart, for a slower way to judge:
all it takes are objects whose known members have values of the kinds asked for. Strings are looked through 64 bytes
at a time, as simdjson does (Langdale and Lemire 2019).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curate.kernels.bits import ONE, load8, trailing_zeros, u64
from curate.kernels.jit import inner, kernel
from curate.kernels.masks import BLOCK, copy_block, line_feeds, string_ends
from curate.kernels.text import encode, read_only

ABSENT, NULL, FALSE, TRUE, INTEGER, FLOAT, STRING, ESCAPED, NESTED, ODD = range(10)
BLANK, OBJECT, OTHER = range(3)  # kinds of lines
TEXTS, NOTHING = frozenset([STRING, ESCAPED]), frozenset([ABSENT, NULL])
KINDS = {
    pa.string(): TEXTS,
    pa.int64(): frozenset([INTEGER]),
    pa.float64(): frozenset([INTEGER, FLOAT]),
    pa.bool_(): frozenset([TRUE, FALSE]),
}
MOST_NESTED = 200
MOST_OTHERS = 8  # members without a field, per line of a block
QUOTE, BACKSLASH, SLASH, COMMA, COLON, MINUS, PLUS, DOT, ZERO, NINE = b'"\\/,:-+.09'
OPEN, CLOSE, OPEN_LIST, CLOSE_LIST, SPACE, TAB, RETURN, UNICODE = b"{}[] \t\ru"
LOWER, LOWER_E = 0x20, ord("e")


class Names(NamedTuple):
    """The members that are looked for."""

    data: np.ndarray  # uint8, their names, one after the other
    offsets: np.ndarray  # int64[names + 1]
    kinds: np.ndarray  # int64[names], bit k: a value of kind k may be there


class Members(NamedTuple):
    """What the lines of a block hold."""

    line: np.ndarray  # uint8[lines], BLANK, OBJECT or OTHER
    kind: np.ndarray  # uint8[lines, names]
    span: np.ndarray  # int32[lines, names, 2], bytes of the value; of a string without its quotes
    others: np.ndarray  # int32[n, 3], line and bytes of each other member, from its name's quote to its value's end


def names(fields: dict[str, frozenset[int]]) -> Names:
    """The names to look for and the kinds of values that each may have.

    >>> names({"id": TEXTS | {INTEGER}}).offsets.tolist()
    [0, 2]
    """
    encoded = [name.encode() for name in fields]
    offsets = np.cumsum([0, *map(len, encoded)])
    kinds = np.array([sum(1 << kind for kind in allowed) for allowed in fields.values()], np.int64)
    return Names(np.frombuffer(b"".join(encoded) + b" ", np.uint8), read_only(offsets), read_only(kinds))


def line_ends(data: np.ndarray) -> np.ndarray:
    """Positions of the line feeds in uint8 `data` (int64).

    >>> line_ends(np.frombuffer(b"a\\n\\nb", np.uint8)).tolist()
    [1, 2]
    """
    ends = np.empty(1 + len(data) // 512, np.int64)
    while (found := find_line_ends(data, ends)) > len(ends):
        ends = np.empty(found, np.int64)
    return ends[:found]


def members(data: np.ndarray, ends: np.ndarray, wanted: Names, limit: int) -> Members:
    """Find the members of the objects in the lines of `data` that end before `ends`; a line over `limit` is OTHER.

    >>> lines = b'{"a": 1, "b": "x"}\\n[]'
    >>> found = members(np.frombuffer(lines, np.uint8), np.array([18, 21]), names({"b": TEXTS}), 99)
    >>> found.line.tolist(), found.kind.tolist(), found.others.tolist()
    ([1, 2], [[6], [0]], [[0, 1, 7]])
    """
    shape = len(ends), len(wanted.kinds)
    found = Members(
        np.empty(shape[0], np.uint8),
        np.zeros(shape, np.uint8),
        np.zeros((*shape, 2), np.int32),
        np.empty((MOST_OTHERS * len(ends), 3), np.int32),
    )
    if len(data) > np.iinfo(np.int32).max:
        found.line[:] = OTHER
        return found._replace(others=found.others[:0])
    count = find_members(data, ends, wanted, limit, found)
    return found._replace(others=found.others[:count])


def strings(data: np.ndarray, kind: np.ndarray, span: np.ndarray) -> pa.StringArray:
    """Values of strings and numbers as text, without escapes; null for every other kind. `data` must be UTF-8.

    >>> lines = np.frombuffer(b'"caf\\\\u00e9", 7', np.uint8)
    >>> strings(lines, np.array([ESCAPED, NULL, INTEGER], np.uint8), np.array([[1, 10], [0, 0], [13, 14]], np.int32))
    <pyarrow.lib.StringArray object at ...>
    [
      "café",
      null,
      "7"
    ]
    """
    kind, span = np.ascontiguousarray(kind), np.ascontiguousarray(span)
    offsets = np.zeros(len(kind) + 1, np.int32)
    room = int(np.diff(span, axis=1).sum()) + BLOCK
    body = pa.allocate_buffer(room)
    size = copy_strings(data, kind, span, np.frombuffer(body, np.uint8), offsets)
    is_null = (kind < INTEGER) | (kind > ESCAPED)
    valid = pa.py_buffer(np.packbits(~is_null, bitorder="little")) if is_null.any() else None
    return pa.StringArray.from_buffers(len(kind), pa.py_buffer(offsets), body.slice(0, size), valid)


def booleans(kind: np.ndarray) -> pa.BooleanArray:
    """Values of booleans; null for every other kind.

    >>> booleans(np.array([TRUE, NULL], np.uint8)).to_pylist()
    [True, None]
    """
    bits = [
        pa.py_buffer(np.packbits(row, bitorder="little")) for row in ((kind == TRUE) | (kind == FALSE), kind == TRUE)
    ]
    return pa.BooleanArray.from_buffers(pa.bool_(), len(kind), bits)


@kernel(allocates=False)
def find_line_ends(data: Any, ends: Any) -> Any:
    """Positions of line feeds, as many as there is room for; returns how many there are."""
    n, i, size = 0, 0, len(data)
    while i + BLOCK <= size:
        found = line_feeds(data, i)
        while found:
            if n < len(ends):
                ends[n] = i + trailing_zeros(found)
            n += 1
            found &= found - ONE
        i += BLOCK
    while i < size:
        if load8(data, i) == 10:
            if n < len(ends):
                ends[n] = i
            n += 1
        i += 1
    return n


# ---------------------------------------------------------------- where the members are


@kernel(allocates=False)
def find_members(data: Any, ends: Any, names: Names, limit: Any, found: Members) -> Any:
    """Fill what is known of each line; returns the number of other members."""
    others, begin = 0, np.int64(0)
    for line in range(len(ends)):
        end = np.int64(ends[line])
        first, last = white(data, begin, end), trimmed(data, begin, end)
        if first == end:
            found.line[line] = BLANK
        elif end - begin > limit:
            found.line[line] = OTHER
        else:
            after = read_object(data, first, last, names, line, found, others)
            others = max(others, after)
            found.line[line] = OBJECT if after >= 0 and as_wanted(names, found.kind, line) else OTHER
        begin = end + 1
    return others


@inner
def white(data: Any, i: Any, end: Any) -> Any:
    """The first byte from i on that is no white space."""
    while i < end and (load8(data, i) == SPACE or load8(data, i) == TAB or load8(data, i) == RETURN):
        i += 1
    return i


@inner
def trimmed(data: Any, begin: Any, end: Any) -> Any:
    """One past the last byte that is no white space."""
    while end > begin and (load8(data, end - 1) == SPACE or load8(data, end - 1) in (TAB, RETURN)):
        end -= 1
    return end


@inner
def as_wanted(names: Names, kinds: Any, line: Any) -> Any:
    """Whether every value of a line is of a kind that its member may have."""
    wrong = 0
    for name in range(len(names.kinds)):
        wrong |= ~names.kinds[name] >> np.int64(kinds[line, name]) & 1
    return not wrong


@inner
def read_object(data: Any, i: Any, end: Any, names: Names, line: Any, found: Members, others: Any) -> Any:
    """Note the members of the object at i; returns the number of others, or -1 where it is not one up to `end`."""
    guess: Any = np.int64(0)
    if load8(data, i) != OPEN:
        return -1
    i = white(data, i + 1, end)
    if i == end - 1 and load8(data, i) == CLOSE:
        return others
    while i < end and load8(data, i) == QUOTE:
        start = i
        close, escaped = string_end(data, i + 1, end)
        if close < 0:
            return -1
        i = white(data, close + 1, end)
        if i >= end or load8(data, i) != COLON:
            return -1
        name = -1 if escaped else which(data, start + 1, close, names, guess)
        kind, begin, stop, i = read_value(data, white(data, i + 1, end), end)
        if kind == ODD:
            return -1
        if name >= 0 and found.kind[line, name] == ABSENT:
            found.kind[line, name], found.span[line, name, 0], found.span[line, name, 1] = kind, begin, stop
            guess = name + 1
        elif name >= 0 or escaped or others == len(found.others):
            return -1
        else:
            found.others[others, 0], found.others[others, 1], found.others[others, 2] = line, start, i
            others += 1
        i = white(data, i, end)
        if i == end - 1 and load8(data, i) == CLOSE:
            return others
        if i >= end or load8(data, i) != COMMA:
            return -1
        i = white(data, i + 1, end)
    return -1


@inner
def which(data: Any, begin: Any, end: Any, names: Names, guess: Any) -> Any:
    """The number of a member's name, or -1. The one that is likely next is looked at first."""
    for step in range(len(names.kinds)):
        name = (guess + step) % len(names.kinds)
        start = names.offsets[name]
        if names.offsets[name + 1] - start == end - begin:
            k = 0
            while k < end - begin and load8(data, begin + k) == load8(names.data, start + k):
                k += 1
            if k == end - begin:
                return name
    return -1


@inner
def read_value(data: Any, i: Any, end: Any) -> Any:
    """The value at i: (kind, first byte, one past the last, where to go on)."""
    if i >= end:
        return ODD, i, i, i
    lead = load8(data, i)
    if lead == QUOTE:
        close, escaped = string_end(data, i + 1, end)
        kind = ODD if close < 0 else ESCAPED if escaped else STRING
        return kind, i + 1, close, close + 1
    if lead in (OPEN, OPEN_LIST):
        stop = nested_end(data, i, end)
        return (NESTED if stop > 0 else ODD), i, stop, stop
    if lead == MINUS or ZERO <= lead <= NINE:
        kind, stop = number_end(data, i, end)
        return kind, i, stop, stop
    for kind, length, word in ((NULL, 4, 0x6C6C756E), (TRUE, 4, 0x65757274), (FALSE, 5, 0x65736C6166)):
        if i + length <= end:
            spelled = np.int64(0)
            for k in range(length):
                spelled |= load8(data, i + k) << (8 * k)
            if spelled == word:
                return kind, i, i + length, i + length
    return ODD, i, i, i


@inner
def string_end(data: Any, i: Any, end: Any) -> Any:
    """The closing quote of the string whose first byte is i, and whether it has escapes; -1 where it is not one."""
    escaped = False
    while True:
        i = next_end(data, i, end)
        if i >= end:
            return np.int64(-1), escaped
        byte = load8(data, i)
        if byte == QUOTE:
            return i, escaped
        if byte != BACKSLASH:
            return np.int64(-1), escaped
        _, i = unescape(data, i, end)
        if i < 0:
            return np.int64(-1), escaped
        escaped = True


@inner
def next_end(data: Any, i: Any, end: Any) -> Any:
    """The first quote, backslash or control character from i on; `end` or more where there is none."""
    while i + BLOCK <= len(data) and i < end:
        found = string_ends(data, i)
        if found:
            return i + trailing_zeros(found)
        i += BLOCK
    while i < end:
        byte = load8(data, i)
        if byte in (QUOTE, BACKSLASH) or byte < SPACE:
            return i
        i += 1
    return end


@inner
def unescape(data: Any, i: Any, end: Any) -> Any:
    """The code point that the backslash at i stands for, and where to go on: -1 where it is no escape."""
    none = np.int64(-1)
    if i + 2 > end:
        return none, none
    letter = load8(data, i + 1)
    if letter in (QUOTE, BACKSLASH, SLASH):
        return letter, i + 2
    if letter != UNICODE:
        for own, point in ((0x6E, 10), (0x74, 9), (0x72, 13), (0x62, 8), (0x66, 12)):
            if letter == own:
                return np.int64(point), i + 2
        return none, none
    high = hex4(data, i + 2, end)
    if high < 0 or high < 0xD800 or high > 0xDFFF:
        return high, i + 6 if high >= 0 else none
    low = hex4(data, i + 8, end) if i + 8 <= end and load8(data, i + 6) == BACKSLASH else none
    if high > 0xDBFF or low < 0xDC00 or low > 0xDFFF or load8(data, i + 7) != UNICODE:
        return none, none
    return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00), i + 12


@inner
def hex4(data: Any, i: Any, end: Any) -> Any:
    """The value of four hexadecimal digits, or -1."""
    value = np.int64(0)
    if i + 4 > end:
        return np.int64(-1)
    for k in range(4):
        byte = load8(data, i + k)
        letter = byte | LOWER
        if ZERO <= byte <= NINE:
            value = value << 4 | byte - ZERO
        elif 0x61 <= letter <= 0x66:
            value = value << 4 | letter - 0x61 + 10
        else:
            return np.int64(-1)
    return value


@inner
def number_end(data: Any, i: Any, end: Any) -> Any:
    """The kind of the number at i and where it ends; minus zero, which has no such integer, is left to others."""
    kind, is_negative = INTEGER, load8(data, i) == MINUS
    first = i + is_negative
    i = digits(data, first, end)
    if i == first or (load8(data, first) == ZERO and i > first + 1):
        return ODD, i
    is_zero = load8(data, first) == ZERO
    if i < end and load8(data, i) == DOT:
        kind, first = FLOAT, i + 1
        i = digits(data, first, end)
        if i == first:
            return ODD, i
    if i < end and load8(data, i) | LOWER == LOWER_E:
        kind, i = FLOAT, i + 1
        if i < end and load8(data, i) in (PLUS, MINUS):
            i += 1
        first, i = i, digits(data, i, end)
        if i == first:
            return ODD, i
    return (ODD if kind == INTEGER and is_negative and is_zero else kind), i


@inner
def digits(data: Any, i: Any, end: Any) -> Any:
    """One past the digits at i."""
    while i < end and ZERO <= load8(data, i) <= NINE:
        i += 1
    return i


@inner
def nested_end(data: Any, i: Any, end: Any) -> Any:
    """One past the bracket that closes the one at i, -1 where there is none. What is inside is not looked at."""
    depth = np.int64(0)
    while i < end:
        byte = load8(data, i)
        if byte == QUOTE:
            i, _ = string_end(data, i + 1, end)
            if i < 0:
                break
        elif byte in (OPEN, OPEN_LIST):
            depth += 1
            if depth > MOST_NESTED:
                break
        elif byte in (CLOSE, CLOSE_LIST):
            depth -= 1
            if depth == 0:
                return i + 1
        i += 1
    return np.int64(-1)


# ---------------------------------------------------------------- their values


@kernel(allocates=False)
def copy_strings(data: Any, kind: Any, span: Any, out: Any, offsets: Any) -> Any:
    """Write the values one after the other and where each ends; returns how many bytes they are."""
    o = np.int64(0)
    for line in range(len(kind)):
        if INTEGER <= kind[line] <= ESCAPED:
            o = copy_string(data, np.int64(span[line, 0]), np.int64(span[line, 1]), out, o)
        offsets[line + 1] = o
    return o


@inner
def copy_string(data: Any, i: Any, end: Any, out: Any, o: Any) -> Any:
    """Write one string without its escapes at o; returns the index after it."""
    while i < end:
        step = min(end - i, BLOCK)
        if i + BLOCK <= len(data):
            escapes = copy_block(data, i, out, o)
        else:
            escapes = u64(0)
            for k in range(step):
                out[o + k] = load8(data, i + k)
                escapes |= ONE << u64(k) if load8(data, i + k) == BACKSLASH else u64(0)
        step = min(step, trailing_zeros(escapes))
        i, o = i + step, o + step
        if step < BLOCK and i < end:
            point, i = unescape(data, i, end)
            o = encode(out, o, point)
    return o
