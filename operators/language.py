"""Which language a document is in, by byte n-grams (py3langid, Barbaresi; after langid.py, Lui and Baldwin 2012) or by
fastText (Joulin et al. 2016); its script, and how far it is mixed."""

from __future__ import annotations

import functools
import importlib.metadata
import os
from collections.abc import Mapping
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate import assets, fast_text
from curate.errors import PlanError, nearest
from curate.languages import code
from curate.operator import Columns, Signal, Types

if TYPE_CHECKING:
    from curate.kernels.langid_model import Model

EMBEDDED = "embedded"
UNDETERMINED = "und"  # ISO 639's own code
Extra = Literal["iso639_3", "name", "script", "top", "mixed_ratio"]
TOP = pa.list_(pa.struct([("language", pa.string()), ("score", pa.float32())]))
EXTRAS: dict[Extra, pa.DataType] = {
    "iso639_3": pa.string(),
    "name": pa.string(),
    "script": pa.string(),
    "top": TOP,
    "mixed_ratio": pa.float64(),
}


class Language(Signal, frozen=True):
    """The language of each document and how sure the model is.

    model       `embedded`: py3langid's model of 140 languages, which comes with the installation; our kernel gives the
                same label as the library for every text. Or any fastText classifier (lid.176, GlotLID, your own): a
                path, or an asset (lid.176.ftz); labels and scores are those of fastText itself
    languages   the only languages (ISO 639 codes) that the embedded model may choose from; default: all it knows
    by          document: the text as a whole; lines: each line by itself, and the language that most bytes are in
    min_line    lines of fewer bytes are not judged by themselves; a document without longer ones is judged as a whole
    codes       model: the labels of the model; iso639-1: two letters where there are any, else three; iso639-3: three
    add         further columns: iso639_3, name, script, top, mixed_ratio
    top         how many languages `language_top` has at most

    language              ISO 639 code (two letters where there is one), or the label of a fastText model. The embedded
                          model says `zxx` for what is no language (numbers, code), and `und`, with score 0, for text
                          in which it knows no n-gram: empty, one character, unknown scripts
    language_score        the model's probability of that language, 0..1; by lines: the mean of the lines in it, by
                          their bytes
    language_iso639_3     its ISO 639-3 code
    language_name         its English name; null for a label that is not known
    language_script       ISO 15924 code of the script that most letters are in (Latn, Cyrl, Jpan, Hani, Hang, ...);
                          Zyyy for text without letters
    language_top          the likeliest languages with their probabilities; by lines: those that most bytes are in,
                          with their shares
    language_mixed_ratio  share of the bytes of lines that are in another language (0..1); 0 for a single line

    Raises PlanError for a language that the model does not know and for a file that is no fastText classifier, is
    truncated or too large.

    >>> Language()("Der Hund schläft unter dem alten Küchentisch.")["language"]
    'de'
    >>> Language(languages=("nl", "sv"))("Hunden sover under bordet, men katten sitter i fönstret.")["language"]
    'sv'
    >>> Language(add=("name", "script"))("Паром отходит в полдень, а булочная закрыта.")["language_name"]
    'Russian'
    """

    model: str = EMBEDDED
    languages: tuple[str, ...] | None = None
    by: Literal["document", "lines"] = "document"
    min_line: Annotated[int, msgspec.Meta(ge=1, le=10**6)] = 20
    codes: Literal["model", "iso639-1", "iso639-3"] = "model"
    add: tuple[Extra, ...] = ()
    top: Annotated[int, msgspec.Meta(ge=1, le=20)] = 3

    def __post_init__(self) -> None:
        if self.languages is not None and self.model != EMBEDDED:
            raise ValueError("languages restricts the embedded model only: leave it out with a fastText model")
        if self.languages is not None and not self.languages:
            raise ValueError("languages is empty: name at least one, or leave it out for all")
        if self.languages is not None:
            msgspec.structs.force_setattr(self, "languages", tuple(self.languages))
        msgspec.structs.force_setattr(self, "add", tuple(self.add))

    def writes(self) -> Types:
        added = {f"language_{name}": kind for name, kind in EXTRAS.items() if name in self.add}
        return {"language": pa.string(), "language_score": pa.float32(), **added}

    def files(self) -> tuple[str, ...]:
        return () if self.model == EMBEDDED else assets.files(self.model)

    def identity(self) -> dict[str, Any]:
        if self.model != EMBEDDED:
            return super().identity()
        return {**super().identity(), "py3langid": importlib.metadata.version("py3langid")}

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        if self.model != EMBEDDED:
            fasttext_model(*self.files())
        elif self.languages is not None:
            embedded_model(self.languages)

    def compute(self, text: pa.StringArray) -> Columns:
        count = self.top if "top" in self.add else 1
        ranked = self._ranked(text, count)
        best, score = ranked, ranked.score[:, 0]
        lines = self._lines(text, ranked) if self.by == "lines" or "mixed_ratio" in self.add else None
        if lines is not None and self.by == "lines":
            best = lines.best(count)
            score = lines.mean_score(best.label[:, 0])
        first = pa.array(np.where(best.label[:, 0] < 0, len(best.labels), best.label[:, 0]))
        made = self._named([*best.labels, UNDETERMINED], first)
        made["language_score"] = pa.array(score, pa.float32())
        if "script" in self.add:
            made["language_script"] = _scripts(text)
        if "top" in self.add:
            made["language_top"] = _listed(best, self._coded([*best.labels, UNDETERMINED]))
        if lines is not None:
            made["language_mixed_ratio"] = pa.array(1 - lines.share(best.label[:, 0]))
        return {name: made[name] for name in self.writes()}

    def _named(self, labels: list[str], first: pa.Array) -> Columns:
        """The label of each document, and its names."""
        known = [code(label) for label in labels]
        made = {"language": self._coded(labels).take(first)}
        made["language_iso639_3"] = pa.array([each.three for each in known], pa.string()).take(first)
        made["language_name"] = pa.array([each.name or None for each in known], pa.string()).take(first)
        return made

    def _coded(self, labels: list[str]) -> pa.Array:
        """Labels as the recipe wants them."""
        if self.codes == "model":
            return pa.array(labels, pa.string())
        known = [code(label) for label in labels]
        return pa.array([each.three if self.codes == "iso639-3" else each.shortest for each in known], pa.string())

    def _ranked(self, text: pa.Array, count: int) -> Ranked:
        return self._by_ngrams(text, count) if self.model == EMBEDDED else self._by_fasttext(text, count)

    def _by_ngrams(self, text: pa.Array, count: int) -> Ranked:
        from curate.kernels.langid import classify, rank

        model = embedded_model(self.languages)
        if count > 1:
            return Ranked(list(model.languages), *rank(text, model, count))
        column, probability = classify(text, model)
        return Ranked(list(model.languages), column[:, None], probability[:, None])

    def _by_fasttext(self, text: pa.Array, count: int) -> Ranked:
        """One call for all documents: what is left of Python is what fastText's binding makes, lists of labels."""
        model = fasttext_model(*self.files())
        names = model.get_labels()
        number = {name: at for at, name in enumerate(names)}
        label, score = np.full((len(text), count), -1, np.int32), np.zeros((len(text), count), np.float32)
        one_line = pc.replace_substring(text, "\n", " ").to_pylist()  # fastText ends a document at the line feed
        labels, scores = model.predict(one_line, k=count) if one_line else ([], [])
        for row, (its_labels, its_scores) in enumerate(zip(labels, scores, strict=True)):
            label[row, : len(its_labels)] = [number[name] for name in its_labels]
            score[row, : len(its_labels)] = its_scores
        return Ranked([name.removeprefix(fast_text.LABEL) for name in names], label, np.minimum(score, 1))

    def _lines(self, text: pa.Array, whole: Ranked) -> Lines:
        """The lines that are long enough; documents without one as they are."""
        split = pc.split_pattern(text, "\n")
        row = np.repeat(np.arange(len(text)), pc.list_value_length(split).to_numpy(zero_copy_only=False))
        lines = pc.list_flatten(split)
        size = pc.binary_length(lines).to_numpy(zero_copy_only=False)
        is_long = size >= self.min_line
        found = self._ranked(lines.filter(pa.array(is_long)), 1)
        alone = np.setdiff1d(np.arange(len(text)), row[is_long])
        return Lines(
            found.labels,
            len(text),
            np.concatenate([row[is_long], alone]),
            np.concatenate([found.label[:, 0], whole.label[alone, 0]]).astype(np.int64),
            np.concatenate([found.score[:, 0], whole.score[alone, 0]]),
            np.concatenate([size[is_long], np.ones(len(alone), size.dtype)]),
        )


