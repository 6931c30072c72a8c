"""Where personal data and secrets are in text: candidates found 64 bytes at a time, then read byte by byte.

An @, the first digit of a number, a colon between hexadecimal digits, sixteen bytes of a token and five hyphens are all
that is looked at more closely. Telephone numbers are candidates only: `phonenumbers` decides on them elsewhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from curate.kernels.bits import ALL, ONE, below, trailing_zeros, u64
from curate.kernels.cutting import copy_bytes
from curate.kernels.jit import inner, kernel
from curate.kernels.masks import BLOCK, REACH, copy_rest, pii_masks
from curate.kernels.pii_addresses import at_sign, colon
from curate.kernels.pii_keys import private_key, token
from curate.kernels.pii_numbers import number
from curate.kernels.pii_rules import Found, Rules
from curate.kernels.text import buffers, splits


def candidates(text: pa.StringArray, rules: Rules) -> Found:
    """Everything found, by row and first byte, without overlaps; telephone numbers are only candidates.

    >>> from curate.kernels.pii_rules import TYPES, rules
    >>> found = candidates(pa.array(["mail a.b@example.org now"]), rules(["org"], ["email"], [], True))
    >>> found.begin.tolist(), found.end.tolist(), TYPES[found.kind[0]]
    ([5], [20], 'email')
    """
    data, offsets = buffers(text)
    room = 1024 + len(data) // 512
    while True:
        out = Found(*(np.empty(room, kind) for kind in (np.int64, np.int64, np.int64, np.uint8)))
        size = scan(data, offsets, rules, np.empty(REACH, np.uint8), out)
        if size <= room:
            return settled(Found(*(array[:size] for array in out)))
        room = size


def settled(found: Found) -> Found:
    """The same in order and without overlaps: the stronger type stays, then the one that begins first."""
    order = np.lexsort((found.kind, found.begin, found.row))
    found = Found(*(array[order] for array in found))
    keep = np.ones(len(order), bool)
    settle(found, keep)
    return Found(*(array[keep] for array in found))


@kernel(allocates=False)
def settle(found: Found, keep: Any) -> None:
    last = -1
    for k in range(len(keep)):
        if last >= 0 and found.row[last] == found.row[k] and found.begin[k] < found.end[last]:
            loser = k if found.kind[last] <= found.kind[k] else last
            keep[loser] = False
            last = last if loser == k else k
        else:
            last = k


# ---------------------------------------------------------------- where to look


@inner
def runs(mask: Any, before: Any, length: Any) -> Any:
    """Positions at which the last `length` bytes all have their bit, of them `before` the block's; length 5 or 16."""
    step = 1
    while 2 * step <= length:
        shift, back = u64(step), u64(64 - step)
        mask, before = mask & (mask << shift | before >> back), before & before << shift
        step *= 2
    if step < length:
        shift, back = u64(length - step), u64(64 - length + step)
        mask, before = mask & (mask << shift | before >> back), before & before << shift
    return mask


@inner
def block_marks(data: Any, i: Any, end: Any, pad: Any) -> Any:
    """The masks of a block, of which only the bytes before `end` count."""
    if i + REACH <= len(data):
        ats, digits, colons, hyphens, tokens = pii_masks(data, i)
    else:
        copy_rest(data, i, pad)
        ats, digits, colons, hyphens, tokens = pii_masks(pad, 0)
    valid = ALL if end - i >= BLOCK else below(end - i)
    return ats & valid, digits & valid, colons & valid, hyphens & valid, tokens & valid


@kernel(allocates=False)
def scan(data: Any, offsets: Any, rules: Rules, pad: Any, out: Found) -> Any:
    """Fill `out`, and return how much there is; more than it has room for is counted only."""
    size = 0
    for d in range(len(offsets) - 1):
        begin, end = np.int64(offsets[d]), np.int64(offsets[d + 1])
        digits_before, hyphens_before, tokens_before = u64(0), u64(0), u64(0)
        done_token, done_number, done_colon = begin, begin, begin
        for i in range(begin, end, BLOCK):
            ats, digits, colons, hyphens, tokens = block_marks(data, i, end, pad)
            starts = digits & ~(digits << ONE | digits_before >> u64(63))
            long, dashes = runs(tokens, tokens_before, 16), runs(hyphens, hyphens_before, 5)
            digits_before, hyphens_before, tokens_before = digits, hyphens, tokens
            while ats:
                size = at_sign(data, begin, end, i + trailing_zeros(ats), d, rules, out, size)
                ats &= ats - ONE
            while long:
                at = i + trailing_zeros(long) - 15
                long &= long - ONE
                if at >= done_token:
                    size, done_token = token(data, begin, end, at, d, rules, out, size)
            while dashes:
                size = private_key(data, i + trailing_zeros(dashes) - 4, end, d, rules, out, size)
                dashes &= dashes - ONE
            while colons:
                at = i + trailing_zeros(colons)
                colons &= colons - ONE
                if at >= done_colon:
                    size, done_colon = colon(data, begin, end, at, d, rules, out, size)
            while starts:
                at = i + trailing_zeros(starts)
                starts &= starts - ONE
                if at >= done_number:
                    size, done_number = number(data, begin, end, at, d, rules, out, size)
    return size


# ---------------------------------------------------------------- another text in their place


def replaced(text: pa.StringArray, found: Found, new: pa.StringArray) -> pa.StringArray:
    """The texts with `new[k]` in the place of the k-th stretch (in order, without overlaps).

    >>> from curate.kernels.pii_rules import rules
    >>> text = pa.array(["to a@b.org", "no"])
    >>> replaced(text, candidates(text, rules(["org"], ["email"], [], True)), pa.array(["<EMAIL>"])).to_pylist()
    ['to <EMAIL>', 'no']
    """
    data, offsets = buffers(text)
    new_data, new_offsets = buffers(new)
    size = int(offsets[-1] - offsets[0] + new_offsets[-1] - new_offsets[0] - (found.end - found.begin).sum())
    if size > np.iinfo(np.int32).max:
        raise ValueError("the texts of a batch are over 2 GB with their replacements: use a smaller batch_size")
    bounds = splits(np.bincount(found.row, minlength=len(text)))
    out, out_offsets = np.empty(size, np.uint8), np.zeros(len(text) + 1, np.int32)
    replace(data, offsets, found, bounds, new_data, new_offsets, out, out_offsets)
    return pa.StringArray.from_buffers(len(text), pa.py_buffer(out_offsets), pa.py_buffer(out))


@kernel(allocates=False)
def replace(
    data: Any, offsets: Any, found: Found, bounds: Any, new: Any, new_offsets: Any, out: Any, out_offsets: Any
) -> None:
    """Fill the bytes and the offsets."""
    o = np.int64(0)
    for d in range(len(offsets) - 1):
        at = np.int64(offsets[d])
        for k in range(bounds[d], bounds[d + 1]):
            o = copy_bytes(data, at, found.begin[k], out, o)
            o = copy_bytes(new, np.int64(new_offsets[k]), np.int64(new_offsets[k + 1]), out, o)
            at = found.end[k]
        o = copy_bytes(data, at, np.int64(offsets[d + 1]), out, o)
        out_offsets[d + 1] = o
