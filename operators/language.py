"""Which language a document is in, by byte n-grams (py3langid, Barbaresi; after langid.py, Lui and Baldwin 2012) or by
fastText (Joulin et al. 2016)."""

import functools
import importlib.metadata
from collections.abc import Mapping
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate import assets
from curate.errors import PlanError, nearest
from curate.operator import Signal

if TYPE_CHECKING:
    from curate.kernels.langid import Model

EMBEDDED = "embedded"
UNDETERMINED = "und"  # ISO 639's own code
LABEL = "__label__"


class Language(Signal, frozen=True):
    """The language of each document and how sure the model is.

    model       `embedded`: py3langid's model of 140 languages, which comes with the installation; our kernel gives the
                same label as the library for every text. Or a fastText model: a path, or an asset (lid.176.ftz)
    languages   the only languages (ISO 639 codes) that the embedded model may choose from; default: all it knows

    language          ISO 639 code (two letters where there is one), or the label of a fastText model. The embedded
                      model says `zxx` for what is no language (numbers, code), and `und`, with score 0, for text in
                      which it knows no n-gram: empty, one character, unknown scripts
    language_score    the model's probability of that language, 0..1

    Raises PlanError for a language that the model does not know and for a file that is no fastText classifier.

    >>> Language()("Der Hund schläft unter dem alten Küchentisch.")["language"]
    'de'
    >>> Language(languages=("nl", "sv"))("Hunden sover under bordet, men katten sitter i fönstret.")["language"]
    'sv'
    """

    model: str = EMBEDDED
    languages: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.languages is not None and self.model != EMBEDDED:
            raise ValueError("languages restricts the embedded model only: leave it out with a fastText model")
        if self.languages is not None and not self.languages:
            raise ValueError("languages is empty: name at least one, or leave it out for all")
        if self.languages is not None:
            msgspec.structs.force_setattr(self, "languages", tuple(self.languages))

    def writes(self) -> dict[str, pa.DataType]:
        return {"language": pa.string(), "language_score": pa.float32()}

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

    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        found = self._by_ngrams(text) if self.model == EMBEDDED else self._by_fasttext(text)
        return {"language": found[0], "language_score": found[1]}

    def _by_ngrams(self, text: pa.StringArray) -> tuple[pa.Array, pa.Array]:
        from curate.kernels.langid import classify

        model = embedded_model(self.languages)
        column, probability = classify(text, model)
        names = pa.array([*model.languages, UNDETERMINED])
        return names.take(pa.array(np.where(column < 0, len(names) - 1, column))), pa.array(probability)

    def _by_fasttext(self, text: pa.StringArray) -> tuple[pa.Array, pa.Array]:
        one_line = pc.replace_substring(text, "\n", " ").to_pylist()  # fastText ends a document at the line feed
        labels, scores = fasttext_model(*self.files()).predict(one_line) if one_line else ([], [])
        language = [label[0].removeprefix(LABEL) if label else UNDETERMINED for label in labels]
        score = [min(float(score[0]), 1.0) if len(score) else 0.0 for score in scores]
        return pa.array(language, pa.string()), pa.array(score, pa.float32())


@functools.lru_cache(maxsize=4)
def embedded_model(languages: tuple[str, ...] | None = None) -> "Model":
    """The `curate.kernels.langid.Model` in the installed py3langid, for all or some languages; loaded once."""
    from curate.kernels.langid import load, restrict

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


@functools.lru_cache(maxsize=2)
def fasttext_model(path: str) -> Any:
    """A fastText classifier, loaded once per process: it does not pickle."""
    import fasttext

    advice = "name a classifier such as lid.176.ftz, or leave `model` out for the embedded one"
    try:
        model = fasttext.load_model(path)
        model.predict("")
    except ValueError as error:
        raise PlanError(f"language: {path} is no fastText classifier ({error}): {advice}") from error
    return model
