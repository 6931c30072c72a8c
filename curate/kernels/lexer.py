"""The lexer that all text operators share: words, lines, sentences and their hashes, for a batch at a time.

Words are runs of non-white-space, as `str.split()` finds them. Each also has its normalised form (that of
RedPajama-V2: ASCII punctuation dropped, lower case, NFD), kept as a hash and a length. Lines are split at line feeds.
Sentences are the matches of RedPajama-V2's `\\b[^.!?]+[.!?]*`. Unicode is that of `curate.kernels.unicode`.
"""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curate.kernels.bits import ONE, below, leading_zeros, load8, popcount, store64, trailing_zeros, u64
from curate.kernels.folding import (
    HIGH,
    ascii_classes,
    digest,
    drop8,
    fold_read,
    hash16,
    load_upto8,
    room,
    within,
)
from curate.kernels.jit import inner, kernel
from curate.kernels.masks import BLOCK, SHORT, word_masks
from curate.kernels.text import (
    Counts,
    allocate,
    buffers,
    decode,
    entry,
    find_spans,
    longest_span,
    previous,
    read_only,
    span_counts,
    splits,
)
from curate.kernels.unicode import (
    ASCII_PUNCTUATION,
    REWRITTEN,
    WORD,
    WORD_FLAGS,
    Tables,
    tables,
)

KEPT = 2  # batches whose lexed form is kept per thread
FULL_STOP, EXCLAMATION, QUESTION, ELLIPSIS = 0x2E, 0x21, 0x3F, 0x2026


class Words(NamedTuple):
    """The words of a batch, one after the other."""

    span: np.ndarray  # int32[words, 2], first byte and one past the last in `data`
    characters: np.ndarray  # int32[words], code points
    flags: np.ndarray  # uint8[words], which of WORD_FLAGS in unicode.py its characters have
    hash: np.ndarray  # uint64[words], of the normalised word; 0 when nothing is left of it
    normal_characters: np.ndarray  # int32[words], code points of the normalised word


class Lines(NamedTuple):
    """The lines of a batch; empty and blank ones count, a line feed at the very end begins no line."""

    span: np.ndarray  # int32[lines, 2], first byte and one past the last, without the line feed
    words: np.ndarray  # int64[lines + 1], words of line k: words[k]:words[k + 1]; none: the line is blank
    characters: np.ndarray  # int32[lines], code points of the stripped line
    hash: np.ndarray  # uint64[lines], of the bytes of the stripped line
    first: np.ndarray  # int32[lines], first code point that is not white space, 0 for a blank line
    last: np.ndarray  # int32[lines], last code point that is not white space, 0 for a blank line
    has_ellipsis: np.ndarray  # bool[lines], ends in "..." or "…"


class Lexed(NamedTuple):
    """A batch of documents, lexed. Document d has words `word_splits[d]:word_splits[d + 1]`, likewise lines."""

    data: np.ndarray  # uint8, the Arrow buffer
    offsets: np.ndarray  # int32[documents + 1], bytes of document d: data[offsets[d]:offsets[d + 1]]
    word_splits: np.ndarray  # int64[documents + 1]
    line_splits: np.ndarray  # int64[documents + 1]
    words: Words
    lines: Lines
    characters: np.ndarray  # int64[documents], code points
    sentences: np.ndarray  # int64[documents]
    number_signs: np.ndarray  # int64[documents], of "#"
    ellipses: np.ndarray  # int64[documents], of "…" and, without overlaps, "..."


WORD_TYPES = (np.int32, np.uint8, np.uint64, np.int32)  # of all fields but the span
LINE_TYPES = (np.int32, np.uint64, np.int32, np.int32, np.bool_)  # of all fields but the span and the words

_cache = threading.local()


def lex(text: pa.Array) -> Lexed:
    """Lex a batch. The last few batches are kept per thread, so operators given the same array share the work.

    `text` is a `pa.string()` array, sliced or not; a null is lexed as an empty document. All arrays are read-only.
    Raises TypeError for any other kind of array.

    >>> lexed = lex(pa.array(["The cat sat. It purred!", ""]))
    >>> np.diff(lexed.word_splits).tolist(), lexed.sentences.tolist(), lexed.words.characters.tolist()
    ([5, 0], [2, 0], [3, 3, 4, 2, 7])
    >>> lexed.words.normal_characters.tolist()
    [3, 3, 3, 2, 6]
    """
    kept: list[tuple[pa.Array, Lexed]] = _cache.__dict__.setdefault("kept", [])
    for array, lexed in kept:
        if array is text:
            return lexed
    lexed = _from_whole(text, kept) or lex_buffers(*buffers(text), _known_counts(text))
    kept.insert(0, (text, lexed))  # holding the array keeps another one from taking its place
    del kept[KEPT:]
    return lexed


