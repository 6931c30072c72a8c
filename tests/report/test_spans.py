"""What rules count is found in the text: the spans that are marked."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.report.cases import excerpt, side_by_side
from curate.report.spans import FINDERS, from_bytes, merged, spans

LINES = "menu\nA sentence.\n\n• one\nmenu\n• two…\nlorem ipsum {x}\nAccept our cookie policy"


@pytest.mark.parametrize(
    ("column", "text", "marked"),
    [
        ("gopher_duplicate_line_char_ratio", LINES, ["menu"]),
        ("rps_doc_frac_chars_dupe_10grams", LINES, []),
        ("gopher_duplicate_paragraph_ratio", "one\n\ntwo\n\none", ["one"]),
        ("gopher_top_2gram_char_ratio", "to be or to be", ["to be", "to be"]),
        ("gopher_top_4gram_char_ratio", "to be or not", []),
        ("gopher_duplicate_5gram_char_ratio", "a b c d e. a b c d e f", []),
        ("gopher_duplicate_5gram_char_ratio", "a b c d e a b c d e f", ["a b c d e"]),
        ("gopher_bullet_line_ratio", LINES, ["• one", "• two…"]),
        ("gopher_ellipsis_line_ratio", LINES, ["• two…"]),
        ("c4_lorem_ipsum_count", LINES, ["lorem ipsum"]),
        ("c4_curly_bracket_count", LINES, ["{", "}"]),
        ("c4_policy_line_ratio", LINES, ["Accept our cookie policy"]),
        ("gopher_word_count", LINES, []),
    ],
)
def test_what_a_column_counts(column: str, text: str, marked: list[str]) -> None:
    assert [text[start:end] for start, end in spans(column, text)] == marked


COLUMNS = (
    "dup_line",
    "dup_para",
    "dup_5gram",
    "top_2gram",
    *(pattern.pattern.split("|")[0] for pattern, _ in FINDERS[4:]),
)


@given(text=st.text(alphabet="ab. \n\r•#{…é", max_size=60), column=st.sampled_from(COLUMNS))
def test_spans_are_ascending_and_apart(text: str, column: str) -> None:
    found = spans(column, text)
    assert all(0 <= start < end <= len(text) for start, end in found)
    assert all(one[1] < two[0] for one, two in itertools.pairwise(found))
    assert "".join(piece.text for piece in excerpt(text, found)) == text


def test_spans_of_bytes_become_spans_of_characters() -> None:
    text = "Füße und Hände"
    assert [text[a:b] for a, b in from_bytes(text, [0, 11], [6, 17])] == ["Füße", "Hände"]


def test_the_excerpt_goes_to_the_first_span() -> None:
    text = "x" * 5_000 + "MARK" + "y" * 5_000
    pieces = excerpt(text, [(5_000, 5_004)])
    assert [piece.text for piece in pieces if piece.mark == "span"] == ["MARK"]
    assert pieces[0].mark == pieces[-1].mark == "cut"
    assert sum(len(piece.text) for piece in pieces) < 600


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=8))
def test_merged_spans_cover_the_same(found: list[tuple[int, int]]) -> None:
    covered = {at for start, end in found for at in range(start, end)}
    assert {at for start, end in merged(found) for at in range(start, end)} == covered


@given(one=st.text(alphabet="abc \n", max_size=40), two=st.text(alphabet="abc \n", max_size=40))
def test_both_sides_are_the_texts(one: str, two: str) -> None:
    left, right = side_by_side(one, two)
    assert ("".join(piece.text for piece in left), "".join(piece.text for piece in right)) == (one, two)
    common = ["".join(piece.text for piece in side if not piece.mark) for side in (left, right)]
    assert common[0] == common[1]
