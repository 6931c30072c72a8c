"""Pages that are also programs: finds the code blocks of a Markdown page and runs them as a reader would.

A `text` block right after a Python block is what that block prints; in a `console` block the lines under a command
are what it prints. `...` stands for anything. A block whose first line is `# name.ext` is also saved as that file.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from curate.engine import plan_recipe
from curate.plan import Plan
from curate.recipe import Recipe

ROOT = Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# ([\w-]+\.(?:py|yaml))\n")
SET_UP = re.compile(r"(make|python3 -m venv|\S+/pip|\S+/python tools/requirements\.py|git|cd|source)\b")


class Block(NamedTuple):
    """A fenced block: its language, its text, the page's line it begins on, and what the page says it prints."""

    language: str
    text: str
    line: int
    prints: str | None = None


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, but for `text` blocks that belong to the Python block before them."""
    text = page.read_text(encoding="utf-8")
    found: list[Block] = []
    last_end = 0
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        follows = found and found[-1].language == "python" and not text[last_end : match.start()].strip()
        if match[1] == "text" and follows:
            found[-1] = found[-1]._replace(prints=match[2])
        else:
            found.append(Block(match[1], match[2], line))
        last_end = match.end()
    return found


def lay_out(folder: Path) -> Path:
    """Give a folder what a reader in the checkout has: the test data, the recipes and the configs."""
    (folder / "tests").mkdir()
    for name in ("tests/data", "recipes", "configs"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def save_files(page: Path, folder: Path) -> None:
    """Save the blocks that name themselves a file."""
    for block in blocks(page):
        named = FILE.match(block.text)
        if named:
            (folder / named[1]).write_text(block.text, encoding="utf-8")


def run_page(page: Path, folder: Path) -> int:
    """Run the blocks of a page from top to bottom in a folder; how many were run. AssertionError where one differs."""
    save_files(page, folder)
    namespace: dict[str, Any] = {"__name__": "page"}
    count = 0
    with contextlib.chdir(folder):
        for block in blocks(page):
            where = f"{page.name}:{block.line}"
            if block.language == "python":
                run_python(block, namespace, where)
            elif block.language == "console":
                run_console(block, folder, where)
            count += block.language in ("python", "console")
    return count


def plans(page: Path) -> list[Plan]:
    """The plans of a page's recipes, made in the current folder; a block may leave out what it is not about."""
    return [plan_recipe(Recipe.parse(whole(block.text))) for block in blocks(page) if block.language == "yaml"]


def whole(recipe: str) -> str:
    """A recipe with the parts that it lacks: its name, sources and steps."""
    defaults = {"name": "page", "sources": "{corpus: {path: tests/data/shards}}", "steps": "[gopher]"}
    missing = {key: value for key, value in defaults.items() if not re.search(rf"^{key}:", recipe, re.MULTILINE)}
    return recipe + "".join(f"{key}: {value}\n" for key, value in missing.items())


def run_python(block: Block, namespace: dict[str, Any], where: str) -> None:
    """Execute a block in the page's namespace and compare what it prints; `>>>` blocks are doctests."""
    if block.text.lstrip().startswith(">>>"):
        test = doctest.DocTestParser().get_doctest(block.text, namespace, where, where, block.line)
        told: list[str] = []
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=told.append, clear_globs=False)
        namespace.update(test.globs)
        assert not told, "".join(told)
        return
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile("\n" * block.line + block.text, where, "exec"), namespace)
    if block.prints is not None:
        compare(printed.getvalue(), block.prints, where)


def run_console(block: Block, folder: Path, where: str) -> None:
    """Run the commands of a block; those that set up the environment are only checked against the files they name."""
    for command, expected in commands(block):
        if SET_UP.match(command):
            check_set_up(command, where)
            continue
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{where}: {command}\n{done.stdout}{done.stderr}"
        if expected:
            compare(done.stdout, expected, f"{where}: {command}")


def commands(block: Block) -> Iterator[tuple[str, str]]:
    """The commands of a console block and what the page shows under each."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command.partition("  #")[0].strip(), shown


def check_set_up(command: str, where: str) -> None:
    """A command that would change the machine: its make targets and the files it reads must be there."""
    words = shlex.split(command)
    if words[0] == "make":
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        missing = [word for word in words[1:] if word not in targets]
    else:
        named = [word for word in words if re.search(r"\.(txt|py|toml)$", word) and ".venv" not in word]
        missing = [word for word in named if not (ROOT / word).exists()]
    assert not missing, f"{where}: {command}: there is no {missing[0]}"


def compare(got: str, expected: str, where: str) -> None:
    """AssertionError unless the output is as shown, blank lines around it and at line ends aside."""
    plain = ["\n".join(line.rstrip() for line in text.strip("\n").splitlines()) + "\n" for text in (expected, got)]
    assert doctest.OutputChecker().check_output(plain[0], plain[1], doctest.ELLIPSIS), (
        f"{where} prints\n{plain[1]}\nbut the page shows\n{plain[0]}"
    )
