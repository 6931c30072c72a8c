"""Stretches of text that repeat across a corpus: units such as lines, runs of tokens, and texts with some cut out.

A unit is known by 128 bits, a run by 122. What occurs more than once is found by grouping those (`collapse`,
`repeated`) and looked up by them (`find`). Runs of n tokens are first thinned out by winnowing (Schleimer et al. 2003):
of the hashes of the k-grams in a run the least is its anchor, so equal runs have equal anchors, and a run whose anchor
occurs once cannot repeat.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa

from curate.kernels.bits import load8, multiply_wide, store64, u64
from curate.kernels.components import may_repeat
from curate.kernels.editing import DELETED, normalise, strip_out
from curate.kernels.folding import HIGH, fold_wide, load_upto8, plain8, room
from curate.kernels.hashing import START, _secret, xxh3
from curate.kernels.jit import inner, kernel
from curate.kernels.landmarks import SENTENCE, Landmarks, landmarks, sentence
from curate.kernels.lexer import Lexed
from curate.kernels.lines import count_characters
from curate.kernels.segment import Segments
from curate.kernels.text import buffers, decode, read_only, splits
from curate.kernels.traits import Traits, kind_of, traits
from curate.kernels.unicode import SPACE, Tables, tables

UnitKind = Literal["line", "paragraph", "sentence"]
PRIME = u64((1 << 61) - 1)
BASES = (u64(0x1D8A6C5F9E3B7421), u64(0x0B5297A4D3C1E68F))  # of the two polynomials that tell runs apart
MIX_1, MIX_2 = u64(0xBF58476D1CE4E5B9), u64(0x94D049BB133111EB)


# ---------------------------------------------------------------- units


class Units(NamedTuple):
    """Units of document d: `splits[d]:splits[d + 1]`. Those of one line have one `line`."""

    splits: np.ndarray  # int64[documents + 1]
    span: np.ndarray  # int32[units, 2], first byte and one past the last, without outer white space
    line: np.ndarray  # int64[units]
    edges: np.ndarray  # int32[units, 2], first byte of the line if the unit begins it, else as above; end of its line


def units(lexed: Lexed, kind: UnitKind) -> Units:
    """The units of a batch: lines that are not blank, runs of such lines, or sentences (which end with their line).

    >>> from curate.kernels.lexer import lex
    >>> import pyarrow as pa
    >>> lexed = lex(pa.array(["One. Two\\nthree.\\n\\nFour"]))
    >>> [len(units(lexed, kind).span) for kind in ("line", "paragraph", "sentence")]
    [3, 2, 4]
    """
    lines, words = lexed.lines, lexed.words.span
    first, last = lines.words[:-1], lines.words[1:]
    full = last > first
    before = np.concatenate([[0], np.cumsum(full)])
    span = np.stack([words[first[full], 0], words[last[full] - 1, 1]], axis=1)
    found = Units(before[lexed.line_splits], span, np.arange(len(span)), lines.span[full])
    if kind == "paragraph":
        follows = np.concatenate([[False], full[:-1]])  # a line that is not blank comes before it
        follows[lexed.line_splits[:-1][np.diff(lexed.line_splits) > 0]] = False
        return _joined(found, np.flatnonzero(~follows[full]))
    return _sentences(lexed, found) if kind == "sentence" else found


def _joined(lines: Units, heads: np.ndarray) -> Units:
    """One unit for each run of lines that begins at one of the heads."""
    tails = np.concatenate([heads[1:], [len(lines.span)]])[: len(heads)] - 1
    span, edges = (np.stack([a[heads, 0], a[tails, 1]], axis=1) for a in (lines.span, lines.edges))
    return Units(np.searchsorted(heads, lines.splits), span, np.arange(len(heads)), edges)


def _sentences(lexed: Lexed, lines: Units) -> Units:
    found = landmarks(lexed)
    most = len(lines.span) + int((found.kind == SENTENCE).sum())
    span, edges = np.empty((most, 2), np.int32), np.empty((most, 2), np.int32)
    line, counts = np.empty(most, np.int64), np.empty(len(lines.splits) - 1, np.int64)
    plain = Units(*(read_only(np.ascontiguousarray(array)) for array in lines))
    cut_sentences(lexed.data, lexed.offsets, plain, found, traits(), Units(counts, span, line, edges))
    total = int(counts.sum())
    return Units(splits(counts), span[:total], line[:total], edges[:total])


@kernel(allocates=False)
def cut_sentences(data: Any, offsets: Any, lines: Units, found: Landmarks, traits: Traits, out: Units) -> None:
    """Fill the sentences; `out.splits` is how many each document has."""
    n = 0
    for d in range(len(offsets) - 1):
        before, p = n, found.splits[d]
        first, last = np.int64(offsets[d]), np.int64(offsets[d + 1])
        for k in range(lines.splits[d], lines.splits[d + 1]):
            begin, end = np.int64(lines.span[k, 0]), np.int64(lines.span[k, 1])
            edge = np.int64(lines.edges[k, 0])
            while p < found.splits[d + 1] and found.position[p] < end:
                at = np.int64(found.position[p])
                if found.kind[p] == SENTENCE and at >= begin:
                    after = sentence(data, first, at, last, traits)[1]
                    out.span[n, 0], out.span[n, 1] = begin, after
                    out.edges[n, 0], out.edges[n, 1], out.line[n] = edge, lines.edges[k, 1], k
                    n += 1
                    begin = after
                    while begin < end:
                        point, following = decode(data, begin, end)
                        if not kind_of(traits, point) & SPACE:
                            break
                        begin = following
                    edge = begin
                p += 1
            if begin < end:
                out.span[n, 0], out.span[n, 1] = begin, end
                out.edges[n, 0], out.edges[n, 1], out.line[n] = edge, lines.edges[k, 1], k
                n += 1
        out.splits[d] = n - before


class Hashes(NamedTuple):
    """XXH3-128 of units, and how long they are."""

    low: np.ndarray  # uint64[units]
    high: np.ndarray  # uint64[units]
    characters: np.ndarray  # int64[units], code points of what was hashed


def hash_units(lexed: Lexed, span: np.ndarray, raw: bool = False, accents: bool = True) -> Hashes:
    """Hashes of units as they are, or as cc_net compares lines: in lower case, digits as 0, without control characters
    and its list of Unicode punctuation (and canonically decomposed), with or without combining marks.

    >>> from curate.kernels.lexer import lex
    >>> import pyarrow as pa
    >>> lexed = lex(pa.array(["Page 1\\npage 2"]))
    >>> one, two = hash_units(lexed, units(lexed, "line").span).low
    >>> bool(one == two)
    True
    """
    longest = int(np.diff(span, axis=1).max(initial=0))
    folded, plain = (np.empty(0, np.uint8), np.empty(0, np.uint8)) if raw else (room(longest), room(longest))
    found = Hashes(*(np.empty(len(span), kind) for kind in (np.uint64, np.uint64, np.int64)))
    normal = Normal(traits(), tables(), DELETED, folded, plain, read_only(plain))
    write_hashes(lexed.data, span, raw, accents, normal, _secret(), START.copy(), found)
    return found


class Normal(NamedTuple):
    """What it takes to normalise a unit."""

    traits: Traits
    tables: Tables
    deleted: np.ndarray  # int32, code points
    folded: np.ndarray  # uint8, scratch
    plain: np.ndarray  # uint8, where the normalised unit goes
    written: np.ndarray  # the same, read-only as other data is, so that `xxh3` is compiled once


@inner
def write_plain(data: Any, begin: Any, end: Any, accents: Any, normal: Normal) -> Any:
    """Write the normalised unit; returns its size. Eight bytes at a time while all are ASCII."""
    o = np.int64(0)
    for i in range(begin, end, 8):
        n = min(8, end - i)
        x = load_upto8(data, i, n)
        if x & HIGH:
            start = np.int64(0)
            size = fold_wide(data, begin, end, False, normal.tables, normal.folded, start)
            return normalise(normal.folded, start, size, normal.traits, normal.deleted, accents, normal.plain)
        x, n = plain8(x, n)
        store64(normal.plain, o, x)
        o += n
    return o


@kernel(allocates=False)
def write_hashes(
    data: Any, span: Any, raw: Any, accents: Any, normal: Normal, key: Any, lanes: Any, out: Hashes
) -> None:
    """Fill the hashes."""
    for k in range(len(span)):
        begin, end = np.int64(span[k, 0]), np.int64(span[k, 1])
        if raw:
            out.low[k], out.high[k] = xxh3(data, begin, end, key, lanes)
            out.characters[k] = count_characters(data, begin, end)
        else:
            start = np.int64(0)
            size = write_plain(data, begin, end, accents, normal)
            out.low[k], out.high[k] = xxh3(normal.written, start, size, key, lanes)
            out.characters[k] = count_characters(normal.written, start, size)


def windows(hashes: Hashes, unit_splits: np.ndarray, size: int) -> tuple[Hashes, np.ndarray, np.ndarray]:
    """Every run of `size` units of a document: hashes, documents' splits, and the first unit of each run (int64).

    >>> hashes = Hashes(*(np.arange(5, dtype=kind) for kind in (np.uint64, np.uint64, np.int64)))
    >>> windows(hashes, np.array([0, 1, 5]), 3)[2].tolist()
    [1, 2]
    """
    counts = np.maximum(np.diff(unit_splits) - size + 1, 0)
    bounds = splits(counts)
    first = np.arange(bounds[-1]) + np.repeat(unit_splits[:-1] - bounds[:-1], counts)
    if size == 1:
        return hashes, bounds, first
    low, high, characters = (array[first] for array in hashes)
    for k in range(1, size):
        low, high = chain(low, hashes.low[first + k]), chain(high, hashes.high[first + k])
        characters = characters + hashes.characters[first + k]
    return Hashes(low, high, characters), bounds, first


def chain(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """One hash of two (uint64), in this order."""
    z = left * MIX_1 + right
    z = (z ^ z >> u64(30)) * MIX_2
    return z ^ z >> u64(31)


def covered(first: np.ndarray, size: int, units: int) -> np.ndarray:
    """Which of so many units are in a run of `size` that begins at one of `first` (each at most once).

    >>> covered(np.array([1, 2]), 2, 5).tolist()
    [False, True, True, True, False]
    """
    change = np.zeros(units + 1, np.int8)
    change[first] += 1
    change[first + size] -= 1
    return np.cumsum(change[:-1], dtype=np.int32) > 0


# ---------------------------------------------------------------- runs of tokens


class Runs(NamedTuple):
    """Every run of n tokens of a document: run i of those of document d begins at its token i."""

    splits: np.ndarray  # int64[documents + 1]
    anchor: np.ndarray  # int64[runs], which of the anchors below
    anchor_hash: np.ndarray  # uint64[anchors]
    anchor_token: np.ndarray  # int32[anchors], first token, counted in the document
    anchor_splits: np.ndarray  # int64[documents + 1]


def bytes_of(lexed: Lexed) -> Segments:
    """Every byte of a batch as a word."""
    first, last = int(lexed.offsets[0]), int(lexed.offsets[-1])
    span = np.arange(first, last, dtype=np.int32)[:, None] + np.arange(2, dtype=np.int32)
    splits, none = lexed.offsets.astype(np.int64) - first, np.empty(0, np.int32)
    hashes = lexed.data[first:last].astype(np.uint64)
    return Segments(read_only(splits), read_only(span), none, read_only(hashes), none)


def within_characters(data: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """Spans of bytes (int64[spans, 2]) without characters that lie only partly in them.

    >>> within_characters(np.frombuffer("aéb".encode(), np.uint8), np.array([[0, 2], [2, 4]])).tolist()
    [[0, 1], [3, 4]]
    """
    spans = spans.copy()
    for edge, step in ((0, 1), (1, -1)):
        for _ in range(3):  # a character has at most three more bytes
            inside = spans[:, edge] < len(data)
            inside[inside] = data[spans[inside, edge]] & 0xC0 == 0x80
            spans[inside, edge] += step
    spans[:, 1] = np.maximum(spans[:, 0], spans[:, 1])
    return spans


def runs(words: Segments, size: int) -> Runs:
    """The runs of `size` tokens and their anchors: of a run's k-grams, k half of its tokens, the first of least hash.

    >>> from curate.kernels.lexer import lex
    >>> from curate.kernels.segment import segment
    >>> import pyarrow as pa
    >>> found = runs(segment(lex(pa.array(["x a b c d y", "a b c d"])), "whitespace"), 4)
    >>> np.diff(found.splits).tolist(), bool(found.anchor_hash[-1] in found.anchor_hash[:-1])
    ([3, 1], True)
    """
    counts = np.maximum(np.diff(words.splits) - size + 1, 0)
    bounds = splits(counts)
    total = int(bounds[-1])
    anchor, hashes, tokens = np.empty(total, np.int64), np.empty(total, np.uint64), np.empty(total, np.int32)
    longest = int(np.diff(words.splits).max(initial=0))
    grams, queue = np.empty(longest, np.uint64), np.empty(longest, np.int32)
    anchors = np.empty(len(counts), np.int64)
    find_anchors(words.hash, words.splits, size, grams, queue, anchor, hashes, tokens, anchors)
    found = int(anchors.sum())
    return Runs(bounds, anchor, hashes[:found], tokens[:found], splits(anchors))


def hash_runs(words: Segments, found: Runs, size: int, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The hash of each wanted run (bool[runs]) in two parts: polynomials in its tokens modulo 2^61 - 1, mixed."""
    total = int(wanted.sum())
    low, high = np.empty(total, np.uint64), np.empty(total, np.uint64)
    write_runs(words.hash, words.splits, found.splits, size, wanted, low, high)
    return low, high


