"""Duplicates across the corpus: exact by hash, near by MinHash and LSH (Broder 1997; Leskovec et al., ch. 3)."""

from typing import Annotated, Literal

import msgspec
import numpy as np
import pyarrow as pa

from curate.operator import Deduplicator, plain

Positive = Annotated[int, msgspec.Meta(ge=1)]


class DedupExact(Deduplicator, frozen=True):
    """Drop documents whose text was seen before; the first in corpus order stays.

    Texts are compared by 128-bit XXH3, so a false match is not a practical concern.

    by        normalised: lower case, NFD, white space folded, punctuation kept; raw: byte for byte
    keep      which copy stays: first (in corpus order), longest, {highest: column}, {lowest: column}, {sources: [a, b]}
              (the best source first); all: nothing is dropped. Ties: the first
    link      components; for copies, which are all alike, representative means the same
    against   an earlier run (its folder): its documents take part, before all others, without being read again

    dedup_exact_cluster        row address of the copy that stays; null for documents without a copy
    dedup_exact_cluster_size   how many copies there are with the one that stays, 2 and more
    dedup_exact_is_duplicate   whether another copy stays
    dedup_exact_duplicate_of   id of the copy that stays; null for it and for documents without a copy
    dedup_exact_twin           its row address
    dedup_exact_similarity     to it: 1.0

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

    def similarity(self, left: pa.Table, right: pa.Table) -> np.ndarray:
        same = [left[half].to_numpy() == right[half].to_numpy() for half in ("hash_low", "hash_high")]
        return (same[0] & same[1]).astype(float)


class DedupMinhash(Deduplicator, frozen=True):
    """Drop near-duplicates: documents whose word n-grams overlap by at least `threshold` (Jaccard).

    Candidates share a band of their MinHash signature. The share of slots in which signatures agree estimates their
    similarity; where it is within four standard errors of `threshold` (sqrt(t (1 - t) / slots), so 0.66 .. 0.94 by
    default) the shingles of the two documents decide, unless `verify` says otherwise.
    Words are lower-cased, NFD, without ASCII punctuation; documents with fewer than `ngram` words are
    compared exactly. The signature is stored once: other bands, rows or thresholds do not read text again.

    ngram       words in a shingle
    slots       length of the signature
    bands,rows  bands of so many slots each (bands x rows <= slots)
    threshold   Jaccard similarity from which two documents are duplicates, 0..1
    seed        of the permutations
    verify      exact: as above; estimate: by the signatures alone; none: all candidates are duplicates
    keep        which document of a cluster stays: first (in corpus order), longest, {highest: column},
                {lowest: column}, {sources: [a, b]} (the best source first); all: nothing is dropped. Ties: the first
    link        components: all that is connected is a cluster, in which one stays; representative: a document is
                dropped only when it is itself similar to one that stays
    against     an earlier run (its folder): its documents take part, before all others, without being read again

    dedup_minhash_cluster        row address of the document that stays; null for documents in no cluster
    dedup_minhash_cluster_size   documents in the cluster, 2 and more
    dedup_minhash_is_duplicate   whether another document of the cluster stays
    dedup_minhash_duplicate_of   id of the document that stays; null for it and for documents in no cluster
    dedup_minhash_twin           its row address
    dedup_minhash_similarity     to it, 0..1: of the shingles where they decided, else estimated

    >>> texts = ["a b c d e f g h", "A b c, d e f g h.", "something else altogether is written here"]
    >>> DedupMinhash(ngram=3)(pa.table({"text": texts}))["dropped_by"].to_pylist()
    [None, 'dedup_minhash', None]
    """

    sketch_parameters = ("ngram", "slots", "seed")

    ngram: Positive = 5
    slots: Positive = 128
    bands: Positive = 18
    rows: Positive = 7
    threshold: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.8  # type: ignore[misc]
    seed: int = 1
    verify: Literal["exact", "estimate", "none"] = "exact"  # type: ignore[misc]

    def __post_init__(self) -> None:
        super().__post_init__()
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

    def similarity(self, left: pa.Table, right: pa.Table) -> np.ndarray:
        from curate.kernels.minhash import estimate

        return estimate(self._values(left), self._values(right))

    def standard_error(self) -> float:
        return float(np.sqrt(self.threshold * (1 - self.threshold) / self.slots))

    def evidences(self) -> dict[str, pa.DataType]:
        return {"shingles": pa.list_(pa.uint64())} if self.verify == "exact" else {}

    def evidence(self, text: pa.StringArray) -> dict[str, pa.Array]:
        """The set of the document's shingles; of a document without any, its normalised text."""
        from curate.kernels.sets import as_lists
        from curate.kernels.shingles import shingle_sets

        return {"shingles": as_lists(*shingle_sets(text, ngram=self.ngram))}

    def measure(self, left: pa.Table, right: pa.Table) -> np.ndarray:
        from curate.kernels.sets import jaccard

        return jaccard(plain(left["shingles"]), plain(right["shingles"]))

    def _values(self, sketch: pa.Table) -> np.ndarray:
        column = sketch["signature"].combine_chunks()
        array = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
        flat = np.frombuffer(array.buffers()[1], np.uint32) if len(array) else np.empty(0, np.uint32)
        start = array.offset * self.slots
        return flat[start : start + len(array) * self.slots].reshape(len(array), self.slots)
