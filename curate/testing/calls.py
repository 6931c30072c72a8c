"""Checks of an operator that is called outside a recipe: on tables and values, by datasets and by Ray Data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from curate.errors import OperatorError
from curate.operator import Columns, Operator, Trainer
from curate.testing.examples import example_columns
from curate.testing.outcomes import added, agree, count, naming


def called_on_a_table(operator: Operator) -> None:
    """On a table or record batch it adds or replaces what it writes and leaves the other columns alone."""
    columns = example_columns(operator)
    table = pa.table({"untouched": np.arange(count(columns)), **columns})
    expected = added(operator, columns)
    rest = {name: array for name, array in zip(table.column_names, table.columns, strict=True) if name not in expected}
    (batch,) = table.combine_chunks().to_batches()
    with naming(operator, "a table or record batch"):
        results = [operator(table), pa.table(operator(batch))]
    for result in results:
        found = {name: result[name].combine_chunks() for name in (*rest, *expected)}
        whole = {name: column.combine_chunks() for name, column in rest.items()}
        agree(operator, {**whole, **expected}, found, "when called on a table")


def called_on_one_value(operator: Operator) -> None:
    """On one row (a dict), or one text where that is all it reads, it returns what it writes as plain values."""
    columns = example_columns(operator)
    for row in range(0, count(columns), 7):
        one = {name: array[row : row + 1] for name, array in columns.items()}
        try:
            expected = {name: array[0].as_py() for name, array in added(operator, one).items()}
        except OperatorError:
            if isinstance(operator, Trainer):  # which may refuse to learn from one row
                continue
            raise
        given = {name: array[0].as_py() for name, array in one.items()}
        for value in (given, *given.values()) if [*operator.reads().values()] == [pa.string()] else (given,):
            with naming(operator, f"the value {value!r:.60}"):
                found = operator(value)
            same = expected.items() <= found.items()
            assert same, f"{operator.name()}: called on {value!r:.60} it returns {found}, not {expected}"


def called_by_datasets_map(operator: Operator) -> None:
    """It works as the function of Hugging Face's `Dataset.map(operator, batched=True)`."""
    import datasets

    columns = example_columns(operator)
    dataset = datasets.Dataset(pa.table(columns))
    rows = count(columns)  # one batch: a Deduplicator sees only the batch it is given
    with naming(operator, "Dataset.map"):
        mapped = dataset.map(operator, batched=True, batch_size=rows, new_fingerprint="contract", keep_in_memory=True)
    _plainly_equal(operator, added(operator, columns), mapped[:], "in Dataset.map")


def called_as_ray_map_batches(operator: Operator) -> None:
    """It works in the shape that Ray Data's `map_batches` calls: a dict of NumPy arrays in and out."""
    columns = example_columns(operator)
    given = {name: array.to_numpy(zero_copy_only=False) for name, array in columns.items()}
    with naming(operator, "a dict of NumPy arrays"):
        found = operator(given)
    for name, values in found.items():
        assert isinstance(values, np.ndarray), f"{operator.name()}: {name} is a {type(values).__name__}, not an array"
    _plainly_equal(operator, added(operator, columns), {n: v.tolist() for n, v in found.items()}, "in map_batches")


def _plainly_equal(operator: Operator, expected: Columns, found: Mapping[str, Any], where: str) -> None:
    __tracebackhide__ = True
    for name, array in expected.items():
        assert name in found, f"{operator.name()} does not return {name} {where}"
        for row, (want, got) in enumerate(zip(array.to_pylist(), found[name], strict=True)):
            got = got.tolist() if isinstance(got, np.ndarray) else got  # a value that is a list
            assert got == want, f"{operator.name()}: {name} of row {row} is {got!r:.60}, not {want!r:.60}, {where}"
