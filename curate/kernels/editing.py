"""Texts made of some of their lines: runs of bytes are copied into a new Arrow array, no string is made."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curate.kernels.bits import load8
from curate.kernels.folding import digest, fold_wide, room
from curate.kernels.jit import inner, kernel
from curate.kernels.landmarks import citation_end
from curate.kernels.lexer import Lexed
from curate.kernels.lines import SplitLines
from curate.kernels.ngrams import Numbering, empty, number
from curate.kernels.refinedweb import _SPLITS as CUT_SPLITS
from curate.kernels.refinedweb import BOILERPLATE, IN_CART, SIGN_IN, is_text, read_more
from curate.kernels.repetition import numbering
from curate.kernels.text import decode, encode, previous
from curate.kernels.traits import DECIMAL, MARK, Traits, kind_of, traits
from curate.kernels.unicode import SPACE, Tables, tables

# Punctuation that cc_net deletes before it compares lines; control characters are deleted too.
DELETED = np.array(sorted(map(ord, "，。、„”“«»１」「《》´∶：？！（）；–—．～’…━〈〉【】％►")), np.int32)


class Pieces(NamedTuple):
    """Lines of a batch. Document d has `splits[d]:splits[d + 1]`."""

    splits: np.ndarray  # int64[documents + 1]
    span: np.ndarray  # int32[lines, 2], first byte and one past the last


def stripped(lexed: Lexed, lines: SplitLines) -> Pieces:
    """Lines without outer white space; blank ones are empty."""
    words, full = lexed.words.span, lines.words[:, 1] > lines.words[:, 0]
    span = np.zeros((len(full), 2), np.int32)
    span[full, 0] = words[lines.words[full, 0], 0]
    span[full, 1] = words[lines.words[full, 1] - 1, 1]
    return Pieces(lines.splits, span)


def join(lexed: Lexed, pieces: Pieces, verdicts: np.ndarray, cite: bool = False, cut: bool = False) -> pa.StringArray:
    """The pieces whose verdict is 0, joined by line feeds, without outer white space; `cite` cuts C4's citations, `cut`
    RefinedWeb's boilerplate (its verdict does not remove the line).

    >>> from curate.kernels.lexer import lex
    >>> from curate.kernels.lines import split_lines
    >>> lexed = lex(pa.array([" one[1]\\ntwo\\nthree"]))
    >>> join(lexed, stripped(lexed, split_lines(lexed)), np.array([0, 1, 0], np.uint8), cite=True).to_pylist()
    ['one\\nthree']
    """
    documents = len(lexed.offsets) - 1
    out = np.empty(int(lexed.offsets[-1] - lexed.offsets[0]) + documents, np.uint8)
    offsets = np.zeros(documents + 1, np.int32)
    copy(lexed.data, pieces, verdicts, cite, cut, traits(), out, offsets)
    return pa.StringArray.from_buffers(documents, pa.py_buffer(offsets), pa.py_buffer(out[: offsets[-1]]))


@inner
def copy_uncited(data: Any, begin: Any, end: Any, traits: Traits, out: Any, o: Any) -> Any:
    """Copy without citations; returns the index after."""
    i = begin
    while i < end:
        if load8(data, i) == 0x5B:
            after = citation_end(data, i, end, traits)
            if after > i:
                i = after
                continue
        out[o] = load8(data, i)
        o, i = o + 1, i + 1
    return o


@inner
def copy_cut(data: Any, begin: Any, end: Any, traits: Traits, out: Any, o: Any) -> Any:
    """Copy without RefinedWeb's boilerplate and a white space beside it; returns the index after."""
    start, i = o, begin
    while i < end:
        at = i
        point, following = decode(data, i, end)
        if kind_of(traits, point) & SPACE:
            at = following
        if is_text(data, at, end, IN_CART):
            i = at + CUT_SPLITS[IN_CART + 1] - CUT_SPLITS[IN_CART]
        elif i < at and is_text(data, i, end, IN_CART):
            i += CUT_SPLITS[IN_CART + 1] - CUT_SPLITS[IN_CART]
        else:
            for k in range(i, following):
                out[o] = load8(data, k)
                o += 1
            i = following
    more = read_more(out, start, o)
    if more < o:
        o = more
        if o > start:
            last = previous(out, start, o)
            if kind_of(traits, decode(out, last, o)[0]) & SPACE:
                o = last
    if is_text(out, start, o, SIGN_IN):
        i = start + CUT_SPLITS[SIGN_IN + 1] - CUT_SPLITS[SIGN_IN]
        if i < o:
            point, following = decode(out, i, o)
            if kind_of(traits, point) & SPACE:
                i = following
        for k in range(o - i):
            out[start + k] = out[i + k]
        o -= i - start
    return o


@inner
def is_blank(data: Any, begin: Any, end: Any, traits: Traits) -> Any:
    """Whether there is nothing but white space in data[begin:end]."""
    while begin < end:
        point, begin = decode(data, begin, end)
        if not kind_of(traits, point) & SPACE:
            return False
    return True


