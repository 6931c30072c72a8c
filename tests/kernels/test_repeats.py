"""Units, runs of tokens and what repeats agree with plain Python."""

from __future__ import annotations

import unicodedata
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.cutting import cut_out
from curate.kernels.editing import DELETED
from curate.kernels.hashing import xxh3_128
from curate.kernels.lexer import lex
from curate.kernels.repeats import Seen, collapse, find, repeated
from curate.kernels.runs import hash_runs, runs
from curate.kernels.segment import segment
from curate.kernels.units import UnitKind, hash_units, units
from tests.kernels import twins


def plain(line: str, accents: bool) -> str:
    """A line as cc_net compares it, canonically decomposed."""
    made = ""
    for char in unicodedata.normalize("NFD", line.lower()):
        if char.isdecimal():
            made += "0"
        elif not (
            unicodedata.category(char) == "Cc"
            or ord(char) in DELETED
            or (not accents and unicodedata.category(char).startswith("M"))
        ):
            made += char
    return made


def lines_of(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]


def paragraphs_of(text: str) -> list[str]:
    found: list[list[str]] = [[]]
    for line in text.split("\n"):
        if line.strip():
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return ["\n".join(lines).strip() for lines in found if lines]


def told(text: list[str], kind: UnitKind) -> list[list[str]]:
    lexed = lex(pa.array(text, pa.string()))
    found = units(lexed, kind)
    every = [bytes(lexed.data[first:last]).decode() for first, last in found.span]
    return [every[found.splits[d] : found.splits[d + 1]] for d in range(len(text))]


@settings(max_examples=100, deadline=None)
@given(st.lists(twins.texts | twins.repetitive.map("".join), max_size=3))
def test_lines_and_paragraphs_agree_with_python(documents: list[str]) -> None:
    assert told(documents, "line") == [lines_of(text) for text in documents]
    assert told(documents, "paragraph") == [paragraphs_of(text) for text in documents]


@settings(max_examples=50, deadline=None)
@given(st.lists(twins.texts, max_size=3))
def test_sentences_are_all_of_the_text_but_white_space(documents: list[str]) -> None:
    for text, sentences in zip(documents, told(documents, "sentence"), strict=True):
        assert "".join("".join(sentences).split()) == "".join(text.split())


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("It rains. It pours!  Does it?", ["It rains.", "It pours!", "Does it?"]),
        ("Mr. Smith left.\nHe did", ["Mr. Smith left.", "He did"]),
        ("下雨了。天黑了。", ["下雨了。", "天黑了。"]),
        ('He said "No." Then he left. ', ['He said "No."', "Then he left."]),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    assert told([text, text], "sentence") == [sentences, sentences]


@settings(max_examples=100, deadline=None)
@given(st.lists(twins.texts, max_size=3), st.booleans())
def test_lines_are_compared_as_python_compares_them(documents: list[str], accents: bool) -> None:
    lexed = lex(pa.array(documents, pa.string()))
    found = hash_units(lexed, units(lexed, "line").span, accents=accents)
    expected = [plain(line, accents) for text in documents for line in lines_of(text)]
    low, high = xxh3_128(pa.array(expected, pa.string()))
    assert found.characters.tolist() == [*map(len, expected)]
    assert found.low.tolist() == low.tolist()
    assert found.high.tolist() == high.tolist()


few_words = st.lists(st.lists(st.sampled_from("ab"), max_size=30) | st.lists(st.sampled_from("abcd"), max_size=30))


