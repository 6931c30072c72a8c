"""Where a document stands among all others."""

import itertools
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from curate.errors import PlanError
from curate.operator import Selection, Selector


class Quantile(Selector, frozen=True):
    """The quantile of a number among all documents, or among those of the same group. Exact; nothing is dropped.

    It is the share of documents with a lower value, and half of those with the same one: 0.5 is the median. Documents
    without a value (null) have none, and do not count. A document takes some 30 bytes of memory.

    of    numeric column
    per   among documents with the same value of this column of strings, instead of all

    OF_quantile   the quantile, 0..1; `of: score` writes score_quantile

    >>> Quantile(of="score")(pa.table({"score": [5.0, 1.0, 5.0, None]}))["score_quantile"].to_pylist()
    [0.6666666666666666, 0.16666666666666666, 0.6666666666666666, None]
    """

    sees_nulls = True
    example: ClassVar[dict[str, Any]] = {"of": "OF", "per": "language"}

    of: str
    per: str | None = None

    def reads(self) -> dict[str, pa.DataType | None]:
        return {self.of: None, **({self.per: pa.string()} if self.per else {})}

    def writes(self) -> dict[str, pa.DataType]:
        return {f"{self.of}_quantile": pa.float64()}

    def reasons(self) -> tuple[str, ...]:
        return ()

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        if not (pa.types.is_integer(types[self.of]) or pa.types.is_floating(types[self.of])):
            raise PlanError(f"quantile is about numbers, but {self.of} is {types[self.of]}")

    def sketches(self) -> dict[str, pa.DataType]:
        return {"value": pa.float64(), **({"group": pa.string()} if self.per else {})}

    def sketch(self, **given: pa.Array) -> dict[str, pa.Array]:
        return {"value": given[self.of].cast(pa.float64()), **({"group": given[self.per]} if self.per else {})}

    def select(self, sketch: pa.Table) -> Selection:
        from curate.kernels.quotas import groups

        value = sketch["value"].to_numpy()
        names, at = groups(sketch["group"] if self.per else pa.nulls(len(sketch), pa.string()))
        found = np.full(len(value), np.nan)
        order = np.lexsort((value, at))
        bounds = np.searchsorted(at[order], np.arange(len(names) + 1))
        for low, high in itertools.pairwise(bounds):
            rows = order[low:high]
            rows = rows[~np.isnan(value[rows])]
            ends = np.searchsorted(value[rows], value[rows], side="right")
            starts = np.searchsorted(value[rows], value[rows], side="left")
            found[rows] = (starts + ends) / 2 / max(len(rows), 1)
        return Selection(columns={f"{self.of}_quantile": pa.array(found, mask=np.isnan(found))})
