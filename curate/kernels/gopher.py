"""The quality and repetition signals of the Gopher paper (Rae et al. 2021, arXiv 2112.11446, table A1).

Words are those of the lexer; n-grams are counted on normalised words (`curate.kernels.ngrams`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from curate.kernels.bits import u64
from curate.kernels.jit import inner, kernel
from curate.kernels.lexer import Lexed, Lines
from curate.kernels.ngrams import (
    FACTOR,
    Numbering,
    Scratch,
    covered,
    empty,
    number,
    numbering_for,
    repeat_grams,
    scratch_for,
    sum_lengths,
    width,
)
from curate.kernels.normal import NormalWords, normal_words
from curate.kernels.sharing import shared
from curate.kernels.text import read_only
from curate.kernels.word_counts import WordCounts, word_counts

# What begins a list item: the bullets of RedPajama-V2 and the hyphen.
BULLETS = "-\u2022\u2023\u25b6\u25c0\u25e6\u25a0\u25a1\u25aa\u25ab\u2013"
TOP, DUPLICATE = (2, 3, 4), (5, 6, 7, 8, 9, 10)  # lengths of the n-grams

COUNTS = ("word_count", "stop_word_count")
RATIOS = (
    "mean_word_length",
    "hash_word_ratio",
    "ellipsis_word_ratio",
    "alpha_word_ratio",
    "bullet_line_ratio",
    "ellipsis_line_ratio",
    "duplicate_line_ratio",
    "duplicate_line_char_ratio",
    "duplicate_paragraph_ratio",
    "duplicate_paragraph_char_ratio",
    *(f"top_{n}gram_char_ratio" for n in TOP),
    *(f"duplicate_{n}gram_char_ratio" for n in DUPLICATE),
)


def gopher(lexed: Lexed) -> dict[str, np.ndarray]:
    """The Gopher signals of each document; see `curate.operators.gopher` for what they are used for.

    `word_count` and `stop_word_count` (how many of eight English words occur, 0..8) are int32; all else is float64,
    0.0 for a document without words or lines and never NaN. `mean_word_length` is in code points; `hash_word_ratio`,
    `ellipsis_word_ratio` are occurrences per word; `alpha_word_ratio` the share of words with an alphabetic character.
    Line ratios are shares of the lines that are not blank; paragraphs are separated by blank lines; their duplicates
    are the second and later occurrences, in number and in code points. `top_*` is the share of the words' code points
    in the most frequent n-gram (0.0 unless it repeats), `duplicate_*` that in all n-grams that repeat, both in 0..1.

    >>> from curate.kernels.lexer import lex
    >>> signals = gopher(lex(pa.array(["the cat and the cat and the cat", ""])))
    >>> signals["word_count"].tolist(), signals["top_2gram_char_ratio"].tolist()
    ([8, 0], [0.75, 0.0])
    """
    documents = len(lexed.offsets) - 1
    ratios, counts = np.empty((len(RATIOS), documents)), np.empty((len(COUNTS), documents), np.int32)
    most = int(np.diff(lexed.line_splits).max(initial=0))
    measure(lexed, word_counts(lexed), repetition(lexed), numbering_for(most), counts, ratios)
    return {**dict(zip(COUNTS, counts, strict=True)), **dict(zip(RATIOS, ratios, strict=True))}


class Repetition(NamedTuple):
    """Normalised words of each document, and code points in n-grams of them."""

    words: np.ndarray  # int64[documents], words that are not empty
    characters: np.ndarray  # int64[documents], their code points
    grams: np.ndarray  # int64[TOP + DUPLICATE, documents], of these: in the n-grams


def repetition(lexed: Lexed) -> Repetition:
    """The n-grams of normalised words: the most frequent one, times its occurrences, if it repeats; and the words in
    any that repeats, each once. Kept per thread with the lexed text.

    >>> from curate.kernels.lexer import lex
    >>> repetition(lex(pa.array(["a b a b"]))).grams[:2, 0].tolist()
    [4, 0]
    """
    return shared(lexed, "repetition", lambda: _repetition(lexed))


def _repetition(lexed: Lexed) -> Repetition:
    words, documents = normal_words(lexed), len(lexed.offsets) - 1
    counts = np.diff(words.splits)
    grams = np.zeros((len(TOP) + len(DUPLICATE), documents), np.int64)
    found = Repetition(counts, np.empty(documents, np.int64), grams)
    measure_repetition(words, scratch_for(int(counts.max(initial=0))), found.characters, grams)
    return Repetition(*map(read_only, found))


@kernel(allocates=False)
def measure_repetition(words: NormalWords, scratch: Scratch, characters: Any, grams: Any) -> None:
    """Fill the characters, and the n-grams, which are zero."""
    for d in range(len(characters)):
        first, last = words.splits[d], words.splits[d + 1]
        kept, name = sum_lengths(words.characters, first, last, scratch), words.hash[first:last]
        characters[d] = scratch.sums[kept]
        for size in range(TOP[0], DUPLICATE[-1] + 1):
            kept, most, begin = repeat_grams(name, size, kept, scratch)
            if kept == 0:
                break
            is_top = size <= TOP[-1]
            found = width(begin, size, scratch) * most if is_top else covered(size, kept, scratch)
            grams[size - TOP[0], d] = found


@inner
def is_bullet(point: Any) -> Any:
    """Whether a code point is one of BULLETS."""
    if point < 0x2013:
        return point == 0x2D
    squares = point == 0x25A0 or point == 0x25A1 or point == 0x25AA or point == 0x25AB
    others = point == 0x2013 or point == 0x2022 or point == 0x2023
    return others or squares or point == 0x25B6 or point == 0x25C0 or point == 0x25E6


@inner
def measure_lines(lines: Lines, first: Any, last: Any, seen: Numbering, ratios: Any, d: Any) -> None:
    """Shares of bullets, ellipses and duplicates among the lines, into rows 4..7 of `ratios`."""
    mask = empty(seen, last - first)
    n, distinct, characters, duplicate_characters, bullets, ellipses = 0, 0, 0, 0, 0, 0
    for k in range(u64(first), u64(last)):
        if lines.characters[k] == 0:
            continue
        n += 1
        characters += lines.characters[k]
        bullets += is_bullet(lines.first[k])
        ellipses += lines.has_ellipsis[k]
        if number(seen, mask, lines.hash[k], distinct) == distinct:
            distinct += 1
        else:
            duplicate_characters += lines.characters[k]
    ratios[4, d] = bullets / max(n, 1)
    ratios[5, d] = ellipses / max(n, 1)
    ratios[6, d] = (n - distinct) / max(n, 1)
    ratios[7, d] = duplicate_characters / max(characters, 1)


@inner
def measure_paragraphs(lines: Lines, first: Any, last: Any, seen: Numbering, ratios: Any, d: Any) -> None:
    """Shares of duplicates among the paragraphs, into rows 8 and 9 of `ratios`. Two are equal if their lines are."""
    mask = empty(seen, last - first)
    n, distinct, characters, duplicate_characters = 0, 0, 0, 0
    key, length = u64(0), 0
    for k in range(u64(first), u64(last + 1)):
        if k < u64(last) and lines.characters[k] != 0:
            key = (key ^ lines.hash[k]) * FACTOR
            key ^= key >> u64(29)
            length += lines.characters[k]
        elif length:
            n += 1
            characters += length
            if number(seen, mask, key, distinct) == distinct:
                distinct += 1
            else:
                duplicate_characters += length
            key, length = u64(0), 0
    ratios[8, d] = (n - distinct) / max(n, 1)
    ratios[9, d] = duplicate_characters / max(characters, 1)


@kernel(allocates=False)
def measure(lexed: Lexed, words: WordCounts, repeats: Repetition, seen: Numbering, counts: Any, ratios: Any) -> None:
    """Fill counts[COUNTS, documents] and ratios[RATIOS, documents]."""
    lines = lexed.lines
    for d in range(len(lexed.offsets) - 1):
        total = lexed.word_splits[d + 1] - lexed.word_splits[d]
        ratios[0, d] = words.characters[d] / max(total, 1)
        ratios[1, d] = lexed.number_signs[d] / max(total, 1)
        ratios[2, d] = lexed.ellipses[d] / max(total, 1)
        ratios[3, d] = words.alpha[d] / max(total, 1)
        counts[0, d], counts[1, d] = total, words.stops[d]
        measure_lines(lines, lexed.line_splits[d], lexed.line_splits[d + 1], seen, ratios, d)
        measure_paragraphs(lines, lexed.line_splits[d], lexed.line_splits[d + 1], seen, ratios, d)
        for row in range(len(repeats.grams)):
            share = repeats.grams[row, d] / max(repeats.characters[d], 1)
            ratios[len(RATIOS) - len(repeats.grams) + row, d] = min(1.0, share)
