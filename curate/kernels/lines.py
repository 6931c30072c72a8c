"""Lines as Python's `str.splitlines` finds them: also at \\r, \\v, \\f, \\x1c-\\x1e, U+0085, U+2028 and U+2029."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from curate.kernels.bits import ALL, EACH, ONE, below, load8, popcount, u64
from curate.kernels.folding import digest, load_upto8
from curate.kernels.jit import inner, kernel
from curate.kernels.landmarks import BREAK, CARRIAGE_RETURN, Landmarks, landmarks
from curate.kernels.lexer import Lexed, Words
from curate.kernels.masks import BLOCK, case_masks
from curate.kernels.sharing import shared
from curate.kernels.text import decode, read_only, splits
from curate.kernels.traits import Traits, kind_of, traits
from curate.kernels.unicode import UPPER, WIDE


class SplitLines(NamedTuple):
    """Lines without their ends. Document d has lines `splits[d]:splits[d + 1]`."""

    splits: np.ndarray  # int64[documents + 1]
    span: np.ndarray  # int32[lines, 2], first byte and one past the last
    words: np.ndarray  # int64[lines, 2], first word of the lexer and one past the last
    characters: np.ndarray  # int32[lines], code points
    stripped: np.ndarray  # int32[lines], code points without outer white space


def split_lines(lexed: Lexed) -> SplitLines:
    """The lines of a batch; kept per thread with the lexed text they are of.

    >>> from curate.kernels.lexer import lex
    >>> import pyarrow as pa
    >>> split_lines(lex(pa.array(["one\\r\\n two\\rthree\\n"]))).characters.tolist()
    [3, 4, 5]
    """
    return shared(lexed, "lines", lambda: _split_lines(lexed))


def _split_lines(lexed: Lexed) -> SplitLines:
    found = landmarks(lexed)
    most = len(lexed.lines.span) + int((found.kind == BREAK).sum())
    counts = np.empty(len(lexed.offsets) - 1, np.int64)
    span, words = np.empty((most, 2), np.int32), np.empty((most, 2), np.int64)
    characters, stripped = np.empty(most, np.int32), np.empty(most, np.int32)
    fill(lexed, found, counts, span, words, characters, stripped)
    total = int(counts.sum())
    return SplitLines(*map(read_only, (splits(counts), *(a[:total] for a in (span, words, characters, stripped)))))


@inner
def count_characters(data: Any, begin: Any, end: Any) -> Any:
    """Code points of data[begin:end]."""
    characters = end - begin
    for i in range(begin, end, 8):
        x = load_upto8(data, i, min(8, end - i))
        characters -= popcount(x >> u64(7) & ~(x >> u64(6)) & EACH)  # continuation bytes
    return characters


@inner
def measure(data: Any, words: Words, begin: Any, end: Any, first: Any, last: Any, known: Any) -> Any:
    """Code points of a line, and of it without outer white space, which may be `known` (else negative)."""
    if first == last:
        return count_characters(data, begin, end), 0
    inner_begin, inner_end = np.int64(words.span[u64(first), 0]), np.int64(words.span[u64(last - 1), 1])
    if known < 0:
        known = count_characters(data, inner_begin, inner_end)
    outer = count_characters(data, begin, inner_begin) + count_characters(data, inner_end, end)
    return known + outer, known


@kernel(allocates=False)
def fill(lexed: Lexed, found: Landmarks, counts: Any, span: Any, word: Any, characters: Any, stripped: Any) -> None:
    """Fill everything but the splits: the lexer's lines, cut where they have more line breaks."""
    data, lines, words = lexed.data, lexed.lines, lexed.words
    n = u64(0)
    for d in range(len(counts)):
        before, p = n, u64(found.splits[d])
        stop = np.int64(lexed.offsets[d + 1])
        for k in range(u64(lexed.line_splits[d]), u64(lexed.line_splits[d + 1])):
            begin, end = np.int64(lines.span[k, 0]), np.int64(lines.span[k, 1])
            w, last_word, is_fed = lines.words[k], lines.words[k + ONE], end < stop
            known = np.int64(lines.characters[k])
            while p < u64(found.splits[d + 1]) and found.position[p] < end:
                if found.kind[p] == BREAK:
                    at, known = np.int64(found.position[p]), np.int64(-1)
                    first = w
                    while w < last_word and words.span[u64(w), 0] < at:
                        w += 1
                    span[n, 0], span[n, 1], word[n, 0], word[n, 1] = begin, at, first, w
                    characters[n], stripped[n] = measure(data, words, begin, at, first, w, known)
                    n += ONE
                    lead = load8(data, at)
                    begin = at + 1 + (lead >= 0x80) + (lead >= 0xE0)
                p += ONE
            if begin == end and not is_fed:
                continue
            if is_fed and end > begin and load8(data, end - 1) == CARRIAGE_RETURN:
                end -= 1
            span[n, 0], span[n, 1], word[n, 0], word[n, 1] = begin, end, w, last_word
            characters[n], stripped[n] = measure(data, words, begin, end, w, last_word, known)
            n += ONE
        counts[d] = np.int64(n - before)


