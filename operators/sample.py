"""Seeded sampling by hash, so that a document's fate does not depend on where it is stored."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import PlanError
from curate.operator import Filter


class Sample(Filter, frozen=True):
    """Keep a share of the documents, chosen by a hash of their id: stable under resharding and reordering.

    A document kept at a share of 0.1 is also kept at every larger share with the same seed.

    share   share of the documents to keep, 0..1
    seed    another seed chooses another sample
    by      column of strings that is hashed (documents with the same value share their fate)

    >>> Sample(share=0.0)({"id": "doc-1"})
    {'dropped_by': 'sample'}
    """

    share: Annotated[float, msgspec.Meta(ge=0, le=1)]
    seed: int = 0
    by: str = "id"

    def reads(self) -> dict[str, pa.DataType | None]:
        return {self.by: pa.string()}

    def reasons(self) -> tuple[str, ...]:
        return (self.name(),)

    def decide(self, **given: pa.Array) -> dict[str, pa.Array]:
        from curate.kernels.hashing import xxh3_128
        from curate.kernels.mixing import mix

        low, _ = xxh3_128(given[self.by])
        points = mix(low, self.seed) >> np.uint64(11)
        return {self.name(): pa.array(points >= np.uint64(round(self.share * 2.0**53)))}


class SamplePareto(Filter, frozen=True):
    """Keep a document if its score is above a draw from a Pareto distribution (GPT-3, Brown et al. 2020, appendix A).

    It is kept when the draw exceeds 1 - score: all that score 1, fewer the lower they score, and some of the worst. The
    draw is a hash of the id, so a document's fate does not depend on where it is stored.

    by     column with a score, 0..1, such as train_fasttext_score
    alpha  of the distribution (its Lomax form, as in NumPy); GPT-3: 9. Larger ones keep less
    seed   another seed makes other draws

    >>> SamplePareto(by="score")({"id": "doc-1", "score": 1.0})
    {'dropped_by': None}
    """

    example: ClassVar[dict[str, Any]] = {"by": "score"}
    sees_nulls: ClassVar[bool] = True

    by: str
    alpha: Annotated[float, msgspec.Meta(gt=0, le=1e6)] = 9.0
    seed: int = 0

    def reads(self) -> dict[str, pa.DataType | None]:
        return {"id": pa.string(), self.by: None}

    def reasons(self) -> tuple[str, ...]:
        return (self.name(),)

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        if not pa.types.is_floating(types[self.by]):
            raise PlanError(f"sample_pareto needs a score from 0 to 1, but {self.by} is {types[self.by]}")

    def decide(self, **given: pa.Array) -> dict[str, pa.Array]:
        from curate.kernels.quotas import ties

        chance = ((ties(given["id"], self.seed).to_numpy() >> np.uint64(11)) + 0.5) / 2.0**53
        draw = chance ** (-1.0 / self.alpha) - 1.0
        kept = pc.greater(pa.array(draw), pc.subtract(1.0, given[self.by].cast(pa.float64())))
        return {self.name(): pc.invert(kept.fill_null(False))}
