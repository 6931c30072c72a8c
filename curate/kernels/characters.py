"""How many characters of each class a document has, and the entropy of its bytes.

The bytes are counted first, which says everything about ASCII; only what is not ASCII is decoded.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from curate.kernels.bits import ALL, ONE, below, load8, trailing_zeros, u64
from curate.kernels.jit import inner, kernel
from curate.kernels.lexer import Lexed
from curate.kernels.masks import BLOCK, REACH
from curate.kernels.segment import load_masks
from curate.kernels.sharing import shared
from curate.kernels.text import decode, read_only
from curate.kernels.traits import ALNUM, DIGIT, SPECIAL, Traits, traits
from curate.kernels.unicode import ALPHA, PUNCTUATION, SPACE, UPPER

CLASSES = {
    "letter": ALPHA,
    "alnum": ALNUM,
    "digit": DIGIT,
    "uppercase": UPPER,
    "whitespace": SPACE,
    "punctuation": PUNCTUATION,
    "special": SPECIAL,
}
BITS = np.array([*CLASSES.values()])
COUNTS = (*CLASSES, "parenthesis", "curly_bracket", "newline", "non_ascii")
ANGLE = 1 << 30  # of the brackets ⟨ and ⟩
LANES = 4  # histograms filled in turn, so that equal bytes in a row do not wait for one another


class Kinds(NamedTuple):
    """What is counted of a code point: `kinds[number[page[cp >> 8] << 8 | cp & 255]]`. Few kinds differ."""

    page: np.ndarray  # uint16[0x2000]
    number: np.ndarray  # uint8
    kinds: np.ndarray  # int64, of CLASSES and ANGLE


@cache
def kinds() -> Kinds:
    """The kinds of all code points, made once."""
    page, known, _ = traits()
    wanted = known.astype(np.int64) & sum(CLASSES.values())
    for point in (0x27E8, 0x27E9):
        wanted[int(page[point >> 8]) << 8 | point & 255] |= ANGLE
    found, number = np.unique(wanted, return_inverse=True)
    return Kinds(page, *map(read_only, (number.astype(np.uint8), found)))


def characters(lexed: Lexed) -> dict[str, np.ndarray]:
    """Code points of each class (COUNTS, int64[documents]) and `byte_entropy` (float64, bits per byte, 0..8).

    letter, alnum, digit, uppercase and whitespace are as Python's `str` methods say (Unicode 15.0), punctuation the
    categories P*, special the set of Data-Juicer, parenthesis ( ) [ ] { } ⟨ ⟩ and curly_bracket { }.

    >>> from curate.kernels.lexer import lex
    >>> import pyarrow as pa
    >>> counts = characters(lex(pa.array(["Äb 1!", "aabb"])))
    >>> [counts[name].tolist() for name in ("letter", "uppercase", "special", "non_ascii", "byte_entropy")]
    [[2, 4], [1, 0], [3, 0], [1, 0], [2.584962500721156, 1.0]]
    """
    return shared(lexed, "characters", lambda: _characters(lexed))


def _characters(lexed: Lexed) -> dict[str, np.ndarray]:
    documents = len(lexed.offsets) - 1
    counts, entropy = np.zeros((len(COUNTS), documents), np.int64), np.empty(documents)
    lanes, pad = np.zeros((LANES, 256), np.int64), np.empty(REACH, np.uint8)
    count(lexed.data, lexed.offsets, traits(), kinds(), pad, lanes, counts, entropy)
    return {**dict(zip(COUNTS, counts, strict=True)), "byte_entropy": entropy}


@inner
def count_bytes(data: Any, begin: Any, end: Any, lanes: Any) -> None:
    """Add the bytes to the histograms."""
    i = begin
    while i + 4 <= end:
        lanes[0, u64(load8(data, i))] += 1
        lanes[1, u64(load8(data, i + 1))] += 1
        lanes[2, u64(load8(data, i + 2))] += 1
        lanes[3, u64(load8(data, i + 3))] += 1
        i += 4
    while i < end:
        lanes[0, u64(load8(data, i))] += 1
        i += 1


@inner
def count_wide(data: Any, begin: Any, end: Any, pad: Any, kinds: Kinds, lanes: Any, counts: Any, d: Any) -> None:
    """Add what is not ASCII: how often each kind is there is counted in two lanes, which are zero before and after."""
    wide = u64(0)
    for i in range(begin, end, BLOCK):
        _, _, leads, _, _ = load_masks(data, i, pad)
        leads &= ALL if end - i >= BLOCK else below(end - i)
        while leads:
            point, _ = decode(data, i + trailing_zeros(leads), end)
            lanes[wide & ONE, kinds.number[u64(kinds.page[u64(point >> 8)]) << u64(8) | u64(point & 255)]] += 1
            leads &= leads - ONE
            wide += ONE
    for n in range(u64(len(kinds.kinds))):
        times = lanes[u64(0), n] + lanes[u64(1), n]
        lanes[u64(0), n] = lanes[u64(1), n] = 0
        for k in range(len(BITS)):
            counts[k, d] += times * (kinds.kinds[n] & BITS[k] != 0)
        counts[7, d] += times * (kinds.kinds[n] & ANGLE != 0)
    counts[10, d] += np.int64(wide)


@kernel(allocates=False)
def count(
    data: Any, offsets: Any, traits: Traits, kinds: Kinds, pad: Any, lanes: Any, counts: Any, entropy: Any
) -> None:
    """Add to the counts, from zero, and fill the entropy; the lanes are zero before and after."""
    for d in range(len(offsets) - 1):
        begin, end = np.int64(offsets[d]), np.int64(offsets[d + 1])
        count_bytes(data, begin, end, lanes)
        bits, wide = 0.0, 0
        for byte in range(256):
            times = lanes[0, byte] + lanes[1, byte] + lanes[2, byte] + lanes[3, byte]
            if times == 0:
                continue
            lanes[0, byte] = lanes[1, byte] = lanes[2, byte] = lanes[3, byte] = 0
            bits -= times * np.log2(times / (end - begin))
            if byte >= 0x80:
                wide += times
                continue
            kind = np.int64(traits.ascii[byte])
            for k in range(len(BITS)):
                counts[k, d] += times * (kind & BITS[k] != 0)
            is_curly = byte == 0x7B or byte == 0x7D
            counts[7, d] += times * (is_curly or byte == 0x28 or byte == 0x29 or byte == 0x5B or byte == 0x5D)
            counts[8, d] += times * is_curly
            counts[9, d] += times * (byte == 0x0A)
        entropy[d] = bits / (end - begin) + 0.0 if end > begin else 0.0
        if wide:
            count_wide(data, begin, end, pad, kinds, lanes, counts, d)
