"""Repeated n-grams of words, counted exactly given their 64-bit hashes.

An n-gram is known by the group of its first n-1 words and its last word, and only positions where both (n-1)-grams
inside it repeat are looked at, because no other n-gram can repeat. Equal keys are grouped without branches, which
nobody could foresee: the first key at a cell of a table owns it, those equal to it are its group, and the few others
that met it there go on to another table. Indexes are unsigned, so that none is asked whether it counts from the end.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from curate.kernels.bits import ONE, u64
from curate.kernels.jit import inner

FACTOR = u64(0x9E3779B97F4A7C15)
CELLS = 4  # of a table, at least, per key
ZERO = u64(0)


class Numbering(NamedTuple):
    """An open-addressing hash table that gives keys dense numbers. A new stamp empties it at no cost."""

    slots: np.ndarray  # uint64[capacity, 2], key and stamp << 32 | number
    stamp: np.ndarray  # uint64[1]


class Scratch(NamedTuple):
    """Room for the longest document of a batch."""

    seen: np.ndarray  # uint8, a bit for each time that a cell was met
    owner: np.ndarray  # uint32, one more than the index of the key that owns a cell; 0: free
    sums: np.ndarray  # int64, code points before each word
    key: np.ndarray  # uint64, of each n-gram that may repeat
    other: np.ndarray  # uint64, of which keys are made
    at: np.ndarray  # uint32, the word at which it begins
    gram: np.ndarray  # uint32, its group: the index of the first key that is equal
    uses: np.ndarray  # int32, occurrences, by group
    rest: np.ndarray  # uint32, indexes of keys that have no group yet


def numbering_for(items: int) -> Numbering:
    """A table for up to so many keys."""
    capacity = 1 << max(2, (2 * items - 1).bit_length())
    return Numbering(np.zeros((capacity, 2), np.uint64), np.zeros(1, np.uint64))


def scratch_for(items: int) -> Scratch:
    """Room for a document of so many words."""
    long, wide, narrow = np.uint64, np.int64, np.uint32
    cells = 1 << max(6, (CELLS * items).bit_length())
    rows = (np.empty(items + 2, kind) for kind in (wide, long, long, narrow, narrow, np.int32, narrow))
    return Scratch(np.empty(cells, np.uint8), np.empty(cells, narrow), *rows)


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


# ---------------------------------------------------------------- groups of equal keys


@inner
def cells_for(keys: Any) -> Any:
    """How many cells so many keys need."""
    cells = np.int64(64)
    while cells < CELLS * keys:
        cells *= 2
    return cells


@inner
def may_repeat(keys: Any, indexed: Any, scratch: Scratch) -> Any:
    """Leave in `key` those of so many keys whose cell is met again, in `at` their indexes if asked; returns how many.

    It takes less time than to group them. The cell of a key is some of its bits.
    """
    seen, key, at = scratch.seen, scratch.key, scratch.at
    cells = cells_for(keys)
    low = u64(cells - 1)
    seen[:cells] = 0
    for j in range(u64(keys)):
        cell = key[j] & low
        seen[cell] = seen[cell] << np.uint8(1) | np.uint8(1)
    met = ZERO
    for j in range(u64(keys)):
        own = key[j]
        key[met] = own
        if indexed:
            at[met] = j
        met += u64(seen[own & low] > 1)
    return np.int64(met)


@inner
def free_cells(owner: Any, keys: Any) -> Any:
    """Free as many cells as so many keys need; returns by how much to shift a hash to get a cell."""
    cells, shift = 64, u64(58)
    while cells < CELLS * keys:
        cells *= 2
        shift -= ONE
    owner[:cells] = 0
    return shift


@inner
def claim(owner: Any, cell: Any, j: Any) -> Any:
    """The key that owns a cell, which is key j if nobody did."""
    known = u64(owner[cell])
    first = known - ONE + u64(known == ZERO) * (j + ONE)
    owner[cell] = first + ONE
    return first


@inner
def group(key: Any, keys: Any, scratch: Scratch) -> None:
    """Fill `gram[:keys]` and `uses[:keys]` (0 where no group begins) from `key[:keys]`, mostly that of the scratch."""
    owner, gram, uses, rest = scratch.owner, scratch.gram, scratch.uses, scratch.rest
    shift = free_cells(owner, keys)
    for j in range(u64(keys)):
        gram[j] = claim(owner, key[j] >> shift, j)
        uses[j] = 0
    missed = ZERO
    for j in range(u64(keys)):
        is_same = key[gram[j]] == key[j]
        uses[gram[j]] += is_same
        rest[missed] = j
        missed += u64(not is_same)
    group_rest(key, missed, scratch)


@inner
def group_rest(key: Any, left: Any, scratch: Scratch) -> None:
    """Group the keys `rest[:left]`, by other cells each time: whatever the keys, owners of cells have a group."""
    owner, gram, uses, rest = scratch.owner, scratch.gram, scratch.uses, scratch.rest
    factor = FACTOR
    while left:
        factor = factor * FACTOR + u64(2)
        shift, missed = free_cells(owner, np.int64(left)), ZERO
        for k in range(left):
            j = u64(rest[k])
            first = claim(owner, ((key[j] ^ key[j] >> u64(32)) * factor) >> shift, j)
            is_same = key[first] == key[j]
            gram[j] = first
            uses[first] += is_same
            rest[missed] = j
            missed += u64(not is_same)
        left = missed


# ---------------------------------------------------------------- n-grams


@inner
def sum_lengths(characters: Any, first: Any, last: Any, scratch: Scratch) -> Any:
    """Sum the lengths of the words; returns how many they are."""
    total, sums = np.int64(0), scratch.sums
    for n in range(u64(last - first)):
        sums[n] = total
        total += characters[u64(first) + n]
    sums[u64(last - first)] = total
    return last - first


@inner
def list_grams(name: Any, size: Any, candidates: Any, scratch: Scratch) -> Any:
    """Keys of the n-grams that may repeat, and where they begin; returns how many they are."""
    at, gram, key = scratch.at, scratch.gram, scratch.key
    if size == 2:
        for j in range(candidates - 1):
            i = u64(j)
            key[i] = name[i] * FACTOR + name[i + ONE]
        return may_repeat(max(candidates - 1, 0), True, scratch)
    met = ZERO
    for j in range(candidates - 1):
        i, following = u64(at[u64(j)]), u64(at[u64(j + 1)])
        key[met] = u64(gram[u64(j)]) * FACTOR + name[following + u64(size - 2)]
        at[met] = i
        met += u64(following == i + ONE)  # else the (n-1)-gram that ends this n-gram occurs once
    return np.int64(met)


@inner
def keep_repeated(items: Any, scratch: Scratch) -> Any:
    """Leave in `at` and `gram` what repeats; see `repeat_grams`."""
    at, gram, uses = scratch.at, scratch.gram, scratch.uses
    kept, most, first = ZERO, np.int64(1), np.int64(0)
    for j in range(u64(items)):
        own, i = gram[j], at[j]
        count = np.int64(uses[own])
        at[kept], gram[kept] = i, own
        kept += u64(count > 1)
        if count > most:
            most, first = count, np.int64(i)
    return np.int64(kept), most, first


@inner
def repeat_grams(name: Any, size: Any, candidates: Any, scratch: Scratch) -> Any:
    """From the words at which an (n-1)-gram that repeats begins, to those at which an n-gram that repeats does.

    Returns (how many, occurrences of the most frequent n-gram, where it first begins). A word is known by its `name`, a
    hash. The candidates of 2-grams are all words.
    """
    items = list_grams(name, size, candidates, scratch)
    group(scratch.key, items, scratch)
    return keep_repeated(items, scratch)


@inner
def covered(size: Any, kept: Any, scratch: Scratch) -> Any:
    """Code points of the words in the n-grams that begin at `at[:kept]`, each word once."""
    sums, at = scratch.sums, scratch.at
    characters: Any = np.int64(0)
    done = ZERO
    for j in range(u64(kept)):
        i = u64(at[j])
        characters += sums[i + u64(size)] - sums[max(i, done)]
        done = i + u64(size)
    return characters


@inner
def width(first: Any, size: Any, scratch: Scratch) -> Any:
    """Code points of the words of the n-gram that begins at word `first`."""
    return scratch.sums[u64(first + size)] - scratch.sums[u64(first)]
