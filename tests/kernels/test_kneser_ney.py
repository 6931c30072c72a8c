"""n-gram models against a plain-Python estimator, hand-computed cases, KenLM's lmplz, and the laws of probability."""

import math
from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.kneser_ney import FALLBACK, adjusted, after_bos, discounts, estimate, score
from curate.kernels.ngram_counts import count, ranges
from curate.kernels.vocabulary import tokens

WORDS = st.integers(3, 7)
CORPORA = st.lists(st.lists(WORDS, max_size=6), min_size=1, max_size=12)


def stream(sentences):
    return np.array([token for sentence in sentences for token in (1, *sentence, 2)], np.uint32)


def twin(sentences, words, order, prune):
    """(n-gram -> probability, context -> what it leaves), by Chen and Goodman's formulas on tuples."""
    raw: list[Counter] = [Counter() for _ in range(order + 1)]
    for sentence in sentences:
        marked = (1, *sentence, 2)
        for n in range(1, order + 1):
            raw[n].update(marked[i : i + n] for i in range(len(marked) - n + 1))
    times = [Counter() for _ in range(order)] + [raw[order]]
    for n in range(1, order):
        before = Counter(gram[1:] for gram in raw[n + 1])
        times[n] = Counter({gram: raw[n][gram] if gram[0] == 1 and n > 1 else before[gram] for gram in raw[n]})
        times[n] += Counter()
    probability: dict[tuple, float] = {}
    left: dict[tuple, float] = {(): 1.0}
    for n in range(1, order + 1):
        discount = discounts(np.array([*times[n].values()]))[0]
        limit = 0 if n == 1 or not prune else prune[min(n - 1, len(prune) - 1)]
        followers = defaultdict(list)
        for gram in raw[n]:
            followers[gram[:-1]].append(gram)
        if n == 1:
            followers[()] = [(word,) for word in range(words)]
        for context, grams in followers.items():
            total = sum(times[n][gram] for gram in grams)
            is_kept = {gram: raw[n][gram] > limit or n == 1 for gram in grams}
            lost = (discount[min(times[n][g], 3)] if is_kept[g] else times[n][g] for g in grams)
            left[context] = sum(lost) / total if total else 1.0
            for gram in (gram for gram in grams if is_kept[gram]):
                own = (times[n][gram] - discount[min(times[n][gram], 3)]) / total if total else 0.0
                below = probability[gram[1:]] if n > 1 else 1 / (words - 1)
                probability[gram] = own + left[context] * below
        if n == 1:
            probability[1,] = 1.0
    return probability, left


def flat(model):
    """n-gram -> (log10 probability, log10 backoff or None), read off the trie."""
    found: dict[tuple, tuple] = {}
    paths: dict[int, tuple] = {}
    for n in range(1, model.order + 1):
        first = [(int(model.word[k]),) for k in range(model.first[n - 1], model.first[n])]
        grams = first if n == 1 else [paths[k] for k in range(model.first[n - 1], model.first[n])]
        for node, gram in zip(range(model.first[n - 1], model.first[n]), grams, strict=True):
            found[gram] = model.log[node], model.backoff[node] if n < model.order else None
            for child in range(model.begin[node], model.begin[node + 1]) if n < model.order else ():
                paths[child] = (*gram, int(model.word[child]))
    return found


def logs(model, sentences):
    out = np.empty(len(sentences))
    splits = np.cumsum([0, *map(len, sentences)])
    flat_tokens = np.array([token for sentence in sentences for token in sentence], np.uint32)
    score(model, flat_tokens, splits, np.empty(model.order, np.float32), out)
    return out


@given(CORPORA, st.integers(2, 5), st.sampled_from([(), (0, 1), (0, 0, 1), (0, 1, 2)]), st.booleans())
@settings(deadline=None, max_examples=150)
def test_agrees_with_its_twin(sentences, order, prune, tight):
    sentences = [sentence or [3] for sentence in sentences]
    model = estimate(stream(sentences), 8, order, prune, memory=1 if tight else 1 << 20).model
    probability, left = twin(sentences, 8, order, prune)
    found = flat(model)
    assert {*found} == {*probability}
    for gram, (log, backoff) in found.items():
        assert log == pytest.approx(math.log10(probability[gram]) if probability[gram] else 0.0, abs=2e-6), gram
        if backoff is not None:
            share = left.get(gram, 1.0)
            assert backoff == pytest.approx(math.log10(share) if share else 0.0, abs=2e-6), gram


