"""The lexer's normalised words that are not empty, one after the other, of which several families count n-grams."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from curate.kernels.bits import u64
from curate.kernels.jit import kernel
from curate.kernels.lexer import Lexed
from curate.kernels.sharing import shared
from curate.kernels.text import read_only, splits


class NormalWords(NamedTuple):
    """Words of document d: `splits[d]:splits[d + 1]`."""

    splits: np.ndarray  # int64[documents + 1]
    hash: np.ndarray  # uint64[words]
    characters: np.ndarray  # int32[words], code points


def normal_words(lexed: Lexed) -> NormalWords:
    """The normalised words of a batch; kept per thread with the lexed text.

    >>> from curate.kernels.lexer import lex
    >>> import pyarrow as pa
    >>> normal_words(lex(pa.array(["The - cat.", "!"]))).characters.tolist()
    [3, 3]
    """
    return shared(lexed, "normal", lambda: _normal_words(lexed))


def _normal_words(lexed: Lexed) -> NormalWords:
    most = len(lexed.words.hash)
    hashes, characters = np.empty(most, np.uint64), np.empty(most, np.int32)
    counts = np.empty(len(lexed.word_splits) - 1, np.int64)
    keep(lexed, hashes, characters, counts)
    total = int(counts.sum())
    return NormalWords(*map(read_only, (splits(counts), hashes[:total], characters[:total])))


@kernel(allocates=False)
def keep(lexed: Lexed, hashes: Any, characters: Any, counts: Any) -> None:
    """Fill the words, and how many each document has."""
    words, n = lexed.words, u64(0)
    for d in range(len(counts)):
        before = n
        for w in range(u64(lexed.word_splits[d]), u64(lexed.word_splits[d + 1])):
            hashes[n], characters[n] = words.hash[w], words.normal_characters[w]
            n += u64(words.normal_characters[w] > 0)
        counts[d] = np.int64(n - before)
