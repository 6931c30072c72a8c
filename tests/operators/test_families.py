"""The families of signals and the mappers of lines agree with plain Python and have the values stated."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.family import Family
from curate.kernels.datajuicer import refined
from curate.kernels.lexer import lex
from curate.operators.c4 import C4Signals
from curate.operators.code import CodeSignals
from curate.operators.datajuicer import DatajuicerSignals
from curate.operators.dolma import DolmaSignals
from curate.operators.fineweb import Fineweb2Signals, FinewebSignals
from curate.operators.lines import C4Lines, CcnetParagraphs, RefinedwebLines
from curate.operators.refinedweb import RefinedwebSignals
from curate.operators.text_statistics import TextStatistics
from tests.kernels.twins import repetitive, texts
from tests.operators import family_twins as twins

PARTS = [
    *("javascript", "JavaScript", "lorem ipsum", "Terms of Use", "privacy policy", "uses cookies", "use of cookies"),
    *(
        "[1]",
        "[٣]",
        "[]",
        "[edit]",
        "[citation needed]",
        "[1",
        "]",
        "[[2]",
        "{",
        "...",
        ". . .",
        ". ",
        "…",
        "! ",
        '"',
        "'",
    ),
    *("http://a.b/c?d", "https://", "www.a.b", "xwww.a", "://", "HTTP://Ä", "ftp://x y", "\\u00e9" * 8, "0x12," * 8),
    *(
        "41 " * 8,
        "\\x41" * 9,
        "aGVsbG8" * 10,
        "abc1 + ",
        "3 likes",
        "1,000.5k  Views!",
        "items in cart",
        "Read more...",
    ),
    *(
        "Sign-in",
        "sign-in now",
        "READ MORE 。",
        "12",
        "½",
        "²",
        "HOME ",
        "Mr. ",
        "J. R. ",
        "U.S. ",
        "the ",
        "of\n",
        "\n",
        "\n\n",
    ),
    *(
        "\r\n",
        "\r",
        "\x0b",
        "\x1c",
        "\x85",
        "\u2028",
        " ",
        "  ",
        "\t",
        "• ",
        "- ",
        "* ",
        "● ",
        "你好。",
        "再见！",
        "ไทย",
        "क्या।",
    ),
    *(
        "This file is generated",
        "auto-generated",
        '<?xml version="1.0"?>',
        "e\u0301",
        "É",
        "x" * 1001,
        "y" * 33,
        "z" * 210,
    ),
    *(
        "one two three. ",
        "one two three\n",
        "a b c d e f g h i j k l ",
        "⟨",
        "(",
        "😀",
        "☛",
        "Ⅷ",
        "٣٤",
        "A",
        "ß",
        "_",
        "-",
    ),
]
documents: Any = texts | repetitive | st.lists(st.sampled_from(PARTS), max_size=40).map("".join)
FAMILIES: dict[type[Family], Callable[[str], dict[str, float]]] = {
    C4Signals: twins.c4,
    FinewebSignals: twins.fineweb,
    Fineweb2Signals: twins.fineweb2,
    DolmaSignals: twins.dolma,
    RefinedwebSignals: twins.refinedweb,
    DatajuicerSignals: twins.datajuicer,
    CodeSignals: twins.code,
    TextStatistics: twins.text_statistics,
}
each_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name())


def joined(batch: list[Any]) -> list[str]:
    return ["".join(document) for document in batch]


def check(family: Family, twin: Callable[[str], dict[str, float]], batch: list[str]) -> None:
    found = family(pa.table({"text": pa.array(batch, pa.string())}))
    for d, document in enumerate(batch):
        for name, value in twin(document).items():
            assert found[name][d].as_py() == pytest.approx(value, abs=1e-9), (name, document)


@each_family
@settings(max_examples=60, deadline=None)
@given(batch=st.lists(documents, max_size=3).map(joined))
def test_signals_agree_with_python(family: type[Family], batch: list[str]) -> None:
    check(family(), FAMILIES[family], batch)


@pytest.mark.parametrize("rule", ["unicode", "whitespace", "characters"])
@settings(max_examples=40, deadline=None)
@given(batch=st.lists(documents, max_size=2).map(joined))
def test_words_are_a_parameter(rule: str, batch: list[str]) -> None:
    check(Fineweb2Signals(words=rule), lambda text: twins.fineweb2(text, rule), batch)  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(batch=st.lists(documents, max_size=3).map(joined))
def test_lines_are_kept_as_python_keeps_them(batch: list[str]) -> None:
    table = pa.table({"text": pa.array(batch, pa.string())})
    c4, web, ccnet = C4Lines()(table), RefinedwebLines()(table), CcnetParagraphs()(table)
    for d, document in enumerate(batch):
        text, reasons = twins.c4_lines(document)
        assert c4["text"][d].as_py() == text
        for rule in ("long_word", "no_terminal_mark", "short", "javascript", "policy"):
            assert c4[f"c4_lines_{rule}_count"][d].as_py() == reasons[rule]
        assert c4["c4_lines_chars_after"][d].as_py() == len(text)
        assert web["text"][d].as_py() == twins.refinedweb_lines(document)
        assert ccnet["text"][d].as_py() == twins.ccnet(document)


@each_family
def test_values_do_not_depend_on_the_batch(family: type[Family]) -> None:
    batch = ["one two three. " * 5, "", "é\n" * 9, "z" * 3000, "\n\n", "a", "你好。" * 50]
    together = family()(pa.table({"text": batch}))
    alone = pa.concat_tables(family()(pa.table({"text": [text]})) for text in batch)
    assert together.equals(alone.combine_chunks()) or together.to_pydict() == alone.to_pydict()
    assert family()(pa.table({"text": batch[2:5]})).to_pydict() == alone.slice(2, 3).to_pydict()


@each_family
def test_the_empty_document_has_no_quantity(family: type[Family]) -> None:
    values = family()("")
    lines = {"dolma_line_count": 1, "dolma_no_terminal_mark_line_ratio": 1.0, "dolma_short_line_ratio": 1.0}
    assert {name: value for name, value in values.items() if value and name not in lines} == {}
    assert {name: values[name] for name in lines if name in values} in ({}, lines)


@each_family
def test_some_columns_are_those_of_all(family: type[Family]) -> None:
    text = pa.table({"text": ["The cat sat. It purred!\n" * 3, "你好。再见！"]})
    whole = family()(text)
    for name in family.columns:
        assert family(signals=(name,))(text).column(name).equals(whole.column(name)), name


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("It rains. It pours.", 2),
        ("It rains. it pours", 1),
        ("Mr. Smith met J. R. Tolkien in the U.S. Army.", 1),
        ('He said "Go!" Then he went. (Really?) Yes.', 4),
        ("It is 3.5 km.[1] It is far...", 2),
        ("今天下雨。明天晴天！真的吗？", 3),
        ("هل تمطر؟ نعم.", 2),
        ("यह है। वह है।", 2),
        ("What?! No!! Yes", 3),
        ("one\ntwo. Three\n\nfour", 4),
    ],
)
def test_sentences(text: str, sentences: int) -> None:
    assert TextStatistics()(text)["text_sentence_count"] == sentences


@pytest.mark.parametrize(
    ("extension", "text", "comment"),
    [
        ("py", "x = '#'  # sum\n", "# sum"),
        ("py", 'def f():\n    """Doc #1."""\n    s = """no"""\n', '"""Doc #1."""'),
        ("c", 'char *s = "/* no */"; /* yes\nno */ // é\n', "/* yesno */// é"),
        ("js", "a = `// no\n`; // yes", "// yes"),
        ("sql", "SELECT '--' -- yes\n", "-- yes"),
        ("html", "<p>no</p><!-- yes -->", "<!-- yes -->"),
        ("hs", "f x = x {- a -} -- b", "{- a -}-- b"),
        ("tex", "no % yes", "% yes"),
        ("lua", "--[[ a\nb ]] x -- c", "--[[ ab ]]-- c"),
        ("css", "a { /* b */ }", "/* b */"),
    ],
)
def test_comments(extension: str, text: str, comment: str) -> None:
    ratio = CodeSignals(extension=extension)(text)["code_comment_ratio"]
    assert ratio == pytest.approx(len(comment) / len(text))


