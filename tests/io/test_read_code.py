"""Source trees and git checkouts."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.errors import DataError

Load = Callable[..., Any]
IGNORED = """# what git makes of patterns
*.log.py
/build
docs/*.md
!docs/keep.md
deep/**/made.c
secret/
!secret/back.py
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    files = {
        "one/.gitignore": IGNORED,
        "one/LICENSE-MIT": "MIT",
        "one/LICENSE-APACHE": "Apache",
        "one/src/a.PY": "x = 1",
        "one/src/build/b.go": "package b",
        "one/build/c.py": "made",
        "one/run.log.py": "made",
        "one/docs/a.md": "ignored",
        "one/docs/keep.md": "kept",
        "one/deep/er/and/made.c": "made",
        "one/secret/back.py": "stays ignored: its folder is",
        "one/logo.png": "\x89",
        "one/Makefile": "all:",
        "one/vendor/.gitignore": "!*.log.py\n*.rs\n",
        "one/vendor/run.log.py": "comes back",
        "one/vendor/lib.rs": "ignored",
        "one/vendor/COPYING": "GPL",
        "one/inner/run.log.py": "another checkout",
        "two/x.ts": "let x",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="latin-1")
    (tmp_path / "one/inner/.git").mkdir()
    return tmp_path


def test_documents_languages_and_licences(tree: Path, load: Load) -> None:
    got = load(tree, format="code")
    assert got.table.schema.names[:4] == ["id", "text", "path", "extension"]
    both = ["one/LICENSE-APACHE", "one/LICENSE-MIT"]
    rows = zip(*(got.column(name) for name in ("path", "code_language", "license_files")), strict=True)
    assert sorted(rows) == [
        ("one/Makefile", "Makefile", both),
        ("one/docs/keep.md", "Markdown", both),
        ("one/inner/run.log.py", "Python", both),
        ("one/src/a.PY", "Python", both),
        ("one/src/build/b.go", "Go", both),
        ("one/vendor/run.log.py", "Python", ["one/vendor/COPYING"]),
        ("two/x.ts", "TypeScript", None),
    ]
    assert not got.bad


@pytest.mark.skipif(not shutil.which("git"), reason="git is not here")
def test_git_ignores_the_same(tree: Path, load: Load) -> None:
    repository = tree / "one"
    shutil.rmtree(repository / "inner")
    subprocess.run(["git", "init", "-q", "."], cwd=repository, check=True)
    command = ["git", "ls-files", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=repository, check=True, capture_output=True, text=True).stdout.split()
    known = [name for name in listed if not name.endswith((".png", ".gitignore")) and "LICENSE" not in name]
    assert sorted(load(repository, format="code").column("path")) == sorted(set(known) - {"vendor/COPYING"})


def test_files_that_the_recipe_names_need_no_known_language(tree: Path, load: Load) -> None:
    got = load(tree, format="code", include=["COPYING", "*.md"])
    assert sorted(got.column("path")) == ["one/docs/keep.md", "one/vendor/COPYING"]
    assert None in got.column("code_language")


def test_another_licence_makes_another_key(tree: Path, load: Load) -> None:
    before = {shard.name: shard.key for shard in load(tree, format="code").shards}
    (tree / "two/LICENSE").write_text("MIT")
    after = load(tree, format="code")
    assert {name for name, key in before.items() if after.shards[[s.name for s in after.shards].index(name)].key != key}
    assert ["two/LICENSE"] in after.column("license_files")


def test_some_columns_in_small_batches(tree: Path, load: Load) -> None:
    whole = load(tree, format="code")
    part = load(tree, format="code", needed={"license_files", "id"}, batch_bytes=20)
    assert part.table.to_pylist() == whole.table.select(["id", "license_files"]).to_pylist()


def test_what_cannot_be_read_says_so(tmp_path: Path, load: Load) -> None:
    (tmp_path / "logo.png").write_bytes(b"x")
    with pytest.raises(DataError, match="none of the 1 files has a name that tells a language"):
        load(tmp_path, format="code")
    with pytest.raises(DataError, match="is read from a local folder"):
        import fsspec

        fsspec.filesystem("memory").pipe("/trees/a.py", b"x")
        load("memory://trees", format="code")
