"""UTF-8 text in Arrow buffers: documents as spans of bytes, code points, and where words and lines begin and end.

Works on any bytes without leaving the buffer, but only valid UTF-8 has a meaning.
"""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curate.kernels.bits import ALL, ONE, below, load8, popcount, store32, trailing_zeros, u64
from curate.kernels.jit import inner, kernel
from curate.kernels.masks import BLOCK, REACH, byte_masks, copy_rest, wide_masks
from curate.kernels.unicode import Tables

LINE_FEED = 10
AT_ONCE = 8  # edges of words that are written together
ALIGNMENT = 64  # of arrays, in bytes


Counts = tuple[np.ndarray, np.ndarray]  # of words and of lines, int64[documents] each


class Spans(NamedTuple):
    """Where the words and lines of a batch are, in bytes of `data`; and what is counted on the way.

    Document d has words `word_splits[d]:word_splits[d + 1]` and lines `line_splits[d]:line_splits[d + 1]`.
    """

    word_splits: np.ndarray  # int64[documents + 1]
    line_splits: np.ndarray  # int64[documents + 1]
    words: np.ndarray  # int32[words, 2], begin and end
    lines: np.ndarray  # int32[lines, 2], begin and end; the line feed is not part of the line
    line_words: np.ndarray  # int64[lines + 1], words of line k: line_words[k]:line_words[k + 1]
    characters: np.ndarray  # int64[documents], code points
    number_signs: np.ndarray  # int64[documents], of "#"
    ellipses: np.ndarray  # int64[documents], of "…" and, without overlaps, "..."


