"""`curate what-if`: every count on a curve is what deciding with that bound gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import curate
from curate import Config, Recipe, Result
from curate.deciding.cells import matrix
from curate.deciding.what_if import WhatIf
from curate.errors import PlanError

SHARDS = Path(__file__).resolve().parent / "data/shards"
RULES: dict[str, Any] = {
    "words": {"column": "gopher_word_count", "min": 20, "max": 900},
    "letters": {"column": "gopher_alpha_word_ratio", "min": 0.5},
    "tongue": "language <> 'zxx'",
    "stops": {"column": "gopher_stop_word_count", "min": 1, "overrides": {"de": {"min": 0}, "ja": None}},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Result:
    text = f"""
name: web
annotate: all
sources: {{web: {{path: "{SHARDS}/web-*.jsonl.zst", columns: {{url: url, language: language}}}}}}
steps: [gopher, {{keep: {{rules: {json.dumps(RULES)}}}}}, dedup_exact]
output: {{path: {tmp_path_factory.mktemp("run")}/out}}
"""
    return curate.run(Recipe.parse(text), Config(workers=1))


@pytest.fixture(scope="module")
def found(run: Result) -> WhatIf:
    return curate.what_if(run.path)


def changed(rule: str, **bounds: Any) -> dict[str, Any]:
    return {"rules": RULES | {rule: RULES[rule] | bounds}}


def counted(decision: curate.Decision, by: str = "all", value: str | None = None) -> list[int]:
    steps = [decision.order.total(None)]
    if by != "all":
        steps = [
            decision.order.total(None, group=group)
            for group in decision.order.groups()
            if group[0 if by == "source" else 1] == value
        ]
    return [sum(step[unit] for step in steps) for unit in ("documents", "words", "bytes")]


@pytest.mark.parametrize(("rule", "side"), [("words", "min"), ("words", "max"), ("letters", "min"), ("stops", "min")])
def test_a_curve_is_what_decisions_give(run: Result, found: WhatIf, rule: str, side: str) -> None:
    curve = found.curve(rule, side)
    assert len(curve) > 5
    for row in curve[:: max(1, len(curve) // 6)].to_dicts() + curve.filter("now").to_dicts():
        bound = changed(rule, **{side: row["bound"]})
        if side == "min" and row["bound"] > RULES[rule].get("max", np.inf):
            assert row["documents"] == row["alone_documents"] == 0
            continue
        if side == "max" and row["bound"] < RULES[rule].get("min", -np.inf):
            continue
        units = ("documents", "words", "bytes")
        assert [row[unit] for unit in units] == counted(curate.decide(run, bound))
        assert row["alone_documents"] == decided_alone(run, rule, bound)


def decided_alone(run: Result, rule: str, rules: dict[str, Any]) -> int:
    decision = curate.decide(run, rules)
    hit = matrix(decision.rules, decision.cells)[:, [*decision.rules.reasons].index(rule)]
    return int(decision.cells["documents"].to_numpy()[~hit].sum())


def test_curves_of_groups(run: Result, found: WhatIf) -> None:
    curves = found.curves.filter(pl.col("rule") == "words", pl.col("side") == "min")
    for by in ("source", "language"):
        sums = curves.filter(pl.col("by") == by).group_by("bound").agg(pl.col("documents").sum()).sort("bound")
        assert sums["documents"].to_list() == found.curve("words", "min")["documents"].to_list()
    middle = found.curve("words", "min")["bound"].to_list()[4]
    decision = curate.decide(run, changed("words", min=middle))
    for row in curves.filter(pl.col("by") == "language", pl.col("bound") == middle).to_dicts():
        assert [row[unit] for unit in ("documents", "words", "bytes")] == counted(decision, "language", row["value"])


def test_a_language_with_bounds_of_its_own_moves_in_its_own_curve(run: Result) -> None:
    found = curate.what_if(run, rule="stops", bounds={"stops": [0, 1, 3]})
    everyone = found.curve("stops")["documents"].to_list()
    own = found.curves.filter(pl.col("by") == "language")
    german = own.filter(pl.col("value") == "de")["documents"].to_list()
    assert german[0] > german[2]
    moved = [counted(curate.decide(run, changed("stops", min=bound)))[0] for bound in (0, 1, 3)]
    assert everyone == moved
    own_bounds = [RULES["stops"]["overrides"] | {"de": {"min": bound}} for bound in (0, 1, 3)]
    decisions = [curate.decide(run, changed("stops", overrides=bounds)) for bounds in own_bounds]
    assert german == [counted(decision, "language", "de")[0] for decision in decisions]


def test_the_table_of_rules(run: Result, found: WhatIf) -> None:
    lists = run.scan("annotations").select("failed_rules", "text_words").collect().to_dicts()
    manifest = run.manifest["funnel"]["steps"]
    assert found.rules["rule"].to_list() == [*RULES, "dedup_exact"]
    for row, step in zip(found.rules.to_dicts(), manifest[1:], strict=False):
        mine = [entry for entry in lists if entry["failed_rules"] == [row["rule"]]]
        assert (row["fails"], row["takes"]) == (step["failed"], step["documents"])
        assert (row["only_documents"], row["only_words"]) == (len(mine), sum(entry["text_words"] for entry in mine))
        assert row["alone_documents"] == sum(row["rule"] not in entry["failed_rules"] for entry in lists)


def test_the_overlap_of_rules(run: Result, found: WhatIf) -> None:
    sets = [set(row) for row in run.scan("annotations").select("failed_rules").collect()["failed_rules"].to_list()]
    assert len(found.overlap) == 25
    for row in found.overlap.to_dicts():
        one, two = ({at for at, fails in enumerate(sets) if row[name] in fails} for name in ("rule", "other"))
        assert row["documents"] == len(one & two)
        assert row["share"] == pytest.approx(len(one & two) / max(len(one), 1))
        assert row["jaccard"] == pytest.approx(len(one & two) / max(len(one | two), 1))


def test_groups_add_up(run: Result, found: WhatIf) -> None:
    assert found.groups["documents"].sum() == run.manifest["records"]
    assert found.groups["kept_documents"].sum() == run.manifest["kept"]


def test_anyones_columns_and_all_their_values(tmp_path: Path) -> None:
    pl.DataFrame({"n": [3, 1, None, 2, 2], "f": [0.5, float("nan"), 1.0, 2.0, 0.0]}).write_parquet(
        tmp_path / "n.parquet"
    )
    rules = {"n": {"min": 2, "nulls": "pass"}, "f": {"max": 1.0}}
    found = curate.what_if(tmp_path / "n.parquet", {"rules": rules})
    assert found.curve("n")["bound"].to_list() == [1, 2, 3]
    assert found.curve("n")["alone_documents"].to_list() == [5, 4, 2]
    assert found.curve("n")["documents"].to_list() == [3, 3, 2]
    assert found.curve("f").select("bound", "alone_documents").rows() == [(2.0, 4), (1.0, 3), (0.5, 2), (0.0, 1)]
    assert found.curve("n").filter("now")["bound"].to_list() == [2]
    with pytest.raises(PlanError, match="say which rules"):
        curate.what_if(tmp_path / "n.parquet")


def test_steps_after_a_rule_are_not_guessed(tmp_path: Path) -> None:
    text = f"""
