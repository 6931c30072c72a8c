r"""Tokens of `\w+|[^\w\s]+` and lists of phrases agree with plain Python."""

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.lexer import lex
from curate.kernels.phrases import NO_LIST, phrases
from curate.kernels.wordpunct import count_tokens
from tests.kernels import twins

STOP_WORDS = {
    "en": ["the", "cat", "A1", "don", "t", "abcdefgh", "abcdefghi", "_"],
    "xx": ["Σ", "ς", "Éa", "ß", "日本語", "the"],
}
LISTS = phrases(STOP_WORDS)
AT_EDGES = ["ⒶⒷ!", "ⓐ.........Ⓐ", "Éa É", "aÉ1_ A", "日本 Ab"]  # of 64 bytes


def twin(text: str, language: str | None) -> list[int]:
    tokens = re.findall(r"\w+|[^\w\s]+", text)
    listed = {*STOP_WORDS.get(language or "", [])}
    folded = {form for word in listed if (form := twins.normal(word))}
    return [
        len(tokens),
        sum(token.isupper() for token in tokens),
        sum(bool(re.search("[a-zA-Z]", token)) for token in tokens),
        sum(any(map(str.isalpha, token)) for token in tokens),
        sum(token in listed for token in tokens),
        sum(twins.fold(token) in folded for token in tokens),
    ]


def check(documents: list[str], languages: list[str | None]) -> None:
    of_row = np.array([NO_LIST if name is None else [*STOP_WORDS].index(name) for name in languages], np.int64)
    lexed = lex(pa.array(documents, pa.string()))
    unlisted = count_tokens(lexed, np.full(len(documents), NO_LIST), LISTS)  # by masks, while nobody knows the words
    found = count_tokens(lexed, of_row, LISTS)
    assert unlisted[:4].tolist() == found[:4].tolist(), documents
    for d, (document, language) in enumerate(zip(documents, languages, strict=True)):
        assert found[:, d].tolist() == twin(document, language), (document, language)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(twins.texts, st.sampled_from(["en", "xx", None])), max_size=3))
def test_counts_agree_with_python(rows: list[tuple[str, str | None]]) -> None:
    check([text for text, _ in rows], [language for _, language in rows])


@pytest.mark.parametrize(
    "document",
    [
        "",
        " \n",
        "_ __ a_b",
        "a\x00b \x7f \x01c",
        "Ⓐ Ⓐⓑ ǅ ǅA ªB",
        "e\u0301 É \u0301",
        "ΟΔΟΣ ΑΣ, Σ. σ ς",
        "The THE the the, 'the' théthe the日本語",
        "abcdefgh abcdefghi Abcdefghi, ABCDEFGH",
        "x" * 5000 + "É" * 3000 + "!" * 100,
        *("." * n + word for n in (0, 60, 61, 62, 63) for word in AT_EDGES),
        "a" * 63 + " B" + "b" * 64 + "C" * 63 + "!" + "D" * 64,
    ],
)
def test_documents_with_a_point(document: str) -> None:
    check([document, "the cat", document], ["en", "en", "xx"])


def test_no_documents() -> None:
    check([], [])
