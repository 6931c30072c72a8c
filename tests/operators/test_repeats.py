"""Lines and runs of words that repeat: plain Python twins, brute force, and cc_net's algorithm on real text."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import time
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.editing import DELETED
from curate.operators.repeats import DedupLines, DedupSubstrings
from tests.kernels.test_repeats import lines_of, plain
from tests.kernels.twins import SHARED

MIX = SHARED / "mix_5mb.jsonl.zst"


def apply(operator: Any, texts: list[str], **columns: list[str]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = operator(pa.table({"text": pa.array(texts, pa.string()), **columns})).to_pydict()
    return found


# ---------------------------------------------------------------- lines

LINES = ("Home | Login", "home | login", "It rains.", "Page 1", "page 2", "", "  ", "x", " It rains. ")
pages = st.lists(st.lists(st.sampled_from(LINES), max_size=6).map("\n".join), max_size=5)


def without(text: str, cut: set[int]) -> str:
    """The text without some of its lines, and without blank lines after them."""
    kept, at, is_cut = [], -1, False
    for line in text.split("\n"):
        at += bool(line.strip())
        is_cut = at in cut if line.strip() else is_cut
        kept += [] if is_cut else [line]
    return "\n".join(kept).strip() if cut else text


@settings(max_examples=200, deadline=None)
@given(pages, st.sampled_from(["first", "none"]), st.integers(2, 3), st.integers(1, 7))
def test_lines_agree_with_python(texts: list[str], keep: Any, least: int, length: int) -> None:
    forms = [[plain(line, True) for line in lines_of(text)] for text in texts]
    counts = Counter(form for document in forms for form in document)
    seen: set[str] = set()
    found = apply(DedupLines(keep=keep, min_count=least, min_length=length), texts)
    for d, document in enumerate(forms):
        repeated = [at for at, form in enumerate(document) if counts[form] >= least and len(form) >= length]
        cut = set()
        for at in repeated:
            if keep == "none" or document[at] in seen:
                cut.add(at)
            seen.add(document[at])
        assert found["text"][d] == without(texts[d], cut)
        assert found["dedup_lines_count"][d] == len(document)
        assert found["dedup_lines_repeated_count"][d] == len(repeated)
        assert found["dedup_lines_removed_count"][d] == len(cut)
        share = (len(texts[d]) - len(found["text"][d])) / max(len(texts[d]), 1)
        assert found["dedup_lines_removed_char_ratio"][d] == pytest.approx(share)
        assert found["dedup_lines_is_emptied"][d] == (bool(cut) and not found["text"][d].strip())


CUT = re.compile("[" + "".join(map(chr, [*DELETED, *range(32), *range(127, 160)])) + "]")
BLANK = hashlib.sha1(b"").digest()[:8]


def ccnet_hash(line: str) -> bytes:
    """How cc_net's code knows a line; unlike its paper it leaves accents."""
    return hashlib.sha1(CUT.sub("", re.sub(r"\d", "0", line.strip().lower())).encode()).digest()[:8]


@pytest.mark.skipif(not MIX.exists(), reason="the mix of real documents is not here")
def test_lines_left_are_those_of_ccnet() -> None:
    """cc_net goes over the documents twice: it counts hashes of lines, then keeps the lines whose hash occurs once."""
    import zstandard

    raw = zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(MIX.open("rb")).read()
    texts = [json.loads(line)["text"] for line in raw.decode().splitlines()[::3]]
    hashes = [[(ccnet_hash(line), line.strip()) for line in text.split("\n")] for text in texts]
    counts = Counter(known for document in hashes for known, _ in document)
    expected = [[line for known, line in document if counts[known] < 2 and known != BLANK] for document in hashes]
    found = apply(DedupLines(keep="none"), texts)
    assert sum(found["dedup_lines_removed_count"]) > 1_000
    assert [[line for line in lines_of(text) if ccnet_hash(line) != BLANK] for text in found["text"]] == expected


