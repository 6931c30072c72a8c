"""Rule sets: `keep: {rules: NAME}` brings rules and the signals they read, and nothing else."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
import zstandard

from curate.corpus import read
from curate.engine import plan_recipe, run
from curate.errors import PlanError, RecipeError
from curate.operators.gopher import Gopher
from curate.operators.keep import Bounds, Keep
from curate.recipe import Recipe, Step
from curate.recipe_file import shipped
from curate.rules import rule_set

SETS = [name.removeprefix("rules/") for name in shipped() if name.startswith("rules/")]
FINEWEB2 = Path(__file__).resolve().parents[2] / "shared/data/lists/fineweb2.tar.zst"
SHARDS = Path(__file__).resolve().parent / "data/shards"
SOURCES = f"sources: {{corpus: {{path: {SHARDS}/web-000.jsonl.zst, columns: {{url: url}}}}}}\n"


def scan(folder: Path) -> pa.Table:
    return pq.ParquetDataset(folder / "annotations").read()


def parse(*steps: str) -> tuple[Step, ...]:
    return Recipe.parse("\n".join(["name: x", SOURCES, "steps:", *(f"- {step}" for step in steps)])).steps


def keep(step: Step) -> Any:
    assert isinstance(step.operator, Keep)
    return step.operator


def test_a_rule_set_brings_the_signals_it_reads() -> None:
    signals, rules = parse("keep: {rules: gopher, with: {word_count: {min: 7}, stop_words: null}}")
    assert isinstance(signals.operator, Gopher)
    assert {*Gopher().writes()} - {*signals.operator.writes()} == {"gopher_stop_word_count"}
    assert keep(rules).rule("word_count").min == 7 and keep(rules).rule("word_count").max == 100000
    assert "stop_words" not in rules.reasons_given()
    assert rules.reasons_given()["word_count"] == "gopher.word_count"


def test_what_is_measured_already_is_not_measured_again() -> None:
    _, *rest = parse("gopher: {signals: [gopher_word_count]}", "keep: {rules: gopher}")
    assert "gopher_word_count" not in rest[0].operator.writes()
    assert [step.operator.name() for step in parse("gopher", "keep: {rules: gopher}")] == ["gopher", "keep"]
    steps = parse("keep: {rules: gopher, with: {word_count: null}}", "keep: {rules: gopher, as: again}")
    assert list(steps[2].operator.writes()) == ["gopher_word_count"]
    assert keep(steps[3]) == keep(parse("keep: {rules: gopher}")[1])


def test_what_a_step_says_of_itself_is_about_the_rules() -> None:
    signals, rules = parse("keep: {rules: gopher, as: quality, from: corpus, where: id <> 'x'}")
    assert (signals.as_, signals.from_, signals.where) == (None, (), None)
    assert (rules.as_, rules.from_, rules.where) == ("quality", ("corpus",), "id <> 'x'")
    (only,) = parse("gopher: {as: h}", "keep: {rules: gopher, columns: {gopher_word_count: h_gopher_word_count}}")[2:]
    assert keep(only)
    assert (
        "gopher_word_count" not in parse("keep: {rules: gopher, columns: {gopher_word_count: id}}")[0].operator.writes()
    )


def test_a_change_may_name_a_language() -> None:
    _, rules = parse("keep: {rules: gopher, with: {stop_words: {overrides: {zh: null, de: {min: 1}}}}}")
    assert keep(rules)({"gopher_stop_word_count": 1, "language": "de"} | ENOUGH) == {"dropped_by": None}
    assert keep(rules)({"gopher_stop_word_count": 1, "language": "en"} | ENOUGH) == {"dropped_by": "stop_words"}


ENOUGH = {name: 0.0 for name in Gopher().writes() if name != "gopher_stop_word_count"} | {
    "gopher_word_count": 100,
    "gopher_mean_word_length": 5.0,
    "gopher_alpha_word_ratio": 1.0,
}


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("keep: {rules: gofer}", r"^recipe:5: no rule set 'gofer', and no such file - did you mean 'gopher'\?"),
        (
            "keep: {rules: gopher, with: {wordcount: null}}",
            r"^recipe:5: gopher: .*'wordcount' - did you mean 'word_count'",
        ),
        ("keep: {rules: gopher, with: {word_count: {mim: 3}}}", r"^recipe:5: gopher: .*mim"),
        ("keep: {rules: gopher, with: {word_count: {min: x}}}", r"^recipe:5: gopher: "),
        ("keep: {rules: gopher, with: {word_count: 30}}", r"^recipe:5: gopher: rule 'word_count': 30 is no change"),
        ("keep: {rules: gopher, wiht: {}}", r"^recipe:5: keep has no key 'wiht' - did you mean 'with'"),
        ("keep: {rules: quickstart}", r"^recipe:5: "),
    ],
    ids=["set", "rule", "key", "type", "value", "with", "recipe"],
)
def test_mistakes_are_named(step: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse(step)


def test_a_rule_set_of_your_own(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("steps: [gopher, keep: {rules: {long: {column: gopher_word_count, min: 9}}}]\n")
    (tmp_path / "recipe.yaml").write_text(f"{SOURCES}steps: [keep: {{rules: mine.yaml}}]\n")
    signals, rules = Recipe.load(tmp_path / "recipe.yaml").steps
    assert list(signals.operator.writes()) == ["gopher_word_count"] and rules.reasons_given() == {"long": "long"}


def test_a_misspelt_signal_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        RecipeError, match="gopher has no signal 'gopher_word_counts' - did you mean 'gopher_word_count'"
    ):
        parse("gopher: {signals: [gopher_word_counts]}")
    (tmp_path / "bad.yaml").write_text("steps: [gopher, keep: {rules: {long: {column: gopher_word_counts, min: 9}}}]\n")
    recipe = Recipe.parse(f"name: x\n{SOURCES}steps: [keep: {{rules: {tmp_path}/bad.yaml}}]\n")
    with pytest.raises(PlanError, match="'gopher_word_counts', which nothing before it writes"):
        plan_recipe(recipe)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Web pages, source files and edge cases, with the metadata that some rule sets read."""
    folder = tmp_path_factory.mktemp("corpus")
    rows: list[dict[str, Any]] = []
    for name, path in (("web", "web-000.jsonl.zst"), ("code", "code-000.parquet")):
        tables = read(str(SHARDS / path), name=name).sample(300)
        rows += [{"text": text} for text in tables["text"].to_pylist()]
    rows += [{"text": text} for text in ("", " ", "\n", "x", "#" * 500)]
    for at, row in enumerate(rows):
        row |= {"id": str(at), "path": "a/b.py", "url": f"https://example.org/{at}", "ccnet_bucket": at % 3}
        row |= {"rps_doc_ml_wikiref_score": (at % 10) / 10}
    pq.write_table(pa.Table.from_pylist(rows), folder / "corpus.parquet")
    return folder / "corpus.parquet"


