"""Documents as vectors: made by fastText or a sentence model, clustered, thinned out (SemDeDup, D4)."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate import assets, fast_text, sentence_models
from curate.errors import OperatorError, PlanError
from curate.operator import ROW, Columns, Selection, Selector, Signal, Trainer
from curate.ranking import Ranking, Rows

Positive = Annotated[int, msgspec.Meta(ge=1, le=10**9)]
Precision = Literal["float16", "float32"]
TYPES = {"float16": pa.float16(), "float32": pa.float32()}
PLUS_PLUS = 32  # vectors for each cluster among which k-means++ looks for seeds


def vector_column(vectors: np.ndarray, precision: Precision, is_null: np.ndarray) -> pa.Array:
    """Vectors (float32[n, dim]) as a column of fixed-size lists."""
    flat = pa.array(np.ascontiguousarray(vectors, np.dtype(precision)).ravel(), TYPES[precision])
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1], mask=pa.array(is_null))


def check_vectors(who: str, name: str, kind: pa.DataType) -> None:
    """PlanError unless the column holds vectors."""
    if not (pa.types.is_fixed_size_list(kind) and pa.types.is_floating(kind.value_type)):
        raise PlanError(f"{who} needs vectors (lists of a fixed size), but {name} is {kind}: `embed` makes them")


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


def lowest(tie: np.ndarray, count: int) -> pa.Table:
    """The hash up to which rows are drawn so that they are `count` or all."""
    if not len(tie):
        raise OperatorError("there are no documents to learn from")
    last = min(count, len(tie)) - 1
    limit = [int(np.partition(tie, last)[last])]
    return pa.table({"limit": pa.array(limit, pa.uint64()), "count": [last + 1]})


class Cluster(Trainer, frozen=True):
    """Spherical k-means over the vectors of documents: which cluster each is in, and how near to its centroid.

    The corpus is read once more for each round, but of it only vectors. Seeds are those of k-means++ among a sample.
    The task that fits holds the sample (`count * sample` vectors, 4 bytes for each of their numbers), or sums for each
    centroid of the batches of one shard, however large the corpus is.

    vector   column of vectors
    count    number of clusters (fewer if there are fewer vectors that differ)
    method   minibatch: on a sample, in memory (Sculley 2010); full: Lloyd's algorithm over all vectors
    iterations  of `full`, passes over the corpus; of `minibatch`, passes over the sample
    sample   vectors for each cluster in the sample
    batch    vectors in a mini-batch
    on       sources to fit on (default: the documents it is applied to)
    seed     of the sample, of the seeds and of the order of mini-batches

    cluster              number of the cluster, 0 and up; null for a document without a vector
    cluster_similarity   cosine to its centroid, -1..1; the lower, the less typical

    >>> vectors = pa.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]], pa.list_(pa.float32(), 2))
    >>> table = pa.table({"id": list("abcd"), "vector": vectors})
    >>> found = Cluster(vector="vector", count=2)(table)["cluster"].to_pylist()
    >>> found[0] == found[1] != found[2] == found[3]
    True
    """

    example: ClassVar[dict[str, Any]] = {"vector": "vector", "count": 3}

    vector: str = "embed_vector"
    count: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1_000
    method: Literal["minibatch", "full"] = "minibatch"
    iterations: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 10
    sample: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 256
    batch: Annotated[int, msgspec.Meta(ge=1, le=1 << 24)] = 16_384
    on: tuple[str, ...] = ()
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**31)] = 0

    @property
    def rounds(self) -> int:  # type: ignore[override]
        """Hashes, then a sample; and each iteration over all vectors."""
        return 2 + (self.iterations if self.method == "full" else 0)

    def fitted_on(self) -> tuple[str, ...]:
        return self.on

    def reads(self) -> dict[str, pa.DataType | None]:
        return {"id": pa.string(), self.vector: None}

    def writes(self) -> dict[str, pa.DataType]:
        return {"cluster": pa.int32(), "cluster_similarity": pa.float64()}

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        check_vectors("cluster", self.vector, types[self.vector])

    def sketch_schema(self) -> pa.Schema:
        lists = {"vector": pa.list_(pa.float32()), "before": pa.list_(pa.float32())}
        lists |= {"sums": pa.list_(pa.int64()), "counts": pa.list_(pa.int64())}
        return pa.schema([("round", pa.int32()), ("tie", pa.uint64()), *lists.items()])

    def sketch(self, model: pa.Table | None, **given: pa.Array) -> pa.Table:
        """Hashes of ids; vectors of the sample; then sums of vectors by centroid."""
        from curate.kernels.quotas import ties
        from curate.kernels.vectors import matrix, nearest, sums

        tie = ties(given["id"], self.seed)
        if model is None:
            return self._sketched(0, tie=tie)
        if "limit" in model.column_names:
            drawn = pc.less_equal(tie, pa.scalar(model["limit"][0].as_py(), pa.uint64()))
            units = matrix(given[self.vector].filter(drawn))
            splits = pa.array(np.arange(len(units) + 1) * units.shape[1], pa.int32())
            return self._sketched(
                1, tie=tie.filter(drawn), vector=pa.ListArray.from_arrays(splits, pa.array(units.ravel()))
            )
        units, centroids = matrix(given[self.vector]), centroids_of(model)
        total, counts = sums(units, nearest(units, centroids)[0], len(centroids))
        lists = {"before": centroids.ravel(), "sums": total.ravel(), "counts": counts}
        return self._sketched(2, **{name: listed(array) for name, array in lists.items()})

    def _sketched(self, round: int, **columns: pa.Array) -> pa.Table:
        rows, schema = len(next(iter(columns.values()))), self.sketch_schema()
        every = {"round": pa.repeat(pa.scalar(round, pa.int32()), rows), **columns}
        return pa.table([every.get(field.name, pa.nulls(rows, field.type)) for field in schema], schema=schema)

    def combine(self, sketches: pa.Table) -> pa.Table:
        """The lowest hashes; the sample as it is; or sums of sums."""
        from curate.kernels.quotas import lowest_ties

        round = sketches["round"][0].as_py() if len(sketches) else 1
        if round == 0:
            return lowest_ties(sketches, self.count * self.sample)
        if round == 1:
            return sketches
        sums = {name: sum(own.values.to_numpy() for own in sketches[name]) for name in ("sums", "counts")}
        lists = {"before": sketches["before"][0].values.to_numpy(), **sums}
        return self._sketched(2, **{name: listed(array) for name, array in lists.items()})

    def fit(self, sketches: pa.Table) -> pa.Table:
        round = sketches["round"][0].as_py() if len(sketches) else 0
        if round == 0:
            return lowest(sketches["tie"].to_numpy(), self.count * self.sample)
        return self._begun(sketches) if round == 1 else self._moved(sketches)

    def _begun(self, sketches: pa.Table) -> pa.Table:
        """Seeds from the sample; and, of `minibatch`, where they come to rest."""
        from curate.kernels.vectors import minibatch, seeds

        sample = sketches["vector"].combine_chunks().take(pc.sort_indices(sketches["tie"]))
        units = sample.flatten().to_numpy().reshape(len(sample), -1)
        centroids = seeds(units[: PLUS_PLUS * self.count], self.count, self.seed)
        if self.method == "minibatch":
            centroids = minibatch(units, centroids, self.iterations, self.batch, self.seed)
        return self._model(centroids, len(units))

    def _moved(self, sketches: pa.Table) -> pa.Table:
        """Centroids after one iteration over all vectors."""
        from curate.kernels.vectors import moved

        counts = sum(own.values.to_numpy() for own in sketches["counts"])
        total = sum(own.values.to_numpy() for own in sketches["sums"]).reshape(len(counts), -1)
        before = sketches["before"][0].values.to_numpy().reshape(len(counts), -1)
        return self._model(moved(before, total, counts), int(counts.sum()))

    def _model(self, centroids: np.ndarray, vectors: int) -> pa.Table:
        return pa.table({"centroids": listed(centroids.ravel()), "clusters": [len(centroids)], "vectors": [vectors]})

    def facts(self, model: pa.Table) -> dict[str, Any]:
        return {name: model[name][0].as_py() for name in model.column_names if name in ("clusters", "vectors")}

    def export(self, model: pa.Table, folder: Path) -> None:
        np.save(Path(folder, "centroids.npy"), centroids_of(model))

    def apply(self, model: pa.Table, **given: pa.Array) -> Columns:
        from curate.kernels.vectors import matrix, nearest

        at, cosine = nearest(matrix(given[self.vector]), centroids_of(model))
        return {"cluster": pa.array(at), "cluster_similarity": pa.array(cosine)}


def listed(array: np.ndarray) -> pa.Array:
    """The array as one value."""
    return pa.ListArray.from_arrays(pa.array([0, len(array)], pa.int32()), pa.array(array))


def centroids_of(model: pa.Table) -> np.ndarray:
    """The centroids that a model holds: float32[clusters, dim]."""
    found: np.ndarray = model["centroids"][0].values.to_numpy().reshape(model["clusters"][0].as_py(), -1)
    return found


class DedupSemantic(Trainer, frozen=True):
    """Drop documents that mean nearly the same as another one of their cluster (SemDeDup, Abbas et al. 2023).

    Within a cluster documents are ranked by `keep`. Each whose vector has a cosine of `threshold` or more to that of
    one ranked before it, be that kept or not, is dropped. Clusters are worked on apart: a task holds the vectors of one
    cluster or of some small ones (4 bytes a number), and its time grows with the square of their sizes.

    vector      column of vectors
    cluster     column with the number of the cluster, such as `cluster` writes
    similarity  column with the cosine to the centroid, for `keep`
    threshold   cosine from which two documents are the same (1 - the paper's epsilon)
    keep        hard: what is farthest from the centroid is ranked first, as in the paper; easy: what is nearest;
                random: by a hash of the id; or {highest: COLUMN}, {lowest: COLUMN}
    seed        of that hash, which also breaks ties

    dedup_semantic_is_duplicate  whether it is dropped
    dedup_semantic_duplicate_of  id of the document it is nearest to among those before it; null for one that stays
    dedup_semantic_twin          row address of that document
    dedup_semantic_similarity    cosine to it, -1..1

    >>> vectors = pa.array([[1.0, 0.0], [1.0, 0.01], [0.0, 1.0]], pa.list_(pa.float32(), 2))
    >>> table = pa.table({"id": list("abc"), "vector": vectors, "cluster": [0, 0, 0], "size": [2.0, 1.0, 1.0]})
    >>> DedupSemantic(vector="vector", keep={"highest": "size"})(table)["dropped_by"].to_pylist()
    [None, 'dedup_semantic', None]
    """

    key: ClassVar[str] = "key"
    example: ClassVar[dict[str, Any]] = {"vector": "vector", "keep": "random"}

    vector: str = "embed_vector"
    cluster: str = "cluster"
    similarity: str = "cluster_similarity"
    threshold: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.95
    keep: Literal["hard", "easy", "random"] | dict[Literal["highest", "lowest"], str] = "hard"
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.keep, dict) and len(self.keep) != 1:
            raise ValueError("keep takes one of highest and lowest, with the name of a column")

    def _rank(self) -> tuple[str | None, bool]:
        """The column that ranks, and whether its highest values come first."""
        if isinstance(self.keep, dict):
            ((which, column),) = self.keep.items()
            return column, which == "highest"
        return (None, False) if self.keep == "random" else (self.similarity, self.keep == "easy")

    def reads(self) -> dict[str, pa.DataType | None]:
        column, _ = self._rank()
        asked = {"id": pa.string(), self.vector: None, self.cluster: None, ROW: pa.int64()}
        return {**asked, **({column: None} if column and column not in asked else {})}

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        check_vectors("dedup_semantic", self.vector, types[self.vector])
        if not (pa.types.is_integer(types[self.cluster]) or pa.types.is_string(types[self.cluster])):
            raise PlanError(
                f"dedup_semantic needs clusters, but {self.cluster} is {types[self.cluster]}: see `cluster`"
            )
        column, _ = self._rank()
        if column and not (pa.types.is_integer(types[column]) or pa.types.is_floating(types[column])):
            raise PlanError(f"dedup_semantic ranks by numbers, but {column} is {types[column]}")

    def reasons(self) -> tuple[str, ...]:
        return (self.name(),)

    def writes(self) -> dict[str, pa.DataType]:
        columns = {
            "is_duplicate": pa.bool_(),
            "duplicate_of": pa.string(),
            "twin": pa.int64(),
            "similarity": pa.float64(),
        }
        return {f"dedup_semantic_{name}": kind for name, kind in columns.items()}

    def sketch_schema(self) -> pa.Schema:
        ranks = [("rank", pa.float64()), ("tie", pa.uint64())]
        return pa.schema(
            [("key", pa.uint64()), *ranks, (ROW, pa.int64()), ("id", pa.string()), ("vector", pa.binary())]
        )

    def sketch(self, **given: pa.Array) -> pa.Table:
        """Each document with a key of its cluster, its rank and its vector."""
        from curate.kernels.quotas import ties
        from curate.kernels.vectors import matrix

        column, is_highest = self._rank()
        rank = given[column].cast(pa.float64()) if column else pa.repeat(0.0, len(given["id"]))
        units = matrix(given[self.vector])
        size = 4 * units.shape[1]
        offsets = pa.array(np.arange(len(units) + 1) * size, pa.int32()).buffers()[1]
        vectors = pa.BinaryArray.from_buffers(pa.binary(), len(units), [None, offsets, pa.py_buffer(units)])
        ranks = [pc.negate(rank) if is_highest else rank, ties(given["id"], self.seed)]
        key = ties(given[self.cluster].cast(pa.string()), 0)
        return pa.table([key, *ranks, given[ROW], given["id"], vectors], schema=self.sketch_schema())

    def fit(self, sketches: pa.Table) -> pa.Table:
        """What is dropped, by row address; clusters one after the other."""
        from curate.kernels.vectors import twins

        order = [("key", "ascending"), ("rank", "ascending"), ("tie", "ascending"), (ROW, "ascending")]
        table = sketches.take(pc.sort_indices(sketches, order)).combine_chunks()
        keys = table["key"].to_numpy()
        edges = (
            np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1], [True]])) if len(keys) else np.zeros(1, int)
        )
        twin, cosine = np.full(len(table), -1, np.int64), np.zeros(len(table))
        for low, high in itertools.pairwise(edges):
            at, cosine[low:high] = twins(self._units(table["vector"].slice(low, high - low)), self.threshold)
            twin[low:high] = np.where(at < 0, -1, at + low)
        gone = np.flatnonzero(twin >= 0)
        gone = gone[np.argsort(table[ROW].to_numpy()[gone])]
        of = table.select([ROW, "id"]).take(pa.array(twin[gone]))
        rows = table[ROW].take(pa.array(gone))
        return pa.table([rows, of["id"], of[ROW], pa.array(cosine[gone])], ["row", "of", "twin", "cosine"])

    def _units(self, vectors: pa.ChunkedArray) -> np.ndarray:
        flat = b"".join(vectors.to_pylist())
        return np.frombuffer(flat, np.float32).reshape(len(vectors), -1)

    def apply(self, model: pa.Table, **given: pa.Array) -> Columns:
        row = given[ROW].to_numpy()
        made: list[pa.Table] = []
        for batch in model.to_batches() or [pa.RecordBatch.from_pylist([], schema=model.schema)]:
            at = np.searchsorted(batch["row"].to_numpy(), row)
            there = at < len(batch)
            there[there] = batch["row"].to_numpy()[at[there]] == row[there]
            made.append(pa.Table.from_batches([batch]).take(pa.array(at, mask=~there)))
        found = [pc.coalesce(*(pa_one(table[name]) for table in made)) for name in ("of", "twin", "cosine")]
        names = ("is_duplicate", "duplicate_of", "twin", "similarity")
        return {f"dedup_semantic_{n}": a for n, a in zip(names, [pc.is_valid(found[1]), *found], strict=True)}

    def decide(self, made: Columns) -> Columns:
        return {self.name(): made["dedup_semantic_is_duplicate"]}


def pa_one(column: pa.ChunkedArray) -> pa.Array:
    """The column as one array."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


class SelectDiverse(Selector, frozen=True):
    """Keep a diverse part of the documents, by the clusters they are in.

    prototypes: drop what is nearest to the centroid of its cluster, as self-supervised prototypes do (Sorscher et al.
    2022) and, after `dedup_semantic` and another `cluster`, D4 (Tirumala et al. 2023). balanced: take as many of each
    cluster, and all of those that have fewer. Documents without a cluster are not kept.

    share       share of the documents to keep, 0..1
    count       or how many
    method      prototypes or balanced
    cluster     column with the number of the cluster
    similarity  column with the cosine to the centroid; for `prototypes`
    by          with `balanced`: numeric column whose highest values are taken (default: a hash of the id)
    seed        of that hash, which also breaks ties

    >>> table = pa.table({"id": list("abcd"), "cluster": [0, 0, 0, 1], "cluster_similarity": [0.9, 0.5, 0.7, 0.8]})
    >>> SelectDiverse(count=2, method="prototypes")(table)["dropped_by"].to_pylist()
    ['select_diverse', None, None, 'select_diverse']
    >>> SelectDiverse(count=2, method="balanced", by="cluster_similarity")(table)["dropped_by"].to_pylist()
    [None, 'select_diverse', 'select_diverse', None]
    """

    version = 2
    sees_nulls = True
    example: ClassVar[dict[str, Any]] = {"share": 0.5}

    share: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    count: Annotated[int, msgspec.Meta(ge=0)] | None = None
    method: Literal["prototypes", "balanced"] = "balanced"
    cluster: str = "cluster"
    similarity: str = "cluster_similarity"
    by: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.count is None) == (self.share is None):
            raise ValueError("select_diverse takes either count or share")
        if self.by and self.method == "prototypes":
            raise ValueError("select_diverse: by is for balanced; prototypes goes by similarity")

    def _rank(self) -> str | None:
        return self.similarity if self.method == "prototypes" else self.by

    def reads(self) -> dict[str, pa.DataType | None]:
        rank = self._rank()
        return {"id": pa.string(), self.cluster: None, **({rank: None} if rank else {})}

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        rank = self._rank()
        if not (pa.types.is_integer(types[self.cluster]) or pa.types.is_string(types[self.cluster])):
            raise PlanError(
                f"select_diverse needs clusters, but {self.cluster} is {types[self.cluster]}: see `cluster`"
            )
        if rank and not (pa.types.is_integer(types[rank]) or pa.types.is_floating(types[rank])):
            raise PlanError(f"select_diverse ranks by numbers, but {rank} is {types[rank]}")

    def sketches(self) -> dict[str, pa.DataType]:
        return {"group": pa.string(), "tie": pa.uint64(), "score": pa.float64()}

    def sketch(self, **given: pa.Array) -> dict[str, pa.Array]:
        from curate.kernels.quotas import ties

        rank = self._rank()
        group = given[self.cluster].cast(pa.string())
        values = given[rank].cast(pa.float64()) if rank else pa.repeat(0.0, len(group))
        best = pc.negate(values) if self.method == "prototypes" else values
        score = pc.if_else(pc.is_valid(group), best, None)
        return {"group": group, "tie": ties(given["id"], self.seed), "score": score}

    def select(self, rows: Rows, ranking: Ranking) -> Selection:
        there = ranking.documents
        total = self.count if self.count is not None else round((self.share or 0) * int(there.sum()))
        if self.method == "prototypes":
            cut = ranking.cut(total, "documents", whole=True)
            keep, kept = rows.before(cut), ranking.sums(cut.place).documents
        else:
            depth = level(there, total)
            cut = ranking.cut(depth, "documents")
            kept = np.minimum(there, depth)
            last = np.flatnonzero(cut.found)
            last = last[cut.place.take(last).order()][
                : total - int(kept.sum())
            ]  # one more of the clusters with the best
            is_last = np.isin(np.arange(len(there)), last)
            keep, kept = rows.before(cut) | (rows.at(cut) & is_last[rows.group]), kept + is_last
        return Selection(keep, {}, {"clusters": int((there > 0).sum()), "clusters_kept": int((kept > 0).sum())})


def level(sizes: np.ndarray, total: int) -> int:
    """The most that may be taken of each group so that no more than `total` are taken in all.

    >>> level(np.array([10, 2, 10]), 13)
    5
    """
    rising = np.sort(sizes)
    upto = np.concatenate([[0], np.cumsum(rising)])[:-1] + rising * (len(rising) - np.arange(len(rising)))
    whole = int(np.searchsorted(upto, total, "right"))  # groups that are taken whole
    if whole == len(rising):
        return int(rising.max(initial=0))
    return int((total - rising[:whole].sum()) // (len(rising) - whole))
