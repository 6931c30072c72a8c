"""The page as a whole: everything it says is counted here and laid out in page/*.j2."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from curate.deciding.annotated import annotated
from curate.deciding.policy import policy_of_run
from curate.deciding.what_if import WhatIf, what_if
from curate.flow import svg
from curate.recipe import Recipe
from curate.report import facts
from curate.report.cases import cases, texts_of
from curate.report.measure import Law, Measured, laws, measure
from curate.report.pictures import brief, corrgram, histogram, place, ticks
from curate.report.related import related
from curate.report.sliders import sample, sliders
from curate.report.values import megabytes, number, seconds, shade, share, visible
from curate.result import Result

GROUPS = 30
HERE = Path(__file__).parent / "page"
UNITS = ("documents", "bytes", "words")


def page(
    folder: Path, manifest: dict[str, Any], recipe: Recipe, shared: Any = None, clock: dict[str, float] | None = None
) -> str:
    """The page of a run in a folder, as text."""
    return environment().get_template("page.html.j2").render(contents(folder, manifest, recipe, shared, clock))


def contents(
    folder: Path, manifest: dict[str, Any], recipe: Recipe, shared: Any = None, clock: dict[str, float] | None = None
) -> dict[str, Any]:
    """What the templates are filled with."""
    run = Result(folder, manifest)
    data = annotated(run)
    policy = policy_of_run(data, recipe)
    rules = laws(policy)
    steps = manifest["funnel"]["steps"]
    reasons = [step["step"] for step in steps[1:-1] if step["documents"]]
    measured = measure(data, policy, reasons)
    found = what_if(run, bounds={law.reason: measured.distributions[law.column].edges for law in rules})
    numeric = [*measured.distributions]
    correlations = related(measured.sample, numeric, [law.column for law in rules])
    shown = cases(data.frame, recipe, measured.picked, rules, reasons, lambda rows: texts_of(folder, manifest, rows))
    groups = with_rest(manifest["funnel"]["groups"])
    return {
        "manifest": manifest,
        "recipe": recipe,
        "steps": steps,
        "groups": groups,
        "bound_sources": facts.bound_sources(recipe),
        "measured": measured,
        "rules": [_rule(law, found, measured, manifest) for law in rules],
        "others": _others(measured, rules, recipe),
        "what_if": found,
        "overlap": overlap_of(found),
        "related": correlations,
        "cases": shown,
        "found": duplicates(manifest["corpus"]),
        "clusters": facts.largest_clusters(folder),
        "shared": shared,
        "clock": timing(clock, manifest) if clock else None,
        "graph": svg(recipe),
        "data": {
            "funnel": funnel_data(manifest["funnel"]),
            "sliders": sliders(found, rules, measured),
            "sample": sample(policy, rules, measured) if rules else None,
            "paths": _paths(recipe, rules),
            "kept": [manifest["kept"], steps[-1]["words"]],
            "related": {"names": correlations.names, "values": _lower(correlations.values.tolist())},
        },
    }


@cache
def environment() -> Any:
    """Jinja's, with what the templates call."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    made.filters["number"] = number
    made.globals |= {"number": number, "megabytes": megabytes, "share": share, "shade": shade, "seconds": seconds}
    made.globals |= {"histogram": histogram, "place": place, "ticks": ticks, "corrgram": corrgram, "brief": brief}
    style, script = ((HERE / name).read_text(encoding="utf-8").strip() for name in ("style.css", "script.js"))
    made.globals |= {"style": style, "script": script, "script_hash": _hash(script), "as_json": as_json}
    return made


def _hash(script: str) -> str:
    """What a Content Security Policy calls a script by."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def as_json(value: Any) -> str:
    """JSON that can stand in a script element: no text of it can end that."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _rule(law: Law, found: WhatIf, measured: Measured, manifest: dict[str, Any]) -> dict[str, Any]:
    """What a rule's card says."""
    row = found.rules.row(by_predicate=pl.col("rule") == law.reason, named=True)
    it = measured.distributions[law.column]
    stops = {side: it.edges.index(bound) for side, bound in law.bounds.items()}
    return {"name": law.reason, "law": law, "it": it, "row": row, "stops": stops, "last": len(it.edges) - 1}


