"""Reading: each format to Arrow batches on one core, web archives beside FastWARC alone.

python -m benchmarks.readers [--documents FILE.jsonl.zst] [--warc FILE.warc.gz ...] [--megabytes N] [--runs N]
"""

from __future__ import annotations

import argparse
import gzip
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from rich.console import Console
from rich.table import Table

from curate.io.cut import row_bytes
from curate.io.source import MB, Format, Source, discover, read, schema

DOCUMENTS = Path(__file__).resolve().parents[1] / "../shared/data/mix_5mb.jsonl.zst"
BATCH = 8 * MB


def ours(path: Path, format: Format = "auto") -> tuple[int, int]:
    """Rows and bytes of text that the source has."""
    source = Source(path=str(path), format=format)
    shards = discover("benchmark", source)
    columns = schema(source, shards)
    rows = size = 0
    for shard in shards:
        for batch in read(shard, source, columns, BATCH, lambda bad: None):
            rows += batch.num_rows
            size += int(row_bytes(batch.select(["text"])).sum())
    return rows, size


def fastwarc(path: Path, kinds: str) -> int:
    """Records of the kinds, their HTTP headers parsed and their content read."""
    from fastwarc import ArchiveIterator, WarcRecordType

    wanted = WarcRecordType.conversion if kinds == "wet" else WarcRecordType.response | WarcRecordType.resource
    with path.open("rb") as raw:
        return sum(bool(r.reader.read()) for r in ArchiveIterator(raw, record_types=wanted, parse_http=kinds == "warc"))


def prepared(documents: Path, folder: Path, megabytes: int) -> tuple[Path, Path, Path]:
    """The documents, as often as they must be repeated, as .jsonl.zst, Parquet and .wet.gz."""
    lines = zstandard.ZstdDecompressor().stream_reader(documents.read_bytes()).read()
    lines *= max(1, round(megabytes * 1e6 / len(lines)))
    jsonl, parquet, wet = folder / "a.jsonl.zst", folder / "a.parquet", folder / "a.wet.gz"
    jsonl.write_bytes(zstandard.compress(lines))
    source = Source(path=str(jsonl))
    (shard,) = discover("benchmark", source)
    table = pa.Table.from_batches(list(read(shard, source, schema(source, [shard]), BATCH, lambda bad: None)))
    pq.write_table(table, parquet, compression="zstd", row_group_size=2_000)
    with wet.open("wb") as out:
        for number, text in enumerate(table["text"].to_pylist()):
            block = text.encode()
            head = f"WARC-Target-URI: http://a.example/{number}\r\nWARC-Record-ID: <urn:uuid:{number}>\r\n"
            head = f"WARC/1.0\r\nWARC-Type: conversion\r\n{head}Content-Type: text/plain\r\n"
            record = f"{head}Content-Length: {len(block)}\r\n\r\n".encode() + block + b"\r\n\r\n"
            out.write(gzip.compress(record, 6))
    return jsonl, parquet, wet


def best(runs: int, *functions: Callable[[], object]) -> list[float]:
    """The least processor seconds of each, taking turns."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(runs):
        for function, spent in zip(functions, times, strict=True):
            begin = time.process_time()
            function()
            spent.append(time.process_time() - begin)
    return [min(spent) for spent in times]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=Path, default=DOCUMENTS)
    parser.add_argument("--warc", type=Path, nargs="*", default=[])
    parser.add_argument("--megabytes", type=int, default=40)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    if not given.documents.exists():
        sys.exit(f"no documents at {given.documents}: name a .jsonl.zst file with --documents")
    table = Table("format", "documents", "MB of text", "MB stored", "MB/s of text", "MB/s stored", "CPU over FastWARC")
    with tempfile.TemporaryDirectory() as name:
        jsonl, parquet, wet = prepared(given.documents, Path(name), given.megabytes)
        for path in (jsonl, parquet, wet, *given.warc):
            rows, size = ours(path)
            kind = "wet" if path == wet else "warc" if path in given.warc else ""
            functions: list[Callable[[], object]] = [lambda path=path: ours(path)]  # type: ignore[misc]
            functions += [lambda path=path, kind=kind: fastwarc(path, kind)] if kind else []  # type: ignore[misc]
            spent = best(given.runs, *functions)
            stored = path.stat().st_size
            shown = path.name if kind == "warc" else path.name.removeprefix("a")
            rates = [
                f"{size / 1e6:.1f}",
                f"{stored / 1e6:.1f}",
                f"{size / 1e6 / spent[0]:.0f}",
                f"{stored / 1e6 / spent[0]:.0f}",
            ]
            table.add_row(shown, f"{rows:,}", *rates, f"{spent[0] / spent[1]:.2f}x" if kind else "")
    Console().print(table)


if __name__ == "__main__":
    main()
