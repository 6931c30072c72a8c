"""Policy: which documents to keep. Signals say what is true; rules in the recipe say what is wanted."""

import csv
import functools
import math
import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from curate import sql
from curate.errors import PlanError, nearest
from curate.operator import Filter


class Bounds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds of a rule for one language; a bound that is left out is the rule's own."""

    min: int | float | None = None
    max: int | float | None = None


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a document must satisfy: bounds (both inclusive) on a column, or an SQL condition.

    column     the column to look at (default: the rule's own name)
    min/max    inclusive bounds
    sql        a condition instead of bounds, e.g. "language IN ('en', 'de')"
    nulls      what a null, or a condition that SQL cannot decide, means: fail or pass
    overrides  other bounds where the column `by` has a value: {de: {min: 3}}; {zh: null} lets all Chinese pass. Or the
               name of a CSV file with a line for each value and columns such as RULE.min and RULE.max. Where it has
               no line and the rule no bounds of its own, `nulls` decides
    by         the column that overrides go by
    source     where the bounds are from: a paper's table, a repository's file
    """

    column: str | None = None
    min: int | float | None = None
    max: int | float | None = None
    sql: str | None = None
    nulls: Literal["fail", "pass"] = "fail"
    overrides: dict[str, Bounds | None] | str = {}
    by: str = "language"
    source: str | None = None

    def __post_init__(self) -> None:
        has_bounds = not (self.min is None and self.max is None) or bool(self.overrides)
        if (self.sql is None) != has_bounds:
            raise ValueError("a rule has min and/or max, or sql")
        for name, bounds in ({"": self} | self.by_value()).items():
            if bounds is not None and bounds.min is not None and bounds.max is not None and bounds.min > bounds.max:
                raise ValueError(f"{name + ': ' if name else ''}min {bounds.min} is above max {bounds.max}")

    def by_value(self) -> dict[str, Bounds | None]:
        """The bounds that hold for each value of `by` that has its own; None: all pass."""
        if isinstance(self.overrides, str):
            return {}
        own = {"min": self.min, "max": self.max}
        return {value: bounds and _merged(bounds, own) for value, bounds in self.overrides.items()}


def _merged(bounds: Bounds, own: Mapping[str, int | float | None]) -> Bounds:
    given = {side: getattr(bounds, side) for side in own}
    return Bounds(**{side: own[side] if value is None else value for side, value in given.items()})


class Keep(Filter, frozen=True):
    """Keep documents that satisfy every rule; the name of a rule is the reason of those that fail it.

    All rules are evaluated, so a document carries every rule it fails; `dropped_by` names the first.
    A rule that is plain text is an SQL condition (Polars' dialect). Bounds are inclusive.

    rules   name of the rule -> {column, min, max, nulls, overrides, by, source} or an SQL condition. In a recipe also
            the name of a rule set (`keep: {rules: gopher}`), which brings the signals it reads

    >>> keep = Keep(rules={"words": {"min": 50}, "tongue": "language IN ('en', 'de')"})
    >>> keep({"words": 12, "language": "fr"})
    {'dropped_by': 'words'}
    """

    sees_nulls = True

    rules: dict[str, Rule | str]

    def __post_init__(self) -> None:
        if not self.rules:
            raise ValueError("keep needs at least one rule")
        rules = {k: msgspec.convert(v, Rule | str) if isinstance(v, dict) else v for k, v in self.rules.items()}
        msgspec.structs.force_setattr(self, "rules", rules)

    def rule(self, name: str) -> Rule:
        """The rule with its column and its overrides filled in; plain text becomes its `sql`."""
        rule = self.rules[name]
        if isinstance(rule, str):
            return Rule(sql=rule)
        if isinstance(rule.overrides, str):
            rule = msgspec.structs.replace(rule, overrides=_overrides(find_table(rule.overrides), name))
        return rule if rule.sql else msgspec.structs.replace(rule, column=rule.column or name)

    def files(self) -> tuple[str, ...]:
        named = [rule.overrides for rule in self.rules.values() if isinstance(rule, Rule)]
        return tuple(dict.fromkeys(find_table(table) for table in named if isinstance(table, str)))

    def reads(self) -> dict[str, pa.DataType | None]:
        return {column: None for name in self.rules for column in columns(self.rule(name))}

    def reasons(self) -> tuple[str, ...]:
        return tuple(self.rules)

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        for name in self.rules:
            rule = self.rule(name)
            try:
                if rule.sql:
                    sql.check(rule.sql, types)
            except PlanError as error:
                raise PlanError(f"rule {name!r}: {error}") from error
            if rule.overrides and types[rule.by] != pa.string():
                raise PlanError(f"rule {name!r} has overrides by {rule.by}, which is {types[rule.by]}, not a string")
            if rule.column and not _is_number(types[rule.column]):
                raise PlanError(f"rule {name!r} has bounds, but {rule.column} is {types[rule.column]}: use a condition")

    def decide(self, **given: pa.Array) -> dict[str, pa.Array]:
        return {name: pc.invert(passes(self.rule(name), given)) for name in self.rules}

    def explain(self, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Every rule against one document: value, bounds, whether it passes and how far it is from the bound."""
        return [_verdict(name, self.rule(name), row) for name in self.rules]


def columns(rule: Rule) -> tuple[str, ...]:
    """Columns a rule looks at."""
    if rule.sql:
        return sql.columns(rule.sql)
    return (rule.column or "", *([rule.by] if rule.overrides and rule.by != rule.column else []))


def passes(rule: Rule, given: Mapping[str, pa.Array]) -> pa.Array:
    """Which rows satisfy the rule; nulls are decided by the rule."""
    if rule.sql:
        return sql.holds(rule.sql, given).fill_null(rule.nulls == "pass")
    values = given[rule.column or ""]
    if rule.overrides:
        return _passes_by_value(rule, values, given[rule.by])
    tests = [] if rule.min is None else [pc.greater_equal(values, pa.scalar(rule.min))]
    tests += [] if rule.max is None else [pc.less_equal(values, pa.scalar(rule.max))]
    good = tests[0] if len(tests) == 1 else pc.and_(*tests)
    return good.fill_null(rule.nulls == "pass")


def _passes_by_value(rule: Rule, values: pa.Array, by: pa.Array) -> pa.Array:
    """Each row against the bounds of its own value of `by`. An absent bound is infinite, an unknown one null."""
    known = rule.by_value()
    has_own = rule.min is not None or rule.max is not None
    encoded = by.cast(pa.string()).dictionary_encode()
    names = [*encoded.dictionary.to_pylist(), None]
    each = [known.get(name, rule if has_own else None) for name in names]
    is_free = [name in known and known[name] is None for name in names]
    at = encoded.indices.fill_null(len(names) - 1)
    low = pa.array([_limit(bounds, "min") for bounds in each], pa.float64()).take(at)
    high = pa.array([_limit(bounds, "max") for bounds in each], pa.float64()).take(at)
    good = pc.and_(pc.greater_equal(values, low), pc.less_equal(values, high)).fill_null(rule.nulls == "pass")
    return pc.or_(good, pa.array(is_free, pa.bool_()).take(at))


def _limit(bounds: Bounds | Rule | None, side: str) -> float | None:
    if bounds is None:
        return None
    value = getattr(bounds, side)
    return (-math.inf if side == "min" else math.inf) if value is None else float(value)


def find_table(name: str) -> str:
    """The CSV file of overrides that a rule names: a path, or one that comes with the shipped rule sets."""
    shipped = Path(str(resources.files("curate"))) / "recipes" / "rules" / name
    found = Path(name) if Path(name).is_file() else shipped
    if not found.is_file():
        raise PlanError(f"overrides: there is no table {name}: name a CSV file, or write the bounds in the rule")
    return str(found)


def _overrides(path: str, rule: str) -> dict[str, Bounds | None]:
    return read_overrides(path, rule, os.stat(path).st_mtime_ns)


@functools.lru_cache(maxsize=256)
def read_overrides(path: str, rule: str, changed: int) -> dict[str, Bounds | None]:
    """A rule's bounds for each value in the first column of a table last changed then; an empty cell is no bound."""
    with Path(path).open(encoding="utf-8", newline="") as stream:
        head, *lines = csv.reader(stream)
    sides = {side: head.index(f"{rule}.{side}") for side in ("min", "max") if f"{rule}.{side}" in head}
    if not sides:
        known = sorted({column.rpartition(".")[0] for column in head[1:]})
        raise PlanError(f"{path} has no column {rule}.min or {rule}.max{nearest(rule, known)}")
    cells = {line[0]: {side: float(line[at]) for side, at in sides.items() if line[at]} for line in lines}
    return {value: Bounds(**bounds) for value, bounds in cells.items()}


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def applied(rule: Rule, row: Mapping[str, Any]) -> Rule:
    """The rule as it stands for one document: with the bounds of its language."""
    bounds = rule.by_value().get(row.get(rule.by) or "", rule) if rule.overrides else rule
    low, high = (None, None) if bounds is None else (bounds.min, bounds.max)
    return msgspec.structs.replace(rule, min=low, max=high)


def _verdict(name: str, rule: Rule, row: Mapping[str, Any]) -> dict[str, Any]:
    given = {column: row.get(column) for column in columns(rule)}
    ok = passes(rule, {column: pa.array([value]) for column, value in given.items()})[0].as_py()
    value = given.get(rule.column) if rule.column else None
    rule = applied(rule, row)
    gaps = []
    if value is not None:
        gaps += [] if rule.min is None else [value - rule.min]
        gaps += [] if rule.max is None else [rule.max - value]
    distance = min(gaps) if gaps else None
    said = {"rule": name, "values": given, "rule_text": text(rule), "passes": ok, "distance": distance}
    return said | ({"source": rule.source} if rule.source else {})


def text(rule: Rule) -> str:
    """The rule as a person would say it.

    >>> text(Rule(column="words", min=50))
    'words >= 50'
    >>> text(Rule(column="words", min=50, overrides={"zh": None}))
    'words >= 50, by language'
    """
    if rule.sql:
        return rule.sql
    low = "" if rule.min is None else f"{rule.column} >= {rule.min}"
    high = "" if rule.max is None else f"{rule.column} <= {rule.max}"
    bounds = " and ".join(part for part in (low, high) if part) or str(rule.column)
    return f"{bounds}, by {rule.by}" if rule.overrides else bounds
