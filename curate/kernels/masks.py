"""Vector comparisons, as LLVM has them: masks of one bit for each of 64 bytes (the idea is simdjson's).

Nothing here checks bounds: callers keep `i + 64`, or as much as is said to be read, within the array.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import Any

from llvmlite import ir
from numba.core import types

from curate.kernels.bits import I8, I32, I64, address, intrinsic
from curate.kernels.jit import inner

BLOCK = 64  # bytes per mask
REACH = 66  # bytes that `wide_masks` looks at
SHORT = 16  # bytes that `word_masks` looks at

VECTOR = ir.VectorType(I8, BLOCK)


class _Block:
    """Sixty-four bytes (or fewer) in a vector register; every comparison is a mask of one bit per byte."""

    def __init__(self, context: Any, builder: Any, kind: Any, array: Any, index: Any, size: int = BLOCK) -> None:
        self.builder, self.size = builder, size
        self.type = ir.VectorType(I8, size)
        self.value = builder.load(address(context, builder, kind, array, index, self.type))
        self.value.align = 1

    def every(self, byte: int) -> Any:
        """A block of this byte."""
        return ir.Constant(self.type, [byte] * self.size)

    def lowered(self) -> _Block:
        """ASCII letters in lower case; some other bytes become one another."""
        other = copy(self)
        other.value = self.builder.or_(self.value, self.every(0x20))
        return other

    def first(self, n: Any) -> _Block:
        """The first n bytes, and zeros for the others."""
        builder, nothing = self.builder, ir.Constant(self.type, None)
        number = builder.insert_element(nothing, builder.trunc(n, I8), I32(0))
        numbers = builder.shuffle_vector(number, number, ir.Constant(ir.VectorType(I32, self.size), None))
        is_in = builder.icmp_unsigned("<", ir.Constant(self.type, [*range(self.size)]), numbers)
        other = copy(self)
        other.value = builder.select(is_in, self.value, nothing)
        return other

    def bits(self, mask: Any) -> Any:
        """A mask of few bytes as uint64."""
        return self.builder.zext(self.builder.bitcast(mask, ir.IntType(self.size)), I64)

    def halves(self) -> list[Any]:
        """Sixteen bytes as two uint64."""
        pair = self.builder.bitcast(self.value, ir.VectorType(I64, 2))
        return [self.builder.extract_element(pair, I32(k)) for k in range(2)]

    def equals(self, byte: int) -> Any:
        return self.builder.icmp_unsigned("==", self.value, self.every(byte))

    def between(self, low: int, high: int) -> Any:
        shifted = self.builder.sub(self.value, self.every(low))
        return self.builder.icmp_unsigned("<=", shifted, self.every(high - low))

    def spaces(self) -> Any:
        """White space of ASCII."""
        return self.any_of(self.equals(0x20), self.between(0x09, 0x0D), self.between(0x1C, 0x1F))

    def any_of(self, *masks: Any) -> Any:
        result = masks[0]
        for mask in masks[1:]:
            result = self.builder.or_(result, mask)
        return result

    def all_of(self, *masks: Any) -> Any:
        result = masks[0]
        for mask in masks[1:]:
            result = self.builder.and_(result, mask)
        return result


def _blocks(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Iterator[_Block]:
    """The blocks that begin at a byte and at the two after it, for characters of up to three bytes."""
    return (_Block(context, builder, kind, array, builder.add(index, ir.Constant(I64, k))) for k in range(3))


@intrinsic
def byte_masks(typingctx, data, i):  # type: ignore[no-untyped-def]
    """Masks of data[i:i+64]: ASCII white space, line feed, full stop, number sign, continuation byte, not ASCII."""
    masks = types.UniTuple(types.uint64, 6)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        block = _Block(context, builder, signature.args[0], *arguments)
        found = [
            block.spaces(),
            block.equals(0x0A),
            block.equals(0x2E),
            block.equals(0x23),
            block.between(0x80, 0xBF),
            block.between(0x80, 0xFF),
        ]
        return context.make_tuple(builder, masks, [builder.bitcast(mask, I64) for mask in found])

    return masks(data, types.intp), generate


@intrinsic
def wide_masks(typingctx, data, i):  # type: ignore[no-untyped-def]
    """Masks of where in data[i:i+64] begin: white space of two bytes, white space of three bytes, an ellipsis (U+2026).

    Reads data[i:i+66].
    """
    masks = types.UniTuple(types.uint64, 3)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        first, second, third = _blocks(context, builder, signature.args[0], *arguments)
        both, either = first.all_of, first.any_of
        e2, e2_80 = first.equals(0xE2), both(first.equals(0xE2), second.equals(0x80))
        found = [
            both(first.equals(0xC2), either(second.equals(0x85), second.equals(0xA0))),
            either(
                both(e2_80, either(third.between(0x80, 0x8A), third.between(0xA8, 0xA9), third.equals(0xAF))),
                both(e2, second.equals(0x81), third.equals(0x9F)),
                both(first.equals(0xE3), second.equals(0x80), third.equals(0x80)),
                both(first.equals(0xE1), second.equals(0x9A), third.equals(0x80)),
            ),
            both(e2_80, third.equals(0xA6)),
        ]
        return context.make_tuple(builder, masks, [builder.bitcast(mask, I64) for mask in found])

    return masks(data, types.intp), generate


@intrinsic
def landmark_masks(typingctx, data, i):  # type: ignore[no-untyped-def]
    """Masks of data[i:i+64] for `curate.kernels.landmarks`; reads data[i:i+66].

    ASCII line breaks but \\n; \\r before \\n; where a phrase or link may be; [ of a citation; ASCII marks; {; not
    ASCII.
    """
    masks = types.UniTuple(types.uint64, 7)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        first, second, third = _blocks(context, builder, signature.args[0], *arguments)
        both, either, lower = first.all_of, first.any_of, [block.lowered() for block in (first, second, third)]
        triples = [
            both(*(block.equals(ord(char)) for block, char in zip(lower, triple, strict=True)))
            for triple in ("jav", "psu", "kie", "vac", "rms", "www", "://")
        ]
        inside = either(
            second.between(0x30, 0x39), second.equals(0x5D), second.between(0x80, 0xFF), *map(second.equals, b"ec")
        )
        found = [
            either(first.between(0x0B, 0x0D), first.between(0x1C, 0x1E)),
            both(first.equals(0x0D), second.equals(0x0A)),
            either(*triples),
            both(first.equals(0x5B), inside),
            either(*map(first.equals, b".!?")),
            first.equals(0x7B),
            first.between(0x80, 0xFF),
        ]
        return context.make_tuple(builder, masks, [builder.bitcast(mask, I64) for mask in found])

    return masks(data, types.intp), generate


@intrinsic
def wide_landmark_masks(typingctx, data, i):  # type: ignore[no-untyped-def]
    """Masks of where in data[i:i+64] begin: line breaks that are not ASCII, ends of sentences that are not.

    Reads data[i:i+66]. The marks are U+2026, 061F, 06D4, 0964, 0965, 3002, FF01, FF0E, FF1F, FF61.
    """
    masks = types.UniTuple(types.uint64, 2)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        first, second, third = _blocks(context, builder, signature.args[0], *arguments)
        both, either = first.all_of, first.any_of
        e2_80, ef = both(first.equals(0xE2), second.equals(0x80)), first.equals(0xEF)
        found = [
            either(both(first.equals(0xC2), second.equals(0x85)), both(e2_80, third.between(0xA8, 0xA9))),
            either(
                both(e2_80, third.equals(0xA6)),
                both(first.equals(0xD8), second.equals(0x9F)),
                both(first.equals(0xDB), second.equals(0x94)),
                both(first.equals(0xE0), second.equals(0xA5), third.between(0xA4, 0xA5)),
                both(first.equals(0xE3), second.equals(0x80), third.equals(0x82)),
                both(ef, second.equals(0xBC), either(third.equals(0x81), third.equals(0x8E), third.equals(0x9F))),
                both(ef, second.equals(0xBD), third.equals(0xA1)),
            ),
        ]
        return context.make_tuple(builder, masks, [builder.bitcast(mask, I64) for mask in found])

    return masks(data, types.intp), generate


@intrinsic
def token_masks(typingctx, data, i):  # type: ignore[no-untyped-def]
    r"""Masks of data[i:i+64]: \w of ASCII, white space of ASCII, first bytes of what is not ASCII, low line, ASCII."""
    masks = types.UniTuple(types.uint64, 5)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        block = _Block(context, builder, signature.args[0], *arguments)
        upper, lower = block.between(0x41, 0x5A), block.between(0x61, 0x7A)
        found = [
            block.any_of(upper, lower, block.between(0x30, 0x39), block.equals(0x5F)),
            block.spaces(),
            block.between(0xC0, 0xFF),
            block.equals(0x5F),
            block.between(0x00, 0x7F),
        ]
        return context.make_tuple(builder, masks, [builder.bitcast(mask, I64) for mask in found])

    return masks(data, types.intp), generate


@intrinsic
def letter_masks(typingctx, data, i):  # type: ignore[no-untyped-def]
    """Masks of where in data[i:i+64] begin: letters of two bytes, Hangul syllables, Chinese characters; most, not all.

    Reads data[i:i+66]. The letters are Latin from U+00C0 to U+027F, Cyrillic to U+047F, and Arabic in U+0620 to U+064A.
    """
    masks = types.UniTuple(types.uint64, 3)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        first, second, _ = _blocks(context, builder, signature.args[0], *arguments)
        both, either = first.all_of, first.any_of
        signs = either(second.equals(0x97), second.equals(0xB7))  # of multiplication and division
        found = [
            either(
                first.between(0xC4, 0xC9),
                first.between(0xD0, 0xD1),
                both(first.equals(0xC3), builder.not_(signs)),
                both(first.equals(0xD8), second.between(0xA0, 0xBF)),
                both(first.equals(0xD9), second.between(0x80, 0x8A)),
            ),
            either(first.between(0xEB, 0xEC), both(first.equals(0xEA), second.between(0xB0, 0xBF))),
            either(first.between(0xE5, 0xE9), both(first.equals(0xE4), builder.not_(second.equals(0xB7)))),
        ]
        return context.make_tuple(builder, masks, [builder.bitcast(mask, I64) for mask in found])

    return masks(data, types.intp), generate


@intrinsic
def word_masks(typingctx, data, i, n):  # type: ignore[no-untyped-def]
    """Masks of the n <= 16 bytes at i, and the bytes as two little-endian uint64; reads data[i:i+16].

    A-Z; a-z; 0-9; other printable ASCII; low line; full stop, exclamation and question mark; not ASCII. The bytes are
    in lower case, with zeros for other printable ASCII and for those beyond n.
    """
    found = types.UniTuple(types.uint64, 9)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        data, i, n = arguments
        block = _Block(context, builder, signature.args[0], data, i, SHORT).first(n)
        upper, lower, digit = (block.between(*ends) for ends in ((0x41, 0x5A), (0x61, 0x7A), (0x30, 0x39)))
        other = block.all_of(block.between(0x21, 0x7E), builder.not_(block.any_of(upper, lower, digit)))
        marks = block.any_of(*map(block.equals, b".!?"))
        masks = (upper, lower, digit, other, block.equals(0x5F), marks, block.between(0x80, 0xFF))
        bits = map(block.bits, masks)
        block.value = builder.select(upper, block.lowered().value, builder.select(other, block.every(0), block.value))
        return context.make_tuple(builder, found, [*bits, *block.halves()])

    return found(data, types.intp, types.intp), generate


@intrinsic
def letters_of(typingctx, data, i, n):  # type: ignore[no-untyped-def]
    """Masks of the n <= 16 bytes at i, and the bytes as two little-endian uint64, zeros after them; reads data[i:i+16].

    A-Z; a-z; 0-9; continuation byte; not ASCII.
    """
    found = types.UniTuple(types.uint64, 7)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        data, i, n = arguments
        block = _Block(context, builder, signature.args[0], data, i, SHORT).first(n)
        ranges = ((0x41, 0x5A), (0x61, 0x7A), (0x30, 0x39), (0x80, 0xBF), (0x80, 0xFF))
        return context.make_tuple(
            builder, found, [*(block.bits(block.between(*ends)) for ends in ranges), *block.halves()]
        )

    return found(data, types.intp, types.intp), generate


@intrinsic
def case_masks(typingctx, data, i):  # type: ignore[no-untyped-def]
    r"""Masks of data[i:i+64]: A-Z, a-z, other \w of ASCII, white space of ASCII, first bytes of what is not ASCII."""
    masks = types.UniTuple(types.uint64, 5)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        block = _Block(context, builder, signature.args[0], *arguments)
        found = [
            block.between(0x41, 0x5A),
            block.between(0x61, 0x7A),
            block.any_of(block.between(0x30, 0x39), block.equals(0x5F)),
            block.spaces(),
            block.between(0xC0, 0xFF),
        ]
        return context.make_tuple(builder, masks, [builder.bitcast(mask, I64) for mask in found])

    return masks(data, types.intp), generate


@intrinsic
def pii_masks(typingctx, data, i):  # type: ignore[no-untyped-def]
    """Masks of data[i:i+64] for `curate.kernels.pii`; reads data[i:i+66].

    @; digits; colon before a hexadecimal digit or colon; hyphen; what tokens of keys are made of.
    """
    masks = types.UniTuple(types.uint64, 5)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        first, second, _ = _blocks(context, builder, signature.args[0], *arguments)
        either, small = first.any_of, first.lowered()
        digits, hyphen = first.between(0x30, 0x39), first.equals(0x2D)
        follows = either(second.between(0x30, 0x3A), second.lowered().between(0x61, 0x66))
        found = [
            first.equals(0x40),
            digits,
            first.all_of(first.equals(0x3A), follows),
            hyphen,
            either(digits, hyphen, first.equals(0x5F), small.between(0x61, 0x7A)),
        ]
        return context.make_tuple(builder, masks, [builder.bitcast(mask, I64) for mask in found])

    return masks(data, types.intp), generate


@intrinsic
def code_masks(typingctx, data, i):  # type: ignore[no-untyped-def]
    r"""Masks of data[i:i+64] for `curate.kernels.code`; reads data[i:i+66].

    \w of ASCII; what base64 is made of; where a byte in hexadecimal, where \u and where "gen" may begin.
    """
    masks = types.UniTuple(types.uint64, 5)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        first, second, third = _blocks(context, builder, signature.args[0], *arguments)
        both, either, small = first.all_of, first.any_of, [block.lowered() for block in (first, second, third)]
        words = [
            either(low.between(0x61, 0x7A), at.between(0x30, 0x39))
            for at, low in ((first, small[0]), (third, small[2]))
        ]
        hexes = [
            either(low.between(0x61, 0x66), at.between(0x30, 0x39))
            for at, low in ((first, small[0]), (second, small[1]))
        ]
        prefix = both(either(first.equals(0x30), first.equals(0x5C)), second.equals(0x78))
        found = [
            either(words[0], first.equals(0x5F)),
            either(words[0], first.equals(0x0A), *map(first.equals, b"+/=")),
            either(both(*hexes, builder.not_(words[1])), prefix),
            both(first.equals(0x5C), second.equals(0x75)),
            both(*(low.equals(letter) for low, letter in zip(small, b"gen", strict=True))),
        ]
        return context.make_tuple(builder, masks, [builder.bitcast(mask, I64) for mask in found])

    return masks(data, types.intp), generate


@intrinsic
def line_feeds(typingctx, data, i):  # type: ignore[no-untyped-def]
    """Mask of the line feeds in data[i:i+64]."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        block = _Block(context, builder, signature.args[0], *arguments)
        return builder.bitcast(block.equals(0x0A), I64)

    return types.uint64(data, types.intp), generate


@intrinsic
def tag_masks(typingctx, data, i):  # type: ignore[no-untyped-def]
    """Masks of data[i:i+64]: `<` or `>`, continuation byte."""
    masks = types.UniTuple(types.uint64, 2)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        block = _Block(context, builder, signature.args[0], *arguments)
        found = [block.any_of(block.equals(0x3C), block.equals(0x3E)), block.between(0x80, 0xBF)]
        return context.make_tuple(builder, masks, [builder.bitcast(mask, I64) for mask in found])

    return masks(data, types.intp), generate


@intrinsic
def string_ends(typingctx, data, i):  # type: ignore[no-untyped-def]
    """Mask of what ends plain text of a JSON string in data[i:i+64]: quotes, backslashes, control characters."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        block = _Block(context, builder, signature.args[0], *arguments)
        found = block.any_of(block.equals(0x22), block.equals(0x5C), block.between(0x00, 0x1F))
        return builder.bitcast(found, I64)

    return types.uint64(data, types.intp), generate


@intrinsic
def copy_block(typingctx, data, i, out, o):  # type: ignore[no-untyped-def]
    """Copy data[i:i+64] to out[o:o+64]; returns the mask of the backslashes in it."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        data, i, out, o = arguments
        block = _Block(context, builder, signature.args[0], data, i)
        stored = builder.store(block.value, address(context, builder, signature.args[2], out, o, VECTOR))
        stored.align = 1
        return builder.bitcast(block.equals(0x5C), I64)

    return types.uint64(data, types.intp, out, types.intp), generate


@inner
def copy_rest(data: Any, i: Any, pad: Any) -> None:
    """Fill `pad`, uint8[REACH], with data[i:] and zeros, for masks of a last block."""
    pad[:] = 0
    for k in range(len(data) - i):
        pad[k] = data[i + k]
