"""The checks: each takes an operator and raises AssertionError, naming operator and column, at a broken promise."""

from __future__ import annotations

import atexit
import contextlib
import functools
import itertools
import os
import pickle
import random
import time
import typing
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.operator import (
    Columns,
    Deduplicator,
    Evidence,
    Expander,
    Filter,
    Mapper,
    Operator,
    Selector,
    Signal,
    Trainer,
    parameters,
)
from curate.testing.calls import (
    called_as_ray_map_batches,
    called_by_datasets_map,
    called_on_a_table,
    called_on_one_value,
)
from curate.testing.declarations import (
    columns_documented,
    declarations_are_fixed,
    example_runs,
    keeps_to_its_kind,
    parameters_documented,
    parameters_round_trip,
    pickles,
    reasons_documented,
    unknown_parameter,
    wrong_parameter,
)
from curate.testing.examples import NASTY, SENTENCES, example_columns
from curate.testing.outcomes import (
    agree,
    count,
    decisions,
    fitted_on_examples,
    joined,
    naming,
    outcome,
    pieces,
    unchecked,
)

Check = Callable[[Operator], None]

SECONDS = 10.0  # for a document of LONG bytes on one line
LONG = 10_000_000
CUTS = ((1,), (7, 8), (3, 3, 40), (13, 26, 39, 52))  # where a corpus is cut into pieces; 3, 3 makes an empty one


# ---------------------------------------------------------------- one batch


def writes_what_it_declares(operator: Operator) -> None:
    """The work method returns the declared columns with their Arrow types, one value per row."""
    with naming(operator, "the example columns"):
        result, types, rows = unchecked(operator, example_columns(operator))
    name = operator.name()
    assert {*result} == {*types}, f"{name} declares columns {sorted(types)} but writes {sorted(result)}"
    for column, array in result.items():
        assert isinstance(array, pa.Array), f"{name}: {column} is a {type(array).__name__}, not an Arrow array"
        assert array.type == types[column], f"{name} declares {column} as {types[column]} but writes {array.type}"
        assert len(array) == rows, f"{name} writes {len(array)} values of {column} for {rows} rows"
        array.validate(full=True)


def decides_every_row(operator: Operator) -> None:
    """A Filter says yes or no for every row and reason, never null."""
    for reason, array in outcome(operator, example_columns(operator)).items():
        assert not array.null_count, f"{operator.name()}: reason {reason} is null for {array.null_count} rows"


def children_have_parents(operator: Operator) -> None:
    """The parents an Expander returns are positions of rows it was given, in their order."""
    columns = example_columns(operator)
    parents = np.asarray(operator.expand(**columns)[0]).tolist()  # type: ignore[attr-defined]
    for before, parent in itertools.pairwise([0, *parents]):
        assert 0 <= parent < count(columns), f"{operator.name()}: parent {parent} is none of the {count(columns)} rows"
        assert before <= parent, f"{operator.name()}: parent {parent} comes after parent {before}"


def no_nan(operator: Operator) -> None:
    """Float columns hold numbers or null, never NaN."""
    for name, array in outcome(operator, example_columns(operator)).items():
        if pa.types.is_floating(array.type):
            rows = np.flatnonzero(pc.is_nan(array).fill_null(False).to_numpy(zero_copy_only=False))
            assert not len(rows), f"{operator.name()}: {name} is NaN in row {rows[0]} and {len(rows) - 1} others"


def inputs_not_mutated(operator: Operator) -> None:
    """The arrays that an operator is given are left as they were, byte for byte."""
    columns = example_columns(operator)
    before = {name: _bytes(array) for name, array in columns.items()}
    outcome(operator, columns)
    for name, array in columns.items():
        assert _bytes(array) == before[name], f"{operator.name()} changes the column {name} that it reads, in place"


def _bytes(array: pa.Array) -> list[bytes | None]:
    return [buffer and buffer.to_pybytes() for buffer in array.buffers()]


def slices_equal_copies(operator: Operator) -> None:
    """A slice of a longer array gives the same as an array of its own."""
    columns = example_columns(operator)
    longer = {name: pa.concat_arrays([array[-3:], array, array[:5]]) for name, array in columns.items()}
    sliced = {name: array.slice(3, count(columns)) for name, array in longer.items()}
    agree(operator, outcome(operator, columns), outcome(operator, sliced, "a slice"), "in a slice of a longer array")


def empty_batch(operator: Operator) -> None:
    """No rows give no rows, with the declared types."""
    nothing = {name: array[:0] for name, array in example_columns(operator).items()}
    for name, array in outcome(operator, nothing, "an empty batch").items():
        assert not len(array), f"{operator.name()} makes {len(array)} values of {name} from an empty batch"
    if isinstance(operator, Deduplicator | Selector):
        with naming(operator, "an empty corpus"):
            decisions(operator, [nothing])