class Ranked(NamedTuple):
    """The likeliest languages of each document: numbers of labels (-1: none) and their probabilities or shares."""

    labels: list[str]
    label: np.ndarray  # int[n, count]
    score: np.ndarray  # float32[n, count]


class Lines(NamedTuple):
    """The language of each line: document, number of label (-1: undetermined), probability, bytes."""

    labels: list[str]
    documents: int
    row: np.ndarray
    label: np.ndarray
    score: np.ndarray
    size: np.ndarray

    def best(self, count: int) -> Ranked:
        """The languages that most bytes of each document are in, with their shares; undetermined ones come last."""
        key = self.row * (len(self.labels) + 1) + self.label + 1
        groups, group = np.unique(key, return_inverse=True)
        row, label = groups // (len(self.labels) + 1), groups % (len(self.labels) + 1) - 1
        size = np.bincount(group, self.size, len(groups))
        order = np.lexsort((label, -size, label < 0, row))
        row, label, size = row[order], label[order], size[order]
        place = np.arange(len(row)) - np.searchsorted(row, row)
        is_shown = place < count
        found = Ranked(self.labels, np.full((self.documents, count), -1), np.zeros((self.documents, count), np.float32))
        found.label[row[is_shown], place[is_shown]] = label[is_shown]
        found.score[row[is_shown], place[is_shown]] = (size / self._sizes()[row])[is_shown]
        return found

    def share(self, label: np.ndarray) -> np.ndarray:
        """Share of each document's bytes that are in the language given for it."""
        return self._sizes(self.label == label[self.row]) / self._sizes()

    def mean_score(self, label: np.ndarray) -> np.ndarray:
        """Mean probability of the lines in the language given for each document, by their bytes."""
        is_in = self.label == label[self.row]
        return self._sizes(is_in * self.score) / np.maximum(self._sizes(is_in), 1)

    def _sizes(self, weights: np.ndarray | float = 1.0) -> np.ndarray:
        return np.bincount(self.row, self.size * weights, self.documents)


