"""A corpus is hostile, and a recipe may come from anywhere: what neither can do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from curate.errors import RecipeError
from curate.recipe import Recipe
from curate.result import open_run

SECRET = "hunter2secret"
URLS = [
    f"https://me:{SECRET}@example.org/a.jsonl",
    f"https://example.org/a.jsonl?X-Amz-Signature={SECRET}&x=1",
    f"https://example.org/a.jsonl?x=1&token={SECRET}",
]
OPERATOR = """
import pathlib
import pyarrow as pa
from curate.operator import Signal

pathlib.Path(__file__).with_name("was_run").touch()

class Marked(Signal, frozen=True):
    def writes(self): return {"marked": pa.bool_()}
    def compute(self, text: pa.StringArray): return {"marked": pa.array([True] * len(text))}
"""
HOSTILE = "../../../up \x1b[31m\x1b]0;title\x07 <script>alert(1)</script> \u202e \r\n end"


@pytest.mark.parametrize("url", URLS)
def test_secrets_in_urls_reach_nothing(lab: Any, url: str) -> None:
    lab.write("recipe.yaml", f"name: p\nsources: {{s: {{path: '{url}'}}}}\nsteps: [gopher]\noutput: {{path: out}}\n")
    done = lab.cli("run", "recipe.yaml")
    assert done.returncode == 2
    assert "recipe.yaml:2" in done.stderr
    assert "holds a password, a token or a signature" in done.stderr
    assert SECRET not in done.stderr + done.stdout
    assert not lab.root().exists()


def test_a_recipe_is_data(lab: Any) -> None:
    path = lab.write("recipe.yaml", "name: !!python/object/apply:os.system ['touch pwned']\nsources: {}\nsteps: []\n")
    with pytest.raises(RecipeError, match="not valid YAML"):
        Recipe.load(path)
    assert not Path("pwned").exists()


def test_hostile_ids_and_texts(lab: Any) -> None:
    """Files are called by numbers; the terminal is given no control characters of a document."""
    rows = [{"id": HOSTILE, "text": f"{HOSTILE} words"}, {"id": "b", "text": "x" * 300}, {"id": "c", "text": None}]
    lab.write("d/a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    lab.write("small.yaml", "quarantine_share: 1.0\n")
    head = "name: p\nsources: {s: {path: d}}\noutput: {path: out}\n"
    lab.write("recipe.yaml", head + "steps: [gopher, keep: {rules: {w: gopher_word_count >= 1000}}]\n")
    before = {path.name for path in lab.folder.iterdir()} | {"out"}
    done = lab.cli("run", "recipe.yaml", "--config", "small.yaml")
    assert done.returncode == 0, done.stderr
    shown = lab.cli("show", "out", "--id", HOSTILE)
    assert shown.returncode == 0, shown.stderr
    for text in (done.stdout, done.stderr, shown.stdout, shown.stderr):
        assert not {"\x1b", "\x07", "\u202e"} & set(text)
    assert {path.name for path in lab.folder.iterdir()} == before
    wrong = lab.cli("show", "out", "--id", "\x1b[31mnone")
    assert "\x1b" not in wrong.stderr


def test_code_outside_the_recipes_folder_needs_the_flag(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when a link, or an included recipe, leads there. A run that was allowed is read without asking again."""
    lab.write("code/ops.py", OPERATOR)
    lab.write("d/a.jsonl", '{"text": "a text"}\n')
    head = f"name: p\nsources: {{s: {{path: {lab.folder}/d}}}}\noutput: {{path: {lab.folder}/out}}\n"
    lab.write("in/plain.yaml", f"{head}uses: [../code/ops.py]\nsteps: [marked]\n")
    lab.write("in/linked.yaml", f"{head}uses: [link.py]\nsteps: [marked]\n")
    (lab.folder / "in/link.py").symlink_to(lab.folder / "code/ops.py")
    lab.write("code/part.yaml", "name: part\nuses: [ops.py]\nsteps: [marked]\n")
    lab.write("in/included.yaml", f"{head}steps: [include: ../code/part.yaml]\n")
    for name in ("plain", "linked", "included"):
        with pytest.raises(RecipeError, match=r"outside the recipe's folder.*--allow-code"):
            Recipe.load(lab.folder / f"in/{name}.yaml")
        assert not (lab.folder / "code/was_run").exists()
    assert Recipe.load(lab.folder / "code/part.yaml").steps[0].name == "marked"
    done = lab.cli("run", "in/plain.yaml", "--allow-code", "--quiet")
    assert done.returncode == 0, done.stderr
    monkeypatch.chdir(lab.folder)
    assert open_run(lab.folder / "out").recipe.steps[0].name == "marked"
