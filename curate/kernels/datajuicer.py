"""Data-Juicer's quantities of words and character n-grams (Chen et al. 2024).

Words are split at spaces, tabs and line feeds only, put in lower case (and canonically decomposed, so that two ways
to write é are one), and stripped of special characters on both sides; those of which nothing is left are dropped.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curate.kernels.bits import (
    EACH,
    HIGH,
    ONE,
    below,
    leading_zeros,
    load8,
    load32,
    popcount,
    trailing_zeros,
    u64,
    widen8,
)
from curate.kernels.folding import digest, fold_word, hash16, load_upto8, lower8, room, within
from curate.kernels.jit import inner, kernel
from curate.kernels.lexer import Lexed, lex_buffers
from curate.kernels.masks import BLOCK, SHORT, byte_masks, letters_of, word_masks
from curate.kernels.ngrams import (
    ZERO,
    Scratch,
    group,
    may_repeat,
    scratch_for,
)
from curate.kernels.segment import Segments, segment
from curate.kernels.sharing import shared
from curate.kernels.text import AT_ONCE, buffers, decode, previous, read_only, splits
from curate.kernels.traits import SPECIAL, Traits, kind_of, traits
from curate.kernels.unicode import ASCII_PUNCTUATION, NUMERIC, WIDE, Tables, tables

FACTORS = (u64(0x9E3779B97F4A7C15), u64(0xC2B2AE3D27D4EB4F), u64(0x165667B19E3779F9), u64(0xD6E8FEB86659FD93))
OWN_BYTES = np.array([0xFF] * 12 + [0xFFFF] * 2 + [0xFFFFFF, 0xFFFFFFFF], np.uint32)  # of four, by half of the first


class Refined(NamedTuple):
    """Refined words of document d: `splits[d]:splits[d + 1]`."""

    splits: np.ndarray  # int64[documents + 1]
    hash: np.ndarray  # uint64[words]


def refined(lexed: Lexed, rule: str = "") -> Refined:
    """The refined words of a batch, or those of a rule of `curate.kernels.segment`, refined likewise.

    >>> from curate.kernels.lexer import lex
    >>> words = refined(lex(pa.array(["“The” cat, the (2) and É!"])))
    >>> words.splits.tolist(), words.hash[0] == words.hash[2]
    ([0, 5], np.True_)
    """
    return shared(lexed, f"refined {rule}", lambda: _refined(lexed, rule))


def _refined(lexed: Lexed, rule: str) -> Refined:
    chosen = segment(lexed, rule) if rule else None  # type: ignore[arg-type]
    most = len(chosen.span) if chosen else int(lexed.offsets[-1] - lexed.offsets[0]) // 2 + len(lexed.offsets)
    hashes, counts = np.empty(most, np.uint64), np.empty(len(lexed.offsets) - 1, np.int64)
    folded = room(int(np.diff(lexed.offsets).max(initial=0)))
    if chosen:
        refine_chosen(lexed.data, chosen, traits(), tables(), folded, hashes, counts)
    else:
        refine(lexed, traits(), tables(), folded, hashes, counts)
    return Refined(read_only(splits(counts)), read_only(hashes[: int(counts.sum())]))


@inner
def strip_special(data: Any, begin: Any, end: Any, traits: Traits) -> Any:
    """Where data[begin:end] begins and ends without outer special characters, and if these were ASCII punctuation."""
    is_punctuation = True
    while begin < end:
        point, following = decode(data, begin, end)
        kind = kind_of(traits, point)
        if not kind & SPECIAL:
            break
        begin, is_punctuation = following, is_punctuation and kind & ASCII_PUNCTUATION != 0
    while end > begin:
        last = previous(data, begin, end)
        kind = kind_of(traits, decode(data, last, end)[0])
        if not kind & SPECIAL:
            break
        end, is_punctuation = last, is_punctuation and kind & ASCII_PUNCTUATION != 0
    return begin, end, is_punctuation


@inner
def has_punctuation(data: Any, begin: Any, end: Any) -> Any:
    """Whether there is ASCII punctuation."""
    if end - begin <= SHORT and begin + SHORT <= len(data):
        _, _, _, marked, _, _, _, _, _ = word_masks(data, begin, end - begin)
        return marked != ZERO
    found = ZERO
    for i in range(begin, end, 8):
        x = load_upto8(data, i, min(8, end - i))
        x &= ~(((x & HIGH) >> u64(7)) * u64(0xFF))  # what is not ASCII is taken for 0
        found |= within(x, 0x21, 0x7E) & ~(within(x | EACH << u64(5), 0x61, 0x7A) | within(x, 0x30, 0x39))
    return found != ZERO


@inner
def write_word(data: Any, begin: Any, end: Any, tables: Tables, out: Any, hashes: Any, n: Any) -> Any:
    """Write a stripped word, unless it is empty; returns how many there are then."""
    if begin == end:
        return n
    start = np.int64(0)
    hashes[n], _ = digest(out, start, fold_word(data, begin, end, tables, out, start))
    return n + ONE


@inner
def is_blank_byte(byte: Any) -> Any:
    """Whether it is a space, a tab or a line feed."""
    return (byte == 0x20) | (byte == 0x0A) | (byte == 0x09)


@inner
def is_blank(data: Any, begin: Any, end: Any) -> Any:
    """Whether there are only spaces, tabs and line feeds; mostly it is one of them."""
    if end - begin == 1:
        return is_blank_byte(load8(data, begin))
    found = True
    for i in range(begin, end):
        found &= is_blank_byte(load8(data, i))
    return found


@inner
def refine_short(data: Any, begin: Any, size: Any, hashes: Any, n: Any) -> Any:
    """Write a word of so many bytes, at most 16 and all ASCII, stripped, without a branch."""
    _, _, digit, other, _, _, _, _, _ = word_masks(data, begin, size)
    kept = below(size) & ~(digit | other)
    some = kept | u64(kept == ZERO)
    first = trailing_zeros(some)
    size = BLOCK - leading_zeros(some) - first
    _, _, _, _, _, low, high = letters_of(data, begin + first, size)
    hashes[n] = hash16(lower8(low), lower8(high), size)
    return n + u64(kept != ZERO)


@inner
def refine_word(lexed: Lexed, w: Any, traits: Traits, tables: Tables, out: Any, hashes: Any, n: Any) -> Any:
    """Write word w of the lexer, stripped. Mostly the lexer has dropped the same characters, so it knows the hash."""
    data, known = lexed.data, lexed.words
    begin, end = np.int64(known.span[w, 0]), np.int64(known.span[w, 1])
    if (known.normal_characters[w] != end - begin) | (known.flags[w] & (NUMERIC | WIDE) != 0):
        if not known.flags[w] & WIDE and end - begin <= SHORT and end + SHORT <= len(data):
            return refine_short(data, begin, end - begin, hashes, n)
        begin, end, is_punctuation = strip_special(data, begin, end, traits)
        if begin == end or not is_punctuation or has_punctuation(data, begin, end):
            return write_word(data, begin, end, tables, out, hashes, n)
    hashes[n] = known.hash[w]
    return n + ONE


@inner
def refine_piece(data: Any, begin: Any, end: Any, traits: Traits, tables: Tables, out: Any, hashes: Any, n: Any) -> Any:
    """Write the words between spaces, tabs and line feeds, stripped; returns how many there are then."""
    for i in range(begin, end + 1):
        byte = load8(data, i) if i < end else 0x20
        if is_blank_byte(byte):
            first, last, _ = strip_special(data, begin, i, traits)
            n = write_word(data, first, last, tables, out, hashes, n)
            begin = i + 1
    return n


@kernel(allocates=False)
def refine(lexed: Lexed, traits: Traits, tables: Tables, out: Any, hashes: Any, counts: Any) -> None:
    """Fill the hashes of the words, and how many each document has: the lexer's, if only blanks are around them."""
    data, span, n = lexed.data, lexed.words.span, ZERO
    for d in range(len(counts)):
        before, end = n, np.int64(lexed.offsets[d + 1])
        begin: Any = np.int64(lexed.offsets[d])  # of what is not written yet
        at: Any = begin
        last = u64(lexed.word_splits[d + 1])
        for w in range(u64(lexed.word_splits[d]), last + ONE):
            following = np.int64(span[w, 0]) if w < last else end
            if is_blank(data, at, following):
                if begin < at and begin == span[w - ONE, 0]:
                    n = refine_word(lexed, w - ONE, traits, tables, out, hashes, n)
                else:
                    n = refine_piece(data, begin, at, traits, tables, out, hashes, n)
                begin = following
            at = np.int64(span[w, 1]) if w < last else end
        if begin < end:
            n = refine_piece(data, begin, end, traits, tables, out, hashes, n)
        counts[d] = np.int64(n - before)


