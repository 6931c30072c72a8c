"""HTML to text, by Resiliparse (Bevendorff et al. 2018) or Trafilatura (Barbaresi 2021)."""

import functools
import importlib.metadata
import os
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import PlanError
from curate.extraction import Extractor
from curate.operator import Mapper


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
        from curate.kernels.html import shape
        from curate.kernels.text import buffers

        seen = shape(text)
        is_large = np.diff(buffers(text)[1]) > self.max_bytes
        is_tried = seen.is_page & ~is_large & (seen.depth <= self.max_depth)
        made, failed = self._extracted(text if is_tried.all() else text.filter(pa.array(is_tried)))
        problems = np.full(len(text), None, object)
        problems[seen.is_page & ~is_tried] = "depth"
        problems[seen.is_page & is_large] = "size"
        problems[is_tried] = failed
        at = pa.array(np.cumsum(is_tried) - 1, mask=~is_tried)
        new = pc.if_else(pa.array(seen.is_page), pc.fill_null(made.take(at), ""), text)
        return {
            "text": new,
            "extract_text_problem": pa.array(problems, pa.string()),
            "extract_text_chars_before": pa.array(seen.characters, mask=np.asarray(text.is_null())),
            "extract_text_chars_after": pc.utf8_length(new),
        }

    def _extracted(self, pages: pa.StringArray) -> tuple[pa.StringArray, list[str | None]]:
        """The texts of pages, and what went wrong."""
        from curate.kernels.text import buffers

        extract = _extractor(self.extractor, tuple(self._options().items()), self.seconds, os.getpid())
        data, offsets = buffers(pages)
        found = extract(data.data, offsets.tolist())
        texts = pa.array([content for content, _ in found], pa.binary()).view(pa.string())
        return texts, [why or None for _, why in found]

    def _options(self) -> dict[str, Any]:
        if self.extractor == "resiliparse":
            return {"main_content": self.main, "alt_texts": False, "preserve_formatting": True}
        favors = {f"favor_{self.favor}": True} if self.favor != "balanced" else {}
        return {"output_format": "markdown" if self.form == "markdown" else "txt", "include_comments": False, **favors}


@functools.lru_cache(maxsize=4)
def _extractor(name: str, options: tuple[tuple[str, Any], ...], seconds: float, process: int) -> Extractor:
    """One for each process: a fork must not talk to its parent's."""
    return Extractor(name, dict(options), seconds)


def _version(extractor: str) -> str:
    try:
        return importlib.metadata.version(extractor)
    except importlib.metadata.PackageNotFoundError as error:
        raise PlanError(f"extract_text: {extractor} is not installed: pip install 'curate[web]'") from error
