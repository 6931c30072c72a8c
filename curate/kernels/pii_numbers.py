"""What a digit can be the first of: account numbers, cards, telephone numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from curate.kernels.bits import load8
from curate.kernels.jit import inner, kernel
from curate.kernels.pii_addresses import ip_v4
from curate.kernels.pii_rules import (
    ALNUM,
    CARD,
    DIGIT,
    DOT,
    HYPHEN,
    IBAN,
    INTERNATIONAL,
    IP,
    LOW_LINE,
    PHONE,
    Found,
    Rules,
    add,
    class_at,
)


@kernel(allocates=False)
def number(data: Any, begin: Any, end: Any, at: Any, row: Any, rules: Rules, out: Found, size: Any) -> Any:
    """What a digit is the first of; also returns where to go on."""
    if rules.types >> IBAN & 1:
        last = iban(data, begin, end, at, rules)
        if last > at:
            return add(out, size, row, at - 2, last, IBAN), last
    if class_at(data, at - 1, begin, end, rules) & ALNUM:
        return size, at
    if rules.types >> IP & 1:
        last = ip_v4(data, begin, end, at, rules)
        if last > at:
            return add(out, size, row, at, last, IP), last
    if rules.types >> CARD & 1:
        last = card(data, begin, end, at, rules)
        if last > at:
            return add(out, size, row, at, last, CARD), last
    if rules.types >> PHONE & 1:
        first, last = phone(data, begin, end, at, rules)
        if last > first:
            return add(out, size, row, first, last, PHONE), last
    return size, at


@kernel(allocates=False)
def iban(data: Any, begin: Any, end: Any, at: Any, rules: Rules) -> Any:
    """One past an account number whose check digits are at byte `at`; `at` if there is none."""
    if at - 2 < begin or at + 2 > end:
        return at
    a, b = (load8(data, at - 2) & 0xDF) - 65, (load8(data, at - 1) & 0xDF) - 65
    if not (0 <= a < 26 and 0 <= b < 26) or class_at(data, at - 3, begin, end, rules) & ALNUM:
        return at
    length = np.int64(rules.iban[a * 26 + b])
    if length == 0 or not class_at(data, at + 1, begin, end, rules) & DIGIT:
        return at
    rest, count, i = np.int64(0), 4, at + 2
    while count < length:
        if i >= end:
            return at
        byte = load8(data, i)
        if byte == 0x20 or byte == 0x2D:
            if count % 4 or i + 1 >= end:
                return at
            i += 1
            byte = load8(data, i)
        if 0x30 <= byte <= 0x39:
            rest = (rest * 10 + byte - 0x30) % 97
        elif 0x41 <= byte & 0xDF <= 0x5A:
            rest = (rest * 100 + (byte & 0xDF) - 55) % 97
        else:
            return at
        count += 1
        i += 1
    rest = ((rest * 100 + a + 10) * 100 + b + 10) % 97
    rest = (rest * 100 + (load8(data, at) - 0x30) * 10 + load8(data, at + 1) - 0x30) % 97
    return i if rest == 1 and not class_at(data, i, begin, end, rules) & ALNUM else at


@kernel(allocates=False)
def card(data: Any, begin: Any, end: Any, at: Any, rules: Rules) -> Any:
    """One past a card's number at byte `at`; `at` if there is none. Digits may be in groups, the last byte of Luhn."""
    if class_at(data, at - 1, begin, end, rules) & (DOT | HYPHEN) and class_at(data, at - 2, begin, end, rules) & ALNUM:
        return at
    if at - 5 >= begin and load8(data, at - 1) == 0x20:  # a group of four of a longer number
        is_group = True
        for k in range(2, 6):
            is_group &= 0x30 <= load8(data, at - k) <= 0x39
        if is_group:
            return at
    i, count, head, separator, groups, group = at, 0, np.int64(0), np.int64(0), 0, 0
    even, odd, last = np.int64(0), np.int64(0), at
    while i < end and count < 20:
        byte = load8(data, i)
        if 0x30 <= byte <= 0x39:
            digit = byte - 0x30
            double = 2 * digit - 9 * (digit > 4)
            if count & 1:
                even, odd = even + double, odd + digit
            else:
                even, odd = even + digit, odd + double
            head = head * 10 + digit if count < 6 else head
            count += 1
            group += 1
            i += 1
            last = i
        elif (byte == 0x20 or byte == 0x2D) and (separator == 0 or separator == byte) and i > at:
            if i + 1 >= end or not 0x30 <= load8(data, i + 1) <= 0x39 or group < 4 or group > 6:
                break
            separator, groups, group = byte, groups + 1, 0
            i += 1
        else:
            break
    if count < 13 or count > 19 or groups > 4 or (even if count & 1 else odd) % 10:
        return at
    after = class_at(data, last, begin, end, rules)
    if after & (ALNUM | LOW_LINE) or (after & (DOT | HYPHEN) and class_at(data, last + 1, begin, end, rules) & ALNUM):
        return at
    for k in range(len(rules.issuers)):
        if rules.issuers[k, 0] <= head <= rules.issuers[k, 1] and rules.issuers[k, 2] >> count & 1:
            return last
    return at


@inner
def spelled_out(data: Any, at: Any, end: Any) -> Any:
    """Whether 00 is here in the place of +."""
    return at + 2 < end and load8(data, at) == 0x30 and load8(data, at + 1) == 0x30 and load8(data, at + 2) != 0x30


@kernel(allocates=False)
def phone(data: Any, begin: Any, end: Any, at: Any, rules: Rules) -> Any:
    """A candidate with its first digit at byte `at`: first byte and one past the last; equal if there is none.

    Groups of digits, with up to three bytes of punctuation between them, as many as make a possible number.
    """
    first = at
    if first > begin and load8(data, first - 1) == 0x28:
        first -= 1
    is_international = first > begin and load8(data, first - 1) == 0x2B
    first -= is_international
    if first > begin and is_international and load8(data, first - 1) == 0x28:
        first -= 1
    before = class_at(data, first - 1, begin, end, rules)
    if before & (ALNUM | LOW_LINE) or (
        before & (DOT | HYPHEN) and class_at(data, first - 2, begin, end, rules) & ALNUM
    ):
        return at, at
    allowed = np.int64(INTERNATIONAL) if is_international else np.int64(rules.lengths)
    if not is_international and spelled_out(data, at, end):
        allowed = np.int64(INTERNATIONAL << 2)
    count, i, gap, last = 0, at, 0, at
    while i < end and count < 18:
        byte = load8(data, i)
        if 0x30 <= byte <= 0x39:
            count, gap, i = count + 1, 0, i + 1
            is_end = not class_at(data, i, begin, end, rules) & (ALNUM | LOW_LINE)
            if is_end and allowed >> count & 1:
                last = i
        elif byte == 0x20 or 0x28 <= byte <= 0x29 or 0x2D <= byte <= 0x2F:
            gap, i = gap + 1, i + 1
        elif byte == 0xC2 and i + 1 < end and load8(data, i + 1) == 0xA0:
            gap, i = gap + 1, i + 2
        elif byte == 0xE2 and i + 2 < end and load8(data, i + 1) == 0x80 and 0x90 <= load8(data, i + 2) <= 0x93:
            gap, i = gap + 1, i + 3
        else:
            break
        if gap > 3:
            break
    return (first, last) if last > at else (at, at)
