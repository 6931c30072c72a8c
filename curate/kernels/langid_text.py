"""Text as py3langid reads it: in normal form C, and in lower case where all of it is capitals."""

from __future__ import annotations

import sys
import unicodedata
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.kernels.bits import HIGH, load64
from curate.kernels.jit import kernel
from curate.kernels.kept import kept
from curate.kernels.text import buffers, decode
from curate.kernels.unicode import HANGUL, HANGUL_END

FIRST, SECOND, UNSTABLE, UPPER, OTHER_CASE = (256 << k for k in range(5))  # above the combining class
TRAITS_END = 0x30000  # from here on no code point has a trait
HANGUL_LETTERS = range(0x1100, 0x1113)  # syllables are composed by arithmetic, not listed as pairs
HANGUL_MARKS = (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))
PLAIN_END = 0xCC  # lead byte of U+0300: what is below is in normal form C, unless something above follows


@cache
def _traits() -> np.ndarray:
    """What `_make_traits` gives, by the running Python."""
    (traits,) = kept(f"traits-{unicodedata.unidata_version}-{sys.hexversion:x}", lambda: [_make_traits()])
    return traits


def _make_traits() -> np.ndarray:
    """By code point, by the running Python: the combining class, FIRST or SECOND of a pair that normal form C may
    compose, UNSTABLE when it changes by itself, and the two kinds of case that `str.isupper` tells apart."""
    traits = np.zeros(TRAITS_END, np.uint16)
    letters, marks, composed = {*map(chr, HANGUL_LETTERS)}, {*map(chr, HANGUL_MARKS)}, []
    for point in range(TRAITS_END):
        char = chr(point)
        is_stable = unicodedata.is_normalized("NFC", char)
        case = UPPER if char.isupper() else OTHER_CASE * (char.islower() or char.istitle())
        traits[point] = unicodedata.combining(char) | case | UNSTABLE * (not is_stable)
        parts = unicodedata.decomposition(char).split()
        if is_stable and len(parts) == 2 and parts[0][0] != "<":
            composed.append(char)
            letters.add(chr(int(parts[0], 16)))
            marks.add(chr(int(parts[1], 16)))
    letters.update(char for char in composed if letters & {*unicodedata.normalize("NFD", char)})
    traits[[*map(ord, letters)]] |= FIRST
    traits[HANGUL:HANGUL_END] |= FIRST
    traits[[*map(ord, marks)]] |= SECOND
    return traits


@kernel(forceinline=True)
def _trait(traits: Any, point: Any) -> Any:
    return np.int64(traits[point]) if point < len(traits) else np.int64(0)


@kernel
def _may_be_upper(data: Any, begin: Any, end: Any, traits: Any) -> Any:
    """Whether there are capital letters and no other ones (`str.isupper`)."""
    seen, i = 0, begin
    while i < end:
        point, i = decode(data, i, end)
        seen |= _trait(traits, point)
        if seen & OTHER_CASE:
            return False
    return seen & UPPER != 0


@kernel
def _may_be_composed(data: Any, begin: Any, end: Any, traits: Any) -> Any:
    """False only where the text is in normal form C: marks are in order and none may join the letter before it."""
    starter, rank, i = begin, 0, begin
    while i < end:
        at = i
        if i + 8 <= end and load64(data, i) & HIGH == 0:  # eight characters of ASCII
            starter, rank, i = i + 7, 0, i + 8
            continue
        if data[i] < PLAIN_END:
            i += 1 if data[i] < 0x80 else 2
            starter, rank = at, 0
            continue
        point, i = decode(data, i, end)
        trait = _trait(traits, point)
        if trait & UNSTABLE or 0 < trait & 255 < rank:
            return True
        if trait & SECOND and at > begin and _trait(traits, decode(data, starter, end)[0]) & FIRST:
            return True
        rank = trait & 255
        if rank == 0:
            starter = at
    return False


@kernel
def _find_rewritten(data: Any, offsets: Any, traits: Any, is_rewritten: Any) -> None:
    for d in range(len(offsets) - 1):
        begin, end = np.int64(offsets[d]), np.int64(offsets[d + 1])
        has_small, is_plain = False, True
        for i in range(begin, end):
            has_small |= (data[i] - np.uint8(97)) < 26
            is_plain &= data[i] < PLAIN_END
        upper = not has_small and _may_be_upper(data, begin, end, traits)
        is_rewritten[d] = upper or (not is_plain and _may_be_composed(data, begin, end, traits))


def _as_read(text: str) -> str:
    return unicodedata.normalize("NFC", text.lower() if text.isupper() else text)


def prepare(text: pa.Array) -> pa.Array:
    """Text as the library reads it: in normal form C, and in lower case where all of it is capitals.

    Only the few documents that may change become Python strings.

    >>> prepare(pa.array(["STOP", "Stop", "cafe\\u0301"])).to_pylist()
    ['stop', 'Stop', 'café']
    """
    is_rewritten = np.zeros(len(text), bool)
    _find_rewritten(*buffers(text), _traits(), is_rewritten)
    if not is_rewritten.any():
        return text
    rewritten = [_as_read(value) for value in text.filter(is_rewritten).to_pylist()]
    return pc.replace_with_mask(text, is_rewritten, pa.array(rewritten, pa.string()))
