"""What RedPajama-V2's signals count (Weber et al. 2024, arXiv 2411.12372), per document and per line, as whole numbers.

Its words are the lexer's normalised words that are not empty; its lines end at line feeds, and blank ones count.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from curate.kernels.bits import load8, popcount, u64
from curate.kernels.folding import EACH, HIGH, fold_wide, load_upto8, room, within
from curate.kernels.gopher import DUPLICATE, TOP, is_bullet, repetition
from curate.kernels.jit import inner, kernel
from curate.kernels.lexer import EXCLAMATION, FULL_STOP, QUESTION, Lexed, Lines, Words
from curate.kernels.ngrams import Scratch, name_normal, scratch_for
from curate.kernels.phrases import ENDS, FOLDED_ENDS, GOES_ON, NO_LIST, Phrases, extend, hashes, role
from curate.kernels.statistics import FEW, distribute
from curate.kernels.text import allocate, decode, entry
from curate.kernels.unicode import NUMERIC, UPPER, WIDE, Tables, tables

HYPHEN, CLOSING_QUOTE = 0x2D, 0x201D
LOREM, IPSUM = (int.from_bytes(word, "little") for word in (b"lorem", b"ipsum"))
HALF = 5  # characters of either

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
    folded = room(int(np.diff(lexed.words.span, axis=1).max(initial=0)))
    scratch = scratch_for(int(np.diff(lexed.word_splits).max(initial=0)))
    measure(lexed, bad_words, tables(), folded, scratch, np.empty(FEW), counts, entropy)
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
    lines = LineCounts(*allocate(*[(len(lexed.lines.span), np.int32)] * len(LineCounts._fields)))
    measure_lines(lexed, hashes(["javascript"])[0], tables(), lines)
    return lines


# ---------------------------------------------------------------- documents


@inner
def first_letter(data: Any, begin: Any, end: Any) -> Any:
    """The first byte of a word that is no ASCII punctuation, in lower case; 0 if there is none."""
    for i in range(begin, end):
        byte = load8(data, i)
        if byte >= 0x80 or 0x30 <= byte <= 0x39 or 0x61 <= byte | 0x20 <= 0x7A:
            return byte | 0x20
    return np.int64(0)


@inner
def is_half(data: Any, begin: Any, end: Any, half: Any, tables: Tables, scratch: Any) -> Any:
    """Whether a word, normalised, begins with "ipsum" or ends in "lorem", whichever is asked for."""
    start = np.int64(0)
    stop = fold_wide(data, begin, end, True, tables, scratch, start)
    return stop >= HALF and load_upto8(scratch, start if half == IPSUM else stop - HALF, HALF) == u64(half)


@inner
def count_lorem_ipsum(data: Any, words: Words, first: Any, last: Any, tables: Tables, scratch: Any) -> Any:
    """Occurrences of "lorem ipsum" in the normalised text: few words begin with an i and have five characters."""
    count, before = 0, np.int64(-1)
    for w in range(first, last):
        length = words.normal_characters[w]
        if length == 0:
            continue
        begin, end = np.int64(words.span[w, 0]), np.int64(words.span[w, 1])
        could_be = length >= HALF and before >= 0 and first_letter(data, begin, end) == 0x69
        if could_be and is_half(data, begin, end, IPSUM, tables, scratch):
            begin, end = np.int64(words.span[before, 0]), np.int64(words.span[before, 1])
            count += is_half(data, begin, end, LOREM, tables, scratch)
        before = np.int64(w)
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
def equal8(x: Any, byte: Any) -> Any:
    """How many of eight bytes are this one."""
    x ^= EACH * u64(byte)
    return popcount(~(((x & ~HIGH) + ~HIGH) | x) & HIGH)


@inner
def count_curly_brackets(data: Any, begin: Any, end: Any) -> Any:
    """How many { and } there are."""
    count = 0
    for i in range(begin, end, 8):
        x = load_upto8(data, i, min(8, end - i))
        count += equal8(x, 0x7B) + equal8(x, 0x7D)
    return count


@kernel(allocates=False)
def measure(
    lexed: Lexed,
    bad_words: BadWords,
    tables: Tables,
    folded: Any,
    scratch: Scratch,
    terms: Any,
    counts: Any,
    entropy: Any,
) -> None:
    """Fill the counts, which are zero, and the entropy."""
    words, data = lexed.words, lexed.data
    for d in range(len(lexed.offsets) - 1):
        first, last, language = lexed.word_splits[d], lexed.word_splits[d + 1], bad_words.languages[d]
        n = name_normal(words, first, last, scratch)
        counts[WORDS, d], counts[CHARACTERS, d] = n, scratch.sums[n]
        counts[DISTINCT, d], entropy[d] = distribute(n, n, scratch, terms)
        counts[CURLY, d] = count_curly_brackets(data, np.int64(lexed.offsets[d]), np.int64(lexed.offsets[d + 1]))
        counts[LOREM_IPSUM, d] = count_lorem_ipsum(data, words, first, last, tables, folded)
        if language != NO_LIST:
            counts[BAD, d], counts[FOLDED_BAD, d] = count_phrases(words, first, last, bad_words.lists, language)


# ---------------------------------------------------------------- lines


@inner
def count_points(data: Any, begin: Any, end: Any) -> Any:
    """Code points of valid UTF-8."""
    count = end - begin
    for i in range(begin, end, 8):
        x = load_upto8(data, i, min(8, end - i))
        count -= popcount(x >> u64(7) & ~(x >> u64(6)) & EACH)
    return count


@inner
def count_class(data: Any, begin: Any, end: Any, own: Any, low: Any, high: Any, is_wide: Any, tables: Tables) -> Any:
    """Characters of a class in a word; in ASCII these are low..high."""
    count, i = 0, begin
    if not is_wide:
        for i in range(begin, end, 8):
            count += popcount(within(load_upto8(data, i, min(8, end - i)), low, high))
        return count
    while i < end:
        point, i = decode(data, i, end)
        count += tables.classes[entry(tables, point)] & own != 0
    return count


@inner
def measure_words(lexed: Lexed, k: Any, javascript: Any, tables: Tables, out: LineCounts) -> None:
    """Fill what is counted in the words of line k."""
    words, data = lexed.words, lexed.data
    n: Any = 0
    characters, scripts, numeric, upper = n, n, n, n
    for w in range(lexed.lines.words[k], lexed.lines.words[k + 1]):
        flags, length = words.flags[w], np.int64(words.normal_characters[w])
        n += length > 0
        characters += length
        scripts += words.hash[w] == javascript
        if flags & (NUMERIC | UPPER):
            begin, end = np.int64(words.span[w, 0]), np.int64(words.span[w, 1])
            is_wide = flags & WIDE != 0
            if flags & NUMERIC:  # folding leaves each number one number
                numeric += count_class(data, begin, end, NUMERIC, 0x30, 0x39, is_wide, tables)
            if flags & UPPER:
                upper += count_class(data, begin, end, UPPER, 0x41, 0x5A, is_wide, tables)
    out.words[k], out.characters[k], out.javascript[k] = n, characters + max(n - 1, 0), scripts
    out.numeric[k], out.upper[k] = numeric, upper


@kernel(allocates=False)
def measure_lines(lexed: Lexed, javascript: Any, tables: Tables, out: LineCounts) -> None:
    """Fill the counts of every line."""
    lines: Lines = lexed.lines
    for d in range(len(lexed.offsets) - 1):
        stop = np.int64(lexed.offsets[d + 1])
        is_ascii = lexed.characters[d] == stop - lexed.offsets[d]
        point: Any = 0
        for k in range(lexed.line_splits[d], lexed.line_splits[d + 1]):
            begin, end = np.int64(lines.span[k, 0]), np.int64(lines.span[k, 1])
            out.start[k] = point
            point += end - begin if is_ascii else count_points(lexed.data, begin, end)
            point += end < stop
            out.end[k] = point
            last = lines.last[k]
            out.terminal_marks[k] = last in (FULL_STOP, EXCLAMATION, QUESTION, CLOSING_QUOTE)
            out.bulletpoints[k] = is_bullet(lines.first[k]) and lines.first[k] != HYPHEN
            measure_words(lexed, k, javascript, tables, out)
