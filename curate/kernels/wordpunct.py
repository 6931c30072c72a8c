r"""The tokens of `\w+|[^\w\s]+` (nltk's WordPunctTokenizer, RedPajama-V2's raw words), counted by what they are.

They are the words of the rule wordpunct of `curate.kernels.segment`, which knows what each is made of. Where nobody has
asked for these words, they are counted without: 64 bytes are masks, and a sum of a run of bits and of those that have a
property carries over to the bit behind the run if, and only if, there is one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from curate.kernels.bits import ONE, below, popcount, trailing_zeros, u64
from curate.kernels.folding import digest, fold_word, room
from curate.kernels.jit import inner, kernel
from curate.kernels.lexer import Lexed
from curate.kernels.masks import BLOCK, REACH, case_masks, copy_rest
from curate.kernels.phrases import ENDS, FOLDED_ENDS, NO_LIST, Phrases, role
from curate.kernels.segment import Segments, begun, segment
from curate.kernels.sharing import known
from curate.kernels.text import decode, entry, longest_span
from curate.kernels.traits import Traits, kind_of, traits
from curate.kernels.unicode import ALPHA, OTHER_CASE, SPACE, UPPER, WORD, Tables, tables
from curate.kernels.word_forms import HAS_ALPHA, HAS_LATIN, HAS_OTHER_CASE, HAS_UPPER

ZERO = u64(0)
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
    counts = np.zeros((6, len(lexed.offsets) - 1), np.int64)
    has_lists = bool((languages != NO_LIST).any())
    if not has_lists and known(lexed, "wordpunct") is None:
        tally_text(lexed.data, lexed.offsets, np.empty(REACH, np.uint8), traits(), counts)
        return counts
    words = segment(lexed, "wordpunct")
    tally(words, counts)
    if has_lists:
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


# ---------------------------------------------------------------- without the words


class Wide(NamedTuple):
    """Masks of what is not ASCII: bytes of \\w and of white space, also of the next block; characters by property."""

    word: Any
    space: Any
    next_word: Any
    next_space: Any
    alpha: Any
    upper: Any
    other_case: Any


@inner
def wide_masks(data: Any, i: Any, end: Any, leads: Any, traits: Traits) -> Wide:
    """Of the characters that begin at `leads`."""
    word, space, next_word, next_space, alpha, upper, other_case = ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO
    while leads:
        bit = u64(trailing_zeros(leads))
        leads &= leads - ONE
        point, after = decode(data, i + np.int64(bit), end)
        kind, size = kind_of(traits, point), after - i - np.int64(bit)
        body = below(size) << bit
        over = below(size) >> u64(BLOCK) - bit if bit else ZERO
        is_word, is_space = u64(0) - u64(kind & WORD != 0), u64(0) - u64(kind & SPACE != 0)
        word, next_word = word | body & is_word, next_word | over & is_word
        space, next_space = space | body & is_space, next_space | over & is_space
        alpha |= u64(kind & ALPHA != 0) << bit
        upper |= u64(kind & UPPER != 0) << bit
        other_case |= u64(kind & OTHER_CASE != 0) << bit
    return Wide(word, space, next_word, next_space, alpha, upper, other_case)


@inner
def behind(runs: Any, has: Any, had: Any) -> Any:
    """The bits behind the runs in which there is one of `has`, and whether there is one in a run that goes on; `had`
    is that of the block before."""
    total = runs + (has & runs | had)
    return total & ~runs, u64(total < runs)


@inner
def only(upper: Any, other_case: Any) -> Any:
    """How many bits are in the first mask and not in the second."""
    return popcount(upper & ~other_case)


@kernel(allocates=False)
def tally_text(data: Any, offsets: Any, pad: Any, traits: Traits, counts: Any) -> None:
    """Fill the counts of what tokens are made of."""
    for d in range(len(offsets) - 1):
        end = np.int64(offsets[d + 1])
        tokens, uppers, latins, alphas = 0, 0, 0, 0
        in_word, in_other, next_word, next_space = ZERO, ZERO, ZERO, ZERO
        latin, alpha, upper, other_case, odd_upper, odd_case = ZERO, ZERO, ZERO, ZERO, ZERO, ZERO
        for i in range(np.int64(offsets[d]), end, BLOCK):
            valid = ~ZERO if end - i >= BLOCK else below(end - i)
            capitals, small, rest, space, leads = load_masks(data, i, pad)
            letters = capitals | small
            wide = wide_masks(data, i, end, leads & valid, traits)
            word = (letters | rest | next_word | wide.word) & valid
            other = ~(word | space | next_space | wide.space) & valid
            next_word, next_space = wide.next_word, wide.next_space
            tokens += begun(word, in_word) + begun(other, in_other)
            in_word, in_other = word >> u64(63), other >> u64(63)
            found, latin = behind(word, letters, latin)
            latins += popcount(found)
            found, alpha = behind(word, letters | wide.alpha, alpha)
            alphas += popcount(found)
            found, upper = behind(word, capitals | wide.upper, upper)
            others, other_case = behind(word, small | wide.other_case, other_case)
            uppers += only(found, others)
            if odd_upper | odd_case | (wide.upper | wide.other_case) & other:  # such as letters in circles
                found, odd_upper = behind(other, wide.upper, odd_upper)
                others, odd_case = behind(other, wide.other_case, odd_case)
                uppers += only(found, others)
        counts[TOKENS, d], counts[UPPER_TOKENS, d] = (
            tokens,
            uppers + only(upper, other_case) + only(odd_upper, odd_case),
        )
        counts[LATIN_TOKENS, d], counts[ALPHA_TOKENS, d] = latins + popcount(latin), alphas + popcount(alpha)


@inner
def load_masks(data: Any, i: Any, pad: Any) -> Any:
    """`case_masks` of what there is of a block."""
    if i + BLOCK <= len(data):
        return case_masks(data, i)
    copy_rest(data, i, pad)
    return case_masks(pad, 0)


# ---------------------------------------------------------------- stop words


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
