"""The model of py3langid (Lui and Baldwin 2012) in the form that the kernels of `curate.kernels.langid` want."""

from __future__ import annotations

import hashlib
import io
import lzma
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from curate.kernels.kept import kept
from curate.kernels.text import read_only

BLOCK = 16  # transitions per shared block
COLUMNS = 144  # columns of the matrix, padded: the compiler knows how long the innermost loop is


class Automaton(NamedTuple):
    """What recognises n-grams. From state s, byte b leads to state blocks[block[row[s], b // 16], b % 16].

    The first states are the n-grams that have just been read; `second` follow, that mean an n-gram which has a state
    already (`second[s - ngrams]`); the others mean none.
    """

    row: np.ndarray  # uint16 or uint32 [states]
    block: np.ndarray  # uint16 or uint32 [rows, 16]
    blocks: np.ndarray  # uint32[blocks, 16]
    second: np.ndarray  # uint32[second states]
    ngrams: int
    start: int  # the state before the first byte
    memory: int  # bytes after which a state no longer depends on where the reading began


class Model(NamedTuple):
    """Log-probabilities by n-gram and column: a column is a language in one script, so some languages have two."""

    languages: tuple[str, ...]  # ISO 639 codes of the columns, without those that only pad
    first: np.ndarray  # int16[COLUMNS], the first column of the same language
    prior: np.ndarray  # float32[COLUMNS], -inf for those that only pad
    weights: np.ndarray  # int16[ngrams, COLUMNS], log-probability / unit
    unit: float
    automaton: Automaton


def load(path: Path) -> Model:
    """The model in a file of py3langid 0.4. The first time takes a second; what it gives is kept for later processes.

    Raises ValueError when the file has another layout.
    """
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return _from_arrays(kept(f"langid-{digest}", lambda: _as_arrays(read(path))))


def _as_arrays(model: Model) -> list[np.ndarray]:
    *arrays, ngrams, start, memory = model.automaton
    numbers = np.array([ngrams, start, memory])
    return [np.array(model.languages), model.first, model.prior, model.weights, np.array(model.unit), numbers, *arrays]


def _from_arrays(arrays: list[np.ndarray]) -> Model:
    languages, first, prior, weights, unit, numbers, row, block, blocks, second = arrays
    automaton = Automaton(row, block, blocks, second, *numbers.tolist())
    return Model(tuple(languages.tolist()), first, prior, weights, unit.item(), automaton)


def read(path: Path) -> Model:
    """What `load` keeps: the model file (an .npz archive inside .xz) in the form that the kernels want."""
    with lzma.open(path) as packed, np.load(io.BytesIO(packed.read())) as stored:
        arrays = {name: stored[name] for name in stored.files}
    expected = {"ptc", "pc", "classes", "nextmove", "nextmove_row", "out_feat"}
    if set(arrays) != expected:
        raise ValueError(f"{path} is not a model of py3langid 0.4: it holds {sorted(arrays)}, not {sorted(expected)}")
    weights, unit = _as_integers(arrays["ptc"])
    rows = arrays["nextmove"].astype(np.uint32).reshape(-1, 256)
    automaton = _automaton(rows, arrays["nextmove_row"], arrays["out_feat"])
    return _model(arrays["classes"].tolist(), arrays["pc"], weights, unit, automaton)


def restrict(model: Model, languages: Sequence[str]) -> Model:
    """The same model that knows only some languages. Raises KeyError for one that it does not have."""
    for language in languages:
        if language not in model.languages:
            raise KeyError(language)
    columns = [column for column, language in enumerate(model.languages) if language in languages]
    kept = [model.languages[column] for column in columns]
    return _model(kept, model.prior[columns], model.weights[:, columns], model.unit, model.automaton)


def _model(languages: list[str], prior: np.ndarray, weights: np.ndarray, unit: float, automaton: Automaton) -> Model:
    """A model padded to the number of columns that the kernels expect."""
    size, columns = weights.shape
    if columns > COLUMNS:
        raise ValueError(f"the model has {columns} columns, the kernel is compiled for {COLUMNS}")
    padded = np.zeros((size, COLUMNS), np.int16)
    padded[:, :columns] = weights
    priors = np.full(COLUMNS, -np.inf, np.float32)
    priors[:columns] = prior
    first = np.zeros(COLUMNS, np.int16)
    first[:columns] = [languages.index(language) for language in languages]
    return Model(tuple(languages), read_only(first), read_only(priors), read_only(padded), unit, automaton)


def _as_integers(weights: np.ndarray) -> tuple[np.ndarray, float]:
    """Half-precision numbers as int16 multiples of a power of two, without loss: half the memory of float32."""
    unit = 2.0 ** (math.ceil(math.log2(np.abs(weights).max())) - 15)
    scaled = weights.astype(np.float32) / np.float32(unit)
    integers = scaled.astype(np.int16)
    if not np.array_equal(scaled, integers):
        raise ValueError("the model has weights finer than its range allows: this is not the py3langid model")
    return integers, unit


def _automaton(rows: np.ndarray, row: np.ndarray, ngram: np.ndarray) -> Automaton:
    """State s has transitions rows[row[s]] and means n-gram ngram[s], -1 for none. States get new numbers."""
    ngrams, first = np.unique(ngram, return_index=True)
    first = first[ngrams >= 0]
    if len(first) != ngram.max() + 1:
        raise ValueError("an n-gram of the model has no state: this is not the py3langid model")
    rest = np.setdiff1d(np.arange(len(row)), first)
    second, none = rest[ngram[rest] >= 0], rest[ngram[rest] < 0]
    order = np.concatenate([first, second, none])
    number = np.argsort(order).astype(np.uint32)
    block, blocks = _shared_blocks(number[rows])
    seconds = ngram[second].astype(np.uint32)
    return Automaton(row[order], block, blocks, seconds, len(first), int(number[0]), _depth(rows, row))


def _shared_blocks(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Transitions cut into blocks of 16 that are stored once: an eighth of the memory, which then fits the cache."""
    cut = rows.reshape(-1, BLOCK)
    factors = np.random.default_rng(0).integers(1, 2**63, BLOCK, dtype=np.uint64) | np.uint64(1)
    _, first, which = np.unique((cut * factors).sum(axis=1), return_index=True, return_inverse=True)
    blocks = cut[first]
    if not np.array_equal(blocks[which], cut):
        raise ValueError("two blocks of transitions have one hash")
    kind = np.uint16 if len(blocks) <= 1 << 16 else np.uint32
    return which.astype(kind).reshape(len(rows), -1), blocks


def _depth(rows: np.ndarray, row: np.ndarray) -> int:
    """The greatest distance of a state from the first one: the length of the longest n-gram."""
    reached, depth = np.zeros(len(row), bool), -1
    frontier = np.zeros(1, np.int64)
    while len(frontier):
        reached[frontier], depth = True, depth + 1
        is_next = np.zeros(len(row), bool)
        is_next[rows[np.unique(row[frontier])]] = True
        frontier = np.flatnonzero(is_next & ~reached)
    return depth
