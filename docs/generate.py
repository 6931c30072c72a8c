"""Write the generated pages of docs/ from the code: `python docs/generate.py`, or `--check` that they are current."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from curate import catalogue, schema
from curate.cli import main as curate_command

DOCS = Path(__file__).parent


def cli_page() -> str:
    """Every command's help, in the order of `curate --help`."""
    lines = ["# Command line", "", "Generated from `curate --help` by `python docs/generate.py`.", ""]
    with click.Context(curate_command, info_name="curate") as top:
        commands = [("curate", curate_command)]
        commands += [(f"curate {name}", curate_command.commands[name]) for name in curate_command.list_commands(top)]
        for title, command in commands:
            with click.Context(command, info_name=title, max_content_width=100) as context:
                lines += [f"## {title}", "", "```text", command.get_help(context), "```", ""]
    return "\n".join(lines).rstrip() + "\n"


def pages() -> dict[str, str]:
    """Name and content of every generated file."""
    return {
        "operators.md": catalogue.markdown(),
        "cli.md": cli_page(),
        "recipe.schema.json": json.dumps(schema.recipe_schema(), indent=1) + "\n",
        "config.schema.json": json.dumps(schema.config_schema(), indent=1) + "\n",
    }


def main() -> None:
    stale = [name for name, text in pages().items() if not _is_current(DOCS / name, text)]
    if "--check" in sys.argv:
        if stale:
            sys.exit(f"out of date: {', '.join(stale)} (python docs/generate.py writes them)")
        return
    for name in stale:
        (DOCS / name).write_text(pages()[name], encoding="utf-8")
        print(f"wrote docs/{name}")


def _is_current(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    main()
