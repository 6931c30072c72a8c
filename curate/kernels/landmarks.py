"""What line rules look for, found in one vectorised pass: line breaks, phrases, citations, links, sentence ends.

Most of a text is none of these: 64 bytes at a time are compared with a few rare triples of letters (the idea is
simdjson's), and only where one occurs is anything looked at byte by byte. The sentence rule stands in for nltk's
punkt: a mark (. ! ? … and those of CJK, Arabic and Devanagari) with what closes it ends a sentence if the line goes
on, after white space (not needed after a CJK mark), with anything but a lower-case letter. A full stop after an
initial, after a letter that follows another full stop (U.S.) or after one of seven titles does not. Punkt learns such
words from a corpus, so it knows more abbreviations and numbers like "No. 3"; it has no marks but . ! and ?.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from curate.kernels.bits import ALL, ONE, below, load8, popcount, trailing_zeros, u64
from curate.kernels.jit import inner, kernel
from curate.kernels.lexer import Lexed
from curate.kernels.masks import BLOCK, REACH, copy_rest, landmark_masks, wide_landmark_masks
from curate.kernels.sharing import shared
from curate.kernels.text import decode, previous, read_only, spells, splits
from curate.kernels.traits import ALNUM, DECIMAL, Traits, kind_of, traits
from curate.kernels.unicode import ALPHA, OTHER_CASE, SPACE, UPPER, WORD

BREAK, JAVASCRIPT, LOREM, POLICY, CITATION, LINK, SENTENCE = range(7)
PHRASES = (
    (JAVASCRIPT, "jav", "javascript"),
    (LOREM, "psu", "lorem ipsum"),
    (POLICY, "rms", "terms of use"),
    (POLICY, "vac", "privacy policy"),
    (POLICY, "kie", "cookie policy"),
    (POLICY, "kie", "uses cookies"),
    (POLICY, "kie", "use of cookies"),
    (POLICY, "kie", "use cookies"),
)
CARRIAGE_RETURN = 0x0D
CITATIONS = ("[edit]", "[citation needed]")
TITLES = tuple(int.from_bytes(title.encode(), "little") for title in ("mr", "mrs", "ms", "dr", "prof", "st", "vs"))
SCHEMES = tuple(int.from_bytes(scheme.encode(), "little") for scheme in ("ftp", "http", "https"))
CLOSERS = "\"')]}’”»›」』）】》"

_TEXT = np.frombuffer("".join([*(text for *_, text in PHRASES), *CITATIONS]).encode(), np.uint8)
_SPLITS = np.cumsum([0, *(len(text) for *_, text in PHRASES), *map(len, CITATIONS)])
_KIND = np.array([kind for kind, *_ in PHRASES])
_ANCHOR = np.array([text.index(anchor) for _, anchor, text in PHRASES])
_FIRST = np.array([ord(anchor[0]) for _, anchor, _ in PHRASES])


class Landmarks(NamedTuple):
    """Those of document d are `splits[d]:splits[d + 1]`, in the order of the lines they are on."""

    splits: np.ndarray  # int64[documents + 1]
    position: np.ndarray  # int32, first byte; of a sentence: its mark
    kind: np.ndarray  # uint8: BREAK (of a line, other than \n and the \r before it) ... SENTENCE
    braces: np.ndarray  # int64[documents], how many "{"


def landmarks(lexed: Lexed) -> Landmarks:
    """The landmarks of a batch; kept per thread with the lexed text they are of.

    >>> from curate.kernels.lexer import lex
    >>> import pyarrow as pa
    >>> landmarks(lex(pa.array(["Enable JavaScript! Or read the Privacy Policy."]))).kind.tolist()
    [1, 6, 3]
    """
    return shared(lexed, "landmarks", lambda: _landmarks(lexed))


def _landmarks(lexed: Lexed) -> Landmarks:
    documents = len(lexed.offsets) - 1
    capacity = int(lexed.offsets[-1] - lexed.offsets[0]) // 32 + 64
    counts, braces = np.empty(documents, np.int64), np.empty(documents, np.int64)
    pad = np.empty(REACH, np.uint8)
    while True:
        position, kind = np.empty(capacity, np.int32), np.empty(capacity, np.uint8)
        found = int(find(lexed.data, lexed.offsets, pad, traits(), position, kind, counts, braces))
        if found <= capacity:
            return Landmarks(*map(read_only, (splits(counts), position[:found], kind[:found], braces)))
        capacity = found


def occurrences(found: Landmarks, kind: int) -> np.ndarray:
    """How many landmarks of a kind each document has (int64)."""
    return np.diff(np.concatenate([[0], np.cumsum(found.kind == kind)])[found.splits])


# ---------------------------------------------------------------- what may be there


@inner
def is_text(data: Any, begin: Any, end: Any, k: Any) -> Any:
    """Whether the k-th of the phrases and citations is at `begin`, whatever the case of its letters."""
    return spells(data, begin, end, _TEXT, _SPLITS[k], _SPLITS[k + 1])


@inner
def citation_end(data: Any, i: Any, end: Any, traits: Traits) -> Any:
    """The index after a citation that begins at byte i, or i: [12], [], [edit], [citation needed]; case matters."""
    j = i + 1
    while j < end and load8(data, j) != 0x5D:
        point, following = decode(data, j, end)
        if not kind_of(traits, point) & DECIMAL:
            break
        j = following
    if j < end and load8(data, j) == 0x5D:
        return j + 1
    for k in range(len(PHRASES), len(PHRASES) + len(CITATIONS)):
        length = _SPLITS[k + 1] - _SPLITS[k]
        j = 0
        while j < length and i + j < end and load8(data, i + j) == _TEXT[_SPLITS[k] + j]:
            j += 1
        if j == length:
            return i + length
    return i


@inner
def copy_uncited(data: Any, begin: Any, end: Any, traits: Traits, out: Any, o: Any) -> Any:
    """Copy data[begin:end] without citations to out[o:]; returns the index after."""
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
def link_end(data: Any, i: Any, end: Any) -> Any:
    """Where a link that has begun ends: at white space, at one of < > " ` { } | \\ ^ or at what is not ASCII."""
    while i < end:
        byte = load8(data, i)
        if not 0x20 < byte < 0x7F or byte == 0x3C or byte == 0x3E or byte == 0x22 or byte == 0x5C:
            break
        if byte == 0x5E or byte == 0x60 or 0x7B <= byte <= 0x7D:
            break
        i += 1
    return i


