"""Every code block of docs/ runs; generated pages are current; schemas fit. The README has tests of its own."""

import importlib.util
import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from curate.recipe import Recipe, shipped

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))


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
    for page in [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
