"""What can be told of HTML without a parser: whether a text has tags at all, and how deep they are nested."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curate.kernels.bits import ONE, below, load8, popcount, trailing_zeros, u64
from curate.kernels.jit import inner, kernel
from curate.kernels.masks import BLOCK, tag_masks
from curate.kernels.text import buffers, read_only

# Elements without an end tag, and those whose end tag pages leave out: they do not nest in earnest.
FLAT = (
    *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"),
    *("p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "option", "optgroup", "colgroup"),
    *("rt", "rp", "body", "html", "head"),
)
SLOTS = 7  # binary digits
SPREAD = u64(0x9E3779B97F4A7C15)
LESS, SLASH, BANG, QUESTION, A, Z, ZERO, NINE = b"</!?az09"
LONGEST = 8  # letters of a flat element


class Shape(NamedTuple):
    """What the texts of a batch look like."""

    is_page: np.ndarray  # bool[documents], there is a tag, a comment or a declaration
    depth: np.ndarray  # int32[documents], how deep elements are nested at most
    characters: np.ndarray  # int32[documents], code points


def shape(text: pa.StringArray) -> Shape:
    """Look through the texts once. Elements whose end tag may be left out do not count as nested.

    >>> seen = shape(pa.array(["<div><b>x</b></div>" * 9, "<div>" * 9 + "<p>x", "1 < 2"]))
    >>> seen.is_page.tolist(), seen.depth.tolist(), seen.characters.tolist()
    ([True, True, False], [2, 9, 0], [171, 49, 5])
    """
    found = Shape(np.zeros(len(text), np.bool_), np.zeros(len(text), np.int32), np.zeros(len(text), np.int32))
    look(*buffers(text), _FLAT, found)
    return found


def _slots() -> np.ndarray:
    """A hash table of the flat elements' names, each in eight bytes; 0 where a slot is free."""
    table = np.zeros(1 << SLOTS, np.uint64)
    for name in FLAT:
        packed = int.from_bytes(name.encode(), "little")
        slot = (packed * int(SPREAD) & (1 << 64) - 1) >> 64 - SLOTS
        while table[slot]:
            slot = (slot + 1) % len(table)
        table[slot] = packed
    return read_only(table)


_FLAT = _slots()


@kernel(allocates=False)
def look(data: Any, offsets: Any, flat: Any, found: Shape) -> None:
    """Fill `found`."""
    for d in range(len(offsets) - 1):
        i, end = np.int64(offsets[d]), np.int64(offsets[d + 1])
        inside = now = deepest = step = 0
        name_end = i  # of the tag that has begun; `step` is what it does to the depth
        found.characters[d] = end - i
        while i < end:
            angles, inside = masks(data, i, end)
            found.characters[d] -= popcount(inside)
            while angles:
                at = i + trailing_zeros(angles)
                angles &= angles - ONE
                now = after(data, now, step, name_end, at)
                deepest, step = max(deepest, now), 0
                if load8(data, at) == LESS and at + 1 < end:
                    step, name_end = tag_at(data, at + 1, end, flat)
                    found.is_page[d] |= step != 0 or is_tag(load8(data, at + 1))
            i += BLOCK
        found.depth[d] = max(deepest, after(data, now, step, name_end, end))


@inner
def masks(data: Any, i: Any, end: Any) -> Any:
    """Where in data[i:i+64], before `end`, angle brackets and continuation bytes are."""
    if i + BLOCK <= len(data):
        angles, inside = tag_masks(data, i)
        if end - i >= BLOCK:
            return angles, inside
        return angles & below(end - i), inside & below(end - i)
    angles, inside = u64(0), u64(0)
    for k in range(min(BLOCK, end - i)):
        c = load8(data, i + k)
        angles |= ONE << u64(k) if c == LESS or c == LESS + 2 else u64(0)
        inside |= ONE << u64(k) if 0x80 <= c < 0xC0 else u64(0)
    return angles, inside


@inner
def after(data: Any, now: Any, step: Any, name_end: Any, at: Any) -> Any:
    """The depth after a tag that ends at `at`; one that ends in a slash changes nothing."""
    return now if step == 0 or (at > name_end and load8(data, at - 1) == SLASH) else max(now + step, 0)


@inner
def is_tag(c: Any) -> Any:
    """Whether a tag, a comment or a declaration begins with `<` and this byte."""
    return A <= c | 0x20 <= Z or c in (SLASH, BANG, QUESTION)


@inner
def tag_at(data: Any, i: Any, end: Any, flat: Any) -> Any:
    """What the tag does to the depth (0 where it is flat, or none), and where its name ends. i is after the `<`."""
    step = -1 if load8(data, i) == SLASH else 1
    i += step < 0
    first, packed = i, u64(0)
    while i < end and is_of_name(load8(data, i), i > first):
        if i - first < LONGEST:
            packed |= u64(load8(data, i) | 0x20) << u64(8 * (i - first))
        i += 1
    return (0 if i == first or (i - first <= LONGEST and is_flat(packed, flat)) else step), i


@inner
def is_of_name(c: Any, may_be_digit: Any) -> Any:
    return A <= c | 0x20 <= Z or (may_be_digit and ZERO <= c <= NINE)


@inner
def is_flat(packed: Any, flat: Any) -> Any:
    slot = np.int64((packed * SPREAD) >> u64(64 - SLOTS))
    while flat[slot] and flat[slot] != packed:
        slot = (slot + 1) & (len(flat) - 1)
    return flat[slot] == packed
