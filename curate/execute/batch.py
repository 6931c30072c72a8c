"""A batch of rows on its way through the steps: columns as they are by then, who is still kept, and why not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa

from curate import sql
from curate.arrays import one, plain, scatter, truths
from curate.errors import CurateError, OperatorError
from curate.evaluate import evaluate
from curate.execute.batches import DamagedWork
from curate.execute.overlay import BYTES, choose
from curate.operator import ROW, Columns, Deduplicator, Expander, Filter, Selector, Trainer, edits
from curate.plan import PIECES, PlannedStep

if TYPE_CHECKING:
    from curate.execute.walk import Walk

# Where less than one byte in so many is not asked for, a whole batch is worked on: by any operator, by a quick one.
FEW, SOME = 8, 2
TOO_MANY = 20  # rows of a batch an operator may fail on before it is the operator that is wrong


class Version(msgspec.Struct):
    """One writer of a column: how to get its values and for which rows they count (None: all)."""

    load: Callable[[], pa.Array]
    rows: np.ndarray | None


@contextmanager
def blamed(step: PlannedStep, where: str) -> Iterator[None]:
    """Whatever a step's operator raises in the block becomes an OperatorError that names the step."""
    try:
        yield
    except DamagedWork:  # no fault of the step's
        raise
    except (CurateError, MemoryError) as error:
        raise again(error, f"step {step.step.name}, {where}") from error
    except Exception as error:
        raise OperatorError(f"step {step.step.name}, {where}: {type(error).__name__}: {error}") from error


def again(error: Exception, where: str) -> Exception:
    """The same error with its place. NumPy's own kind of MemoryError cannot be made of a message."""
    kind = MemoryError if isinstance(error, MemoryError) else type(error)
    return kind(f"{where}: {error}")


def _decided(part: pa.Table, own: str, kind: pa.DataType, here: np.ndarray) -> pa.Array:
    """A column of decisions, of which there are some for the rows that are `here`; no decision is no duplicate."""
    array = scatter(one(part[own]), here) if len(part) else pa.nulls(len(here), kind)
    return array.fill_null(False) if kind == pa.bool_() else array


def _some(rows: np.ndarray) -> np.ndarray | None:
    """The rows that a version counts for, as a `Version` has them; None where it is all."""
    return None if rows.all() else rows


