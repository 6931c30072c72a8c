"""Columns as the single arrays that operators work on."""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def one(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column as one array, without a copy where it is one already.

    >>> one(pa.chunked_array([[1], [2, 3]])).to_pylist()
    [1, 2, 3]
    """
    if isinstance(column, pa.Array):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    whole = column.combine_chunks()
    if isinstance(whole, pa.Array):
        return whole
    return pa.concat_arrays(whole.chunks) if whole.num_chunks else pa.array([], whole.type)  # of an extension type


def plain(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """One contiguous array; every kind of string becomes pa.string(), dictionaries are decoded.

    >>> plain(pa.chunked_array([["a"], ["b", "a"]]).dictionary_encode()).type
    DataType(string)
    """
    array = one(column)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_large_string(array.type) or array.type == pa.string_view():
        array = array.cast(pa.string())
    return array


def truths(array: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Booleans, null as false.

    >>> truths(pa.array([True, None])).tolist()
    [True, False]
    """
    array = array.fill_null(False) if array.null_count else array
    return np.asarray(array.to_numpy(zero_copy_only=False))


def scatter(array: pa.Array, mask: np.ndarray) -> pa.Array:
    """Spread values over the true positions of `mask`; null elsewhere.

    >>> scatter(pa.array([7, 8]), np.array([True, False, True])).to_pylist()
    [7, None, 8]
    """
    if mask.all():
        return array
    positions = pa.array(np.cumsum(mask) - 1, mask=~mask)
    return array.take(positions)
