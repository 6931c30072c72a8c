"""report.html: one page that needs nothing else, says every step, and shows text without running it."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curate import Config, Corpus, Result, ops, read
from curate.report import share
from curate.report.look import with_rest
from curate.report.measure import Distribution
from curate.report.pictures import histogram, place, ticks

SHARDS = Path(__file__).resolve().parents[1] / "data" / "shards"
VOID = {"meta", "br", "hr", "img", "input", "link", "col", "wbr"}
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
    assert not {"link", "iframe", "img", "object"} & set(page.tags)
    assert "default-src 'none'" in dict(page.attributes)["content"]


def test_the_policy_names_the_one_script_that_may_run(text: str) -> None:
    *_, script = re.findall(r"<script[^>]*>(.*?)</script>", text, re.DOTALL)
    name = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{name}'" in text
    assert text.count("<script") == 2  # the other one is data


def test_every_step_of_the_funnel_is_on_the_page(result: Result, text: str) -> None:
    steps = result.manifest["funnel"]["steps"]
    assert [step["step"] for step in steps] == ["read", "words", "letters", "dedup_exact", "dedup_minhash", "kept"]
    section = text.split('aria-labelledby="funnel"')[1].split("</section>")[0]
    flow = re.findall(r'<span class="step"><bdi>(.*?)</bdi>', section.replace("<wbr>", ""))
    assert flow == [step["step"] for step in steps]
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", section.split("<tbody>")[1], re.DOTALL)
    assert len(rows) == len(steps)
    for row, step in zip(rows, steps, strict=True):
        assert re.findall(r'<th scope="row">(.*?)</th>', row) == [step["step"]]
        cells = re.findall(r'<td class="n[^>]*>([^<]*)', row)
        lost = ["", "", ""] if step["step"] in ("read", "kept") else figures(step, "")
        left = figures(step, "_left")
        fail = f"{step['failed']:,}" if "failed" in step else ""
        assert cells == [fail, *(cell for pair in zip(lost, left, strict=True) for cell in pair)]


def figures(step: dict[str, Any], end: str) -> list[str]:
    size = step[f"bytes{end}"]
    megabytes = "<0.01" if 0 < size < 5000 else f"{size / 1e6:,.2f}"
    return [f"{step[f'documents{end}']:,}", megabytes.replace("<", "&lt;"), f"{step[f'words{end}']:,}"]


def test_the_summary_adds_up(result: Result, text: str) -> None:
    about = result.manifest
    said = " ".join(text.split('class="lead">')[1].split("</p>")[0].split())
    numbers = [
        int(found.replace(",", "")) for found in re.findall(r"([\d,]+) (?:records|were|dropped|quarantined)", said)
    ]
    records, kept, dropped, quarantined = numbers
    assert (records, kept, quarantined) == (about["records"], about["kept"], about["quarantined"])
    assert records == kept + dropped + quarantined


def test_what_a_reader_needs_without_a_mouse_or_a_wide_screen(text: str) -> None:
    page = Page(text)
    ids = {value for name, value in page.attributes if name == "id"}
    links = [value for name, value in page.attributes if name == "href"]
    assert links and {link.removeprefix("#") for link in links} <= ids
    assert "prefers-color-scheme: dark" in text
    assert ("name", "viewport") in page.attributes
    for opening in re.findall(r'<div class="[^"]*scroll[^>]*>', text):
        assert 'tabindex="0"' in opening and "aria-label=" in opening


def test_a_small_picture_for_every_signal(result: Result, text: str) -> None:
    pictured = re.findall(r'<code>(.*?)</code></figcaption>\s*<div class="plot"><svg', text)
    signals = [name for name in result.manifest["columns"] if name.startswith("gopher_")]
    assert signals and set(signals) <= set(pictured)
    picture = text.split("<code>gopher_word_count</code>")[1].split("</figure>")[0]
    assert "at least" in picture and 'class="bound min"' in picture and 'type="range"' in picture


def distribution(column: str = "x", bounds: list[tuple[str, float]] | None = None) -> Distribution:
    return Distribution(column, [0.0, 1.0, 2.0, 3.0, 4.0], [4, 0, 16, 1], [0, 0, 4, 0], {}, 0, bounds or [])


def test_heights_are_square_roots_of_counts() -> None:
    """Kept above, dropped below; 16 documents fill their half but for the edge, 4 half of it; one scale for both."""
    picture = histogram(distribution(), width=40, height=82)
    assert '<path class="kept" d="M0 41V21.0H10.0V41.0H20.0V1.0H30.0V31.0H40.0V41Z"/>' in picture
    assert '<path class="dropped" d="M0 41H10.0H20.0V61.0H30.0V41.0H40.0V41Z"/>' in picture


def test_places_on_the_axis() -> None:
    wide = distribution()._replace(edges=[0.0, 1.0, 2.0, 10.0, 100.0])
    values = (-1.0, 0.0, 0.5, 1.0, 6.0, 100.0, 200.0)
    assert [place(wide, value) for value in values] == [0, 0, 12.5, 25, 62.5, 100, 100]
    assert [label for _, label in ticks(wide)] == ["0", "1", "2", "10", "100"]


def test_a_column_of_nulls_has_no_picture() -> None:
    assert histogram(Distribution("x", [], [], [], {}, 9, [])) == ""


def test_the_name_of_a_column_cannot_leave_its_attribute() -> None:
    page = Page(histogram(distribution('x" onload="alert(1)')))
    assert "onload" not in dict(page.attributes)


@pytest.mark.parametrize("count", [1, 30, 31, 80])
def test_groups_add_up_to_the_funnel(count: int) -> None:
    def steps(documents: int) -> list[dict[str, Any]]:
        return [{"step": name, "documents": documents * n, "bytes": n} for name, n in (("read", 3), ("kept", 2))]

    groups = [{"source": f"s{n}", "language": "en", "steps": steps(n)} for n in range(count)]
    shown = with_rest(groups)
    assert len(shown) == min(count, 31)
    assert sum(group["steps"][0]["documents"] for group in shown) == sum(3 * n for n in range(count))
    assert sum(group["steps"][-1]["bytes"] for group in shown) == 2 * count
    assert [step["step"] for step in shown[-1]["steps"]] == ["read", "kept"]


def test_rounding_makes_neither_nothing_nor_all() -> None:
    assert [share(n, 10_000) for n in (0, 1, 4, 5, 9_994, 9_995, 9_999, 10_000)] == [
        "0.0%", "<0.1%", "<0.1%", "0.1%", "99.9%", ">99.9%", ">99.9%", "100.0%"
    ]  # fmt: skip


def test_unreadable_records_have_no_count_of_failures(tmp_path: Path) -> None:
    lines = ['{"id": "a", "text": "a document of five words"}', "{", '{"id": "b", "text": "another one"}']
    (tmp_path / "in.jsonl").write_text("\n".join(lines) + "\n")
    corpus = read(str(tmp_path / "in.jsonl"), name="web") | ops.Gopher()
    text = page_of(corpus.run(str(tmp_path / "out"), Config(workers=1, quarantine_share=0.5)))
    assert re.search(r'<th scope="row">quarantine.read</th>\s*<td class="n">–</td>\s*<td class="n">1</td>', text)
    assert "1 quarantined" in text


def test_long_values_do_not_make_a_long_page(tmp_path: Path) -> None:
    rows = {"id": [f"{n}" for n in range(20)], "text": ["word " * 99] * 20, "about": ["x" * 300_000] * 20}
    corpus = read(pa.table(rows), name="web") | ops.Keep(rules={"short": "length(about) < 9 OR id = '3'"})
    assert len(page_of(corpus.run(str(tmp_path / "out"), Config(workers=1)))) < 100_000


@pytest.mark.parametrize("count", [0, 3])
def test_nothing_kept_is_a_page_too(tmp_path: Path, count: int) -> None:
    table = pa.table(
        {"id": pa.array(["a", "b", "c"][:count], pa.string()), "text": pa.array(["x"] * count, pa.string())}
    )
    text = page_of(recipe(table).run(str(tmp_path / "out"), Config(workers=1)))
    assert len(text) < 100_000
    assert "<strong>0 were kept (0.0%)</strong>" in text
    assert (Page(text).faults, Page(text).open) == ([], [])


def test_the_same_run_elsewhere_gives_the_same_page(result: Result, text: str, tmp_path: Path) -> None:
    """Byte for byte but for times: neither the folder nor the number of workers is in it."""
    again = recipe(f"{SHARDS}/*.zst").run(str(tmp_path / "elsewhere" / "out"), Config(workers=2))
    assert untimed(page_of(again)).replace(str(again.path), str(result.path)) == untimed(text)
    assert untimed(page_of(again)) == untimed(text), "the page names the folder it is in"


def untimed(text: str) -> str:
    """The page without the times, which are another's every time."""
    before, rest = text.split('<section aria-labelledby="cost">')
    return before + rest.split("</section>", 1)[1]


def test_a_document_that_holds_a_script_is_shown_and_not_run(tmp_path: Path) -> None:
    ids = [f"{NASTY}{n}" for n in range(9)]
    texts = [f"{NASTY} short", *(f"{NASTY} {'the same words again and again ' * 9}" for _ in range(8))]
    corpus = recipe(pa.table({"id": ids, "text": texts}), name="nasty")
    text = page_of(corpus.run(str(tmp_path / "out"), Config(workers=1)))
    page = Page(text)
    assert page.tags.count("script") == 2  # those of the page
    assert (page.faults, page.open) == ([], [])
    assert any(NASTY in words for words in page.words)
