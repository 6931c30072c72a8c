"""JSON Lines: what a record means, that the kernel agrees with it, and that nothing is lost on the way."""

from __future__ import annotations

import gzip
import itertools
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from curate.errors import DataError
from curate.io.blocks import Blocks
from curate.io.columns import wanted
from curate.io.jsonl import Records
from curate.io.source import BadRecord, Shard, Source, discover, read, schema

Load = Callable[..., Any]


def write(path: Path, *lines: str | bytes | dict[str, Any]) -> Path:
    encoded = [json.dumps(line) if isinstance(line, dict) else line for line in lines]
    path.write_bytes(b"".join((line.encode() if isinstance(line, str) else line) + b"\n" for line in encoded))
    return path


# ---------------------------------------------------------------- columns


def test_undeclared_fields_go_to_metadata(tmp_path: Path, load: Load) -> None:
    path = write(tmp_path / "a.jsonl", {"id": "1", "text": "x", "lang": "en", "n": {"a": [1, None]}}, {"text": "y"})
    got = load(path, columns={"language": "lang"})
    assert got.table.schema.names == ["id", "text", "language", "metadata", "source"]
    assert got.table.to_pylist() == [
        {"id": "1", "text": "x", "language": "en", "metadata": '{"n":{"a":[1,null]}}', "source": "web"},
        {"id": "a.jsonl#1", "text": "y", "language": None, "metadata": None, "source": "web"},
    ]


def test_undeclared_fields_become_columns_where_they_have_one_simple_type(tmp_path: Path, load: Load) -> None:
    path = write(
        tmp_path / "a.jsonl",
        {"text": "x", "i": 1, "f": 1, "s": "a", "b": True, "mixed": 1, "deep": [1], "none": None, "large": 2**64},
        {"text": "y", "f": 0.5, "mixed": "a", "late": 1},
    )
    got = load(path, other="columns")
    types = {"i": pa.int64(), "f": pa.float64(), "s": pa.string(), "b": pa.bool_(), "late": pa.int64()}
    assert {name: got.table.schema.field(name).type for name in types} == types
    assert got.table.schema.names == ["id", "text", *types, "metadata", "source"]
    assert [json.loads(value) for value in got.column("metadata")] == [
        {"mixed": 1, "deep": [1], "none": None, "large": 2**64},
        {"mixed": "a"},
    ]
    assert got.column("f") == [1.0, 0.5]


def test_a_source_field_is_kept_and_filled(tmp_path: Path, load: Load) -> None:
    path = write(tmp_path / "a.jsonl", {"text": "x", "source": "wiki"}, {"text": "y", "source": None}, {"text": "z"})
    assert load(path).column("source") == ["wiki", "web", "web"]
    renamed = load(path, columns={"origin": "source"})
    assert renamed.column("source") == ["web"] * 3
    assert renamed.column("origin") == ["wiki", None, None]


def test_text_from_another_field(tmp_path: Path, load: Load) -> None:
    path = write(tmp_path / "a.jsonl", {"content": "x", "text": "other"})
    got = load(path, columns={"text": "content"})
    assert got.column("text") == ["x"]
    assert got.column("metadata") == ['{"text":"other"}']


def test_numbers_in_metadata_keep_all_digits(tmp_path: Path, load: Load) -> None:
    path = write(tmp_path / "a.jsonl", '{"text":"x","n":123456789012345678901234567890,"z":"é"}')
    assert load(path).column("metadata") == ['{"n":123456789012345678901234567890,"z":"é"}']


def test_ids(tmp_path: Path, load: Load) -> None:
    records = [{"id": i, "text": "x"} for i in ("a", "", None, 7, -(2**70), 12.0)]
    got = load(write(tmp_path / "a.jsonl", *records, {"text": "x"}))
    assert got.column("id") == ["a", "", "a.jsonl#2", "7", str(-(2**70)), "12.0", "a.jsonl#6"]


def test_integer_ids_take_the_fast_way(tmp_path: Path, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Records, "one_by_one", None)
    path = write(tmp_path / "a.jsonl", {"id": 7, "text": "x"}, {"text": "y"}, {"id": -1, "text": "y"})
    assert load(path).column("id") == ["7", "a.jsonl#1", "-1"]