@inner
def link_begin(data: Any, begin: Any, i: Any, traits: Traits) -> Any:
    """Where the link begins that has :// (after http, https or ftp) or www (not within a word) at byte i, or -1."""
    if load8(data, i) != 0x3A:
        if i == begin:
            return i
        before, _ = decode(data, previous(data, begin, i), i)
        goes_on = kind_of(traits, before) & WORD != 0 or 0x2D <= before <= 0x2F or before == 0x40
        return -1 if goes_on else i
    for size in range(3, 6):  # ftp, http, https, as numbers that are read from the right
        packed = u64(0)
        for k in range(min(size, i - begin)):
            packed = packed << u64(8) | u64(load8(data, i - 1 - k) | 0x20)
        if packed == u64(SCHEMES[size - 3]):
            return i - size
    return -1


@inner
def is_wide_mark(point: Any) -> Any:
    """Whether a code point that is not ASCII ends a sentence."""
    arabic_indic = point == 0x61F or point == 0x6D4 or point == 0x964 or point == 0x965
    return point == 0x2026 or arabic_indic or is_cjk_mark(point)


@inner
def is_cjk_mark(point: Any) -> Any:
    """Whether a mark needs no white space after it."""
    return point == 0x3002 or point == 0xFF01 or point == 0xFF0E or point == 0xFF1F or point == 0xFF61


@inner
def is_mark(point: Any) -> Any:
    """Whether a code point ends a sentence."""
    return point == 0x2E or point == 0x21 or point == 0x3F or is_wide_mark(point)


@inner
def is_closer(point: Any) -> Any:
    """Whether a quotation mark or bracket that closes what came before: one of CLOSERS."""
    if point < 0x80:
        return point == 0x22 or point == 0x27 or point == 0x29 or point == 0x5D or point == 0x7D
    quotes = point == 0x2019 or point == 0x201D or point == 0xBB or point == 0x203A
    corners = point == 0x300D or point == 0x300F or point == 0xFF09 or point == 0x3011 or point == 0x300B
    return quotes or corners


@inner
def is_abbreviation(data: Any, begin: Any, i: Any, traits: Traits) -> Any:
    """Whether the word that a full stop at byte i ends is an initial, has another full stop, or is one of TITLES."""
    if i == begin:
        return False
    last = previous(data, begin, i)
    if not kind_of(traits, decode(data, last, i)[0]) & ALPHA:
        return False
    if last == begin:
        return kind_of(traits, decode(data, last, i)[0]) & UPPER != 0
    point, _ = decode(data, previous(data, begin, last), last)
    if point == 0x2E:
        return True
    if not kind_of(traits, point) & ALNUM:
        return kind_of(traits, decode(data, last, i)[0]) & UPPER != 0
    packed, k = u64(0), i
    while k > begin and i - k < 5:
        byte = load8(data, k - 1)
        if not 0x61 <= byte | 0x20 <= 0x7A:
            break
        packed = packed << u64(8) | u64(byte | 0x20)
        k -= 1
    found = False
    for title in TITLES:
        found |= packed == u64(title)
    return found


