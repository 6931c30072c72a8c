"""What takes part in a deduplication: shards of this run and of earlier ones, their rows numbered from 0, and the
folder in which its tasks leave files for each other."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from curate.config import Config
from curate.convert import size
from curate.errors import PlanError
from curate.execute.batches import BatchFile, BatchWriter
from curate.execute.earlier import earlier_parts
from curate.execute.parts import Part
from curate.operator import Deduplicator
from curate.plan import Pass, Plan, stored
from curate.store import Store, whole

ITEMS = 1 << 32  # rows that can take part: a pair of them is one uint64
LAST = 2**64  # past the last key
LEAST = 10_000  # items a task takes on, however little memory there is
BASE = 200_000_000  # bytes of a process that has loaded what it needs, and of memory that it keeps to use again


class Grouping:
    """A deduplication as its tasks see it. Item n is row n - starts[p] of part p; earlier runs come first."""

    def __init__(self, plan: Plan, store: Store, config: Config, this: Pass):
        assert this.end is not None
        self.plan, self.store, self.this, self.step = plan, store, this, plan.steps[this.end]
        assert isinstance(self.step.operator, Deduplicator)
        self.operator: Deduplicator = self.step.operator
        self.memory = size(config.memory)
        self.parts = self._parts()
        self.old = len(self.parts) - len(plan.taking_part(this))
        self.starts = np.cumsum([0, *(part.rows for part in self.parts)])
        if self.starts[-1] > ITEMS:
            raise PlanError(f"{self.step.step.name}: {self.starts[-1]:,} documents; it takes {ITEMS:,} at a time")

    def _parts(self) -> list[Part]:
        """All that take part. The driver looks through the receipts and notes it in one file, which tasks read."""
        note = self.store.path(*self._place("parts.json"))
        if not note.exists():
            found = [*earlier_parts(self.operator), *own_parts(self.plan, self.store, self.this)]
            with whole(note) as temporary:
                temporary.write_bytes(msgspec.json.encode(found))
        return _noted(str(note))

    @property
    def room(self) -> int:
        """Bytes that the arrays of a task may take."""
        return room(self.memory)

    def room_for(self, width: int) -> int:
        """How many items of so many bytes a task may hold."""
        return max(LEAST, self.room // width)

    @property
    def compared(self) -> int:
        """How many pairs, or rows with their sketches, a task may hold."""
        kinds = self.operator.sketches().values()
        width = sum(kind.bit_width // 8 if _is_fixed(kind) else 64 for kind in kinds)
        return self.room_for(64 + 4 * width)

    @property
    def key(self) -> str:
        """Of the receipts: partitions are those of one size of memory."""
        return f"{self.step.corpus_key}/{self.memory}"

    def file(self, stage: str, number: int) -> Path:
        return self.store.path(*self._place(stage), f"{number:05d}.arrow")

    def _place(self, *names: str) -> tuple[str, ...]:
        return (".work", "corpus", self.step.corpus_key, str(self.memory), *names)

    def files(self, *stages: str) -> Iterator[BatchFile]:
        """What the tasks of some stages have left, in order."""
        yield from map(BatchFile, self.paths(*stages))

    def paths(self, *stages: str) -> list[Path]:
        return [path for stage in stages for path in self.store.files(*self._place(stage), "[0-9]*.arrow")]

    # ------------------------------------------------------------ items

    def addresses(self, items: np.ndarray) -> np.ndarray:
        """Row addresses (shard << 32 | row); those of earlier runs are below 0."""
        part = np.searchsorted(self.starts, items, "right") - 1
        return (part - self.old << np.int64(32)) | (items - self.starts[part])

    def by_part(self, items: np.ndarray) -> Iterator[tuple[Part, np.ndarray]]:
        """Ascending items, cut into (part, rows)."""
        cuts = np.searchsorted(items, self.starts)
        for at in np.flatnonzero(cuts[1:] > cuts[:-1]):
            yield self.parts[at], items[cuts[at] : cuts[at + 1]].astype(np.int64) - self.starts[at]

    def rows(self, items: np.ndarray, path: Callable[[Part], Path], columns: Iterable[str]) -> pa.Table:
        """Some columns of a file of each part, for ascending items."""
        names = [*columns]
        where = [*self.by_part(items)] or [(self.parts[0], items)]
        pieces = [BatchFile(path(part)).rows(rows, names) for part, rows in where]
        return pa.concat_tables(pieces).combine_chunks()

    def sketches(self, items: np.ndarray) -> pa.Table:
        return self.rows(items, lambda part: part.sketches, stored(self.step))

    def ranks(self, items: np.ndarray) -> np.ndarray:
        if self.operator.keep in ("first", "all") or not len(items):
            return np.zeros(len(items), np.uint64)
        return self.rows(items, lambda part: part.documents, ["rank"])["rank"].to_numpy()

    def digests(self, items: np.ndarray) -> np.ndarray:
        return self.rows(items, lambda part: part.documents, ["digest"])["digest"].to_numpy()

    def look(self, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        table = self.rows(items, lambda part: part.documents, ["digest", "tag"])
        return table["digest"].to_numpy(), table["tag"].to_numpy()


def _is_fixed(kind: pa.DataType) -> bool:
    return pa.types.is_primitive(kind) or pa.types.is_fixed_size_binary(kind)


def room(memory: int) -> int:
    """Bytes that the arrays of a task may take; the rest is for code and for what is on its way to disk."""
    return max(memory // 4, (memory - BASE) // 2)


@functools.lru_cache(maxsize=2)
def _noted(path: str) -> list[Part]:
    return msgspec.json.decode(Path(path).read_bytes(), type=list[Part])


def own_parts(plan: Plan, store: Store, this: Pass) -> list[Part]:
    """The shards of this run."""
    step = plan.steps[this.end or 0]
    keys = [plan.shards[number].key for number in plan.taking_part(this)]
    facts = zip(keys, store.receipts(this.key, keys), strict=True)
    return [Part(store, this.key, step.value_key, step.corpus_key, key, found["rows"]) for key, found in facts]


# ---------------------------------------------------------------- tables in partitions


def write_parts(path: Path, table: pa.Table, part: np.ndarray, parts: int) -> None:
    """A table as a file of one record batch for each partition; row i goes to partition part[i]."""
    from curate.kernels.sorting import in_order

    ordered, order = in_order(part.astype(np.uint32))
    cuts = np.searchsorted(ordered, np.arange(parts + 1))
    table = table.take(pa.array(order))
    with BatchWriter(path, table.schema) as writer:
        for at in range(parts):
            writer.batch(table.slice(cuts[at], cuts[at + 1] - cuts[at]))


def read_part(files: Iterable[BatchFile], part: int, schema: pa.Schema) -> pa.Table:
    """One partition of all files."""
    return pa.Table.from_batches([file.get(part) for file in files], schema).combine_chunks()


def column(table: Any, name: str) -> np.ndarray:
    """A column of numbers, copied: the file it is from can be closed."""
    return np.array(table[name].to_numpy())


def position(ordered: np.ndarray, bound: int) -> int:
    """Where in sorted keys those from `bound` on begin."""
    return len(ordered) if bound >= LAST else int(np.searchsorted(ordered, np.uint64(bound)))
