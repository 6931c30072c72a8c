"""MinHash signatures of shingles (Broder 1997) and their band keys for locality-sensitive hashing.

Schemes are datasketch's. "affine32" (the default of its version 2): a 32-bit hash goes once through MurmurHash3's
finaliser, then permutation k takes it to a[k] * h + b[k] mod 2^32 with an odd a[k]. "legacy" (version 1, RedPajama-V2):
a[k] * h + b[k] in 64 bits, mod 2^61 - 1, of which the lower 32 bits are kept.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curate.kernels import sha1
from curate.kernels.bits import u64
from curate.kernels.jit import inner, kernel
from curate.kernels.shingles import BASE, FACTOR, POINTS, Texts, Window, begin_document, cut, roll, texts_of, window_of
from curate.kernels.text import read_only, splits

HASHES = ROLLING, SHA1 = "rolling", "sha1"
SCHEMES = AFFINE32, LEGACY = "affine32", "legacy"
EMPTY = 0xFFFFFFFF  # every slot of a document without shingles
BLOCK = 2048  # shingles that are permuted at a time, so that they stay in the innermost cache
MERSENNE = u64((1 << 61) - 1)
u32 = np.uint32


class Signatures(NamedTuple):
    """MinHash signatures of a batch."""

    values: np.ndarray  # uint32[documents, slots], EMPTY where there is no shingle
    shingle_counts: np.ndarray  # int32[documents], with repetitions; 0 for a document of fewer than n words


class Scratch(NamedTuple):
    """Room for a block of shingles."""

    hashes: np.ndarray  # uint64[BLOCK]
    spans: np.ndarray  # int64[BLOCK, 2]
    narrow: np.ndarray  # uint32[BLOCK]
    state: np.ndarray  # uint32[5, sha1.LANES]
    words: np.ndarray  # uint32[16, sha1.LANES]


class Permutations(NamedTuple):
    """The factors and summands of a signature's slots, for one scheme; the other's are empty."""

    affine: np.ndarray  # uint32[2, slots]; with uint64 the loop over them takes three times as long
    legacy: np.ndarray  # uint64[2, slots]


def signatures(
    text: pa.Array,
    unit: str = "words",
    ngram: int = 5,
    normalise: str = "plain",
    hash: str = ROLLING,
    scheme: str = AFFINE32,
    slots: int = 128,
    seed: int = 1,
) -> Signatures:
    """MinHash signatures over n-grams of the words or characters of each document's normal text.

    `hash` is that of a shingle: "rolling" (a polynomial over its units, whose cost does not depend on n) or "sha1" of
    its text, the default of datasketch. Raises ValueError for what does not exist, and for less than one slot.

    >>> texts = pa.array(["The cat sat on the mat.", "the CAT sat on the mat", "cat"])
    >>> values, counts = signatures(texts)
    >>> values.shape, counts.tolist(), bool((values[0] == values[1]).all())
    ((3, 128), [2, 2, 0], True)
    """
    texts, window = texts_of(text, unit, normalise), window_of(ngram)
    values = np.full((len(text), slots), EMPTY, u32)
    counts = np.empty(len(text), np.int32)
    sign(texts, window, _code(hash, HASHES), permutations(scheme, slots, seed), _scratch(), values, counts)
    return Signatures(values, counts)


def shingle_hashes(
    text: pa.Array, unit: str = "words", ngram: int = 5, normalise: str = "plain", hash: str = ROLLING
) -> tuple[np.ndarray, np.ndarray]:
    """The hashes that `signatures` permutes: (uint32[shingles], int64[documents + 1] where each document's begin).

    They are what another MinHash library takes as hashes of the set's members.
    """
    texts, window = texts_of(text, unit, normalise), window_of(ngram)
    most = np.diff(texts.splits) if unit == "words" else POINTS * np.diff(texts.offsets)
    hashes = np.empty(int(most.sum()), u32)  # memory that is not written is not used
    counts = np.empty(len(text), np.int64)
    collect(texts, window, _code(hash, HASHES), _scratch(), hashes, counts)
    return hashes[: int(counts.sum())].copy(), splits(counts)


@cache
def permutations(scheme: str, slots: int, seed: int) -> Permutations:
    """The permutations, drawn in datasketch's order. Raises ValueError for another scheme or less than one slot."""
    _code(scheme, SCHEMES)
    if slots < 1:
        raise ValueError(f"a signature has at least one slot, not {slots}")
    random = np.random.RandomState(seed)
    affine, legacy = np.empty((2, 0), u32), np.empty((2, 0), np.uint64)
    if scheme == AFFINE32:
        odd = random.randint(0, 1 << 31, slots, dtype=u32) * u32(2) + u32(1)
        affine = np.stack([odd, random.randint(0, 1 << 32, slots, dtype=u32)])
    else:
        drawn = [random.randint(least, MERSENNE, dtype=np.uint64) for _ in range(slots) for least in (1, 0)]
        legacy = np.ascontiguousarray(np.array(drawn, np.uint64).reshape(slots, 2).T)
    return Permutations(read_only(affine), read_only(legacy))


def _code(name: str, names: tuple[str, ...]) -> np.int64:
    if name not in names:
        raise ValueError(f"{name!r} is none of {', '.join(names)}")
    return np.int64(names.index(name))


def _scratch() -> Scratch:
    shapes = ((BLOCK, np.uint64), ((BLOCK, 2), np.int64), (BLOCK, u32), ((5, sha1.LANES), u32), ((16, sha1.LANES), u32))
    return Scratch(*(np.empty(shape, kind) for shape, kind in shapes))


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


@kernel(allocates=False)
def next_hashes(texts: Texts, window: Window, kind: Any, scratch: Scratch) -> Any:
    """Fill `narrow` with the 32-bit hashes of the document's next shingles; returns how many there are."""
    if kind == 1:
        n = cut(texts, window, scratch.spans)
        sha1.sha1_32(texts.written, scratch.spans, n, scratch.state, scratch.words, scratch.narrow)
        return n
    n = roll(texts, window, scratch.hashes)
    for i in range(n):
        scratch.narrow[i] = u32(scratch.hashes[i] >> u64(32))
    return n


@kernel(allocates=False)
def permute_affine(h: Any, slots: Any, signature: Any) -> None:
    """signature[p] = min over h of a[p] * h + b[p] mod 2^32, and what it was."""
    for p in range(len(signature)):
        factor, summand, least = slots[0, p], slots[1, p], signature[p]
        for i in range(len(h)):
            least = min(least, u32(factor * h[i] + summand))
        signature[p] = least


@kernel(allocates=False)
def permute_legacy(h: Any, slots: Any, signature: Any) -> None:
    """signature[p] = min over h of the lower half of (a[p] * h + b[p] mod 2^64) mod 2^61 - 1, and what it was."""
    for p in range(len(signature)):
        factor, summand, least = slots[0, p], slots[1, p], signature[p]
        for i in range(len(h)):
            x = factor * u64(h[i]) + summand
            x = (x & MERSENNE) + (x >> u64(61))
            x -= MERSENNE if x >= MERSENNE else u64(0)
            least = min(least, u32(x))
        signature[p] = least


@kernel(allocates=False)
def sign(
    texts: Texts, window: Window, kind: Any, slots: Permutations, scratch: Scratch, values: Any, counts: Any
) -> None:
    """Fill the signatures and the number of shingles of each document."""
    for d in range(len(counts)):
        begin_document(texts, d, window, kind == 1)
        n, total = next_hashes(texts, window, kind, scratch), 0
        while n:
            h = scratch.narrow[:n]  # counting from 0 shows LLVM that no index is negative: 7 x faster
            if slots.affine.shape[1]:
                for i in range(n):
                    h[i] = finalise(h[i])
                permute_affine(h, slots.affine, values[d])
            else:
                permute_legacy(h, slots.legacy, values[d])
            total += n
            n = next_hashes(texts, window, kind, scratch)
        counts[d] = total


@kernel(allocates=False)
def collect(texts: Texts, window: Window, kind: Any, scratch: Scratch, hashes: Any, counts: Any) -> None:
    """Fill the hashes of all documents' shingles, one after the other, and their numbers."""
    at = 0
    for d in range(len(counts)):
        begin_document(texts, d, window, kind == 1)
        n, first = next_hashes(texts, window, kind, scratch), at
        while n:
            for i in range(n):
                hashes[at + i] = scratch.narrow[i]
            at += n
            n = next_hashes(texts, window, kind, scratch)
        counts[d] = at - first


@kernel(allocates=False)
def hash_bands(values: Any, rows: Any, keys: Any) -> None:
    """Fill keys[bands, documents]. The number of the band is part of the key."""
    for d in range(len(values)):
        for band in range(len(keys)):
            h = u64(band + 1) * BASE
            for j in range(band * rows, band * rows + rows):
                h = (h ^ u64(values[d, j])) * FACTOR
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
