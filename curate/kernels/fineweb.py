"""The quantities of FineWeb's own filter (Penedo et al. 2024): lines that are not blank, as they are, not stripped."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from curate.kernels.bits import ONE, load8, u64
from curate.kernels.folding import digest
from curate.kernels.jit import inner, kernel
from curate.kernels.lexer import Lexed
from curate.kernels.lines import SplitLines, digest_line, is_stripped, split_lines
from curate.kernels.ngrams import Numbering, empty, number, numbering_for
from curate.kernels.segment import Segments
from curate.kernels.text import buffers, decode, previous, read_only
from curate.kernels.traits import TERMINAL, Traits, kind_of, traits
from curate.kernels.word_forms import HAS_ALPHA, HAS_CONTENT

PLACES = 4096  # of a table that spares most words being looked up
COUNTS = ("lines", "marked", "short", "duplicate_chars", "newlines")


def fineweb(lexed: Lexed, marks: str = "", short: int = 30) -> dict[str, np.ndarray]:
    """Counts of each document (int64): lines that are not blank, those of them that end in a mark (of `marks`, or any
    script if that is empty) and those of at most `short` code points; code points of lines seen before; line feeds.

    >>> from curate.kernels.lexer import lex
    >>> counts = fineweb(lex(pa.array(["Home\\nIt rains.\\nHome\\n"])))
    >>> {name: values.tolist() for name, values in counts.items()}
    {'lines': [3], 'marked': [1], 'short': [3], 'duplicate_chars': [4], 'newlines': [3]}
    """
    counts = np.zeros((len(COUNTS), len(lexed.offsets) - 1), np.int64)
    most = int(np.diff(lexed.line_splits).max(initial=0))
    measure(lexed, np.array([*map(ord, marks)], np.int32), short, traits(), numbering_for(most), counts)
    return dict(zip(COUNTS, counts, strict=True))


@inner
def is_mark(point: Any, marks: Any, traits: Traits) -> Any:
    """Whether a line may end in this code point."""
    if len(marks) == 0:
        return kind_of(traits, point) & TERMINAL != 0
    found = False
    for k in range(len(marks)):
        found |= point == marks[k]
    return found


@inner
def last_character(lexed: Lexed, k: Any) -> Any:
    """The last code point of line k as it is."""
    if is_stripped(lexed, k):
        return np.int64(lexed.lines.last[k])
    begin, end = np.int64(lexed.lines.span[k, 0]), np.int64(lexed.lines.span[k, 1])
    return np.int64(decode(lexed.data, previous(lexed.data, begin, end), end)[0])


@kernel(allocates=False)
def measure(lexed: Lexed, marks: Any, short: Any, traits: Traits, seen: Numbering, counts: Any) -> None:
    """Add to the counts, from zero."""
    for d in range(len(lexed.offsets) - 1):
        first, last = lexed.line_splits[d], lexed.line_splits[d + 1]
        mask = empty(seen, last - first)
        distinct = 0
        for k in range(u64(first), u64(last)):
            if lexed.lines.words[k] == lexed.lines.words[k + ONE]:
                continue
            hashed, characters = digest_line(lexed, k)
            counts[0, d] += 1
            counts[1, d] += is_mark(last_character(lexed, k), marks, traits)
            counts[2, d] += characters <= short
            if number(seen, mask, hashed, distinct) == distinct:
                distinct += 1
            else:
                counts[3, d] += characters
        begin, end = np.int64(lexed.offsets[d]), np.int64(lexed.offsets[d + 1])
        counts[4, d] = last - first - (end > begin and load8(lexed.data, end - 1) != 0x0A)


# ---------------------------------------------------------------- datatrove's Gopher filters


def gopher_words(words: Segments, stop_words: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Per document: `words` that are not symbols alone, their `characters`, words with a letter, `stops` met."""
    documents = len(words.splits) - 1
    counts = np.zeros((4, documents), np.int64)
    hashes, perhaps = hashed(stop_words)
    measure_words(words, perhaps, hashes, np.empty(len(hashes), np.int64), counts)
    return dict(zip(("words", "characters", "alpha", "stops"), counts, strict=True))


