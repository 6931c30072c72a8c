"""Words by a declared rule, so that languages without spaces have words too; kept per thread with the lexed text.

whitespace   runs of what is not white space, as `str.split()` has them
wordpunct    runs of \\w and runs of what is neither \\w nor white space: nltk's WordPunctTokenizer
unicode      runs of letters, digits and their combining marks; in Han, Hiragana, Katakana, Thai, Lao, Khmer and Myanmar
             each letter, with its marks, by itself
characters   each character but white space, with its combining marks
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from curate.kernels.bits import ONE, below, load8, popcount, trailing_zeros, u64
from curate.kernels.jit import inner, kernel
from curate.kernels.lexer import Lexed, is_read
from curate.kernels.masks import BLOCK, REACH, copy_rest, letter_masks, token_masks
from curate.kernels.sharing import known, shared
from curate.kernels.text import decode, read_only, splits
from curate.kernels.traits import ALNUM, MARK, SINGLE, Traits, kind_of, traits
from curate.kernels.unicode import SPACE, WORD
from curate.kernels.word_forms import describe, describe_cased, describe_word, digest_words, flag_words

Rule = Literal["unicode", "whitespace", "wordpunct", "characters"]
RULES: tuple[Rule, ...] = ("whitespace", "wordpunct", "unicode", "characters")
WHITESPACE, WORDPUNCT, UNICODE, CHARACTERS = range(4)
ZERO = u64(0)
ROOM = 64  # more words than are expected, of one in three bytes: few batches have more
NONE, RUN, OTHER, ALONE, JOINS = range(5)  # what a character is to the rule


class Segments(NamedTuple):
    """Words of document d: `splits[d]:splits[d + 1]`."""

    splits: np.ndarray  # int64[documents + 1]
    span: np.ndarray  # int32[words, 2], first byte and one past the last
    characters: np.ndarray  # int32[words], code points
    hash: np.ndarray  # uint64[words], of the bytes
    flags: np.ndarray  # uint8[words], HAS_ALPHA ... HAS_OTHER_CASE; nothing where nobody needs them


def segment(lexed: Lexed, rule: Rule, flagged: bool = False) -> Segments:
    """The words of a batch by one of RULES; those of wordpunct have flags, others if they are asked for.

    >>> from curate.kernels.lexer import lex
    >>> import pyarrow as pa
    >>> text = lex(pa.array(["It's 3.5 km. 你好"]))
    >>> {rule: len(segment(text, rule).span) for rule in RULES}
    {'whitespace': 4, 'wordpunct': 9, 'unicode': 7, 'characters': 12}
    """
    words = shared(lexed, rule, lambda: _segment(lexed, RULES.index(rule)))
    if flagged and len(words.flags) < len(words.span):
        return shared(lexed, f"{rule} flags", lambda: _flagged(lexed, words))
    return words


def _segment(lexed: Lexed, rule: int) -> Segments:
    split, plain = known(lexed, "wordpunct"), known(lexed, "plain")
    if rule == UNICODE and split is not None and plain is not None:
        return _joined(lexed, split, plain)
    span, bounds = (lexed.words.span, lexed.word_splits) if rule == WHITESPACE else _spans(lexed, rule)
    is_lexed = rule == WHITESPACE and is_read(lexed)
    characters = lexed.words.characters if is_lexed else np.empty(len(span), np.int32)
    flags = np.empty(len(span) if rule == WORDPUNCT else 0, np.uint8)
    words = Segments(bounds, span, characters, np.empty(len(span), np.uint64), flags)
    if rule == WORDPUNCT:
        describe_cased(lexed, is_read(lexed), traits(), words)
    elif is_lexed:
        digest_words(lexed.data, words)
    else:
        describe(lexed.data, words)
    return Segments(*map(read_only, words))


def _flagged(lexed: Lexed, words: Segments) -> Segments:
    made = words._replace(flags=np.empty(len(words.span), np.uint8))
    flag_words(lexed.data, traits(), made)
    return made._replace(flags=read_only(made.flags))


def _spans(lexed: Lexed, rule: int) -> tuple[np.ndarray, np.ndarray]:
    documents = len(lexed.offsets) - 1
    counts, plain = np.empty(documents, np.int64), np.empty(documents, np.bool_)
    capacity = int(lexed.offsets[-1] - lexed.offsets[0]) // 3 + ROOM
    while True:
        span, pad = np.empty((capacity + 1, 2), np.int32), np.empty(REACH, np.uint8)
        found = int(find_words(lexed.data, lexed.offsets, rule, pad, traits(), span, counts, plain))
        if found <= capacity:
            break
        capacity = found
    if rule == WORDPUNCT:
        shared(lexed, "plain", lambda: plain)
    return span[:found], splits(counts)


def _joined(lexed: Lexed, split: Segments, plain: np.ndarray) -> Segments:
    counts, sizes = np.empty(len(plain), np.int64), np.diff(lexed.offsets)
    capacity = int(np.where(plain, np.diff(split.splits), sizes // 3).sum()) + ROOM
    while True:
        span, pad = np.empty((capacity + 1, 2), np.int32), np.empty(REACH, np.uint8)
        characters, hashes = np.empty(capacity + 1, np.int32), np.empty(capacity + 1, np.uint64)
        words = Segments(split.splits, span, characters, hashes, np.empty(0, np.uint8))
        found = int(join_words(lexed.data, lexed.offsets, pad, traits(), split, plain, words, counts))
        if found <= capacity:
            break
        capacity = found
    of_words = (array[:found] for array in words[1:])
    return Segments(*map(read_only, (splits(counts), *of_words)))


@inner
def role_of(kind: Any, rule: Any) -> Any:
    """What a character of these properties is to a rule."""
    if kind & SPACE:
        return NONE
    if rule == WHITESPACE:
        return RUN
    if rule == WORDPUNCT:
        return RUN if kind & WORD else OTHER
    if kind & MARK:
        return JOINS
    if rule == CHARACTERS:
        return ALONE
    if not kind & ALNUM:
        return NONE
    return ALONE if kind & SINGLE else RUN


@inner
def load_masks(data: Any, i: Any, pad: Any) -> Any:
    """`token_masks` of what there is of a block."""
    if i + BLOCK <= len(data):
        return token_masks(data, i)
    copy_rest(data, i, pad)
    return token_masks(pad, 0)


@inner
def load_letters(data: Any, i: Any, pad: Any) -> Any:
    """`letter_masks` of what there is of a block."""
    if i + REACH <= len(data):
        return letter_masks(data, i)
    copy_rest(data, i, pad)
    return letter_masks(pad, 0)


@inner
def cover(two: Any, three: Any) -> Any:
    """Masks of the bytes of characters of two and three bytes that begin at these: in a block, and in the next one."""
    inside = two | two << ONE | three | three << ONE | three << u64(2)
    return inside, two >> u64(63) | three >> u64(63) | three >> u64(62)


@inner
def place(mask: Any, over: Any, bit: Any, size: Any) -> Any:
    """Set `size` bits from a bit on, those beyond the block in `over`."""
    mask |= below(size) << u64(bit)
    if bit + size > BLOCK:
        over |= below(size) >> u64(BLOCK - bit)
    return mask, over


@inner
def wide_words(data: Any, i: Any, end: Any, leads: Any, starts: Any, rule: Any, traits: Traits) -> Any:
    """Masks of what is not ASCII: bytes in words and where words begin whatever comes before; and of the next block."""
    word, over_word, over_starts = u64(0), u64(0), u64(0)
    while leads:
        bit = trailing_zeros(leads)
        leads &= leads - ONE
        point, after = decode(data, i + bit, end)
        size = after - i - bit
        role = role_of(kind_of(traits, point), rule)
        if role == NONE:
            continue
        word, over_word = place(word, over_word, bit, size)
        here = ONE << u64(bit)
        ends_here = role == ALONE or (role == JOINS and starts & here)  # a mark goes with what stands alone
        if role == ALONE:
            starts |= here
        elif role == JOINS:
            starts &= ~here
        if ends_here and bit + size < BLOCK:
            starts |= here << u64(size)
        elif ends_here:
            over_starts |= ONE << u64(bit + size - BLOCK)
    return word, starts, over_word, over_starts


@inner
def find_in(data: Any, begin: Any, end: Any, rule: Any, pad: Any, traits: Traits, span: Any, n: Any) -> Any:
    """Write the spans of a document's words; returns how many there are then, room or not, and if it is plain. The last
    row of `span` is no room: it takes what there is none for."""
    closed, room, edges = n, u64(len(span) - 1), span.reshape(-1)
    inside, in_letters, odd = u64(0), u64(0), u64(0)
    over_word, over_other = u64(0), u64(0)  # of a character that reaches into the next block: spaces, or starts
    for i in range(begin, end, BLOCK):
        valid = ~u64(0) if end - i >= BLOCK else below(end - i)
        letters, spaces, leads, low, ascii = load_masks(data, i, pad)
        leads &= valid
        plain, alone, covered, over_covered = u64(0), u64(0), u64(0), u64(0)  # letters that need no decoding
        if leads and rule != CHARACTERS:
            two, hangul, chinese = load_letters(data, i, pad)
            plain, alone = (two | hangul | chinese) & leads, chinese & leads
            covered, over_covered = cover(two & leads, (hangul | chinese) & leads)
        if rule == WORDPUNCT:
            letters, spaces = letters | over_word, spaces | over_other
            over_word, over_other = u64(0), u64(0)
            if leads & ~plain:
                more, blank, over_word, over_other, kinds = spread(data, i, end, leads & ~plain, traits)
                odd |= u64(kinds & (MARK | SINGLE))
                letters, spaces = letters | more, spaces | blank
            letters, over_word, odd = letters | covered, over_word | over_covered, odd | alone | low & valid
            word = ~spaces & valid
            starts = letters ^ (letters << ONE | in_letters)
            in_letters = letters >> u64(63)
        else:
            word = (letters & ~low if rule == UNICODE else ascii & ~spaces) & valid
            starts = over_other if rule == UNICODE else over_other | word
            word, over_other = word | over_word, u64(0)
            over_word = u64(0)
            starts |= alone | alone << u64(3)
            if leads & ~plain:
                more, starts, over_word, over_other = wide_words(data, i, end, leads & ~plain, starts, rule, traits)
                word |= more
            word, over_word, over_other = word | covered, over_word | over_covered, over_other | alone >> u64(61)
        follows = word << ONE | inside
        begins, ends = word & (starts | ~follows), follows & (starts | ~word)
        inside = word >> u64(63)
        opened, ended = popcount(begins), popcount(ends)
        for k in range(u64(max(opened, ended))):  # the last of it may be of a later block, and is written again there
            edges[min(n + k, room) << ONE] = i + trailing_zeros(begins)
            edges[min(closed + k, room) << ONE | ONE] = i + trailing_zeros(ends)
            begins &= begins - ONE
            ends &= ends - ONE
        n, closed = n + u64(opened), closed + u64(ended)
    if closed < n:
        edges[min(closed, room) << ONE | ONE] = end
    return n, odd == u64(0)


@kernel(allocates=False)
def find_words(data: Any, offsets: Any, rule: Any, pad: Any, traits: Traits, span: Any, counts: Any, plain: Any) -> Any:
    """Fill the spans, how many each document has, and of wordpunct whether it has no _ and no letters of scripts
    without spaces or marks; returns how many spans there are, room or not."""
    n = ZERO
    for d in range(len(counts)):
        before, begin, end = n, np.int64(offsets[d]), np.int64(offsets[d + 1])
        n, plain[d] = find_in(data, begin, end, rule, pad, traits, span, n)
        counts[d] = np.int64(n - before)
    return np.int64(n)


@inner
def is_word(data: Any, w: Any, split: Segments, traits: Traits) -> Any:
    """Whether a token of wordpunct is a run of \\w, of a document that has no _."""
    begin = np.int64(split.span[w, 0])
    byte = load8(data, begin)
    if byte >= 0x80:
        point, _ = decode(data, begin, np.int64(split.span[w, 1]))
        return kind_of(traits, point) & WORD != 0
    return (u64(byte | 0x20) - u64(0x61) < u64(26)) | (u64(byte) - u64(0x30) < u64(10))


@kernel(allocates=False)
def join_words(
    data: Any, offsets: Any, pad: Any, traits: Traits, split: Segments, plain: Any, words: Segments, counts: Any
) -> Any:
    """Fill the words of the rule unicode, and how many each document has, from those of wordpunct: of a plain document
    these are the same, but for punctuation. Returns how many there are, room or not."""
    n, room = ZERO, u64(len(words.span) - 1)
    for d in range(len(counts)):
        before = n
        if plain[d]:
            for w in range(u64(split.splits[d]), u64(split.splits[d + 1])):
                at = min(n, room)
                words.span[at, 0], words.span[at, 1] = split.span[w, 0], split.span[w, 1]
                words.characters[at], words.hash[at] = split.characters[w], split.hash[w]
                n += u64(is_word(data, w, split, traits))
        else:
            begin, end = np.int64(offsets[d]), np.int64(offsets[d + 1])
            n, _ = find_in(data, begin, end, UNICODE, pad, traits, words.span, n)
            for w in range(before, min(n, room)):
                describe_word(data, w, words)
        counts[d] = np.int64(n - before)
    return np.int64(n)


# ---------------------------------------------------------------- only counted


def count_words(lexed: Lexed, rule: Rule) -> np.ndarray:
    """How many words each document has (int64), without finding them where that is faster.

    >>> from curate.kernels.lexer import lex
    >>> import pyarrow as pa
    >>> count_words(lex(pa.array(["It's 3.5 km.", ""])), "wordpunct").tolist()
    [8, 0]
    """
    if rule == "whitespace":
        return np.diff(lexed.word_splits)
    if rule != "wordpunct" or known(lexed, rule):
        return np.diff(segment(lexed, rule).splits)
    return shared(lexed, "wordpunct count", lambda: _count(lexed))


def _count(lexed: Lexed) -> np.ndarray:
    counts = np.empty(len(lexed.offsets) - 1, np.int64)
    count_wordpunct(lexed.data, lexed.offsets, np.empty(REACH, np.uint8), traits(), counts)
    return counts


@inner
def spread(data: Any, i: Any, end: Any, leads: Any, traits: Traits) -> Any:
    """Masks of the bytes of \\w and of white space among what is not ASCII, and of those that lie in the next block;
    and the properties that some of it has."""
    letters, spaces, next_letters, next_spaces, kinds = u64(0), u64(0), u64(0), u64(0), np.int64(0)
    while leads:
        bit = trailing_zeros(leads)
        leads &= leads - ONE
        point, after = decode(data, i + bit, end)
        size = after - i - bit
        kind = kind_of(traits, point)
        kinds |= kind
        body = below(size) << u64(bit)
        over = below(size) >> u64(BLOCK - bit) if bit else u64(0)
        if kind & WORD:
            letters |= body
            next_letters |= over
        elif kind & SPACE:
            spaces |= body
            next_spaces |= over
    return letters, spaces, next_letters, next_spaces, kinds


@inner
def begun(runs: Any, goes_on: Any) -> Any:
    """How many runs of bits begin, if the first does not go on from the block before."""
    return popcount(runs & ~(runs << ONE | goes_on))


@kernel(allocates=False)
def count_wordpunct(data: Any, offsets: Any, pad: Any, traits: Traits, counts: Any) -> None:
    """The number of runs of \\w and of what is neither \\w nor white space."""
    for d in range(len(offsets) - 1):
        begin, end = np.int64(offsets[d]), np.int64(offsets[d + 1])
        in_letters, in_others, count = u64(0), u64(0), 0
        carried_letters, carried_spaces = u64(0), u64(0)
        for i in range(begin, end, BLOCK):
            valid = ~u64(0) if end - i >= BLOCK else below(end - i)
            letters, spaces, leads, _, _ = load_masks(data, i, pad)
            letters, spaces = letters | carried_letters, spaces | carried_spaces
            carried_letters, carried_spaces = u64(0), u64(0)
            if leads & valid:
                more, blank, carried_letters, carried_spaces, _ = spread(data, i, end, leads & valid, traits)
                letters, spaces = letters | more, spaces | blank
            letters &= valid
            others = ~(letters | spaces) & valid
            count += begun(letters, in_letters) + begun(others, in_others)
            in_letters, in_others = letters >> u64(63), others >> u64(63)
        counts[d] = count
