"""Case folding of words over UTF-8: lower case (with the final sigma) and canonical decomposition, as Python does them.

`fold_wide` equals `unicodedata.normalize("NFD", word.lower())`, before which ASCII punctuation may be dropped (the
normalisation of RedPajama-V2). ASCII is done eight bytes at a time in a register.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from curate.kernels.bits import (
    ALL,
    EACH,
    HIGH,
    ONE,
    below,
    load8,
    load32,
    load64,
    popcount,
    store32,
    store64,
    trailing_zeros,
    u64,
)
from curate.kernels.jit import inner, kernel
from curate.kernels.text import decode, encode, entry, previous
from curate.kernels.unicode import (
    ALPHA,
    ASCII_PUNCTUATION,
    CASED,
    FINAL_SIGMA,
    HANGUL,
    HANGUL_END,
    IGNORABLE,
    NUMERIC,
    OTHER_CASE,
    REWRITTEN,
    SIGMA,
    SMALL_SIGMA,
    UPPER,
    WORD,
    Tables,
)

GROWTH = 3  # NFD(lower(c)) has at most three times the bytes of c
SLACK = 16  # bytes that may be written beyond that
NO_CLASS = 256  # above all combining classes
_SEED, _FACTOR = u64(0x9E3779B97F4A7C15), u64(0xD6E8FEB86659FD93)

# ---------------------------------------------------------------- eight bytes in a register


@inner
def within(x: Any, low: Any, high: Any) -> Any:
    """The high bit of every byte of x (all ASCII) that lies in low..high."""
    return (x + EACH * u64(0x80 - low)) & ~(x + EACH * u64(0x7F - high)) & HIGH


@inner
def lower8(x: Any) -> Any:
    """Eight ASCII bytes in lower case."""
    return x | within(x, 0x41, 0x5A) >> u64(2)


@inner
def drop8(x: Any, marked: Any) -> Any:
    """x without the bytes whose high bit is marked; the others move down."""
    while marked:
        low = below(trailing_zeros(marked) - 7)
        x = x & low | x >> u64(8) & ~low
        marked = (marked & (marked - ONE)) >> u64(8)
    return x


@inner
def load_upto8(data: Any, i: Any, n: Any) -> Any:
    """The 1 <= n <= 8 bytes at i, zero-extended; reads nothing beyond the array."""
    if i + 8 <= len(data):
        return load64(data, i) & ALL >> u64(64 - 8 * n)
    x = u64(0)
    for k in range(n):
        x |= u64(data[i + k]) << u64(8 * k)
    return x


@inner
def finish(h: Any) -> Any:
    """The last step of `digest`."""
    h *= _FACTOR
    return h ^ h >> u64(32)


@inner
def plain8(x: Any, n: Any) -> Any:
    """The first n of eight ASCII bytes as CCNet normalises them: lower case, digits as 0, no control characters.

    Returns the bytes and how many they are.
    """
    x = lower8(x)
    x &= ~((within(x, 0x30, 0x39) >> u64(7)) * u64(0x0F))
    control = within(x, 0x00, 0x1F) | within(x, 0x7F, 0x7F)
    control &= below(8 * n) if n < 8 else ~u64(0)
    if control:
        x = drop8(x, control)
        n -= popcount(control)
    return x, n


@inner
def hash8(x: Any, n: Any) -> Any:
    """`digest` of n <= 8 bytes that are in a register."""
    return finish(_SEED ^ u64(n) ^ x)


@inner
def hash16(low: Any, high: Any, n: Any) -> Any:
    """`digest` of n <= 16 bytes that are in two registers, with zeros after them."""
    short = _SEED ^ u64(n) ^ low
    long = short * _FACTOR
    return finish(long ^ long >> u64(29) ^ high if n > 8 else short)


@inner
def digest(data: Any, begin: Any, end: Any) -> Any:
    """A 64-bit hash of data[begin:end] and its number of code points. Injective up to eight bytes of one length."""
    n = end - begin
    h = _SEED ^ u64(n)
    characters = n
    while n > 8:
        x = load64(data, begin)
        characters -= popcount(x >> u64(7) & ~(x >> u64(6)) & EACH)  # continuation bytes
        h = (h ^ x) * _FACTOR
        h ^= h >> u64(29)
        begin += 8
        n -= 8
    if n == 0:
        return finish(h), characters
    x = load_upto8(data, begin, n)
    characters -= popcount(x >> u64(7) & ~(x >> u64(6)) & EACH)
    return finish(h ^ x), characters


# ---------------------------------------------------------------- words


def room(size: int) -> np.ndarray:
    """Scratch (uint8) in which words of up to `size` bytes can be folded, and their marks put in order."""
    return np.empty(2 * GROWTH * size + SLACK, np.uint8)


@inner
def order_run(out: Any, begin: Any, end: Any, free: Any, tables: Tables) -> None:
    """Sort the combining marks out[begin:end] by class, keeping the order within a class; uses out[free:] meanwhile.

    One pass per class, not insertion: a run may have millions of marks.
    """
    o, rank = free, np.int64(0)
    while rank < NO_CLASS:
        following, i = np.int64(NO_CLASS), begin
        while i < end:
            at = i
            point, i = decode(out, i, end)
            own = np.int64(tables.combining[entry(tables, point)])
            if own == rank:
                for k in range(at, i):
                    out[o] = out[k]
                    o += 1
            elif own > rank:
                following = min(following, own)
        rank = following
    for k in range(end - begin):
        out[begin + k] = out[free + k]


@kernel(allocates=False)
def order_marks(out: Any, word: Any, end: Any, tables: Tables) -> None:
    """Bring the combining marks of out[word:end] into canonical order; uses as many bytes after it."""
    begin, i = word, word  # of the run of marks
    while i < end:
        at = i
        point, i = decode(out, i, end)
        if tables.combining[entry(tables, point)] == 0:
            order_run(out, begin, at, end, tables)
            begin = i
    order_run(out, begin, end, end, tables)


@inner
def write_hangul(out: Any, o: Any, point: Any) -> Any:
    """Write the two or three letters of a Hangul syllable."""
    index = point - HANGUL
    o = encode(out, o, 0x1100 + index // 588)
    o = encode(out, o, 0x1161 + index % 588 // 28)
    return encode(out, o, 0x11A7 + index % 28) if index % 28 else o


@inner
def is_final_sigma(data: Any, begin: Any, end: Any, at: Any, after: Any, drop: Any, tables: Tables) -> Any:
    """Python's rule for U+03A3 at byte `at`: a cased letter comes before it and none after it in the word."""
    skipped = IGNORABLE | ASCII_PUNCTUATION if drop else IGNORABLE
    i, classes = at, 0
    while i > begin:
        i = previous(data, begin, i)
        classes = tables.classes[entry(tables, decode(data, i, end)[0])]
        if not classes & skipped:
            break
    if classes & skipped or not classes & CASED:
        return False
    i = after
    while i < end:
        point, i = decode(data, i, end)
        classes = tables.classes[entry(tables, point)]
        if not classes & skipped:
            return not classes & CASED
    return True


