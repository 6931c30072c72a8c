"""A language model of a reference corpus: n-grams of words or of SentencePiece pieces, as CCNet has them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate import language_model, pieces
from curate.language_model import SPECIAL
from curate.operator import Columns, Trainer

Positive = Annotated[int, msgspec.Meta(ge=1)]


class TrainKenlm(Trainer, frozen=True):
    """Train a KenLM language model on a reference source, and say how well it expects each document.

    Interpolated modified Kneser-Ney (Chen and Goodman 1998), as KenLM's lmplz estimates it (Heafield et al. 2013);
    text is normalised, and perplexity reckoned, as CCNet does (Wenzek et al. 2020). The model is written to the run
    folder as models/STEP/lm.arpa and lm.arpa.bin, which KenLM loads (kenlm.Model, or `ccnet_perplexity` in another
    recipe), with sp.model for SentencePiece. A corpus that is too small for discounts gets lmplz's fallbacks.

    reference    sources that it is trained on, usually with `reference: true`
    tokens       sentencepiece: pieces of a unigram model (Kudo 2018) that is trained first; words: between white space
    vocabulary   pieces that SentencePiece may have; fewer if the text has not so many
    coverage     share of the characters that pieces must be able to spell, 0..1
    sample_mb    text that SentencePiece is trained on at most, in documents (or lines) chosen by hash
    order        words in the longest n-gram
    prune        for each order, the last for those above it: n-grams that occur so often or less are left out; the
                 first is 0, none is below the one before
    sentence     document: each is one sentence, as in CCNet; line: each line is one
    formats      files that are written: arpa, binary
    memory_mb    what sorting n-grams may take; larger tables are files mapped into memory, on the disk of the one node
                 that trains: 4 bytes a token of the reference and 20 for each of its n-grams

    perplexity   10 ** (-log10 probability / tokens, sentence ends included), rounded to a tenth as CCNet has it (1 and
                 more); null for a document without a word

    >>> texts = ["the cat sat on the mat", "a dog sat on the rug", "mat the on cat the sat"]
    >>> model = TrainKenlm(reference=("wiki",), tokens="words", order=3)
    >>> made = model.apply(pa.array(texts), model.fit(model.sketch(pa.array(texts[:2]))))
    >>> made["perplexity"].to_pylist()
    [1.7, 1.6, 17.6]
    """

    chunks: ClassVar[bool] = True
    example: ClassVar = {"reference": ("wiki",), "tokens": "words", "order": 3}

    reference: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    tokens: Literal["sentencepiece", "words"] = "sentencepiece"
    vocabulary: Annotated[int, msgspec.Meta(ge=16, le=1_000_000)] = 65536
    coverage: Annotated[float, msgspec.Meta(ge=0.9, le=1)] = 0.9995
    sample_mb: Annotated[float, msgspec.Meta(gt=0)] = 20.0
    order: Annotated[int, msgspec.Meta(ge=2, le=6)] = 5
    prune: tuple[Annotated[int, msgspec.Meta(ge=0)], ...] = ()
    sentence: Literal["document", "line"] = "document"
    formats: tuple[Literal["arpa", "binary"], ...] = ("arpa", "binary")
    memory_mb: Positive = 1024

    def __post_init__(self) -> None:
        if self.prune and (self.prune[0] or list(self.prune) != sorted(self.prune) or len(self.prune) > self.order):
            raise ValueError(
                f"prune has a limit for each order, at most {self.order}: the first is 0 and none is below the one"
                f" before it, as in [0, 0, 1]; got {list(self.prune)}"
            )

    @property
    def rounds(self) -> int:  # type: ignore[override]
        return 2 if self.tokens == "sentencepiece" else 1

    def fitted_on(self) -> tuple[str, ...]:
        return self.reference

    def value_identity(self) -> dict[str, Any]:
        """Memory does not change the model."""
        identity = self.identity()
        return {**identity, "parameters": {k: v for k, v in identity["parameters"].items() if k != "memory_mb"}}

    def writes(self) -> dict[str, pa.DataType]:
        return {"perplexity": pa.float64()}

    def sketch_schema(self) -> pa.Schema:
        return language_model.SKETCH

    def sketch(self, text: pa.StringArray, model: pa.Table | None = None) -> pa.Table:
        """Sentences to train SentencePiece on, or the tokens of a batch."""
        from curate.kernels.vocabulary import tokens

        units, _ = self._sentences(text)
        if self.tokens == "sentencepiece" and model is None:
            return language_model.sketched(sampled(units, self.sample_mb * 1e6), np.empty(0, np.uint32), None)
        spell = model["pieces"][0].as_py() if model is not None else b""
        found = tokens(spelled(units, spell))
        counts = np.diff(found.splits)
        ends = np.cumsum(counts[counts > 0])
        return language_model.sketched(found.words, np.insert(found.token + np.uint32(1), ends, np.uint32(0)), spell)

    def fit(self, sketches: pa.Table) -> pa.Table:
        if self.tokens == "sentencepiece" and sketches["pieces"].null_count == len(sketches):
            return language_model.packed(self._train_pieces(sketches))
        spell = sketches["pieces"][0].as_py() if len(sketches) else b""
        words, hashes, stream, sentences = language_model.read_sketches(sketches)
        if not sentences:
            return language_model.packed(spell)
        from curate.kernels.kneser_ney import estimate

        fitted = estimate(stream, len(words) + len(SPECIAL), self.order, self.prune, self.memory_mb << 20)
        size = {"sentences": sentences, "tokens": len(stream) - 2 * sentences}
        return language_model.packed(spell, fitted, words, hashes, **size)

    def facts(self, model: pa.Table) -> dict[str, Any]:
        return language_model.facts(model)

    def export(self, model: pa.Table, folder: Path) -> None:
        from curate.kenlm_files import write_arpa, write_binary

        found = language_model.unpacked(model)
        if found is None:
            return
        if "arpa" in self.formats:
            write_arpa(found.model, found.words, folder / "lm.arpa")
        if "binary" in self.formats:
            write_binary(found.model, found.words, found.hashes, folder / "lm.arpa.bin")
        if found.pieces:
            (folder / "sp.model").write_bytes(found.pieces)

    def apply(self, text: pa.StringArray, model: pa.Table) -> Columns:
        from curate.kernels.lexer import count_words
        from curate.kernels.vocabulary import tokens

        found = language_model.unpacked(model)
        if found is None:
            return {"perplexity": pa.nulls(len(text), pa.float64())}
        units, bounds = self._sentences(text)
        lines = spelled(units, found.pieces)
        logs = found.score(tokens(lines))
        return {"perplexity": language_model.perplexity(logs, count_words(lines), bounds)}

    def _sentences(self, text: pa.Array) -> tuple[pa.Array, np.ndarray]:
        """All sentences of a batch, normalised, and where each document's begin."""
        from curate.kernels.ccnet import normalised

        plain = normalised(text, lines=self.sentence == "line")
        if self.sentence == "document":
            return plain, np.arange(len(plain) + 1)
        found = pc.split_pattern(plain, "\n")
        return found.flatten(), found.offsets.to_numpy()

    def _train_pieces(self, sketches: pa.Table) -> bytes:
        sentences = pa.array([], pa.string())
        for listed in sketches["words"].chunks:  # one after the other: together they may be the whole reference
            sentences = sampled(pa.concat_arrays([sentences, listed.flatten()]), self.sample_mb * 1e6)
        return pieces.train(sentences.to_pylist(), self.vocabulary, self.coverage) if len(sentences) else b""


def spelled(sentences: pa.Array, model: bytes) -> pa.Array:
    """Sentences in the pieces of a SentencePiece model, or as they are."""
    return pieces.encode(sentences, model) if model else sentences


def sampled(sentences: pa.Array, most: float) -> pa.Array:
    """The sentences of the lowest hashes, in their order, that begin within so many bytes.

    The one that reaches the limit is among them, so that a sample of samples is the sample of them all.
    """
    from curate.kernels.hashing import xxh3_128

    sentences = sentences.filter(pc.not_equal(pc.binary_length(sentences), 0))
    low, high = xxh3_128(sentences)
    order = pa.array(np.lexsort((high, low)))
    sentences = sentences.take(order)
    ends = np.cumsum(pc.binary_length(sentences).to_numpy(), dtype=np.int64)
    return sentences[: int(np.searchsorted(ends, most)) + 1]
