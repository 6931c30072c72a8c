"""What words are, found once they are found: their hashes, code points, and flags of what is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from curate.kernels.bits import HIGH, ONE, popcount, u64
from curate.kernels.folding import digest, hash16, load_upto8, within
from curate.kernels.jit import inner, kernel
from curate.kernels.lexer import Lexed
from curate.kernels.masks import SHORT, letters_of
from curate.kernels.text import decode
from curate.kernels.traits import SYMBOL, Traits, kind_of
from curate.kernels.unicode import ALPHA, OTHER_CASE, UPPER

if TYPE_CHECKING:
    from curate.kernels.segment import Segments

ZERO = u64(0)
# What is in a word: a letter, anything that is no symbol; and, of wordpunct, one of [a-zA-Z], upper case, other case.
HAS_ALPHA, HAS_CONTENT, HAS_LATIN, HAS_UPPER, HAS_OTHER_CASE = (1 << k for k in range(5))
EVERY = HAS_ALPHA | HAS_CONTENT | HAS_UPPER | HAS_OTHER_CASE


@inner
def wide_flags(data: Any, begin: Any, end: Any, wanted: Any, traits: Traits) -> Any:
    """Flags of a word that is not ASCII, until it has all that are wanted."""
    flags: Any = np.int64(0)
    while begin < end and flags & wanted != wanted:
        point, begin = decode(data, begin, end)
        kind = kind_of(traits, point)
        flags |= HAS_ALPHA * (kind & ALPHA != 0) | HAS_CONTENT * (kind & SYMBOL == 0)
        flags |= HAS_UPPER * (kind & UPPER != 0) | HAS_OTHER_CASE * (kind & OTHER_CASE != 0)
    return flags


@inner
def ascii_flags(upper: Any, lower: Any, digit: Any) -> Any:
    """Flags of a word that has some of these, as far as ASCII goes."""
    has_upper, has_lower = upper != 0, lower != 0
    letter = (HAS_ALPHA | HAS_LATIN | HAS_CONTENT) * (has_upper | has_lower)
    return letter | HAS_CONTENT * (digit != 0) | HAS_UPPER * has_upper | HAS_OTHER_CASE * has_lower


@inner
def describe_long(data: Any, begin: Any, end: Any) -> Any:
    """Hash, code points and `ascii_flags` of a word of any size."""
    upper, lower, digit = ZERO, ZERO, ZERO
    for i in range(begin, end, 8):
        x = load_upto8(data, i, min(8, end - i))
        x &= ~(((x & HIGH) >> u64(7)) * u64(0xFF))  # what is not ASCII is taken for 0
        upper, lower = upper | within(x, 0x41, 0x5A), lower | within(x, 0x61, 0x7A)
        digit |= within(x, 0x30, 0x39)
    hashed, characters = digest(data, begin, end)
    return hashed, characters, ascii_flags(upper, lower, digit)


@inner
def describe_word(data: Any, w: Any, words: Segments) -> Any:
    """Fill hash and code points of a word, mostly in registers; returns (`ascii_flags`, whether all of it is ASCII)."""
    begin, end = np.int64(words.span[w, 0]), np.int64(words.span[w, 1])
    size = end - begin
    if size > SHORT or begin + SHORT > len(data):
        words.hash[w], words.characters[w], flags = describe_long(data, begin, end)
        return flags, words.characters[w] == size
    upper, lower, digit, tail, wide, low, high = letters_of(data, begin, size)
    words.hash[w], words.characters[w] = hash16(low, high, size), size - popcount(tail)
    return ascii_flags(upper, lower, digit), wide == 0


@kernel(allocates=False)
def describe(data: Any, words: Segments) -> None:
    """Fill characters and hashes of the words."""
    for w in range(u64(len(words.hash))):
        describe_word(data, w, words)


@kernel(allocates=False)
def digest_words(data: Any, words: Segments) -> None:
    """Fill the hashes of the words."""
    for w in range(u64(len(words.hash))):
        begin, end = np.int64(words.span[w, 0]), np.int64(words.span[w, 1])
        if end - begin > SHORT or begin + SHORT > len(data):
            words.hash[w], _ = digest(data, begin, end)
        else:
            _, _, _, _, _, low, high = letters_of(data, begin, end - begin)
            words.hash[w] = hash16(low, high, end - begin)


@kernel(allocates=False)
def flag_words(data: Any, traits: Traits, words: Segments) -> None:
    """Fill the flags of letters and content."""
    wanted = HAS_ALPHA | HAS_CONTENT
    for w in range(u64(len(words.flags))):
        begin, end = np.int64(words.span[w, 0]), np.int64(words.span[w, 1])
        words.flags[w] = wide_flags(data, begin, end, wanted, traits)


@kernel(allocates=False)
def describe_cased(lexed: Lexed, is_read: Any, traits: Traits, words: Segments) -> None:
    """Fill the same and the flags; case is looked for only where a lexer that read saw upper case."""
    around = ZERO  # the lexer's word around a word
    for w in range(u64(len(words.hash))):
        flags, is_ascii = describe_word(lexed.data, w, words)
        if not is_ascii:
            begin, end = np.int64(words.span[w, 0]), np.int64(words.span[w, 1])
            while is_read and lexed.words.span[around, 1] <= begin:
                around += ONE
            wanted = EVERY if not is_read or lexed.words.flags[around] & UPPER else HAS_ALPHA | HAS_CONTENT
            flags = flags & HAS_LATIN | wide_flags(lexed.data, begin, end, wanted, traits)
        words.flags[w] = flags
