"""Tasks in words: their names in Ray's dashboard, and what messages say they are about."""

from __future__ import annotations

from curate.execute.tasks import Task, load_plan
from curate.plan import Plan

NAMES = 1_000  # of the tasks of a stage, about: Ray keeps counts for every name for good (8 kB and more on the driver)


def title(task: Task) -> str:
    """A short name, e.g. `pass 1 of 3: web-000.jsonl.zst` or `dedup_minhash: pairs 4 of 16`; where shards are many,
    `pass 1 of 3: shards 500 to 599 of 100000`.

    It is what a dashboard shows and groups by.
    """
    plan = load_plan(task.plan)
    is_part = task.kind not in ("pass", "export") and len(task.shards) > 1
    at = task.at if task.kind == "export" else task.shards[0] if task.shards else 0
    of = task.shards[1] if is_part else len(plan.shards)
    if of <= NAMES:
        return exact(task, plan)
    width = -(-of // NAMES)
    first = at - at % width
    return f"{_stage(task, plan)} {first} to {first + width - 1} of {of}"


def exact(task: Task, plan: Plan) -> str:
    """What no other task of the run is called."""
    if task.kind == "pass":
        return f"pass {task.at + 1} of {len(plan.passes)}: {subject(task, plan)}"
    numbers = [task.at] if task.kind == "export" else task.shards[:2]
    return f"{_stage(task, plan)} {' of '.join(map(str, numbers))}".rstrip()


def subject(task: Task, plan: Plan) -> str:
    """What a task is about: its shards, or its part of a corpus-wide step."""
    if task.kind not in ("pass", "export"):
        return exact(task, plan)
    names = [plan.shards[number].name for number in task.shards]
    return f"{', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"


def _stage(task: Task, plan: Plan) -> str:
    if task.kind == "export":
        return "export: file group"
    if task.kind == "pass":
        return f"pass {task.at + 1} of {len(plan.passes)}: shards"
    end = plan.passes[task.at].end
    step = plan.steps[end].step.name if end is not None else "corpus"
    return f"{step}: {task.kind.split('.')[-1]}"
