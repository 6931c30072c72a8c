"""What RedPajama-V2's signals count (Weber et al. 2024, arXiv 2411.12372), per document and per line, as whole numbers.

Its words are the lexer's normalised words that are not empty; its lines end at line feeds, and blank ones count.
"""

from __future__ import annotations

import string
from typing import Any, NamedTuple

import numpy as np

from curate.kernels.bits import ONE, load8, popcount, u64
from curate.kernels.folding import fold_wide, load_upto8, room, within
from curate.kernels.gopher import DUPLICATE, TOP, is_bullet, repetition
from curate.kernels.jit import inner, kernel
from curate.kernels.lexer import EXCLAMATION, FULL_STOP, QUESTION, Lexed, Lines, Words
from curate.kernels.lines import count_line, sums, upper_letters
from curate.kernels.ngrams import Scratch, scratch_for
from curate.kernels.normal import NormalWords, normal_words
from curate.kernels.phrases import ENDS, FOLDED_ENDS, GOES_ON, NO_LIST, Phrases, extend, hashes, role
from curate.kernels.statistics import FEW, distribute
from curate.kernels.text import allocate, decode, entry, longest_span
from curate.kernels.unicode import NUMERIC, WIDE, Tables, tables

HYPHEN, CLOSING_QUOTE = 0x2D, 0x201D
LOREM, IPSUM = (int.from_bytes(word, "little") for word in (b"lorem", b"ipsum"))
HALF = 5  # characters of either
# Which bytes a word may begin with that is "ipsum" without ASCII punctuation.
MAY_BEGIN = np.array([chr(byte) in string.punctuation + "iI" for byte in range(256)])

COUNTS = ("words", "characters", "distinct", "curly_brackets", "lorem_ipsum", "bad_words", "folded_bad_words")
GRAMS = (*(f"top_{n}gram" for n in TOP), *(f"dupe_{n}grams" for n in DUPLICATE))
WORDS, CHARACTERS, DISTINCT, CURLY, LOREM_IPSUM, BAD, FOLDED_BAD = range(7)


class LineCounts(NamedTuple):
    """Counts of the lines of a batch, int32; those of document d are `line_splits[d]:line_splits[d + 1]`."""

    start: np.ndarray  # first code point in the document
    end: np.ndarray  # one past the last, with the line feed
    terminal_marks: np.ndarray  # 1: ends in . ! ? or ”
    bulletpoints: np.ndarray  # 1: begins with a bullet, a hyphen is none
    javascript: np.ndarray  # words that are "javascript"
    words: np.ndarray
    characters: np.ndarray  # of the normalised line: the words and one space between them
    numeric: np.ndarray  # of these, digits and other numbers
    upper: np.ndarray  # upper-case letters of the line as it is


class BadWords(NamedTuple):
    """Lists of phrases, and which each document looks in (NO_LIST: in none)."""

    lists: Phrases
    languages: np.ndarray  # int64[documents]


def count_document(lexed: Lexed, bad_words: BadWords, with_grams: bool) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """COUNTS and GRAMS of each document (int64), and the entropy of its words (float64, in nats, 0.0 without words).

    Of the most frequent n-gram (if it repeats) and of those that repeat the words' code points are counted; the former
    as often as it occurs, the latter each word once. Without `with_grams` these are 0.

    >>> from curate.kernels.lexer import lex
    >>> from curate.kernels.phrases import phrases
    >>> import pyarrow as pa
    >>> none = BadWords(phrases({}), np.full(1, NO_LIST))
    >>> counts, entropy = count_document(lex(pa.array(["Lorem ipsum, {lorem} IPSUM."])), none, True)
    >>> {name: int(values[0]) for name, values in counts.items() if values[0]}
    {'words': 4, 'characters': 20, 'distinct': 2, 'curly_brackets': 2, 'lorem_ipsum': 2, 'top_2gram': 20}
    """
    documents = len(lexed.offsets) - 1
    counts, entropy = np.zeros((len(COUNTS), documents), np.int64), np.zeros(documents)
    folded = room(longest_span(lexed.words.span))
    words = normal_words(lexed)
    counts[WORDS], counts[CHARACTERS] = np.diff(words.splits), sums(words.characters, words.splits)
    scratch = scratch_for(int(counts[WORDS].max(initial=0)))
    measure(lexed, words, bad_words, tables(), folded, scratch, np.empty(FEW), counts, entropy)
    grams = repetition(lexed).grams if with_grams else np.zeros((len(GRAMS), documents), np.int64)
    return dict(zip(COUNTS + GRAMS, (*counts, *grams), strict=True)), entropy


