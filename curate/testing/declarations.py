"""Checks of what an operator says of itself: its parameters, what it declares, and its documentation."""

from __future__ import annotations

import difflib
import doctest
import json
import pickle
import re
import sys
from collections.abc import Iterable
from typing import Any

import msgspec

from curate.convert import convert
from curate.document import Document
from curate.errors import RecipeError
from curate.evaluate import declared
from curate.operator import Deduplicator, Expander, Filter, Mapper, Operator, Selector, Trainer, parameters
from curate.testing.examples import example_columns
from curate.testing.outcomes import outcome

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
