"""A blocked Bloom filter: what was seen before, in a few bits a value (Bloom 1970; Putze, Sanders, Singler 2007).

All bits of a value lie in one block of 512 bits, a cache line, which its highest bits choose: so a range of values has
a range of blocks, and the parts of a filter that is larger than memory can be filled one after the other.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from curate.kernels.bits import ONE, multiply_wide, u64
from curate.kernels.jit import inner, kernel
from curate.kernels.text import read_only

BLOCK = 512
WORDS = BLOCK // 64
MOST = 21  # bits of a value: three mixes of seven positions each
MIX = u64(0xBF58476D1CE4E5B9), u64(0x94D049BB133111EB)
STEP = u64(0x9E3779B97F4A7C15)


class Shape(NamedTuple):
    """How large a filter is: 512-bit blocks, and how many bits each value sets."""

    blocks: int
    bits: int

    @property
    def bytes(self) -> int:
        return self.blocks * BLOCK // 8


def shape(values: int, rate: float) -> Shape:
    """The smallest filter that holds so many different values and takes another one for known with at most `rate`.

    >>> made = shape(1_000_000, 0.001)
    >>> made.bits, round(8 * made.bytes / 1_000_000, 1)
    (9, 15.5)
    """
    density, bits = _density(rate)
    return Shape(max(1, math.ceil(values * density / BLOCK)), bits)


@lru_cache(maxsize=64)
def _density(rate: float) -> tuple[float, int]:
    """The fewest bits of the filter a value for which some number of bits set reaches the rate; by bisection.

    Blocks with as many values differ in the bits that are set, which adds up to a twentieth: it is allowed for.
    """
    low, high = 1.0, 512.0
    for _ in range(24):
        middle = (low + high) / 2
        low, high = (low, middle) if _best(middle)[0] <= 0.95 * rate else (middle, high)
    return high, _best(high)[1]


def _best(density: float) -> tuple[float, int]:
    return min((expected_rate(density, bits), bits) for bits in range(1, MOST + 1))


def expected_rate(density: float, bits: int) -> float:
    """How likely a full filter with so many bits a value takes a new value for known; blocks are Poisson-filled.

    >>> round(expected_rate(16, 10), 5)
    0.00082
    """
    mean = BLOCK / density
    held = np.arange(max(0, int(mean - 9 * mean**0.5)), int(mean + 9 * mean**0.5) + 20)
    logs = held * math.log(mean) - mean - np.array([math.lgamma(n + 1) for n in held.tolist()])
    is_set = 1 - (1 - 1 / BLOCK) ** (bits * held)
    return float((np.exp(logs) * is_set**bits).sum())


def blocks_of(values: np.ndarray, whole: Shape) -> np.ndarray:
    """The block of each value; larger values have the same block or a later one."""
    found = np.empty(len(values), np.int64)
    place(_plain(values), whole.blocks, found)
    return found


def first_value(block: int, whole: Shape) -> int:
    """The least value of a block; 2**64 past the last one.

    >>> [int(blocks_of(np.array([first_value(at, Shape(3, 1)) - 1], np.uint64), Shape(3, 1))[0]) for at in (1, 2, 3)]
    [0, 1, 2]
    """
    return -(-block * 2**64 // whole.blocks)


class Filter:
    """The blocks first..stop of a filter. `words` may be an array in memory or one mapped from a file."""

    def __init__(self, whole: Shape, first: int = 0, stop: int | None = None, words: np.ndarray | None = None):
        self.whole, self.first = whole, first
        stop = whole.blocks if stop is None else stop
        self.words = np.zeros((stop - first) * WORDS, np.uint64) if words is None else words
        if self.words.dtype != np.uint64 or len(self.words) != (stop - first) * WORDS:
            raise ValueError(f"{stop - first} blocks are {(stop - first) * WORDS} words, not {len(self.words)}")

    def add(self, values: np.ndarray) -> np.ndarray:
        """Add values (uint64 hashes of these blocks) one after the other: which were there already, or seemed to be.

        >>> Filter(shape(100, 0.001)).add(np.array([1 << 40, 7 << 60, 1 << 40], np.uint64)).tolist()
        [False, False, True]
        """
        seen = np.empty(len(values), np.bool_)
        fill(_plain(values), self.words, self.first, self.whole.blocks, self.whole.bits, seen)
        return seen


def _plain(values: np.ndarray) -> np.ndarray:
    return read_only(np.ascontiguousarray(values, np.uint64))


@inner
def stir(value: Any) -> Any:
    """SplitMix64's finaliser."""
    value = (value ^ value >> u64(30)) * MIX[0]
    value = (value ^ value >> u64(27)) * MIX[1]
    return value ^ value >> u64(31)


@kernel(allocates=False)
def place(values: Any, blocks: Any, found: Any) -> None:
    """Fill the block of each value."""
    for i in range(len(values)):
        _, high = multiply_wide(values[i], u64(blocks))
        found[i] = np.int64(high)


@kernel(allocates=False)
def fill(values: Any, words: Any, first: Any, blocks: Any, bits: Any, seen: Any) -> None:
    """Set the bits of each value; fill whether all of them were set before."""
    for i in range(len(values)):
        _, high = multiply_wide(values[i], u64(blocks))
        start = (np.int64(high) - first) * 8
        missing, source, mixed = u64(0), values[i], u64(0)
        for k in range(bits):
            if k % 7 == 0:
                source += STEP
                mixed = stir(source)
            at = start + np.int64(mixed & u64(7))
            bit = ONE << (mixed >> u64(3) & u64(63))
            missing |= bit & ~words[at]
            words[at] |= bit
            mixed >>= u64(9)
        seen[i] = missing == u64(0)
