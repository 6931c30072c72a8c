"""What personal data and secrets look like: shapes of keys, lengths of account numbers, issuers of cards; and what the
kernels that look for them share."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from curate.kernels.bits import load8, u64
from curate.kernels.jit import inner
from curate.kernels.text import spells

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


@inner
def add(out: Found, size: Any, row: Any, begin: Any, end: Any, kind: Any) -> Any:
    """Write it down where there is room; returns the new size."""
    if size < len(out.row):
        out.row[size], out.begin[size], out.end[size], out.kind[size] = row, begin, end, kind
    return size + 1


@inner
def class_at(data: Any, i: Any, begin: Any, end: Any, rules: Rules) -> Any:
    """The classes of a byte; 0 outside the document."""
    return np.int64(rules.classes[load8(data, i)]) if begin <= i < end else np.int64(0)


@inner
def fixed(data: Any, i: Any, end: Any, k: Any) -> Any:
    """Whether the k-th fixed text is at byte i, whatever the case of its letters."""
    return spells(data, i, end, _TEXT, _SPLITS[k], _SPLITS[k + 1])