def test_extensions_come_from_the_path() -> None:
    table = pa.table({"text": ["# a", "# a", "# a", "# a"], "file": ["x/a.PY", "Makefile", "notes.xyz", None]})
    found = CodeSignals(path="file")(table)
    assert found["code_extension"].to_pylist() == ["py", "makefile", "xyz", None]
    assert found["code_comment_ratio"].to_pylist() == [1.0, 1.0, None, None]


def test_lists_of_words(tmp_path) -> None:
    (tmp_path / "flagged.txt").write_text("Darn\n\nheck\n", encoding="utf-8")
    family = DatajuicerSignals(flagged_words=str(tmp_path / "flagged.txt"))
    assert family("Darn it, (heck)!")["datajuicer_flagged_word_ratio"] == pytest.approx(2 / 3)
    assert family("")["datajuicer_stop_word_ratio"] is None


def test_marks_of_c4_may_be_others() -> None:
    assert C4Lines(marks="'")("say it 'now'")["text"] == "say it 'now'"
    assert C4Lines(marks="")("one two three\nfour")["text"] == "one two three"


@settings(max_examples=60, deadline=None)
@given(text=st.text("abc \u00e9\u4f60\U0001f600", max_size=300), size=st.integers(1, 40))
def test_runs_of_characters_of_any_width_repeat(text: str, size: int) -> None:
    found = DatajuicerSignals(char_ngram=size)(text + text[:150])["datajuicer_char_repetition_ratio"]
    assert found == pytest.approx(twins.datajuicer(text + text[:150], size)["datajuicer_char_repetition_ratio"])


@settings(max_examples=100, deadline=None)
@given(text=st.text("aA1.,- \n_\u00e9\u0394\u03a3\u00bb\u4f60", max_size=100))
def test_refined_words_are_told_apart(text: str) -> None:
    found, tokens = refined(lex(pa.array([text]))), twins.refined(text)
    assert len(found.hash) == len(tokens)
    assert [tokens.index(token) for token in tokens] == [found.hash.tolist().index(key) for key in found.hash]


def test_one_more_character_makes_no_step_in_the_compression_ratio() -> None:
    chosen = random.Random(1)
    words = ["".join(chosen.choices("etaoinshrdlu", k=chosen.randint(2, 9))) for _ in range(3_000)]
    text = " ".join(chosen.choices(words, k=40_000))
    for length in (1 << 14, 1 << 17):  # where zstd has other settings for longer texts
        texts = [text[:length], text[: length + 1]]
        before, after = TextStatistics()({"text": texts})["text_compression_ratio"]
        assert after == pytest.approx(before, abs=0.001)


def test_special_characters_of_datajuicer() -> None:
    for text, ratio in (("a1 b", 0.5), ("é—😀!", 0.75), ("☛➤", 1.0), ("你好", 0.0), ("\u200b\ufeff", 1.0), ("𝔘¬", 0.0)):
        assert DatajuicerSignals()(text)["datajuicer_special_char_ratio"] == ratio, text
