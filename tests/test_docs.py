"""The pages of docs/ and CONTRIBUTING.md are programs that run; the generated ones follow from the code."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import click
import pytest

from tests import pages

ROOT = pages.ROOT
WITH_RECIPES = ("recipes", "rules", "dedup", "decontamination", "decide", "release", "report", "pii", "models")
WRITTEN = [ROOT / "docs" / f"{name}.md" for name in ("how-it-works", "output", *WITH_RECIPES)]
ALL = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = load(ROOT / "docs/generate.py")


# ---------------------------------------------------------------- written pages


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.stem)
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert pages.run_page(page, pages.lay_out(tmp_path)) > 0


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.stem)
def test_the_recipes_of_a_page_plan(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pages.lay_out(tmp_path))
    pages.save_files(page, tmp_path)
    recipes = [block for block in pages.blocks(page) if block.language == "yaml"]
    assert len(pages.plans(page)) == len(recipes)
    assert bool(recipes) == (page.stem in WITH_RECIPES)


def test_the_page_of_recipes_names_every_key() -> None:
    from curate.schema import recipe_schema

    text = (ROOT / "docs/recipes.md").read_text(encoding="utf-8")
    schema = recipe_schema()
    keys = {*schema["properties"], *schema["$defs"]["Output"]["properties"]} - {"name", "description"}
    assert [key for key in sorted(keys) if not re.search(rf"^ *{key}:", text, re.MULTILINE)] == []


def test_the_engine_is_told_in_about_forty_lines() -> None:
    code = [block.text for block in pages.blocks(ROOT / "docs/how-it-works.md") if block.language == "python"]
    engine = [line for text in code if "def " in text and "print" not in text for line in text.splitlines() if line]
    assert 30 <= len(engine) <= 45


def test_the_operator_of_contributing_passes_the_contract(tmp_path: Path) -> None:
    """The template is put into a copy of the repository, and the page's own command is run there."""
    for name in ("curate", "operators", "recipes", "configs", "tests/contract"):
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copy(ROOT / "tests/chat_server.py", tmp_path / "tests")
    commands = []
    for block in pages.blocks(ROOT / "CONTRIBUTING.md"):
        named = re.match(r"# (\S+\.py)\n", block.text)
        if named:
            (tmp_path / named[1]).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / named[1]).write_text(block.text, encoding="utf-8")
        commands += [command for command, _ in pages.commands(block)] if block.language == "console" else []
    assert len(commands) == 1
    arguments = commands[0].split()[1:]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout
    assert int(passed[1]) > 25, done.stdout


def test_local_links_lead_somewhere() -> None:
    links = [(page, target) for page in ALL for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text("utf-8"))]
    assert len(links) >= 10
    assert [(page.name, target) for page, target in links if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", sorted((ROOT / "docs/decisions").glob("*.md")), ids=lambda page: page.stem)
def test_a_decision_is_short_and_says_what_would_change_our_mind(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {page.name[:3]} ")
    assert len(text.splitlines()) <= 40
    assert [part for part in ("Context", "Choice", "What would change our mind") if f"**{part}.**" not in text] == []


# ---------------------------------------------------------------- generated pages


def test_generated_pages_are_current() -> None:
    assert generate.stale(ROOT / "docs") == {}, "run python docs/generate.py"


def test_check_names_what_is_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    for name in generate.pages():
        shutil.copy(ROOT / "docs" / name, tmp_path)
    (tmp_path / "cli.md").write_text("old")
    (tmp_path / "operators.md").unlink()
    monkeypatch.setattr(generate, "DOCS", tmp_path)
    assert generate.main(["--check"]) == 1
    assert "operators.md, cli.md" in capsys.readouterr().err
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0


def test_every_operator_and_command_has_its_section() -> None:
    from curate import registry
    from curate.cli import main

    sections = {
        page: re.findall(r"^## (.*)", (ROOT / "docs" / page).read_text("utf-8"), re.MULTILINE)
        for page in generate.pages()
    }
    assert sorted(sections["operators.md"]) == sorted(registry.builtin())
    groups = {name: group for name, group in main.commands.items() if isinstance(group, click.Group)}
    inside = [f"curate {name} {inner}" for name, group in groups.items() for inner in group.commands]
    assert sorted(sections["cli.md"]) == sorted(["curate", *(f"curate {name}" for name in main.commands), *inside])
