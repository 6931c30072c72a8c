"""What a plan will do, in words: passes, columns, and what an earlier run already did."""

from __future__ import annotations

from curate.operator import Deduplicator, Expander, Trainer
from curate.plan import Pass, Plan, PlannedStep
from curate.store import Store


def plan_text(plan: Plan, store: Store | None = None) -> str:
    """The plan of a run: one block per pass."""
    size = sum(shard.bytes for shard in plan.shards)
    count = len(plan.shards)
    lines = [f"{plan.recipe.name}: {count} shard{'s' * (count > 1)}, {size / 1e6:,.1f} MB as stored"]
    for name, schema in plan.source_schemas.items():
        lines.append(f"  {name}: " + ", ".join(f"{field.name} ({field.type})" for field in schema))
    for this in plan.passes:
        lines += ["", *_pass(plan, this, store)]
    lines += ["", f"output: {plan.recipe.path} ({len(plan.schema)} columns)"]
    return "\n".join(lines)


def _pass(plan: Plan, this: Pass, store: Store | None) -> list[str]:
    done = sum(store.receipt(this.key, shard.key) is not None for shard in plan.shards) if store else 0
    reuse = f", {done} of {len(plan.shards)} shards reused" if done else ""
    lines = [f"pass {this.index + 1}: every shard is read once{reuse}"]
    lines += [_step(plan.steps[at]) for at in this.steps]
    if this.end is not None:
        end = plan.steps[this.end]
        ready = " (reused)" if store and store.receipt(end.corpus_key, "all") else ""
        early = {at for earlier in plan.passes[: this.index] for at in earlier.ahead}
        sketched = [plan.steps[at] for at in (this.end, *this.ahead) if at not in early]
        lines += [_step(step, "" if isinstance(step.operator, Expander) else "sketch of ") for step in sketched]
        lines.append(f"corpus-wide: {end.step.name} {_verb(end)}{ready}")
    return lines


def _verb(step: PlannedStep) -> str:
    if isinstance(step.operator, Expander):
        return "makes new documents, which go through the steps after it"
    if isinstance(step.operator, Trainer):
        return "is fitted"
    return "finds clusters" if isinstance(step.operator, Deduplicator) else "chooses documents"


def _step(step: PlannedStep, prefix: str = "") -> str:
    reads = ", ".join(step.inputs.values())
    reasons = [f"reason {reason}" for reason in step.step.reasons_given().values()]
    makes = ", ".join([*_few([*step.types]), *_few(reasons)])
    only = f"  [{_only(step)}]" if step.step.from_ or step.scope.conditions else ""
    line = f"  {prefix + step.step.name:<24} {reads} -> {makes}{only}"
    return "\n".join([line, *(f"    {remark}" for remark in step.operator.remarks())])


def _few(names: list[str]) -> list[str]:
    return names if len(names) <= 5 else [*names[:3], f"... {len(names) - 3} more"]


def _only(step: PlannedStep) -> str:
    sources = [f"from {', '.join(step.scope.sources)}"] if step.step.from_ else []
    return "; ".join([*sources, *(f"where {condition}" for condition in step.scope.conditions)])
