"""Which language a text is in: py3langid's naive Bayes over byte n-grams (Lui and Baldwin 2012), over Arrow buffers.

An automaton reads the bytes, and each of its states stands for one n-gram at most. The n-grams of a document, weighted
by log(1 + count), select the rows of a matrix of log-probabilities; the column with the greatest sum is the language.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curate.kernels.jit import kernel
from curate.kernels.langid_model import COLUMNS, Automaton, Model
from curate.kernels.langid_text import prepare
from curate.kernels.text import buffers

LANES = 8  # pieces of a text that are read at the same time, so that waits for memory overlap
TILE = 8192  # bytes read before their n-grams are counted
BUCKET = 13  # log2 of the rows per bucket: about as many as the cache holds
WAITING = 131072  # n-grams that may wait in a bucket
DOCUMENTS = 2048  # documents that may wait
LOGS = np.log1p(np.arange(1024, dtype=np.float32))  # by count; larger ones are computed


class Queue(NamedTuple):
    """N-grams of several documents, sorted into buckets of neighbouring rows.

    The matrix does not fit the cache but a bucket does, so each row is fetched once for all documents that wait.
    """

    ngrams: np.ndarray  # uint32[buckets, room]; there is room for one more document as long as it is not full
    factors: np.ndarray  # float32[buckets, room], log(1 + count)
    edges: np.ndarray  # int64[DOCUMENTS + 1, buckets], document d has edges[d, b]:edges[d + 1, b] of bucket b
    sums: np.ndarray  # float32[DOCUMENTS, COLUMNS]


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
