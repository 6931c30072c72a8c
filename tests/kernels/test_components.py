"""Components and candidate pairs agree with plain Python, whatever the order of their input."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.components import bucket_pairs, components

edges = st.integers(1, 30).flatmap(
    lambda n: st.tuples(st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=40))
)
members = st.lists(st.tuples(st.integers(0, 6), st.integers(-5, 12) | st.integers(2**40, 2**40 + 3)), max_size=40)


def _components(n, pairs):
    label = [*range(n)]
    for _ in range(n):
        for a, b in pairs:
            label[a] = label[b] = min(label[a], label[b])
    return label


def _pairs(entries, cap):
    found: set[tuple[int, int]] = set()
    for bucket in {key for key, _ in entries}:
        items = sorted({item for key, item in entries if key == bucket})
        every = combinations(items, 2) if len(items) <= cap else [*pairwise(items), *((items[0], x) for x in items[1:])]
        found.update(every)
    return sorted(found)


@settings(max_examples=200, deadline=None)
@given(edges, st.randoms())
def test_components_agree_with_python(case, random):
    n, pairs = case
    expected = _components(n, pairs)
    shuffled = [pair if random.random() < 0.5 else pair[::-1] for pair in pairs]
    random.shuffle(shuffled)
    for each in (pairs, shuffled):
        ends = np.array(each, np.int64).reshape(-1, 2)
        found = components(n, ends[:, 0], ends[:, 1])
        assert found.tolist() == expected and found.dtype == np.int64


def test_a_long_chain():
    n = 300_000
    order = np.random.default_rng(0).permutation(n - 1)
    assert (components(n, order, order + 1) == 0).all()
    assert components(0, np.array([], np.int64), np.array([], np.int64)).tolist() == []


@settings(max_examples=200, deadline=None)
@given(members, st.integers(2, 5), st.randoms())
def test_pairs_agree_with_python(entries, cap, random):
    shuffled = [*entries, *entries[:2]]
    random.shuffle(shuffled)
    for each in (entries, shuffled):
        keys = np.array([key for key, _ in each], np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        a, b = bucket_pairs(keys, np.array([item for _, item in each], np.int64), cap)
        assert [*zip(a.tolist(), b.tolist(), strict=True)] == _pairs(entries, cap)
        assert a.dtype == b.dtype == np.int64


def test_a_large_bucket_stays_connected_at_a_linear_cost():
    a, b = bucket_pairs(np.zeros(100_000, np.uint64), np.arange(100_000), cap=64)
    assert len(a) == 2 * 100_000 - 3
    assert (components(100_000, a, b) == 0).all()


def test_wrong_input_is_refused():
    one, two = np.zeros(1, np.int64), np.zeros(2, np.int64)
    with pytest.raises(ValueError, match="two ends"):
        components(3, one, two)
    with pytest.raises(ValueError, match=r"items 0\.\.2, these reach 0\.\.3"):
        components(3, one, one + 3)
    with pytest.raises(ValueError, match=r"reach -1\.\.0"):
        components(3, one - 1, one)
    with pytest.raises(ValueError, match="2 items and 1 keys"):
        bucket_pairs(one, two, 4)
    with pytest.raises(ValueError, match="cap must be at least 2"):
        bucket_pairs(one, one, 1)
