"""E-mail addresses, passwords in the addresses of machines, and those addresses."""

from __future__ import annotations

from typing import Any

import numpy as np

from curate.kernels.bits import load8, u64
from curate.kernels.jit import inner, kernel
from curate.kernels.pii_rules import (
    _SPLITS,
    ALNUM,
    DIGIT,
    DOT,
    EMAIL,
    FEWEST,
    FIRST_PASSWORD,
    FNV_PRIME,
    FNV_START,
    HYPHEN,
    IP,
    LOCAL,
    LOW_LINE,
    MOST_LABEL,
    MOST_LOCAL,
    MOST_PASSWORD,
    PLACEHOLDERS,
    SECRET,
    TOKEN,
    Found,
    Rules,
    add,
    class_at,
    fixed,
)


@inner
def is_letter_of_two(first: Any, second: Any) -> Any:
    """Whether two bytes are a letter of Latin, Greek or Cyrillic beyond ASCII."""
    is_letter = 0xC3 <= first <= 0xCA or 0xCE <= first <= 0xD4
    return is_letter and 0x80 <= second < 0xC0 and not (first == 0xC3 and (second == 0x97 or second == 0xB7))


@kernel(allocates=False)
def at_sign(data: Any, begin: Any, end: Any, at: Any, row: Any, rules: Rules, out: Found, size: Any) -> Any:
    """What an @ is part of."""
    first, last = password(data, begin, at)
    if last > first:
        return add(out, size, row, first, last, SECRET) if rules.types >> SECRET & 1 else size
    if last < at:  # a placeholder
        return size
    if rules.types >> EMAIL & 1:
        last = domain(data, at + 1, end, rules)
        first = local_part(data, begin, at, rules) if last > 0 else at
        if first < at:
            return add(out, size, row, first, last, EMAIL)
    return size


@kernel(allocates=False)
def local_part(data: Any, begin: Any, at: Any, rules: Rules) -> Any:
    """Where the part before the @ begins; `at` if there is none."""
    first = at
    while first > begin:
        byte = load8(data, first - 1)
        if rules.classes[byte] & LOCAL:
            if byte == 0x2E and load8(data, first) == 0x2E:
                break
            first -= 1
        elif first - 1 > begin and is_letter_of_two(load8(data, first - 2), byte):
            first -= 2
        else:
            break
        if at - first > MOST_LOCAL:
            return at
    if first < at and load8(data, at - 1) == 0x2E:
        return at
    while first < at and load8(data, first) < 0x80 and not rules.classes[load8(data, first)] & (ALNUM | LOW_LINE):
        first += 1
    return first


@kernel(allocates=False)
def domain(data: Any, i: Any, end: Any, rules: Rules) -> Any:
    """One past the longest domain at byte i whose last label is a top-level domain; -1 if there is none."""
    found, labels = -1, 0
    while True:
        label, key = i, FNV_START
        while i < end and i - label <= MOST_LABEL:
            byte = load8(data, i)
            if byte >= 0x80:
                if i + 1 >= end or not is_letter_of_two(byte, load8(data, i + 1)):
                    break
                key = (key ^ u64(byte)) * FNV_PRIME
                i += 1
                byte = load8(data, i)
            elif not rules.classes[byte] & (ALNUM | HYPHEN):
                break
            key = (key ^ u64(byte | (0x41 <= byte <= 0x5A) << 5)) * FNV_PRIME
            i += 1
        if i == label or i - label > MOST_LABEL or load8(data, label) == 0x2D:
            return found
        if labels and is_member(rules.top_level, key):
            found = i
        labels += 1
        if i >= end or load8(data, i) != 0x2E or load8(data, i - 1) == 0x2D:
            return found
        i += 1


@inner
def is_member(keys: Any, key: Any) -> Any:
    low, high = 0, len(keys)
    while low < high:
        middle = (low + high) // 2
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low < len(keys) and keys[low] == key


@kernel(allocates=False)
def password(data: Any, begin: Any, at: Any) -> Any:
    """First byte and one past the last of the password in `scheme://user:password@`: (at, at) for no such address,
    (0, 0) for one with a placeholder instead."""
    i, colon = at - 1, -1
    while i >= begin and at - i <= MOST_PASSWORD:
        byte = load8(data, i)
        if byte <= 0x20 or byte == 0x22 or byte == 0x27 or byte == 0x3C or byte == 0x3E or byte == 0x40:
            return at, at
        if byte == 0x2F:
            break
        if byte == 0x3A:
            colon = i
        i -= 1
    is_address = i - 2 >= begin and load8(data, i) == 0x2F and load8(data, i - 1) == 0x2F and load8(data, i - 2) == 0x3A
    if not is_address or colon < 0 or at - colon < 4:
        return at, at
    byte = load8(data, colon + 1)
    if byte == 0x24 or byte == 0x25 or byte == 0x2A or byte == 0x5B or byte == 0x7B:  # a variable or a mask
        return np.int64(0), np.int64(0)
    for k in range(FIRST_PASSWORD, FIRST_PASSWORD + len(PLACEHOLDERS)):
        if at - colon - 1 == _SPLITS[k + 1] - _SPLITS[k] and fixed(data, colon + 1, at, k):
            return np.int64(0), np.int64(0)
    return colon + 1, at


