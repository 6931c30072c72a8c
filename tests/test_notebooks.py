"""The notebooks run from the first cell to the last, and are kept without outputs."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def run(notebook: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """Execute in the Python that runs the tests, whatever kernels are installed; CellExecutionError at an error."""
    folder.mkdir(parents=True, exist_ok=True)
    # no folder of kernels to look in: what is left is the kernel of this very Python
    kernel = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
    client = NotebookClient(notebook, km=kernel, timeout=60, resources={"metadata": {"path": str(folder)}})
    return client.execute()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a copy of the tree, so that nothing is written beside the notebooks."""
    shutil.copytree(ROOT / "tests" / "data" / "shards", tmp_path / "tests" / "data" / "shards")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    done = run(nbformat.read(path, as_version=4), tmp_path / "notebooks")
    code = [cell for cell in done.cells if cell.cell_type == "code" and cell.source]
    assert code
    assert all(cell.execution_count for cell in code)


def test_the_kernel_is_this_python(tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import sys; print(sys.executable)")])
    assert run(notebook, tmp_path).cells[0].outputs[0].text.strip() == sys.executable


def test_an_error_in_a_cell_is_not_missed(tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("assert 1 == 2, 'wrong'")])
    with pytest.raises(CellExecutionError, match="wrong"):
        run(notebook, tmp_path)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_kept_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert [cell for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")] == []


def test_there_are_notebooks() -> None:
    assert len(NOTEBOOKS) >= 2
