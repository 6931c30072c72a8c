"""Runs of tokens that can repeat across a corpus, known by 122 bits.

They are first thinned out by winnowing (Schleimer et al. 2003): of the hashes of the k-grams in a run the least is its
anchor, so equal runs have equal anchors, and a run whose anchor occurs once cannot repeat.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from curate.kernels.bits import multiply_wide, u64
from curate.kernels.jit import inner, kernel
from curate.kernels.lexer import Lexed
from curate.kernels.segment import Segments
from curate.kernels.text import read_only, splits

PRIME = u64((1 << 61) - 1)
BASES = (u64(0x1D8A6C5F9E3B7421), u64(0x0B5297A4D3C1E68F))  # of the two polynomials that tell runs apart
MIX_1, MIX_2 = u64(0xBF58476D1CE4E5B9), u64(0x94D049BB133111EB)


class Runs(NamedTuple):
    """Every run of n tokens of a document: run i of those of document d begins at its token i."""

    splits: np.ndarray  # int64[documents + 1]
    anchor: np.ndarray  # int64[runs], which of the anchors below
    anchor_hash: np.ndarray  # uint64[anchors]
    anchor_token: np.ndarray  # int32[anchors], first token, counted in the document
    anchor_splits: np.ndarray  # int64[documents + 1]


def bytes_of(lexed: Lexed) -> Segments:
    """Every byte of a batch as a word."""
    first, last = int(lexed.offsets[0]), int(lexed.offsets[-1])
    span = np.arange(first, last, dtype=np.int32)[:, None] + np.arange(2, dtype=np.int32)
    splits, none = lexed.offsets.astype(np.int64) - first, np.empty(0, np.int32)
    hashes = lexed.data[first:last].astype(np.uint64)
    return Segments(read_only(splits), read_only(span), none, read_only(hashes), none)


def within_characters(data: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """Spans of bytes (int64[spans, 2]) without characters that lie only partly in them.

    >>> within_characters(np.frombuffer("aéb".encode(), np.uint8), np.array([[0, 2], [2, 4]])).tolist()
    [[0, 1], [3, 4]]
    """
    spans = spans.copy()
    for edge, step in ((0, 1), (1, -1)):
        for _ in range(3):  # a character has at most three more bytes
            inside = spans[:, edge] < len(data)
            inside[inside] = data[spans[inside, edge]] & 0xC0 == 0x80
            spans[inside, edge] += step
    spans[:, 1] = np.maximum(spans[:, 0], spans[:, 1])
    return spans


def runs(words: Segments, size: int) -> Runs:
    """The runs of `size` tokens and their anchors: of a run's k-grams, k half of its tokens, the first of least hash.

    >>> from curate.kernels.lexer import lex
    >>> from curate.kernels.segment import segment
    >>> import pyarrow as pa
    >>> found = runs(segment(lex(pa.array(["x a b c d y", "a b c d"])), "whitespace"), 4)
    >>> np.diff(found.splits).tolist(), bool(found.anchor_hash[-1] in found.anchor_hash[:-1])
    ([3, 1], True)
    """
    counts = np.maximum(np.diff(words.splits) - size + 1, 0)
    bounds = splits(counts)
    total = int(bounds[-1])
    anchor, hashes, tokens = np.empty(total, np.int64), np.empty(total, np.uint64), np.empty(total, np.int32)
    longest = int(np.diff(words.splits).max(initial=0))
    grams, queue = np.empty(longest, np.uint64), np.empty(longest, np.int32)
    anchors = np.empty(len(counts), np.int64)
    find_anchors(words.hash, words.splits, size, grams, queue, anchor, hashes, tokens, anchors)
    found = int(anchors.sum())
    return Runs(bounds, anchor, hashes[:found], tokens[:found], splits(anchors))


def hash_runs(words: Segments, found: Runs, size: int, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The hash of each wanted run (bool[runs]) in two parts: polynomials in its tokens modulo 2^61 - 1, mixed."""
    total = int(wanted.sum())
    low, high = np.empty(total, np.uint64), np.empty(total, np.uint64)
    write_runs(words.hash, words.splits, found.splits, size, wanted, low, high)
    return low, high


