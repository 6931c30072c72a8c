"""MinHash signatures equal datasketch's, and estimate what they should."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.lexer import lex
from curate.kernels.minhash import EMPTY, band_keys, estimate, permutations, shingles, signatures
from tests.kernels.twins import digest, normal, repetitive

WRAP = 2**64 - 1


def _shingles(document, ngram):
    """The hashes of a document's n-grams, in plain Python."""
    words = [digest(form.encode()) for word in document.split() if (form := normal(word))]
    hashes = []
    for i in range(len(words) - ngram + 1):
        h = 0
        for word in words[i : i + ngram]:
            h = (h * 0x9E3779B97F4A7C15 + word) & WRAP
        hashes.append(((h ^ h >> 32) * 0xD6E8FEB86659FD93 & WRAP) >> 32)
    return hashes


@settings(max_examples=80, deadline=None)
@given(st.lists(repetitive.map("".join), max_size=3), st.integers(1, 6))
def test_shingles_agree_with_python(documents, ngram):
    hashes, splits = shingles(lex(pa.array(documents, pa.string())), ngram)
    expected = [_shingles(document, ngram) for document in documents]
    assert hashes.tolist() == [h for document in expected for h in document]
    assert np.diff(splits).tolist() == [*map(len, expected)]


@pytest.mark.parametrize(("slots", "seed"), [(128, 1), (112, 42), (1, 7)])
def test_permutations_are_those_of_datasketch(slots, seed):
    datasketch = pytest.importorskip("datasketch", minversion="2.0")
    words = [f"word{k}" for k in np.random.default_rng(0).integers(0, 900, 6000)]
    documents = [" ".join(words[begin:end]) for begin, end in ((0, 4), (0, 5), (5, 300), (300, 6000))]
    lexed = lex(pa.array(documents))
    values, counts = signatures(lexed, slots=slots, seed=seed)
    hashes, splits = shingles(lexed)
    for d in range(len(documents)):
        theirs = datasketch.MinHash(slots, seed, hashfunc=int, scheme="affine32")
        theirs.update_batch(hashes[splits[d] : splits[d + 1]].tolist() or [])
        assert values[d].tolist() == theirs.hashvalues.tolist()
    assert counts.tolist() == [0, 1, 291, 5696]
    assert (values[0] == EMPTY).all()
    assert (permutations(slots, seed)[0] % 2 == 1).all()


def test_estimate_is_unbiased():
    random = np.random.default_rng(5)
    documents, truth = [], []
    for _ in range(400):
        words = random.integers(0, 5000, 200)
        other = words.copy()
        other[random.integers(0, 200, random.integers(0, 30))] = random.integers(5000, 9999)
        pair = [" ".join(f"w{k}" for k in each) for each in (words, other)]
        sets = [set(_shingles(document, 5)) for document in pair]
        truth.append(len(sets[0] & sets[1]) / len(sets[0] | sets[1]))
        documents += pair
    values, _ = signatures(lex(pa.array(documents)), slots=128)
    error = estimate(values[::2], values[1::2]) - np.array(truth)
    spread = np.sqrt(np.mean([j * (1 - j) / 128 for j in truth]))
    assert 0.2 < np.mean(truth) < 0.8
    assert abs(error.mean()) < 4 * spread / 20  # four standard errors of the mean of 400
    assert error.std() == pytest.approx(spread, rel=0.2)


def test_normalisation_decides_and_not_the_spelling():
    values, _ = signatures(lex(pa.array(["A b, c - d E!", "a  B\nc d\te"])))
    assert (values[0] == values[1]).all()


def test_band_keys():
    random = np.random.default_rng(1)
    values = random.integers(0, 2**32, (500, 128), np.uint32)
    values[1] = values[0]
    values[1, 13] += np.uint32(1)
    keys = band_keys(values, 9, 13)
    assert keys.shape == (9, 500) and keys.dtype == np.uint64
    assert (keys[:, 0] == keys[:, 1]).tolist() == [True, False, *[True] * 7]
    assert len(np.unique(keys)) == 9 * 500 - 8
    assert (
        band_keys(np.zeros((1, 128), np.uint32), 9, 13)[0] != band_keys(np.zeros((1, 128), np.uint32), 9, 13)[1]
    ).all()
    assert (band_keys(np.asfortranarray(values), 9, 13) == keys).all()
    assert band_keys(values[:0], 9, 13).shape == (9, 0)


def test_wrong_sizes_are_refused():
    values = np.zeros((2, 100), np.uint32)
    with pytest.raises(ValueError, match="need 117 slots, the signatures have 100"):
        band_keys(values, 9, 13)
    with pytest.raises(ValueError, match="row by row"):
        estimate(values, values[:1])
    with pytest.raises(ValueError, match="at least 1"):
        signatures(lex(pa.array(["a"])), ngram=0)
