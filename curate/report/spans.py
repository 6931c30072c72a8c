"""What in a text gave a signal its value, where that can be pointed at: character spans by the name of the column."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator

Span = tuple[int, int]
Finder = Callable[[str, int], Iterator[Span]]

LONGEST = 20_000  # characters that are looked at
WORD = re.compile(r"\S+")
BULLETS = tuple("•‣▶◀◦■□▪▫–-*●○")
TERMINAL = tuple(".!?\"'”’」』。！？…")


def spans(column: str, text: str) -> list[Span]:
    """Ascending, separate spans of the text that a column counts; none where it is about the text as a whole.

    >>> spans("gopher_duplicate_line_ratio", "one\\ntwo\\none\\n")
    [(8, 11)]
    >>> spans("gopher_top_2gram_char_ratio", "to be or to be not")
    [(0, 5), (9, 14)]
    >>> spans("gopher_word_count", "one two")
    []
    """
    for pattern, find in FINDERS:
        found = pattern.search(column)
        if found:
            size = int(found[1]) if found.groups() and found[1] else 0
            return merged(find(text[:LONGEST], size))
    return []


def merged(found: Iterator[Span] | list[Span]) -> list[Span]:
    """Spans that touch become one.

    >>> merged([(4, 6), (0, 2), (1, 3)])
    [(0, 3), (4, 6)]
    """
    made: list[Span] = []
    for start, end in sorted(found):
        if made and start <= made[-1][1]:
            made[-1] = (made[-1][0], max(end, made[-1][1]))
        elif end > start:
            made.append((start, end))
    return made


def from_bytes(text: str, starts: list[int], ends: list[int]) -> list[Span]:
    """Spans of characters for spans of UTF-8 bytes."""
    raw = text.encode("utf-8", "surrogatepass")
    return merged([(_characters(raw[:a]), _characters(raw[:b])) for a, b in zip(starts, ends, strict=True)])


def _characters(raw: bytes) -> int:
    return len(raw.decode("utf-8", "ignore"))


def _pieces(text: str, between: str) -> Iterator[Span]:
    """Stripped pieces between line feeds, or between empty lines."""
    at = 0
    for piece in re.split(f"({between})", text):
        inner = piece.strip()
        if inner:
            start = at + piece.index(inner)
            yield start, start + len(inner)
        at += len(piece)


def _repeated(between: str) -> Finder:
    def find(text: str, _: int) -> Iterator[Span]:
        seen: set[str] = set()
        for start, end in _pieces(text, between):
            if text[start:end] in seen:
                yield start, end
            seen.add(text[start:end])

    return find


def _lines(holds: Callable[[str], bool]) -> Finder:
    def find(text: str, _: int) -> Iterator[Span]:
        return ((start, end) for start, end in _pieces(text, r"\n") if holds(text[start:end]))

    return find


def _matches(pattern: str) -> Finder:
    compiled = re.compile(pattern, re.IGNORECASE)

    def find(text: str, _: int) -> Iterator[Span]:
        return (found.span() for found in compiled.finditer(text))

    return find


def _grams(text: str, size: int) -> list[tuple[tuple[str, ...], Span]]:
    words = [*WORD.finditer(text)]
    said = [word[0] for word in words]
    grams = zip(*(said[at:] for at in range(size)), strict=False)
    ends = zip(words, words[size - 1 :], strict=False)
    return [(gram, (first.start(), last.end())) for gram, (first, last) in zip(grams, ends, strict=True)]


def _top(text: str, size: int) -> Iterator[Span]:
    """The n-gram that takes most characters."""
    grams = _grams(text, size)
    counts = Counter(gram for gram, _ in grams)
    if not counts:
        return
    most = max(counts, key=lambda gram: (counts[gram] > 1, counts[gram] * sum(map(len, gram))))
    if counts[most] > 1:
        yield from (span for gram, span in grams if gram == most)


def _again(text: str, size: int) -> Iterator[Span]:
    """n-grams that stood before."""
    seen: set[tuple[str, ...]] = set()
    for gram, span in _grams(text, size):
        if gram in seen:
            yield span
        seen.add(gram)


POLICY = re.compile("terms of use|privacy policy|cookie policy|uses cookies|use of cookies|use cookies", re.IGNORECASE)

# The first pattern that is found in a column's name; a group is the n of n-grams.
FINDERS: list[tuple[re.Pattern[str], Finder]] = [
    (re.compile(pattern), find)
    for pattern, find in (
        (r"(?:dup|duplicate).*line|char_duplicate", _repeated(r"\n")),
        (r"(?:dup|duplicate).*para", _repeated(r"\n\s*\n")),
        (r"(?:dup|duplicate)_?\w*?(\d+)_?gram", _again),
        (r"top_(\d+)_?gram", _top),
        (r"bullet", _lines(lambda line: line.startswith(BULLETS))),
        (r"ellipsis_line|lines_end_with_ellipsis", _lines(lambda line: line.endswith(("...", "…")))),
        (r"ellipsis", _matches(r"\.\.\.|…")),
        (r"hash_word", _matches("#")),
        (r"symbol", _matches(r"#|\.\.\.|…")),
        (r"curly", _matches("[{}]")),
        (r"lorem", _matches("lorem ipsum")),
        (r"javascript", _lines(lambda line: "javascript" in line.lower())),
        (r"policy", _lines(lambda line: POLICY.search(line) is not None)),
        (r"no_terminal|line_punctuation|terminal_punct", _lines(lambda line: not line.endswith(TERMINAL))),
        (r"short_line", _lines(lambda line: len(line) <= 30)),
        (r"digit|numer", _matches(r"\d+")),
    )
]
