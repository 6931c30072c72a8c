"""What Dolma's taggers gopher_v1 and c4_v1 count: words by white space and lines, as they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from curate.kernels.bits import ONE, load8, trailing_zeros, u64
from curate.kernels.jit import inner, kernel
from curate.kernels.lexer import Lexed
from curate.kernels.masks import BLOCK, REACH
from curate.kernels.text import block_masks
from curate.kernels.word_counts import stop_counts, word_counts

COUNTS = ("words", "symbol_words", "alpha_words", "required_words", "lines", "bullets", "ellipses", "unmarked", "short")
SHORT = 256  # lengths that are counted one by one


def dolma(lexed: Lexed) -> dict[str, np.ndarray]:
    """Counts of each document (COUNTS, int64) and `median_word_length` (float64, 0 without words).

    >>> from curate.kernels.lexer import lex
    >>> import pyarrow as pa
    >>> found = dolma(lex(pa.array(["* the #1 of\\nall.\\n"])))
    >>> [found[name].tolist() for name in ("words", "required_words", "lines", "bullets", "median_word_length")]
    [[5], [2], [3], [1], [2.0]]
    """
    documents = len(lexed.offsets) - 1
    counts, median = np.zeros((len(COUNTS), documents), np.int64), np.empty(documents)
    measure(lexed, np.empty(REACH, np.uint8), np.zeros(SHORT, np.int64), counts, median)
    counts[0], counts[2] = np.diff(lexed.word_splits), word_counts(lexed).alpha
    counts[3] = stop_counts(lexed).lower
    return {**dict(zip(COUNTS, counts, strict=True)), "median_word_length": median}


@inner
def ranked(characters: Any, first: Any, last: Any, rank: Any, times: Any) -> Any:
    """The length that this many words are at most as long as: from the table of short ones, else by halving."""
    below: Any = np.int64(0)
    for length in range(len(times)):
        below += times[length]
        if below > rank:
            return length
    low: Any = len(times)
    high: Any = 0x7FFFFFFF
    while low < high:
        middle = (low + high) // 2
        below = 0
        for w in range(u64(first), u64(last)):
            below += characters[w] <= middle
        if below > rank:
            high = middle
        else:
            low = middle + 1
    return low


@inner
def median_length(characters: Any, first: Any, last: Any, times: Any) -> Any:
    """The median length of words first..last."""
    if first == last:
        return 0.0
    times[:] = 0
    for w in range(u64(first), u64(last)):
        if characters[w] < len(times):
            times[u64(characters[w])] += 1
    n = last - first
    low = ranked(characters, first, last, (n - 1) // 2, times)
    return (low + ranked(characters, first, last, n // 2, times)) / 2


@inner
def measure_lines(lexed: Lexed, d: Any, counts: Any) -> None:
    """Add the counts of lines."""
    data, lines = lexed.data, lexed.lines
    begun = np.int64(lexed.offsets[d])
    for k in range(u64(lexed.line_splits[d]), u64(lexed.line_splits[d + 1])):
        begin, end = np.int64(lines.span[k, 0]), np.int64(lines.span[k, 1])
        begun, size, last = end + 1, end - begin, lines.last[k]
        counts[4, d] += 1
        counts[5, d] += size > 0 and (load8(data, begin) == 0x2A or load8(data, begin) == 0x2D)
        if size >= 3 and load8(data, end - 3) == 0xE2:
            counts[6, d] += load8(data, end - 2) == 0x80 and load8(data, end - 1) == 0xA6
        counts[7, d] += not (last == 0x2E or last == 0x3F or last == 0x21 or last == 0x22)
        counts[8, d] += lines.words[k + ONE] - lines.words[k] < 3
    if begun == lexed.offsets[d + 1]:  # nothing, or nothing after a line feed: an empty line
        counts[4, d] += 1
        counts[7, d] += 1
        counts[8, d] += 1


@inner
def count_symbol_words(lexed: Lexed, d: Any, pad: Any) -> Any:
    """Words with a # or an …."""
    span, found = lexed.words.span, 0
    w, end = u64(lexed.word_splits[d]), np.int64(lexed.offsets[d + 1])
    counted = np.int64(lexed.offsets[d])  # what is before it
    for i in range(counted, end, BLOCK):
        _, _, _, sign, _, ellipsis, _ = block_masks(lexed.data, i, end, u64(0), pad)
        symbols = sign | ellipsis
        while symbols:
            at = i + trailing_zeros(symbols)
            symbols &= symbols - ONE
            if at >= counted:
                while span[w, 1] <= at:
                    w += ONE
                counted = np.int64(span[w, 1])
                found += 1
    return found


@kernel(allocates=False)
def measure(lexed: Lexed, pad: Any, times: Any, counts: Any, median: Any) -> None:
    """Add to the counts of symbols and lines, from zero, and fill the median."""
    for d in range(len(lexed.offsets) - 1):
        first, last = lexed.word_splits[d], lexed.word_splits[d + 1]
        if lexed.number_signs[d] + lexed.ellipses[d] > 0:
            counts[1, d] = count_symbol_words(lexed, d, pad)
        median[d] = median_length(lexed.words.characters, first, last, times)
        measure_lines(lexed, d, counts)
