"""Near-duplicates beside a brute-force check of all pairs, and the same clusters however the work is cut."""

import json
import random
import re
import shutil
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.cluster import pairs_in_memory
from curate.errors import PlanError
from curate.kernels.components import unpack
from curate.operators.dedup import DedupMinhash

MAKE = """\
name: near
sources: {all: {path: "${shards}"}}
steps:
  - dedup_minhash: PARAMETERS
output: {path: out}
"""
RECIPE = MAKE.replace("PARAMETERS", "{}")
DOCUMENTS, WORDS, NGRAM = 5_000, 120, 5


def planted(seed: int = 0) -> list[dict[str, str]]:
    """Families of copies in which some runs of words are others: J from 0.5 to 1, most of them around 0.8."""
    chance = random.Random(seed)
    word = lambda: f"w{chance.randrange(10**9)}"  # noqa: E731
    rows: list[dict[str, str]] = []
    while len(rows) < DOCUMENTS:
        original = [word() for _ in range(WORDS)]
        for _ in range(min(chance.choice([1, 2, 3, 5, 8, 20, 90]), DOCUMENTS - len(rows))):
            copy = list(original)
            for _ in range(chance.choice([0, 0, 1, 1, 2, 2, 3])):
                copy[chance.randrange(WORDS)] = word()
            rows.append({"id": f"{len(rows):05d}", "text": " ".join(copy), "site": chance.choice("abc")})
    chance.shuffle(rows)
    return rows


ROWS = planted()


def brute_force(rows: list[dict[str, str]], least: float) -> dict[tuple[int, int], float]:
    """The Jaccard similarity of every pair of documents that have at least so much of it."""
    words = [row["text"].split() for row in rows]
    sets = [{tuple(each[i : i + NGRAM]) for i in range(len(each) - NGRAM + 1)} for each in words]
    names: dict[Any, int] = {}
    shingles = np.array([names.setdefault(shingle, len(names)) for each in sets for shingle in each])
    holders = np.repeat(np.arange(len(sets)), [*map(len, sets)])
    holders = holders[np.argsort(shingles, kind="stable")]
    found = []
    for group in np.split(holders, np.cumsum(np.bincount(shingles))[:-1]):
        a, b = np.triu_indices(len(group), 1)
        found.append(group[a] * len(rows) + group[b])
    codes, both = np.unique(np.concatenate(found), return_counts=True)
    a, b = codes // len(rows), codes % len(rows)
    sizes = np.array([*map(len, sets)])
    similarity = both / (sizes[a] + sizes[b] - both)
    pairs = zip(a.tolist(), b.tolist(), similarity.tolist(), strict=True)
    return {(a, b): s for a, b, s in pairs if s >= least}


@pytest.fixture(scope="module")
def truth() -> dict[tuple[int, int], float]:
    return brute_force(ROWS, 0.5)


def found_pairs(operator: DedupMinhash) -> dict[tuple[int, int], float]:
    """The pairs that the operator counts."""
    columns = {"text": pa.array([row["text"] for row in ROWS])}
    sketch = pa.table(operator.sketch(**columns))
    rows, keys = operator.keys(sketch)
    pairs, similarity = pairs_in_memory(operator, sketch, keys, rows, columns)
    a, b = (side.tolist() for side in unpack(pairs))
    return dict(zip(zip(a, b, strict=True), similarity.tolist(), strict=True))


@pytest.mark.parametrize(("threshold", "bands", "rows"), [(0.8, 18, 7), (0.6, 25, 5)], ids=["0.8", "0.6"])
def test_pairs_are_those_of_brute_force(truth: Any, threshold: float, bands: int, rows: int) -> None:
    """No pair below the threshold counts; of those above it as many are found as the bands have in theory."""
    found = found_pairs(DedupMinhash(ngram=NGRAM, threshold=threshold, bands=bands, rows=rows))
    true = {pair: s for pair, s in truth.items() if s >= threshold}
    assert len(true) > 10_000 and sum(s < threshold for s in truth.values()) > 400
    assert set(found) <= set(true)
    expected = np.mean([1 - (1 - s**rows) ** bands for s in true.values()])
    assert len(found) / len(true) > expected - 0.01
    near = [pair for pair in found if true[pair] < threshold + 0.05]
    assert sum(found[pair] == true[pair] for pair in near) > 0.95 * len(near) > 100


def test_without_verification_false_pairs_count(truth: Any) -> None:
    """What the shingles are looked at for."""
    wrong = {}
    for verify in ("none", "estimate"):
        found = found_pairs(DedupMinhash(ngram=NGRAM, verify=verify))
        wrong[verify] = sum(truth.get(pair, 0) < 0.8 for pair in found)
    assert wrong["none"] > wrong["estimate"] > 0


