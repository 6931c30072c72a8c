"""Quality classifiers of fastText (Joulin et al. 2016), as RedPajama, DCLM and GPT-3 use them: applied, and trained."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate import assets, fast_text, sql
from curate.errors import OperatorError, PlanError, nearest
from curate.operator import Columns, Signal, Trainer

Natural = Annotated[int, msgspec.Meta(ge=0, le=10**9)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=10**9)]
NEGATIVE, POSITIVE = "negative", "positive"
BINS = 10


class FasttextScore(Signal, frozen=True):
    """The probability of a label under a fastText classifier, such as RedPajama's wikiref or DCLM's.

    A document is one line to fastText: line breaks become spaces, as RedPajama and DCLM have it. With two labels the
    score is that of the likelier one or the rest; values equal RedPajama-V2's `rps_doc_ml_*_score`, but within 0..1.

    model   a fastText model, supervised (.bin or .ftz): a path or an asset
    label   the label that is asked for, without `__label__`

    fasttext_score   its probability, 0..1; null for an empty text

    Raises PlanError for a file that is no such model, or is cut off, and for a label that it does not know.

    >>> FasttextScore(model="wikiref.bin", label="wiki").writes()
    {'fasttext_score': DataType(double)}
    """

    example: ClassVar[dict[str, Any]] = {"model": "lid.176.ftz", "label": "en"}

    model: str
    label: str

    def writes(self) -> dict[str, pa.DataType]:
        return {"fasttext_score": pa.float64()}

    def files(self) -> tuple[str, ...]:
        return assets.files(self.model)

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        header = fast_text.read_header(self._file())
        if header.kind != "supervised":
            raise PlanError(f"fasttext_score: {self.model} is a {header.kind} model, which has no labels")
        labels = [label.removeprefix(fast_text.LABEL) for label in header.labels]
        if self.label not in labels:
            known = nearest(self.label, labels) or f"; it knows {', '.join(labels[:20])}"
            raise PlanError(f"fasttext_score: {self.model} has no label {self.label!r}{known}")

    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        path = self._file()
        return {"fasttext_score": scored(fast_text.load(path, os.stat(path).st_mtime_ns), text, self.label)}

    def _file(self) -> str:
        found = self.files()
        if len(found) != 1:
            raise PlanError(f"fasttext_score: {self.model} is {len(found)} files, not one model")
        return found[0]


def scored(model: Any, text: pa.StringArray, label: str) -> pa.Array:
    """The probability of a label for each text; null for an empty one and for null."""
    from curate.kernels.one_line import one_line

    found = pa.array(fast_text.scores(model, one_line(text).to_pylist(), label), pa.float64())
    return pc.if_else(pc.greater(pc.binary_length(text), 0), found, pa.scalar(None, pa.float64()))


class Settings(NamedTuple):
    """What a preset stands for."""

    samples: int
    min_chars: int
    word_ngrams: int


PRESETS = {
    # data_prep/cc of RedPajama-V1: 300,000 pages that Wikipedia refers to, of 1,000 characters and more, against as
    # many of Common Crawl; fastText's defaults.
    "wikiref": Settings(300_000, 1_000, 1),
    # RedPajama-V2: 75,000 texts in equal slices of Wikipedia, books and OpenWebText, against as many of cc_net's.
    "palm": Settings(75_000, 0, 1),
    # DCLM (Li et al. 2024): 200,000 texts in equal slices of OpenHermes and ELI5 against as many of RefinedWeb;
    # bigrams.
    "dclm": Settings(200_000, 0, 2),
}


class TrainFasttext(Trainer, frozen=True):
    """Train a fastText classifier on sources of the recipe, test it on a part held out, and score every document.

    What is positive is either all of some sources, against all of others, or what a condition says of labelled rows.
    Texts are chosen, held out and ordered by a hash of themselves: copies of a text are on one side, and where it is
    stored does not matter. One seed gives one model, byte for byte (on one kind of processor), since fastText trains
    in one thread: several race for its weights. Sources are read twice: only texts that are chosen are kept.

    positives    sources of good documents, usually with `reference: true`
    negatives    sources of others
    positive     or an SQL condition on columns, e.g. `label = 'toxic'` or `quality >= 3`; rows for which it is null
                 (have no label) are not trained on
    on           with `positive`: the sources to train on (default: the documents it scores)
    preset       what the next three are. wikiref (RedPajama-V1): 300,000 a class, 1,000 characters, words; palm
                 (RedPajama-V2): 75,000, words; dclm: 200,000, word bigrams
    samples      texts of a class at most; both classes have the same number, each source its slice
    min_chars    positives of fewer characters are left out
    word_ngrams  longest word n-gram that is a feature
    dim          length of the vectors
    epoch        times that each text is seen
    lr           learning rate
    min_count    words that occur less often are left out
    bucket       places for n-grams (of words and characters), each of 4 * dim bytes; not used for words alone
    minn         shortest character n-gram that is a feature; 0: none
    maxn         longest
    holdout      share of the texts that is not trained on, but tested on
    seed         of the choice, of the share held out and of the training

    train_fasttext_score   probability of being positive, 0..1; null for an empty text

    The manifest and the card say how it does on the texts held out: precision and recall at 0.5, the area under the ROC
    curve, the mean distance of scores from the share of positives (calibration), and all of these by score.

    >>> texts = ["a fine essay on light", "a fine essay on rain", "buy cheap pills now", "buy cheap shoes now"] * 30
    >>> table = pa.table({"text": texts, "source": ["books", "books", "spam", "spam"] * 30})
    >>> train = TrainFasttext(positives=("books",), negatives=("spam",), dim=4, epoch=50)
    >>> [round(score) for score in train(table)["train_fasttext_score"].to_pylist()[:4]]
    [1, 1, 0, 0]
    """

    version: ClassVar[int] = 2
    sees_nulls: ClassVar[bool] = True
    rounds: ClassVar[int] = 2
    example: ClassVar[dict[str, Any]] = {"positives": ("books",), "negatives": ("web",), "dim": 4}

    positives: tuple[str, ...] = ()
    negatives: tuple[str, ...] = ()
    positive: str | None = None
    on: tuple[str, ...] = ()
    preset: Literal["wikiref", "palm", "dclm"] = "palm"
    samples: Positive | None = None
    min_chars: Natural | None = None
    word_ngrams: Annotated[int, msgspec.Meta(ge=1, le=10)] | None = None
    dim: Annotated[int, msgspec.Meta(ge=1, le=2_000)] = 100
    epoch: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 5
    lr: Annotated[float, msgspec.Meta(gt=0, le=100)] = 0.1
    min_count: Positive = 1
    bucket: Annotated[int, msgspec.Meta(ge=1, le=100_000_000)] = 2_000_000
    minn: Annotated[int, msgspec.Meta(ge=0, le=20)] = 0
    maxn: Annotated[int, msgspec.Meta(ge=0, le=20)] = 0
    holdout: Annotated[float, msgspec.Meta(ge=0, le=0.9)] = 0.1
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**31)] = 0

    def __post_init__(self) -> None:
        by_source = bool(self.positives) and bool(self.negatives) and self.positive is None and not self.on
        if not by_source and (self.positive is None or self.positives or self.negatives):
            raise ValueError("train_fasttext takes positives and negatives (sources), or positive (a condition)")
        both = [name for name in self.positives if name in self.negatives]
        if both:
            raise ValueError(f"{both[0]!r} is among the positives and among the negatives")
        if self.maxn < self.minn:
            raise ValueError(f"minn {self.minn} is above maxn {self.maxn}")

    @property
    def settings(self) -> Settings:
        """The preset's values, but for those that are given."""
        given = {name: getattr(self, name) for name in Settings._fields}
        return PRESETS[self.preset]._replace(**{name: value for name, value in given.items() if value is not None})

    def fitted_on(self) -> tuple[str, ...]:
        return (*self.positives, *self.negatives, *self.on)

    def reads(self) -> dict[str, pa.DataType | None]:
        asked = sql.columns(self.positive) if self.positive else ()
        return {"text": pa.string(), "source": pa.string(), **{name: None for name in asked if name != "text"}}

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        if self.positive:
            sql.check(self.positive, types)

    def remarks(self) -> tuple[str, ...]:
        settings = self.settings
        grams = self.bucket if settings.word_ngrams > 1 or self.maxn else 0
        size = f"; its n-grams take {grams * self.dim * 4 / 1e6:,.0f} MB" if grams else ""
        return (f"up to {settings.samples:,} texts a class, {self.holdout:.0%} of them held out{size}",)

    def writes(self) -> dict[str, pa.DataType]:
        return {"train_fasttext_score": pa.float64()}

    def sketch_schema(self) -> pa.Schema:
        return pa.schema(
            [("is_positive", pa.bool_()), ("of", pa.string()), ("tie", pa.uint64()), ("text", pa.string())]
        )

    def sketch(self, model: pa.Table | None, **given: pa.Array) -> pa.Table:
        """The hash of each labelled text; and, once it is known which are chosen, the texts of these."""
        from curate.kernels.quotas import ties

        text, source = given["text"], given["source"]
        is_positive = self._is_positive(given)
        long = pc.greater_equal(pc.utf8_length(text), self.settings.min_chars)
        wanted = pc.and_kleene(pc.is_valid(is_positive), pc.or_kleene(pc.invert(is_positive), long)).fill_null(False)
        text, is_positive = text.filter(wanted), is_positive.filter(wanted)
        of = pa.repeat("", len(text)) if self.positive else source.filter(wanted)
        tie = ties(text, self.seed)
        if model is None:
            return pa.table([is_positive, of, tie, pa.nulls(len(text), pa.string())], schema=self.sketch_schema())
        found = pa.table([is_positive, of, tie, text], schema=self.sketch_schema())
        return found.filter(pa.array(_chosen(found, model)))

    def _is_positive(self, given: Columns) -> pa.Array:
        """True, false, or null for a row that is not trained on."""
        if self.positive:
            return sql.holds(self.positive, given)
        is_positive = pc.is_in(given["source"], pa.array(self.positives))
        is_labelled = pc.or_(is_positive, pc.is_in(given["source"], pa.array(self.negatives)))
        return pc.if_else(is_labelled, is_positive, pa.scalar(None, pa.bool_()))

    def combine(self, sketches: pa.Table) -> pa.Table:
        """The lowest hashes of each class and source: no more of a source can be chosen."""
        if sketches["text"].null_count < len(sketches):
            return sketches
        from curate.kernels.quotas import lowest_ties

        kept = [sketches.schema.empty_table()]
        for side in (False, True):
            mine = sketches.filter(pc.equal(sketches["is_positive"], side))
            for name in pc.unique(mine["of"]):
                kept.append(lowest_ties(mine.filter(pc.equal(mine["of"], name)), self.settings.samples))
        return pa.concat_tables(kept)

    def fit(self, sketches: pa.Table) -> pa.Table:
        if sketches["text"].null_count == len(sketches):
            return self._limits(sketches)
        order = pc.sort_indices(sketches, [("tie", "ascending"), ("is_positive", "ascending"), ("text", "ascending")])
        chosen = sketches.take(order)
        chosen = chosen.take(pa.array(apart(chosen["tie"].to_numpy(), self.seed)))
        held = self._held_out(chosen["tie"].to_numpy())
        training, test = chosen.filter(pa.array(~held)), chosen.filter(pa.array(held))
        with tempfile.TemporaryDirectory(prefix="curate-") as folder:
            path = Path(folder, "lines.txt")
            write_lines(path, training)
            content = fast_text.train(path, "supervised", self.seed, self._options())
        name = fast_text.digest(content)
        model = fast_text.load_bytes(content, name)
        scores = [scored(model, text, POSITIVE).to_numpy(zero_copy_only=False) for text in test["text"].chunks]
        facts = {"texts": len(training), **self._tested(test["is_positive"].to_numpy(), np.concatenate([[], *scores]))}
        facts |= {"model_bytes": len(content), "sha256": name}
        return pa.table(
            {
                "model": pa.array([content], pa.large_binary()),
                "sha256": [name],
                "facts": [msgspec.json.encode(facts).decode()],
            }
        )

    def _options(self) -> dict[str, Any]:
        options = {"lr": self.lr, "dim": self.dim, "epoch": self.epoch, "minCount": self.min_count}
        grams = {"wordNgrams": self.settings.word_ngrams, "minn": self.minn, "maxn": self.maxn}
        return {**options, **grams, **({"bucket": self.bucket} if grams["wordNgrams"] > 1 or self.maxn else {})}

    def _limits(self, sketches: pa.Table) -> pa.Table:
        """The largest hash of a text that is chosen, for each class and source."""
        from curate.kernels.quotas import groups, level

        tie, is_positive = sketches["tie"].to_numpy(), sketches["is_positive"].to_numpy()
        names, at = groups(sketches["of"])
        held: dict[tuple[bool, str | None], np.ndarray] = {
            (side, name): tie[(at == place) & (is_positive == side)]
            for side in (False, True)
            for place, name in enumerate(names)
        }
        held = {key: ties for key, ties in held.items() if len(ties)}
        self._refuse_empty([*held])
        sizes = {side: [len(ties) for key, ties in held.items() if key[0] == side] for side in (False, True)}
        total = min(self.settings.samples, *(sum(counts) for counts in sizes.values()))
        rows = []
        for (side, name), ties in held.items():
            last = min(max(level(np.array(sizes[side]), total), 1), len(ties)) - 1
            rows.append({"is_positive": side, "of": name, "limit": int(np.partition(ties, last)[last])})
        kinds = [("is_positive", pa.bool_()), ("of", pa.string()), ("limit", pa.uint64())]
        return pa.Table.from_pylist(rows, schema=pa.schema(kinds))

    def _refuse_empty(self, there: list[tuple[bool, str | None]]) -> None:
        for side, kind, asked in ((True, POSITIVE, self.positives), (False, NEGATIVE, self.negatives)):
            missing = [name for name in asked if (side, name) not in there]
            if missing or side not in [own for own, _ in there]:
                where = f"source {missing[0]!r} has" if missing else f"`positive: {self.positive}` leaves"
                raise OperatorError(f"train_fasttext: {where} no {kind} texts to learn from")

    def _held_out(self, tie: np.ndarray) -> np.ndarray:
        from curate.kernels.mixing import mix

        return (mix(tie, self.seed) >> np.uint64(11)) < np.uint64(round(self.holdout * 2.0**53))

    def _tested(self, truth: np.ndarray, score: np.ndarray) -> dict[str, Any]:
        """How the model does on the texts that were held out."""
        return {"held_out": len(truth), **measures(truth.astype(bool), np.nan_to_num(score))}

    def facts(self, model: pa.Table) -> dict[str, Any]:
        if "facts" not in model.column_names:
            return {"slices": len(model)}
        found: dict[str, Any] = msgspec.json.decode(model["facts"][0].as_py())
        return found

    def export(self, model: pa.Table, folder: Path) -> None:
        """The model as a file of fastText's, for `fasttext_score` with the label `positive`."""
        Path(folder, "model.bin").write_bytes(model["model"][0].as_buffer())

    def apply(self, model: pa.Table, **given: pa.Array) -> dict[str, pa.Array]:
        fitted = fast_text.load_bytes(model["model"][0].as_buffer(), model["sha256"][0].as_py())
        return {"train_fasttext_score": scored(fitted, given["text"], POSITIVE)}