@settings(max_examples=200, deadline=None)
@given(few_words, st.integers(1, 9))
def test_runs_are_equal_where_their_words_are_and_then_have_one_anchor(documents: list[list[str]], size: int) -> None:
    words = segment(lex(pa.array([" ".join(document) for document in documents], pa.string())), "whitespace")
    found = runs(words, size)
    expected = [gram for document in documents for gram in twins.grams(document, size)]
    low, high = hash_runs(words, found, size, np.ones(len(found.anchor), bool))
    hashes = [*zip(low.tolist(), high.tolist(), strict=True)]
    anchors = found.anchor_hash[found.anchor].tolist()
    assert len(hashes) == len(expected)
    assert len({*zip(expected, hashes, strict=True)}) == len({*expected}) == len({*hashes})
    assert len({*zip(expected, anchors, strict=True)}) == len({*expected})
    starts = found.anchor_token[found.anchor] - (
        np.arange(len(expected)) - np.repeat(found.splits[:-1], np.diff(found.splits))
    )
    assert ((starts >= 0) & (starts <= size // 2)).all()  # the anchor lies in the run


@settings(max_examples=50, deadline=None)
@given(few_words, st.integers(1, 5), st.data())
def test_only_wanted_runs_are_hashed(documents: list[list[str]], size: int, data: st.DataObject) -> None:
    words = segment(lex(pa.array([" ".join(document) for document in documents], pa.string())), "whitespace")
    found = runs(words, size)
    wanted = np.array(data.draw(st.lists(st.booleans(), min_size=len(found.anchor), max_size=len(found.anchor))), bool)
    some, every = hash_runs(words, found, size, wanted), hash_runs(words, found, size, np.ones_like(wanted))
    assert [part.tolist() for part in some] == [part[wanted].tolist() for part in every]


numbers = st.integers(0, 3)
sightings = st.lists(st.tuples(numbers, numbers, numbers, numbers), max_size=40)


def seen(rows: list[tuple[int, ...]]) -> Seen:
    kinds = (np.uint64, np.uint64, np.int64, np.int32, np.int64)
    columns = [*zip(*rows, strict=True)] or [()] * 5
    return Seen(*(np.array(column, kind) for column, kind in zip(columns, kinds, strict=True)))


@settings(max_examples=200, deadline=None)
@given(sightings, st.integers(2, 4))
def test_what_repeats_agrees_with_a_counter(rows: list[tuple[int, int, int, int]], least: int) -> None:
    counts = Counter((key, check) for key, check, *_ in rows)
    first = {pair: min(row[2:] for row in rows if row[:2] == pair) for pair in counts}
    every = [(*pair, *first[pair], counts[pair]) for pair in sorted(counts)]
    given_ = seen([(*row, 1) for row in rows])
    assert [*zip(*(array.tolist() for array in collapse(given_)), strict=True)] == every
    often = [row for row in every if row[-1] >= least]
    found = repeated(given_, least)
    assert [*zip(*(array.tolist() for array in found), strict=True)] == often
    asked = np.array([[k, c] for k in range(5) for c in range(5)], np.uint64)
    chunks = [Seen(*(array[found.key % 2 == part] for array in found)) for part in (0, 1)]
    is_there, row, at = find(chunks, asked[:, 0].copy(), asked[:, 1].copy())
    known = {(k, c): (r, a) for k, c, r, a, _ in often}
    pairs = [*map(tuple, asked.tolist())]
    assert is_there.tolist() == [pair in known for pair in pairs]
    assert [*zip(row.tolist(), at.tolist(), strict=True)] == [known.get(pair, (0, 0)) for pair in pairs]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("ab \n", max_size=12), max_size=4), st.data())
def test_texts_are_cut_as_python_cuts_them(documents: list[str], data: st.DataObject) -> None:
    spans, bounds, expected, start = [], [0], [], 0
    for text in documents:
        edges = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=6)))
        pairs = [*zip(edges[::2], edges[1::2], strict=False)]
        kept = "".join(char for i, char in enumerate(text) if not any(a <= i < b for a, b in pairs))
        expected.append(kept.strip() if pairs else text)
        spans += [(start + a, start + b) for a, b in pairs]
        bounds.append(len(spans))
        start += len(text)
    found = cut_out(pa.array(documents, pa.string()), np.array(spans).reshape(-1, 2), np.array(bounds))
    assert found.to_pylist() == expected
