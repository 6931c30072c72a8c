"""Shingles (Broder 1997): the n-grams of words or of characters of a document's normal text, hashed.

Normal texts: `plain` is that of RedPajama-V2 (words without ASCII punctuation, in lower case and NFD, joined by one
space), `folded` keeps the punctuation, `none` is the text as it is. Any Unicode white space separates words.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curate.kernels.bits import ALL, load8, store64, u64
from curate.kernels.folding import HIGH, digest, drop8, fold_wide, fold_word, load_upto8, lower8, room, within
from curate.kernels.hashing import normalised_hash, xxh3_128
from curate.kernels.jit import inner, kernel
from curate.kernels.text import buffers, decode, find_spans, read_only, splits
from curate.kernels.unicode import Tables, tables

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
    ngram: np.int64
    tables: Tables
    out: np.ndarray  # uint8, room for the normal text of any of them
    written: np.ndarray  # the same memory, read-only as other texts are


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
    texts = texts_of(text, unit, ngram, normalise)
    most = np.diff(texts.splits) if unit == WORDS else POINTS * np.diff(texts.offsets).astype(np.int64)
    hashes = np.empty(int(most.sum()) + len(most), np.uint64)  # memory that is not written is not used
    counts = np.empty(len(most), np.int64)
    collect_sets(texts, whole_hash(text, normalise), hashes, counts, np.empty(4, np.uint64))
    found = hashes[: int(counts.sum())].copy()
    sort_sets(found, counts)
    return Sets(found[: int(counts.sum())].copy(), splits(counts))


def whole_hash(text: pa.Array, normalise: str = PLAIN) -> np.ndarray:
    """A 64-bit hash of each whole text, by which documents that are too short for a shingle are compared.

    Punctuation counts, unlike in the normal text `plain`; case and white space do only for `none`.
    """
    low, high = xxh3_128(text) if normalise == NONE else normalised_hash(text)
    return low ^ high


def texts_of(text: pa.Array, unit: str = WORDS, ngram: int = 5, normalise: str = PLAIN) -> Texts:
    """A batch, ready to be cut into shingles.

    Raises ValueError for a unit or a normal text that does not exist, and for an `ngram` below 1.
    """
    if unit not in UNITS or normalise not in NORMAL or ngram < 1:
        raise ValueError(f"no shingles of {ngram} {unit} of the normal text {normalise!r}: see {UNITS} and {NORMAL}")
    data, offsets = buffers(text)
    spans = find_spans(data, offsets)
    out = room(int(np.diff(offsets).max(initial=0)))
    words = read_only(spans.words), read_only(spans.word_splits)
    kinds = np.int64(NORMAL.index(normalise)), np.int64(UNITS.index(unit)), np.int64(ngram)
    return Texts(data, offsets, *words, *kinds, tables(), out, read_only(out))


# ---------------------------------------------------------------- normal texts


@inner
def plain_word(data: Any, begin: Any, end: Any, tables: Tables, out: Any, o: Any) -> Any:
    """Write NFD(lower(word)) without ASCII punctuation at byte o; returns the index after it."""
    at = o
    for i in range(begin, end, 8):
        n = min(8, end - i)
        x = load_upto8(data, i, n)
        if x & HIGH:
            return fold_wide(data, begin, end, True, tables, out, at)
        x = lower8(x)
        used = ALL >> u64(64 - 8 * n)
        marked = within(x, 0x21, 0x7E) & ~(within(x, 0x61, 0x7A) | within(x, 0x30, 0x39)) & used
        store64(out, o, drop8(x, marked) if marked else x)
        while marked:
            n -= 1
            marked &= marked - u64(1)
        o += n
    return o


@kernel(allocates=False)
def write_normal(texts: Texts, d: Any) -> Any:
    """Write the normal text of document d into `out`; returns its length in bytes."""
    data, out, o = texts.data, texts.out, np.int64(0)
    if texts.normal == 2 and texts.unit == 1:
        for i in range(texts.offsets[d], texts.offsets[d + 1]):
            out[o] = data[i]
            o += 1
        return o
    for w in range(texts.splits[d], texts.splits[d + 1]):
        begin, end = np.int64(texts.words[w, 0]), np.int64(texts.words[w, 1])
        first = o
        if texts.normal == 0:
            o = plain_word(data, begin, end, texts.tables, out, o)
        elif texts.normal == 1:
            o = fold_word(data, begin, end, texts.tables, out, o)
        else:
            for i in range(begin, end):
                out[o] = data[i]
                o += 1
        if o > first:  # something is left of the word
            out[o] = SPACE
            o += 1
    return max(np.int64(0), o - 1)


@inner
def unit_end(text: Any, i: Any, end: Any, unit: Any) -> Any:
    """Where the unit that begins at byte i ends."""
    if unit == 1:
        return decode(text, i, end)[1]
    while i < end and load8(text, i) != SPACE:
        i += 1
    return i


# ---------------------------------------------------------------- rolling hashes


@inner
def unit_hash(text: Any, begin: Any, end: Any) -> Any:
    """The hash of a word or character; that of a normalised word is also the lexer's."""
    return digest(text, begin, end)[0]


@inner
def power_of(ngram: Any) -> Any:
    """What a unit's hash has been multiplied by when it leaves the window."""
    power = u64(1)
    for _ in range(ngram):
        power *= BASE
    return power


@inner
def finish_shingle(h: Any) -> Any:
    """Spread the hash of a window, a polynomial over those of its units, to the upper bits."""
    return (h ^ h >> u64(32)) * FACTOR


@kernel(allocates=False)
def roll(texts: Texts, size: Any, place: Any, block: Any) -> Any:
    """Fill `block` with hashes of the next shingles of a normal text of `size` bytes; returns how many there are.

    `place` is where the window is (byte of its first unit, byte after its last unit, units seen) and its hash:
    uint64[4], of zeros at the beginning of a text.
    """
    text, unit, ngram = texts.written, texts.unit, texts.ngram
    first, after, seen, h = np.int64(place[0]), np.int64(place[1]), np.int64(place[2]), place[3]
    gap, power, n = 1 - unit, power_of(ngram), 0
    while after < size and n < len(block):
        end = unit_end(text, after, size, unit)
        h = h * BASE + unit_hash(text, after, end)
        seen += 1
        if seen > ngram:
            last = unit_end(text, first, size, unit)
            h -= power * unit_hash(text, first, last)
            first = last + gap
        if seen >= ngram:
            block[n] = finish_shingle(h)
            n += 1
        after = end + gap
    place[0], place[1], place[2], place[3] = u64(first), u64(after), u64(seen), h
    return n


@kernel(allocates=False)
def collect_sets(texts: Texts, whole: Any, hashes: Any, counts: Any, place: Any) -> None:
    """Fill the shingles of all documents, one after the other, and their numbers."""
    at = 0
    for d in range(len(counts)):
        size = write_normal(texts, d)
        place[:] = u64(0)
        n = roll(texts, size, place, hashes[at:])
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