@inner
def fold_wide(data: Any, begin: Any, end: Any, drop: Any, tables: Tables, out: Any, o: Any) -> Any:
    """Write NFD(lower(word)) of any word at byte o, without ASCII punctuation if `drop`; returns the index after."""
    return fold_read(data, begin, end, drop, tables, out, o)[0]


@inner
def ascii_run(data: Any, i: Any, end: Any) -> Any:
    """The ASCII bytes from i on, at most eight of them, with zeros after them; and how many they are."""
    n = min(8, end - i)
    x = load_upto8(data, i, n)
    wide = x & HIGH
    if wide:
        n = trailing_zeros(wide) >> 3
        x &= below(8 * n)
    return x, n


@inner
def ascii_classes(upper: Any, lower: Any, digit: Any, low_line: Any) -> Any:
    """Classes of an ASCII word that has some of these."""
    classes = WORD * (low_line != 0) | (WORD | NUMERIC) * (digit != 0)
    return classes | (WORD | ALPHA | UPPER | CASED) * (upper != 0) | (WORD | ALPHA | OTHER_CASE | CASED) * (lower != 0)


@inner
def fold_ascii(x: Any, n: Any, drop: Any) -> Any:
    """n ASCII bytes in lower case, without punctuation if `drop`: the bytes, how many they are, and their classes."""
    capital, number = within(x, 0x41, 0x5A), within(x, 0x30, 0x39)
    x |= capital >> u64(2)
    small = within(x, 0x61, 0x7A)
    marked = within(x, 0x21, 0x7E) & ~(small | number)
    classes = np.int64(ascii_classes(capital, small & ~capital, number, within(x, 0x5F, 0x5F)))
    classes |= REWRITTEN * (capital != 0) | ASCII_PUNCTUATION * (marked != 0)
    if marked and drop:
        n -= popcount(marked)
        x = drop8(x, marked)
    return x, n, classes


