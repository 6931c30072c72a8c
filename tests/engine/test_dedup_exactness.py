"""Near-duplicates beside a brute-force check of all pairs of 5,000 documents with planted copies, J = 0.5 to 1.0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from curate.cluster import pairs_in_memory
from curate.kernels.components import unpack
from curate.operators.dedup import DedupMinhash
from tests.engine.near import NGRAM, RECIPE, brute_force, clusters, decided, in_shards, planted

ROWS = planted(5_000)


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
    """Precision is 1: no pair below the threshold counts. Recall is that of the bands' curve, within 1 %."""
    found = found_pairs(DedupMinhash(ngram=NGRAM, threshold=threshold, bands=bands, rows=rows))
    true = {pair: s for pair, s in truth.items() if s >= threshold}
    assert len(true) > 10_000 and sum(s < threshold for s in truth.values()) > 400
    assert set(found) <= set(true)
    expected = np.mean([1 - (1 - s**rows) ** bands for s in true.values()])
    assert abs(len(found) / len(true) - expected) < 0.01
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
    return in_shards(lambda: type(probe)(tmp_path_factory.mktemp("near")))


@pytest.fixture(scope="module")
def whole(write: Callable[..., Any]) -> Any:
    lab = write(ROWS, 5)
    lab.run(RECIPE)
    return lab


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


def test_a_table_has_the_clusters_of_a_run(whole: Any) -> None:
    table = DedupMinhash()(pa.table({"text": [row["text"] for row in ROWS]}))
    found = table.append_column("id", pa.array([row["id"] for row in ROWS])).to_pylist()
    assert clusters(found) == clusters(decided(whole))