@inner
def times(x: Any, y: Any) -> Any:
    """x * y mod 2^61 - 1, of numbers below 2^61."""
    low, high = multiply_wide(x, y)
    z = (low & PRIME) + (low >> u64(61) | high << u64(3))
    z = (z & PRIME) + (z >> u64(61))
    return z - PRIME if z >= PRIME else z


@inner
def plus(x: Any, y: Any) -> Any:
    """x + y mod 2^61 - 1, of numbers below it."""
    z = x + y
    return z - PRIME if z >= PRIME else z


@inner
def residue(x: Any) -> Any:
    """x mod 2^61 - 1."""
    z = (x & PRIME) + (x >> u64(61))
    return z - PRIME if z >= PRIME else z


@inner
def avalanche(z: Any) -> Any:
    """Spread every bit over all (the finaliser of SplitMix64)."""
    z = (z ^ z >> u64(30)) * MIX_1
    z = (z ^ z >> u64(27)) * MIX_2
    return z ^ z >> u64(31)


@inner
def power(base: Any, exponent: Any) -> Any:
    """base^exponent mod 2^61 - 1."""
    result = u64(1)
    for _ in range(exponent):
        result = times(result, base)
    return result


@inner
def roll(h: Any, old: Any, new: Any, base: Any, top: Any) -> Any:
    """The hash of a run moved by one token; `top` is base^(size - 1)."""
    return plus(times(plus(h, PRIME - times(old, top)), base), new)


