"""Duplicates across the corpus: exact by hash, near by MinHash and LSH (Broder 1997; Leskovec et al., ch. 3)."""

from typing import Annotated, Literal

import msgspec
import numpy as np
import pyarrow as pa

from curate.lsh import PRESETS, Settings, curve_text, signature_array, signature_values, with_bands
from curate.operator import Deduplicator

Positive = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


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
    """Drop near-duplicates: documents whose shingles overlap by at least `threshold` (Jaccard).

    Candidates share a band of their MinHash signature and count only when the signatures agree in at least
    `threshold` of their slots. Clusters are connected components; the first document in corpus order stays.
    Documents too short for one shingle are compared exactly, as dedup_exact does, whatever the preset (where
    RedPajama-V2 has a null, such a document has a signature of its own). The signature is stored once: other bands,
    rows, weights or thresholds do not read text again.

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

    preset      where the other parameters are from; those that are given count, and all are shown as they are
    unit        what shingles are made of: words (between any Unicode white space) or characters
    ngram       how many of them
    normalise   plain: lower case, NFD, white space folded, no ASCII punctuation (RedPajama-V2); folded: the same with
                punctuation; none: as it is
    hash        of a shingle: rolling (fast), sha1 (datasketch)
    scheme      datasketch's name of the permutations: affine32 (its version 2), legacy (version 1)
    seed        of the permutations
    slots       length of the signature
    threshold   estimated Jaccard similarity from which two documents are duplicates, 0..1
    weights     of false positives and false negatives when bands are chosen; they sum to 1
    bands,rows  bands of so many slots each (bands x rows <= slots). Without either, datasketch's search chooses both
                for threshold, slots and weights, but for fineweb, slimpajama and nemo, whose bands are fixed

    dedup_minhash_cluster        row address of the document that stays; null for documents in no cluster
    dedup_minhash_duplicate_of   id of the document that stays; null for it and for documents in no cluster

    >>> texts = ["a b c d e f g h", "A b c, d e f g h.", "something else altogether is written here"]
    >>> DedupMinhash(ngram=3)(pa.table({"text": texts}))["dropped_by"].to_pylist()
    [None, 'dedup_minhash', None]
    >>> found = DedupMinhash(preset="redpajama-v2", threshold=0.9)
    >>> found.ngram, found.bands, found.rows
    (13, 5, 25)
    """

    version = 2
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
    threshold: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    weights: tuple[Share, Share] | None = None
    bands: Positive | None = None
    rows: Positive | None = None

    def __post_init__(self) -> None:
        given = {name: value for name in Settings._fields if (value := getattr(self, name)) is not None}
        preset = PRESETS[self.preset]
        if {"bands", "rows"} & {*given}:  # the other follows from it
            preset = preset._replace(bands=None, rows=None)
        settings = with_bands(preset._replace(**given))
        for name, value in settings._asdict().items():
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
            values[short] = np.stack([mix(whole, slot).astype(np.uint32) for slot in range(s.slots)], axis=1)
        return {"signature": signature_array(values)}

    def keys(self, sketch: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        from curate.kernels.minhash import band_keys

        bands, rows = self.settings.shape
        keys = band_keys(signature_values(sketch), bands, rows)
        return np.tile(np.arange(len(sketch)), bands), keys.ravel()

    def same(self, left: pa.Table, right: pa.Table) -> np.ndarray:
        from curate.kernels.minhash import estimate

        return estimate(signature_values(left), signature_values(right)) >= self.settings.threshold
