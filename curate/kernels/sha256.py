"""SHA-256 (FIPS 180-4) of short messages, one after the other, in kernels."""

from __future__ import annotations

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from curate.kernels.jit import inner
from curate.kernels.text import read_only

u32 = np.uint32
BLOCK, LENGTH = 64, 8  # bytes of a block, and of the length that ends the last one


class Constants(NamedTuple):
    """The start of the state and a constant for each round: what is after the point of roots of the first primes."""

    start: np.ndarray  # uint32[8]
    rounds: np.ndarray  # uint32[64]


@cache
def constants() -> Constants:
    primes = [n for n in range(2, 312) if all(n % d for d in range(2, math.isqrt(n) + 1))]
    square = [math.isqrt(p << 64) & 0xFFFFFFFF for p in primes[:8]]
    cube = [_cube_root(p << 96) & 0xFFFFFFFF for p in primes]
    return Constants(read_only(np.array(square, np.uint32)), read_only(np.array(cube, np.uint32)))


def _cube_root(value: int) -> int:
    low, high = 0, 1 << (value.bit_length() // 3 + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**3 <= value else (low, middle - 1)
    return low


@inner
def right(x: Any, bits: Any) -> Any:
    return u32(x >> u32(bits) | x << u32(32 - bits))


@inner
def pad(message: Any, size: Any) -> Any:
    """Complete message[:size] to whole blocks, whose number is returned; there must be room for two more."""
    blocks = (size + LENGTH) // BLOCK + 1
    message[size] = 0x80
    for i in range(size + 1, blocks * BLOCK - LENGTH):
        message[i] = 0
    for k in range(LENGTH):
        message[blocks * BLOCK - 1 - k] = size << 3 >> 8 * k & 255
    return blocks


@inner
def sha256(message: Any, size: Any, constants: Constants, state: Any, words: Any) -> None:
    """The digest of message[:size] in `state` (uint32[8]), which is padded in its place; `words` is uint32[64]."""
    for j in range(8):
        state[j] = constants.start[j]
    for block in range(pad(message, size)):
        for t in range(16):
            i = BLOCK * block + 4 * t
            words[t] = u32(message[i]) << u32(24) | u32(message[i + 1]) << u32(16) | u32(message[i + 2]) << u32(8)
            words[t] |= u32(message[i + 3])
        for t in range(16, 64):
            x, y = words[t - 15], words[t - 2]
            x = right(x, 7) ^ right(x, 18) ^ x >> u32(3)
            y = right(y, 17) ^ right(y, 19) ^ y >> u32(10)
            words[t] = words[t - 16] + x + words[t - 7] + y
        mix_block(constants, state, words)


@inner
def mix_block(constants: Constants, state: Any, words: Any) -> None:
    """The rounds of one block."""
    a, b, c, d, e, f, g, h = state[0], state[1], state[2], state[3], state[4], state[5], state[6], state[7]
    for t in range(64):
        high = right(e, 6) ^ right(e, 11) ^ right(e, 25)
        first = u32(h + high + (e & f ^ ~e & g) + constants.rounds[t] + words[t])
        low = right(a, 2) ^ right(a, 13) ^ right(a, 22)
        second = u32(low + (a & b ^ a & c ^ b & c))
        h, g, f, e = g, f, e, u32(d + first)
        d, c, b, a = c, b, a, u32(first + second)
    for j, value in enumerate((a, b, c, d, e, f, g, h)):
        state[j] += value
