"""The rows of one shard, batch by batch, through the steps of a plan.

Stored values are used where they cover the rows a step is for; what is missing is computed (and stored when the
pass owns the step). Text is read only when something needs it. A step sees rows that are still kept (or all rows,
`annotate: all`) and in its scope; what an overlay holds beyond that is hidden, so results never depend on history.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.arrays import plain
from curate.config import Config
from curate.convert import size
from curate.errors import DataError
from curate.execute.batch import Batch
from curate.execute.batches import BatchFile, BatchWriter, read_chunks, read_table
from curate.execute.overlay import BYTES, WORDS, Overlay, index_schema
from curate.io.source import BadRecord, read
from curate.plan import PIECES, Plan, PlannedStep, stored
from curate.store import Store, write_text


class Timed:
    """A block whose seconds are added to a part of a clock."""

    def __init__(self, clock: dict[str, float], part: str):
        self.clock, self.part = clock, part

    def __enter__(self) -> None:
        self.began = time.perf_counter()

    def __exit__(self, *how: object) -> None:
        self.clock[self.part] += time.perf_counter() - self.began


class Walk:
    """The rows of one shard through the steps before `stop`."""

    def __init__(self, plan: Plan, store: Store, config: Config, number: int, stop: int):
        self.plan, self.store, self.config = plan, store, config
        self.number, self.shard = number, plan.shards[number]
        self.steps = plan.steps[plan.first_step(number) : stop]
        self.reasons = {reason: at for at, reason in enumerate(plan.reasons)}
        self.clock: dict[str, float] = defaultdict(float)
        self.rows = self.bad = 0
        self._overlays: dict[str, Overlay] = {}
        self._decisions: dict[int, pa.Table] = {}
        self._models: dict[int, pa.Table] = {}
        self._source = SourceRows(self._open)

    def __iter__(self) -> Iterator[Batch]:
        failed = True
        try:
            for number, (index, given) in enumerate(self._batches()):
                batch = Batch(self, number, self.rows, index, given)
                self.rows += len(index)
                for step in self.steps:
                    batch.take(step)
                yield batch
                batch.forget()
            failed = False
        finally:
            self._source.close()
            with self.timed("write"):
                for overlay in self._overlays.values():
                    overlay.close(failed)

    def overlay(self, step: PlannedStep) -> Overlay:
        if step.value_key not in self._overlays:
            path = self.store.values(step.value_key, self.shard.key)
            with self.timed("read"):
                self._overlays[step.value_key] = Overlay(path, stored(step))
        return self._overlays[step.value_key]

    def decisions(self, step: PlannedStep) -> pa.Table:
        """Rows of this shard that a corpus-wide step decided on, in order."""
        if step.index not in self._decisions:
            path = self.store.decisions(step.corpus_key, self.shard.key)
            with self.timed("read"):
                self._decisions[step.index] = read_table(path)
        return self._decisions[step.index]

    def model(self, step: PlannedStep) -> pa.Table:
        if step.index not in self._models:
            self._models[step.index] = read_model(self.store, step, step.operator.rounds - 1)  # type: ignore[attr-defined]
        return self._models[step.index]

    def source(self, start: int, rows: int) -> pa.RecordBatch:
        with self.timed("read"):
            return self._source.take(start, rows)

    def timed(self, part: str) -> Timed:
        """Add the time of a block to one part of the clock: read, write, or a step."""
        return Timed(self.clock, part)

    def _batches(self) -> Iterator[tuple[pa.Table, pa.RecordBatch | None]]:
        path = self.store.index(self.shard.key)
        if path.exists():
            yield from ((pa.Table.from_batches([batch]), None) for batch in BatchFile(path))
        else:
            yield from self._first_read(BatchWriter(path, index_schema(self.plan.source_schemas[self.shard.source])))

    def _first_read(self, index: BatchWriter) -> Iterator[tuple[pa.Table, pa.RecordBatch]]:
        """Read the shard for the first time: number its rows, note its bad records."""
        bad: list[BadRecord] = []
        failed = True
        try:
            batches = self._open(bad.append)
            while True:
                with self.timed("read"):
                    batch = next(batches, None)
                if batch is None:
                    break
                with self.timed("index"):
                    table = _sizes(batch, index.schema)
                with self.timed("write"):
                    index.write(table)
                yield table, batch
            self.bad = len(bad)
            lines = [msgspec.json.encode(record).decode() + "\n" for record in bad]
            write_text(self.store.bad(self.shard.key), "".join(lines))
            failed = False
        finally:
            index.close(failed)

    def _open(self, quarantine: Callable[[BadRecord], None] | None = None) -> Iterator[pa.RecordBatch]:
        if self.shard.format == PIECES:
            return iter(BatchFile(self.store.pieces(self.shard.key)))
        known = None if quarantine else bad_positions(self.store, self.shard.key)
        return read(
            self.shard,
            self.plan.recipe.sources[self.shard.source],
            self.plan.source_schemas[self.shard.source],
            batch_bytes=size(self.config.batch_size),
            quarantine=quarantine or (lambda record: None),
            skip=known,
            corrupt=self.config.corrupt_archives,
        )


def _sizes(batch: pa.RecordBatch, schema: pa.Schema) -> pa.Table:
    """A batch's part of the index."""
    from curate.kernels.lexer import count_words

    text = plain(batch["text"])
    sizes = {BYTES: pc.binary_length(text).cast(pa.int64()), WORDS: pa.array(count_words(text), pa.int32())}
    return pa.table([sizes[name] if name in sizes else plain(batch[name]) for name in schema.names], schema=schema)


def read_model(store: Store, step: PlannedStep, round: int) -> pa.Table:
    """What a trainer made of its corpus in a round; with a key, in chunks that stay on disk until they are used."""
    path = store.model(step.corpus_key, round)
    return read_chunks(path) if step.operator.key else read_table(path)  # type: ignore[attr-defined]


def bad_positions(store: Store, shard: str) -> np.ndarray:
    """Positions of a shard's bad records, as its first read noted them."""
    lines = store.bad(shard).read_text().splitlines()
    return np.array([msgspec.json.decode(line)["position"] for line in lines], np.int64)


class SourceRows:
    """The shard's own rows, opened only when asked for and read strictly forward."""

    def __init__(self, open_shard: Callable[[], Iterator[pa.RecordBatch]]):
        self._open = open_shard
        self._batches: Iterator[pa.RecordBatch] | None = None
        self._held: list[pa.RecordBatch] = []
        self._at = 0

    def take(self, start: int, rows: int) -> pa.RecordBatch:
        """Rows start .. start + rows; earlier ones are gone."""
        if self._batches is None:
            self._batches = self._open()
        while self._at + sum(map(len, self._held)) < start + rows:
            batch = next(self._batches, None)
            if batch is None:
                raise DataError("a shard has fewer rows than when it was read first: has its source changed? run again")
            self._held.append(batch)
            while self._held and self._at + len(self._held[0]) <= start:
                self._at += len(self._held.pop(0))
        if self._held[0].num_rows == rows and self._at == start:
            return self._held[0]
        table = pa.Table.from_batches(self._held).slice(start - self._at, rows)
        return table.combine_chunks().to_batches()[0]

    def close(self) -> None:
        close = getattr(self._batches, "close", None)
        if close:
            close()
