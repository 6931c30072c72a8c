"""Which language a text is in: py3langid's naive Bayes over byte n-grams (Lui and Baldwin 2012), over Arrow buffers.

An automaton reads the bytes, and each of its states stands for one n-gram at most. The n-grams of a document, weighted
by log(1 + count), select the rows of a matrix of log-probabilities; the column with the greatest sum is the language.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import math
import sys
import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.kernels.bits import load64, u64
from curate.kernels.jit import kernel
from curate.kernels.kept import kept
from curate.kernels.text import buffers, decode, read_only
from curate.kernels.unicode import HANGUL, HANGUL_END

LANES = 8  # pieces of a text that are read at the same time, so that waits for memory overlap
TILE = 8192  # bytes read before their n-grams are counted
BLOCK = 16  # transitions per shared block
COLUMNS = 144  # columns of the matrix, padded: the compiler knows how long the innermost loop is
BUCKET = 13  # log2 of the rows per bucket: about as many as the cache holds
WAITING = 131072  # n-grams that may wait in a bucket
DOCUMENTS = 2048  # documents that may wait
LOGS = np.log1p(np.arange(1024, dtype=np.float32))  # by count; larger ones are computed


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


class Queue(NamedTuple):
    """N-grams of several documents, sorted into buckets of neighbouring rows.

    The matrix does not fit the cache but a bucket does, so each row is fetched once for all documents that wait.
    """

    ngrams: np.ndarray  # uint32[buckets, room]; there is room for one more document as long as it is not full
    factors: np.ndarray  # float32[buckets, room], log(1 + count)
    edges: np.ndarray  # int64[DOCUMENTS + 1, buckets], document d has edges[d, b]:edges[d + 1, b] of bucket b
    sums: np.ndarray  # float32[DOCUMENTS, COLUMNS]


# ---------------------------------------------------------------- the model


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


# ---------------------------------------------------------------- the kernels


@kernel(forceinline=True)
def _next(automaton: Automaton, state: Any, byte: Any) -> Any:
    which = np.int64(automaton.block[np.int64(automaton.row[state]), byte >> 4])
    return np.int64(automaton.blocks[which, byte & 15])


@kernel
def _walk(data: Any, begin: Any, at: Any, length: Any, automaton: Automaton, states: Any, found: Any) -> None:
    """The state after each byte of data[at:at + length], in a document that begins at `begin`.

    Each lane reads an equal share (the last ones may overlap, and then agree) after the few bytes before it.
    """
    share = (length + LANES - 1) // LANES
    states[:] = automaton.start
    for back in range(-automaton.memory, 0):
        for lane in range(LANES):
            position = at + min(lane * share, length - share) + back
            if position >= begin:
                states[lane] = _next(automaton, states[lane], np.int64(data[position]))
    for i in range(share):
        for lane in range(LANES):
            into = min(lane * share, length - share) + i
            states[lane] = _next(automaton, states[lane], np.int64(data[at + into]))
            found[into] = states[lane]


@kernel
def _scratch(automaton: Automaton) -> Any:
    """Memory for `_count`: lanes, states, n-grams, and a counter for each state."""
    counts = np.zeros(len(automaton.row), np.int32)
    counts[automaton.ngrams :] = 1  # so that no n-gram is never a new one
    found = np.zeros(TILE, np.uint32)
    return np.zeros(LANES, np.int64), found, np.zeros(automaton.ngrams + 1, np.uint32), counts


@kernel
def _count(data: Any, begin: Any, end: Any, automaton: Automaton, scratch: Any) -> Any:
    """Count the n-grams of a document in `scratch` and list them there as they first occur; returns how many."""
    states, found, ngrams, counts = scratch
    n = 0
    for at in range(begin, end, TILE):
        length = min(TILE, end - at)
        _walk(data, begin, at, length, automaton, states, found)
        for i in range(length):
            ngram = np.int64(found[i])
            if 0 <= ngram - automaton.ngrams < len(automaton.second):
                ngram = np.int64(automaton.second[ngram - automaton.ngrams])
            ngrams[n] = ngram
            n += counts[ngram] == 0
            counts[ngram] += 1
    return n


@kernel
def _enqueue(scratch: Any, n: Any, logs: Any, queue: Queue, document: Any) -> Any:
    """Let the n-grams of a document wait for their rows; their counters are zero again. Is the queue full?"""
    _, _, ngrams, counts = scratch
    edges = queue.edges[document + 1]
    edges[:] = queue.edges[document]
    for k in range(n):
        ngram = np.int64(ngrams[k])
        count, bucket = counts[ngram], ngram >> BUCKET
        counts[ngram] = 0
        at = edges[bucket]
        queue.ngrams[bucket, at] = ngram
        queue.factors[bucket, at] = logs[count] if count < len(logs) else np.float32(math.log1p(count))
        edges[bucket] = at + 1
    return edges.max() + (1 << BUCKET) > queue.ngrams.shape[1] or document + 1 == len(queue.sums)


@kernel
def _add_rows(ngrams: Any, factors: Any, weights: Any, sums: Any) -> None:
    """Add weights[ngrams[k]] * factors[k] for all k, four rows at a time."""
    whole = len(ngrams) & ~3
    for k in range(0, whole, 4):
        a, b, c, d = weights[ngrams[k]], weights[ngrams[k + 1]], weights[ngrams[k + 2]], weights[ngrams[k + 3]]
        p, q, r, s = factors[k], factors[k + 1], factors[k + 2], factors[k + 3]
        for j in range(COLUMNS):
            pair = p * np.float32(a[j]) + q * np.float32(b[j])
            sums[j] += pair + (r * np.float32(c[j]) + s * np.float32(d[j]))
    for k in range(whole, len(ngrams)):
        a, p = weights[ngrams[k]], factors[k]
        for j in range(COLUMNS):
            sums[j] += p * np.float32(a[j])


@kernel
def _serve(queue: Queue, documents: Any, weights: Any) -> None:
    """The sums of all documents that wait."""
    queue.sums[:documents] = 0
    for bucket in range(queue.edges.shape[1]):
        for d in range(documents):
            part = slice(queue.edges[d, bucket], queue.edges[d + 1, bucket])
            _add_rows(queue.ngrams[bucket, part], queue.factors[bucket, part], weights, queue.sums[d])


@kernel
def _decide(sums: Any, unit: Any, prior: Any, first: Any, length: Any, n: Any, share: Any) -> Any:
    """(column, probability, whether rounding could have decided).

    The library softens the scores by the root of the number of bytes before it makes them probabilities.
    """
    top = -np.inf
    for j in range(COLUMNS):
        share[j] = sums[j] * unit + prior[j]
        top = max(top, share[j])
    softness = 1 / math.sqrt(length)
    total = 0.0
    for j in range(COLUMNS):
        value = math.exp((share[j] - top) * softness)
        total += value
        share[j] = 0
        share[first[j]] += value
    best, second = 0, 0.0
    for j in range(1, COLUMNS):
        if share[j] > share[best]:
            best, second = j, share[best]
        elif first[j] == j:
            second = max(second, share[j])
    # Bound on the error of any sum of n float32 terms of one sign, of this sum and of the library's together.
    error = (n + 8) * 2.0**-23 * abs(top) * softness + 2.0**-20
    return best, share[best] / total, second >= share[best] * math.exp(-error)


@kernel
def _classify(data: Any, offsets: Any, model: Any, logs: Any, queue: Queue, found: Any, shares: Any) -> None:
    """Fill `found`: column, probability, is_close; and the probability of each column, if `shares` has rows."""
    first, prior, weights, unit, automaton = model
    column, probability, is_close = found
    scratch = _scratch(automaton)
    share, distinct = np.zeros(COLUMNS, np.float64), np.zeros(len(queue.sums), np.int64)
    documents = len(offsets) - 1
    served = 0
    for d in range(documents):
        waiting = d - served
        n = _count(data, np.int64(offsets[d]), np.int64(offsets[d + 1]), automaton, scratch)
        distinct[waiting] = n
        is_full = _enqueue(scratch, n, logs, queue, waiting)
        if is_full or d + 1 == documents:
            _serve(queue, waiting + 1, weights)
            for k in range(served, d + 1):
                column[k], probability[k], is_close[k] = -1, 0, False
                sums, n = queue.sums[k - served], distinct[k - served]
                if n:
                    length = offsets[k + 1] - offsets[k]
                    column[k], probability[k], is_close[k] = _decide(sums, unit, prior, first, length, n, share)
                    if len(shares):
                        unit_share = probability[k] / share[column[k]]
                        for j in range(COLUMNS):
                            shares[k, j] = share[j] * unit_share
            served = d + 1


# ---------------------------------------------------------------- text as the model wants it


FIRST, SECOND, UNSTABLE, UPPER, OTHER_CASE = (256 << k for k in range(5))  # above the combining class
TRAITS_END = 0x30000  # from here on no code point has a trait
HANGUL_LETTERS = range(0x1100, 0x1113)  # syllables are composed by arithmetic, not listed as pairs
HANGUL_MARKS = (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))
HIGH = u64(0x8080808080808080)
PLAIN_END = 0xCC  # lead byte of U+0300: what is below is in normal form C, unless something above follows


@cache
def _traits() -> np.ndarray:
    """What `_make_traits` gives, by the running Python."""
    (traits,) = kept(f"traits-{unicodedata.unidata_version}-{sys.hexversion:x}", lambda: [_make_traits()])
    return traits


def _make_traits() -> np.ndarray:
    """By code point, by the running Python: the combining class, FIRST or SECOND of a pair that normal form C may
    compose, UNSTABLE when it changes by itself, and the two kinds of case that `str.isupper` tells apart."""
    traits = np.zeros(TRAITS_END, np.uint16)
    letters, marks, composed = {*map(chr, HANGUL_LETTERS)}, {*map(chr, HANGUL_MARKS)}, []
    for point in range(TRAITS_END):
        char = chr(point)
        is_stable = unicodedata.is_normalized("NFC", char)
        case = UPPER if char.isupper() else OTHER_CASE * (char.islower() or char.istitle())
        traits[point] = unicodedata.combining(char) | case | UNSTABLE * (not is_stable)
        parts = unicodedata.decomposition(char).split()
        if is_stable and len(parts) == 2 and parts[0][0] != "<":
            composed.append(char)
            letters.add(chr(int(parts[0], 16)))
            marks.add(chr(int(parts[1], 16)))
    letters.update(char for char in composed if letters & {*unicodedata.normalize("NFD", char)})
    traits[[*map(ord, letters)]] |= FIRST
    traits[HANGUL:HANGUL_END] |= FIRST
    traits[[*map(ord, marks)]] |= SECOND
    return traits


@kernel(forceinline=True)
def _trait(traits: Any, point: Any) -> Any:
    return np.int64(traits[point]) if point < len(traits) else np.int64(0)


@kernel
def _may_be_upper(data: Any, begin: Any, end: Any, traits: Any) -> Any:
    """Whether there are capital letters and no other ones (`str.isupper`)."""
    seen, i = 0, begin
    while i < end:
        point, i = decode(data, i, end)
        seen |= _trait(traits, point)
        if seen & OTHER_CASE:
            return False
    return seen & UPPER != 0


@kernel
def _may_be_composed(data: Any, begin: Any, end: Any, traits: Any) -> Any:
    """False only where the text is in normal form C: marks are in order and none may join the letter before it."""
    starter, rank, i = begin, 0, begin
    while i < end:
        at = i
        if i + 8 <= end and load64(data, i) & HIGH == 0:  # eight characters of ASCII
            starter, rank, i = i + 7, 0, i + 8
            continue
        if data[i] < PLAIN_END:
            i += 1 if data[i] < 0x80 else 2
            starter, rank = at, 0
            continue
        point, i = decode(data, i, end)
        trait = _trait(traits, point)
        if trait & UNSTABLE or 0 < trait & 255 < rank:
            return True
        if trait & SECOND and at > begin and _trait(traits, decode(data, starter, end)[0]) & FIRST:
            return True
        rank = trait & 255
        if rank == 0:
            starter = at
    return False


@kernel
def _find_rewritten(data: Any, offsets: Any, traits: Any, is_rewritten: Any) -> None:
    for d in range(len(offsets) - 1):
        begin, end = np.int64(offsets[d]), np.int64(offsets[d + 1])
        has_small, is_plain = False, True
        for i in range(begin, end):
            has_small |= (data[i] - np.uint8(97)) < 26
            is_plain &= data[i] < PLAIN_END
        upper = not has_small and _may_be_upper(data, begin, end, traits)
        is_rewritten[d] = upper or (not is_plain and _may_be_composed(data, begin, end, traits))


def _as_read(text: str) -> str:
    return unicodedata.normalize("NFC", text.lower() if text.isupper() else text)


def prepare(text: pa.Array) -> pa.Array:
    """Text as the library reads it: in normal form C, and in lower case where all of it is capitals.

    Only the few documents that may change become Python strings.

    >>> prepare(pa.array(["STOP", "Stop", "cafe\\u0301"])).to_pylist()
    ['stop', 'Stop', 'café']
    """
    is_rewritten = np.zeros(len(text), bool)
    _find_rewritten(*buffers(text), _traits(), is_rewritten)
    if not is_rewritten.any():
        return text
    rewritten = [_as_read(value) for value in text.filter(is_rewritten).to_pylist()]
    return pc.replace_with_mask(text, is_rewritten, pa.array(rewritten, pa.string()))


# ---------------------------------------------------------------- a batch


def classify(text: pa.Array, model: Model) -> tuple[np.ndarray, np.ndarray]:
    """The language of each document, as the library finds it: (column: int16[n], probability: float32[n]).

    The library is a `LanguageIdentifier(norm_probs=True)`; columns are those of `model.languages`.
    Text in which no n-gram of the model occurs has column -1 and probability 0. `text` must be a `pa.string()` array.
    """
    column, probability, _ = _classified(text, model, 0)
    return column, probability


def rank(text: pa.Array, model: Model, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` likeliest languages of each document, the first as in `classify`: columns (int16[n, count], -1 where
    there is none) and probabilities (float32[n, count])."""
    column, probability, shares = _classified(text, model, len(text))
    shares[np.arange(len(text)), column] = np.where(column < 0, 0, 2)  # the library's choice comes first
    order = np.argsort(-shares, axis=1, kind="stable")[:, :count].astype(np.int16)
    found = np.take_along_axis(shares, order.astype(np.int64), axis=1)
    found[:, 0] = probability
    order[found <= 0] = -1
    return order, found


