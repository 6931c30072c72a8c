"""Hashed n-grams of DSIR (Xie et al. 2023): words and pairs of words, in buckets, counted or weighed per document.

words    normalised words of the lexer, by its own hash: the fastest
rpv2     RedPajama-V2's: WordPunct tokens with their case, by the hash of CPython 3.11 under PYTHONHASHSEED=42, which is
         SipHash-1-3 of strings as CPython stores them, and xxHash of pairs
authors  that of DSIR's authors: WordPunct tokens in lower case, by SHA-256, pairs joined by a space
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa

from curate.kernels.bits import load64, u64
from curate.kernels.jit import inner, kernel
from curate.kernels.sha256 import Constants, constants, sha256
from curate.kernels.text import decode, read_only

Features = Literal["words", "rpv2", "authors"]
SMOOTHING = 1e-8  # added to every probability, by both systems
SEED = 42  # PYTHONHASHSEED
XX_1, XX_2, XX_5 = u64(11400714785074694791), u64(14029467366897019727), u64(2870177450012600261)
MIX_1, MIX_2 = u64(0x9E3779B97F4A7C15), u64(0xD6E8FEB86659FD93)
MINUS_ONE = u64(0xFFFFFFFFFFFFFFFF)


class Grams(NamedTuple):
    """Buckets of the n-grams of document d: `bucket[splits[d]:splits[d + 1]]`, a word before its pair with the next."""

    bucket: np.ndarray  # int32[n-grams]
    splits: np.ndarray  # int64[documents + 1]


def grams(text: pa.Array, features: Features, buckets: int) -> Grams:
    """The n-grams of a batch.

    >>> found = grams(pa.array(["of the", "the"]), "rpv2", 10_000)
    >>> found.bucket.tolist(), found.splits.tolist()
    ([9604, 1616, 2820, 2820], [0, 3, 4])
    """
    keys, pairs, splits = KEYS[features](text, buckets)
    sizes = np.diff(splits)
    counts = 2 * sizes - (sizes > 0)
    bounds = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    bucket = np.empty(bounds[-1], np.int32)
    interleave(keys, pairs, splits, bounds, np.int64(buckets), features == "rpv2", bucket)
    return Grams(read_only(bucket), read_only(bounds))


def count(found: Grams, rows: np.ndarray, buckets: int) -> np.ndarray:
    """How often each bucket occurs in the chosen documents (bool[documents]): int64[buckets]."""
    counts = np.zeros(buckets, np.int64)
    tally(found, rows, counts)
    return counts


def weigh(found: Grams, weights: np.ndarray) -> np.ndarray:
    """The sum of weights (float64[buckets]) of each document's n-grams."""
    sums = np.empty(len(found.splits) - 1, np.float64)
    add(found, weights, sums)
    return sums


def log_ratio(target: np.ndarray, raw: np.ndarray) -> np.ndarray:
    """The weight of each bucket: ln p_target - ln p_raw, from counts."""
    parts = [counts / max(counts.sum(), 1) for counts in (target, raw)]
    return np.log(parts[0] + SMOOTHING) - np.log(parts[1] + SMOOTHING)


@kernel(allocates=False)
def tally(found: Grams, rows: Any, counts: Any) -> None:
    for d in range(len(rows)):
        if rows[d]:
            for k in range(found.splits[d], found.splits[d + 1]):
                counts[found.bucket[k]] += 1


@kernel(allocates=False)
def add(found: Grams, weights: Any, sums: Any) -> None:
    for d in range(len(sums)):
        total = 0.0
        for k in range(found.splits[d], found.splits[d + 1]):
            total += weights[found.bucket[k]]
        sums[d] = total


@inner
def place(key: Any, buckets: Any, is_signed: Any) -> Any:
    """The bucket of a hash; Python's are signed, and their absolute value counts."""
    if is_signed and key >> u64(63):
        key = ~key + u64(1)
    return key % u64(buckets)


