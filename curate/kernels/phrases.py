"""Lists of words and phrases by language, looked up by the hashes of words: one small hash table a language.

A phrase is a path: the key of its first n words is made of the key of n-1 words and the hash of the last, so phrases of
all lengths are found at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curate.kernels.bits import ONE, u64
from curate.kernels.folding import digest
from curate.kernels.jit import inner, kernel
from curate.kernels.lexer import lex_buffers
from curate.kernels.text import buffers

# Roles of a key: a phrase of the list is so written; is so when folded; a longer one begins with it.
ENDS, FOLDED_ENDS, GOES_ON = 1, 2, 4
FACTOR = 0x9E3779B97F4A7C15
SHIFT = 29
NO_LIST = -1


class Phrases(NamedTuple):
    """The table of language l is `slots[begin[l]:begin[l + 1]]`, a power of two in size; keys are open-addressed."""

    slots: np.ndarray  # uint64[..., 2], key and role; a free slot has role 0
    begin: np.ndarray  # int64[languages + 1]


def phrases(lists: Mapping[str, Sequence[str]]) -> Phrases:
    """The lists, in their order. Words of a phrase are what one space separates.

    Each phrase is in them as it is written, and folded: normalised as the lexer normalises words (ASCII punctuation
    dropped, lower case, NFD).

    >>> found = phrases({"en": ["new york", "York"]})
    >>> sorted(found.slots[:, 1].tolist())[-4:], found.begin.tolist()
    ([1, 2, 3, 4], [0, 32])
    """
    tables = [_table(_paths(entries), _folded_paths(entries)) for entries in lists.values()]
    begin = np.cumsum([0, *map(len, tables)]).astype(np.int64)
    return Phrases(np.concatenate([*tables, np.zeros((0, 2), np.uint64)]), begin)


def _paths(entries: Sequence[str]) -> list[list[int]]:
    """The hashes of the words of each entry."""
    return [hashes(entry.split(" ")).tolist() for entry in entries if entry]


def _folded_paths(entries: Sequence[str]) -> list[list[int]]:
    """The same of their folded forms; entries of which nothing is left are left out."""
    lexed = lex_buffers(*buffers(pa.array(entries, pa.string())))
    words, runs = lexed.words, pairwise(lexed.word_splits)
    paths = [[int(words.hash[w]) for w in range(a, b) if words.normal_characters[w]] for a, b in runs]
    return [path for path in paths if path]


def hashes(words: Sequence[str]) -> np.ndarray:
    """The lexer's hash of each word as it is (uint64)."""
    data, offsets = buffers(pa.array(words, pa.string()))
    found = np.empty(len(words), np.uint64)
    digest_all(data, offsets, found)
    return found


@kernel(allocates=False)
def digest_all(data: Any, offsets: Any, found: Any) -> None:
    """Fill the digest of each piece."""
    for k in range(len(found)):
        found[k] = digest(data, np.int64(offsets[k]), np.int64(offsets[k + 1]))[0]


def _table(paths: list[list[int]], folded: list[list[int]]) -> np.ndarray:
    roles: dict[int, int] = {}
    for path, final in [*((path, ENDS) for path in paths), *((path, FOLDED_ENDS) for path in folded)]:
        key = path[0]
        for word in path[1:]:
            roles[key] = roles.get(key, 0) | GOES_ON
            key = _extended(key, word)
        roles[key] = roles.get(key, 0) | final
    size = 1 << max(1, (4 * len(roles)).bit_length())  # few slots in use: most words are in no list
    slots = np.zeros((size, 2), np.uint64)
    for key, role in roles.items():
        at = key & size - 1
        while slots[at, 1]:
            at = at + 1 & size - 1
        slots[at] = key, role
    return slots


def _extended(key: int, word: int) -> int:
    key = (key ^ word) * FACTOR & 2**64 - 1
    return key ^ key >> SHIFT


@inner
def extend(key: Any, word: Any) -> Any:
    """The key of a phrase and one word more."""
    key = (key ^ word) * u64(FACTOR)
    return key ^ key >> u64(SHIFT)


@inner
def role(phrases: Phrases, language: Any, key: Any) -> Any:
    """What a key is in the list of a language: 0, or some of ENDS, FOLDED_ENDS and GOES_ON."""
    begin = u64(phrases.begin[language])
    mask = u64(phrases.begin[language + 1]) - begin - ONE
    i = key & mask
    while phrases.slots[begin + i, 1]:
        if phrases.slots[begin + i, 0] == key:
            return np.int64(phrases.slots[begin + i, 1])
        i = (i + ONE) & mask
    return np.int64(0)
