"""What operators on vectors of documents share."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pyarrow as pa

from curate.errors import OperatorError, PlanError

Precision = Literal["float16", "float32"]
TYPES = {"float16": pa.float16(), "float32": pa.float32()}


def vector_column(vectors: np.ndarray, precision: Precision, is_null: np.ndarray) -> pa.Array:
    """Vectors (float32[n, dim]) as a column of fixed-size lists."""
    flat = pa.array(np.ascontiguousarray(vectors, np.dtype(precision)).ravel(), TYPES[precision])
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1], mask=pa.array(is_null))


def check_vectors(who: str, name: str, kind: pa.DataType) -> None:
    """PlanError unless the column holds vectors."""
    if not (pa.types.is_fixed_size_list(kind) and pa.types.is_floating(kind.value_type)):
        raise PlanError(f"{who} needs vectors (lists of a fixed size), but {name} is {kind}: `embed` makes them")


def listed(array: np.ndarray) -> pa.Array:
    """The array as one value."""
    return pa.ListArray.from_arrays(pa.array([0, len(array)], pa.int32()), pa.array(array))


def lowest(tie: np.ndarray, count: int) -> pa.Table:
    """The hash up to which rows are drawn so that they are `count` or all."""
    if not len(tie):
        raise OperatorError("there are no documents to learn from")
    last = min(count, len(tie)) - 1
    limit = [int(np.partition(tie, last)[last])]
    return pa.table({"limit": pa.array(limit, pa.uint64()), "count": [last + 1]})
