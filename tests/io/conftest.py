"""Reading whole sources in tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pyarrow as pa
import pytest

from curate.io.source import BadRecord, Shard, Source, discover, read, schema


class Loaded(NamedTuple):
    """All of a source: its rows, the sizes of the batches they came in, its bad records and its shards."""

    table: pa.Table
    batches: list[int]
    bad: list[BadRecord]
    shards: list[Shard]

    def column(self, name: str) -> list[Any]:
        return self.table[name].to_pylist()


@pytest.fixture
def load() -> Callable[..., Loaded]:
    def load(path: Any, batch_bytes: int = 1 << 20, corrupt: Any = "error", **how: Any) -> Loaded:
        extra = {key: how.pop(key) for key in ("needed", "skip") if key in how}
        source = path if isinstance(path, Source) else Source(path=str(path), **how)
        shards = discover("web", source)
        columns = schema(source, shards, corrupt)
        bad: list[BadRecord] = []
        found: list[pa.RecordBatch] = []
        for shard in shards:
            found += read(shard, source, columns, batch_bytes, bad.append, corrupt=corrupt, **extra)
        for batch in found:
            batch.validate(full=True)
        names = [name for name in columns.names if "needed" not in extra or name in extra["needed"]]
        out = pa.schema([columns.field(name) for name in names])
        return Loaded(pa.Table.from_batches(found, schema=out), [b.num_rows for b in found], bad, shards)

    return load
