"""Texts with some stretches cut out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from curate.kernels.bits import load8
from curate.kernels.editing import strip_out
from curate.kernels.jit import inner, kernel
from curate.kernels.text import buffers
from curate.kernels.traits import Traits, traits


def cut_out(text: pa.Array, spans: np.ndarray, bounds: np.ndarray) -> pa.StringArray:
    """The texts without some spans of bytes (int[spans, 2], ascending; those of document d: `bounds[d]:bounds[d + 1]`).

    A text of which something is cut also loses its outer white space; others stay as they are.

    >>> cut_out(pa.array(["one two three", " four"]), np.array([[4, 8]]), np.array([0, 1, 1])).to_pylist()
    ['one three', ' four']
    """
    data, bytes_at = buffers(text)
    out = np.empty(int(bytes_at[-1] - bytes_at[0]), np.uint8)
    offsets = np.zeros(len(text) + 1, np.int32)
    copy_rest(data, bytes_at, np.ascontiguousarray(spans, np.int64), bounds, traits(), out, offsets)
    return pa.StringArray.from_buffers(len(text), pa.py_buffer(offsets), pa.py_buffer(out[: offsets[-1]]))


@inner
def copy_bytes(data: Any, begin: Any, end: Any, out: Any, o: Any) -> Any:
    """Copy; returns the index after."""
    for i in range(begin, end):
        out[o + i - begin] = load8(data, i)
    return o + max(0, end - begin)


@kernel(allocates=False)
def copy_rest(data: Any, offsets: Any, spans: Any, bounds: Any, traits: Traits, out: Any, out_offsets: Any) -> None:
    """Fill the bytes and the offsets."""
    o = np.int64(0)
    for d in range(len(offsets) - 1):
        begin, at, end = o, np.int64(offsets[d]), np.int64(offsets[d + 1])
        for k in range(bounds[d], bounds[d + 1]):
            o = copy_bytes(data, at, spans[k, 0], out, o)
            at = max(at, spans[k, 1])
        o = copy_bytes(data, at, end, out, o)
        if bounds[d + 1] > bounds[d]:
            o = strip_out(out, begin, o, traits)
        out_offsets[d + 1] = o
