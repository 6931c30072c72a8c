"""The checks: each takes an operator and raises AssertionError, naming operator and column, at a broken promise."""

from __future__ import annotations

import atexit
import contextlib
import difflib
import doctest
import functools
import itertools
import json
import os
import pickle
import random
import re
import sys
import time
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.convert import convert
from curate.document import Document
from curate.errors import OperatorError, RecipeError
from curate.evaluate import declared
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
from curate.testing.examples import NASTY, SENTENCES, example_columns
from curate.testing.outcomes import (
    added,
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
WRONG = ({"no": 1}, ["no"], "no such value", -(10**18), 10**18, -1.5, 1e18, True, None)  # tried for every parameter


# ---------------------------------------------------------------- parameters and declarations


def parameters_round_trip(operator: Operator) -> None:
    """Parameters written as plain values or JSON and read back give an equal operator."""
    cls = type(operator)
    back = msgspec.convert(parameters(operator), cls)
    assert back == operator, f"{cls.name()}: {operator} came back from plain values as {back}"
    back = msgspec.json.decode(msgspec.json.encode(operator), type=cls)
    assert back == operator, f"{cls.name()}: {operator} came back from JSON as {back}"


def pickles(operator: Operator) -> None:
    """The operator travels to other processes, by reference (pickle) and by value."""
    from curate import by_value

    for pickler in (pickle, by_value):
        try:
            back = pickle.loads(pickler.dumps(operator))
        except Exception as error:
            raise AssertionError(f"{operator.name()} cannot be pickled by {pickler.__name__}: {error}") from error
        assert back == operator, f"{operator.name()}: {operator} came out of {pickler.__name__} as {back}"


def wrong_parameter(operator: Operator) -> None:
    """A parameter of a wrong type or out of range stops with file:line and the parameter's name."""
    for field in msgspec.structs.fields(type(operator)):
        refused = [value for value in WRONG if not _fits(value, field.type)]
        assert refused, f"{operator.name()}: parameter {field.name} takes any value: give it a narrower type"
        for value in refused:
            said = _complaint(operator, field.encode_name, value)
            good = said.startswith("recipe:3: ") and field.encode_name in said
            assert good, f"{operator.name()}: `{field.encode_name}: {value!r}` is answered with {said!r}"


def unknown_parameter(operator: Operator) -> None:
    """A misspelt parameter stops with file:line, the key and the nearest right name."""
    names = [field.encode_name for field in msgspec.structs.fields(type(operator))]
    for name in names or ["parameter"]:
        wrong = next(name + "x" * n for n in range(1, 9) if name + "x" * n not in names)
        said = _complaint(operator, wrong, 1)
        near = difflib.get_close_matches(wrong, names, n=1)
        good = said.startswith("recipe:3: ") and all(repr(word) in said for word in (wrong, *near))
        assert good, f"{operator.name()}: the unknown key {wrong!r} is answered with {said!r}"


def keeps_to_its_kind(operator: Operator) -> None:
    """A Signal edits nothing, a Mapper edits and says what it changed, and what drops has reasons."""
    reads, writes, reasons = operator.reads(), operator.writes(), operator.reasons()
    name = operator.name()
    edited = sorted(set(reads) & set(writes))
    if isinstance(operator, Mapper):
        assert edited and len(writes) > len(edited), f"{name}: a Mapper edits a column and writes one that says how"
    elif isinstance(operator, Trainer):
        assert len(writes) > len(edited), f"{name}: a Trainer that edits a column writes one that says how"
    elif not isinstance(operator, Expander):
        assert not edited, f"{name}: a {operator.kind} does not edit columns, but this one writes {edited}"
    assert not (isinstance(operator, Filter) and writes), f"{name}: a Filter writes reasons only, not {sorted(writes)}"
    drops = isinstance(operator, Filter | Expander | Deduplicator)
    drops |= isinstance(operator, Selector) and bool(reasons or not writes)
    is_free = isinstance(operator, Trainer)  # to drop or not
    assert is_free or drops == bool(reasons), (
        f"{name}: a {operator.kind} has {'' if drops else 'no '}reasons, not {reasons}"
    )
    assert len({*reasons}) == len(reasons), f"{name}: a reason appears twice in {reasons}"


def declarations_are_fixed(operator: Operator) -> None:
    """What an instance declares depends on its parameters alone, never on data it has seen."""
    twin = msgspec.convert(parameters(operator), type(operator))
    before = _declarations(operator)
    outcome(operator, example_columns(operator))
    for title, after in (("after it saw data", operator), ("in an equal instance", twin)):
        for what, value in _declarations(after).items():
            assert value == before[what], f"{operator.name()}: {what} was {before[what]} and is {value} {title}"


def _declarations(operator: Operator) -> dict[str, Any]:
    called = {name: getattr(operator, name)() for name in ("reads", "writes", "reasons", "files", "identity")}
    return {**called, "declared types": declared(operator)}


def _fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _complaint(operator: Operator, key: str, value: Any) -> str:
    """What a recipe with this one parameter on its third line is answered with; empty when it is accepted."""
    name = operator.name()
    document = Document(f"steps:\n- {name}:\n    {key}: {json.dumps(value)}\n", "recipe")
    try:
        convert({key: value}, type(operator), document, ("steps", 0, name), name)
    except RecipeError as error:
        return str(error)
    return ""


# ---------------------------------------------------------------- documentation


def columns_documented(operator: Operator) -> None:
    """Every column that the operator writes is named in its class docstring."""
    _documented(operator, "column", operator.writes())


def reasons_documented(operator: Operator) -> None:
    """Every reason is named in the docstring, unless it is the operator's own name or comes from a parameter."""
    given = json.dumps(parameters(operator), default=str)
    own = [reason for reason in operator.reasons() if reason != operator.name() and json.dumps(reason) not in given]
    _documented(operator, "reason", own)


def parameters_documented(operator: Operator) -> None:
    """Every parameter is named in the class docstring."""
    _documented(operator, "parameter", type(operator).__struct_fields__)


def example_runs(operator: Operator) -> None:
    """The docstring has a `>>>` example, and it says the truth."""
    cls = type(operator)
    names = {**vars(sys.modules[cls.__module__]), cls.__name__: cls}
    test = doctest.DocTestParser().get_doctest(_docstring(operator), names, cls.__name__, None, 0)
    assert test.examples, f"{operator.name()}: the docstring has no >>> example"
    said: list[str] = []
    failed = doctest.DocTestRunner(verbose=False).run(test, out=said.append).failed
    assert not failed, f"{operator.name()}: the docstring's example fails\n{''.join(said)}"


def _docstring(operator: Operator) -> str:
    return vars(type(operator)).get("__doc__") or ""


def _documented(operator: Operator, what: str, names: Iterable[str]) -> None:
    for name in names:
        found = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", _docstring(operator))
        assert found, f"{operator.name()}: the docstring does not describe the {what} {name}"


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


# ---------------------------------------------------------------- called outside a recipe


def called_on_a_table(operator: Operator) -> None:
    """On a table or record batch it adds or replaces what it writes and leaves the other columns alone."""
    columns = example_columns(operator)
    table = pa.table({"untouched": np.arange(count(columns)), **columns})
    expected = added(operator, columns)
    rest = {name: array for name, array in zip(table.column_names, table.columns, strict=True) if name not in expected}
    (batch,) = table.combine_chunks().to_batches()
    with naming(operator, "a table or record batch"):
        results = [operator(table), pa.table(operator(batch))]
    for result in results:
        found = {name: result[name].combine_chunks() for name in (*rest, *expected)}
        whole = {name: column.combine_chunks() for name, column in rest.items()}
        agree(operator, {**whole, **expected}, found, "when called on a table")


def called_on_one_value(operator: Operator) -> None:
    """On one row (a dict), or one text where that is all it reads, it returns what it writes as plain values."""
    columns = example_columns(operator)
    for row in range(0, count(columns), 7):
        one = {name: array[row : row + 1] for name, array in columns.items()}
        try:
            expected = {name: array[0].as_py() for name, array in added(operator, one).items()}
        except OperatorError:
            if isinstance(operator, Trainer):  # which may refuse to learn from one row
                continue
            raise
        given = {name: array[0].as_py() for name, array in one.items()}
        for value in (given, *given.values()) if [*operator.reads().values()] == [pa.string()] else (given,):
            with naming(operator, f"the value {value!r:.60}"):
                found = operator(value)
            same = expected.items() <= found.items()
            assert same, f"{operator.name()}: called on {value!r:.60} it returns {found}, not {expected}"


def called_by_datasets_map(operator: Operator) -> None:
    """It works as the function of Hugging Face's `Dataset.map(operator, batched=True)`."""
    import datasets

    columns = example_columns(operator)
    dataset = datasets.Dataset(pa.table(columns))
    rows = count(columns)  # one batch: a Deduplicator sees only the batch it is given
    with naming(operator, "Dataset.map"):
        mapped = dataset.map(operator, batched=True, batch_size=rows, new_fingerprint="contract", keep_in_memory=True)
    _plainly_equal(operator, added(operator, columns), mapped[:], "in Dataset.map")


def called_as_ray_map_batches(operator: Operator) -> None:
    """It works in the shape that Ray Data's `map_batches` calls: a dict of NumPy arrays in and out."""
    columns = example_columns(operator)
    given = {name: array.to_numpy(zero_copy_only=False) for name, array in columns.items()}
    with naming(operator, "a dict of NumPy arrays"):
        found = operator(given)
    for name, values in found.items():
        assert isinstance(values, np.ndarray), f"{operator.name()}: {name} is a {type(values).__name__}, not an array"
    _plainly_equal(operator, added(operator, columns), {n: v.tolist() for n, v in found.items()}, "in map_batches")


def _plainly_equal(operator: Operator, expected: Columns, found: Mapping[str, Any], where: str) -> None:
    __tracebackhide__ = True
    for name, array in expected.items():
        assert name in found, f"{operator.name()} does not return {name} {where}"
        for row, (want, got) in enumerate(zip(array.to_pylist(), found[name], strict=True)):
            got = got.tolist() if isinstance(got, np.ndarray) else got  # a value that is a list
            assert got == want, f"{operator.name()}: {name} of row {row} is {got!r:.60}, not {want!r:.60}, {where}"


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
