"""Choosing a subset of the corpus by a score."""

from collections.abc import Mapping
from typing import Annotated

import msgspec
import numpy as np
import pyarrow as pa

from curate.errors import PlanError
from curate.operator import Selector


class SelectTop(Selector, frozen=True):
    """Keep the documents with the highest score: a number of them, or a share. Ties are broken by a hash of the id.

    Documents without a score (null) are not chosen.

    by       numeric column to rank by
    count    how many documents to keep
    share    or which share of them, 0..1
    lowest   keep the lowest scores instead
    seed     of the hash that breaks ties

    >>> SelectTop(by="score", count=1)(pa.table({"id": ["a", "b"], "score": [0.1, 0.9]}))["dropped_by"].to_pylist()
    ['select_top', None]
    """

    sees_nulls = True

    by: str
    count: Annotated[int, msgspec.Meta(ge=0)] | None = None
    share: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    lowest: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.count is None) == (self.share is None):
            raise ValueError("select_top takes either count or share")

    def reads(self) -> dict[str, pa.DataType | None]:
        return {"id": pa.string(), self.by: None}

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        if not (pa.types.is_integer(types[self.by]) or pa.types.is_floating(types[self.by])):
            raise PlanError(f"select_top ranks by numbers, but {self.by} is {types[self.by]}")

    def sketches(self) -> dict[str, pa.DataType]:
        return {"score": pa.float64(), "tie": pa.uint64()}

    def sketch(self, **given: pa.Array) -> dict[str, pa.Array]:
        from curate.kernels.hashing import xxh3_128
        from curate.kernels.mixing import mix

        low, _ = xxh3_128(given["id"])
        return {"score": given[self.by].cast(pa.float64()), "tie": pa.array(mix(low, self.seed))}

    def select(self, sketch: pa.Table) -> np.ndarray:
        score = sketch["score"].to_numpy()
        rank = np.lexsort((sketch["tie"].to_numpy(), score if self.lowest else -score))
        wanted = round((self.share or 0) * len(score)) if self.count is None else self.count
        keep = np.zeros(len(score), bool)
        keep[rank[:wanted]] = True
        return keep & ~np.isnan(score)
