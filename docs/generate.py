"""Write the generated pages of docs/ from the code: `python docs/generate.py`, or `--check` that they are current."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from curate import catalogue, schema, signals
from curate.cli import main as command_line

DOCS = Path(__file__).resolve().parent
WIDTH = 100  # of help texts, whatever the terminal


def cli_page() -> str:
    """The help of every command, in the order in which `curate --help` lists them."""
    lines = ["# Command line", "", "Generated from the code by `python docs/generate.py`.", ""]
    for title, text in helps():
        lines += [f"## {title}", "", "```text", text, "```", ""]
    return "\n".join(lines).rstrip() + "\n"


def helps() -> Iterator[tuple[str, str]]:
    """Each command's name and what its `--help` prints."""
    top = click.Context(command_line, info_name="curate", terminal_width=WIDTH, **command_line.context_settings)
    yield "curate", command_line.get_help(top)
    yield from _helps(command_line, top)


def _helps(group: click.Group, context: click.Context) -> Iterator[tuple[str, str]]:
    for name in group.list_commands(context):
        command = group.commands[name]
        inner = click.Context(command, parent=context, info_name=name)
        yield inner.command_path, command.get_help(inner)
        if isinstance(command, click.Group):
            yield from _helps(command, inner)


def pages() -> dict[str, str]:
    """Name and content of every generated file."""
    return {
        "operators.md": catalogue.markdown(),
        "signals.md": signals.markdown(),
        "cli.md": cli_page(),
        "recipe.schema.json": json.dumps(schema.recipe_schema(), indent=1, ensure_ascii=False) + "\n",
        "config.schema.json": json.dumps(schema.config_schema(), indent=1, ensure_ascii=False) + "\n",
    }


def stale(folder: Path) -> dict[str, str]:
    """Of the generated files, those that are not in the folder as they should be."""
    return {name: text for name, text in pages().items() if not _holds(folder / name, text)}


def main(arguments: list[str]) -> int:
    """Exit code 1 when `--check` finds stale files; without it they are written."""
    found = stale(DOCS)
    if "--check" in arguments:
        if found:
            print(f"out of date: {', '.join(found)} (python docs/generate.py writes them)", file=sys.stderr)
        return 1 if found else 0
    for name, text in found.items():
        (DOCS / name).write_text(text, encoding="utf-8")
        print(f"wrote docs/{name}")
    return 0


def _holds(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
