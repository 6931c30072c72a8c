"""Makes an index from what a run has stored: signatures, and the keys of their bands sorted over the whole corpus.

    INDEX/index.json              what it is
    INDEX/.work/...               laid out as in a run folder of one shard, so that `against: INDEX` goes on from it:
        members                   (key, row) by key; a batch is a range of keys
        values, index, documents  signatures; id and place in the run's data; digests: of each row, in equal batches
        corpus                    the rows that the run dropped as near-duplicates

Rows are those that the step has compared, in corpus order; rows of earlier runs that it went on from come first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa

from curate import against
from curate.convert import size
from curate.errors import DataError, PlanError, nearest
from curate.execute.batches import BatchFile, BatchWriter, read_table, write_table
from curate.execute.grouping import LAST, position
from curate.execute.members import DOCUMENTS, KEYS
from curate.execute.overlay import ERROR
from curate.execute.parts import Part
from curate.operator import Deduplicator
from curate.recipe import Recipe, Step
from curate.result import open_run
from curate.store import Store, write_text

if TYPE_CHECKING:
    from curate.index.similar import Index

BATCH = 1 << 16  # rows in a batch of what goes by row
KEY_BYTES = 48  # that sorting takes for a key
MARKS = ("index.json", ".work")  # what shows that a folder is an index, or one that was not finished
NAME = "index"  # of what the index's only shard is keyed by
IDS = pa.schema([("id", pa.string()), ("place", pa.int64())])


def build_index(run: str | Path, to: str | Path | None = None, step: str | None = None, memory: str = "1GB") -> Index:
    """Make an index of the documents that a near-duplicate step of a finished run has compared.

    run     the run's folder; its `.work` is needed, its text is not read
    to      folder of the index; default: RUN/similar
    step    the step's name, when there are several
    memory  that sorting may take

    Raises DataError when the run is not finished or has lost its `.work`, PlanError when it has no such step or the
    folder holds something else.
    """
    from curate.index.similar import open_index

    run, folder = Path(run), Path(to) if to else Path(run, "similar")
    result = open_run(run)
    found = _step(Recipe.load(result.path / "recipe.yaml", allow_code=True), run, step)
    operator = cast(Deduplicator, found.operator)
    about = operator.described()
    parts = _parts(run, about)
    if folder.exists() and any(folder.iterdir()) and not {path.name for path in folder.iterdir()} & {*MARKS}:
        raise PlanError(f"{folder} holds files that are not of an index: choose another folder (--to)")
    facts = {"run": str(run.resolve()), "step": found.name, "keep": operator.keep}
    write_index(folder, parts, about, facts, size(memory))
    return open_index(folder)


def write_index(folder: Path, parts: list[Part], about: dict[str, Any], facts: dict[str, Any], memory: int) -> None:
    """Write the files of an index of some shards. `about` is what `against.described` says of the operator."""
    (folder / "index.json").unlink(missing_ok=True)
    rows = [_rows(part) for part in parts]
    starts = np.cumsum([0, *map(len, rows)])
    made = Part(Store(str(folder)), NAME, NAME, NAME, NAME, int(starts[-1]))
    _by_row(made, parts, rows)
    _by_key(made, parts, rows, starts, memory // 2)
    _dropped(made, parts, rows, starts)
    part = {**msgspec.to_builtins(made), "store": {"root": ""}}
    told = json.dumps({**about, "keep": facts["keep"], "parts": [part]}, sort_keys=True)
    write_text(folder / against.FOLDER / against.file_name(about), told)
    whole = {"documents": made.rows, **facts, **about}
    write_text(folder / "index.json", json.dumps(whole, indent=1) + "\n")  # last: with it the index is there


def _step(recipe: Recipe, run: Path, name: str | None) -> Step:
    """The step whose signatures are indexed."""
    steps = {step.name: step for step in recipe.steps if isinstance(step.operator, Deduplicator)}
    near = {name: step for name, step in steps.items() if "signature" in step.operator.sketches()}  # type: ignore[attr-defined]
    if not near:
        raise PlanError(f"{run} has no signatures: its recipe has no step like dedup_minhash")
    if name is None and len(near) > 1:
        raise PlanError(f"{run} has signatures of several steps: choose one of {', '.join(near)} (--step)")
    if name is not None and name not in near:
        raise PlanError(f"{run} has no signatures of a step {name!r}{nearest(name, near)}")
    return near[name or next(iter(near))]


def _parts(run: Path, about: dict[str, Any]) -> list[Part]:
    """The shards that the step has compared, those of earlier runs first."""
    path = run / against.FOLDER / against.file_name(about)
    if not path.is_file():
        raise DataError(f"{run} does not hold what it compared any more (.work): run the recipe again")
    parts = []
    for plain in json.loads(path.read_text(encoding="utf-8"))["parts"]:
        plain["store"]["root"] = plain["store"]["root"] or str(run)
        part = msgspec.convert(plain, Part)
        for file in (part.members, part.sketches, part.documents, part.index):
            if not file.exists():
                raise DataError(f"{file} is gone: run the recipe again")
        parts.append(part)
    return parts


def _rows(part: Part) -> np.ndarray:
    """The rows of a shard that have keys, ascending."""
    from curate.kernels.components import once

    found = [once(batch["row"].to_numpy()) for batch in BatchFile(part.members)]
    return once(np.concatenate([np.zeros(0, np.uint32), *found])).astype(np.int64)


# ---------------------------------------------------------------- by row


def _by_row(made: Part, parts: list[Part], rows: list[np.ndarray]) -> None:
    """Signatures, digests, ids and places of all rows, in batches of BATCH."""
    places = _Places()
    slots = BatchFile(parts[0].sketches).schema.field("signature")
    files: list[tuple[Path, pa.Schema, Callable[[Part], Path]]] = [
        (made.sketches, pa.schema([slots]), lambda part: part.sketches),
        (made.documents, DOCUMENTS, lambda part: part.documents),
    ]
    if all(part.evidence.exists() for part in parts):  # the run remembers it
        kept = [field for field in BatchFile(parts[0].evidence).schema if field.name != ERROR]
        files.append((made.evidence, pa.schema(kept), lambda part: part.evidence))
    for path, schema, where in files:
        pieces = (
            BatchFile(where(part)).rows(own, schema.names).cast(schema)
            for part, each in zip(parts, rows, strict=True)
            for own in _chunks(each)
        )
        _write(path, schema, pieces)
    ids = (
        BatchFile(part.index).rows(own, ["id"]).append_column("place", places(part, own))
        for part, each in zip(parts, rows, strict=True)
        for own in _chunks(each)
    )
    _write(made.index, IDS, ids)


def _chunks(rows: np.ndarray) -> Iterator[np.ndarray]:
    return (rows[at : at + BATCH] for at in range(0, len(rows), BATCH))


def _write(path: Path, schema: pa.Schema, pieces: Iterable[pa.Table]) -> None:
    """Tables of any length as batches of BATCH rows."""
    held = schema.empty_table()
    with BatchWriter(path, schema) as writer:
        for piece in pieces:
            held = pa.concat_tables([held, piece])
            while len(held) >= BATCH:
                writer.batch(held.slice(0, BATCH))
                held = held.slice(BATCH)
        writer.batch(held)


class _Places:
    """Where in its run's data a document is: the row among all that are kept, -1 for those that are dropped."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[dict[str, int], np.ndarray]] = {}

    def __call__(self, part: Part, rows: np.ndarray) -> pa.Array:
        shards, kept = self._run(part.store.root)
        if part.shard not in shards:
            return pa.array(np.full(len(rows), -1))
        wanted = (shards[part.shard] << 32) + rows
        at = np.searchsorted(kept, wanted)
        is_kept = kept[np.minimum(at, len(kept) - 1)] == wanted if len(kept) else np.zeros(len(rows), bool)
        return pa.array(np.where(is_kept, at, -1))

    def _run(self, root: str) -> tuple[dict[str, int], np.ndarray]:
        if root not in self._kept:
            try:
                rows = open_run(root).scan("annotations").filter(pl.col("dropped_by").is_null()).select("row")
                shards = json.loads(Store(root).work("stored.json").read_text())["shards"]
                found = rows.collect()["row"].sort().to_numpy()
                self._kept[root] = {key: number for number, key in enumerate(shards)}, found
            except (DataError, FileNotFoundError):  # an index has no data, an earlier run may have lost it
                self._kept[root] = {}, np.zeros(0, np.int64)
        return self._kept[root]


