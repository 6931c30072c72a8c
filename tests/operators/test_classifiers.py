"""fastText classifiers: scores of models in files, and models that a recipe trains."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import zstandard

from curate import Config, Recipe, engine, fast_text
from curate.errors import OperatorError, PlanError
from curate.evaluate import arrays, fitted
from curate.kernels.quotas import level
from curate.operators.classifiers import FasttextScore, TrainFasttext, area, measures
from curate.operators.sample import SamplePareto

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "tests/data/classifier.bin"
SHARED = ROOT / "../shared/data"
GOOD = [
    f"a quiet essay on the {word} of the old harbour" for word in ["light", "rain", "stones", "gulls", "ropes"]
] * 20
BAD = [
    f"buy cheap {word} now click here for free offers" for word in ["pills", "shoes", "watches", "phones", "cars"]
] * 20


def lines(name: str) -> list[dict[str, Any]]:
    path = SHARED / "oracle_rpv2" / name
    if not path.exists():
        pytest.skip("no shared data beside the repository")
    text = zstandard.ZstdDecompressor().stream_reader(path.open("rb")).read().decode()
    return [json.loads(line) for line in text.split("\n") if line]


@pytest.mark.parametrize(
    ("language", "name", "label"),
    [("en", "palm", "palm"), ("en", "wikiref", "wikiref"), ("de", "wikipedia", "wikipedia")],
)
def test_scores_equal_the_oracle(language: str, name: str, label: str) -> None:
    signals = {one["id"]: one["signals"] for one in lines("signals_full.jsonl.zst")}
    documents = [one for one in lines("docs.jsonl.zst") if one["lang"] == language]
    model = SHARED / f"oracle_rpv2/artifacts/classifiers/{language}/{name}.model.bin"
    table = pa.table({"text": [one["text"] for one in documents]})
    found = FasttextScore(model=str(model), label=label)(table)["fasttext_score"].to_pylist()
    wanted = [signals[one["id"]][f"rps_doc_ml_{name}_score"][0][2] for one in documents]
    assert found == [None if score is None else min(max(score, 0.0), 1.0) for score in wanted]


def test_scores_equal_the_library() -> None:
    import fasttext

    texts = ["The keeper\nsleeps.", "BUY\u2028NOW\x85", "__label__positive is a word", "  \t"]
    model = fasttext.load_model(str(MODEL))
    for text, score in zip(
        texts, FasttextScore(model=str(MODEL), label="positive")(pa.table({"text": texts}))[1], strict=True
    ):
        labels, found = model.predict(" ".join(text.splitlines()).strip())
        p = float(found[0]) if labels[0].endswith("positive") else 1 - float(found[0])
        assert score.as_py() == pytest.approx(min(max(p, 0.0), 1.0), abs=1e-12)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: b"PK" + data[2:], "its first bytes are others"),
        (lambda data: data[:4] + struct.pack("<i", 99) + data[8:], "its version is 99"),
        (lambda data: data[:-5], "it ends too early"),
        (lambda data: data[:90], "it ends too early"),
        (lambda data: data + b"x", "it goes on after its end"),
        (lambda data: b"", "cannot mmap an empty file"),
    ],
    ids=["another-kind", "version", "cut", "cut-in-words", "longer", "empty"],
)
def test_a_broken_model_is_refused_before_it_is_loaded(tmp_path: Path, change: Any, said: str) -> None:
    broken = tmp_path / "broken.bin"
    broken.write_bytes(change(MODEL.read_bytes()))
    with pytest.raises(PlanError, match="is no whole fastText model") as error:
        FasttextScore(model=str(broken), label="positive").check({})
    assert said in str(error.value)


def test_too_large_a_model_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_text, "LARGEST", 1000)
    with pytest.raises(PlanError, match="are not read"):
        fast_text.read_header(MODEL)


def test_an_unknown_label_is_refused() -> None:
    with pytest.raises(PlanError, match="has no label 'positiv' - did you mean 'positive'"):
        FasttextScore(model=str(MODEL), label="positiv").check({})


def corpus(order: Any = slice(None)) -> pa.Table:
    rows = [(text, "good") for text in GOOD] + [(text, "bad") for text in BAD]
    return pa.table({"text": [text for text, _ in rows], "source": [of for _, of in rows]}).take(np.arange(200)[order])


def model(train: TrainFasttext, table: pa.Table) -> pa.Table:
    return fitted(train, [arrays(train, table)])


BY_SOURCE = TrainFasttext(positives=("good",), negatives=("bad",), dim=4, epoch=20)


def test_one_seed_gives_one_model_whatever_the_order() -> None:
    shas = [model(BY_SOURCE, corpus(order))["sha256"][0].as_py() for order in (slice(None), slice(None, None, -1))]
    assert shas[0] == shas[1]
    other = TrainFasttext(positives=("good",), negatives=("bad",), dim=4, epoch=20, seed=1)
    assert model(other, corpus())["sha256"][0].as_py() != shas[0]


def test_a_condition_trains_as_sources_do() -> None:
    by_condition = TrainFasttext(positive="source = 'good'", dim=4, epoch=20)
    scores = by_condition(corpus())["train_fasttext_score"].to_numpy()
    assert scores[:100].min() > 0.5 > scores[100:].max()


def test_rows_without_a_label_are_scored_but_not_trained_on() -> None:
    table = pa.table({"text": GOOD + BAD, "source": ["x"] * 200, "toxic": [False] * 90 + [None] * 20 + [True] * 90})
    train = TrainFasttext(positive="toxic", dim=4, epoch=20, holdout=0.0)
    assert train.facts(model(train, table))["texts"] == 180
    assert train(table)["train_fasttext_score"].null_count == 0


def test_classes_and_sources_have_the_same_size() -> None:
    texts = [f"{word} {n}" for word, count in (("a", 50), ("b", 9), ("c", 400)) for n in range(count)]
    table = pa.table({"text": texts, "source": ["a"] * 50 + ["b"] * 9 + ["c"] * 400})
    train = TrainFasttext(positives=("a", "b"), negatives=("c",), samples=30, dim=2, holdout=0.0)
    limits = train.fit(train.sketch(None, **arrays(train, table)))
    chosen = train.sketch(limits, **arrays(train, table)).to_pandas()
    assert chosen.groupby("of").size().to_dict() == {"a": 21, "b": 9, "c": 30}
    assert level(np.array([10, 2, 10]), 12) == 5


def test_copies_are_on_one_side() -> None:
    train = TrainFasttext(positives=("good",), negatives=("bad",), dim=2, holdout=0.5)
    sketch = train.sketch(None, **arrays(train, corpus()))
    held = train._held_out(sketch["tie"].to_numpy())
    sides: dict[str, bool] = {}
    for text, side in zip(GOOD + BAD, held.tolist(), strict=True):
        assert sides.setdefault(text, side) == side


def test_what_cannot_be_learnt_from_is_told() -> None:
    with pytest.raises(OperatorError, match="source 'gut' has no positive texts"):
        model(TrainFasttext(positives=("gut",), negatives=("bad",)), corpus())
    with pytest.raises(OperatorError, match="leaves no negative texts"):
        model(TrainFasttext(positive="source IS NOT NULL"), corpus())
    for given in (
        {},
        {"positives": ("a",)},
        {"positives": ("a",), "negatives": ("a",)},
        {"positive": "x", "positives": ("a",)},
    ):
        with pytest.raises(ValueError):
            TrainFasttext(**given)


def test_measures() -> None:
    chance = np.random.default_rng(0)
    score = chance.random(4000)
    truth = chance.random(4000) < score  # calibrated
    found = measures(truth, score)
    assert found["calibration_error"] < 0.03
    assert found["auc"] == pytest.approx(5 / 6, abs=0.02)
    pairs = [(a > b) + (a == b) / 2 for a in (0.2, 0.5, 0.5) for b in (0.5, 0.1)]
    assert area(np.array([1, 1, 1, 0, 0], bool), np.array([0.2, 0.5, 0.5, 0.5, 0.1])) == np.mean(pairs)
    assert measures(np.zeros(0, bool), np.zeros(0)) == {}


def test_pareto_keeps_as_gpt3_does() -> None:
    rows = 20_000
    ids = [f"d{n}" for n in range(rows)]
    for score in (0.2, 0.9, 1.0):
        kept = SamplePareto(by="s")(pa.table({"id": ids, "s": [score] * rows}))["dropped_by"].null_count / rows
        assert kept == pytest.approx((2 - score) ** -9, abs=0.01)


RECIPE = """
name: quality
sources:
  crawl: {{path: crawl.jsonl}}
  good: {{path: good.jsonl, reference: true}}
  bad: {{path: bad.jsonl, reference: true}}