def nulls(operator: Operator) -> None:
    """A null gives null and touches no other row, unless the operator sees nulls: then it copes with them."""
    columns = example_columns(operator)
    gone = _every_third(columns)
    empty = {name: pa.nulls(len(array), array.type) for name, array in columns.items()}
    for name in columns:
        holes = {**columns, name: pc.if_else(gone, empty[name], columns[name])}
        result = outcome(operator, holes, f"nulls in {name}")
        if not operator.sees_nulls:
            expected = {n: pc.if_else(gone, pa.scalar(None, a.type), a) for n, a in outcome(operator, columns).items()}
            agree(operator, expected, result, f"when every third {name} is null")
    outcome(operator, empty, "nulls alone")


def _every_third(columns: Columns) -> pa.Array:
    return pa.array(np.arange(count(columns)) % 3 == 0)


def null_is_no_duplicate(operator: Operator) -> None:
    """A Deduplicator never drops a row for having the same null as another."""
    columns = example_columns(operator)
    gone = _every_third(columns)
    table = pa.table({n: pc.if_else(gone, None, a) for n, a in columns.items()})
    with naming(operator, "a table with nulls"):
        dropped = operator(table)["dropped_by"].combine_chunks().filter(gone)
    assert dropped.null_count == len(dropped), f"{operator.name()} drops rows where {table.column_names} are null"


def nasty_text(operator: Operator) -> None:
    """Each odd text alone: empty, white space, one character, control, combining, emoji, right to left, ..."""
    columns = {name: array[:1] for name, array in example_columns(operator).items()}
    model = fitted_on_examples(operator)
    for text in NASTY:
        outcome(operator, _with_text(columns, text), f"the text {text!r:.40}", model)


