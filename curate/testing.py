"""What every operator must hold, as short named checks that a third party can run on theirs.

    from curate.testing import parametrize

    @parametrize(MySignal(), MyFilter(limit=3))
    def test_contract(operator, check):
        check(operator)
"""

from __future__ import annotations

import difflib
import doctest
import itertools
import json
import os
import pickle
import random
import re
import subprocess
import sys
import tempfile
import time
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate import cluster
from curate.convert import convert
from curate.document import Document
from curate.errors import PlanError, RecipeError, nearest
from curate.operator import (
    Columns,
    Deduplicator,
    Expander,
    Filter,
    Mapper,
    Operator,
    Selector,
    Signal,
    Trainer,
    Types,
    declared,
    evaluate,
    parameters,
)

Check = Callable[[Operator], None]
O = TypeVar("O", bound=Operator)  # noqa: E741

SECONDS = 10.0  # for a document of LONG bytes on one line
LONG = 10_000_000
CUTS = ((1,), (7, 8), (3, 3, 40), (13, 26, 39, 52))  # where a corpus is cut into pieces; 3, 3 makes an empty one
WRONG = ({"no": 1}, ["no"], "no such value", -(10**18), 10**18, -1.5, 1e18, True, None)  # for parameters

SENTENCES = (
    "The lighthouse keeper counts the ships that pass and forgets the number every morning.",
    "Don't ask what it costs: $3.50, or 2 for $6 (while stocks last)!",
    "Im Herbst riecht der Hof nach Äpfeln, und die Straße glänzt vom Regen.",
    "L'été, on déjeune dehors ; l'hiver, on parle de l'été.",
    "¿Quién dejó la puerta abierta? El gato no fue.",
    "Żółw przeszedł przez ulicę, zanim światło się zmieniło.",
    "Поезд опоздал на двадцать минут, и никто не удивился.",
    "Ο γείτονας ποτίζει τα λουλούδια κάθε βράδυ.",
    "İstanbul'da yağmur yağınca ışıklar denize düşer.",
    "في الصباح نشرب القهوة ثم نفتح النوافذ.",
    "הספרנית מצאה מכתב ישן בין הדפים.",
    "नदी के किनारे बच्चे पतंग उड़ाते हैं।",
    "ตลาดเช้าเปิดก่อนพระอาทิตย์ขึ้น",
    "雨が降ると、祖母は必ず窓を開けた。",
    "图书馆关门以后，灯还亮着。",
    "할머니는 매일 같은 길로 시장에 간다.",
    "ልጆቹ ከትምህርት ቤት ተመለሱ።",
)
NASTY = (
    "",
    " ",
    "\n",
    " \t\r\n\v\f\x1c\x85\u2028\u3000",
    "a",
    "7",
    ".",
    "#",
    "...",
    "…",
    "\x00",
    "nul\x00inside",
    "\x1b[31mred\x1b[0m \x7f\x80\x9f",
    "\ufeffmark first",
    "e\u0301 e" + "\u0301" * 50,
    "👨‍👩‍👧‍👦 🏳️‍🌈 👍🏽 ok",
    "🇫🇮",
    "\u202eright to left\u202c \u200f(שלום) مرحبا",
    "zero\u200bwidth\u200cjoin\u200der\u00adsoft",
    "\u0130\u0131 \u1e9e\u00df \ufb03 \u01c5 \uff21",
    "\U0010ffff\ufffe\ufffd",
    "line\r\nline\rline\u2028line\u0085line",
    "\n\n\n- \n* \n•\n",
    "x" * 20_000,
    "word " * 5_000,
    "\n" * 5_000,
    "same line\n" * 500,
    "<p>a</p> &amp; {{b}} \\u0041 %s ${c}",
    "http://example.org/a?b=c#d me@example.org 127.0.0.1",
)


# ---------------------------------------------------------------- running checks


