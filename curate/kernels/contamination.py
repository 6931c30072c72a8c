"""Word n-grams that documents share with items of test sets: a hash index of the items, and what is found of them.

An n-gram is found by a rolling 64-bit polynomial over the hashes of its words and then compared word by word (each of
64 bits) with the item it is from, so two different n-grams are never taken for one. An item with fewer than n words is
compared as a whole. What is looked at per document does not depend on the number of items.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from curate.kernels.bits import ONE, load8, u64
from curate.kernels.editing import Pieces
from curate.kernels.jit import inner, kernel
from curate.kernels.lexer import Lexed
from curate.kernels.text import decode, previous, read_only, splits

BASE = u64(0x9E3779B97F4A7C15)
FACTOR = u64(0xD6E8FEB86659FD93)
NAMED = 16  # of the items that hold an n-gram, so many, the first, are looked at when it is found
NONE = -1


class Index(NamedTuple):
    """N-grams of test items. Item k has words `splits[k]:splits[k + 1]`; grams are numbered as they first appear."""

    words: np.ndarray  # uint64[words], hashes of the items' normalised words
    splits: np.ndarray  # int64[items + 1]
    gram: np.ndarray  # int32[words], number of the gram that begins at a word, or NONE
    start: np.ndarray  # int64[grams], where a gram first begins in `words`
    size: np.ndarray  # int32[grams], its words: n, or fewer for an item that is compared as a whole
    item_splits: np.ndarray  # int64[grams + 1]
    items: np.ndarray  # int32, the items of gram g: items[item_splits[g]:item_splits[g + 1]], NAMED at most
    sizes: np.ndarray  # int32, every size there is
    table: np.ndarray  # uint64[capacity, 2], key of a gram and its number + 1; open addressing
    sieve: np.ndarray  # uint64, two bits for each key: most n-grams of a corpus stop here


class Found(NamedTuple):
    """What documents share with the items of an index."""

    words: np.ndarray  # int64[documents], normalised words
    covered: np.ndarray  # int64[documents], those of them in n-grams that are found
    span_splits: np.ndarray  # int64[documents + 1]
    spans: np.ndarray  # int32[spans, 2], first byte and one past the last, in the document
    match_splits: np.ndarray  # int64[documents + 1]
    item: np.ndarray  # int32, the items matched, those first of which most is found
    share: np.ndarray  # float64, of the item's words, those in n-grams that are found


def word_hashes(lexed: Lexed) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of all normalised words, and where each document's begin; words of which nothing is left are left out."""
    is_word = lexed.words.normal_characters > 0
    starts = np.concatenate([[0], np.cumsum(is_word)])[lexed.word_splits]
    return lexed.words.hash[is_word], starts.astype(np.int64)


