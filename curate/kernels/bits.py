"""Loads, stores and bit operations that Numba lacks, as LLVM intrinsics.

Nothing here checks bounds: callers keep `i + 8` within the array.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import extending
from numba.core import types

from curate.kernels.jit import inner

u64 = np.uint64
ONE, ALL = u64(1), u64(0xFFFFFFFFFFFFFFFF)
EACH, HIGH = u64(0x0101010101010101), u64(0x8080808080808080)  # the lowest and the highest bit of eight bytes

intrinsic: Any = extending.intrinsic  # its arguments are not those of the function it makes

I8, I32, I64, I128 = (ir.IntType(bits) for bits in (8, 32, 64, 128))


def address(context: Any, builder: Any, kind: Any, array: Any, index: Any, target: Any) -> Any:
    """Of data[index], as a pointer to an LLVM type."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), target.as_pointer())


@intrinsic
def load64(typingctx, data, i):  # type: ignore[no-untyped-def]
    """The eight bytes data[i:i+8] as a little-endian uint64."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        array, index = arguments
        value = builder.load(address(context, builder, signature.args[0], array, index, I64))
        value.align = 1
        return value

    return types.uint64(data, types.intp), generate


@intrinsic
def load8(typingctx, data, i):  # type: ignore[no-untyped-def]
    """The byte data[i] as int64. Unlike data[i] it does not ask whether i counts from the end."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        array, index = arguments
        value = builder.load(address(context, builder, signature.args[0], array, index, I8))
        return builder.zext(value, I64)

    return types.int64(data, types.intp), generate


@intrinsic
def load32(typingctx, data, i):  # type: ignore[no-untyped-def]
    """The four bytes data[i:i+4] as a little-endian number, in a uint64."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        array, index = arguments
        value = builder.load(address(context, builder, signature.args[0], array, index, I32))
        value.align = 1
        return builder.zext(value, I64)

    return types.uint64(data, types.intp), generate


@intrinsic
def store32(typingctx, data, i, value):  # type: ignore[no-untyped-def]
    """Write the lower half of an int64 to the four bytes data[i:i+4], little-endian."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        array, index, value = arguments
        place = address(context, builder, signature.args[0], array, index, I32)
        stored = builder.store(builder.trunc(value, I32), place)
        stored.align = 1
        return context.get_dummy_value()

    return types.void(data, types.intp, types.int64), generate


@intrinsic
def store64(typingctx, data, i, value):  # type: ignore[no-untyped-def]
    """Write a uint64 to the eight bytes data[i:i+8], little-endian."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        array, index, value = arguments
        stored = builder.store(value, address(context, builder, signature.args[0], array, index, I64))
        stored.align = 1
        return context.get_dummy_value()

    return types.void(data, types.intp, types.uint64), generate


@intrinsic
def widen8(typingctx, data, i, out, o):  # type: ignore[no-untyped-def]
    """Write the eight bytes data[i:i+8] as numbers to out[o:o+8], uint32."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        data, i, out, o = arguments
        bytes = builder.load(address(context, builder, signature.args[0], data, i, ir.VectorType(I8, 8)))
        numbers = builder.zext(bytes, ir.VectorType(I32, 8))
        stored = builder.store(numbers, address(context, builder, signature.args[2], out, o, numbers.type))
        bytes.align = stored.align = 1
        return context.get_dummy_value()

    return types.void(data, types.intp, out, types.intp), generate


@intrinsic
def trailing_zeros(typingctx, x):  # type: ignore[no-untyped-def]
    """Position of the lowest set bit as int64; 64 for zero."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


@intrinsic
def leading_zeros(typingctx, x):  # type: ignore[no-untyped-def]
    """How many bits above the highest set bit are zero, as int64; 64 for zero."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


@intrinsic
def popcount(typingctx, x):  # type: ignore[no-untyped-def]
    """Number of set bits as int64."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


@intrinsic
def multiply_wide(typingctx, x, y):  # type: ignore[no-untyped-def]
    """The 128-bit product of two uint64 as (low, high)."""
    pair = types.UniTuple(types.uint64, 2)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        x, y = (builder.zext(argument, I128) for argument in arguments)
        product = builder.mul(x, y)
        high = builder.lshr(product, ir.Constant(I128, 64))
        return context.make_tuple(builder, pair, [builder.trunc(half, I64) for half in (product, high)])

    return pair(types.uint64, types.uint64), generate


@inner
def below(n):  # type: ignore[no-untyped-def]
    """The mask of the bits under position n, 0 <= n < 64."""
    return (ONE << u64(n)) - ONE