@lru_cache(maxsize=8)
def hashed(stop_words: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The hashes of a list in order (uint64), and where in a table they are (bool[PLACES])."""
    data, offsets = buffers(pa.array([*stop_words], pa.string()))
    hashes = np.sort(np.array([digest_of(data, offsets, d) for d in range(len(stop_words))], np.uint64))
    perhaps = np.zeros(PLACES, np.bool_)
    perhaps[hashes % PLACES] = True
    return read_only(hashes), read_only(perhaps)


@kernel(allocates=False)
def digest_of(data: Any, offsets: Any, d: Any) -> Any:
    """The hash of a whole document."""
    return digest(data, np.int64(offsets[d]), np.int64(offsets[d + 1]))[0]


@inner
def search(stops: Any, key: Any) -> Any:
    """Where a key is among the sorted ones, or would be."""
    low, high = 0, len(stops)
    while low < high:
        middle = (low + high) >> 1
        if stops[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low


@kernel(allocates=False)
def measure_words(words: Segments, perhaps: Any, stops: Any, met: Any, counts: Any) -> None:
    """Fill the counts; `stops` are hashes in order, `perhaps` where in a table they are, `met` is scratch."""
    met[:] = -1
    for d in range(len(words.splits) - 1):
        full, characters, alpha, found = 0, 0, 0, 0
        for w in range(u64(words.splits[d]), u64(words.splits[d + 1])):
            has_content = words.flags[w] & HAS_CONTENT != 0
            full += has_content
            characters += words.characters[w] * has_content
            alpha += words.flags[w] & HAS_ALPHA != 0
            key = words.hash[w]
            if perhaps[key & u64(PLACES - 1)]:
                at = search(stops, key)
                if at < len(stops) and stops[at] == key and met[at] != d:
                    met[at] = d
                    found += 1
        counts[0, d], counts[1, d], counts[2, d], counts[3, d] = full, characters, alpha, found


def gopher_lines(lexed: Lexed) -> dict[str, np.ndarray]:
    """Per document: `lines` of `splitlines`, `bullets`, `ellipses` among them; `pieces` between runs of line feeds, and
    whether an empty one is there `twice`, before the text and after it."""
    lines, documents = split_lines(lexed), len(lexed.offsets) - 1
    counts = np.zeros((5, documents), np.int64)
    measure_lines(lexed, lines, counts)
    return dict(zip(("lines", "bullets", "ellipses", "pieces", "twice"), counts, strict=True))


@kernel(allocates=False)
def measure_lines(lexed: Lexed, lines: SplitLines, counts: Any) -> None:
    """Add to the counts, from zero."""
    data, words = lexed.data, lexed.words
    for d in range(len(lexed.offsets) - 1):
        for k in range(u64(lines.splits[d]), u64(lines.splits[d + 1])):
            counts[0, d] += 1
            first, last = lines.words[k, 0], lines.words[k, 1]
            if first == last:
                continue
            begin, end = np.int64(words.span[u64(first), 0]), np.int64(words.span[u64(last - 1), 1])
            mark, _ = decode(data, begin, end)
            counts[1, d] += mark == 0x2D or mark == 0x2022
            dots = end - begin >= 3 and load8(data, end - 1) == load8(data, end - 2) == load8(data, end - 3) == 0x2E
            counts[2, d] += dots or decode(data, previous(data, begin, end), end)[0] == 0x2026
        begin, end = np.int64(lexed.offsets[d]), np.int64(lexed.offsets[d + 1])
        for k in range(u64(lexed.line_splits[d]), u64(lexed.line_splits[d + 1])):
            counts[3, d] += lexed.lines.span[k, 1] > lexed.lines.span[k, 0]
        leads = begin == end or load8(data, begin) == 0x0A
        trails = (end > begin and load8(data, end - 1) == 0x0A and counts[3, d] > 0) or (
            begin < end and counts[3, d] == 0
        )
        counts[3, d] += leads
        counts[3, d] += trails
        counts[4, d] = leads and trails
