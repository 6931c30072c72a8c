"""What deduplicators see of a document: signatures of each preset, and what dedup_exact compares."""

import datetime
import string
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curate.addresses import canonical
from curate.errors import PlanError, RecipeError
from curate.lsh import PRESETS, signature_values
from curate.operators.dedup import DedupExact, DedupMinhash
from curate.recipe import Recipe
from tests.operators.test_redpajama import ORACLE, read

WORDS = [f"word{k}" for k in np.random.default_rng(4).integers(0, 900, 400)]


# ---------------------------------------------------------------- signatures


@pytest.mark.skipif(not ORACLE.exists(), reason="the values of RedPajama-V2's own code are not on this machine")
@pytest.mark.parametrize("threshold", [0.7, 0.8, 0.9, 1.0])
def test_signatures_and_bands_are_those_of_redpajama_v2(threshold: float) -> None:
    """Every band it writes, big-endian, for real, adversarial and planted documents; null for the short ones."""
    rows, documents = read("minhash.jsonl.zst"), {row["id"]: row["text"] for row in read("docs.jsonl.zst")}
    operator = DedupMinhash(preset="redpajama-v2", threshold=threshold)
    texts = pa.array([documents[row["id"]] for row in rows])
    values, (bands, size) = signature_values(operator.sketch(texts)["signature"]), operator.settings.shape
    published = [row[f"signature_sim{threshold}"] for row in rows]
    for expected, signature in zip(published, values, strict=True):
        own = [signature[k * size : (k + 1) * size].astype(">u4").tobytes().hex() for k in range(bands)]
        assert expected is None or own == expected
    assert (len(published), published.count(None)) == (279, 57)


@pytest.mark.parametrize("preset", PRESETS)
def test_short_documents_are_compared_exactly(preset: Any) -> None:
    short = ["", "a", "b", "...", "!!!", "a b", "a-b", "ab", "x y z", "a  b\n", "A B"]
    found = DedupMinhash(preset=preset)(pa.table({"text": short}))["dedup_minhash_duplicate_of"].to_pylist()
    same = [None, None] if PRESETS[preset].normalise == "none" else ["5", "5"]
    assert found == [None] * 9 + same


@pytest.mark.parametrize("preset", PRESETS)
def test_wrapped_again_is_a_duplicate(preset: Any) -> None:
    texts = [" ".join(WORDS), "\n".join(" ".join(WORDS[k : k + 9]) for k in range(0, 400, 9)), "\u3000".join(WORDS)]
    found = DedupMinhash(preset=preset)(pa.table({"text": texts}))["dropped_by"].to_pylist()
    is_raw = PRESETS[preset].normalise == "none"
    assert found == [None, *[None if is_raw else "dedup_minhash"] * 2]


@pytest.mark.parametrize("unit", ["words", "characters"])
def test_an_edited_copy_has_the_similarity_of_its_shingles(unit: Any) -> None:
    edited = [*WORDS[:200], "another", *WORDS[200:]]
    operator = DedupMinhash(unit=unit, normalise="folded", ngram=4, verify="estimate")
    row = operator(pa.table({"text": [" ".join(WORDS), " ".join(edited)]})).to_pylist()[1]
    units = [[*" ".join(words)] if unit == "characters" else words for words in (WORDS, edited)]
    one, two = ({tuple(each[k : k + 4]) for k in range(len(each) - 3)} for each in units)
    assert row["dropped_by"] == "dedup_minhash"
    assert row["dedup_minhash_similarity"] == pytest.approx(len(one & two) / len(one | two), abs=0.05)


# ---------------------------------------------------------------- exact, by any column

