"""Importance of documents for a target (DSIR, Xie et al. 2023; RedPajama-V2's `rps_doc_*_importance`)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate import assets
from curate.errors import OperatorError, PlanError
from curate.operator import Columns, Selector, Signal, Trainer
from curate.ranking import Ranking, Rows

if TYPE_CHECKING:
    from curate.kernels.dsir import Grams

Features = Literal["words", "rpv2", "authors"]
MOST = 1 << 24  # buckets of a file, at most


class DsirImportance(Signal, frozen=True):
    """How much likelier a document is under a target than under raw text, by hashed n-grams whose counts are in files.

    The sum over its words and pairs of words of ln(p_target + 1e-8) - ln(p_raw + 1e-8). Files are as RedPajama-V2 makes
    them (NAME.10000.counts.npy): a count for each bucket. With `features: rpv2` values equal its
    `rps_doc_*_importance`, but for the last digits.

    target         counts of the target: a .npy file of whole numbers, or an asset
    raw            those of raw text, of the same length
    features       words: normalised words; rpv2: RedPajama-V2's tokens and hash; authors: those of DSIR's authors
                   (SHA-256, ten times slower). It must be what the files were made with
    target_length  mean length of the target's documents: for RedPajama-V2's `..._importance_length_correction`
    raw_length     that of raw documents

    dsir_importance                    the sum, in nats; 0 for a text without words, null for an empty one
    dsir_importance_mean               the same per n-gram, so that long texts do not win or lose by their length
    dsir_importance_length_correction  only with lengths: the sum, plus the log-ratio of the text's code points under
                                       two Poisson distributions (nearly always 0, since RedPajama-V2's means are
                                       of words)

    Raises PlanError for a file that holds something else.

    >>> [*DsirImportance(target="wikipedia.npy", raw="ccnet.npy").writes()]
    ['dsir_importance', 'dsir_importance_mean']
    """

    example: ClassVar[dict[str, Any]] = {"target": "wikipedia.en.10000.counts.npy", "raw": "ccnet.en.10000.counts.npy"}

    target: str
    raw: str
    features: Features = "words"
    target_length: Annotated[float, msgspec.Meta(gt=0, le=1e12)] | None = None
    raw_length: Annotated[float, msgspec.Meta(gt=0, le=1e12)] | None = None

    def __post_init__(self) -> None:
        if (self.target_length is None) != (self.raw_length is None):
            raise ValueError("dsir_importance takes target_length together with raw_length")

    def writes(self) -> dict[str, pa.DataType]:
        corrected = ["_length_correction"] if self.target_length else []
        return {f"dsir_importance{name}": pa.float64() for name in ("", "_mean", *corrected)}

    def files(self) -> tuple[str, ...]:
        return (*assets.files(self.target), *assets.files(self.raw))

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        self._weights()

    def _weights(self) -> np.ndarray:
        from curate.kernels.dsir import log_ratio

        target, raw = (read_counts(path, os.stat(path).st_mtime_ns) for path in self.files())
        if len(target) != len(raw):
            raise PlanError(f"dsir_importance: {self.target} has {len(target)} buckets, {self.raw} {len(raw)}")
        return log_ratio(target, raw)

    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        from curate.kernels.dsir import grams

        weights = self._weights()
        made = weighed("dsir_importance", text, grams(text, self.features, len(weights)), weights)
        if self.target_length and self.raw_length:
            more = pa.array(length_ratio(pc.utf8_length(text).to_numpy(), self.target_length, self.raw_length))
            made["dsir_importance_length_correction"] = pc.add(made["dsir_importance"], more)
        return made


def weighed(name: str, text: pa.Array, found: Grams, weights: np.ndarray) -> Columns:
    """A sum of weights and their mean for each text; null for an empty one."""
    from curate.kernels.dsir import weigh

    sums, counts = weigh(found, weights), np.diff(found.splits)
    empty = pc.equal(pc.binary_length(text), 0).to_numpy(zero_copy_only=False)
    means = sums / np.maximum(counts, 1)
    return {name: pa.array(sums, mask=empty), f"{name}_mean": pa.array(means, mask=empty)}


def length_ratio(length: np.ndarray, target: float, raw: float) -> np.ndarray:
    """ln of Poisson's probability of a length under the target plus 1e-8, minus that under raw text."""
    counts, at = np.unique(length, return_inverse=True)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, counts.max(initial=0) + 1)))])[counts]
    logs = [np.exp(counts * np.log(mean) - mean - log_factorial) + 1e-8 for mean in (target, raw)]
    found: np.ndarray = (np.log(logs[0]) - np.log(logs[1]))[at]
    return found


