"""Repeated n-grams agree with plain Python."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.datajuicer import Refined, word_repetition
from curate.kernels.lexer import lex
from curate.kernels.phrases import NO_LIST, phrases
from curate.kernels.redpajama import BadWords, count_document
from curate.kernels.segment import segment
from tests.kernels import twins


def twin(text: str) -> dict[str, int]:
    words = [form for word in text.split() if (form := twins.normal(word))]
    found = {"words": len(words), "characters": len("".join(words)), "distinct": len({*words})}
    for n in (2, 3, 4):
        gram, count = (Counter(twins.grams(words, n)).most_common(1) or [((), 0)])[0]
        found[f"top_{n}gram"] = len("".join(gram)) * count if count > 1 else 0
    for n in range(5, 11):
        counts = Counter(twins.grams(words, n))
        inside = {i + k for i, gram in enumerate(twins.grams(words, n)) if counts[gram] > 1 for k in range(n)}
        found[f"dupe_{n}grams"] = sum(len(words[i]) for i in inside)
    return found


def check(documents: list[str]) -> None:
    none = BadWords(phrases({}), np.full(len(documents), NO_LIST))
    counts, _ = count_document(lex(pa.array(documents, pa.string())), none, with_grams=True)
    for d, document in enumerate(documents):
        expected = twin(document)
        assert {name: counts[name][d] for name in expected} == expected, document


@settings(max_examples=100, deadline=None)
@given(st.lists((twins.repetitive.map("".join)) | twins.texts, max_size=3))
def test_counts_agree_with_python(documents: list[str]) -> None:
    check(documents)


@pytest.mark.parametrize(
    "document",
    [
        "",
        "!!! ???",
        "a " * 50,
        "aa b aa b c dd c dd",  # a tie: the first to appear counts, not the longest
        "c d c d aaa bbb aaa bbb",
        "a b c d e " * 30,
        "x y z " * 4 + "w " + "x y z " * 4,
        "Füße FÜẞE fu\u0308ße " * 6,
    ],
)
def test_documents_with_a_point(document: str) -> None:
    check([document, "between", document])


def test_grams_are_counted_when_they_are_wanted() -> None:
    none = BadWords(phrases({}), np.full(1, NO_LIST))
    counts, _ = count_document(lex(pa.array(["a b a b"])), none, with_grams=False)
    assert counts["words"][0] == 4
    assert counts["top_2gram"][0] == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(twins.repetitive.map("".join), max_size=3), st.integers(1, 4))
def test_word_repetition_of_any_size(documents: list[str], size: int) -> None:
    expected = []
    for document in documents:
        counts = Counter(twins.grams(document.split(), size))
        expected.append(sum(c for c in counts.values() if c > 1) / max(counts.total(), 1))
    words = segment(lex(pa.array(documents, pa.string())), "whitespace")
    assert word_repetition(Refined(words.splits, words.hash), size).tolist() == pytest.approx(expected)
