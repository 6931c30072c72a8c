"""Counts of documents by source, language and the set of reasons that apply: all that funnels and overlaps need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from curate.deciding.annotated import Annotated
from curate.deciding.policy import Fails, Policy
from curate.funnel import UNITS

BITS = 60  # reasons in one column of bits
LABELS = ("source", "language")


def count(data: Annotated, rules: Policy) -> pl.DataFrame:
    """Documents, bytes and words by source, language and the set of reasons that apply."""
    parts = [nothing(data, rules)]
    for table in data.batches(needed(data, rules)):
        parts = [summed([*parts, cells_of(table, rules.fails(table), data.sizes)])]
    return pl.DataFrame(parts[0])


def needed(data: Annotated, rules: Policy) -> list[str]:
    """Columns to read; one at least, so that rows are counted."""
    wanted = [*rules.columns, *LABELS, *data.sizes.values()]
    return wanted if any(name in data.types for name in wanted) else [*data.types][:1]


def nothing(data: Annotated, rules: Policy) -> pa.Table:
    """The counts of no rows."""
    empty = pa.schema(list(data.types.items())).empty_table()
    return cells_of(empty, {name: np.zeros(0, bool) for name in rules.reasons}, data.sizes)


def cells_of(table: pa.Table, fails: Fails, sizes: Mapping[str, str]) -> pa.Table:
    """The counts of a batch; `sizes`: the columns that hold bytes and words."""
    rows = len(table)
    is_text = {name: name in table.column_names and table.schema.field(name).type == pa.string() for name in LABELS}
    columns: dict[str, Any] = {name: table[name] if is_text[name] else pa.nulls(rows, pa.string()) for name in LABELS}
    columns |= {name: pa.array(code) for name, code in codes(fails, rows).items()}
    keys = [*columns]
    columns["documents"] = pa.array(np.ones(rows, np.int64))
    for unit in ("bytes", "words"):
        columns[unit] = table[sizes[unit]].cast(pa.int64()) if unit in sizes else pa.array(np.zeros(rows, np.int64))
    return _grouped(pa.table(columns), keys)


def codes(fails: Fails, rows: int) -> dict[str, np.ndarray]:
    """The set of reasons of each row as the bits of a few integers."""
    masks = [*fails.values()]
    found = {}
    for word in range(max(1, -(-len(masks) // BITS))):
        found[f"fails_{word}"] = np.zeros(rows, np.int64)
        for bit, mask in enumerate(masks[word * BITS : (word + 1) * BITS]):
            found[f"fails_{word}"] |= mask.astype(np.int64) << bit
    return found


def _grouped(table: pa.Table, keys: list[str]) -> pa.Table:
    sums = table.group_by(keys, use_threads=False).aggregate([(unit, "sum") for unit in UNITS])
    return sums.rename_columns([name.removesuffix("_sum") for name in sums.column_names]).select([*keys, *UNITS])


def summed(parts: list[pa.Table]) -> pa.Table:
    """The counts of several batches together."""
    whole = pa.concat_tables(parts)
    return _grouped(whole, whole.column_names[:-3])


def matrix(rules: Policy, cells: pl.DataFrame) -> np.ndarray:
    """Whether each reason (column) applies in each cell (row)."""
    words = [cells[f"fails_{at // BITS}"].to_numpy() >> (at % BITS) & 1 for at in range(len(rules.reasons))]
    return np.stack(words, axis=1).astype(bool) if words else np.zeros((len(cells), 0), bool)


def facts(rules: Policy, cells: pl.DataFrame, unreadable: Mapping[str, int]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What the funnel counts."""
    names, fails = [*rules.reasons], matrix(rules, cells)
    fates = [names[row.argmax()] if row.any() else None for row in fails]
    documents = cells["documents"].to_numpy()
    labels = zip(*(cells[name].to_list() for name in LABELS), strict=True)
    counts = cells.select(UNITS).rows()
    listed = [[*label, fate, *units] for label, fate, units in zip(labels, fates, counts, strict=True)]
    failed = {name: int(documents[fails[:, at]].sum()) for at, name in enumerate(names)}
    yield "", {"rows": int(documents.sum()), "bad": 0, "failed": failed, "cells": listed}
    for source, bad in unreadable.items():
        yield source, {"rows": 0, "bad": bad, "failed": {}, "cells": []}


def unreadable(data: Annotated) -> dict[str, int]:
    """Records of each source that could not be read, as the run has counted them."""
    groups = data.result.manifest["funnel"]["groups"] if data.result else []
    found: dict[str, int] = {}
    for group in groups:
        bad = sum(step["documents"] for step in group["steps"] if step["step"] == "quarantine.read")
        if bad:
            found[group["source"]] = found.get(group["source"], 0) + bad
    return found
