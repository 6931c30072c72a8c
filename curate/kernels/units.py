"""Text that can repeat across a corpus: lines, paragraphs, sentences, windows of them; known by 128 bits."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from curate.kernels.bits import HIGH, store64, u64
from curate.kernels.editing import DELETED, normalise
from curate.kernels.folding import fold_wide, load_upto8, plain8, room
from curate.kernels.hashing import START, _secret, xxh3
from curate.kernels.jit import inner, kernel
from curate.kernels.landmarks import SENTENCE, Landmarks, landmarks, sentence
from curate.kernels.lexer import Lexed
from curate.kernels.lines import count_characters
from curate.kernels.runs import MIX_1, MIX_2
from curate.kernels.text import decode, read_only, splits
from curate.kernels.traits import Traits, kind_of, traits
from curate.kernels.unicode import SPACE, Tables, tables

UnitKind = Literal["line", "paragraph", "sentence"]


class Units(NamedTuple):
    """Units of document d: `splits[d]:splits[d + 1]`. Those of one line have one `line`."""

    splits: np.ndarray  # int64[documents + 1]
    span: np.ndarray  # int32[units, 2], first byte and one past the last, without outer white space
    line: np.ndarray  # int64[units]
    edges: np.ndarray  # int32[units, 2], first byte of the line if the unit begins it, else as above; end of its line


def units(lexed: Lexed, kind: UnitKind) -> Units:
    """The units of a batch: lines that are not blank, runs of such lines, or sentences (which end with their line).

    >>> from curate.kernels.lexer import lex
    >>> import pyarrow as pa
    >>> lexed = lex(pa.array(["One. Two\\nthree.\\n\\nFour"]))
    >>> [len(units(lexed, kind).span) for kind in ("line", "paragraph", "sentence")]
    [3, 2, 4]
    """
    lines, words = lexed.lines, lexed.words.span
    first, last = lines.words[:-1], lines.words[1:]
    full = last > first
    before = np.concatenate([[0], np.cumsum(full)])
    span = np.stack([words[first[full], 0], words[last[full] - 1, 1]], axis=1)
    found = Units(before[lexed.line_splits], span, np.arange(len(span)), lines.span[full])
    if kind == "paragraph":
        follows = np.concatenate([[False], full[:-1]])  # a line that is not blank comes before it
        follows[lexed.line_splits[:-1][np.diff(lexed.line_splits) > 0]] = False
        return _joined(found, np.flatnonzero(~follows[full]))
    return _sentences(lexed, found) if kind == "sentence" else found


def _joined(lines: Units, heads: np.ndarray) -> Units:
    """One unit for each run of lines that begins at one of the heads."""
    tails = np.concatenate([heads[1:], [len(lines.span)]])[: len(heads)] - 1
    span, edges = (np.stack([a[heads, 0], a[tails, 1]], axis=1) for a in (lines.span, lines.edges))
    return Units(np.searchsorted(heads, lines.splits), span, np.arange(len(heads)), edges)


def _sentences(lexed: Lexed, lines: Units) -> Units:
    found = landmarks(lexed)
    most = len(lines.span) + int((found.kind == SENTENCE).sum())
    span, edges = np.empty((most, 2), np.int32), np.empty((most, 2), np.int32)
    line, counts = np.empty(most, np.int64), np.empty(len(lines.splits) - 1, np.int64)
    plain = Units(*(read_only(np.ascontiguousarray(array)) for array in lines))
    cut_sentences(lexed.data, lexed.offsets, plain, found, traits(), Units(counts, span, line, edges))
    total = int(counts.sum())
    return Units(splits(counts), span[:total], line[:total], edges[:total])


@kernel(allocates=False)
def cut_sentences(data: Any, offsets: Any, lines: Units, found: Landmarks, traits: Traits, out: Units) -> None:
    """Fill the sentences; `out.splits` is how many each document has."""
    n = 0
    for d in range(len(offsets) - 1):
        before, p = n, found.splits[d]
        first, last = np.int64(offsets[d]), np.int64(offsets[d + 1])
        for k in range(lines.splits[d], lines.splits[d + 1]):
            begin, end = np.int64(lines.span[k, 0]), np.int64(lines.span[k, 1])
            edge = np.int64(lines.edges[k, 0])
            while p < found.splits[d + 1] and found.position[p] < end:
                at = np.int64(found.position[p])
                if found.kind[p] == SENTENCE and at >= begin:
                    after = sentence(data, first, at, last, traits)[1]
                    out.span[n, 0], out.span[n, 1] = begin, after
                    out.edges[n, 0], out.edges[n, 1], out.line[n] = edge, lines.edges[k, 1], k
                    n += 1
                    begin = after
                    while begin < end:
                        point, following = decode(data, begin, end)
                        if not kind_of(traits, point) & SPACE:
                            break
                        begin = following
                    edge = begin
                p += 1
            if begin < end:
                out.span[n, 0], out.span[n, 1] = begin, end
                out.edges[n, 0], out.edges[n, 1], out.line[n] = edge, lines.edges[k, 1], k
                n += 1
        out.splits[d] = n - before


class Hashes(NamedTuple):
    """XXH3-128 of units, and how long they are."""

    low: np.ndarray  # uint64[units]
    high: np.ndarray  # uint64[units]
    characters: np.ndarray  # int64[units], code points of what was hashed


def hash_units(lexed: Lexed, span: np.ndarray, raw: bool = False, accents: bool = True) -> Hashes:
    """Hashes of units as they are, or as cc_net compares lines: in lower case, digits as 0, without control characters
    and its list of Unicode punctuation (and canonically decomposed), with or without combining marks.

    >>> from curate.kernels.lexer import lex
    >>> import pyarrow as pa
    >>> lexed = lex(pa.array(["Page 1\\npage 2"]))
    >>> one, two = hash_units(lexed, units(lexed, "line").span).low
    >>> bool(one == two)
    True
    """
    longest = int(np.diff(span, axis=1).max(initial=0))
    folded, plain = (np.empty(0, np.uint8), np.empty(0, np.uint8)) if raw else (room(longest), room(longest))
    found = Hashes(*(np.empty(len(span), kind) for kind in (np.uint64, np.uint64, np.int64)))
    normal = Normal(traits(), tables(), DELETED, folded, plain, read_only(plain))
    write_hashes(lexed.data, span, raw, accents, normal, _secret(), START.copy(), found)
    return found


class Normal(NamedTuple):
    """What it takes to normalise a unit."""

    traits: Traits
    tables: Tables
    deleted: np.ndarray  # int32, code points
    folded: np.ndarray  # uint8, scratch
    plain: np.ndarray  # uint8, where the normalised unit goes
    written: np.ndarray  # the same, read-only as other data is, so that `xxh3` is compiled once


@inner
def write_plain(data: Any, begin: Any, end: Any, accents: Any, normal: Normal) -> Any:
    """Write the normalised unit; returns its size. Eight bytes at a time while all are ASCII."""
    o = np.int64(0)
    for i in range(begin, end, 8):
        n = min(8, end - i)
        x = load_upto8(data, i, n)
        if x & HIGH:
            start = np.int64(0)
            size = fold_wide(data, begin, end, False, normal.tables, normal.folded, start)
            return normalise(normal.folded, start, size, normal.traits, normal.deleted, accents, normal.plain)
        x, n = plain8(x, n)
        store64(normal.plain, o, x)
        o += n
    return o


@kernel(allocates=False)
def write_hashes(
    data: Any, span: Any, raw: Any, accents: Any, normal: Normal, key: Any, lanes: Any, out: Hashes
) -> None:
    """Fill the hashes."""
    for k in range(len(span)):
        begin, end = np.int64(span[k, 0]), np.int64(span[k, 1])
        if raw:
            out.low[k], out.high[k] = xxh3(data, begin, end, key, lanes)
            out.characters[k] = count_characters(data, begin, end)
        else:
            start = np.int64(0)
            size = write_plain(data, begin, end, accents, normal)
            out.low[k], out.high[k] = xxh3(normal.written, start, size, key, lanes)
            out.characters[k] = count_characters(normal.written, start, size)


def windows(hashes: Hashes, unit_splits: np.ndarray, size: int) -> tuple[Hashes, np.ndarray, np.ndarray]:
    """Every run of `size` units of a document: hashes, documents' splits, and the first unit of each run (int64).

    >>> hashes = Hashes(*(np.arange(5, dtype=kind) for kind in (np.uint64, np.uint64, np.int64)))
    >>> windows(hashes, np.array([0, 1, 5]), 3)[2].tolist()
    [1, 2]
    """
    counts = np.maximum(np.diff(unit_splits) - size + 1, 0)
    bounds = splits(counts)
    first = np.arange(bounds[-1]) + np.repeat(unit_splits[:-1] - bounds[:-1], counts)
    if size == 1:
        return hashes, bounds, first
    low, high, characters = (array[first] for array in hashes)
    for k in range(1, size):
        low, high = chain(low, hashes.low[first + k]), chain(high, hashes.high[first + k])
        characters = characters + hashes.characters[first + k]
    return Hashes(low, high, characters), bounds, first


def chain(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """One hash of two (uint64), in this order."""
    z = left * MIX_1 + right
    z = (z ^ z >> u64(30)) * MIX_2
    return z ^ z >> u64(31)


def covered(first: np.ndarray, size: int, units: int) -> np.ndarray:
    """Which of so many units are in a run of `size` that begins at one of `first` (each at most once).

    >>> covered(np.array([1, 2]), 2, 5).tolist()
    [False, True, True, True, False]
    """
    change = np.zeros(units + 1, np.int8)
    change[first] += 1
    change[first + size] -= 1
    return np.cumsum(change[:-1], dtype=np.int32) > 0