def test_sentences_in_spans_of_three_go_as_in_c4() -> None:
    texts = ["A one. B two. C three. D four.", "Ex. B two. C three. D four. Why.", "B two. C three.\nD four. A one."]
    found = apply(DedupLines(unit="sentence", span=3), texts)
    assert found["text"] == [texts[0], "Ex. Why.", "A one."]
    assert found["dedup_lines_removed_count"] == [0, 3, 3]
    none = apply(DedupLines(unit="sentence", span=3, keep="none"), texts)
    assert none["text"] == ["A one.", "Ex. Why.", "A one."]
    assert none["dedup_lines_repeated_count"] == [3, 3, 3]
    assert apply(DedupLines(unit="sentence", span=3), ["Aa. Bb.", "Aa. Bb."])["dedup_lines_repeated_count"] == [0, 0]


def test_a_paragraph_repeats_as_a_whole() -> None:
    texts = ["One\ntwo\n\nthree", "one\n2\n\none\nTWO\n\nfour"]
    assert apply(DedupLines(unit="paragraph"), texts)["text"] == [texts[0], "one\n2\n\nfour"]


def test_lines_repeat_within_a_source_or_a_shard() -> None:
    texts = ["same\na", "same\nb", "same\nc"]
    found = apply(DedupLines(within="source"), texts, source=["x", "y", "x"])
    assert found["text"] == ["same\na", "same\nb", "c"]
    table = pa.table({"text": texts, "row": np.array([0, 1 << 32, 1 << 32 | 1])})
    assert DedupLines(within="shard")(table)["text"].to_pylist() == ["same\na", "same\nb", "c"]


def test_the_first_is_the_one_of_the_lowest_address() -> None:
    table = pa.table({"text": ["same\na", "same\nb"], "row": [7, 3]})
    assert DedupLines()(table)["text"].to_pylist() == ["a", "same\nb"]
    runs = pa.table({"text": ["p q r s", "p q r t"], "row": [7, 3]})
    assert DedupSubstrings(min_tokens=3)(runs)["text"].to_pylist() == ["s", "p q r t"]


def test_what_is_only_reported_is_left() -> None:
    texts = ["same\na", "same\nb"]
    found = apply(DedupLines(edit=False), texts)
    assert found["text"] == texts
    assert found["dedup_lines_removed_count"] == [0, 1]


@pytest.mark.parametrize(
    ("by", "texts"),
    [
        ("raw", ["Été 1", "été 1", "ete 1", "Été 1"]),
        ("normalised", ["Été 1", "e\u0301te\u0301 2", "ete 1", "\x00été »3"]),
        ("unaccented", ["Été 1", "ete 2", "étè 3", "other"]),
    ],
)
def test_ways_to_compare(by: Any, texts: list[str]) -> None:
    expected = {"raw": [1, 0, 0, 1], "normalised": [1, 1, 0, 1], "unaccented": [1, 1, 1, 0]}
    assert apply(DedupLines(by=by), texts)["dedup_lines_repeated_count"] == expected[by]


def test_a_text_that_is_all_cut_is_empty_and_stays() -> None:
    found = apply(DedupLines(), ["a\nb", "b\n\na\n", "", " "])
    assert found["text"] == ["a\nb", "", "", " "]
    assert found["dedup_lines_is_emptied"] == [False, True, False, False]


# ---------------------------------------------------------------- runs of words


def brute_force(documents: list[list[str]], size: int) -> tuple[list[set[int]], list[set[int]]]:
    """Words in matches of at least `size` words between any two places: all, and those with a match before them."""
    places = [(d, i) for d, document in enumerate(documents) for i in range(len(document))]
    repeated: list[set[int]] = [set() for _ in documents]
    later: list[set[int]] = [set() for _ in documents]
    for (d, i), (e, j) in itertools.combinations(places, 2):
        n = 0
        while i + n < len(documents[d]) and j + n < len(documents[e]) and documents[d][i + n] == documents[e][j + n]:
            n += 1
        if n >= size:
            repeated[d] |= {*range(i, i + n)}
            repeated[e] |= {*range(j, j + n)}
            later[e] |= {*range(j, j + n)}
    return repeated, later


def stretches(words: set[int]) -> list[tuple[int, int]]:
    """Runs of consecutive numbers: first, and one past the last."""
    heads = sorted(word for word in words if word - 1 not in words)
    return [(head, next(i for i in itertools.count(head) if i not in words)) for head in heads]


