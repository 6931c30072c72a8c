r"""The tokens of `\w+|[^\w\s]+` (nltk's WordPunctTokenizer, RedPajama-V2's raw words), counted by what they are.

They are the words of the rule wordpunct of `curate.kernels.segment`, which knows what each is made of.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from curate.kernels.bits import u64
from curate.kernels.folding import digest, fold_word, room
from curate.kernels.jit import kernel
from curate.kernels.lexer import Lexed
from curate.kernels.phrases import ENDS, FOLDED_ENDS, NO_LIST, Phrases, role
from curate.kernels.segment import HAS_ALPHA, HAS_LATIN, HAS_OTHER_CASE, HAS_UPPER, Segments, segment
from curate.kernels.text import decode, entry, longest_span
from curate.kernels.unicode import WORD, Tables, tables

TOKENS, UPPER_TOKENS, LATIN_TOKENS, ALPHA_TOKENS, STOP_TOKENS, FOLDED_STOP_TOKENS = range(6)


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
    words = segment(lexed, "wordpunct")
    counts = np.zeros((6, len(lexed.offsets) - 1), np.int64)
    tally(words, counts)
    if (languages != NO_LIST).any():
        longest = longest_span(lexed.words.span)
        tally_stop_words(lexed.data, words, languages, stop_words, tables(), room(longest), counts)
    return counts


@kernel(allocates=False)
def tally(words: Segments, counts: Any) -> None:
    """Fill the counts of what tokens are made of."""
    for d in range(len(words.splits) - 1):
        first, last = words.splits[d], words.splits[d + 1]
        upper, latin, alpha = 0, 0, 0
        for w in range(u64(first), u64(last)):
            flags = words.flags[w]
            upper += flags & (HAS_UPPER | HAS_OTHER_CASE) == HAS_UPPER
            latin += flags & HAS_LATIN != 0
            alpha += flags & HAS_ALPHA != 0
        counts[TOKENS, d], counts[UPPER_TOKENS, d] = last - first, upper
        counts[LATIN_TOKENS, d], counts[ALPHA_TOKENS, d] = latin, alpha


@kernel(allocates=False)
def tally_stop_words(
    data: Any, words: Segments, languages: Any, stop_words: Phrases, tables: Tables, scratch: Any, counts: Any
) -> None:
    r"""Add the tokens of \w that are in the list of their document's language, as they are written and folded."""
    for d in range(len(languages)):
        if languages[d] == NO_LIST:
            continue
        for w in range(words.splits[d], words.splits[d + 1]):
            begin, end, own = np.int64(words.span[w, 0]), np.int64(words.span[w, 1]), words.hash[w]
            if not tables.classes[entry(tables, decode(data, begin, end)[0])] & WORD:
                continue
            found = role(stop_words, languages[d], own)
            counts[STOP_TOKENS, d] += found & ENDS != 0
            if words.flags[w] & HAS_UPPER or words.characters[w] != end - begin:
                start = np.int64(0)
                folded, _ = digest(scratch, start, fold_word(data, begin, end, tables, scratch, start))
                found = role(stop_words, languages[d], folded)
            counts[FOLDED_STOP_TOKENS, d] += found & FOLDED_ENDS != 0
