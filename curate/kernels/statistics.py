"""Statistics of words and links that many systems share: entropy, different words, characters in links."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from curate.kernels.bits import u64
from curate.kernels.jit import inner, kernel
from curate.kernels.landmarks import LINK, Landmarks, link_end
from curate.kernels.lexer import Lexed
from curate.kernels.ngrams import ZERO, Scratch, group, scratch_for
from curate.kernels.segment import Segments

FEW = 8  # most words of a document occur less often


def distribution(words: Segments) -> tuple[np.ndarray, np.ndarray]:
    """The number of different words (int64) and the entropy of their distribution (float64, nats, 0 without words).

    >>> from curate.kernels.lexer import lex
    >>> from curate.kernels.segment import segment
    >>> import pyarrow as pa
    >>> distinct, entropy = distribution(segment(lex(pa.array(["a b a b"])), "unicode"))
    >>> distinct.tolist(), entropy.round(3).tolist()
    ([2], [0.693])
    """
    longest = int(np.diff(words.splits).max(initial=0))
    distinct, entropy = np.empty(len(words.splits) - 1, np.int64), np.empty(len(words.splits) - 1)
    distribute_all(words, scratch_for(longest), np.empty(FEW), distinct, entropy)
    return distinct, entropy


@inner
def distribute(name: Any, n: Any, whole: Any, scratch: Scratch, terms: Any) -> Any:
    """How many of n words, known by their `name`, are different; and uses / whole * -log(uses / n), summed in the order
    they appear in.

    With n as the whole it is the entropy, in nats; divided at the end instead it would differ in the last bits.
    """
    group(name, n, scratch)
    distinct = ZERO
    for j in range(u64(n)):
        scratch.rest[distinct] = scratch.uses[j]
        distinct += u64(scratch.uses[j] > 0)
    for uses in range(1, min(n + 1, len(terms))):
        terms[uses] = uses / whole * math.log(uses / n)
    nats = 0.0
    for k in range(distinct):
        often = np.int64(scratch.rest[k])
        nats -= terms[u64(often)] if often < len(terms) else often / whole * math.log(often / n)
    return np.int64(distinct), nats


@kernel(allocates=False)
def distribute_all(words: Segments, scratch: Scratch, terms: Any, distinct: Any, entropy: Any) -> None:
    """Fill the numbers and entropies."""
    for d in range(len(distinct)):
        first, last = words.splits[d], words.splits[d + 1]
        n = last - first
        distinct[d], nats = distribute(words.hash[first:last], n, 1, scratch, terms)
        entropy[d] = nats / max(n, 1)


def links(lexed: Lexed, found: Landmarks) -> tuple[np.ndarray, np.ndarray]:
    """The number of links (http, https, ftp or www.) and their characters (int64[documents])."""
    counts = np.zeros((2, len(lexed.offsets) - 1), np.int64)
    measure_links(lexed, found, counts)
    return counts[0], counts[1]


@kernel(allocates=False)
def measure_links(lexed: Lexed, found: Landmarks, counts: Any) -> None:
    """Add to the counts, from zero."""
    for d in range(len(lexed.offsets) - 1):
        for p in range(found.splits[d], found.splits[d + 1]):
            if found.kind[p] == LINK:
                begin = np.int64(found.position[p])
                counts[0, d] += 1
                counts[1, d] += link_end(lexed.data, begin, np.int64(lexed.offsets[d + 1])) - begin
