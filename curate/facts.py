"""What a finished run knows about its documents, from its own files: for the report and the card."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from curate.recipe import Recipe

BINS = 48
EXAMPLES = 5
EXCERPT = 200
OWN = ("row", "text_bytes", "text_words")  # numbers of curate itself


class Distribution(NamedTuple):
    """One numeric column: bin edges, counts of kept and dropped documents, quantiles, nulls, bounds of rules."""

    column: str
    edges: list[float]
    kept: list[int]
    dropped: list[int]
    quantiles: dict[str, float]
    nulls: int
    bounds: list[tuple[str, float]]


def scan(folder: Path, part: str) -> pl.LazyFrame:
    return pl.scan_parquet(sorted((folder / part).glob("*.parquet")))


def distributions(folder: Path, recipe: Recipe) -> list[Distribution]:
    """Distributions of the numeric columns, those of the source too, between the 0.5 % and 99.5 % quantiles."""
    frame = scan(folder, "annotations")
    numeric = [
        name
        for name, kind in frame.collect_schema().items()
        if kind.is_numeric() and name not in OWN and not name.endswith(("_cluster", "_twin"))
    ]
    bounds = rule_bounds(recipe)
    kept = pl.col("dropped_by").is_null().alias("kept")
    columns = (frame.select(kept, pl.col(name).cast(pl.Float64)).collect() for name in numeric)  # one at a time
    return [_distribution(table, name, bounds.get(name, [])) for name, table in zip(numeric, columns, strict=True)]


def rule_bounds(recipe: Recipe) -> dict[str, list[tuple[str, float]]]:
    """Bounds that `keep` rules set on each column: ("min", value) or ("max", value)."""
    found: dict[str, list[tuple[str, float]]] = {}
    for step in recipe.steps:
        for name in getattr(step.operator, "rules", {}):
            rule = step.operator.rule(name)  # type: ignore[attr-defined]
            column = step.columns.get(rule.column or "", rule.column or "")
            for side in ("min", "max"):
                value = getattr(rule, side)
                if value is not None:
                    found.setdefault(column, []).append((side, float(value)))
    return found


def bound_sources(recipe: Recipe) -> dict[str, str]:
    """Where the bounds of rules are from, by reason, as far as the recipe says."""
    found: dict[str, str] = {}
    for step in recipe.steps:
        if not hasattr(step.operator, "rule"):
            continue
        rules = {name: step.operator.rule(own) for own, name in step.reasons_given().items()}
        found |= {name: rule.source for name, rule in rules.items() if rule.source}
    return found


def examples(folder: Path, recipe: Recipe, reasons: list[str]) -> dict[str, list[dict[str, Any]]]:
    """A few documents per reason, with the values their reason looked at; under "kept" some with their text."""
    frame = scan(folder, "annotations")
    columns = {reason: looked_at(recipe, reason) for reason in reasons}
    names = frame.collect_schema().names()
    labels = [name for name in ("id", "source", "language", "url") if name in names]
    found = {}
    for reason, looked in columns.items():
        wanted = [*labels, *(name for name in looked if name in names and name not in labels)]  # text is not there
        rows = frame.filter(pl.col("dropped_by") == reason).select(wanted).head(EXAMPLES).collect().to_dicts()
        if rows:
            found[reason] = rows
    kept = scan(folder, "data").select(*labels, pl.col("text").str.slice(0, EXCERPT)).head(EXAMPLES).collect()
    return {**found, "kept": kept.to_dicts()}


def looked_at(recipe: Recipe, reason: str) -> list[str]:
    """Columns that tell why a document was dropped for a reason."""
    for step in recipe.steps:
        for own, name in step.reasons_given().items():
            if name != reason:
                continue
            if hasattr(step.operator, "rule"):
                from curate.operators.keep import columns

                return [step.columns.get(column, column) for column in columns(step.operator.rule(own))]
            return [name for name in step.columns_written().values() if not name.endswith(("_cluster", "_twin"))]
    return []


def largest_clusters(folder: Path, most: int = 5) -> list[dict[str, Any]]:
    """The largest duplicate clusters: the step, the document that stays, how many copies, some of their ids."""
    frame = scan(folder, "annotations")
    found: list[dict[str, Any]] = []
    for twin in [name for name in frame.collect_schema().names() if name.endswith("_duplicate_of")]:
        groups = (
            frame.filter(pl.col(twin).is_not_null())
            .group_by(twin)
            .agg(pl.len().alias("copies"), pl.col("id").sort().head(4).alias("ids"))
            .sort(["copies", twin], descending=[True, False])
            .head(most)
            .collect()
        )
        step = twin.removesuffix("_duplicate_of")
        found += [
            {"step": step, "kept": row[twin], "copies": row["copies"], "ids": row["ids"]} for row in groups.to_dicts()
        ]
    return sorted(found, key=lambda cluster: (-cluster["copies"], cluster["step"], cluster["kept"]))[:most]


def _distribution(table: pl.DataFrame, name: str, bounds: list[tuple[str, float]]) -> Distribution:
    values = table[name]
    present = values.filter(values.is_finite()).sort()  # infinities have no place on an axis; a source may hold them
    if present.is_empty():
        return Distribution(name, [], [], [], {}, values.null_count(), bounds)
    low, *middle, high = (float(present.quantile(q) or 0.0) for q in (0.005, 0.05, 0.5, 0.95, 0.995))
    low = min([low, *(value for _, value in bounds if value >= float(present.min() or 0))])  # type: ignore[arg-type]
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    is_kept, array = table["kept"].to_numpy(), values.to_numpy()
    counts = [np.histogram(array[mask & np.isfinite(array)], edges)[0].tolist() for mask in (is_kept, ~is_kept)]
    quantiles = dict(zip(("5 %", "50 %", "95 %"), middle, strict=True))
    return Distribution(name, edges.tolist(), counts[0], counts[1], quantiles, values.null_count(), bounds)
