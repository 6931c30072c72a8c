"""The result as Parquet: kept documents with their text, and every document without text but with its reasons."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import time
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

import curate
from curate.arrays import one
from curate.convert import size
from curate.execute.overlay import BYTES, WORDS
from curate.execute.tasks import Task, address, fate, load_plan, outcomes
from curate.execute.walk import Batch, Walk
from curate.io.parquet import ParquetSink
from curate.plan import Plan, fingerprint
from curate.shared import publish
from curate.store import Store, whole_folder

LAYOUT = 4  # bump when the shape of the output changes
ROW_GROUP_BYTES = 64_000_000
WITHOUT_TEXT = 10  # times the rows in a row group of the annotations


def export_key(plan: Plan) -> str:
    """Fingerprint of everything in the output."""
    return fingerprint(LAYOUT, curate.__version__, plan.key, json.dumps(plan.recipe.anywhere().to_plain()))


def groups(plan: Plan, kept_bytes: list[int]) -> list[tuple[int, ...]]:
    """Consecutive exported shards whose kept text fills a file; a larger shard fills several."""
    target, found, held = size(plan.recipe.output.file_size), [], 0
    members: list[int] = []
    for number, shard in enumerate(plan.shards):
        if not plan.exported(shard):
            continue
        if members and held + kept_bytes[number] > target:
            found.append(tuple(members))
            members, held = [], 0
        members.append(number)
        held += kept_bytes[number]
    return [*found, tuple(members)] if members else found


def schemas(plan: Plan) -> tuple[pa.Schema, pa.Schema]:
    """Schemas of the data and of the annotations."""
    columns = [field for field in plan.schema if field.name != "text"]
    text = [plan.schema.field("id"), plan.schema.field("text")]
    rest = [field for field in columns if field.name != "id"]
    decision = [pa.field("row", pa.int64()), pa.field("dropped_by", pa.string())]
    decision += [pa.field("failed_rules", pa.list_(pa.string()))]
    decision += [pa.field("text_bytes", pa.int64()), pa.field("text_words", pa.int32())]
    return pa.schema([*text, *rest]), pa.schema([plan.schema.field("id"), *decision, *rest])


def models(plan: Plan, store: Store) -> list[dict[str, Any]]:
    """Put the files of models that were trained into models/STEP/ of the run folder, and say what they are."""
    top, found = store.path("models"), []
    with whole_folder(top) as folder:
        for step in plan.steps:
            files = store.files(".work", "corpus", step.corpus_key, "files", "*") if step.corpus_key else []
            for file in files:
                (folder / step.step.name).mkdir(exist_ok=True)
                _link(file, folder / step.step.name / file.name)
                digest = hashlib.file_digest(file.open("rb"), "sha256").hexdigest()
                path = f"models/{step.step.name}/{file.name}"
                found.append({"path": path, "bytes": file.stat().st_size, "sha256": digest})
    if not found:
        shutil.rmtree(top)
    return found


def _link(file: Path, path: Path) -> None:
    """The same file under another name, or a copy where the disk has no links."""
    try:
        os.link(file, path)
    except OSError:
        shutil.copyfile(file, path)


@functools.lru_cache(maxsize=2)
def provenance(path: str) -> dict[str, str]:
    """What the Parquet footers say about their origin; of the plan at a path."""
    plan = load_plan(path)
    recipe = hashlib.sha256(plan.recipe.anywhere().to_yaml().encode()).hexdigest()
    return {"curate": json.dumps({"version": curate.__version__, "recipe": plan.recipe.name, "recipe_sha256": recipe})}


def export_task(task: Task, plan: Plan) -> dict[str, Any]:
    """Write the files of one group of shards into the folder that is being made."""
    data_schema, annotation_schema = schemas(plan)
    names, rows = outcomes(plan), plan.recipe.output.row_group_rows
    folder = task.store.work(staging(task.plan))
    clock: dict[str, float] = defaultdict(float)
    began = time.perf_counter()
    with (
        _sink(folder / "data", task, data_schema, plan, rows) as data,
        _sink(folder / "annotations", task, annotation_schema, plan, WITHOUT_TEXT * rows) as annotations,
    ):
        for number in task.shards:
            walk = Walk(plan, task.store, task.config, number, len(plan.steps))
            for batch in walk:
                for name in plan.schema.names:
                    batch.column(name)
                with walk.timed("write"):
                    annotations.append(_annotations(batch, names, annotation_schema))
                    data.append(_kept(batch, data_schema))
            for part, seconds in walk.clock.items():
                clock[part] += seconds
        began_closing = time.perf_counter()
        with ThreadPoolExecutor(1) as beside:  # one waits for the disk while the other compresses
            closing = beside.submit(annotations.close)
            data.close()
            closing.result()
    clock["write"] += time.perf_counter() - began_closing
    clock["total"] = time.perf_counter() - began
    for file in (*data.files, *annotations.files):
        publish(Path(file.path))
    files = {"data": msgspec.to_builtins(data.files), "annotations": msgspec.to_builtins(annotations.files)}
    return {**files, "clock": dict(clock)}


@functools.lru_cache(maxsize=2)
def staging(path: str) -> str:
    """Where in the work folder the files of the plan at a path wait until all of them are whole."""
    return f"export/{export_key(load_plan(path))}"


def _sink(folder: Path, task: Task, schema: pa.Schema, plan: Plan, rows: int) -> ParquetSink:
    output = plan.recipe.output
    return ParquetSink(
        folder,
        f"part-{task.at:05d}-{{}}.parquet",
        schema,
        file_bytes=size(output.file_size),
        row_group_rows=rows,
        row_group_bytes=ROW_GROUP_BYTES,
        compression_level=output.compression,
        metadata=provenance(task.plan),
    )


def _annotations(batch: Batch, names: list[str], schema: pa.Schema) -> pa.Table:
    rows = address(batch.walk.number, np.arange(batch.start, batch.start + batch.size))
    made = {
        "row": pa.array(rows),
        "dropped_by": fate(batch, names),
        "failed_rules": failed_rules(batch.fails, batch.size),
    }
    made |= {"text_bytes": one(batch.index[BYTES]), "text_words": one(batch.index[WORDS])}
    return pa.table({name: made[name] if name in made else batch.column(name) for name in schema.names}, schema=schema)


def _kept(batch: Batch, schema: pa.Schema) -> pa.Table:
    if not batch.kept.any():
        return schema.empty_table()
    table = pa.table({name: batch.column(name) for name in schema.names}, schema=schema)
    return table if batch.kept.all() else table.filter(pa.array(batch.kept))


def failed_rules(fails: Mapping[str, np.ndarray], rows: int) -> pa.Array:
    """Every reason that applies to each row, in the order of the recipe."""
    if not fails:
        return pa.ListArray.from_arrays(pa.array(np.zeros(rows + 1, np.int32)), pa.array([], pa.string()))
    matrix = np.stack([*fails.values()], axis=1)
    offsets = np.concatenate([[0], np.cumsum(matrix.sum(axis=1))]).astype(np.int32)
    which = np.nonzero(matrix)[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array([*fails], pa.string()).take(pa.array(which)))
