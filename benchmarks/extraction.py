"""Text from HTML: words of the article that each extractor finds, and what running it as an operator costs.

python -m benchmarks.extraction [--pages FOLDER] [--runs N]

An operator and direct calls begin with the same column, as often as it takes to see a difference; `of strings` are
calls of strings that are there already, which they are not when pages are read from anywhere.

FOLDER holds pages and, beside them, what a reader takes for the article, as flairNLP/fundus keeps them in
tests/resources/parser/test_data: NAME.json with `body`, and NAME_DATE.html.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pyarrow as pa
import zstandard
from rich.console import Console
from rich.table import Table

from curate.extraction import load
from curate.operators.extract import ExtractText

PACKED = Path(__file__).resolve().parents[1] / "../shared/data/raw/html_fundus_news.tar.zst"
WORD = re.compile(r"[぀-ヿ一-鿿]|[^\W぀-ヿ一-鿿]+")  # kana and Chinese characters count one by one
REPEATS = {"resiliparse": 16, "trafilatura": 2}
OPERATORS = {
    "resiliparse, all": ExtractText(main=False),
    "resiliparse": ExtractText(),
    "trafilatura, precision": ExtractText(extractor="trafilatura", favor="precision"),
    "trafilatura": ExtractText(extractor="trafilatura"),
    "trafilatura, recall": ExtractText(extractor="trafilatura", favor="recall"),
    "trafilatura, markdown": ExtractText(extractor="trafilatura", form="markdown"),
}


def files(place: Path) -> dict[str, bytes]:
    """The files of a folder or of a .tar.zst, by name."""
    if place.is_dir():
        return {str(path): path.read_bytes() for path in place.rglob("*") if path.is_file()}
    data = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(place.read_bytes()).read()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {one.name: tar.extractfile(one).read() for one in tar if one.isfile()}  # type: ignore[union-attr]


def articles(found: dict[str, bytes]) -> Iterator[tuple[str, str]]:
    """Pages with the text of their article: those whose publisher has one page and one expected article."""
    for name, content in found.items():
        if not name.endswith(".json"):
            continue
        pages = [other for other in found if re.fullmatch(re.escape(name[:-5]) + r"_[\d_]+\.html(\.gz)?", other)]
        expected = [one for one in json.loads(content).values() if isinstance(one, dict) and one.get("body")]
        if len(pages) == len(expected) == 1:
            yield found[pages[0]].decode("utf-8", "replace"), "\n".join(texts(expected[0]["body"]))


def texts(body: Any) -> Iterator[str]:
    """All strings inside a value."""
    if isinstance(body, str):
        yield body
    for part in body.values() if isinstance(body, dict) else body if isinstance(body, list) else ():
        yield from texts(part)


def agreement(found: str, expected: str) -> tuple[float, float, float]:
    """Precision, recall and F1 of the words, each as often as it occurs."""
    have, want = Counter(WORD.findall(found)), Counter(WORD.findall(expected))
    shared = (have & want).total()
    precision, recall = shared / max(have.total(), 1), shared / max(want.total(), 1)
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-9)


def taken(operator: ExtractText, column: pa.StringArray) -> tuple[float, float, float]:
    """Seconds of the operator, of direct calls from and to a column, and of these calls alone."""
    direct, times = load(operator.extractor, operator._options()), [seconds()]
    operator.compute(column)
    times.append(seconds())
    pa.array([direct(page) for page in column.to_pylist()])
    times.append(seconds())
    pages = column.to_pylist()
    begin = seconds()
    for page in pages:
        direct(page)
    return times[1] - times[0], times[2] - times[1], seconds() - begin


def seconds() -> float:
    """Processor time of this process and of the extractors it has started."""
    here = psutil.Process()
    return sum(sum(one.cpu_times()[:2]) for one in (here, *here.children()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=Path, default=PACKED)
    parser.add_argument("--runs", type=int, default=2)
    given = parser.parse_args()
    if not given.pages.exists():
        sys.exit(f"no pages at {given.pages}: name a folder of them with --pages")
    pairs = list(articles(files(given.pages)))
    pages = [page for page, _ in pairs]
    column, size = pa.array(pages), sum(len(page.encode()) for page in pages) / 1e6
    table = Table("extractor", "precision", "recall", "F1", "no text", "MB/s", "over calls", "of strings")
    for name, operator in OPERATORS.items():
        repeated = pa.chunked_array([column] * REPEATS[operator.extractor]).combine_chunks()
        made = operator.compute(column)
        spent = [taken(operator, repeated) for _ in range(given.runs)]
        ours, theirs, bare = (min(times) / REPEATS[operator.extractor] for times in zip(*spent, strict=True))
        scores = [agreement(text, want) for text, (_, want) in zip(made["text"].to_pylist(), pairs, strict=True)]
        means = [f"{sum(values) / len(scores):.3f}" for values in zip(*scores, strict=True)]
        empty = len(pages) - made["extract_text_problem"].null_count
        over = [f"{ours / one - 1:+.0%}" for one in (theirs, bare)]
        table.add_row(name, *means, str(empty), f"{size / ours:.1f}", *over)
    Console().print(f"{len(pages)} pages, {size:.1f} MB of HTML", table)


if __name__ == "__main__":
    main()