def buffers(text: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The bytes (uint8) and offsets (int32[n + 1]) of a string array, as read-only views; null counts as empty.

    Raises TypeError for anything but a `pa.string()` array.

    >>> data, offsets = buffers(pa.array(["one", "two"])[1:])
    >>> bytes(data[offsets[0]:offsets[1]])
    b'two'
    """
    if not isinstance(text, pa.StringArray):
        kind = getattr(text, "type", None)
        raise TypeError(f"kernels read pa.string() arrays, not {type(text).__name__}{f' of {kind}' if kind else ''}")
    if text.null_count:
        text = text.fill_null("")
    _, offsets, data = text.buffers()
    if len(text) == 0 or offsets is None:
        return read_only(np.zeros(0, np.uint8)), read_only(np.zeros(1, np.int32))
    at = np.frombuffer(offsets, np.int32, len(text) + 1, text.offset * 4)
    body = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8)
    return read_only(body), read_only(np.require(at, requirements="A"))


def read_only(array: np.ndarray) -> np.ndarray:
    """The same memory as a view that cannot be written: to Numba these are two types, so kernels see only one."""
    view = array.view()
    view.flags.writeable = False
    return view


@inner
def decode(data: Any, i: Any, end: Any) -> Any:
    """The code point at byte i and the index after it. Bytes that are cut off by `end` stand for themselves."""
    lead = load8(data, i)
    if lead < 0x80:
        return lead, i + 1
    if lead < 0xE0 and i + 2 <= end:
        return (lead & 0x1F) << 6 | load8(data, i + 1) & 0x3F, i + 2
    if lead < 0xF0 and i + 3 <= end:
        return (lead & 0x0F) << 12 | (load8(data, i + 1) & 0x3F) << 6 | load8(data, i + 2) & 0x3F, i + 3
    if i + 4 <= end:
        high = (lead & 0x07) << 18 | (load8(data, i + 1) & 0x3F) << 12
        return high | (load8(data, i + 2) & 0x3F) << 6 | load8(data, i + 3) & 0x3F, i + 4
    return lead, i + 1


@inner
def encode(out: Any, o: Any, point: Any) -> Any:
    """Write a code point at byte o; returns the index after it. Always writes four bytes."""
    if point < 0x80:
        store32(out, o, point)
        return o + 1
    if point < 0x800:
        store32(out, o, 0x80C0 | point >> 6 | (point & 0x3F) << 8)
        return o + 2
    if point < 0x10000:
        store32(out, o, 0x8080E0 | point >> 12 | (point >> 6 & 0x3F) << 8 | (point & 0x3F) << 16)
        return o + 3
    tail = (point >> 12 & 0x3F) << 8 | (point >> 6 & 0x3F) << 16 | (point & 0x3F) << 24
    store32(out, o, 0x808080F0 | point >> 18 | tail)
    return o + 4


@inner
def previous(data: Any, begin: Any, i: Any) -> Any:
    """Where the character before byte i begins."""
    i -= 1
    while i > begin and load8(data, i) & 0xC0 == 0x80:
        i -= 1
    return i


@inner
def entry(tables: Tables, point: Any) -> Any:
    """Where the properties of a code point are in the tables."""
    return u64(tables.page[u64(point >> 8)]) << u64(8) | u64(point & 255)


@inner
def block_masks(data: Any, i: Any, end: Any, carry: Any, pad: Any) -> Any:
    """Masks of the bytes i..i+63 before `end`: word, line feed, full stop, number sign, first byte of a character,
    ellipsis; and the carry for the next block: bytes of a wide space that reach into it."""
    valid = ALL if end - i >= BLOCK else below(end - i)
    two, three, ellipsis = u64(0), u64(0), u64(0)
    if i + REACH <= len(data):
        space, feed, stop, sign, tail, wide = byte_masks(data, i)
        if wide & valid:
            two, three, ellipsis = wide_masks(data, i)
    else:
        copy_rest(data, i, pad)
        space, feed, stop, sign, tail, wide = byte_masks(pad, 0)
        if wide & valid:
            two, three, ellipsis = wide_masks(pad, 0)
    two, three = two & valid, three & valid
    space |= carry | two | two << ONE | three | three << ONE | three << u64(2)
    carry = two >> u64(63) | three >> u64(63) | three >> u64(62)
    return ~space & valid, feed & valid, stop & valid, sign & valid, ~tail & valid, ellipsis & valid, carry


@kernel(allocates=False)
def count_spans(data: Any, offsets: Any, pad: Any, words: Any, lines: Any) -> None:
    """The number of words and of lines of each document."""
    for d in range(len(offsets) - 1):
        begin, end = np.int64(offsets[d]), np.int64(offsets[d + 1])
        inside, carry, count, feeds = u64(0), u64(0), 0, 0
        for i in range(begin, end, BLOCK):
            word, feed, _, _, _, _, carry = block_masks(data, i, end, carry, pad)
            count += popcount(word & ~(word << ONE | inside))
            inside = word >> u64(63)
            feeds += popcount(feed)
        words[d] = count
        lines[d] = feeds + (end > begin and data[end - 1] != LINE_FEED)


@inner
def dots(stop: Any, run: Any) -> Any:
    """Ellipses of three dots that end in a block: (how many, length of the run of dots that reaches its end)."""
    found = 0
    if not stop & ONE:
        found, run = run // 3, 0
    while stop:
        first = trailing_zeros(stop)
        length = trailing_zeros(~(stop >> u64(first)))
        run = length if first else run + length
        if first + length < BLOCK:
            found += run // 3
            run = 0
        stop &= stop + (stop & (~stop + ONE))  # clears the lowest run of ones
    return found, run


@inner
def write_edges(flips: Any, i: Any, edges: Any, edge: Any) -> None:
    """Write where bits are set, a few at once and some more than there are: a processor errs at ends of loops."""
    while flips:
        for k in range(AT_ONCE):
            edges[edge + u64(k)] = i + trailing_zeros(flips)
            flips &= flips - ONE
        edge += u64(AT_ONCE)


@kernel(allocates=False)
def fill_spans(data: Any, offsets: Any, pad: Any, spans: Spans) -> None:
    """Fill everything but the splits."""
    edges = spans.words.reshape(-1)
    for d in range(len(offsets) - 1):
        begin, end = np.int64(offsets[d]), np.int64(offsets[d + 1])
        edge = u64(2 * spans.word_splits[d])  # words begin at even edges and end at odd ones
        line, line_begin = u64(spans.line_splits[d]), begin
        inside, carry, characters, signs, ellipses, run = u64(0), u64(0), 0, 0, 0, 0
        for i in range(begin, end, BLOCK):
            word, feed, stop, sign, first, ellipsis, carry = block_masks(data, i, end, carry, pad)
            characters += popcount(first)
            signs += popcount(sign)
            ellipses += popcount(ellipsis)
            if stop or run:
                found, run = dots(stop, run)
                ellipses += found
            flips = word ^ (word << ONE | inside)
            inside = word >> u64(63)
            while feed:
                bit = trailing_zeros(feed)
                feed &= feed - ONE
                spans.lines[line, 0], spans.lines[line, 1] = line_begin, i + bit
                spans.line_words[line + ONE] = (edge + ONE + u64(popcount(flips & below(bit)))) >> ONE
                line_begin = i + bit + 1
                line += ONE
            write_edges(flips, i, edges, edge)
            edge += u64(popcount(flips))
        if edge & ONE:
            edges[edge] = end
        if line < u64(spans.line_splits[d + 1]):
            spans.lines[line, 0], spans.lines[line, 1] = line_begin, end
            spans.line_words[line + ONE] = spans.word_splits[d + 1]
        spans.characters[d], spans.number_signs[d], spans.ellipses[d] = characters, signs, ellipses + run // 3


def splits(counts: np.ndarray) -> np.ndarray:
    """Where each document's items begin in a flat array, from how many it has: int64[n + 1]."""
    found = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, dtype=np.int64, out=found[1:])
    return found


