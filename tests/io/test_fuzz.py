"""Readers on broken files: a small run of `benchmarks.fuzz`, and what larger ones have found."""

from __future__ import annotations

import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from benchmarks.fuzz import results
from curate.errors import DataError
from curate.io import stream
from curate.io.source import DamagedFile
from curate.io.stream import Inflow, Stream

Load = Callable[..., Any]


def test_a_small_run() -> None:
    """Another seed than that of the run that docs/reliability.md tells of."""
    found = list(results(seed=20, first=0, cases=300, only=[]))
    assert len(found) == 300
    assert [case for case in found if case[3].startswith("WRONG")] == []


def test_any_bit_of_a_parquet_footer(tmp_path: Path, load: Load) -> None:
    """Arrow gives fewer rows than the footer says when one column says so, and ends the process for odd statistics."""
    table = pa.table({"id": ["a", "b", "c"], "text": ["one", "two", "three"], "n": [1.5, 2.5, None]})
    path = tmp_path / "a.parquet"
    pq.write_table(table, path)
    good = path.read_bytes()
    length = int.from_bytes(good[-8:-4], "little")
    outcomes: set[str] = set()
    for at in range(len(good) - 8 - length, len(good) - 4):
        for bit in (1, 4):
            changed = bytearray(good)
            changed[at] ^= bit
            path.write_bytes(changed)
            try:
                loaded = load(path, corrupt="quarantine", other="metadata")
            except DataError:
                outcomes.add("refused")
                continue
            outcomes.add("read")
            assert len(loaded.table) + len(loaded.bad) == 3 or "damage" in str(loaded.bad), f"byte {at}, bit {bit}"
    assert outcomes == {"refused", "read"}


def test_an_arrow_file_with_values_outside_its_buffers(tmp_path: Path, load: Load) -> None:
    table = pa.table({"id": ["a", "b"], "text": ["one", "two"], "url": ["x" * 9, "y" * 7]})
    with pa.OSFile(str(tmp_path / "data.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data.arrow"}]}))
    (tmp_path / "dataset_info.json").write_text("{}")
    assert load(tmp_path).column("text") == ["one", "two"]
    content = (tmp_path / "data.arrow").read_bytes()
    offsets = pa.array([0, 9, 16], pa.int32()).buffers()[1].to_pybytes()
    assert content.count(offsets) == 1
    (tmp_path / "data.arrow").write_bytes(
        content.replace(offsets, pa.array([0, 9, 1 << 30]).cast(pa.int32()).buffers()[1].to_pybytes())
    )
    with pytest.raises(DataError, match="damaged inside"):
        load(tmp_path)
    (tmp_path / "state.json").write_text("{")
    with pytest.raises(DataError, match="does not name the files"):
        load(tmp_path)


@pytest.mark.parametrize("cut", [1, 40, 150, 400])
def test_records_of_a_web_archive_that_share_members(tmp_path: Path, load: Load, cut: int) -> None:
    records = [
        b"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Record-ID: <urn:%d>\r\nContent-Length: 5\r\n\r\ntext%d\r\n\r\n"
        % (n, n)
        for n in range(6)
    ]
    content = b"".join(records)
    path = tmp_path / "a.warc.wet.gz"
    path.write_bytes(gzip.compress(content[:cut]) + gzip.compress(content[cut:]))
    loaded = load(path)
    assert loaded.column("text") == [f"text{n}" for n in range(6)]
    assert not loaded.bad


def test_a_long_line_after_a_byte_order_mark(tmp_path: Path, load: Load) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"text": "' + b"a" * 500 + b'"}\n{"text": "good"}\n')
    for size in (1 << 20, 64):
        loaded = load(tmp_path / "a.jsonl", batch_bytes=size, max_record_bytes=300)
        assert [bad.error for bad in loaded.bad] == ["the record is longer than 300 bytes (max_record_bytes)"]
        assert loaded.column("text") == ["good"]


@pytest.mark.parametrize("spans", ["5", "[[0, 99999999999999999999, 1.0]]", '[[0, 5, "x"]]', "[[0]]", "null"])
def test_odd_signals(tmp_path: Path, load: Load, spans: str) -> None:
    for folder in ("documents", "quality_signals"):
        (tmp_path / folder).mkdir()
    (tmp_path / "documents/a.json.gz").write_bytes(gzip.compress(b'{"raw_content": "one"}\n'))
    line = f'{{"id": "a.json.gz/0", "quality_signals": {{"rps_lines_x": {spans}}}}}\n'
    (tmp_path / "quality_signals/a.signals.json.gz").write_bytes(gzip.compress(line.encode()))
    with pytest.raises(DataError, match="line 1 has no quality signals"):
        load(tmp_path, format="redpajama-v2")
    (tmp_path / "quality_signals/a.signals.json.gz").write_bytes(gzip.compress(b"7\n"))
    with pytest.raises(DataError, match="line 1 has no quality signals"):
        load(tmp_path, format="redpajama-v2")


@pytest.mark.parametrize(
    ("suffix", "pack"), [(".gz", gzip.compress), (".zst", zstandard.compress), (".xz", lzma.compress)]
)
def test_what_expands_too_much_is_damaged(
    tmp_path: Path, load: Load, monkeypatch: pytest.MonkeyPatch, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setattr(stream, "EXPANDED", 1 << 21)
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(pack(b'{"text": "good"}\n' + b'{"text": "' + b"a" * (8 << 20) + b'"}\n'))
    assert len(load(path, max_expansion=100_000).table) == 2
    with pytest.raises(DamagedFile, match=r"expands more than 20 times \(max_expansion\)"):
        load(path, max_expansion=20)
    loaded = load(path, max_expansion=20, corrupt="quarantine")
    assert loaded.column("text") == ["good"]
    assert [bad.position for bad in loaded.bad] == [1]


@pytest.mark.parametrize("frames", [1, 7])
@pytest.mark.parametrize("harm", ["cut", "flipped", "stray"])
def test_of_a_damaged_zstd_archive_what_is_before_the_damage_comes_once(tmp_path: Path, frames: int, harm: str) -> None:
    lines = b"".join(b"%07d %s\n" % (number, b"word " * (number % 90)) for number in range(20_000))
    step = len(lines) // frames + 1
    pack = zstandard.ZstdCompressor(write_checksum=True).compress
    packed = bytearray(b"".join(pack(lines[at : at + step]) for at in range(0, len(lines), step)))
    at = len(packed) * 3 // 4
    packed[at] ^= 0x10 * (harm == "flipped")
    path = tmp_path / "a.zst"
    path.write_bytes(packed[:at] if harm == "cut" else packed + b"stray" * (harm == "stray"))

    pieces, expected = stream._frames(path.open("rb")), b""
    with pytest.raises((EOFError, zstandard.ZstdError)):
        while True:
            expected += next(pieces)
    whole = Stream(str(path), 1_000)
    assert b"".join(whole) == expected
    assert whole.damage
    assert len(expected) > len(lines) // 2

    inflow, found = Inflow(Stream(str(path), 1_000), 1 << 16), b""
    while inflow.fill(50_000) or inflow.at < len(inflow.data):
        found += bytes(inflow.data[inflow.at :])
        inflow.at = len(inflow.data)
    assert found == expected
