"""MinHash and LSH in numbers: published settings, the choice of bands, what they find, and datasketch's objects."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from curate.arrays import plain

if TYPE_CHECKING:
    from datasketch import MinHash

EVEN, RECALL = (0.5, 0.5), (0.02, 0.98)  # datasketch's weights, and ours: candidates are verified, so few are missed


class Settings(NamedTuple):
    """What decides signatures (the first seven) and which documents are candidates."""

    unit: str
    ngram: int
    normalise: str
    hash: str
    scheme: str
    seed: int
    slots: int
    threshold: float
    weights: tuple[float, float]
    bands: int | None  # None: `optimal_bands`
    rows: int | None

    @property
    def shape(self) -> tuple[int, int]:
        """Bands and rows."""
        if self.bands and self.rows:
            return self.bands, self.rows
        return optimal_bands(self.threshold, self.slots, self.weights)


PRESETS = {
    "default": Settings("words", 5, "plain", "rolling", "affine32", 1, 128, 0.8, RECALL, None, None),
    "fineweb": Settings("words", 5, "plain", "rolling", "affine32", 1, 112, 0.75, EVEN, 14, 8),
    "redpajama-v2": Settings("words", 13, "plain", "sha1", "legacy", 42, 128, 0.8, EVEN, None, None),
    "datasketch": Settings("words", 5, "plain", "sha1", "affine32", 1, 128, 0.9, EVEN, None, None),
    "datasketch-legacy": Settings("words", 5, "plain", "sha1", "legacy", 1, 128, 0.9, EVEN, None, None),
    "slimpajama": Settings("characters", 13, "plain", "sha1", "legacy", 1, 128, 0.8, EVEN, 9, 13),
    "nemo": Settings("characters", 24, "none", "rolling", "affine32", 42, 260, 0.8, EVEN, 20, 13),
}
SEARCHED = {  # what the search finds for the presets, so that most runs need not import datasketch
    (0.8, 128, RECALL): (17, 7),
    (0.7, 128, EVEN): (14, 9),
    (0.8, 128, EVEN): (9, 13),
    (0.9, 128, EVEN): (5, 25),
}


# ---------------------------------------------------------------- bands


def with_bands(settings: Settings) -> Settings:
    """The settings with bands and rows: what is missing follows from the other, or is searched.

    Raises ValueError for bands that do not fit the slots, and for weights that do not sum to 1.

    >>> with_bands(PRESETS["default"]._replace(rows=8))[-2:]
    (16, 8)
    """
    bands, rows, slots = settings.bands, settings.rows, settings.slots
    if abs(sum(settings.weights) - 1) > 1e-9:
        raise ValueError(f"weights sum to 1, not {list(settings.weights)}")
    if bands is None and rows is None:
        bands, rows = settings.shape
    bands, rows = bands or slots // (rows or 1), rows or slots // (bands or 1)
    if not bands or not rows or bands * rows > slots:
        bands, rows = max(bands, 1), max(rows, 1)
        raise ValueError(f"{bands} bands of {rows} rows need {bands * rows} slots, not {slots}")
    return settings._replace(bands=bands, rows=rows)


def optimal_bands(threshold: float, slots: int = 128, weights: tuple[float, float] = EVEN) -> tuple[int, int]:
    """Bands and rows for which datasketch finds the least weighted sum of false positives and false negatives.

    A false positive is a candidate below the threshold, a false negative a pair above it that is none, both integrated
    over similarity. `weights` are theirs and sum to 1.

    >>> optimal_bands(0.8), optimal_bands(0.8, weights=(0.02, 0.98)), optimal_bands(1.0)
    ((9, 13), (17, 7), (1, 128))
    """
    known = SEARCHED.get((threshold, slots, weights))
    return known or ((1, slots) if threshold == 1 or slots == 1 else _search(threshold, slots, weights))


@functools.lru_cache(maxsize=64)
def _search(threshold: float, slots: int, weights: tuple[float, float]) -> tuple[int, int]:
    from datasketch import MinHashLSH

    try:
        found = MinHashLSH(threshold, slots, weights)
    except ValueError:  # it wants two bands or more, and found one of all slots to be the best
        return 1, slots
    return found.b, found.r


def candidate_probability(similarity: Any, bands: int, rows: int) -> np.ndarray:
    """How likely two documents of a Jaccard similarity are to share a band (Leskovec et al., ch. 3.4).

    >>> candidate_probability([0.5, 0.8, 1.0], bands=17, rows=7).round(3).tolist()
    [0.125, 0.982, 1.0]
    """
    agree = np.asarray(similarity, float) ** rows
    return np.asarray(1 - (1 - agree) ** bands)


def estimate_probability(similarity: Any, slots: int, threshold: float) -> np.ndarray:
    """How likely the signatures of two documents are to agree in at least `threshold` of their slots.

    The number of slots that agree is binomial.

    >>> estimate_probability([0.5, 0.8, 1.0], slots=128, threshold=0.8).round(3).tolist()
    [0.0, 0.5, 1.0]
    """
    j = np.clip(np.asarray(similarity, float), 1e-300, 1 - 1e-16)[..., None]
    agree = np.arange(math.ceil(threshold * slots - 1e-9), slots + 1)
    logs = [math.lgamma(slots + 1) - math.lgamma(k + 1) - math.lgamma(slots - k + 1) for k in agree.tolist()]
    terms = np.exp(np.array(logs) + agree * np.log(j) + (slots - agree) * np.log1p(-j))
    return np.asarray(np.minimum(terms.sum(axis=-1), 1.0))


def curve(settings: Settings) -> list[tuple[float, float, float]]:
    """For similarities of 0.5 to 1: how likely two documents are candidates, and how likely they pass the estimate.

    Above the threshold the first is the recall to expect when candidates are verified exactly.

    >>> [(j, round(found, 2)) for j, found, _ in curve(PRESETS["default"])][6:8]
    [(0.8, 0.98), (0.85, 1.0)]
    """
    at = np.linspace(0.5, 1.0, 11).round(2)
    found = candidate_probability(at, *settings.shape)
    passed = estimate_probability(at, settings.slots, settings.threshold)
    return [(float(j), float(p), float(q)) for j, p, q in zip(at, found, passed, strict=True)]


def curve_text(settings: Settings) -> list[str]:
    """`curve` as three aligned lines.

    >>> print("\\n".join(line[:32] for line in curve_text(PRESETS["redpajama-v2"])))
    similarity  0.50  0.55  0.60  0.
    candidates  0.00  0.00  0.01  0.
    estimated   0.00  0.00  0.00  0.
    """
    points, names = curve(settings), ("similarity", "candidates", "estimated")
    return [f"{name:<12}" + "  ".join(f"{point[at]:.2f}" for point in points) for at, name in enumerate(names)]


# ---------------------------------------------------------------- datasketch


def to_datasketch(signatures: Any, scheme: str = "affine32", seed: int = 1) -> list[MinHash]:
    """Signatures as datasketch has them, to be compared, merged, or put in one of its indexes.

    `signatures`: an array or column of fixed-size binary, or a table with the column `signature`. `scheme` and `seed`
    are those they were made with. New shingles may be added to such an object when its hash is SHA-1 (the presets
    datasketch, datasketch-legacy, slimpajama and redpajama-v2 have that).

    >>> from curate.operators.dedup import DedupMinhash
    >>> from datasketch import MinHashLSH
    >>> texts = pa.array(["the cat sat on the mat", "The cat sat on the mat!", "a dog ran far away from home"])
    >>> left, right, other = to_datasketch(DedupMinhash(preset="datasketch").sketch(texts)["signature"])
    >>> left.jaccard(right), left.jaccard(other)
    (1.0, 0.0)
    >>> index = MinHashLSH(threshold=0.8)
    >>> index.insert("the first text", left)
    >>> index.query(right)
    ['the first text']
    """
    from datasketch import MinHash

    values = signature_values(signatures)
    model = MinHash(max(1, values.shape[1]), seed, scheme=scheme)
    shared = {"seed": seed, "scheme": scheme, "permutations": model.permutations}
    return [MinHash(hashvalues=row, **shared) for row in values]


def from_datasketch(minhashes: Sequence[MinHash]) -> pa.FixedSizeBinaryArray:
    """Objects of datasketch as signatures. Raises ValueError when they differ in length, scheme or seed.

    >>> from datasketch import MinHash
    >>> one = MinHash(64); one.update(b"the cat sat on the")
    >>> from_datasketch([one]).type
    FixedSizeBinaryType(fixed_size_binary[256])
    >>> to_datasketch(from_datasketch([one]))[0] == one
    True
    """
    kinds = {(len(one), one.scheme, one.seed) for one in minhashes}
    if len(kinds) != 1:
        raise ValueError(f"signatures of one length, scheme and seed make a column, not {sorted(kinds)}")
    if "affine64" in {scheme for _, scheme, _ in kinds}:
        raise ValueError("signatures of the scheme affine64 have 64 bits a slot; here they have 32")
    values = np.array([one.hashvalues for one in minhashes], np.uint32)
    return signature_array(values)


def signature_array(values: np.ndarray) -> pa.FixedSizeBinaryArray:
    """Signatures (uint32[n, slots]) as an Arrow array; nothing is copied.

    >>> signature_array(np.zeros((2, 3), np.uint32)).type.byte_width
    12
    """
    values = np.ascontiguousarray(values, np.uint32)
    kind = pa.binary(4 * values.shape[1])
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def signature_values(signatures: Any) -> np.ndarray:
    """The slots of signatures: uint32[n, slots]; nothing is copied. A null has zeros, or what lies there.

    >>> signature_values(signature_array(np.eye(2, dtype=np.uint32))).tolist()
    [[1, 0], [0, 1]]
    """
    column = signatures["signature"] if isinstance(signatures, pa.Table | pa.RecordBatch) else signatures
    if isinstance(column, pa.ChunkedArray):
        column = plain(column)
    slots = column.type.byte_width // 4
    buffer = column.buffers()[1]
    flat = np.frombuffer(buffer, np.uint32) if len(column) and buffer is not None else np.empty(0, np.uint32)
    start = column.offset * slots
    return flat[start : start + len(column) * slots].reshape(len(column), slots)