# ---------------------------------------------------------------- bad records


BAD = [
    (b'{"text": 5}', "field 'text' is int, expected string"),
    (b'{"text": null}', "field 'text' is null"),
    (b'{"id": "x"}', "field 'text' is missing"),
    (b'{"text": "x", "lang": ["en"]}', "field 'lang' is array, expected string"),
    (b'{"text": "x", "id": true}', "field 'id' is bool, expected string or integer"),
    (b'{"text": "x", "id": 1e300}', "field 'id' is out of range: 1e+300"),
    (b'{"text": "x", "source": {}}', "field 'source' is object, expected string"),
    (b'["text"]', "the record is array, expected object"),
    (b'"text"', "the record is string, expected object"),
    (b"null", "the record is null, expected object"),
    (b'{"text": "x"', "not JSON: Input data was truncated"),
    (b'{"text": "x"}}', "not JSON: trailing characters (byte 14)"),
    (b'{"text": "\xff"}', "the record is not valid UTF-8 at byte 10"),
    (b'{"text": "x", "\xe9": 1}', "the record is not valid UTF-8 at byte 15"),
    (b'{"text": "\\udc00"}', "not JSON: invalid utf-16 surrogate pair"),
    (b'{"text": NaN}', "not JSON: invalid character (byte 9)"),
    (b"[" * 100_000, "not JSON: maximum recursion depth exceeded"),
]


@pytest.mark.parametrize(("line", "error"), BAD, ids=[error[:40] for _, error in BAD])
def test_a_bad_record_is_quarantined_alone(tmp_path: Path, load: Load, line: bytes, error: str) -> None:
    path = write(tmp_path / "a.jsonl", '{"text":"before"}', "", line, '{"text":"after"}')
    got = load(path, columns={"language": "lang"})
    assert got.column("text") == ["before", "after"]
    assert got.column("id") == ["a.jsonl#0", "a.jsonl#3"]
    (bad,) = got.bad
    assert (bad.shard, bad.position) == ("a.jsonl", 2)
    assert bad.error.startswith(error)
    assert len(bad.excerpt) <= 800
    assert bad.excerpt.isprintable()


def test_a_column_of_numbers_has_bounds(tmp_path: Path, load: Load) -> None:
    lines = ['{"text":"x","i":1,"f":0.5}', '{"text":"x","i":9223372036854775808}', f'{{"text":"x","f":{"9" * 400}}}']
    path = write(tmp_path / "a.jsonl", *[lines[0]] * 1_000, *lines[1:], '{"text":"x","i":1.0}', '{"text":"x","i":true}')
    errors = [bad.error[:40] for bad in load(path, other="columns").bad]
    assert errors == [
        "field 'i' is out of range: 9223372036854",
        "field 'f' is out of range: 9999999999999",
        "field 'i' is float, expected int",
        "field 'i' is bool, expected int",
    ]


def test_a_record_that_is_too_long_is_quarantined_in_bounded_memory(tmp_path: Path, load: Load) -> None:
    path = write(tmp_path / "a.jsonl", {"text": "a"}, {"text": "b" * 5_000_000}, {"text": "c" * 1_000}, {"text": "d"})
    for batch_bytes in (100, 10_000, 10_000_000):
        got = load(path, batch_bytes=batch_bytes, max_record_bytes=2_000)
        assert [len(text) for text in got.column("text")] == [1, 1_000, 1]
        assert got.column("id") == ["a.jsonl#0", "a.jsonl#2", "a.jsonl#3"]
        assert [(bad.position, bad.error) for bad in got.bad] == [
            (1, "the record is longer than 2000 bytes (max_record_bytes)")
        ]
        assert got.bad[0].excerpt == '{"text": "' + "b" * 190


# ---------------------------------------------------------------- blank lines, marks and line ends


