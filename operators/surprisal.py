"""How unusual a document's words are in its own corpus (Shannon 1948), from hashed word counts."""

from typing import Annotated

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.arrays import one
from curate.operator import Trainer

UNIT = 2**20  # surprisals are summed as whole numbers of this part of a bit


class Surprisal(Trainer, frozen=True):
    """Mean surprisal of a document's words under the unigram counts of the corpus it is fitted on.

    Words are those of the shared lexer (lower case, NFD, without ASCII punctuation), counted in hashed buckets.
    Low values mark boilerplate and repeated phrases, high values rare words, noise or another language.

    bits   logarithm of the number of buckets, of which one takes 12 bytes of memory

    surprisal   mean of -log2 p(word), in bits; 0 for a document without words

    >>> table = Surprisal()(pa.table({"text": ["the cat the dog", "the the the the"]}))
    >>> table["surprisal"][0].as_py() > table["surprisal"][1].as_py()
    True
    """

    bits: Annotated[int, msgspec.Meta(ge=8, le=24)] = 20

    def writes(self) -> dict[str, pa.DataType]:
        return {"surprisal": pa.float64()}

    def sketch_schema(self) -> pa.Schema:
        return pa.schema([("bucket", pa.uint32()), ("count", pa.int64())])

    def sketch(self, text: pa.StringArray) -> pa.Table:
        buckets, _ = self._buckets(text)
        found, counts = np.unique(buckets, return_counts=True)
        return pa.table({"bucket": found, "count": counts.astype(np.int64)}, schema=self.sketch_schema())

    def combine(self, sketches: pa.Table) -> pa.Table:
        counts = sketches.group_by("bucket", use_threads=False).aggregate([("count", "sum")]).sort_by("bucket")
        return counts.rename_columns({"count_sum": "count"}).combine_chunks()

    def fit(self, sketches: pa.Table) -> pa.Table:
        counts = self.combine(sketches)
        total = pc.sum(counts["count"]).as_py() or 1
        bits = -np.log2(counts["count"].to_numpy() / total)
        return pa.table({"bucket": one(counts["bucket"]), "bits": bits})

    def apply(self, text: pa.StringArray, model: pa.Table) -> dict[str, pa.Array]:
        fixed = np.round(model["bits"].to_numpy() * UNIT).astype(np.int64)
        table = np.full(1 << self.bits, fixed.max(initial=0))
        table[model["bucket"].to_numpy()] = fixed
        buckets, splits = self._buckets(text)
        sums = np.concatenate([[0], np.cumsum(table[buckets])])  # exact: a document's sum has no neighbours in it
        mean = (sums[splits[1:]] - sums[splits[:-1]]) / np.maximum(np.diff(splits), 1)
        return {"surprisal": pa.array(mean / UNIT)}

    def _buckets(self, text: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        """Buckets of all words of all documents, and where each document's begin."""
        from curate.kernels.lexer import lex

        lexed = lex(text)
        is_word = lexed.words.normal_characters > 0
        splits = np.concatenate([[0], np.cumsum(is_word)])[lexed.word_splits]
        return (lexed.words.hash[is_word] >> np.uint64(64 - self.bits)).astype(np.uint32), splits
