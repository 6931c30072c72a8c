"""SentencePiece (Kudo and Richardson 2018): unigram models of pieces, trained and applied."""

from __future__ import annotations

import functools
import io
from typing import Any

import pyarrow as pa

from curate.errors import OperatorError, PlanError

THREADS = 4  # of training, whatever the machine: sums of floats depend on their number


def encode(sentences: pa.Array, model: bytes) -> pa.StringArray:
    """Each sentence as its pieces, a space between them."""
    spell = processor(model).encode  # one sentence at a time: lists of all the pieces of a batch slow Python down
    return pa.array([" ".join(spell(line, out_type=str)) for line in sentences.to_pylist()], pa.string())


@functools.lru_cache(maxsize=8)
def processor(model: bytes) -> Any:
    """A model, loaded once per process. Raises PlanError for what is none, or where the package is absent."""
    try:
        from sentencepiece import SentencePieceProcessor
    except ImportError as error:
        raise PlanError("SentencePiece is not installed: pip install sentencepiece") from error
    try:
        return SentencePieceProcessor(model_proto=model)
    except RuntimeError as error:
        raise PlanError(f"not a SentencePiece model: {error}") from error


def train(sentences: list[str], vocabulary: int, coverage: float) -> bytes:
    """A unigram model of up to so many pieces. Raises OperatorError where the text and these do not fit."""
    from sentencepiece import SentencePieceTrainer

    model = io.BytesIO()
    try:
        SentencePieceTrainer.train(
            sentence_iterator=iter(sentences),
            model_writer=model,
            model_type="unigram",
            vocab_size=vocabulary,
            hard_vocab_limit=False,
            character_coverage=coverage,
            max_sentence_length=1 << 30,
            num_threads=THREADS,
            minloglevel=3,
        )
    except RuntimeError as error:
        raise OperatorError(
            f"SentencePiece cannot be trained on {len(sentences)} sentences ({error}): give it a larger vocabulary,"
            " less coverage, or more text"
        ) from error
    return model.getvalue()