def _chosen(found: pa.Table, limits: pa.Table) -> np.ndarray:
    """Which texts have a hash up to the limit of their class and source."""
    chosen = np.zeros(len(found), bool)
    tie = found["tie"].to_numpy()
    for row in limits.to_pylist():
        own = pc.and_(pc.equal(found["is_positive"], row["is_positive"]), pc.equal(found["of"], row["of"]))
        chosen |= own.to_numpy() & (tie <= np.uint64(row["limit"]))
    return chosen


def apart(tie: np.ndarray, seed: int) -> np.ndarray:
    """An order by chance of rows that ascend by hash, in which copies lie apart.

    fastText learns from lines in their order: a text that it sees several times at once counts for too much.

    >>> apart(np.array([4, 4, 4, 9, 9, 9], np.uint64), seed=0).tolist()
    [1, 0, 3, 5, 4, 2]
    """
    from curate.kernels.mixing import mix

    copy = (np.arange(len(tie)) - np.searchsorted(tie, tie)).astype(np.uint64)
    return np.argsort(mix(tie + copy, seed + 1), kind="stable")


def write_lines(path: Path, texts: pa.Table) -> None:
    """The training file of fastText: a label and a text on each line. Labels within texts are none."""
    from curate.kernels.one_line import one_line

    with path.open("wb") as out:
        for batch in texts.to_batches(max_chunksize=10_000):
            names = pc.if_else(batch["is_positive"], f"{fast_text.LABEL}{POSITIVE} ", f"{fast_text.LABEL}{NEGATIVE} ")
            lines = pc.replace_substring(one_line(batch["text"]), fast_text.LABEL, "__label_")
            out.write("".join(pc.binary_join_element_wise(names, lines, "").to_pylist()).encode())