def checks_for(operator: Operator) -> list[Check]:
    """The checks that apply to an operator of this kind.

    >>> from curate.operators.normalize import Normalize
    >>> sharding_invariance in checks_for(Normalize())
    False
    """
    return [check for check in CHECKS if isinstance(operator, ONLY_FOR.get(check, Operator))]


def parametrize(*operators: Operator, known_gaps: Mapping[str, str] | None = None) -> Any:
    """Pytest decorator that runs a test(operator, check) for every operator and each of its checks.

    Test ids read `gopher-batch_invariance`; a second instance of one operator is called `gopher2`. `known_gaps`
    maps a check's name, or such an id, to a reason: the check is then expected to fail (strictly: when it passes,
    the gap must go). Raises ValueError for a gap that names no check.
    """
    import pytest

    gaps = dict(known_gaps or {})
    seen: dict[str, int] = {}
    cases = []
    for operator in operators:
        seen[operator.name()] = seen.get(operator.name(), 0) + 1
        label = operator.name() + (str(seen[operator.name()]) if seen[operator.name()] > 1 else "")
        cases += [(f"{label}-{check.__name__}", operator, check) for check in checks_for(operator)]
    known = {name for label, _, check in cases for name in (label, check.__name__)}
    for gap in gaps:
        if gap not in known:
            raise ValueError(f"known_gaps: no check {gap!r}{nearest(gap, known)}")
    params = []
    for label, operator, check in cases:
        reason = gaps.get(label, gaps.get(check.__name__))
        marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
        params.append(pytest.param(operator, check, id=label, marks=marks))
    return pytest.mark.parametrize(("operator", "check"), params)


def example(cls: type[O]) -> O:
    """An instance to check: of the class's own `example` (a dict of parameters or a class method), or the defaults.

    Raises TypeError when parameters are required and the class has no `example`.

    >>> from curate.operators.normalize import Normalize
    >>> example(Normalize) == Normalize()
    True
    """
    given = getattr(cls, "example", {})
    try:
        return typing.cast(O, given()) if callable(given) else cls(**given)
    except TypeError as error:
        raise TypeError(f"{cls.name()}: {error} - give the class `example`, a dict of parameters") from error


def example_columns(operator: Operator, seed: int = 0) -> Columns:
    """Seeded values for the columns an operator reads: multilingual and odd texts, unique ids, numbers; no nulls."""
    chance = random.Random(seed)
    texts = example_texts(chance)
    return {name: _values(name, kind, texts, chance) for name, kind in _kinds(operator).items()}


def example_texts(chance: random.Random) -> list[str]:
    """Documents in many scripts, exact and near copies, lists and repetition, and the NASTY ones, shuffled."""
    texts = []
    for _ in range(40):
        tongue = chance.sample(SENTENCES, 3)
        ends = chance.choices([" ", "\n", "\n\n", "...\n- ", "  "], k=chance.randint(1, 15))
        texts.append("".join(chance.choice(tongue) + end for end in ends))
    long = [text for text in texts if len(text) > 400]
    texts += [*texts[:4], *(text.upper() for text in texts[:2]), *(text + " And more." for text in long[:4]), *NASTY]
    return chance.sample(texts, len(texts))


def _kinds(operator: Operator) -> Types:
    """A type for every column: what is asked for, or the first combination that the operator's `check` accepts."""
    reads = operator.reads()
    free = [name for name, kind in reads.items() if kind is None]
    for guess in itertools.islice(itertools.product((pa.float64(), pa.string(), pa.bool_()), repeat=len(free)), 1000):
        kinds = {**reads, **dict(zip(free, guess, strict=True))}
        try:
            operator.check(kinds)
            return kinds
        except PlanError as error:
            refusal = error
    raise AssertionError(f"{operator.name()}: check() refuses every type tried for {', '.join(reads)}: {refusal}")


