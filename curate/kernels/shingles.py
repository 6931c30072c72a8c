"""Shingles (Broder 1997): the n-grams of words or of characters of a document's normal text, hashed.

Normal texts: `plain` is that of RedPajama-V2 (words without ASCII punctuation, in lower case and NFD, joined by one
space), `folded` keeps the punctuation, `none` is the text as it is. Any Unicode white space separates words.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curate.kernels.bits import HIGH, load8, popcount, store64, u64
from curate.kernels.folding import digest, drop8, fold_wide, hash8, load_upto8, lower8, room, within
from curate.kernels.hashing import normalised_hash, xxh3_128
from curate.kernels.jit import inner, kernel
from curate.kernels.lexer import is_read, outline
from curate.kernels.text import decode, entry, read_only, splits
from curate.kernels.unicode import ASCII_PUNCTUATION, REWRITTEN, Tables, tables

UNITS = WORDS, CHARACTERS = "words", "characters"
NORMAL = PLAIN, FOLDED, NONE = "plain", "folded", "none"
SPACE = 0x20
BASE = u64(0x9E3779B97F4A7C15)
FACTOR = u64(0xD6E8FEB86659FD93)
POINTS = 2  # NFD(lower(text)) has at most so many code points for each byte of the text


class Texts(NamedTuple):
    """A batch of documents and what their normal texts are made from and in."""

    data: np.ndarray  # uint8, the Arrow buffer
    offsets: np.ndarray  # int32[documents + 1]
    words: np.ndarray  # int32[words, 2], begin and end of each word in `data`
    splits: np.ndarray  # int64[documents + 1], of the words
    normal: np.int64  # which of NORMAL
    unit: np.int64  # which of UNITS
    tables: Tables
    hashes: np.ndarray  # uint64[words], of their normal forms, if the batch has been lexed; else empty
    sizes: np.ndarray  # int32[words], code points of these
    out: np.ndarray  # uint8, room for the normal text of any of them
    written: np.ndarray  # the same memory, read-only as other texts are


class Window(NamedTuple):
    """Where in a document the last n units are that make the next shingle."""

    place: np.ndarray  # int64[4], the next word or byte, where the document ends, slot of the ring, units seen
    ring: np.ndarray  # uint64[ngram], hashes of the units in the window
    hash: np.ndarray  # uint64[1], of the window


class Sets(NamedTuple):
    """A set of 64-bit hashes for each document: values[splits[d]:splits[d + 1]], ascending."""

    values: np.ndarray  # uint64
    splits: np.ndarray  # int64[documents + 1]


def shingle_sets(text: pa.Array, unit: str = WORDS, ngram: int = 5, normalise: str = PLAIN) -> Sets:
    """The different shingles of each document. One that is too short for any has a hash of its whole text instead.

    >>> sets = shingle_sets(pa.array(["a b c a b c", "A, b, c!", "a b", "a  B", "a-b"]), ngram=3)
    >>> np.diff(sets.splits).tolist(), sets.values[3] in sets.values[:3], np.diff(sets.values[4:]).tolist()[0]
    ([3, 1, 1, 1, 1], True, 0)
    """
    texts, window = texts_of(text, unit, normalise), window_of(ngram)
    most = np.diff(texts.splits) if unit == WORDS else POINTS * np.diff(texts.offsets).astype(np.int64)
    hashes = np.empty(int(most.sum()) + len(most), np.uint64)  # memory that is not written is not used
    counts = np.empty(len(most), np.int64)
    collect_sets(texts, window, whole_hash(text, normalise), hashes, counts)
    found = hashes[: int(counts.sum())].copy()
    sort_sets(found, counts)
    return Sets(found[: int(counts.sum())].copy(), splits(counts))


def whole_hash(text: pa.Array, normalise: str = PLAIN) -> np.ndarray:
    """A 64-bit hash of each whole text, by which documents that are too short for a shingle are compared.

    Punctuation counts, unlike in the normal text `plain`; case and white space do only for `none`.
    """
    low, high = xxh3_128(text) if normalise == NONE else normalised_hash(text)
    return low ^ high


def window_of(ngram: int) -> Window:
    """A window of so many units. Raises ValueError for less than one."""
    if ngram < 1:
        raise ValueError(f"a shingle has at least one word or character, not {ngram}")
    return Window(np.zeros(4, np.int64), np.zeros(ngram, np.uint64), np.zeros(1, np.uint64))


def texts_of(text: pa.Array, unit: str = WORDS, normalise: str = PLAIN) -> Texts:
    """A batch, ready to be cut into shingles. Raises ValueError for a unit or a normal text that does not exist."""
    if unit not in UNITS or normalise not in NORMAL:
        raise ValueError(f"no shingles of {unit!r} in the normal text {normalise!r}: see {UNITS} and {NORMAL}")
    found = outline(text)
    as_read = normalise == PLAIN and unit == WORDS and is_read(found)
    hashes, sizes = (column if as_read else column[:0] for column in (found.words.hash, found.words.normal_characters))
    out = room(int(np.diff(found.offsets).max(initial=0)))
    kinds = np.int64(NORMAL.index(normalise)), np.int64(UNITS.index(unit))
    words = found.words.span, found.word_splits
    return Texts(found.data, found.offsets, *words, *kinds, tables(), hashes, sizes, out, read_only(out))


# ---------------------------------------------------------------- normal texts


@inner
def ascii8(x: Any, n: Any, drop: Any) -> Any:
    """Up to eight ASCII bytes in lower case, without punctuation if `drop`, and how many are left."""
    x = lower8(x)
    if drop:
        marked = within(x, 0x21, 0x7E) & ~(within(x, 0x61, 0x7A) | within(x, 0x30, 0x39))
        if marked:
            x = drop8(x, marked)
            n -= popcount(marked)
    return x, n


@inner
def copy(data: Any, begin: Any, end: Any, out: Any, o: Any) -> Any:
    """Write data[begin:end] at byte o; returns the index after it."""
    for i in range(end - begin):
        out[o + i] = data[begin + i]
    return o + end - begin


@kernel(allocates=False)
def fold(data: Any, begin: Any, end: Any, drop: Any, tables: Tables, out: Any, o: Any) -> Any:
    """Write the normal form of a word that is not ASCII at byte o; returns the index after it."""
    wanted, i, classes = REWRITTEN | ASCII_PUNCTUATION * drop, begin, 0
    while i < end and not classes & wanted:
        point, i = decode(data, i, end)
        classes = tables.classes[entry(tables, point)]
    if classes & wanted:
        return fold_wide(data, begin, end, drop, tables, out, o)
    return copy(data, begin, end, out, o)


@inner
def write_word(texts: Texts, w: Any, o: Any) -> Any:
    """Write the normal form of word w into `out` at byte o; returns the index after it."""
    data, out, drop = texts.data, texts.out, texts.normal == 0
    begin, end, first = np.int64(texts.words[w, 0]), np.int64(texts.words[w, 1]), o
    if texts.normal == 2:
        return copy(data, begin, end, out, o)
    for i in range(begin, end, 8):
        n = min(8, end - i)
        x = load_upto8(data, i, n)
        if x & HIGH:
            return fold(data, begin, end, drop, texts.tables, out, first)
        x, n = ascii8(x, n, drop)
        store64(out, o, x)
        o += n
    return o


@kernel(allocates=False)
def write_text(texts: Texts, d: Any) -> Any:
    """Write the normal text of document d into `out`; returns its length in bytes."""
    if texts.normal == 2 and texts.unit == 1:
        begin, end = np.int64(texts.offsets[d]), np.int64(texts.offsets[d + 1])
        return copy(texts.data, begin, end, texts.out, np.int64(0))
    size, o = np.int64(0), np.int64(0)
    for w in range(texts.splits[d], texts.splits[d + 1]):
        size = write_word(texts, w, o)
        if size > o:  # something is left of the word
            texts.out[size] = SPACE
            o = size + 1
    return max(np.int64(0), o - 1)


# ---------------------------------------------------------------- rolling hashes


@inner
def finish_shingle(h: Any) -> Any:
    """Spread the hash of a window, a polynomial over those of its units, to the upper bits."""
    return (h ^ h >> u64(32)) * FACTOR


@inner
def word_hash(texts: Texts, w: Any) -> Any:
    """The hash of the normal form of word w, which is also the lexer's, and a length, 0 if nothing is left of it."""
    if len(texts.hashes):
        return texts.hashes[w], np.int64(texts.sizes[w])
    begin, end = np.int64(texts.words[w, 0]), np.int64(texts.words[w, 1])
    if texts.normal < 2 and end - begin <= 8:
        x = load_upto8(texts.data, begin, end - begin)
        if not x & HIGH:
            x, n = ascii8(x, end - begin, texts.normal == 0)
            return hash8(x, n), n
    size = write_word(texts, w, np.int64(0))
    return digest(texts.written, np.int64(0), size)[0], size