def test_blank_lines_and_byte_order_mark_and_last_line(tmp_path: Path, load: Load) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"text":"x"}\n\n \t\r\n{"text":"y\\u2028z"}\r\n{"text":"last"}')
    got = load(tmp_path / "a.jsonl")
    assert got.column("text") == ["x", "y\u2028z", "last"]
    assert got.column("id") == ["a.jsonl#0", "a.jsonl#3", "a.jsonl#4"]
    assert got.bad == []


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_files_without_records(tmp_path: Path, load: Load, content: bytes) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    assert load(tmp_path / "a.jsonl").table.num_rows == 0
    write(tmp_path / "b.jsonl", {"text": "x", "n": 1})
    got = load(tmp_path, other="columns")
    assert got.table.schema.names == ["id", "text", "n", "metadata", "source"]
    assert got.table.num_rows == 1


# ---------------------------------------------------------------- both ways are the same


def both_ways(lines: bytes, how: Source, columns: pa.Schema) -> tuple[pa.RecordBatch, pa.RecordBatch, int]:
    shard = Shard("web", "a.jsonl", "", ("a.jsonl",), "jsonl", "metadata", 0, "")
    bad: list[BadRecord] = []
    records = Records(shard, how, columns, wanted(columns, None), bad.append)
    stream: Any = type("Lines", (), {"__iter__": lambda self: iter([lines]), "damage": ""})()
    (block,) = Blocks(stream, 1 << 20, 1 << 20)
    others = records.at_once(block)[2]
    fast, quarantined = records.rows(block), [*bad]
    bad.clear()
    slow, _ = records.one_by_one(block, np.arange(len(block.ends)))
    assert quarantined == bad
    return fast, slow, len(others)


STRINGS = [
    b'"x"',
    b'""',
    b'"\xc3\xa9"',
    b'"\\u00e9"',
    b'"\\ud83d\\ude00"',
    b'"\\n"',
    b'"\\u0000"',
    b'"\\/"',
    b'"}"',
    b'"{"',
]
STRINGS += [b'"\\ud800"', b'"\\udc00x"', b'"\xff"', b'"\xed\xa0\x80"', b'"\x01"', b'"a\x00b"', b'"\\x"', b"'x'"]
INTS = [b"1", b"-7", b"0", b"-0", b"9223372036854775807", b"9223372036854775808", b"01", b"+1", b"1_0"]
FLOATS = [b"0.1", b"-0.0", b"1e5", b"123456789.123456789e-3", b"5e-324", b"1e999", b"1.", b"NaN", b"-Inf", b"Infinity"]
FLOATS += [b"9007199254740993", b"18446744073709551617", b"9" * 400]
BOOLS = [b"true", b"false", b"tru", b"True"]
OTHERS = [b"null", b"{}", b"[]", b'{"text":"y"}', b'["a",1]']
USUAL = {b"text": STRINGS, b"id": STRINGS + INTS, b"source": STRINGS, b"n": INTS, b"f": FLOATS + INTS, b"ok": BOOLS}
ODD = st.sampled_from([*STRINGS, *INTS, *FLOATS, *BOOLS, *OTHERS])
ODD_KEYS = st.sampled_from([b"text", b"te\\u0078t", b"extra", b"\xff", b"", b"id"])
SNIPPETS = [
    b" ",
    b"\t",
    b"\r",
    b"\x00",
    b"\n",
    b"\x0b",
    b"//",
    b",",
    b"{",
    b"}",
    b'"',
    b"[",
    b"\\",
    b"}{",
    b"\xff",
    b"}\n{",
    b"\n\n",
]


@st.composite
def records(draw: st.DrawFn) -> bytes:
    """A record of the expected fields with values that are mostly of their types."""
    pairs = [(b"text", draw(st.sampled_from(STRINGS[:10])))]
    for key in draw(st.lists(st.sampled_from([*USUAL][1:]), unique=True, max_size=4)):
        pairs.append((key, draw(st.sampled_from([*USUAL[key][:4], *USUAL[key]]))))
    if draw(st.integers(0, 9)) == 0:
        pairs.insert(draw(st.integers(0, 1)), (draw(ODD_KEYS), draw(ODD)))
    return b"{" + b",".join(b'"%s":%s' % pair for pair in pairs) + b"}"


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """Lines of records, in half of the cases with something out of place."""
    data = b"\n".join(draw(st.lists(records(), min_size=1, max_size=4))) + draw(st.sampled_from([b"\n", b""]))
    if draw(st.booleans()):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.sampled_from(SNIPPETS)) + data[at + draw(st.integers(0, 2)) :]
    return draw(st.sampled_from([b"", b'{"text":"first"}\n'])) + data