@inner
def strip_out(out: Any, begin: Any, end: Any, traits: Traits) -> Any:
    """Remove white space at the ends of out[begin:end]; returns its new end."""
    while end > begin:
        last = previous(out, begin, end)
        if not kind_of(traits, decode(out, last, end)[0]) & SPACE:
            break
        end = last
    i = begin
    while i < end:
        point, following = decode(out, i, end)
        if not kind_of(traits, point) & SPACE:
            break
        i = following
    if i > begin:
        for k in range(end - i):
            out[begin + k] = out[i + k]
    return end - (i - begin)


@kernel(allocates=False)
def copy(data: Any, pieces: Pieces, verdicts: Any, cite: Any, cut: Any, traits: Traits, out: Any, offsets: Any) -> None:
    """Fill the bytes and the offsets."""
    o = np.int64(0)
    for d in range(len(pieces.splits) - 1):
        begin, is_first = o, True
        for k in range(pieces.splits[d], pieces.splits[d + 1]):
            verdict = verdicts[k] & ~BOILERPLATE if cut else verdicts[k]
            if verdict:
                continue
            before = o
            if not is_first:
                out[o] = 0x0A
                o += 1
            first, last = np.int64(pieces.span[k, 0]), np.int64(pieces.span[k, 1])
            at = o
            if cite:
                o = copy_uncited(data, first, last, traits, out, o)
            elif cut and verdicts[k] & BOILERPLATE:
                o = copy_cut(data, first, last, traits, out, o)
                if is_blank(out, at, o, traits):  # nothing is left of the line
                    o = before
                    continue
            else:
                for i in range(first, last):
                    out[o] = load8(data, i)
                    o += 1
            is_first = False
        o = strip_out(out, begin, o, traits)
        offsets[d + 1] = o


# ---------------------------------------------------------------- cc_net's paragraphs


def paragraph_verdicts(lexed: Lexed) -> np.ndarray:
    """For each of the lexer's lines (uint8): 1 for a blank one, 2 for one that an earlier line of the document equals.

    Lines are compared as cc_net does: stripped, in lower case, digits as 0, without control characters and its list of
    Unicode punctuation; and canonically decomposed, so that two ways to write é are one.
    """
    verdicts = np.zeros(len(lexed.lines.span), np.uint8)
    most = int(np.diff(lexed.line_splits).max(initial=0))
    longest = int(np.diff(lexed.lines.span, axis=1).max(initial=0))
    folded, plain = room(longest), room(longest)
    compare(lexed, traits(), tables(), DELETED, folded, plain, numbering(most), verdicts)
    return verdicts


@inner
def normalise(data: Any, begin: Any, end: Any, traits: Traits, deleted: Any, accents: Any, out: Any) -> Any:
    """Write the folded line without what is deleted, digits as 0, with or without marks; returns its size."""
    o, i = np.int64(0), begin
    while i < end:
        point, i = decode(data, i, end)
        if point < 0x20 or 0x7F <= point < 0xA0:
            continue
        if point >= 0x80:
            is_deleted = False
            for k in range(len(deleted)):
                is_deleted |= deleted[k] == point
            if is_deleted and not kind_of(traits, point) & DECIMAL:
                continue
            if not accents and kind_of(traits, point) & MARK:
                continue
        if kind_of(traits, point) & DECIMAL:
            point = np.int64(0x30)
        o = encode(out, o, point)
    return o


@kernel(allocates=False)
def compare(
    lexed: Lexed, traits: Traits, tables: Tables, deleted: Any, folded: Any, plain: Any, table: Numbering, verdicts: Any
) -> None:
    """Fill the verdicts, which are zero."""
    start = np.int64(0)
    for d in range(len(lexed.offsets) - 1):
        first, last = lexed.line_splits[d], lexed.line_splits[d + 1]
        mask, distinct = empty(table, last - first), 0
        for k in range(first, last):
            w, after = lexed.lines.words[k], lexed.lines.words[k + 1]
            if w == after:
                verdicts[k] = 1
                continue
            begin, end = np.int64(lexed.words.span[w, 0]), np.int64(lexed.words.span[after - 1, 1])
            size = fold_wide(lexed.data, begin, end, False, tables, folded, start)
            size = normalise(folded, start, size, traits, deleted, True, plain)
            if number(table, mask, digest(plain, start, size)[0], distinct) == distinct:
                distinct += 1
            else:
                verdicts[k] = 2


def raw_pieces(lexed: Lexed) -> Pieces:
    """The lexer's lines as they are."""
    return Pieces(lexed.line_splits, lexed.lines.span)


def removed(verdicts: np.ndarray, rule: int, lines: np.ndarray) -> np.ndarray:
    """How many lines of each document have the rule's bit as the lowest of their verdict (int64)."""
    lowest = verdicts & (~verdicts + np.uint8(1)) == 1 << rule
    return np.diff(np.concatenate([[0], np.cumsum(lowest)])[lines])
