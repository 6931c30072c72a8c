"""Selectors against plain-Python twins, and what holds of every budget and mixture."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import curate
from curate import Config, Recipe
from curate.errors import CurateError, OperatorError, PlanError, RecipeError
from curate.evaluate import evaluate, selected
from curate.operator import Selection, Selector
from curate.operators.compute import Bucket, SelectForCompute, utility
from curate.operators.mixture import Balance, SampleMixture
from curate.operators.select import Quota, SelectBudget, SelectPerplexityBand, SelectTop

Rows = Sequence[tuple[int, float, str | None]]  # size, score, group
ROWS = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 5).map(float), st.sampled_from(["a", "b", "c", None])), max_size=30
)


def table(rows: Rows) -> pa.Table:
    columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[], [], []]
    kinds = (pa.int64(), pa.float64(), pa.string())
    names = ("size", "score", "group")
    found = {name: pa.array(column, kind) for name, column, kind in zip(names, columns, kinds, strict=True)}
    return pa.table({"id": pa.array([f"doc-{at}" for at in range(len(rows))], pa.string()), **found})


def chosen(operator: Selector, rows: pa.Table) -> Selection:
    columns = {name: rows[name].combine_chunks() for name in operator.reads()}
    return selected(operator, pa.table(evaluate(operator, columns)))


def kept(operator: Selector, rows: pa.Table) -> list[bool]:
    keep = chosen(operator, rows).keep
    assert keep is not None
    found: list[bool] = keep.tolist()
    return found


def order(rows: pa.Table, by_score: bool, seed: int = 0) -> list[int]:
    """Rows from the best to the worst."""
    from curate.kernels.quotas import ties

    tie = ties(rows["id"].combine_chunks(), seed).to_pylist()
    score = rows["score"].to_pylist()
    return sorted(range(len(rows)), key=lambda at: (-score[at] if by_score else 0, tie[at]))


# ---------------------------------------------------------------- select_top


@given(ROWS, st.integers(0, 9))
def test_the_best_of_each_group(rows: Rows, count: int) -> None:
    given_rows = table(rows)
    taken: dict[Any, int] = {}
    expected = [False] * len(rows)
    for at in order(given_rows, by_score=True):
        group = rows[at][2]
        taken[group] = taken.get(group, 0) + 1
        expected[at] = taken[group] <= count
    assert kept(SelectTop(by="score", count=count, per="group"), given_rows) == expected


@given(ROWS, st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_a_share_of_each_group(rows: Rows, share: float) -> None:
    found = kept(SelectTop(by="score", share=share, per="group"), table(rows))
    for group in {row[2] for row in rows}:
        mine = [keep for keep, row in zip(found, rows, strict=True) if row[2] == group]
        assert sum(mine) == round(share * len(mine))


# ---------------------------------------------------------------- select_budget

QUOTAS = {"a": Quota(max=0.4), "b": Quota(min=0.3), "*": Quota(max=0.5)}


def twin(rows: pa.Table, budget: int, quotas: dict[str, Quota]) -> list[bool]:
    """The rule of the docstring, one document after the other."""
    size, group = rows["size"].to_pylist(), rows["group"].to_pylist()
    best = order(rows, by_score=True)
    keep = [False] * len(rows)
    upto: dict[Any, int] = {}
    queues: list[list[int]] = [[], [], []]
    for at in best:
        quota = quotas.get(group[at] or "", quotas.get("*", Quota()))
        before = upto.get(group[at], 0)
        upto[group[at]] = before + size[at]
        if upto[group[at]] > int(quota.max * budget + 1e-6):
            continue
        least = int(quota.min * budget + 1e-6)
        queues[0 if upto[group[at]] <= least else 1 if before < least else 2].append(at)
    total = 0
    for at in itertools.chain(*queues):
        total += size[at]
        if total > budget:
            break
        keep[at] = True
    return keep


@given(ROWS, st.integers(0, 120))
def test_a_budget_is_spent_as_its_description_says(rows: Rows, budget: int) -> None:
    there = sum(row[0] for row in rows if row[2] == "b")
    operator = SelectBudget(tokens=budget, size="size", by="score", per="group", quotas=QUOTAS)
    if there < int(0.3 * budget + 1e-6):
        with pytest.raises(OperatorError, match=r"group 'b' must have at least .* but there are only"):
            kept(operator, table(rows))
        return
    assert kept(operator, table(rows)) == twin(table(rows), budget, QUOTAS)


@given(ROWS, st.integers(0, 120))
def test_a_budget_and_its_quotas_hold(rows: Rows, budget: int) -> None:
    quotas = QUOTAS | {"b": Quota(min=min(0.3, sum(row[0] for row in rows if row[2] == "b") / (budget or 1)))}
    operator = SelectBudget(tokens=budget, size="size", by="score", per="group", quotas=quotas)
    found = chosen(operator, table(rows))
    assert found.keep is not None
    sums: dict[Any, int] = dict.fromkeys(("a", "b", "c", None), 0)
    for keep, (size, _, group) in zip(found.keep, rows, strict=True):
        sums[group] += size * bool(keep)
    assert sum(sums.values()) <= budget
    assert found.facts["tokens"] == sum(sums.values())
    largest = max((row[0] for row in rows), default=0)
    for group, total in sums.items():
        quota = quotas.get(group or "", quotas["*"])
        assert total <= quota.max * budget + 1e-6
        assert total >= quota.min * budget - largest - 1
    for fact in found.facts["groups"]:
        assert fact["tokens"] == sums[fact["group"]]


@given(
    st.lists(st.tuples(st.just(1), st.integers(0, 9).map(float), st.sampled_from("abc")), max_size=9), st.integers(1, 8)
)
def test_no_other_choice_of_equal_documents_has_a_higher_score(rows: Rows, budget: int) -> None:
    """Brute force over all subsets that the quotas allow."""
    quotas = {"a": Quota(max=0.5), "b": Quota(min=0.25)}
    scores, groups = [row[1] for row in rows], [row[2] for row in rows]
    if groups.count("b") < 0.25 * budget:
        return
    best = max(
        (
            (count, sum(scores[at] for at in some))
            for count in range(budget + 1)
            for some in itertools.combinations(range(len(rows)), min(count, len(rows)))
            if sum(groups[at] == "a" for at in some) <= 0.5 * budget
            and sum(groups[at] == "b" for at in some) >= int(0.25 * budget)
        ),
        default=None,
    )
    found = kept(SelectBudget(tokens=budget, size="size", by="score", per="group", quotas=quotas), table(rows))
    if best is not None and 0.25 * budget == int(0.25 * budget):
        got = sum(score for score, keep in zip(scores, found, strict=True) if keep)
        assert (sum(found), got) == (min(best[0], len(rows)), best[1])


def test_what_binds_is_told() -> None:
    rows = table([(10, 9.0, "a")] * 5 + [(10, 5.0, "b")] * 5 + [(10, 1.0, "c")] * 5)
    quotas = {"a": Quota(max=0.4), "c": Quota(min=0.2)}
    facts = chosen(SelectBudget(tokens=100, size="size", by="score", per="group", quotas=quotas), rows).facts
    assert (facts["budget"], facts["tokens"], facts["binding_quotas"]) == (100, 100, "max of a, min of c")
    told = [(row["group"], row["tokens"], row["share"], row["binds"]) for row in facts["groups"]]
    assert told == [("a", 40, 0.4, "max"), ("b", 40, 0.4, ""), ("c", 20, 0.2, "min")]


def test_quotas_that_bind_nothing_are_told_so() -> None:
    rows = table([(10, 9.0, "a")] * 2 + [(10, 5.0, "b")] * 2)
    quotas = {"a": Quota(max=0.9), "b": Quota(min=0.1)}
    facts = chosen(SelectBudget(tokens=40, size="size", by="score", per="group", quotas=quotas), rows).facts
    assert (facts["tokens"], facts["binding_quotas"]) == (40, "none")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"quotas": {"x": {"min": 0.6}, "y": {"min": 0.6}}, "per": "group"}, "least shares of the quotas sum to 1.2"),
        ({"quotas": {"x": {"min": 0.6, "max": 0.5}}, "per": "group"}, "min 0.6 is above max 0.5"),
        ({"per": "group"}, "quotas together with per"),
    ],
    ids=["sum", "order", "per"],
)
def test_impossible_quotas_are_refused_in_the_recipe(parameters: dict[str, Any], message: str) -> None:
    import json

    with pytest.raises(RecipeError, match=message):
        Recipe.parse(f"name: x\nsteps:\n- select_budget: {json.dumps({'tokens': 10, **parameters})}\n")


def test_quotas_for_the_rest_that_cannot_be_met() -> None:
    rows = table([(10, 9.0, "a")] * 5 + [(10, 5.0, "b")] * 5)
    with pytest.raises(OperatorError, match=r"cannot all be met: they sum to 120.0%; lower min for '\*'"):
        kept(SelectBudget(tokens=50, size="size", per="group", quotas={"*": Quota(min=0.6)}), rows)
    with pytest.raises(OperatorError, match="'a' has fewer tokens"):
        kept(SelectBudget(tokens=500, size="size", per="group", quotas={"*": Quota(min=0.5)}), rows)


def test_without_a_score_the_choice_is_random_and_seeded() -> None:
    rows = table([(1, 0.0, "a")] * 100)
    one, again, other = (kept(SelectBudget(tokens=30, size="size", seed=seed), rows) for seed in (1, 1, 2))
    assert one == again != other
    assert sum(one) == sum(other) == 30
    assert all(
        more or not less
        for less, more in zip(one, kept(SelectBudget(tokens=60, size="size", seed=1), rows), strict=True)
    )


# ---------------------------------------------------------------- sample_mixture


@given(ROWS, st.integers(1, 4), st.integers(0, 400))
def test_a_mixture_keeps_its_caps_and_comes_near_its_weights(rows: Rows, epochs: int, tokens: int) -> None:
    there = {group: sum(row[0] for row in rows if row[2] == group) for group in ("a", "b")}
    if not all(there.values()):
        return
    weights = {"a": 3.0, "b": 1.0}
    operator = SampleMixture(per="group", size="size", weights=weights, tokens=tokens, epochs=epochs)
    found = chosen(operator, table(rows))
    repeats = found.columns["repeats"].to_pylist()
    assert found.keep is not None
    assert [count > 0 for count in repeats] == found.keep.tolist()
    assert max(repeats) <= epochs
    seen = {group: sum(n * row[0] for n, row in zip(repeats, rows, strict=True) if row[2] == group) for group in there}
    # Plain water-filling: what a domain cannot give, the other does.
    target = {"a": 0.75 * tokens, "b": 0.25 * tokens}
    caps = {group: epochs * total for group, total in there.items()}
    for one, other in (("a", "b"), ("b", "a")):
        if target[one] > caps[one]:
            target = {one: caps[one], other: min(caps[other], tokens - caps[one])}
    for group, total in seen.items():
        assert abs(total - target[group]) <= max(row[0] for row in rows if row[2] == group)
    assert not any(n for n, row in zip(repeats, rows, strict=True) if row[2] not in there)


def test_natural_weights_see_everything_once() -> None:
    rows = table([(3, 0.0, "a"), (5, 0.0, "b"), (7, 0.0, None)])
    assert chosen(SampleMixture(per="group", size="size"), rows).columns["repeats"].to_pylist() == [1, 1, 1]


def test_temperature_makes_weights_more_equal() -> None:
    rows = table([(90, 0.0, "a")] * 10 + [(10, 0.0, "b")] * 10)
    shares = []
    for temperature in (1.0, 2.0, 1e9):
        operator = SampleMixture(per="group", size="size", temperature=temperature, tokens=600, epochs=9)
        shares.append(chosen(operator, rows).facts["groups"][1]["weight"])
    assert shares == [0.1, 0.25, 0.5]


def test_a_mixture_without_a_budget_is_the_largest_that_keeps_its_weights() -> None:
    rows = table([(10, 0.0, "a")] * 10 + [(10, 0.0, "b")] * 2)
    facts = chosen(SampleMixture(per="group", size="size", weights={"a": 1, "b": 1}, epochs=3), rows).facts
    assert [(row["group"], row["tokens"], row["epochs"]) for row in facts["groups"]] == [("a", 60, 0.6), ("b", 60, 3.0)]


def test_a_domain_held_at_its_epochs_is_told() -> None:
    rows = table([(10, 0.0, "a")] * 10 + [(10, 0.0, "b")] * 2)
    operator = SampleMixture(per="group", size="size", weights={"a": 1, "b": 1}, tokens=100, epochs=2)
    facts = chosen(operator, rows).facts
    assert (facts["tokens"], facts["held_at_their_epochs"]) == (100, "b")
    assert [(row["tokens"], row["binds"]) for row in facts["groups"]] == [(60, ""), (40, "epochs")]
    with pytest.raises(OperatorError, match="weights name group 'x', which has no tokens; there are: a, b"):
        chosen(SampleMixture(per="group", size="size", weights={"x": 1}), rows)


# ---------------------------------------------------------------- balance


@given(ROWS, st.none() | st.integers(0, 30))
def test_groups_are_made_equal(rows: Rows, most: int | None) -> None:
    found = kept(Balance(per="group", size="size", most=most), table(rows))
    there = {group: sum(row[0] for row in rows if row[2] == group) for group in {row[2] for row in rows}}
    limit = min(there.values(), default=0) if most is None else most
    upto = dict.fromkeys(there, 0)
    for at in order(table(rows), by_score=False):
        size, _, group = rows[at]
        upto[group] += size
        assert found[at] == (upto[group] <= limit)


# ---------------------------------------------------------------- perplexity bands, compute


@given(ROWS, st.sampled_from([(0.25, 0.75), (0.0, 0.5), (0.4, 1.0)]))
def test_a_band_of_perplexity_is_by_rank_within_a_group(rows: Rows, band: tuple[float, float]) -> None:
    found = kept(SelectPerplexityBand(low=band[0], high=band[1], by="score", per="group"), table(rows))
    for at, (_, score, group) in enumerate(rows):
        mine = [other for _, other, its in rows if its == group]
        place = (sum(other < score for other in mine) + mine.count(score) / 2) / len(mine)
        assert found[at] == (group is not None and band[0] <= place <= band[1])


BUCKETS = tuple(
    Bucket(min=least, utility=worth, half_life=2.0) for least, worth in [(4.0, 0.30), (2.0, 0.28), (None, 0.25)]
)


def worth_by_the_formula(tokens: list[float], seen: float) -> float:
    """U, token by token of the paper's recursion: every epoch for itself, every bucket for itself."""
    whole, total, before, epoch = sum(tokens), 0.0, 1.0, 1
    while before < seen:
        now = min(epoch * whole, seen)
        faded = sum(
            n / whole * b.utility * 0.5 ** ((epoch - 1) / (b.half_life * whole / n))
            for n, b in zip(tokens, BUCKETS, strict=False)
        )
        total += faded * np.log(now / before)
        before, epoch = now, epoch + 1
    return total