@given(CORPORA, st.integers(2, 5), st.sampled_from([(), (0, 1), (0, 1, 2)]), st.lists(WORDS, max_size=4))
@settings(deadline=None, max_examples=100)
def test_probabilities_of_what_follows_sum_to_one(sentences, order, prune, context):
    """After any words, the next word or the end has probability one."""
    model = estimate(stream(sentences), 8, order, prune).model
    begun = logs(model, [context])[0]
    every = [0, 3, 4, 5, 6, 7]
    ended = 10**begun
    longer = [[*context, word] for word in every]
    # p(context) = p(context, end) + sum over the next word; the sum of all that may follow is p(context) itself.
    whole = _prefix(model, context)
    assert ended + sum(_prefix(model, each) for each in longer) == pytest.approx(whole, rel=1e-4)


def _prefix(model, sentence):
    """Probability that a sentence begins so, by its own walk over the n-grams."""
    known, total = flat(model), 0.0
    for at, word in enumerate(sentence):
        context = (1, *sentence[:at])[-(model.order - 1) :]
        while context and (*context, word) not in known:
            total += known.get(context, (0.0, 0.0))[1] or 0.0
            context = context[1:]
        total += known[(*context, word)][0]
    return 10**total


def test_hand_computed_bigrams():
    """Two sentences, "a b" and "a": counts of counts give no discounts, so those are 1/2, 1 and 3/2."""
    fitted = estimate(stream([[3, 4], [3]]), 5, 2)
    assert fitted.fallback == [1, 2]
    found = {gram: 10 ** float(log) for gram, (log, _) in flat(fitted.model).items()}
    # Different words before a, b, </s>: 1, 1, 2 of 4; the discounts 1/2 + 1/2 + 1 are shared by 4 words.
    assert found[0,] == pytest.approx(1 / 8)
    assert found[3,] == found[4,] == pytest.approx(1 / 4)
    assert found[2,] == pytest.approx(3 / 8)
    # <s> is followed by a, twice: (2 - 1) / 2, and 1 / 2 of p(a); a by b and the end, once each.
    assert found[1, 3] == pytest.approx(1 / 2 + 1 / 2 * 1 / 4)
    assert found[3, 4] == pytest.approx(1 / 4 + 1 / 2 * 1 / 4)
    assert found[3, 2] == pytest.approx(1 / 4 + 1 / 2 * 3 / 8)


def test_discounts_by_hand():
    """n1..n4 = 8, 4, 2, 1: y = 1/2, and the discounts are 1 - 2y 4/8, 2 - 3y 2/4, 3 - 4y 1/2."""
    times = np.repeat([1, 2, 3, 4, 9], [8, 4, 2, 1, 5])
    assert discounts(times) == ((0.0, 0.5, 1.25, 2.0), False)
    assert discounts(times[times != 2]) == (FALLBACK, True)


def corpus():
    """400 sentences of a linear congruential generator, as the golden values below were made from."""
    state, sentences = 12345, []

    def following():
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        return state >> 33

    for _ in range(400):
        words = []
        for _ in range(3 + following() % 9):
            share = following() % 1000 / 1000
            words.append(f"w{int(60 * share * share * share)}")
        sentences.append(" ".join(words))
    return sentences


