"""The mixture of this release with MosaicML Streaming: `write(RELEASE, TARGET)` once, then `mixture(TARGET)`.

Streaming reads no Parquet: the documents of each domain become MDS shards. Proportions are of samples, made of the
wanted shares of tokens.
"""

import sys
from pathlib import Path

import pyarrow.parquet as pq
from streaming import MDSWriter, Stream, StreamingDataset

FILES = ...
WEIGHTS = ...
SEED = ...


def write(release, target):
    """MDS shards with id and text in TARGET/<domain>."""
    for name, files in FILES.items():
        with MDSWriter(out=str(Path(target, name)), columns={"id": "str", "text": "str"}, compression="zstd") as out:
            for path in files:
                for batch in pq.ParquetFile(Path(release, path)).iter_batches(columns=["id", "text"]):
                    for row in batch.to_pylist():
                        out.write(row)


def mixture(target, **options):
    """A streaming dataset of all domains."""
    streams = [Stream(local=str(Path(target, name)), proportion=weight) for name, weight in WEIGHTS.items()]
    return StreamingDataset(streams=streams, shuffle_seed=SEED, **options)


if __name__ == "__main__":
    write(*sys.argv[1:3])
