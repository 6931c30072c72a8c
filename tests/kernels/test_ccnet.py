"""Normalised text is that of cc_net's text_normalizer, written again from its description."""

import re
import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.ccnet import PUNCTUATION, normalised
from curate.testing.examples import NASTY, SENTENCES

ODD = "".join(PUNCTUATION) + "１٣²½ΣςİßÅé\u0301\u0345\u00a0\u200b\x00\x1f\x85\x9f\x7f한ﬁǅ"


def twin(text):
    text = text.strip().lower()
    text = "".join(char for char in unicodedata.normalize("NFD", text) if unicodedata.category(char) != "Mn")
    text = re.sub(r"\d", "0", text)
    text = "".join(PUNCTUATION.get(char, char) for char in text)
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", "", text)


def is_old(text):
    """Characters that Unicode has had for long: the running Python may know fewer than the pinned tables."""
    return all(unicodedata.category(char) != "Cn" for char in text)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(ODD), max_size=40), max_size=4))
@settings(deadline=None, max_examples=300)
def test_agrees_with_its_twin(texts):
    texts = [text for text in texts if is_old(text)]
    assert normalised(pa.array(texts, pa.string())).to_pylist() == [*map(twin, texts)]
    by_line = ["\n".join(map(twin, text.split("\n"))) for text in texts]
    assert normalised(pa.array(texts, pa.string()), lines=True).to_pylist() == by_line


@pytest.mark.parametrize("texts", [[*SENTENCES], [*NASTY]], ids=["sentences", "nasty"])
def test_agrees_on_known_texts(texts):
    assert normalised(pa.array(texts)).to_pylist() == [*map(twin, texts)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" L’Été 2019 — déjà…\n", "l'ete 0000  -  deja..."),
        ("１２．「x」", '00. "x"'),
        ("one\ntwo", "onetwo"),
        ("\u3000Ａ\u3000", "ａ"),
        ("", ""),
    ],
)
def test_golden_values(text, expected):
    assert normalised(pa.array([text])).to_pylist() == [expected]


def test_a_slice_is_as_its_copy():
    texts = pa.array(["skipped", "Né 1", "ÉTÉ"])[1:]
    assert normalised(texts).to_pylist() == ["ne 0", "ete"]
