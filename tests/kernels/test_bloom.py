"""The Bloom filter beside a plain-Python twin; its rate is the one that was asked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.bloom import BLOCK, Filter, Shape, blocks_of, first_value, shape

MASK = 2**64 - 1
values = st.lists(st.integers(0, MASK) | st.sampled_from([0, 1, MASK, 2**63]), max_size=60)


def stir(value: int) -> int:
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & MASK
    return value ^ value >> 31


def twin(given: list[int], whole: Shape) -> list[bool]:
    """A set of bits, one value after the other."""
    held: set[int] = set()
    seen = []
    for value in given:
        block = value * whole.blocks >> 64
        bits = set()
        for k in range(whole.bits):
            mixed = stir(value + (k // 7 + 1) * 0x9E3779B97F4A7C15 & MASK) >> 9 * (k % 7)
            bits.add(block * BLOCK + (mixed & 7) * 64 + (mixed >> 3 & 63))
        seen.append(bits <= held)
        held |= bits
    return seen


@settings(max_examples=150, deadline=None)
@given(values, st.integers(1, 5), st.integers(1, 21))
def test_it_agrees_with_a_set_of_bits(given: list[int], blocks: int, bits: int) -> None:
    whole = Shape(blocks, bits)
    assert Filter(whole).add(np.array(given, np.uint64)).tolist() == twin(given, whole)


@settings(max_examples=100, deadline=None)
@given(values, st.integers(1, 40), st.data())
def test_parts_of_a_filter_are_the_filter(given: list[int], blocks: int, data: st.DataObject) -> None:
    """What is filled range by range says the same as one filter for all."""
    whole, keys = Shape(blocks, 5), np.array(given, np.uint64)
    cut = data.draw(st.integers(0, blocks))
    seen = np.zeros(len(keys), bool)
    for first, stop in ((0, cut), (cut, blocks)):
        here = (keys >= first_value(first, whole)) & np.array([v < first_value(stop, whole) for v in given], bool)
        seen[here] = Filter(whole, first, stop).add(keys[here])
    assert seen.tolist() == Filter(whole).add(keys).tolist()
    assert blocks_of(keys, whole).tolist() == [value * blocks >> 64 for value in given]


@pytest.mark.parametrize("rate", [0.1, 0.01, 0.001, 1e-4])
def test_a_full_filter_has_the_rate_it_was_made_for(rate: float) -> None:
    """Probed with few new values at a time, so that it stays as full as it is."""
    random = np.random.default_rng(1)
    whole, count = shape(50_000, rate), int(min(400_000, 1000 / rate))
    full, wrong = Filter(whole), 0
    full.add(random.integers(0, MASK, 50_000, np.uint64))
    for probe in np.array_split(random.integers(0, MASK, count, np.uint64), count // 400):
        wrong += int(Filter(whole, words=full.words.copy()).add(probe).sum())
    error = 4 * (rate / count) ** 0.5
    assert 0.8 * rate - error < wrong / count < rate + error


def test_words_may_be_mapped_from_a_file(tmp_path) -> None:
    whole, keys = shape(1000, 0.001), np.random.default_rng(2).integers(0, MASK, 1000, np.uint64)
    Filter(whole, words=np.memmap(tmp_path / "bits", np.uint64, "w+", shape=whole.bytes // 8)).add(keys)
    again = Filter(whole, words=np.memmap(tmp_path / "bits", np.uint64, "r+"))
    assert again.add(keys).all()
    with pytest.raises(ValueError, match="blocks are"):
        Filter(whole, words=np.zeros(3, np.uint64))
