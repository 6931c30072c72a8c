"""Unit vectors: nearest centroids, spherical k-means and near pairs, through BLAS.

BLAS adds in another order for another shape of a matrix, so what it finds nearly equal is measured again, term by term:
results do not depend on batches.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.kernels.jit import kernel

CLOSE = 1e-4  # how far BLAS may be off, and much more
FIXED = 2.0**40  # sums of vectors are kept in whole numbers of this part of one: they have no order
BLOCK = 2048  # vectors that are compared with as many at a time


def matrix(column: pa.Array) -> np.ndarray:
    """A column of lists of one size as unit vectors (float32[n, dim]); what has no length, or no finite one, is zero.

    Raises ValueError for lists of several sizes.

    >>> matrix(pa.array([[3.0, 4.0], [0.0, 0.0]], pa.list_(pa.float32(), 2))).round(2).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    values = column.flatten().to_numpy(zero_copy_only=False)
    size = len(values) // max(len(column), 1) if pa.types.is_list(column.type) else column.type.list_size
    if pa.types.is_list(column.type) and (pc.list_value_length(column).to_numpy() != size).any():
        raise ValueError("these vectors differ in length")
    vectors = np.ascontiguousarray(values.reshape(len(column), size), np.float32)
    units = np.empty_like(vectors)
    scale(vectors, units)
    return units


@kernel(allocates=False)
def scale(vectors: Any, units: Any) -> None:
    """Fill with the vectors at length one."""
    rows, dim = vectors.shape
    for d in range(rows):
        total = 0.0
        for k in range(dim):
            total += np.float64(vectors[d, k]) * vectors[d, k]
        is_good = 0.0 < total < np.inf
        factor = 1.0 / np.sqrt(total) if is_good else 0.0
        for k in range(dim):
            units[d, k] = vectors[d, k] * factor if is_good else 0.0


def nearest(units: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each vector the centroid with the largest cosine, the first of several, and that cosine (float64)."""
    at, cosine = np.empty(len(units), np.int32), np.empty(len(units), np.float64)
    rows = max(1, (1 << 24) // max(len(centroids), 1))
    for low in range(0, len(units), rows):
        part = slice(low, low + rows)
        choose(units[part], centroids, units[part] @ centroids.T, at[part], cosine[part])
    return at, cosine


@kernel(allocates=False)
def choose(units: Any, centroids: Any, products: Any, at: Any, cosine: Any) -> None:
    """The nearest centroid by exact cosine among those that are close to it by product."""
    rows, dim = units.shape
    for d in range(rows):
        most = -np.inf
        for c in range(len(centroids)):
            most = max(most, products[d, c])
        best = -np.inf
        for c in range(len(centroids)):
            if products[d, c] >= most - CLOSE:
                total = 0.0
                for k in range(dim):
                    total += np.float64(units[d, k]) * centroids[c, k]
                if total > best:
                    best = total
                    at[d] = c
        cosine[d] = best


def sums(units: np.ndarray, at: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The sum of each centroid's vectors in whole numbers (int64[count, dim]), and how many they are."""
    total = np.zeros((count, units.shape[1]), np.int64)
    add(units, at, total)
    return total, np.bincount(at, minlength=count).astype(np.int64)


@kernel(allocates=False)
def add(units: Any, at: Any, total: Any) -> None:
    rows, dim = units.shape
    for d in range(rows):
        for k in range(dim):
            total[at[d], k] += np.int64(np.float64(units[d, k]) * FIXED)


def moved(centroids: np.ndarray, total: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The centroids of these sums; one that has no vectors, or whose vectors cancel out, stays."""
    new = np.empty_like(centroids)
    scale((total / np.maximum(counts, 1)[:, None] / FIXED).astype(np.float32), new)
    return np.where((new != 0).any(axis=1, keepdims=True), new, centroids)


def seeds(units: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Centroids to begin with: k-means++ (Arthur and Vassilvitskii 2007). Fewer if fewer differ."""
    chance = np.random.Generator(np.random.PCG64(seed))
    chosen = [int(chance.integers(len(units)))]
    distance = np.full(len(units), np.inf)
    while len(chosen) < count:
        distance = np.minimum(distance, np.maximum(1.0 - units @ units[chosen[-1]], 0.0).astype(np.float64))
        distance[distance < CLOSE * CLOSE] = 0.0
        edges = np.cumsum(distance)
        if edges[-1] <= 0:
            break
        chosen.append(int(np.searchsorted(edges, chance.random() * edges[-1], side="right")))
    return units[chosen].copy()


def minibatch(units: np.ndarray, centroids: np.ndarray, rounds: int, size: int, seed: int) -> np.ndarray:
    """Mini-batch k-means (Sculley 2010): each batch moves centroids less, the more vectors they have had."""
    chance = np.random.Generator(np.random.PCG64(seed))
    held = np.zeros(len(centroids), np.int64)
    for _ in range(rounds):
        order = chance.permutation(len(units))
        for low in range(0, len(order), size):
            batch = units[order[low : low + size]]
            total, counts = sums(batch, nearest(batch, centroids)[0], len(centroids))
            held += counts
            rate = (counts / np.maximum(held, 1))[:, None]
            mean = total / np.maximum(counts, 1)[:, None] / FIXED
            mixed = np.ascontiguousarray(centroids * (1 - rate) + mean * rate, np.float32)
            new = np.empty_like(centroids)
            scale(mixed, new)
            centroids = np.where((new != 0).any(axis=1, keepdims=True), new, centroids)
    return centroids


def twins(units: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """For each vector the one before it with the largest cosine of at least `threshold` (-1: none), and that cosine.

    >>> at, cosine = twins(matrix(pa.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.01]], pa.list_(pa.float32(), 2))), 0.9)
    >>> at.tolist(), cosine.round(3).tolist()
    ([-1, -1, 0], [0.0, 0.0, 1.0])
    """
    at, cosine = np.full(len(units), -1, np.int64), np.zeros(len(units), np.float64)
    for low in range(0, len(units), BLOCK):
        rows = units[low : low + BLOCK]
        for first in range(0, low + 1, BLOCK):
            others = units[first : first + BLOCK]
            compare(
                rows, others, rows @ others.T, low, first, threshold, at[low : low + BLOCK], cosine[low : low + BLOCK]
            )
    return at, cosine


@kernel(allocates=False)
def compare(rows: Any, others: Any, products: Any, low: Any, first: Any, threshold: Any, at: Any, cosine: Any) -> None:
    """Update the best twins of some vectors from others, those before them."""
    count, dim = rows.shape
    for d in range(count):
        for o in range(min(len(others), low + d - first)):
            if products[d, o] < max(threshold, cosine[d]) - CLOSE:
                continue
            total = 0.0
            for k in range(dim):
                total += np.float64(rows[d, k]) * others[o, k]
            if total >= threshold and (at[d] < 0 or total > cosine[d]):
                at[d], cosine[d] = first + o, total
