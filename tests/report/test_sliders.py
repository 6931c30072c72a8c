"""The numbers behind the sliders are those of what-if, of a whole run with other bounds, and of the documents."""

from __future__ import annotations

import base64
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import curate
from curate import Config, Corpus, Result, ops, read
from curate.recipe import Recipe
from curate.report.look import Look
from curate.report.measure import Distribution, numbers

ROWS = 400


def table() -> pa.Table:
    chance = np.random.default_rng(3)
    score = np.round(chance.normal(0.5, 0.2, ROWS), 2)
    size = chance.integers(0, 30, ROWS)
    return pa.table(
        {
            "id": [f"d{n}" for n in range(ROWS)],
            "text": ["word " * int(1 + n % 7) + str(n % 350) for n in range(ROWS)],
            "language": [["en", "de", "fr"][n % 3] for n in range(ROWS)],
            "score": pa.array(score, mask=chance.random(ROWS) < 0.1),
            "size": size,
            "odd": pa.array([np.nan if n % 40 == 0 else np.inf if n % 41 == 0 else n / 10 for n in range(ROWS)]),
        }
    )


RULES: dict[str, Any] = {
    "good": {"column": "score", "min": 0.3, "max": 0.9},
    "large": {"column": "size", "min": 5, "overrides": {"de": {"min": 10}, "fr": None}},
    "even": {"column": "odd", "max": 30.5, "nulls": "pass"},
    "tongue": "language <> 'fr' OR size > 3",
}


def corpus(annotate: str) -> Corpus:
    made = read(table(), name="docs") | ops.Keep(rules=RULES) | ops.DedupExact()
    return made._with(annotate=annotate)


@pytest.fixture(scope="module", params=["all", "kept"])
def look(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Look:
    result = corpus(request.param).run(str(tmp_path_factory.mktemp("sliders") / "out"), Config(workers=1))
    return Look(result.path, result.manifest, Recipe.load(result.path / "recipe.yaml"))


def test_every_stop_has_the_count_that_what_if_gives(look: Look) -> None:
    data = look.rules()["data"]["sliders"]
    assert [each["rule"] for each in data] == ["good", "large", "even"]
    for each, side in [(rule, side) for rule in data for side in rule["sides"]]:
        told = curate.what_if(look.run, rule=each["rule"], bounds={each["rule"]: each["stops"]})
        curve = told.curve(each["rule"], side).sort("bound")
        assert curve["bound"].to_list() == each["stops"]
        names = ("documents", "alone_documents", "words", "bytes")
        assert [curve[name].to_list() for name in names] == each["sides"][side]["counts"]


def test_as_it_stands_is_what_was_kept(look: Look) -> None:
    for each in look.rules()["data"]["sliders"]:
        for side in each["sides"].values():
            assert side["counts"][0][side["now"]] == look.manifest["kept"]


def kept_together(look: Look, stops: dict[tuple[str, str], int]) -> tuple[int, int]:
    """What the page's script does: documents and words kept with several bounds moved."""
    data = look.rules()["data"]
    some = data["sample"]
    sides = [(each, side) for each in data["sliders"] for side in each["sides"]]
    lost, words, flat = (base64.b64decode(some[name]) for name in ("lost", "words", "bounds"))
    bounds = np.frombuffer(flat, np.uint8).reshape(len(sides), some["documents"])
    keep = np.frombuffer(lost, np.uint8) == 0
    for (each, side), limit in zip(sides, bounds, strict=True):
        stop = stops.get((each["rule"], side), each["sides"][side]["now"])
        keep &= stop < limit if side == "min" else stop >= limit
    return int(keep.sum()), int(np.frombuffer(words, np.uint32)[keep].sum())


def test_one_bound_of_the_sample_is_the_exact_count(look: Look) -> None:
    """Every document is in the sample here, so that both ways to count must agree at every stop."""
    assert look.rules()["data"]["sample"]["documents"] == ROWS
    for each in look.rules()["data"]["sliders"]:
        for side, about in each["sides"].items():
            for stop in range(len(each["stops"])):
                documents, words = kept_together(look, {(each["rule"], side): stop})
                assert (documents, words) == (about["counts"][0][stop], about["counts"][2][stop]), (
                    each["rule"],
                    side,
                    stop,
                )


def test_several_bounds_are_what_a_run_with_them_keeps(look: Look) -> None:
    data = {each["rule"]: each for each in look.rules()["data"]["sliders"]}
    if look.policy.is_kept_only:
        return  # what a step has not seen, nobody can tell
    for low, size, most in itertools.product((2, 20), (0, 12), (10, 25)):
        stops = {("good", "min"): low, ("large", "min"): size, ("even", "max"): most}
        good = {**RULES["good"], "min": data["good"]["stops"][low]}
        large = {**RULES["large"], "min": data["large"]["stops"][size]}
        even = {**RULES["even"], "max": data["even"]["stops"][most]}
        decision = curate.decide(look.run, {"rules": {**RULES, "good": good, "large": large, "even": even}})
        assert kept_together(look, stops)[0] == decision.kept


def test_histograms_hold_every_finite_value_once(look: Look) -> None:
    frame = look.run.polars("annotations")
    for name, it in look.measured.distributions.items():
        values = frame[name].cast(float)
        finite = values.is_finite().fill_null(False)
        kept = frame["dropped_by"].is_null()
        assert sum(it.kept) == (finite & kept).sum()
        assert sum(it.dropped) == (finite & ~kept).sum()
        assert it.nulls == values.null_count()
        assert it.kept == np.histogram(values.filter(finite & kept).to_numpy(), it.edges)[0].tolist()


def test_counts_do_not_depend_on_batches(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    from curate.deciding import annotated

    before = look.measured
    monkeypatch.setattr(annotated, "ROWS", 7)
    again = Look(look.folder, look.manifest, look.recipe)
    assert again.measured.distributions == before.distributions
    assert again.measured.picked == before.picked
    assert repr(again.measured.sample.to_pylist()) == repr(before.sample.to_pylist())


def test_a_column_without_numbers_has_no_picture(tmp_path: Path) -> None:
    data = pa.table({"id": ["a", "b"], "text": ["x", "y"], "none": pa.array([None, None], pa.float64())})
    result = (read(data, name="docs") | ops.Keep(rules={"x": "text <> 'y'"})).run(
        str(tmp_path / "out"), Config(workers=1)
    )
    made = Look(result.path, result.manifest, Recipe.load(result.path / "recipe.yaml"))
    assert numbers(made.documents) == ["none"]
    assert made.measured.distributions["none"] == Distribution("none", [], [], [], {}, 2, [])
    assert Result(result.path, result.manifest).report_text()
