"""`curate decide`: rules applied to columns give what a full run with those rules gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import curate
from curate import Config, Recipe, Result, ops
from curate.deciding.policy import with_rules
from curate.errors import DataError, PlanError

SHARDS = Path(__file__).resolve().parent / "data/shards"
STEPS = """
  - normalize
  - gopher
  - sample: {share: 0.9}
  - keep:
      rules:
        words: {column: gopher_word_count, min: 20}
        tongue: "language <> 'zxx'"
  - keep: {as: prose, from: code, rules: {letters: {column: gopher_alpha_word_ratio, min: 0.3}}}
"""
DEDUP = "  - dedup_exact\n  - dedup_minhash\n"
STRICTER: dict[str, Any] = {
    "rules": {
        "words": {"column": "gopher_word_count", "min": 30, "max": 2000, "overrides": {"de": {"min": 25}, "en": None}},
        "tongue": "language <> 'zxx' AND gopher_mean_word_length < 7.5",
        "stop_words": {"column": "gopher_stop_word_count", "min": 1, "nulls": "pass"},
    }
}
LOOSER = {"rules": {"words": {"column": "gopher_word_count", "min": 5}}}


def run(folder: Path, steps: str, annotate: str, name: str = "run") -> Result:
    text = f"""
name: web
annotate: {annotate}
sources:
  web: {{path: "{SHARDS}/web-*.jsonl.zst", columns: {{url: url, language: language}}}}
  code: {{path: "{SHARDS}/code-000.parquet", columns: {{language: language}}}}
steps:{steps}output: {{path: "{folder / name}"}}
"""
    return curate.run(Recipe.parse(text), Config(workers=1))


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A run in which every step has seen every document."""
    return run(tmp_path_factory.mktemp("all"), STEPS + DEDUP, "all")


