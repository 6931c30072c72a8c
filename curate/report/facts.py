"""What a finished run knows about its documents, from its own files: for the report and the card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from curate.recipe import Recipe


def scan(folder: Path, part: str) -> pl.LazyFrame:
    return pl.scan_parquet(sorted((folder / part).glob("*.parquet")))


def bound_sources(recipe: Recipe) -> dict[str, str]:
    """Where the bounds of rules are from, by reason, as far as the recipe says."""
    found: dict[str, str] = {}
    for step in recipe.steps:
        if not hasattr(step.operator, "rule"):
            continue
        rules = {name: step.operator.rule(own) for own, name in step.reasons_given().items()}
        found |= {name: rule.source for name, rule in rules.items() if rule.source}
    return found


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
