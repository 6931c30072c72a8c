"""Lines, landmarks, words by rule and the sets of characters agree with plain Python."""

from __future__ import annotations

import re
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curate.kernels import landmarks, segment, sharing, traits, unicode, word_forms
from curate.kernels.jit import kernel
from curate.kernels.lexer import lex, outline
from curate.kernels.lines import split_lines
from curate.kernels.masks import letter_masks
from tests.kernels.twins import is_pinned, texts
from tests.operators import family_twins as twins
from tests.operators.test_families import documents

PHRASES = {
    landmarks.JAVASCRIPT: "javascript",
    landmarks.LOREM: "lorem ipsum",
    landmarks.POLICY: "|".join(twins.POLICIES),
    landmarks.CITATION: twins.CITATION.pattern,
}


def spans(lexed, span, d, splits):
    return [bytes(lexed.data[a:b]).decode() for a, b in span[splits[d] : splits[d + 1]]]


@settings(max_examples=150, deadline=None)
@given(batch=st.lists(documents, max_size=3).map(lambda batch: ["".join(text) for text in batch]))
def test_lines_are_those_of_splitlines(batch):
    lexed = lex(pa.array(batch, pa.string()))
    lines = split_lines(lexed)
    for d, text in enumerate(batch):
        own = slice(lines.splits[d], lines.splits[d + 1])
        assert spans(lexed, lines.span, d, lines.splits) == text.splitlines()
        assert lines.characters[own].tolist() == [len(line) for line in text.splitlines()]
        assert lines.stripped[own].tolist() == [len(line.strip()) for line in text.splitlines()]
        assert np.diff(lines.words[own], axis=1).ravel().tolist() == [len(line.split()) for line in text.splitlines()]


@settings(max_examples=150, deadline=None)
@given(batch=st.lists(documents, max_size=3).map(lambda batch: ["".join(text) for text in batch]))
def test_phrases_are_found_wherever_they_are(batch):
    lexed = lex(pa.array(batch, pa.string()))
    found = landmarks.landmarks(lexed)
    assert found.braces.tolist() == [text.count("{") for text in batch]
    for kind, pattern in PHRASES.items():
        text_of = (lambda text: text) if kind == landmarks.CITATION else twins.lower
        assert landmarks.occurrences(found, kind).tolist() == [
            len(re.findall(pattern, text_of(text))) for text in batch
        ]


@pytest.mark.parametrize("before", [0, 1, 50, 55, 60, 61, 62, 63, 64, 130])
@pytest.mark.parametrize("after", [0, 1, 3, 70])
def test_no_landmark_hides_at_the_edge_of_a_block(before, after):
    for kind, text in (
        (1, "javascript"),
        (3, "cookie policy"),
        (5, "https://a"),
        (4, "[citation needed]"),
        (0, "\u2028"),
    ):
        found = landmarks.landmarks(lex(pa.array(["x\n" * before + text + "\nx" * after, "y" * 9])))
        assert landmarks.occurrences(found, kind).tolist() == [1, 0], text


def test_more_landmarks_than_expected_are_all_found():
    text = "\r" * 5000
    assert len(split_lines(lex(pa.array([text]))).span) == 5000
    assert len(segment.segment(lex(pa.array(["a." * 5000])), "wordpunct").span) == 10000


@pytest.mark.parametrize("rule", segment.RULES)
@settings(max_examples=100, deadline=None)
@given(batch=st.lists(documents, max_size=3).map(lambda batch: ["".join(text) for text in batch]))
def test_words_are_those_of_the_rule(rule, batch):
    lexed = lex(pa.array(["padding", *batch], pa.string())[1:])
    found = segment.segment(lexed, rule, flagged=True)
    assert segment.count_words(lexed, rule).tolist() == np.diff(found.splits).tolist()
    for d, text in enumerate(batch):
        words, own = twins.words(text, rule), slice(found.splits[d], found.splits[d + 1])
        assert spans(lexed, found.span, d, found.splits) == words
        assert found.characters[own].tolist() == [len(word) for word in words]
        alpha = [any(map(str.isalpha, word)) for word in words]
        assert (found.flags[own] & word_forms.HAS_ALPHA > 0).tolist() == alpha


@pytest.mark.parametrize("rule", segment.RULES)
@settings(max_examples=100, deadline=None)
@given(batch=st.lists(documents, max_size=3).map(lambda batch: ["".join(text) for text in batch]))
def test_words_are_the_same_whether_the_batch_was_read_or_only_outlined(rule, batch):
    outlined = segment.segment(outline(pa.array(["padding", *batch], pa.string())[1:]), rule, flagged=True)
    found = segment.segment(lex(pa.array(batch, pa.string())), rule, flagged=True)
    content = word_forms.HAS_ALPHA | word_forms.HAS_CONTENT
    assert outlined.hash.tolist() == found.hash.tolist()
    assert outlined.characters.tolist() == found.characters.tolist()
    assert (outlined.flags & content).tolist() == (found.flags & content).tolist()


