"""Shingles agree with a plain-Python twin for every unit and normal text."""

import unicodedata
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.lexer import lex
from curate.kernels.shingles import NORMAL, UNITS, shingle_sets
from tests.kernels.twins import PIECES, digest, fold, normal, repetitive, texts

WRAP = 2**64 - 1
documents = st.lists(repetitive.map("".join) | texts, max_size=3)


def units(document: str, unit: str, normalise: str) -> list[str]:
    """The words or characters of a document's normal text."""
    if unit == "characters" and normalise == "none":
        return list(document)
    forms: dict[str, Callable[[str], str]] = {"plain": normal, "folded": fold, "none": str}
    words = [made for word in document.split() if (made := forms[normalise](word))]
    return words if unit == "words" else list(" ".join(words))


def unit_hash(part: str, unit: str) -> int:
    return ord(part) if unit == "characters" else digest(part.encode())


def shingle_hash(parts: list[str], unit: str) -> int:
    h = 0
    for part in parts:
        h = (h * 0x9E3779B97F4A7C15 + unit_hash(part, unit)) & WRAP
    return (h ^ h >> 32) * 0xD6E8FEB86659FD93 & WRAP


def expected_set(document: str, unit: str, ngram: int, normalise: str) -> list[int]:
    parts = units(document, unit, normalise)
    if len(parts) < ngram:
        whole = document if normalise == "none" else unicodedata.normalize("NFD", " ".join(document.lower().split()))
        h = xxhash.xxh3_128_intdigest(whole.encode())
        return [h >> 64 ^ h & WRAP]
    return sorted({shingle_hash(parts[i : i + ngram], unit) for i in range(len(parts) - ngram + 1)})


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("normalise", NORMAL)
@settings(max_examples=60, deadline=None)
@given(documents, st.integers(1, 6))
def test_sets_agree_with_python(unit, normalise, documents, ngram):
    values, splits = shingle_sets(pa.array(documents, pa.string()), unit, ngram, normalise)
    found = [values[a:b].tolist() for a, b in pairwise(splits)]
    assert found == [expected_set(document, unit, ngram, normalise) for document in documents]


@settings(max_examples=60, deadline=None)
@given(texts)
def test_words_have_the_hashes_of_the_lexer(document):
    values, _ = shingle_sets(pa.array([document]), ngram=1)
    words = lex(pa.array([document])).words
    hashes = words.hash[words.normal_characters > 0].tolist()
    mixed = {(h ^ h >> 32) * 0xD6E8FEB86659FD93 & WRAP for h in hashes}
    assert not mixed or set(values.tolist()) == mixed


@pytest.mark.parametrize("unit", UNITS)
def test_wrapped_again_is_the_same(unit):
    spaces = [piece for piece in PIECES if piece.isspace()]
    words = ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog", "again"]
    wrapped = [space.join(words) for space in spaces] + [" \n".join(words) + "\u3000"]
    values, splits = shingle_sets(pa.array(wrapped), unit, ngram=4)
    assert len({tuple(values[a:b]) for a, b in pairwise(splits)}) == 1


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("normalise", NORMAL)
def test_short_documents_are_the_same_only_when_they_are(unit, normalise):
    short = pa.array(["", "a", "b", "...", "!!!", "a b", "a-b", "a.b", "ab"])
    values, splits = shingle_sets(short, unit, ngram=9, normalise=normalise)
    assert np.diff(splits).tolist() == [1] * len(short)
    assert len(set(values.tolist())) == len(short)


def test_slices_nulls_and_no_documents():
    whole = pa.array(["x", "a b c d e f", None, "g h i j k"])
    part = shingle_sets(whole[1:])
    assert np.diff(part.splits).tolist() == [2, 1, 1]
    assert part.values.tolist() == shingle_sets(whole).values[1:].tolist()
    assert shingle_sets(pa.array([], pa.string())).splits.tolist() == [0]


def test_what_does_not_exist_is_refused():
    for wrong in ({"unit": "lines"}, {"normalise": "NFC"}, {"ngram": 0}):
        with pytest.raises(ValueError, match=r"no shingles|at least one"):
            shingle_sets(pa.array(["a"]), **wrong)
