"""`curate diff`: two runs compared document by document."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import curate
from curate import Config, Result, ops, read
from curate.deciding.diff import Comparison, distance
from curate.errors import DataError, PlanError

ROWS: dict[str, list[Any]] = {
    "id": [f"d{at}" for at in range(20)],
    "text": [f"word {at} " * (at + 1) for at in range(20)],
    "score": [at / 20 for at in range(20)],
}


def run(folder: Path, name: str, low: int, high: int, least: float) -> Result:
    rows = pa.table({key: values[low:high] for key, values in ROWS.items()})
    corpus = (
        read(rows, name="web")
        | ops.Tokens()
        | ops.Keep(rules={"good": {"column": "score", "min": least}, "long": {"column": "tokens", "min": 6}})
    )
    return corpus.run(str(folder / name), Config(workers=1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("diff")


@pytest.fixture(scope="module")
def found(folder: Path) -> Comparison:
    run(folder, "a", 0, 18, 0.2)
    run(folder, "b", 2, 20, 0.5)
    return curate.diff(folder / "a", folder / "b")


def status(at: int, least: float) -> str:
    return "good" if at / 20 < least else "kept" if (at + 1) * 2 >= 6 else "long"


def test_changes_and_their_documents(found: Comparison) -> None:
    before = {at: status(at, 0.2) for at in range(18)}
    after = {at: status(at, 0.5) for at in range(2, 20)}
    expected = Counter((before.get(at, "absent"), after.get(at, "absent")) for at in range(20))
    rows = found.changes.to_dicts()
    assert {(row["before"], row["after"]): row["documents"] for row in rows} == expected
    assert sum(row["words"] for row in rows) == sum(2 * (at + 1) for at in range(20))
    moved = {row["id"]: row for row in found.documents.to_dicts()}
    assert {*moved} == {f"d{at}" for at in range(20) if before.get(at) != after.get(at)}
    assert moved["d5"] == {"id": "d5", "before": "kept", "after": "good", "failed_before": [], "failed_after": ["good"]}
    assert moved["d0"]["failed_before"] == ["good", "long"]
    assert moved["d0"]["failed_after"] is None
    assert (moved["d19"]["before"], moved["d19"]["after"]) == ("absent", "kept")


def test_funnels_side_by_side(found: Comparison) -> None:
    assert found.funnel["step"].to_list() == ["read", "good", "long", "kept"]
    assert found.funnel["documents_a"].to_list() == [18, 4, 0, 14]
    assert found.funnel["documents_b"].to_list() == [18, 8, 0, 10]


def test_shifts_of_shared_columns(found: Comparison) -> None:
    (everyone,) = found.shifts.filter(pl.col("column") == "score", pl.col("of") == "all").to_dicts()
    assert everyone["distance"] == pytest.approx(2 / 18)
    assert (everyone["values_a"], everyone["q50_a"], everyone["q50_b"]) == (18, 9 / 20, 11 / 20)
    assert {*found.shifts["column"]} == {"score", "tokens", "text_bytes", "text_words"}


def test_the_distance_is_that_of_the_definition() -> None:
    chance = np.random.default_rng(0)
    for _ in range(50):
        a, b = (np.sort(chance.integers(0, 9, chance.integers(1, 20)).astype(float)) for _ in range(2))
        brute = max(abs((a <= x).mean() - (b <= x).mean()) for x in range(-1, 10))
        assert distance(a, b) == pytest.approx(brute)
    assert distance(np.zeros(0), np.ones(1)) is None


def test_a_run_does_not_differ_from_itself(folder: Path, found: Comparison) -> None:
    same = curate.diff(folder / "a", folder / "a")
    assert same.documents.is_empty()
    assert set(same.shifts["distance"]) == {0.0}
    assert "18 of 18 documents have the same status" in same.text()


def test_the_forms_it_comes_in(found: Comparison, tmp_path: Path) -> None:
    plain = json.loads(found.json())
    assert plain["changes"] == found.changes.to_dicts()
    names = ("changes", "documents", "funnel", "shifts")
    assert [path.name for path in found.to(tmp_path)] == [f"{name}.parquet" for name in names]
    assert pl.read_parquet(tmp_path / "documents.parquet").equals(found.documents)
    assert "from    to" in repr(found)
    assert "<table" in found._repr_html_()


def test_ids_that_repeat_are_compared_in_order(tmp_path: Path) -> None:
    results = []
    for name, least in (("a", 0.2), ("b", 0.6)):
        rows = pa.table({"id": ["x", "x", "y"], "text": ["a", "b", "c"], "score": [0.1, 0.5, 0.9]})
        corpus = read(rows, name="web") | ops.Keep(rules={"good": {"column": "score", "min": least}})
        results.append(corpus.run(str(tmp_path / name), Config(workers=1)))
    found = curate.diff(*results)
    assert [(row["id"], row["before"], row["after"]) for row in found.documents.to_dicts()] == [("x", "kept", "good")]
    assert found.changes["documents"].sum() == 3


def test_steps_of_one_run_only_have_their_place(tmp_path: Path, folder: Path, found: Comparison) -> None:
    rows = pa.table(ROWS)
    other = (read(rows, name="web") | ops.Keep(rules={"good": "score >= 0.2"}) | ops.DedupExact()).run(
        str(tmp_path / "c"), Config(workers=1)
    )
    steps = curate.diff(other, folder / "a").funnel
    assert steps["step"].to_list() == ["read", "good", "long", "dedup_exact", "kept"]
    assert steps["documents_a"].to_list() == [20, 4, None, 0, 16]


def test_what_cannot_be_compared(folder: Path, found: Comparison) -> None:
    with pytest.raises(DataError, match="no finished run"):
        curate.diff(folder / "a", folder / "nothing")
    with pytest.raises(PlanError, match="has no column 'ids' to join by"):
        curate.diff(folder / "a", folder / "b", on="ids")
