"""The line rules of RefinedWeb (Penedo et al. 2023) as DCLM reproduces them, and DCLM's counts.

Lines are split at line feeds and, unless empty, judged as they are. A counter is a number and a noun such as "likes";
a line of ten words or fewer has boilerplate if "items in cart" is in it, "Read more" and three characters end it, or
"Sign-in" begins it, in any case of the letters.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from curate.kernels.bits import ONE, load8, u64
from curate.kernels.jit import inner, kernel
from curate.kernels.lexer import Lexed, Lines, Words
from curate.kernels.lines import count_line, upper_letters
from curate.kernels.text import decode, previous, spells
from curate.kernels.traits import DECIMAL, DIGIT, Traits, kind_of, traits
from curate.kernels.unicode import NUMERIC, SPACE, WORD
from curate.kernels.word_counts import stop_counts, word_counts

RULES = ("uppercase", "numeric", "counter", "one_word", "boilerplate")
UPPERCASE, NUMBERS, COUNTER, ONE_WORD, BOILERPLATE = (1 << k for k in range(len(RULES)))
COUNTS = (
    *RULES,
    "kept",
    "lines",
    "removed_words",
    "symbols",
    "alpha_words",
    "stop_words",
    "bullets",
    "ellipses",
    "full",
)
COUNTED = "likes shares comments retweets reposts quotes bookmarks upvotes downvotes downloads views followers"
NOUNS = tuple(COUNTED.split(" "))
CUT = ("items in cart", "read more", "sign-in")
IN_AT = CUT[0].index("in ")

_TEXT = np.frombuffer("".join([*NOUNS, *CUT]).encode(), np.uint8)
_SPLITS = np.cumsum([0, *map(len, NOUNS), *map(len, CUT)])
IN_CART, READ_MORE, SIGN_IN = range(len(NOUNS), len(NOUNS) + len(CUT))


def refinedweb(lexed: Lexed) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Counts of each document (COUNTS, int64) and the verdict of each of the lexer's lines (uint8).

    >>> from curate.kernels.lexer import lex
    >>> import pyarrow as pa
    >>> refinedweb(lex(pa.array(["HOME PAGE\\n12\\n3 likes\\nIt rains.\\nSign-in now"])))[1].tolist()
    [1, 10, 4, 0, 16]
    """
    counts = np.zeros((len(COUNTS), len(lexed.offsets) - 1), np.int64)
    verdicts = np.empty(len(lexed.lines.span), np.uint8)
    counts[8] = lexed.number_signs + lexed.ellipses
    counts[9], counts[10] = word_counts(lexed).alpha, stop_counts(lexed).all
    judge(lexed, upper_letters(lexed), traits(), counts, verdicts)
    return dict(zip(COUNTS, counts, strict=True)), verdicts


@inner
def is_text(data: Any, begin: Any, end: Any, k: Any) -> Any:
    """Whether the k-th text is at `begin`, whatever the case of its letters."""
    return spells(data, begin, end, _TEXT, _SPLITS[k], _SPLITS[k + 1])


@inner
def has_boilerplate(lexed: Lexed, k: Any, begin: Any, end: Any) -> Any:
    """Whether one of the three texts is where it is looked for in line k: "in" is a word of the first."""
    data, span = lexed.data, lexed.words.span
    if is_text(data, begin, end, SIGN_IN) or read_more(data, begin, end) < end:
        return True
    found = False
    second, last = lexed.lines.words[k] + 1, lexed.lines.words[k + ONE] - 1
    for w in range(u64(second), u64(max(second, last))):
        at = np.int64(span[w, 0]) - IN_AT
        found |= span[w, 1] - span[w, 0] == 2 and at >= begin and is_text(data, at, end, IN_CART)
    return found


@inner
def read_more(data: Any, begin: Any, end: Any) -> Any:
    """Where "read more" and three characters begin that end the line; `end` if they do not."""
    i = end
    for _ in range(3):
        if i == begin:
            return end
        i = previous(data, begin, i)
    i -= _SPLITS[READ_MORE + 1] - _SPLITS[READ_MORE]
    return i if i >= begin and is_text(data, i, end, READ_MORE) else end


@inner
def skip(data: Any, i: Any, end: Any, traits: Traits, mask: Any, wanted: Any) -> Any:
    """The index after a run of characters that have one of the properties, or none of them."""
    while i < end:
        point, following = decode(data, i, end)
        if (kind_of(traits, point) & mask != 0) != wanted:
            break
        i = following
    return i


