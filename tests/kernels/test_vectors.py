"""Unit vectors, nearest centroids, k-means and twins, against NumPy in float64."""

import numpy as np
import pyarrow as pa
import pytest

from curate.kernels import vectors


def units(rows: int, dim: int = 8, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32)
    return vectors.matrix(pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), dim))


def test_vectors_have_length_one_or_zero() -> None:
    kind = pa.list_(pa.float16(), 2)
    column = pa.array([[3, 4], [0, 0], [np.inf, 1], [np.nan, 1]], pa.list_(pa.float32(), 2)).cast(kind)
    assert np.linalg.norm(vectors.matrix(column), axis=1).round(3).tolist() == [1, 0, 0, 0]
    assert len(vectors.matrix(column[1:3])) == 2
    with pytest.raises(ValueError, match="differ in length"):
        vectors.matrix(pa.array([[1.0], [1.0, 2.0]]))


def test_nearest_is_exact_and_stands_alone() -> None:
    points, centroids = units(500), units(40, seed=1)
    centroids[7] = centroids[3]  # the first of two that are the same
    at, cosine = vectors.nearest(points, centroids)
    exact = points.astype(np.float64) @ centroids.astype(np.float64).T
    assert (at == exact.argmax(axis=1)).all()
    assert cosine == pytest.approx(exact.max(axis=1), abs=1e-12)
    alone = [vectors.nearest(points[row : row + 1], centroids) for row in range(0, 500, 50)]
    assert [(int(a[0]), float(c[0])) for a, c in alone] == [(int(at[r]), float(cosine[r])) for r in range(0, 500, 50)]


def test_sums_have_no_order() -> None:
    points = units(300)
    at = np.random.default_rng(2).integers(0, 5, 300).astype(np.int32)
    whole, counts = vectors.sums(points, at, 5)
    parts = [vectors.sums(points[part], at[part], 5) for part in (slice(200, 300), slice(0, 200))]
    assert (whole == parts[0][0] + parts[1][0]).all()
    assert counts.tolist() == np.bincount(at).tolist()
    mean = np.stack([points[at == c].mean(axis=0) for c in range(5)])
    moved = vectors.moved(np.zeros((5, 8), np.float32), whole, counts)
    assert moved == pytest.approx(mean / np.linalg.norm(mean, axis=1, keepdims=True), abs=1e-5)


def test_an_empty_cluster_stays() -> None:
    centroids = units(3)
    total, counts = vectors.sums(centroids[:2], np.array([0, 1], np.int32), 3)
    assert (vectors.moved(centroids, total, counts)[2] == centroids[2]).all()


@pytest.mark.parametrize("method", ["seeds", "minibatch"])
def test_kmeans_finds_what_is_there(method: str) -> None:
    middle = np.eye(8, dtype=np.float32)[:4]
    points = np.concatenate([m + units(100, seed=s) * 0.1 for s, m in enumerate(middle)]).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    found = vectors.seeds(points, 4, seed=5)
    if method == "minibatch":
        found = vectors.minibatch(points, found, 5, 64, seed=5)
    at, _ = vectors.nearest(points, found)
    assert sorted(np.bincount(at.reshape(4, 100)[:, 0])) == [1, 1, 1, 1]
    assert all(len({*part}) == 1 for part in at.reshape(4, 100))


def test_seeds_differ() -> None:
    assert len(vectors.seeds(np.repeat(units(3), 5, axis=0), 10, seed=0)) == 3


@pytest.mark.parametrize("rows", [0, 1, 60, 2500])
def test_twins(rows: int) -> None:
    points = units(rows, dim=3) if rows else np.zeros((0, 3), np.float32)
    at, cosine = vectors.twins(points, 0.999)
    exact = np.tril(points.astype(np.float64) @ points.astype(np.float64).T, -1)
    for row in range(0, rows, 7):
        best = exact[row, :row].max(initial=-1)
        assert (at[row] >= 0) == (best >= 0.999)
        assert at[row] < 0 or (
            exact[row, at[row]] == pytest.approx(best, abs=1e-12) and cosine[row] == pytest.approx(best)
        )
