"""The n-grams of a corpus as a trie in order of its words, by sorting, within bounded memory.

An n-gram is known by the number of its first n-1 words and its last word, which is exact: two n-grams are never taken
for one. Numbers follow the order of the words, so the n-grams that begin with the same n-1 words, its children, lie
side by side, and a range of prefixes can be sorted without the others.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from curate.kernels.bits import u64
from curate.kernels.jit import kernel

BOS, EOS, SPECIALS = 1, 2, 3  # words <s> and </s>; <unk> is 0; others are from 3
NONE = 0xFFFFFFFF
DIGIT = 11  # bits that a pass of the sort looks at
SORTED = 24  # bytes that it takes to sort a position
SMALL = 1 << 24  # bytes below which an array is kept in memory


class Level(NamedTuple):
    """The n-grams of one order. Those that begin with n-gram p of the order below are `begin[p]:begin[p + 1]`."""

    word: np.ndarray  # uint32, the last word
    suffix: np.ndarray  # uint32, the number in the order below of the n-gram without its first word
    times: np.ndarray  # uint32, occurrences
    begin: np.ndarray  # int64, one more than there are n-grams of the order below


def array(size: int, kind: Any) -> np.ndarray:
    """An array of zeros: in a file that has no name and goes with the array, if it is large."""
    bytes = size * np.dtype(kind).itemsize
    if bytes < SMALL:
        return np.zeros(size, kind)
    with tempfile.TemporaryFile() as file:
        file.truncate(bytes)
        return np.memmap(file, kind, "r+", shape=(size,)).view(np.ndarray)


def count(tokens: np.ndarray, words: int, order: int, memory: int) -> list[Level]:
    """The n-grams of up to `order` words in a stream (uint32) of sentences, each with BOS before and EOS after it.

    >>> levels = count(np.array([1, 3, 4, 2, 1, 3, 2], np.uint32), 5, 2, 1 << 20)
    >>> [level.times.tolist() for level in levels]
    [[0, 2, 2, 2, 1], [2, 1, 1, 1]]
    """
    found = np.zeros(words, np.uint32)
    tally(tokens, found)
    levels = [Level(np.arange(words, dtype=np.uint32), np.zeros(words, np.uint32), found, np.array([0, words]))]
    before = tokens
    for n in range(2, order + 1):
        after = array(len(tokens) if n < order else 0, np.uint32)
        levels.append(grow(tokens, before, after, words, levels[-1].times, memory))
        before = after
    return levels


def grow(
    tokens: np.ndarray, before: np.ndarray, after: np.ndarray, words: int, counts: np.ndarray, memory: int
) -> Level:
    """The n-grams that are one word longer than those of `before`, the n-gram that ends at each token.

    `after` becomes the n-gram that ends at each token; `counts` is how often those of the order below occur.
    """
    begin = array(len(counts) + 1, np.int64)
    parts: list[list[np.ndarray]] = []
    total = 0
    if len(after):
        after[:] = NONE
    for low, high in ranges(counts, max(memory // SORTED, 1 << 16)):
        room = int(counts[low:high].sum(dtype=np.int64))
        key, at = sort(*gather(tokens, before, low, high, words, room), bits(high - low, words))
        size = int(distinct(key))
        part = [array(size, kind) for kind in (np.uint32, np.uint32, np.uint32)]
        number(key, at, before, low, words, total, *part, begin, after)
        parts.append(part)
        total += size
        del key, at
    np.cumsum(begin, out=begin)
    word, suffix, times = map(joined, zip(*parts, strict=True))
    return Level(word, suffix, times, begin)


def ranges(counts: np.ndarray, capacity: int) -> list[tuple[int, int]]:
    """Ranges of numbers whose counts add up to no more than the capacity, or that are of one number.

    >>> ranges(np.array([3, 1, 1, 9, 1]), 5)
    [(0, 3), (3, 4), (4, 5)]
    """
    ends, cuts = np.cumsum(counts, dtype=np.int64), [0]
    while cuts[-1] < len(counts):
        done = ends[cuts[-1] - 1] if cuts[-1] else 0
        cuts.append(max(int(np.searchsorted(ends, done + capacity, side="right")), cuts[-1] + 1))
    return [*itertools.pairwise(cuts)] or [(0, 0)]


def joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Arrays one after the other."""
    if len(parts) == 1:
        return parts[0]
    whole = array(sum(map(len, parts)), parts[0].dtype)
    at = 0
    for part in parts:
        whole[at : at + len(part)] = part
        at += len(part)
    return whole


def bits(prefixes: int, words: int) -> int:
    """Bits of the largest key."""
    return max(prefixes * words - 1, 1).bit_length()


def gather(
    tokens: np.ndarray, before: np.ndarray, low: int, high: int, words: int, room: int
) -> tuple[np.ndarray, np.ndarray]:
    """Keys of the n-grams whose prefix is in a range, and the tokens at which they end."""
    key, at = np.empty(room, np.uint64), np.empty(room, np.uint32)
    found = collect(tokens, before, low, high, words, key, at)
    return key[:found], at[:found]


def sort(key: np.ndarray, at: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Both in the order of the keys (radix sort, stable)."""
    other = np.empty_like(key), np.empty_like(at)
    for shift in range(0, bits, DIGIT):
        deal(key, at, shift, np.zeros(1 << DIGIT, np.int64), *other)
        (key, at), other = other, (key, at)
    return key, at


@kernel(allocates=False)
def tally(tokens: Any, counts: Any) -> None:
    """Add how often each number occurs: a token, or an n-gram of a lower order that others end with."""
    for token in tokens:
        counts[token] += 1


@kernel(allocates=False)
def collect(tokens: Any, before: Any, low: Any, high: Any, words: Any, key: Any, at: Any) -> Any:
    """Fill keys and positions; returns how many."""
    n = np.int64(0)
    for t in range(1, len(tokens)):
        prefix = np.int64(before[t - 1])
        if low <= prefix < high and tokens[t] != BOS:
            key[n] = u64(prefix - low) * u64(words) + u64(tokens[t])
            at[n] = t
            n += 1
    return n


@kernel(allocates=False)
def deal(key: Any, at: Any, shift: Any, starts: Any, to_key: Any, to_at: Any) -> None:
    """One pass of the sort: by the bits from `shift` on."""
    mask = u64((1 << DIGIT) - 1)
    for k in key:
        starts[k >> u64(shift) & mask] += 1
    total = np.int64(0)
    for d in range(len(starts)):
        size = starts[d]
        starts[d] = total
        total += size
    for i in range(len(key)):
        d = key[i] >> u64(shift) & mask
        to_key[starts[d]], to_at[starts[d]] = key[i], at[i]
        starts[d] += 1


@kernel(allocates=False)
def distinct(key: Any) -> Any:
    """How many different keys there are, in order."""
    n = np.int64(len(key) > 0)
    for i in range(1, len(key)):
        n += key[i] != key[i - 1]
    return n


@kernel(allocates=False)
def number(
    key: Any, at: Any, before: Any, low: Any, words: Any, first: Any, word: Any, suffix: Any, counts: Any, begin: Any,
    after: Any
) -> None:  # fmt: skip
    """Number the n-grams of sorted keys from `first` on; `begin[p + 1]` becomes how many children p has."""
    n = np.int64(-1)
    for i in range(len(key)):
        if i == 0 or key[i] != key[i - 1]:
            n += 1
            word[n] = key[i] % u64(words)
            suffix[n] = before[at[i]]
            begin[low + np.int64(key[i] // u64(words)) + 1] += 1
        counts[n] += 1
        if len(after):
            after[at[i]] = first + n
