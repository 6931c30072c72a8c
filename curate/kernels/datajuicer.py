"""Data-Juicer's quantities of words and character n-grams (Chen et al. 2024).

Words are split at spaces, tabs and line feeds only, put in lower case (and canonically decomposed, so that two ways
to write é are one), and stripped of special characters on both sides; those of which nothing is left are dropped.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from curate.kernels.bits import load8, load64, u64
from curate.kernels.folding import HIGH, digest, fold_word, room
from curate.kernels.jit import inner, kernel
from curate.kernels.lexer import Lexed, lex_buffers
from curate.kernels.ngrams import FACTOR, ZERO, Scratch, group, group_words, keep_repeated, repeat_grams, scratch_for
from curate.kernels.repetition import name_segments
from curate.kernels.segment import Segments, segment
from curate.kernels.sharing import shared
from curate.kernels.text import buffers, decode, previous, read_only, splits
from curate.kernels.traits import SPECIAL, Traits, kind_of, traits
from curate.kernels.unicode import Tables, tables

BASE = u64(0xD6E8FEB86659FD93)


def refined(lexed: Lexed, rule: str = "") -> Segments:
    """The refined words of a batch, or those of a rule of `curate.kernels.segment`, refined likewise.

    >>> from curate.kernels.lexer import lex
    >>> refined(lex(pa.array(["“The” cat, (2) and É!"]))).characters.tolist()
    [3, 3, 3, 2]
    """
    return shared(lexed, f"refined {rule}", lambda: _refined(lexed, rule))


def _refined(lexed: Lexed, rule: str) -> Segments:
    if rule:
        chosen = segment(lexed, rule)  # type: ignore[arg-type]
        span, counts = chosen.span.copy(), np.diff(chosen.splits)
    else:
        most = int(lexed.offsets[-1] - lexed.offsets[0]) // 2 + len(lexed.offsets)
        span, counts = np.empty((most, 2), np.int32), np.empty(len(lexed.offsets) - 1, np.int64)
        cut(lexed.data, lexed.offsets, span, counts)
    longest = int(np.diff(span[: int(counts.sum())], axis=1).max(initial=0))
    hashes, characters = np.empty(len(span), np.uint64), np.empty(len(span), np.int32)
    refine(lexed.data, span, counts, traits(), tables(), room(longest), hashes, characters)
    total = int(counts.sum())
    flags = np.zeros(total, np.uint8)
    return Segments(*map(read_only, (splits(counts), span[:total], characters[:total], hashes[:total], flags)))


@kernel(allocates=False)
def cut(data: Any, offsets: Any, span: Any, counts: Any) -> None:
    """Fill the spans between spaces, tabs and line feeds."""
    n = 0
    for d in range(len(counts)):
        before, end = n, np.int64(offsets[d + 1])
        begin: Any = np.int64(offsets[d])
        for i in range(begin, end + 1):
            byte = load8(data, i) if i < end else 0x20
            if byte == 0x20 or byte == 0x0A or byte == 0x09:
                if i > begin:
                    span[n, 0], span[n, 1] = begin, i
                    n += 1
                begin = i + 1
        counts[d] = n - before


@inner
def strip_special(data: Any, begin: Any, end: Any, traits: Traits) -> Any:
    """Where data[begin:end] begins and ends without outer special characters."""
    while begin < end:
        byte = load8(data, begin)
        if byte < 0x80 and not traits.ascii[byte] & SPECIAL:
            break
        point, following = decode(data, begin, end)
        if not kind_of(traits, point) & SPECIAL:
            break
        begin = following
    while end > begin:
        byte = load8(data, end - 1)
        if byte < 0x80 and not traits.ascii[byte] & SPECIAL:
            break
        last = previous(data, begin, end)
        if not kind_of(traits, decode(data, last, end)[0]) & SPECIAL:
            break
        end = last
    return begin, end


@kernel(allocates=False)
def refine(
    data: Any, span: Any, counts: Any, traits: Traits, tables: Tables, out: Any, hashes: Any, characters: Any
) -> None:
    """Strip the words, hash what is left, move the words together over those that are gone; corrects the counts."""
    n, at, start = 0, np.int64(0), np.int64(0)
    for d in range(len(counts)):
        before, stop = n, at + counts[d]
        for w in range(at, stop):
            begin, end = strip_special(data, np.int64(span[w, 0]), np.int64(span[w, 1]), traits)
            if begin == end:
                continue
            size = fold_word(data, begin, end, tables, out, start)
            hashes[n], characters[n] = digest(out, start, size)
            span[n, 0], span[n, 1] = begin, end
            n += 1
        at, counts[d] = stop, n - before


def word_repetition(words: Segments, size: int) -> np.ndarray:
    """The share of the n-grams of words that occur twice or more (float64, 0..1, 0 if there is none)."""
    longest = int(np.diff(words.splits).max(initial=0))
    ratios = np.zeros(len(words.splits) - 1)
    repeat_words(words, size, scratch_for(longest), ratios)
    return ratios


@kernel(allocates=False)
def repeat_words(words: Segments, size: Any, scratch: Scratch, ratios: Any) -> None:
    """Fill the shares, which are zero."""
    for d in range(len(ratios)):
        first, last = words.splits[d], words.splits[d + 1]
        if last - first < size:
            continue
        kept = name_segments(words, first, last, scratch)
        if size == 1:
            group_words(kept, scratch)
            kept, _, _ = keep_repeated(kept, scratch)
        for n in range(2, size + 1):
            if kept == 0:
                break
            kept, _, _ = repeat_grams(n, kept, scratch)
        ratios[d] = kept / (last - first - size + 1)


def listed(words: Segments, entries: tuple[str, ...]) -> np.ndarray:
    """The share of the words that are in a list of single words, itself in lower case (float64, 0 without words)."""
    wanted = refined(lex_buffers(*buffers(pa.array([*entries], pa.string())))).hash
    hits = np.isin(words.hash, wanted)
    counts = np.diff(np.concatenate([[0], np.cumsum(hits)])[words.splits])
    return counts / np.maximum(np.diff(words.splits), 1)


# ---------------------------------------------------------------- character n-grams


def character_repetition(lexed: Lexed, size: int) -> np.ndarray:
    """Occurrences of the most frequent n-grams of code points among all (float64, 0..1, 0 for a shorter document).

    Counted are those that repeat, at most as many as the square root of the number of different n-grams. Exact, given
    their 64-bit hashes.

    >>> from curate.kernels.lexer import lex
    >>> character_repetition(lex(pa.array(["abab", "abcd", "é"])), 2).round(3).tolist()
    [0.667, 0.0, 0.0]
    """
    most = int(lexed.characters.max(initial=0))
    ratios, begins = np.zeros(len(lexed.characters)), np.empty(most + 8, np.uint32)
    seen = np.empty(1 << max(6, (4 * most).bit_length()), np.uint8)
    repeat_characters(lexed.data, lexed.offsets, lexed.characters, size, begins, seen, scratch_for(most), ratios)
    return ratios


@inner
def table_size(items: Any) -> Any:
    """Slots for so many items: 4/3 of them or more."""
    capacity = np.int64(64)
    while 3 * capacity < 4 * items:
        capacity *= 2
    return capacity


@inner
def find_begins(data: Any, begin: Any, end: Any, begins: Any) -> None:
    """Where each character begins, and the end; eight at a time while all are ASCII."""
    n, i = ZERO, begin
    while i < end:
        if i + 8 <= end and load64(data, i) & HIGH == ZERO:
            for k in range(8):
                begins[n + u64(k)] = i + k
            n += u64(8)
            i += 8
        else:
            begins[n] = i
            n += u64(load8(data, i) & 0xC0 != 0x80)
            i += 1
    begins[n] = end


@inner
def hash_gram(data: Any, begin: Any, end: Any, size: Any) -> Any:
    """A hash of the bytes of an n-gram of so many characters. Of ASCII it is made of the first and last eight."""
    if end - begin == size and 8 <= size <= 16:
        hashed = load64(data, begin) * BASE + load64(data, end - 8) * FACTOR
        return hashed ^ hashed >> u64(32)
    return digest(data, begin, end)[0]


@inner
def find_repeated(total: Any, low: Any, seen: Any, scratch: Scratch) -> Any:
    """Leave in `key` those of so many that may repeat: whose cell of a small table is met again; returns how many."""
    key = scratch.key
    for n in range(u64(total)):
        cell = key[n] & low
        seen[cell] = seen[cell] << np.uint8(1) | np.uint8(1)
    met = ZERO
    for n in range(u64(total)):
        own = key[n]
        key[met] = own
        met += u64(seen[own & low] > 1)
    return np.int64(met)


@inner
def most_frequent(uses: Any, counts: Any, k: Any) -> Any:
    """The sum of the k largest of the first counts, by halving the range in which the k-th lies."""
    low: Any = np.int64(1)
    high: Any = np.int64(1)
    for i in range(u64(counts)):
        high = max(high, np.int64(uses[i]))
    while low < high:
        middle = (low + high + 1) // 2
        above = np.int64(0)
        for i in range(u64(counts)):
            above += uses[i] >= middle
        if above >= k:
            low = middle
        else:
            high = middle - 1
    total: Any = np.int64(0)
    above = np.int64(0)
    for i in range(u64(counts)):
        if uses[i] > low:
            total += uses[i]
            above += 1
    return total + (k - above) * low


@kernel(allocates=False)
def repeat_characters(
    data: Any, offsets: Any, characters: Any, size: Any, begins: Any, seen: Any, scratch: Scratch, ratios: Any
) -> None:
    """Fill the shares, which are zero."""
    uses = scratch.uses
    for d in range(len(ratios)):
        total = characters[d] - size + 1
        if total < 1:
            continue
        find_begins(data, np.int64(offsets[d]), np.int64(offsets[d + 1]), begins)
        for n in range(u64(total)):
            scratch.key[n] = hash_gram(data, np.int64(begins[n]), np.int64(begins[n + u64(size)]), size)
        capacity = table_size(2 * total)
        seen[:capacity] = 0
        met = find_repeated(total, u64(capacity - 1), seen, scratch)
        group(met, scratch)
        distinct, repeated = total - met, ZERO
        for n in range(u64(met)):  # those that repeat move to the front
            count = uses[n]
            uses[repeated] = count
            distinct += count > 0
            repeated += u64(count > 1)
        k = min(np.int64(np.sqrt(distinct)), np.int64(repeated))
        if k:
            ratios[d] = most_frequent(uses, np.int64(repeated), k) / total