# ---------------------------------------------------------------- how good a classifier is


def measures(truth: np.ndarray, score: np.ndarray) -> dict[str, Any]:
    """Accuracy, precision and recall at 0.5, area under the ROC curve, calibration error; `groups`: the same by score.

    The calibration error is the mean distance, over ten bins weighted by size, of the mean score from the share of
    positives (Naeini et al. 2015). What there is nothing to measure on is left out.

    >>> found = measures(np.array([True, True, False, False]), np.array([0.9, 0.4, 0.6, 0.1]))
    >>> found["precision"], found["recall"], found["auc"]
    (0.5, 0.5, 0.75)
    """
    if not len(truth):
        return {}
    facts: dict[str, Any] = {"accuracy": _figure(np.mean((score >= 0.5) == truth)), **_at(truth, score, 0.5)}
    facts.pop("false_positive_rate", None)
    if truth.any() and not truth.all():
        facts["auc"] = _figure(area(truth, score))
    at = np.minimum((score * BINS).astype(int), BINS - 1)
    rows, error = [], 0.0
    for bin in range(BINS):
        own = at == bin
        row: dict[str, Any] = {"score_from": bin / BINS, "texts": int(own.sum())}
        mean, share = (float(values[own].mean()) if own.any() else 0.0 for values in (score, truth))
        error += abs(mean - share) * own.mean()
        row |= {"mean_score": _figure(mean), "positives": _figure(share), **_at(truth, score, bin / BINS)}
        rows.append(row)
    return {**facts, "calibration_error": _figure(error), "groups": rows}


def _at(truth: np.ndarray, score: np.ndarray, threshold: float) -> dict[str, float]:
    """Precision, recall and false-positive rate of what scores at least so much."""
    found = score >= threshold
    parts = {
        "precision": (truth & found, found),
        "recall": (truth & found, truth),
        "false_positive_rate": (~truth & found, ~truth),
    }
    return {name: _figure(hit.sum() / max(of.sum(), 1)) for name, (hit, of) in parts.items()}


def area(truth: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve: how often a positive scores above a negative, ties counting half."""
    _, at, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[at]
    positives = int(truth.sum())
    above = rank[truth].sum() - positives * (positives + 1) / 2
    return float(above / (positives * (len(truth) - positives)))


def _figure(value: float) -> float:
    return round(float(value), 4)
