"""MinHash signatures of word n-grams (Broder 1997) and their band keys for locality-sensitive hashing.

The permutations are those of datasketch 2's default scheme "affine32": a 32-bit hash goes once through MurmurHash3's
finaliser, then permutation k takes it to a[k] * h + b[k] mod 2^32 with an odd a[k]. A shingle is hashed by a rolling
polynomial over the hashes of its words, so its cost does not depend on n.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from curate.kernels.bits import u64
from curate.kernels.jit import inner, kernel
from curate.kernels.lexer import Lexed, Words
from curate.kernels.text import read_only, splits

EMPTY = 0xFFFFFFFF  # every slot of a document without shingles
BLOCK = 2048  # shingles that are permuted at a time, so that they stay in the innermost cache
BASE = u64(0x9E3779B97F4A7C15)
_FACTOR = u64(0xD6E8FEB86659FD93)
u32 = np.uint32


class Signatures(NamedTuple):
    """MinHash signatures of a batch."""

    values: np.ndarray  # uint32[documents, slots], EMPTY where there is no shingle
    shingle_counts: np.ndarray  # int32[documents], n-grams with repetitions; 0 for a document of fewer than n words


def signatures(lexed: Lexed, ngram: int = 5, slots: int = 128, seed: int = 1) -> Signatures:
    """MinHash signatures over the n-grams of normalised words (words of which nothing is left are passed over).

    Raises ValueError unless `ngram` and `slots` are positive.

    >>> from curate.kernels.lexer import lex
    >>> import pyarrow as pa
    >>> values, counts = signatures(lex(pa.array(["The cat sat on the mat.", "the CAT sat on the mat", "cat"])))
    >>> values.shape, counts.tolist(), bool((values[0] == values[1]).all())
    ((3, 128), [2, 2, 0], True)
    """
    if ngram < 1 or slots < 1:
        raise ValueError(f"ngram and slots must be at least 1, not {ngram} and {slots}")
    documents = len(lexed.offsets) - 1
    values = np.full((documents, slots), EMPTY, u32)
    counts = np.empty(documents, np.int32)
    a, b = permutations(slots, seed)
    longest = int(np.diff(lexed.word_splits).max(initial=0))
    scratch, hashes = np.empty(longest, np.uint64), np.empty(longest, u32)
    sign(lexed.words, lexed.word_splits, ngram, a, b, scratch, hashes, values, counts)
    return Signatures(values, counts)


def shingles(lexed: Lexed, ngram: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """The hashes that `signatures` permutes: (uint32[shingles], int64[documents + 1] where each document's begin).

    These are before the finaliser, so they are what another MinHash library takes as hashes of the set's members.
    """
    words = np.diff(lexed.word_splits)
    hashes = np.empty(int(words.sum()), u32)
    counts = np.empty(len(words), np.int64)
    scratch = np.empty(int(words.max(initial=0)), np.uint64)
    collect(lexed.words, lexed.word_splits, ngram, scratch, hashes, counts)
    return hashes[: int(counts.sum())], splits(counts)


@cache
def permutations(slots: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The factors (odd) and summands of the permutations, drawn in datasketch's order."""
    random = np.random.RandomState(seed)
    a = random.randint(0, 1 << 31, slots, dtype=u32) * u32(2) + u32(1)
    b = random.randint(0, 1 << 32, slots, dtype=u32)
    return read_only(a), read_only(b)


def band_keys(values: np.ndarray, bands: int, rows: int) -> np.ndarray:
    """One 64-bit key per band of `rows` slots and document: uint64[bands, documents].

    Raises ValueError when the signatures (uint32[documents, slots]) have fewer than bands * rows slots.

    >>> band_keys(np.zeros((3, 128), np.uint32), bands=9, rows=13).shape
    (9, 3)
    """
    documents, slots = values.shape
    if bands < 1 or rows < 1 or bands * rows > slots:
        raise ValueError(f"{bands} bands of {rows} rows need {bands * rows} slots, the signatures have {slots}")
    keys = np.empty((bands, documents), np.uint64)
    hash_bands(_plain(values), rows, keys)
    return keys


def estimate(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The estimated Jaccard similarity (float64[m], 0..1) of m pairs of signatures: the share of slots that agree.

    >>> estimate(np.array([[1, 2, 3, 4]], np.uint32), np.array([[1, 2, 3, 5]], np.uint32)).tolist()
    [0.75]
    """
    if left.shape != right.shape or left.ndim != 2:
        raise ValueError(f"signatures are compared row by row, but the shapes are {left.shape} and {right.shape}")
    shares = np.empty(len(left))
    compare(_plain(left), _plain(right), shares)
    return shares


def _plain(values: np.ndarray) -> np.ndarray:
    """A contiguous, read-only view: the one kind of array that the kernels are compiled for."""
    return read_only(np.ascontiguousarray(values, u32))


@inner
def finalise(h: Any) -> Any:
    """MurmurHash3's 32-bit finaliser. Every step is rounded to 32 bits, for Numba computes in 64."""
    h = u32(h ^ h >> u32(16))
    h = u32(h * u32(0x85EBCA6B))
    h = u32(h ^ h >> u32(13))
    h = u32(h * u32(0xC2B2AE35))
    return u32(h ^ h >> u32(16))


@inner
def shingle_document(words: Words, first: Any, last: Any, ngram: Any, scratch: Any, out: Any) -> Any:
    """Write the 32-bit hash of every n-gram of normalised words; returns how many there are."""
    n = 0
    for w in range(first, last):
        scratch[n] = words.hash[w]
        n += words.normal_characters[w] > 0
    power = u64(1)
    for _ in range(ngram):
        power *= BASE
    h = u64(0)
    for i in range(n):
        h = h * BASE + scratch[i]
        if i >= ngram:
            h -= power * scratch[i - ngram]
        if i >= ngram - 1:
            mixed = (h ^ h >> u64(32)) * _FACTOR
            out[i - ngram + 1] = u32(mixed >> u64(32))
    return max(0, n - ngram + 1)


@inner
def permute(h: Any, n: Any, a: Any, b: Any, signature: Any) -> None:
    """signature[p] = min over h[:n] of a[p] * h + b[p] mod 2^32, and what it was."""
    for begin in range(0, n, BLOCK):
        block = h[begin : min(begin + BLOCK, n)]  # counting from 0 shows LLVM that no index is negative: 7 x faster
        for p in range(len(a)):
            factor, summand, least = a[p], b[p], signature[p]
            for i in range(len(block)):
                least = min(least, u32(factor * block[i] + summand))
            signature[p] = least


@kernel(allocates=False)
def sign(
    words: Words, word_splits: Any, ngram: Any, a: Any, b: Any, scratch: Any, h: Any, values: Any, counts: Any
) -> None:
    """Fill the signatures and the number of shingles of each document."""
    for d in range(len(counts)):
        n = shingle_document(words, word_splits[d], word_splits[d + 1], ngram, scratch, h)
        for i in range(n):
            h[i] = finalise(h[i])
        permute(h, n, a, b, values[d])
        counts[d] = n


@kernel(allocates=False)
def collect(words: Words, word_splits: Any, ngram: Any, scratch: Any, hashes: Any, counts: Any) -> None:
    """Fill the shingles of all documents, one after the other, and their numbers."""
    at = 0
    for d in range(len(counts)):
        n = shingle_document(words, word_splits[d], word_splits[d + 1], ngram, scratch, hashes[at:])
        counts[d] = n
        at += n


@kernel(allocates=False)
def hash_bands(values: Any, rows: Any, keys: Any) -> None:
    """Fill keys[bands, documents]. The number of the band is part of the key."""
    for d in range(len(values)):
        for band in range(len(keys)):
            h = u64(band + 1) * BASE
            for j in range(band * rows, band * rows + rows):
                h = (h ^ u64(values[d, j])) * _FACTOR
                h ^= h >> u64(29)
            h *= BASE
            keys[band, d] = h ^ h >> u64(32)


@kernel(allocates=False)
def compare(left: Any, right: Any, shares: Any) -> None:
    """Fill the share of equal columns in each pair of rows."""
    for d in range(len(shares)):
        equal = 0
        for j in range(left.shape[1]):
            equal += left[d, j] == right[d, j]
        shares[d] = equal / left.shape[1]