# ---------------------------------------------------------------- runs


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory, probe: Any) -> Callable[..., Any]:
    """A lab with rows in so many shards."""

    def write(rows: list[dict[str, Any]], shards: int) -> Any:
        lab = type(probe)(tmp_path_factory.mktemp("near"))
        for number in range(shards):
            lines = (json.dumps(row) + "\n" for row in rows[number * len(rows) // shards :][: len(rows) // shards])
            lab.write(f"shards/{number:03d}.jsonl", "".join(lines))
        lab.variables["shards"] = str(lab.folder / "shards")
        return lab

    return write


@pytest.fixture(scope="module")
def whole(write: Callable[..., Any]) -> Any:
    lab = write(ROWS, 5)
    lab.run(RECIPE)
    return lab


def decided(lab: Any, out: str = "out") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = lab.result(out).arrow("annotations").to_pylist()
    return rows


def clusters(rows: list[dict[str, Any]]) -> set[frozenset[str]]:
    by_head: dict[int, set[str]] = {}
    for row in rows:
        if row["dedup_minhash_cluster"] is not None:
            by_head.setdefault(row["dedup_minhash_cluster"], set()).add(row["id"])
    return {frozenset(ids) for ids in by_head.values()}


def by_brute_force(truth: dict[tuple[int, int], float]) -> set[frozenset[str]]:
    head = [*range(len(ROWS))]

    def root(at: int) -> int:
        while head[at] != at:
            head[at] = at = head[head[at]]
        return at

    for (a, b), similarity in truth.items():
        if similarity >= 0.8:
            head[root(b)] = root(a)
    groups: dict[int, set[str]] = {}
    for at in range(len(ROWS)):
        groups.setdefault(root(at), set()).add(ROWS[at]["id"])
    return {frozenset(ids) for ids in groups.values() if len(ids) > 1}


def test_clusters_are_those_of_brute_force(whole: Any, truth: Any) -> None:
    """No cluster joins what brute force keeps apart, and few are torn."""
    found, true = clusters(decided(whole)), by_brute_force(truth)
    assert all(any(one <= other for other in true) for one in found)
    assert len(found & true) > 0.97 * len(true)


def test_columns_tell_of_the_twin(whole: Any, truth: Any) -> None:
    rows = decided(whole)
    by_address = {row["row"]: row for row in rows}
    number = {row["id"]: at for at, row in enumerate(ROWS)}
    compared = 0
    for row in rows:
        name = "dedup_minhash"
        cluster, size, is_copy, of, twin, similarity = (
            row[f"{name}_{column}"]
            for column in ("cluster", "cluster_size", "is_duplicate", "duplicate_of", "twin", "similarity")
        )
        assert is_copy == (row["dropped_by"] == name) == (twin is not None) == (similarity is not None)
        assert (cluster is None) == (size is None)
        if is_copy:
            assert by_address[twin]["id"] == of and twin == cluster < row["row"]
            a, b = sorted((number[row["id"]], number[of]))
            assert abs(similarity - truth.get((a, b), 0.5)) < 0.2
            compared += similarity == truth.get((a, b))
    assert compared > 500


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


def test_a_table_has_the_clusters_of_a_run(whole: Any) -> None:
    table = DedupMinhash()(pa.table({"text": [row["text"] for row in ROWS]}))
    found = table.append_column("id", pa.array([row["id"] for row in ROWS])).to_pylist()
    assert clusters(found) == clusters(decided(whole))


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
    assert len(heads) > 50 and all(first[head] == head for head in heads)


def test_all_are_kept_and_reported(write: Callable[..., Any]) -> None:
    lab = write(ROWS[:500], 2)
    result = lab.run(MAKE.replace("PARAMETERS", "{keep: all}"))
    assert result.manifest["kept"] == 500
    assert sum(row["dedup_minhash_is_duplicate"] for row in decided(lab)) > 50


# ---------------------------------------------------------------- going on from an earlier run


SAME = ("cluster_size", "is_duplicate", "duplicate_of", "similarity")


@pytest.mark.parametrize("parameters", ["verify: exact", "verify: estimate", "link: representative"])
def test_adding_to_an_earlier_run_is_as_if_all_were_new(write: Callable[..., Any], parameters: str) -> None:
    both, earlier, later = (write(rows, 2) for rows in (ROWS, ROWS[:3000], ROWS[3000:]))
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
    assert facts["earlier_documents"] == 3000 and facts["earlier_copies"] == len(gone)
    addresses = {row["row"] for row in decided(earlier)}
    old = [row["dedup_minhash_twin"] for row in decided(later) if (row["dedup_minhash_twin"] or 0) < 0]
    assert len(old) > 500 and {twin + (2 << 32) for twin in old} <= addresses


def test_runs_are_added_one_after_the_other(write: Callable[..., Any]) -> None:
    """The third run knows the first through the second."""
    labs = [write(ROWS[at : at + 500], 1) for at in (0, 500, 1000)]
    labs[0].run(MAKE.replace("PARAMETERS", "{remember: evidence}"))
    for before, lab in pairwise(labs):
        lab.run(MAKE.replace("PARAMETERS", f"{{remember: evidence, against: {before.root()}}}"))
    whole = write(ROWS[:1500], 1)
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