def outline(text: pa.Array) -> Lexed:
    """What `lex` gives, but of words and lines only where they are (unless it is lexed already), in half the time.

    >>> found = outline(pa.array(["The cat\\nsat."]))
    >>> found.words.span.tolist(), found.lines.span.tolist(), len(found.words.hash)
    ([[0, 3], [4, 7], [8, 12]], [[0, 7], [8, 12]], 0)
    """
    kept: list[tuple[pa.Array, Lexed]] = _cache.__dict__.get("kept", [])
    known = next((lexed for array, lexed in kept if array is text), None) or _from_whole(text, kept)
    if known is not None:
        return known
    data, offsets = buffers(text)
    spans = find_spans(data, offsets, _known_counts(text))
    words = Words(read_only(spans.words), *(read_only(np.empty(0, kind)) for kind in WORD_TYPES))
    line_words = read_only(spans.line_words)
    lines = Lines(read_only(spans.lines), line_words, *(read_only(np.empty(0, kind)) for kind in LINE_TYPES))
    splits_ = read_only(spans.word_splits), read_only(spans.line_splits)
    counted = (spans.characters, np.empty(0, np.int64), spans.number_signs, spans.ellipses)
    return Lexed(data, offsets, *splits_, words, lines, *map(read_only, counted))


def is_read(lexed: Lexed) -> bool:
    """Whether more is known of words than where they are: so it is after `lex`, and not after `outline`.

    >>> is_read(lex(pa.array(["one"]))), is_read(outline(pa.array(["one"])))
    (True, False)
    """
    return len(lexed.words.hash) == len(lexed.words.span)


def filtered(text: pa.Array, rows: np.ndarray) -> pa.Array:
    """The chosen documents (bool[documents]). When the whole batch has been lexed, `lex` takes their part of that.

    >>> whole = pa.array(["one two", "three", "four five six"])
    >>> _ = lex(whole)
    >>> np.diff(lex(filtered(whole, np.array([True, False, True]))).word_splits).tolist()
    [2, 3]
    """
    part = text.filter(pa.array(rows))
    if any(array is text for array, _ in _cache.__dict__.get("kept", [])):
        _cache.part = (part, text, rows)
    return part


def _from_whole(text: pa.Array, kept: list[tuple[pa.Array, Lexed]]) -> Lexed | None:
    """The lexed form of a filtered batch from that of the whole one, if there is one."""
    part, whole, rows = _cache.__dict__.get("part", (None, None, None))
    lexed = next((lexed for array, lexed in kept if array is whole), None)
    return select(lexed, rows, *buffers(text)) if part is text and lexed is not None else None


