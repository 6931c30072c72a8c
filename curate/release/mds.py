"""Shards of MosaicML Streaming (MDS, version 2), written without its library, which reads them: `StreamingDataset`.

A shard is the number of samples, where each begins and the last one ends (uint32), the columns as JSON, and the
samples: of each the sizes of its values (uint32), then the values. `index.json` lists the shards.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from curate.errors import DataError

COLUMNS = {"id": "str", "metadata": "json", "source": "str", "text": "str"}  # in the order of their names
LARGEST = (1 << 32) - 1


def write_shards(shards: Iterable[Iterator[list[dict[str, Any]]]], folder: Path, limit: int) -> None:
    """Write each group of documents as a shard: `id`, `text`, `source` are strings, `metadata` is all other columns.

    Raises DataError for a shard of 4 GB and more, which the format cannot have.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_shards([iter([[{"id": "a", "text": "one", "source": "web", "n": 1}]])], folder, limit=1 << 26)
    >>> json.loads((folder / "index.json").read_text())["shards"][0]["samples"]
    1
    """
    about = _about(limit)
    index = []
    for number, groups in enumerate(shards):
        name = f"shard.{number:05d}.mds"
        samples = [_sample(record) for records in groups for record in records]
        size = _write(folder / name, samples, about)
        raw = {"basename": name, "bytes": size, "hashes": {}}
        index.append({**about, "raw_data": raw, "zip_data": None, "samples": len(samples)})
    (folder / "index.json").write_text(json.dumps({"version": 2, "shards": index}, sort_keys=True), encoding="utf-8")


def _about(limit: int) -> dict[str, Any]:
    columns = {
        "column_names": [*COLUMNS],
        "column_encodings": [*COLUMNS.values()],
        "column_sizes": [None] * len(COLUMNS),
    }
    return {"version": 2, "format": "mds", "compression": None, "hashes": [], "size_limit": limit, **columns}


def _sample(record: dict[str, Any]) -> bytes:
    rest = {name: value for name, value in record.items() if name not in COLUMNS or name == "metadata"}
    values = [
        msgspec.json.encode(rest, enc_hook=str) if name == "metadata" else record[name].encode() for name in COLUMNS
    ]
    return np.array([*map(len, values)], np.uint32).tobytes() + b"".join(values)


def _write(path: Path, samples: list[bytes], about: dict[str, Any]) -> int:
    head = json.dumps(about, sort_keys=True).encode()
    begin = 4 + 4 * (len(samples) + 1) + len(head)
    ends = np.cumsum([begin, *map(len, samples)], dtype=np.int64)
    if ends[-1] > LARGEST:
        raise DataError(f"a shard of {ends[-1]:,} bytes is more than MDS can have (4 GB): choose a smaller --file-size")
    with path.open("wb") as file:
        file.write(np.uint32(len(samples)).tobytes() + ends.astype(np.uint32).tobytes() + head)
        file.writelines(samples)
    return int(ends[-1])
