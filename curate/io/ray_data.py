"""Ray Datasets as sources: their blocks become Parquet files, written where the blocks are."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from curate.errors import DataError
from curate.io.parquet import Written, write_table
from curate.io.source import Source

AHEAD = 2  # blocks in flight for each CPU


def from_ray(data: Any, folder: str | Path) -> Source:
    """A `ray.data.Dataset` as a source: each block goes to a Parquet file in `folder`, which all nodes must see.

    Blocks keep their order and none of them comes to the driver. The same blocks give the same files, which then are
    left as they are, so that nothing is computed anew for them. Raises DataError when there are no rows.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".", ignore_cleanup_errors=True) as spill:
        digest = hashlib.sha256()
        for written in _written(data, Path(spill)):
            digest.update(written.sha256.encode())
        if not any(Path(spill).iterdir()):
            raise DataError("the Ray Dataset has no rows")
        place = folder / f"ray-{digest.hexdigest()[:20]}"
        if not place.exists():
            os.rename(spill, place)
    return Source(path=str(place), format="parquet")


def _written(data: Any, folder: Path) -> Iterator[Written]:
    """Write the blocks, a few at a time; what was written of each, in their order."""
    import ray

    write = ray.remote(_write)
    flying: list[Any] = []
    most = max(2, int(AHEAD * ray.cluster_resources().get("CPU", 1)))
    with _in_order(data):
        blocks = (block for bundle in data.iter_internal_ref_bundles() for block in bundle.block_refs)
        for number, block in enumerate(blocks):
            flying.append(write.remote(block, str(folder / f"part-{number:05d}.parquet")))
            if len(flying) > most:
                yield from filter(None, [ray.get(flying.pop(0))])
        yield from filter(None, ray.get(flying))


def _write(block: Any, path: str) -> Written | None:
    """One block, on the node that has it."""
    from ray.data.block import BlockAccessor

    table = BlockAccessor.for_block(block).to_arrow()
    return write_table(path, table) if len(table) else None


@contextmanager
def _in_order(data: Any) -> Iterator[None]:
    """Have Ray give blocks in the order of the data, not in that in which they are ready."""
    options = data.context.execution_options
    before, options.preserve_order = options.preserve_order, True
    try:
        yield
    finally:
        options.preserve_order = before
