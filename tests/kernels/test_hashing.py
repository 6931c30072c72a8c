"""XXH3-128 agrees with the xxhash package for inputs of every length."""

import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.hashing import normalised_hash, xxh3_128
from tests.kernels.twins import texts

xxhash = pytest.importorskip("xxhash")


def _pairs(halves):
    low, high = halves
    return [(int(second) << 64) | int(first) for first, second in zip(low, high, strict=True)]


def _expected(documents):
    return [xxhash.xxh3_128_intdigest(document.encode()) for document in documents]


def test_every_length_class():
    """0, 1-3, 4-8, 9-16, 17-128, 129-240 and beyond: with and without the end of a stripe and of a block."""
    text = "".join(chr(33 + (k * k + 7 * k) % 90) for k in range(4200))
    documents = [text[k : k + size] for k, size in enumerate((*range(530), *range(1000, 1100), 2047, 2048, 2049, 4096))]
    assert _pairs(xxh3_128(pa.array(documents))) == _expected(documents)


@settings(max_examples=150, deadline=None)
@given(st.lists(texts | st.text(max_size=300), max_size=4), st.integers(0, 2))
def test_hash_agrees_with_xxhash(documents, begin):
    array = pa.array(documents, pa.string())
    assert _pairs(xxh3_128(array)) == _expected(documents)
    assert _pairs(xxh3_128(array[begin:])) == _expected(documents[begin:])


@settings(max_examples=200, deadline=None)
@given(st.lists(texts, max_size=3))
def test_normalised_hash_is_that_of_the_normalised_text(documents):
    normalised = [unicodedata.normalize("NFD", " ".join(document.lower().split())) for document in documents]
    assert _pairs(normalised_hash(pa.array(documents, pa.string()))) == _expected(normalised)


def test_what_is_the_same_and_what_is_not():
    same = ["The  Café\n", " the cafe\u0301", "THE\u3000CAFÉ"]
    assert len({*_pairs(normalised_hash(pa.array(same)))}) == 1
    apart = ["{ } ;", "( ) ;", "{};", "a b", "ab", "a.b", ""]
    assert len({*_pairs(normalised_hash(pa.array(apart)))}) == len(apart)


def test_ten_megabytes():
    document = "Straße, " * 1_200_000
    assert _pairs(xxh3_128(pa.array([document]))) == _expected([document])
    assert _pairs(normalised_hash(pa.array([document, "x"]))) == _expected([document.lower().strip(), "x"])
