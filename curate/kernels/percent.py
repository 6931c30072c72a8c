"""Percent-encoding (RFC 3986, 6.2.2): unreserved characters stand for themselves, digits are in upper case."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from curate.kernels.jit import inner, kernel
from curate.kernels.text import buffers, read_only, splits

PERCENT = 0x25
KINDS = read_only(np.array([(chr(c).isalnum() and c < 0x80) or chr(c) in "-._~" for c in range(256)]))  # unreserved
DIGITS = read_only(np.frombuffer(b"0123456789ABCDEF", np.uint8))


def normalised(text: pa.Array) -> pa.Array:
    """The path or query of each address with the encoding that RFC 3986 prefers.

    White space, control characters and all that is not ASCII are encoded; null stays null.

    >>> normalised(pa.array(["/%7euser/%c3%a9/é/a b%", None])).to_pylist()
    ['/~user/%C3%A9/%C3%A9/a%20b%', None]
    """
    data, offsets = buffers(text)
    out = np.empty(3 * int(offsets[-1] - offsets[0]), np.uint8)
    sizes = np.empty(len(text), np.int64)
    encode_all(data, offsets, KINDS, DIGITS, out, sizes)
    ends = pa.py_buffer(splits(sizes).astype(np.int32))
    missing = None if text.null_count == 0 else text.is_valid().buffers()[1]
    used = pa.py_buffer(out[: int(sizes.sum())].copy())
    return pa.StringArray.from_buffers(len(text), ends, used, missing, text.null_count)


@inner
def digit(byte: Any) -> Any:
    """The value of a hexadecimal digit; -1 for another byte."""
    if 0x30 <= byte <= 0x39:
        return np.int64(byte) - 0x30
    byte |= 0x20
    return np.int64(byte) - 0x57 if 0x61 <= byte <= 0x66 else np.int64(-1)


@inner
def put(byte: Any, digits: Any, out: Any, o: Any) -> Any:
    """Write the byte encoded; returns the index after it."""
    out[o], out[o + 1], out[o + 2] = PERCENT, digits[byte >> 4], digits[byte & 15]
    return o + 3


@kernel(allocates=False)
def encode_all(data: Any, offsets: Any, unreserved: Any, digits: Any, out: Any, sizes: Any) -> None:
    """Write the texts one after the other, and their sizes."""
    o = 0
    for d in range(len(sizes)):
        first, i, end = o, np.int64(offsets[d]), np.int64(offsets[d + 1])
        while i < end:
            byte, high, low = np.int64(data[i]), np.int64(-1), np.int64(-1)
            if byte == PERCENT and i + 2 < end:
                high, low = digit(data[i + 1]), digit(data[i + 2])
            i += 1
            if high >= 0 and low >= 0:
                byte, i = high << 4 | low, i + 2
                if unreserved[byte]:
                    out[o] = byte
                    o += 1
                else:
                    o = put(byte, digits, out, o)
            elif byte <= 0x20 or byte >= 0x7F:
                o = put(byte, digits, out, o)
            else:
                out[o] = byte
                o += 1
        sizes[d] = o - first
