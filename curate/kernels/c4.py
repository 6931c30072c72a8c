"""The line rules of C4 (Raffel et al. 2020) and what they leave, as its code and datatrove apply them.

A line is stripped; its words are those of white space. Citations are cut before its end and its phrases are looked at.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from curate.kernels.bits import ONE, load8, u64
from curate.kernels.jit import inner, kernel
from curate.kernels.landmarks import (
    CITATION,
    JAVASCRIPT,
    LOREM,
    PHRASES,
    POLICY,
    SENTENCE,
    Landmarks,
    copy_uncited,
    is_text,
    landmarks,
)
from curate.kernels.lexer import Lexed, Words
from curate.kernels.lines import SplitLines, count_line, split_lines
from curate.kernels.text import decode, longest_span, previous
from curate.kernels.traits import Traits, traits

# Rules in the order in which they are tried; a line's verdict has the bit of each that it breaks.
RULES = ("long_word", "no_terminal_mark", "short", "javascript", "policy")
LONG_WORD, NO_MARK, SHORT, SCRIPT, POLICIES = (1 << k for k in range(len(RULES)))
MARKS = '.?!"'
PHRASE_KINDS = np.array([kind for kind, *_ in PHRASES])
COUNTS = (*RULES, "kept", "lines", "chars", "kept_chars", "sentences", "lorem_ipsum", "long_paragraphs")


class Limits(NamedTuple):
    """What the rules may be told."""

    marks: np.ndarray  # int32, code points that may end a line
    min_words: int
    max_word_length: int
    min_paragraph: int  # code points


def limits(marks: str = MARKS, min_words: int = 3, max_word_length: int = 1000, min_paragraph: int = 200) -> Limits:
    """The limits of the paper and, for words, of the code.

    >>> limits(".!").marks.tolist()
    [46, 33]
    """
    return Limits(np.array([*map(ord, marks)], np.int32), min_words, max_word_length, min_paragraph)


def c4(lexed: Lexed, limits: Limits) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Counts of each document (COUNTS and braces, int64) and the verdict of each line of `split_lines` (uint8).

    >>> from curate.kernels.lexer import lex
    >>> counts, verdicts = c4(lex(pa.array(["It rains all day.\\nHome | News"])), limits())
    >>> verdicts.tolist(), counts["sentences"].tolist()
    ([0, 2], [1])
    """
    lines, found = split_lines(lexed), landmarks(lexed)
    counts = np.zeros((len(COUNTS), len(lexed.offsets) - 1), np.int64)
    verdicts = np.empty(len(lines.span), np.uint8)
    longest = longest_span(lines.span)
    judge(lexed, lines, found, limits, traits(), np.empty(longest, np.uint8), counts, verdicts)
    return {**dict(zip(COUNTS, counts, strict=True)), "braces": found.braces}, verdicts


@inner
def ends_well(data: Any, begin: Any, end: Any, marks: Any) -> Any:
    """Whether data[begin:end] ends in one of the marks, but not in three full stops."""
    if begin == end:
        return False
    last, _ = decode(data, previous(data, begin, end), end)
    found = False
    for k in range(len(marks)):
        found |= last == marks[k]
    dots = end - begin >= 3 and load8(data, end - 1) == load8(data, end - 2) == load8(data, end - 3) == 0x2E
    return found and not dots


@inner
def judge_cited(data: Any, begin: Any, end: Any, limits: Limits, traits: Traits, scratch: Any) -> Any:
    """The rules on a line's end and phrases, for a line that has citations: it is copied without them."""
    size = copy_uncited(data, begin, end, traits, scratch, np.int64(0))
    verdict = 0 if ends_well(scratch, np.int64(0), size, limits.marks) else NO_MARK
    for j in range(size):
        for k in range(len(PHRASES)):
            if is_text(scratch, np.int64(j), size, k):
                kind = PHRASE_KINDS[k]
                verdict |= SCRIPT * (kind == JAVASCRIPT) | POLICIES * (kind == POLICY)
    return verdict


@inner
def longest_word(words: Words, first: Any, after: Any) -> Any:
    """Code points of the longest of some words."""
    longest = 0
    for w in range(u64(first), u64(after)):
        longest = max(longest, words.characters[w])
    return longest


@kernel(allocates=False)
def judge(
    lexed: Lexed,
    lines: SplitLines,
    found: Landmarks,
    limits: Limits,
    traits: Traits,
    scratch: Any,
    counts: Any,
    verdicts: Any,
) -> None:
    """Fill the verdicts and, from zero, the counts."""
    data, words = lexed.data, lexed.words
    for d in range(len(lexed.offsets) - 1):
        p, last = u64(found.splits[d]), u64(found.splits[d + 1])
        for line in range(u64(lines.splits[d]), u64(lines.splits[d + 1])):
            first, after = lines.words[line, 0], lines.words[line, 1]
            end = np.int64(lines.span[line, 1])
            verdict, sentences, is_cited = SHORT * (after - first < limits.min_words), 1, False
            while p < last and found.position[p] < end:
                kind = found.kind[p]
                verdict |= SCRIPT * (kind == JAVASCRIPT) | POLICIES * (kind == POLICY)
                counts[10, d] += kind == LOREM
                sentences += kind == SENTENCE
                is_cited |= kind == CITATION
                p += ONE
            if lines.stripped[line] > limits.max_word_length:
                verdict |= LONG_WORD * (longest_word(words, first, after) > limits.max_word_length)
            if first == after:
                verdict |= NO_MARK
            else:
                begin, end = np.int64(words.span[u64(first), 0]), np.int64(words.span[u64(after - 1), 1])
                if is_cited:
                    verdict &= ~(SCRIPT | POLICIES)
                    verdict |= judge_cited(data, begin, end, limits, traits, scratch)
                else:
                    verdict |= NO_MARK * (not ends_well(data, begin, end, limits.marks))
            verdicts[line] = verdict
            for rule in range(len(RULES)):
                counts[rule, d] += verdict >> rule & 1
            counts[5, d] += verdict == 0
            counts[7, d] += lines.stripped[line]
            counts[8, d] += lines.stripped[line] * (verdict == 0)
            counts[9, d] += sentences * (verdict == 0)
        counts[6, d] = lines.splits[d + 1] - lines.splits[d]
        for k in range(u64(lexed.line_splits[d]), u64(lexed.line_splits[d + 1])):
            size = lexed.lines.span[k, 1] - lexed.lines.span[k, 0]
            if size >= limits.min_paragraph:
                counts[11, d] += count_line(lexed, k) >= limits.min_paragraph
