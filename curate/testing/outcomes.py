"""What an operator says of rows and of a corpus in shards, and whether two such outcomes are the same."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from curate import cluster
from curate.evaluate import declared, evaluate, first_reason, fitted, selected
from curate.operator import Columns, Deduplicator, Expander, Filter, Operator, Selector, Trainer, Types
from curate.testing.examples import example_columns


@contextlib.contextmanager
def naming(operator: Operator, situation: str) -> Iterator[None]:
    """Turns what an operator raises into an AssertionError that names it and says on what it failed."""
    try:
        yield
    except AssertionError:
        raise
    except Exception as error:
        raise AssertionError(f"{operator.name()} fails on {situation}: {type(error).__name__}: {error}") from error


def outcome(
    operator: Operator, columns: Columns, situation: str = "the example columns", model: pa.Table | None = None
) -> Columns:
    """What the operator says of each row, checked by the engine's own `evaluate`; AssertionError when it fails.

    A Deduplicator and a Selector say their sketch; a Trainer is fitted on its example columns, unless its model is
    given, and applied; of an Expander, all children of a row come as one list.
    """
    with naming(operator, situation):
        if isinstance(operator, Expander):
            return _children(operator, columns)
        if isinstance(operator, Trainer):
            return _with_model(operator, columns, fitted_on_examples(operator) if model is None else model)
        return evaluate(operator, columns)


def fitted_on_examples(operator: Operator) -> pa.Table | None:
    """The model of a Trainer, fitted on its example columns: for many outcomes, which it takes long to fit it for."""
    with naming(operator, "the example columns"):
        return fitted(operator, [example_columns(operator)]) if isinstance(operator, Trainer) else None


def decisions(operator: Operator, shards: Sequence[Columns], backwards: bool = False) -> Columns:
    """What a corpus-wide operator decides for each row of a corpus in shards, as the engine does it.

    A Deduplicator says what it writes and drops, a Selector what it writes and whether it keeps the row, a Trainer what
    its model says. `backwards`: the shards are worked on last to first.
    """
    if isinstance(operator, Trainer):
        return _applied(operator, shards, joined(shards), backwards)
    sketches = _by_shard(shards, lambda shard: pa.table(evaluate(operator, shard)), backwards)
    if isinstance(operator, Selector):
        made = selected(operator, *sketches)
        return {**made.columns, **({} if made.keep is None else {"keep": pa.array(made.keep)})}
    corpus = pa.concat_tables(sketches).combine_chunks()
    assert isinstance(operator, Deduplicator), f"{operator.name()} decides nothing about the corpus"
    keyed = _by_shard(sketches, operator.keys, backwards)
    starts = np.cumsum([0, *map(len, sketches)])
    rows = np.concatenate([start + at for start, (at, _) in zip(starts, keyed, strict=False)]).astype(np.int64)
    keys = np.concatenate([keys for _, keys in keyed])
    return cluster.decided_in_memory(operator, corpus, keys, rows, joined(shards))


def added(operator: Operator, columns: Columns) -> Columns:
    """What a call on a table must add to it: the columns written, and `dropped_by` where the operator decides."""
    if isinstance(operator, Filter):
        fails = {reason: array.to_pylist() for reason, array in outcome(operator, columns).items()}
        rows = range(len(next(iter(fails.values()))))
        return {"dropped_by": pa.array([next((r for r in fails if fails[r][i]), None) for i in rows], pa.string())}
    if isinstance(operator, Selector):
        made = decisions(operator, [columns])
        kept = made.pop("keep", None)
        if kept is None:
            return made
        reasons = [None if keep else operator.name() for keep in kept.to_pylist()]
        return {**made, "dropped_by": pa.array(reasons, pa.string())}
    if isinstance(operator, Trainer):
        made = decisions(operator, [columns])
        return {**made, "dropped_by": first_reason(operator.decide(made))} if operator.reasons() else made
    if isinstance(operator, Deduplicator):
        return decisions(operator, [columns])
    return outcome(operator, columns)


def _by_shard(shards: Sequence[Any], work: Callable[[Any], Any], backwards: bool) -> list[Any]:
    if backwards:
        return [work(shard) for shard in reversed(shards)][::-1]
    return [work(shard) for shard in shards]


def _applied(operator: Any, shards: Sequence[Columns], columns: Columns, backwards: bool = False) -> Columns:
    """A Trainer fitted on shards (backwards: and in ranges of its key, if it has one) and applied to columns."""
    return _with_model(operator, columns, fitted(operator, shards, ranges=3 if backwards else 1, backwards=backwards))


def _with_model(operator: Any, columns: Columns, model: Any) -> Columns:
    return evaluate(operator, columns, lambda **given: operator.apply(**given, model=model))


def _children(operator: Any, columns: Columns) -> Columns:
    """For each column an Expander makes, a list per row of what it made from that row."""
    parents, made = operator.expand(**columns)
    parents = np.asarray(parents)
    order = np.argsort(parents, kind="stable")
    bounds = np.searchsorted(parents[order], np.arange(count(columns) + 1)).astype(np.int32)
    return {name: pa.ListArray.from_arrays(bounds, array.take(pa.array(order))) for name, array in made.items()}


def unchecked(operator: Operator, columns: Columns) -> tuple[Mapping[str, Any], Types, int]:
    """What the work method itself returns, the types that it should have, and how many rows."""
    types = declared(operator)
    if isinstance(operator, Expander):
        parents, made = operator.expand(**columns)  # type: ignore[attr-defined]
        edited = {name: columns[name].type for name in made if name in columns}
        return made, {**{name: kind for name, kind in types.items() if name != "parent_id"}, **edited}, len(parents)
    if isinstance(operator, Trainer):
        model = fitted(operator, [columns])
        return operator.apply(**columns, model=model), types, count(columns)  # type: ignore[attr-defined]
    return getattr(operator, operator.work)(**columns), types, count(columns)


def count(columns: Mapping[str, Any]) -> int:
    """Number of rows."""
    return len(next(iter(columns.values())))


def pieces(columns: Columns, cuts: Iterable[int]) -> list[Columns]:
    """The rows cut before each of these positions."""
    bounds = [0, *(min(cut, count(columns)) for cut in cuts), count(columns)]
    return [{n: a.slice(low, high - low) for n, a in columns.items()} for low, high in itertools.pairwise(bounds)]


def joined(parts: Sequence[Columns]) -> Columns:
    """The opposite of `pieces`."""
    return {name: pa.concat_arrays([part[name] for part in parts]) for name in parts[0]}


def agree(operator: Operator, left: Columns, right: Columns, promise: str) -> None:
    """AssertionError, with the first row that differs, unless two outcomes are equal bit for bit."""
    __tracebackhide__ = True
    assert [*left] == [*right], f"{operator.name()}: columns {[*left]} became {[*right]} {promise}"
    for name in left:
        one, two = _bits(left[name]), _bits(right[name])
        if not one.equals(two):
            assert len(one) == len(two), f"{operator.name()}: {len(one)} values of {name} became {len(two)} {promise}"
            row = next(i for i in range(len(one)) if not one[i].equals(two[i]))
            was, now = left[name][row].as_py(), right[name][row].as_py()
            raise AssertionError(f"{operator.name()}: {name} of row {row} was {was!r:.80} and is {now!r:.80} {promise}")


def _bits(array: pa.Array) -> pa.Array:
    """Floats as their bits, so that NaN equals itself."""
    views = {pa.float64(): pa.int64(), pa.float32(): pa.int32(), pa.float16(): pa.int16()}
    return array.view(views[array.type]) if array.type in views else array
