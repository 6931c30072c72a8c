"""Perplexity by KenLM models of SentencePiece pieces, and buckets by it, as CCNet has them (Wenzek et al. 2020, arXiv
1911.00359)."""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate import assets, pieces
from curate.cut_offs import bucket_names
from curate.errors import PlanError
from curate.operator import Columns, Selection, Selector, Signal
from curate.ranking import Ranking, Rows

MODELS = (".arpa.bin", ".arpa", ".binary", ".bin")  # what a KenLM file may end with, the best first
PIECES = ".sp.model"
BINARY = b"mmap lm http://kheafield.com/code format version 5\n"
ARPA = b"\\data\\"
COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ")
LARGEST_PIECES = 1 << 28  # bytes; those of CCNet have about a million
NAMES = ("head", "middle", "tail")
Share = Annotated[float, msgspec.Meta(gt=0, lt=1)]


class CcnetPerplexity(Signal, frozen=True):
    """How well a language model expects a document: KenLM over SentencePiece pieces of CCNet's normalised text.

    Values are those of cc_net. With its models: lower is more like Wikipedia. A document of more than one line is one
    sentence, without the line feeds, as in cc_net. Models are mapped into memory, so workers share them.

    models        a folder with LANGUAGE.arpa.bin (or .arpa, .bin, .binary) and LANGUAGE.sp.model for each language, as
                  cc_net's data/lm_sp; without `per_language`, with one of each, named as they may be, or no .sp.model
                  for a model of words, such as models/STEP of a run with `train_kenlm`
    per_language  use the model that the column `language` calls for
    max_gb        a larger file is refused

    perplexity         10 ** (-log10 probability / (pieces + 1)), rounded to a tenth (1 and more); null for a text
                       without words or a language without a model
    perplexity_bucket  only per language: head, middle or tail, by the cut-offs that cc_net published for its models;
                       null for a language without one, or without a perplexity

    Raises PlanError for a file that is no such model, is cut off or too large, and where KenLM is not installed.

    >>> from pathlib import Path; from tempfile import mkdtemp; from curate.ops import TrainKenlm
    >>> trainer = TrainKenlm(reference=("wiki",), tokens="words", order=3)
    >>> folder, texts = Path(mkdtemp()), pa.array(["the cat sat on the mat", "a dog sat on the rug"])
    >>> trainer.export(trainer.fit(trainer.sketch(texts)), folder)
    >>> CcnetPerplexity(models=str(folder), per_language=False)("The mat sat on the dog")
    {'perplexity': 7.5}
    """

    example: ClassVar[dict[str, Any]] = {"models": "lm_sp"}

    models: str
    per_language: bool = True
    max_gb: Annotated[float, msgspec.Meta(gt=0)] = 64.0

    def reads(self) -> dict[str, pa.DataType | None]:
        return {"text": pa.string(), **({"language": pa.string()} if self.per_language else {})}

    def writes(self) -> dict[str, pa.DataType]:
        return {"perplexity": pa.float64(), **({"perplexity_bucket": pa.string()} if self.per_language else {})}

    def files(self) -> tuple[str, ...]:
        return tuple(sorted(path for pair in self._pairs().values() for path in pair if path))

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), **{name: _version(name) for name in ("kenlm", "sentencepiece")}}

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        for model, spell in self._pairs().values():
            _check(model, self.max_gb * 1e9)
            if spell:
                _check_size(spell, LARGEST_PIECES)
                speller(spell)
            kenlm_model(model)

    def compute(self, text: pa.StringArray, language: pa.StringArray | None = None) -> Columns:
        from curate.kernels.ccnet import normalised

        found = np.full(len(text), np.nan)
        for name, (model, spell) in self._pairs().items():
            here = pa.array(np.ones(len(text), bool)) if language is None else pc.equal(language, name)
            rows = here.to_numpy(zero_copy_only=False)
            if rows.any():
                found[rows] = perplexities(normalised(text.filter(here)), kenlm_model(model), spell)
        perplexity = pa.array(found, mask=np.isnan(found))
        if language is None:
            return {"perplexity": perplexity}
        return {"perplexity": perplexity, "perplexity_bucket": bucket_names(language, perplexity)}

    def _pairs(self) -> dict[str, tuple[str, str]]:
        """For each language its two files; under no name, if the language does not matter, the only ones."""
        listed = assets.files(self.models)
        names = {Path(path).name: path for path in listed}
        lms = {name: path for name, path in names.items() if name.endswith(MODELS)}
        if not lms:
            raise PlanError(f"ccnet_perplexity: {self.models} has no file that ends with {' or '.join(MODELS)}")
        if not self.per_language:
            spells = [path for name, path in names.items() if name.endswith((PIECES, "sp.model"))]
            best = min(lms, key=lambda name: (_rank(name), name))
            return {"": (lms[best], spells[0] if spells else "")}
        found: dict[str, tuple[str, str]] = {}
        for name in sorted(lms, key=_rank):
            language = name[: -len(MODELS[_rank(name)])]
            if language + PIECES not in names:
                raise PlanError(
                    f"ccnet_perplexity: {lms[name]} has no {language}{PIECES} beside it; a model of all languages, or"
                    " of words, needs `per_language: false`"
                )
            found.setdefault(language, (lms[name], names[language + PIECES]))
        return found