@given(st.lists(st.integers(1, 500), min_size=3, max_size=3), st.integers(1, 5_000))
def test_utility_is_the_formula(tokens: list[int], seen: int) -> None:
    for upto in (1, 2, 3):
        found = utility(BUCKETS[:upto], np.array(tokens[:upto], float), seen)
        assert found == pytest.approx(worth_by_the_formula([float(n) for n in tokens[:upto]], seen), abs=1e-9)


def test_a_longer_run_keeps_more() -> None:
    rows = table([(100, float(score), "a") for score in (5, 3, 1)])
    kept_by_seen = []
    for seen in (50, 100, 200, 400, 1_000, 10_000, 100_000):
        operator = SelectForCompute(seen=seen, by="score", size="size", buckets=BUCKETS)
        kept_by_seen.append(chosen(operator, rows).facts["buckets_kept"])
    assert kept_by_seen == sorted(kept_by_seen)
    assert (kept_by_seen[0], kept_by_seen[-1]) == (1, 3)


def test_equal_buckets_have_as_many_times_their_half_lives_as_there_are() -> None:
    """Theorem 1 of the paper: a pool of p like buckets is one bucket of p times the half-life."""
    like = (Bucket(min=1.0, utility=0.3, half_life=2), Bucket(min=0.5, utility=0.3, half_life=2))
    one = (Bucket(utility=0.3, half_life=4),)
    assert utility(like, np.array([50.0, 50.0]), 1_000) == pytest.approx(utility(one, np.array([100.0]), 1_000))


