"""Is a classifier that a recipe trains as good as fastText trained by hand, on the same split of labelled web lines?

python -m benchmarks.classifier_accuracy [--data turku_textquality_train.tar.zst] [--languages en de]

Labels are those of TurkuNLP's text quality annotations: each line of web pages, after boilerplate removal, is main text
or noise. `train_fasttext` balances the classes and holds a fifth out; fastText is given the same lines to train on.
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
    accuracy: float  # of fastText by hand
    auc: float


def labelled(path: Path, language: str) -> pa.Table:
    """Lines, and whether people called them main text."""
    unpacked = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(path.open("rb")).read()
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as tar:
        member = tar.extractfile(f"turku_textquality_train/text-quality-annotations/{language}/train.json")
        assert member is not None
        pages = json.loads(member.read())
    rows = [(text, str(y) == "1") for page in pages for text, y in zip(page["text"], page["labels"], strict=True)]
    return pa.table({"text": [t for t, _ in rows], "source": ["x"] * len(rows), "is_text": [y for _, y in rows]})


def compare(table: pa.Table) -> Compared:
    """Train both ways and judge both on the lines that the recipe's trainer holds out."""
    given = arrays(SETTINGS, table)
    ours = SETTINGS.facts(fitted(SETTINGS, [given]))
    chosen = SETTINGS.sketch(SETTINGS.fit(SETTINGS.sketch(None, **given)), **given)
    held, truth = SETTINGS._held_out(chosen["tie"].to_numpy()), chosen["is_positive"].to_numpy()
    texts = [" ".join(text.splitlines()).strip() for text in chosen["text"].to_pylist()]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "lines.txt")
        lines = [f"__label__{'yes' if truth[row] else 'no'} {texts[row]}\n" for row in np.flatnonzero(~held)]
        path.write_text("".join(np.random.default_rng(0).permutation(lines)))  # fastText learns from them in order
        model = fasttext.train_supervised(str(path), thread=1, verbose=0)
    found = [model.predict(text) for text, out in zip(texts, held, strict=True) if out]
    score = np.array([p[0] if label == ("__label__yes",) else 1 - p[0] for label, p in found])
    accuracy = float(np.mean((score >= 0.5) == truth[held]))
    return Compared(int((~held).sum()), int(held.sum()), ours, accuracy, area(truth[held], score))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--languages", nargs="+", default=["en", "de", "es", "fi"])
    options = parser.parse_args()
    print("| language | trained on | held out | accuracy | by hand | AUC | by hand |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for language in options.languages:
        found = compare(labelled(options.data, language))
        figures = (found.ours["accuracy"], found.accuracy, found.ours["auc"], found.auc)
        row = " | ".join([f"{found.trained_on:,}", f"{found.held_out:,}", *(f"{figure:.3f}" for figure in figures)])
        print(f"| {language} | {row} |")


if __name__ == "__main__":
    main()
