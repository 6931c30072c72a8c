"""Text from HTML: what the extractors keep, and that a hostile page costs itself alone."""

from __future__ import annotations

import itertools
import os
import re
import signal
from collections.abc import Callable, Iterator

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import PlanError
from curate.extraction import AT_ONCE, Extractor
from curate.kernels.html import FLAT, shape
from curate.operators import extract
from curate.operators.extract import ExtractText

pytest.importorskip("resiliparse")
PROSE = "The harbour master wrote every arrival into the book, and in the evening she read the names aloud. " * 4
PAGE = (
    "<html><head><title>t</title><script>var menu = 1;</script></head><body><nav><a href='/'>Home</a></nav><article>"
    f"<h2>The harbour</h2><p>{PROSE}</p><ul><li>first ship</li><li>second ship</li></ul>"
    f"<table><tr><td>ship</td><td>tons</td></tr></table><pre><code>x = 1\ny = 2</code></pre><p>{PROSE}</p></article>"
    "<footer>Imprint</footer></body></html>"
)


def ask(extractor: Extractor, *pages: bytes) -> list[tuple[bytes, str]]:
    offsets = [0, *itertools.accumulate(map(len, pages))]
    return extractor(memoryview(b"".join(pages)), offsets)


def run(operator: ExtractText, *pages: str | None) -> dict[str, list[object]]:
    return dict(operator(pa.table({"text": pa.array(pages, pa.string())})).to_pydict())


@pytest.mark.parametrize("name", ["resiliparse", "trafilatura"])
def test_main_content_without_boilerplate(name: str) -> None:
    pytest.importorskip(name)
    found = run(ExtractText(extractor=name), PAGE, "no tag: 1 < 2", None)  # type: ignore[arg-type]
    text = str(found["text"][0])
    assert "The harbour master" in text
    assert "Imprint" not in text and "var menu" not in text and "<p>" not in text
    assert found["text"][1:] == ["no tag: 1 < 2", None]
    assert found["extract_text_problem"] == [None, None, None]
    assert found["extract_text_chars_before"][:2] == [len(PAGE), 13]
    assert found["extract_text_chars_after"][0] == len(text)


def test_all_that_is_visible() -> None:
    text = str(run(ExtractText(main=False), PAGE)["text"][0])
    assert all(word in text for word in ("Home", "Imprint", "second ship", "tons", "x = 1"))
    assert "var menu" not in text


def test_markdown_keeps_blocks() -> None:
    pytest.importorskip("trafilatura")
    text = str(run(ExtractText(extractor="trafilatura", form="markdown"), PAGE)["text"][0])
    assert all(part in text for part in ("## The harbour", "- first ship", "| ship | tons |", "x = 1\ny = 2"))


def test_limits_cost_the_page_alone() -> None:
    deep = "<div>" * 2_000 + "x"
    found = run(ExtractText(max_depth=100, max_bytes=20_000), "<p>one", deep, "<p>" + "x" * 20_000, "<p>two", "<p></p>")
    assert found["extract_text_problem"] == [None, "depth", "size", None, "empty"]
    assert found["text"] == ["one", "", "", "two", ""]


def test_a_page_that_takes_too_long_ends_its_process_and_no_more() -> None:
    slow = "<div>" * 400_000 + "x"
    pages = ["<p>one"] * AT_ONCE + [slow, "<p>two", slow, "<p>three"]
    found = run(ExtractText(seconds=0.3, max_depth=10_000_000), *pages)
    assert found["extract_text_problem"] == [None] * AT_ONCE + ["time", None, "time", None]
    assert found["text"][AT_ONCE:] == ["", "two", "", "three"]


@pytest.fixture
def child() -> Iterator[Callable[..., Extractor]]:
    made = []

    def start(seconds: float = 5.0) -> Extractor:
        made.append(Extractor("resiliparse", {"main_content": True}, seconds))
        return made[-1]

    yield start
    for extractor in made:
        extractor.close()


def test_a_crash_is_told_and_the_next_pages_are_answered(child: Callable[..., Extractor]) -> None:
    extractor = child()
    assert ask(extractor, b"<p>one") == [(b"one", "")]
    assert extractor.child
    os.kill(extractor.child.pid, signal.SIGSEGV)
    extractor.child.wait()
    assert ask(extractor, b"<p>two", b"<p>three") == [(b"", "crash"), (b"three", "")]


def test_pages_of_any_size_one_after_another(child: Callable[..., Extractor]) -> None:
    sizes = [200_000, 1, 1_900_000, 1_900_000, 3, 200_000, *range(100)]
    found = ask(child(), *(b"<p>" + b"word " * size for size in sizes))
    assert [len(text) for text, _ in found] == [max(5 * size - 1, 0) for size in sizes]
    assert [why for _, why in found] == ["" if size else "empty" for size in sizes]


def test_what_was_answered_before_a_crash_counts(child: Callable[..., Extractor]) -> None:
    one, none, slow = b"<p>one", b"<p>", b"<div>" * 400_000 + b"x"
    found = ask(child(seconds=0.3), one, none, slow, one, slow, slow)
    assert [why for _, why in found] == ["", "empty", "time", "", "time", "time"]
    assert [text for text, why in found if not why] == [b"one", b"one"]


@given(st.text(alphabet="<>/abp ='\"&;\x00\n", max_size=60))
def test_any_text_is_answered(page: str) -> None:
    found = run(ExtractText(), page)
    assert (found["text"][0] == "") or found["extract_text_problem"] == [None]


@given(
    st.lists(
        st.sampled_from(
            ["<div>", "</DIV>", "<b>", "</b>", "<br>", "<p>", "</p>", "x", "<hr/>", "<header>", "</header>", "</head>"]
        ),
        max_size=40,
    )
)
def test_depth_is_that_of_the_tags(parts: list[str]) -> None:
    now = deepest = 0
    for part in parts:
        if part in ("<div>", "<b>", "<header>"):
            now += 1
        elif part in ("</DIV>", "</b>", "</header>"):
            now = max(now - 1, 0)
        deepest = max(deepest, now)
    assert shape(pa.array(["".join(parts)])).depth.tolist() == [deepest]


TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)([^<>]*)")


def shape_of(page: str) -> tuple[bool, int, int]:
    """What the kernel says, by regular expressions."""
    now = deepest = 0
    for end, name, rest in TAG.findall(page):
        if name.lower() not in FLAT and not rest.endswith("/"):
            now = max(now - 1, 0) if end else now + 1
            deepest = max(deepest, now)
    return re.search("<[a-zA-Z!/?]", page) is not None, deepest, len(page)


PARTS = st.sampled_from([*"<>/aP1 é\n!?", "<div", "<optgroup", "</", "colgroups", "é" * 70])


@given(st.lists(st.lists(PARTS).map("".join)))
def test_the_shape_of_any_text(pages: list[str]) -> None:
    for pages_in in (pages, [page + " " * 200 for page in pages]):
        seen = shape(pa.array(pages_in, pa.string()))
        assert [*zip(*(part.tolist() for part in seen), strict=True)] == [shape_of(page) for page in pages_in]


def test_a_missing_package_is_named_before_data_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> str:
        raise extract.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(extract.importlib.metadata, "version", none)
    with pytest.raises(PlanError, match=r"resiliparse is not installed: pip install 'curate\[web\]'"):
        ExtractText().check({})


@pytest.mark.parametrize("wrong", [{"favor": "recall"}, {"form": "markdown"}, {"seconds": 0}, {"max_depth": 0}])
def test_wrong_parameters_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"trafilatura's|at least 1"):
        ExtractText(**wrong)  # type: ignore[arg-type]
