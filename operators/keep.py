"""Policy: which documents to keep. Signals say what is true; rules in the recipe say what is wanted."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from curate import sql
from curate.errors import PlanError
from curate.operator import Filter


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a document must satisfy: bounds (both inclusive) on a column, or an SQL condition.

    column   the column to look at (default: the rule's own name)
    min/max  inclusive bounds
    sql      a condition instead of bounds, e.g. "language IN ('en', 'de')"
    nulls    what a null, or a condition that SQL cannot decide, means: fail or pass
    """

    column: str | None = None
    min: int | float | None = None
    max: int | float | None = None
    sql: str | None = None
    nulls: Literal["fail", "pass"] = "fail"

    def __post_init__(self) -> None:
        if (self.sql is None) == (self.min is None and self.max is None):
            raise ValueError("a rule has min and/or max, or sql")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")


class Keep(Filter, frozen=True):
    """Keep documents that satisfy every rule; the name of a rule is the reason of those that fail it.

    All rules are evaluated, so a document carries every rule it fails; `dropped_by` names the first.
    A rule that is plain text is an SQL condition (Polars' dialect). Bounds are inclusive.

    rules   name of the rule -> {column, min, max, nulls} or an SQL condition

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
        """The rule with its column filled in; plain text becomes its `sql`."""
        rule = self.rules[name]
        if isinstance(rule, str):
            return Rule(sql=rule)
        return rule if rule.sql else msgspec.structs.replace(rule, column=rule.column or name)

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
            if rule.column and not _is_number(types[rule.column]):
                raise PlanError(f"rule {name!r} has bounds, but {rule.column} is {types[rule.column]}: use a condition")

    def decide(self, **given: pa.Array) -> dict[str, pa.Array]:
        return {name: pc.invert(passes(self.rule(name), given)) for name in self.rules}

    def explain(self, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Every rule against one document: value, bounds, whether it passes and how far it is from the bound."""
        return [_verdict(name, self.rule(name), row) for name in self.rules]


def columns(rule: Rule) -> tuple[str, ...]:
    """Columns a rule looks at."""
    return sql.columns(rule.sql) if rule.sql else (rule.column or "",)


def passes(rule: Rule, given: Mapping[str, pa.Array]) -> pa.Array:
    """Which rows satisfy the rule; nulls are decided by the rule."""
    if rule.sql:
        good = sql.holds(rule.sql, given)
    else:
        values = given[rule.column or ""]
        tests = [] if rule.min is None else [pc.greater_equal(values, pa.scalar(rule.min))]
        tests += [] if rule.max is None else [pc.less_equal(values, pa.scalar(rule.max))]
        good = tests[0] if len(tests) == 1 else pc.and_(*tests)
    return good.fill_null(rule.nulls == "pass")


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def _verdict(name: str, rule: Rule, row: Mapping[str, Any]) -> dict[str, Any]:
    given = {column: row.get(column) for column in columns(rule)}
    ok = passes(rule, {column: pa.array([value]) for column, value in given.items()})[0].as_py()
    value = given.get(rule.column) if rule.column else None
    gaps = []
    if value is not None:
        gaps += [] if rule.min is None else [value - rule.min]
        gaps += [] if rule.max is None else [rule.max - value]
    distance = min(gaps) if gaps else None
    return {"rule": name, "values": given, "rule_text": text(rule), "passes": ok, "distance": distance}


def text(rule: Rule) -> str:
    """The rule as a person would say it.

    >>> text(Rule(column="words", min=50))
    'words >= 50'
    """
    if rule.sql:
        return rule.sql
    low = "" if rule.min is None else f"{rule.column} >= {rule.min}"
    high = "" if rule.max is None else f"{rule.column} <= {rule.max}"
    return " and ".join(part for part in (low, high) if part)