# From KenLM's lmplz --discount_fallback: n-grams, D1..D3 of the highest order, log10 of the sentences asked.
LMPLZ = [
    (3, (), [63, 1143, 2260], (0.85081, 1.35825, 1.37573), [-5.81233, -7.99113, -6.79428, -2.06894, -11.04, -7.6804]),
    (
        5,
        (),
        [63, 1143, 2260, 2315, 1983],
        (0.993964, 1.50302, 3.0),
        [-5.7742, -8.42245, -6.85786, -2.06894, -10.06815, -7.46076],
    ),
    (
        4,
        (0, 1, 2),
        [63, 451, 89, 10],
        (0.966724, 1.70255, 0.0998292),
        [-5.62606, -7.98364, -6.81452, -2.05301, -17.59741, -13.01149],
    ),
    (2, (), [63, 1143], (0.661568, 1.11417, 0.990174), [-5.50403, -7.89654, -7.14949, -2.14803, -16.7652, -11.67079]),
]


@pytest.mark.parametrize(("order", "prune", "ngrams", "last", "expected"), LMPLZ, ids=["3", "5", "4-pruned", "2"])
def test_agrees_with_lmplz(order, prune, ngrams, last, expected):
    sentences = corpus()
    found = tokens(pa.array(sentences))
    known = dict(zip(found.words.to_pylist(), range(3, 3 + len(found.words)), strict=True))
    numbered = [[known[word] for word in sentence.split()] for sentence in sentences]
    fitted = estimate(stream(numbered), 3 + len(known), order, prune)
    assert np.diff(fitted.model.first).tolist() == ngrams
    assert fitted.discounts[-1][1:] == pytest.approx(last, rel=1e-5)
    assert fitted.fallback == [1]
    asked = ["w0 w1 w2 w3", "w5 w0 w0 w1 w59", "zzz w0 w1", "", sentences[0], sentences[399]]
    numbers = [[known.get(word, 0) for word in sentence.split()] for sentence in asked]
    assert logs(fitted.model, numbers).tolist() == pytest.approx(expected, abs=2e-5)


def test_sorting_in_ranges_gives_the_same_ngrams():
    chance = np.random.default_rng(0)
    sentences = [chance.integers(3, 500, chance.integers(1, 20)).tolist() for _ in range(20_000)]
    whole, parts = (count(stream(sentences), 500, 4, memory) for memory in (1 << 30, 1))
    for level, other in zip(whole, parts, strict=True):
        assert all((one == two).all() for one, two in zip(level, other, strict=True))
    assert len(ranges(whole[1].times, 1 << 16)) > 2


def test_adjusted_counts_are_occurrences_after_the_beginning_of_a_sentence():
    levels = count(stream([[3, 4], [3, 4], [5, 4]]), 6, 3, 1 << 20)
    begun = after_bos(levels)
    assert begun[1] == (0, 2)  # <s> a and <s> c
    times = adjusted(levels[1], levels[2], *begun[1], False)
    assert times.tolist() == [2, 1, 1, 2, 1]  # then a b, b </s> and c b; b </s> is after a and after c


@given(st.lists(st.text(alphabet=" \tab\u3000é€", max_size=30), max_size=5))
@settings(deadline=None, max_examples=100)
def test_tokens_are_words_between_ascii_white_space(sentences):
    found = tokens(pa.array(sentences, pa.string()))
    words = found.words.to_pylist()
    split = [[word.decode() for word in sentence.encode().split()] for sentence in sentences]
    assert [words[token] for token in found.token] == [word for sentence in split for word in sentence]
    assert np.diff(found.splits).tolist() == [*map(len, split)]
    assert len({*words}) == len(words)


def test_hash_of_a_word_is_murmur():
    """MurmurHash64A with seed 0, by its reference implementation."""
    found = tokens(pa.array(["<s> a lighthouse 日本語日本語"]))
    assert [int(value) for value in found.hash] == [_murmur(word.encode()) for word in found.words.to_pylist()]


def _murmur(data):
    mask, m = 2**64 - 1, 0xC6A4A7935BD1E995
    h = len(data) * m & mask
    whole = len(data) // 8 * 8
    for at in range(0, whole, 8):
        k = int.from_bytes(data[at : at + 8], "little") * m & mask
        h = (h ^ (k ^ k >> 47) * m & mask) * m & mask
    if len(data) > whole:
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ h >> 47) * m & mask
    return h ^ h >> 47