@settings(max_examples=800, deadline=None)
@given(files())
@example(b'{"text":"a"}\n{"text":"b"}{"text":"c"}\n')
@example(b'{"text":"a"}\n{"text":"b"}{"text":\n"c"}\n')
@example(b'{"text":"a"}\n{"text":"b"} {"text":"c"}\n\n')
@example(b'{"text":"a"}\n{"text":null}\n')
@example(b'{"text":"a"}\n{"text":"b"}\x00\n{"text":"c"}\n')
@example(b'{"text":"a","f":-0}\n{"text":"a","f":-0.0}')
@example(b'{"text":"a"}\n{"text":"a","f":NaN}\n')
@example(b'{"text":"a"}\n{"text":"a\xff"}\n')
@example(b'{"id":1,"text":"a"}\n{"id":-0,"text":"a"}\n')
@example(b'{"text":"a","extra":{"b":[1,"\\ud800"]}}\n{"text":"a","extra":[}]}\n{"text":"a","b":2,"extra":"\\n"}')
@example(b'{ "text" : "' + b"x" * 70 + b'\\t\\u20ac\\ud83d\\ude00" , "f" : -0.5e-3 }\r\n\t{"text":"b","n":null} ')
@example(b'{"text":"a","n":1}\n{"text":"b","n":123456789012345678901}\n{"text":"c","n":-1}')
@example(b'{"text":"a","f":1e999}\n{"text":"b","f":2}\n{"text":"c","ok":true}')
def test_the_kernel_gives_the_same_rows(data: bytes) -> None:
    types = {
        "id": "s",
        "text": "s",
        "n": pa.int64(),
        "f": pa.float64(),
        "ok": pa.bool_(),
        "metadata": "s",
        "source": "s",
    }
    columns = pa.schema([(name, pa.string() if type == "s" else type) for name, type in types.items()])
    if not data:
        return
    fast, slow, others = both_ways(data, Source(path="a.jsonl"), columns)
    event("one by one" if others else "at once")
    assert fast.equals(slow)
    assert repr(fast.to_pylist()) == repr(slow.to_pylist())


SIMPLE = st.fixed_dictionaries(
    {"text": st.text(max_size=20)},
    optional={"id": st.one_of(st.text(max_size=5), st.none()), "source": st.text(max_size=5), "n": st.integers(-9, 9)},
)


@settings(max_examples=200, deadline=None)
@given(st.lists(SIMPLE, min_size=1, max_size=20), st.booleans())
def test_ordinary_records_take_the_fast_way(records: list[dict[str, Any]], is_ascii: bool) -> None:
    columns = pa.schema(
        [
            ("id", pa.string()),
            ("text", pa.string()),
            ("n", pa.int64()),
            ("metadata", pa.string()),
            ("source", pa.string()),
        ]
    )
    data = b"\n".join(json.dumps(record, ensure_ascii=is_ascii).encode("utf-8", "replace") for record in records)
    fast, slow, others = both_ways(data, Source(path="a.jsonl"), columns)
    assert others == 0
    assert fast.equals(slow)
    assert fast["text"].to_pylist() == [record["text"] for record in records]


