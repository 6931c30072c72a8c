"""Interpolated modified Kneser-Ney n-gram models (Chen and Goodman 1998), as KenLM's lmplz estimates them (Heafield et
al. 2013): adjusted counts, discounts from counts of counts, pruning by occurrences, unigrams interpolated with the
uniform distribution over the vocabulary and <unk>.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from curate.kernels.jit import inner, kernel
from curate.kernels.ngram_counts import BOS, EOS, Level, array, count

FALLBACK = (0.0, 0.5, 1.0, 1.5)  # discounts where counts of counts give none, as lmplz --discount_fallback has them


class Model(NamedTuple):
    """A trie. Nodes of order 1 are the words by number; those of an order come after all of the order below.

    Children of node k are `begin[k]:begin[k + 1]`, in order of their words.
    """

    first: np.ndarray  # int64[order + 1], the first node of each order; how many nodes there are
    begin: np.ndarray  # int64, one more than there are nodes below the highest order
    word: np.ndarray  # uint32[nodes]
    suffix: np.ndarray  # uint32, the node without its first word, below the highest order; 0 for words
    log: np.ndarray  # float32[nodes], log10 of the probability of the last word after those before it
    backoff: np.ndarray  # float32, log10, below the highest order

    @property
    def order(self) -> int:
        return len(self.first) - 1


class Fitted(NamedTuple):
    """A model, and how it came about."""

    model: Model
    discounts: list[tuple[float, ...]]  # for adjusted counts of 0, 1, 2, and 3 and more
    fallback: list[int]  # orders whose discounts are not from counts of counts
    counts: list[int]  # n-grams before pruning


def estimate(tokens: np.ndarray, words: int, order: int, prune: tuple[int, ...] = (), memory: int = 1 << 30) -> Fitted:
    """The model of a stream of sentences (uint32), each with BOS before and EOS after it.

    words    size of the vocabulary, with the three special words
    prune    for each order, the last for those above it: n-grams that occur so often or less are left out
    memory   bytes that sorting may take

    >>> fitted = estimate(np.array([1, 3, 4, 2, 1, 3, 2], np.uint32), 5, 2)
    >>> (10.0 ** fitted.model.log[:5]).round(4).tolist()
    [0.2, 1.0, 0.45, 0.175, 0.175]
    """
    levels = count(tokens, words, order, memory)
    adjusted = [adjust(levels, n) for n in range(order)]
    limits = [0, *(prune[min(n, len(prune) - 1)] if prune else 0 for n in range(1, order))]
    kept = [limit_to(level.count, limit) for level, limit in zip(levels, limits, strict=True)]
    found = [discounts(times) for times in adjusted]
    below = np.full(1, 1 / max(words - 1, 1))  # the uniform distribution: <s> is never predicted
    logs, backoffs = [], []
    for level, times, keep, (discount, _) in zip(levels, adjusted, kept, found, strict=True):
        probability = array(len(times), np.float64)
        weight = array(len(level.begin) - 1, np.float64)
        smooth(level.begin, times, keep, level.suffix, below, np.array(discount), probability, weight)
        if not logs:
            probability[BOS] = 1.0
        logs.append(log10(probability))
        backoffs.append(log10(weight))
        below = probability
    model = packed(levels, kept, logs, backoffs[1:])
    fallback = [n + 1 for n, (_, is_fallback) in enumerate(found) if is_fallback]
    return Fitted(model, [discount for discount, _ in found], fallback, [len(level.word) for level in levels])


def adjust(levels: list[Level], n: int) -> np.ndarray:
    """Adjusted counts of the n + 1-grams: how many different words come before, but for the highest order and for those
    that begin with <s>, which occurrences count for."""
    if n + 1 == len(levels):
        return levels[n].count
    times = array(len(levels[n].word), np.int64)
    extend(levels[n + 1].suffix, times)
    low, high = BOS, BOS + 1
    for level in levels[1 : n + 1]:
        low, high = level.begin[low], level.begin[high]
    times[low:high] = levels[n].count[low:high] if n else 0
    return times


def limit_to(counts: np.ndarray, limit: int) -> np.ndarray:
    """1 where a count is above the limit; empty where no n-gram is left out."""
    return (counts > limit).astype(np.uint8) if limit else np.empty(0, np.uint8)


def discounts(times: np.ndarray) -> tuple[tuple[float, ...], bool]:
    """Discounts by adjusted count, 3 for it and above (equation 26 of Chen and Goodman); whether they are fallbacks."""
    n = [0, *(int((times == k).sum()) for k in range(1, 5))]
    if not (n[1] and n[2] and n[3]):
        return FALLBACK, True
    y = n[1] / (n[1] + 2 * n[2])
    found = (0.0, *(k - (k + 1) * y * n[k + 1] / n[k] for k in (1, 2, 3)))
    is_sound = all(0 <= discount <= k for k, discount in enumerate(found))
    return (found, False) if is_sound else (FALLBACK, True)


def log10(values: np.ndarray) -> np.ndarray:
    out = array(len(values), np.float32)
    to_log(values, out)
    return out


def packed(
    levels: list[Level], kept: list[np.ndarray], logs: list[np.ndarray], backoffs: list[np.ndarray]
) -> Model:  # fmt: skip
    """All orders in one trie, without the n-grams that are not kept."""
    new = [renumbered(keep, len(level.word)) for level, keep in zip(levels, kept, strict=True)]
    first = np.concatenate([[0], np.cumsum([int(numbers[-1]) for numbers in new])]).astype(np.int64)
    inner_nodes, nodes = int(first[-2]), int(first[-1])
    model = Model(
        first,
        array(inner_nodes + 1, np.int64),
        array(nodes, np.uint32),
        array(inner_nodes, np.uint32),
        array(nodes, np.float32),
        array(inner_nodes, np.float32),
    )
    nothing = np.zeros(1, np.float32)
    for n, level in enumerate(levels):
        is_last = n + 1 == len(levels)
        above = (np.zeros(1, np.int64),) * 2 if is_last else (levels[n + 1].begin, new[n + 1])
        below = new[n - 1] if n else np.zeros(1, np.int64)
        lower = backoffs[n] if not is_last else nothing
        starts = first[n : n + 2], first[max(n - 1, 0)]
        place(level, new[n], below, *above, logs[n], lower, *starts, n > 0, not is_last, model)
    model.begin[-1] = nodes
    return model


def renumbered(keep: np.ndarray, size: int) -> np.ndarray:
    """New numbers of n-grams, as many as there are and one more; that of one that is left out is the next one's."""
    new = array(size + 1, np.int64)
    if len(keep):
        np.cumsum(keep, out=new[1:])
    else:
        new[:] = np.arange(size + 1)
    return new


