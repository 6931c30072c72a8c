"""Candidate pairs, components, stars and heads agree with plain Python, whatever the order of their input."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.components import (
    candidate_pairs,
    components,
    crowd_pairs,
    large_star,
    once,
    pack,
    small_star,
    stay_or_go,
    unpack,
)

edges = st.integers(1, 30).flatmap(
    lambda n: st.tuples(st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=40))
)
members = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 40) | st.integers(2**31, 2**31 + 3)), max_size=60)
UP, LOW = np.uint64(32), np.uint64(2**32 - 1)


def _components(n, pairs):
    label = [*range(n)]
    for _ in range(n):
        for a, b in pairs:
            label[a] = label[b] = min(label[a], label[b])
    return label


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


# ---------------------------------------------------------------- stars


def _by_stars(n, a, b, parts):
    """Components by stars over partitions of the items, and after how many rounds."""
    here = np.concatenate([pack(a, b), pack(a, b) << UP | pack(a, b) >> UP])
    before = None
    for number in range(100):
        large = [large_star(here[(here >> UP) % np.uint64(parts) == part]) for part in range(parts)]
        larger = np.unique(np.concatenate(large))
        if before is not None and np.array_equal(before, larger):
            label = np.arange(n)
            label[larger >> UP] = larger & LOW
            return label.tolist(), number
        before = larger
        small = [small_star(larger[(larger >> UP) % np.uint64(parts) == part]) for part in range(parts)]
        made = np.concatenate(small)
        here = np.concatenate([made, made << UP | made >> UP])
    raise AssertionError("the stars do not settle")


@settings(max_examples=200, deadline=None)
@given(edges, st.integers(1, 4))
def test_stars_find_the_components_of_union_find(case, parts):
    n, pairs = case
    ends = np.array(pairs, np.int64).reshape(-1, 2)
    ends = ends[ends[:, 0] != ends[:, 1]]
    found, _ = _by_stars(n, ends[:, 0], ends[:, 1], parts)
    assert found == components(n, ends[:, 0], ends[:, 1]).tolist()


def test_stars_follow_a_long_chain_in_few_rounds():
    n = 20_000
    names = np.random.default_rng(0).permutation(n)
    found, rounds = _by_stars(n, names[:-1], names[1:], 3)
    assert set(found) == {0} and rounds < 15


# ---------------------------------------------------------------- heads


@settings(max_examples=200, deadline=None)
@given(edges, st.randoms())
def test_who_stays_agrees_with_python(case, random):
    n, pairs = case
    ties = [(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]]
    head = [*range(n)]
    for later in range(n):
        head[later] = min((a for a, b in ties if b == later and head[a] == a), default=later)
    random.shuffle(ties)
    ends = np.array(ties, np.int64).reshape(-1, 2)
    assert stay_or_go(n, ends[:, 0], ends[:, 1]).tolist() == head


# ---------------------------------------------------------------- candidates


def _look(items):
    """Items are copies of one sketch when they agree modulo 7; the least of `-item` goes on."""
    return items.astype(np.uint64) % np.uint64(7) + np.uint64(1), np.uint64(2**33) - items.astype(np.uint64)


def _candidates(entries, crowd):
    """All pairs of small buckets; of larger ones those of one item a sketch, and each copy with that one."""
    found: set[tuple[int, int]] = set()
    for bucket in {key for key, _ in entries}:
        items = sorted({item for key, item in entries if key == bucket})
        if len(items) > crowd:
            leader = {item % 7: item for item in items}
            found.update((item, leader[item % 7]) for item in items if item != leader[item % 7])
            items = sorted(leader.values())
        found.update(combinations(items, 2))
    return sorted(found)


def _all(*given, **limits):
    runs = list(candidate_pairs(*given, **limits))
    for run in runs:
        assert len(run) and (run[1:] > run[:-1]).all() and run.dtype == np.uint64
    return np.unique(np.concatenate([np.zeros(0, np.uint64), *runs])), runs


@settings(max_examples=200, deadline=None)
@given(members, st.integers(2, 12), st.integers(1, 1000), st.randoms())
def test_pairs_agree_with_python(entries, crowd, most, random):
    shuffled = [*entries, *entries[:2]]
    random.shuffle(shuffled)
    for each in (entries, shuffled):
        keys = np.array([key for key, _ in each], np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        pairs, runs = _all(keys, np.array([item for _, item in each], np.int64), _look, most, crowd=crowd)
        a, b = unpack(pairs)
        assert [*zip(a.tolist(), b.tolist(), strict=True)] == _candidates(entries, crowd)
        assert all(len(run) < most + 60 for run in runs)


def test_a_family_of_hundreds_gives_all_its_pairs():
    n = 700
    pairs, _ = _all(np.zeros(n, np.uint64), np.arange(n), lambda items: (items.astype(np.uint64), items), 10_000)
    assert len(pairs) == n * (n - 1) // 2


def test_a_bucket_of_copies_costs_one_pair_each():
    n = 1_000_000
    alike = lambda items: (np.ones(len(items), np.uint64), items)  # noqa: E731
    pairs, runs = _all(np.zeros(n, np.uint64), np.arange(n), alike, 100_000)
    assert len(pairs) == n - 1 and max(map(len, runs)) <= 100_000
    assert (components(n, *unpack(pairs)) == 0).all()


def test_a_bucket_of_many_sketches_costs_a_bounded_number_of_pairs_each():
    n = 30_000
    different = lambda items: (items.astype(np.uint64), items)  # noqa: E731
    keys = np.full(n, 5, np.uint64)
    pairs, _ = _all(keys, np.arange(n), different, 100_000)
    assert len(pairs) == 64 * n - 64 * 65 // 2
    order = np.random.default_rng(0).permutation(n)
    again, _ = _all(keys, order, different, 77_777)
    assert np.array_equal(pairs, again)


def test_wrong_input_is_refused():
    one, two = np.zeros(1, np.int64), np.zeros(2, np.int64)
    with pytest.raises(ValueError, match="two ends"):
        components(3, one, two)
    with pytest.raises(ValueError, match=r"items 0\.\.2, these reach 0\.\.3"):
        components(3, one, one + 3)
    with pytest.raises(ValueError, match=r"reach -1\.\.0"):
        components(3, one - 1, one)
    with pytest.raises(ValueError, match="2 items and 1 keys"):
        next(candidate_pairs(one, two, _look, 4))
    with pytest.raises(ValueError, match="must be at least 1"):
        next(candidate_pairs(one, one, _look, 4, crowd=0))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=3, max_size=60), st.integers(1, 20), st.integers(1, 12), st.integers(1, 4))
def test_a_bucket_in_parts_has_the_pairs_of_one_that_is_whole(
    sketches: list[int], part: int, family: int, near: int
) -> None:
    """A page with more copies than memory has room for."""
    digests, tags = np.array(sketches, np.uint64), np.random.default_rng(1).permutation(len(sketches)).astype(np.uint64)
    items = np.arange(len(sketches), dtype=np.uint32) * 3
    look = lambda some: (digests[some // 3], tags[some // 3])  # noqa: E731
    whole = candidate_pairs(np.full(len(items), 7, np.uint64), items, look, 1000, crowd=2, family=family, near=near)
    parts = lambda: (items[at : at + part] for at in range(0, len(items), part))  # noqa: E731
    cut = crowd_pairs(7, parts, look, 1000, family, near)
    assert once(np.concatenate([*whole])).tolist() == once(np.concatenate([*cut])).tolist()