steps:
  - train_fasttext: {{positives: [good], negatives: [bad], dim: 4, epoch: 20, as: quality}}
  - keep: {{rules: {{quality: {{column: quality_train_fasttext_score, min: {least}}}}}}}
"""


def test_in_a_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kinds = {"good": GOOD, "bad": BAD, "crawl": [*GOOD[:5], *BAD[:7]]}
    for name, texts in kinds.items():  # the data's own `source` is not the recipe's
        Path(f"{name}.jsonl").write_text(
            "".join(json.dumps({"text": f"{text} {at}", "source": "web"}) + "\n" for at, text in enumerate(texts))
        )
    result = engine.run(Recipe.parse(RECIPE.format(least=0.5)), Config(workers=1))
    assert result.manifest["kept"] == 5
    facts = result.manifest["corpus"]["quality"]
    assert facts["auc"] == 1.0 and len(facts["groups"]) == 10
    assert f"{facts['auc']:,} auc" in Path(result.path, "README.md").read_text()
    again = engine.run(Recipe.parse(RECIPE.format(least=0.0)), Config(workers=1))
    assert again.manifest["corpus"]["quality"] == facts and again.manifest["kept"] == 12


def test_as_good_as_by_hand_on_labelled_lines() -> None:
    """Web lines that people called main text or noise (TurkuNLP): as good as fastText by hand, on the same split."""
    from benchmarks.classifier_accuracy import DATA, compare, labelled

    if not DATA.exists():
        pytest.skip("no shared data beside the repository")
    found = compare(labelled(DATA, "en"), orders=3)
    assert found.ours["held_out"] == found.held_out > 500
    assert found.ours["accuracy"] > np.mean(found.accuracy) - 0.02
    assert found.ours["auc"] > 0.85
