"""Candidates for personal data: numbers made here with right and wrong check digits, at every place of a block."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.pii import candidates
from curate.kernels.pii_rules import IBAN_LENGTHS, ISSUERS, TYPES, rules
from curate.kernels.text import buffers

ALL = rules(["org", "com", "рф"], TYPES, [10, 11], False)
PUBLIC = rules(["org"], ["ip"], [], True)
LENGTHS = {word[:2]: int(word[2:]) for word in IBAN_LENGTHS.split()}


def found(texts: Sequence[str], how: object = ALL) -> list[list[tuple[str, str]]]:
    """(type, what) of each text."""
    array = pa.array(texts, pa.string())
    data, _ = buffers(array)
    made: list[list[tuple[str, str]]] = [[] for _ in texts]
    for row, begin, end, kind in zip(*candidates(array, how), strict=True):  # type: ignore[arg-type]
        made[row].append((TYPES[kind], bytes(data[begin:end]).decode()))
    return made


def luhn(digits: str) -> bool:
    """As ISO 7812 has it, from the right."""
    total = 0
    for k, char in enumerate(reversed(digits)):
        value = int(char) * (1 + k % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def mod_97(account: str) -> int:
    return int("".join(str(int(char, 36)) for char in account[4:] + account[:4])) % 97


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(ISSUERS), st.randoms(use_true_random=False), st.sampled_from(["", " ", "-"]))
def test_a_card_is_what_has_an_issuer_a_length_and_the_check_digit(
    issuer, chance: random.Random, separator: str
) -> None:
    first, last, lengths = issuer
    size = chance.choice(lengths)
    body = str(chance.randint(first, last)) + "".join(chance.choices("0123456789", k=size - 7))
    check = next(digit for digit in "0123456789" if luhn(body + digit))
    good, bad = body + check, body + str((int(check) + 1) % 10)
    grouped = [separator.join(number[at : at + 4] for at in range(0, size, 4)) for number in (good, bad)]
    kinds = [[kind for kind, _ in row if kind != "phone"] for row in found([f"no. {number}, ok" for number in grouped])]
    assert kinds == [["card"], []]


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(sorted(LENGTHS)), st.randoms(use_true_random=False), st.booleans())
def test_an_account_has_the_length_and_the_check_digits(country: str, chance: random.Random, spaced: bool) -> None:
    body = "".join(chance.choices("0123456789ABCXYZ", k=LENGTHS[country] - 4))
    good = next(f"{country}{n:02d}{body}" for n in range(2, 99) if mod_97(f"{country}{n:02d}{body}") == 1)
    bad = next(good[:-1] + digit for digit in "12" if mod_97(good[:-1] + digit) != 1)
    shown = [" ".join(text[at : at + 4] for at in range(0, len(text), 4)) if spaced else text for text in (good, bad)]
    right, wrong = found([f"to {text}." for text in shown])
    assert ("iban", shown[0]) in right
    assert "iban" not in [kind for kind, _ in wrong]


@settings(deadline=None, max_examples=500)
@given(st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address))
def test_an_address_of_version_4_is_public_by_the_registry(address: ipaddress.IPv4Address) -> None:
    text = str(address)
    special = address.is_multicast or not address.is_global or address in ipaddress.ip_network("192.88.99.0/24")
    special |= address in ipaddress.ip_network("192.0.0.0/24")
    is_long = len(text) - 3 >= 7
    assert found([f"at {text}, port 80"], PUBLIC) == [[("ip", text)] if is_long and not special else []]
    assert ("ip" in [kind for kind, _ in found([f"({text})"])[0]]) == (is_long or special)


@settings(deadline=None, max_examples=500)
@given(
    st.lists(st.sampled_from([0, 0, 0, 1, 0xDB8, 0xFFFF]) | st.integers(0, 0xFFFF), min_size=8, max_size=8),
    st.booleans(),
)
def test_every_spelling_of_an_address_of_version_6(parts: list[int], upper: bool) -> None:
    parts[0] = parts[0] % 0x1000 | 0x2000
    address = ipaddress.IPv6Address(b"".join(part.to_bytes(2, "big") for part in parts))
    for text in (str(address), address.exploded):
        text = text.upper() if upper else text
        is_example = address in ipaddress.ip_network("2001:db8::/32")
        assert found([f"[{text}]:80"], PUBLIC) == [[] if is_example else [("ip", text)]]


NO_ADDRESSES = """1.2.3 256.100.100.100 100.100.100.1000 1.100.100.100.100 v100.100.100.100 01.100.100.100 a::b 12:30:45
1:2:3:4:5:6:7 1:2:3:4:5:6:7:8:9 :: 1::2::3 12345::1 x::1 ::1x"""


@pytest.mark.parametrize("text", NO_ADDRESSES.split())
def test_what_is_no_address(text: str) -> None:
    assert [kind for kind, _ in found([f"so {text} is"])[0] if kind != "phone"] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<a.b-c@x.y-z.org>", "a.b-c@x.y-z.org"),
        ("-a@b.org.", "a@b.org"),
        ("a@b.org.Then", "a@b.org"),
        ("я@ё.рф", "я@ё.рф"),
        ("邮箱a@b.org。", "a@b.org"),
        ("A_1@B.ORG", "A_1@B.ORG"),
        ("a..b@c.org", "b@c.org"),
        ("a.@c.org", None),
        ("@c.org", None),
        ("a@c.png", None),
        ("a@org", None),
        ("a@-c.org", None),
        ("a@c-.org", None),
        ("a" * 65 + "@c.org", None),
        ("a@" + "c" * 64 + ".org", None),
        ("a@" + "c" * 63 + ".org", "a@" + "c" * 63 + ".org"),
    ],
)
def test_e_mail(text: str, expected: str | None) -> None:
    assert found([text]) == [[("email", expected)] if expected else []]


PIECES = ["a.b@example.org", "93.184.216.34", "2606:4700:4700::1111", "DE89 3704 0044 0532 0130 00", "4111111111111111"]
PIECES += ["AKIA" + "QWERTYUIOPASDFGH", "+1 202 555 0143", "-----BEGIN PRIVATE KEY-----\nab\n-----END PRIVATE KEY-----"]
PIECES += ["ftp://me:k3y-k3y@example.org", "123456789:" + "Ab3-" * 8 + "xyz", "ghp_" + "a1B2c3D4e5F6" * 3]


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.sampled_from(PIECES) | st.text("ab é7邮 .\n", max_size=70), max_size=8).map(" | ".join),
    st.integers(0, 70),
)
def test_the_place_in_a_block_or_batch_does_not_matter(parts: list[str], shift: int) -> None:
    text = " | ".join(parts)
    alone = found([text])[0]
    assert [kind for kind, _ in alone if kind != "phone"] or not any(piece in text for piece in PIECES[:6])
    assert found([" " * shift + text])[0] == alone
    assert found(["x" * shift, text, "", text]) == [[], alone, [], alone]
    assert found(["ab " * 30, text])[1] == alone


def test_what_overlaps_is_said_once() -> None:
    assert found(["https://me:4111111111111111@b.org"]) == [[("secret", "4111111111111111")]]
    assert [kind for kind, _ in found(["4111 1111 1111 1111"])[0]] == ["card"]


def test_more_than_there_is_room_for() -> None:
    assert len(found(["a@b.org " * 5000])[0]) == 5000


def test_a_token_without_end_takes_no_longer_than_its_length() -> None:
    assert found(["sk-" + "a-" * 100_000 + "ghp_" * 10_000]) == [[]]