@kernel(allocates=False)
def begin_document(texts: Texts, d: Any, window: Window, as_text: Any) -> None:
    """Lead the window to the beginning of document d: of its words, or of its text for characters and `as_text`."""
    window.place[:] = 0
    window.ring[:] = u64(0)
    if texts.unit == 1 or as_text:
        window.place[1] = write_text(texts, d)
    else:
        window.place[0], window.place[1] = texts.splits[d], texts.splits[d + 1]


@kernel(allocates=False)
def roll(texts: Texts, window: Window, block: Any) -> Any:
    """Fill `block` with the hashes of the document's next shingles; returns how many there are, 0 at its end."""
    place, ring = window.place, window.ring
    at, end, slot, seen = place[0], place[1], place[2], place[3]
    ngram, h, n = len(ring), window.hash[0] if seen else u64(0), 0
    power = u64(1)
    for _ in range(ngram):
        power *= BASE
    while at < end and n < len(block):
        if texts.unit == 1:
            point, at = decode(texts.written, at, end)
            x = u64(point)
        else:
            x, size = word_hash(texts, at)
            at += 1
            if size == 0:
                continue
        h = h * BASE + x - power * ring[slot]
        ring[slot] = x
        slot = slot + 1 if slot + 1 < ngram else 0
        seen += 1
        if seen >= ngram:
            block[n] = finish_shingle(h)
            n += 1
    place[0], place[2], place[3], window.hash[0] = at, slot, seen, h
    return n


