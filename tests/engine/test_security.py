"""A corpus is hostile, and a recipe may come from anywhere: what neither can do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from curate.errors import RecipeError

SECRET = "hunter2secret"
URLS = [
    f"https://me:{SECRET}@example.org/a.jsonl",
    f"https://example.org/a.jsonl?X-Amz-Signature={SECRET}&x=1",
    f"https://example.org/a.jsonl?x=1&token={SECRET}",
]
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
    from curate.recipe import Recipe

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
