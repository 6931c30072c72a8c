"""The Gopher signals agree with plain Python and with RedPajama-V2's own values."""

import io
import json
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels import gopher as kernel
from curate.kernels.gopher import gopher
from curate.kernels.lexer import lex
from tests.kernels import twins


def _check(documents):
    found = gopher(lex(pa.array(documents, pa.string())))
    assert [*found] == [*kernel.COUNTS, *kernel.RATIOS]
    for d, document in enumerate(documents):
        for name, value in twins.gopher(document).items():
            assert found[name][d] == pytest.approx(value, abs=1e-12), (name, document)


@settings(max_examples=100, deadline=None)
@given(st.lists(twins.repetitive | twins.texts, max_size=3))
def test_signals_agree_with_python(documents):
    _check(["".join(document) for document in documents])


@pytest.mark.parametrize(
    "document",
    [
        "",
        " \n ",
        "!!! ???",
        "\x00\n\x00",
        "a " * 50,
        "a b c d e " * 30,
        "a bb ccc dddd eeeee " * 3 + "a bb, ccc",
        "x y z " * 4 + "w " + "x y z " * 4,
        "same\n\n same \n\nother\nlines\n \nother\n  lines\n",
        "The THE the. to-be and/or that have with OF",
        "\n".join(f"{bullet} item…" for bullet in kernel.BULLETS) + "\n* star\n· dot",
    ],
)
def test_documents_with_a_point(document):
    _check([document, "between", document])


def test_types_and_absence_of_nan():
    found = gopher(lex(pa.array(["", " ", "?!", "a"])))
    assert {name for name, values in found.items() if values.dtype == np.int32} == set(kernel.COUNTS)
    assert all(values.dtype == np.float64 for name, values in found.items() if name not in kernel.COUNTS)
    assert all(np.isfinite(values).all() and values[0] == 0 for values in found.values())
    assert all(len(values) == 0 for values in gopher(lex(pa.array([], pa.string()))).values())


def test_a_long_document_does_not_change_its_neighbours():
    small = "one two three one two three\n\nfour"
    found = gopher(lex(pa.array([small, "word " * 500_000 + "end", small])))
    assert all(values[0] == values[2] for values in found.values())
    assert found["duplicate_10gram_char_ratio"][1] == pytest.approx(1.0, abs=1e-5)


ORACLE = twins.SHARED / "oracle_rpv2"


def _read(name):
    zstandard = pytest.importorskip("zstandard")
    with (ORACLE / name).open("rb") as file:
        stream = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8", newline="\n")
        return {row["id"]: row for row in map(json.loads, stream)}


@pytest.mark.skipif(not ORACLE.exists(), reason="the values of RedPajama-V2's own code are not on this machine")
def test_signals_agree_with_redpajama_v2():
    documents, signals = _read("docs.jsonl.zst"), _read("signals_full.jsonl.zst")
    texts = [documents[name]["text"] for name in signals]
    lexed = lex(pa.array(texts))
    found = gopher(lexed)
    assert len(texts) == 279
    for d, row in enumerate(signals.values()):
        expected = {name.removeprefix("rps_"): value for name, value in row["signals"].items()}
        document = {name: value[0][2] for name, value in expected.items() if name.startswith("doc_") and value}
        first, last = lexed.word_splits[d], lexed.word_splits[d + 1]
        kept = lexed.words.normal_characters[first:last] > 0
        assert kept.sum() == document["doc_word_count"]
        assert lexed.sentences[d] == document["doc_num_sentences"]
        for n in (2, 3, 4):
            value = min(1.0, document[f"doc_frac_chars_top_{n}gram"])
            assert found[f"top_{n}gram_char_ratio"][d] == pytest.approx(value, abs=1e-12)
        for n in range(5, 11):
            value = document[f"doc_frac_chars_dupe_{n}grams"]
            assert found[f"duplicate_{n}gram_char_ratio"][d] == pytest.approx(value, abs=1e-12)
        if kept.any():
            mean = lexed.words.normal_characters[first:last].sum() / kept.sum()
            assert mean == pytest.approx(document["doc_mean_word_length"], abs=1e-12)
            _, counts = np.unique(lexed.words.hash[first:last][kept], return_counts=True)
            assert len(counts) / kept.sum() == pytest.approx(document["doc_frac_unique_words"], abs=1e-12)
            entropy = -sum(c / kept.sum() * math.log(c / kept.sum()) for c in counts)
            assert entropy == pytest.approx(document["doc_unigram_entropy"], abs=1e-9)
        _check_lines(lexed, d, expected)


def _check_lines(lexed, d, expected):
    lines, first, last = lexed.lines, lexed.line_splits[d], lexed.line_splits[d + 1]
    per_word = np.concatenate([[0], np.cumsum(lexed.words.normal_characters > 0)])
    words = np.diff(per_word[lines.words[first : last + 1]])
    assert words.tolist() == [value for _, _, value in expected["lines_num_words"]]
    ends = np.isin(lines.last[first:last], [*map(ord, ".!?”")])
    assert ends.tolist() == [value == 1 for _, _, value in expected["lines_ending_with_terminal_punctution_mark"]]
    bullets = np.isin(lines.first[first:last], [*map(ord, kernel.BULLETS.replace("-", ""))])
    if last > first:
        assert bullets.tolist() == [value == 1 for _, _, value in expected["lines_start_with_bulletpoint"]]
        share = expected["doc_frac_lines_end_with_ellipsis"][0][2]
        assert lines.has_ellipsis[first:last].mean() == pytest.approx(share, abs=1e-12)
