"""Does perplexity tell clean text from noise? Models of Wikipedia against lines that people labelled.

python -m benchmarks.perplexity [--data FOLDER] [--languages en de] [--tokens sentencepiece]

Labels are those of TurkuNLP's text quality annotations: each line of web pages, after boilerplate removal, is main text
or noise. FOLDER holds mix_150mb.jsonl.zst, whose wiki/LANGUAGE documents the models are trained on, and
raw/turku_textquality_train.tar.zst. AUC: how often a clean item has a lower perplexity than a noisy one; `page` takes
the clean and the noisy lines of a page as one text each.
"""

from __future__ import annotations

import argparse
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import zstandard
from rich.console import Console
from rich.table import Table

from curate.operators.train_kenlm import TrainKenlm

DATA = Path(__file__).resolve().parents[1] / "../shared/data"
LEAST = (1, 5, 20)  # words that a text must have to count


def reference(path: Path, language: str) -> pa.Array:
    """Wikipedia in one language."""
    with path.open("rb") as packed:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(packed), encoding="utf-8")
        records = (json.loads(line) for line in lines if f'"wiki/{language}"' in line)
        return pa.array([record["text"] for record in records if record["source"] == f"wiki/{language}"])


def pages(path: Path, language: str) -> list[dict[str, Any]]:
    """Labelled pages: `text`, a list of lines, and `labels`, 1 for main text."""
    with path.open("rb") as packed:
        content = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(packed).read()
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        members = [member for member in archive if f"/{language}/" in member.name and member.isfile()]
        return [page for member in members for page in json.load(archive.extractfile(member))]  # type: ignore[arg-type]


def auc(clean: np.ndarray, noisy: np.ndarray) -> float:
    """Share of pairs in which the clean one is lower; half of those that are equal."""
    every = np.sort(noisy)
    above = len(every) - np.searchsorted(every, clean, side="right")
    same = np.searchsorted(every, clean, side="right") - np.searchsorted(every, clean, side="left")
    return float((above + same / 2).mean() / len(every))


def items(found: list[dict[str, Any]]) -> Iterator[tuple[str, list[str], list[int]]]:
    """Texts and labels, by line and by page."""
    lines = [pair for page in found for pair in zip(page["text"], page["labels"], strict=True)]
    yield "line", [line for line, _ in lines], [int(label) for _, label in lines]
    texts, labels = [], []
    for page in found:
        for label in (0, 1):
            own = [line for line, given in zip(page["text"], page["labels"], strict=True) if int(given) == label]
            if own:
                texts.append("\n".join(own))
                labels.append(label)
    yield "page", texts, labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--languages", nargs="+", default=["en", "de"])
    parser.add_argument("--tokens", choices=("sentencepiece", "words"), default="sentencepiece")
    options = parser.parse_args()
    table = Table(title=f"perplexity of clean text and of noise, models of {options.tokens}")
    for head in ("language", "MB trained on", "item", "words", "clean", "noisy", "median clean", "median noisy", "AUC"):
        table.add_column(head, justify="right")
    for language in options.languages:
        texts = reference(options.data / "mix_150mb.jsonl.zst", language)
        trainer = TrainKenlm(reference=("wikipedia",), tokens=options.tokens, sentence="line")
        model = None
        for _ in range(trainer.rounds):
            model = trainer.fit(trainer.sketch(texts, model))
        for kind, given, labels in items(pages(options.data / "raw/turku_textquality_train.tar.zst", language)):
            score = trainer.apply(pa.array(given), model)["perplexity"].to_numpy(zero_copy_only=False)
            words, is_clean = np.array([len(text.split()) for text in given]), np.array(labels) == 1
            for least in LEAST:
                counts = (words >= least) & ~np.isnan(score)
                clean, noisy = score[counts & is_clean], score[counts & ~is_clean]
                medians = [f"{np.median(part):,.0f}" for part in (clean, noisy)]
                sizes = [f"{len(part):,}" for part in (clean, noisy)]
                size = f"{texts.nbytes / 1e6:.1f}"
                table.add_row(language, size, kind, f"{least}+", *sizes, *medians, f"{auc(clean, noisy):.3f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
