"""Rules on ten million annotated rows: `curate decide` and `curate what-if`, seconds and memory.

python -m benchmarks.decide [--rows 10000000] [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import curate
from curate.arrays import plain
from curate.evaluate import evaluate, selected
from curate.operators.mixture import SampleMixture
from curate.operators.quantile import Quantile
from curate.operators.select import SelectBudget

SIGNALS = 10
PART = 500_000
RULES = {"rules": {f"r{at}": {"column": f"signal_{at}", "min": 0.02, "max": 0.97} for at in range(SIGNALS)}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, help="where to write, and keep, the rows")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary, "rows")
        if not folder.exists():
            synthetic(folder, given.rows)
        timed("decide, counts only", lambda: curate.decide(folder, RULES))
        timed("decide, all annotations and kept rows written", lambda: curate.decide(folder, RULES, f"{temporary}/out"))
        timed("what-if, 20 curves of 101 bounds, by source and language", lambda: curate.what_if(folder, RULES))
        rows = sketches(folder)
        quotas = {"en": {"max": 0.3}, "zh": {"min": 0.2}}
        budget = {"tokens": given.rows * 800, "size": "text_words", "by": "signal_0", "per": "language"}
        timed("select_budget", lambda: chosen(SelectBudget, {**budget, "quotas": quotas}, rows))
        mixture = {"size": "text_words", "temperature": 2.0, "tokens": given.rows * 2500, "epochs": 4}
        timed("sample_mixture", lambda: chosen(SampleMixture, mixture, rows))
        timed("quantile", lambda: chosen(Quantile, {"of": "signal_0", "per": "language"}, rows))


def synthetic(folder: Path, rows: int) -> None:
    """Rows with ten signals, sizes, a source and a language, in files of half a million."""
    folder.mkdir(parents=True)
    for number, start in enumerate(range(0, rows, PART)):
        chance, count = np.random.default_rng(number), min(PART, rows - start)
        columns: dict[str, Any] = {"id": pa.array(np.arange(start, start + count)).cast(pa.string())}
        columns |= {"source": pa.array(["web", "books", "code"]).take(pa.array(chance.integers(0, 3, count)))}
        columns |= {"language": pa.array(["en", "de", "fr", "zh"]).take(pa.array(chance.integers(0, 4, count)))}
        columns |= {"text_words": chance.integers(1, 5000, count).astype(np.int32)}
        columns |= {"text_bytes": columns["text_words"].astype(np.int64) * 6}
        columns |= {f"signal_{at}": chance.random(count).round(4) for at in range(SIGNALS)}
        pq.write_table(pa.table(columns), folder / f"{number:03d}.parquet", compression="zstd")


def sketches(folder: Path) -> pa.Table:
    """The columns that selectors look at."""
    return pq.read_table(folder, columns=["id", "source", "language", "text_words", "signal_0"])


def chosen(cls: Any, parameters: dict[str, Any], rows: pa.Table) -> Any:
    """A selector on rows in memory, sketch and choice."""
    operator = msgspec.convert(parameters, cls)
    columns = {name: plain(rows[name]) for name in operator.reads()}
    return selected(operator, pa.table(evaluate(operator, columns)))


def timed(title: str, work: Callable[[], Any]) -> None:
    began, cpu = time.perf_counter(), time.process_time()
    result = work()
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"| {title} | {seconds:.1f} | {cpu:.1f} | {peak:,.0f} |", flush=True)
    assert result is not None


if __name__ == "__main__":
    main()
