"""Duplicates across the corpus: exact by hash, near by MinHash and LSH (Broder 1997; Leskovec et al., ch. 3)."""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
import numpy as np
import pyarrow as pa

from curate.arrays import plain
from curate.errors import PlanError
from curate.lsh import PRESETS, Settings, curve_text, signature_array, signature_values, with_bands
from curate.operator import Deduplicator

Positive = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class DedupExact(Deduplicator, frozen=True):
    """Drop documents whose text, address or other column was seen before; the first in corpus order stays.

    Values are compared by 128-bit XXH3, so a false match is not a practical concern. A null is not compared.

    by        normalised: text in lower case, NFD, white space folded, punctuation kept; raw: text byte for byte;
              url: canonical address (`curate.addresses` has the rules); column: any column of strings, bytes, whole
              numbers, booleans or times
    column    what to compare; needed for by: column, else text, or url for by: url
    keep      which copy stays: first (in corpus order), longest, {highest: column}, {lowest: column}, {sources: [a, b]}
              (the best source first); all: nothing is dropped. Ties: the first
    link      components; for copies, which are all alike, representative means the same
    against   an earlier run (its folder): its documents take part, before all others, without being read again
    bloom     for when memory is the limit: what was seen is remembered in a Bloom filter, sized so that a document is
              taken for a copy wrongly with at most this probability (0.001 needs 2 bytes a document). It knows that
              there is a copy, not which: the first stays, and dedup_exact_is_duplicate is the only column. The
              manifest has the rate as it was measured

    dedup_exact_cluster        row address of the copy that stays; null for documents without a copy
    dedup_exact_cluster_size   how many copies there are with the one that stays, 2 and more
    dedup_exact_is_duplicate   whether another copy stays
    dedup_exact_duplicate_of   id of the copy that stays; null for it and for documents without a copy
    dedup_exact_twin           its row address
    dedup_exact_similarity     to it: 1.0

    Raises PlanError for a column whose values cannot be compared.

    >>> DedupExact()(pa.table({"text": ["One  text", "one text", "another"]}))["dropped_by"].to_pylist()
    [None, 'dedup_exact', None]
    >>> urls = ["https://www.example.org/a/?utm_source=mail", "http://example.org/a#top", None]
    >>> DedupExact(by="url")(pa.table({"url": urls}))["dropped_by"].to_pylist()
    [None, 'dedup_exact', None]
    >>> DedupExact(bloom=0.001)(pa.table({"text": ["one", "One"]}))["dedup_exact_is_duplicate"].to_pylist()
    [False, True]
    """

    version = 2
    is_quick = True
    sketch_parameters = ("by", "column")

    by: Literal["normalised", "raw", "url", "column"] = "normalised"
    column: str | None = None
    bloom: Annotated[float, msgspec.Meta(ge=1e-6, le=0.1)] | None = None  # type: ignore[misc]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.by == "column" and self.column is None:
            raise ValueError("by: column needs column, the name of what to compare")
        if self.bloom and self.keep not in ("first", "all"):
            raise ValueError(f"bloom: a filter does not know the other copies: keep is first or all, not {self.keep!r}")

    @property
    def compared(self) -> str:
        """The column that is compared."""
        return self.column or ("url" if self.by == "url" else "text")

    def reads(self) -> dict[str, pa.DataType | None]:
        ranked = {name: kind for name, kind in super().reads().items() if name != "columns"}
        return {**ranked, self.compared: None if self.by == "column" else pa.string()}

    def arguments(self) -> tuple[str, ...]:
        return (self.compared,)

    def writes(self) -> dict[str, pa.DataType]:
        return {"dedup_exact_is_duplicate": pa.bool_()} if self.bloom else super().writes()

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        from curate.kernels.hashing import is_hashable

        super().check(types)
        kind = types[self.compared]
        if not is_hashable(kind):
            raise PlanError(f"dedup_exact cannot compare {self.compared}, which is {kind}")

    def sketches(self) -> dict[str, pa.DataType]:
        return {"hash_low": pa.uint64(), "hash_high": pa.uint64()}

    def sketch(self, **columns: pa.Array) -> dict[str, pa.Array]:
        from curate.addresses import canonical
        from curate.kernels.hashing import normalised_hash, value_hash

        values = columns[self.compared]
        if self.by == "normalised":
            low, high = normalised_hash(values)
        else:
            low, high = value_hash(canonical(values) if self.by == "url" else values)
        return {"hash_low": pa.array(low), "hash_high": pa.array(high)}

    def keys(self, sketch: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        return np.arange(len(sketch)), sketch["hash_low"].to_numpy()

    def similarity(self, left: pa.Table, right: pa.Table) -> np.ndarray:
        same = [left[half].to_numpy() == right[half].to_numpy() for half in ("hash_low", "hash_high")]
        return (same[0] & same[1]).astype(float)


class DedupMinhash(Deduplicator, frozen=True):
    """Drop near-duplicates: documents whose shingles overlap by at least `threshold` (Jaccard).

    Candidates share a band of their MinHash signature. The share of slots in which signatures agree estimates their
    similarity; where it is within four standard errors of `threshold` (sqrt(t (1 - t) / slots), so 0.66 .. 0.94 by
    default) the shingles of the two documents decide, unless `verify` says otherwise.
    Documents too short for one shingle are compared exactly, whatever the preset (where RedPajama-V2 has a null, such
    a document has a signature of its own). The signature is stored once: other bands, rows, weights or thresholds do
    not read text again.

    preset             unit        ngram  normalise  hash     scheme    seed  slots  threshold  bands x rows
    default            words           5  plain      rolling  affine32     1    128       0.8        17 x 7
    fineweb            words           5  plain      rolling  affine32     1    112      0.75        14 x 8
    redpajama-v2       words          13  plain      sha1     legacy      42    128       0.8        9 x 13
    datasketch         words           5  plain      sha1     affine32     1    128       0.9        5 x 25
    datasketch-legacy  words           5  plain      sha1     legacy       1    128       0.9        5 x 25
    slimpajama         characters     13  plain      sha1     legacy       1    128       0.8        9 x 13
    nemo               characters     24  none       rolling  affine32    42    260       0.8       20 x 13

    Signatures of redpajama-v2 are those published, bit for bit; those of datasketch are those of its objects over the
    same shingles, those of slimpajama too where NFD changes nothing. fineweb and nemo have the published shingles,
    length and bands, but words are those between white space, and hash and permutations are our own.

    preset      where the other parameters are from; those that are given count, and `curate plan` shows them all
    unit        what shingles are made of: words (between any Unicode white space) or characters
    ngram       how many of them
    normalise   plain: lower case, NFD, white space folded, no ASCII punctuation (RedPajama-V2); folded: the same with
                punctuation; none: as it is
    hash        of a shingle: rolling (fast), sha1 (datasketch)
    scheme      datasketch's name of the permutations: affine32 (its version 2), legacy (version 1)
    seed        of the permutations
    slots       length of the signature
    threshold   Jaccard similarity from which two documents are duplicates, 0..1
    weights     of false positives and false negatives when bands are chosen; they sum to 1
    bands,rows  bands of so many slots each (bands x rows <= slots). Without either, datasketch's search chooses both
                for threshold, slots and weights, but for fineweb, slimpajama and nemo, whose bands are fixed
    verify      exact: as above; estimate: by the signatures alone; none: all candidates are duplicates
    keep        which document of a cluster stays: first (in corpus order), longest, {highest: column},
                {lowest: column}, {sources: [a, b]} (the best source first); all: nothing is dropped. Ties: the first
    link        components: all that is connected is a cluster, in which one stays; representative: a document is
                dropped only when it is itself similar to one that stays, or to one with the same signature
    against     an earlier run (its folder): its documents take part, before all others, without being read again
    remember    what later runs can go by: sketch, or evidence: also the shingles of every document (8 bytes each), so
                that pairs of old and new documents are decided exactly, and not by the signatures alone

    dedup_minhash_cluster        row address of the document that stays; null for documents in no cluster
    dedup_minhash_cluster_size   documents in the cluster, 2 and more
    dedup_minhash_is_duplicate   whether another document of the cluster stays
    dedup_minhash_duplicate_of   id of the document that stays; null for it and for documents in no cluster
    dedup_minhash_twin           its row address
    dedup_minhash_similarity     to it, 0..1: of the shingles where they decided, else estimated

    >>> texts = ["a b c d e f g h", "A b c, d e f g h.", "something else altogether is written here"]
    >>> DedupMinhash(ngram=3)(pa.table({"text": texts}))["dropped_by"].to_pylist()
    [None, 'dedup_minhash', None]
    >>> found = DedupMinhash(preset="redpajama-v2", threshold=0.9)
    >>> found.ngram, found.bands, found.rows
    (13, 5, 25)
    """

    version = 2
    is_quick = True
    sketch_parameters = ("unit", "ngram", "normalise", "hash", "scheme", "seed", "slots")

    preset: Literal["default", "fineweb", "redpajama-v2", "datasketch", "datasketch-legacy", "slimpajama", "nemo"] = (
        "default"
    )
    unit: Literal["words", "characters"] | None = None
    ngram: Positive | None = None
    normalise: Literal["plain", "folded", "none"] | None = None
    hash: Literal["rolling", "sha1"] | None = None
    scheme: Literal["affine32", "legacy"] | None = None
    seed: Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)] | None = None
    slots: Positive | None = None
    threshold: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None  # type: ignore[misc, assignment]
    weights: tuple[Share, Share] | None = None
    bands: Positive | None = None
    rows: Positive | None = None
    verify: Literal["exact", "estimate", "none"] = "exact"  # type: ignore[misc]
    remember: Literal["sketch", "evidence"] = "sketch"  # type: ignore[misc]

    def __post_init__(self) -> None:
        super().__post_init__()
        given = {name: value for name in Settings._fields if (value := getattr(self, name)) is not None}
        preset = PRESETS[self.preset]
        if {"bands", "rows"} & {*given}:  # the other follows from it
            preset = preset._replace(bands=None, rows=None)
        for name, value in with_bands(preset._replace(**given))._asdict().items():
            msgspec.structs.force_setattr(self, name, value)

    @property
    def settings(self) -> Settings:
        """The parameters as they are, given or from the preset."""
        return Settings(*(getattr(self, name) for name in Settings._fields))

    def remarks(self) -> tuple[str, ...]:
        s = self.settings
        made = f"{s.hash} hashes, scheme {s.scheme}, seed {s.seed}"
        lines = [f"preset {self.preset}: {s.ngram} {s.unit} ({s.normalise}), {made}, {s.slots} slots"]
        lines += [f"{s.bands} bands of {s.rows} rows, threshold {s.threshold:g}; how likely two documents are"]
        return (*lines, *curve_text(s))

    def sketches(self) -> dict[str, pa.DataType]:
        return {"signature": pa.binary(4 * self.settings.slots)}

    def sketch(self, text: pa.StringArray) -> dict[str, pa.Array]:
        from curate.kernels.minhash import signatures
        from curate.kernels.mixing import mix
        from curate.kernels.shingles import whole_hash

        s = self.settings
        values, shingles = signatures(text, s.unit, s.ngram, s.normalise, s.hash, s.scheme, s.slots, s.seed)
        short = np.flatnonzero(shingles == 0)
        if len(short):
            whole = whole_hash(text.take(pa.array(short)), s.normalise)
            values[short] = mix(whole[:, None], np.arange(s.slots, dtype=np.uint64)).astype(np.uint32)
        return {"signature": signature_array(values)}

    def keys(self, sketch: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        from curate.kernels.minhash import band_keys

        bands, rows = self.settings.shape
        keys = band_keys(signature_values(sketch), bands, rows)
        return np.tile(np.arange(len(sketch)), bands), keys.ravel()

    def similarity(self, left: pa.Table, right: pa.Table) -> np.ndarray:
        from curate.kernels.minhash import estimate

        return estimate(signature_values(left), signature_values(right))

    def standard_error(self) -> float:
        threshold = self.settings.threshold
        return float(np.sqrt(threshold * (1 - threshold) / self.settings.slots))

    def evidences(self) -> dict[str, pa.DataType]:
        return {"shingles": pa.list_(pa.uint64())} if self.verify == "exact" else {}

    def evidence(self, text: pa.StringArray) -> dict[str, pa.Array]:
        """The set of the document's shingles; of a document without any, its normalised text."""
        from curate.kernels.sets import as_lists
        from curate.kernels.shingles import shingle_sets

        s = self.settings
        return {"shingles": as_lists(*shingle_sets(text, s.unit, s.ngram, s.normalise))}

    def measure(self, left: pa.Table, right: pa.Table) -> np.ndarray:
        from curate.kernels.sets import jaccard

        return jaccard(plain(left["shingles"]), plain(right["shingles"]))
