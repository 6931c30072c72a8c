"""Is a classifier that a recipe trains as good as fastText trained by hand, on the same split of labelled web lines?

python -m benchmarks.classifier_accuracy [--data turku_textquality_train.tar.zst] [--languages en de]

Labels are those of TurkuNLP's text quality annotations: each line of web pages, after boilerplate removal, is main text
or noise. `train_fasttext` balances the classes and holds a fifth out; fastText is given the same lines to train on, in
ten orders: the mean, the worst and the best of them.
"""

from __future__ import annotations

import argparse
import io
import json
import tarfile
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import fasttext
import numpy as np
import pyarrow as pa
import zstandard

from curate.evaluate import arrays, fitted
from curate.operators.classifiers import TrainFasttext, area

DATA = Path(__file__).resolve().parents[1] / "../shared/data/raw/turku_textquality_train.tar.zst"
SETTINGS = TrainFasttext(positive="is_text", holdout=0.2)


class Compared(NamedTuple):
    """What was measured on the lines held out."""

    trained_on: int
    held_out: int
    ours: dict[str, Any]
    accuracy: list[float]  # of fastText by hand, for each order of the lines
    auc: list[float]


def labelled(path: Path, language: str) -> pa.Table:
    """Lines, and whether people called them main text."""
    unpacked = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(path.open("rb")).read()
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as tar:
        member = tar.extractfile(f"turku_textquality_train/text-quality-annotations/{language}/train.json")
        assert member is not None
        pages = json.loads(member.read())
    rows = [(text, str(y) == "1") for page in pages for text, y in zip(page["text"], page["labels"], strict=True)]
    return pa.table({"text": [t for t, _ in rows], "source": ["x"] * len(rows), "is_text": [y for _, y in rows]})


def compare(table: pa.Table, orders: int = 10) -> Compared:
    """Train both ways and judge both on the lines that the recipe's trainer holds out."""
    given = arrays(SETTINGS, table)
    ours = SETTINGS.facts(fitted(SETTINGS, [given]))
    chosen = SETTINGS.sketch(SETTINGS.fit(SETTINGS.sketch(None, **given)), **given)
    held, truth = SETTINGS._held_out(chosen["tie"].to_numpy()), chosen["is_positive"].to_numpy()
    texts = [" ".join(text.splitlines()).strip() for text in chosen["text"].to_pylist()]
    lines = [f"__label__{'yes' if truth[row] else 'no'} {texts[row]}\n" for row in np.flatnonzero(~held)]
    test = [texts[row] for row in np.flatnonzero(held)]
    scores = [by_hand(lines, test, order) for order in range(orders)]
    accuracy = [float(np.mean((score >= 0.5) == truth[held])) for score in scores]
    return Compared(len(lines), len(test), ours, accuracy, [area(truth[held], score) for score in scores])


def by_hand(lines: list[str], test: list[str], order: int) -> np.ndarray:
    """fastText's probability that each text is a good one. It learns from lines in their order: one by chance."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "lines.txt")
        path.write_text("".join(np.random.default_rng(order).permutation(lines)))
        model = fasttext.train_supervised(str(path), thread=1, verbose=0)
    found = [model.predict(text) for text in test]
    return np.array([p[0] if label == ("__label__yes",) else 1 - p[0] for label, p in found])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--languages", nargs="+", default=["en", "de", "es", "fi"])
    options = parser.parse_args()
    print("| language | trained on | held out | accuracy | by hand | AUC | by hand |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for language in options.languages:
        found = compare(labelled(options.data, language))
        pairs = (found.ours["accuracy"], found.accuracy), (found.ours["auc"], found.auc)
        figures = [f"{ours:.3f} | {np.mean(hand):.3f} ({min(hand):.3f}..{max(hand):.3f})" for ours, hand in pairs]
        print(f"| {language} | {found.trained_on:,} | {found.held_out:,} | {' | '.join(figures)} |", flush=True)


if __name__ == "__main__":
    main()