def allocate(*parts: tuple[int | tuple[int, ...], Any]) -> list[np.ndarray]:
    """Uninitialised arrays of the given (shape, type), all in one piece of memory.

    NumPy asks the system for huge pages for pieces of over 4 MB; for many smaller ones page faults took 15% of lexing.

    >>> [array.shape for array in allocate((3, np.int32), ((2, 2), np.uint8))]
    [(3,), (2, 2)]
    """
    shapes = [shape if isinstance(shape, tuple) else (shape,) for shape, _ in parts]
    sizes = (math.prod(shape) * np.dtype(kind).itemsize for shape, (_, kind) in zip(shapes, parts, strict=True))
    *begins, end = accumulate((-(-size // ALIGNMENT) * ALIGNMENT for size in sizes), initial=0)
    memory = np.empty(end, np.uint8)
    return [
        np.ndarray(shape, kind, memory, begin) for shape, (_, kind), begin in zip(shapes, parts, begins, strict=True)
    ]


def span_counts(data: np.ndarray, offsets: np.ndarray) -> Counts:
    """How many words and lines each document has."""
    documents = len(offsets) - 1
    words, lines = allocate((documents, np.int64), (documents, np.int64))
    count_spans(data, offsets, np.empty(REACH, np.uint8), words, lines)
    return words, lines


def find_spans(data: np.ndarray, offsets: np.ndarray, known: Counts | None = None) -> Spans:
    """The words and lines of a batch; how many there are may be known."""
    documents = len(offsets) - 1
    words, lines = known or span_counts(data, offsets)
    word_splits, line_splits = splits(words), splits(lines)
    sizes = int(word_splits[-1]), int(line_splits[-1])
    ends = [((size, 2), np.int32) for size in (sizes[0] + AT_ONCE, sizes[1])]
    counts = [(documents, np.int64)] * 3
    spans = Spans(word_splits, line_splits, *allocate(*ends, (sizes[1] + 1, np.int64), *counts))
    spans.line_words[0] = 0
    fill_spans(data, offsets, np.empty(REACH, np.uint8), spans)
    return spans._replace(words=spans.words[: sizes[0]])


def longest_span(span: np.ndarray) -> int:
    """The most bytes of a span (int32[spans, 2]), 0 if there is none.

    >>> longest_span(np.array([[0, 3], [5, 6]], np.int32))
    3
    """
    return int(find_longest(read_only(span)))


@kernel(allocates=False)
def find_longest(span: Any) -> Any:
    """The length of the longest span."""
    most = np.int64(0)
    for k in range(u64(len(span))):
        most = max(most, np.int64(span[k, 1] - span[k, 0]))
    return most


@inner
def spells(data: Any, begin: Any, end: Any, text: Any, first: Any, last: Any) -> Any:
    """Whether text[first:last], in lower case, is at byte `begin`, whatever the case of its letters."""
    if begin + last - first > end:
        return False
    for j in range(last - first):
        byte = load8(data, begin + j)
        byte |= (0x41 <= byte <= 0x5A) << 5
        if byte != text[first + j]:
            return False
    return True
