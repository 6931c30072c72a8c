"""Seeded sampling by hash, so that a document's fate does not depend on where it is stored."""

from typing import Annotated

import msgspec
import numpy as np
import pyarrow as pa

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
