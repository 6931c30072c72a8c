"""Clusters of documents by their vectors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.arrays import one
from curate.embedding import check_vectors, listed, lowest
from curate.operator import Columns, Trainer

PLUS_PLUS = 32  # vectors for each cluster among which k-means++ looks for seeds


class Cluster(Trainer, frozen=True):
    """Spherical k-means over the vectors of documents: which cluster each is in, and how near to its centroid.

    The corpus is read once more for each round, but of it only vectors. Seeds are those of k-means++ among a sample.
    The task that fits holds the sample (`count * sample` vectors, 4 bytes for each of their numbers), or sums for each
    centroid of the batches of one shard, however large the corpus is.

    vector   column of vectors
    count    number of clusters (fewer if there are fewer vectors that differ)
    method   minibatch: on a sample, in memory (Sculley 2010); full: Lloyd's algorithm over all vectors
    iterations  of `full`, passes over the corpus; of `minibatch`, passes over the sample
    sample   vectors for each cluster in the sample
    batch    vectors in a mini-batch
    on       sources to fit on (default: the documents it is applied to)
    seed     of the sample, of the seeds and of the order of mini-batches

    cluster              number of the cluster, 0 and up; null for a document without a vector
    cluster_similarity   cosine to its centroid, -1..1; the lower, the less typical

    >>> vectors = pa.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]], pa.list_(pa.float32(), 2))
    >>> table = pa.table({"id": list("abcd"), "vector": vectors})
    >>> found = Cluster(vector="vector", count=2)(table)["cluster"].to_pylist()
    >>> found[0] == found[1] != found[2] == found[3]
    True
    """

    example: ClassVar[dict[str, Any]] = {"vector": "vector", "count": 3}

    vector: str = "embed_vector"
    count: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1_000
    method: Literal["minibatch", "full"] = "minibatch"
    iterations: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 10
    sample: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 256
    batch: Annotated[int, msgspec.Meta(ge=1, le=1 << 24)] = 16_384
    on: tuple[str, ...] = ()
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**31)] = 0

    @property
    def rounds(self) -> int:  # type: ignore[override]
        """Hashes, then a sample; and each iteration over all vectors."""
        return 2 + (self.iterations if self.method == "full" else 0)

    def fitted_on(self) -> tuple[str, ...]:
        return self.on

    def reads(self) -> dict[str, pa.DataType | None]:
        return {"id": pa.string(), self.vector: None}

    def writes(self) -> dict[str, pa.DataType]:
        return {"cluster": pa.int32(), "cluster_similarity": pa.float64()}

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        check_vectors("cluster", self.vector, types[self.vector])

    def sketch_schema(self) -> pa.Schema:
        lists = {"vector": pa.list_(pa.float32()), "before": pa.list_(pa.float32())}
        lists |= {"sums": pa.list_(pa.int64()), "counts": pa.list_(pa.int64())}
        return pa.schema([("round", pa.int32()), ("tie", pa.uint64()), *lists.items()])

    def sketch(self, model: pa.Table | None, **given: pa.Array) -> pa.Table:
        """Hashes of ids; vectors of the sample; then sums of vectors by centroid."""
        from curate.kernels.quotas import ties
        from curate.kernels.vectors import matrix, nearest, sums

        tie = ties(given["id"], self.seed)
        if model is None:
            return self._sketched(0, tie=tie)
        if "limit" in model.column_names:
            drawn = pc.less_equal(tie, pa.scalar(model["limit"][0].as_py(), pa.uint64()))
            units = matrix(given[self.vector].filter(drawn))
            splits = pa.array(np.arange(len(units) + 1) * units.shape[1], pa.int32())
            return self._sketched(
                1, tie=tie.filter(drawn), vector=pa.ListArray.from_arrays(splits, pa.array(units.ravel()))
            )
        units, centroids = matrix(given[self.vector]), centroids_of(model)
        total, counts = sums(units, nearest(units, centroids)[0], len(centroids))
        lists = {"before": centroids.ravel(), "sums": total.ravel(), "counts": counts}
        return self._sketched(2, **{name: listed(array) for name, array in lists.items()})

    def _sketched(self, round: int, **columns: pa.Array) -> pa.Table:
        rows, schema = len(next(iter(columns.values()))), self.sketch_schema()
        every = {"round": pa.repeat(pa.scalar(round, pa.int32()), rows), **columns}
        return pa.table([every.get(field.name, pa.nulls(rows, field.type)) for field in schema], schema=schema)

    def combine(self, sketches: pa.Table) -> pa.Table:
        """The lowest hashes; the sample as it is; or sums of sums."""
        from curate.kernels.quotas import lowest_ties

        round = sketches["round"][0].as_py() if len(sketches) else 1
        if round == 0:
            return lowest_ties(sketches, self.count * self.sample)
        if round == 1:
            return sketches
        sums = {name: sum(own.values.to_numpy() for own in sketches[name]) for name in ("sums", "counts")}
        lists = {"before": sketches["before"][0].values.to_numpy(), **sums}
        return self._sketched(2, **{name: listed(array) for name, array in lists.items()})

    def fit(self, sketches: pa.Table) -> pa.Table:
        round = sketches["round"][0].as_py() if len(sketches) else 0
        if round == 0:
            return lowest(sketches["tie"].to_numpy(), self.count * self.sample)
        return self._begun(sketches) if round == 1 else self._moved(sketches)

    def _begun(self, sketches: pa.Table) -> pa.Table:
        """Seeds from the sample; and, of `minibatch`, where they come to rest."""
        from curate.kernels.vectors import minibatch, seeds

        sample = one(sketches["vector"]).take(pc.sort_indices(sketches["tie"]))
        units = sample.flatten().to_numpy().reshape(len(sample), -1)
        centroids = seeds(units[: PLUS_PLUS * self.count], self.count, self.seed)
        if self.method == "minibatch":
            centroids = minibatch(units, centroids, self.iterations, self.batch, self.seed)
        return self._model(centroids, len(units))

    def _moved(self, sketches: pa.Table) -> pa.Table:
        """Centroids after one iteration over all vectors."""
        from curate.kernels.vectors import moved

        counts = sum(own.values.to_numpy() for own in sketches["counts"])
        total = sum(own.values.to_numpy() for own in sketches["sums"]).reshape(len(counts), -1)
        before = sketches["before"][0].values.to_numpy().reshape(len(counts), -1)
        return self._model(moved(before, total, counts), int(counts.sum()))

    def _model(self, centroids: np.ndarray, vectors: int) -> pa.Table:
        return pa.table({"centroids": listed(centroids.ravel()), "clusters": [len(centroids)], "vectors": [vectors]})

    def facts(self, model: pa.Table) -> dict[str, Any]:
        return {name: model[name][0].as_py() for name in model.column_names if name in ("clusters", "vectors")}

    def export(self, model: pa.Table, folder: Path) -> None:
        np.save(Path(folder, "centroids.npy"), centroids_of(model))

    def apply(self, model: pa.Table, **given: pa.Array) -> Columns:
        from curate.kernels.vectors import matrix, nearest

        at, cosine = nearest(matrix(given[self.vector]), centroids_of(model))
        return {"cluster": pa.array(at), "cluster_similarity": pa.array(cosine)}


def centroids_of(model: pa.Table) -> np.ndarray:
    """The centroids that a model holds: float32[clusters, dim]."""
    found: np.ndarray = model["centroids"][0].values.to_numpy().reshape(model["clusters"][0].as_py(), -1)
    return found
