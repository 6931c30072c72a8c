"""What several families count in the words of the lexer: letters, code points, stop words as each system has them."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curate.kernels.bits import popcount, u64
from curate.kernels.jit import inner, kernel
from curate.kernels.lexer import Lexed, Words, lex_buffers
from curate.kernels.sharing import shared
from curate.kernels.text import buffers, read_only
from curate.kernels.unicode import ALPHA, UPPER

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")


class WordCounts(NamedTuple):
    """Counts of the words of each document, int64[documents]."""

    characters: np.ndarray  # code points
    alpha: np.ndarray  # words with a letter
    stops: np.ndarray  # how many of STOP_WORDS occur, normalised (0..8)


class StopCounts(NamedTuple):
    """Counts of the words of each document that are stop words and have no punctuation, int64[documents]."""

    all: np.ndarray  # whatever their case
    lower: np.ndarray  # in lower case


def word_counts(lexed: Lexed) -> WordCounts:
    """The counts of a batch; kept per thread with the lexed text.

    >>> from curate.kernels.lexer import lex
    >>> counts = word_counts(lex(pa.array(["The #1 of the, the"])))
    >>> [int(count[0]) for count in counts]
    [14, 4, 2]
    """
    return shared(lexed, "word counts", lambda: _counted(lexed, count, WordCounts))


def stop_counts(lexed: Lexed) -> StopCounts:
    """The same of stop words.

    >>> from curate.kernels.lexer import lex
    >>> counts = stop_counts(lex(pa.array(["The #1 of the, the"])))
    >>> [int(count[0]) for count in counts]
    [3, 2]
    """
    return shared(lexed, "stop counts", lambda: _counted(lexed, count_stops, StopCounts))


def _counted(lexed: Lexed, fill: Any, kind: Any) -> Any:
    counts = kind(*np.empty((len(kind._fields), len(lexed.offsets) - 1), np.int64))
    fill(lexed, stop_words(), counts)
    return kind(*map(read_only, counts))


class StopWords(NamedTuple):
    """Hashes of the normalised stop words, each at a place of its own: some of its bits."""

    table: np.ndarray  # uint64[64], 0: free
    shift: np.uint64


@cache
def stop_words() -> StopWords:
    """The eight of Gopher."""
    hashes = lex_buffers(*buffers(pa.array(STOP_WORDS))).words.hash
    shift = next(shift for shift in range(58) if len({*(hashes >> u64(shift) & u64(63))}) == len(hashes))
    table = np.zeros(64, np.uint64)
    table[hashes >> u64(shift) & u64(63)] = hashes
    return StopWords(read_only(table), u64(shift))


@inner
def stop_word_bit(words: Words, w: Any, stop_words: StopWords) -> Any:
    """A bit of its own for each stop word; 0 if word w, normalised, is none."""
    place = words.hash[w] >> stop_words.shift & u64(63)
    is_one = (stop_words.table[place] == words.hash[w]) & (words.normal_characters[w] > 0)
    return u64(is_one) << place


@inner
def is_unpunctuated(words: Words, w: Any) -> Any:
    """Whether word w has no ASCII punctuation; for sure only if it is ASCII when normalised."""
    return words.normal_characters[w] == words.span[w, 1] - words.span[w, 0]


@kernel(allocates=False)
def count(lexed: Lexed, stop_words: StopWords, counts: WordCounts) -> None:
    """Fill the counts."""
    words = lexed.words
    for d in range(len(counts.alpha)):
        characters, alpha, met = 0, 0, u64(0)
        for w in range(u64(lexed.word_splits[d]), u64(lexed.word_splits[d + 1])):
            met |= stop_word_bit(words, w, stop_words)
            characters += words.characters[w]
            alpha += words.flags[w] & ALPHA != 0
        counts.characters[d], counts.alpha[d], counts.stops[d] = characters, alpha, popcount(met)


@kernel(allocates=False)
def count_stops(lexed: Lexed, stop_words: StopWords, counts: StopCounts) -> None:
    """Fill the counts."""
    words = lexed.words
    for d in range(len(counts.all)):
        plain, lower = 0, 0
        for w in range(u64(lexed.word_splits[d]), u64(lexed.word_splits[d + 1])):
            is_plain = (stop_word_bit(words, w, stop_words) != u64(0)) & is_unpunctuated(words, w)
            plain += is_plain
            lower += is_plain & (words.flags[w] & UPPER == 0)
        counts.all[d], counts.lower[d] = plain, lower