def test_buckets_that_never_tire_need_no_others() -> None:
    rows = table([(100, float(score), "a") for score in (5, 3, 1)])
    lasting = tuple(Bucket(min=b.min, utility=b.utility, half_life=1e9) for b in BUCKETS)
    assert kept(SelectForCompute(seen=10_000, by="score", size="size", buckets=lasting), rows) == [True, False, False]


@pytest.mark.parametrize("least", [(1.0, 2.0), (None, 1.0), (1.0, 1.0)])
def test_buckets_go_from_the_best_down(least: tuple[float | None, ...]) -> None:
    with pytest.raises(ValueError, match="from the best down"):
        SelectForCompute(seen=1, by="x", buckets=tuple(Bucket(min=low, utility=1, half_life=1) for low in least))


# ---------------------------------------------------------------- in runs


def run(folder: Path, name: str, shards: int, steps: str, **config: Any) -> curate.Result:
    chance = np.random.default_rng(0)
    source = folder / name / "source"
    source.mkdir(parents=True, exist_ok=True)
    is_new = not any(source.iterdir())
    rows = pa.table(
        {
            "id": [f"doc-{at}" for at in range(300)],
            "text": [f"text {at} " * int(chance.integers(1, 9)) for at in range(300)],
            "kind": chance.choice(["x", "y", "z"], 300, p=[0.6, 0.3, 0.1]),
            "score": chance.random(300),
        }
    )
    for at in range(shards if is_new else 0):
        low, high = 300 * at // shards, 300 * (at + 1) // shards
        pq.write_table(rows.slice(low, high - low), source / f"{at}.parquet")
    text = f"name: x\nsources: {{s: {{path: {source}}}}}\nsteps: {steps}\noutput: {{path: {folder / name / 'out'}}}"
    return curate.run(Recipe.parse(text), Config(**{"workers": 1, **config}))


