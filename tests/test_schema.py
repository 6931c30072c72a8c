"""The JSON Schemas accept what ships, and refuse of wrong recipes and configs those whose fault a schema can see."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from curate.document import Document, Loader
from curate.recipe import Recipe
from curate.recipe_file import shipped
from curate.schema import config_schema, recipe_schema
from tests import pages
from tests.engine.test_recipe_errors import CASES

ROOT = pages.ROOT
RECIPES, CONFIGS = (jsonschema.Draft202012Validator(schema) for schema in (recipe_schema(), config_schema()))
SHIPPED = [*sorted((ROOT / "recipes").rglob("*.yaml")), *sorted((ROOT / "configs").glob("*.yaml"))]

# What types, names, ranges and choices alone tell.
SEEN = {
    "a list instead of a recipe",
    "an empty file",
    "bad choice",
    "bad choice in the config",
    "bad choice of the recipe",
    "config out of range",
    "config that is a list",
    "include that is a number",
    "include with a list of variables",
    "missing parameter",
    "parameter out of range",
    "parameters as a list",
    "parameters not by name",
    "rule with a bound that is text",
    "source that is plain text",
    "source without a path",
    "step of two operators",
    "step that is a number",
    "step whose name is a number",
    "steps that are a mapping",
    "unknown key of a rule",
    "unknown key of a source",
    "unknown key of a step",
    "unknown key of an include",
    "unknown key of the config",
    "unknown key of the output",
    "unknown key of the recipe",
    "unknown operator",
    "unknown operator, nothing near",
    "variables that are a list",
    "wrong type of a parameter",
}
OWN_OPERATORS = {"missing model file"}  # right but for its file; a schema cannot know the operators of `uses:`


def refused(name: str) -> bool:
    """Whether the schema refuses a bad recipe, or the bad config that lies beside it."""
    case = CASES[name]
    if "c.yaml" in case.files:
        return not CONFIGS.is_valid(yaml.safe_load(case.files["c.yaml"]))
    return not RECIPES.is_valid(yaml.safe_load(case.recipe))


def is_yaml(name: str) -> bool:
    try:
        yaml.safe_load(CASES[name].recipe)
    except yaml.YAMLError:
        return False
    return True


@pytest.mark.parametrize("validator", [RECIPES, CONFIGS], ids=["recipe", "config"])
def test_a_schema_is_a_schema(validator: Any) -> None:
    jsonschema.Draft202012Validator.check_schema(validator.schema)


def test_booleans_are_those_of_yaml_1_2() -> None:
    text = "{on: [no, yes, On, off], is: [true, False], set: '${x}'}"
    document = Document(text, "f", {"x": "no"})
    document.set("more", "off")
    assert document.data == {"on": ["no", "yes", "On", "off"], "is": [True, False], "set": "no", "more": "off"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_ships_names_its_schema_and_fits_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    kind = "config" if path.is_relative_to(ROOT / "configs") else "recipe"
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)
    assert named, "the first line names the schema"
    assert (path.parent / named[1]).resolve() == ROOT / f"docs/{kind}.schema.json"
    validator = CONFIGS if kind == "config" else RECIPES
    assert [error.message for error in validator.iter_errors(yaml.load(text, Loader))] == []


@pytest.mark.parametrize("name", sorted(shipped()))
def test_shipped_recipes_load_and_what_they_print_fits_the_schema(name: str) -> None:
    recipe = Recipe.load(name)
    assert recipe.steps
    assert [error.message for error in RECIPES.iter_errors(yaml.safe_load(recipe.to_yaml()))] == []


@pytest.mark.parametrize("page", ["README.md", "docs/recipes.md"])
def test_the_recipes_of_the_pages_fit_the_schema(page: str) -> None:
    recipes = [block for block in pages.blocks(ROOT / page) if block.language == "yaml" and "uses:" not in block.text]
    assert recipes
    for block in recipes:
        assert [error.message for error in RECIPES.iter_errors(yaml.safe_load(block.text))] == [], block.line


@pytest.mark.parametrize("name", sorted(SEEN))
def test_a_schema_sees(name: str) -> None:
    assert refused(name)


def test_a_schema_refuses_nothing_that_only_the_loader_can_judge() -> None:
    """So that no editor underlines what is right: the recipes here are wrong in ways that have no type."""
    others = [name for name in CASES if is_yaml(name) and name not in SEEN | OWN_OPERATORS]
    assert len(others) > 40
    assert [name for name in others if refused(name)] == []


def test_the_starter_recipe_fits_the_schema() -> None:
    from curate.starter import starter

    text = starter(str(ROOT / "tests/data/shards"))
    assert [error.message for error in RECIPES.iter_errors(yaml.safe_load(text))] == []
