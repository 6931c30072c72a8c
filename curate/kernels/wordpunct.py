r"""The tokens of `\w+|[^\w\s]+` (nltk's WordPunctTokenizer, RedPajama-V2's raw words), counted by what they are.

Tokens never cross white space, so they are parts of the lexer's words; most of those are one ASCII token, of which the
lexer knows all that is counted.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from curate.kernels.bits import popcount
from curate.kernels.folding import digest, fold_word, load_upto8, room, within
from curate.kernels.jit import inner, kernel
from curate.kernels.lexer import Lexed
from curate.kernels.phrases import ENDS, FOLDED_ENDS, NO_LIST, Phrases, role
from curate.kernels.text import decode, entry
from curate.kernels.unicode import ALPHA, OTHER_CASE, REWRITTEN, UPPER, WIDE, WORD, Tables, tables

TOKENS, UPPER_TOKENS, LATIN_TOKENS, ALPHA_TOKENS, STOP_TOKENS, FOLDED_STOP_TOKENS = range(6)
LATIN = 1 << 15  # of a token: it has one of [a-zA-Z]; no class of a code point


def count_tokens(lexed: Lexed, languages: np.ndarray, stop_words: Phrases) -> np.ndarray:
    """How many tokens each document has, and of these how many are upper case (`str.isupper`), have a letter of
    [a-zA-Z], have any letter, are stop words as they are written, and are when folded: int64[6, documents].

    `languages` (int64[documents]) is which of the lists of stop words to look in, NO_LIST for none.

    >>> from curate.kernels.lexer import lex
    >>> from curate.kernels.phrases import phrases
    >>> import pyarrow as pa
    >>> text = lex(pa.array(["The CAT didn't eat the да!"]))
    >>> count_tokens(text, np.zeros(1, np.int64), phrases({"en": ["the"]}))[:, 0].tolist()
    [9, 1, 6, 7, 1, 2]
    """
    counts = np.zeros((6, len(lexed.offsets) - 1), np.int64)
    longest = int(np.diff(lexed.words.span, axis=1).max(initial=0))
    tally(lexed, languages, stop_words, tables(), room(longest), counts)
    return counts


@inner
def is_plain(data: Any, begin: Any, end: Any) -> Any:
    """Whether an ASCII word has no control characters."""
    for i in range(begin, end, 8):
        n = min(8, end - i)
        if popcount(within(load_upto8(data, i, n), 0x21, 0x7E)) != n:
            return False
    return True


@inner
def tally_token(classes: Any, counts: Any, d: Any) -> None:
    """Count a token by the classes that its characters have between them."""
    counts[TOKENS, d] += 1
    counts[UPPER_TOKENS, d] += classes & (UPPER | OTHER_CASE) == UPPER
    counts[LATIN_TOKENS, d] += classes & LATIN != 0
    counts[ALPHA_TOKENS, d] += classes & ALPHA != 0


@inner
def tally_stop_word(stop_words: Phrases, language: Any, own: Any, folded: Any, counts: Any, d: Any) -> None:
    """Count a token that is in a list, given the hash of its bytes and that of its folded form."""
    found = role(stop_words, language, own)
    counts[STOP_TOKENS, d] += found & ENDS != 0
    if own != folded:
        found = role(stop_words, language, folded)
    counts[FOLDED_STOP_TOKENS, d] += found & FOLDED_ENDS != 0


@inner
def tally_parts(
    data: Any,
    begin: Any,
    end: Any,
    language: Any,
    stop_words: Phrases,
    tables: Tables,
    scratch: Any,
    counts: Any,
    d: Any,
) -> None:
    """Count the tokens of a word of any kind, character by character."""
    first, before, classes, i = begin, np.int64(0), np.int64(0), begin
    while first < end:
        at, own = i, ~before  # at the end of the word another token seems to begin
        point: Any = 0
        if i < end:
            point, i = decode(data, i, end)
            own = np.int64(tables.classes[entry(tables, point)])
        if (own ^ before) & WORD and at > first:
            tally_token(classes, counts, d)
            if language != NO_LIST and before & WORD:
                hashed, _ = digest(data, first, at)
                folded = hashed
                if classes & REWRITTEN:
                    start = np.int64(0)
                    folded, _ = digest(scratch, start, fold_word(data, first, at, tables, scratch, start))
                tally_stop_word(stop_words, language, hashed, folded, counts, d)
            first, classes = at, np.int64(0)
        classes |= own | LATIN * (0x61 <= point | 0x20 <= 0x7A)
        before = own


@kernel(allocates=False)
def tally(lexed: Lexed, languages: Any, stop_words: Phrases, tables: Tables, scratch: Any, counts: Any) -> None:
    """Add to the counts, from zero."""
    words, data = lexed.words, lexed.data
    for d in range(len(lexed.offsets) - 1):
        language = languages[d]
        for w in range(lexed.word_splits[d], lexed.word_splits[d + 1]):
            begin, end, flags = np.int64(words.span[w, 0]), np.int64(words.span[w, 1]), np.int64(words.flags[w])
            whole = not flags & WIDE and words.normal_characters[w] == end - begin
            if not (whole and is_plain(data, begin, end)):
                tally_parts(data, begin, end, language, stop_words, tables, scratch, counts, d)
                continue
            tally_token(flags | LATIN * (flags & ALPHA != 0), counts, d)
            if language != NO_LIST:
                own = digest(data, begin, end)[0] if flags & UPPER else words.hash[w]
                tally_stop_word(stop_words, language, own, words.hash[w], counts, d)
