"""Which split, which domain and which place each document has; sorted through temporary files, in bounded memory.

The corpus is read twice: once to count the domains, once to send each document to the bucket that its place lies in.
A bucket is a range of the final order that fits into memory: many small domains, or a part of a large one.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.arrays import one
from curate.errors import PlanError
from curate.release.settings import SPLIT, Settings

MOST_DOMAINS = 4_000
PLACE = "__place"
ROUTE = "__route"

Key = tuple[str, ...]  # split, then the values of the domain's columns


class Route(NamedTuple):
    """A split's part of a domain: its name, documents, bytes, and the first and last bucket it lies in."""

    split: str
    domain: str
    values: Key
    rows: int
    first: int
    parts: int


def splits(rows: pa.Table, settings: Settings) -> pa.Array:
    """The split of each document, by a hash of what must stay together.

    Shares are intervals of the hash, so a larger share of the first split holds all of the smaller one.
    """
    if not settings.split:
        return pa.repeat(SPLIT, rows.num_rows)
    columns = [rows[name].cast(pa.string()).fill_null("") for name in settings.split_by]
    joined = pc.binary_join_element_wise(*columns, "\x1f") if len(columns) > 1 else columns[0]
    points = (hashed(joined, settings.seed) >> np.uint64(11)).astype(np.float64) / 2.0**53
    at = np.searchsorted(np.cumsum([*settings.split.values()]), points, side="right")
    return pa.array([*settings.split, SPLIT]).take(pa.array(at))


def hashed(text: pa.ChunkedArray | pa.Array, seed: int) -> np.ndarray:
    """64 bits for each text, another 64 for another seed."""
    from curate.kernels.hashing import xxh3_128
    from curate.kernels.mixing import mix

    low, _ = xxh3_128(one(text))
    return np.asarray(mix(low, seed))


