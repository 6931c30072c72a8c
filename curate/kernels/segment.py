"""Words by a declared rule, so that languages without spaces have words too; kept per thread with the lexed text.

whitespace   runs of what is not white space, as `str.split()` has them
wordpunct    runs of \\w and runs of what is neither \\w nor white space: nltk's WordPunctTokenizer
unicode      runs of letters, digits and their combining marks; in Han, Hiragana, Katakana, Thai, Lao, Khmer and Myanmar
             each letter, with its marks, by itself
characters   each character but white space, with its combining marks
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from curate.kernels.bits import BLOCK, ONE, REACH, below, load8, popcount, token_masks, trailing_zeros, u64
from curate.kernels.folding import digest
from curate.kernels.jit import inner, kernel
from curate.kernels.lexer import Lexed
from curate.kernels.sharing import shared
from curate.kernels.text import decode, read_only, splits
from curate.kernels.traits import ALNUM, MARK, SINGLE, SYMBOL, Traits, kind_of, traits
from curate.kernels.unicode import ALPHA, SPACE, WORD

Rule = Literal["unicode", "whitespace", "wordpunct", "characters"]
RULES: tuple[Rule, ...] = ("whitespace", "wordpunct", "unicode", "characters")
WHITESPACE, WORDPUNCT, UNICODE, CHARACTERS = range(4)
NONE, RUN, OTHER, ALONE, JOINS = range(5)  # what a character is to the rule
HAS_ALPHA, HAS_CONTENT = 1, 2  # a letter; anything that is no symbol


class Segments(NamedTuple):
    """Words of document d: `splits[d]:splits[d + 1]`."""

    splits: np.ndarray  # int64[documents + 1]
    span: np.ndarray  # int32[words, 2], first byte and one past the last
    characters: np.ndarray  # int32[words], code points
    hash: np.ndarray  # uint64[words], of the bytes
    flags: np.ndarray  # uint8[words], HAS_ALPHA and HAS_CONTENT


def segment(lexed: Lexed, rule: Rule) -> Segments:
    """The words of a batch by one of RULES.

    >>> from curate.kernels.lexer import lex
    >>> import pyarrow as pa
    >>> text = lex(pa.array(["It's 3.5 km. 你好"]))
    >>> {rule: len(segment(text, rule).span) for rule in RULES}
    {'whitespace': 4, 'wordpunct': 9, 'unicode': 7, 'characters': 12}
    """
    return shared(lexed, rule, lambda: _segment(lexed, RULES.index(rule)))


def _segment(lexed: Lexed, rule: int) -> Segments:
    size = int(lexed.offsets[-1] - lexed.offsets[0])
    capacity = len(lexed.words.span) if rule == WHITESPACE else size // 3 + 64
    counts = np.empty(len(lexed.offsets) - 1, np.int64)
    while True:
        span, characters = np.empty((capacity, 2), np.int32), np.empty(capacity, np.int32)
        hashes, flags = np.empty(capacity, np.uint64), np.empty(capacity, np.uint8)
        roles = ascii_roles(rule)
        words = Segments(counts, span, characters, hashes, flags)
        found = int(fill(lexed.data, lexed.offsets, rule, roles, traits(), words))
        if found <= capacity:
            return Segments(*map(read_only, (splits(counts), *(array[:found] for array in words[1:]))))
        capacity = found


def ascii_roles(rule: int) -> np.ndarray:
    """Roles of the ASCII characters (uint8[128]): role, and its flags in the higher bits."""
    kinds = [int(kind) for kind in traits().ascii]
    return np.array([role_of(kind, rule) | flags_of(kind) << 4 for kind in kinds], np.uint8)


@inner
def role_of(kind: Any, rule: Any) -> Any:
    """What a character of these properties is to a rule."""
    if kind & SPACE:
        return NONE
    if rule == WHITESPACE:
        return RUN
    if rule == WORDPUNCT:
        return RUN if kind & WORD else OTHER
    if kind & MARK:
        return JOINS
    if rule == CHARACTERS:
        return ALONE
    if not kind & ALNUM:
        return NONE
    return ALONE if kind & SINGLE else RUN


@inner
def flags_of(kind: Any) -> Any:
    """Flags that a character of these properties gives to its word."""
    return HAS_ALPHA * (kind & ALPHA != 0) | HAS_CONTENT * (kind & SYMBOL == 0)


@kernel(allocates=False)
def fill(data: Any, offsets: Any, rule: Any, roles: Any, traits: Traits, words: Segments) -> Any:
    """Fill the words, and their number per document into `splits`; returns how many there are, room or not."""
    n = 0
    for d in range(len(offsets) - 1):
        i, end, before = np.int64(offsets[d]), np.int64(offsets[d + 1]), n
        begin: Any = i
        current: Any = np.int64(NONE)
        flags: Any = np.int64(0)
        while i <= end:
            role, own, at = np.int64(NONE), np.int64(0), i
            if i < end:
                byte = load8(data, i)
                if byte < 0x80:
                    both = np.int64(roles[byte])
                    role, own, i = both & 15, both >> 4, i + 1
                else:
                    point, i = decode(data, i, end)
                    kind = kind_of(traits, point)
                    role, own = role_of(kind, rule), flags_of(kind)
            else:
                i += 1
            goes_on = (role == JOINS and current != NONE) or (role == current and role != ALONE)
            if not goes_on:
                if current != NONE:
                    if n < len(words.hash):
                        words.span[n, 0], words.span[n, 1], words.flags[n] = begin, at, flags
                        words.hash[n], words.characters[n] = digest(data, begin, at)
                    n += 1
                begin, flags = at, 0
                current = RUN if role == JOINS else role
            flags |= own
        words.splits[d] = n - before
    return n


# ---------------------------------------------------------------- only counted


def count_words(lexed: Lexed, rule: Rule) -> np.ndarray:
    """How many words each document has (int64), without finding them where that is faster.

    >>> from curate.kernels.lexer import lex
    >>> import pyarrow as pa
    >>> count_words(lex(pa.array(["It's 3.5 km.", ""])), "wordpunct").tolist()
    [8, 0]
    """
    if rule == "whitespace":
        return np.diff(lexed.word_splits)
    if rule != "wordpunct":
        return np.diff(segment(lexed, rule).splits)
    return shared(lexed, "wordpunct count", lambda: _count(lexed))


def _count(lexed: Lexed) -> np.ndarray:
    counts = np.empty(len(lexed.offsets) - 1, np.int64)
    count_wordpunct(lexed.data, lexed.offsets, np.empty(REACH, np.uint8), traits(), counts)
    return counts


@inner
def spread(data: Any, i: Any, end: Any, leads: Any, traits: Traits) -> Any:
    """Masks of the bytes of \\w and of white space among what is not ASCII, and of those that lie in the next block."""
    letters, spaces, next_letters, next_spaces = u64(0), u64(0), u64(0), u64(0)
    while leads:
        bit = trailing_zeros(leads)
        leads &= leads - ONE
        point, after = decode(data, i + bit, end)
        size = after - i - bit
        kind = kind_of(traits, point)
        body = below(size) << u64(bit)
        over = below(size) >> u64(BLOCK - bit) if bit else u64(0)
        if kind & WORD:
            letters |= body
            next_letters |= over
        elif kind & SPACE:
            spaces |= body
            next_spaces |= over
    return letters, spaces, next_letters, next_spaces


@kernel(allocates=False)
def count_wordpunct(data: Any, offsets: Any, pad: Any, traits: Traits, counts: Any) -> None:
    """The number of runs of \\w and of what is neither \\w nor white space."""
    for d in range(len(offsets) - 1):
        begin, end = np.int64(offsets[d]), np.int64(offsets[d + 1])
        in_letters, in_others, count = u64(0), u64(0), 0
        carried_letters, carried_spaces = u64(0), u64(0)
        for i in range(begin, end, BLOCK):
            valid = ~u64(0) if end - i >= BLOCK else below(end - i)
            if i + BLOCK <= len(data):
                letters, spaces, leads = token_masks(data, i)
            else:
                pad[:] = 0
                for k in range(len(data) - i):
                    pad[k] = data[i + k]
                letters, spaces, leads = token_masks(pad, 0)
            letters, spaces = letters | carried_letters, spaces | carried_spaces
            carried_letters, carried_spaces = u64(0), u64(0)
            if leads & valid:
                more, blank, carried_letters, carried_spaces = spread(data, i, end, leads & valid, traits)
                letters, spaces = letters | more, spaces | blank
            letters &= valid
            others = ~(letters | spaces) & valid
            count += popcount(letters & ~(letters << ONE | in_letters)) + popcount(
                others & ~(others << ONE | in_others)
            )
            in_letters, in_others = letters >> u64(63), others >> u64(63)
        counts[d] = count