def _values(name: str, kind: pa.DataType, texts: Sequence[str], chance: random.Random) -> pa.Array:
    rows = len(texts)
    if name == "id":
        return pa.array([f"doc-{at:04d}" for at in chance.sample(range(rows), rows)], kind)
    if name == "language":
        return pa.array(chance.choices(["en", "de", "zh", "zxx", ""], k=rows), kind)
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return pa.array([text.encode() for text in texts]).cast(kind)
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        width = kind.list_size if pa.types.is_fixed_size_list(kind) else 3
        inner = [_values("", kind.value_type, texts, chance) for _ in range(width)]
        return pa.array([list(row) for row in zip(*(array.to_pylist() for array in inner), strict=True)], kind)
    numbers = [0, 1, *(chance.randint(0, 100) for _ in range(rows - 2))]
    if pa.types.is_floating(kind):
        return pa.array([number / chance.choice([1, -7, 100]) for number in numbers], kind)
    return pa.array(numbers).cast(kind, safe=False)


# ---------------------------------------------------------------- what an operator says


def outcome(operator: Operator, columns: Columns, situation: str = "the example columns") -> Columns:
    """What the operator says of each row, checked by the engine's own `evaluate`; AssertionError when it fails.

    A Deduplicator and a Selector say their sketch; a Trainer is fitted on its example columns and applied; of an
    Expander, all children of a row come as one list.
    """
    try:
        if isinstance(operator, Expander):
            return _children(operator, columns)
        if isinstance(operator, Trainer):
            return _applied(operator, [example_columns(operator)], columns)
        return evaluate(operator, columns)
    except Exception as error:
        raise AssertionError(f"{operator.name()} fails on {situation}: {type(error).__name__}: {error}") from error


def decisions(operator: Operator, shards: Sequence[Columns], backwards: bool = False) -> Columns:
    """What a corpus-wide operator decides for each row of a corpus in shards, as the engine does it.

    A Deduplicator says the cluster (position of its first row, null for none), a Selector whether it keeps the row,
    a Trainer what its model says. `backwards`: the shards are worked on last to first.
    """
    if isinstance(operator, Trainer):
        corpus = {name: pa.concat_arrays([shard[name] for shard in shards]) for name in shards[0]}
        return _applied(operator, shards, corpus, backwards)
    sketches = _by_shard(shards, lambda shard: pa.table(evaluate(operator, shard)), backwards)
    corpus = pa.concat_tables(sketches).combine_chunks()
    if isinstance(operator, Selector):
        ids = pa.array([f"{row:06d}" for row in range(len(corpus))])
        return {"keep": pa.array(operator.select(corpus.append_column("id", ids)))}
    assert isinstance(operator, Deduplicator), f"{operator.name()} decides nothing about the corpus"
    keyed = _by_shard(sketches, operator.keys, backwards)
    starts = np.cumsum([0, *map(len, sketches)])
    rows = np.concatenate([start + at for start, (at, _) in zip(starts, keyed, strict=False)]).astype(np.int64)
    a, b = cluster.candidates(np.concatenate([keys for _, keys in keyed]), rows)
    members, heads = cluster.clusters(operator, a, b, lambda at: corpus.take(pa.array(at)).combine_chunks())
    found = np.full(len(corpus), -1, np.int64)
    found[members] = heads
    return {"cluster": pa.array(found, mask=found < 0)}


def added(operator: Operator, columns: Columns) -> Columns:
    """What a call on a table must add to it: the columns written, and `dropped_by` where the operator decides."""
    if isinstance(operator, Filter):
        fails = {reason: array.to_pylist() for reason, array in outcome(operator, columns).items()}
        rows = range(len(next(iter(fails.values()))))
        return {"dropped_by": pa.array([next((r for r in fails if fails[r][i]), None) for i in rows], pa.string())}
    if isinstance(operator, Selector):
        kept = decisions(operator, [columns])["keep"]
        return {"dropped_by": pa.array([None if keep else operator.name() for keep in kept.to_pylist()], pa.string())}
    if isinstance(operator, Deduplicator):
        heads = decisions(operator, [columns])["cluster"]
        drops = [head not in (None, row) for row, head in enumerate(heads.to_pylist())]
        reasons = pa.array([operator.name() if drop else None for drop in drops], pa.string())
        return {f"{operator.name()}_cluster": heads, "dropped_by": reasons}
    return outcome(operator, columns)