def _rank(name: str) -> int:
    return next(at for at, end in enumerate(MODELS) if name.endswith(end))


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


# ---------------------------------------------------------------- models


def perplexities(lines: pa.Array, model: Any, spell: str) -> np.ndarray:
    """Of each line (float64); NaN for one without words."""
    from curate.kernels.lexer import count_words
    from curate.kernels.rounding import rounded

    lines = pieces.encode(lines, speller(spell)) if spell else lines
    score = model.score
    logs = np.array([score(line) for line in lines.to_pylist()])  # the binding takes one at a time
    tokens = count_words(lines)
    values = 10.0 ** (-logs / (tokens + 1))
    return np.where(tokens > 0, rounded(values, 1), np.nan)


@functools.lru_cache(maxsize=64)
def speller(path: str) -> bytes:
    """The content of a SentencePiece model, read once per process."""
    try:
        content = Path(path).read_bytes()
        pieces.processor(content)
        return content
    except PlanError as error:
        raise PlanError(f"ccnet_perplexity: {path}: {error}") from error


@functools.lru_cache(maxsize=64)
def kenlm_model(path: str) -> Any:
    """A KenLM model, loaded once per process; binary files are mapped into memory."""
    try:
        import kenlm
    except ImportError as error:
        raise PlanError(
            "ccnet_perplexity needs KenLM, which comes as source: install a C++ compiler (g++ or clang++), then run"
            " `pip install kenlm`; without it, `train_kenlm` trains and applies models"
        ) from error
    config = kenlm.Config()
    config.show_progress = False
    config.arpa_complain = kenlm.ARPALoadComplain.NONE
    config.load_method = kenlm.LoadMethod.LAZY
    try:
        return kenlm.Model(path, config)
    except (OSError, RuntimeError) as error:
        raise PlanError(f"ccnet_perplexity: {path} is no model that KenLM can load: {error}") from error


def _check(path: str, most: float) -> None:
    """Refuse what is no KenLM file before KenLM reads it."""
    _check_size(path, most)
    with Path(path).open("rb") as file:
        head = file.read(4096)
        file.seek(max(Path(path).stat().st_size - 64, 0))
        tail = file.read()
    if head.startswith((BINARY, *COMPRESSED)):
        return
    if not head.lstrip().startswith(ARPA):
        other = "a binary of another version" if head.startswith(BINARY[:20]) else "neither an ARPA file nor a binary"
        raise PlanError(f"ccnet_perplexity: {path} is {other}: it begins with {head[:24]!r}")
    if not tail.rstrip().endswith(b"\\end\\"):
        raise PlanError(f"ccnet_perplexity: {path} is cut off: an ARPA file ends with \\end\\")


