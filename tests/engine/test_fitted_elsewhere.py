"""Trainers that are fitted on other sources than those they are applied to: plan, keys, passes, what a rerun costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from curate import Config, Recipe, Trainer, engine
from curate.errors import PlanError
from curate.execute.batches import read_table
from curate.io.source import Source
from curate.ops import Normalize, Sample
from curate.plan import Plan
from curate.recipe import Output, Step
from curate.store import Store

CALLS: list[str] = []


class Familiar(Trainer, frozen=True):
    """How many rows of each reference a model has seen, and whether a text is among them.

    familiar_to   the sources that hold the text, joined by a comma
    """

    against: tuple[str, ...]
    most: int = 99
    sees: str = ""

    def fitted_on(self) -> tuple[str, ...]:
        return self.against

    def writes(self) -> dict[str, pa.DataType]:
        return {"familiar_to": pa.string()}

    def reasons(self) -> tuple[str, ...]:
        return (self.name(),)

    def value_identity(self) -> dict[str, Any]:
        return {**self.identity(), "parameters": [self.against, self.sees]}

    def sketch_schema(self) -> pa.Schema:
        return pa.schema([("text", pa.string())])

    def sketch(self, text: pa.StringArray) -> pa.Table:
        CALLS.append(f"sketch {len(text)}")
        return pa.table({"text": text}, schema=self.sketch_schema())

    def fit(self, sketches: pa.Table) -> pa.Table:
        CALLS.append(f"fit {len(sketches)}")
        return sketches.group_by("text", use_threads=False).aggregate([("source", "distinct")])

    def apply(self, text: pa.StringArray, model: pa.Table) -> dict[str, pa.Array]:
        CALLS.append(f"apply {len(text)}")
        known = dict(zip(model["text"].to_pylist(), model["source_distinct"].to_pylist(), strict=True))
        return {"familiar_to": pa.array([",".join(sorted(known.get(one, []))) for one in text.to_pylist()])}

    def decide(self, made: dict[str, pa.Array]) -> dict[str, pa.Array]:
        return {self.name(): pc.greater(pc.utf8_length(made["familiar_to"]), self.most)}


TEXTS = {
    "web": ["one", "two", "three", "four"],
    "more": ["five", "one"],
    "good": ["one", "five"],
    "bad": ["two", "one"],
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    CALLS.clear()
    for name, texts in TEXTS.items():
        write(f"{name}/0.jsonl", texts)
    return tmp_path


def write(name: str, texts: list[str]) -> None:
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))


def recipe(*steps: Any, **changes: Any) -> Recipe:
    sources = {name: Source(path=name, reference=name in ("good", "bad")) for name in TEXTS}
    made = tuple(step if isinstance(step, Step) else Step(operator=step) for step in steps)
    return Recipe(name="familiar", sources=sources, steps=made, **changes)


def run(*steps: Any, **changes: Any) -> Any:
    return engine.run(recipe(*steps, **changes), Config(workers=1))


def plan(*steps: Any) -> Plan:
    return engine.plan_recipe(recipe(*steps))


BOTH = Familiar(against=("good", "bad"))


def test_it_is_fitted_on_them_and_applied_to_the_others() -> None:
    result = run(BOTH)
    assert result.polars("annotations")["familiar_to"].to_list() == ["bad,good", "bad", "", "", "good", "bad,good"]
    assert CALLS == ["sketch 2", "sketch 2", "fit 4", "apply 4", "apply 2"]


def test_what_it_drops_has_its_reason() -> None:
    result = run(Familiar(against=("good", "bad"), most=4))
    assert result.polars("annotations")["dropped_by"].to_list() == ["familiar", None, None, None, None, "familiar"]
    assert [step["documents"] for step in result.manifest["funnel"]["steps"]] == [6, 2, 4]


def test_the_corpus_is_not_read_to_fit() -> None:
    made = plan(Normalize(), BOTH)
    sources = [{made.shards[number].source for number in made.taking_part(this)} for this in made.passes]
    assert sources == [{"good", "bad"}, {"web", "more", "good", "bad"}]
    assert [this.steps for this in made.passes] == [(), (0, 1)]  # normalize leaves references alone


def test_a_new_shard_of_the_corpus_costs_itself() -> None:
    run(BOTH)
    CALLS.clear()
    write("web/1.jsonl", ["two", "six", "one"])
    result = run(BOTH)
    assert CALLS == ["apply 3"]
    assert result.polars("annotations")["familiar_to"].to_list()[4:7] == ["bad", "", "bad,good"]


def test_a_new_shard_of_a_reference_costs_its_sketch_and_a_fit() -> None:
    run(BOTH)
    CALLS.clear()
    write("bad/1.jsonl", ["four"])
    result = run(BOTH)
    assert CALLS == ["sketch 1", "fit 5", "apply 4", "apply 2"]
    assert result.polars("annotations")["familiar_to"].to_list()[3] == "bad"


def test_another_policy_costs_nothing_else() -> None:
    run(BOTH)
    CALLS.clear()
    result = run(Familiar(against=("good", "bad"), most=4))
    assert CALLS == []
    assert result.manifest["kept"] == 4


def test_what_is_done_to_the_corpus_before_does_not_fit_again() -> None:
    keys = [plan(*before, BOTH).steps[-1].corpus_key for before in ([], [Normalize()], [Sample(share=0.5)])]
    assert len({*keys}) == 1


@pytest.mark.parametrize("before", [Normalize(), Sample(share=0.5)], ids=["edited", "dropped"])
def test_what_is_done_to_a_reference_before_does(before: Any) -> None:
    step = Step(operator=before, from_=("bad",))
    assert plan(step, BOTH).steps[-1].corpus_key != plan(BOTH).steps[-1].corpus_key
    assert (
        plan(step, Familiar(against=("good",))).steps[-1].corpus_key
        == plan(Familiar(against=("good",))).steps[0].corpus_key
    )


def test_rows_of_a_reference_that_were_dropped_are_not_fitted_on() -> None:
    dropped = Step(operator=Sample(share=0.0), from_=("bad",))
    assert run(dropped, BOTH).polars("annotations")["familiar_to"].to_list() == ["good", "", "", "", "good", "good"]


def test_where_is_about_the_rows_it_is_applied_to() -> None:
    result = run(Step(operator=BOTH, where="text = 'two'"))
    assert result.polars("annotations")["familiar_to"].to_list() == [None, "bad", None, None, None, None]
    assert "fit 4" in CALLS


def test_it_may_be_fitted_on_a_source_that_is_kept() -> None:
    result = run(Step(operator=Familiar(against=("more",)), from_=("web",)))
    assert result.polars("annotations")["familiar_to"].to_list() == ["more", "", "", "", None, None]


def test_the_sources_of_a_sketch_do_not_depend_on_workers() -> None:
    one = run(BOTH).polars("annotations")
    two = engine.run(recipe(BOTH, output=Output(path="two")), Config(workers=2)).polars("annotations")
    assert one.equals(two)


def test_later_barriers_still_look_ahead() -> None:
    from curate.ops import DedupExact, DedupMinhash

    made = plan(BOTH, DedupExact(), DedupMinhash())
    assert [this.ahead for this in made.passes] == [(), (2,), (), ()]


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (
            [Familiar(against=("goed",))],
            "familiar is fitted on 'goed', which is no source of this recipe - did you mean 'good'?",
        ),
        ([Familiar(against=("xyzzy",))], "which is no source of this recipe; there are web, more, good, bad"),
        (
            [Familiar(against=("web",))],
            "would drop documents of 'web', on which it is fitted: mark that source `reference: true`",
        ),
    ],
    ids=["near", "far", "itself"],
)
def test_wrong_sources_are_refused(steps: list[Any], said: str) -> None:
    with pytest.raises(PlanError) as error:
        plan(*steps)
    assert said in str(error.value)


def test_too_many_bad_records_of_a_reference_are_told_by_their_names() -> None:
    Path("bad/0.jsonl").write_text('{"text": 1}\n' * 30)
    from curate.errors import DataError

    with pytest.raises(DataError, match="quarantined"):
        run(BOTH)
    lines = [json.loads(line) for line in Path("out/familiar/quarantine.jsonl").read_text().splitlines()]
    assert {(line["source"], line["shard"]) for line in lines} == {("bad", "0.jsonl")}


def test_the_model_is_that_of_the_sketches_in_corpus_order() -> None:
    run(BOTH)
    step = plan(BOTH).steps[0]
    model = read_table(Store("out/familiar").model(step.corpus_key))
    assert model["text"].to_pylist() == ["one", "five", "two"]
