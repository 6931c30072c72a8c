"""What commands share: the arguments that name a recipe, and how paths are shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from curate.errors import RecipeError


def recipe_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The arguments that say which recipe, with which changes."""
    command = click.option(
        "--output", metavar="FOLDER", help="Where the result goes (default: the recipe's output.path)."
    )(command)
    command = code_option(command)
    command = click.option(
        "--set",
        "sets",
        multiple=True,
        metavar="KEY=VALUE",
        help="Set a variable, or a key such as steps.2.keep.rules.x.min.",
    )(command)
    return click.argument("recipe")(command)


def code_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """The flag without which a recipe may name no code but that which lies beside it."""
    help = "Run Python files that the recipe names under `uses:` outside its own folder."
    return click.option("--allow-code", is_flag=True, help=help)(command)


def load_recipe(name: str, sets: tuple[str, ...], output: str | None, allow_code: bool) -> Any:
    """The recipe a command names, with its changes."""
    from curate.recipe import Recipe

    pairs = {}
    for item in sets:
        key, equals, value = item.partition("=")
        if not equals:
            raise RecipeError(f"--set {item}: write --set key=value")
        pairs[key] = value
    # Quoted, because values of --set are YAML: a folder may be called 2024, or hold a colon.
    pairs |= {"output.path": json.dumps(output)} if output else {}
    return Recipe.load(name, sets=pairs, allow_code=allow_code)


def shown(path: Path) -> str:
    """A path as short as it can be told from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def harmless(text: str) -> str:
    r"""A text that may hold what documents say, without the characters by which a terminal is led astray.

    >>> harmless("a\x1b[31m\u202eb\n")
    'a\\x1b[31m\\u202eb\n'
    """
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)
