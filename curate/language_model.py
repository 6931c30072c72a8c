"""A trained n-gram model as an Arrow table of one row: arrays that are used where they lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from curate.kernels.kneser_ney import Fitted, Model
    from curate.kernels.vocabulary import Tokens

SPECIAL = ("<unk>", "<s>", "</s>")  # words 0, 1 and 2 of every model
AT_ONCE = 64  # batches whose words are brought together at a time
SKETCH = pa.schema([("words", pa.list_(pa.string())), ("tokens", pa.list_(pa.uint32())), ("pieces", pa.binary())])
ARRAYS = {
    "first": pa.int64(),
    "begin": pa.int64(),
    "word": pa.uint32(),
    "suffix": pa.uint32(),
    "log": pa.float32(),
    "backoff": pa.float32(),
}
LISTS = {"words": pa.string(), "hashes": pa.uint64(), **ARRAYS}
SCHEMA = pa.schema(
    [("pieces", pa.binary()), ("facts", pa.binary()), *((name, pa.large_list(kind)) for name, kind in LISTS.items())]
)


class LanguageModel(NamedTuple):
    """Words are in the order of their hashes: word k is token k + 3 of the model."""

    model: Model
    words: pa.Array
    hashes: np.ndarray
    pieces: bytes  # a SentencePiece model, or nothing

    def score(self, found: Tokens) -> np.ndarray:
        """log10 of the probability of each sentence, its end included, as KenLM reckons it."""
        from curate.kernels.kneser_ney import score

        token = number(self.hashes, found.hash)
        for special, hash in enumerate(special_hashes()):
            token[found.hash == hash] = special
        logs = np.empty(len(found.splits) - 1)
        score(self.model, token[found.token], found.splits, np.empty(self.model.order, np.float32), logs)
        return logs


def special_hashes() -> np.ndarray:
    from curate.kernels.vocabulary import tokens

    return tokens(pa.array(SPECIAL)).hash


def number(known: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """Tokens of words by hash; 0 for one that is unknown."""
    if not len(known):
        return np.zeros(len(hashes), np.uint32)
    at = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
    return np.where(known[at] == hashes, at + len(SPECIAL), 0).astype(np.uint32)


# ---------------------------------------------------------------- sketches of text


def sketched(words: pa.Array, tokens: np.ndarray, pieces: bytes | None) -> pa.Table:
    """A batch as one row: its words and, in terms of these, its tokens (k + 1 is word k, 0 the end of a sentence)."""
    columns = [_row(words, pa.ListArray), _row(pa.array(tokens), pa.ListArray), pa.array([pieces], pa.binary())]
    return pa.table(columns, schema=SKETCH)


def read_sketches(sketches: pa.Table) -> tuple[pa.Array, np.ndarray, np.ndarray, int]:
    """Words of all batches and their hashes, all sentences as one stream with marks, and how many there are.

    Special words in the text are left out, as lmplz does when told to skip them.
    """
    from curate.kernels.ngram_counts import array
    from curate.kernels.vocabulary import mark, tokens

    rows = [row for batch in sketches.to_batches() for row in _rows(batch)]
    words = _vocabulary([words for words, _ in rows])
    hashes = tokens(words).hash
    order = np.argsort(hashes)
    words, hashes = words.take(pa.array(order)), hashes[order]
    sentences = sum(int((listed == 0).sum()) for _, listed in rows)
    stream = array(sum(len(listed) for _, listed in rows) + sentences, np.uint32)
    at = 0
    for own, listed in rows:
        at = mark(number(hashes, tokens(own).hash), listed, at, stream)
    return words, hashes, stream[:at], sentences


def _vocabulary(lists: list[pa.Array]) -> pa.Array:
    """All words but the special ones, each once."""
    found: list[pa.Array] = [pa.array([], pa.string())]
    for at in range(0, len(lists), AT_ONCE):
        found = [pc.unique(pa.concat_arrays([*found, *lists[at : at + AT_ONCE]]))]
    return found[0].filter(pc.invert(pc.is_in(found[0], pa.array(SPECIAL))))


def _rows(batch: pa.RecordBatch) -> list[tuple[pa.Array, np.ndarray]]:
    """Words and tokens of each row."""
    return [(batch["words"][at].values, batch["tokens"][at].values.to_numpy()) for at in range(len(batch))]


# ---------------------------------------------------------------- the model's table


def packed(
    pieces: bytes, fitted: Fitted | None = None, words: Any = None, hashes: Any = None, **facts: Any
) -> pa.Table:
    """The table; `facts` are for the manifest. Without a model, only its SentencePiece model, or nothing."""
    found: dict[str, Any] = {name: [] for name in LISTS}
    if fitted is not None:
        found = {"words": words, "hashes": hashes, **fitted.model._asdict()}
        facts |= {
            "ngrams": np.diff(fitted.model.first).tolist(),
            "ngrams_before_pruning": fitted.counts,
            "discounts": [list(discount[1:]) for discount in fitted.discounts],
            "orders_with_fallback_discounts": fitted.fallback,
        }
    lists = [_row(pa.array(found[name], kind)) for name, kind in LISTS.items()]
    rows = [pa.array([value], pa.binary()) for value in (pieces, msgspec.json.encode(facts))]
    return pa.table([*rows, *lists], schema=SCHEMA)


def unpacked(table: pa.Table) -> LanguageModel | None:
    """The model in a table; None where there is none, for want of text."""
    from curate.kernels.kneser_ney import Model
    from curate.kernels.text import read_only

    found = {name: table[name][0].values for name in LISTS}
    if not len(found["first"]):
        return None
    arrays = {name: read_only(found[name].to_numpy()) for name in ("hashes", *ARRAYS)}
    hashes = arrays.pop("hashes")
    return LanguageModel(Model(**arrays), found["words"], hashes, table["pieces"][0].as_py())


def facts(table: pa.Table) -> dict[str, Any]:
    return msgspec.json.decode(table["facts"][0].as_py(), type=dict[str, Any])


def _row(array: pa.Array, kind: Any = pa.LargeListArray) -> pa.Array:
    """The array as one value."""
    return kind.from_arrays(pa.array([0, len(array)], pa.int32() if kind is pa.ListArray else pa.int64()), array)


# ---------------------------------------------------------------- perplexity


def perplexity(logs: np.ndarray, tokens: np.ndarray, bounds: np.ndarray) -> pa.Array:
    """Of each document, from the log10 of its sentences and how many tokens they have; null where it has none.

    >>> perplexity(np.array([-3.0, -1.0, -2.0]), np.array([1, 1, 0]), np.array([0, 2, 3])).to_pylist()
    [10.0, None]
    """
    from curate.kernels.rounding import rounded

    documents = len(bounds) - 1
    own = np.repeat(np.arange(documents), np.diff(bounds))
    log = np.bincount(own, logs, documents)  # added up one by one: a document's sum has no neighbours in it
    length = np.bincount(own, tokens + 1, documents)
    nothing = np.bincount(own, tokens, documents) == 0
    values = 10.0 ** (-log / np.maximum(length, 1))
    return pa.array(rounded(values, 1), mask=nothing)
