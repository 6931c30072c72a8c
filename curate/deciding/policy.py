"""Rules on columns that are there already: which documents fail which of them, and what other steps had decided."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate import sql
from curate.arrays import one, truths
from curate.deciding.annotated import Annotated
from curate.errors import PlanError
from curate.evaluate import evaluate
from curate.execute.batch import blamed
from curate.io.source import Source
from curate.operator import Filter, Operator, Signal
from curate.operators.keep import Keep
from curate.plan import PlannedStep
from curate.planner import INTERNAL, in_order, make_plan
from curate.recipe import Recipe, Step
from curate.recipe_file import load_policy

Given = str | Path | Mapping[str, Any] | Operator | Step | list[Step]
Fails = dict[str, np.ndarray]
UNREADABLE = "quarantine."


class Policy(NamedTuple):
    """What drops documents, in order: steps that are applied to columns (`rules`), and reasons taken from the run.

    reasons   every reason, in the order of the recipe -> the step in `rules` that gives it, or None
    shards    (name of the source in the recipe, how many shards), for the rows of a run
    is_kept_only   a rule sees only what those before it have kept
    """

    rules: tuple[PlannedStep, ...]
    reasons: dict[str, int | None]
    shards: tuple[tuple[str, int], ...]
    is_kept_only: bool

    @property
    def columns(self) -> list[str]:
        """Columns that are read to decide."""
        needed = [column for step in self.rules for column in step.inputs.values()]
        needed += [c for step in self.rules for condition in step.scope.conditions for c in sql.columns(condition)]
        return [*needed, *(("row", "dropped_by", "failed_rules") if self.shards else ())]

    def fails(self, table: pa.Table) -> Fails:
        """For every reason, the rows that it applies to."""
        before = decided(table) if self.shards else {}
        nothing, alive = np.zeros(len(table), bool), np.ones(len(table), bool)
        found: Fails = {}
        done: set[int] = set()
        for reason, at in self.reasons.items():
            seen = alive if self.is_kept_only else ~nothing
            if at is None:
                found[reason] = before.get(reason, nothing) & seen
            elif at not in done:
                done.add(at)
                found |= self._judged(self.rules[at], table, seen)
            alive = alive & ~np.logical_or.reduce([*found.values()])
        return found

    def scope(self, step: PlannedStep, table: pa.Table) -> np.ndarray:
        """Rows that a step is about: those of its sources for which its conditions hold."""
        rows = np.ones(len(table), bool)
        if self.shards:
            ends = np.cumsum([count for _, count in self.shards])
            source = np.searchsorted(ends, table["row"].to_numpy() >> 32, side="right")
            rows &= np.array([name in step.scope.sources for name, _ in self.shards])[source]
        for condition in step.scope.conditions:
            values = {name: one(table[name]) for name in sql.columns(condition)}
            rows &= truths(sql.holds(condition, values))
        return rows

    def _judged(self, step: PlannedStep, table: pa.Table, rows: np.ndarray) -> Fails:
        """One step's reasons, for the rows it works on."""
        rows = rows & self.scope(step, table)
        inputs = {own: one(table[name]) for own, name in step.inputs.items()}
        with blamed(step, "on these columns"):
            values = evaluate(step.operator, inputs)
        masks = {own: truths(array) for own, array in values.items()}
        return {step.outputs[own]: mask & rows for own, mask in masks.items()}


def decided(table: pa.Table) -> Fails:
    """The reasons that a run has given: for each, the rows that it applies to; quarantine among them."""
    lists = one(table["failed_rules"])
    flat = lists.flatten().dictionary_encode()
    row = np.repeat(np.arange(len(table)), lists.value_lengths().fill_null(0).to_numpy())
    codes = flat.indices.to_numpy()
    found = {}
    for code, reason in enumerate(flat.dictionary.to_pylist()):
        found[reason] = np.zeros(len(table), bool)
        found[reason][row[codes == code]] = True
    fate = one(table["dropped_by"]).dictionary_encode()
    for reason in fate.dictionary.to_pylist():
        if reason.startswith(UNREADABLE):
            found[reason] = truths(pc.equal(fate.dictionary_decode(), reason))
    return found


def first(fails: Fails, rows: int) -> np.ndarray:
    """The place of each row's first reason, -1 where there is none."""
    if not fails:
        return np.full(rows, -1)
    matrix = np.stack([*fails.values()])
    return np.where(matrix.any(axis=0), matrix.argmax(axis=0), -1)


# ---------------------------------------------------------------- from a recipe or a file of rules to a policy


def steps_of(rules: Given) -> list[Step]:
    """The `keep` steps that are meant; PlanError when other steps than signals are among them."""
    if isinstance(rules, Operator):
        rules = [Step(operator=rules)]
    steps = [rules] if isinstance(rules, Step) else rules if isinstance(rules, list) else [*load_policy(rules)]
    for step in steps:
        if not isinstance(step.operator, Filter | Signal):
            place = f"{step.place}: " if step.place else ""
            raise PlanError(f"{place}{step.name} is no rule on columns: a policy has `keep` steps (and `sample`)")
    found = [step for step in steps if isinstance(step.operator, Filter)]
    if not found:
        raise PlanError("there is no `keep` step in these rules")
    return found