@kernel(allocates=False)
def refine_chosen(
    data: Any, chosen: Segments, traits: Traits, tables: Tables, out: Any, hashes: Any, counts: Any
) -> None:
    """Fill the same from words that were found by another rule."""
    n = ZERO
    for d in range(len(counts)):
        before = n
        for w in range(u64(chosen.splits[d]), u64(chosen.splits[d + 1])):
            begin, end, _ = strip_special(data, np.int64(chosen.span[w, 0]), np.int64(chosen.span[w, 1]), traits)
            n = write_word(data, begin, end, tables, out, hashes, n)
        counts[d] = n - before


@inner
def combine(parts: Any, width: Any, size: Any, count: Any, out: Any) -> None:
    """Hashes of so many runs of up to four parts; `width` and `size` are those of parts and runs, in items.

    The last parts may overlap. The arrays are two, so that the processor can do eight runs at a time.
    """
    second, third, last = min(width, size - width), min(2 * width, size - width), size - width
    for n in range(count):
        hashed = parts[u64(n)] * FACTORS[0] + parts[u64(n + second)] * FACTORS[1]
        hashed += parts[u64(n + third)] * FACTORS[2] + parts[u64(n + last)] * FACTORS[3]
        out[u64(n)] = hashed ^ hashed >> u64(32)


