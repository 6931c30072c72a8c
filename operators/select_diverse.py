"""A diverse part of a corpus, by clusters of its documents (D4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import PlanError
from curate.operator import Selection, Selector
from curate.ranking import Ranking, Rows


class SelectDiverse(Selector, frozen=True):
    """Keep a diverse part of the documents, by the clusters they are in.

    prototypes: drop what is nearest to the centroid of its cluster, as self-supervised prototypes do (Sorscher et al.
    2022) and, after `dedup_semantic` and another `cluster`, D4 (Tirumala et al. 2023). balanced: take as many of each
    cluster, and all of those that have fewer. Documents without a cluster are not kept.

    share       share of the documents to keep, 0..1
    count       or how many
    method      prototypes or balanced
    cluster     column with the number of the cluster
    similarity  column with the cosine to the centroid; for `prototypes`
    by          with `balanced`: numeric column whose highest values are taken (default: a hash of the id)
    seed        of that hash, which also breaks ties

    >>> table = pa.table({"id": list("abcd"), "cluster": [0, 0, 0, 1], "cluster_similarity": [0.9, 0.5, 0.7, 0.8]})
    >>> SelectDiverse(count=2, method="prototypes")(table)["dropped_by"].to_pylist()
    ['select_diverse', None, None, 'select_diverse']
    >>> SelectDiverse(count=2, method="balanced", by="cluster_similarity")(table)["dropped_by"].to_pylist()
    [None, 'select_diverse', 'select_diverse', None]
    """

    version = 2
    sees_nulls = True
    example: ClassVar[dict[str, Any]] = {"share": 0.5}

    share: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    count: Annotated[int, msgspec.Meta(ge=0)] | None = None
    method: Literal["prototypes", "balanced"] = "balanced"
    cluster: str = "cluster"
    similarity: str = "cluster_similarity"
    by: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.count is None) == (self.share is None):
            raise ValueError("select_diverse takes either count or share")
        if self.by and self.method == "prototypes":
            raise ValueError("select_diverse: by is for balanced; prototypes goes by similarity")

    def _rank(self) -> str | None:
        return self.similarity if self.method == "prototypes" else self.by

    def reads(self) -> dict[str, pa.DataType | None]:
        rank = self._rank()
        return {"id": pa.string(), self.cluster: None, **({rank: None} if rank else {})}

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        rank = self._rank()
        if not (pa.types.is_integer(types[self.cluster]) or pa.types.is_string(types[self.cluster])):
            raise PlanError(
                f"select_diverse needs clusters, but {self.cluster} is {types[self.cluster]}: see `cluster`"
            )
        if rank and not (pa.types.is_integer(types[rank]) or pa.types.is_floating(types[rank])):
            raise PlanError(f"select_diverse ranks by numbers, but {rank} is {types[rank]}")

    def sketches(self) -> dict[str, pa.DataType]:
        return {"group": pa.string(), "tie": pa.uint64(), "score": pa.float64()}

    def sketch(self, **given: pa.Array) -> dict[str, pa.Array]:
        from curate.kernels.quotas import ties

        rank = self._rank()
        group = given[self.cluster].cast(pa.string())
        values = given[rank].cast(pa.float64()) if rank else pa.repeat(0.0, len(group))
        best = pc.negate(values) if self.method == "prototypes" else values
        score = pc.if_else(pc.is_valid(group), best, None)
        return {"group": group, "tie": ties(given["id"], self.seed), "score": score}

    def select(self, rows: Rows, ranking: Ranking) -> Selection:
        from curate.kernels.quotas import level

        there = ranking.documents
        total = self.count if self.count is not None else round((self.share or 0) * int(there.sum()))
        if self.method == "prototypes":
            cut = ranking.cut(total, "documents", whole=True)
            keep, kept = rows.before(cut), ranking.sums(cut.place).documents
        else:
            depth = level(there, total)
            cut = ranking.cut(depth, "documents")
            kept = np.minimum(there, depth)
            last = np.flatnonzero(cut.found)
            last = last[cut.place.take(last).order()][: total - int(kept.sum())]  # one more, of clusters with the best
            is_last = np.isin(np.arange(len(there)), last)
            keep, kept = rows.before(cut) | (rows.at(cut) & is_last[rows.group]), kept + is_last
        return Selection(keep, {}, {"clusters": int((there > 0).sum()), "clusters_kept": int((kept > 0).sum())})
