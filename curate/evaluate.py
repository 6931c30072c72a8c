"""One operator on columns: in the engine (`evaluate`), and on texts, tables and batches outside a recipe (`call`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.arrays import plain, scatter, truths
from curate.errors import OperatorError, PlanError
from curate.operator import (
    ROW,
    Columns,
    Deduplicator,
    Expander,
    Filter,
    Operator,
    Selection,
    Selector,
    Trainer,
    Types,
)

if TYPE_CHECKING:
    from curate.ranking import Ranking, Rows


def evaluate(operator: Operator, columns: Mapping[str, pa.Array], work: Callable[..., Any] | None = None) -> Columns:
    """Run a row-aligned work method on arrays. Rows with a null in a column it reads come back as nulls.

    Raises OperatorError when the result is not what the operator declares.
    """
    inputs = {name: columns[name] for name in operator.arguments()}
    present = None if operator.sees_nulls else _present(inputs)
    if present is not None:
        inputs = {name: array.filter(present) for name, array in inputs.items()}
    result = (work or getattr(operator, operator.work))(**inputs)
    rows = len(next(iter(inputs.values()))) if inputs else None
    result = _checked(operator, result, rows)
    if present is None:
        return result
    return {name: scatter(array, present.to_numpy(zero_copy_only=False)) for name, array in result.items()}


def selection(operator: Selector, rows: Rows, ranking: Ranking) -> Selection:
    """What a selector decides, in one form. Raises OperatorError when it is not what the operator declares."""
    made = operator.select(rows, ranking)
    made = made if isinstance(made, Selection) else Selection(keep=np.asarray(made))
    count = len(rows.group)
    if (made.keep is None) != (not operator.reasons()):
        raise OperatorError(f"{operator.name()}: select() keeps rows if, and only if, the operator has a reason")
    if made.keep is not None and (made.keep.dtype != bool or len(made.keep) != count):
        raise OperatorError(f"{operator.name()}: select() must return one true or false per row")
    return made._replace(columns=_matching(operator, made.columns, operator.writes(), count))


def selected(operator: Selector, *sketches: pa.Table) -> Selection:
    """What a selector decides on a corpus in shards that are all at hand."""
    from curate.ranking import in_memory

    ranking, shards = in_memory(*sketches)
    made = [selection(operator, rows, ranking) for rows in shards]
    keep = None if made[0].keep is None else np.concatenate([one.keep for one in made])
    columns = {name: pa.concat_arrays([one.columns[name] for one in made]) for name in operator.writes()}
    return Selection(keep, columns, made[0].facts)


def fitted(trainer: Trainer, shards: Sequence[Columns], ranges: int = 1, backwards: bool = False) -> pa.Table:
    """The model of a Trainer, fitted in memory; if it has a key, in so many ranges of it.

    `backwards`: shards are worked on last to first, and their sketches combined one after the other.
    """
    step = -1 if backwards else 1
    model: pa.Table | None = None
    for _ in range(trainer.rounds):
        before = {"model": model} if trainer.rounds > 1 else {}
        tables = [trainer.sketch(**columns, **before) for columns in shards[::step]]  # type: ignore[attr-defined]
        sketches = folded(trainer, tables[::step]) if backwards else pa.concat_tables(tables).combine_chunks()
        held = _ranges(sketches[trainer.key], ranges) if trainer.key else [np.ones(len(sketches), bool)]
        parts = [sketches.filter(pa.array(rows)).combine_chunks() for rows in held]
        model = pa.concat_tables([trainer.fit(part) for part in parts])
    assert model is not None
    return model


def folded(trainer: Trainer, tables: Iterable[pa.Table]) -> pa.Table:
    """Some sketches of a Trainer, combined one after the other."""
    found: pa.Table | None = None
    for table in tables:
        both = table if found is None else pa.concat_tables([found, table], promote_options="default")
        found = trainer.combine(both.combine_chunks())
    assert found is not None
    return found


def _ranges(keys: pa.ChunkedArray, count: int) -> list[np.ndarray]:
    """Which of the keys (uint64) lie in each of so many equal ranges."""
    at = (keys.to_numpy() >> np.uint64(32)) * np.uint64(count) >> np.uint64(32)
    return [at == part for part in range(count)]


def declared(operator: Operator) -> Types:
    """Types of what the operator's row-aligned work method returns."""
    if isinstance(operator, Filter):
        return {reason: pa.bool_() for reason in operator.reasons()}
    if isinstance(operator, Deduplicator | Selector):
        return operator.sketches()
    return operator.writes()


def complete(columns: Columns) -> Columns:
    """The rows that have no null in any of the columns."""
    present = _present(columns)
    return columns if present is None else {name: array.filter(present) for name, array in columns.items()}


def _present(inputs: Mapping[str, pa.Array]) -> pa.Array | None:
    """Which rows are complete; None when all are."""
    masks = [array.is_valid() for array in inputs.values() if array.null_count]
    if not masks:
        return None
    whole = masks[0]
    for mask in masks[1:]:
        whole = pc.and_(whole, mask)
    return whole


def _checked(operator: Operator, result: Mapping[str, pa.Array], rows: int | None) -> Columns:
    return _matching(operator, result, declared(operator), rows)