def count_lines(lexed: Lexed) -> LineCounts:
    """The counts of every line.

    >>> from curate.kernels.lexer import lex
    >>> import pyarrow as pa
    >>> lines = count_lines(lex(pa.array(["• Enable JavaScript.\\n\\n3 of 10"])))
    >>> lines.end.tolist(), lines.words.tolist(), lines.javascript.tolist(), lines.numeric.tolist()
    ([21, 22, 29], [3, 0, 3], [1, 0, 0], [0, 0, 3])
    """
    counts = allocate(*[(len(lexed.lines.span), np.int32)] * (len(LineCounts._fields) - 1))
    lines = LineCounts(*[*counts, upper_letters(lexed)])
    measure_lines(lexed, hashes(["javascript"])[0], tables(), lines)
    return lines


# ---------------------------------------------------------------- documents


@inner
def is_punctuation(byte: Any) -> Any:
    """Whether a byte is ASCII punctuation, without a branch."""
    letter, digit = u64(byte | 0x20) - u64(0x61), u64(byte) - u64(0x30)
    return (u64(byte) - u64(0x21) < u64(0x5E)) & (letter >= u64(26)) & (digit >= u64(10))


@inner
def may_be_ipsum(data: Any, begin: Any, end: Any) -> Any:
    """Whether the first letters of a word, ASCII punctuation aside, are i, p, s and u: no other character folds so."""
    found = 0
    for i in range(begin, end):
        byte = load8(data, i)
        if not is_punctuation(byte):
            if byte | 0x20 != IPSUM >> 8 * found & 0xFF:
                return False
            found += 1
            if found == HALF - 1:
                return True
    return False


@inner
def is_half(data: Any, begin: Any, end: Any, half: Any, tables: Tables, scratch: Any) -> Any:
    """Whether a word, normalised, begins with "ipsum" or ends in "lorem", whichever is asked for."""
    start = np.int64(0)
    stop = fold_wide(data, begin, end, True, tables, scratch, start)
    return stop >= HALF and load_upto8(scratch, start if half == IPSUM else stop - HALF, HALF) == u64(half)


@kernel(allocates=False)
def is_lorem_ipsum(data: Any, words: Words, first: Any, w: Any, tables: Tables, scratch: Any) -> Any:
    """Whether "lorem ipsum" ends in word w and the one before it, of those from the first on, that is not empty."""
    begin, end = np.int64(words.span[w, 0]), np.int64(words.span[w, 1])
    if not (may_be_ipsum(data, begin, end) and is_half(data, begin, end, IPSUM, tables, scratch)):
        return False
    before = w - 1
    while before >= first and words.normal_characters[before] == 0:
        before -= 1
    if before < first:
        return False
    return is_half(data, np.int64(words.span[before, 0]), np.int64(words.span[before, 1]), LOREM, tables, scratch)


@inner
def count_lorem_ipsum(data: Any, words: Words, first: Any, last: Any, tables: Tables, scratch: Any) -> Any:
    """Occurrences of "lorem ipsum" in the normalised text: few words begin with an i and have five characters."""
    count = 0
    for w in range(u64(first), u64(last)):
        if (words.normal_characters[w] >= HALF) & MAY_BEGIN[u64(load8(data, np.int64(words.span[w, 0])))]:
            count += is_lorem_ipsum(data, words, first, np.int64(w), tables, scratch)
    return count


@inner
def count_phrases(words: Words, first: Any, last: Any, phrases: Phrases, language: Any) -> Any:
    """Occurrences of the phrases of a list as they are written and folded, overlapping ones too."""
    exact, folded = 0, 0
    for w in range(first, last):
        if words.normal_characters[w] == 0:
            continue
        key, at = words.hash[w], w
        found = role(phrases, language, key)
        while found:
            exact += found & ENDS != 0
            folded += found & FOLDED_ENDS != 0
            at += 1
            while at < last and words.normal_characters[at] == 0:
                at += 1
            if at == last or not found & GOES_ON:
                break
            key = extend(key, words.hash[at])
            found = role(phrases, language, key)
    return exact, folded


