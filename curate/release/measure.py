"""What the files of a release hold, from the files alone: export writes it down, `curate card check` compares it."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
BINS = 24
MOST_VALUES = 10_000  # of a property in the manifest


def measured_file(root: Path, path: str, tokens: Iterable[str]) -> dict[str, Any]:
    """One file: rows, row groups, bytes on disk and of text, tokens by column, SHA-256."""
    full = root / path
    with full.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    counts: Counter[str] = Counter(dict.fromkeys(tokens, 0))
    text_bytes = 0
    file = pq.ParquetFile(full)
    wanted = [name for name in ("text", *counts) if name in file.schema_arrow.names]
    for batch in file.iter_batches(batch_size=4_096, columns=wanted):
        if "text" in wanted:
            text_bytes += pc.sum(pc.binary_length(batch["text"])).as_py() or 0
        counts.update({name: pc.sum(batch[name]).as_py() or 0 for name in counts if name in wanted})
    meta = file.metadata
    about = {"path": path, "rows": meta.num_rows, "row_groups": meta.num_row_groups, "bytes": full.stat().st_size}
    return {**about, "text_bytes": text_bytes, "tokens": dict(counts), "sha256": digest}


def summed(files: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Documents, bytes of text and tokens of several files."""
    total: dict[str, Any] = {"rows": 0, "text_bytes": 0, "tokens": {}}
    for file in files:
        total["rows"] += file["rows"]
        total["text_bytes"] += file["text_bytes"]
        for name, count in file["tokens"].items():
            total["tokens"][name] = total["tokens"].get(name, 0) + count
    return total


def measured_columns(root: Path, files: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Nulls of every column, and quantiles of the numeric ones; a column at a time."""
    frame = pl.scan_parquet([root / file["path"] for file in files])
    found: dict[str, dict[str, Any]] = {}
    for name, kind in frame.collect_schema().items():
        if name == "text":
            continue
        if not kind.is_numeric() or name.endswith("_cluster"):
            found[name] = {"nulls": frame.select(pl.col(name).null_count()).collect().item()}
            continue
        values = frame.select(pl.col(name).cast(pl.Float64)).collect()[name]
        present = values.filter(values.is_finite())
        found[name] = {"nulls": values.null_count(), "finite": len(present)}
        if len(present):
            points = [("min", present.min()), ("max", present.max()), ("mean", _rounded(present.mean()))]
            points += [(f"{q:.0%}", present.quantile(q, "nearest")) for q in QUANTILES]
            found[name] |= dict(points)
            found[name] |= histogram(present)
    return found


def histogram(values: pl.Series) -> dict[str, Any]:
    """Counts in equal bins from the least value to the 95 % quantile, and of what is above; none of a constant.

    >>> histogram(pl.Series([0.0, 1.0, 2.0, 2.0]))["histogram"]["counts"][-1]
    2
    """
    low, high = (values.quantile(q, "nearest") for q in (0.0, 0.95))
    if low is None or high is None or not low < high:
        return {}
    counts, _ = np.histogram(values.to_numpy(), BINS, (low, high))
    above = len(values) - int(counts.sum())
    return {"histogram": {"low": low, "high": high, "counts": counts.tolist(), "above": above}}


def measured_properties(
    root: Path, files: list[dict[str, Any]], names: Iterable[str], tokens: Iterable[str]
) -> dict[str, dict[str, dict[str, int]]]:
    """Documents, bytes of text and tokens by each value of each property; the most frequent values."""
    names, tokens = list(names), list(tokens)
    counts: dict[str, dict[str, Counter[str]]] = {name: defaultdict(Counter) for name in names}
    for file in files:
        columns = ["text", *names, *tokens]
        for batch in pq.ParquetFile(root / file["path"]).iter_batches(batch_size=4_096, columns=columns):
            _count(batch, names, tokens, counts)
    found = {}
    for name, values in counts.items():
        largest = sorted(values.items(), key=lambda item: (-item[1]["rows"], item[0]))[:MOST_VALUES]
        found[name] = {value: dict(count) for value, count in largest}
    return found


def _count(
    batch: pa.RecordBatch, names: list[str], tokens: list[str], counts: dict[str, dict[str, Counter[str]]]
) -> None:
    """Add a batch's documents, bytes and tokens to the counts of every value of every property."""
    sums = {"rows": pa.repeat(1, len(batch)), "text_bytes": pc.binary_length(batch["text"]).cast(pa.int64())}
    sums |= {name: batch[name].cast(pa.int64()) for name in tokens}
    for name in names:
        table = pa.table({"value": batch[name], **sums})
        for row in table.group_by("value", use_threads=False).aggregate([(unit, "sum") for unit in sums]).to_pylist():
            counts[name][row["value"]].update({unit: row[f"{unit}_sum"] or 0 for unit in sums})


def _rounded(value: Any) -> float:
    """A mean with as many digits as do not depend on the order of the sum."""
    return float(f"{value:.9g}")
