"""Copies by a Bloom filter: all of them are found, some others with the stated rate, however the work is cut."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from curate.errors import RecipeError
from curate.operators.dedup import DedupExact
from curate.recipe import Recipe
from curate.testing import parametrize

RATE = 0.05
RECIPE = """\
name: seen
sources: {all: {path: "${shards}"}}
steps:
  - dedup_exact: {bloom: RATE, KEEP}
output: {path: out}
"""


def recipe(keep: str = "by: raw", rate: float | str = RATE) -> str:
    return RECIPE.replace("RATE", str(rate)).replace("KEEP", keep)


def corpus(count: int = 6000) -> list[dict[str, str]]:
    """One document in five is a copy of another one, anywhere."""
    chance = random.Random(0)
    texts = [f"text {number}" for number in range(count * 4 // 5)]
    texts += chance.choices(texts, k=count - len(texts))
    chance.shuffle(texts)
    return [{"id": f"{number:05d}", "text": text} for number, text in enumerate(texts)]


ROWS = corpus()


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory, probe: Any) -> Callable[..., Any]:
    def write(rows: list[dict[str, str]], shards: int) -> Any:
        lab = type(probe)(tmp_path_factory.mktemp("bloom"))
        for number in range(shards):
            part = rows[number * len(rows) // shards : (number + 1) * len(rows) // shards]
            lab.write(f"shards/{number:03d}.jsonl", "".join(json.dumps(row) + "\n" for row in part))
        lab.variables["shards"] = str(lab.folder / "shards")
        return lab

    return write


@pytest.fixture(scope="module")
def whole(write: Callable[..., Any]) -> Any:
    lab = write(ROWS, 4)
    lab.run(recipe())
    return lab


def dropped(lab: Any, out: str = "out") -> set[str]:
    table = lab.result(out).arrow("annotations").to_pylist()
    assert all(row["dedup_exact_is_duplicate"] == (row["dropped_by"] == "dedup_exact") for row in table)
    return {row["id"] for row in table if row["dropped_by"]}


def copies(rows: list[dict[str, str]]) -> set[str]:
    seen: set[str] = set()
    return {row["id"] for row in rows if row["text"] in seen or seen.add(row["text"])}  # type: ignore[func-returns-value]


def test_every_copy_goes_and_what_else_goes_is_told(whole: Any) -> None:
    facts, found, true = whole.result().manifest["corpus"]["dedup_exact"], dropped(whole), copies(ROWS)
    assert true <= found
    wrong = len(found - true)
    assert 0 < wrong < RATE * (len(ROWS) - len(true))
    assert facts["false_positives"] == wrong and facts["among"] == len(ROWS) - len(true)
    assert facts["false_positive_rate"] == pytest.approx(wrong / facts["among"])
    assert (facts["documents"], facts["copies"]) == (6000, len(found))
    assert facts["filter_bytes"] < 7000


@pytest.mark.parametrize("how", [{"workers": 2}, {"workers": 7}, {"memory": "1kB"}, {"batch_size": "3kB"}], ids=str)
def test_the_same_bits_however_the_work_is_cut(whole: Any, how: dict[str, Any], monkeypatch: Any) -> None:
    out = "-".join(map(str, *how.items()))
    whole.run(recipe(), out, **how)
    assert whole.contents(out) == whole.contents()


def test_the_same_when_the_filter_is_filled_in_parts(write: Callable[..., Any]) -> None:
    """So many documents that what little memory there is does not hold the filter."""
    rows = corpus(60_000)
    lab = write(rows, 2)
    lab.run(recipe(rate="0.000001"))
    lab.run(recipe(rate="0.000001"), "parts", memory="1kB")
    assert lab.contents("parts") == lab.contents()
    assert lab.result().manifest["corpus"]["dedup_exact"]["filter_bytes"] > 4 << 16


def test_other_shards_drop_the_same_documents(whole: Any, write: Callable[..., Any]) -> None:
    lab = write(ROWS, 9)
    lab.run(recipe())
    assert dropped(lab) == dropped(whole)


def test_all_are_kept_and_reported(write: Callable[..., Any]) -> None:
    lab = write(ROWS, 1)
    result = lab.run(recipe("by: raw, keep: all"))
    assert result.manifest["kept"] == len(ROWS)
    assert copies(ROWS) <= {
        row["id"] for row in result.arrow("annotations").to_pylist() if row["dedup_exact_is_duplicate"]
    }


def test_adding_to_an_earlier_run_is_as_if_all_were_new(whole: Any, write: Callable[..., Any]) -> None:
    earlier, later = write(ROWS[:3600], 2), write(ROWS[3600:], 2)
    earlier.run(recipe())
    facts = later.run(recipe(f"by: raw, against: {earlier.root()}")).manifest["corpus"]["dedup_exact"]
    assert dropped(later) == {id for id in dropped(whole) if id >= "03600"}
    assert (facts["earlier_documents"], facts["documents"]) == (3600, 6000)


def test_an_exact_run_goes_on_from_one_by_filter(write: Callable[..., Any]) -> None:
    earlier, later = write(ROWS[:3600], 2), write(ROWS[3600:], 2)
    earlier.run(recipe())
    later.run(recipe(f"by: raw, against: {earlier.root()}").replace(f"bloom: {RATE}, ", ""))
    assert dropped(later) == {id for id in copies(ROWS) if id >= "03600"}


def test_show_says_what_a_filter_knows(whole: Any) -> None:
    id = min(dropped(whole))
    assert "dedup_exact: seen before (a Bloom filter does not know where)" in whole.result().show(id)
    assert "dedup_exact: not seen before" in whole.result().show("00000")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{bloom: 0.5}", "bloom"),
        ("{bloom: 0}", "bloom"),
        ("{bloom: 0.01, keep: longest}", "a filter does not know the other copies: keep is first or all"),
    ],
)
def test_what_a_filter_cannot_do_is_refused(tmp_path: Any, given: str, message: str) -> None:
    (tmp_path / "r.yaml").write_text(f"sources: {{a: {{path: a.jsonl}}}}\nsteps:\n  - dedup_exact: {given}\n")
    with pytest.raises(RecipeError, match=r"r.yaml:3: .*" + message):
        Recipe.load(tmp_path / "r.yaml")


def test_a_table(tmp_path: Any) -> None:
    table = DedupExact(bloom=0.001)(pa.table({"text": ["a", "b", None, "A", None]}))
    assert table["dedup_exact_is_duplicate"].to_pylist() == [False, False, False, True, False]


@parametrize(DedupExact(bloom=0.001))
def test_contract(operator: Any, check: Any) -> None:
    check(operator)
