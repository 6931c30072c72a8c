"""What `curate plan` says a run costs: it grows with the corpus, names what breaks, and has the storage of a run."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.simulate import GIVE, run_stage
from curate import Config, ops, read, sizing
from curate.cli import main
from curate.corpus import Corpus
from curate.engine import plan_recipe

WORDS = ["the", "of", "and", "keeper", "harbour", "lantern", "quietly", "observed", "another", "morning", "windows"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents of sixty lines, as long as lines are on average."""
    chance, path = random.Random(6), tmp_path_factory.mktemp("sizing") / "part.jsonl"
    with path.open("w") as file:
        for number in range(400):
            lines = [" ".join(chance.choices(WORDS, k=10)) + "." for _ in range(60)]
            file.write(json.dumps({"id": str(number), "text": "\n".join(lines)}) + "\n")
    return path


def corpus(source: Path) -> Corpus:
    rules = {"words": "gopher_word_count >= 50"}
    return read(str(source)) | ops.Gopher() | ops.RedpajamaSignals() | ops.Keep(rules=rules) | ops.DedupMinhash()


def test_the_work_folder_of_a_run_is_as_large_as_it_says(source: Path, tmp_path: Path) -> None:
    result = corpus(source).run(str(tmp_path / "out"), Config(workers=1))
    read_, *_ = result.manifest["funnel"]["steps"]
    found = sizing.estimate(
        plan_recipe(corpus(source).recipe), sizing.Cluster(1, 1), read_["documents"], read_["bytes"]
    )
    kept = [file for file in (tmp_path / "out/.work").rglob("*.arrow") if file.is_file()]
    assert found.work == pytest.approx(sum(file.stat().st_size for file in kept), rel=0.3)


def test_twice_the_documents_cost_twice_as_much(source: Path) -> None:
    plan, cluster = plan_recipe(corpus(source).recipe), sizing.Cluster(4, 8)
    one, two = (sizing.estimate(plan, cluster, n * 10**9, n * 5 * 10**12, kept=0.3) for n in (1, 2))
    for measure in ("cpu_hours", "hours", "shuffle", "work", "output", "tasks"):
        assert getattr(two, measure) == pytest.approx(2 * getattr(one, measure), rel=0.02), measure
    assert two.task_bytes == one.task_bytes
    assert one.limits == two.limits == ()


def test_it_says_what_breaks(source: Path) -> None:
    found = sizing.estimate(plan_recipe(corpus(source).recipe), sizing.Cluster(1000, 64), 113 * 10**9, 565 * 10**12)
    dedup, driver = found.limits
    assert "a deduplication takes 4,294,967,296 documents: split the corpus" in dedup
    assert "the driver is busy for more than half of the time: make shards larger" in driver


def test_a_selection_costs_looks_and_no_memory_of_a_node(source: Path) -> None:
    chosen = corpus(source) | ops.SelectTop(by="gopher_word_count", share=0.5)
    plain, more = (
        sizing.estimate(plan_recipe(one.recipe), sizing.Cluster(10, 64), 3 * 10**9, 15 * 10**12)
        for one in (corpus(source), chosen)
    )
    assert more.limits == plain.limits
    assert plain.cpu_hours < more.cpu_hours < 1.1 * plain.cpu_hours
    assert more.tasks > plain.tasks
    assert more.shuffle > plain.shuffle


def test_the_command_line(source: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"name: sized\nsources: {{all: {{path: {source}}}}}\nsteps: [gopher]\n")
    sizes = ["--nodes", "10", "--cores", "64", "--documents", "3000000000", "--bytes", "15TB"]
    told = CliRunner().invoke(main, ["plan", str(recipe), *sizes])
    assert told.exit_code == 0, told.output
    assert "3,000,000,000 documents, 15,000.0 GB of text" in told.output
    named = [line.split()[0] for line in told.output.split("of text\n")[1].splitlines()]
    assert named == ["CPU", "wall", "tasks", "memory", "shuffle", "storage", "of"]


@pytest.mark.parametrize(
    ("seconds", "slots", "end"),
    [
        ([2.0, 1.0, 1.0], 1, 4.0),  # one core: the sum
        ([2.0, 1.0, 1.0], 2, 2.0),
        ([2.0, 1.0, 1.0], 99, 2.0),  # more cores than tasks: the longest
        ([GIVE / 10] * 10_000, 64, 10_000 * GIVE),  # tasks of no length: as fast as the driver gives them out
        ([0.5] * 100, 10, 5.0),
    ],
)
def test_a_simulated_stage(seconds: list[float], slots: int, end: float) -> None:
    assert run_stage(seconds, slots) == pytest.approx(end, abs=len(seconds) * GIVE / 10 + 10 * GIVE)