def long_line(operator: Operator) -> None:
    """10 MB of text on one line, words and one huge word, take less than 10 seconds of a processor."""
    columns = {name: array[:1] for name, array in example_columns(operator).items()}
    words = " ".join(random.Random(0).choices(" ".join(SENTENCES).split(), k=LONG // 40))
    model = fitted_on_examples(operator)
    outcome(operator, columns, model=model)  # compiled and loaded before the clock starts
    for size in (LONG // 100, LONG // 10, LONG):  # so that a quadratic operator fails early
        part = words[: size // 20] * 8
        text = part + "a " * (size // 10) + "x" * (size - len(part.encode()) - size // 5)
        began = time.process_time()  # what others do on this machine is not the operator's doing
        outcome(operator, _with_text(columns, text), f"a line of {size:,} bytes", model)
        took, limit = time.process_time() - began, SECONDS * size / LONG + 0.5
        assert took < limit, f"{operator.name()} takes {took:.1f} s for a line of {size:,} bytes, not {limit:.1f} s"


def _with_text(columns: Columns, text: str) -> Columns:
    return {n: pa.array([text]) if array.type == pa.string() else array for n, array in columns.items()}


# ---------------------------------------------------------------- rows do not depend on their neighbours


def batch_invariance(operator: Operator) -> None:
    """Where a batch is cut never changes a row: what makes results independent of batch size."""
    columns = example_columns(operator)
    model = fitted_on_examples(operator)
    whole = outcome(operator, columns, model=model)
    for cuts in (*CUTS, range(1, count(columns))):
        parts = [outcome(operator, piece, "a part of them", model) for piece in pieces(columns, cuts)]
        agree(operator, whole, joined(parts), f"when the batch is cut at {[*cuts][:4]}")


def row_order_equivariance(operator: Operator) -> None:
    """Rows in another order give the same values in that order."""
    columns = example_columns(operator)
    rows = pa.array(random.Random(1).sample(range(count(columns)), count(columns)))
    moved = {name: array.take(rows) for name, array in columns.items()}
    expected = {name: array.take(rows) for name, array in outcome(operator, columns).items()}
    agree(operator, expected, outcome(operator, moved, "them in another order"), "when rows are in another order")


def sharding_invariance(operator: Operator) -> None:
    """The same decision for every row, however the corpus is cut and in whatever order shards are worked on."""
    columns = example_columns(operator)
    whole = decisions(operator, [columns])
    for cuts in CUTS:
        for backwards in (False, True):
            with naming(operator, f"shards cut at {cuts}"):
                found = decisions(operator, pieces(columns, cuts), backwards)
            agree(operator, whole, found, f"when shards are cut at {cuts}" + ", last one first" * backwards)


def pairs_stand_alone(operator: Operator) -> None:
    """A Deduplicator judges each pair by itself, its two sides may be swapped, and a row is like itself."""
    assert isinstance(operator, Deduplicator)
    columns = example_columns(operator)
    _judges_pairs(operator, operator.similarity, pa.table(outcome(operator, columns)))
    if operator.evidences():
        _judges_pairs(operator, operator.measure, pa.table(outcome(Evidence(of=operator), columns)))


def _judges_pairs(operator: Operator, judge: Callable[[pa.Table, pa.Table], np.ndarray], table: pa.Table) -> None:
    a, b = (side.ravel() for side in np.triu_indices(len(table)))
    left, right = table.take(pa.array(a)).combine_chunks(), table.take(pa.array(b)).combine_chunks()
    found, half = judge(left, right), len(a) // 3
    where = f"{operator.name()}: {judge.__name__}()"
    assert found.dtype == np.float64, f"{where} returns {found.dtype}, not float64"
    assert ((found >= 0) & (found <= 1)).all(), f"{where} returns {found.min()} .. {found.max()}, not 0 .. 1"
    assert (found[a == b] == 1).all(), f"{where} does not find that a row is like itself"
    whole = {"similarity": pa.array(found)}
    parts = [judge(left[:half], right[:half]), judge(left[half:], right[half:])]
    agree(operator, whole, {"similarity": pa.array(np.concatenate(parts))}, "when pairs are compared in two lots")
    agree(operator, whole, {"similarity": pa.array(judge(right, left))}, "when the sides of pairs are swapped")


def sketch_parameters_complete(operator: Operator) -> None:
    """Parameters that a Deduplicator leaves out of `sketch_parameters` do not change the sketch that is reused."""
    assert isinstance(operator, Deduplicator)
    columns = example_columns(operator)
    fields = {field.name: field for field in msgspec.structs.fields(type(operator))}
    unknown = {*operator.sketch_parameters} - {*fields}
    assert not unknown, f"{operator.name()}: sketch_parameters names {sorted(unknown)}, which are no parameters"
    for name in fields.keys() - {*operator.sketch_parameters}:
        for other in _variants(operator, fields[name]):
            promise = f"when {name} is {getattr(other, name)!r}: name it in sketch_parameters"
            agree(operator, outcome(operator, columns), outcome(other, columns), promise)


def _variants(operator: Operator, field: Any) -> Iterator[Operator]:
    """The operator with other values of one parameter, as far as it allows them."""
    value = getattr(operator, field.name)
    choices: tuple[Any, ...] = typing.get_args(field.type) if typing.get_origin(field.type) is typing.Literal else ()
    if isinstance(value, bool):
        choices = (not value,)
    elif isinstance(value, int | float):
        choices = (value + 1, value - 1, value / 2)
    for choice in choices:
        with contextlib.suppress(msgspec.ValidationError):
            yield msgspec.convert({**parameters(operator), field.encode_name: choice}, type(operator))


# ---------------------------------------------------------------- the same again


def determinism(operator: Operator) -> None:
    """The same columns give the same values again."""
    columns = example_columns(operator)
    agree(operator, outcome(operator, columns), outcome(operator, columns), "the second time")


def same_in_another_process(operator: Operator) -> None:
    """Another process, with another hash seed, gives the same values and the same fingerprint."""
    from curate import by_value

    columns = example_columns(operator)
    with naming(operator, "the example columns in another process"):
        found, identity = _other_process().submit(_told, by_value.dumps(operator), columns).result()
    agree(operator, outcome(operator, columns), found, "in another process")
    assert identity == operator.identity(), f"{operator.name()}: identity() is {identity} in another process"


@functools.cache
def _other_process() -> Any:
    """One process for all operators, as it takes seconds to start."""
    from loky import ProcessPoolExecutor

    from curate.execute.local import prepare

    env = {"PYTHONHASHSEED": "4711"}
    pool = ProcessPoolExecutor(max_workers=1, env=env, initializer=prepare, initargs=(os.getpid(),))
    atexit.register(pool.shutdown, kill_workers=True)
    return pool


def _told(pickled: bytes, columns: Columns) -> tuple[Columns, dict[str, Any]]:
    operator = pickle.loads(pickled)
    return outcome(operator, columns), operator.identity()


CHECKS: tuple[Check, ...] = (
    parameters_round_trip,
    pickles,
    wrong_parameter,
    unknown_parameter,
    keeps_to_its_kind,
    declarations_are_fixed,
    columns_documented,
    reasons_documented,
    parameters_documented,
    example_runs,
    writes_what_it_declares,
    decides_every_row,
    children_have_parents,
    no_nan,
    inputs_not_mutated,
    slices_equal_copies,
    empty_batch,
    nulls,
    null_is_no_duplicate,
    nasty_text,
    long_line,
    batch_invariance,
    row_order_equivariance,
    sharding_invariance,
    pairs_stand_alone,
    sketch_parameters_complete,
    determinism,
    same_in_another_process,
    called_on_a_table,
    called_on_one_value,
    called_by_datasets_map,
    called_as_ray_map_batches,
)

ROW_BY_ROW = (Signal, Mapper, Filter, Deduplicator, Selector, Trainer)

ONLY_FOR: dict[Check, Any] = {
    decides_every_row: Filter,
    children_have_parents: Expander,
    nulls: ROW_BY_ROW,
    null_is_no_duplicate: Deduplicator,
    sharding_invariance: (Deduplicator, Selector, Trainer),
    pairs_stand_alone: Deduplicator,
    sketch_parameters_complete: Deduplicator,
    called_on_a_table: ROW_BY_ROW,
    called_on_one_value: ROW_BY_ROW,
    called_by_datasets_map: ROW_BY_ROW,
    called_as_ray_map_batches: ROW_BY_ROW,
}