def _by_shard(shards: Sequence[Any], work: Callable[[Any], Any], backwards: bool) -> list[Any]:
    if backwards:
        return [work(shard) for shard in reversed(shards)][::-1]
    return [work(shard) for shard in shards]


def _applied(operator: Any, shards: Sequence[Columns], columns: Columns, backwards: bool = False) -> Columns:
    """A Trainer fitted on shards and applied to columns."""
    sketches = _by_shard(shards, lambda shard: operator.sketch(**shard), backwards)
    model = operator.fit(pa.concat_tables(sketches).combine_chunks())
    return evaluate(operator, columns, lambda **given: operator.apply(**given, model=model))


def _children(operator: Any, columns: Columns) -> Columns:
    """For each column an Expander makes, a list per row of what it made from that row."""
    parents, made = operator.expand(**columns)
    parents = np.asarray(parents)
    order = np.argsort(parents, kind="stable")
    bounds = np.searchsorted(parents[order], np.arange(_rows(columns) + 1)).astype(np.int32)
    return {name: pa.ListArray.from_arrays(bounds, array.take(pa.array(order))) for name, array in made.items()}


def _unchecked(operator: Any, columns: Columns) -> tuple[Mapping[str, Any], int]:
    """What the work method itself returns, and how many rows it should have."""
    if isinstance(operator, Expander):
        parents, made = operator.expand(**columns)
        return made, len(parents)
    if isinstance(operator, Trainer):
        model = operator.fit(operator.sketch(**columns))  # type: ignore[attr-defined]
        return operator.apply(**columns, model=model), _rows(columns)  # type: ignore[attr-defined]
    return getattr(operator, operator.work)(**columns), _rows(columns)


def _rows(columns: Mapping[str, Any]) -> int:
    return len(next(iter(columns.values())))


def _pieces(columns: Columns, cuts: Iterable[int]) -> list[Columns]:
    bounds = [0, *(min(cut, _rows(columns)) for cut in cuts), _rows(columns)]
    return [{n: a.slice(low, high - low) for n, a in columns.items()} for low, high in itertools.pairwise(bounds)]


def _joined(pieces: Sequence[Columns]) -> Columns:
    return {name: pa.concat_arrays([piece[name] for piece in pieces]) for name in pieces[0]}


def _agree(operator: Operator, left: Columns, right: Columns, promise: str) -> None:
    """AssertionError, with the first row that differs, unless two outcomes are equal bit for bit."""
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


# ---------------------------------------------------------------- checks: parameters and declarations


def parameters_round_trip(operator: Operator) -> None:
    """Parameters written as plain values or JSON and read back give an equal operator."""
    cls = type(operator)
    back = msgspec.convert(parameters(operator), cls)
    assert back == operator, f"{cls.name()}: {operator} came back from plain values as {back}"
    back = msgspec.json.decode(msgspec.json.encode(operator), type=cls)
    assert back == operator, f"{cls.name()}: {operator} came back from JSON as {back}"


def pickles(operator: Operator) -> None:
    """Pickle and cloudpickle carry the operator to other processes."""
    import cloudpickle

    for pickler in (pickle, cloudpickle):
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
    """A Signal edits nothing, a Mapper edits and says what it changed, what drops has reasons; names are words."""
    reads, writes, reasons = operator.reads(), operator.writes(), operator.reasons()
    name = operator.name()
    edited = sorted(set(reads) & set(writes))
    if isinstance(operator, Mapper):
        assert edited and len(writes) > len(edited), f"{name}: a Mapper edits a column and writes one that says how"
    else:
        assert not edited, f"{name}: a {operator.kind} does not edit columns, but this one writes {edited}"
    drops = isinstance(operator, Filter | Deduplicator | Selector)
    assert drops == bool(reasons), f"{name}: a {operator.kind} has {'' if drops else 'no '}reasons, not {reasons}"
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


