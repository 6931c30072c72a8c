"""Documents as vectors, made by fastText or a sentence model."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate import assets, fast_text, sentence_models
from curate.embedding import TYPES, Precision, listed, lowest, vector_column
from curate.errors import OperatorError
from curate.operator import Columns, Signal, Trainer

Positive = Annotated[int, msgspec.Meta(ge=1, le=10**9)]


def is_empty(text: pa.Array) -> np.ndarray:
    """Which texts are empty or null."""
    empty: np.ndarray = pc.equal(pc.binary_length(text), 0).fill_null(True).to_numpy(zero_copy_only=False)
    return empty


class Embed(Signal, frozen=True):
    """A vector for each document, from a model in a file.

    A fastText model (.bin): the mean of its word vectors, each at length one (word vectors of pieces for unknown words
    if it has them). Or a sentence model: a folder as sentence-transformers saves it, which that library runs, or one
    with `model.onnx` and `tokenizer.json`, which ONNX Runtime runs (`pip install "curate[embed]"`), on a GPU where
    there is one. Longer texts are cut at the model's length.

    model      path of the model, or an asset
    precision  of the numbers that are stored: float16 or float32
    batch      documents that sentence-transformers is given at a time on a GPU, where the last bits may depend on it

    embed_vector   the vector, of length one; null for an empty text

    Raises PlanError for a file that is no model, or when what runs it is not installed.

    >>> Embed(model="tests/data/classifier.bin").precision
    'float16'
    """

    example: ClassVar[dict[str, Any]] = {"model": "tests/data/classifier.bin"}

    model: str
    precision: Precision = "float16"
    batch: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 32

    def writes(self) -> dict[str, pa.DataType]:
        return {"embed_vector": pa.list_(TYPES[self.precision], self._dim())}

    def _dim(self) -> int:
        found = self.files()
        return sentence_models.dim(found) if len(found) > 1 else fast_text.read_header(found[0]).dim

    def files(self) -> tuple[str, ...]:
        return assets.files(self.model)

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        if len(self.files()) > 1:
            sentence_models.check(self.files())

    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        found = self.files()
        if len(found) > 1:
            vectors = sentence_models.load(found).vectors(text.fill_null("").to_pylist(), self.batch)
        else:
            vectors = word_vectors(fast_text.load(found[0]), text)
        return {"embed_vector": vector_column(units_of(vectors), self.precision, is_empty(text))}


def word_vectors(model: Any, text: pa.Array) -> np.ndarray:
    """fastText's own vector of each text (float32[n, dim])."""
    from curate.kernels.one_line import one_line

    return fast_text.vectors(model, one_line(text).to_pylist())


def units_of(vectors: np.ndarray) -> np.ndarray:
    from curate.kernels.vectors import scale

    units = np.empty_like(vectors)
    scale(vectors, units)
    return units