# ---------------------------------------------------------------- batches


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 300), min_size=1, max_size=40), st.integers(1, 400), st.integers(1, 9))
def test_batches_are_cut_at_the_same_places_however_the_bytes_arrive(
    lengths: list[int], batch_bytes: int, piece: int
) -> None:
    data = b"".join(b"x" * length + b"\n" for length in lengths)
    cuts = []
    for size in (piece, 1 << 20):
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        stream: Any = type("Lines", (), {"__iter__": lambda self, pieces=pieces: iter(pieces), "damage": ""})()
        blocks = [block._replace(data=memoryview(bytes(block.data))) for block in Blocks(stream, batch_bytes, 1 << 20)]
        assert b"".join(block.data for block in blocks) == data
        starts = [0, *itertools.accumulate(len(block.ends) for block in blocks)]
        assert [block.line for block in blocks] == starts[:-1]
        assert all(len(block.data) <= batch_bytes or len(block.ends) == 1 for block in blocks)
        cuts.append([len(block.data) for block in blocks])
    assert cuts[0] == cuts[1]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, 300), min_size=1, max_size=40), st.integers(1, 50), st.integers(1, 99), st.integers(1, 9)
)
def test_long_lines_are_cut_and_still_too_long_however_the_bytes_arrive(
    lengths: list[int], batch_bytes: int, limit: int, piece: int
) -> None:
    data = b"".join(bytes([97 + at % 26]) * length + b"\n" for at, length in enumerate(lengths))
    longest = max(batch_bytes, limit + 1 + len("\ufeff".encode()))
    expected = [line[:longest] for line in data.split(b"\n")[:-1]]
    for size in (piece, 1 << 20):
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        stream: Any = type("Lines", (), {"__iter__": lambda self, pieces=pieces: iter(pieces), "damage": ""})()
        found = b"".join(bytes(block.data) for block in Blocks(stream, batch_bytes, limit))
        assert found.split(b"\n")[:-1] == expected


def test_needed_columns_do_not_change_rows_or_batches(tmp_path: Path, load: Load) -> None:
    records: list[Any] = [{"id": n, "text": "t" * n, "lang": "en"} for n in range(300)]
    records[100] = {"id": 100, "text": None}
    path = write(tmp_path / "a.jsonl", *records)
    whole = load(path, batch_bytes=5_000)
    for needed in ({"id"}, {"source"}, {"metadata"}, {"text", "id"}):
        part = load(path, batch_bytes=5_000, needed=needed)
        assert part.batches == whole.batches
        assert part.bad == whole.bad
        assert part.table.equals(whole.table.select([name for name in whole.table.schema.names if name in needed]))
    assert sum(whole.batches) + len(whole.bad) == 300


def test_known_bad_records_are_not_reported_again(tmp_path: Path, load: Load) -> None:
    path = write(tmp_path / "a.jsonl", {"text": "x"}, "{", {"text": "y"})
    first = load(path)
    again = load(path, skip=[bad.position for bad in first.bad])
    assert again.table.equals(first.table)
    assert (len(first.bad), again.bad) == (1, [])


# ---------------------------------------------------------------- archives


def zstd_frames(data: bytes, window_log: int = 20, frame: int = 700) -> bytes:
    parameters = zstandard.ZstdCompressionParameters(window_log=window_log, compression_level=3)
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    return b"".join(compressor.compress(data[at : at + frame]) for at in range(0, len(data), frame))


PACK: dict[str, Callable[[bytes], bytes]] = {
    "plain.jsonl": lambda data: data,
    "one.jsonl.gz": gzip.compress,
    "many.jsonl.gz": lambda data: gzip.compress(data[:999]) + gzip.compress(data[999:]),
    "one.jsonl.zst": zstandard.ZstdCompressor(3).compress,
    "many.jsonl.zst": zstd_frames,
    "long.jsonl.zst": lambda data: zstd_frames(data, window_log=27, frame=1 << 30),
    "skippable.jsonl.zst": lambda data: b"\x50\x2a\x4d\x18\x03\0\0\0abc" + zstd_frames(data),
    "one.jsonl.xz": lzma.compress,
    "many.jsonl.xz": lambda data: lzma.compress(data[:999]) + lzma.compress(data[999:]),
}
LINES = [f'{{"id":"{n}","text":"{"word " * (n % 50)}{n}"}}' for n in range(2_000)]
DATA = "".join(line + "\n" for line in LINES).encode()


@pytest.mark.parametrize("name", PACK)
def test_archives(tmp_path: Path, load: Load, name: str) -> None:
    (tmp_path / name).write_bytes(PACK[name](DATA))
    got = load(tmp_path / name, batch_bytes=10_000)
    assert got.column("id") == [str(n) for n in range(2_000)]
    assert got.bad == []