MOMENT = datetime.datetime(2024, 5, 1)
COLUMNS = {
    "string": pa.array(["a", "A", "a", None, None, ""]),
    "large string": pa.array(["a", "A", "a", None, None, ""], pa.large_string()),
    "binary": pa.array([b"\xff\x00", b"\xff", b"\xff\x00", None, None, b""]),
    "large binary": pa.array([b"\xff\x00", b"\xff", b"\xff\x00", None, None, b""], pa.large_binary()),
    "fixed binary": pa.array([b"aa", b"ab", b"aa", None, None, b"\x00\x00"], pa.binary(2)),
    "int64": pa.array([-1, 1, -1, None, None, 0]),
    "uint64": pa.array([2**64 - 1, 1, 2**64 - 1, None, None, 0], pa.uint64()),
    "boolean": pa.array([True, False, True, None, None, None]),
    "timestamp": pa.array([MOMENT, MOMENT + datetime.timedelta(seconds=1), MOMENT, None, None, datetime.datetime.min]),
    "date": pa.array([MOMENT.date(), datetime.date(1970, 1, 1), MOMENT.date(), None, None, None]),
    "dictionary": pa.array(["a", "A", "a", None, None, ""]).dictionary_encode(),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_any_column_is_compared_and_null_is_not(name: str) -> None:
    found = DedupExact(by="column", column="key")(pa.table({"key": COLUMNS[name]}))["dropped_by"].to_pylist()
    assert found == [None, None, "dedup_exact", None, None, None]


def test_slices_are_compared_by_their_own_values() -> None:
    operator = DedupExact(by="column", column="key")
    for column in COLUMNS.values():
        if not pa.types.is_dictionary(column.type):
            assert operator(pa.table({"key": column[1:3]}))["dropped_by"].null_count == 2
            assert operator(pa.table({"key": column[2:3]})).num_rows == 1


@pytest.mark.parametrize("kind", [pa.float64(), pa.list_(pa.string()), pa.struct([("a", pa.int32())])], ids=str)
def test_values_that_cannot_be_compared_are_refused(kind: pa.DataType) -> None:
    with pytest.raises(PlanError, match=r"dedup_exact cannot compare key, which is "):
        DedupExact(by="column", column="key").check({"key": kind})


def test_another_column_for_text_and_url() -> None:
    table = pa.table({"body": ["A  b", "a b"], "link": ["http://x.org", "x.org/"], "url": ["a.org", "b.org"]})
    for operator in (DedupExact(column="body"), DedupExact(by="url", column="link")):
        assert operator(table)["dropped_by"].to_pylist() == [None, "dedup_exact"]
    for operator in (DedupExact(by="raw", column="body"), DedupExact(by="url")):
        assert operator(table)["dropped_by"].null_count == 2


def test_by_column_needs_its_name(tmp_path: Any) -> None:
    (tmp_path / "r.yaml").write_text("sources: {a: {path: a.jsonl}}\nsteps:\n  - dedup_exact: {by: column}\n")
    with pytest.raises(RecipeError, match=r"r.yaml:3: .*by: column needs column"):
        Recipe.load(tmp_path / "r.yaml")


# ---------------------------------------------------------------- canonical addresses

SAME = [  # (canonical form, addresses that have it)
    ("example.org", ["http://example.org", "HTTPS://WWW.Example.org:443/", "//example.org./", "example.org:80/#x"]),
    (
        "example.org/a",
        ["https://example.org/a/", "http://user:pw@example.org/a//", "example.org/%61?"],
    ),
    ("example.org/a?b=1&c=2", ["example.org/a/?b=1&c=2", "example.org/a?utm_source=x&b=1&UTM_medium=y&c=2&fbclid=z#u"]),
    (
        "example.org/?a".replace("/?", "?"),
        ["example.org/?a", "example.org?&&a&", "example.org?gclid&a&gclid=1&gclid=2"],
    ),
    ("example.org/%C3%A9%2Fb~c", ["example.org/é%2fb~c", "example.org/%c3%a9%2Fb%7Ec"]),
    ("example.org:8080/A", ["http://www.example.org:8080/A"]),
    ("example.org", ["http://example.org:443"]),
    ("ftp://example.org:80/a", ["FTP://example.org:80/a/"]),
    ("www.com", ["http://www.www.com/"]),
    ("[::1]/a", ["http://[::1]:80/a"]),
    ("example.org/%zz%4", ["example.org/%zz%4"]),
    ("not an address", [" not an address\n"]),
    ("urn:isbn:0451450523", ["urn:isbn:0451450523"]),
]
APART = ["example.org/a", "example.org/A", "example.org/a/b", "example.org/a?b=1", "example.org/a?b=2"]
APART += ["example.org/a%2Fb", "example.org/a?gclidx=1", "example.org/a?xutm_source=1", "en.example.org/a"]
APART += ["example.org/a?c&b", "example.org/a?b&c", "www.com", "com"]


@pytest.mark.parametrize(("form", "urls"), SAME, ids=[urls[0] for _, urls in SAME])
def test_canonical_addresses(form: str, urls: list[str]) -> None:
    assert canonical(pa.array(urls)).to_pylist() == [form] * len(urls)
    assert canonical(pa.array([form])).to_pylist() == [form]


def test_other_addresses_stay_apart() -> None:
    assert len(set(canonical(pa.array(APART)).to_pylist())) == len(APART)


def test_no_addresses_and_nulls() -> None:
    assert canonical(pa.array([], pa.string())).to_pylist() == []
    assert canonical(pa.array(["a.org/", None, "b.org"])[1:]).to_pylist() == [None, "b.org"]


pieces = st.sampled_from(
    [*"aZ0~-._%/?&=#:@ é\u3000", "%41", "%c3%a9", "&utm_id=1", "?gclid=", "//", "www.", ":443", "http://"]
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["http://example.org/", "www.example.org:443/", "//a.org?"]), st.lists(pieces, max_size=12))
@example("http://example.org/", ["?&&utm_id&&"])
def test_a_canonical_form_is_its_own(begin: str, parts: list[str]) -> None:
    once = canonical(pa.array([begin + "".join(parts)])).to_pylist()
    assert canonical(pa.array(once)).to_pylist() == once


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30))
def test_percent_encoding_agrees_with_python(text: str) -> None:
    from urllib.parse import quote, unquote_to_bytes

    from curate.kernels.percent import normalised

    [made] = normalised(pa.array([quote(text, safe="")])).to_pylist()
    assert made == quote(text, safe="-._~")
    [raw] = normalised(pa.array([text.replace("%", "")])).to_pylist()
    assert unquote_to_bytes(raw).decode() == text.replace("%", "")
    assert set(raw) <= {*string.printable} - {*string.whitespace}