@kernel(allocates=False)
def interleave(keys: Any, pairs: Any, splits: Any, bounds: Any, buckets: Any, is_signed: Any, bucket: Any) -> None:
    """Buckets of words and of pairs."""
    for d in range(len(splits) - 1):
        o = bounds[d]
        for w in range(splits[d], splits[d + 1]):
            bucket[o] = place(keys[w], buckets, is_signed)
            o += 1
            if w + 1 < splits[d + 1]:
                bucket[o] = place(pairs[w], buckets, is_signed)
                o += 1


# ---------------------------------------------------------------- the lexer's words


def _words(text: pa.Array, buckets: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    from curate.kernels.lexer import lex

    lexed = lex(text)
    size = len(lexed.words.hash)
    keys, pairs = np.empty(size, np.uint64), np.empty(size, np.uint64)
    splits = np.zeros(len(lexed.offsets), np.int64)
    pair_words(lexed.words.hash, lexed.words.normal_characters, lexed.word_splits, keys, pairs, splits)
    return keys, pairs, splits


@inner
def scramble(x: Any) -> Any:
    x = (x ^ x >> u64(32)) * MIX_1
    return x ^ x >> u64(29)


@kernel(allocates=False)
def pair_words(hashes: Any, characters: Any, word_splits: Any, keys: Any, pairs: Any, splits: Any) -> None:
    """Hashes of words of which something is left, and of each with the next one."""
    o = 0
    for d in range(len(splits) - 1):
        before = u64(0)
        for w in range(word_splits[d], word_splits[d + 1]):
            if characters[w] == 0:
                continue
            own = scramble(hashes[w])
            keys[o] = own
            if o > splits[d]:
                pairs[o - 1] = scramble(before * MIX_2 + own)
            before = own
            o += 1
        splits[d + 1] = o


# ---------------------------------------------------------------- CPython's hashes


def _tokens(text: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    from curate.kernels.lexer import outline
    from curate.kernels.segment import segment

    lexed = outline(text)
    words = segment(lexed, "wordpunct")
    return lexed.data, words.span, words.splits


def _python(text: pa.Array, buckets: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    data, span, splits = _tokens(text)
    keys, pairs = np.empty(len(span), np.uint64), np.empty(len(span), np.uint64)
    longest = int(np.diff(span, axis=1).max(initial=0))
    hash_strings(data, span, *siphash_key(), np.empty(4 * longest + 8, np.uint8), keys)
    hash_pairs(keys, pairs)
    return keys, pairs, splits


@cache
def siphash_key() -> tuple[np.uint64, np.uint64]:
    """The key that CPython makes of PYTHONHASHSEED."""
    state, found = SEED, bytearray()
    for _ in range(16):
        state = (state * 214013 + 2531011) % 2**32
        found.append(state >> 16 & 255)
    low, high = np.frombuffer(bytes(found), np.uint64)
    return low, high


@inner
def turn(x: Any, bits: Any) -> Any:
    return x << u64(bits) | x >> u64(64 - bits)


@inner
def sip_round(a: Any, b: Any, c: Any, d: Any) -> Any:
    a += b
    b = turn(b, 13) ^ a
    a = turn(a, 32)
    c += d
    d = turn(d, 16) ^ c
    a += d
    d = turn(d, 21) ^ a
    c += b
    b = turn(b, 17) ^ c
    c = turn(c, 32)
    return a, b, c, d


@inner
def siphash13(data: Any, begin: Any, size: Any, low: Any, high: Any) -> Any:
    """SipHash-1-3 of some bytes."""
    a, b = low ^ u64(0x736F6D6570736575), high ^ u64(0x646F72616E646F6D)
    c, d = low ^ u64(0x6C7967656E657261), high ^ u64(0x7465646279746573)
    i = 0
    while i + 8 <= size:
        m = load64(data, begin + i)
        d ^= m
        a, b, c, d = sip_round(a, b, c, d)
        a ^= m
        i += 8
    m = u64(size) << u64(56)
    for k in range(size - i):
        m |= u64(data[begin + i + k]) << u64(8 * k)
    d ^= m
    a, b, c, d = sip_round(a, b, c, d)
    a ^= m
    c ^= u64(0xFF)
    a, b, c, d = sip_round(a, b, c, d)
    a, b, c, d = sip_round(a, b, c, d)
    a, b, c, d = sip_round(a, b, c, d)
    return a ^ b ^ c ^ d


@inner
def widest(data: Any, begin: Any, end: Any) -> Any:
    """Bytes that CPython takes for each character of a string; 0 for ASCII."""
    top = 0
    for i in range(begin, end):
        top = max(top, np.int64(data[i]))
    if top < 0x80:
        return 0
    return 1 if top <= 0xC3 else 2 if top < 0xF0 else 4


@inner
def unpack(data: Any, begin: Any, end: Any, width: Any, out: Any) -> Any:
    """Write a string as CPython stores it; returns its size."""
    o, i = 0, begin
    while i < end:
        point, i = decode(data, i, end)
        for k in range(width):
            out[o + k] = point >> 8 * k & 255
        o += width
    return o


@kernel(allocates=False)
def hash_strings(data: Any, span: Any, low: Any, high: Any, scratch: Any, keys: Any) -> None:
    """CPython's hash of each token."""
    for w in range(len(span)):
        begin, end = np.int64(span[w, 0]), np.int64(span[w, 1])
        width = widest(data, begin, end)
        if width:
            found = siphash13(scratch, 0, unpack(data, begin, end, width, scratch), low, high)
        else:
            found = siphash13(data, begin, end - begin, low, high)
        keys[w] = found - u64(found == MINUS_ONE)


@kernel(allocates=False)
def hash_pairs(keys: Any, pairs: Any) -> None:
    """CPython's hash of each token with the next as a tuple."""
    for w in range(len(keys) - 1):
        total = XX_5
        total = turn(total + keys[w] * XX_2, 31) * XX_1
        total = turn(total + keys[w + 1] * XX_2, 31) * XX_1
        total += u64(2) ^ (XX_5 ^ u64(3527539))
        pairs[w] = u64(1546275796) if total == MINUS_ONE else total


# ---------------------------------------------------------------- SHA-256


def _authors(text: pa.Array, buckets: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    lower = pa.array([None if own is None else own.lower() for own in text.to_pylist()], pa.string())
    data, span, splits = _tokens(lower)
    room = 2 * int(np.diff(span, axis=1).max(initial=0)) + 130
    keys, pairs = np.empty(len(span), np.uint64), np.empty(len(span), np.uint64)
    scratch = np.empty(room, np.uint8), np.empty(8, np.uint32), np.empty(64, np.uint32)
    hash_messages(data, span, np.int64(buckets), constants(), *scratch, keys, pairs)
    return keys, pairs, splits


@inner
def remainder(state: Any, buckets: Any) -> Any:
    """What is left of the digest, as a number, when it is divided."""
    rest = u64(0)
    for j in range(8):
        rest = (rest << u64(32) | u64(state[j])) % u64(buckets)
    return rest


@kernel(allocates=False)
def hash_messages(
    data: Any,
    span: Any,
    buckets: Any,
    constants: Constants,
    message: Any,
    state: Any,
    words: Any,
    keys: Any,
    pairs: Any,
) -> None:
    """SHA-256 of each token, and of each with the next one after a space."""
    for w in range(len(span)):
        begin, end = np.int64(span[w, 0]), np.int64(span[w, 1])
        for i in range(begin, end):
            message[i - begin] = data[i]
        sha256(message, end - begin, constants, state, words)
        keys[w] = remainder(state, buckets)
        if w + 1 == len(span):
            break
        size = end - begin
        message[size] = 0x20
        begin, end = np.int64(span[w + 1, 0]), np.int64(span[w + 1, 1])
        for i in range(begin, end):
            message[size + 1 + i - begin] = data[i]
        sha256(message, size + 1 + end - begin, constants, state, words)
        pairs[w] = remainder(state, buckets)


KEYS = {"words": _words, "rpv2": _python, "authors": _authors}