@settings(max_examples=200, deadline=None)
@given(batch=st.lists(documents, max_size=3).map(lambda batch: ["".join(text) for text in batch]))
@example(batch=["it's a snake_case", "e\u0301 a", "人 a", "½ х.", "." * 9000 + "a" * 200, "人" * 9000])
def test_words_of_unicode_are_the_same_after_those_of_wordpunct(batch):
    alone = segment.segment(lex(pa.array(batch, pa.string())), "unicode")
    both = lex(pa.array(["padding", *batch], pa.string())[1:])
    segment.segment(both, "wordpunct")
    after = segment.segment(both, "unicode")
    assert (after.span - both.offsets[0]).tolist() == alone.span.tolist()
    for column in ("splits", "characters", "hash"):
        assert getattr(after, column).tolist() == getattr(alone, column).tolist()


@pytest.mark.parametrize(
    ("rule", "text", "words"),
    [
        ("unicode", "Don't stop: 3.5 km²!", ["Don", "t", "stop", "3", "5", "km²"]),
        ("unicode", "今日は東京", ["今", "日", "は", "東", "京"]),
        ("unicode", "ภาษาไทย", ["ภ", "า", "ษ", "า", "ไ", "ท", "ย"]),
        ("unicode", "हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("unicode", "한국어 cafe\u0301", ["한국어", "cafe\u0301"]),
        ("characters", "a e\u0301।", ["a", "e\u0301", "।"]),
        ("wordpunct", "isn't (so)...", ["isn", "'", "t", "(", "so", ")..."]),
        ("whitespace", " a\u3000b-c\n", ["a", "b-c"]),
    ],
)
def test_words_of_languages(rule, text, words):
    lexed = lex(pa.array([text]))
    found = segment.segment(lexed, rule)
    assert spans(lexed, found.span, 0, found.splits) == words


@pytest.mark.parametrize("rule", segment.RULES)
@settings(max_examples=100, deadline=None)
@given(text=st.text("a\u00e9\u0434\u0627\u064b\ud55c\u4f60\u3042\u0301\u00d7. ", max_size=120))
def test_words_of_any_script_reach_over_the_edges_of_blocks(rule, text):
    lexed = lex(pa.array([text]))
    found = segment.segment(lexed, rule)
    assert spans(lexed, found.span, 0, found.splits) == twins.words(text, rule)


@kernel(cached=False)
def masks_at(data, at, out):
    for k in range(len(at)):
        out[k] = letter_masks(data, at[k])


def test_letters_that_need_no_decoding_are_letters():
    points = [*range(0x80, 0xD800), *range(0xE000, 0x11000)]
    at = np.cumsum([0, *(len(chr(point).encode()) for point in points)])[:-1]
    data = np.frombuffer("".join(map(chr, points)).encode() + bytes(128), np.uint8)
    masks = np.empty((len(points), 3), np.uint64)
    masks_at(data, at, masks)
    kinds = np.array([traits.kind_of.py_func(traits.traits(), point) for point in points])
    two, hangul, chinese = (masks & np.uint64(1)).T > 0
    assert (two.sum(), hangul.sum(), chinese.sum()) == (617, 9216, 24512)
    assert (kinds[two | hangul | chinese] & (unicode.WORD | traits.ALNUM) == unicode.WORD | traits.ALNUM).all()
    assert not (kinds[two | hangul | chinese] & (traits.MARK | unicode.SPACE)).any()
    assert not (kinds[two | hangul] & traits.SINGLE).any()
    assert (kinds[chinese] & traits.SINGLE > 0).all()


@settings(max_examples=100, deadline=None)
@given(texts)
def test_traits_are_those_of_python(text):
    for char in filter(is_pinned, text):
        assert twins.has(char, traits.DIGIT) == char.isdigit()
        assert twins.has(char, traits.DECIMAL) == char.isdecimal()
        assert twins.has(char, traits.ALNUM) == char.isalnum()
        assert twins.has(char, traits.MARK) == unicodedata.category(char).startswith("M")


def test_derivations_are_kept_for_the_last_batches_only():
    first, others = lex(pa.array(["a"])), [lex(pa.array(["b"])) for _ in range(sharing.KEPT)]
    kept = sharing.shared(first, "x", object)
    assert sharing.shared(first, "x", object) is kept
    assert sharing.shared(first, "y", object) is not kept
    for lexed in others:
        sharing.shared(lexed, "x", object)
    assert sharing.shared(first, "x", object) is not kept