@pytest.fixture(scope="module")
def kept_only(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return run(tmp_path_factory.mktemp("kept"), STEPS, "kept")


def full_run(before: Result, rules: Any, folder: Path) -> Result:
    """A run of its recipe with other rules, from nothing."""
    from curate.deciding.policy import steps_of

    recipe = with_rules(Recipe.load(before.path / "recipe.yaml"), steps_of(rules))
    plain = recipe.to_plain() | {"output": {"path": str(folder / "full")}}
    return curate.run(Recipe.parse(json.dumps(plain)), Config(workers=1))


def assert_equal(decided: Result, full: Result) -> None:
    for part in ("annotations", "data"):
        assert decided.arrow(part).schema.equals(full.arrow(part).schema)
        assert decided.arrow(part).to_pylist() == full.arrow(part).to_pylist()
    for key in ("records", "kept", "quarantined", "columns", "rules", "funnel", "shards", "corpus"):
        assert decided.manifest[key] == full.manifest[key], key


@pytest.mark.parametrize("rules", [STRICTER, LOOSER], ids=["stricter", "looser"])
@pytest.mark.parametrize("of", ["everything", "kept_only"])
def test_a_decision_on_a_run_is_what_a_full_run_gives(
    rules: Any, of: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    before: Result = request.getfixturevalue(of)
    counted = curate.decide(before.path, rules)
    decided = curate.decide(before, rules, tmp_path / "anew")
    full = full_run(before, rules, tmp_path)
    assert decided.result is not None
    assert_equal(decided.result, full)
    assert counted.order.to_plain() == decided.order.to_plain() == full.manifest["funnel"]
    assert counted.kept != before.manifest["kept"]
    for name in ("recipe.yaml", "quarantine.jsonl", "report.html", "README.md"):
        assert (decided.result.path / name).exists()


def test_a_looser_rule_before_other_steps_goes_on_from_what_is_stored(tmp_path: Path) -> None:
    before = run(tmp_path, STEPS + DEDUP, "kept")
    with pytest.raises(PlanError, match="dedup_exact saw only what the rules before it had kept"):
        curate.decide(before, LOOSER)
    decided = curate.decide(before, LOOSER, tmp_path / "anew")
    assert decided.result is not None
    assert_equal(decided.result, full_run(before, LOOSER, tmp_path))
    assert decided.kept == decided.result.manifest["kept"]


# ---------------------------------------------------------------- anyone's Parquet

TABLE = pa.table(
    {
        "doc": ["a", "b", "c", "d"],
        "language": ["en", "en", "de", None],
        "score": pa.array([0.1, float("nan"), None, 0.9], pa.float32()),
        "length": pa.array([10, 20, 30, 40], pa.int32()),
        "n": [1, 2, 3, 4],
    }
)


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    folder = tmp_path / "signals"
    folder.mkdir()
    pq.write_table(TABLE.slice(0, 3), folder / "0.parquet")
    pq.write_table(TABLE.slice(3), folder / "1.parquet")
    return folder


@pytest.mark.parametrize("where", ["", "*.parquet"], ids=["folder", "glob"])
def test_anyones_parquet_gets_reasons(parquet: Path, tmp_path: Path, where: str) -> None:
    rules = {"rules": {"good": {"column": "score", "min": 0.1}, "long": {"column": "length", "min": 15}}}
    decided = curate.decide(parquet / where, rules, tmp_path / "out", bytes="length", words="n")
    assert decided.result is not None
    rows = decided.result.arrow("annotations").to_pylist()
    assert [row["failed_rules"] for row in rows] == [["long"], ["good"], ["good"], []]
    assert [row["dropped_by"] for row in rows] == ["long", "good", "good", None]
    assert decided.result.arrow("data").to_pylist() == TABLE.slice(3).to_pylist()
    steps = decided.result.manifest["funnel"]["steps"]
    assert [(step["documents"], step["bytes"], step["words"]) for step in steps] == [
        (4, 100, 10),
        (2, 50, 5),
        (1, 10, 1),
        (1, 40, 4),
    ]
    assert curate.decide(decided.result, {"rules": {"long": {"column": "length", "min": 25}}}).kept == 2
    with pytest.raises(PlanError, match=r"`data` does not have: decide on .*signals"):
        curate.decide(decided.result, {"rules": {"long": {"column": "length", "min": 25}}}, tmp_path / "looser")


def test_the_operator_itself_is_a_policy(parquet: Path) -> None:
    assert curate.decide(parquet, ops.Keep(rules={"tongue": "language = 'en'"})).kept == 2


@pytest.mark.parametrize("form", ["json", "struct"])
def test_signals_of_redpajama_are_columns(tmp_path: Path, form: str) -> None:
    values = [{"rps_doc_word_count": [[0.0, 9.0, 40.0]], "ccnet_bucket": [[0.0, 9.0, None]]}] * 2
    values[0] = {"rps_doc_word_count": [[0.0, 9.0, 60.0]], "ccnet_bucket": [[0.0, 9.0, 1.0]]}
    column = [json.dumps(value) for value in values] if form == "json" else values
    pl.DataFrame({"doc_id": ["x", "y"], "quality_signals": column}).write_parquet(tmp_path / "a.parquet")
    rules = {
        "words": {"column": "rps_doc_word_count", "min": 50},
        "bucket": {"column": "ccnet_bucket", "max": 1, "nulls": "pass"},
    }
    decided = curate.decide(tmp_path / "a.parquet", {"rules": rules})
    assert (decided.kept, dict(decided.order.failed)) == (1, {"words": 1, "bucket": 0})


def test_signals_of_redpajama_as_they_are_published(tmp_path: Path) -> None:
    import gzip

    lines = [{"id": str(n), "quality_signals": {"rps_doc_word_count": [[0, 9, n * 10]]}} for n in range(9)]
    with gzip.open(tmp_path / "en_head.signals.json.gz", "wt") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    assert curate.decide(tmp_path, {"rules": {"words": {"column": "rps_doc_word_count", "min": 50}}}).kept == 4


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"rules": {"long": {"column": "lenght", "min": 1}}}, "rules:1: keep reads 'lenght'.*did you mean 'length'"),
        ({"rules": {"long": {"column": "language", "min": 1}}}, "has bounds, but language is string"),
        ({"steps": ["dedup_exact"]}, "dedup_exact is no rule on columns"),
        ({"steps": ["gopher"]}, "there is no `keep` step"),
    ],
    ids=["column", "type", "dedup", "none"],
)
def test_wrong_rules_stop_before_data_is_read(parquet: Path, rules: Any, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        curate.decide(parquet, rules)


def test_wrong_places_are_told(parquet: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no Parquet file"):
        curate.decide(tmp_path / "empty", LOOSER)
    with pytest.raises(PlanError, match="is not empty"):
        curate.decide(parquet, {"rules": {"n": {"min": 1}}}, parquet)
    with pytest.raises(PlanError, match="has no column 'lengths' - did you mean 'length'"):
        curate.decide(parquet, LOOSER, words="lengths")


def test_more_rules_than_bits_in_a_number(tmp_path: Path) -> None:
    pl.DataFrame({"n": range(200)}).write_parquet(tmp_path / "n.parquet")
    rules = {f"r{at}": {"column": "n", "min": at} for at in range(150)}
    decided = curate.decide(tmp_path / "n.parquet", {"rules": rules})
    assert decided.kept == 51
    assert decided.order.failed["r149"] == 149


@pytest.mark.parametrize(
    "text",
    [
        "rules: {n: {min: 2}}",
        "keep: {rules: {n: {min: 2}}}",
        "- keep: {rules: {n: {min: 2}}}",
        "{steps: [keep: {rules: {n: {min: 2}}}]}",
    ],
    ids=["body", "keep", "steps", "recipe"],
)
def test_forms_of_a_rules_file(text: str, parquet: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(text)
    assert curate.decide(parquet, tmp_path / "rules.yaml").kept == 3


def test_a_wrong_key_in_a_rules_file_has_its_line(parquet: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("rules:\n  n:\n    minn: 2\n")
    with pytest.raises(curate.CurateError, match=r"rules\.yaml:3: .*minn"):
        curate.decide(parquet, tmp_path / "rules.yaml")
