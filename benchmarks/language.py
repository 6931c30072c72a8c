"""Language identification: our kernel against py3langid itself, same documents, one core, one run.

python -m benchmarks.language [--documents FILE.jsonl.zst] [--rounds N]
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import zstandard
from py3langid.langid import MODEL_FILE, LanguageIdentifier
from rich.console import Console
from rich.table import Table

from curate.kernels.langid import classify
from curate.operators.language import embedded_model

DOCUMENTS = Path(__file__).resolve().parents[1] / "../shared/data/mix_5mb.jsonl.zst"
PIECES = (200, 2_000, 20_000)  # bytes


def read(path: Path) -> list[str]:
    """The texts of a JSON Lines file."""
    if not path.exists():
        sys.exit(f"no documents at {path}: name a .jsonl.zst file whose lines have a field 'text' with --documents")
    with path.open("rb") as packed:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(packed), encoding="utf-8")
        return [json.loads(line)["text"] for line in lines]


def pieces(texts: list[str], size: int, limit: int = 4_000_000) -> list[str]:
    """The same text as documents of about `size` bytes each, `limit` bytes at most."""
    whole = "\n".join(texts).encode()[:limit]
    return [whole[at : at + size].decode(errors="ignore") for at in range(0, len(whole), size)]


def best_of(rounds: int, *functions: Callable[[], object]) -> Iterator[float]:
    """Shortest time of each function in seconds; they take turns, so that a busy moment hits them alike."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(rounds):
        for function, seconds in zip(functions, times, strict=True):
            begin = time.perf_counter()
            function()
            seconds.append(time.perf_counter() - begin)
    return map(min, times)


def compare(table: Table, name: str, texts: list[str], rounds: int) -> None:
    """Add a row: both speeds, their ratio, and how many labels differ."""
    library, model = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True), embedded_model()
    array, size = pa.array(texts, pa.string()), sum(len(text.encode()) for text in texts)
    columns, _ = classify(array[:1], model)  # compiles
    columns, _ = classify(array, model)
    pairs = zip(columns, (library.classify(text)[0] for text in texts), strict=True)
    differ = sum(column >= 0 and model.languages[column] != label for column, label in pairs)
    theirs, ours = best_of(rounds, lambda: [*map(library.classify, texts)], lambda: classify(array, model))
    speeds = [f"{size / seconds / 1e6:,.1f}" for seconds in (theirs, ours)]
    per_second = [f"{len(texts) / seconds:,.0f}" for seconds in (theirs, ours)]
    table.add_row(name, f"{len(texts):,}", *speeds, *per_second, f"{theirs / ours:.1f}", str(differ))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=Path, default=DOCUMENTS)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    texts = read(options.documents)
    table = Table(title="language identification, one core")
    heads = ("documents", "n", "py3langid MB/s", "curate MB/s", "py3langid docs/s", "curate docs/s", "ratio", "differ")
    for head in heads:
        table.add_column(head, justify="left" if head == "documents" else "right")
    compare(table, "whole", texts, options.rounds)
    for size in PIECES:
        compare(table, f"pieces of {size:,} bytes", pieces(texts, size), options.rounds)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