alphabets = st.sampled_from(["a", "ab", "abc", "abcdefgh"])
corpora = alphabets.flatmap(lambda letters: st.lists(st.lists(st.sampled_from(letters), max_size=24), max_size=4))


@settings(max_examples=300, deadline=None)
@given(corpora, st.integers(1, 7), st.sampled_from(["first", "none"]))
def test_runs_agree_with_brute_force(documents: list[list[str]], size: int, keep: Any) -> None:
    texts = [" ".join(document) for document in documents]
    repeated, later = brute_force(documents, size)
    found = apply(DedupSubstrings(min_tokens=size, keep=keep), texts)
    for d, document in enumerate(documents):
        cut = later[d] if keep == "first" else repeated[d]
        spans = [(2 * first, 2 * last - 1) for first, last in stretches(cut)]
        assert [*zip(found["dedup_substrings_start"][d], found["dedup_substrings_end"][d], strict=True)] == spans
        assert found["text"][d] == " ".join(word for at, word in enumerate(document) if at not in cut)
        share = sum(2 * (last - first) - 1 for first, last in stretches(repeated[d])) / max(len(texts[d]), 1)
        assert found["dedup_substrings_repeated_ratio"][d] == pytest.approx(share)


@settings(max_examples=100, deadline=None)
@given(corpora, st.integers(1, 4), st.integers(2, 4))
def test_runs_repeat_from_a_count_on(documents: list[list[str]], size: int, least: int) -> None:
    grams = [[tuple(document[i : i + size]) for i in range(len(document) - size + 1)] for document in documents]
    counts = Counter(gram for document in grams for gram in document)
    texts = [" ".join(document) for document in documents]
    found = apply(DedupSubstrings(min_tokens=size, min_count=least, keep="none"), texts)
    for d, document in enumerate(documents):
        cut = {i + k for i, gram in enumerate(grams[d]) if counts[gram] >= least for k in range(size)}
        assert found["text"][d] == " ".join(word for at, word in enumerate(document) if at not in cut)


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("whitespace", "It's so, 你好 x"),
        ("wordpunct", "It's so, 你好 x"),
        ("unicode", "so 你好 x y"),
        ("characters", "你 好ab"),
    ],
)
def test_kinds_of_words(tokens: Any, text: str) -> None:
    found = apply(DedupSubstrings(min_tokens=4, tokens=tokens), [f"q {text} r", f"s {text} t"])
    assert found["dedup_substrings_removed_char_ratio"][0] == 0
    assert found["text"][1] == "s t"


def test_bytes_are_cut_by_whole_characters() -> None:
    texts = ["aöb, and so on.", "aÖb, and so on!", "xyz"]  # ö and Ö begin with the same byte and end with another
    found = apply(DedupSubstrings(min_tokens=5, tokens="bytes"), texts)
    assert found["text"] == [texts[0], "aÖ!", "xyz"]
    assert found["dedup_substrings_start"][1] == [3]
    assert apply(DedupSubstrings(min_tokens=2, tokens="bytes"), ["aö", "aÖ"])["text"] == ["aö", "Ö"]


def test_between_words_anything_that_is_no_word_may_differ() -> None:
    found = apply(DedupSubstrings(min_tokens=3), ["one two three", "zero one,\n two -- three! four"])
    assert found["text"][1] == "zero four"
    assert found["dedup_substrings_start"][1] == [5]
    assert found["dedup_substrings_end"][1] == [len("zero one,\n two -- three")]


@pytest.mark.parametrize(
    "texts", [["a " * 600_000], ["a b " * 300_000], ["one page of ten words is here again and again "] * 30_000]
)
def test_what_repeats_without_end_costs_a_straight_line(texts: list[str]) -> None:
    apply(DedupSubstrings(min_tokens=5), ["a b c d e f"] * 3)  # compiled
    began = time.process_time()
    found = apply(DedupSubstrings(min_tokens=5), texts)
    assert time.process_time() - began < 5
    assert sum(map(len, found["text"])) < 100


@pytest.mark.parametrize("operator", [DedupLines(), DedupSubstrings()])
def test_a_corpus_without_documents(operator: Any) -> None:
    assert apply(operator, [])["text"] == []
