"""Keys: those of known shapes, and private ones in PEM blocks."""

from __future__ import annotations

from typing import Any

from curate.kernels.bits import ONE, load8, popcount, u64
from curate.kernels.jit import kernel
from curate.kernels.pii_rules import (
    _SPLITS,
    ALNUM,
    BEGIN,
    DIGIT,
    DISTINCT,
    END,
    HEAD,
    JWT,
    LOW_LINE,
    MOST_PEM,
    PRIVATE,
    SECRET,
    TOKEN,
    Found,
    Rules,
    add,
    class_at,
    fixed,
)


@kernel(allocates=False)
def token(data: Any, begin: Any, end: Any, at: Any, row: Any, rules: Rules, out: Found, size: Any) -> Any:
    """The key that begins in a long token, if one does; also returns where the token ends."""
    last = at
    while last < end and rules.classes[load8(data, last)] & TOKEN:
        last += 1
    if not rules.types >> SECRET & 1:
        return size, last
    if last - at == 35 and at > begin and load8(data, at - 1) == 0x3A:  # Telegram: 8 to 10 digits, a colon, 35 bytes
        first = at - 1
        while first > begin and at - first < 12 and class_at(data, first - 1, begin, end, rules) & DIGIT:
            first -= 1
        if 8 <= at - 1 - first <= 10 and not class_at(data, first - 1, begin, end, rules) & ALNUM:
            return add(out, size, row, first, last, SECRET), last
    q = max(begin, at - 5)  # prefixes that end with a full stop come before the token
    while q < last:
        if rules.initials[load8(data, q)] and not class_at(data, q - 1, begin, end, rules) & ALNUM:
            stop = key_at(data, q, end, rules)
            if stop > q:
                size = add(out, size, row, q, stop, SECRET)
                q = stop
                continue
        q += 1
    return size, max(last, q)


@kernel(allocates=False)
def key_at(data: Any, begin: Any, end: Any, rules: Rules) -> Any:
    """One past the key that begins at a byte; `begin` if none does."""
    for k in range(len(rules.bodies)):
        first, last = rules.prefix_splits[k], rules.prefix_splits[k + 1]
        i = begin + last - first
        if i >= end or load8(data, begin) != rules.prefixes[first]:
            continue
        is_there = True
        for j in range(last - first):
            is_there &= load8(data, begin + j) == rules.prefixes[first + j]
        if not is_there:
            continue
        body, least, most = rules.bodies[k, 0], rules.bodies[k, 1], rules.bodies[k, 2]
        low, high, from_, is_jwt = u64(0), u64(0), i, False
        while i < end and rules.classes[load8(data, i)] & body and i - from_ <= most:
            byte = load8(data, i)
            if byte < 64:
                low |= ONE << u64(byte)
            else:
                high |= ONE << u64(byte - 64)
            is_jwt |= k == JWT and byte == 0x2E and fixed(data, i + 1, end, HEAD)
            i += 1
        while i > from_ and load8(data, i - 1) == 0x2E:  # the full stop of a sentence
            i -= 1
        is_over = i >= end or not rules.classes[load8(data, i)] & (ALNUM | LOW_LINE)
        is_random = popcount(low) + popcount(high) >= DISTINCT and (k != JWT or is_jwt)
        if least <= i - from_ <= most and is_over and is_random:
            return i
    return begin


@kernel(allocates=False)
def private_key(data: Any, at: Any, end: Any, row: Any, rules: Rules, out: Found, size: Any) -> Any:
    """The PEM block with a private key that begins with these hyphens, if one does."""
    if not rules.types >> SECRET & 1 or not fixed(data, at + 5, end, BEGIN):
        return size
    i, stop = at + 11, min(end, at + 60)
    while i < stop and not fixed(data, i, end, PRIVATE):
        i += 1
    if i >= stop:
        return size
    header = i + _SPLITS[PRIVATE + 1] - _SPLITS[PRIVATE]
    i, stop = header, min(end, at + MOST_PEM)
    while i < stop and not fixed(data, i, end, END):
        i += 1
    if i >= stop:
        return add(out, size, row, at, header, SECRET)
    i += 8
    while i < end and load8(data, i) != 0x2D and load8(data, i) != 0x0A:
        i += 1
    while i < end and load8(data, i) == 0x2D:
        i += 1
    return add(out, size, row, at, i, SECRET)
