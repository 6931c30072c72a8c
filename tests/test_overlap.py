"""The overlap of sources agrees with a look at all pairs; of one run and of two."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

from curate import Config, Recipe, engine
from curate.cli import main
from curate.errors import DataError, PlanError
from curate.overlap import SAMPLE, copies, overlap
from curate.result import Result

STEPS = ("dedup_exact", "dedup_minhash")
SHINGLE = 5


def words(count: int, seed: int) -> list[str]:
    return [f"w{random.Random(seed * 1000 + at).randrange(10**9)}" for at in range(count)]


def corpus() -> dict[str, list[str]]:
    """Texts of three sources: exact copies, near ones, parts of longer documents, and much that is alone."""
    base = [words(300, seed) for seed in range(40)]
    a = base[:20]
    near = [[*text[:-6], *words(6, 90 + at)] for at, text in enumerate(base[5:10])]
    long = [[*base[at], *words(900, 200 + at)] for at in range(10, 14)]
    b = [*base[:5], *near, *long, *base[20:30]]
    c = [*base[30:], base[30], *base[3:5]]
    return {name: [" ".join(text) for text in texts] for name, texts in {"a": a, "b": b, "c": c}.items()}


def shingles(text: str) -> set[str]:
    each = text.split()
    return {" ".join(each[at : at + SHINGLE]) for at in range(len(each) - SHINGLE + 1)}


def run(folder: Path, texts: dict[str, list[str]], steps: tuple[Any, ...] = STEPS) -> Result:
    folder.mkdir(exist_ok=True)
    for name, each in texts.items():
        lines = [json.dumps({"id": f"{name}{at}", "text": text}) for at, text in enumerate(each)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    sources = {name: {"path": str(folder / f"{name}.jsonl")} for name in texts}
    plain = {"name": "shared", "sources": sources, "steps": list(steps), "output": {"path": str(folder / "out")}}
    return engine.run(Recipe.parse(json.dumps(plain)), Config(workers=1))


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return run(tmp_path_factory.mktemp("one") / "run", corpus())


def pair(table: pl.DataFrame, a: str, b: str) -> dict[str, Any]:
    (row,) = table.filter((pl.col("a") == a) & (pl.col("b") == b)).to_dicts()
    return row


def best(text: str, others: list[str], how: Callable[[set[str], set[str]], float]) -> float:
    return max((how(shingles(text), shingles(other)) for other in others), default=0.0)


def resemblance(a: set[str], b: set[str]) -> float:
    return len(a & b) / len(a | b)


def containment(a: set[str], b: set[str]) -> float:
    return len(a & b) / len(a)


def test_shares_agree_with_all_pairs(one: Result) -> None:
    texts, table = corpus(), overlap(one).table
    for a in texts:
        for b in texts:
            others = {at: [t for k, t in enumerate(texts[b]) if (a, at) != (b, k)] for at in range(len(texts[a]))}
            exact = [at for at, text in enumerate(texts[a]) if text in others[at]]
            near = [at for at, text in enumerate(texts[a]) if best(text, others[at], resemblance) >= 0.8]
            row = pair(table, a, b)
            assert row["documents"] == len(texts[a])
            assert row["exact"] == len(exact) / len(texts[a]), (a, b)
            assert row["near"] == len(near) / len(texts[a]), (a, b)
            size = sum(len(text.split()) for text in texts[a])
            assert row["words"] == size
            assert row["near_words"] == pytest.approx(sum(len(texts[a][at].split()) for at in near) / size)


def test_resemblance_and_containment_are_near_the_truth(one: Result) -> None:
    texts, table = corpus(), overlap(one).table
    for a, b in (("a", "b"), ("b", "a")):
        row = pair(table, a, b)
        assert row["sampled"] == len(texts[a])
        for name, how in (("resemblance", resemblance), ("containment", containment)):
            truth = sum(best(text, texts[b], how) for text in texts[a]) / len(texts[a])
            assert row[name] == pytest.approx(truth, abs=0.03), (a, b, name)
    assert pair(table, "a", "b")["containment"] > pair(table, "b", "a")["containment"] + 0.1
    assert pair(table, "a", "c")["containment"] == 0.1


def test_two_runs(one: Result, tmp_path: Path) -> None:
    texts = corpus()
    other = run(tmp_path / "other", {"x": [*texts["a"][:4], *texts["b"][5:7]], "y": texts["c"][:3]})
    table = overlap(one, other).table
    assert [*table.select("a", "b").iter_rows()] == [(a, b) for a in "abc" for b in "xy"]
    assert pair(table, "a", "x")["exact"] == 4 / 20
    assert pair(table, "b", "x")["exact"] == 6 / 24
    assert pair(table, "c", "y")["exact"] == 4 / 13
    row = pair(overlap(other, one).table, "x", "a")
    assert (row["exact"], row["near"], row["near_words"], row["sampled"]) == (4 / 6, 1.0, 1.0, 6)


def test_runs_with_other_sketches_are_refused(one: Result, tmp_path: Path) -> None:
    other = run(tmp_path / "other", {"a": ["some text"]}, ("dedup_exact", {"dedup_minhash": {"seed": 7}}))
    with pytest.raises(
        PlanError, match=r"the runs cannot be compared: dedup_minhash of one has .*'seed': 1.*'seed': 7"
    ):
        overlap(one, other)


def test_without_a_step_there_are_nulls(tmp_path: Path) -> None:
    table = overlap(run(tmp_path / "run", {"a": ["one", "one"], "b": ["one"]}, ("dedup_exact",))).table
    row = pair(table, "a", "b")
    assert (row["exact"], row["near"], row["sampled"], row["containment"]) == (1.0, 1.0, None, None)
    bare = overlap(run(tmp_path / "bare", {"a": ["one", "one"]}, ("gopher",)))
    assert pair(bare.table, "a", "a")["exact"] is None
    assert "no source has copies" in str(bare)


def test_a_run_without_its_work_is_told(one: Result, tmp_path: Path) -> None:
    shutil.copytree(one.path, tmp_path / "run", ignore=shutil.ignore_patterns(".work"))
    with pytest.raises(
        DataError, match=r"\.work does not hold what .* delete .*manifest.json and run the recipe again"
    ):
        overlap(tmp_path / "run")


def test_the_command_prints_a_matrix_and_saves_the_table(one: Result, tmp_path: Path) -> None:
    files = [str(tmp_path / f"overlap.{kind}") for kind in ("parquet", "json")]
    done = CliRunner().invoke(main, ["overlap", str(one.path), "--save", files[0], "--save", files[1]])
    assert done.exit_code == 0, done.output
    assert done.output.startswith("% of a in b (near)")
    assert "±" in done.output
    assert pl.read_parquet(files[0]).to_dicts() == json.loads(Path(files[1]).read_text())
    wrong = CliRunner().invoke(main, ["overlap", str(one.path), "--save", str(tmp_path / "x.csv")])
    assert wrong.exit_code == 2
    assert "saved as .parquet or .json" in wrong.output


def test_the_report_has_a_heat_map(one: Result) -> None:
    page = (one.path / "report.html").read_text()
    assert 'id="shared"' in page
    found = copies(one)
    assert (found.a, found.b, found.measure) == (["a", "b", "c"], ["a", "b", "c"], "near")
    assert found.shares[0] == [0.0, 0.5, 0.1]
    section = page[page.index('id="shared"') :].partition("</section>")[0]
    assert section.count("--dark:") == 9


def test_a_large_source_is_sampled_the_same_whatever_the_batches(tmp_path: Path) -> None:
    texts = {"a": [f"{at} " + "all of this text is the same but for a number " * 2 for at in range(SAMPLE + 500)]}
    result = run(tmp_path / "run", texts, ("dedup_minhash",))
    row = pair(overlap(result).table, "a", "a")
    assert row["sampled"] == SAMPLE
    assert row["near"] > 0.95
    assert row["resemblance"] > 0.8