@pytest.mark.parametrize("name", SETS)
def test_every_rule_has_its_source(name: str) -> None:
    rules = keep(rule_set(name)[-1])
    assert all(rules.rule(rule).source for rule in rules.rules)


@pytest.mark.parametrize("name", SETS)
def test_every_rule_set_measures_what_it_reads_and_runs(name: str, corpus: Path, tmp_path: Path) -> None:
    columns = "{url: url, path: path, ccnet_bucket: ccnet_bucket, rps_doc_ml_wikiref_score: rps_doc_ml_wikiref_score}"
    source = f"sources: {{corpus: {{path: {corpus}, columns: {columns}}}}}\n"
    step = f"steps:\n- language\n- keep: {{rules: {name}}}\n"
    recipe = Recipe.parse(f"name: x\n{source}{step}output: {{path: {tmp_path}/out}}\n")
    result = run(recipe)
    made = {column for step in recipe.steps for column in step.columns_written().values()}
    rules = keep(recipe.steps[-1])
    assert made - set(rules.reads()) <= {"language", "language_score"}
    dropped = [name for name in scan(result.path)["dropped_by"].to_pylist() if name]
    assert dropped and set(dropped) <= set(recipe.steps[-1].reasons_given().values())
    assert result.manifest["quarantined"] == 0 and result.manifest["records"]


# ---------------------------------------------------------------- FineWeb-2


def test_the_table_has_no_column_that_is_nobodys_rule() -> None:
    rules = keep(rule_set("fineweb-2")[-1])
    (path,) = rules.files()
    head = Path(path).read_text(encoding="utf-8").split("\n", 1)[0].split(",")
    named = {name for name, rule in rules.rules.items() if rule.overrides}
    assert {column.rpartition(".")[0] for column in head[1:]} - named == {"language_score"}


def test_bounds_are_those_of_each_language() -> None:
    rules = keep(rule_set("fineweb-2")[-1])
    for language in ("fra_Latn", "fr"):
        assert rules.rule("top_2grams").by_value()[language].max == 0.161
        assert rules.rule("mean_word_length").by_value()[language] == Bounds(min=2, max=11)
    assert rules.rule("line_punctuation").by_value()["yue"] is not None
    assert "en" not in rules.rule("top_2grams").by_value()
    assert len(rules.rule("top_2grams").by_value()) > 1929


@pytest.mark.skipif(not FINEWEB2.exists(), reason="the shared FineWeb-2 configurations are not here")
def test_bounds_are_the_published_ones(tmp_path: Path) -> None:
    data = zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(FINEWEB2.open("rb")).read()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found = [member for member in archive if member.name.endswith(".yml")]
        said = {Path(one.name).stem: yaml.safe_load(archive.extractfile(one).read()) for one in found[::60]}  # type: ignore[union-attr]
    rules = keep(rule_set("fineweb-2")[-1])
    bounds = {name: rules.rule(name).by_value() for name in rules.rules}
    for language, config in said.items():
        assert bounds["duplicate_lines"][language].max == config["dup_line_frac"]
        for n, most in config["top_n_grams"]:
            assert bounds[f"top_{n}grams"][language].max == most
        for n, most in config["dup_n_grams"]:
            assert bounds[f"duplicate_{n}grams"][language].max == most
        least, most = config["min_avg_word_length"], config["max_avg_word_length"]
        assert bounds["mean_word_length"][language] == Bounds(min=least, max=most)
        assert bounds["alpha_words"][language].min == config["max_non_alpha_words_ratio"]
        assert bounds["new_lines"][language].max == config["new_line_ratio"]
        threshold = config["line_punct_thr"]
        assert bounds["line_punctuation"][language].min == (None if threshold == -1 else threshold)
    assert len(found) == 1929
