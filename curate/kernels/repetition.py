"""Repeated n-grams, lines and paragraphs, as other systems than Gopher's paper count them.

FINEWEB (datatrove): shares of the text's code points; the most frequent n-gram, joined by spaces, times its
occurrences (even if that is once); of duplicates the later occurrences, not overlapping. DOLMA: shares of the words'
code points; the most frequent likewise; of duplicates all occurrences, overlaps and all, among all n-grams. DCLM:
shares of the words' code points; the longest of the most frequent n-grams, if it repeats; words in any n-gram that
repeats.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from curate.kernels.bits import ONE, u64
from curate.kernels.folding import digest
from curate.kernels.gopher import DUPLICATE, TOP
from curate.kernels.jit import inner, kernel
from curate.kernels.lexer import Lexed
from curate.kernels.lines import digest_line
from curate.kernels.ngrams import (
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
from curate.kernels.segment import Segments
from curate.kernels.sharing import shared
from curate.kernels.text import read_only, splits

FINEWEB, DOLMA, DCLM = range(3)
NAMES = (*(f"top_{n}gram_char_ratio" for n in TOP), *(f"duplicate_{n}gram_char_ratio" for n in DUPLICATE))


class Block(NamedTuple):
    """Pieces of text that may repeat: lines or paragraphs."""

    splits: np.ndarray  # int64[documents + 1]
    hash: np.ndarray  # uint64
    characters: np.ndarray  # int64, code points


def grams(words: Segments, characters: np.ndarray, convention: int) -> dict[str, np.ndarray]:
    """The shares of the most frequent and of duplicate n-grams (NAMES, float64), by one of the conventions above.

    >>> from curate.kernels.lexer import lex
    >>> from curate.kernels.segment import segment
    >>> import pyarrow as pa
    >>> lexed = lex(pa.array(["the cat and the cat"]))
    >>> words = segment(lexed, "whitespace")
    >>> [float(grams(words, lexed.characters, way)["top_2gram_char_ratio"][0].round(3)) for way in range(3)]
    [0.737, 0.8, 0.8]
    """
    longest = int(np.diff(words.splits).max(initial=0))
    ratios = np.zeros((len(NAMES), len(words.splits) - 1))
    measure_grams(words, characters, convention, scratch_for(longest), ratios)
    return dict(zip(NAMES, ratios, strict=True))


@inner
def longest_frequent(size: Any, kept: Any, most: Any, scratch: Scratch) -> Any:
    """Code points of the longest of the n-grams that occur most often."""
    length = np.int64(0)
    for j in range(u64(kept)):
        if scratch.uses[scratch.gram[j]] == most:
            length = max(length, width(scratch.at[j], size, scratch))
    return length


@inner
def later_occurrences(size: Any, kept: Any, scratch: Scratch) -> Any:
    """Code points of n-grams that were met before, passing over a whole one at a time; spoils the counts."""
    characters, following = np.int64(0), np.int64(0)
    for j in range(u64(kept)):
        i, gram = np.int64(scratch.at[j]), scratch.gram[j]
        if i < following:
            continue
        if scratch.uses[gram] < 0:
            characters += width(i, size, scratch)
            following = i + size
        else:
            scratch.uses[gram] = -1
    return characters


@inner
def all_occurrences(size: Any, kept: Any, scratch: Scratch) -> Any:
    """Code points of the n-grams that begin at `at[:kept]`, overlaps and all."""
    characters = np.int64(0)
    for j in range(u64(kept)):
        characters += width(scratch.at[j], size, scratch)
    return characters


@inner
def all_grams(size: Any, total: Any, scratch: Scratch) -> Any:
    """Code points of all n-grams of a document of so many words."""
    characters = np.int64(0)
    for i in range(u64(size)):  # what ends in the sum of the ends, less that of the begins: the rest cancels out
        characters += scratch.sums[u64(total) - i] - scratch.sums[i]
    return characters


@inner
def top_ratio(size: Any, kept: Any, most: Any, first: Any, way: Any, whole: Any, scratch: Scratch) -> Any:
    """The share of the most frequent n-gram."""
    if way == FINEWEB:
        return most * (width(first, size, scratch) + size - 1) / whole
    if way == DOLMA:
        return most * width(first, size, scratch) / whole
    return most * longest_frequent(size, kept, most, scratch) / whole if most > 1 else 0.0


@inner
def duplicate_ratio(size: Any, kept: Any, total: Any, way: Any, whole: Any, scratch: Scratch) -> Any:
    """The share of the n-grams that repeat."""
    if way == FINEWEB:
        return later_occurrences(size, kept, scratch) / whole
    if way == DCLM:
        return covered(size, kept, scratch) / whole
    return all_occurrences(size, kept, scratch) / max(all_grams(size, total, scratch), 1)


@kernel(allocates=False)
def measure_grams(words: Segments, characters: Any, way: Any, scratch: Scratch, ratios: Any) -> None:
    """Fill ratios[NAMES, documents], which are zero."""
    for d in range(len(words.splits) - 1):
        first, last = words.splits[d], words.splits[d + 1]
        total = last - first
        kept, name = sum_lengths(words.characters, first, last, scratch), words.hash[first:last]
        whole = max(scratch.sums[total], 1) if way != FINEWEB else max(characters[d], 1)
        for size in range(TOP[0], min(DUPLICATE[-1], total) + 1):
            if kept == 0 and size > TOP[-1]:
                break
            kept, most, at = repeat_grams(name, size, kept, scratch)
            if size <= TOP[-1]:
                ratios[size - TOP[0], d] = top_ratio(size, kept, most, at, way, whole, scratch)
            elif kept:
                ratios[size - TOP[0], d] = duplicate_ratio(size, kept, total, way, whole, scratch)


# ---------------------------------------------------------------- lines and paragraphs


def raw_lines(lexed: Lexed, blank: bool) -> Block:
    """Lines as they are; with those of no character at all, and one after a last line feed, if `blank`."""
    documents = len(lexed.offsets) - 1
    hashes = np.empty(len(lexed.lines.span) + documents, np.uint64)
    characters, counts = np.empty(len(hashes), np.int64), np.empty(documents, np.int64)
    fill_lines(lexed, blank, hashes, characters, counts)
    total = int(counts.sum())
    return Block(splits(counts), hashes[:total], characters[:total])


@kernel(allocates=False)
def fill_lines(lexed: Lexed, blank: Any, hashes: Any, characters: Any, counts: Any) -> None:
    """Fill a block of lines."""
    n = u64(0)
    for d in range(len(counts)):
        before, begun = n, np.int64(lexed.offsets[d])
        for k in range(u64(lexed.line_splits[d]), u64(lexed.line_splits[d + 1])):
            begin, end = np.int64(lexed.lines.span[k, 0]), np.int64(lexed.lines.span[k, 1])
            begun = end + 1
            if end > begin or blank:
                hashes[n], characters[n] = digest_line(lexed, k)
                n += ONE
        if begun == lexed.offsets[d + 1] and blank:  # nothing, or nothing after a line feed
            hashes[n], characters[n] = digest(lexed.data, begun, begun)
            n += ONE
        counts[d] = np.int64(n - before)


def paragraphs(lexed: Lexed, strip: bool) -> Block:
    """What lies between empty lines, without outer white space: of each if `strip`, else of the document. Kept per
    thread with the lexed text, both ways: mostly they are the same.
    """
    return shared(lexed, "paragraphs", lambda: _paragraphs(lexed))[strip]


def _paragraphs(lexed: Lexed) -> tuple[Block, Block]:
    documents, most = len(lexed.offsets) - 1, len(lexed.lines.span)
    plain, stripped = (
        Block(np.empty(documents, np.int64), np.empty(most, np.uint64), np.empty(most, np.int64)) for _ in range(2)
    )
    fill_paragraphs(lexed, plain, stripped)
    return _cut(plain), _cut(stripped)


def _cut(block: Block) -> Block:
    """The block that has been filled, of which `splits` are counts."""
    total = int(block.splits.sum())
    return Block(*map(read_only, (splits(block.splits), block.hash[:total], block.characters[:total])))


@inner
def write_piece(block: Block, n: Any, piece: Any) -> Any:
    """Write the hash and the code points of a piece; returns how many there are then."""
    block.hash[n], block.characters[n] = piece
    return n + ONE


@kernel(allocates=False)
def fill_paragraphs(lexed: Lexed, plain: Block, stripped: Block) -> None:
    """Fill the paragraphs without outer white space of the document, and without that of each; splits are counts."""
    data, lines, span = lexed.data, lexed.lines, lexed.words.span
    n, m = u64(0), u64(0)
    for d in range(len(plain.splits)):
        n_before, m_before, k, last = n, m, u64(lexed.line_splits[d]), u64(lexed.line_splits[d + 1])
        while k < last:
            first = k
            while k < last and lines.span[k, 1] > lines.span[k, 0]:
                k += ONE
            if k > first:
                begin, end = np.int64(lines.span[first, 0]), np.int64(lines.span[k - ONE, 1])
                from_word, to_word = lines.words[first], lines.words[k]
                is_first, is_last = from_word == lexed.word_splits[d], to_word == lexed.word_splits[d + 1]
                if from_word < to_word:
                    inner_begin, inner_end = np.int64(span[u64(from_word), 0]), np.int64(span[u64(to_word - 1), 1])
                    begin, end = inner_begin if is_first else begin, inner_end if is_last else end
                    if k == first + ONE:
                        piece = lines.hash[first], np.int64(lines.characters[first])
                    else:
                        piece = digest(data, inner_begin, inner_end)
                    m = write_piece(stripped, m, piece)
                    is_same = begin == inner_begin and end == inner_end
                    n = write_piece(plain, n, piece if is_same else digest(data, begin, end))
                elif not (is_first or is_last):
                    n = write_piece(plain, n, digest(data, begin, end))
            k += ONE
        plain.splits[d], stripped.splits[d] = np.int64(n - n_before), np.int64(m - m_before)


def duplicates(block: Block) -> np.ndarray:
    """Pieces and their code points, in all, seen before, and equal to any other: int64[6, documents].

    >>> from curate.kernels.lexer import lex
    >>> import pyarrow as pa
    >>> duplicates(raw_lines(lex(pa.array(["one\\ntwo\\none"])), blank=True))[:, 0].tolist()
    [3, 9, 1, 3, 2, 6]
    """
    most = int(np.diff(block.splits).max(initial=0))
    counts = np.zeros((6, len(block.splits) - 1), np.int64)
    measure_duplicates(Block(*map(read_only, block)), numbering_for(most), np.empty((most, 2), np.int64), counts)
    return counts


@kernel(allocates=False)
def measure_duplicates(block: Block, table: Numbering, uses: Any, counts: Any) -> None:
    """Add to the counts, from zero."""
    for d in range(len(block.splits) - 1):
        first, last = block.splits[d], block.splits[d + 1]
        mask, distinct = empty(table, last - first), 0
        characters, again, again_characters = np.int64(0), np.int64(0), np.int64(0)
        for k in range(u64(first), u64(last)):
            own = u64(number(table, mask, block.hash[k], distinct))
            if own == u64(distinct):
                distinct += 1
                uses[own, 0], uses[own, 1] = 0, block.characters[k]
            else:
                again += 1
                again_characters += block.characters[k]
            uses[own, 0] += 1
            characters += block.characters[k]
        counts[0, d], counts[1, d], counts[2, d], counts[3, d] = last - first, characters, again, again_characters
        for k in range(u64(distinct)):
            if uses[k, 0] > 1:
                counts[4, d] += uses[k, 0]
                counts[5, d] += uses[k, 0] * uses[k, 1]


def stripped_lines(lexed: Lexed) -> Block:
    """Lines without outer white space, blank ones left out; kept per thread with the lexed text."""
    return shared(lexed, "stripped lines", lambda: _stripped_lines(lexed))


def _stripped_lines(lexed: Lexed) -> Block:
    full = lexed.lines.characters > 0
    counts = np.concatenate([[0], np.cumsum(full)])
    return Block(counts[lexed.line_splits], lexed.lines.hash[full], lexed.lines.characters[full].astype(np.int64))
