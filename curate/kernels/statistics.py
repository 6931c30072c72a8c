"""Statistics of words and links that many systems share: entropy, different words, characters in links."""

from __future__ import annotations

from typing import Any

import numpy as np

from curate.kernels.jit import kernel
from curate.kernels.landmarks import LINK, Landmarks, link_end
from curate.kernels.lexer import Lexed
from curate.kernels.ngrams import Numbering, empty, number, numbering_for
from curate.kernels.segment import Segments


def distribution(words: Segments) -> tuple[np.ndarray, np.ndarray]:
    """The number of different words (int64) and the entropy of their distribution (float64, nats, 0 without words).

    >>> from curate.kernels.lexer import lex
    >>> from curate.kernels.segment import segment
    >>> distinct, entropy = distribution(segment(lex(pa.array(["a b a b"])), "unicode"))
    >>> distinct.tolist(), entropy.round(3).tolist()
    ([2], [0.693])
    """
    longest = int(np.diff(words.splits).max(initial=0))
    distinct, entropy = np.empty(len(words.splits) - 1, np.int64), np.empty(len(words.splits) - 1)
    distribute(words, numbering_for(longest), np.empty(longest, np.int64), distinct, entropy)
    return distinct, entropy


@kernel(allocates=False)
def distribute(words: Segments, table: Numbering, uses: Any, distinct: Any, entropy: Any) -> None:
    """Fill the numbers and entropies."""
    for d in range(len(distinct)):
        first, last = words.splits[d], words.splits[d + 1]
        mask, known = empty(table, last - first), 0
        for w in range(first, last):
            own = number(table, mask, words.hash[w], known)
            if own == known:
                uses[own], known = 0, known + 1
            uses[own] += 1
        nats = 0.0
        for own in range(known):
            nats -= uses[own] * np.log(uses[own] / (last - first))
        distinct[d], entropy[d] = known, nats / max(last - first, 1) + 0.0


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
