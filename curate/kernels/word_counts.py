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
    plain_stops: np.ndarray  # words that are stop words, whatever their case, and have no punctuation
    lower_stops: np.ndarray  # of these, those in lower case


def word_counts(lexed: Lexed) -> WordCounts:
    """The counts of a batch; kept per thread with the lexed text.

    >>> from curate.kernels.lexer import lex
    >>> counts = word_counts(lex(pa.array(["The #1 of the, the"])))
    >>> [int(count[0]) for count in counts]
    [14, 4, 2, 3, 2]
    """
    return shared(lexed, "word counts", lambda: _word_counts(lexed))


def _word_counts(lexed: Lexed) -> WordCounts:
    counts = WordCounts(*np.empty((len(WordCounts._fields), len(lexed.offsets) - 1), np.int64))
    count(lexed, stop_words(), counts)
    return WordCounts(*map(read_only, counts))


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
        characters, alpha, plain, lower, met = 0, 0, 0, 0, u64(0)
        for w in range(u64(lexed.word_splits[d]), u64(lexed.word_splits[d + 1])):
            bit, flags = stop_word_bit(words, w, stop_words), words.flags[w]
            is_plain = (bit != u64(0)) & is_unpunctuated(words, w)
            met |= bit
            characters += words.characters[w]
            alpha += flags & ALPHA != 0
            plain += is_plain
            lower += is_plain & (flags & UPPER == 0)
        counts.characters[d], counts.alpha[d], counts.stops[d] = characters, alpha, popcount(met)
        counts.plain_stops[d], counts.lower_stops[d] = plain, lower