class Tally:
    """Documents and bytes of every (split, domain) met."""

    def __init__(self) -> None:
        self.rows: Counter[Key] = Counter()
        self.bytes: Counter[Key] = Counter()

    def add(self, keys: pa.Table, sizes: np.ndarray) -> None:
        """Count rows: their split and properties of the domain, and their sizes."""
        names = keys.column_names
        table = keys.append_column("__bytes", pa.array(sizes))
        groups = table.group_by(names, use_threads=False).aggregate([("__bytes", "sum"), ([], "count_all")])
        for row in groups.to_pylist():
            key = tuple(row[name] for name in names)
            self.rows[key] += row["count_all"]
            self.bytes[key] += row["__bytes_sum"]
        if len(self.rows) > MOST_DOMAINS:
            raise PlanError(
                f"the values of {', '.join(names[1:])} make more than {MOST_DOMAINS:,} domains: name fewer columns"
                " (--domain), or columns with fewer values"
            )

    def routes(self, memory: int) -> dict[Key, Route]:
        """Every (split, domain) in the order of the release, and the buckets it is sorted in."""
        names = domain_names({key[1:] for key in self.rows})
        found, bucket, held = {}, 0, 0
        for key in sorted(self.rows, key=lambda key: (key[0] != SPLIT, key[0], names[key[1:]])):
            parts = max(1, -(-self.bytes[key] // memory))
            if held and (parts > 1 or held + self.bytes[key] > memory):
                bucket, held = bucket + 1, 0
            found[key] = Route(key[0], names[key[1:]], key[1:], self.rows[key], bucket, parts)
            held += self.bytes[key]
            if parts > 1:
                bucket, held = bucket + parts, 0
        return found


def domain_names(keys: Iterable[Key]) -> dict[Key, str]:
    """Names that are safe in paths, YAML and lists: values joined by dots; two that would be alike get numbers.

    >>> domain_names([("web/c4", "en"), ("web-c4", "en")])
    {('web-c4', 'en'): 'web-c4.en', ('web/c4', 'en'): 'web-c4.en~2'}
    """
    met: Counter[str] = Counter()
    found = {}
    for key in sorted(keys):
        name = ".".join(re.sub(r"[^A-Za-z0-9._+-]", "-", value) for value in key).strip(".") or "all"
        met[name.lower()] += 1  # some file systems know no case
        found[key] = name if met[name.lower()] == 1 else f"{name}~{met[name.lower()]}"
    return found


class Sorter:
    """Takes documents with their (split, domain) and gives them back in the order of the release."""

    def __init__(self, folder: Path, routes: dict[Key, Route], settings: Settings, held: int) -> None:
        self.folder, self.routes, self.settings, self.most = folder, [*routes.values()], settings, held
        self.number = {key: at for at, key in enumerate(routes)}
        self.met = np.zeros(len(routes), np.int64)
        self.waiting: list[pa.Table] = []
        self.bytes = 0
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, rows: pa.Table, keys: pa.Table) -> None:
        """Take rows of the release, and the split and domain of each."""
        route = self._numbers(keys)
        place = self._places(rows, route)
        self.waiting.append(rows.append_column(ROUTE, pa.array(route)).append_column(PLACE, pa.array(place)))
        self.bytes += rows.nbytes
        if self.bytes > self.most:
            self._spill()

    def __iter__(self) -> Iterator[tuple[Route, pa.Table]]:
        """Runs of rows of one (split, domain), in order; `domain` is filled in by the caller."""
        self._spill()
        for path in sorted(self.folder.glob("*.arrows")):
            rows = _read(path)
            path.unlink()
            route = rows[ROUTE].to_numpy()
            order = np.lexsort((np.arange(rows.num_rows), rows[PLACE].to_numpy(), route))
            route = route[order]
            bounds = [0, *(np.flatnonzero(np.diff(route)) + 1), rows.num_rows]
            rows = rows.drop_columns([ROUTE, PLACE])
            for start, end in itertools.pairwise(bounds):
                for at in range(start, end, 10_000):  # not all of it twice in memory
                    yield self.routes[route[start]], rows.take(pa.array(order[at : min(at + 10_000, end)]))

    def _numbers(self, keys: pa.Table) -> np.ndarray:
        """The number of each row's route, through the few different keys."""
        joined = pc.binary_join_element_wise(*keys.columns, "\x1f").combine_chunks().dictionary_encode()
        known = [self.number[tuple(text.split("\x1f"))] for text in joined.dictionary.to_pylist()]
        return np.array(known, np.int32)[joined.indices.to_numpy()]

    def _places(self, rows: pa.Table, route: np.ndarray) -> np.ndarray:
        """Where each row belongs within its route, as a fraction of 2**32."""
        if self.settings.shuffle is not None:
            return hashed(rows["id"], self.settings.shuffle) >> np.uint64(1)
        order = np.argsort(route, kind="stable")
        counts = np.bincount(route, minlength=len(self.met))
        starts = np.cumsum(counts) - counts
        place = np.empty(len(route), np.uint64)
        place[order] = self.met[route[order]] + np.arange(len(route)) - starts[route[order]]
        self.met += counts
        return place

    def _spill(self) -> None:
        """Append what waits to the files of its buckets."""
        if not self.waiting:
            return
        rows = pa.concat_tables(self.waiting)
        self.waiting, self.bytes = [], 0
        bucket = self._buckets(rows)
        order = np.argsort(bucket, kind="stable")
        bounds = [0, *(np.flatnonzero(np.diff(bucket[order])) + 1), len(order)]
        for start, end in itertools.pairwise(bounds):
            name = f"{bucket[order[start]]:09d}.arrows"
            with (self.folder / name).open("ab") as stream:
                part = rows.take(pa.array(order[start:end]))
                with pa.ipc.new_stream(stream, rows.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as out:
                    out.write_table(part)

    def _buckets(self, rows: pa.Table) -> np.ndarray:
        route, place = rows[ROUTE].to_numpy(), rows[PLACE].to_numpy()
        first = np.array([r.first for r in self.routes], np.int64)[route]
        parts = np.array([r.parts for r in self.routes], np.float64)[route]
        whole = np.array([r.rows for r in self.routes], np.float64)[route]
        span = np.float64(2.0**63) if self.settings.shuffle is not None else whole
        return first + np.minimum(place.astype(np.float64) / span * parts, parts - 1).astype(np.int64)


def _read(path: Path) -> pa.Table:
    """A file of streams one after the other."""
    tables = []
    with path.open("rb") as stream:
        while stream.peek(1):
            tables.append(pa.ipc.open_stream(stream).read_all())
    return pa.concat_tables(tables)
