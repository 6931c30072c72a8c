"""The output folder of a decision: the annotations with the new verdict, the kept documents, and a manifest."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

import curate
from curate.convert import size
from curate.deciding.annotated import Annotated
from curate.deciding.cells import cells_of, nothing, summed
from curate.deciding.policy import Policy, first
from curate.errors import DataError, PlanError
from curate.execute.export import ROW_GROUP_BYTES, failed_rules
from curate.io.parquet import ParquetSink
from curate.plan import fingerprint
from curate.recipe import Output, Recipe
from curate.result import Result, open_run
from curate.store import replace_folder, write_text

if TYPE_CHECKING:
    from curate.deciding.decide import Decision

VERDICT = ("dropped_by", "failed_rules")

Files = dict[str, list[dict[str, Any]]]


class NoText(Exception):  # not an error that users see
    """A document is to be written whose text is not there."""


def write(data: Annotated, rules: Policy, shape: Output, root: Path) -> tuple[Files, pl.DataFrame]:
    """Write all documents' annotations, and the kept documents; counts are made on the way.

    Raises NoText when a document is kept now whose text the run has not exported.
    """
    refuse_full(root)
    staging = root / ".decide"
    try:
        files, cells = _write(data, rules, shape, staging)
        for part in files:
            replace_folder(staging / part, root / part)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return files, cells


def refuse_full(root: Path) -> None:
    """PlanError when there is something in the folder."""
    if root.exists() and any(root.iterdir()):
        raise PlanError(f"{root} is not empty: choose another output")


def _write(data: Annotated, rules: Policy, shape: Output, folder: Path) -> tuple[Files, pl.DataFrame]:
    """Annotations of all documents, and the kept ones; counts on the way."""
    texts = _Texts(data)
    parts = [nothing(data, rules)]
    schema = _schema(data)
    (folder / "data").mkdir(parents=True)
    (folder / "annotations").mkdir()
    with (
        _sink(folder / "annotations", schema, shape) as annotations,
        _sink(folder / "data", texts.schema(schema), shape) as kept,
    ):
        for table in data.batches():
            fails = rules.fails(table)
            at = first(fails, len(table))
            verdict = {
                "dropped_by": pa.array([*rules.reasons, ""]).take(pa.array(at, mask=at < 0)),
                "failed_rules": failed_rules(fails, len(table)),
            }
            columns = {name: verdict[name] if name in verdict else table[name] for name in schema.names}
            whole = pa.table(columns).cast(schema)
            annotations.append(whole)
            kept.append(texts.kept(table, whole, at < 0))
            parts = [summed([*parts, cells_of(table, fails, data.sizes)])]
    return {"data": _listed("data", kept), "annotations": _listed("annotations", annotations)}, pl.DataFrame(parts[0])


def _listed(part: str, sink: ParquetSink) -> list[dict[str, Any]]:
    """The files of a sink, as manifests list them."""
    return [{**msgspec.to_builtins(file), "path": f"{part}/{Path(file.path).name}"} for file in sink.files]


def _schema(data: Annotated) -> pa.Schema:
    """Of the annotations: that of the run, or the columns that are there with the verdict after them."""
    if data.result is not None:
        return pq.read_schema(data.result._files("annotations")[0]).remove_metadata()
    fields = [pa.field(name, kind) for name, kind in data.types.items() if name not in VERDICT]
    verdict = [pa.field("dropped_by", pa.string()), pa.field("failed_rules", pa.list_(pa.string()))]
    return pa.schema([*fields, *verdict])


class _Texts:
    """The kept documents: of a run those in its `data`, with their text; else the rows themselves."""

    def __init__(self, data: Annotated):
        self.result = data.result
        self.files = data.result._files("data") if data.result else []
        self._batches = self._read()
        self._held: list[pa.RecordBatch] = []

    def schema(self, annotations: pa.Schema) -> pa.Schema:
        if self.result is not None:
            return pq.read_schema(self.files[0]).remove_metadata()
        return pa.schema([field for field in annotations if field.name not in VERDICT])

    def kept(self, before: pa.Table, after: pa.Table, keep: np.ndarray) -> pa.Table:
        """The documents of a batch to keep. Raises NoText for one that the run had not kept."""
        if self.result is None:
            return after.drop_columns([*VERDICT]).filter(pa.array(keep))
        had = before["dropped_by"].is_null().to_numpy()
        if (keep & ~had).any():
            raise NoText
        return self._take(int(had.sum())).filter(pa.array(keep[had]))

    def _read(self) -> Iterator[pa.RecordBatch]:
        for file in self.files:
            yield from pq.ParquetFile(file).iter_batches(batch_size=10_000)

    def _take(self, rows: int) -> pa.Table:
        """The next rows of `data`."""
        taken: list[pa.RecordBatch] = []
        while rows:
            batch = self._held.pop() if self._held else next(self._batches)
            taken.append(batch.slice(0, rows))
            if len(batch) > rows:
                self._held.append(batch.slice(rows))
            rows -= len(taken[-1])
        schema = pq.read_schema(self.files[0]).remove_metadata()
        return pa.Table.from_batches([batch.replace_schema_metadata() for batch in taken], schema)


def _sink(folder: Path, schema: pa.Schema, shape: Output) -> ParquetSink:
    return ParquetSink(
        folder,
        "part-{}.parquet",
        schema,
        file_bytes=size(shape.file_size),
        row_group_rows=shape.row_group_rows,
        row_group_bytes=ROW_GROUP_BYTES,
        compression_level=shape.compression,
    )


def finish(data: Annotated, decision: Decision, recipe: Recipe, files: Files, root: Path) -> Result:
    """The recipe, and last of all the manifest, in the shape that runs have."""
    from curate.card import write_card
    from curate.report import write_report

    old = data.result.manifest if data.result else {}
    schema = pq.read_schema(root / files["data"][0]["path"])
    if decision.kept != sum(file["rows"] for file in files["data"]):
        raise DataError(f"{decision.kept} documents were kept but not as many written: please report this")
    write_text(root / "recipe.yaml", recipe.seen_from(root).to_yaml())
    key = fingerprint(curate.__version__, recipe.anywhere().to_plain(), [file["sha256"] for file in files["data"]])
    manifest = {
        "curate": curate.__version__,
        "recipe": recipe.name,
        "key": key,
        "decided_from": data.title,
        "records": decision.records,
        "kept": decision.kept,
        "quarantined": decision.order.quarantined,
        "columns": {field.name: str(field.type) for field in schema},
        "rules": dict(decision.order.failed),
        "funnel": decision.order.to_plain(),
        "corpus": old.get("corpus", {}),
        "shards": old.get("shards", []),
        **files,
    }
    if data.result is not None:
        shutil.copy(data.result.path / "quarantine.jsonl", root / "quarantine.jsonl")
        write_report(root / "report.html", manifest, recipe)
        write_card(root / "README.md", manifest, recipe)
    write_text(root / "manifest.json", msgspec.json.format(msgspec.json.encode(manifest), indent=1).decode() + "\n")
    return open_run(root)
