"""Personal data and secrets: where they are (`pii`), and texts without them (`redact`)."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.resources
import os
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import PlanError, nearest
from curate.operator import Columns, Mapper, Signal, Types

if TYPE_CHECKING:
    from curate.kernels.pii_rules import Found, Rules

Type = Literal["email", "ip", "phone", "iban", "card", "secret"]
TYPES: tuple[Type, ...] = ("email", "ip", "phone", "iban", "card", "secret")
CONTEXT = 32  # bytes before a number in which a word may say that it is a telephone number
CUES = re.compile(
    r"(tel|phone|fono|fone|téléphone|phon|mobil|móvil|cell?|call|fax|whatsapp|sms|text|viber|ring|handy|тел|моб|факс"
    r"|电话|電話|手机|手機|电联|传真|전화|휴대폰|फोन|هاتف|جوال|טלפון|نقال)\w*\W{0,6}$",
    re.IGNORECASE,
)
OTHERS = re.compile(r"(isbn|issn|doi|arxiv)\W*$", re.IGNORECASE)  # of other numbers
DATES = re.compile(
    r"((19|20)\d\d[-./ ](0?[1-9]|1[0-2])[-./ ](0?[1-9]|[12]\d|3[01])|(0?[1-9]|[12]\d|3[01])[-./ ]"
    r"(0?[1-9]|[12]\d|3[01])[-./ ](19|20)\d\d|(19|20)\d\d\D{1,3}(19|20)\d\d)(\D.*)?"
)


class Pii(Signal, frozen=True):
    """E-mail and IP addresses, telephone, account and card numbers, and keys: how many of each, and where.

    Account numbers (IBAN, ISO 13616) and cards (Luhn) count when their check digits are right; a domain must end in a
    suffix that the installed publicsuffixlist knows; telephone numbers are those that the installed phonenumbers
    (Google's libphonenumber) calls valid: with + or 00 from anywhere, others in one of `regions` and in groups as they
    are written there, or after a word such as "tel". Keys are those with a well-known beginning (Amazon, GitHub,
    Google, OpenAI, Slack, Stripe, ...), JSON Web Tokens, private keys in PEM, passwords in addresses.

    types      which to look for (default: all)
    regions    countries (ISO 3166, two letters) whose national telephone numbers count; empty: only international
    addresses  public: only IP addresses that are reachable from everywhere; all

    pii_email_count   e-mail addresses (0 and more)
    pii_ip_count      addresses of version 4 and 6 (0 and more); public ones of under 7 digits are versions or sections
    pii_phone_count   telephone numbers (0 and more)
    pii_iban_count    account numbers (0 and more)
    pii_card_count    numbers of credit and debit cards (0 and more)
    pii_secret_count  keys, tokens and passwords (0 and more)
    pii_count         all of them (0 and more)
    pii_ratio         bytes in them as a share of the text's (0..1); 0 for an empty text
    pii_type          what each is, in the order of the text
    pii_start         its first byte
    pii_end           one past its last byte

    Raises PlanError for a region that phonenumbers does not know.

    >>> found = Pii()("Write to ann@example.org or call +44 20 7946 0958.")
    >>> found["pii_type"], found["pii_start"], found["pii_phone_count"]
    (['email', 'phone'], [9, 33], 1)
    """

    card_section = "Personal data"

    types: tuple[Type, ...] = TYPES
    regions: tuple[str, ...] = ("US",)
    addresses: Literal["public", "all"] = "public"

    def __post_init__(self) -> None:
        _check_types(self)

    def writes(self) -> Types:
        places = {"pii_start": pa.list_(pa.int32()), "pii_end": pa.list_(pa.int32())}
        counts = {"pii_count": pa.int32(), "pii_ratio": pa.float64(), "pii_type": pa.list_(pa.string())}
        return {**_counts("pii", self.types), **counts, **places}

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), **_libraries(self.types)}

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        check_regions(self.name(), self.regions)

    def compute(self, text: pa.StringArray) -> Columns:
        from curate.kernels.pii_rules import TYPES
        from curate.kernels.text import buffers, splits

        found = find(text, self.types, self.regions, self.addresses == "public")
        _, offsets = buffers(text)
        bounds = pa.array(splits(np.bincount(found.row, minlength=len(text))).astype(np.int32))
        held = np.bincount(found.row, found.end - found.begin, len(text)) if len(text) else np.zeros(0)
        starts = offsets[:-1][found.row]
        listed = {"pii_type": pa.array(TYPES).take(pa.array(found.kind))}
        listed |= {"pii_start": pa.array(found.begin - starts, pa.int32())}
        listed |= {"pii_end": pa.array(found.end - starts, pa.int32())}
        return {
            **counted("pii", found, self.types, len(text)),
            "pii_ratio": pa.array(held / np.maximum(np.diff(offsets), 1)),
            **{name: pa.ListArray.from_arrays(bounds, values) for name, values in listed.items()},
        }


class Redact(Mapper, frozen=True):
    """Replace, hash or cut what `pii` finds (see there for what counts, and for the first three parameters).

    types      which to look for (default: all)
    regions    countries whose national telephone numbers count
    addresses  public: only IP addresses that are reachable from everywhere; all
    how        replace: the mark of its type; hash: the mark with a hash in it, so that one address keeps one name
               (`<EMAIL:718c82aa419f9652>`; lower case, without spaces and hyphens); drop: nothing
    marks      type -> what stands in its place (default: <EMAIL>, <IP>, <PHONE>, <IBAN>, <CARD>, <SECRET>)
    key        name of an environment variable with a secret that the hash depends on; without one, whoever has a list
               of numbers can find out which were hashed. The secret is never written anywhere

    text                 the text without them
    redact_email_count   e-mail addresses replaced;
    redact_ip_count      IP addresses;
    redact_phone_count   telephone numbers;
    redact_iban_count    account numbers;
    redact_card_count    card numbers;
    redact_secret_count  keys, tokens and passwords
    redact_count         all of them (0 and more)
    redact_is_changed    whether the text differs from what was read

    Raises PlanError for an unknown region and when the environment has no such key.

    >>> Redact()("Write to ann@example.org or call +44 20 7946 0958.")["text"]
    'Write to <EMAIL> or call <PHONE>.'
    >>> Redact(how="hash")("ann@example.org, ANN@example.org")["text"]
    '<EMAIL:718c82aa419f9652>, <EMAIL:718c82aa419f9652>'
    """

    card_section = "Personal data"

    types: tuple[Type, ...] = TYPES
    regions: tuple[str, ...] = ("US",)
    addresses: Literal["public", "all"] = "public"
    how: Literal["replace", "hash", "drop"] = "replace"
    marks: dict[Type, str] = {}
    key: str | None = None

    def __post_init__(self) -> None:
        _check_types(self)
        if self.marks and self.how == "drop":
            raise ValueError("marks is what stands in the place of personal data: leave it out with how: drop")
        if self.key and self.how != "hash":
            raise ValueError("key is for how: hash only")

    def writes(self) -> Types:
        counts = {**_counts("redact", self.types), "redact_count": pa.int32()}
        return {"text": pa.string(), **counts, "redact_is_changed": pa.bool_()}

    def identity(self) -> dict[str, Any]:
        """With what the secret comes to, so that another one makes another text; it cannot be told from that."""
        made = {"secret": _hash(self.name(), secret(self.key))} if self.key else {}
        return {**super().identity(), **_libraries(self.types), **made}

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        check_regions(self.name(), self.regions)
        secret(self.key)

    def compute(self, text: pa.StringArray) -> Columns:
        from curate.kernels.pii import replaced

        found = find(text, self.types, self.regions, self.addresses == "public")
        new = dropped(text, found) if self.how == "drop" else replaced(text, found, self._in_place(text, found))
        counts = counted("redact", found, self.types, len(text))
        return {"text": new, **counts, "redact_is_changed": pc.not_equal(text, new)}

    def _in_place(self, text: pa.Array, found: Found) -> pa.Array:
        """What stands in the place of each."""
        from curate.kernels.pii_rules import TYPES

        marks = [self.marks.get(name, f"<{name.upper()}>") for name in TYPES]  # type: ignore[call-overload]
        if self.how == "replace":
            return pa.array(marks, pa.string()).take(pa.array(found.kind))
        key = secret(self.key)
        hashes = (_hash(normal(what), key) for what in originals(text, found))
        named = (_with(marks[kind], digest) for kind, digest in zip(found.kind, hashes, strict=True))
        return pa.array(list(named), pa.string())


def find(text: pa.Array, types: tuple[Type, ...], regions: tuple[str, ...], is_public: bool) -> Found:
    """All there is of these types, in order and without overlaps."""
    from curate.kernels.pii import candidates
    from curate.kernels.pii_rules import PHONE, Found

    found = candidates(text, _rules(types, regions, is_public))
    is_phone = found.kind == PHONE
    if not is_phone.any():
        return found
    data, offsets = _bytes(text)
    numbers = []
    for row, begin, end in zip(*(array[is_phone].tolist() for array in found[:3]), strict=True):
        before = data[max(int(offsets[row]), begin - CONTEXT) : begin].decode(errors="ignore")
        if not OTHERS.search(before):
            places = telephones(data[begin:end].decode(), regions, CUES.search(before) is not None)
            numbers += [(row, begin + first, begin + last) for first, last in places]
    made = [np.array(column, np.int64) for column in zip(*numbers, strict=True)] or [np.zeros(0, np.int64)] * 3
    made.append(np.full(len(numbers), PHONE, np.uint8))
    merged = [np.concatenate([array[~is_phone], new]) for array, new in zip(found, made, strict=True)]
    order = np.lexsort((merged[1], merged[0]))
    return Found(*(array[order] for array in merged))


@functools.lru_cache(maxsize=1 << 15)
def telephones(written: str, regions: tuple[str, ...], has_cue: bool) -> tuple[tuple[int, int], ...]:
    """First byte and one past the last of the telephone numbers in a candidate, one after the other.

    >>> telephones("01 99 00 45 67 / 01 99 00 45 68", ("FR",), False), telephones("71 72 73 74 75", ("US",), False)
    (((0, 14), (17, 31)), ())
    """
    found, at = [], 0
    while end := telephone(written[at:], regions, has_cue):
        found.append((len(written[:at].encode()), len(written[: at + end].encode())))
        following = re.search(r"\(?\d", written[at + end :])
        if following is None:
            break
        at += end + following.start()
    return tuple(found)


def telephone(written: str, regions: tuple[str, ...], has_cue: bool) -> int:
    """Length of the telephone number that a candidate begins with (its last groups may be something else); 0: none."""
    is_spelled_out = written.startswith("00")
    plain = "+" + written[2:] if is_spelled_out else written
    is_international = plain.lstrip("(").startswith("+")
    if not is_international and DATES.fullmatch(plain):
        return 0
    for group in reversed([*re.finditer(r"\d+", plain)]):
        for region in ("ZZ",) if is_international else regions:
            if is_number(plain[: group.end()], region, is_international or has_cue):
                return group.end() + is_spelled_out
    return 0


def is_number(written: str, region: str, in_any_groups: bool) -> bool:
    """Whether phonenumbers calls it valid, and it is written as usual.

    A national number has the 0 that its country dials; where none is dialled, its groups are those of the country.
    """
    import phonenumbers

    try:
        number = phonenumbers.parse(written, region)
    except phonenumbers.NumberParseException:
        return False
    if not phonenumbers.is_valid_number(number):
        return False
    length = len(phonenumbers.national_significant_number(number))
    usual = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
    has_prefix, here = usual.lstrip("(").startswith("0"), ends_of_groups(written)
    if region != "ZZ" and has_prefix and not written.lstrip("(").startswith("0"):
        return False
    return in_any_groups or (len(here) > 1 and (has_prefix or here <= ends_of_groups(usual) | {length}))


def ends_of_groups(number: str) -> set[int]:
    """How many digits follow after each group of digits.

    >>> sorted(ends_of_groups("1 (415) 555-2671"))
    [0, 4, 7, 10]
    """
    return {sum(map(str.isdigit, number[match.end() :])) for match in re.finditer(r"\d+", number)}


def counted(prefix: str, found: Found, types: Iterable[str], rows: int) -> Columns:
    """How many of each type each row has, and of all."""
    from curate.kernels.pii_rules import TYPES

    counts = {f"{prefix}_{name}_count": found.row[found.kind == TYPES.index(name)] for name in types}
    counts[f"{prefix}_count"] = found.row
    return {name: pa.array(np.bincount(row, minlength=rows), pa.int32()) for name, row in counts.items()}


def dropped(text: pa.Array, found: Found) -> pa.Array:
    """The text without them; of two spaces around one that was cut, one stays."""
    from curate.kernels.pii import replaced
    from curate.kernels.text import buffers

    data, offsets = buffers(text)
    begins, ends = offsets[:-1][found.row], offsets[1:][found.row]
    padded = np.append(data, 0)
    after = (found.end < ends) & (padded[found.end] == 0x20)
    before = (found.begin == begins) | (padded[np.maximum(found.begin - 1, 0)] == 0x20)
    wider = found._replace(end=found.end + (after & before))
    return replaced(text, wider, pa.array([""] * len(found.row), pa.string()))


def originals(text: pa.Array, found: Found) -> Iterable[str]:
    """What was found, as strings."""
    data, _ = _bytes(text)
    return (data[begin:end].decode() for begin, end in zip(found.begin.tolist(), found.end.tolist(), strict=True))


def normal(what: str) -> str:
    """One spelling of an address or number."""
    return re.sub(r"[\s()./-]", "", what).lower() if "@" not in what else what.lower()


def secret(name: str | None) -> bytes:
    """The value of an environment variable; PlanError when it is not set."""
    if name is None:
        return b""
    if not os.environ.get(name):
        raise PlanError(f"redact: the environment variable {name} (parameter key) is not set: set it to a secret")
    return hashlib.sha256(os.environ[name].encode()).digest()


def check_regions(step: str, regions: Iterable[str]) -> None:
    """PlanError for a region that phonenumbers does not know."""
    import phonenumbers

    for region in regions:
        if region not in phonenumbers.SUPPORTED_REGIONS:
            near = nearest(region.upper(), phonenumbers.SUPPORTED_REGIONS)
            raise PlanError(f"{step}: regions: phonenumbers does not know {region!r}{near} (two capitals, ISO 3166)")


def _check_types(operator: Pii | Redact) -> None:
    if not operator.types:
        raise ValueError("types is empty: name at least one, or leave it out for all")
    ordered = tuple(name for name in TYPES if name in operator.types)
    msgspec.structs.force_setattr(operator, "types", ordered)
    msgspec.structs.force_setattr(operator, "regions", tuple(operator.regions))


def _counts(prefix: str, types: Iterable[str]) -> Types:
    return {f"{prefix}_{name}_count": pa.int32() for name in types}


@functools.lru_cache(maxsize=8)
def _rules(types: tuple[Type, ...], regions: tuple[str, ...], is_public: bool) -> Rules:
    from curate.kernels.pii_rules import rules

    lengths = {n for region in regions for n in national_lengths(region)} if "phone" in types else set()
    return rules(top_level_domains() if "email" in types else (), types, lengths, is_public)


def national_lengths(region: str) -> set[int]:
    """How many digits a number of a country may have, with or without the prefix for calls within it."""
    from phonenumbers import PhoneMetadata

    data = PhoneMetadata.metadata_for_region(region)
    if data is None:
        raise PlanError(f"phonenumbers does not know the region {region!r}")
    lengths = data.general_desc.possible_length if data.general_desc else ()
    return {n + more for n in lengths for more in (0, len(data.national_prefix or ""))}


@functools.cache
def top_level_domains() -> frozenset[str]:
    """Last labels of the Public Suffix List, in both spellings of those that are not ASCII."""
    path = importlib.resources.files("publicsuffixlist") / "public_suffix_list.dat"
    lines = path.read_text(encoding="utf-8").partition("===END ICANN DOMAINS===")[0].splitlines()
    names = {line.split()[0].rpartition(".")[2] for line in lines if line.strip() and not line.startswith("//")}
    return frozenset(names | {name.encode("idna").decode() for name in names if not name.isascii()})


def _libraries(types: Iterable[str]) -> dict[str, str]:
    used = {"email": "publicsuffixlist", "phone": "phonenumbers"}
    return {library: importlib.metadata.version(library) for name, library in used.items() if name in types}


def _hash(what: str, key: bytes) -> str:
    return hashlib.blake2b(what.encode(), key=key, digest_size=8).hexdigest()


def _with(mark: str, digest: str) -> str:
    return f"{mark[:-1]}:{digest}>" if mark.endswith(">") else f"{mark}:{digest}"


def _bytes(text: pa.Array) -> tuple[bytes, np.ndarray]:
    """The bytes of all texts as a memory of their own (they are sliced), and the offsets."""
    from curate.kernels.text import buffers

    data, offsets = buffers(text)
    return data.tobytes(), offsets
