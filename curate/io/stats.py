"""Reads the JSON Lines of datatrove and Data-Juicer: what they know of a document is in objects, which become columns.

datatrove (Penedo et al. 2024) has `metadata`; Data-Juicer (Chen et al. 2024) `meta` and `__dj__stats__`, or the stats
in a file NAME_stats.jsonl, line by line with NAME.jsonl.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice, zip_longest
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from curate.errors import DataError
from curate.io.annotated import numbered_lines
from curate.io.blocks import Block, Blocks
from curate.io.columns import excerpt, wanted
from curate.io.first_records import first_records, schema_of
from curate.io.jsonl import Records
from curate.io.source import BadRecord, DamagedFile, Shard, Source
from curate.io.stream import Stream

OBJECTS = {"datatrove": ("metadata",), "data-juicer": ("__dj__stats__", "meta", "__dj__meta__")}
Record = dict[str, Any]


def shard_schema(source: Source, shard: Shard) -> tuple[pa.Schema, bool]:
    """The columns that the first records show: their fields, and those of the objects, that are of one simple type."""
    records = first_records(source, shard)
    stats = _first_stats(shard, source, len(records)) if _has_stats(shard) else []
    nothing: Record = {}
    both = [record | beside for record, beside in zip_longest(records, stats, fillvalue=nothing)]
    return schema_of(source, shard, [lifted(record, OBJECTS[shard.format]) for record in both])


def rows(
    shard: Shard,
    source: Source,
    schema: pa.Schema,
    batch_bytes: int,
    quarantine: Callable[[BadRecord], None],
    needed: set[str] | None = None,
    skip: np.ndarray | None = None,
) -> Iterator[pa.RecordBatch]:
    """The good rows of a shard; a batch holds the lines that fit in `batch_bytes` of JSON."""
    stream = Stream(shard.paths[0], source.max_expansion)
    blocks = Blocks(stream, batch_bytes, source.max_record_bytes)
    beside = Beside(shard, source)
    records = Lifted(beside.found, shard, source, schema, wanted(schema, needed), quarantine)
    for block in blocks:
        error = beside.fetch(block)
        batch, _ = records.one_by_one(block, np.arange(len(beside.found)))
        if batch.num_rows:
            yield batch
        if error:
            raise error
    if stream.damage:
        raise DamagedFile(stream.url, stream.damage, blocks.line, excerpt(blocks.rest))
    beside.check_end()


class Lifted(Records):
    """Records with the fields of their objects beside their own. `stats`: line -> what the file beside it says."""

    def __init__(self, stats: dict[int, Record], shard: Shard, *how: Any) -> None:
        super().__init__(shard, *how)
        self.stats, self.inside = stats, OBJECTS[shard.format]

    def record(self, line: bytes, number: int) -> Record:
        return lifted(super().record(line, number) | self.stats[number], self.inside)


class Beside:
    """The lines of the file of stats that belong to a block of lines, in `found` by their number."""

    def __init__(self, shard: Shard, source: Source) -> None:
        self.shard, self.found = shard, dict[int, Record]()
        self.stats = _stats(shard, source) if _has_stats(shard) else None

    def fetch(self, block: Block) -> DataError | None:
        """Take the stats of all lines of the block; the error that ended them, when not all are there."""
        self.found.clear()
        start = 0
        for number, end in enumerate(block.ends.tolist(), start=block.line):
            is_blank = not bytes(block.data[start:end]).strip()
            start = end + 1
            try:
                self.found[number] = self._next(number) if self.stats and not is_blank else {}
            except DataError as error:
                return error
        return None

    def _next(self, number: int) -> Record:
        assert self.stats is not None
        at, record = next(self.stats, (-1, {}))
        if at != number:
            raise DataError(
                f"{self.shard.paths[1]}: line {number + 1} has no stats, but {self.shard.paths[0]} has a record there; "
                "the two stand in one order: make them anew, or take the file of stats away"
            )
        return record

    def check_end(self) -> None:
        """Refuse stats of more records than there are."""
        if self.stats and next(self.stats, None) is not None:
            raise DataError(f"{self.shard.paths[1]}: has more lines than {self.shard.paths[0]}; make the two anew")


def _has_stats(shard: Shard) -> bool:
    return len(shard.paths) > 1 and bool(shard.paths[1])


def _first_stats(shard: Shard, source: Source, count: int) -> list[Record]:
    """The first stats, as far as they can be read."""
    found: list[Record] = []
    try:
        found.extend(record for _, record in islice(_stats(shard, source), count))
    except DamagedFile:
        if not found:
            raise
    return found


def _stats(shard: Shard, source: Source) -> Iterator[tuple[int, Record]]:
    """The lines of the file of stats that are not blank, with their numbers."""
    path = shard.paths[1]
    for number, line in numbered_lines(path, source):
        try:
            yield number, msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DataError(f"{path}: line {number + 1} is no JSON object ({excerpt(line[:80])})") from error


def lifted(record: Record, inside: tuple[str, ...]) -> Record:
    """The record with the fields of its objects beside its own; where a name is taken, the object's goes before it.

    >>> lifted({"text": "a", "metadata": {"score": 0.5, "text": "b"}}, ("metadata",))
    {'text': 'a', 'score': 0.5, 'metadata.text': 'b'}
    """
    objects = {name: record[name] for name in inside if isinstance(record.get(name), dict)}
    found = {name: value for name, value in record.items() if name not in objects}
    for name, fields in objects.items():
        found |= {f"{name}.{field}" if field in found else field: value for field, value in fields.items()}
    return found
