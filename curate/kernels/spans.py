"""Texts from spans of bytes: gathered into a column, looked at for what is no UTF-8, and repaired."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from curate.kernels.bits import EACH, HIGH, load8, load64, u64
from curate.kernels.jit import inner, kernel
from curate.kernels.masks import BLOCK, copy_block

ESCAPE = 0x1B
REPLACEMENT = 0xEF, 0xBF, 0xBD  # U+FFFD
ESCAPES = u64(0x1B1B1B1B1B1B1B1B)


def gather(data: bytes | memoryview, spans: np.ndarray, more: bytes = b"") -> pa.StringArray:
    """Strings from int[n, 2] spans of bytes, which must be UTF-8; null where they are below 0. `more` is numbered on
    from `data`.

    >>> gather(b"one two", np.array([[4, 7], [-1, -1], [7, 11]], np.int32), b"four").to_pylist()
    ['two', None, 'four']
    """
    offsets, valid = np.zeros(len(spans) + 1, np.int32), np.zeros(len(spans) // 8 + 1, np.uint8)
    size = int(spans[:, 1].sum() - spans[:, 0].sum())
    body = pa.allocate_buffer(size + BLOCK)
    sources = np.frombuffer(data or b" ", np.uint8), np.frombuffer(more or b" ", np.uint8)
    wide, out = np.ascontiguousarray(spans, np.int64), np.frombuffer(body, np.uint8)
    nulls = copy_spans(*sources, len(data), wide, offsets, valid, out)
    buffers = pa.py_buffer(offsets), body.slice(0, size), pa.py_buffer(valid) if nulls else None
    return pa.StringArray.from_buffers(len(spans), *buffers, nulls)


def are_plain(data: bytes | memoryview, spans: np.ndarray, of_page: bool) -> np.ndarray:
    """Which of the int32[n, 2] spans are valid UTF-8 (bool). That a page's is its charset is plain only without a byte
    order mark, and without U+001B, which ISO-2022 has.

    >>> are_plain("aé".encode(), np.array([[0, 3], [0, 2], [2, 3]], np.int32), of_page=True).tolist()
    [True, False, False]
    """
    verdicts = np.empty(len(spans), np.bool_)
    check_spans(np.frombuffer(data or b" ", np.uint8), np.ascontiguousarray(spans), of_page, verdicts)
    return verdicts


def repaired(data: bytes) -> bytes:
    """Text in UTF-8 with U+FFFD for each longest part that is no character, and without a byte order mark.

    >>> repaired(b"a\\xe2\\x82b\\xff").decode()
    'a\ufffdb\ufffd'
    """
    out = np.empty(len(REPLACEMENT) * len(data) + BLOCK, np.uint8)
    return out[: replace_invalid(np.frombuffer(data or b" ", np.uint8)[: len(data)], out)].tobytes()


@kernel(allocates=False)
def copy_spans(data: Any, more: Any, size: Any, spans: Any, offsets: Any, valid: Any, out: Any) -> Any:
    """Write what is in the spans one after the other; also up to a block of what follows. Returns how many are null."""
    o = nulls = 0
    for row in range(len(spans)):
        begin, end = spans[row]
        if begin < 0:
            nulls += 1
        else:
            valid[row >> 3] |= 1 << (row & 7)
        if begin < size:
            o = copy_span(data, begin, end, out, o)
        else:
            o = copy_span(more, begin - size, end - size, out, o)
        offsets[row + 1] = o
    return nulls


@inner
def copy_span(data: Any, i: Any, end: Any, out: Any, o: Any) -> Any:
    """Copy; returns the index after."""
    after = o + end - i
    while i < end and i + BLOCK <= len(data):
        copy_block(data, i, out, o)
        i, o = i + BLOCK, o + BLOCK
    while i < end:
        out[o] = load8(data, i)
        i, o = i + 1, o + 1
    return after


@kernel(allocates=False)
def check_spans(data: Any, spans: Any, of_page: Any, verdicts: Any) -> None:
    """Fill the verdicts."""
    for row in range(len(spans)):
        i, end = np.int64(spans[row, 0]), np.int64(spans[row, 1])
        verdicts[row] = not (of_page and has_mark(data, i, end))
        while verdicts[row] and i < end:
            i = skip_ascii(data, i, end, of_page)
            if i < end:
                size, is_valid = character_at(data, i, end)
                verdicts[row] = is_valid and not (of_page and load8(data, i) == ESCAPE)
                i += size


@inner
def has_mark(data: Any, i: Any, end: Any) -> Any:
    """Whether UTF-8's byte order mark is here."""
    return i + 3 <= end and load8(data, i) == 0xEF and load8(data, i + 1) == 0xBB and load8(data, i + 2) == 0xBF


@inner
def skip_ascii(data: Any, i: Any, end: Any, of_page: Any) -> Any:
    """The index of the first eight bytes that are not all of ASCII; of a page, also of those with U+001B."""
    while i + 8 <= end:
        x = load64(data, i)
        y = x ^ ESCAPES
        if (x | (((y - EACH) & ~y) if of_page else u64(0))) & HIGH:
            break
        i += 8
    return i


@inner
def character_at(data: Any, i: Any, end: Any) -> Any:
    """How many bytes from i on are those of a character (at least one), and whether they are all of it."""
    lead = load8(data, i)
    if lead < 0xC2 or lead > 0xF4:
        return 1, lead < 0x80
    size, k = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4, 1
    least = 0xA0 if lead == 0xE0 else 0x90 if lead == 0xF0 else 0x80
    most = 0x9F if lead == 0xED else 0x8F if lead == 0xF4 else 0xBF
    while k < size and i + k < end and least <= load8(data, i + k) <= most:
        least, most = 0x80, 0xBF
        k += 1
    return k, k == size


@kernel(allocates=False)
def replace_invalid(data: Any, out: Any) -> Any:
    """Copy with U+FFFD for what is no character; returns the size."""
    i = begin = 3 if has_mark(data, 0, len(data)) else 0
    o = 0
    while i < len(data):
        i = skip_ascii(data, i, len(data), False)
        size, is_valid = character_at(data, i, len(data)) if i < len(data) else (0, True)
        if not is_valid:
            o = copy_span(data, begin, i, out, o)
            out[o], out[o + 1], out[o + 2] = REPLACEMENT
            o, begin = o + 3, i + size
        i += size
    return copy_span(data, begin, i, out, o)
