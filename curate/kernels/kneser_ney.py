"""Interpolated modified Kneser-Ney n-gram models (Chen and Goodman 1998), as KenLM's lmplz estimates them (Heafield et
al. 2013): adjusted counts, discounts from counts of counts, pruning by occurrences, unigrams interpolated with the
uniform distribution over the vocabulary and <unk>.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from curate.kernels.jit import inner, kernel
from curate.kernels.ngram_counts import BOS, EOS, Level, array, count, tally

NOTHING = np.empty(0, np.int64)
SPENT = Level(*(np.empty(0, kind) for kind in (np.uint32, np.uint32, np.uint32, np.int64)))
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
    [0.125, 1.0, 0.375, 0.25, 0.25]
    """
    levels = count(tokens, words, order, memory)
    counts = [len(level.word) for level in levels]
    limits = [0, *(prune[min(n, len(prune) - 1)] if prune else 0 for n in range(1, order))]
    kept = [above(level.times, limit) for level, limit in zip(levels, limits, strict=True)]
    begun = after_bos(levels)
    model = room_for([int(keep.sum()) if len(keep) else size for keep, size in zip(kept, counts, strict=True)])
    found: list[tuple[tuple[float, ...], bool]] = []
    below = np.full(1, 1 / max(words - 1, 1))  # the uniform distribution: <s> is never predicted
    for n in range(order):
        times = levels[n].times if n + 1 == order else adjusted(levels[n], levels[n + 1], *begun[n], n == 0)
        found.append(discounts(times))
        probability, weight = array(len(times), np.float64), array(len(levels[n].begin) - 1, np.float64)
        smooth(levels[n], times, kept[n], below, np.array(found[n][0]), probability, weight)
        if n == 0:
            probability[BOS] = 1.0
        new, lower = renumbered(kept[n]), renumbered(kept[n - 1]) if n else NOTHING
        place(levels[n], probability, new, lower, n, model)
        if n:
            place_prefixes(levels[n], weight, new, lower, n, model)
        below = probability
        levels[n] = SPENT
    model.begin[-1] = model.first[-1]
    fallback = [n for n, (_, is_fallback) in enumerate(found, 1) if is_fallback]
    return Fitted(model, [discount for discount, _ in found], fallback, counts)


def after_bos(levels: list[Level]) -> list[tuple[int, int]]:
    """For each order, which of its n-grams begin with <s>."""
    found = [(BOS, BOS + 1)]
    for level in levels[1:]:
        found.append((int(level.begin[found[-1][0]]), int(level.begin[found[-1][1]])))
    return found


def adjusted(level: Level, longer: Level, low: int, high: int, is_lowest: bool) -> np.ndarray:
    """Adjusted counts: how many different words come before an n-gram; of those that begin with <s>, at low..high, how
    often they occur."""
    times = array(len(level.word), np.uint32)
    tally(longer.suffix, times)
    times[low:high] = 0 if is_lowest else level.times[low:high]
    return times


def above(counts: np.ndarray, limit: int) -> np.ndarray:
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


def room_for(sizes: list[int]) -> Model:
    """A model of so many n-grams of each order, to be filled."""
    first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    inner_nodes, nodes = int(first[-2]), int(first[-1])
    kinds = (nodes, np.uint32), (inner_nodes, np.uint32), (nodes, np.float32), (inner_nodes, np.float32)
    return Model(first, array(inner_nodes + 1, np.int64), *(array(*kind) for kind in kinds))


def renumbered(keep: np.ndarray) -> np.ndarray:
    """New numbers of n-grams when some go, and how many stay; that of one that goes is the next one's."""
    return np.concatenate([[0], np.cumsum(keep, dtype=np.int64)]) if len(keep) else NOTHING


@kernel(allocates=False)
def smooth(level: Level, times: Any, keep: Any, below: Any, discount: Any, probability: Any, weight: Any) -> None:
    """Probabilities of the n-grams, and what each of their prefixes leaves to the order below."""
    for prefix in range(len(level.begin) - 1):
        low, high = level.begin[prefix], level.begin[prefix + 1]
        total, left = 0.0, 0.0
        for i in range(low, high):
            is_kept = len(keep) == 0 or keep[i] != 0
            total += times[i]
            left += discount[min(times[i], 3)] if is_kept else np.float64(times[i])
        share = left / total if total > 0 else 1.0
        weight[prefix] = share
        for i in range(low, high):
            own = (times[i] - discount[min(times[i], 3)]) / total if total > 0 else 0.0
            probability[i] = own + share * below[level.suffix[i]]


@inner
def log10(value: Any) -> Any:
    """0 for 0, which is what an n-gram leaves to the order below that discounts take nothing from."""
    return np.log10(value) if value > 0 else 0.0


@inner
def moved(new: Any, i: Any) -> Any:
    """The new number of an n-gram."""
    return np.int64(new[i]) if len(new) else np.int64(i)


@kernel(allocates=False)
def place(level: Level, probability: Any, new: Any, lower: Any, n: Any, model: Model) -> None:
    """Put the n-grams of one order in their place, the n-th from 0."""
    for i in range(len(level.word)):
        if len(new) and new[i] == new[i + 1]:
            continue
        node = model.first[n] + moved(new, i)
        model.word[node], model.log[node] = level.word[i], log10(probability[i])
        if node < len(model.suffix):
            model.suffix[node] = model.first[n - 1] + moved(lower, level.suffix[i]) if n > 0 else 0


@kernel(allocates=False)
def place_prefixes(level: Level, weight: Any, new: Any, lower: Any, n: Any, model: Model) -> None:
    """Say of the n-grams one order below what they leave to the one below them, and where their children begin."""
    for prefix in range(len(level.begin) - 1):
        if len(lower) and lower[prefix] == lower[prefix + 1]:
            continue
        node = model.first[n - 1] + moved(lower, prefix)
        model.backoff[node] = log10(weight[prefix])
        model.begin[node] = model.first[n] + moved(new, level.begin[prefix])


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