@inner
def times(x: Any, y: Any) -> Any:
    """x * y mod 2^61 - 1, of numbers below 2^61."""
    low, high = multiply_wide(x, y)
    z = (low & PRIME) + (low >> u64(61) | high << u64(3))
    z = (z & PRIME) + (z >> u64(61))
    return z - PRIME if z >= PRIME else z


@inner
def plus(x: Any, y: Any) -> Any:
    """x + y mod 2^61 - 1, of numbers below it."""
    z = x + y
    return z - PRIME if z >= PRIME else z


@inner
def residue(x: Any) -> Any:
    """x mod 2^61 - 1."""
    z = (x & PRIME) + (x >> u64(61))
    return z - PRIME if z >= PRIME else z


@inner
def avalanche(z: Any) -> Any:
    """Spread every bit over all (the finaliser of SplitMix64)."""
    z = (z ^ z >> u64(30)) * MIX_1
    z = (z ^ z >> u64(27)) * MIX_2
    return z ^ z >> u64(31)


@inner
def power(base: Any, exponent: Any) -> Any:
    """base^exponent mod 2^61 - 1."""
    result = u64(1)
    for _ in range(exponent):
        result = times(result, base)
    return result


@inner
def roll(h: Any, old: Any, new: Any, base: Any, top: Any) -> Any:
    """The hash of a run moved by one token; `top` is base^(size - 1)."""
    return plus(times(plus(h, PRIME - times(old, top)), base), new)


@kernel(allocates=False)
def find_anchors(
    tokens: Any, token_splits: Any, size: Any, grams: Any, queue: Any, anchor: Any, hashes: Any, at: Any, counts: Any
) -> None:
    """Fill anchors: the least in a sliding window of k-grams, by a queue of those that may yet be it."""
    gram = (size + 1) // 2
    width, top = size - gram + 1, power(BASES[0], gram - 1)
    run, n = 0, 0
    for d in range(len(counts)):
        first, before = token_splits[d], n
        total = token_splits[d + 1] - first
        if total < size:
            counts[d] = 0
            continue
        h = u64(0)
        for i in range(gram):
            h = plus(times(h, BASES[0]), residue(tokens[first + i]))
        head, tail, last = 0, 0, np.int64(-1)
        for i in range(total - gram + 1):
            if i:
                h = roll(h, residue(tokens[first + i - 1]), residue(tokens[first + i + gram - 1]), BASES[0], top)
            grams[i] = avalanche(h)
            while tail > head and grams[queue[tail - 1]] > grams[i]:
                tail -= 1
            queue[tail] = i
            tail += 1
            if queue[head] <= i - width:
                head += 1
            if i >= width - 1:
                if queue[head] != last:
                    last = np.int64(queue[head])
                    hashes[n], at[n] = grams[last], last
                    n += 1
                anchor[run] = n - 1
                run += 1
        counts[d] = n - before


@kernel(allocates=False)
def write_runs(tokens: Any, token_splits: Any, run_splits: Any, size: Any, wanted: Any, low: Any, high: Any) -> None:
    """Fill the hashes of the wanted runs."""
    top_1, top_2 = power(BASES[0], size - 1), power(BASES[1], size - 1)
    n = 0
    for d in range(len(token_splits) - 1):
        first, run = token_splits[d], run_splits[d]
        fresh = True  # the hashes must be made anew
        h_1, h_2 = u64(0), u64(0)
        for i in range(run_splits[d + 1] - run):
            if not wanted[run + i]:
                fresh = True
                continue
            if fresh:
                h_1, h_2 = u64(0), u64(0)
                for j in range(size):
                    token = residue(tokens[first + i + j])
                    h_1, h_2 = plus(times(h_1, BASES[0]), token), plus(times(h_2, BASES[1]), token)
                fresh = False
            else:
                old, new = residue(tokens[first + i - 1]), residue(tokens[first + i + size - 1])
                h_1, h_2 = roll(h_1, old, new, BASES[0], top_1), roll(h_2, old, new, BASES[1], top_2)
            low[n], high[n] = avalanche(h_1), avalanche(h_2)
            n += 1
