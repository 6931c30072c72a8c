"""What steps for personal data found and took out, summed up for the manifest and the card."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from curate.recipe import Step
from curate.report.facts import scan


def personal_data(folder: Path, steps: Iterable[Step]) -> list[dict[str, Any]]:
    """For each step and type, from the annotations of a finished run:

    step        name of the step
    type        email, ip, phone, iban, card or secret
    treatment   marked, replaced, hashed or dropped
    documents   documents in which some were found, those dropped later included
    found       how many
    kept        how many of those were in documents that are kept
    """
    frame, found = scan(folder, "annotations"), []
    for step in steps:
        columns = step.columns_written()
        names = [name for name in columns if name.endswith("_count") and name != f"{step.operator.name()}_count"]
        sums = frame.select(*(_sums(columns[name]) for name in names)).collect()
        for name in names:
            counts = sums[columns[name]].struct.unnest().to_dicts()[0]
            kind = name.removeprefix(f"{step.operator.name()}_").removesuffix("_count")
            found.append({"step": step.name, "type": kind, "treatment": treatment(step), **counts})
    return found


def treatment(step: Step) -> str:
    """What a step does with what it finds."""
    how = getattr(step.operator, "how", "mark")
    return {"mark": "marked", "replace": "replaced", "hash": "hashed", "drop": "dropped"}[how]


def _sums(column: str) -> pl.Expr:
    count = pl.col(column).cast(pl.Int64).fill_null(0)
    kept = count.filter(pl.col("dropped_by").is_null())
    return pl.struct(documents=(count > 0).sum(), found=count.sum(), kept=kept.sum()).alias(column)
