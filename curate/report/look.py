"""A finished run as the report sees it: each part is counted when it is first asked for, and filled into a template."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from curate.deciding.annotated import annotated
from curate.deciding.policy import policy_of_run
from curate.deciding.what_if import WhatIf, counted
from curate.recipe import Recipe
from curate.report import facts
from curate.report.cases import Cases, cases, texts_of
from curate.report.measure import Law, Measured, laws, measure
from curate.report.related import Related, related
from curate.report.sliders import parts, sample, sliders
from curate.report.values import visible
from curate.result import Result

GROUPS = 30
UNITS = ("documents", "bytes", "words")


class Look:
    """The run in a folder. Each method gives what the template of its name is filled with."""

    def __init__(self, folder: Path, manifest: dict[str, Any], recipe: Recipe):
        self.folder, self.manifest, self.recipe = folder, manifest, recipe
        self.steps: list[dict[str, Any]] = manifest["funnel"]["steps"]
        self.reasons = [step["step"] for step in self.steps[1:-1] if step["documents"]]
        self.run = Result(folder, manifest)
        self.documents = annotated(self.run)
        self.policy = policy_of_run(self.documents, recipe, is_own=True)
        self.laws = laws(self.policy)

    @cached_property
    def measured(self) -> Measured:
        return measure(self.documents, self.policy, self.reasons)

    @cached_property
    def what_if(self) -> WhatIf:
        edges = {law.reason: self.measured.distributions[law.column].edges for law in self.laws}
        return counted(self.documents, self.policy, bounds=edges)

    @cached_property
    def cases(self) -> Cases:
        found, frame = self.measured.picked, self.documents.frame
        return cases(
            frame, self.recipe, found, self.laws, self.reasons, lambda rows: texts_of(self.folder, self.manifest, rows)
        )

    @cached_property
    def related(self) -> Related:
        return related(self.measured.sample, [*self.measured.distributions], [law.column for law in self.laws])

    def funnel(self) -> dict[str, Any]:
        funnel = self.manifest["funnel"]
        return {
            "manifest": self.manifest,
            "recipe": self.recipe,
            "steps": self.steps,
            "groups": with_rest(funnel["groups"]),
            "bound_sources": facts.bound_sources(self.recipe),
            "data": {"funnel": _funnels(funnel)},
        }

    def rules(self) -> dict[str, Any]:
        of = parts(self.what_if)
        data = {
            "funnel": _funnels(self.manifest["funnel"])[:1],
            "kept": [self.manifest["kept"], self.steps[-1]["words"]],
            "sliders": sliders(self.what_if, self.laws, self.measured, of),
            "sample": sample(self.policy, self.laws, self.measured) if self.laws else None,
            "paths": _paths(self.recipe, self.laws),
        }
        found = [_rule(law, self.what_if, self.measured) for law in self.laws]
        labels = [part.label for part in of]
        return {"rules": found, "parts": labels, "overlap": _overlap(self.what_if), "data": data}

    def signals(self) -> dict[str, Any]:
        names, values = self.related.names, self.related.values.tolist()
        others = _others(self.measured, self.laws, self.recipe)
        return {
            "others": others,
            "related": self.related,
            "data": {"related": {"names": names, "values": _lower(values)}},
        }

    def examples(self) -> dict[str, Any]:
        return {"cases": self.cases}


def _rule(law: Law, found: WhatIf, measured: Measured) -> dict[str, Any]:
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


def _overlap(found: WhatIf) -> dict[str, Any]:
    """Rules that apply to any document, and the share of the first's documents that the second applies to too."""
    names = [row["rule"] for row in found.rules.to_dicts() if row["fails"]]
    pairs = {(row["rule"], row["other"]): (row["share"], row["documents"]) for row in found.overlap.to_dicts()}
    only = {row["rule"]: row["only_documents"] for row in found.rules.to_dicts()}
    return {
        "names": names,
        "only": [only[name] for name in names],
        "shares": [[pairs[a, b] for b in names] for a in names],
    }


def _paths(recipe: Recipe, rules: list[Law]) -> list[str]:
    """Where each rule stands in the recipe, as `--set` names it."""
    at = {step.name: number for number, step in enumerate(recipe.steps)}
    return [f"steps.{at[law.step.step.name]}.keep.rules.{law.own}" for law in rules]


def _lower(values: list[list[float]]) -> list[list[float | None]]:
    return [[None if value != value else round(value, 2) for value in row[:at]] for at, row in enumerate(values)]


def _funnels(funnel: dict[str, Any]) -> list[dict[str, Any]]:
    """What each step took: of all documents, of each source and of each language."""
    groups = funnel["groups"]
    made = [{"label": "all documents", "lost": [[row[unit] for unit in UNITS] for row in funnel["steps"]]}]
    for key in ("source", "language"):
        names = list(dict.fromkeys(group[key] for group in groups))
        for name in names[:GROUPS] if len(names) > 1 else ():
            same = [group["steps"] for group in groups if group[key] == name]
            made.append({"label": f"{key}: {visible(str(name or 'unknown'))}", "lost": _summed(same)})
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
