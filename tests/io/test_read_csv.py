"""CSV and TSV: what a record becomes, and which are quarantined."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.errors import DataError

Load = Callable[..., Any]


def test_values_are_strings_and_empty_ones_null(tmp_path: Path, load: Load) -> None:
    content = '\ufeffid,text,score\r\na,"one, ""two""\nthree",0.5\r\nb,,\r\n\r\nc,x,1\r\n'
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(content.encode()))
    loaded = load(tmp_path)
    assert loaded.column("text") == ['one, "two"\nthree', "", "x"]
    assert loaded.column("score") == ["0.5", None, "1"]
    assert loaded.column("id") == ["a", "b", "c"]
    assert load(tmp_path, batch_bytes=64).table == loaded.table


def test_tabs(tmp_path: Path, load: Load) -> None:
    (tmp_path / "a.tsv").write_text("body\turl\none, two\thttp://a.org\n")
    loaded = load(tmp_path, columns={"text": "body"})
    assert loaded.table.select(["id", "text", "url"]).to_pylist() == [
        {"id": "a.tsv#0", "text": "one, two", "url": "http://a.org"}
    ]


def test_bad_records(tmp_path: Path, load: Load) -> None:
    content = b'text,n\ngood,1\nshort\nlong,1,2\n\xff,1\n"a"b,1\n' + b"x" * 500 + b',1\nlast,1\n"open,1\n'
    (tmp_path / "a.csv").write_bytes(content)
    loaded = load(tmp_path / "a.csv", max_record_bytes=300)
    assert loaded.column("text") == ["good", "last"]
    assert [(bad.position, bad.error.partition(":")[0]) for bad in loaded.bad] == [
        (1, "the record has 1 values, the header 2 names"),
        (2, "the record has 3 values, the header 2 names"),
        (3, "the record is not valid UTF-8"),
        (4, "not CSV"),
        (5, "the record is longer than 300 bytes (max_record_bytes)"),
        (7, "not CSV"),
    ]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("a;b;c", "the header has one name, 'a;b;c'; write it with commas"),
        ("a\tb", "let the name end in .tsv"),
        ("text,text", "more than once"),
        ("text,", "an empty name"),
        ("body,n", "there is no field 'text', only body, n"),
        ('"text', "no header"),
    ],
)
def test_headers_that_are_refused(tmp_path: Path, load: Load, header: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(f"{header}\n1,2\n")
    with pytest.raises(DataError, match=message):
        load(tmp_path)


@pytest.mark.parametrize("name", ["a.pdf", "b.EPUB", "c.docx"])
def test_books_are_refused_with_what_to_do(tmp_path: Path, load: Load, name: str) -> None:
    (tmp_path / name).write_bytes(b"%PDF-1.4")
    for path in (tmp_path, tmp_path / name):
        with pytest.raises(DataError, match=r"is not read, .* turn it into text"):
            load(path)
