"""Which near-duplicates the bands of MinHash find: planted pairs of known similarity beside the expected curve.

    python -m benchmarks.dedup_recall [--pairs 2000] [--presets default fineweb redpajama-v2 ...]

For each Jaccard similarity, pairs of documents are made that have exactly so many shingles in common, and none with any
other. `found` is the share of them that meet in a band, `expected` what 1 - (1 - J^rows)^bands says; `counted` is the
share that passes verification as well, which is to be 0 below the threshold. A seed makes the pairs, so that the
figures are the same on every machine.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pyarrow as pa

from curate.cluster import pairs_in_memory
from curate.kernels.components import unpack
from curate.operators.dedup import DedupMinhash
from curate.result import table_text

LEVELS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
PRESETS = ("default", "fineweb", "redpajama-v2", "slimpajama", "nemo")
SHINGLES = 400  # of a document


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=2_000, help="for each similarity")
    parser.add_argument("--presets", nargs="+", default=PRESETS)
    given = parser.parse_args()
    for preset in given.presets:
        operator = DedupMinhash(preset=preset)
        s = operator.settings
        print(f"\n{preset}: {s.bands} bands of {s.rows} rows, threshold {s.threshold:g}\n")
        rows = [["Jaccard", "found", "expected", "counted"]]
        for level in LEVELS:
            rows.append([f"{level:.3g}", *(f"{100 * part:.1f} %" for part in measured(operator, level, given.pairs))])
        print(table_text(rows, left=0))


def measured(operator: DedupMinhash, level: float, pairs: int) -> tuple[float, float, float]:
    """Shares of the pairs: found by bands, expected to be, counted after verification."""
    s = operator.settings
    bands, rows = s.shape
    texts, jaccard = planted(s.ngram, s.unit, level, pairs)
    columns = {"text": pa.array(texts)}
    sketch = pa.table(operator.sketch(**columns))
    at, keys = operator.keys(sketch)
    banded = keys.reshape(-1, len(texts))
    met = (banded[:, 0::2] == banded[:, 1::2]).any(axis=0)
    found, _ = pairs_in_memory(operator, sketch, keys, at, columns)
    a, b = unpack(found)
    assert (a // 2 == b // 2).all(), "documents that share no shingle are a pair"
    expected = 1 - (1 - jaccard**rows) ** bands
    return float(met.mean()), expected, len(found) / pairs


def planted(ngram: int, unit: str, level: float, pairs: int) -> tuple[list[str], float]:
    """Pairs of documents, one after the other, and the Jaccard similarity that all of them have.

    Both have the same text at the front and one of their own at the end, also the n-grams that reach over the border.
    """
    chance = np.random.default_rng(round(1000 * level))
    common = round(2 * SHINGLES * level / (1 + level))
    letters = np.array([*"abcdefghijklmnopqrstuvwxyz"])
    size, own = common + ngram - 1, SHINGLES - common
    texts = []
    for _ in range(pairs):
        texts += _pair(chance, letters, unit, size, own)
    return texts, common / (2 * SHINGLES - common)


def _pair(chance: Any, letters: np.ndarray, unit: str, size: int, own: int) -> list[str]:
    if unit == "words":
        front = " ".join(f"w{n}" for n in chance.integers(10**12, size=size))
        return [front + "".join(f" w{n}" for n in chance.integers(10**12, size=own)) for _ in range(2)]
    front = "".join(chance.choice(letters, size))
    first = "".join(chance.choice(letters, own))
    second = "".join(chance.choice(letters, own))
    return [front + first, front + ("b" if first[:1] == "a" else "a") + second[1:] if own else front]


if __name__ == "__main__":
    main()