class TrainEmbed(Trainer, frozen=True):
    """Train word vectors with fastText (Bojanowski et al. 2017) on a sample of texts, and give every document one.

    A document's vector is the mean of its words' vectors, each at length one, less what the texts that were trained on
    have in common, their mean (without which all texts are alike; Arora et al. 2017). Texts are drawn and ordered by a
    hash of themselves: where they are stored does not matter, and one seed gives one model, byte for byte, in
    one thread.

    on         sources to train on (default: the documents it is applied to)
    samples    texts to train on at most, which the task that trains holds (and all copies of the last of them)
    method     skipgram or cbow
    dim        length of the vectors
    epoch      times that each text is seen
    lr         learning rate
    min_count  words that occur less often have no vector
    minn       shortest character n-gram that has a vector too, so that unknown words get one; 0: none
    maxn       longest
    bucket     places for character n-grams, each of 4 * dim bytes
    precision  of the numbers that are stored: float16 or float32
    seed       of the sample and of its order

    train_embed_vector   the vector, of length one (zero for a text without a known word); null for an empty text

    >>> texts = ["the cat sat on the mat", "the dog sat on the rug"] * 20
    >>> found = TrainEmbed(dim=4, min_count=1)(pa.table({"text": texts}))["train_embed_vector"]
    >>> found.type
    FixedSizeListType(fixed_size_list<item: halffloat>[4])
    """

    sees_nulls: ClassVar[bool] = True
    rounds: ClassVar[int] = 2
    example: ClassVar[dict[str, Any]] = {"dim": 4, "min_count": 1, "samples": 10, "epoch": 1}

    on: tuple[str, ...] = ()
    samples: Positive = 20_000
    method: Literal["skipgram", "cbow"] = "skipgram"
    dim: Annotated[int, msgspec.Meta(ge=1, le=2_000)] = 100
    epoch: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 5
    lr: Annotated[float, msgspec.Meta(gt=0, le=100)] = 0.05
    min_count: Positive = 5
    minn: Annotated[int, msgspec.Meta(ge=0, le=20)] = 0
    maxn: Annotated[int, msgspec.Meta(ge=0, le=20)] = 0
    bucket: Annotated[int, msgspec.Meta(ge=1, le=100_000_000)] = 2_000_000
    precision: Precision = "float16"
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**31)] = 0

    def __post_init__(self) -> None:
        if self.maxn < self.minn:
            raise ValueError(f"minn {self.minn} is above maxn {self.maxn}")

    def fitted_on(self) -> tuple[str, ...]:
        return self.on

    def writes(self) -> dict[str, pa.DataType]:
        return {"train_embed_vector": pa.list_(TYPES[self.precision], self.dim)}

    def sketch_schema(self) -> pa.Schema:
        return pa.schema([("tie", pa.uint64()), ("text", pa.string())])

    def sketch(self, text: pa.StringArray, model: pa.Table | None) -> pa.Table:
        """The hash of each text; and, once it is known which are drawn, these texts."""
        from curate.kernels.quotas import ties

        tie = ties(text, self.seed)
        if model is None:
            return pa.table([tie, pa.nulls(len(text), pa.string())], schema=self.sketch_schema())
        drawn = pc.less_equal(tie, pa.scalar(model["limit"][0].as_py(), pa.uint64()))
        return pa.table([tie.filter(drawn), text.filter(drawn)], schema=self.sketch_schema())

    def combine(self, sketches: pa.Table) -> pa.Table:
        from curate.kernels.quotas import lowest_ties

        return sketches if sketches["text"].null_count < len(sketches) else lowest_ties(sketches, self.samples)

    def fit(self, sketches: pa.Table) -> pa.Table:
        if sketches["text"].null_count == len(sketches):
            return lowest(sketches["tie"].to_numpy(), self.samples)
        order = pc.sort_indices(sketches, [("tie", "ascending"), ("text", "ascending")])
        texts = sketches.take(order)["text"]
        content = self._trained(texts)
        name = fast_text.digest(content)
        model = fast_text.load_bytes(content, name)
        total = sum(word_vectors(model, chunk).sum(axis=0, dtype=np.float64) for chunk in texts.chunks)
        mean = listed((total / max(len(texts), 1)).astype(np.float32))
        row = {"sha256": [name], "texts": [len(texts)], "mean": mean}
        return pa.table({"model": pa.array([content], pa.large_binary()), **row})

    def _trained(self, texts: pa.ChunkedArray) -> bytes:
        from curate.kernels.one_line import one_line

        options = {"lr": self.lr, "dim": self.dim, "epoch": self.epoch, "minCount": self.min_count}
        options |= {"minn": self.minn, "maxn": self.maxn, **({"bucket": self.bucket} if self.maxn else {})}
        with tempfile.TemporaryDirectory(prefix="curate-") as folder:
            path = Path(folder, "lines.txt")
            with path.open("wb") as out:
                for chunk in texts.chunks:
                    out.write("".join(one_line(chunk).to_pylist()).encode())
            try:
                fast_text.check_words(path, self.min_count)
                return fast_text.train(path, self.method, self.seed, options)
            except (ValueError, RuntimeError) as error:
                why = f"no word occurs {self.min_count} times in {len(texts)} texts ({error})"
                raise OperatorError(f"train_embed: {why}: lower min_count, or name more texts") from error

    def facts(self, model: pa.Table) -> dict[str, Any]:
        if "model" not in model.column_names:
            return {"texts": model["count"][0].as_py()}
        content = model["model"][0].as_buffer()
        return {"texts": model["texts"][0].as_py(), "model_bytes": content.size, "sha256": model["sha256"][0].as_py()}

    def export(self, model: pa.Table, folder: Path) -> None:
        """The word vectors as fastText has them, and the mean that is taken off."""
        Path(folder, "vectors.bin").write_bytes(model["model"][0].as_buffer())
        np.save(Path(folder, "mean.npy"), model["mean"][0].values.to_numpy())

    def apply(self, text: pa.StringArray, model: pa.Table) -> Columns:
        fitted = fast_text.load_bytes(model["model"][0].as_buffer(), model["sha256"][0].as_py())
        vectors = word_vectors(fitted, text)
        known = vectors.any(axis=1, keepdims=True)
        vectors = np.where(known, vectors - model["mean"][0].values.to_numpy(), np.float32(0))
        return {"train_embed_vector": vector_column(units_of(vectors), self.precision, is_empty(text))}