@lru_cache(maxsize=16)
def read_counts(path: str, changed: int = 0) -> np.ndarray:
    """Counts by bucket from a .npy file last written then. Raises PlanError for anything else; nothing is unpickled."""
    try:
        counts = np.load(path, allow_pickle=False, mmap_mode="r")
        is_good = isinstance(counts, np.ndarray) and counts.ndim == 1 and counts.dtype.kind in "iu"
        if is_good and 0 < len(counts) <= MOST and counts.min() >= 0:
            return np.asarray(counts, np.int64)
        problem = f"an array of {counts.dtype}, {counts.shape}" if isinstance(counts, np.ndarray) else "an archive"
    except (ValueError, OSError, EOFError) as error:
        problem = str(error)
    raise PlanError(f"{path} holds no counts by bucket (a .npy file, one dimension of whole numbers): {problem}")


class TrainDsir(Trainer, frozen=True):
    """Importance of documents for a target that the recipe names, by hashed n-grams counted in its sources.

    Words and pairs of words fall into buckets; a document's importance is the sum over its own of
    ln(p_target + 1e-8) - ln(p_raw + 1e-8). `resample` then draws documents as DSIR does.

    target    sources with documents as they are wanted, usually with `reference: true`
    raw       sources of raw text: usually those that are chosen from
    share     share of the raw documents that is counted, 0..1, chosen by a hash of the text
    features  words: normalised words, the fastest; rpv2: RedPajama-V2's tokens and hash; authors: those of DSIR's
              authors (SHA-256, ten times slower)
    buckets   number of buckets, of which one takes 16 bytes of memory

    train_dsir_importance       the sum, in nats; 0 for a text without words, null for an empty one
    train_dsir_importance_mean  the same per n-gram, so that long texts do not win or lose by their length

    >>> texts = ["a fine essay on light", "buy cheap pills now", "an essay on rain"]
    >>> table = pa.table({"text": texts, "source": ["books", "web", "web"]})
    >>> found = TrainDsir(target=("books",), raw=("web",))(table)["train_dsir_importance"].to_pylist()
    >>> found[2] > found[1]
    True
    """

    example: ClassVar[dict[str, Any]] = {"target": ("books",), "raw": ("web",)}

    target: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    raw: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    features: Features = "words"
    buckets: Annotated[int, msgspec.Meta(ge=2, le=MOST)] = 10_000

    def __post_init__(self) -> None:
        both = [name for name in self.target if name in self.raw]
        if both:
            raise ValueError(f"{both[0]!r} is among the target and among the raw sources")

    def fitted_on(self) -> tuple[str, ...]:
        return (*self.target, *self.raw)

    def reads(self) -> dict[str, pa.DataType | None]:
        return {"text": pa.string(), "source": pa.string()}

    def writes(self) -> dict[str, pa.DataType]:
        return {f"train_dsir_importance{name}": pa.float64() for name in ("", "_mean")}

    def sketch_schema(self) -> pa.Schema:
        counts = pa.list_(pa.int64(), self.buckets)
        return pa.schema([("is_target", pa.bool_()), ("counts", counts), ("texts", pa.int64()), ("ngrams", pa.int64())])

    def sketch(self, text: pa.StringArray, source: pa.StringArray) -> pa.Table:
        """Counts of the batch, of the target's and of raw documents."""
        from curate.kernels.dsir import count, grams

        found = grams(text, self.features, self.buckets)
        sizes, rows, counts = np.diff(found.splits), [], []
        for is_target, names in ((True, self.target), (False, self.raw)):
            own = pc.is_in(source, pa.array(names)).to_numpy(zero_copy_only=False)
            own = own if is_target or self.share == 1 else own & self._sampled(text)
            if own.any():
                counts.append(count(found, own, self.buckets))
                rows.append((is_target, int(own.sum()), int(sizes[own].sum())))
        flat = pa.array(np.concatenate([np.empty(0, np.int64), *counts]))
        sides, texts, ngrams = (pa.array([row[at] for row in rows]) for at in range(3))
        columns = [sides, pa.FixedSizeListArray.from_arrays(flat, self.buckets), texts, ngrams]
        kinds = self.sketch_schema()
        return pa.table([column.cast(kind) for column, kind in zip(columns, kinds.types, strict=True)], schema=kinds)

    def _sampled(self, text: pa.Array) -> np.ndarray:
        from curate.kernels.quotas import ties

        return (ties(text, 0).to_numpy() >> np.uint64(11)) < np.uint64(round(self.share * 2.0**53))

    def combine(self, sketches: pa.Table) -> pa.Table:
        """A row of sums for each side."""
        rows: list[dict[str, Any]] = []
        for is_target in (True, False):
            own = sketches.filter(pc.equal(sketches["is_target"], is_target))
            if len(own):
                sums = {name: pc.sum(own[name]).as_py() for name in ("texts", "ngrams")}
                rows.append({"is_target": is_target, "counts": self._summed(own), **sums})
        return pa.Table.from_pylist(rows, schema=self.sketch_schema())

    def fit(self, sketches: pa.Table) -> pa.Table:
        side = sketches["is_target"].to_numpy().astype(bool)
        counts = [self._summed(sketches.filter(pa.array(side == is_target))) for is_target in (True, False)]
        for name, names, sums in zip(("target", "raw"), (self.target, self.raw), counts, strict=True):
            if not sums.any():
                raise OperatorError(f"train_dsir: there is not a word in {name}: {', '.join(names)}")
        texts = [int(np.sum(sketches["texts"].to_numpy()[side == is_target])) for is_target in (True, False)]
        model = pa.table({"target": counts[0], "raw": counts[1]})
        return model.replace_schema_metadata({"texts": msgspec.json.encode(texts)})

    def _summed(self, sketches: pa.Table) -> np.ndarray:
        sums = np.zeros(self.buckets, np.int64)
        for chunk in sketches["counts"].chunks:
            sums += chunk.flatten().to_numpy().reshape(-1, self.buckets).sum(axis=0)
        return sums

    def facts(self, model: pa.Table) -> dict[str, Any]:
        texts = msgspec.json.decode(model.schema.metadata[b"texts"])
        sums = [int(pc.sum(model[name]).as_py()) for name in ("target", "raw")]
        return {"target_texts": texts[0], "target_ngrams": sums[0], "raw_texts": texts[1], "raw_ngrams": sums[1]}

    def export(self, model: pa.Table, folder: Path) -> None:
        """The counts as RedPajama-V2 stores them, for `dsir_importance`."""
        for name in ("target", "raw"):
            np.save(Path(folder, f"{name}.counts.npy"), model[name].to_numpy())

    def apply(self, text: pa.StringArray, source: pa.StringArray, model: pa.Table) -> dict[str, pa.Array]:
        from curate.kernels.dsir import grams, log_ratio

        weights = log_ratio(model["target"].to_numpy(), model["raw"].to_numpy())
        return weighed("train_dsir_importance", text, grams(text, self.features, self.buckets), weights)