def policy(data: Annotated, steps: list[Step]) -> Policy:
    """These steps on anyone's columns; PlanError when they do not fit them."""
    sources = {"documents": Source(path=data.title)}
    return _planned(data, Recipe(name="policy", sources=sources, steps=tuple(steps), annotate="all"), ())


def policy_of_run(data: Annotated, recipe: Recipe, is_own: bool = False) -> Policy:
    """The rules of a recipe on the annotations of its run; what other steps have decided stays.

    is_own   the recipe is the run's own: of rules on what annotations do not hold, such as the text, its verdict stays
    """
    assert data.result is not None
    shards = tuple((str(name), int(count)) for name, count in data.result.manifest["shards"])
    return _planned(data, recipe, shards, is_own)


def _planned(data: Annotated, recipe: Recipe, shards: tuple[tuple[str, int], ...], is_own: bool = False) -> Policy:
    ordered = in_order(recipe)
    by_name = {step.name: step for step in ordered}
    rules = [_alone(step, by_name, recipe) for step in ordered if _is_rule(step, data)]
    rules = [step for step in rules if not is_own or _looks_at(step) <= {*data.types}]
    fields = [pa.field(name, kind) for name, kind in data.types.items() if name not in INTERNAL]
    small = msgspec.structs.replace(recipe, steps=tuple(rules), uses=())
    planned = make_plan(small, [], dict.fromkeys(recipe.sources, pa.schema(fields))).steps
    reasons: dict[str, int | None] = {}
    for step in ordered:
        mine = [at for at, rule in enumerate(planned) if rule.step.name == step.name]
        reasons |= dict.fromkeys(step.reasons_given().values(), mine[0] if mine else None)
    if data.result is not None:
        quarantined = [row["step"] for row in data.result.manifest["funnel"]["steps"]]
        names = [name for name in quarantined if name.startswith(UNREADABLE) and name != "quarantine.read"]
        reasons |= dict.fromkeys(names)
    return Policy(planned, reasons, shards, recipe.annotate == "kept")


def _is_rule(step: Step, data: Annotated) -> bool:
    """Whether a step decides by columns: `keep` always, another filter where what it reads is there."""
    return isinstance(step.operator, Keep) or (isinstance(step.operator, Filter) and _looks_at(step) <= {*data.types})


def _looks_at(step: Step) -> set[str]:
    """The columns that a step decides by."""
    conditions = sql.columns(step.where) if step.where else ()
    return {*(step.columns.get(own, own) for own in step.operator.reads()), *conditions}


def why_not(data: Annotated, old: Recipe, new: Recipe) -> str:
    """Why the columns of a run do not say what another recipe would give; empty when they do."""
    assert data.result is not None
    steps = data.result.manifest["funnel"]["steps"]
    if any(row["step"].startswith(UNREADABLE) and row["step"] != "quarantine.read" for row in steps):
        return "some documents are quarantined by a step"
    if new.annotate == "all":
        return ""
    before, after = in_order(old), in_order(new)
    same = 0
    while same < min(len(before), len(after)) and before[same].to_plain() == after[same].to_plain():
        same += 1
    for step in [*before[same:], *after[same:]]:
        if not _is_rule(step, data):
            return f"step {step.name} saw only what the rules before it had kept (annotate: all shows it everything)"
    return ""


def with_rules(recipe: Recipe, rules: list[Step]) -> Recipe:
    """The recipe with these `keep` steps for its own: in the place of one of that name, or where the last stood."""
    new = {step.name: step for step in rules}
    old = [step for step in recipe.steps if isinstance(step.operator, Keep)]
    matched = {step.name for step in old} & {*new}
    rest = [step for step in rules if step.name not in matched]
    gone = [step for step in old if step.name not in matched]
    steps: list[Step] = []
    for step in recipe.steps:
        if step.name in matched and isinstance(step.operator, Keep):
            steps.append(new[step.name])
        elif step not in old:
            steps.append(step)
        if gone and step is gone[-1]:
            steps += rest
    return msgspec.structs.replace(recipe, steps=tuple(steps if gone else [*steps, *rest]), file="")


def _alone(step: Step, by_name: Mapping[str, Step], recipe: Recipe) -> Step:
    """The step without references to other steps: with the sources and the conditions that it has from them."""
    sources: list[str] = []
    conditions = [step.where] if step.where else []
    for name in step.from_:
        if name in recipe.sources or name not in by_name:
            sources.append(name)
            continue
        other = _alone(by_name[name], by_name, recipe)
        sources += other.from_ or [s for s, source in recipe.sources.items() if not source.reference]
        conditions += [other.where] if other.where else []
    where = " AND ".join(f"({condition})" for condition in conditions) if conditions else None
    return msgspec.structs.replace(step, from_=tuple(dict.fromkeys(sources)), where=where)
