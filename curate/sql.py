"""Conditions in SQL over columns, through Polars' SQL expressions: used by `where:` and by the rules of `keep`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from curate.errors import PlanError

if TYPE_CHECKING:
    import polars as pl


def parse(condition: str) -> pl.Expr:
    """The condition as a Polars expression; PlanError when it is not valid SQL."""
    import polars as pl

    try:
        return pl.sql_expr(condition)
    except Exception as error:
        raise PlanError(f"not a valid SQL condition: {condition!r} ({str(error).splitlines()[0]})") from error


def columns(condition: str) -> tuple[str, ...]:
    """Names of the columns a condition reads, in order of first use.

    >>> columns("words > 3 AND language = 'en'")
    ('words', 'language')
    """
    return tuple(dict.fromkeys(parse(condition).meta.root_names()))


def check(condition: str, types: Mapping[str, pa.DataType]) -> None:
    """PlanError unless the condition is a boolean over columns of these types, and over one row at a time."""
    import polars as pl

    if not columns(condition):
        raise PlanError(f"condition {condition!r} looks at no column")
    if not _is_of_one_row(json.loads(parse(condition).meta.serialize(format="json"))):
        raise PlanError(
            f"condition {condition!r} looks at other documents, but rows are seen a batch at a time:"
            " use a number, or a selector such as select_top"
        )
    empty = pa.schema([(name, kind) for name, kind in types.items() if name in columns(condition)]).empty_table()
    try:
        frame = pl.DataFrame(empty) if empty.num_columns else pl.DataFrame({"_": []})
        # Evaluated, not only typed: that is when Polars refuses to compare text with numbers.
        result = frame.select(parse(condition).alias("condition"))["condition"].dtype
    except Exception as error:
        raise PlanError(f"condition {condition!r} does not fit its columns: {str(error).splitlines()[0]}") from error
    if result != pl.Boolean:
        raise PlanError(f"condition {condition!r} is a {result}, not a yes or no: compare it with something")


def _is_of_one_row(tree: Any) -> bool:
    """Whether nothing in a serialised expression is an aggregate, a window or a count of rows."""
    if isinstance(tree, dict):
        inside = (value for key, value in tree.items() if key not in ("Column", "Literal"))
        return not {"Agg", "Over"} & set(tree) and all(map(_is_of_one_row, inside))
    return all(map(_is_of_one_row, tree)) if isinstance(tree, list) else tree != "Len"


def holds(condition: str, values: Mapping[str, pa.Array]) -> pa.Array:
    """The condition for every row: true, false, or null where SQL cannot tell.

    >>> holds("words > 3", {"words": pa.array([1, 5, None])}).to_pylist()
    [False, True, None]
    """
    import polars as pl

    frame = pl.DataFrame({name: pl.from_arrow(values[name]) for name in columns(condition)})
    result = frame.select(parse(condition).alias("condition"))["condition"].to_arrow()
    return pa.array(result, pa.bool_()) if result.type != pa.bool_() else result