@pytest.mark.parametrize("name", [name for name in PACK if name != "plain.jsonl"])
@pytest.mark.parametrize("keep", [0.98, 0.5])
def test_an_archive_that_ends_early(tmp_path: Path, load: Load, name: str, keep: float) -> None:
    packed = PACK[name](DATA)
    (tmp_path / name).write_bytes(packed[: int(len(packed) * keep)])
    source = Source(path=str(tmp_path / name))
    (shard,) = discover("web", source)
    columns = pa.schema([(n, pa.string()) for n in ("id", "text", "metadata", "source")])
    rows: list[str] = []
    with pytest.raises(DataError) as caught:
        for batch in read(shard, source, columns, 4_000, lambda bad: None):
            rows += batch["id"].to_pylist()
    assert rows == [str(n) for n in range(len(rows))]
    place = f"after record {len(rows)}" if rows else "from its start"
    assert f"{name}: damaged {place} (" in str(caught.value)
    assert "`corrupt_archives: quarantine`" in str(caught.value)
    bad: list[BadRecord] = []
    kept = [b["id"].to_pylist() for b in read(shard, source, columns, 4_000, bad.append, corrupt="quarantine")]
    assert [*itertools.chain(*kept)] == rows
    assert [record.position for record in bad] == [len(rows)]
    if "many" in name or name.endswith("gz"):
        assert rows


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".xz"])
def test_broken_archives(tmp_path: Path, load: Load, suffix: str) -> None:
    path = tmp_path / f"a.jsonl{suffix}"
    pack = next(pack for name, pack in PACK.items() if name == f"one.jsonl{suffix}")
    for content in (b"", DATA, pack(DATA)[:-20] + b"\xa5" * 20):
        path.write_bytes(content)
        source = Source(path=str(path))
        (shard,) = discover("web", source)
        columns = pa.schema([(n, pa.string()) for n in ("id", "text", "metadata", "source")])
        with pytest.raises(DataError, match="damaged"):
            list(read(shard, source, columns, 4_000, lambda bad: None))


def test_the_rows_before_a_flipped_bit_are_read(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(DATA * 20))
    packed[len(packed) // 2] ^= 0xFF
    (tmp_path / "a.jsonl.gz").write_bytes(packed)
    source = Source(path=str(tmp_path))
    (shard,) = discover("web", source)
    bad: list[BadRecord] = []
    batches = list(read(shard, source, schema(source, [shard]), 10_000, bad.append, corrupt="quarantine"))
    assert 1_000 < sum(batch.num_rows for batch in batches) < 40_000
    assert len(bad) >= 1


def test_a_window_beyond_the_limit(tmp_path: Path, load: Load) -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=28)
    writer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    (tmp_path / "a.jsonl.zst").write_bytes(writer.compress(DATA) + writer.flush())
    with pytest.raises(DataError, match="zstd window above 128 MB"):
        load(tmp_path / "a.jsonl.zst")


# ---------------------------------------------------------------- what is said before data is read


def error(path: Path, load: Load, **how: Any) -> str:
    with pytest.raises(DataError) as caught:
        load(path, **how)
    return str(caught.value).replace(str(path), "PATH")


def test_no_text(tmp_path: Path, load: Load) -> None:
    path = write(tmp_path / "a.jsonl", {"txt": "x", "id": 1})
    assert error(path, load) == (
        "PATH: there is no field 'text', only txt, id; say which one holds the text, as in `columns: {text: FIELD}`"
        " - did you mean 'txt'?"
    )
    assert "declared as another column" in error(write(path, {"text": "x"}), load, columns={"body": "text"})


def test_a_declared_field_that_is_nearly_there(tmp_path: Path, load: Load) -> None:
    path = write(tmp_path / "a.jsonl", {"text": "x", "language": "en"})
    message = error(path, load, columns={"language": "lang"})
    assert "have no field 'lang' for the column 'language' - did you mean 'language'?" in message
    assert load(path, columns={"url": "address"}).column("url") == [None]


