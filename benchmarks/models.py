"""What models cost: our operators against a tight loop over the library alone, same documents, one core, one run.

python -m benchmarks.models [CASE ...] [--documents FILE.jsonl.zst] [--megabytes 5] [--rounds 5]

A case is a function of the documents that says what is timed; CASES names them all.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from benchmarks.language import DOCUMENTS, read
from curate.kernels.ccnet import normalised
from curate.kernels.vectors import nearest
from curate.operators.classifiers import FasttextScore
from curate.operators.importance import DsirImportance, Features, TrainDsir
from curate.operators.language import Language
from curate.operators.perplexity import perplexities
from curate.operators.train_kenlm import TrainKenlm
from curate.pieces import encode


class Timed(NamedTuple):
    """One row: what, the library in a loop (None: there is none to compare with), ours, and bytes that go through."""

    name: str
    direct: Callable[[], Any] | None
    ours: Callable[[], Any]
    bytes: int


def kenlm(texts: pa.Array) -> Iterator[Timed]:
    """SentencePiece and KenLM, by models trained on the documents themselves."""
    from kenlm import Model
    from sentencepiece import SentencePieceProcessor

    lines = normalised(texts)
    size = lines.nbytes
    trainer = TrainKenlm(reference=("documents",), vocabulary=8000, formats=("binary",))
    pieces = trainer.fit(trainer.sketch(texts))
    model = trainer.fit(trainer.sketch(texts, pieces))
    folder = Path(tempfile.mkdtemp())
    trainer.export(model, folder)
    loaded, spell = Model(str(folder / "lm.arpa.bin")), SentencePieceProcessor(model_file=str(folder / "sp.model"))
    content, plain = (folder / "sp.model").read_bytes(), lines.to_pylist()
    spelled = encode(lines, content)
    joined = spelled.to_pylist()

    def both() -> list[float]:
        return [loaded.perplexity(" ".join(spell.encode(line, out_type=str))) for line in plain]

    yield Timed("CCNet's normalisation", None, lambda: normalised(texts), texts.nbytes)
    direct = [lambda: [" ".join(spell.encode(line, out_type=str)) for line in plain], both]
    yield Timed("SentencePiece", direct[0], lambda: encode(lines, content), size)
    yield Timed(
        "KenLM", lambda: [loaded.perplexity(line) for line in joined], lambda: perplexities(spelled, loaded, ""), size
    )
    whole = str(folder / "sp.model")
    yield Timed("SentencePiece and KenLM", direct[1], lambda: perplexities(lines, loaded, whole), size)
    yield Timed("train_kenlm: perplexity", both, lambda: trainer.apply(texts, model), size)
    words = TrainKenlm(reference=("documents",), tokens="words", formats=())
    yield Timed("train_kenlm: training, words", None, lambda: words.fit(words.sketch(texts)), texts.nbytes)


def fasttext(texts: pa.Array) -> Iterator[Timed]:
    """Prediction with a classifier of words that is trained on the documents themselves; and the embedded model."""
    from fasttext import train_supervised

    one_line = [" ".join(text.splitlines()).strip() for text in texts.to_pylist()]
    folder = Path(tempfile.mkdtemp())
    lines = (f"__label__{'even' if at % 2 else 'odd'} {text}\n" for at, text in enumerate(one_line))
    (folder / "lines.txt").write_text("".join(lines), encoding="utf-8")
    model = train_supervised(str(folder / "lines.txt"), epoch=1, thread=1, verbose=0)
    model.save_model(str(folder / "model.bin"))
    score = FasttextScore(model=str(folder / "model.bin"), label="even")
    language, embedded = Language(model=str(folder / "model.bin")), Language()

    def direct() -> list[Any]:
        return [model.predict(text) for text in one_line]

    yield Timed("fasttext_score", direct, lambda: score.compute(texts), texts.nbytes)
    yield Timed("language: a fastText model", direct, lambda: language.compute(texts), texts.nbytes)
    yield Timed("language: embedded", None, lambda: embedded.compute(texts), texts.nbytes)


def dsir(texts: pa.Array) -> Iterator[Timed]:
    """Importance weights by given counts; and counts of a target and of raw text, batch by batch."""
    folder = Path(tempfile.mkdtemp())
    for name in ("target", "raw"):
        np.save(folder / f"{name}.npy", np.random.default_rng(0).integers(1, 99, 10_000))
    batches = [texts[at : at + 1000] for at in range(0, len(texts), 1000)]
    sources = [pa.array(["a" if at % 2 else "b" for at in range(len(batch))]) for batch in batches]
    kinds: tuple[Features, ...] = ("words", "rpv2", "authors")
    for kind in kinds:
        measure = DsirImportance(target=str(folder / "target.npy"), raw=str(folder / "raw.npy"), features=kind)
        train = TrainDsir(target=("a",), raw=("b",), features=kind)

        def fit(train: TrainDsir = train) -> pa.Table:  # a new array each time: what is lexed is not lexed again
            pairs = zip(batches, sources, strict=True)
            return train.fit(pa.concat_tables([train.sketch(batch.slice(0), source) for batch, source in pairs]))

        yield Timed(
            f"dsir_importance: {kind}",
            None,
            lambda measure=measure: measure.compute(texts.slice(0)),  # type: ignore[misc]
            texts.nbytes,
        )
        yield Timed(f"train_dsir: {kind}", None, fit, texts.nbytes)


def kmeans(texts: pa.Array) -> Iterator[Timed]:
    """Nearest of 1,000 centroids for as many vectors as documents, of 384 numbers; the library is BLAS."""
    units = np.random.default_rng(0).normal(size=(len(texts) + 1000, 384)).astype(np.float32)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    points, centroids = units[1000:], np.ascontiguousarray(units[:1000])
    direct = lambda: (points @ centroids.T).argmax(axis=1)  # noqa: E731
    yield Timed("cluster: one assignment", direct, lambda: nearest(points, centroids), texts.nbytes)


CASES: dict[str, Callable[[pa.Array], Iterator[Timed]]] = {
    "kenlm": kenlm,
    "fasttext": fasttext,
    "dsir": dsir,
    "kmeans": kmeans,
}


def best_of(rounds: int, *functions: Callable[[], object]) -> Iterator[float]:
    """Least CPU time of each function in seconds; they take turns, so that a busy moment hits them alike."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(rounds):
        for function, seconds in zip(functions, times, strict=True):
            begin = time.process_time()
            function()
            seconds.append(time.process_time() - begin)
    return map(min, times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)} (default: all)")
    parser.add_argument("--documents", type=Path, default=DOCUMENTS)
    parser.add_argument("--megabytes", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    texts = pa.array(read(options.documents), pa.string())
    while texts.nbytes > options.megabytes * 1e6:
        texts = pa.concat_arrays([texts[: len(texts) * 9 // 10]])
    table = Table(title=f"models, one core, {texts.nbytes / 1e6:.1f} MB")
    for head in ("case", "the library alone, MB/s", "ours, MB/s", "ours costs more"):
        table.add_column(head, justify="left" if head == "case" else "right")
    for name in options.cases or CASES:
        for timed in CASES[name](texts):
            timed.ours()  # compiles and loads
            functions = [timed.ours, *([timed.direct] if timed.direct else [])]
            ours, *direct = best_of(options.rounds, *functions)
            speeds = [f"{timed.bytes / seconds / 1e6:,.1f}" for seconds in (*direct, ours)]
            more = f"{ours / direct[0] - 1:+.0%}" if direct else ""
            table.add_row(timed.name, *([""] if not direct else []), *speeds, more)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
