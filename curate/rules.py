"""Published rule sets: `keep: {rules: gopher}` stands for the set's rules and the signals that they read, no others."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec

from curate.errors import RecipeError, nearest
from curate.family import Family
from curate.operator import Signal
from curate.recipe import Recipe, Step, changed
from curate.recipe_file import rule_set_file


def rule_set(name: str, changes: Mapping[str, Any] | None = None, made: Collection[str] = ()) -> tuple[Step, ...]:
    """The steps of a rule set, a shipped one (`gopher`) or a file of yours: signals, then rules.

    changes   rule -> what is to be different in it ({"min": 30}), or None to leave the rule out
    made      columns that are there already and need not be measured

    >>> signals, rules = rule_set("gopher", {"word_count": {"min": 30}, "stop_words": None})
    >>> "gopher_stop_word_count" in signals.operator.writes()
    False
    """
    return tuple(expand(Recipe.load(rule_set_file(name)).steps, changes or {}, made))


def expand(steps: Iterable[Step], changes: Mapping[str, Any], made: Collection[str] = ()) -> list[Step]:
    """The steps of a rule set with changed rules, whose families measure no more than the rules read."""
    given = list(steps)
    places = [at for at, step in enumerate(given) if step.operator.name() == "keep"]
    if len(places) != 1:
        raise RecipeError(f"a rule set has one `keep` step, this one has {len(places)}")
    keep = given[places[0]]
    given[places[0]] = keep = msgspec.structs.replace(keep, operator=_changed(keep.operator, changes))
    wanted = {keep.columns.get(own, own) for own in keep.operator.reads()} - set(made)
    return [step for one in given for step in _restricted(one, wanted)]


def _changed(keep: Any, changes: Mapping[str, Any]) -> Any:
    """The `keep` with some of its rules changed, and without those whose change is None."""
    rules = dict(keep.rules)
    for name, change in changes.items():
        if name not in rules:
            known = f"; its rules: {', '.join(rules)}" if not nearest(name, rules) else nearest(name, rules)
            raise RecipeError(f"the rule set has no rule {name!r}{known}")
        if change is None:
            del rules[name]
        elif isinstance(change, dict):
            rules[name] = changed(rules[name]) | change
        else:
            raise RecipeError(f"rule {name!r}: {change!r} is no change: write what differs, as in {{min: 30}}, or null")
    if not rules:
        raise RecipeError("no rule of the rule set is left")
    try:
        return msgspec.convert({"rules": rules}, type(keep))
    except msgspec.ValidationError as error:
        raise RecipeError(str(error).replace("`", "").replace("$.rules[...]", "the rule")) from error


def _restricted(step: Step, wanted: Collection[str]) -> list[Step]:
    """A family measures the wanted columns only; a signal that writes none of them is left out; other steps stay."""
    if not isinstance(step.operator, Signal):
        return [step]
    names = tuple(own for own, name in step.columns_written().items() if name in wanted)
    if not names:
        return []
    if not isinstance(step.operator, Family) or len(names) == len(step.operator.writes()):
        return [step]
    return [msgspec.structs.replace(step, operator=msgspec.structs.replace(step.operator, signals=names))]