class Resample(Selector, frozen=True):
    """Draw documents without replacement, each with a probability that grows with the exponential of its score: DSIR's.

    It is Gumbel's trick: the highest sums of score and noise are kept. The noise is a hash of the id, so a
    document's luck does not depend on where it is stored. Documents without a score (null) are not drawn.

    by           numeric column: the logarithm of the weight, such as train_dsir_importance
    count        how many documents to keep
    share        or which share of them, 0..1
    per          of each value of this column of strings, instead of all documents
    temperature  the score is divided by it: above 1 scores matter less, below more
    seed         of the hash

    >>> table = pa.table({"id": ["a", "b", "c"], "score": [0.0, 9.0, 0.0]})
    >>> Resample(by="score", count=1)(table)["dropped_by"].to_pylist()
    ['resample', None, 'resample']
    """

    version = 2
    sees_nulls = True
    example: ClassVar[dict[str, Any]] = {"by": "score", "share": 0.5}

    by: str
    count: Annotated[int, msgspec.Meta(ge=0)] | None = None
    share: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    per: str | None = None
    temperature: Annotated[float, msgspec.Meta(gt=0, le=1e9)] = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.count is None) == (self.share is None):
            raise ValueError("resample takes either count or share")

    def reads(self) -> dict[str, pa.DataType | None]:
        return {"id": pa.string(), self.by: None, **({self.per: pa.string()} if self.per else {})}

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        if not (pa.types.is_integer(types[self.by]) or pa.types.is_floating(types[self.by])):
            raise PlanError(f"resample draws by numbers, but {self.by} is {types[self.by]}")

    def sketches(self) -> dict[str, pa.DataType]:
        return {"score": pa.float64(), "tie": pa.uint64(), **({"group": pa.string()} if self.per else {})}

    def sketch(self, **given: pa.Array) -> dict[str, pa.Array]:
        from curate.kernels.quotas import ties

        tie = ties(given["id"], self.seed)
        chance = ((tie.to_numpy() >> np.uint64(11)) + 0.5) / 2.0**53
        score = given[self.by].cast(pa.float64())
        noisy = pc.add(pc.divide(score, self.temperature), pa.array(-np.log(-np.log(chance))))
        return {"score": noisy, "tie": tie, **({"group": given[self.per]} if self.per else {})}

    def select(self, rows: Rows, ranking: Ranking) -> np.ndarray:
        wanted = np.round((self.share or 0) * ranking.rows) if self.count is None else self.count
        return rows.before(ranking.cut(wanted, "documents"))