def _matching(operator: Operator, result: Mapping[str, pa.Array], types: Types, rows: int | None) -> Columns:
    if set(result) != set(types):
        raise OperatorError(f"{operator.name()} declares columns {sorted(types)} but returned {sorted(result)}")
    for name, kind in types.items():
        array = result[name]
        if not isinstance(array, pa.Array):
            made = f"a {type(array).__name__}, not an Arrow array"
            raise OperatorError(f"{operator.name()} declares {name} as {kind} but returned {made}")
        if array.type != kind:
            raise OperatorError(f"{operator.name()} declares {name} as {kind} but returned {array.type}")
        if rows is not None and len(array) != rows:
            raise OperatorError(f"{operator.name()} returned {len(array)} values of {name} for {rows} rows")
    return {name: result[name] for name in types}


# ---------------------------------------------------------------- calling an operator outside a recipe


def actor(operator: Operator) -> type:
    """A class whose objects apply an operator. Its own class is none to make actors of: structs take no `__init__`."""

    class Actor:
        def __call__(self, value: Any) -> Any:
            return operator(value)

    Actor.__name__ = Actor.__qualname__ = type(operator).__name__
    return Actor


def call(operator: Operator, value: Any) -> Any:
    """`operator(value)`: see `Operator.__call__`."""
    if isinstance(value, str):
        value = {next(iter(operator.reads()), "text"): value}
    if isinstance(value, pa.RecordBatch):
        table = call(operator, pa.Table.from_batches([value]))
        return pa.record_batch([plain(column) for column in table.columns], names=table.column_names)
    if isinstance(value, pa.Table):
        return _on_table(operator, value)
    return _on_mapping(operator, value)


def arrays(operator: Operator, table: pa.Table) -> Columns:
    """The columns of `table` that the operator reads, one array each, with strings as pa.string()."""
    if isinstance(operator, Trainer) and ROW in operator.reads() and ROW not in table.column_names:
        table = table.append_column(ROW, pa.array(np.arange(len(table))))
    missing = [name for name in operator.reads() if name not in table.column_names]
    if missing:
        raise PlanError(
            f"{operator.name()} reads {missing[0]!r}, which is not in this table: {', '.join(table.column_names)}"
        )
    return {name: plain(table[name]) for name in operator.reads()}


def _on_table(operator: Operator, table: pa.Table) -> pa.Table:
    for name, array in _outcome(operator, arrays(operator, table)).items():
        if name == "dropped_by" and name in table.column_names:
            array = pc.coalesce(plain(table[name]), array)
        at = table.schema.get_field_index(name)
        table = table.append_column(name, array) if at < 0 else table.set_column(at, name, array)
    return table


def _outcome(operator: Operator, columns: Columns) -> Columns:
    """What a row sees of the operator: its columns, and `dropped_by` where it decides."""
    if isinstance(operator, Filter):
        return {"dropped_by": first_reason(evaluate(operator, columns))}
    if isinstance(operator, Deduplicator):
        from curate.cluster import in_memory

        return in_memory(operator, columns)
    if isinstance(operator, Selector):
        found = selected(operator, pa.table(evaluate(operator, columns)))
        if found.keep is None:
            return found.columns
        reason = pc.if_else(pa.array(found.keep), pa.scalar(None, pa.string()), operator.name())
        return {**found.columns, "dropped_by": reason}
    if isinstance(operator, Trainer):
        model = fitted(operator, [complete(columns)])
        made = evaluate(operator, columns, lambda **c: operator.apply(**c, model=model))  # type: ignore[attr-defined]
        return {**made, "dropped_by": first_reason(operator.decide(made))} if operator.reasons() else made
    if isinstance(operator, Expander):
        raise PlanError(f"{operator.name()} changes the number of rows: call its expand() or use it in a recipe")
    return evaluate(operator, columns)


def first_reason(fails: Columns) -> pa.Array:
    """The first reason that holds in each row, null where none does.

    >>> first_reason({"short": pa.array([True, False]), "spam": pa.array([True, True])}).to_pylist()
    ['short', 'spam']
    """
    names = pa.array([*fails], pa.string())
    where = np.stack([truths(array) for array in fails.values()])
    return names.take(pa.array(where.argmax(axis=0), mask=~where.any(axis=0)))


def _on_mapping(operator: Operator, value: Mapping[str, Any]) -> dict[str, Any]:
    read = next((value[name] for name in operator.reads() if name in value), None)
    is_row = isinstance(read, str | bytes) or not hasattr(read, "__len__")
    table = pa.table({k: pa.array([v] if is_row else v) for k, v in value.items()})
    before, after = set(value), _on_table(operator, table)
    if is_row:
        changed = set(operator.writes()) | {"dropped_by"}
        return {k: after[k][0].as_py() for k in after.column_names if k not in before or k in changed}
    if isinstance(read, np.ndarray):
        return {k: _as_numpy(after[k]) for k in after.column_names}
    return after.to_pydict()


def _as_numpy(column: pa.ChunkedArray) -> np.ndarray:
    """Values as NumPy has them; a column with nulls as objects, since NaN is no null."""
    if not column.null_count:
        return column.to_numpy()
    values = np.empty(len(column), object)
    values[:] = column.to_pylist()
    return values
