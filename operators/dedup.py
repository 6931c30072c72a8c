"""Duplicates across the corpus: exact by hash, near by MinHash and LSH (Broder 1997; Leskovec et al., ch. 3)."""

from typing import Annotated, Literal

import msgspec
import numpy as np
import pyarrow as pa

from curate.operator import Deduplicator

Positive = Annotated[int, msgspec.Meta(ge=1)]


class DedupExact(Deduplicator, frozen=True):
    """Drop documents whose text was seen before; the first in corpus order stays.

    Texts are compared by 128-bit XXH3, so a false match is not a practical concern.

    by   normalised: lower case, NFD, white space folded, punctuation kept; raw: byte for byte

    dedup_exact_cluster        row address of the copy that stays; null for documents without a copy
    dedup_exact_duplicate_of   id of the copy that stays; null for it and for documents without a copy

    >>> DedupExact()(pa.table({"text": ["One  text", "one text", "another"]}))["dropped_by"].to_pylist()
    [None, 'dedup_exact', None]
    """

    sketch_parameters = ("by",)

    by: Literal["normalised", "raw"] = "normalised"

    def sketches(self) -> dict[str, pa.DataType]:
        return {"hash_low": pa.uint64(), "hash_high": pa.uint64()}

    def sketch(self, text: pa.StringArray) -> dict[str, pa.Array]:
        from curate.kernels.hashing import normalised_hash, xxh3_128

        low, high = xxh3_128(text) if self.by == "raw" else normalised_hash(text)
        return {"hash_low": pa.array(low), "hash_high": pa.array(high)}

    def keys(self, sketch: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        return np.arange(len(sketch)), sketch["hash_low"].to_numpy()

    def same(self, left: pa.Table, right: pa.Table) -> np.ndarray:
        return left["hash_high"].to_numpy() == right["hash_high"].to_numpy()


class DedupMinhash(Deduplicator, frozen=True):
    """Drop near-duplicates: documents whose word n-grams overlap by at least `threshold` (Jaccard).

    Candidates share a band of their MinHash signature and count only when the signatures agree in at least
    `threshold` of their slots. Clusters are connected components; the first document in corpus order stays.
    Words are lower-cased, NFD, without ASCII punctuation; documents with fewer than `ngram` words are
    compared exactly. The signature is stored once: other bands, rows or thresholds do not read text again.

    ngram       words in a shingle
    slots       length of the signature
    bands,rows  bands of so many slots each (bands x rows <= slots)
    threshold   estimated Jaccard similarity from which two documents are duplicates, 0..1
    seed        of the permutations

    dedup_minhash_cluster        row address of the document that stays; null for documents in no cluster
    dedup_minhash_duplicate_of   id of the document that stays; null for it and for documents in no cluster

    >>> texts = ["a b c d e f g h", "A b c, d e f g h.", "something else altogether is written here"]
    >>> DedupMinhash(ngram=3)(pa.table({"text": texts}))["dropped_by"].to_pylist()
    [None, 'dedup_minhash', None]
    """

    sketch_parameters = ("ngram", "slots", "seed")

    ngram: Positive = 5
    slots: Positive = 128
    bands: Positive = 18
    rows: Positive = 7
    threshold: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.8
    seed: int = 1

    def __post_init__(self) -> None:
        if self.bands * self.rows > self.slots:
            raise ValueError(
                f"{self.bands} bands of {self.rows} rows need {self.bands * self.rows} slots, not {self.slots}"
            )

    def sketches(self) -> dict[str, pa.DataType]:
        return {"signature": pa.binary(4 * self.slots)}

    def sketch(self, text: pa.StringArray) -> dict[str, pa.Array]:
        from curate.kernels.hashing import normalised_hash
        from curate.kernels.lexer import lex
        from curate.kernels.minhash import signatures
        from curate.kernels.mixing import mix

        values, shingles = signatures(lex(text), self.ngram, self.slots, self.seed)
        short = np.flatnonzero(shingles == 0)
        if len(short):
            low, high = normalised_hash(text.take(pa.array(short)))
            exact = [mix(low ^ high, slot).astype(np.uint32) for slot in range(self.slots)]
            values[short] = np.stack(exact, axis=1)
        kind = pa.binary(4 * self.slots)
        return {"signature": pa.FixedSizeBinaryArray.from_buffers(kind, len(text), [None, pa.py_buffer(values)])}

    def keys(self, sketch: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        from curate.kernels.minhash import band_keys

        keys = band_keys(self._values(sketch), self.bands, self.rows)
        return np.tile(np.arange(len(sketch)), self.bands), keys.ravel()

    def same(self, left: pa.Table, right: pa.Table) -> np.ndarray:
        from curate.kernels.minhash import estimate

        return estimate(self._values(left), self._values(right)) >= self.threshold

    def _values(self, sketch: pa.Table) -> np.ndarray:
        column = sketch["signature"].combine_chunks()
        array = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
        flat = np.frombuffer(array.buffers()[1], np.uint32) if len(array) else np.empty(0, np.uint32)
        start = array.offset * self.slots
        return flat[start : start + len(array) * self.slots].reshape(len(array), self.slots)