def _others(measured: Measured, rules: list[Law], recipe: Recipe) -> dict[str, list[Any]]:
    """Signals without a rule, by the step that wrote them."""
    ruled = {law.column for law in rules}
    writers = {name: step.name for step in recipe.steps for name in step.columns_written().values()}
    found: dict[str, list[Any]] = {}
    for name, it in measured.distributions.items():
        if name not in ruled:
            found.setdefault(writers.get(name, "source"), []).append(it)
    return found


def overlap_of(found: WhatIf) -> dict[str, Any]:
    """Rules that apply to any document, and the share of the first's documents that the second applies to too."""
    names = [row["rule"] for row in found.rules.to_dicts() if row["fails"]]
    pairs = {(row["rule"], row["other"]): (row["share"], row["documents"]) for row in found.overlap.to_dicts()}
    only = {row["rule"]: row["only_documents"] for row in found.rules.to_dicts()}
    return {"names": names, "only": [only[name] for name in names], "shares": [[pairs[a, b] for b in names] for a in names]}


def _paths(recipe: Recipe, rules: list[Law]) -> list[str]:
    """Where each rule stands in the recipe, as `--set` names it."""
    at = {step.name: number for number, step in enumerate(recipe.steps)}
    return [f"steps.{at[law.step.step.name]}.keep.rules.{law.own}" for law in rules]


def _lower(values: list[list[float]]) -> list[list[float | None]]:
    return [[None if value != value else round(value, 2) for value in row[:at]] for at, row in enumerate(values)]


def funnel_data(funnel: dict[str, Any]) -> list[dict[str, Any]]:
    """The funnel of all documents, of each source, each language and each pair: what each step took."""
    groups = funnel["groups"]
    made = [{"label": "all documents", "lost": [[row[unit] for unit in UNITS] for row in funnel["steps"]]}]
    for key, title in (("source", "source"), ("language", "language")):
        names = list(dict.fromkeys(group[key] for group in groups))
        for name in names[:GROUPS] if len(names) > 1 else ():
            same = [group["steps"] for group in groups if group[key] == name]
            made.append({"label": f"{title}: {visible(str(name or 'unknown'))}", "lost": _summed(same)})
    return made


def _summed(funnels: list[list[dict[str, Any]]]) -> list[list[int]]:
    return [[sum(row[unit] for row in same) for unit in UNITS] for same in zip(*funnels, strict=True)]


def with_rest(groups: list[dict[str, Any]], most: int = GROUPS) -> list[dict[str, Any]]:
    """The largest groups of a funnel, and one that sums all others, so that columns add up to the whole."""
    if len(groups) <= most:
        return groups
    rest = groups[most:]
    steps = [
        {key: value if key == "step" else sum(row[key] for row in same) for key, value in same[0].items()}
        for same in zip(*(group["steps"] for group in rest), strict=True)
    ]
    return [*groups[:most], {"source": f"{len(rest)} smaller groups", "language": "", "steps": steps}]


def duplicates(corpus: dict[str, dict[str, Any] | None]) -> dict[str, dict[str, Any]]:
    """What the corpus-wide steps that look for clusters have found."""
    return {name: found for name, found in corpus.items() if found and "clusters" in found}


def timing(clock: dict[str, float], manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Seconds of work by step and by other parts, longest first; per thousand documents."""
    records = max(1, manifest["records"])
    parts = {part: time for part, time in clock.items() if part != "total"}
    whole = sum(parts.values()) or 1.0
    rows = sorted(parts.items(), key=lambda item: -item[1])
    return [{"part": part, "seconds": time, "share": time / whole, "each": time / records * 1000} for part, time in rows]
