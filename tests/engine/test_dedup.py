"""Near-duplicates in runs: the same clusters however the work is cut, who stays, and going on from an earlier run."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import PlanError
from curate.execute import gather, grouping
from curate.operators.dedup import DedupMinhash
from tests.engine.near import MAKE, RECIPE, brute_force, clusters, decided, in_shards, planted

ROWS = planted(1_500)


@pytest.fixture(scope="module")
def truth() -> dict[tuple[int, int], float]:
    return brute_force(ROWS, 0.5)


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory, probe: Any) -> Callable[..., Any]:
    return in_shards(lambda: type(probe)(tmp_path_factory.mktemp("near")))


@pytest.fixture(scope="module")
def whole(write: Callable[..., Any]) -> Any:
    lab = write(ROWS, 5)
    lab.run(RECIPE)
    return lab


@pytest.mark.parametrize("how", ["2 workers", "7 workers", "10kB", "4MB", "20 shards", "other order"])
def test_the_same_clusters_however_the_work_is_cut(whole: Any, write: Callable[..., Any], how: str) -> None:
    number, unit = how.split()[0], how.split()[-1]
    if unit == "workers":
        whole.run(RECIPE, how, workers=int(number))
        assert whole.contents(how) == whole.contents()
    elif how[-1] == "B":
        whole.run(RECIPE, how, memory=how)
        assert whole.contents(how) == whole.contents()
    else:
        rows = random.Random(1).sample(ROWS, len(ROWS)) if how == "other order" else ROWS
        lab = write(rows, 20 if unit == "shards" else 4)
        lab.run(RECIPE)
        assert clusters(decided(lab)) == clusters(decided(whole))


def test_sketches_gathered_in_many_stretches_tell_the_same(
    write: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = write(ROWS[:200], 5)
    lab.run(RECIPE)
    seen: list[tuple[int, int, int]] = []
    monkeypatch.setattr(grouping, "LEAST", 80)  # rows that a task holds, however little memory there is
    stretches = gather.stretches
    monkeypatch.setattr(gather, "stretches", lambda of: seen.extend(stretches(of)) or stretches(of))  # type: ignore[func-returns-value]
    monkeypatch.setattr(gather, "machine", lambda: 0)  # bytes of memory: all that is written is too much to be kept
    lab.run(RECIPE, "gathered", memory="100kB")
    assert seen == [(0, 0, 2), (1, 2, 4), (2, 4, 5)]
    assert lab.contents("gathered") == lab.contents()


def test_a_quick_operator_may_see_rows_that_nobody_asked_for(
    write: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = write(ROWS[:400], 3)
    some = "length(text) % 3 <> 1"  # two thirds
    recipe = RECIPE.replace("steps:", f'steps:\n  - keep: {{rules: {{some: "{some}"}}}}', 1)
    assert recipe != RECIPE
    seen: list[int] = []
    sketch = DedupMinhash.sketch

    def watched(self: DedupMinhash, text: pa.StringArray) -> dict[str, pa.Array]:
        seen.append(len(text))
        return sketch(self, text)

    monkeypatch.setattr(DedupMinhash, "sketch", watched)
    lab.run(recipe)
    rows = pq.read_table(lab.folder / "out/annotations").num_rows
    assert sum(seen) == rows
    seen.clear()
    monkeypatch.setattr(DedupMinhash, "is_quick", False)
    lab.run(recipe, "slow")
    assert rows // 2 < sum(seen) < rows * 3 // 4
    assert lab.contents("slow") == lab.contents()


def copies(rows: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    by_id = {row["id"]: row for row in rows}
    for row in rows:
        if row["dedup_minhash_is_duplicate"]:
            yield row, by_id[row["dedup_minhash_duplicate_of"]]


def test_a_representative_is_itself_similar_to_what_it_removes(whole: Any, truth: Any) -> None:
    result = whole.run(MAKE.replace("PARAMETERS", "{link: representative}"), "representative")
    facts, number = result.manifest["corpus"]["dedup_minhash"], {row["id"]: at for at, row in enumerate(ROWS)}
    rows = decided(whole, "representative")
    pairs = [sorted((number[copy["id"]], number[twin["id"]])) for copy, twin in copies(rows)]
    assert min(truth.get((a, b), 0) for a, b in pairs) >= 0.8
    assert len(pairs) == facts["copies"] == facts["copies_by_representative"] < facts["copies_by_components"]
    stays = {row["id"] for row in rows if not row["dedup_minhash_is_duplicate"]}
    assert all(twin["id"] in stays for _, twin in copies(rows))


@pytest.mark.parametrize(
    ("keep", "order"),
    [
        ("longest", lambda row: -row["bytes"]),
        ("{highest: score}", lambda row: (row["score"] is None, -(row["score"] or 0))),
        ("{lowest: score}", lambda row: (row["score"] is None, row["score"])),
        ("{sources: [c, a]}", lambda row: {"c": 0, "a": 1}.get(row["source"], 2)),
    ],
    ids=["longest", "highest", "lowest", "sources"],
)
def test_who_stays(write: Callable[..., Any], keep: str, order: Callable[[Any], Any]) -> None:
    chance = random.Random(2)
    scores = [None, -2.5, -0.0, 0.0, 1.5, 1e300]
    rows: list[dict[str, Any]] = [{**row, "score": chance.choice(scores), "source": row["site"]} for row in ROWS[:1000]]
    lab = write(rows, 3)
    recipe = MAKE.replace("PARAMETERS", f"{{keep: {keep}}}")
    lab.run(recipe.replace('path: "${shards}"', 'path: "${shards}", columns: {score: score}'))
    size = {row["id"]: len(row["text"].encode()) for row in rows}
    found = [{**row, "bytes": size[row["id"]]} for row in decided(lab)]
    first: dict[int, int] = {}
    for row in sorted(found, key=lambda row: (order(row), row["row"])):
        first.setdefault(row["dedup_minhash_cluster"], row["row"])
    heads = {row["dedup_minhash_cluster"] for row in found} - {None}
    assert len(heads) > 30 and all(first[head] == head for head in heads)


def test_all_are_kept_and_reported(write: Callable[..., Any]) -> None:
    lab = write(ROWS[:500], 2)
    result = lab.run(MAKE.replace("PARAMETERS", "{keep: all}"))
    assert result.manifest["kept"] == 500
    assert sum(row["dedup_minhash_is_duplicate"] for row in decided(lab)) > 50


# ---------------------------------------------------------------- going on from an earlier run


SAME = ("cluster_size", "is_duplicate", "duplicate_of", "similarity")


@pytest.mark.parametrize("parameters", ["verify: exact", "verify: estimate", "link: representative"])
def test_adding_to_an_earlier_run_is_as_if_all_were_new(write: Callable[..., Any], parameters: str) -> None:
    both, earlier, later = (write(rows, 2) for rows in (ROWS, ROWS[:900], ROWS[900:]))
    both.run(MAKE.replace("PARAMETERS", f"{{{parameters}}}"))
    earlier.run(MAKE.replace("PARAMETERS", f"{{{parameters}}}"))
    shutil.rmtree(earlier.folder / "shards")
    recipe = MAKE.replace("PARAMETERS", f"{{{parameters}, against: {earlier.root()}}}")
    facts = later.run(recipe).manifest["corpus"]["dedup_minhash"]
    expected = {row["id"]: row for row in decided(both)}
    for row in decided(later):
        assert [row[f"dedup_minhash_{name}"] for name in SAME] == [
            expected[row["id"]][f"dedup_minhash_{name}"] for name in SAME
        ]
    kept = {row["id"] for row in decided(earlier) if row["dropped_by"] is None}
    gone = {id for id in kept if expected[id]["dropped_by"] is not None}
    listed = pq.read_table(later.root() / facts["earlier_file"]).to_pylist()
    assert {row["id"]: row["duplicate_of"] for row in listed} == {
        id: expected[id]["dedup_minhash_duplicate_of"] for id in gone
    }
    assert facts["earlier_documents"] == 900 and facts["earlier_copies"] == len(gone)
    addresses = {row["row"] for row in decided(earlier)}
    old = [row["dedup_minhash_twin"] for row in decided(later) if (row["dedup_minhash_twin"] or 0) < 0]
    assert len(old) > 100 and {twin + (2 << 32) for twin in old} <= addresses


def test_runs_are_added_one_after_the_other(write: Callable[..., Any]) -> None:
    """The third run knows the first through the second."""
    labs = [write(ROWS[at : at + 300], 1) for at in (0, 300, 600)]
    labs[0].run(MAKE.replace("PARAMETERS", "{remember: evidence}"))
    for before, lab in pairwise(labs):
        lab.run(MAKE.replace("PARAMETERS", f"{{remember: evidence, against: {before.root()}}}"))
    whole = write(ROWS[:900], 1)
    whole.run(RECIPE)
    expected = {row["id"]: row["dedup_minhash_duplicate_of"] for row in decided(whole)}
    assert all(row["dedup_minhash_duplicate_of"] == expected[row["id"]] for row in decided(labs[2]))
    assert "estimated" not in labs[2].result().manifest["corpus"]["dedup_minhash"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("against: nowhere", "there is no folder nowhere: name that of an earlier run"),
        ("ngram: 3, against: EARLIER", "was made with ngram 5, not 3"),
        ("keep: longest, against: EARLIER", "was made with keep: 'first', and says nothing about keep: 'longest'"),
    ],
    ids=["no run", "other shingles", "other keep"],
)
def test_what_does_not_fit_is_refused_before_reading(write: Callable[..., Any], parameters: str, message: str) -> None:
    lab = write(ROWS[:100], 1)
    lab.run(RECIPE)
    with pytest.raises(PlanError, match=re.escape(message)) as error:
        lab.run(MAKE.replace("PARAMETERS", f"{{{parameters}}}".replace("EARLIER", str(lab.root()))), "second")
    assert "recipe.yaml:4" in str(error.value)
    assert not (lab.root("second") / ".work/index").exists()
