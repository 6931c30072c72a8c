"""`import curate` and `curate --help` are instant: what is slow to import is imported when it is first used."""

from __future__ import annotations

import subprocess
import sys

import pytest

SLOW = ("numpy", "pyarrow", "polars", "numba", "datasets", "ray", "pandas")
SECONDS = 0.4


def imported(*arguments: str) -> dict[str, float]:
    """Cumulative seconds of each module that `python *arguments` imports."""
    command = [sys.executable, "-X", "importtime", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    rows = [line.removeprefix("import time:").split("|") for line in done.stderr.splitlines() if "|" in line]
    return {row[2].strip(): int(row[1]) / 1e6 for row in rows if row[1].strip().isdigit()}


def test_import_is_instant() -> None:
    best = min(imported("-c", "import curate")["curate"] for _ in range(3))
    assert best < SECONDS, f"import curate takes {best:.2f} s"


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (("-c", "import curate"), SLOW),
        (("-m", "curate.cli", "--help"), ("pyarrow", "numba", "polars", "ray", "datasets")),
        (("-m", "curate.cli", "ops"), ("numba", "polars", "ray", "datasets", "pandas")),
    ],
)
def test_slow_libraries_wait_until_they_are_used(arguments: tuple[str, ...], absent: tuple[str, ...]) -> None:
    modules = imported(*arguments)
    assert "curate" in modules
    assert [name for name in absent if name in modules] == []


def test_the_list_of_imports_is_read_correctly() -> None:
    assert "pyarrow" in imported("-c", "import curate; curate.Operator")
