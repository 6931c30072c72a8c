"""From shared keys to clusters: candidate pairs, verification, connected components, representatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from curate.operator import Deduplicator

BUCKET = 16  # members of a bucket of which all pairs are compared; beyond, each with the first and its neighbour
PAIRS = 500_000  # candidate pairs verified at a time

Fetch = Callable[[np.ndarray], pa.Table]


def candidates(keys: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unique pairs (a < b) of rows that share a key."""
    from curate.kernels.components import bucket_pairs

    return bucket_pairs(keys, rows, BUCKET)


def clusters(operator: Deduplicator, a: np.ndarray, b: np.ndarray, fetch: Fetch) -> tuple[np.ndarray, np.ndarray]:
    """Members and the representative (smallest address) of each, for all clusters of two or more.

    `a`, `b`: candidate pairs of row addresses; `fetch(addresses)` gives their sketches.
    """
    from curate.kernels.components import components

    kept = [np.empty((0, 2), np.int64)]
    for at in range(0, len(a), PAIRS):
        left, right = a[at : at + PAIRS], b[at : at + PAIRS]
        good = operator.same(fetch(left), fetch(right))
        kept.append(np.stack([left[good], right[good]], axis=1))
    pairs = np.concatenate(kept)
    members, positions = np.unique(pairs, return_inverse=True)
    positions = positions.reshape(pairs.shape)
    labels = components(len(members), positions[:, 0].copy(), positions[:, 1].copy())
    return members, members[labels]


def in_memory(operator: Deduplicator, columns: dict[str, pa.Array]) -> dict[str, pa.Array]:
    """The operator on one table: its columns, and `dropped_by`. Positions stand for row addresses and ids."""
    from curate.operator import evaluate

    sketch = pa.table(evaluate(operator, columns))
    first = next(iter(sketch.columns)) if sketch.num_columns else None
    present = np.ones(len(sketch), bool) if first is None else first.is_valid().to_numpy()
    where = np.flatnonzero(present)
    sketch = sketch.filter(pa.array(present)).combine_chunks()
    rows, keys = operator.keys(sketch)
    a, b = candidates(keys, where[rows].astype(np.int64))
    back = np.cumsum(present) - 1
    members, representatives = clusters(operator, a, b, lambda at: sketch.take(pa.array(back[at])).combine_chunks())
    cluster = np.full(len(present), -1, np.int64)
    cluster[members] = representatives
    copies = (cluster >= 0) & (cluster != np.arange(len(present)))
    name = operator.name()
    twin = [str(at) if copy else None for at, copy in zip(cluster.tolist(), copies.tolist(), strict=True)]
    return {
        f"{name}_cluster": pa.array(cluster, mask=cluster < 0),
        f"{name}_duplicate_of": pa.array(twin, pa.string()),
        "dropped_by": pc.if_else(pa.array(copies), name, pa.scalar(None, pa.string())),
    }
