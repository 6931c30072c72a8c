"""Two runs side by side: `curate diff`. Which documents changed status and why, funnels, distributions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from curate.errors import PlanError, nearest
from curate.report import share
from curate.result import Result, open_run, table_text

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
KEPT, ABSENT = "kept", "absent"
OWN = ("row",)  # numbers that say nothing of a document


class Comparison:
    """What differs between two runs, `a` and `b`; every table is a Polars frame.

    changes     how many documents went from one status to another, with the bytes and words they have in `b` (in `a`
                where they are absent from `b`); a status is `kept`, a reason, or `absent`
    documents   each document whose status changed: its status, and every rule it fails, in both
    funnel      each step's documents lost and left, in both
    shifts      each numeric column that both have, for all documents and for those kept: documents with a value,
                quantiles in both, and the Kolmogorov-Smirnov distance (0..1: the most that the shares of documents
                below a value differ)
    """

    def __init__(self, a: Result, b: Result, joined: pl.LazyFrame, shifts: pl.DataFrame):
        self.a, self.b = a, b
        moved = joined.filter(pl.col("before") != pl.col("after")).drop("bytes", "words")
        sums = [pl.len().cast(pl.Int64).alias("documents"), pl.col("bytes").sum(), pl.col("words").sum()]
        counts = joined.group_by("before", "after").agg(sums)
        self.documents, found = pl.collect_all([moved, counts], engine="streaming")
        self.changes = found.sort(["documents", "before", "after"], descending=True)
        self.funnel, self.shifts = _funnels(a, b), shifts

    def to(self, folder: str | Path) -> list[Path]:
        """Write the tables as Parquet files of their names."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        tables = {name: getattr(self, name) for name in ("changes", "documents", "funnel", "shifts")}
        for name, table in tables.items():
            table.write_parquet(Path(folder, f"{name}.parquet"))
        return [Path(folder, f"{name}.parquet") for name in tables]

    def json(self) -> str:
        """Counts and distributions as JSON; not the documents one by one."""
        tables = {name: getattr(self, name).to_dicts() for name in ("changes", "funnel", "shifts")}
        return json.dumps({"a": str(self.a.path), "b": str(self.b.path), **tables}, indent=1, ensure_ascii=False)

    def text(self, most: int = 15) -> str:
        """Tables for a terminal: what moved most."""
        same = int(self.changes.filter(pl.col("before") == pl.col("after"))["documents"].sum())
        total = int(self.changes["documents"].sum())
        parts = [f"a: {self.a.path}\nb: {self.b.path}", f"{same:,} of {total:,} documents have the same status in both"]
        moved = self.changes.filter(pl.col("before") != pl.col("after"))
        if len(moved):
            parts.append(_moved_text(moved, total, most))
        parts += [_funnel_text(self.funnel), _shifts_text(self.shifts, most)]
        return "\n\n".join(filter(None, parts))

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return "".join(table._repr_html_() for table in (self.changes, self.funnel, self.shifts))


def diff(a: str | Path | Result, b: str | Path | Result, on: str = "id") -> Comparison:
    """Compare two runs document by document.

    a, b   output folders of `run` or `decide`
    on     the column that tells which document is which; where it repeats, the first is compared with the first

    Raises DataError when one is no finished run, PlanError when it lacks the column.
    """
    one, two = (run if isinstance(run, Result) else open_run(run) for run in (a, b))
    for run in (one, two):
        names = run.scan("annotations").collect_schema().names()
        if on not in names:
            raise PlanError(f"{run.path} has no column {on!r} to join by (--on){nearest(on, names)}")
    return Comparison(one, two, _joined(one, two, on), _shifts(one, two))


def _joined(a: Result, b: Result, on: str) -> pl.LazyFrame:
    """Every document of both, with its status, the rules it fails and its size."""
    left, right = _statuses(a, on), _statuses(b, on)
    keys = [on]
    counted = [side.select(pl.len(), pl.col(on).n_unique()).collect(engine="streaming") for side in (left, right)]
    if any(rows != ids for rows, ids in (counts.row(0) for counts in counted)):
        left, right = (side.with_columns(pl.int_range(pl.len()).over(on).alias("copy")) for side in (left, right))
        keys.append("copy")
    both = left.join(right, on=keys, how="full", coalesce=True, nulls_equal=True, suffix="_b")
    status = {"before": "status", "after": "status_b"}
    rules = {"failed_before": "failed_rules", "failed_after": "failed_rules_b"}
    return both.select(
        *keys,
        *(pl.col(column).fill_null(ABSENT).alias(name) for name, column in status.items()),
        *(pl.col(column).alias(name) for name, column in rules.items()),
        *(pl.coalesce(f"{unit}_b", unit).alias(unit) for unit in ("bytes", "words")),
    )


def _statuses(run: Result, on: str) -> pl.LazyFrame:
    frame = run.scan("annotations")
    names = frame.collect_schema().names()
    sizes = [
        (pl.col(f"text_{unit}") if f"text_{unit}" in names else pl.lit(None)).cast(pl.Int64).alias(unit)
        for unit in ("bytes", "words")
    ]
    return frame.select(on, pl.col("dropped_by").fill_null(KEPT).alias("status"), "failed_rules", *sizes)