def _classified(text: pa.Array, model: Model, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns, probabilities, and for so many rows the probabilities of all columns."""
    data, offsets = buffers(prepare(text))
    found = np.empty(len(text), np.int16), np.empty(len(text), np.float32), np.empty(len(text), bool)
    shares = np.zeros((rows, COLUMNS), np.float32)
    _classify(data, offsets, model[1:], LOGS, _queue(len(model.weights), len(text)), found, shares)
    column, probability, is_close = found
    for row in np.flatnonzero(is_close):
        column[row], probability[row] = _as_published(data, offsets[row], offsets[row + 1], model)
    return column, probability, shares


def _queue(size: int, documents: int) -> Queue:
    buckets, room = (size >> BUCKET) + 1, WAITING + (1 << BUCKET)
    documents = min(documents, DOCUMENTS)
    return Queue(
        np.empty((buckets, room), np.uint32),
        np.empty((buckets, room), np.float32),
        np.zeros((documents + 1, buckets), np.int64),
        np.empty((documents, COLUMNS), np.float32),
    )


def _as_published(data: np.ndarray, begin: int, end: int, model: Model) -> tuple[int, float]:
    """The library's own arithmetic, for a text whose two best languages are as close as rounding errors.

    There the order in which float32 numbers are added decides, so the same routine must add them.
    """
    scratch = _scratch(model.automaton)
    n = _count(data, np.int64(begin), np.int64(end), model.automaton, scratch)
    ngrams, columns = scratch[2][:n], len(model.languages)
    rows = model.weights[ngrams, :columns].astype(np.float32) * np.float32(model.unit)
    score = np.log1p(scratch[3][ngrams].astype(np.float32)) @ rows + model.prior[:columns]
    score *= 1 / math.sqrt(end - begin)
    share = np.exp(score - score.max())
    share /= share.sum()
    for column, first in enumerate(model.first[:columns]):
        if first != column:
            share[first] += share[column]
            share[column] = 0
    best = int(share.argmax())
    return best, float(share[best])