def build(words: np.ndarray, word_splits: np.ndarray, ngram: int, min_words: int) -> Index:
    """An index of items: their words' hashes, one item after the other. Items of fewer words than `min_words` are out.

    Raises ValueError unless `ngram` and `min_words` are positive.
    """
    if ngram < 1 or min_words < 1:
        raise ValueError(f"ngram and min_words must be at least 1, not {ngram} and {min_words}")
    words, word_splits = _plain(words, np.uint64), _plain(word_splits, np.int64)
    capacity = 1 << max(4, (2 * len(words)).bit_length())
    table, sieve = np.zeros((capacity, 2), np.uint64), np.zeros(max(16, capacity // 4), np.uint64)
    gram, start, size = np.full(len(words), NONE, np.int32), np.empty(len(words), np.int64), _room(len(words))
    count = number_grams(words, word_splits, ngram, min_words, table, sieve, gram, start, size)
    uses, last = np.zeros(count, np.int64), np.full(count, NONE, np.int32)
    count_items(gram, word_splits, last, uses)
    item_splits = splits(uses)
    items, last = _room(int(uses.sum())), np.full(count, NONE, np.int32)
    name_items(gram, word_splits, item_splits, last, np.zeros(count, np.int64), items)
    sizes = np.unique(size[:count])
    found = (words, word_splits, gram, start[:count], size[:count], item_splits, items, sizes, table, sieve)
    return Index(*map(read_only, found))


def find(lexed: Lexed, index: Index) -> Found:
    """What each document of a batch shares with the items.

    >>> from curate.kernels.lexer import lex
    >>> import pyarrow as pa
    >>> items = lex(pa.array(["one two three four", "five six"]))
    >>> index = build(*word_hashes(items), ngram=3, min_words=2)
    >>> found = find(lex(pa.array(["zero one two, three! nine", "Five: six"])), index)
    >>> found.covered.tolist(), found.item.tolist(), found.share.tolist(), found.spans.tolist()
    ([3, 2], [0, 1], [0.75, 1.0], [[5, 20], [0, 9]])
    """
    documents, total = len(lexed.offsets) - 1, len(lexed.words.hash)
    longest = int(np.diff(lexed.word_splits).max(initial=0))
    reach, hits = np.zeros(total, np.int32), np.empty(total * max(1, len(index.sizes)), np.int32)
    counts = np.zeros((5, documents), np.int64)  # words, covered, hits, spans, matches
    search(lexed.words, lexed.word_splits, index, np.empty(longest, np.uint64), _room(longest), reach, hits, counts)
    total = int(counts[2].sum())
    spans = np.empty((total, 2), np.int32)
    most = int(np.minimum(total * NAMED, (counts[2] > 0).sum() * (len(index.splits) - 1)))
    item, share = np.empty(most, np.int32), np.empty(most)
    seen = np.zeros(len(index.start), np.int32), np.zeros(len(index.splits) - 1, np.int32)
    summarise(lexed, index, reach, hits, *seen, counts, spans, item, share)
    match_splits, many = splits(counts[4]), int(counts[4].sum())
    order = np.lexsort((item[:many], -share[:many], np.repeat(np.arange(documents), counts[4])))
    return Found(
        counts[0], counts[1], splits(counts[3]), spans[: counts[3].sum()], match_splits, item[order], share[order]
    )


def remaining(lexed: Lexed, found: Found, chosen: np.ndarray, margin: int, min_piece: int) -> Pieces:
    """What is left of the chosen documents without their spans and `margin` characters on both sides of each.

    White space at a cut goes too, and so do pieces of fewer than `min_piece` characters (at least 1).

    >>> from curate.kernels.lexer import lex
    >>> import pyarrow as pa
    >>> text = lex(pa.array(["keep this, one two three, and this"]))
    >>> found = find(text, build(*word_hashes(lex(pa.array(["one two three"]))), ngram=3, min_words=3))
    >>> [bytes(text.data[a:b]) for a, b in remaining(text, found, np.array([True]), margin=0, min_piece=1).span]
    [b'keep this,', b'and this']
    """
    span = np.empty((len(found.spans) + len(chosen), 2), np.int32)
    counts = np.zeros(len(chosen), np.int64)
    cut(lexed, found.span_splits, _plain(found.spans, np.int32), chosen, margin, max(1, min_piece), counts, span)
    return Pieces(splits(counts), read_only(span[: counts.sum()]))


def _plain(values: np.ndarray, kind: Any) -> np.ndarray:
    return read_only(np.ascontiguousarray(values, kind))


def _room(size: int) -> np.ndarray:
    return np.empty(size, np.int32)


# ---------------------------------------------------------------- the index


@inner
def finish(h: Any, size: Any) -> Any:
    """The key of a gram from the polynomial of its words; never 0."""
    h = (h ^ h >> u64(32)) * FACTOR + u64(size)
    h = (h ^ h >> u64(29)) * BASE
    return (h ^ h >> u64(32)) | ONE


@inner
def passes(sieve: Any, key: Any) -> Any:
    """Whether a key may be in the table."""
    bits = ONE << (key >> u64(1) & u64(63)) | ONE << (key >> u64(7) & u64(63))
    return sieve[key >> u64(13) & u64(len(sieve) - 1)] & bits == bits


@inner
def put(sieve: Any, key: Any) -> None:
    bits = ONE << (key >> u64(1) & u64(63)) | ONE << (key >> u64(7) & u64(63))
    sieve[key >> u64(13) & u64(len(sieve) - 1)] |= bits


@inner
def is_same(one: Any, i: Any, other: Any, j: Any, size: Any) -> Any:
    """Whether one[i:i + size] and other[j:j + size] are equal."""
    k = 0
    while k < size and one[i + k] == other[j + k]:
        k += 1
    return k == size


@inner
def slot_of(table: Any, key: Any, words: Any, at: Any, size: Any, known: Any, start: Any, sizes: Any) -> Any:
    """Where in the table the gram words[at:at + size] is, or the empty slot where it would be."""
    mask = u64(len(table) - 1)
    i = (key >> u64(20)) & mask
    while table[i, 1] != 0:
        g = np.int64(table[i, 1] - ONE)
        if table[i, 0] == key and sizes[g] == size and is_same(known, start[g], words, at, size):
            return i
        i = (i + ONE) & mask
    return i


@kernel(allocates=False)
def number_grams(
    words: Any, splits: Any, ngram: Any, min_words: Any, table: Any, sieve: Any, gram: Any, start: Any, size: Any
) -> Any:
    """Fill the table, the sieve and what is known of each gram; returns how many there are."""
    count = 0
    for item in range(len(splits) - 1):
        first, last = splits[item], splits[item + 1]
        if last - first < min_words:
            continue
        n = min(ngram, last - first)
        power = u64(1)
        for _ in range(n):
            power *= BASE
        h = u64(0)
        for w in range(first, last):
            h = h * BASE + words[w]
            if w - first >= n:
                h -= power * words[w - n]
            if w - first < n - 1:
                continue
            at, key = w - n + 1, finish(h, n)
            i = slot_of(table, key, words, at, n, words, start, size)
            if table[i, 1] == 0:
                start[count], size[count] = at, n
                count += 1
                table[i, 0], table[i, 1] = key, u64(count)
                put(sieve, key)
            gram[at] = np.int64(table[i, 1]) - 1
    return count


@kernel(allocates=False)
def count_items(gram: Any, splits: Any, last: Any, uses: Any) -> None:
    """Fill how many items hold each gram, NAMED at most; `last` is NONE."""
    for item in range(len(splits) - 1):
        for w in range(splits[item], splits[item + 1]):
            g = gram[w]
            if g >= 0 and last[g] != item and uses[g] < NAMED:
                last[g] = item
                uses[g] += 1


@kernel(allocates=False)
def name_items(gram: Any, splits: Any, item_splits: Any, last: Any, done: Any, items: Any) -> None:
    """Fill the items of each gram; `last` is NONE, `done` zero."""
    for item in range(len(splits) - 1):
        for w in range(splits[item], splits[item + 1]):
            g = gram[w]
            if g >= 0 and last[g] != item and done[g] < NAMED:
                last[g] = item
                items[item_splits[g] + done[g]] = item
                done[g] += 1


# ---------------------------------------------------------------- the search


@kernel(allocates=False)
def search(words: Any, splits: Any, index: Index, hashes: Any, at: Any, reach: Any, hits: Any, counts: Any) -> None:
    """Fill how far the longest gram that begins at each word reaches, the grams found, and the numbers of both."""
    many = 0
    for d in range(len(splits) - 1):
        n = 0
        for w in range(splits[d], splits[d + 1]):
            hashes[n], at[n] = words.hash[w], w - splits[d]
            n += words.normal_characters[w] > 0
        before = many
        for s in range(len(index.sizes)):
            size = np.int64(index.sizes[s])
            power = u64(1)
            for _ in range(size):
                power *= BASE
            h = u64(0)
            for i in range(n):
                h = h * BASE + hashes[i]
                if i >= size:
                    h -= power * hashes[i - size]
                if i < size - 1:
                    continue
                key = finish(h, size)
                if not passes(index.sieve, key):
                    continue
                begin = i - size + 1
                slot = slot_of(index.table, key, hashes, begin, size, index.words, index.start, index.size)
                if index.table[slot, 1] != 0:
                    hits[many] = np.int64(index.table[slot, 1]) - 1
                    w = splits[d] + at[begin]
                    reach[w] = max(reach[w], size)
                    many += 1
        counts[0, d], counts[2, d] = n, many - before


@inner
def cover(lexed: Lexed, d: Any, reach: Any, spans: Any, many: Any) -> Any:
    """Write the spans of a document's grams from spans[many] on; returns (words in them, how many spans)."""
    n, covered, found = 0, 0, 0
    until: Any = 0
    is_open = False
    start = lexed.offsets[d]
    for w in range(lexed.word_splits[d], lexed.word_splits[d + 1]):
        if lexed.words.normal_characters[w] == 0:
            continue
        if reach[w]:
            until = max(until, n + reach[w])
        if n < until:
            if not is_open:
                spans[many + found, 0] = lexed.words.span[w, 0] - start
                found += 1
            spans[many + found - 1, 1] = lexed.words.span[w, 1] - start
            covered += 1
        is_open = n < until
        n += 1
    return covered, found


@inner
def share_of(index: Index, item: Any, seen: Any, d: Any) -> Any:
    """The share of an item's words that are in grams seen in document d."""
    until: Any = 0
    covered = 0
    for w in range(index.splits[item], index.splits[item + 1]):
        g = index.gram[w]
        if g >= 0 and seen[g] == d + 1:
            until = max(until, w + np.int64(index.size[g]))
        covered += w < until
    return covered / (index.splits[item + 1] - index.splits[item])


@kernel(allocates=False)
def summarise(
    lexed: Lexed,
    index: Index,
    reach: Any,
    hits: Any,
    seen: Any,
    met: Any,
    counts: Any,
    spans: Any,
    item: Any,
    share: Any,
) -> None:
    """Fill spans and matches of the documents in which grams were found, and their numbers."""
    hit, span, match = 0, 0, 0
    for d in range(len(lexed.offsets) - 1):
        last = hit + counts[2, d]
        if hit == last:
            continue
        counts[1, d], counts[3, d] = cover(lexed, d, reach, spans, span)
        span += counts[3, d]
        for k in range(hit, last):
            seen[hits[k]] = d + 1
        before = match
        for k in range(hit, last):
            for at in range(index.item_splits[hits[k]], index.item_splits[hits[k] + 1]):
                candidate = index.items[at]
                if met[candidate] == d + 1:
                    continue
                met[candidate] = d + 1
                item[match], share[match] = candidate, share_of(index, candidate, seen, d)
                match += 1
        counts[4, d] = match - before
        hit = last


# ---------------------------------------------------------------- the cut


@inner
def is_white(data: Any, i: Any) -> Any:
    c = load8(data, i)
    return c == 0x20 or 0x09 <= c <= 0x0D


@inner
def add_piece(data: Any, start: Any, begin: Any, end: Any, is_first: Any, is_last: Any, least: Any, out: Any) -> Any:
    """Write a piece without white space at its cuts, if it has enough characters; returns 1 if it has, else 0."""
    while not is_first and begin < end and is_white(data, begin):
        begin += 1
    while not is_last and end > begin and is_white(data, end - 1):
        end -= 1
    i, characters = begin, 0
    while i < end and characters < least:
        _, i = decode(data, i, end)
        characters += 1
    if characters < least:
        return 0
    out[0], out[1] = begin, end
    return 1


@kernel(allocates=False)
def cut(
    lexed: Lexed, span_splits: Any, spans: Any, chosen: Any, margin: Any, least: Any, counts: Any, pieces: Any
) -> None:
    """Fill the pieces (bytes of the whole batch) that are left of each chosen document, and their numbers."""
    many = 0
    for d in range(len(chosen)):
        if not chosen[d]:
            continue
        start, stop = np.int64(lexed.offsets[d]), np.int64(lexed.offsets[d + 1])
        before, begin = many, start
        for k in range(span_splits[d], span_splits[d + 1]):
            low, high = start + spans[k, 0], start + spans[k, 1]
            for _ in range(margin):
                if low > begin:
                    low = previous(lexed.data, begin, low)
                if high < stop:
                    _, high = decode(lexed.data, high, stop)
            if low > begin:
                many += add_piece(lexed.data, start, begin, low, begin == start, False, least, pieces[many])
            begin = max(begin, high)
        if begin < stop:
            many += add_piece(lexed.data, start, begin, stop, begin == start, True, least, pieces[many])
        counts[d] = many - before
