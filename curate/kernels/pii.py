"""Where personal data and secrets are in text: candidates found 64 bytes at a time, then read byte by byte.

An @, the first digit of a number, a colon between hexadecimal digits, sixteen bytes of a token and five hyphens are all
that is looked at more closely. Telephone numbers are candidates only: `phonenumbers` decides on them elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curate.kernels.bits import ALL, BLOCK, ONE, REACH, below, load8, pii_masks, popcount, trailing_zeros, u64
from curate.kernels.jit import inner, kernel
from curate.kernels.spans import copy_bytes
from curate.kernels.text import buffers, spells, splits

# The stronger first: where two overlap, the first of these stays.
TYPES = ("secret", "iban", "card", "email", "ip", "phone")
SECRET, IBAN, CARD, EMAIL, IP, PHONE = range(len(TYPES))

# Classes of bytes.
UPPER, LOWER, DIGIT, HEX, LOW_LINE, HYPHEN, DOT, LOCAL = (1 << k for k in range(8))
ALNUM = UPPER | LOWER | DIGIT
TOKEN = ALNUM | LOW_LINE | HYPHEN

MOST_LOCAL, MOST_LABEL = 64, 63  # characters of the parts of an e-mail address (RFC 5321, RFC 1035)
MOST_PEM = 1 << 15  # bytes in which the end of a private key is looked for
MOST_PASSWORD = 128
FEWEST = 7  # digits of an address; with fewer it is a version or a section in most texts of the web
INTERNATIONAL = 0xFF80  # 7 to 15 digits, as bits
DISTINCT = 8  # different bytes in a key; fewer are a placeholder
FNV_START, FNV_PRIME = u64(0xCBF29CE484222325), u64(0x100000001B3)


class Shape(NamedTuple):
    """Keys of one kind: what they begin with, what follows (classes of bytes), and how many bytes of it."""

    prefix: str
    body: int
    least: int
    most: int


SHAPES = (
    *(Shape(prefix, UPPER | DIGIT, 16, 16) for prefix in ("AKIA", "ASIA", "ABIA", "ACCA")),  # Amazon
    *(Shape(f"gh{kind}_", ALNUM, 36, 255) for kind in "pousr"),  # GitHub
    Shape("github_pat_", ALNUM | LOW_LINE, 82, 82),
    *(Shape(prefix, TOKEN, 20, 64) for prefix in ("glpat-", "gldt-", "glrt-")),  # GitLab
    *(Shape(f"xox{kind}-", ALNUM | HYPHEN, 20, 255) for kind in "abeoprs"),  # Slack
    Shape("xapp-", ALNUM | HYPHEN, 40, 255),
    Shape("AIza", TOKEN, 35, 35),  # Google
    Shape("GOCSPX-", TOKEN, 28, 28),
    Shape("ya29.", TOKEN, 40, 1024),
    Shape("sk-ant-", TOKEN, 80, 128),  # Anthropic
    *(Shape(prefix, TOKEN, 40, 255) for prefix in ("sk-proj-", "sk-svcacct-", "sk-admin-")),  # OpenAI
    Shape("sk-or-v1-", HEX, 64, 64),
    Shape("sk-", ALNUM, 48, 48),
    *(Shape(f"{kind}_{mode}_", ALNUM, 24, 255) for kind in ("sk", "rk") for mode in ("live", "test")),  # Stripe
    Shape("whsec_", ALNUM, 32, 64),
    Shape("SK", HEX, 32, 32),  # Twilio
    Shape("SG.", TOKEN | DOT, 66, 66),  # SendGrid
    Shape("npm_", ALNUM, 36, 36),
    Shape("pypi-AgEIcHlwaS5vcmc", TOKEN, 50, 1024),
    Shape("hf_", ALNUM, 34, 40),  # Hugging Face
    Shape("dop_v1_", HEX, 64, 64),  # DigitalOcean
    *(Shape(f"shp{kind}_", HEX | UPPER, 32, 32) for kind in ("at", "ca", "pa", "ss")),  # Shopify
    Shape("key-", HEX, 32, 32),  # Mailgun
    Shape("dapi", HEX, 32, 32),  # Databricks
    Shape("dckr_pat_", TOKEN, 27, 36),  # Docker
    Shape("hvs.", TOKEN, 24, 255),  # Vault
    Shape("glsa_", ALNUM | LOW_LINE, 41, 41),  # Grafana
    Shape("lin_api_", ALNUM, 40, 40),  # Linear
    Shape("AGE-SECRET-KEY-1", UPPER | DIGIT, 58, 58),
    Shape("eyJ", TOKEN | DOT, 60, 8192),  # JSON Web Token (RFC 7519); must hold ".eyJ"
)
JWT = len(SHAPES) - 1

# Characters of an account number by country (the registry of ISO 13616).
IBAN_LENGTHS = """AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28
EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20
LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29
RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30"""

# Issuers of cards: first and last of their leading six digits, lengths allowed.
ISSUERS = (
    (400000, 499999, (13, 16, 19)),  # Visa
    (510000, 559999, (16,)),  # Mastercard
    (222100, 272099, (16,)),
    (340000, 349999, (15,)),  # American Express
    (370000, 379999, (15,)),
    (601100, 601199, (16, 19)),  # Discover
    (644000, 659999, (16, 19)),
    (352800, 358999, (16, 19)),  # JCB
    (300000, 305999, (14, 16, 19)),  # Diners Club
    (360000, 369999, (14, 16, 19)),
    (380000, 399999, (14, 16, 19)),
    (620000, 629999, (16, 17, 18, 19)),  # UnionPay
    *((prefix * 100, prefix * 100 + 99, (16, 18, 19)) for prefix in (5018, 5020, 5038, 5893, 6304, 6759, 6761, 6763)),
)

# Blocks that are not reachable from everywhere (the registry of IANA, RFC 6890 and its successors).
NOT_PUBLIC = """0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24
192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4"""

# Words after which four numbers are not an address, and passwords that are none; all in lower case.
VERSIONS = ("version", "ver.", "release", "section", "chapter", "clause", "build", "§")
PLACEHOLDERS = ("password", "passwd", "pass", "pwd", "secret", "xxx")
_FIXED = (*VERSIONS, *PLACEHOLDERS, "begin ", "private key", "-----end", "eyj")
_TEXT = np.frombuffer("".join(_FIXED).encode(), np.uint8)
_SPLITS = np.cumsum([0, *(len(text.encode()) for text in _FIXED)])
FIRST_PASSWORD, BEGIN, PRIVATE, END, HEAD = len(VERSIONS), *range(len(_FIXED) - 4, len(_FIXED))


class Rules(NamedTuple):
    """What the kernel looks up."""

    classes: np.ndarray  # uint16[256]
    top_level: np.ndarray  # uint64, ascending: hashes of top-level domains
    prefixes: np.ndarray  # uint8, of all shapes
    prefix_splits: np.ndarray  # int64[shapes + 1]
    bodies: np.ndarray  # int64[shapes, 3]: classes, least, most
    initials: np.ndarray  # bool[256], first bytes of shapes
    iban: np.ndarray  # uint8[676], length by country
    issuers: np.ndarray  # int64[issuers, 3]: first, last, lengths as bits
    blocks: np.ndarray  # int64[blocks, 2]: address, mask
    types: int  # bits: those wanted
    lengths: int  # bits: how many digits a national telephone number may have
    is_public: bool  # only addresses that are reachable from everywhere


class Found(NamedTuple):
    """Stretches of text: row, first byte and one past the last (of the buffer), type."""

    row: np.ndarray  # int64
    begin: np.ndarray  # int64
    end: np.ndarray  # int64
    kind: np.ndarray  # uint8


@cache
def _tables() -> tuple[np.ndarray, ...]:
    classes = np.zeros(256, np.uint16)
    groups = {UPPER: "ABCDEFGHIJKLMNOPQRSTUVWXYZ", LOWER: "abcdefghijklmnopqrstuvwxyz", DIGIT: "0123456789"}
    groups |= {HEX: "0123456789abcdef", LOW_LINE: "_", HYPHEN: "-", DOT: ".", LOCAL: "._%+-'"}
    for bit, members in groups.items():
        classes[[*members.encode()]] |= bit
    classes[(classes & ALNUM) != 0] |= LOCAL
    bodies = np.array([shape[1:] for shape in SHAPES], np.int64)
    initials = np.zeros(256, bool)
    initials[[ord(shape.prefix[0]) for shape in SHAPES]] = True
    iban = np.zeros(676, np.uint8)
    for word in IBAN_LENGTHS.split():
        iban[(ord(word[0]) - 65) * 26 + ord(word[1]) - 65] = int(word[2:])
    issuers = np.array([(first, last, sum(1 << n for n in lengths)) for first, last, lengths in ISSUERS], np.int64)
    prefixes = np.frombuffer("".join(shape.prefix for shape in SHAPES).encode(), np.uint8)
    splits = np.cumsum([0, *(len(shape.prefix) for shape in SHAPES)])
    return classes, prefixes, splits, bodies, initials, iban, issuers, _blocks()


def _blocks() -> np.ndarray:
    blocks = []
    for block in NOT_PUBLIC.split():
        address, _, bits = block.partition("/")
        number = sum(int(part) << shift for part, shift in zip(address.split("."), (24, 16, 8, 0), strict=True))
        blocks.append((number, 0xFFFFFFFF << (32 - int(bits)) & 0xFFFFFFFF))
    return np.array(blocks, np.int64)


def rules(top_level: Iterable[str], types: Iterable[str], lengths: Iterable[int], is_public: bool) -> Rules:
    """The rules for the types wanted (TYPES), with the top-level domains that count and national lengths."""
    classes, prefixes, splits, bodies, initials, iban, issuers, blocks = _tables()
    hashes = np.array(sorted({fnv(name.encode()) for name in top_level}), np.uint64)
    wanted = sum(1 << TYPES.index(name) for name in types)
    counts = sum(1 << length for length in {*lengths})
    numbers = wanted, counts, is_public
    return Rules(classes, hashes, prefixes, splits, bodies, initials, iban, issuers, blocks, *numbers)


def fnv(name: bytes) -> int:
    """FNV-1a, 64 bits."""
    value = int(FNV_START)
    for byte in name:
        value = (value ^ byte) * int(FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
    return value


def candidates(text: pa.StringArray, rules: Rules) -> Found:
    """Everything found, by row and first byte, without overlaps; telephone numbers are only candidates.

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
def add(out: Found, size: Any, row: Any, begin: Any, end: Any, kind: Any) -> Any:
    """Write it down where there is room; returns the new size."""
    if size < len(out.row):
        out.row[size], out.begin[size], out.end[size], out.kind[size] = row, begin, end, kind
    return size + 1


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
        pad[:] = 0
        for k in range(len(data) - i):
            pad[k] = data[i + k]
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


@inner
def class_at(data: Any, i: Any, begin: Any, end: Any, rules: Rules) -> Any:
    """The classes of a byte; 0 outside the document."""
    return np.int64(rules.classes[load8(data, i)]) if begin <= i < end else np.int64(0)


@inner
def fixed(data: Any, i: Any, end: Any, k: Any) -> Any:
    """Whether the k-th fixed text is at byte i, whatever the case of its letters."""
    return spells(data, i, end, _TEXT, _SPLITS[k], _SPLITS[k + 1])


# ---------------------------------------------------------------- e-mail, and passwords in addresses


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


# ---------------------------------------------------------------- keys


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


# ---------------------------------------------------------------- addresses of machines


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


# ---------------------------------------------------------------- numbers


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


# ---------------------------------------------------------------- another text in their place


def replaced(text: pa.StringArray, found: Found, new: pa.StringArray) -> pa.StringArray:
    """The texts with `new[k]` in the place of the k-th stretch (in order, without overlaps).

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
