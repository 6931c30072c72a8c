"""HTML to text, by Resiliparse (Bevendorff et al. 2018) or Trafilatura (Barbaresi 2021)."""

import functools
import importlib.metadata
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import PlanError
from curate.extraction import Extractor
from curate.operator import Mapper

TAG = r"<[a-zA-Z!/?]"
NAMED_TAG = re.compile(rb"<(/?)([a-zA-Z][a-zA-Z0-9]*)([^<>]*)")
# Elements without an end tag, and those whose end tag pages leave out: they do not nest in earnest.
FLAT = frozenset(
    b"area base br col embed hr img input link meta param source track wbr p li dt dd tr td th thead tbody tfoot "
    b"option optgroup colgroup rt rp body html head".split()
)
ALSO_NESTING = (b"met", b"hea", b"bas", b"par")  # <meter>, <header>, ...


def _codes(first: np.ndarray, second: np.ndarray, third: np.ndarray) -> np.ndarray:
    """Three letters in 15 bits."""
    return (first & 31).astype(np.int32) << 10 | (second & 31).astype(np.int32) << 5 | (third & 31)


def _table(names: Iterable[bytes]) -> np.ndarray:
    """True at the codes of names' first three letters."""
    table = np.zeros(1 << 15, bool)
    letters = np.array([list(name[:3].ljust(3, b"\0")) for name in names])
    table[_codes(*letters.T)] = True
    return table


IS_PERHAPS_FLAT = _table(FLAT)
IS_FLAT = IS_PERHAPS_FLAT & ~_table(ALSO_NESTING)


class ExtractText(Mapper, frozen=True):
    """Take the text out of HTML, without menus, advertisements and other boilerplate.

    Each page has limits, and one that breaks them costs itself alone: the extractor runs in a process of its own.
    Text without any tag is left as it is. Needs `pip install 'curate[web]'`.

    extractor   `resiliparse`: fast, a few rules; `trafilatura`: slower, more exact on articles
    form        `text`, or `markdown`, which keeps headings, lists, tables and code (trafilatura only)
    main        only the main content; false: all that is visible, as Common Crawl's WET has it (resiliparse only)
    favor       what trafilatura should err on the side of
    max_bytes   a page of more bytes of UTF-8 is not tried
    max_depth   nor is one whose elements are nested deeper
    seconds     of processor time for a page

    text                       the text; empty where there is a problem
    extract_text_problem       null, or why there is no text: size, depth, time, crash, error, or empty (the extractor
                               found none). To drop these pages: `keep: {rules: {page: "extract_text_problem IS NULL"}}`
    extract_text_chars_before  code points of the page
    extract_text_chars_after   code points of the text

    Raises PlanError when the extractor is not installed.

    >>> ExtractText(main=False)("<h1>Tea</h1><script>x()</script><p>Hot &amp; strong.</p>")["text"]
    'Tea\\n\\nHot & strong.'
    """

    extractor: Literal["resiliparse", "trafilatura"] = "resiliparse"
    form: Literal["text", "markdown"] = "text"
    main: bool = True
    favor: Literal["balanced", "precision", "recall"] = "balanced"
    max_bytes: int = 10_000_000
    max_depth: int = 500
    seconds: float = 10.0

    def __post_init__(self) -> None:
        if self.extractor == "resiliparse" and self.favor != "balanced":
            raise ValueError("favor is trafilatura's: choose that extractor, or leave it out")
        if self.extractor == "resiliparse" and self.form == "markdown":
            raise ValueError("form: markdown is trafilatura's: choose that extractor, or leave it out")
        if self.extractor == "trafilatura" and not self.main:
            raise ValueError("main: false is resiliparse's: choose that extractor, or leave it out")
        if self.max_bytes < 1 or self.max_depth < 1 or not 0.01 <= self.seconds <= 3600:
            raise ValueError("max_bytes and max_depth are at least 1, and seconds between 0.01 and 3600")

    def writes(self) -> dict[str, pa.DataType]:
        sizes = {f"extract_text_chars_{when}": pa.int32() for when in ("before", "after")}
        return {"text": pa.string(), "extract_text_problem": pa.string(), **sizes}

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), self.extractor: _version(self.extractor)}

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        _version(self.extractor)

    def compute(self, text: pa.StringArray) -> dict[str, pa.Array]:
        is_page = pc.match_substring_regex(text, TAG).to_numpy(zero_copy_only=False)
        pages = text.filter(pa.array(is_page)).view(pa.binary()).to_pylist()
        problems = [self._problem(page) for page in pages]
        extract = _extractor(self.extractor, tuple(self._options().items()), self.seconds, os.getpid())
        tried = iter(extract([page for page, problem in zip(pages, problems, strict=True) if not problem]))
        found = [(b"", problem) if problem else next(tried) for problem in problems]
        made = pa.array([content for content, _ in found], pa.binary()).view(pa.string())
        why = pa.array([problem or None for _, problem in found], pa.string())
        at = pa.array(np.cumsum(is_page) - 1, mask=~is_page)
        new = pc.if_else(pa.array(is_page), made.take(at), text)
        return {
            "text": new,
            "extract_text_problem": why.take(at),
            "extract_text_chars_before": pc.utf8_length(text),
            "extract_text_chars_after": pc.utf8_length(new),
        }

    def _problem(self, page: bytes) -> str:
        if len(page) > self.max_bytes:
            return "size"
        return "depth" if is_deeper(page, self.max_depth) else ""

    def _options(self) -> dict[str, Any]:
        if self.extractor == "resiliparse":
            return {"main_content": self.main, "alt_texts": False, "preserve_formatting": True}
        favors = {f"favor_{self.favor}": True} if self.favor != "balanced" else {}
        return {"output_format": "markdown" if self.form == "markdown" else "txt", "include_comments": False, **favors}