@inner
def is_stripped(lexed: Lexed, k: Any) -> Any:
    """Whether line k of the lexer is not blank and has no outer white space: as it is, it is as the lexer knows it."""
    first, last = lexed.lines.words[k], lexed.lines.words[k + ONE] - 1
    if last < first or lexed.lines.span[k, 0] != lexed.words.span[u64(first), 0]:
        return False
    return lexed.lines.span[k, 1] == lexed.words.span[u64(last), 1]


@inner
def count_line(lexed: Lexed, k: Any) -> Any:
    """Code points of the lexer's line k as it is: the lexer knows those between outer white space."""
    begin, end = np.int64(lexed.lines.span[k, 0]), np.int64(lexed.lines.span[k, 1])
    words, span = lexed.lines.words, lexed.words.span
    if words[k] == words[k + ONE]:
        return count_characters(lexed.data, begin, end)
    first, last = np.int64(span[u64(words[k]), 0]), np.int64(span[u64(words[k + ONE] - 1), 1])
    outer = count_characters(lexed.data, begin, first) + count_characters(lexed.data, last, end)
    return lexed.lines.characters[k] + outer


@inner
def digest_line(lexed: Lexed, k: Any) -> Any:
    """The hash and the code points of the lexer's line k as it is."""
    lines = lexed.lines
    if is_stripped(lexed, k):
        return lines.hash[k], np.int64(lines.characters[k])
    hashed, characters = digest(lexed.data, np.int64(lines.span[k, 0]), np.int64(lines.span[k, 1]))
    return hashed, np.int64(characters)


def longest_line(lines: SplitLines) -> np.ndarray:
    """Code points of each document's longest line (int64, 0 without lines)."""
    return longest(lines.characters, lines.splits)


def longest(lengths: np.ndarray, splits: np.ndarray) -> np.ndarray:
    """The largest of each document's lengths (int64, 0 without any).

    >>> longest(np.array([3, 5, 2]), np.array([0, 2, 2, 3])).tolist()
    [5, 0, 2]
    """
    most = np.zeros(len(splits) - 1, np.int64)
    full = np.flatnonzero(np.diff(splits))
    if len(full):
        most[full] = np.maximum.reduceat(lengths, splits[:-1][full])
    return most


def sums(lengths: np.ndarray, splits: np.ndarray) -> np.ndarray:
    """The sum of each document's lengths (int64, 0 without any).

    >>> sums(np.array([3, 5, 2], np.int32), np.array([0, 2, 2, 3])).tolist()
    [8, 0, 2]
    """
    found = np.empty(len(splits) - 1, np.int64)
    add(read_only(lengths), read_only(splits), found)
    return found


@kernel(allocates=False)
def add(lengths: Any, splits: Any, found: Any) -> None:
    """Fill the sums."""
    for d in range(len(found)):
        total = np.int64(0)
        for i in range(u64(splits[d]), u64(splits[d + 1])):
            total += lengths[i]
        found[d] = total


def upper_letters(lexed: Lexed) -> np.ndarray:
    """Upper-case letters of each of the lexer's lines (int32); kept per thread with the lexed text.

    >>> from curate.kernels.lexer import lex
    >>> import pyarrow as pa
    >>> upper_letters(lex(pa.array(["One TWO\\nÉté"]))).tolist()
    [4, 1]
    """
    return shared(lexed, "upper", lambda: _upper_letters(lexed))


def _upper_letters(lexed: Lexed) -> np.ndarray:
    counts = np.empty(len(lexed.lines.span), np.int32)
    fill_upper(lexed, traits(), counts)
    return read_only(counts)


@inner
def count_capitals(data: Any, begin: Any, end: Any) -> Any:
    """How many of A-Z there are in data[begin:end]."""
    count, i = 0, begin
    while i < end and i + BLOCK <= len(data):
        capitals, _, _, _, _ = case_masks(data, i)
        count += popcount(capitals & (ALL if end - i >= BLOCK else below(end - i)))
        i += BLOCK
    for k in range(i, end):
        count += 0x41 <= load8(data, k) <= 0x5A
    return count


@inner
def count_wide_upper(data: Any, begin: Any, end: Any, traits: Traits) -> Any:
    """How many upper-case letters there are that are not ASCII."""
    count, i = 0, begin
    while i < end:
        point, i = decode(data, i, end)
        count += point >= 0x80 and kind_of(traits, point) & UPPER != 0
    return count


@kernel(allocates=False)
def fill_upper(lexed: Lexed, traits: Traits, counts: Any) -> None:
    """Fill the counts: few words have any that is not ASCII."""
    data, words, lines = lexed.data, lexed.words, lexed.lines
    for k in range(u64(len(counts))):
        count = count_capitals(data, np.int64(lines.span[k, 0]), np.int64(lines.span[k, 1]))
        for w in range(u64(lines.words[k]), u64(lines.words[k + ONE])):
            if words.flags[w] & (UPPER | WIDE) == UPPER | WIDE:
                count += count_wide_upper(data, np.int64(words.span[w, 0]), np.int64(words.span[w, 1]), traits)
        counts[k] = count
