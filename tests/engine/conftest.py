"""Runs of small recipes on the test corpus, and a look at what they leave behind."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster, joined

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests/data"
TIMES = re.compile(rb'<section aria-labelledby="cost">.*?</section>', re.DOTALL)
PARTS = ("data", "annotations", "manifest.json", "report.html", "README.md", "quarantine.jsonl")

PROBE = """\
name: probe
sources:
  all:
    path: ${shards}
    columns: {url: url, language: language}
steps:
  - normalize
  - gopher
  - keep:
      rules:
        words: {column: gopher_word_count, min: "${words:-20}"}
        letters: {column: gopher_alpha_word_ratio, min: 0.5}
        tongue: "language <> 'zxx'"
  - dedup_exact
  - dedup_minhash
output: {path: out}
"""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes more than ten seconds")
    config.addinivalue_line("markers", "executors: tests with a lab, run by the local executor and on a Ray cluster")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.get_closest_marker("executors") and "lab" in metafunc.fixturenames:
        metafunc.parametrize("executor", ["local", "ray"], indirect=True)


class Lab:
    """A folder to run recipes in. Runs of this process are quick; `cli` and `start` use a process of their own."""

    def __init__(self, folder: Path, **config: Any):
        self.folder, self.config = folder, config
        self.variables = {"shards": str(DATA / "shards")}

    def run(self, recipe: str = PROBE, out: str = "out", **how: Any) -> Any:
        """Run in this process with one worker; `how` holds variables of the recipe and fields of the config."""
        from curate import engine
        from curate.config import Config
        from curate.recipe import Recipe

        fields = {key: how.pop(key) for key in Config.__struct_fields__ if key in how}
        file = self.folder / "recipe.yaml"
        file.write_text(recipe, encoding="utf-8")
        loaded = Recipe.load(file, variables=self.variables | how, sets={"output.path": "out"})
        # Every run believes that its folder is called `out`: the report may say so.
        self.root(out).parent.mkdir(exist_ok=True)
        with contextlib.chdir(self.root(out).parent):
            return engine.run(loaded, Config(**{"workers": 1, **self.config, **fields}))

    def root(self, out: str = "out") -> Path:
        """The folder of a run of this lab, by the name this lab gives it."""
        return self.folder / out / "out" if out != "out" else self.folder / "out"

    def probe_with(self, changes: dict[str, str]) -> str:
        """The probe recipe with some of its lines replaced."""
        recipe = PROBE
        for old, new in changes.items():
            assert old in recipe, f"the probe recipe has no {old!r}"
            recipe = recipe.replace(old, new)
        return recipe

    def result(self, out: str = "out") -> Any:
        from curate.result import open_run

        return open_run(self.root(out))

    def write(self, name: str, text: str) -> Path:
        """A file of this lab."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "curate.cli", *arguments]

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`curate ...` in a process of its own."""
        return subprocess.run(self.command(*arguments), cwd=self.folder, capture_output=True, text=True, check=False)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """`curate ...` in a process group of its own, so that all of it can be killed."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def contents(self, out: str = "out") -> dict[str, bytes]:
        """Every byte that a user of the run sees, but for the times in the report: path -> content."""
        root = self.root(out)
        files = [
            file for part in PARTS for file in ([root / part] if (root / part).is_file() else (root / part).rglob("*"))
        ]
        found = {str(file.relative_to(root)): file.read_bytes() for file in sorted(files)}
        return found | {"report.html": TIMES.sub(b"", found["report.html"])} if "report.html" in found else found

    def everything(self, out: str = "out") -> dict[str, int]:
        """Write times of all files of a run."""
        root = self.root(out)
        return {str(file.relative_to(root)): file.stat().st_mtime_ns for file in root.rglob("*") if file.is_file()}

    def times(self, pattern: str, out: str = "out") -> dict[str, int]:
        """When each file below the work folder was last written, in nanoseconds."""
        root = self.root(out) / ".work"
        return {str(file.relative_to(root)): file.stat().st_mtime_ns for file in root.glob(pattern) if file.is_file()}

    def overlays(self, column: str, out: str = "out") -> dict[str, int]:
        """Write times of the overlays that hold a column."""
        import pyarrow as pa

        root = self.root(out) / ".work"
        times = self.times("values/*/*", out)
        return {name: time for name, time in times.items() if column in pa.ipc.open_file(str(root / name)).schema.names}

    def quarantine(self, out: str = "out") -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.root(out) / "quarantine.jsonl").read_text().splitlines()]

    def copy_shards(self, *names: str) -> Path:
        """Some of the test shards (default: all) in a folder of this lab, which becomes the recipe's source."""
        target = self.folder / "shards"
        target.mkdir(exist_ok=True)
        for name in names or sorted(os.listdir(DATA / "shards")):
            shutil.copy2(DATA / "shards" / name, target / name)
        self.variables["shards"] = str(target)
        return target

    def adopt(self, other: Lab, out: str = "out") -> None:
        """Start from a copy of another lab's run, write times included."""
        shutil.copytree(other.root(out), self.root(out))
        self.variables = dict(other.variables)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two nodes of one CPU. This process is their driver, so that runs find the workers of earlier ones."""
    with joined(Cluster()) as cluster:
        yield cluster


@pytest.fixture
def executor(request: pytest.FixtureRequest) -> str:
    """What runs the recipes of a lab; tests that are marked `executors` have each."""
    name = str(getattr(request, "param", "local"))
    if name == "ray":
        request.getfixturevalue("cluster")
    return name


@pytest.fixture
def lab(tmp_path: Path, executor: str) -> Lab:
    return Lab(tmp_path, executor=executor)


@pytest.fixture(scope="session")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The probe recipe, run once with one worker. Do not change it: `lab.adopt(probe)` makes a copy."""
    lab = Lab(tmp_path_factory.mktemp("probe"))
    lab.run()
    return lab


@pytest.fixture
def continued(lab: Lab, probe: Lab) -> Lab:
    """A copy of the probe run, to go on from."""
    lab.adopt(probe)
    return lab


@pytest.fixture(scope="session")
def planted() -> list[dict[str, Any]]:
    """The copies that were planted in the test shards."""
    pairs: list[dict[str, Any]] = json.loads((DATA / "planted.json").read_text())["pairs"]
    return pairs


@pytest.fixture
def documents(lab: Lab) -> Callable[..., Path]:
    """Write a JSON Lines file of twenty documents with the given further fields."""

    def documents(name: str, **fields: Any) -> Path:
        stem = Path(name).stem
        texts = [f"document {stem} number {n} has some words in it " * (n % 5 + 1) for n in range(20)]
        rows = [{"id": f"{stem}-{n}", "text": text, **fields} for n, text in enumerate(texts)]
        return lab.write(name, "".join(json.dumps(row) + "\n" for row in rows))

    return documents
