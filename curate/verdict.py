"""Why one document was kept or dropped, in words."""

from __future__ import annotations

from typing import Any

from curate.operator import Deduplicator, Selector
from curate.operators.keep import Keep
from curate.operators.sample import Sample
from curate.recipe import Recipe, Step


def verdict_text(row: dict[str, Any], recipe: Recipe) -> str:
    """The story of a document: its fate, then every step that could drop it."""
    fate = row["dropped_by"]
    about = ", ".join(str(row[name]) for name in ("source", "language", "url") if row.get(name))
    lines = [f"{row['id']} ({about})" if about else str(row["id"])]
    lines.append("kept" if fate is None else f"dropped by {fate}")
    reached = True
    for step in recipe.steps:
        story = list(_story(step, row)) if reached else []
        lines += story
        reached = reached and (recipe.annotate == "all" or not _dropped_here(step, fate))
    if not reached:
        lines.append("later steps did not see it (annotate: all would show them)")
    return "\n".join(lines)


def _dropped_here(step: Step, fate: str | None) -> bool:
    return fate is not None and fate in step.reasons_given().values()


def _story(step: Step, row: dict[str, Any]) -> list[str]:
    operator = step.operator
    if isinstance(operator, Keep):
        seen = {own: row.get(step.columns.get(own, own)) for own in operator.reads()}
        return [f"{step.name}:", *(_rule_line(verdict) for verdict in operator.explain(seen))]
    if isinstance(operator, Deduplicator):
        cluster, twin = (row.get(name) for name in step.columns_written().values())
        if twin is not None:
            return [f"{step.name}: a copy of {twin}, which comes first in cluster {cluster}"]
        return [f"{step.name}: " + ("the first of its cluster" if cluster is not None else "no copy found")]
    if isinstance(operator, Sample | Selector):
        return [f"{step.name}: {'not chosen' if _dropped_here(step, row['dropped_by']) else 'chosen'}"]
    return []


def _rule_line(verdict: dict[str, Any]) -> str:
    values = ", ".join(f"{name} = {_number(value)}" for name, value in verdict["values"].items())
    mark = "passes" if verdict["passes"] else "FAILS "
    distance = verdict["distance"]
    gap = "" if distance is None else f", {_number(abs(distance))} {'inside' if distance >= 0 else 'outside'}"
    return f"  {mark} {verdict['rule']}: {values} ({verdict['rule_text']}{gap})"


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else repr(value) if isinstance(value, str) else str(value)
