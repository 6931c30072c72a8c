"""Every command and code block of the documentation runs; generated pages are current."""

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from curate.recipe import Recipe, shipped

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where the documentation's relative paths lead to the repository, and out/ is our own."""
    for name in ("tests", "docs", "recipes"):
        (tmp_path / name).symlink_to(ROOT / name)
    quick = "name: quick\nsources: {s: {path: tests/data/shards}}\nsteps: [gopher, dedup_exact]\n"
    (tmp_path / "quickstart-on-tests.yaml").write_text(quick)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def commands(page: Path) -> list[str]:
    lines = [line for block in blocks(page, "console") for line in block.splitlines() if line.startswith("$ ")]
    return [line[2:].split("  #")[0].strip() for line in lines]


@pytest.mark.parametrize("command", commands(ROOT / "README.md"))
def test_readme_command(command: str, place: Path) -> None:
    words = shlex.split(command)
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        return
    assert words[0] == "curate"
    if "quickstart" in words:
        words += ["--set", f"packages={small_packages(place)}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "curate.cli", *words[1:]], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr


def small_packages(place: Path) -> Path:
    """A small stand-in for a folder of installed packages."""
    for name, text in {
        "a/README.md": "A package that does things. " * 20,
        "numpy/x.py": "import os\n" * 30,
        "numpy/x.h": "int x;",
    }.items():
        (place / "packages" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "packages" / name).write_text(text)
    return place / "packages"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_blocks_run(page: Path, place: Path) -> None:
    names: dict[str, object] = {"__name__": "docs"}
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_yaml_blocks_are_recipes_that_plan(page: Path, place: Path) -> None:
    from curate.engine import plan_recipe

    for block in blocks(page, "yaml"):
        assert plan_recipe(Recipe.parse(block)).steps


def test_the_funnel_in_the_readme_is_what_its_recipe_prints(place: Path) -> None:
    from curate import run

    page = ROOT / "README.md"
    assert run(Recipe.parse(blocks(page, "yaml")[0])).funnel.strip() == blocks(page, "text")[0].strip()


def test_generated_pages_are_current() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    stale = [name for name, text in module.pages().items() if (ROOT / "docs" / name).read_text() != text]
    assert stale == []


@pytest.mark.parametrize("folder, schema", [("recipes", "recipe"), ("configs", "config")])
def test_shipped_files_name_their_schema_and_fit_it(folder: str, schema: str) -> None:
    definition = json.loads((ROOT / f"docs/{schema}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(definition)
    files = sorted((ROOT / folder).rglob("*.yaml"))
    assert files
    for file in files:
        found = re.match(r"# yaml-language-server: \$schema=(\S+)\n", file.read_text())
        assert found and (file.parent / found[1]).resolve() == ROOT / f"docs/{schema}.schema.json"
        jsonschema.validate(yaml.safe_load(file.read_text()), definition)


@pytest.mark.parametrize(
    "wrong",
    ["steps: [gofer]", "steps: [{keep: {}}]", "steps: [{sample: {share: 2}}]", "sources: {a: {pth: x}}", "nmae: x"],
)
def test_the_schema_refuses_what_the_loader_refuses(wrong: str) -> None:
    definition = json.loads((ROOT / "docs/recipe.schema.json").read_text())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(wrong), definition)


@pytest.mark.parametrize("name", sorted(shipped()))
def test_shipped_recipes_load(name: str) -> None:
    assert Recipe.load(name).steps


def test_every_operator_and_command_is_in_the_pages() -> None:
    from curate import registry
    from curate.cli import main

    operators, cli = (ROOT / "docs/operators.md").read_text(), (ROOT / "docs/cli.md").read_text()
    assert [name for name in registry.builtin() if f"## {name}\n" not in operators] == []
    assert [name for name in main.commands if f"## curate {name}\n" not in cli] == []


def test_local_links_lead_somewhere() -> None:
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