# ---------------------------------------------------------------- checks: documentation


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


# ---------------------------------------------------------------- checks: one batch


def writes_what_it_declares(operator: Operator) -> None:
    """The work method returns the declared columns with their Arrow types, one value per row."""
    result, rows = _unchecked(operator, example_columns(operator))
    types = declared(operator)
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
    """The parents an Expander returns are positions of rows it was given, one for each new row."""
    columns = example_columns(operator)
    parents, made = operator.expand(**columns)  # type: ignore[attr-defined]
    outside = [at for at in np.asarray(parents).tolist() if not 0 <= at < _rows(columns)]
    assert not outside, f"{operator.name()}: parent {outside[0]} is none of the {_rows(columns)} rows"


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
    sliced = {name: array.slice(3, _rows(columns)) for name, array in longer.items()}
    _agree(operator, outcome(operator, columns), outcome(operator, sliced, "a slice"), "in a slice of a longer array")


def empty_batch(operator: Operator) -> None:
    """No rows give no rows, with the declared types."""
    nothing = {name: array[:0] for name, array in example_columns(operator).items()}
    for name, array in outcome(operator, nothing, "an empty batch").items():
        assert not len(array), f"{operator.name()} makes {len(array)} values of {name} from an empty batch"
    if isinstance(operator, Deduplicator | Selector):
        decisions(operator, [nothing])


def nulls(operator: Operator) -> None:
    """A null gives null and touches no other row, unless the operator sees nulls: then it copes with them."""
    columns = example_columns(operator)
    gone = pa.array(np.arange(_rows(columns)) % 3 == 0)
    empty = {name: pa.nulls(len(array), array.type) for name, array in columns.items()}
    for name in columns:
        holes = {**columns, name: pc.if_else(gone, empty[name], columns[name])}
        result = outcome(operator, holes, f"nulls in {name}")
        if not operator.sees_nulls:
            expected = {n: pc.if_else(gone, pa.scalar(None, a.type), a) for n, a in outcome(operator, columns).items()}
            _agree(operator, expected, result, f"when every third {name} is null")
    outcome(operator, empty, "nulls alone")


def nasty_text(operator: Operator) -> None:
    """Each odd text alone: empty, white space, one character, control, combining, emoji, right to left, ..."""
    columns = {name: array[:1] for name, array in example_columns(operator).items()}
    for text in NASTY:
        outcome(operator, _with_text(columns, text), f"the text {text!r:.40}")


