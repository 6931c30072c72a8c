"""The mixture of this release with Hugging Face datasets: `mixture("path/to/release")`.

The weights are of rows, made of the wanted shares of tokens.
"""

from pathlib import Path

import datasets

FILES = ...
WEIGHTS = ...
SEED = ...


def mixture(folder, streaming=True, stopping_strategy="first_exhausted", **options):
    """An endless mix is `stopping_strategy="all_exhausted"`: small domains are then repeated."""
    parts = []
    for files in FILES.values():
        paths = [str(Path(folder, path)) for path in files]
        parts.append(datasets.load_dataset("parquet", data_files=paths, split="train", streaming=streaming, **options))
    return datasets.interleave_datasets(parts, [*WEIGHTS.values()], seed=SEED, stopping_strategy=stopping_strategy)
