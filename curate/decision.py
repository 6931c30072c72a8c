"""Rules on annotated documents, decided anew without measuring anything again: `curate decide`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

import curate
from curate.annotated import Annotated, annotated
from curate.convert import size
from curate.errors import DataError, PlanError
from curate.execute.export import ROW_GROUP_BYTES, failed_rules
from curate.funnel import UNITS, Funnel
from curate.io.parquet import ParquetSink
from curate.io.source import Source
from curate.plan import fingerprint
from curate.policy import Fails, Given, Policy, first, policy, policy_of_run, steps_of, why_not, with_rules
from curate.recipe import Output, Recipe
from curate.result import Result, funnel_text, open_run
from curate.store import replace_folder, write_text

BITS = 60  # reasons in one column of `cells`
LABELS = ("source", "language")
VERDICT = ("dropped_by", "failed_rules")


class Decision:
    """What rules make of annotated documents: `funnel`, `kept`, `records`, `manifest`, and counts to look deeper.

    cells   documents, bytes and words by source, language and the set of reasons that apply (bits of `fails_0`, ...)
    result  the output folder, if one was written
    """

    def __init__(self, rules: Policy, cells: pl.DataFrame, unreadable: Mapping[str, int]):
        self.rules, self.cells, self.result = rules, cells, None
        self.order = Funnel([*rules.reasons], _facts(rules, cells, unreadable))
        self.order.check()

    result: Result | None

    @property
    def records(self) -> int:
        return self.order.rows + self.order.bad

    @property
    def kept(self) -> int:
        return self.order.total(None)["documents"]

    @property
    def funnel(self) -> str:
        return funnel_text(self.order.steps())

    def __repr__(self) -> str:
        return f"{self.kept:,} of {self.records:,} documents kept\n{self.funnel}"


def decide(
    run: str | Path | Result,
    rules: Given,
    output: str | Path | None = None,
    words: str | None = None,
    bytes: str | None = None,
) -> Decision:
    """Decide anew on annotated documents by other rules; nothing is measured again.

    run     an output folder, or Parquet with columns: a file, a folder, a glob (also RedPajama-V2's signals)
    rules   what `keep` takes, as a YAML file, the name of a rule set, a dict, or a `Keep`. Of a run they stand in the
            place of its own `keep` steps, and give what a full run of that recipe would
    output  a folder for the kept documents, all annotations and the manifest; None: only count
    words, bytes   columns with the size of each document (default: `text_words` and `text_bytes`, if they are there)

    Raises PlanError when a rule does not fit the columns, or when the columns of a run cannot answer: without
    `annotate: all`, steps after a rule saw only what it had kept. With an `output` the engine then goes on from what
    the run has stored.
    """
    data = annotated(run, words, bytes)
    steps = steps_of(rules)
    if data.result is None:
        sources = {"documents": Source(path=data.title)}
        name = Path(data.title).stem.strip("*") or "decided"
        recipe = Recipe(name=name, sources=sources, steps=tuple(steps), annotate="all")
        return _decided(data, policy(data, steps), recipe, output)
    old = Recipe.load(data.result.path / "recipe.yaml")
    new = with_rules(old, steps)
    reason = why_not(data, old, new)
    if not reason:
        try:
            return _decided(data, policy_of_run(data, new), new, output)
        except _NoText:
            reason = "documents are kept now that `data` does not have"
    if not data.result.manifest["shards"]:
        raise PlanError(f"{data.title}: {reason}: decide on {data.result.manifest['decided_from']}")
    if output is None:
        raise PlanError(f"{data.title}: the columns alone do not say what these rules give: {reason}; give an output")
    return _continued(data.result, new, Path(output))


class _NoText(Exception):
    """A document is to be written whose text is not there."""


def count(data: Annotated, rules: Policy) -> pl.DataFrame:
    """Documents, bytes and words by source, language and the set of reasons that apply."""
    parts: list[pa.Table] = []
    for table in data.batches([*rules.columns, "source", "language", *data.sizes.values(), *_any(data)]):
        parts.append(cells_of(table, rules.fails(table), data.sizes))
        if len(parts) > 64:
            parts = [summed(parts)]
    return pl.DataFrame(summed(parts)) if parts else pl.DataFrame(summed([cells_of(_none(data), {}, data.sizes)]))


def _any(data: Annotated) -> list[str]:
    """A column to count rows by, where no other is asked for."""
    return [*data.types][:1]


def _none(data: Annotated) -> pa.Table:
    return pa.schema(list(data.types.items())).empty_table()


def cells_of(table: pa.Table, fails: Fails, sizes: Mapping[str, str]) -> pa.Table:
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
    sums = table.group_by(keys).aggregate([(unit, "sum") for unit in UNITS])
    return sums.rename_columns([name.removesuffix("_sum") for name in sums.column_names]).select([*keys, *UNITS])


def summed(parts: list[pa.Table]) -> pa.Table:
    whole = pa.concat_tables(parts)
    return _grouped(whole, whole.column_names[:-3])


def matrix(rules: Policy, cells: pl.DataFrame) -> np.ndarray:
    """Whether each reason (column) applies in each cell (row)."""
    words = [cells[f"fails_{at // BITS}"].to_numpy() >> (at % BITS) & 1 for at in range(len(rules.reasons))]
    return np.stack(words, axis=1).astype(bool) if words else np.zeros((len(cells), 0), bool)


def _facts(rules: Policy, cells: pl.DataFrame, unreadable: Mapping[str, int]) -> Iterator[tuple[str, dict[str, Any]]]:
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


# ---------------------------------------------------------------- files


def _decided(data: Annotated, rules: Policy, recipe: Recipe, output: str | Path | None) -> Decision:
    if output is None:
        return Decision(rules, count(data, rules), unreadable(data))
    root = Path(output)
    if root.exists() and any(root.iterdir()):
        raise PlanError(f"{root} is not empty: choose another output")
    staging = root / ".decide"
    try:
        files, cells = _write(data, rules, recipe.output, staging)
        decision = Decision(rules, cells, unreadable(data))
        for part in files:
            replace_folder(staging / part, root / part)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    decision.result = _finish(data, decision, recipe, files, root)
    return decision


def _write(data: Annotated, rules: Policy, shape: Output, folder: Path) -> tuple[dict[str, Any], pl.DataFrame]:
    """Annotations of all documents, and the kept ones; counts on the way."""
    texts = _Texts(data)
    parts: list[pa.Table] = []
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
    files = {"data": kept.files, "annotations": annotations.files}
    return {part: msgspec.to_builtins(listed) for part, listed in files.items()}, pl.DataFrame(parts[0])


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
        """The documents of a batch to keep. Raises _NoText for one that the run had not kept."""
        if self.result is None:
            return after.drop_columns([*VERDICT]).filter(pa.array(keep))
        had = before["dropped_by"].is_null().to_numpy()
        if (keep & ~had).any():
            raise _NoText
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


def _finish(data: Annotated, decision: Decision, recipe: Recipe, files: dict[str, Any], root: Path) -> Result:
    """The recipe, and last of all the manifest, in the shape that runs have."""
    from curate.card import write_card
    from curate.report import write_report

    old = data.result.manifest if data.result else {}
    schema = pq.read_schema(root / "data" / Path(files["data"][0]["path"]).name)
    listed = {
        part: [{**file, "path": f"{part}/{Path(file['path']).name}"} for file in made] for part, made in files.items()
    }
    if decision.kept != sum(file["rows"] for file in listed["data"]):
        raise DataError(f"{decision.kept} documents were kept but not as many written: please report this")
    write_text(root / "recipe.yaml", recipe.to_yaml())
    key = fingerprint(curate.__version__, recipe.anywhere().to_plain(), [file["sha256"] for file in listed["data"]])
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
        **listed,
    }
    if data.result is not None:
        shutil.copy(data.result.path / "quarantine.jsonl", root / "quarantine.jsonl")
        write_report(root / "report.html", manifest, recipe)
        write_card(root / "README.md", manifest, recipe)
    write_text(root / "manifest.json", msgspec.json.format(msgspec.json.encode(manifest), indent=1).decode() + "\n")
    return open_run(root)


def _continued(run: Result, recipe: Recipe, output: Path) -> Decision:
    """A full run of the changed recipe that begins with all that the old one has stored."""
    from curate.engine import run as run_recipe

    if output.exists() and any(output.iterdir()):
        raise PlanError(f"{output} is not empty: choose another output")
    for name in ("values", "index", "bad", "members", "pieces", "corpus", "done"):
        if (run.path / ".work" / name).is_dir():
            shutil.copytree(run.path / ".work" / name, output / ".work" / name, copy_function=_linked)
    shape = msgspec.structs.replace(recipe.output, path=str(output))
    result = run_recipe(msgspec.structs.replace(recipe, output=shape))
    data = annotated(result)
    rules = policy_of_run(data, recipe)
    decision = Decision(rules, count(data, rules), unreadable(data))
    decision.result = result
    return decision


def _linked(old: str, new: str) -> None:
    """The same file under another name, or a copy where the disk cannot."""
    try:
        os.link(old, new)
    except OSError:
        shutil.copy(old, new)
