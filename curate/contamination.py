"""Test sets found in a finished run, item by item: contamination.parquet, and a summary by test set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from curate.recipe import Step
from curate.report.facts import scan
from curate.store import whole

FILE = "contamination.parquet"
IDS = 5  # documents named for an item
ITEM = ["source", "item"]


def write_contamination(folder: Path, models: list[tuple[Step, pa.Table]]) -> list[dict[str, Any]]:
    """Write what of each test item was found, and return a summary by test set.

    `models`: the `decontaminate` steps of the run (one or more), and the models they were fitted to.

    step        name of the step
    source      test set, by its name in the recipe
    item        id of the item
    words       normalised words of the item
    ngrams      n-grams of it that were looked for; 0 for an item that is too short to be compared
    documents   in how many documents some of them were found, dropped ones included
    kept        how many of those were kept, cut or not
    coverage    share of its words in n-grams found in the one document that has most of them, 0..1
    ids         the first documents, in corpus order
    """
    found = pl.concat([_of_step(folder, step, model) for step, model in models])
    with whole(folder / FILE) as temporary:
        found.write_parquet(temporary)
    return summary(found)


def summary(found: pl.DataFrame) -> list[dict[str, Any]]:
    """For each test set: items, those not compared, those found in part, and those of which most was found."""
    groups = found.group_by("step", "source", maintain_order=True).agg(
        items=pl.len(),
        not_compared=(pl.col("ngrams") == 0).sum(),
        found=(pl.col("documents") > 0).sum(),
        mostly_found=(pl.col("coverage") > 0.5).sum(),
    )
    return groups.to_dicts()


def _of_step(folder: Path, step: Step, model: pa.Table) -> pl.DataFrame:
    matches = step.columns_written()["decontaminate_items"]
    found = (
        scan(folder, "annotations")
        .filter(pl.col(matches).list.len() > 0)
        .select("id", "dropped_by", matches)
        .explode(matches)
        .unnest(matches)
        .group_by(ITEM)
        .agg(
            documents=pl.len(),
            kept=pl.col("dropped_by").is_null().sum(),
            coverage=pl.col("coverage").max(),
            ids=pl.col("id").head(IDS),
        )
        .collect()
    )
    items = _items(step.name, model)
    nothing = [pl.col("documents").fill_null(0), pl.col("kept").fill_null(0), pl.col("coverage").fill_null(0.0)]
    joined = items.join(found, on=ITEM, how="left", maintain_order="left")
    return joined.with_columns(*nothing, pl.col("ids").fill_null([]))


def _items(step: str, model: pa.Table) -> pl.DataFrame:
    """All items of the test sets."""
    values = {name: model[name].chunk(0).values for name in ("id", "source", "splits", "gram")}
    splits, gram = values["splits"].to_numpy(), values["gram"].to_numpy()
    ngrams = np.concatenate([[0], np.cumsum(gram >= 0)])[splits]
    columns = {"step": [step] * len(values["id"]), "source": values["source"], "item": values["id"]}
    return pl.DataFrame({**columns, "words": np.diff(splits), "ngrams": np.diff(ngrams)})
