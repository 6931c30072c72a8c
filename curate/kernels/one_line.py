"""Documents as lines, which is how fastText reads them: line breaks and outer white space become spaces.

What fastText sees is `" ".join(text.splitlines()).strip()`, as RedPajama and DCLM write it, but for runs of spaces.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from curate.kernels.jit import inner, kernel
from curate.kernels.text import buffers, decode, entry, previous
from curate.kernels.unicode import SPACE, Tables, tables

BLANK, LINE_FEED = 0x20, 0x0A


def one_line(text: pa.Array) -> pa.StringArray:
    """Each document as one line that ends in a line feed, its only one. Null counts as empty.

    >>> one_line(pa.array(["One\\r\\ntwo \\u2028three\\u00a0", ""])).to_pylist()
    ['One  two    three  \\n', '\\n']
    """
    data, offsets = buffers(text)
    size = int(offsets[-1] - offsets[0]) + len(text)
    out, at = np.empty(size, np.uint8), np.empty(len(text) + 1, np.int32)
    write_lines(data, offsets, tables(), out, at)
    return pa.StringArray.from_buffers(len(text), pa.py_buffer(at), pa.py_buffer(out))


@inner
def blank_breaks(out: Any, begin: Any, end: Any) -> Any:
    """Blank the line breaks of more than one byte: U+0085, U+2028, U+2029."""
    for i in range(begin, end - 1):
        if out[i] == 0xC2 and out[i + 1] == 0x85:
            out[i] = out[i + 1] = BLANK
        elif out[i] == 0xE2 and i + 2 < end and out[i + 1] == 0x80 and out[i + 2] | 1 == 0xA9:
            out[i] = out[i + 1] = out[i + 2] = BLANK


@inner
def blank_ends(out: Any, begin: Any, end: Any, tables: Tables) -> Any:
    """Blank the white space at both ends."""
    i = begin
    while i < end:
        point, following = decode(out, i, end)
        if not tables.classes[entry(tables, point)] & SPACE:
            break
        for k in range(i, following):
            out[k] = BLANK
        i = following
    while i < end:
        last = previous(out, i, end)
        if not tables.classes[entry(tables, decode(out, last, end)[0])] & SPACE:
            break
        for k in range(last, end):
            out[k] = BLANK
        end = last


@kernel(allocates=False)
def write_lines(data: Any, offsets: Any, tables: Tables, out: Any, at: Any) -> None:
    """Fill the bytes and the offsets of the lines."""
    at[0] = 0
    for d in range(len(offsets) - 1):
        begin, size, o = np.int64(offsets[d]), np.int64(offsets[d + 1] - offsets[d]), np.int64(at[d])
        wide = False
        for k in range(size):
            byte = data[begin + k]
            wide |= (byte == 0xC2) | (byte == 0xE2)
            is_break = ((byte >= 0x0A) & (byte <= 0x0D)) | ((byte >= 0x1C) & (byte <= 0x1E))
            out[o + k] = BLANK if is_break else byte
        if wide:
            blank_breaks(out, o, o + size)
        blank_ends(out, o, o + size, tables)
        out[o + size] = LINE_FEED
        at[d + 1] = o + size + 1
