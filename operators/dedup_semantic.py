"""Documents that mean nearly the same, by their vectors (SemDeDup)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.arrays import plain
from curate.embedding import check_vectors
from curate.errors import PlanError
from curate.operator import ROW, Columns, Trainer


class DedupSemantic(Trainer, frozen=True):
    """Drop documents that mean nearly the same as another one of their cluster (SemDeDup, Abbas et al. 2023).

    Within a cluster documents are ranked by `keep`. Each whose vector has a cosine of `threshold` or more to that of
    one ranked before it, be that kept or not, is dropped. Clusters are worked on apart: a task holds the vectors of one
    cluster or of some small ones (4 bytes a number), and its time grows with the square of their sizes.

    vector      column of vectors
    cluster     column with the number of the cluster, such as `cluster` writes
    similarity  column with the cosine to the centroid, for `keep`
    threshold   cosine from which two documents are the same (1 - the paper's epsilon)
    keep        hard: what is farthest from the centroid is ranked first, as in the paper; easy: what is nearest;
                random: by a hash of the id; or {highest: COLUMN}, {lowest: COLUMN}
    seed        of that hash, which also breaks ties

    dedup_semantic_is_duplicate  whether it is dropped
    dedup_semantic_duplicate_of  id of the document it is nearest to among those before it; null for one that stays
    dedup_semantic_twin          row address of that document
    dedup_semantic_similarity    cosine to it, -1..1

    >>> vectors = pa.array([[1.0, 0.0], [1.0, 0.01], [0.0, 1.0]], pa.list_(pa.float32(), 2))
    >>> table = pa.table({"id": list("abc"), "vector": vectors, "cluster": [0, 0, 0], "size": [2.0, 1.0, 1.0]})
    >>> DedupSemantic(vector="vector", keep={"highest": "size"})(table)["dropped_by"].to_pylist()
    [None, 'dedup_semantic', None]
    """

    key: ClassVar[str] = "key"
    example: ClassVar[dict[str, Any]] = {"vector": "vector", "keep": "random"}

    vector: str = "embed_vector"
    cluster: str = "cluster"
    similarity: str = "cluster_similarity"
    threshold: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.95
    keep: Literal["hard", "easy", "random"] | dict[Literal["highest", "lowest"], str] = "hard"
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.keep, dict) and len(self.keep) != 1:
            raise ValueError("keep takes one of highest and lowest, with the name of a column")

    def _rank(self) -> tuple[str | None, bool]:
        """The column that ranks, and whether its highest values come first."""
        if isinstance(self.keep, dict):
            ((which, column),) = self.keep.items()
            return column, which == "highest"
        return (None, False) if self.keep == "random" else (self.similarity, self.keep == "easy")

    def reads(self) -> dict[str, pa.DataType | None]:
        column, _ = self._rank()
        asked = {"id": pa.string(), self.vector: None, self.cluster: None, ROW: pa.int64()}
        return {**asked, **({column: None} if column and column not in asked else {})}

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        check_vectors("dedup_semantic", self.vector, types[self.vector])
        if not (pa.types.is_integer(types[self.cluster]) or pa.types.is_string(types[self.cluster])):
            raise PlanError(
                f"dedup_semantic needs clusters, but {self.cluster} is {types[self.cluster]}: see `cluster`"
            )
        column, _ = self._rank()
        if column and not (pa.types.is_integer(types[column]) or pa.types.is_floating(types[column])):
            raise PlanError(f"dedup_semantic ranks by numbers, but {column} is {types[column]}")

    def reasons(self) -> tuple[str, ...]:
        return (self.name(),)

    def writes(self) -> dict[str, pa.DataType]:
        columns = {
            "is_duplicate": pa.bool_(),
            "duplicate_of": pa.string(),
            "twin": pa.int64(),
            "similarity": pa.float64(),
        }
        return {f"dedup_semantic_{name}": kind for name, kind in columns.items()}

    def sketch_schema(self) -> pa.Schema:
        ranks = [("rank", pa.float64()), ("tie", pa.uint64())]
        return pa.schema(
            [("key", pa.uint64()), *ranks, (ROW, pa.int64()), ("id", pa.string()), ("vector", pa.binary())]
        )

    def sketch(self, **given: pa.Array) -> pa.Table:
        """Each document with a key of its cluster, its rank and its vector."""
        from curate.kernels.quotas import ties
        from curate.kernels.vectors import matrix

        column, is_highest = self._rank()
        rank = given[column].cast(pa.float64()) if column else pa.repeat(0.0, len(given["id"]))
        units = matrix(given[self.vector])
        size = 4 * units.shape[1]
        offsets = pa.array(np.arange(len(units) + 1) * size, pa.int32()).buffers()[1]
        vectors = pa.BinaryArray.from_buffers(pa.binary(), len(units), [None, offsets, pa.py_buffer(units)])
        ranks = [pc.negate(rank) if is_highest else rank, ties(given["id"], self.seed)]
        key = ties(given[self.cluster].cast(pa.string()), 0)
        return pa.table([key, *ranks, given[ROW], given["id"], vectors], schema=self.sketch_schema())

    def fit(self, sketches: pa.Table) -> pa.Table:
        """What is dropped, by row address; clusters one after the other."""
        from curate.kernels.vectors import twins

        order = [("key", "ascending"), ("rank", "ascending"), ("tie", "ascending"), (ROW, "ascending")]
        table = sketches.take(pc.sort_indices(sketches, order)).combine_chunks()
        keys = table["key"].to_numpy()
        edges = (
            np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1], [True]])) if len(keys) else np.zeros(1, int)
        )
        twin, cosine = np.full(len(table), -1, np.int64), np.zeros(len(table))
        for low, high in itertools.pairwise(edges):
            at, cosine[low:high] = twins(self._units(table["vector"].slice(low, high - low)), self.threshold)
            twin[low:high] = np.where(at < 0, -1, at + low)
        gone = np.flatnonzero(twin >= 0)
        gone = gone[np.argsort(table[ROW].to_numpy()[gone])]
        of = table.select([ROW, "id"]).take(pa.array(twin[gone]))
        rows = table[ROW].take(pa.array(gone))
        return pa.table([rows, of["id"], of[ROW], pa.array(cosine[gone])], ["row", "of", "twin", "cosine"])

    def _units(self, vectors: pa.ChunkedArray) -> np.ndarray:
        flat = b"".join(vectors.to_pylist())
        return np.frombuffer(flat, np.float32).reshape(len(vectors), -1)

    def apply(self, model: pa.Table, **given: pa.Array) -> Columns:
        row = given[ROW].to_numpy()
        made: list[pa.Table] = []
        for batch in model.to_batches() or [pa.RecordBatch.from_pylist([], schema=model.schema)]:
            at = np.searchsorted(batch["row"].to_numpy(), row)
            there = at < len(batch)
            there[there] = batch["row"].to_numpy()[at[there]] == row[there]
            made.append(pa.Table.from_batches([batch]).take(pa.array(at, mask=~there)))
        found = [pc.coalesce(*(plain(table[name]) for table in made)) for name in ("of", "twin", "cosine")]
        names = ("is_duplicate", "duplicate_of", "twin", "similarity")
        return {f"dedup_semantic_{n}": a for n, a in zip(names, [pc.is_valid(found[1]), *found], strict=True)}

    def decide(self, made: Columns) -> Columns:
        return {self.name(): made["dedup_semantic_is_duplicate"]}