@kernel(allocates=False)
def cut(texts: Texts, window: Window, block: Any) -> Any:
    """Fill `block` with begin and end of the document's next shingles in its text; returns how many there are."""
    place, ring = window.place, window.ring
    at, end, slot, seen = place[0], place[1], place[2], place[3]
    ngram, n = len(ring), 0
    while at < end and n < len(block):
        ring[slot] = u64(at)
        slot = slot + 1 if slot + 1 < ngram else 0
        seen += 1
        if texts.unit == 1:
            at = decode(texts.written, at, end)[1]
        else:
            while at < end and load8(texts.written, at) != SPACE:
                at += 1
        if seen >= ngram:
            block[n, 0], block[n, 1] = np.int64(ring[slot]), at
            n += 1
        at += 1 - texts.unit  # the space between two words
    place[0], place[2], place[3] = at, slot, seen
    return n


@kernel(allocates=False)
def collect_sets(texts: Texts, window: Window, whole: Any, hashes: Any, counts: Any) -> None:
    """Fill the shingles of all documents, one after the other, and their numbers."""
    at = 0
    for d in range(len(counts)):
        begin_document(texts, d, window, texts.unit == 1)
        n = roll(texts, window, hashes[at:])
        if n == 0:
            hashes[at] = whole[d]
            n = 1
        counts[d] = n
        at += n


@kernel
def sort_sets(hashes: Any, counts: Any) -> None:
    """Sort each document's hashes, move the different ones to the front of all and change the counts to theirs."""
    begin, o = 0, 0
    for d in range(len(counts)):
        part = hashes[begin : begin + counts[d]]
        part.sort()
        begin += counts[d]
        first = o
        for i in range(len(part)):
            if i == 0 or part[i] != part[i - 1]:
                hashes[o] = part[i]
                o += 1
        counts[d] = o - first
