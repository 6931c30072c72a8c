"""Operators that no worker can import run in worker processes, parameters and all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from curate import Config, Recipe, run

OPERATOR = """
from typing import Annotated, Literal
import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from curate import Signal

class Loud(Signal, frozen=True):
    marks: str
    least: Annotated[int, msgspec.Meta(ge=1)] = 1
    how: Literal["count", "flag"] = "count"
    more: list[str] = []
    def writes(self): return {"loud": pa.int32()}
    def compute(self, text: pa.StringArray): return {"loud": pc.count_substring_regex(text, f"[{self.marks}]")}
"""
RECIPE = """
name: loud
uses: [loud.py]
sources: {d: {path: [a.jsonl, b.jsonl]}}
steps: [{loud: {marks: "!?", least: 2, more: [x]}}]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text("".join(json.dumps({"text": "What?!" * n}) + "\n" for n in range(4)))
    (tmp_path / "loud.py").write_text(OPERATOR)
    (tmp_path / "loud.yaml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("workers", [1, 2])
def test_an_operator_of_a_uses_file_has_its_parameters_in_workers(folder: Path, workers: int) -> None:
    result = run(Recipe.load("loud.yaml"), Config(workers=workers))
    assert result.arrow()["loud"].to_pylist() == [0, 2, 4, 6] * 2


def test_an_operator_of_a_script_has_its_parameters_in_workers(folder: Path) -> None:
    program = OPERATOR + (
        "from curate import Config, read\n"
        "if __name__ == '__main__':\n"
        "    result = (read(['a.jsonl', 'b.jsonl']) | Loud(marks='!?')).run('out', Config(workers=2))\n"
        "    print(result.arrow()['loud'].to_pylist())\n"
    )
    (folder / "script.py").write_text(program)
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str([0, 2, 4, 6] * 2), done.stderr[-2000:]


def test_the_recipe_of_a_run_finds_its_uses_files_from_anywhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe.load("loud.yaml")
    written = run(recipe).path.resolve() / "recipe.yaml"
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    assert Recipe.load(written, allow_code=True).anywhere() == recipe.anywhere()
    assert str(folder) not in written.read_text()