class Batch:
    """Some rows of a shard. `take` leads them through a step; `column` gives a column as it is by then."""

    def __init__(self, walk: Walk, number: int, start: int, index: pa.Table, given: pa.RecordBatch | None):
        self.walk, self.number, self.start, self.index = walk, number, start, index
        self.size = len(index)
        self.kept = np.ones(self.size, bool)
        self.failed = np.zeros(self.size, bool)
        self.first = np.full(self.size, -1, np.int32)
        self.fails: dict[str, np.ndarray] = {}
        self.errors: dict[str, pa.Array] = {}
        self._given = given
        self._versions: dict[str, list[Version]] = defaultdict(list)
        self._memo: dict[str, pa.Array] = {}
        self._filtered: tuple[np.ndarray, Columns] = (np.ones(0, bool), {})
        for schema in walk.plan.source_schemas.values():
            for field in schema:
                self._versions[field.name] = [Version(partial(self._from_source, field), None)]
        self._versions[ROW] = [Version(self._addresses, None)]
        if walk.shard.format == PIECES:
            parent = pa.field("parent_id", pa.string())
            self._versions["parent_id"] = [Version(partial(self._from_source, parent), None)]

    def forget(self) -> None:
        """Let go of all columns. They refer back to the batch, and would stay until garbage is collected."""
        self._given = None
        self._versions.clear()
        self._memo.clear()
        self._filtered = (np.ones(0, bool), {})

    @property
    def open(self) -> np.ndarray:
        """Rows that later steps see."""
        return ~self.failed if self.walk.plan.recipe.annotate == "all" else self.kept & ~self.failed

    def column(self, name: str) -> pa.Array:
        """The column as the steps so far have left it; null where nothing wrote it."""
        if name not in self._memo:
            known = name in self._versions
            self._memo[name] = (
                self._resolve(name) if known else pa.nulls(self.size, self.walk.plan.schema.field(name).type)
            )
        return self._memo[name]

    def is_as_read(self, name: str) -> bool:
        """Whether a column is the source's own text, unedited so far."""
        return name == "text" and len(self._versions[name]) == 1

    def scope(self, step: PlannedStep) -> np.ndarray:
        """Rows a step works on."""
        if self.walk.shard.source not in step.scope.sources:
            return np.zeros(self.size, bool)
        rows = self.open
        for condition in step.scope.conditions:
            values = {name: self.column(name) for name in sql.columns(condition)}
            rows = rows & truths(sql.holds(condition, values))
        return rows

    def take(self, step: PlannedStep) -> None:
        """Lead the rows through one step: its columns, its reasons."""
        rows = self.scope(step)
        if isinstance(step.operator, Deduplicator | Selector):
            self._decide_by_corpus(step, rows)
            return
        if isinstance(step.operator, Expander):
            self._drop(step.outputs[step.operator.name()], rows)
            return
        values = self.values(step, rows)
        if isinstance(step.operator, Filter):
            for own in step.operator.reasons():
                self._drop(step.outputs[own], truths(values(own)) & rows)
            return
        counts = _some(rows)
        for own in step.operator.writes():
            self._push(step.outputs[own], Version(partial(values, own), counts))
        if isinstance(step.operator, Trainer) and step.drops:
            made = {own: values(own) for own in step.operator.writes() if not edits(step.operator, own)}
            for own, fails in step.operator.decide(made).items():
                self._drop(step.outputs[own], truths(fails) & rows)

    def values(self, step: PlannedStep, rows: np.ndarray) -> Callable[[str], pa.Array]:
        """A step's row-aligned values for these rows, from the overlay or computed now."""
        overlay = self.walk.overlay(step)

        def load(own: str) -> pa.Array:
            with self.walk.timed("read"):
                return overlay.load(self.number, own)

        with self.walk.timed("read"):
            covered, errors = overlay.covered(self.number, self.size)
        missing = rows & ~covered
        if not missing.any():
            self._quarantine(step, errors, rows)
            return load
        missing = self._widened(step, missing)
        fresh, found = self._compute(step, missing)
        if covered.any() and not missing.all():
            fresh = {own: choose(missing, array, load(own)) for own, array in fresh.items()}
            found = choose(missing, found, errors)
        with self.walk.timed("write"):
            overlay.put(fresh, covered | missing, found)
        self._quarantine(step, found, rows)
        return lambda own: fresh[own]

    def _widened(self, step: PlannedStep, rows: np.ndarray) -> np.ndarray:
        """All rows where that is cheaper than to copy the text of those wanted, and where all have what is read."""
        has_all = all(self._is_whole(step.inputs[own]) for own in step.operator.arguments())
        sizes = one(self.index[BYTES]).to_numpy()
        least = SOME if step.operator.is_quick else FEW
        return np.ones(self.size, bool) if has_all and sizes[~rows].sum() * least < sizes.sum() else rows

    def _is_whole(self, name: str) -> bool:
        """Whether every row has the column's last value; others may yet get one, in a run that keeps more of them."""
        written = self._versions.get(name)
        return bool(written) and (written[-1].rows is None or bool(written[-1].rows.all()))  # type: ignore[index]

    def inputs(self, step: PlannedStep, rows: np.ndarray) -> Columns:
        """The columns a step reads, for the given rows. Steps that see the same rows share the arrays."""
        from curate.kernels.lexer import filtered

        names = {own: step.inputs[own] for own in step.operator.arguments()}
        if rows.all():
            return {own: self.column(name) for own, name in names.items()}
        if not np.array_equal(self._filtered[0], rows):
            self._filtered = (rows, {})
        cache = self._filtered[1]
        for name in names.values():
            if name not in cache:
                cache[name] = filtered(self.column(name), rows)
        return {own: cache[name] for own, name in names.items()}

    def _compute(self, step: PlannedStep, rows: np.ndarray) -> tuple[Columns, pa.Array]:
        inputs = self.inputs(step, rows)
        work = None
        if isinstance(step.operator, Trainer):
            model = self.walk.model(step)
            work = lambda **columns: step.operator.apply(**columns, model=model)  # type: ignore[attr-defined]  # noqa: E731
        ids, is_whole = one(self.index["id"]), bool(rows.all())
        ids = ids if is_whole else ids.filter(pa.array(rows))
        with self.walk.timed(f"step {step.step.name}"):
            values, errors = self._guarded(step, inputs, ids, work)
        if is_whole:
            return values, errors
        return {own: scatter(array, rows) for own, array in values.items()}, scatter(errors, rows)

    def _guarded(
        self, step: PlannedStep, inputs: Columns, ids: pa.Array, work: Callable[..., Any] | None
    ) -> tuple[Columns, pa.Array]:
        """Evaluate; when a document makes the operator fail, find it and leave only that one out."""
        try:
            return evaluate(step.operator, inputs, work), pa.nulls(len(ids), pa.string())
        except (CurateError, MemoryError) as error:
            raise again(error, f"step {step.step.name}, shard {self.walk.shard.name}") from error
        except Exception as error:
            if self.walk.config.operator_errors == "error":
                where = f"step {step.step.name}, shard {self.walk.shard.name}, among documents {ids[0]} .. {ids[-1]}"
                raise OperatorError(f"{where}: {type(error).__name__}: {error}") from error
        good, errors = np.ones(len(ids), bool), [None] * len(ids)
        self._search(step, inputs, work, np.arange(len(ids)), good, errors)
        with blamed(step, f"shard {self.walk.shard.name}, on documents that pass when they are alone"):
            values = evaluate(step.operator, {k: v.filter(pa.array(good)) for k, v in inputs.items()}, work)
        return {own: scatter(array, good) for own, array in values.items()}, pa.array(errors, pa.string())

    def _search(
        self, step: PlannedStep, inputs: Columns, work: Any, at: np.ndarray, good: np.ndarray, errors: list[Any]
    ) -> None:
        """Halve the rows until those that fail stand alone."""
        try:
            evaluate(step.operator, {name: array.take(pa.array(at)) for name, array in inputs.items()}, work)
        except Exception as error:
            if len(at) > 1:
                self._search(step, inputs, work, at[: len(at) // 2], good, errors)
                self._search(step, inputs, work, at[len(at) // 2 :], good, errors)
                return
            good[at[0]], errors[at[0]] = False, f"{type(error).__name__}: {error}"
            if (~good).sum() > TOO_MANY:
                where = f"step {step.step.name}, shard {self.walk.shard.name}"
                raise OperatorError(f"{where}: fails on many documents, e.g. {errors[at[0]]}") from error

    def _quarantine(self, step: PlannedStep, errors: pa.Array, rows: np.ndarray) -> None:
        if errors.null_count == len(errors):
            return
        hit = errors.is_valid().to_numpy(zero_copy_only=False) & rows
        self.errors[step.step.name] = choose(hit, errors, pa.nulls(self.size, pa.string()))
        self.first[hit & self.kept] = len(self.walk.reasons) + step.index
        self.failed |= hit
        self.kept &= ~hit

    def _drop(self, reason: str, fails: np.ndarray) -> None:
        self.fails[reason] = fails
        self.first[fails & self.kept] = self.walk.reasons[reason]
        self.kept &= ~fails

    def _decide_by_corpus(self, step: PlannedStep, rows: np.ndarray) -> None:
        table = self.walk.decisions(step)
        low, high = np.searchsorted(table["row"].to_numpy(), [self.start, self.start + self.size])
        part = table.slice(low, high - low)
        at = part["row"].to_numpy().astype(np.int64) - self.start
        here = np.zeros(self.size, bool)
        here[at] = True
        counts = _some(rows)
        for own, kind in step.operator.writes().items():
            self._push(step.outputs[own], Version(partial(_decided, part, own, kind, here), counts))
        drops = np.zeros(self.size, bool)
        drops[at] = part["drop"].to_numpy()
        for own in step.operator.reasons():
            self._drop(step.outputs[own], drops)

    def _push(self, name: str, version: Version) -> None:
        self._versions[name].append(version)
        self._memo.pop(name, None)
        self._filtered[1].pop(name, None)

    def _resolve(self, name: str) -> pa.Array:
        *earlier, last = self._versions[name]
        array, rows = last.load(), last.rows
        for version in reversed(earlier):
            if rows is None or not (self.open & ~rows if name == "text" else ~rows).any():
                break
            array = choose(rows, array, version.load())
            rows = None if version.rows is None else rows | version.rows
        if rows is not None and not rows.all():
            array = choose(rows, array, pa.nulls(self.size, array.type))
        return array

    def _addresses(self) -> pa.Array:
        return pa.array((self.walk.number << 32) + np.arange(self.start, self.start + self.size))

    def _from_source(self, field: pa.Field) -> pa.Array:
        if field.name in self.index.column_names:
            return one(self.index[field.name])
        if self._given is None:
            self._given = self.walk.source(self.start, self.size)
        if field.name not in self._given.schema.names:
            return pa.nulls(self.size, field.type)
        return plain(self._given[field.name])