@inner
def octets(data: Any, i: Any, end: Any) -> Any:
    """Four numbers up to 255 with full stops between them: the address (-1: not there), its end, digits."""
    address, digits, at = np.int64(0), 0, i
    for k in range(4):
        number, length = np.int64(0), 0
        while i < end and length < 4 and 0x30 <= load8(data, i) <= 0x39:
            number = number * 10 + load8(data, i) - 0x30
            length += 1
            i += 1
        if length == 0 or length > 3 or number > 255 or (length > 1 and load8(data, i - length) == 0x30):
            return np.int64(-1), at, 0
        address, digits = address << 8 | number, digits + length
        if k < 3:
            if i >= end or load8(data, i) != 0x2E:
                return np.int64(-1), at, 0
            i += 1
    return address, i, digits


@kernel(allocates=False)
def ip_v4(data: Any, begin: Any, end: Any, at: Any, rules: Rules) -> Any:
    """One past an address at byte `at`; `at` if there is none, or only a version or section."""
    before = class_at(data, at - 1, begin, end, rules)
    if before & LOW_LINE or (before & (DOT | HYPHEN) and class_at(data, at - 2, begin, end, rules) & ALNUM):
        return at
    address, i, digits = octets(data, at, end)
    if address < 0:
        return at
    after, beyond = class_at(data, i, begin, end, rules), class_at(data, i + 1, begin, end, rules)
    if after & (ALNUM | LOW_LINE) or (after & DOT and beyond & DIGIT) or (after & HYPHEN and beyond & ALNUM):
        return at
    is_public = True
    for k in range(len(rules.blocks)):
        is_public &= address & rules.blocks[k, 1] != rules.blocks[k, 0]
    if (is_public and digits < FEWEST) or (rules.is_public and not is_public):
        return at
    word = at
    while word > begin and load8(data, word - 1) == 0x20:
        word -= 1
    for k in range(FIRST_PASSWORD):
        first = word - (_SPLITS[k + 1] - _SPLITS[k])
        if first >= begin and fixed(data, first, word, k):
            return at
    return i


@kernel(allocates=False)
def colon(data: Any, begin: Any, end: Any, at: Any, row: Any, rules: Rules, out: Found, size: Any) -> Any:
    """The address of version 6 whose first colon this is, if there is one; also returns where to go on."""
    first = at
    while first > begin and at - first < 5 and is_hex(load8(data, first - 1)):
        first -= 1
    before = class_at(data, first - 1, begin, end, rules)
    is_inside = at - first > 4 or before & (TOKEN | DOT) or (first > begin and load8(data, first - 1) == 0x3A)
    if is_inside or not rules.types >> IP & 1:
        return size, at + 1
    is_whole, last, head, second = ip_v6(data, first, end)
    after = class_at(data, last, begin, end, rules)
    if not is_whole or after & (ALNUM | LOW_LINE) or (last < end and load8(data, last) == 0x3A):
        return size, max(last, at + 1)
    is_public = 0x2000 <= head < 0x3FFF and not (head == 0x2001 and second == 0x0DB8)
    return (add(out, size, row, first, last, IP) if is_public or not rules.is_public else size), last


@kernel(allocates=False)
def ip_v6(data: Any, i: Any, end: Any) -> Any:
    """Whether groups of hexadecimal digits make an address, one past the last, and the first two groups."""
    groups, gap, head, second, has_digit, last = 0, -1, np.int64(-1), np.int64(0), False, i
    if load8(data, i) == 0x3A:
        if i + 1 >= end or load8(data, i + 1) != 0x3A:
            return False, i, head, second
        gap, head, i = 0, np.int64(0), i + 2
    while i < end:
        value, length = np.int64(0), 0
        while i < end and length < 5 and is_hex(load8(data, i)):
            byte = load8(data, i)
            has_digit |= byte <= 0x39
            value = value << 4 | (byte - 0x30 if byte <= 0x39 else (byte | 0x20) - 0x57)
            length, i = length + 1, i + 1
        if length == 0 or length > 4:
            break
        if i < end and load8(data, i) == 0x2E:
            tail, stop, _ = octets(data, i - length, end)
            if tail >= 0:
                groups, last = groups + 2, stop
                break
        head = value if head < 0 else head
        second = value if groups == 1 and gap < 0 else second
        groups, last = groups + 1, i
        if i + 1 >= end or load8(data, i) != 0x3A:
            break
        if load8(data, i + 1) == 0x3A:
            if gap >= 0:
                break
            gap, last, i = groups, i + 2, i + 2
        elif is_hex(load8(data, i + 1)):
            i += 1
        else:
            break
    return has_digit and (groups == 8 if gap < 0 else 1 <= groups <= 7), last, head, second


@inner
def is_hex(byte: Any) -> Any:
    return 0x30 <= byte <= 0x39 or 0x61 <= byte | 0x20 <= 0x66
