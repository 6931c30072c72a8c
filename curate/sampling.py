"""A small piece of a corpus through a whole recipe, in a folder that vanishes: for a look before a run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.config import Config
from curate.execute.tasks import address
from curate.io.source import Shard, Source, discover, read, schema
from curate.recipe import Output, Recipe


def sample(recipe: Recipe, rows: int) -> pa.Table:
    """The first `rows` documents of each source, with the columns, `dropped_by` and `failed_rules` the recipe gives.

    Rows that steps such as `split` make are there too, with their text when they are kept.

    Steps that see the whole corpus see only the sample.
    """
    from curate.engine import run

    with tempfile.TemporaryDirectory() as folder:
        sources = {name: _first(name, source, rows, Path(folder)) for name, source in recipe.sources.items()}
        small = msgspec.structs.replace(recipe, sources=sources, output=Output(path=f"{folder}/out"))
        result = run(small, Config(workers=1, quarantine_share=1.0))
        annotations, data = result.arrow("annotations"), result.arrow("data").select(["id", "text"])
        given = [pq.read_table(source.path, columns=["text"])["text"] for source in sources.values()]
    rows = pa.chunked_array([address(number, np.arange(len(text))) for number, text in enumerate(given)], pa.int64())
    texts = pa.chunked_array([chunk for text in given for chunk in text.chunks], pa.string())
    read = texts.take(pc.index_in(annotations["row"], rows))
    made = data["text"].take(pc.index_in(annotations["id"], data["id"]))  # of rows that a step made
    return annotations.add_column(1, "text", pc.coalesce(read, made))


def peek(name: str, source: Source, rows: int) -> pa.Table:
    """The first rows of a source as they will be read."""
    shards = discover(name, source)
    whole = schema(source, shards)
    batches, have = [], 0
    for batch in _rows(shards, source, whole):
        batches.append(batch.slice(0, rows - have))
        have += len(batches[-1])
        if have >= rows:
            break
    return pa.Table.from_batches(batches, schema=batches[0].schema if batches else whole)


def _first(name: str, source: Source, rows: int, folder: Path) -> Source:
    path = folder / f"{name}.parquet"
    pq.write_table(peek(name, source, rows), path)
    return Source(path=str(path), reference=source.reference)


def _rows(shards: list[Shard], source: Source, whole: pa.Schema) -> Iterator[pa.RecordBatch]:
    for shard in shards:
        yield from read(shard, source, whole, batch_bytes=1_000_000, quarantine=lambda record: None)