@kernel(allocates=False)
def find_anchors(
    tokens: Any, token_splits: Any, size: Any, grams: Any, queue: Any, anchor: Any, hashes: Any, at: Any, counts: Any
) -> None:
    """Fill anchors: the least in a sliding window of k-grams, by a queue of those that may yet be it."""
    gram = (size + 1) // 2
    width, top = size - gram + 1, power(BASES[0], gram - 1)
    run, n = 0, 0
    for d in range(len(counts)):
        first, before = token_splits[d], n
        total = token_splits[d + 1] - first
        if total < size:
            counts[d] = 0
            continue
        h = u64(0)
        for i in range(gram):
            h = plus(times(h, BASES[0]), residue(tokens[first + i]))
        head, tail, last = 0, 0, np.int64(-1)
        for i in range(total - gram + 1):
            if i:
                h = roll(h, residue(tokens[first + i - 1]), residue(tokens[first + i + gram - 1]), BASES[0], top)
            grams[i] = avalanche(h)
            while tail > head and grams[queue[tail - 1]] > grams[i]:
                tail -= 1
            queue[tail] = i
            tail += 1
            if queue[head] <= i - width:
                head += 1
            if i >= width - 1:
                if queue[head] != last:
                    last = np.int64(queue[head])
                    hashes[n], at[n] = grams[last], last
                    n += 1
                anchor[run] = n - 1
                run += 1
        counts[d] = n - before


