"""DSIR's importance weights: RedPajama-V2's oracle, counts in files, and draws."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import zstandard

from curate import Config, Recipe, engine
from curate.errors import OperatorError, PlanError
from curate.evaluate import arrays, fitted
from curate.operators.importance import DsirImportance, Resample, TrainDsir, length_ratio

ROOT = Path(__file__).resolve().parents[2]
ORACLE = ROOT / "../shared/data/oracle_rpv2"


def lines(name: str) -> list[dict[str, Any]]:
    if not ORACLE.exists():
        pytest.skip("no shared data beside the repository")
    text = zstandard.ZstdDecompressor().stream_reader((ORACLE / name).open("rb")).read().decode()
    return [json.loads(line) for line in text.split("\n") if line]


@pytest.mark.parametrize("target", ["wikipedia", "books", "openwebtext"])
def test_values_equal_the_oracle(target: str) -> None:
    signals = {one["id"]: one["signals"] for one in lines("signals_full.jsonl.zst")}
    documents = [one for one in lines("docs.jsonl.zst") if one["lang"] == "en"]
    folder = ORACLE / "artifacts/dsir/en"
    counts = {"target": str(folder / f"{target}.en.10000.counts.npy"), "raw": str(folder / "ccnet.en.10000.counts.npy")}
    means = [float(np.load(folder / f"{name}.en.lambda.npy")) for name in (target, "ccnet")]
    measure = DsirImportance(**counts, features="rpv2", target_length=means[0], raw_length=means[1])
    found = measure(pa.table({"text": [one["text"] for one in documents]}))
    for name in ("", "_length_correction"):
        values = found[f"dsir_importance{name}"].to_pylist()
        wanted = [signals[one["id"]][f"rps_doc_{target}_importance{name}"][0][2] for one in documents]
        assert [value is None for value in values] == [value is None for value in wanted]
        for value, right in zip(values, wanted, strict=True):
            assert value is None or value == pytest.approx(right, rel=1e-12, abs=1e-8)


def test_the_length_ratio_is_that_of_poisson() -> None:
    poisson = lambda n, mean: math.exp(n * math.log(mean) - mean - math.lgamma(n + 1)) + 1e-8  # noqa: E731
    found = length_ratio(np.array([0, 3, 10, 3000]), 5.0, 8.0)
    assert found == pytest.approx([math.log(poisson(n, 5.0) / poisson(n, 8.0)) for n in (0, 3, 10, 3000)], abs=1e-9)


@pytest.mark.parametrize(
    "content",
    [np.ones((2, 2), int), np.ones(3), np.array([-1, 2]), np.array([], int)],
    ids=["2d", "float", "minus", "none"],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: np.ndarray) -> None:
    path = tmp_path / "x.npy"
    np.save(path, content)
    with pytest.raises(PlanError, match="holds no counts by bucket"):
        DsirImportance(target=str(path), raw=str(path)).check({})


@pytest.mark.parametrize("content", [b"", b"no numpy", np.array([{}], object).dumps()], ids=["empty", "text", "pickle"])
def test_a_pickle_or_a_broken_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    with pytest.raises(PlanError, match="holds no counts by bucket"):
        DsirImportance(target=str(path), raw=str(path)).check({})


def test_files_of_other_lengths_are_refused(tmp_path: Path) -> None:
    for size in (3, 4):
        np.save(tmp_path / f"{size}.npy", np.ones(size, int))
    with pytest.raises(PlanError, match="3 buckets"):
        DsirImportance(target=str(tmp_path / "3.npy"), raw=str(tmp_path / "4.npy")).check({})


@pytest.mark.parametrize("features", ["words", "rpv2", "authors"])
def test_a_trained_model_is_that_of_its_files(tmp_path: Path, features: Any) -> None:
    table = pa.table({"text": ["An essay on rain", "buy pills", "pills and rain"], "source": ["a", "b", "c"]})
    train = TrainDsir(target=("a",), raw=("b", "c"), features=features, buckets=500)
    model = fitted(train, [arrays(train, table)])
    train.export(model, tmp_path)
    paths = {name: str(tmp_path / f"{name}.counts.npy") for name in ("target", "raw")}
    measure = DsirImportance(target=paths["target"], raw=paths["raw"], features=features)
    from_files = measure(table)["dsir_importance"].to_pylist()
    assert from_files == train(table)["train_dsir_importance"].to_pylist()
    assert from_files[0] > 0 > from_files[1]
    facts = train.facts(model)
    assert facts["target_texts"], facts["raw_texts"] == (1, 2)


def test_a_target_without_words_is_told() -> None:
    table = pa.table({"text": ["...", "words here"], "source": ["a", "b"]})
    with pytest.raises(OperatorError, match="there is not a word in target: a"):
        TrainDsir(target=("a",), raw=("b",))(table)


def test_draws_follow_the_weights() -> None:
    ids = [f"d{n}" for n in range(20_000)]
    score = np.where(np.arange(20_000) % 2, math.log(9.0), 0.0)
    table = pa.table({"id": ids, "score": score})
    kept = Resample(by="score", count=200)(table)["dropped_by"].is_null().to_numpy()
    assert kept.sum() == 200
    assert score[kept].astype(bool).mean() == pytest.approx(0.9, abs=0.07)


def test_a_draw_does_not_depend_on_the_order() -> None:
    table = pa.table({"id": [f"d{n}" for n in range(500)], "score": np.random.default_rng(0).normal(size=500)})
    turned = table.take(np.arange(500)[::-1])
    draw = Resample(by="score", share=0.2)
    kept = [{*t["id"].filter(draw(t)["dropped_by"].is_null()).to_pylist()} for t in (table, turned)]
    assert kept[0] == kept[1] and len(kept[0]) == 100


def test_in_a_recipe_whose_raw_source_is_what_is_chosen_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("good.jsonl").write_text('{"text": "an essay on rain and light"}\n' * 5)
    Path("raw.jsonl").write_text('{"text": "buy cheap pills"}\n' * 5 + '{"text": "rain and light"}\n')
    recipe = Recipe.parse(
        "name: x\nsources:\n  good: {path: good.jsonl, reference: true}\n  raw: {path: raw.jsonl}\nsteps:\n"
        "- train_dsir: {target: [good], raw: [raw]}\n- resample: {by: train_dsir_importance, count: 1}\n"
    )
    result = engine.run(recipe, Config(workers=1))
    assert result.polars()["text"].to_list() == ["rain and light"]
    assert result.manifest["corpus"]["train_dsir"]["raw_texts"] == 6