def _funnels(a: Result, b: Result) -> pl.DataFrame:
    """Steps of both funnels, in the order of `b`, those that only `a` has before what comes after them there."""
    sides = [{row["step"]: row for row in run.manifest["funnel"]["steps"]} for run in (a, b)]
    names = list(sides[1])
    for at, name in enumerate(sides[0]):
        if name not in names:
            after = next((other for other in [*sides[0]][at + 1 :] if other in names), names[-1])
            names.insert(names.index(after), name)
    columns: dict[str, Any] = {"step": names}
    for unit in ("documents", "words", "bytes", "documents_left"):
        for label, side in zip("ab", sides, strict=True):
            columns[f"{unit}_{label}"] = [side[name][unit] if name in side else None for name in names]
    return pl.DataFrame(columns, schema_overrides={"step": pl.String})


def _shifts(a: Result, b: Result) -> pl.DataFrame:
    frames = [run.scan("annotations") for run in (a, b)]
    schemas = [frame.collect_schema() for frame in frames]
    shared = [
        name
        for name, kind in schemas[0].items()
        if kind.is_numeric() and name not in OWN and not name.endswith("_cluster") and name in schemas[1]
    ]
    rows = []
    for name in (name for name in shared if schemas[1][name].is_numeric()):  # one column in memory at a time
        kept = pl.col("dropped_by").is_null().alias("kept")
        sides = [frame.select(kept, pl.col(name).cast(pl.Float64).alias("value")).collect() for frame in frames]
        for of, some in (("all", sides), ("kept", [side.filter("kept") for side in sides])):
            rows.append({"column": name, "of": of, **_shift(*(_present(side["value"]) for side in some))})
    quantiles = [f"q{round(q * 100):02d}_{label}" for q in QUANTILES for label in "ab"]
    kinds = {"values_a": pl.Int64, "values_b": pl.Int64, "distance": pl.Float64, **dict.fromkeys(quantiles, pl.Float64)}
    return pl.DataFrame(rows, schema={"column": pl.String, "of": pl.String, **kinds})


def _present(values: pl.Series) -> np.ndarray:
    return values.filter(values.is_not_nan()).drop_nulls().sort().to_numpy()


def _shift(a: np.ndarray, b: np.ndarray) -> dict[str, Any]:
    """How two sorted samples differ."""
    found: dict[str, Any] = {"values_a": len(a), "values_b": len(b), "distance": distance(a, b)}
    for q in QUANTILES:
        for label, values in (("a", a), ("b", b)):
            at = min(int(q * len(values)), len(values) - 1)
            found[f"q{round(q * 100):02d}_{label}"] = float(values[at]) if len(values) else None
    return found


def distance(a: np.ndarray, b: np.ndarray) -> float | None:
    """The two-sample Kolmogorov-Smirnov statistic of sorted samples; None when one is empty.

    >>> distance(np.array([1.0, 2.0]), np.array([2.0, 3.0]))
    0.5
    """
    if not len(a) or not len(b):
        return None
    every = np.concatenate([a, b])
    below = [np.searchsorted(side, every, side="right") / len(side) for side in (a, b)]
    return float(np.abs(below[0] - below[1]).max())


def _moved_text(moved: pl.DataFrame, total: int, most: int) -> str:
    lines = [["from", "to", "documents", "share", "words"]]
    for row in moved.head(most).to_dicts():
        counts = [f"{row['documents']:,}", share(row["documents"], total), f"{row['words']:,}"]
        lines.append([row["before"], row["after"], *counts])
    more = f"\n... and {len(moved) - most} more kinds of change" if len(moved) > most else ""
    return table_text(lines, left=2) + more


def _funnel_text(funnel: pl.DataFrame) -> str:
    lines = [["step", "a", "b", "change", "left in a", "left in b"]]
    for row in funnel.to_dicts():
        one, two = row["documents_a"], row["documents_b"]
        change = "" if one is None or two is None or one == two else f"{two - one:+,}"
        counts = [row["documents_a"], row["documents_b"], row["documents_left_a"], row["documents_left_b"]]
        cells = ["-" if count is None else f"{count:,}" for count in counts]
        lines.append([row["step"], *cells[:2], change, *cells[2:]])
    return table_text(lines, left=1)


def _shifts_text(shifts: pl.DataFrame, most: int) -> str:
    """The kept documents' columns that differ most."""
    told = shifts.filter(pl.col("of") == "kept", pl.col("distance") > 0).sort(
        "distance", "column", descending=[True, False]
    )
    lines = [["kept documents", "distance", "median a", "median b", "95% a", "95% b"]]
    for row in told.head(most).to_dicts():
        values = [row[name] for name in ("distance", "q50_a", "q50_b", "q95_a", "q95_b")]
        lines.append([row["column"], *(f"{value:.4g}" for value in values)])
    return table_text(lines, left=1) if len(lines) > 1 else ""