@kernel(allocates=False)
def write_runs(tokens: Any, token_splits: Any, run_splits: Any, size: Any, wanted: Any, low: Any, high: Any) -> None:
    """Fill the hashes of the wanted runs."""
    top_1, top_2 = power(BASES[0], size - 1), power(BASES[1], size - 1)
    n = 0
    for d in range(len(token_splits) - 1):
        first, run = token_splits[d], run_splits[d]
        fresh = True  # the hashes must be made anew
        h_1, h_2 = u64(0), u64(0)
        for i in range(run_splits[d + 1] - run):
            if not wanted[run + i]:
                fresh = True
                continue
            if fresh:
                h_1, h_2 = u64(0), u64(0)
                for j in range(size):
                    token = residue(tokens[first + i + j])
                    h_1, h_2 = plus(times(h_1, BASES[0]), token), plus(times(h_2, BASES[1]), token)
                fresh = False
            else:
                old, new = residue(tokens[first + i - 1]), residue(tokens[first + i + size - 1])
                h_1, h_2 = roll(h_1, old, new, BASES[0], top_1), roll(h_2, old, new, BASES[1], top_2)
            low[n], high[n] = avalanche(h_1), avalanche(h_2)
            n += 1


# ---------------------------------------------------------------- what repeats


class Seen(NamedTuple):
    """What was seen: 128 bits, where first, how often."""

    key: np.ndarray  # uint64
    check: np.ndarray  # uint64
    row: np.ndarray  # int64, address
    at: np.ndarray  # int32, position within the row
    times: np.ndarray  # int64


