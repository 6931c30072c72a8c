"""MinHash signatures equal datasketch's, and estimate what they should."""

import hashlib

import datasketch
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.minhash import (
    BLOCK,
    EMPTY,
    HASHES,
    SCHEMES,
    band_keys,
    estimate,
    permutations,
    shingle_hashes,
    signatures,
)
from curate.kernels.shingles import NORMAL, UNITS
from tests.kernels.test_shingles import shingle_hash, units
from tests.kernels.twins import repetitive, texts

WORDS = [f"word{k}" for k in np.random.default_rng(0).integers(0, 900, 6000)]
DOCUMENTS = [" ".join(WORDS[begin:end]) for begin, end in ((0, 4), (0, 5), (5, 300), (300, 6000))]
DOCUMENTS += ["Ein größerer Text, mit Zeichen aus aller Welt: 日本語, русский — und " + "l" * 200 + "anges."]


def strings(document: str, unit: str, ngram: int, normalise: str) -> list[str]:
    """The shingles of a document as text, in plain Python."""
    parts, space = units(document, unit, normalise), " " if unit == "words" else ""
    return [space.join(parts[i : i + ngram]) for i in range(len(parts) - ngram + 1)]


def expected_hashes(document: str, unit: str, ngram: int, normalise: str, hash: str) -> list[int]:
    if hash == "sha1":
        return [datasketch.sha1_hash32(text.encode()) for text in strings(document, unit, ngram, normalise)]
    parts = units(document, unit, normalise)
    return [shingle_hash(parts[i : i + ngram], unit) >> 32 for i in range(len(parts) - ngram + 1)]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("normalise", NORMAL)
@pytest.mark.parametrize("hash", HASHES)
@settings(max_examples=40, deadline=None)
@given(st.lists(repetitive.map("".join) | texts, max_size=3), st.integers(1, 6))
def test_shingle_hashes_agree_with_python(unit, normalise, hash, documents, ngram):
    hashes, splits = shingle_hashes(pa.array(documents, pa.string()), unit, ngram, normalise, hash)
    expected = [expected_hashes(document, unit, ngram, normalise, hash) for document in documents]
    assert hashes.tolist() == [h for document in expected for h in document]
    assert np.diff(splits).tolist() == [*map(len, expected)]


def test_sha1_of_every_length():
    lengths = [*range(1, 200), 247, 248, 300, 5000]
    hashes, _ = shingle_hashes(pa.array(["x" * n for n in lengths]), ngram=1, hash="sha1")
    assert hashes.tolist() == [datasketch.sha1_hash32(b"x" * n) for n in lengths]
    together, _ = shingle_hashes(pa.array([" ".join("x" * n for n in lengths)]), ngram=1, hash="sha1")
    assert together.tolist() == hashes.tolist()


@pytest.mark.parametrize(("slots", "seed"), [(128, 1), (112, 42), (1, 7)])
@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_signatures_are_those_of_datasketch(scheme, unit, slots, seed):
    """Its own hash function and its own permutations, given the same shingles as text."""
    values, counts = signatures(pa.array(DOCUMENTS), unit, hash="sha1", scheme=scheme, slots=slots, seed=seed)
    for row, document in zip(values, DOCUMENTS, strict=True):
        theirs = datasketch.MinHash(slots, seed, scheme=scheme)
        theirs.update_batch(text.encode() for text in strings(document, unit, 5, "plain"))
        assert row.tolist() == theirs.hashvalues.tolist()
    assert counts.tolist() == [len(strings(document, unit, 5, "plain")) for document in DOCUMENTS]
    assert max(counts) > 2 * BLOCK
    assert unit == "characters" or (values[0] == EMPTY).all()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_rolling_hash_goes_through_the_same_permutations(scheme):
    values, _ = signatures(pa.array(DOCUMENTS), scheme=scheme)
    hashes, splits = shingle_hashes(pa.array(DOCUMENTS))
    for d in range(len(DOCUMENTS)):
        theirs = datasketch.MinHash(hashfunc=int, scheme=scheme)
        theirs.update_batch(hashes[splits[d] : splits[d + 1]].tolist())
        assert values[d].tolist() == theirs.hashvalues.tolist()


def test_permutations_of_redpajama():
    """The array of RedPajama-Data, of which the digest is known."""
    digest = "6a5665743fa1884640a8eb3543348255a90b4dbd55b093f39e3d61ac90eac9e1"
    assert hashlib.sha256(permutations("legacy", 128, 42).legacy.tobytes()).hexdigest() == digest


def test_estimate_is_unbiased():
    random = np.random.default_rng(5)
    documents, truth = [], []
    for _ in range(400):
        words = random.integers(0, 5000, 200)
        other = words.copy()
        other[random.integers(0, 200, random.integers(0, 30))] = random.integers(5000, 9999)
        pair = [" ".join(f"w{k}" for k in each) for each in (words, other)]
        sets = [set(strings(document, "words", 5, "plain")) for document in pair]
        truth.append(len(sets[0] & sets[1]) / len(sets[0] | sets[1]))
        documents += pair
    values, _ = signatures(pa.array(documents), slots=128)
    error = estimate(values[::2], values[1::2]) - np.array(truth)
    spread = np.sqrt(np.mean([j * (1 - j) / 128 for j in truth]))
    assert 0.2 < np.mean(truth) < 0.8
    assert abs(error.mean()) < 4 * spread / 20  # four standard errors of the mean of 400
    assert error.std() == pytest.approx(spread, rel=0.2)


def test_normalisation_decides_and_not_the_spelling():
    values, _ = signatures(pa.array(["A b, c - d E!", "a  B\nc d\te"]))
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
    with pytest.raises(ValueError, match="at least one"):
        signatures(pa.array(["a"]), ngram=0)
    with pytest.raises(ValueError, match="at least one"):
        signatures(pa.array(["a"]), slots=0)
    with pytest.raises(ValueError, match="'md5' is none of"):
        signatures(pa.array(["a"]), hash="md5")
    with pytest.raises(ValueError, match="'affine64' is none of"):
        signatures(pa.array(["a"]), scheme="affine64")
