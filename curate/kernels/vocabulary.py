"""Words between white space, numbered: as KenLM divides a sentence and knows its words."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curate.kernels.bits import load8, load64, u64
from curate.kernels.folding import load_upto8
from curate.kernels.jit import inner, kernel
from curate.kernels.ngram_counts import BOS, EOS
from curate.kernels.ngrams import Numbering, empty, number, numbering_for
from curate.kernels.text import buffers, read_only


class Tokens(NamedTuple):
    """The tokens of a batch of sentences, in terms of its different words."""

    words: pa.StringArray
    hash: np.ndarray  # uint64[words], MurmurHash64A
    token: np.ndarray  # uint32[tokens], number of the word
    splits: np.ndarray  # int64[sentences + 1]


def tokens(sentences: pa.Array) -> Tokens:
    """The words between ASCII white space, numbered as they appear.

    >>> found = tokens(pa.array(["to be or", "not to be"]))
    >>> found.words.to_pylist(), found.token.tolist(), found.splits.tolist()
    (['to', 'be', 'or', 'not'], [0, 1, 2, 3, 0, 1], [0, 3, 6])
    """
    data, offsets = buffers(sentences)
    splits = np.zeros(len(offsets), np.int64)
    count_tokens(data, offsets, splits)
    np.cumsum(splits, out=splits)
    total = int(splits[-1])
    token, span, hashes = np.empty(total, np.uint32), np.empty((total, 2), np.int32), np.empty(total, np.uint64)
    found = number_tokens(data, offsets, numbering_for(total), token, span, hashes)
    words = taken(data, span[:found])
    return Tokens(words, hashes[:found].copy(), token, splits)


def taken(data: np.ndarray, span: np.ndarray) -> pa.StringArray:
    """Spans of bytes as strings."""
    offsets = np.concatenate([[0], np.cumsum(span[:, 1] - span[:, 0])]).astype(np.int32)
    out = np.empty(int(offsets[-1]), np.uint8)
    copy_spans(data, read_only(span), out)
    return pa.StringArray.from_buffers(len(span), pa.py_buffer(offsets), pa.py_buffer(out))


@inner
def is_separator(byte: Any) -> Any:
    return byte == 0x20 or 0x09 <= byte <= 0x0D


@inner
def following(data: Any, i: Any, end: Any) -> Any:
    """Begin and end of the first token from byte i on; both are `end` where there is none."""
    while i < end and is_separator(load8(data, i)):
        i += 1
    begin = i
    while i < end and not is_separator(load8(data, i)):
        i += 1
    return begin, i


@kernel(allocates=False)
def count_tokens(data: Any, offsets: Any, counts: Any) -> None:
    """`counts[s + 1]` becomes how many tokens sentence s has."""
    for s in range(len(offsets) - 1):
        end = np.int64(offsets[s + 1])
        begin, i = following(data, np.int64(offsets[s]), end)
        while begin < i:
            counts[s + 1] += 1
            begin, i = following(data, i, end)


@kernel(allocates=False)
def number_tokens(data: Any, offsets: Any, table: Numbering, token: Any, span: Any, hashes: Any) -> Any:
    """Fill the number of each token, span and hash of each word; returns how many words there are."""
    mask, words, t = empty(table, len(token)), np.int64(0), np.int64(0)
    for s in range(len(offsets) - 1):
        end = np.int64(offsets[s + 1])
        begin, i = following(data, np.int64(offsets[s]), end)
        while begin < i:
            hash = murmur(data, begin, i)
            own = number(table, mask, hash, words)
            if own == words:
                span[words, 0], span[words, 1], hashes[words] = begin, i, hash
                words += 1
            token[t] = own
            t += 1
            begin, i = following(data, i, end)
    return words


@kernel(allocates=False)
def copy_spans(data: Any, span: Any, out: Any) -> None:
    """Spans one after the other."""
    o = 0
    for k in range(len(span)):
        for i in range(span[k, 0], span[k, 1]):
            out[o] = load8(data, i)
            o += 1


@inner
def murmur(data: Any, begin: Any, end: Any) -> Any:
    """MurmurHash64A (Appleby) of data[begin:end] with seed 0, by which KenLM knows a word."""
    m = u64(0xC6A4A7935BD1E995)
    h = u64(end - begin) * m
    i = begin
    while end - i >= 8:
        k = load64(data, i) * m
        h = (h ^ (k ^ k >> u64(47)) * m) * m
        i += 8
    if i < end:
        h = (h ^ load_upto8(data, i, end - i)) * m
    h = (h ^ h >> u64(47)) * m
    return h ^ h >> u64(47)


@kernel(allocates=False)
def mark(numbers: Any, tokens: Any, at: Any, stream: Any) -> Any:
    """Write sentences from `at` on, each between its marks; in `tokens` 0 ends one, and k + 1 is word k.

    A word whose number is 0 is left out. Returns the index after them.
    """
    is_first = True
    for token in tokens:
        if is_first:
            stream[at] = BOS
            at += 1
        is_first = token == 0
        own = EOS if is_first else numbers[token - 1]
        if own > 0:
            stream[at] = own
            at += 1
    return at