def collapse(seen: Seen) -> Seen:
    """One of each, in the order of the keys: where it is first and the sum of the counts.

    >>> one, two = np.array([5, 3, 5], np.uint64), np.array([7, 8, 9])
    >>> found = collapse(Seen(one, one, two, np.zeros(3, np.int32), np.ones(3, np.int64)))
    >>> found.key.tolist(), found.row.tolist(), found.times.tolist()
    ([3, 5], [8, 7], [1, 2])
    """
    total = len(seen.key)
    table = np.zeros(1 << max(4, (2 * total - 1).bit_length()), np.int32)
    first, times = np.empty(total, np.int64), np.empty(total, np.int64)
    found = int(number_seen(Seen(*(read_only(np.ascontiguousarray(array)) for array in seen)), table, first, times))
    first, times = first[:found], times[:found]
    order = _sorted(seen.key[first], seen.check[first])
    return Seen(*(array[first[order]] for array in seen))._replace(times=times[order])


def _sorted(key: np.ndarray, check: np.ndarray) -> np.ndarray:
    """The order by key, then by check, which hardly ever matters."""
    order = np.argsort(key)
    is_same = np.diff(key[order]) == 0
    if is_same.any():
        tied = np.flatnonzero(np.concatenate([[False], is_same]) | np.concatenate([is_same, [False]]))
        few = order[tied]
        order[tied] = few[np.lexsort((check[few], key[few]))]
    return order


@kernel(allocates=False)
def number_seen(seen: Seen, table: Any, first: Any, times: Any) -> Any:
    """Fill where each is first and how often it was seen; returns how many there are; `table` is empty."""
    mask, n = u64(len(table) - 1), 0
    for i in range(len(seen.key)):
        mixed = (seen.key[i] ^ seen.check[i]) * MIX_1
        slot = (mixed ^ mixed >> u64(32)) & mask
        while table[slot]:
            k = first[table[slot] - 1]
            if seen.key[k] == seen.key[i] and seen.check[k] == seen.check[i]:
                break
            slot = (slot + u64(1)) & mask
        if not table[slot]:
            first[n], times[n] = i, seen.times[i]
            n += 1
            table[slot] = n
            continue
        k = np.int64(table[slot]) - 1
        times[k] += seen.times[i]
        was = first[k]
        if seen.row[i] < seen.row[was] or (seen.row[i] == seen.row[was] and seen.at[i] < seen.at[was]):
            first[k] = i
    return n