STEPS = (
    "[tokens, {quantile: {of: score, per: kind}}, {select_budget: {tokens: 1500, by: score, per: kind, quotas: "
    "{x: {max: 0.3}, z: {min: 0.1}}}}, {sample_mixture: {per: kind, weights: {x: 1, y: 1, z: 1}, epochs: 4}}]"
)


@pytest.mark.parametrize(("shards", "workers", "memory"), [(7, 1, "1GB"), (1, 1, "1kB"), (2, 2, "1kB"), (7, 7, "1kB")])
def test_a_run_does_not_depend_on_shards_or_memory(tmp_path: Path, shards: int, workers: int, memory: str) -> None:
    how = {"workers": workers, "memory": memory}
    results = [run(tmp_path, "one", 1, STEPS), run(tmp_path, "two", shards, STEPS, **how)]
    one, two = (result.arrow("annotations").drop(["row", "source"]).to_pylist() for result in results)
    assert one == two
    assert results[0].manifest["corpus"] == results[1].manifest["corpus"]
    facts = results[0].manifest["corpus"]
    assert facts["select_budget"]["tokens"] <= 1500
    assert facts["select_budget"]["kept"] + results[0].manifest["rules"]["select_budget"] == 300
    assert [row["kind"] for row in facts["sample_mixture"]["groups"]] == ["x", "y", "z"]
    quantiles = [row["score_quantile"] for row in one]
    assert all(0 < quantile < 1 for quantile in quantiles)
    kept_rows = [row for row in one if row["dropped_by"] is None]
    assert {row["repeats"] for row in kept_rows} <= {1, 2, 3, 4}
    card = (results[0].path / "README.md").read_text()
    assert "| kind | available | min | max | tokens | share | documents | binds |" in card
    assert "select_budget" in results[0].choices


