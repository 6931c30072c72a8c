"""SHA-1 (FIPS 180-4) of many short strings at a time: sixteen messages side by side in vector registers.

Only the first 32 bits of the digest are kept, as datasketch and RedPajama-V2 take them: little-endian.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types

from curate.kernels.bits import intrinsic, load32, u64
from curate.kernels.jit import inner, kernel

LANES = 16
START = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0)
KEYS = (0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xCA62C1D6)  # of twenty rounds each
_VECTOR = ir.VectorType(ir.IntType(32), LANES)
u32 = np.uint32


class _Rounds:
    """Writes the rounds of SHA-1 for LLVM, each operation on all lanes."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def constant(self, value: int) -> Any:
        return ir.Constant(_VECTOR, [value] * LANES)

    def total(self, *terms: Any) -> Any:
        result = terms[0]
        for term in terms[1:]:
            result = self.builder.add(result, term)
        return result

    def rotate(self, x: Any, bits: int) -> Any:
        high = self.builder.shl(x, self.constant(bits))
        return self.builder.or_(high, self.builder.lshr(x, self.constant(32 - bits)))

    def swapped(self, x: Any) -> Any:
        """The bytes of each word in reverse order."""
        even = self.builder.and_(self.rotate(x, 8), self.constant(0x00FF00FF))
        return self.builder.or_(even, self.builder.and_(self.rotate(x, 24), self.constant(0xFF00FF00)))

    def mixed(self, t: int, b: Any, c: Any, d: Any) -> Any:
        """The function of round t: choice, parity, majority, parity."""
        builder = self.builder
        if t < 20:
            return builder.xor(d, builder.and_(b, builder.xor(c, d)))
        if 40 <= t < 60:
            return builder.or_(builder.and_(b, c), builder.and_(d, builder.or_(b, c)))
        return builder.xor(builder.xor(b, c), d)

    def compress(self, state: list[Any], words: list[Any]) -> list[Any]:
        """The state after a block of sixteen words."""
        a, b, c, d, e = state
        for t in range(80):
            if t >= 16:
                fresh = words[t - 3]
                for back in (8, 14, 16):
                    fresh = self.builder.xor(fresh, words[t - back])
                words.append(self.rotate(fresh, 1))
            mixed = self.mixed(t, b, c, d)
            head = self.total(self.rotate(a, 5), mixed, e, self.constant(KEYS[t // 20]), words[t])
            a, b, c, d, e = head, a, self.rotate(b, 30), c, d
        return [self.builder.add(old, new) for old, new in zip(state, (a, b, c, d, e), strict=True)]


@intrinsic
def compress(typingctx, state, words):  # type: ignore[no-untyped-def]
    """Mix a block into the state. Both are uint32 arrays, [5, LANES] and [16, LANES], words as in the message."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        def rows(kind: Any, array: Any, count: int) -> list[Any]:
            data = context.make_array(kind)(context, builder, array).data
            first = builder.bitcast(data, _VECTOR.as_pointer())
            return [builder.gep(first, [ir.Constant(ir.IntType(64), k)]) for k in range(count)]

        def load(place: Any) -> Any:
            value = builder.load(place)
            value.align = 4
            return value

        places = rows(signature.args[0], arguments[0], 5)
        rounds = _Rounds(builder)
        block = [rounds.swapped(load(place)) for place in rows(signature.args[1], arguments[1], 16)]
        for place, value in zip(places, rounds.compress([*map(load, places)], block), strict=True):
            builder.store(value, place).align = 4
        return context.get_dummy_value()

    return types.void(state, words), generate


@inner
def swap(x: Any) -> Any:
    """The bytes of a uint32 in reverse order."""
    x = (x & u32(0x00FF00FF)) << u32(8) | x >> u32(8) & u32(0x00FF00FF)
    return u32(x << u32(16) | x >> u32(16))


@inner
def put_block(text: Any, begin: Any, size: Any, k: Any, words: Any, lane: Any) -> None:
    """Write block k of the padded message text[begin:begin + size] into a lane; reads up to 3 bytes after it."""
    for j in range(16):
        at = 64 * k + 4 * j
        left = size - at
        if left >= 4:
            words[j, lane] = load32(text, begin + at)
        elif left >= 0:
            kept = load32(text, begin + at) & (u64(1) << u64(8 * left)) - u64(1)
            words[j, lane] = kept | u64(0x80) << u64(8 * left)
        else:
            words[j, lane] = 0
    if 64 * k + 64 - size >= 9:  # the last block
        words[15, lane] = swap(u32(8 * size))


@kernel(allocates=False)
def sha1_32(text: Any, spans: Any, count: Any, state: Any, words: Any, out: Any) -> None:
    """Fill out[:count] with the hashes of text[spans[i, 0]:spans[i, 1]]; `state` and `words` are scratch."""
    for first in range(0, count, LANES):
        lanes, blocks = min(LANES, count - first), 1
        for lane in range(lanes):
            blocks = max(blocks, (spans[first + lane, 1] - spans[first + lane, 0] + 8) // 64 + 1)
        for j in range(5):
            for lane in range(LANES):
                state[j, lane] = u32(START[j])
        for k in range(blocks):
            for lane in range(lanes):
                begin = spans[first + lane, 0]
                put_block(text, begin, spans[first + lane, 1] - begin, k, words, lane)
            compress(state, words)
            for lane in range(lanes):
                if (spans[first + lane, 1] - spans[first + lane, 0] + 8) // 64 == k:
                    out[first + lane] = swap(state[0, lane])