@inner
def is_counter(data: Any, begin: Any, end: Any, traits: Traits) -> Any:
    """Whether a line is a number (with commas, points, and k, m or b after it), white space and one of NOUNS."""
    i = skip(data, begin, end, traits, WORD, False)
    if i == end or not kind_of(traits, decode(data, i, end)[0]) & DECIMAL:
        return False
    while i < end:
        point, following = decode(data, i, end)
        if not (point == 0x2C or point == 0x2E or kind_of(traits, point) & DECIMAL):
            break
        i = following
    if i < end:
        unit = load8(data, i) | 0x20
        i += unit == 0x6B or unit == 0x6D or unit == 0x62
    at = i
    i = skip(data, i, end, traits, SPACE, True)
    if i == at:
        return False
    for k in range(IN_CART):
        if is_text(data, i, end, k):
            rest = i + _SPLITS[k + 1] - _SPLITS[k]
            if skip(data, rest, end, traits, WORD, False) == end:
                return True
    return False


@inner
def judge_line(lexed: Lexed, k: Any, begin: Any, end: Any, capitals: Any, traits: Traits) -> Any:
    """The verdict on line k, which is not empty."""
    data, words, first, last = lexed.data, lexed.words, lexed.lines.words[k], lexed.lines.words[k + ONE]
    flags = np.int64(0)
    for w in range(u64(first), u64(last)):
        flags |= words.flags[w]
    verdict: Any = ONE_WORD * (last - first < 2)
    if capitals > 0:
        verdict |= UPPERCASE * (2 * capitals > count_line(lexed, k))
    if flags & NUMERIC:
        verdict |= NUMBERS * (last - first == 1 and skip(data, begin, end, traits, DIGIT, True) == end)
        verdict |= COUNTER * is_counter(data, begin, end, traits)
    if last - first <= 10:
        verdict |= BOILERPLATE * has_boilerplate(lexed, k, begin, end)
    return verdict


@inner
def is_spaced_dots(data: Any, words: Words, w: Any, last: Any, begin: Any) -> Any:
    """Whether ". . ." begins at `begin`, the last byte of word w."""
    if w + 2 >= last or load8(data, begin) != 0x2E:
        return False
    middle, third = np.int64(words.span[w + 1, 0]), np.int64(words.span[w + 2, 0])
    if middle != begin + 2 or np.int64(words.span[w + 1, 1]) != begin + 3 or third != begin + 4:
        return False
    spaces = load8(data, begin + 1) == 0x20 and load8(data, begin + 3) == 0x20
    return spaces and load8(data, begin + 2) == 0x2E and load8(data, begin + 4) == 0x2E


@inner
def ends_in_ellipsis(data: Any, lines: Lines, words: Words, k: Any) -> Any:
    """Whether a line that is not blank ends in "...", ". . ." or "…", white space aside."""
    if lines.has_ellipsis[k]:
        return True
    begin, end = np.int64(words.span[u64(lines.words[k]), 0]), np.int64(words.span[u64(lines.words[k + ONE] - 1), 1])
    if end - begin < 5 or load8(data, end - 1) != 0x2E or load8(data, end - 3) != 0x2E or load8(data, end - 5) != 0x2E:
        return False
    return load8(data, end - 2) == 0x20 and load8(data, end - 4) == 0x20


@inner
def count_spaced_dots(lexed: Lexed, d: Any) -> Any:
    """How many ". . ." there are, none within another."""
    words, first, last = lexed.words, lexed.word_splits[d], lexed.word_splits[d + 1]
    dots, resume = 0, np.int64(0)
    for w in range(u64(first), u64(max(first, last - 2))):
        if words.characters[w + ONE] == 1:  # few words are so short
            end = np.int64(words.span[w, 1])
            if end - 1 >= resume and is_spaced_dots(lexed.data, words, np.int64(w), last, end - 1):
                dots += 1
                resume = end + 4
    return dots


@kernel(allocates=False)
def judge(lexed: Lexed, capitals: Any, traits: Traits, counts: Any, verdicts: Any) -> None:
    """Fill the verdicts and add to the counts what is not of words, from zero."""
    words, lines = lexed.words, lexed.lines
    for d in range(len(lexed.offsets) - 1):
        counts[8, d] += count_spaced_dots(lexed, d)
        for k in range(u64(lexed.line_splits[d]), u64(lexed.line_splits[d + 1])):
            begin, end = np.int64(lines.span[k, 0]), np.int64(lines.span[k, 1])
            size = lines.words[k + ONE] - lines.words[k]
            verdict = 0 if begin == end else judge_line(lexed, k, begin, end, capitals[k], traits)
            verdicts[k] = verdict
            for rule in range(len(RULES)):
                counts[rule, d] += verdict >> rule & 1
            is_kept = verdict & ~BOILERPLATE == 0
            counts[5, d] += is_kept and begin < end
            counts[6, d] += begin < end
            counts[7, d] += 0 if is_kept else size
            if size > 0:
                mark = lines.first[k]
                counts[11, d] += mark == 0x25CF or mark == 0x2022 or mark == 0x2A or mark == 0x2D
                counts[12, d] += ends_in_ellipsis(lexed.data, lines, words, k)
                counts[13, d] += 1