@kernel(allocates=False)
def extend(suffix: Any, times: Any) -> None:
    """Count the n-grams that end with each of a lower order."""
    for node in suffix:
        times[node] += 1


@kernel(allocates=False)
def smooth(
    begin: Any, times: Any, keep: Any, suffix: Any, below: Any, discount: Any, probability: Any, weight: Any
) -> None:
    """Probabilities of the n-grams, and what each of their prefixes leaves to the order below."""
    for prefix in range(len(begin) - 1):
        low, high = begin[prefix], begin[prefix + 1]
        total, left = 0.0, 0.0
        for i in range(low, high):
            is_kept = len(keep) == 0 or keep[i] != 0
            total += times[i]
            left += discount[min(times[i], 3)] if is_kept else np.float64(times[i])
        share = left / total if total > 0 else 1.0
        weight[prefix] = share
        for i in range(low, high):
            own = (times[i] - discount[min(times[i], 3)]) / total if total > 0 else 0.0
            probability[i] = own + share * below[suffix[i]]


@kernel(allocates=False)
def to_log(values: Any, out: Any) -> None:
    """log10; 0 for 0, which only a prefix that leaves nothing has."""
    for i in range(len(values)):
        out[i] = np.log10(values[i]) if values[i] > 0 else 0.0


@kernel(allocates=False)
def place(
    level: Level, new: Any, below: Any, begin: Any, above: Any, log: Any, backoff: Any, first: Any, lower: Any,
    has_suffix: Any, has_children: Any, model: Model
) -> None:  # fmt: skip
    """Copy one order to its place in the trie."""
    for i in range(len(level.word)):
        if new[i] == new[i + 1]:
            continue
        node = first[0] + new[i]
        model.word[node], model.log[node] = level.word[i], log[i]
        if has_children:
            model.backoff[node] = backoff[i]
            model.begin[node] = first[1] + above[begin[i]]
            model.suffix[node] = lower + below[level.suffix[i]] if has_suffix else 0


# ---------------------------------------------------------------- what a text is worth to a model


@inner
def child(model: Model, node: Any, word: Any) -> Any:
    """The child of a node with this word, or -1."""
    low, high = model.begin[node], model.begin[node + 1]
    while low < high:
        middle = (low + high) >> 1
        if model.word[middle] < word:
            low = middle + 1
        else:
            high = middle
    return low if low < model.begin[node + 1] and model.word[low] == word else np.int64(-1)


@kernel(allocates=False)
def score(model: Model, tokens: Any, splits: Any, charged: Any, out: Any) -> None:
    """log10 of the probability of each sentence, given its words, with its end.

    Sums are of single precision and in KenLM's order, the backoff of the shortest context first; `charged` (float32) is
    room for one of each order.
    """
    order = len(model.first) - 1
    for s in range(len(splits) - 1):
        node, depth, total = np.int64(BOS), 1, np.float32(0)
        for t in range(splits[s], splits[s + 1] + 1):
            word = np.int64(tokens[t]) if t < splits[s + 1] else np.int64(EOS)
            found, n = np.int64(-1), 0
            while depth > 0:
                found = child(model, node, word)
                if found >= 0:
                    break
                charged[n] = model.backoff[node]
                node = np.int64(model.suffix[node])
                n, depth = n + 1, depth - 1
            if depth == 0:
                found = word
            log = model.log[found]
            for k in range(n - 1, -1, -1):
                log += charged[k]
            total += log
            if depth + 1 < order:
                node, depth = found, depth + 1
            elif depth == 1:
                node = word
            else:
                node = child(model, np.int64(model.suffix[node]), word)
        out[s] = total