def repeated(seen: Seen, least: int) -> Seen:
    """Of all that was seen, what was seen at least so often (2 or more)."""
    often = may_repeat(read_only(np.ascontiguousarray(seen.key))) | (seen.times > 1)  # most is not: spares the sorting
    found = collapse(Seen(*(array[often] for array in seen)))
    kept = found.times >= least
    return Seen(*(array[kept] for array in found))


def find(chunks: list[Seen], key: np.ndarray, check: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Look up what repeats: (whether it is there, address and position of the first one, 0 where it is not).

    The keys of each chunk are sorted, and no key is in two chunks. Lookups go through each in order, so that one
    on disk is read from front to back.
    """
    order = np.argsort(key)
    wanted = read_only(key[order])
    is_there, row, at = (np.zeros(len(key), kind) for kind in (bool, np.int64, np.int64))
    for chunk in chunks:
        if len(chunk.key):
            low, high = np.searchsorted(wanted, chunk.key[0]), np.searchsorted(wanted, chunk.key[-1], side="right")
            join(Seen(*map(read_only, chunk)), wanted[low:high], check, order[low:high], is_there, row, at)
    return is_there, row, at


@kernel(allocates=False)
def join(chunk: Seen, key: Any, check: Any, order: Any, is_there: Any, row: Any, at: Any) -> None:
    """Fill, at the places `order`, where each of the sorted keys was first seen, if it is in the chunk."""
    p, end = 0, len(chunk.key)
    for i in range(len(key)):
        high, step = p, 1
        while high < end and chunk.key[high] < key[i]:  # in ever longer strides, then in halves
            p, high, step = high + 1, high + step, 2 * step
        high = min(high, end)
        while p < high:
            middle = (p + high) // 2
            if chunk.key[middle] < key[i]:
                p = middle + 1
            else:
                high = middle
        q = p
        while q < end and chunk.key[q] == key[i]:  # mostly one: two of one key but another check are rare
            if chunk.check[q] == check[order[i]]:
                is_there[order[i]], row[order[i]], at[order[i]] = True, chunk.row[q], chunk.at[q]
            q += 1


# ---------------------------------------------------------------- texts with some cut out


def cut_out(text: pa.Array, spans: np.ndarray, bounds: np.ndarray) -> pa.StringArray:
    """The texts without some spans of bytes (int[spans, 2], ascending; those of document d: `bounds[d]:bounds[d + 1]`).

    A text of which something is cut also loses its outer white space; others stay as they are.

    >>> cut_out(pa.array(["one two three", " four"]), np.array([[4, 8]]), np.array([0, 1, 1])).to_pylist()
    ['one three', ' four']
    """
    data, bytes_at = buffers(text)
    out = np.empty(int(bytes_at[-1] - bytes_at[0]), np.uint8)
    offsets = np.zeros(len(text) + 1, np.int32)
    copy_rest(data, bytes_at, np.ascontiguousarray(spans, np.int64), bounds, traits(), out, offsets)
    return pa.StringArray.from_buffers(len(text), pa.py_buffer(offsets), pa.py_buffer(out[: offsets[-1]]))


@inner
def copy_bytes(data: Any, begin: Any, end: Any, out: Any, o: Any) -> Any:
    """Copy; returns the index after."""
    for i in range(begin, end):
        out[o + i - begin] = load8(data, i)
    return o + max(0, end - begin)


@kernel(allocates=False)
def copy_rest(data: Any, offsets: Any, spans: Any, bounds: Any, traits: Traits, out: Any, out_offsets: Any) -> None:
    """Fill the bytes and the offsets."""
    o = np.int64(0)
    for d in range(len(offsets) - 1):
        begin, at, end = o, np.int64(offsets[d]), np.int64(offsets[d + 1])
        for k in range(bounds[d], bounds[d + 1]):
            o = copy_bytes(data, at, spans[k, 0], out, o)
            at = max(at, spans[k, 1])
        o = copy_bytes(data, at, end, out, o)
        if bounds[d + 1] > bounds[d]:
            o = strip_out(out, begin, o, traits)
        out_offsets[d + 1] = o
