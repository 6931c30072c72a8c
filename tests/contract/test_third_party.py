"""Another project runs the checks on operators of its own, in a folder that knows nothing of this one."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from curate.operator import Operator
from curate.testing import example

EXAMPLE = Path(__file__).with_name("third_party_example.py")
ROOT = EXAMPLE.parents[2]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest says there."""
    folder = tmp_path_factory.mktemp("elsewhere")
    shutil.copy(EXAMPLE, folder / "test_their_operators.py")
    (folder / "pytest.ini").write_text(f"[pytest]\npythonpath = {ROOT}\n")
    call = [sys.executable, "-m", "pytest", "-v", "-rx", "-p", "no:cacheprovider"]
    done = subprocess.run(call, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_their_operators_are_checked(report: str) -> None:
    assert "test_contract[shouting-batch_invariance] PASSED" in report
    assert "test_contract[blocklist-decides_every_row] PASSED" in report
    passed = re.search(r"= (\d+) passed, 1 xfailed", report)
    assert passed and int(passed[1]) > 50, report


def test_their_known_gap_is_expected(report: str) -> None:
    assert "test_contract[shouting-parameters_documented] - `marks` is described in our manual" in report


def test_an_example_is_asked_for_when_parameters_are_required() -> None:
    class Demanding(Operator, frozen=True):
        limit: int

    with pytest.raises(TypeError, match="demanding: Missing required argument 'limit' - give the class `example`"):
        example(Demanding)
