"""Tasks in words: their names in Ray's dashboard, and what messages say they are about."""

from __future__ import annotations

from curate.execute.tasks import Task, load_plan
from curate.plan import Plan


def title(task: Task) -> str:
    """A short name, e.g. `pass 1 of 3: web-000.jsonl.zst` or `dedup_minhash: pairs 4 of 16`.

    It is what a dashboard shows and groups by.
    """
    plan = load_plan(task.plan)
    if task.kind == "export":
        return f"export: file group {task.at}"
    if task.kind == "pass":
        return f"pass {task.at + 1} of {len(plan.passes)}: {subject(task, plan)}"
    end = plan.passes[task.at].end
    step = plan.steps[end].step.name if end is not None else "corpus"
    numbers = " of ".join(str(number) for number in task.shards[:2])
    return f"{step}: {task.kind.removeprefix('dedup.')} {numbers}".rstrip()


def subject(task: Task, plan: Plan) -> str:
    """What a task is about: its shards, or its part of a corpus-wide step."""
    if task.kind not in ("pass", "export"):
        return title(task)
    names = [plan.shards[number].name for number in task.shards]
    return f"{', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"