@inner
def sentence(data: Any, begin: Any, i: Any, end: Any, traits: Traits) -> Any:
    """Of the mark at byte i: (whether a sentence ends and another begins on the line, index after mark and closers)."""
    point, j = decode(data, i, end)
    needs_space, is_stop = not is_cjk_mark(point), point == 0x2E
    while j < end:
        point, following = decode(data, j, end)
        if not is_mark(point):
            break
        needs_space, is_stop, j = needs_space and not is_cjk_mark(point), False, following
    after = j
    while after < end:
        point, following = decode(data, after, end)
        if point == 0x5B:
            following = citation_end(data, after, end, traits)
        if following == after or not (is_closer(point) or point == 0x5B):
            break
        after = following
    k, kind = after, 0
    while k < end:
        point, following = decode(data, k, end)
        kind = kind_of(traits, point)
        if not kind & SPACE or is_line_break(point):
            break
        k = following
    goes_on = k < end and not kind & (SPACE | OTHER_CASE) and (k > after or not needs_space)
    return goes_on and not (is_stop and is_abbreviation(data, begin, i, traits)), after


@inner
def is_line_break(point: Any) -> Any:
    """Whether Python's `splitlines` breaks a line here."""
    ascii = 0x0A <= point <= 0x0D or 0x1C <= point <= 0x1E
    return ascii or point == 0x85 or point == 0x2028 or point == 0x2029


# ---------------------------------------------------------------- the pass


@inner
def block_landmarks(data: Any, i: Any, end: Any, pad: Any) -> Any:
    """Of the 64 bytes at i: masks of line breaks, phrases and links, citations, marks; how many braces."""
    valid = ALL if end - i >= BLOCK else below(end - i)
    paired = ALL if end - i > BLOCK else below(end - i - 1)  # bytes that have another after them
    wide_break, wide_mark = u64(0), u64(0)
    if i + REACH <= len(data):
        breaks, returns, phrases, citations, marks, braces, wide = landmark_masks(data, i)
        if wide & valid:
            wide_break, wide_mark = wide_landmark_masks(data, i)
    else:
        copy_rest(data, i, pad)
        breaks, returns, phrases, citations, marks, braces, wide = landmark_masks(pad, 0)
        if wide & valid:
            wide_break, wide_mark = wide_landmark_masks(pad, 0)
    breaks = (breaks & ~(returns & paired) | wide_break) & valid
    return breaks, phrases & valid, citations & valid, (marks | wide_mark) & valid, popcount(braces & valid)


@inner
def phrase(data: Any, begin: Any, i: Any, end: Any, traits: Traits) -> Any:
    """The phrase or link that has its triple of letters at byte i: (kind, first byte), or (-1, i)."""
    first = load8(data, i)
    if first == 0x3A or first | 0x20 == 0x77:
        link = link_begin(data, begin, i, traits)
        is_link = link >= 0 and (first == 0x3A or (i + 3 < end and load8(data, i + 3) == 0x2E))
        return (LINK, link) if is_link else (-1, i)
    for k in range(len(PHRASES)):
        if _FIRST[k] == first | 0x20 and i - _ANCHOR[k] >= begin and is_text(data, i - _ANCHOR[k], end, k):
            return _KIND[k], i - _ANCHOR[k]
    return -1, i


@kernel(allocates=False)
def find(data: Any, offsets: Any, pad: Any, traits: Traits, position: Any, kind: Any, counts: Any, braces: Any) -> Any:
    """Fill the landmarks; returns how many there are, which may be more than there is room for."""
    n = 0
    found: Any
    for d in range(len(offsets) - 1):
        begin, end = np.int64(offsets[d]), np.int64(offsets[d + 1])
        before, curly, past_mark, past_link = n, 0, begin, begin
        for i in range(begin, end, BLOCK):
            breaks, phrases, citations, marks, opened = block_landmarks(data, i, end, pad)
            curly += opened
            rest = breaks | phrases | citations | marks
            while rest:
                bit = ONE << u64(trailing_zeros(rest))
                at = i + trailing_zeros(rest)
                rest &= rest - ONE
                where, found = at, np.int64(-1)
                if breaks & bit:
                    found = np.int64(BREAK)
                elif marks & bit:
                    if at >= past_mark:
                        ends, past_mark = sentence(data, begin, at, end, traits)
                        found = np.int64(SENTENCE if ends else -1)
                elif citations & bit:
                    found = np.int64(CITATION if citation_end(data, at, end, traits) > at else -1)
                else:
                    found, where = phrase(data, begin, at, end, traits)
                    if found == LINK:
                        found = LINK if at >= past_link else np.int64(-1)
                        past_link = max(past_link, link_end(data, at + 3, end))
                if found >= 0:
                    if n < len(position):
                        position[n], kind[n] = where, found
                    n += 1
        counts[d], braces[d] = n - before, curly
    return n