def test_the_name_metadata_is_taken(tmp_path: Path, load: Load) -> None:
    path = write(tmp_path / "a.jsonl", {"text": "x"})
    assert "the column 'metadata'" in error(path, load, columns={"metadata": "meta"})


PACKED = gzip.compress(b'{"text": "x"}', mtime=0)  # without a time stamp: the name of a test must not change


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'[{"text": "x"},\n{"text": "y"}]', "is one JSON array, not one object per line; convert it: jq"),
        (b'{\n  "text": "x"\n}', "none of the first 3 lines is a JSON object"),
        ('{"text": "x"}\n'.encode("utf-16"), "is UTF-16; convert it: iconv"),
        (PACKED, "is compressed, which its name does not say; let the name end in .gz"),
        (zstandard.ZstdCompressor().compress(b'{"text": "x"}'), "let the name end in .zst"),
        (lzma.compress(b'{"text": "x"}'), "let the name end in .xz"),
    ],
)
def test_files_that_are_not_json_lines(tmp_path: Path, load: Load, content: bytes, message: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    assert message in error(tmp_path / "a.jsonl", load)


def test_no_shard_that_can_be_read(tmp_path: Path, load: Load) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(b"")
    (tmp_path / "b.jsonl.gz").write_bytes(b"x")
    message = "none of the 2 shards can be read; the first: the archive is empty"
    assert error(tmp_path, load, corrupt="quarantine") == message
    write(tmp_path / "c.jsonl", {"text": "x"})
    got = load(tmp_path, corrupt="quarantine")
    assert [bad.shard for bad in got.bad] == ["a.jsonl.gz", "b.jsonl.gz"]
    assert len(got.table) == 1


def test_a_file_that_has_gone(tmp_path: Path) -> None:
    source = Source(path=str(write(tmp_path / "a.jsonl", {"text": "x"})))
    shards = discover("web", source)
    columns = schema(source, shards)
    (tmp_path / "a.jsonl").unlink()
    with pytest.raises(DataError, match="the file is not there any more"):
        list(read(shards[0], source, columns, 1_000, lambda bad: None))


# ---------------------------------------------------------------- real text


MIX = Path(__file__).resolve().parents[2] / "../shared/data/mix_5mb.jsonl.zst"


@pytest.mark.skipif(not MIX.exists(), reason="the shared corpus is not here")
def test_real_text_both_ways(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = load(MIX, columns={"url": "url", "language": "lang"})
    monkeypatch.setattr(Records, "rows", lambda self, block: self.one_by_one(block, np.arange(len(block.ends)))[0])
    slow = load(MIX, columns={"url": "url", "language": "lang"})
    assert fast.table.equals(slow.table)
    assert fast.batches == slow.batches
    assert (len(fast.bad), len(slow.bad)) == (0, 0)
    lines = zstandard.ZstdDecompressor().stream_reader(MIX.open("rb")).read().splitlines()
    assert fast.column("text") == [json.loads(line)["text"] for line in lines]


def test_what_cc_net_writes(tmp_path: Path, load: Load) -> None:
    """Its shards of JSON Lines: the text is `raw_content`, and what it measured becomes typed columns."""
    record = {
        "url": "http://a.example/", "date_download": "2019-02-18T00:36:58Z", "digest": "sha1:AB", "length": 9,
        "nlines": 2, "source_domain": "a.example", "title": "A", "raw_content": "one\ntwo", "original_nlines": 3,
        "original_length": 12, "line_ids": [0, 2], "language": "en", "language_score": 0.93, "perplexity": 351.7,
        "bucket": "head",
    }  # fmt: skip
    (tmp_path / "en_head_0000.json.gz").write_bytes(gzip.compress(json.dumps(record).encode() + b"\n"))
    got = load(tmp_path, columns={"text": "raw_content"}, other="columns")
    (row,) = got.table.to_pylist()
    assert (row["text"], row["perplexity"], row["nlines"], row["bucket"]) == ("one\ntwo", 351.7, 2, "head")
    assert json.loads(row["metadata"]) == {"line_ids": [0, 2]}
