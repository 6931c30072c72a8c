"""N-grams shared with test items, and texts cut by them, agree with plain Python."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.contamination import NAMED, build, find, remaining, word_hashes
from curate.kernels.lexer import lex
from tests.kernels import twins

few = st.lists(st.sampled_from(["a", "b", "c,", "D", "--", "é"]), max_size=14).map(" ".join)
texts = few | twins.texts


def words_of(text: str) -> list[tuple[str, int, int]]:
    """Normalised words with the bytes they are at."""
    found, at = [], 0
    for word in text.split():
        at = text.index(word, at)
        if form := twins.normal(word):
            begin = len(text[:at].encode())
            found.append((form, begin, begin + len(word.encode())))
        at += len(word)
    return found


def grams_of(item: str, ngram: int, least: int) -> list[tuple[str, ...]]:
    forms = [form for form, *_ in words_of(item)]
    size = min(ngram, len(forms))
    return [] if len(forms) < least else [tuple(forms[i : i + size]) for i in range(len(forms) - size + 1)]


def held(forms: list[str], grams: set[tuple[str, ...]]) -> set[int]:
    """Positions of the words that are in one of the grams."""
    sizes = {len(gram) for gram in grams}
    starts = [(i, n) for n in sizes for i in range(len(forms) - n + 1) if tuple(forms[i : i + n]) in grams]
    return {i + k for i, n in starts for k in range(n)}


def twin(document: str, items: list[str], ngram: int, least: int) -> tuple[int, int, list[list[int]], dict[int, float]]:
    """(words, words in common n-grams, spans, share of each item that is matched)."""
    own = words_of(document)
    forms = [form for form, *_ in own]
    grams = [grams_of(item, ngram, least) for item in items]
    inside = held(forms, {gram for each in grams for gram in each})
    spans: list[list[int]] = []
    for i in sorted(inside):
        if i - 1 in inside:
            spans[-1][1] = own[i][2]
        else:
            spans.append([*own[i][1:]])
    present = {tuple(forms[i : i + n]) for n in range(1, ngram + 1) for i in range(len(forms) - n + 1)}
    shares = {}
    for k, each in enumerate(grams):
        common = {gram for gram in each if gram in present}
        if common:
            item = [form for form, *_ in words_of(items[k])]
            shares[k] = len(held(item, common)) / len(item)
    return len(own), len(inside), spans, shares


@settings(max_examples=150, deadline=None)
@given(st.lists(texts, max_size=4), st.lists(texts, max_size=NAMED), st.integers(1, 4), st.integers(1, 4))
def test_matches_agree_with_python(documents: list[str], items: list[str], ngram: int, least: int) -> None:
    index = build(*word_hashes(lex(pa.array(items, pa.string()))), ngram, least)
    found = find(lex(pa.array(documents, pa.string())), index)
    for d, document in enumerate(documents):
        part, match = slice(*found.span_splits[d : d + 2]), slice(*found.match_splits[d : d + 2])
        shares = dict(zip(found.item[match].tolist(), found.share[match].tolist(), strict=True))
        result = (found.words[d], found.covered[d], found.spans[part].tolist(), shares)
        assert result == twin(document, items, ngram, least), document
        assert [*shares] == sorted(shares, key=lambda item: (-shares[item], item))


def left_of(text: str, spans: list[list[int]], margin: int, least: int) -> list[str]:
    """The pieces of a text without its spans (in characters here), as `remaining` defines them."""
    edges, at = [], 0
    for begin, end in spans:
        low, high = len(text.encode()[:begin].decode()), len(text.encode()[:end].decode())
        edges.append((at, max(low - margin, at)))
        at = max(at, min(high + margin, len(text)))
    edges.append((at, len(text)))
    pieces = []
    for begin, end in edges:
        piece = text[begin:end]
        piece = piece if begin == 0 else piece.lstrip(" \t\n\v\f\r")
        piece = piece if (begin, end) == edges[-1] else piece.rstrip(" \t\n\v\f\r")
        pieces += [piece] if len(piece) >= max(1, least) else []
    return pieces


@settings(max_examples=150, deadline=None)
@given(st.lists(texts, max_size=3), st.lists(few, max_size=3), st.integers(0, 5), st.integers(0, 6))
def test_cuts_agree_with_python(documents: list[str], items: list[str], margin: int, least: int) -> None:
    lexed = lex(pa.array(documents, pa.string()))
    found = find(lexed, build(*word_hashes(lex(pa.array(items, pa.string()))), 2, 1))
    chosen = found.covered > 0
    left = remaining(lexed, found, chosen, margin, least)
    for d, document in enumerate(documents):
        part = [bytes(lexed.data[a:b]).decode() for a, b in left.span[slice(*left.splits[d : d + 2])]]
        spans = found.spans[slice(*found.span_splits[d : d + 2])].tolist()
        assert part == (left_of(document, spans, margin, least) if chosen[d] else [])


def test_a_phrase_of_very_many_items_names_the_first_and_counts_in_full() -> None:
    items = [f"which of the following is item{k} indeed" for k in range(100)]
    index = build(*word_hashes(lex(pa.array(items))), 4, 4)
    found = find(lex(pa.array(["Which of the following is best?", "following is item77 indeed"])), index)
    assert found.covered.tolist() == [5, 4]
    assert sorted(found.item[: found.match_splits[1]]) == [*range(NAMED)]
    assert found.item[found.match_splits[1] :].tolist() == [77]


@pytest.mark.parametrize(("ngram", "min_words"), [(0, 1), (1, 0)])
def test_sizes_below_one_are_refused(ngram: int, min_words: int) -> None:
    with pytest.raises(ValueError, match=f"must be at least 1, not {ngram} and {min_words}"):
        build(np.zeros(1, np.uint64), np.array([0, 1]), ngram, min_words)


def test_cost_does_not_grow_with_a_document_that_repeats_an_item() -> None:
    """100,000 copies of an item in one document, and 1,000 items that share all n-grams."""
    items = pa.array(["the same eight words in all the items"] * 1000)
    found = find(
        lex(pa.array(["the same eight words in all the items " * 100_000])), build(*word_hashes(lex(items)), 8, 8)
    )
    assert found.covered.tolist() == [800_000]
    assert len(found.item) == NAMED
