"""MinHash signatures from text: ours beside datasketch, rensa and Daft, with the same shingles of whole documents.

    python -m benchmarks.dedup [--megabytes 4] [--runs 3]

One core, the same documents for all, CPU time, the best of a few runs, ours and theirs in turn. Ours takes Arrow arrays
and makes shingles itself; so does Daft. datasketch and rensa are given shingles that Python makes, whose time counts
("with shingling") or does not. Every peer takes all shingles of a document. rensa and Daft are optional:
`pip install rensa daft`; one that is not installed is left out.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import string
import sys
import time
import unicodedata
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.end_to_end import MIX
from benchmarks.signals import batches, documents, size
from curate.kernels.minhash import signatures
from curate.result import table_text

SLOTS = 128
KINDS: dict[str, tuple[Any, int]] = {"words": ("words", 5), "characters": ("characters", 13)}
PUNCTUATION = str.maketrans("", "", string.punctuation)
SHINGLING = " with shingling"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=Path, default=MIX)
    parser.add_argument("--megabytes", type=float, default=4, help="how much of the documents, evenly taken")
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    if not given.documents.exists():
        sys.exit(f"no documents at {given.documents}: give a .jsonl.zst file with --documents")
    texts = documents(given.documents, given.megabytes * 1e6)
    print(f"{size(texts) / 1e6:.1f} MB, {len(texts):,} documents, {SLOTS} slots, one core; {versions()}")
    for kind in KINDS:
        print(f"\n{table(kind, texts, given.runs)}")


def versions() -> str:
    found = [f"{name} {importlib.metadata.version(name)}" for name in ("datasketch", "rensa", "daft") if has(name)]
    return ", ".join(found)


def has(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def table(kind: str, texts: list[str], runs: int) -> str:
    """Rates of all, and how many times faster ours is at its default."""
    unit, ngram = KINDS[kind]
    parts = batches(texts)
    check(unit, ngram, texts[:50])
    seconds = timed({**ours(unit, ngram, parts), **peers(unit, ngram, texts)}, runs)
    shingling = seconds.pop("shingling in Python")
    for name in [name for name in seconds if name.startswith(("datasketch", "rensa"))]:
        seconds[name + SHINGLING] = seconds[name] + shingling
    first = seconds[next(iter(seconds))]
    rows = [[f"shingles of {ngram} {unit}", "MB/s", "documents/s", "ours is faster by"]]
    for name, taken in seconds.items():
        rates = [f"{size(texts) / taken / 1e6:.1f}", f"{len(texts) / taken:,.0f}"]
        ratio = "" if name.startswith("ours") else f"{taken / first:.{0 if taken > 10 * first else 1}f}x"
        rows.append([name, *rates, ratio])
    return table_text(rows, left=1)


def timed(works: dict[str, Callable[[], Any]], runs: int) -> dict[str, float]:
    """CPU seconds of each: the best of a few rounds, in which they take turns."""
    best = dict.fromkeys(works, float("inf"))
    for at in range(runs + 1):  # the first round compiles and warms up
        for name, work in works.items():
            began = time.process_time()
            work()
            best[name] = min(best[name], time.process_time() - began) if at else best[name]
    return best


def ours(unit: str, ngram: int, parts: list[pa.Array]) -> dict[str, Callable[[], Any]]:
    kinds = {
        "ours": {},
        "ours, SHA-1 (signatures of datasketch)": {"hash": "sha1"},
        "ours, SHA-1, scheme legacy (datasketch 1)": {"hash": "sha1", "scheme": "legacy"},
    }
    return {
        name: lambda options=options: [signatures(part, unit, ngram, **options) for part in parts]  # type: ignore[misc]
        for name, options in kinds.items()
    }


def peers(unit: str, ngram: int, texts: list[str]) -> dict[str, Callable[[], Any]]:
    made = [shingles(text, unit, ngram) for text in texts]
    works: dict[str, Callable[[], Any]] = {
        "shingling in Python": lambda: [shingles(text, unit, ngram) for text in texts],
        "datasketch, update_batch": lambda: [datasketch_of(each) for each in made],
    }
    if has("rensa"):
        works["rensa, digest matrix"] = lambda: rensa_matrix(made)
        works["rensa, update"] = lambda: [rensa_of(each) for each in made]
    if has("daft") and unit == "words":  # it has no shingles of characters
        works["Daft, normalize and minhash"] = lambda: daft_of(texts, ngram)
    return works


def shingles(text: str, unit: str, ngram: int) -> list[bytes]:
    """The different shingles of a document, as those who use datasketch make them."""
    words = unicodedata.normalize("NFD", text.translate(PUNCTUATION).lower()).split()
    units, space = (words, " ") if unit == "words" else (" ".join(words), "")
    return [each.encode() for each in {space.join(units[at : at + ngram]) for at in range(len(units) - ngram + 1)}]


def datasketch_of(made: list[bytes]) -> np.ndarray:
    from datasketch import MinHash

    minhash = MinHash(SLOTS)
    minhash.update_batch(made)
    return np.asarray(minhash.hashvalues)


def rensa_of(made: list[bytes]) -> Any:
    from rensa import RMinHash

    minhash = RMinHash(SLOTS, 1)
    minhash.update(made)
    return minhash.digest()


def rensa_matrix(made: list[list[bytes]]) -> Any:
    """Its batch path that looks at all shingles; the one called rho looks at a few of them."""
    from rensa import RMinHash

    return RMinHash.digest_matrix_from_token_byte_sets(made, SLOTS, 1)


def daft_of(texts: list[str], ngram: int) -> Any:
    import daft
    from daft.functions import minhash, normalize

    clean = normalize(daft.col("text"), remove_punct=True, lowercase=True, nfd_unicode=True, white_space=True)
    frame = daft.from_pydict({"text": texts})
    made = minhash(clean, num_hashes=SLOTS, ngram_size=ngram, hash_function="xxhash")
    return frame.select(made.alias("signature")).collect()


def check(unit: str, ngram: int, texts: list[str]) -> None:
    """Ours are the signatures of datasketch, bit for bit: then the work is the same."""
    values, counts = signatures(pa.array(texts), unit, ngram, hash="sha1")
    theirs = [datasketch_of(shingles(text, unit, ngram)) for text in texts]
    assert list(chain.from_iterable(theirs)) == values.ravel().tolist() and counts.max() > 0


if __name__ == "__main__":
    main()