@inner
def count_curly_brackets(data: Any, begin: Any, end: Any) -> Any:
    """How many { and } there are."""
    count = 0
    for i in range(u64(begin), u64(end)):  # a loop that the compiler turns into vector instructions
        count += (data[i] == 0x7B) | (data[i] == 0x7D)
    return count


@kernel(allocates=False)
def measure(
    lexed: Lexed,
    normal: NormalWords,
    bad_words: BadWords,
    tables: Tables,
    folded: Any,
    scratch: Scratch,
    terms: Any,
    counts: Any,
    entropy: Any,
) -> None:
    """Fill the counts, which are zero, but those of words and characters, and the entropy."""
    words, data = lexed.words, lexed.data
    for d in range(len(lexed.offsets) - 1):
        first, last, language = lexed.word_splits[d], lexed.word_splits[d + 1], bad_words.languages[d]
        name, n = normal.hash[normal.splits[d] : normal.splits[d + 1]], counts[WORDS, d]
        counts[DISTINCT, d], entropy[d] = distribute(name, n, n, scratch, terms)
        counts[CURLY, d] = count_curly_brackets(data, np.int64(lexed.offsets[d]), np.int64(lexed.offsets[d + 1]))
        counts[LOREM_IPSUM, d] = count_lorem_ipsum(data, words, first, last, tables, folded)
        if language != NO_LIST:
            counts[BAD, d], counts[FOLDED_BAD, d] = count_phrases(words, first, last, bad_words.lists, language)


# ---------------------------------------------------------------- lines


@inner
def count_numbers(data: Any, begin: Any, end: Any, is_wide: Any, tables: Tables) -> Any:
    """Digits and other numbers in a word."""
    count, i = 0, begin
    if not is_wide:
        for i in range(begin, end, 8):
            count += popcount(within(load_upto8(data, i, min(8, end - i)), 0x30, 0x39))
        return count
    while i < end:
        point, i = decode(data, i, end)
        count += tables.classes[entry(tables, point)] & NUMERIC != 0
    return count


@inner
def measure_words(lexed: Lexed, k: Any, javascript: Any, tables: Tables, out: LineCounts) -> None:
    """Fill what is counted in the words of line k."""
    words, data = lexed.words, lexed.data
    n: Any = 0
    characters, scripts, numeric = n, n, n
    for w in range(u64(lexed.lines.words[k]), u64(lexed.lines.words[k + ONE])):
        flags, length = words.flags[w], np.int64(words.normal_characters[w])
        n += length > 0
        characters += length
        scripts += words.hash[w] == javascript
        if flags & NUMERIC:  # folding leaves each number one number
            begin, end = np.int64(words.span[w, 0]), np.int64(words.span[w, 1])
            numeric += count_numbers(data, begin, end, flags & WIDE != 0, tables)
    out.words[k], out.characters[k], out.javascript[k] = n, characters + max(n - 1, 0), scripts
    out.numeric[k] = numeric


@kernel(allocates=False)
def measure_lines(lexed: Lexed, javascript: Any, tables: Tables, out: LineCounts) -> None:
    """Fill the counts of every line."""
    lines: Lines = lexed.lines
    for d in range(len(lexed.offsets) - 1):
        stop = np.int64(lexed.offsets[d + 1])
        is_ascii = lexed.characters[d] == stop - lexed.offsets[d]
        point: Any = 0
        for k in range(u64(lexed.line_splits[d]), u64(lexed.line_splits[d + 1])):
            begin, end = np.int64(lines.span[k, 0]), np.int64(lines.span[k, 1])
            out.start[k] = point
            point += end - begin if is_ascii else count_line(lexed, k)
            point += end < stop
            out.end[k] = point
            last = lines.last[k]
            out.terminal_marks[k] = last in (FULL_STOP, EXCLAMATION, QUESTION, CLOSING_QUOTE)
            out.bulletpoints[k] = is_bullet(lines.first[k]) and lines.first[k] != HYPHEN
            measure_words(lexed, k, javascript, tables, out)
