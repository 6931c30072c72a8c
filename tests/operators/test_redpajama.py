"""RedPajama-V2's signals are those of its own code, bit for bit; lists, languages and what is wrong with them."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import PlanError, RecipeError
from curate.kernels.rounding import rounded
from curate.operators.redpajama import RedpajamaSignals
from curate.recipe import Recipe
from tests.kernels import twins

ORACLE = twins.SHARED / "oracle_rpv2"
ARTIFACTS = ORACLE / "artifacts"
LISTS = Path(__file__).resolve().parents[1] / "data/redpajama"
WORDS, OBSCENE, SITES = (str(LISTS / name) for name in ("stop_words.json", "bad_words", "ut1"))
ALL = RedpajamaSignals(stop_words=WORDS, bad_words=OBSCENE, ut1=SITES)


def read(name: str) -> list[dict[str, Any]]:
    zstandard = pytest.importorskip("zstandard")
    with (ORACLE / name).open("rb") as file:
        stream = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8", newline="\n")
        return [json.loads(line) for line in stream]


def measured(documents: list[dict[str, Any]], **parameters: Any) -> dict[str, list[Any]]:
    table = pa.table({new: [row[old] for row in documents] for new, old in (("text", "text"), ("language", "lang"))})
    table = table.append_column("url", pa.array([row["url"] for row in documents]))
    lists = {"stop_words": str(ARTIFACTS / "stop_words.json"), "bad_words": str(ARTIFACTS / "bad_words")}
    return RedpajamaSignals(**{**lists, **parameters})(table).to_pydict()


@pytest.mark.skipif(not ORACLE.exists(), reason="the values of RedPajama-V2's own code are not on this machine")
@pytest.mark.parametrize(
    ("file", "digits", "ut1"),
    [("signals.jsonl.zst", 8, "blacklists"), ("signals_full.jsonl.zst", None, "domain_to_category_id.json")],
    ids=["rounded", "unrounded"],
)
def test_every_signal_is_that_of_redpajama_v2(file: str, digits: int | None, ut1: str) -> None:
    documents = {row["id"]: row for row in read("docs.jsonl.zst")}
    rows = read(file)
    found = measured([documents[row["id"]] for row in rows], digits=digits, ut1=str(ARTIFACTS / "bad_urls" / ut1))
    names = {name for row in rows for name in row["signals"] if not name.startswith("ccnet_")}
    names = {name for name in names if "_ml_" not in name and "_importance" not in name and "_correction" not in name}
    assert len(rows) == 279
    assert names == {name for name in found if name.startswith("rps_")} - {"rps_lines_start", "rps_lines_end"}
    for d, row in enumerate(rows):
        for name in sorted(names):
            expected, own = row["signals"][name], found[name][d]
            if name.startswith("rps_doc_"):
                assert own == expected[0][2], (name, row["id"])
                continue
            if not documents[row["id"]]["text"] and name == "rps_lines_start_with_bulletpoint":
                assert (expected, own) == ([[0, 0, None]], [])  # the others, and ours, have no line in an empty text
                continue
            spans = [[*line] for line in zip(found["rps_lines_start"][d], found["rps_lines_end"][d], own, strict=True)]
            assert spans == expected, (name, row["id"])


@given(st.floats(0, 1) | st.floats(0, 1e4) | st.integers(0, 10**6).map(lambda n: n / 1024), st.integers(0, 8))
@settings(max_examples=500)
def test_rounding_is_that_of_python(value: float, digits: int) -> None:
    assert rounded(np.array([value]), digits)[0] == round(value, digits)


@pytest.mark.parametrize("numerator", range(1, 200, 2))
def test_ties_are_rounded_as_python_does(numerator: int) -> None:
    value = numerator / 2**9  # exact: its ninth decimal is a 5
    assert rounded(np.array([value]), 8)[0] == round(value, 8)


def test_mended_signals_differ_where_the_published_are_wrong() -> None:
    table = pa.table({
        "text": ["The the RUBBISH. Café! piff paff", "слово за слово", "a a a a", "plain"],
        "language": ["en", "ru", "en", "zz"],
        "url": ["https://bet.example/a", None, "//chat.example:80/", "https://x.example"],
    })  # fmt: skip
    found = ALL(table).to_pydict()
    assert found["rps_doc_stop_word_fraction"] == [0.125, 0.33333333, 1.0, None]
    assert found["redpajama_stop_word_ratio"] == [0.25, 0.33333333, 1.0, None]
    assert found["rps_doc_frac_no_alph_words"] == [0.25, 1.0, 0.0, 0.0]
    assert found["redpajama_no_alpha_word_ratio"] == [0.25, 0.0, 0.0, 0.0]
    assert found["rps_doc_frac_chars_top_2gram"] == [0.0, 0.0, 1.5, 0.0]
    assert found["redpajama_top_2gram_char_ratio"] == [0.0, 0.0, 1.0, 0.0]
    assert found["rps_doc_ldnoobw_words"] == [2, 0, 0, 0]
    assert found["redpajama_bad_word_count"] == [3, None, 0, None]
    assert found["rps_doc_ut1_blacklist"] == [8, None, None, None]


def test_phrases_may_overlap_and_cross_lines_and_punctuation() -> None:
    text = "piff\n-- paff piff paff pouf, piff"
    assert ALL({"text": text, "language": "en", "url": ""})["rps_doc_ldnoobw_words"] == 3


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Lorem ipsum", 1),
        ("l-o-r-e-m, *** (IPSUM)s", 1),
        ("dolorem\n\nipsums lorem ipsumlorem ipsu\u1e3f", 3),
        ("lorem, then ipsum: lorem Ípsum lore\u1e3f ipsum", 0),
        ("ipsum lorem", 0),
    ],
)
def test_lorem_ipsum(text: str, count: int) -> None:
    normal = " ".join(form for word in text.split() if (form := twins.normal(word)))
    assert normal.count("lorem ipsum") == count
    assert RedpajamaSignals(digits=None)(text)["rps_doc_lorem_ipsum"] == count / len(normal)


def test_texts_of_nothing() -> None:
    found = RedpajamaSignals()({"text": ["", " \n", "!", None]})
    per_word = ["rps_doc_mean_word_length", "rps_doc_frac_unique_words", "rps_doc_unigram_entropy"]
    assert [found[name] for name in per_word] == [[None] * 4] * 3
    assert found["rps_doc_frac_all_caps_words"] == [None, None, 0.0, None]
    assert found["rps_doc_frac_lines_end_with_ellipsis"] == [None, 0.0, 0.0, None]
    assert found["rps_doc_lorem_ipsum"] == [0.0, 0.0, 0.0, None]
    assert found["rps_lines_end"] == [[], [2], [1], None]


def test_columns_that_need_a_list_are_written_when_it_is_given() -> None:
    assert {*ALL.writes()} == {*RedpajamaSignals.columns}
    without = {*RedpajamaSignals.columns} - {*RedpajamaSignals().writes()}
    assert without == {
        *("rps_doc_stop_word_fraction", "redpajama_stop_word_ratio", "rps_doc_ldnoobw_words"),
        *("redpajama_bad_word_count", "rps_doc_ut1_blacklist"),
    }
    assert [*RedpajamaSignals().reads()] == ["text"]
    assert [*ALL.reads()] == ["text", "language", "url"]
    assert [*RedpajamaSignals(stop_words=WORDS, language="en").reads()] == ["text"]
    assert [*RedpajamaSignals(stop_words=WORDS, signals=("rps_doc_word_count",)).reads()] == ["text"]


@pytest.mark.parametrize(
    ("column", "parameter"),
    [
        ("rps_doc_stop_word_fraction", "stop_words"),
        ("redpajama_bad_word_count", "bad_words"),
        ("rps_doc_ut1_blacklist", "ut1"),
    ],
)
def test_a_column_without_its_list_names_the_parameter(column: str, parameter: str) -> None:
    with pytest.raises(RecipeError, match=f"{column} needs a list: give the parameter {parameter}"):
        Recipe.parse(f"name: x\nsteps:\n- redpajama_signals: {{signals: [{column}]}}\n")


def test_an_unknown_signal_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'rps_doc_frac_chars_dupe_5grams'"):
        RedpajamaSignals(signals=("rps_doc_frac_chars_dupe_5gram",))


def test_files_are_those_of_the_lists() -> None:
    names = [str(Path(file).relative_to(LISTS)) for file in ALL.files()]
    assert names == [
        "stop_words.json",
        "bad_words/de.txt",
        "bad_words/en.txt",
        "ut1/chat/domains",
        "ut1/gambling/domains",
    ]


def test_lists_that_are_no_lists(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="nowhere is neither a file nor an asset"):
        RedpajamaSignals(stop_words="nowhere").check({})
    with pytest.raises(PlanError, match="is called after a language"):
        RedpajamaSignals(bad_words=str(tmp_path)).check({})
    with pytest.raises(PlanError, match="has none of UT1's categories"):
        RedpajamaSignals(ut1=str(tmp_path)).check({})
    with pytest.raises(PlanError, match="`stop_words` has no list for 'end' - did you mean 'en'"):
        RedpajamaSignals(stop_words=WORDS, language="end").check({})
    for content in ("[1]", "{", '{"en": 1}', '{"en": "the"}'):
        (tmp_path / "words.json").write_text(content)
        with pytest.raises(PlanError, match=r"words\.json is not a JSON object of lists"):
            RedpajamaSignals(stop_words=str(tmp_path / "words.json")).check({})


def test_lists_that_change_are_read_again(tmp_path: Path) -> None:
    (tmp_path / "en").write_text("one\n")
    operator = RedpajamaSignals(stop_words=str(tmp_path), language="en", signals=("rps_doc_stop_word_fraction",))
    assert operator("one two") == {"rps_doc_stop_word_fraction": 0.5}
    before = operator.identity()
    (tmp_path / "en").write_text("one\ntwo\n")
    assert operator("one two") == {"rps_doc_stop_word_fraction": 1.0}
    assert operator.identity() != before
