"""An n-gram model in the two forms that KenLM reads: lines of an ARPA file, and the tables of its probing hash map."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from curate.kernels.bits import load8, u64
from curate.kernels.jit import inner, kernel
from curate.kernels.kneser_ney import Model, child
from curate.kernels.text import read_only

NUMBER = 14  # bytes of a number at most: a sign, three digits, a point, seven digits
DECIMALS = 10**7
FILL = 1.5  # cells of a table per entry, KenLM's own default
KEY_FACTOR, WORD_FACTOR = u64(8978948897894561157), u64(17894857484156487943)  # of KenLM's hash of an n-gram
SIGN = np.uint32(0x80000000)


class Words(NamedTuple):
    """The words of a vocabulary: word k is data[offsets[k]:offsets[k + 1]]."""

    data: np.ndarray  # uint8
    offsets: np.ndarray  # int32


# ---------------------------------------------------------------- ARPA


def lines(model: Model, words: Words, n: int, room: int = 1 << 24) -> Iterator[np.ndarray]:
    """The n-grams of order n as lines of an ARPA file, in pieces (uint8) of at most `room` bytes or one line."""
    longest = int(np.diff(words.offsets).max(initial=0)) + 1
    out = np.empty(max(room, n * longest + 2 * NUMBER + 2), np.uint8)
    path = read_only(model.first[:n]).copy()  # the n-gram's first words as nodes
    node, end = int(model.first[n - 1]), int(model.first[n])
    path[n - 1] = node
    while node < end:
        size = write_lines(model, words, n, path, end, n * longest + 2 * NUMBER + 2, out)
        node = int(path[n - 1])
        yield out[:size]


@kernel(allocates=False)
def write_lines(model: Model, words: Words, n: Any, path: Any, end: Any, most: Any, out: Any) -> Any:
    """Write lines from node path[n - 1] on while there is room; returns the bytes written."""
    o = np.int64(0)
    while path[n - 1] < end and o + most <= len(out):
        node = path[n - 1]
        climb(model, path, n)
        o = write_number(model.log[node], out, o)
        for k in range(n):
            out[o] = 0x20 if k else 0x09
            o += 1
            word = model.word[path[k]]
            for i in range(words.offsets[word], words.offsets[word + 1]):
                out[o] = load8(words.data, i)
                o += 1
        if n < len(model.first) - 1:
            out[o] = 0x09
            o = write_number(model.backoff[node], out, o + 1)
        out[o] = 0x0A
        o += 1
        path[n - 1] = node + 1
    return o


@inner
def climb(model: Model, path: Any, n: Any) -> None:
    """Move the nodes above path[n - 1] on, until each is the parent of the next."""
    for k in range(n - 2, -1, -1):
        while path[k + 1] >= model.begin[path[k] + 1]:
            path[k] += 1


@inner
def write_number(value: Any, out: Any, o: Any) -> Any:
    """Write a number of -1000..1000 with seven decimals; returns the index after it."""
    fixed = np.int64(np.round(np.float64(value) * DECIMALS))
    if fixed < 0:
        out[o] = 0x2D
        o, fixed = o + 1, -fixed
    whole, rest = fixed // DECIMALS, fixed % DECIMALS
    if whole >= 100:
        out[o] = 0x30 + whole // 100
        o += 1
    if whole >= 10:
        out[o] = 0x30 + whole // 10 % 10
        o += 1
    out[o], out[o + 1] = 0x30 + whole % 10, 0x2E
    for k in range(7):
        out[o + 8 - k] = 0x30 + rest % 10
        rest //= 10
    return o + 9


# ---------------------------------------------------------------- KenLM's tables


def cells(entries: int) -> int:
    """Cells of a table for so many entries, reckoned in single precision as KenLM does."""
    return max(entries + 1, int(np.float32(FILL) * np.float32(entries)))


def fill_words(hashes: np.ndarray, first: int, table: np.ndarray) -> None:
    """Put words, by hash and numbered from `first` on, into a table (uint32[cells, 3])."""
    insert_words(hashes, first, table)


def fill_ngrams(model: Model, n: int, table: np.ndarray) -> None:
    """Put the n-grams of order n > 1 into a table (uint32[cells, 3 or 4]): key, probability and, if any, backoff."""
    extends = np.zeros(int(model.first[n] - model.first[n - 1]) if n < model.order else 0, np.uint8)
    if n < model.order:
        mark_suffixes(model, n, extends)
    insert_ngrams(model, n, read_only(model.first[:n]).copy(), extends, table)


def unigrams(model: Model) -> np.ndarray:
    """Probability and backoff of every word (uint32[words, 2], the bits of floats)."""
    extends = np.zeros(int(model.first[1]), np.uint8)
    mark_suffixes(model, 1, extends)
    table = np.zeros((len(extends), 2), np.uint32)
    table[:, 0], table[:, 1] = model.log[: len(extends)].view(np.uint32), model.backoff[: len(extends)].view(np.uint32)
    table[:, 0] = np.where(extends, table[:, 0] & ~SIGN, table[:, 0] | SIGN)
    has_children = np.diff(model.begin[: len(extends) + 1]) > 0
    table[:, 1] = np.where(table[:, 1] & ~SIGN == 0, np.where(has_children, np.uint32(0), SIGN), table[:, 1])
    return table


@kernel(allocates=False)
def mark_suffixes(model: Model, n: Any, extends: Any) -> None:
    """Which n-grams of order n are the end of a longer one."""
    first, order = model.first[n - 1], len(model.first) - 1
    if n + 1 < order:
        for node in range(model.first[n], model.first[n + 1]):
            extends[model.suffix[node] - first] = 1
        return
    for parent in range(model.first[n - 1], model.first[n]):  # the highest order has no suffixes: they are looked up
        for node in range(model.begin[parent], model.begin[parent + 1]):
            word = np.int64(model.word[node])
            if n == 1:
                extends[word] = 1
                continue
            extends[child(model, np.int64(model.suffix[parent]), word) - first] = 1


@kernel(allocates=False)
def insert_words(hashes: Any, first: Any, table: Any) -> None:
    """Fill the table of words."""
    for k in range(len(hashes)):
        at = vacant(table, hashes[k])
        table[at, 2] = first + k


@kernel(allocates=False)
def insert_ngrams(model: Model, n: Any, path: Any, extends: Any, table: Any) -> None:
    """Fill the table of one order. A clear sign bit of the probability: something longer ends with it; a backoff of
    minus zero: nothing longer begins with it."""
    first = model.first[n - 1]
    for node in range(first, model.first[n]):
        path[n - 1] = node
        climb(model, path, n)
        key = u64(model.word[path[n - 1]])
        for k in range(n - 2, -1, -1):
            key = key * KEY_FACTOR ^ (u64(1) + u64(model.word[path[k]])) * WORD_FACTOR
        at = vacant(table, key)
        log = bits(model.log[node]) | SIGN
        if len(extends):
            log = log & ~SIGN if extends[node - first] else log
            backoff = bits(model.backoff[node])
            if backoff & ~SIGN == 0:
                backoff = np.uint32(0) if model.begin[node + 1] > model.begin[node] else SIGN
            table[at, 3] = backoff
        table[at, 2] = log


@inner
def bits(value: Any) -> Any:
    """The bits of a float."""
    return np.float32(value).view(np.uint32)


@inner
def vacant(table: Any, key: Any) -> Any:
    """Write the key into the first free cell from its own on; returns which."""
    at: Any = np.int64(key % u64(len(table)))
    while table[at, 0] | table[at, 1]:
        at += 1
        if at == len(table):
            at = np.int64(0)
    table[at, 0], table[at, 1] = key & u64(0xFFFFFFFF), key >> u64(32)
    return at
