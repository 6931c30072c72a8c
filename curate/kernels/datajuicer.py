"""Data-Juicer's quantities of words and character n-grams (Chen et al. 2024).

Words are split at spaces, tabs and line feeds only, put in lower case (and canonically decomposed, so that two ways
to write é are one), and stripped of special characters on both sides; those of which nothing is left are dropped.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from curate.kernels.bits import load8, u64
from curate.kernels.folding import digest, fold_word, room
from curate.kernels.jit import inner, kernel
from curate.kernels.lexer import Lexed, lex_buffers
from curate.kernels.ngrams import FACTOR, Scratch, group_words, keep_repeated, repeat_grams, scratch_for
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
    ratios = np.zeros(len(lexed.characters))
    power = u64(pow(int(BASE), size, 1 << 64))
    capacity = 1 << max(6, (4 * most).bit_length())
    sums, seen = np.empty(most + 1, np.uint64), np.empty(capacity, np.uint8)
    keys, uses = np.empty(capacity, np.uint64), np.empty(capacity, np.int32)
    repeat_characters(lexed.data, lexed.offsets, lexed.characters, size, power, sums, seen, keys, uses, ratios)
    return ratios


@inner
def table_size(items: Any) -> Any:
    """Slots for so many items: 4/3 of them or more."""
    capacity = np.int64(64)
    while 3 * capacity < 4 * items:
        capacity *= 2
    return capacity


@inner
def sum_hashes(data: Any, begin: Any, end: Any, sums: Any) -> None:
    """Hashes of all beginnings of the text; that of an n-gram is a difference."""
    i, n, hashed = begin, 0, u64(0)
    sums[0] = hashed
    while i < end:
        point, i = decode(data, i, end)
        hashed = hashed * BASE + u64(point + 1) * FACTOR
        n += 1
        sums[n] = hashed


@inner
def count_gram(key: Any, mask: Any, keys: Any, uses: Any) -> Any:
    """Count an n-gram; returns whether it is new."""
    mixed = key * FACTOR
    i = (mixed ^ mixed >> u64(32)) & mask
    while uses[i]:
        if keys[i] == key:
            uses[i] += 1
            return False
        i = (i + u64(1)) & mask
    keys[i], uses[i] = key, 1
    return True


@inner
def most_frequent(uses: Any, counts: Any, k: Any) -> Any:
    """The sum of the k largest of the first counts, by halving the range in which the k-th lies."""
    low: Any = np.int64(1)
    high: Any = np.int64(1)
    for i in range(counts):
        high = max(high, np.int64(uses[i]))
    while low < high:
        middle = (low + high + 1) // 2
        above = np.int64(0)
        for i in range(counts):
            above += uses[i] >= middle
        if above >= k:
            low = middle
        else:
            high = middle - 1
    total: Any = np.int64(0)
    above = np.int64(0)
    for i in range(counts):
        if uses[i] > low:
            total += uses[i]
            above += 1
    return total + (k - above) * low


@kernel(allocates=False)
def repeat_characters(
    data: Any,
    offsets: Any,
    characters: Any,
    size: Any,
    power: Any,
    sums: Any,
    seen: Any,
    keys: Any,
    uses: Any,
    ratios: Any,
) -> None:
    """Fill the shares, which are zero. Only n-grams whose slot of a small table is met again are counted by key."""
    for d in range(len(ratios)):
        total = characters[d] - size + 1
        if total < 1:
            continue
        sum_hashes(data, np.int64(offsets[d]), np.int64(offsets[d + 1]), sums)
        capacity = table_size(2 * total)
        seen[:capacity] = 0
        low = u64(capacity - 1)
        for n in range(total):
            mixed = (sums[n + size] - sums[n] * power) * FACTOR
            slot = (mixed ^ mixed >> u64(32)) & low
            seen[slot] = seen[slot] << np.uint8(1) | np.uint8(1)
        met = 0  # n-grams that may repeat: over the sums that are read no more
        for n in range(total):
            key = sums[n + size] - sums[n] * power
            mixed = key * FACTOR
            sums[met] = key
            met += seen[(mixed ^ mixed >> u64(32)) & low] > 1
        capacity = table_size(met)
        uses[:capacity] = 0
        distinct = total - met
        for n in range(met):
            distinct += count_gram(sums[n], u64(capacity - 1), keys, uses)
        repeated = 0
        for slot in range(capacity):  # those that repeat move to the front
            count = uses[slot]
            uses[repeated] = count
            repeated += count > 1
        k = min(np.int64(np.sqrt(distinct)), repeated)
        if k:
            ratios[d] = most_frequent(uses, repeated, k) / total
