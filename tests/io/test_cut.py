"""Batches cut anew: limits, order, and places that depend on the rows alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import DataError
from curate.io.cut import Cutter, cut, row_bytes

COLUMNS: list[tuple[pa.DataType, list[Any], list[int]]] = [
    (pa.string(), ["ab", None, "é"], [2, 0, 2]),
    (pa.large_string(), ["ab", None, ""], [2, 0, 0]),
    (pa.string_view(), ["ab", None, "x" * 40], [2, 0, 40]),
    (pa.binary(), [b"ab", None, b""], [2, 0, 0]),
    (pa.binary(3), [b"abc", None, b"abc"], [3, 3, 3]),
    (pa.int64(), [1, None, 3], [8, 8, 8]),
    (pa.float32(), [1, None, 3], [4, 4, 4]),
    (pa.bool_(), [True, None, False], [1, 1, 1]),
    (pa.null(), [None] * 3, [0, 0, 0]),
    (pa.date32(), [date(2020, 1, 1)] * 3, [4, 4, 4]),
    (pa.timestamp("us"), [datetime(2020, 1, 1)] * 3, [8, 8, 8]),
    (pa.decimal128(9, 2), [Decimal("1.00")] * 3, [16, 16, 16]),
    (pa.list_(pa.string()), [["ab", "c"], None, [None]], [3, 0, 0]),
    (pa.large_list(pa.int16()), [[1, 2], None, []], [4, 0, 0]),
    (pa.list_(pa.int16(), 2), [[1, 2], None, [3, 4]], [4, 0, 4]),
    (pa.list_view(pa.int16()), [[1, 2], None, [3]], [4, 0, 2]),
    (pa.list_(pa.list_(pa.string())), [[["ab"], ["c", "d"]], [[]], None], [4, 0, 0]),
    (pa.struct([("a", pa.string()), ("b", pa.int32())]), [{"a": "xy", "b": 1}, None, {"a": None}], [6, 4, 4]),
    (pa.map_(pa.string(), pa.int32()), [[("ab", 1), ("c", 2)], None, []], [11, 0, 0]),
    (pa.dictionary(pa.int8(), pa.string()), ["ab", None, "ab"], [2, 0, 2]),
]


@pytest.mark.parametrize(("kind", "values", "sizes"), COLUMNS, ids=[str(kind) for kind, _, _ in COLUMNS])
def test_bytes_of_rows_of_every_type(kind: pa.DataType, values: list[Any], sizes: list[int]) -> None:
    array = pa.array(values, pa.string()).cast(kind) if pa.types.is_dictionary(kind) else pa.array(values, kind)
    batch = pa.record_batch({"x": array})
    assert row_bytes(batch).tolist() == sizes
    assert row_bytes(batch.slice(1)).tolist() == sizes[1:]
    assert row_bytes(pa.record_batch({"x": array, "y": array})).tolist() == [2 * size for size in sizes]


def reference(texts: list[str], max_bytes: int, max_rows: int) -> list[list[str]]:
    pieces: list[list[str]] = []
    for text in texts:
        if pieces and len(pieces[-1]) < max_rows and sum(map(len, pieces[-1])) + len(text) <= max_bytes:
            pieces[-1].append(text)
        else:
            pieces.append([text])
    return pieces


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(0, 12).map(lambda n: "x" * n), max_size=30),
    st.integers(1, 30),
    st.integers(1, 8),
    st.lists(st.integers(0, 30), max_size=6),
)
def test_pieces(texts: list[str], max_bytes: int, max_rows: int, arrival: list[int]) -> None:
    bounds = sorted({0, len(texts), *(at for at in arrival if at < len(texts))})
    batches = [pa.record_batch({"text": texts[a:b]}) for a, b in pairwise(bounds)]
    pieces = [piece["text"].to_pylist() for piece in cut(batches, max_bytes, max_rows)]
    assert pieces == reference(texts, max_bytes, max_rows)


def test_rows_before_a_failure_come_out() -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"text": ["a", "b"]})
        raise DataError("gone")

    found = []
    with pytest.raises(DataError, match="gone"):
        for piece in cut(broken(), 100):
            found += piece["text"].to_pylist()
    assert found == ["a", "b"]


def test_empty_batches_make_no_pieces() -> None:
    cutter = Cutter(10)
    assert [*cutter.push(pa.record_batch({"text": pa.array([], pa.string())})), *cutter.flush()] == []