@inner
def rewrite(data: Any, begin: Any, end: Any, at: Any, after: Any, drop: Any, tables: Tables, out: Any, o: Any) -> Any:
    """Write what becomes of the character at byte `at` of a word; returns the index after it, and the combining
    classes of its first and its last code point."""
    point, _ = decode(data, at, end)
    if HANGUL <= point < HANGUL_END:
        return write_hangul(out, o, point), np.int64(0), np.int64(0)
    if point == SIGMA:
        final = is_final_sigma(data, begin, end, at, after, drop, tables)
        return encode(out, o, FINAL_SIGMA if final else SMALL_SIGMA), np.int64(0), np.int64(0)
    here = entry(tables, point)
    k = tables.fold[here]
    if k == 0:
        rank = np.int64(tables.combining[here])
        return encode(out, o, point), rank, rank
    store64(out, o, tables.fold_bytes[k, 0])
    store64(out, o + 8, tables.fold_bytes[k, 1])
    return o + np.int64(tables.fold_size[k]), np.int64(tables.fold_ranks[k, 0]), np.int64(tables.fold_ranks[k, 1])


@inner
def fold_read(data: Any, begin: Any, end: Any, drop: Any, tables: Tables, out: Any, o: Any) -> Any:
    """`fold_wide`, which also returns the code points and the classes that the word has as it is."""
    word, rank, i = o, np.int64(0), begin
    is_ordered: Any = True
    characters, found = 0, 0
    while i < end:
        if load8(data, i) < 0x80:
            x, n = ascii_run(data, i, end)
            x, size, classes = fold_ascii(x, n, drop)
            store64(out, o, x)
            i, o, rank = i + n, o + size, np.int64(0) if size else rank
            characters, found = characters + n, found | classes
            continue
        at = i
        point, i = decode(data, i, end)
        classes = tables.classes[entry(tables, point)]
        characters, found = characters + 1, found | classes
        if classes & REWRITTEN:
            o, first, last = rewrite(data, begin, end, at, i, drop, tables, out, o)
            is_ordered &= first == 0 or first >= rank
            rank = last
        else:
            if at + 4 <= len(data):
                store32(out, o, load32(data, at))
                o += i - at
            else:
                o = encode(out, o, point)
            rank = np.int64(0)
    if not is_ordered:
        order_marks(out, word, o, tables)
    return o, characters, found


@inner
def fold_word(data: Any, begin: Any, end: Any, tables: Tables, out: Any, o: Any) -> Any:
    """Write NFD(lower(word)) of any word at byte o; returns the index after it."""
    at = o
    for i in range(begin, end, 8):
        n = min(8, end - i)
        x = load_upto8(data, i, n)
        if x & HIGH:
            return fold_wide(data, begin, end, False, tables, out, at)
        store64(out, o, lower8(x))
        o += n
    return o
