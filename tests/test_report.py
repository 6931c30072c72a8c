"""report.html: one page that needs nothing else, says every step, and shows text without running it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pytest

from curate import Config, Corpus, Result, ops, read

SHARDS = Path(__file__).resolve().parent / "data" / "shards"
VOID = {"meta", "br", "hr", "img", "input", "link", "col"}
NASTY = "<script>alert('id')</script>"


class Page(HTMLParser):
    """The open elements of a page, its faults, its attributes, its ids and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.faults: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def recipe(data: object, name: str = "web") -> Corpus:
    signals = read(data, name=name) | ops.Normalize() | ops.Gopher()
    rules = {"words": {"column": "gopher_word_count", "min": 30}, "letters": "gopher_alpha_word_ratio > 0.6"}
    return signals | ops.Keep(rules=rules) | ops.DedupExact() | ops.DedupMinhash()


def page_of(result: Result) -> str:
    return (result.path / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return recipe(f"{SHARDS}/*.zst").run(str(tmp_path_factory.mktemp("report") / "out"), Config(workers=1))


@pytest.fixture(scope="module")
def text(result: Result) -> str:
    return page_of(result)


def test_every_element_is_closed_in_its_place(text: str) -> None:
    page = Page(text)
    assert (page.faults, page.open) == ([], [])
    assert text.startswith("<!doctype html>")
    names = [value for name, value in page.attributes if name == "id"]
    assert len(names) == len(set(names))
    assert {"h1", "table", "svg"} <= set(page.tags)


def test_an_element_left_open_is_found() -> None:
    assert Page("<p><b>x</p>").faults == ["</p> at (1, 7)"]
    assert Page("<p>").open == ["p"]


def test_nothing_is_fetched(text: str) -> None:
    page = Page(text)
    links = [value for name, value in page.attributes if name in ("src", "href", "xlink:href", "srcset", "action")]
    assert [value for value in links if not value.startswith("#")] == []
    assert not re.search(r"url\(|@import", text)
    assert not {"script", "link", "iframe", "img", "object"} & set(page.tags)


def test_every_step_of_the_funnel_is_on_the_page(result: Result, text: str) -> None:
    steps = result.manifest["funnel"]["steps"]
    assert [step["step"] for step in steps] == ["read", "words", "letters", "dedup_exact", "dedup_minhash", "kept"]
    section = text.split('aria-labelledby="funnel"')[1].split("</section>")[0]
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", section.split("<tbody>")[1], re.DOTALL)
    assert len(rows) == len(steps)
    for row, step in zip(rows, steps, strict=True):
        assert f"<td>{step['step']}</td>" in row
        assert f">{step['documents']:,}</td>" in row
        assert f">{step['documents_left']:,}</td>" in row


def test_the_same_run_elsewhere_gives_the_same_page(result: Result, text: str, tmp_path: Path) -> None:
    """Byte for byte: neither the folder nor the number of workers is in it."""
    again = recipe(f"{SHARDS}/*.zst").run(str(tmp_path / "elsewhere" / "out"), Config(workers=2))
    assert page_of(again).replace(str(again.path), str(result.path)) == text
    assert page_of(again) == text, "the page names the folder it is in"


def test_a_document_that_holds_a_script_is_shown_and_not_run(tmp_path: Path) -> None:
    ids = [f"{NASTY}{n}" for n in range(9)]
    texts = [f"{NASTY} short", *(f"{NASTY} {'the same words again and again ' * 9}" for _ in range(8))]
    corpus = recipe(pa.table({"id": ids, "text": texts}), name="nasty")
    text = page_of(corpus.run(str(tmp_path / "out"), Config(workers=1)))
    page = Page(text)
    assert "script" not in page.tags
    assert (page.faults, page.open) == ([], [])
    assert any(NASTY in words for words in page.words)
