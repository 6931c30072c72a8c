"""XXH3-128 (Collet's xxHash, seed 0, default secret) of documents in Arrow buffers, and of their normalised text."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from curate.kernels.bits import load32, load64, multiply_wide, u64
from curate.kernels.folding import fold_word, room
from curate.kernels.jit import inner, kernel
from curate.kernels.text import buffers, find_spans, read_only
from curate.kernels.unicode import Tables, tables

# Constants of the algorithm.
SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221"
    "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb"
    "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)
P32_1, P32_2, P32_3 = u64(0x9E3779B1), u64(0x85EBCA77), u64(0xC2B2AE3D)
P64_1, P64_2, P64_3 = u64(0x9E3779B185EBCA87), u64(0xC2B2AE3D27D4EB4F), u64(0x165667B19E3779F9)
P64_4, P64_5 = u64(0x85EBCA77C2B2AE63), u64(0x27D4EB2F165667C5)
MIX_1, MIX_2 = u64(0x165667919E3779F9), u64(0x9FB21C651E98DF25)
START = np.array([P32_3, P64_1, P64_2, P64_3, P64_4, P32_2, P64_5, P32_1], np.uint64)
STRIPE, STRIPES = 64, 16  # bytes in a stripe, stripes in a block


def xxh3_128(text: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """XXH3-128 of each document's UTF-8: its low and high 64 bits (uint64[n] each).

    >>> low, high = xxh3_128(pa.array([""]))
    >>> f"{high[0]:016x}{low[0]:016x}"
    '99aa06d3014798d86001c324468d497f'
    """
    data, offsets = buffers(text)
    low, high = np.empty(len(text), np.uint64), np.empty(len(text), np.uint64)
    hash_documents(data, offsets, _secret(), START.copy(), low, high)
    return low, high


def is_hashable(kind: pa.DataType) -> bool:
    """Whether `value_hash` takes values of this type: strings, bytes, whole numbers, booleans, dates and times."""
    tests = ("string", "large_string", "binary", "large_binary", "fixed_size_binary", "integer", "boolean", "decimal")
    return any(getattr(pa.types, f"is_{name}")(kind) for name in (*tests, "temporal"))


def value_hash(values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """XXH3-128 of each value of a column: of its bytes if it has them, else of it as text. Null counts as empty.

    >>> bool((value_hash(pa.array([7]))[0] == value_hash(pa.array(["7"]))[0]).all())
    True
    """
    kind = values.type
    if pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        values = values.cast(pa.binary())
    if pa.types.is_binary(values.type):  # the kernels look at bytes, valid UTF-8 or not
        values = pa.StringArray.from_buffers(len(values), *values.buffers()[1:], values.buffers()[0], -1, values.offset)
    return xxh3_128(values.cast(pa.string()))


def normalised_hash(text: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """XXH3-128 of each document in lower case and NFD, with white space folded to single spaces and trimmed.

    Punctuation is kept, so that programs and tables stay apart. Two uint64[n], low and high bits.

    >>> low, high = normalised_hash(pa.array(["The  Cat\\n", "the cat"]))
    >>> bool(low[0] == low[1] and high[0] == high[1])
    True
    """
    data, offsets = buffers(text)
    spans = find_spans(data, offsets)
    longest = int(np.diff(offsets).max(initial=0))
    low, high = np.empty(len(text), np.uint64), np.empty(len(text), np.uint64)
    scratch = room(longest)
    words = read_only(spans.words), read_only(spans.word_splits)
    hash_normalised(data, *words, tables(), scratch, read_only(scratch), _secret(), START.copy(), low, high)
    return low, high


@cache
def _secret() -> np.ndarray:
    return np.frombuffer(SECRET, np.uint8)


# ---------------------------------------------------------------- the algorithm


@inner
def avalanche(h: Any) -> Any:
    """Spread every bit of h over all of them."""
    h = (h ^ h >> u64(37)) * MIX_1
    return h ^ h >> u64(32)


@inner
def avalanche_64(h: Any) -> Any:
    """The finaliser of the older XXH64, used for the shortest inputs."""
    h = (h ^ h >> u64(33)) * P64_2
    h = (h ^ h >> u64(29)) * P64_3
    return h ^ h >> u64(32)


@inner
def fold_product(x: Any, y: Any) -> Any:
    """The two halves of the 128-bit product, combined."""
    low, high = multiply_wide(x, y)
    return low ^ high


@inner
def swap32(x: Any) -> Any:
    """The bytes of a 32-bit value in reverse order."""
    x = (x & u64(0x00FF00FF)) << u64(8) | x >> u64(8) & u64(0x00FF00FF)
    return (x & u64(0xFFFF)) << u64(16) | x >> u64(16)


@inner
def hash_upto16(data: Any, i: Any, n: Any, secret: Any) -> Any:
    """Up to sixteen bytes as (low, high), like the functions below."""
    if n > 8:
        return hash_9_16(data, i, n, secret)
    if n > 3:
        return hash_4_8(data, i, n, secret)
    if n > 0:
        return hash_1_3(data, i, n, secret)
    return avalanche_64(load64(secret, 64) ^ load64(secret, 72)), avalanche_64(load64(secret, 80) ^ load64(secret, 88))


@inner
def hash_1_3(data: Any, i: Any, n: Any, secret: Any) -> Any:
    """One to three bytes."""
    first, middle, last = u64(data[i]), u64(data[i + (n >> 1)]), u64(data[i + n - 1])
    low = first << u64(16) | middle << u64(24) | last | u64(n) << u64(8)
    high = swap32(low)
    high = (high << u64(13) | high >> u64(19)) & u64(0xFFFFFFFF)
    low ^= load32(secret, 0) ^ load32(secret, 4)
    high ^= load32(secret, 8) ^ load32(secret, 12)
    return avalanche_64(low), avalanche_64(high)


@inner
def hash_4_8(data: Any, i: Any, n: Any, secret: Any) -> Any:
    """Four to eight bytes."""
    whole = load32(data, i) | load32(data, i + n - 4) << u64(32)
    keyed = whole ^ load64(secret, 16) ^ load64(secret, 24)
    low, high = multiply_wide(keyed, P64_1 + u64(n << 2))
    high += low << u64(1)
    low ^= high >> u64(3)
    low = (low ^ low >> u64(35)) * MIX_2
    return low ^ low >> u64(28), avalanche(high)


@inner
def hash_9_16(data: Any, i: Any, n: Any, secret: Any) -> Any:
    """Nine to sixteen bytes."""
    head, tail = load64(data, i), load64(data, i + n - 8)
    low, high = multiply_wide(head ^ tail ^ load64(secret, 32) ^ load64(secret, 40), P64_1)
    low += u64(n - 1) << u64(54)
    tail ^= load64(secret, 48) ^ load64(secret, 56)
    high += tail + (tail & u64(0xFFFFFFFF)) * (P32_2 - u64(1))
    low ^= swap32(high & u64(0xFFFFFFFF)) << u64(32) | swap32(high >> u64(32))
    last, carried = multiply_wide(low, P64_2)
    return avalanche(last), avalanche(carried + high * P64_2)


@inner
def mix_16(data: Any, i: Any, secret: Any, s: Any) -> Any:
    """Sixteen bytes, keyed with the secret at s."""
    return fold_product(load64(data, i) ^ load64(secret, s), load64(data, i + 8) ^ load64(secret, s + 8))


@inner
def mix_32(low: Any, high: Any, data: Any, i: Any, j: Any, secret: Any, s: Any) -> Any:
    """Mix the sixteen bytes at i and the sixteen at j into the state."""
    low = low + mix_16(data, i, secret, s) ^ load64(data, j) + load64(data, j + 8)
    high = high + mix_16(data, j, secret, s + 16) ^ load64(data, i) + load64(data, i + 8)
    return low, high


@inner
def hash_17_240(data: Any, i: Any, n: Any, secret: Any) -> Any:
    """Seventeen to 240 bytes."""
    low, high = u64(n) * P64_1, u64(0)
    if n <= 128:
        for k in range((n - 1) // 32, -1, -1):  # pairs from the middle to the two ends
            low, high = mix_32(low, high, data, i + 16 * k, i + n - 16 * (k + 1), secret, 32 * k)
    else:
        for k in range(4):
            low, high = mix_32(low, high, data, i + 32 * k, i + 32 * k + 16, secret, 32 * k)
        low, high = avalanche(low), avalanche(high)
        for k in range(4, n // 32):
            low, high = mix_32(low, high, data, i + 32 * k, i + 32 * k + 16, secret, 32 * k - 125)
        low, high = mix_32(low, high, data, i + n - 16, i + n - 32, secret, 103)
    mixed = low * P64_1 + high * P64_4 + u64(n) * P64_2
    return avalanche(low + high), u64(0) - avalanche(mixed)


@inner
def accumulate(lanes: Any, data: Any, i: Any, secret: Any, s: Any) -> None:
    """Mix a stripe into the eight lanes."""
    for k in range(8):
        value = load64(data, i + 8 * k)
        key = value ^ load64(secret, s + 8 * k)
        lanes[k ^ 1] += value
        lanes[k] += (key & u64(0xFFFFFFFF)) * (key >> u64(32))


@inner
def scramble(lanes: Any, secret: Any) -> None:
    """Stir the lanes after a block."""
    for k in range(8):
        lanes[k] = (lanes[k] ^ lanes[k] >> u64(47) ^ load64(secret, 128 + 8 * k)) * P32_1


@inner
def merge(lanes: Any, secret: Any, s: Any, h: Any) -> Any:
    """Combine the lanes into 64 bits."""
    for k in range(4):
        h += fold_product(lanes[2 * k] ^ load64(secret, s + 16 * k), lanes[2 * k + 1] ^ load64(secret, s + 16 * k + 8))
    return avalanche(h)


@inner
def hash_long(data: Any, i: Any, n: Any, secret: Any, lanes: Any) -> Any:
    """More than 240 bytes: stripes of 64 bytes in eight lanes."""
    for k in range(8):
        lanes[k] = START[k]
    for stripe in range((n - 1) // STRIPE):
        in_block = stripe % STRIPES
        accumulate(lanes, data, i + stripe * STRIPE, secret, 8 * in_block)
        if in_block == STRIPES - 1:
            scramble(lanes, secret)
    accumulate(lanes, data, i + n - STRIPE, secret, len(secret) - STRIPE - 7)
    low = merge(lanes, secret, 11, u64(n) * P64_1)
    return low, merge(lanes, secret, len(secret) - STRIPE - 11, ~(u64(n) * P64_2))


@kernel(allocates=False)
def xxh3(data: Any, begin: Any, end: Any, secret: Any, lanes: Any) -> Any:
    """XXH3-128 of data[begin:end] as (low, high)."""
    n = end - begin
    if n <= 16:
        return hash_upto16(data, begin, n, secret)
    if n <= 240:
        return hash_17_240(data, begin, n, secret)
    return hash_long(data, begin, n, secret, lanes)


# ---------------------------------------------------------------- batches


@kernel(allocates=False)
def hash_documents(data: Any, offsets: Any, secret: Any, lanes: Any, low: Any, high: Any) -> None:
    """Fill the hashes of data[offsets[d]:offsets[d + 1]]; `lanes` is scratch, uint64[8]."""
    for d in range(len(low)):
        low[d], high[d] = xxh3(data, np.int64(offsets[d]), np.int64(offsets[d + 1]), secret, lanes)


@kernel(allocates=False)
def hash_normalised(
    data: Any,
    words: Any,
    splits: Any,
    tables: Tables,
    out: Any,
    folded: Any,
    secret: Any,
    lanes: Any,
    low: Any,
    high: Any,
) -> None:
    """Fill the hashes of the documents' folded words joined by spaces. `out` has room for the longest of them;
    `folded` is the same memory, read-only as other data is, so that `xxh3` is compiled once."""
    for d in range(len(low)):
        begin, o = np.int64(0), np.int64(0)
        for w in range(splits[d], splits[d + 1]):
            if o:
                out[o] = 0x20
                o += 1
            o = fold_word(data, np.int64(words[w, 0]), np.int64(words[w, 1]), tables, out, o)
        low[d], high[d] = xxh3(folded, begin, o, secret, lanes)