def test_a_selection_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from curate.execute import select

    monkeypatch.setattr(select, "ROWS", 40)
    whole = run(tmp_path, "whole", 3, STEPS)
    looks: list[Any] = []
    asked, looked = select.ask_task, select.look_task

    def ask(selecting: Any, part: int, parts: int, round: int) -> dict[str, Any]:
        if round == 2 and not looks.count("stopped"):
            looks.append("stopped")
            raise RuntimeError("the machine is gone")
        return asked(selecting, part, parts, round)

    def look(selecting: Any, part: int, parts: int, round: int) -> dict[str, Any]:
        looks.append((selecting.step.step.name, part, round))
        return looked(selecting, part, parts, round)

    monkeypatch.setattr(select, "ask_task", ask)
    monkeypatch.setattr(select, "look_task", look)
    with pytest.raises(RuntimeError, match="the machine is gone"):
        run(tmp_path, "two", 3, STEPS, memory="1kB")
    result = run(tmp_path, "two", 3, STEPS, memory="1kB")
    assert len(looks) == len(set(looks)), "what had been counted was counted again"
    assert result.arrow("annotations").drop(["source"]).equals(whole.arrow("annotations").drop(["source"]))
    assert not [*(tmp_path / "two/out/.work/corpus").glob("*/ranking")]


@pytest.mark.parametrize("memory", ["1GB", "1kB"])
def test_an_impossible_quota_stops_the_run(tmp_path: Path, memory: str) -> None:
    steps = "[tokens, {select_budget: {tokens: 1000000, per: kind, quotas: {x: {min: 0.9}}}}]"
    with pytest.raises(CurateError, match="step select_budget, corpus-wide: kind 'x' must have at least 900,000 of"):
        run(tmp_path, "x", 1, steps, memory=memory)


def test_columns_of_the_wrong_type_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="select_budget ranks by numbers, but kind is string"):
        run(tmp_path, "x", 1, "[{select_budget: {tokens: 10, size: kind}}]")
