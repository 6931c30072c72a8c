"""What tasks are called: by their shards, and where these are many by ranges, so that names stay few."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from curate import Config, ops, read
from curate.engine import plan_recipe
from curate.execute import titles
from curate.execute.tasks import Task, save_plan
from curate.store import Store


def tasks(folder: Path, shards: int) -> list[Task]:
    """Of a pass over so many shards, of the export, and of the corpus-wide step."""
    plan = plan_recipe((read({"text": ["one"]}) | ops.DedupExact()).recipe)
    many = tuple(msgspec.structs.replace(plan.shards[0], name=f"part-{n:05d}") for n in range(shards))
    plan = msgspec.structs.replace(plan, shards=many, born=(-1,) * shards)
    store = Store(str(folder))
    pattern = Task("pass", save_plan(plan, store, plan.key), store, Config(), 0)
    made = [msgspec.structs.replace(pattern, shards=(number,)) for number in range(shards)]
    last = shards - 1
    made.append(msgspec.structs.replace(pattern, kind="export", at=last, shards=(0, last)))
    return [*made, msgspec.structs.replace(pattern, kind="dedup.pairs", shards=(4, 16))]


def test_few_shards_are_named(tmp_path: Path) -> None:
    names = [titles.title(task) for task in tasks(tmp_path, 3)]
    assert names[:3] == [f"pass 1 of 2: part-{n:05d}" for n in range(3)]
    assert names[3:] == ["export: file group 2", "dedup_exact: pairs 4 of 16"]


@pytest.mark.parametrize("shards", [1_001, 12_345])
def test_names_stay_few(tmp_path: Path, shards: int) -> None:
    """Ray keeps counts for every name: a driver of 100,000 shards had grown to gigabytes."""
    made = tasks(tmp_path, shards)
    assert len({titles.title(task) for task in made[:shards]}) <= titles.NAMES
    assert titles.title(made[0]) == f"pass 1 of 2: shards 0 to {-(-shards // 1_000) - 1} of {shards}"
    assert titles.subject(made[shards - 1], titles.load_plan(made[0].plan)) == f"part-{shards - 1:05d}"
    assert titles.title(made[-1]) == "dedup_exact: pairs 4 of 16"
