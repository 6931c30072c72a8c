"""Text as the language models of CCNet see it (Wenzek et al. 2020, arXiv 1911.00359): lower case, without accents,
digits as 0, a list of Unicode punctuation in ASCII, no control characters."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curate.kernels.bits import HIGH, load8, store64
from curate.kernels.folding import GROWTH, SLACK, fold_wide, load_upto8, plain8, room
from curate.kernels.jit import inner, kernel
from curate.kernels.text import buffers, decode, encode, previous
from curate.kernels.traits import DECIMAL, NONSPACING, Traits, kind_of, traits
from curate.kernels.unicode import SPACE, Tables, tables

# cc_net's list also has the full-width 1, which its own step before this one has already made a 0.
PUNCTUATION = {
    **dict.fromkeys("„”“«»」「《》", '"'),
    **dict.fromkeys("´’", "'"),
    **dict.fromkeys("，、", ","),
    **dict.fromkeys("∶：", ":"),
    **dict.fromkeys("–━►", "-"),
    **dict(zip("。？！（）；～〈〉【】％", ".?!();~<>[]%", strict=True)),
    "—": " - ",
    "．": ". ",
    "…": "...",
}
LINE_FEED = 0x0A


class Rules(NamedTuple):
    """What the kernel looks up."""

    traits: Traits
    tables: Tables
    replaced: np.ndarray  # uint32[65536], by code point: number of bytes, and up to three of them; 0 for itself


@functools.cache
def rules() -> Rules:
    replaced = np.zeros(1 << 16, np.uint32)
    for char, ascii in PUNCTUATION.items():
        replaced[ord(char)] = len(ascii) | int.from_bytes(ascii.encode(), "little") << 8
    return Rules(traits(), tables(), replaced)


def normalised(text: pa.Array, lines: bool = False) -> pa.StringArray:
    """Each text as `cc_net.text_normalizer.normalize` has it; with `lines`, each line of it, none of them dropped.

    A text is one line to cc_net, which deletes line feeds with the other control characters.

    >>> normalised(pa.array([" Café No. 12…\\nOpen"])).to_pylist()
    ['cafe no. 00...open']
    >>> normalised(pa.array([" Café No. 12…\\nOpen"]), lines=True).to_pylist()
    ['cafe no. 00...\\nopen']
    """
    data, offsets = buffers(text)
    sizes = np.diff(offsets)
    out = np.empty(int(sizes.sum()) * GROWTH + SLACK, np.uint8)
    written = np.zeros(len(offsets), np.int64)
    normalise(data, offsets, lines, rules(), room(int(sizes.max(initial=0))), out, written)
    if written[-1] >= 2**31:
        raise ValueError("more than 2 GB of normalised text in one batch: use smaller batches")
    whole = pa.py_buffer(out[: written[-1]].copy())
    return pa.StringArray.from_buffers(len(text), pa.py_buffer(written.astype(np.int32)), whole)


@kernel(allocates=False)
def normalise(data: Any, offsets: Any, lines: Any, rules: Rules, folded: Any, out: Any, written: Any) -> None:
    """Write all texts one after the other, and where each ends."""
    o = np.int64(0)
    for d in range(len(offsets) - 1):
        begin, last = np.int64(offsets[d]), np.int64(offsets[d + 1])
        while True:
            end = last
            if lines:
                end = begin
                while end < last and load8(data, end) != LINE_FEED:
                    end += 1
            o = write_line(data, begin, end, rules, folded, out, o)
            if end == last:
                break
            out[o] = LINE_FEED
            o += 1
            begin = end + 1
        written[d + 1] = o


@inner
def write_line(data: Any, begin: Any, end: Any, rules: Rules, folded: Any, out: Any, o: Any) -> Any:
    """Write one line at byte o, eight bytes at a time while all are ASCII; returns the index after it."""
    begin, end = inside(data, begin, end, rules.traits)
    at = o
    for i in range(begin, end, 8):
        n = min(8, end - i)
        x = load_upto8(data, i, n)
        if x & HIGH:
            start = np.int64(0)
            size = fold_wide(data, begin, end, False, rules.tables, folded, start)
            return write_wide(folded, size, rules, out, at)
        x, n = plain8(x, n)
        store64(out, o, x)
        o += n
    return o


@inner
def write_wide(folded: Any, size: Any, rules: Rules, out: Any, o: Any) -> Any:
    """Write a folded line at byte o; returns the index after it."""
    i = np.int64(0)
    while i < size:
        point, i = decode(folded, i, size)
        if point < 0x20 or 0x7F <= point < 0xA0:
            continue
        kind = kind_of(rules.traits, point)
        if kind & NONSPACING:
            continue
        if kind & DECIMAL:
            point = np.int64(0x30)
        packed = np.int64(rules.replaced[point]) if point < 0x10000 else np.int64(0)
        if packed == 0:
            o = encode(out, o, point)
            continue
        for k in range(packed & 0xFF):
            out[o] = packed >> 8 * (k + 1) & 0xFF
            o += 1
    return o


@inner
def inside(data: Any, begin: Any, end: Any, traits: Traits) -> Any:
    """The span without the white space at its ends."""
    while end > begin:
        last = previous(data, begin, end)
        if not kind_of(traits, decode(data, last, end)[0]) & SPACE:
            break
        end = last
    while begin < end:
        point, after = decode(data, begin, end)
        if not kind_of(traits, point) & SPACE:
            break
        begin = after
    return begin, end