def is_deeper(page: bytes, depth: int) -> bool:
    """Whether a page's elements are nested deeper than `depth`, by its tags. Elements whose end tag may be left out
    do not count.

    >>> is_deeper(b"<div><b>x</b></div>" * 9, 2), is_deeper(b"<div>" * 9 + b"<p>x", 8)
    (False, True)
    """
    if page.count(b"<") <= depth or _depth_at_most(page) <= depth:
        return False
    now = 0
    for end, name, rest in NAMED_TAG.findall(page):
        if name.lower() in FLAT or rest.endswith(b"/"):
            continue
        now = max(now - 1, 0) if end else now + 1
        if now > depth:
            return True
    return False


def _depth_at_most(page: bytes) -> int:
    """A bound of the depth from the first three letters of tags' names, which is quick to find."""
    data = np.frombuffer(page, np.uint8)
    starts = np.flatnonzero(data == ord("<")) + 1
    data = np.append(data, np.zeros(5, np.uint8)) if starts[-1] + 4 > len(data) else data
    is_end = data[starts] == ord("/")
    letters = [data[starts + is_end + k] | 32 for k in range(3)]
    is_name = [(letter >= ord("a")) & (letter <= ord("z")) for letter in letters]
    codes = _codes(letters[0], np.where(is_name[1], letters[1], 0), np.where(is_name[1] & is_name[2], letters[2], 0))
    begins = is_name[0] & ~is_end & ~IS_FLAT[codes]
    ends = is_name[0] & is_end & ~IS_PERHAPS_FLAT[codes]
    summed = np.cumsum(begins.astype(np.int8) - ends.astype(np.int8), dtype=np.int32)
    return int((summed - np.minimum(np.minimum.accumulate(summed), 0)).max())


@functools.lru_cache(maxsize=4)
def _extractor(name: str, options: tuple[tuple[str, Any], ...], seconds: float, process: int) -> Extractor:
    """One for each process: a fork must not talk to its parent's."""
    return Extractor(name, dict(options), seconds)


def _version(extractor: str) -> str:
    try:
        return importlib.metadata.version(extractor)
    except importlib.metadata.PackageNotFoundError as error:
        raise PlanError(f"extract_text: {extractor} is not installed: pip install 'curate[web]'") from error