name: web
sources: {{web: {{path: "{SHARDS}/web-*.jsonl.zst"}}}}
steps: [gopher, {{keep: {{rules: {{words: {{column: gopher_word_count, min: 20}}}}}}}}, dedup_exact]
output: {{path: {tmp_path}/out}}
"""
    run = curate.run(Recipe.parse(text), Config(workers=1))
    found = curate.what_if(run)
    (now,) = found.curve("words").filter("now").to_dicts()
    assert now["documents"] == run.manifest["kept"]
    with pytest.raises(PlanError, match="dedup_exact saw only what"):
        curate.what_if(run, {"rules": {"words": {"column": "gopher_word_count", "min": 10}}})


def test_files_and_pictures(found: WhatIf, tmp_path: Path) -> None:
    assert [path.name for path in found.to(tmp_path)] == [
        f"{n}.parquet" for n in ("rules", "curves", "overlap", "groups")
    ]
    assert pl.read_parquet(tmp_path / "curves.parquet").equals(found.curves)
    assert found._repr_html_().count("<svg") == 3
    assert "only it drops" in repr(found)
    assert "(now)" in found.text("words")


def test_a_rule_that_is_not_there(run: Result) -> None:
    with pytest.raises(PlanError, match="no rule 'word' - did you mean 'words'"):
        curate.what_if(run, rule="word")
