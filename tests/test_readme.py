"""The README is a program: its commands, Python and recipes run, and print what it shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import pages

README = pages.ROOT / "README.md"
BLOCKS = pages.blocks(README)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return pages.lay_out(tmp_path)


def test_every_block_runs_and_prints_what_is_shown(folder: Path) -> None:
    run = pages.run_page(README, folder)
    assert run == sum(block.language in ("console", "python") for block in BLOCKS) >= 7
    assert (folder / "out/first/manifest.json").exists()


def test_every_recipe_plans(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    pages.save_files(README, folder)
    assert [len(plan.steps) for plan in pages.plans(README)] == [5, 2]


def test_the_first_screen_has_what_a_newcomer_needs() -> None:
    first_screen = README.read_text(encoding="utf-8").split("\n## ")[0]
    assert "$ make demo" in first_screen
    assert "$ make test" in first_screen
    assert len(first_screen.splitlines()) <= 25


def test_the_first_recipe_has_twelve_lines() -> None:
    recipe = next(block for block in BLOCKS if block.language == "yaml")
    assert len(recipe.text.splitlines()[1:]) == 12


def test_the_tree_names_folders_that_are_there() -> None:
    tree = README.read_text(encoding="utf-8").split("## Where things are")[1].split("```")[1]
    named = re.findall(r"^(\w+)/", tree, re.MULTILINE)
    assert len(named) == 8
    assert [name for name in named if not (pages.ROOT / name).is_dir()] == []


def test_exit_codes_are_those_of_the_command() -> None:
    from curate import cli

    said = re.findall(r"^\| (\d+) \|", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert said == re.findall(r"[:;]\s+(\d+) ", str(cli.__doc__).split("Exit codes", 1)[1])


def test_the_tree_of_the_output_is_what_a_run_leaves(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from curate import run
    from curate.recipe import Recipe

    monkeypatch.chdir(folder)
    yaml = next(block.text for block in BLOCKS if block.language == "yaml")
    left = {path.name for path in run(Recipe.parse(yaml)).path.iterdir()}
    shown = re.findall(r"^[├└]── ([\w.]+)", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(shown) | {".work", "log.jsonl"} == left


def test_the_test_corpus_is_as_large_as_it_says() -> None:
    from curate import read

    languages = read(str(pages.ROOT / "tests/data/shards"), columns={"language": "language"}).sample(10_000)["language"]
    spoken = set(languages.to_pylist()) - {"zxx", "mul"}
    assert f"{len(languages)} documents in {len(spoken)} languages" in README.read_text(encoding="utf-8")
