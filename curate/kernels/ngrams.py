"""Repeated n-grams of normalised words, counted exactly given their 64-bit hashes.

The id of an n-gram is that of the pair (id of its first n-1 words, id of its last word), and only positions where both
(n-1)-grams inside it repeat are looked at, because no other n-gram can repeat.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from curate.kernels.bits import ONE, u64
from curate.kernels.jit import inner
from curate.kernels.lexer import Lexed, Words

FACTOR = u64(0x9E3779B97F4A7C15)


class Numbering(NamedTuple):
    """An open-addressing hash table that gives keys dense numbers. A new stamp empties it at no cost."""

    slots: np.ndarray  # uint64[capacity, 2], key and stamp << 32 | number
    stamp: np.ndarray  # uint64[1]


class Scratch(NamedTuple):
    """Room for the longest document of a batch."""

    numbering: Numbering
    word: np.ndarray  # int32, number of each normalised word
    length: np.ndarray  # int32, its code points
    gram: np.ndarray  # int32, number of the n-gram that begins at a word
    at: np.ndarray  # int32, words at which a repeated n-gram begins
    uses: np.ndarray  # int32, occurrences by number


def scratch_for(lexed: Lexed) -> Scratch:
    """Room for any document of the batch, by its words or its lines."""
    longest = max(int(np.diff(splits).max(initial=0)) for splits in (lexed.word_splits, lexed.line_splits))
    capacity = 1 << max(2, (2 * longest - 1).bit_length())
    numbering = Numbering(np.zeros((capacity, 2), np.uint64), np.zeros(1, np.uint64))
    return Scratch(numbering, *(np.empty(longest + 1, np.int32) for _ in range(5)))


@inner
def empty(numbering: Numbering, size: Any) -> Any:
    """Empty the table for up to `size` keys; returns the mask of the slots to use, few so that they stay in cache."""
    numbering.stamp[0] += ONE
    capacity = 4
    while capacity < 2 * size:
        capacity *= 2
    return u64(capacity - 1)


@inner
def number(numbering: Numbering, mask: Any, key: Any, fresh: Any) -> Any:
    """The number of a key: `fresh` when it is new."""
    slots, stamp = numbering.slots, numbering.stamp[0]
    mixed = key * FACTOR
    i = (mixed ^ mixed >> u64(32)) & mask
    while slots[i, 1] >> u64(32) == stamp:
        if slots[i, 0] == key:
            return np.int64(slots[i, 1] & u64(0xFFFFFFFF))
        i = (i + ONE) & mask
    slots[i, 0], slots[i, 1] = key, stamp << u64(32) | u64(fresh)
    return np.int64(fresh)


@inner
def number_words(words: Words, first: Any, last: Any, scratch: Scratch) -> Any:
    """Number the normalised words in order of appearance; returns (how many, their code points, how many distinct).

    Until n-grams are looked for, `gram[k]` is where word number k appears first.
    """
    mask = empty(scratch.numbering, last - first)
    n, distinct = 0, 0
    characters: Any = 0
    for w in range(first, last):
        length = np.int64(words.normal_characters[w])
        if length == 0:
            continue
        k = number(scratch.numbering, mask, words.hash[w], distinct)
        if k == distinct:
            distinct += 1
            scratch.uses[k], scratch.gram[k] = 0, w
        scratch.uses[k] += 1
        scratch.word[n], scratch.length[n] = k, length
        characters += length
        n += 1
    return n, characters, distinct


@inner
def repeat_words(n: Any, scratch: Scratch) -> Any:
    """Of n numbered words, those that repeat, into `at`; returns how many."""
    kept = 0
    for i in range(n):
        scratch.gram[i] = scratch.word[i]
        if scratch.uses[scratch.word[i]] > 1:
            scratch.at[kept] = i
            kept += 1
    return kept


@inner
def repeat_grams(size: Any, candidates: Any, scratch: Scratch) -> Any:
    """From the words at which an (n-1)-gram that repeats begins, to those at which an n-gram that repeats does.

    Returns (how many, occurrences of the most frequent n-gram, where it first begins).
    """
    at, gram, uses = scratch.at, scratch.gram, scratch.uses
    mask = empty(scratch.numbering, candidates)
    live, distinct = 0, 0
    for j in range(candidates - 1):
        i = at[j]
        if at[j + 1] != i + 1:  # the (n-1)-gram that ends this n-gram occurs once
            continue
        key = u64(gram[i]) << u64(32) | u64(scratch.word[i + size - 1])
        k = number(scratch.numbering, mask, key, distinct)
        if k == distinct:
            distinct += 1
            uses[k] = 0
        uses[k] += 1
        gram[i] = k
        at[live] = i
        live += 1
    kept, most, first = 0, 1, 0
    for j in range(live):
        i = at[j]
        if uses[gram[i]] > 1:
            at[kept] = i
            kept += 1
            if uses[gram[i]] > most:
                most, first = uses[gram[i]], i
    return kept, most, first


@inner
def covered(size: Any, kept: Any, scratch: Scratch) -> Any:
    """Code points of the words in the n-grams that begin at `at[:kept]`, each word once."""
    characters: Any = 0
    done: Any = 0
    for j in range(kept):
        i = np.int64(scratch.at[j])
        for w in range(max(i, done), i + size):
            characters += scratch.length[w]
        done = i + size
    return characters


@inner
def width(first: Any, size: Any, scratch: Scratch) -> Any:
    """Code points of the words of the n-gram that begins at word `first`."""
    characters: Any = 0
    for w in range(first, first + size):
        characters += scratch.length[w]
    return characters