@inner
def hash_runs(items: Any, count: Any, size: Any, scratch: Scratch) -> None:
    """Hashes of the runs of so many of the items, into `key`: of four items, of sixteen and so on."""
    width, parts, out = min(np.int64(4), size), scratch.key, scratch.other
    reached = width
    while reached < size:  # so often they are made of others, and swap places
        reached, parts, out = 4 * reached, out, parts
    combine(items, np.int64(1), width, count - width + 1, parts)
    while width < size:
        wider = min(4 * width, size)
        combine(parts, width, wider, count - wider + 1, out)
        parts, out, width = out, parts, wider


def word_repetition(words: Refined, size: int) -> np.ndarray:
    """The share of the n-grams of words that occur twice or more (float64, 0..1, 0 if there is none)."""
    longest = int(np.diff(words.splits).max(initial=0))
    ratios = np.zeros(len(words.splits) - 1)
    repeat_words(words, size, scratch_for(longest), ratios)
    return ratios


@kernel(allocates=False)
def repeat_words(words: Refined, size: Any, scratch: Scratch, ratios: Any) -> None:
    """Fill the shares, which are zero."""
    for d in range(len(ratios)):
        first, last = words.splits[d], words.splits[d + 1]
        total = last - first - size + 1
        if total < 1:
            continue
        hash_runs(words.hash[first:last], last - first, size, scratch)
        met = may_repeat(total, False, scratch)
        group(scratch.key, met, scratch)
        repeated = np.int64(0)
        for n in range(u64(met)):
            repeated += scratch.uses[n] * (scratch.uses[n] > 1)
        ratios[d] = repeated / total


def listed(words: Refined, entries: tuple[str, ...]) -> np.ndarray:
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
    ratios = np.zeros(len(lexed.characters))
    repeat_characters(lexed.data, lexed.offsets, lexed.characters, size, scratch_for(most + AT_ONCE), ratios)
    return ratios


@inner
def list_characters(data: Any, begin: Any, end: Any, out: Any) -> None:
    """The bytes of each character as one number; what is no UTF-8 is passed over. Up to AT_ONCE more are written."""
    n, i = ZERO, begin
    while i < end and i + BLOCK + 4 <= len(data):
        _, _, _, _, tail, wide = byte_masks(data, i)
        if wide == ZERO and end - i >= BLOCK:
            for k in range(0, BLOCK, 8):
                widen8(data, i + k, out, np.int64(n) + k)
            n += u64(BLOCK)
        else:
            firsts = ~tail if end - i >= BLOCK else ~tail & below(end - i)
            count = u64(popcount(firsts))
            for k in range(ZERO, count, u64(AT_ONCE)):
                for j in range(u64(AT_ONCE)):
                    four = load32(data, i + trailing_zeros(firsts))
                    out[n + k + j] = four & u64(OWN_BYTES[four >> u64(4) & u64(15)])
                    firsts &= firsts - ONE
            n += count
        i += BLOCK
    while i < end:  # the end of the buffer
        four = load_upto8(data, i, min(np.int64(4), end - i))
        out[n] = four & u64(OWN_BYTES[four >> u64(4) & u64(15)])
        n += u64(four & u64(0xC0) != u64(0x80))
        i += 1


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
def repeat_characters(data: Any, offsets: Any, characters: Any, size: Any, scratch: Scratch, ratios: Any) -> None:
    """Fill the shares, which are zero."""
    uses = scratch.uses
    for d in range(len(ratios)):
        total = characters[d] - size + 1
        if total < 1:
            continue
        begin, end = np.int64(offsets[d]), np.int64(offsets[d + 1])
        list_characters(data, begin, end, scratch.rest)
        hash_runs(scratch.rest, characters[d], size, scratch)
        met = may_repeat(total, False, scratch)
        group(scratch.key, met, scratch)
        distinct, repeated = total - met, ZERO
        for n in range(u64(met)):  # those that repeat move to the front
            count = uses[n]
            uses[repeated] = count
            distinct += count > 0
            repeated += u64(count > 1)
        k = min(np.int64(np.sqrt(distinct)), np.int64(repeated))
        if k:
            ratios[d] = most_frequent(uses, np.int64(repeated), k) / total