def _listed(best: Ranked, names: pa.Array) -> pa.Array:
    """For each document its languages and their scores."""
    is_there = best.label >= 0
    bounds = np.concatenate([[0], np.cumsum(is_there.sum(axis=1))]).astype(np.int32)
    language, score = names.take(pa.array(best.label[is_there])), pa.array(best.score[is_there], pa.float32())
    values = pa.StructArray.from_arrays([language, score], fields=list(TOP.value_type))
    return pa.ListArray.from_arrays(pa.array(bounds), values).cast(TOP)


def _scripts(text: pa.Array) -> pa.Array:
    from curate.kernels.scripts import scripts

    return scripts(text)


@functools.lru_cache(maxsize=4)
def embedded_model(languages: tuple[str, ...] | None = None) -> Model:
    """The `curate.kernels.langid_model.Model` in the installed py3langid, for all or some languages; loaded once."""
    from curate.kernels.langid_model import load, restrict

    if languages is None:
        with as_file(files("py3langid") / "data" / "model.npz.xz") as path:
            return load(path)
    model = embedded_model()
    for language in languages:
        if language not in model.languages:
            near = nearest(language, model.languages)
            known = ", ".join(sorted({*model.languages}))
            raise PlanError(f"language: the embedded model does not know {language!r}{near} (it knows {known})")
    return restrict(model, languages)


def fasttext_model(*found: str) -> Any:
    """A fastText classifier; its file is looked through before it is loaded, once per process."""
    if len(found) != 1:
        raise PlanError(f"language: model is {len(found)} files: name one fastText classifier, such as lid.176.ftz")
    if fast_text.read_header(found[0]).kind != "supervised":
        raise PlanError(
            f"language: {found[0]} is no fastText classifier (it has vectors, no labels): name a classifier such as"
            " lid.176.ftz, or leave `model` out for the embedded one"
        )
    return fast_text.load(found[0], os.stat(found[0]).st_mtime_ns)
