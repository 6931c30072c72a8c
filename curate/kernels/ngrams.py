"""Repeated n-grams of normalised words, counted exactly given their 64-bit hashes.

An n-gram is known by the number of its first n-1 words and its last word, and only positions where both (n-1)-grams
inside it repeat are looked at, because no other n-gram can repeat. Most candidates still occur once: a first look, in a
small table without keys that cannot miss a repetition, leaves those out before any is looked up.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from curate.kernels.bits import ONE, u64
from curate.kernels.jit import inner
from curate.kernels.lexer import Lexed, Words

FACTOR = u64(0x9E3779B97F4A7C15)
SPARSE = 8  # cells of the first look per candidate


class Numbering(NamedTuple):
    """An open-addressing hash table that gives keys dense numbers. A new stamp empties it at no cost."""

    slots: np.ndarray  # uint64[capacity, 2], key and stamp << 32 | number
    stamp: np.ndarray  # uint64[1]


class Scratch(NamedTuple):
    """Room for the longest document of a batch."""

    numbering: Numbering
    seen: np.ndarray  # uint8, how many candidates met a cell, at most 2
    name: np.ndarray  # uint64, what stands for each word: its hash or its number
    length: np.ndarray  # int32, its code points
    gram: np.ndarray  # uint64, number of the n-gram that begins at a word
    key: np.ndarray  # uint64, of each candidate
    at: np.ndarray  # int32, words at which a repeated n-gram begins
    uses: np.ndarray  # int32, occurrences by number


def numbering_for(items: int) -> Numbering:
    """A table for up to so many keys."""
    capacity = 1 << max(2, (2 * items - 1).bit_length())
    return Numbering(np.zeros((capacity, 2), np.uint64), np.zeros(1, np.uint64))


def scratch_for(items: int) -> Scratch:
    """Room for a document of so many words or lines."""
    wide, narrow = np.uint64, np.int32
    seen = np.empty(1 << max(6, (SPARSE * items).bit_length()), np.uint8)
    rows = (np.empty(items + 1, kind) for kind in (wide, narrow, wide, wide, narrow, narrow))
    return Scratch(numbering_for(items), seen, *rows)


def longest(lexed: Lexed) -> int:
    """The words or the lines of the document that has most of them."""
    return max(int(np.diff(splits).max(initial=0)) for splits in (lexed.word_splits, lexed.line_splits))


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
def cells_for(seen: Any, candidates: Any) -> Any:
    """Clear as many cells as so many candidates need; returns by how much to shift a hash to get a cell."""
    cells, shift = 64, u64(58)
    while cells < SPARSE * candidates:
        cells *= 2
        shift -= ONE
    seen[:cells] = 0
    return shift


@inner
def cell(key: Any, shift: Any) -> Any:
    """The cell of a key."""
    return ((key ^ key >> u64(32)) * FACTOR) >> shift


@inner
def number_words(words: Words, first: Any, last: Any, scratch: Scratch) -> Any:
    """Number the normalised words in order of appearance; returns (how many, their code points, how many distinct)."""
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
            scratch.uses[k] = 0
        scratch.uses[k] += 1
        scratch.name[n], scratch.length[n] = k, length
        characters += length
        n += 1
    return n, characters, distinct


@inner
def repeat_words(n: Any, scratch: Scratch) -> Any:
    """Of n numbered words, those that repeat, into `at`; returns how many."""
    kept = 0
    for i in range(n):
        scratch.gram[i] = scratch.name[i]
        scratch.at[kept] = i  # no branch: which words repeat cannot be foreseen
        kept += scratch.uses[scratch.name[i]] > 1
    return kept


@inner
def perhaps_repeat(n: Any, scratch: Scratch) -> Any:
    """Of n words named by their hashes, those that may repeat (all that do), into `at`; returns how many."""
    seen, name = scratch.seen, scratch.name
    shift = cells_for(seen, n)
    for i in range(n):
        c = cell(name[i], shift)
        seen[c] += seen[c] < 2
    kept = 0
    for i in range(n):
        scratch.gram[i] = name[i]
        scratch.at[kept] = i
        kept += seen[cell(name[i], shift)] > 1
    return kept


@inner
def candidate_grams(size: Any, candidates: Any, scratch: Scratch) -> Any:
    """Keys of the n-grams that may repeat, into `key`, and where they begin, into `at`; returns how many."""
    at, gram, name, key, seen = scratch.at, scratch.gram, scratch.name, scratch.key, scratch.seen
    shift, end = cells_for(seen, candidates), len(name) - 1
    met = 0
    for j in range(candidates - 1):
        i = np.int64(at[j])
        is_next = at[j + 1] == i + 1  # else the (n-1)-gram that ends this n-gram occurs once
        key[met] = gram[i] * FACTOR + name[min(i + size - 1, end)]
        at[met] = i
        c = cell(key[met], shift)
        seen[c] += is_next & (seen[c] < 2)
        met += is_next
    live = 0
    for j in range(met):
        c = cell(key[j], shift)
        at[live], key[live] = at[j], key[j]
        live += seen[c] > 1
    return live


@inner
def count_keys(live: Any, scratch: Scratch) -> Any:
    """Look up `key[:live]` and leave in `at` where those begin that repeat; see `repeat_grams`."""
    at, gram, uses, distinct = scratch.at, scratch.gram, scratch.uses, 0
    mask = empty(scratch.numbering, live)
    for j in range(live):
        k = number(scratch.numbering, mask, scratch.key[j], distinct)
        if k == distinct:
            distinct += 1
            uses[k] = 0
        uses[k] += 1
        gram[at[j]] = k
    kept, most, first = 0, 1, 0
    for j in range(live):
        i = at[j]
        at[kept] = i
        count = uses[gram[i]]
        kept += count > 1
        if count > most:
            most, first = count, i
    return kept, most, first


@inner
def repeat_grams(size: Any, candidates: Any, scratch: Scratch) -> Any:
    """From the words at which an (n-1)-gram that repeats begins, to those at which an n-gram that repeats does.

    Returns (how many, occurrences of the most frequent n-gram, where it first begins). A word is a 1-gram that may
    be among the candidates without repeating.
    """
    return count_keys(candidate_grams(size, candidates, scratch), scratch)


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