# ---------------------------------------------------------------- by key


def _by_key(made: Part, parts: list[Part], rows: list[np.ndarray], starts: np.ndarray, room: int) -> None:
    """All keys in order, one range of them after the other."""
    total = sum(BatchFile(part.members).count for part in parts)
    ranges = max(1, -(-total * KEY_BYTES // max(room, 1 << 20)))
    with BatchWriter(made.members, KEYS) as writer:
        for at in range(ranges):
            low, high = (LAST * each // ranges for each in (at, at + 1))
            keys, items = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint32)]
            for part, own, start in zip(parts, rows, starts, strict=False):
                for batch in BatchFile(part.members):
                    found = batch["key"].to_numpy()
                    cut = slice(position(found, low), position(found, high))
                    keys.append(found[cut].copy())
                    items.append((np.searchsorted(own, batch["row"].to_numpy()[cut]) + start).astype(np.uint32))
            key, item = np.concatenate(keys), np.concatenate(items)
            order = np.lexsort((item, key))
            writer.batch(pa.table([key[order], item[order]], schema=KEYS))


def _dropped(made: Part, parts: list[Part], rows: list[np.ndarray], starts: np.ndarray) -> None:
    """The decisions of the step, as far as later runs ask for them."""
    gone = [np.zeros(0, np.uint32)]
    for part, own, start in zip(parts, rows, starts, strict=False):
        path = part.store.decisions(part.corpus_key, part.shard)
        if path.exists():
            table = read_table(path)
            dropped = table["row"].to_numpy()[table["drop"].to_numpy()]
            gone.append((np.searchsorted(own, dropped) + start).astype(np.uint32))
    table = pa.table({"row": np.concatenate(gone)})
    write_table(made.store.decisions(NAME, NAME), table.append_column("drop", pa.array(np.ones(len(table), bool))))