def long_line(operator: Operator) -> None:
    """10 MB of text on one line, words and one huge word, take less than 10 seconds."""
    columns = {name: array[:1] for name, array in example_columns(operator).items()}
    words = " ".join(random.Random(0).choices(" ".join(SENTENCES).split(), k=LONG // 40))
    outcome(operator, columns)  # compiled and loaded before the clock starts
    for size in (LONG // 100, LONG // 10, LONG):  # so that a quadratic operator fails early
        part = words[: size // 20] * 8
        text = part + "a " * (size // 10) + "x" * (size - len(part.encode()) - size // 5)
        began = time.perf_counter()
        outcome(operator, _with_text(columns, text), f"a line of {size:,} bytes")
        took, limit = time.perf_counter() - began, SECONDS * size / LONG + 0.5
        assert took < limit, f"{operator.name()} takes {took:.1f} s for a line of {size:,} bytes; {limit:.1f} s is the limit"


def _with_text(columns: Columns, text: str) -> Columns:
    return {n: pa.array([text]) if array.type == pa.string() else array for n, array in columns.items()}


# ---------------------------------------------------------------- checks: rows do not depend on their neighbours


def batch_invariance(operator: Operator) -> None:
    """Where a batch is cut never changes a row: what makes results independent of batch size."""
    columns = example_columns(operator)
    whole = outcome(operator, columns)
    for cuts in (*CUTS, range(1, _rows(columns))):
        parts = [outcome(operator, piece, "a part of them") for piece in _pieces(columns, cuts)]
        _agree(operator, whole, _joined(parts), f"when the batch is cut at {[*cuts][:4]}")


def row_order_equivariance(operator: Operator) -> None:
    """Rows in another order give the same values in that order."""
    columns = example_columns(operator)
    rows = pa.array(random.Random(1).sample(range(_rows(columns)), _rows(columns)))
    moved = {name: array.take(rows) for name, array in columns.items()}
    expected = {name: array.take(rows) for name, array in outcome(operator, columns).items()}
    _agree(operator, expected, outcome(operator, moved, "them in another order"), "when rows are in another order")


def sharding_invariance(operator: Operator) -> None:
    """The same decision for every row, however the corpus is cut and in whatever order shards are worked on."""
    columns = example_columns(operator)
    whole = decisions(operator, [columns])
    for cuts in CUTS:
        for backwards in (False, True):
            found = decisions(operator, _pieces(columns, cuts), backwards)
            _agree(operator, whole, found, f"when shards are cut at {cuts}" + ", last one first" * backwards)


def pairs_stand_alone(operator: Operator) -> None:
    """A Deduplicator's `same` judges each pair by itself, and a pair's two sides may be swapped."""
    assert isinstance(operator, Deduplicator)
    sketch = pa.table(outcome(operator, example_columns(operator)))
    a, b = (side.ravel() for side in np.triu_indices(len(sketch)))
    left, right = sketch.take(pa.array(a)).combine_chunks(), sketch.take(pa.array(b)).combine_chunks()
    whole, half = {"same": pa.array(operator.same(left, right))}, len(a) // 3
    parts = [operator.same(left[:half], right[:half]), operator.same(left[half:], right[half:])]
    _agree(operator, whole, {"same": pa.array(np.concatenate(parts))}, "when pairs are compared in two lots")
    _agree(operator, whole, {"same": pa.array(operator.same(right, left))}, "when the sides of pairs are swapped")


def sketch_parameters_complete(operator: Operator) -> None:
    """Parameters that a Deduplicator leaves out of `sketch_parameters` do not change the sketch that is reused."""
    assert isinstance(operator, Deduplicator)
    columns = example_columns(operator)
    for field in msgspec.structs.fields(type(operator)):
        for value in _others(getattr(operator, field.name)) if field.name not in operator.sketch_parameters else ():
            try:
                other = msgspec.convert({**parameters(operator), field.encode_name: value}, type(operator))
            except msgspec.ValidationError:
                continue
            promise = f"when {field.name} is {value}: name it in sketch_parameters"
            _agree(operator, outcome(operator, columns), outcome(other, columns), promise)


def _others(value: Any) -> Iterator[Any]:
    """Values near a parameter's value that it might take instead."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield from (value + 1, value - 1, value / 2)


# ---------------------------------------------------------------- checks: the same again


def determinism(operator: Operator) -> None:
    """The same columns give the same values again."""
    columns = example_columns(operator)
    _agree(operator, outcome(operator, columns), outcome(operator, columns), "the second time")


def same_in_another_process(operator: Operator) -> None:
    """A new process with another hash seed gives the same values and the same fingerprint."""
    import cloudpickle

    columns = example_columns(operator)
    with tempfile.TemporaryDirectory() as folder:
        (given := Path(folder, "given")).write_bytes(cloudpickle.dumps((operator, columns)))
        other = {**os.environ, "PYTHONHASHSEED": "4711", "PYTHONPATH": os.pathsep.join(sys.path)}
        call = [sys.executable, "-c", CHILD, str(given), str(given.with_name("found"))]
        done = subprocess.run(call, env=other, capture_output=True, text=True, check=False)
        assert not done.returncode, f"{operator.name()} fails in another process:\n{done.stderr[-2000:]}"
        found, identity = pickle.loads(given.with_name("found").read_bytes())
    _agree(operator, outcome(operator, columns), found, "in another process")
    assert identity == operator.identity(), f"{operator.name()}: identity() is {identity} in another process"


CHILD = """
import pickle, sys
from curate.testing import outcome
with open(sys.argv[1], "rb") as file:
    operator, columns = pickle.load(file)
with open(sys.argv[2], "wb") as file:
    pickle.dump((outcome(operator, columns), operator.identity()), file)
"""


# ---------------------------------------------------------------- checks: called outside a recipe


def called_on_a_table(operator: Operator) -> None:
    """On a table or record batch it adds or replaces what it writes and leaves the other columns alone."""
    columns = example_columns(operator)
    table = pa.table({"untouched": np.arange(_rows(columns)), **columns})
    expected = added(operator, columns)
    rest = {name: array for name, array in zip(table.column_names, table.columns, strict=True) if name not in expected}
    (batch,) = table.combine_chunks().to_batches()
    for result in (operator(table), pa.table(operator(batch))):
        found = {name: result[name].combine_chunks() for name in (*rest, *expected)}
        whole = {name: column.combine_chunks() for name, column in rest.items()}
        _agree(operator, {**whole, **expected}, found, "when called on a table")


def called_on_one_value(operator: Operator) -> None:
    """On one row (a dict), or one text where that is all it reads, it returns what it writes as plain values."""
    columns = example_columns(operator)
    for row in range(0, _rows(columns), 7):
        one = {name: array[row : row + 1] for name, array in columns.items()}
        expected = {name: array[0].as_py() for name, array in added(operator, one).items()}
        given = {name: array[0].as_py() for name, array in one.items()}
        calls = [given, *given.values()] if isinstance([*given.values()], list) and _is_one_text(one) else [given]
        for value in calls:
            found = operator(value)
            same = expected.items() <= found.items()
            assert same, f"{operator.name()}: called on {value!r:.60} it returns {found}, not {expected}"


def _is_one_text(columns: Columns) -> bool:
    return [array.type for array in columns.values()] == [pa.string()]


def called_by_datasets_map(operator: Operator) -> None:
    """It works as the function of Hugging Face's `Dataset.map(operator, batched=True)`."""
    import datasets

    columns = example_columns(operator)
    dataset = datasets.Dataset(pa.table(columns))
    rows = _rows(columns)  # one batch: a Deduplicator sees only the batch it is given
    mapped = dataset.map(operator, batched=True, batch_size=rows, new_fingerprint="contract", keep_in_memory=True)
    _plainly_equal(operator, added(operator, columns), mapped[:], "in Dataset.map")


def called_as_ray_map_batches(operator: Operator) -> None:
    """It works in the shape that Ray Data's `map_batches` calls: a dict of NumPy arrays in and out."""
    columns = example_columns(operator)
    given = {name: array.to_numpy(zero_copy_only=False) for name, array in columns.items()}
    found = operator(given)
    for name, values in found.items():
        assert isinstance(values, np.ndarray), f"{operator.name()}: {name} is a {type(values).__name__}, not an array"
    _plainly_equal(operator, added(operator, columns), {n: v.tolist() for n, v in found.items()}, "in map_batches")


def _plainly_equal(operator: Operator, expected: Columns, found: Mapping[str, Any], where: str) -> None:
    for name, array in expected.items():
        assert name in found, f"{operator.name()} does not return {name} {where}"
        pairs = enumerate(zip(array.to_pylist(), list(found[name]), strict=True))
        wrong = [(row, want, got) for row, (want, got) in pairs if want != got]
        assert not wrong, "{}: {} of row {} is {!r:.60}, not {!r:.60}, {}".format(
            operator.name(), name, wrong[0][0], wrong[0][2], wrong[0][1], where
        )


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
    sharding_invariance: (Deduplicator, Selector, Trainer),
    pairs_stand_alone: Deduplicator,
    sketch_parameters_complete: Deduplicator,
    called_on_a_table: ROW_BY_ROW,
    called_on_one_value: ROW_BY_ROW,
    called_by_datasets_map: ROW_BY_ROW,
    called_as_ray_map_batches: ROW_BY_ROW,
}