def _check_size(path: str, most: float) -> None:
    size = Path(path).stat().st_size
    if size > most:
        raise PlanError(
            f"ccnet_perplexity: {path} has {size:,} bytes, more than the {most:,.0f} that are allowed (max_gb)"
        )


# ---------------------------------------------------------------- buckets


class PerplexityBuckets(Selector, frozen=True):
    """Head, middle and tail by quantiles of the perplexities at hand, as CCNet cut an older crawl. Drops nothing.

    Quantiles are exact (linear interpolation between neighbours, as NumPy has it). The manifest has the cut-offs.

    of         column of numbers, lower is better
    quantiles  where the middle and the tail begin, 0..1; CCNet took 0.3 and 0.6
    per        among documents with the same value of this column of strings, or null: all together

    perplexity_bucket   head, middle or tail; null for a document without a number

    >>> table = pa.table({"perplexity": [210.0, 480.5, 95.3, None], "language": ["en"] * 4})
    >>> PerplexityBuckets()(table)["perplexity_bucket"].to_pylist()
    ['middle', 'tail', 'head', None]
    """

    version = 2
    sees_nulls = True

    of: str = "perplexity"
    quantiles: tuple[Share, Share] = (0.3, 0.6)
    per: str | None = "language"

    def __post_init__(self) -> None:
        if self.quantiles[0] >= self.quantiles[1]:
            raise ValueError(f"quantiles must ascend, as in [0.3, 0.6]; got {list(self.quantiles)}")

    def reads(self) -> dict[str, pa.DataType | None]:
        return {self.of: None, **({self.per: pa.string()} if self.per else {})}

    def writes(self) -> dict[str, pa.DataType]:
        return {"perplexity_bucket": pa.string()}

    def reasons(self) -> tuple[str, ...]:
        return ()

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        if not (pa.types.is_integer(types[self.of]) or pa.types.is_floating(types[self.of])):
            raise PlanError(f"perplexity_buckets is about numbers, but {self.of} is {types[self.of]}")

    def sketches(self) -> dict[str, pa.DataType]:
        return {"score": pa.float64(), **({"group": pa.string()} if self.per else {})}

    def sketch(self, **given: pa.Array) -> Columns:
        value = pc.negate(given[self.of].cast(pa.float64()))  # the lowest come first
        return {"score": value, **({"group": given[self.per]} if self.per else {})}

    def select(self, rows: Rows, ranking: Ranking) -> Selection:
        ends = [self._quantiles(ranking, quantile) for quantile in self.quantiles]
        value = 0.0 - rows.place.number
        bucket = sum((value >= end[rows.group]).astype(np.int8) for end in ends)
        made = pa.array(NAMES).take(pa.array(bucket, mask=~rows.ranked))
        told = []
        for at in np.flatnonzero(ranking.documents):
            group = {self.per: ranking.names[at]} if self.per else {}
            cuts = [end[at].item() for end in ends]
            told.append(
                {**group, "documents": int(ranking.documents[at]), "middle_from": cuts[0], "tail_from": cuts[1]}
            )
        return Selection(columns={"perplexity_bucket": made}, facts={"groups": told})

    def _quantiles(self, ranking: Ranking, quantile: float) -> np.ndarray:
        """The quantile of each group, between the two values that are next to it."""
        last = np.maximum(ranking.documents - 1, 0)
        at = last * quantile
        below = np.floor(at)
        sides = [ranking.cut(place, "documents").place.number for place in (below, np.minimum(below + 1, last))]
        pairs = zip(*sides, at - below, strict=True)
        return np.array([np.quantile([0.0 - low, 0.0 - high], between) for low, high, between in pairs])