def select(lexed: Lexed, rows: np.ndarray, data: np.ndarray, offsets: np.ndarray) -> Lexed:
    """Some documents of a lexed batch, whose bytes now lie at `data` and `offsets`: runs of documents are copied."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], rows, [False]]).astype(np.int8)))
    runs = edges.reshape(-1, 2)
    new = np.cumsum(np.concatenate([[0], np.diff(runs, axis=1).ravel()]))[:-1]
    shifts = offsets[new].astype(np.int64) - lexed.offsets[runs[:, 0]]
    words, lines = lexed.word_splits[runs], lexed.line_splits[runs]
    word_starts = np.cumsum(np.concatenate([[0], np.diff(words, axis=1).ravel()]))
    moves = word_starts[:-1] - words[:, 0]
    line_words = [lexed.lines.words[a:b] + move for (a, b), move in zip(lines, moves, strict=True)]
    return Lexed(
        data,
        offsets,
        read_only(splits(np.diff(lexed.word_splits)[rows])),
        read_only(splits(np.diff(lexed.line_splits)[rows])),
        Words(_spans(lexed.words.span, words, shifts), *(_runs(column, words) for column in lexed.words[1:])),
        Lines(
            _spans(lexed.lines.span, lines, shifts),
            read_only(np.concatenate([*line_words, word_starts[-1:]])),
            *(_runs(column, lines) for column in lexed.lines[2:]),
        ),
        *(read_only(column[rows]) for column in lexed[6:]),
    )


def _runs(column: np.ndarray, runs: np.ndarray) -> np.ndarray:
    parts = [column[a:b] for a, b in runs]
    return read_only(np.concatenate(parts) if parts else column[:0].copy())


def _spans(column: np.ndarray, runs: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    parts = [column[a:b] + np.int32(shift) for (a, b), shift in zip(runs, shifts, strict=True)]
    return read_only(np.concatenate(parts) if parts else column[:0].copy())


def count_words(text: pa.Array) -> np.ndarray:
    """The number of words of each document (int32), without lexing it.

    >>> count_words(pa.array(["one  two", " ", "three"])).tolist()
    [2, 0, 1]
    """
    counts = span_counts(*buffers(text))
    _cache.counted = (text, counts)
    return counts[0].astype(np.int32)


def _known_counts(text: pa.Array) -> Counts | None:
    """What `count_words` has just found of the same memory: batches of a pass are counted first, and lexed then."""
    counted, counts = _cache.__dict__.get("counted", (None, None))
    return counts if counted is not None and _place(counted) == _place(text) else None


def _place(text: pa.Array) -> tuple[int, ...]:
    """Where the values of an array lie, and how many they are."""
    return (len(text), text.offset, *(buffer.address if buffer else 0 for buffer in text.buffers()))


def lex_buffers(data: np.ndarray, offsets: np.ndarray, counts: Counts | None = None) -> Lexed:
    """Lex documents `data[offsets[d]:offsets[d + 1]]`, as `curate.kernels.text.buffers` gives them; keeps nothing."""
    spans = find_spans(data, offsets, counts)
    words = Words(spans.words, *allocate(*((len(spans.words), kind) for kind in WORD_TYPES)))
    lines = Lines(spans.lines, spans.line_words, *allocate(*((len(spans.lines), kind) for kind in LINE_TYPES)))
    sentences = np.empty(len(offsets) - 1, np.int64)
    longest = longest_span(spans.words)
    read_words(data, spans.word_splits, words, tables(), room(longest), sentences)
    read_lines(data, words.span, lines)
    return Lexed(
        data,
        offsets,
        read_only(spans.word_splits),
        read_only(spans.line_splits),
        Words(*map(read_only, words)),
        Lines(*map(read_only, lines)),
        read_only(spans.characters),
        read_only(sentences),
        read_only(spans.number_signs),
        read_only(spans.ellipses),
    )


@inner
def scan_sentences(data: Any, begin: Any, end: Any, fresh: Any, tables: Tables) -> Any:
    """How many sentences begin in a word, and whether the next word begins one."""
    sentences, i = 0, begin
    while i < end:
        lead = load8(data, i)
        point, i = decode(data, i, end)
        if lead in (FULL_STOP, EXCLAMATION, QUESTION):
            fresh = True
        elif fresh and tables.classes[entry(tables, point)] & WORD:
            sentences += 1
            fresh = False
    return sentences, fresh


@inner
def count_sentences(letters: Any, marks: Any, fresh: Any) -> Any:
    """How many sentences begin in some bytes: a sentence begins at the first \\w after the start or a mark.

    Both arguments have a bit of a byte set; returns (count, whether the next \\w begins one).
    """
    count = 0
    while letters if fresh else marks:
        at = letters if fresh else marks
        later = ~((at & (~at + ONE)) - ONE)  # from its lowest bit on
        letters, marks = letters & later, marks & later
        count += fresh
        fresh = not fresh
    return count, fresh


@inner
def drop16(low: Any, high: Any, marked: Any) -> Any:
    """Sixteen bytes, as two halves, without those whose bit is marked; the others move down."""
    while marked:
        at = trailing_zeros(marked)
        if at < 8:
            low = low & below(8 * at) | (low >> u64(8) | high << u64(56)) & ~below(8 * at)
            high >>= u64(8)
        else:
            high = high & below(8 * at - 64) | high >> u64(8) & ~below(8 * at - 64)
        marked = (marked & (marked - ONE)) >> ONE
    return low, high


@inner
def read_short(data: Any, begin: Any, n: Any, fresh: Any) -> Any:
    """Read n <= 16 bytes that may be ASCII, as `read_ascii`; most words are so short."""
    upper, lower, digit, marked, low_line, marks, wide, low, high = word_masks(data, begin, n)
    if wide:
        return False, 0, 0, fresh, u64(0), 0
    letters = upper | lower | digit | low_line
    begun, still = np.int64(fresh & (letters != 0)), fresh & (letters == 0)
    if marked:
        begun, still = count_sentences(letters, marks, fresh)
        n = BLOCK - leading_zeros(below(n) & ~marked)  # most of them are at the end
        marked &= below(n)
        if marked:
            low, high = drop16(low, high, marked)
            n -= popcount(marked)
    hashed = hash16(low, high, n) if n else u64(0)
    return True, ascii_classes(upper, lower, digit, low_line), begun, still, hashed, n


@inner
def read_ascii(data: Any, begin: Any, end: Any, fresh: Any, scratch: Any) -> Any:
    """Read a word that may be ASCII: (whether it is, classes, sentences, fresh, hash and length when normalised)."""
    upper, lower, digit, low_line = u64(0), u64(0), u64(0), u64(0)
    sentences, o = 0, np.int64(0)
    for i in range(begin, end, 8):
        n = min(8, end - i)
        x = load_upto8(data, i, n)
        if x & HIGH:
            return False, 0, 0, fresh, u64(0), 0
        capital, number = within(x, 0x41, 0x5A), within(x, 0x30, 0x39)
        x |= capital >> u64(2)
        letter = within(x, 0x61, 0x7A)
        marked = within(x, 0x21, 0x7E) & ~(letter | number)
        upper, lower, digit = upper | capital, lower | letter & ~capital, digit | number
        if marked or fresh:
            lines = within(x, 0x5F, 0x5F)
            low_line |= lines
            marks = within(x, 0x21, 0x21) | within(x, 0x2E, 0x2E) | within(x, 0x3F, 0x3F)
            begun, fresh = count_sentences(letter | number | lines, marks, fresh)
            sentences += begun
            n -= popcount(marked)
            x = drop8(x, marked)
        store64(scratch, o, x)
        o += n
    classes = ascii_classes(upper, lower, digit, low_line)
    return True, classes, sentences, fresh, digest(scratch, np.int64(0), o)[0] if o else u64(0), o


@inner
def read_wide(data: Any, begin: Any, end: Any, fresh: Any, tables: Tables, scratch: Any) -> Any:
    """Read any word: (code points, classes, sentences, fresh, hash and length when normalised)."""
    start = np.int64(0)
    stop, characters, classes = fold_read(data, begin, end, True, tables, scratch, start)
    if classes & ASCII_PUNCTUATION:
        begun, fresh = scan_sentences(data, begin, end, fresh, tables)
    else:
        begun, fresh = np.int64(fresh & (classes & WORD != 0)), fresh & (classes & WORD == 0)
    if classes & (REWRITTEN | ASCII_PUNCTUATION):
        hashed, length = digest(scratch, start, stop)
    else:
        hashed, length = digest(data, begin, end)[0], characters
    return characters, classes, begun, fresh, hashed, length


@kernel(allocates=False)
def read_words(data: Any, splits: Any, words: Words, tables: Tables, scratch: Any, sentences: Any) -> None:
    """Fill everything of the words but their spans, and the number of sentences of each document."""
    for d in range(len(splits) - 1):
        fresh, count = True, 0
        for w in range(u64(splits[d]), u64(splits[d + 1])):
            begin, end = np.int64(words.span[w, 0]), np.int64(words.span[w, 1])
            before, characters = fresh, end - begin
            if characters <= SHORT and begin + SHORT <= len(data):
                is_ascii, classes, begun, fresh, hashed, length = read_short(data, begin, characters, fresh)
            else:
                is_ascii, classes, begun, fresh, hashed, length = read_ascii(data, begin, end, fresh, scratch)
            if not is_ascii:
                characters, classes, begun, fresh, hashed, length = read_wide(data, begin, end, before, tables, scratch)
            count += begun
            words.characters[w], words.flags[w] = characters, classes & WORD_FLAGS
            words.hash[w], words.normal_characters[w] = hashed, length
        sentences[d] = count


@kernel(allocates=False)
def read_lines(data: Any, words: Any, lines: Lines) -> None:
    """Fill everything of the lines but their spans: a line without its outer white space is a run of words."""
    for k in range(u64(len(lines.span))):
        first, last = lines.words[k], lines.words[k + ONE] - 1
        if last < first:
            lines.characters[k] = lines.first[k] = lines.last[k] = 0
            lines.hash[k], lines.has_ellipsis[k] = u64(0), False
            continue
        begin, end = np.int64(words[u64(first), 0]), np.int64(words[u64(last), 1])
        lines.hash[k], lines.characters[k] = digest(data, begin, end)
        lines.first[k], _ = decode(data, begin, end)
        final, _ = decode(data, previous(data, begin, end), end)
        lines.last[k] = final
        dots = end - begin >= 3 and load8(data, end - 1) == load8(data, end - 2) == load8(data, end - 3) == FULL_STOP
        lines.has_ellipsis[k] = dots or final == ELLIPSIS
