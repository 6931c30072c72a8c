"""Why one document was kept or dropped, in words."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from curate import sql
from curate.operator import Deduplicator, Selector
from curate.operators.decontaminate import Decontaminate
from curate.operators.keep import Keep
from curate.operators.sample import Sample
from curate.recipe import Recipe, Step


def verdict_text(row: dict[str, Any], source: str, recipe: Recipe) -> str:
    """The story of a document: its fate, then every step that could drop it. `source`: its source in the recipe."""
    fate = row["dropped_by"]
    about = ", ".join(str(row[name]) for name in ("source", "language", "url") if row.get(name))
    lines = [f"{row['id']} ({about})" if about else str(row["id"])]
    lines.append("kept" if fate is None else f"dropped by {fate}")
    reached = True
    for step in recipe.steps:
        story = [] if not reached else _story(step, row) if _concerns(step, row, source, recipe) else _passed_by(step)
        lines += story
        reached = reached and (recipe.annotate == "all" or not _dropped_here(step, fate))
    if not reached:
        lines.append("later steps did not see it (annotate: all would show them)")
    return "\n".join(lines)


def _concerns(step: Step, row: dict[str, Any], source: str, recipe: Recipe) -> bool:
    """Whether a step works on this document: its source and its condition."""
    if step.from_:
        named = {other.name: other for other in recipe.steps}
        if not any(
            name == source or (name not in recipe.sources and _concerns(named[name], row, source, recipe))
            for name in step.from_
        ):
            return False
    if step.where is None:
        return True
    values = {column: pa.array([row.get(column)]) for column in sql.columns(step.where)}
    return sql.holds(step.where, values)[0].as_py() is True


def _passed_by(step: Step) -> list[str]:
    return [f"{step.name}: not for this document"] if step.operator.reasons() else []


def _dropped_here(step: Step, fate: str | None) -> bool:
    return fate is not None and fate in step.reasons_given().values()


def _story(step: Step, row: dict[str, Any]) -> list[str]:
    operator = step.operator
    if isinstance(operator, Keep):
        seen = {own: row.get(step.columns.get(own, own)) for own in operator.reads()}
        return [f"{step.name}:", *(_rule_line(verdict) for verdict in operator.explain(seen))]
    if isinstance(operator, Deduplicator):
        return [f"{step.name}: {_copy_text(step, row)}"]
    if isinstance(operator, Decontaminate):
        return [f"{step.name}: {_match(step, row)}"]
    if isinstance(operator, Sample | Selector) and operator.reasons():
        return [f"{step.name}: {'not chosen' if _dropped_here(step, row['dropped_by']) else 'chosen'}"]
    return []


def _match(step: Step, row: dict[str, Any]) -> str:
    """What a document has in common with test items."""
    names = step.columns_written()
    item, source, share = (row.get(names[f"decontaminate_{what}"]) for what in ("item", "source", "item_coverage"))
    if item is None:
        return "no test item found"
    covered = row[names["decontaminate_coverage"]]
    fate = ", dropped" if _dropped_here(step, row["dropped_by"]) else ""
    return f"holds {share:.0%} of item {item} of {source}; {covered:.1%} of its words are in test items{fate}"


def _copy_text(step: Step, row: dict[str, Any]) -> str:
    """Whose copy a document is."""
    found = [row.get(name) for name in step.columns_written().values()]
    if len(found) == 1:  # by a Bloom filter
        return "seen before (a Bloom filter does not know where)" if found[0] else "not seen before"
    cluster, size, is_copy, twin, _, similarity = found
    if cluster is None:
        return "no copy found"
    if not is_copy:
        return f"the one that stays of {size} documents"
    return f"a copy of {twin} (similarity {_number(similarity)}), the one that stays of {size} documents"


def _rule_line(verdict: dict[str, Any]) -> str:
    values = ", ".join(f"{name} = {_number(value)}" for name, value in verdict["values"].items())
    mark = "passes" if verdict["passes"] else "FAILS "
    distance = verdict["distance"]
    gap = "" if distance is None else f", {_number(abs(distance))} {'inside' if distance >= 0 else 'outside'}"
    source = f"; {verdict['source']}" if "source" in verdict else ""
    return f"  {mark} {verdict['rule']}: {values} ({verdict['rule_text']}{gap}{source})"


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else repr(value) if isinstance(value, str) else str(value)
