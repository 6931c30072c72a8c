"""Small good files of every format that is read, and ways to break them; what must come out all the same."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

SUFFIXES = ("", ".gz", ".zst", ".xz")
WORDS = ["the", "of", "Größe", "猫", "и", "слово", "naïve", "\U0001f600", "words,", "lines", "and", "pages"]
WORDS += ["<p>", "{}", "[]", "\\", '"', "\t", "end."]


class Case(NamedTuple):
    """A broken file.

    number   of the case
    name     of its kind of file
    how      it was broken
    path     what the source's path is
    format   the source's format
    options  of the source
    records  least and most records that must be accounted for; None where nobody can say
    certain  texts of documents that were not touched and must be there
    """

    number: int
    name: str
    how: str
    path: Path
    format: str
    options: dict[str, Any]
    records: tuple[int, int] | None
    certain: tuple[str, ...]


def make_case(chance: random.Random, number: int, folder: Path, only: list[str]) -> Case:
    """The file of a case, in a folder of its own."""
    folder.mkdir(parents=True)
    name = chance.choice(only or [*FORMATS])
    case = FORMATS[name](chance, folder)
    return case._replace(number=number, name=name)


def _case(how: str, path: Path, format: str = "auto", **more: Any) -> Case:
    given: dict[str, Any] = {"options": {}, "records": None, "certain": ()}
    return Case(0, "", how, path, format, **(given | more))


def text_of(chance: random.Random) -> str:
    return " ".join(chance.choices(WORDS, k=chance.randint(1, 40)))


def documents(chance: random.Random, count: int | None = None) -> list[dict[str, Any]]:
    """Documents with fields of every kind that data has."""
    return [
        {
            "id": f"doc-{at}",
            "text": f"{at}: {text_of(chance)}",
            "url": f"https://example.org/{at}",
            "score": chance.random(),
            "count": chance.randint(-9, 9),
            "flag": chance.random() < 0.5,
            "tags": ["a", None],
            "meta": {"deep": [{"er": "x"}]},
        }
        for at in range(count or chance.randint(1, 12))
    ]


# ---------------------------------------------------------------- bytes, packed and unpacked


def packed(data: bytes, suffix: str, chance: random.Random) -> bytes:
    """As one member, or as several one after another."""
    pack: dict[str, Callable[[bytes], bytes]] = {
        "": bytes,
        ".gz": lambda part: gzip.compress(part, 1, mtime=0),
        ".zst": lambda part: zstandard.compress(part, 1),
        ".xz": lambda part: lzma.compress(part, preset=0),
    }
    cuts = sorted(chance.randint(0, len(data)) for _ in range(chance.choice((0, 0, 1, 3))))
    return b"".join(pack[suffix](data[low:high]) for low, high in zip([0, *cuts], [*cuts, len(data)], strict=True))


def unpacked(data: bytes, suffix: str) -> tuple[bytes, bool]:
    """What another decoder makes of a file, and whether the file is whole. Members one after another."""
    if not suffix:
        return data, True
    if not data:
        return b"", False
    make: dict[str, Callable[[], Any]] = {
        ".gz": lambda: zlib.decompressobj(31),
        ".zst": lambda: zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj(),
        ".xz": lambda: lzma.LZMADecompressor(),
    }
    made, rest = bytearray(), data
    try:
        while rest:
            decoder = make[suffix]()
            # Byte by byte, because what comes before an error counts.
            for at in range(len(rest)):
                made += decoder.decompress(rest[at : at + 1])
                if decoder.eof:
                    break
            if not decoder.eof:
                return bytes(made), False
            rest = decoder.unused_data + rest[at + 1 :]
            if suffix == ".gz":
                rest = rest.lstrip(b"\0")
    except (zlib.error, lzma.LZMAError, zstandard.ZstdError):
        return bytes(made), False
    return bytes(made), True


def flip(data: bytes, chance: random.Random) -> bytes:
    """One to eight bits turned."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8)) if data else 0):
        changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def truncate(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def splice(data: bytes, chance: random.Random) -> bytes:
    """A piece left out, doubled, or in another place."""
    low, high = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    kind = chance.randrange(3)
    if kind == 0:
        return data[:low] + data[high:]
    if kind == 1:
        return data[:high] + data[low:high] + data[high:]
    at = chance.randrange(len(data) + 1)
    return data[:at] + data[low:high] + data[at:]


def overwrite(data: bytes, chance: random.Random) -> bytes:
    """A few bytes replaced by ones that mean something somewhere."""
    pieces: tuple[bytes, ...] = (
        b"\0",
        b"\0" * 64,
        b"\xff" * 8,
        b"\n",
        b"\r",
        b"\r\n\r\n",
        b"\x1f\x8b\x08",
        b"\x28\xb5\x2f\xfd",
        b"{",
        b'"',
    )
    pieces += (
        struct.pack("<i", -1),
        struct.pack("<q", 1 << 62),
        struct.pack("<I", 1 << 31),
        b"PAR1",
        b"ARROW1",
        b"\xed\xa0\x80",
    )
    piece, at = chance.choice(pieces), chance.randrange(len(data) + 1)
    return data[:at] + piece + data[at + (len(piece) if chance.random() < 0.7 else 0) :]


def append(data: bytes, chance: random.Random) -> bytes:
    return data + chance.choice((b"\0" * 100, b"garbage", data[: len(data) // 2], gzip.compress(b"x\n"), b"\n\n"))


BYTES: tuple[Callable[[bytes, random.Random], bytes], ...] = (flip, flip, truncate, splice, overwrite, append)


def broken(data: bytes, chance: random.Random) -> tuple[bytes, str]:
    how = chance.choice(BYTES)
    return how(data, chance), how.__name__


# ---------------------------------------------------------------- JSON Lines


def _other_value(chance: random.Random) -> Any:
    odd: list[Any] = [
        None,
        True,
        0,
        -0.0,
        1e308,
        2**63,
        -(2**63) - 1,
        2**200,
        "",
        "\ud800",
        [],
        {},
        [[[]]],
        "\0",
        0.1,
        "x" * 300,
    ]
    return chance.choice(odd)


def _deep(line: str, chance: random.Random) -> str:
    depth = chance.choice((100, 2_000, 100_000))
    pair = chance.choice(("[]", ('{"a":', "}")))
    return f'{{"text": "deep", "more": {pair[0] * depth}1{pair[1] * depth}}}'


def odd_line(line: str, chance: random.Random) -> str:
    """A line of JSON that is odd or wrong."""
    record = json.loads(line)
    kind = chance.randrange(9)
    if kind == 0:
        record[chance.choice([*record])] = _other_value(chance)
        return json.dumps(record)
    if kind == 1:
        return line[:-1] + ', "text": ' + json.dumps(_other_value(chance)) + "}"
    if kind == 2:
        del record[chance.choice([*record])]
        return json.dumps(record)
    if kind == 3:
        return _deep(line, chance)
    if kind == 4:
        return line.replace('"text"', chance.choice(('"Text"', '"te\\u0078t"', "'text'", '"text" ')))
    if kind == 5:
        return line + chance.choice((" ", "\t", ",", line, "]", "}", "\u2028", "\x0b", " null"))
    if kind == 6:
        return chance.choice(
            ("", " ", "\t\r", "null", "[]", '"x"', "1", "NaN", '{"text": NaN}', "{}", '{"text": "\\ud83d"}')
        )
    if kind == 7:
        record["text"] = "long " * chance.choice((10, 500, 5_000))
        return json.dumps(record)
    return line.replace("0", chance.choice(("00", "1e999", "-", "0.", "9" * 400)))


def _lines(chance: random.Random) -> tuple[bytes, list[str], str]:
    """The bytes of a file of JSON Lines, its lines, and what is odd about it."""
    ascii = chance.random() < 0.5
    lines = [json.dumps(record, ensure_ascii=ascii) for record in documents(chance)]
    how = "lines as they are"
    if chance.random() < 0.6:
        how = "odd lines"
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(lines))
            with_odd = odd_line(lines[at], chance) if lines[at].startswith('{"id"') and _is_json(lines[at]) else ""
            lines[at] = with_odd
    ends = [chance.choice(("\n", "\n", "\n", "\r\n", "\n\n"))] if chance.random() < 0.7 else ["\n", "\r\n", "\n \n"]
    start = chance.choice(("", "", "", "", "\ufeff"))
    content = start + "".join(line + chance.choice(ends) for line in lines)
    if chance.random() < 0.2:
        content = content.rstrip("\r\n")
    return content.encode("utf-8", "surrogatepass"), lines, how


def _is_json(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def jsonl(chance: random.Random, folder: Path) -> Case:
    """One file, broken in its lines, in its bytes, or in what is stored."""
    suffix = chance.choice(SUFFIXES)
    content, _, how = _lines(chance)
    if chance.random() < 0.3:
        content, more = broken(content, chance)
        how += f", {more}"
    stored = packed(content, suffix, chance)
    if suffix and chance.random() < 0.5:
        stored, more = broken(stored, chance)
        how += f", stored {more}"
    path = folder / f"a.jsonl{suffix}"
    path.write_bytes(stored)
    options: dict[str, Any] = {"max_record_bytes": chance.choice((1 << 20, 300))}
    options |= {"columns": chance.choice(({}, {"url": "url"}, {"n": "count", "score": "score", "ok": "flag"}))}
    return _case(f"{suffix}: {how}", path, records=_counted(stored, suffix), options=options)


def _counted(stored: bytes, suffix: str) -> tuple[int, int] | None:
    """Lines that are not blank; a damaged file may have a last line that is not whole, which is one bad record."""
    content, is_whole = unpacked(stored, suffix)
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if is_whole:
        count = sum(bool(line.strip(b" \t\r")) for line in lines)
        return count, count
    if suffix == ".xz":
        return None  # another decoder gives more or less before an error in a block
    whole = sum(bool(line.strip(b" \t\r")) for line in lines[:-1])
    return 1, whole + 1


def table(chance: random.Random, folder: Path) -> Case:
    """CSV or TSV with values that need quotes, broken now and then."""
    records, kind = documents(chance), chance.choice((".csv", ".tsv"))
    made = io.StringIO()
    writer = csv.writer(made, delimiter="," if kind == ".csv" else "\t", lineterminator=chance.choice(("\n", "\r\n")))
    writer.writerow(("id", "text", "url"))
    for record in records:
        writer.writerow((record["id"], f"{record['text']}{chance.choice(('', chr(10), chr(13)))}", record["url"]))
    content, how = made.getvalue().encode(), "as it is"
    count: tuple[int, int] | None = (len(records), len(records))
    if chance.random() < 0.7:
        (content, how), count = broken(content, chance), None
    suffix = chance.choice(SUFFIXES)
    stored = packed(content, suffix, chance)
    if suffix and chance.random() < 0.3:
        (stored, more), count = broken(stored, chance), None
        how += f", stored {more}"
    path = folder / f"a{kind}{suffix}"
    path.write_bytes(stored)
    return _case(f"{suffix}: {how}", path, records=count)


def chat(chance: random.Random, folder: Path) -> Case:
    """Conversations in three forms, as lines or as one array."""
    records: list[Any] = []
    for record in documents(chance):
        turns = [("user", record["text"]), ("assistant", record["url"])]
        forms: tuple[dict[str, Any], ...] = (
            {"messages": [{"role": role, "content": text} for role, text in turns]},
            {"conversations": [{"from": role, "value": text} for role, text in turns]},
            {"instruction": record["text"], "input": "", "output": record["url"]},
        )
        records.append({"id": record["id"], **chance.choice(forms)})
    if chance.random() < 0.4:
        broken_one = chance.choice(records)
        broken_one[chance.choice([*broken_one])] = _other_value(chance)
    is_array = chance.random() < 0.3
    lines = [json.dumps(record) for record in records]
    data = (f"[{', '.join(lines)}]" if is_array else "\n".join(lines)).encode()
    count: tuple[int, int] | None = (len(records), len(records))
    how = "array" if is_array else "lines"
    if is_array and b"\\ud800" in data:  # then none of the array can be read, which is one bad record
        count = None
    if chance.random() < 0.5:
        (data, more), count = broken(data, chance), None
        how += f", {more}"
    path = folder / ("a.json" if is_array else "a.jsonl")
    path.write_bytes(data)
    return _case(how, path, "chat", records=count)


def shards(chance: random.Random, folder: Path) -> Case:
    """Several shards of one source, whose fields and types are not the same; good shards stay whole."""
    count = chance.randint(2, 4)
    total = 0
    for at in range(count):
        records = documents(chance)
        total += len(records)
        if at:
            _drift(records, chance)
        name = f"{at}.jsonl{chance.choice(SUFFIXES)}" if chance.random() < 0.7 else f"{at}.parquet"
        _write(folder / name, records, chance)
    columns = chance.choice(({}, {"url": "url"}, {"n": "count"}))
    other = chance.choice(("auto", "auto", "metadata", "columns"))
    how = "fields differ"
    return _case(how, folder, records=(total, total), options={"columns": columns, "other": other})


def _drift(records: list[dict[str, Any]], chance: random.Random) -> None:
    field = chance.choice(("url", "score", "count", "flag", "tags", "meta", "id", "text"))
    kind = chance.randrange(4)
    for record in records:
        if kind == 0:
            record[field] = chance.choice((1, 2.5, "three", True))
        elif kind == 1:
            record.pop(field, None)
        elif kind == 2:
            record[f"{field}_{chance.randrange(2)}"] = record[field]


def _write(path: Path, records: list[dict[str, Any]], chance: random.Random) -> None:
    if path.suffix == ".parquet":
        try:
            pq.write_table(pa.Table.from_pylist(records), path)
            return
        except pa.ArrowException:
            path = path.with_suffix(".jsonl")
    lines = "".join(json.dumps(record) + "\n" for record in records).encode()
    path.write_bytes(packed(lines, path.suffix if path.suffix in SUFFIXES else "", chance))


# ---------------------------------------------------------------- Parquet and saved datasets


def _table(chance: random.Random) -> tuple[pa.Table, str]:
    """A table whose columns have odd types or values now and then."""
    table = pa.Table.from_pylist(documents(chance, chance.choice((None, None, 200))))
    kind = chance.randrange(8)
    if kind == 0:
        field = chance.choice(table.schema.names)
        odd = [pa.nulls(len(table)), pa.array([2**63 - 1] * len(table)), pa.array([[{}]] * len(table))]
        odd += [pa.array([b"\xff\xfe"] * len(table)), pa.array([1e400] * len(table))]
        return table.set_column(table.schema.get_field_index(field), field, chance.choice(odd)), f"odd {field}"
    if kind == 1:
        texts = [text.encode() for text in table["text"].to_pylist()]
        texts[chance.randrange(len(texts))] = chance.choice((b"\xff", b"\xed\xa0\x80", b"", b"\0", b"abc\xe2\x82"))
        array = pa.array(texts, pa.binary())
        return table.set_column(1, "text", array if chance.random() < 0.5 else array.view(pa.string())), "bad UTF-8"
    if kind == 2:
        texts = table["text"].to_pylist()
        texts[chance.randrange(len(texts))] = None
        return table.set_column(1, "text", pa.array(texts)), "null text"
    if kind == 3:
        types = (pa.large_string(), pa.dictionary(pa.int32(), pa.string()), pa.string_view(), pa.large_binary())
        return table.set_column(1, "text", table["text"].combine_chunks().cast(chance.choice(types))), "other strings"
    if kind == 4:
        return table.append_column(chance.choice(table.schema.names), table["url"]), "a name twice"
    return table, "table as it is"


def parquet(chance: random.Random, folder: Path) -> Case:
    table, how = _table(chance)
    path = folder / "a.parquet"
    how_stored = {
        "compression": chance.choice(("none", "snappy", "zstd", "gzip", "brotli", "lz4")),
        "row_group_size": chance.choice((3, 50, 1000)),
        "use_dictionary": chance.random() < 0.5,
        "data_page_version": chance.choice(("1.0", "2.0")),
        "data_page_size": chance.choice((64, 1 << 20)),
        "write_page_checksum": chance.random() < 0.3,
        "write_page_index": chance.random() < 0.5,
    }
    try:
        pq.write_table(table, path, **how_stored)
    except (pa.ArrowException, NotImplementedError, OSError):
        table, how = table.select([]), "no columns"
        pq.write_table(table, path)
    records: tuple[int, int] | None = (len(table), len(table))
    if chance.random() < 0.6:
        data, more = broken(path.read_bytes(), chance)
        path.write_bytes(data)
        how, records = f"{how}, {more}", None
    return _case(how, path, records=records)


def dataset(chance: random.Random, folder: Path) -> Case:
    """A folder of `Dataset.save_to_disk`: an Arrow stream and two JSON files that describe it."""
    table, how = _table(chance)
    names = table.schema.names
    table = table if len(set(names)) == len(names) else table.select([*range(len(names) - 1)])
    path = str(folder / "data-00000-of-00001.arrow")
    with pa.OSFile(path, "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=5)
    state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_fingerprint": "1", "_split": None}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text(json.dumps({"features": None}))
    records: tuple[int, int] | None = (len(table), len(table))
    if chance.random() < 0.6:
        target = chance.choice((folder / "data-00000-of-00001.arrow",) * 3 + (folder / "state.json",))
        data, more = broken(target.read_bytes(), chance)
        target.write_bytes(data)
        how, records = f"{how}, {target.name} {more}", None
    return _case(how, folder, "dataset", records=records)


# ---------------------------------------------------------------- web archives


def _response(chance: random.Random, text: str) -> bytes:
    """An HTTP message with an encoding, sometimes a false one."""
    body, headers = f"<html><body>{text}</body></html>".encode(), ["Content-Type: text/html; charset=utf-8"]
    kind = chance.randrange(8)
    if kind == 0:
        cut = chance.randrange(len(body))
        parts = [part for part in (body[:cut], body[cut:]) if part]
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        headers.append("Transfer-Encoding: chunked")
    elif kind == 1:
        body = gzip.compress(body)
        headers.append("Content-Encoding: gzip")
    elif kind == 2:
        body = zlib.compress(body)
        headers.append("Content-Encoding: deflate")
    elif kind == 3:
        body = zstandard.compress(body)
        headers.append("Content-Encoding: zstd")
    elif kind == 4:
        headers.append(f"Content-Encoding: {chance.choice(('br', 'gzip', 'compress', 'x-gzip, deflate', 'zstd'))}")
    elif kind == 5:
        headers.append(f"X-Odd: {chance.choice(('a' * 70_000, chr(0), 'ü'))}")
    return "\r\n".join(["HTTP/1.1 200 OK", *headers, "", ""]).encode() + body


def _warc_record(chance: random.Random, at: int, kind: str) -> tuple[bytes, str]:
    text = f"{at}: {text_of(chance)}"
    block, type = text.encode(), "text/plain"
    if kind == "response":
        block, type = _response(chance, text), "application/http; msgtype=response"
    elif kind == "metadata":
        block, type = json.dumps({"Envelope": text}).encode(), "application/json"
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{at}>\r\nWARC-Target-URI: http://a.org/{at}\r\n"
    head += f"WARC-Date: 2024-05-18T01:58:10Z\r\nContent-Type: {type}\r\nContent-Length: {len(block)}\r\n\r\n"
    return head.encode() + block + b"\r\n\r\n", text


def _wrong_length(record: bytes, chance: random.Random) -> bytes:
    start, _, rest = record.partition(b"Content-Length: ")
    length, newline, tail = rest.partition(b"\r\n")
    odd = [
        b"0",
        b"-1",
        b"99999999999999999999",
        b"1e3",
        b"",
        str(int(length) + chance.randint(-9, 9)).encode(),
        b"\xd9\xa1",
    ]
    return start + b"Content-Length: " + chance.choice(odd) + newline + tail


def archive(kind: str, format: str) -> Callable[[random.Random, Path], Case]:
    """Cases of WARC, WET or WAT files: in one stream, or a member for each record."""

    def make(chance: random.Random, folder: Path) -> Case:
        pairs = [_warc_record(chance, at, kind) for at in range(chance.randint(1, 8))]
        records, texts = [record for record, _ in pairs], [text for _, text in pairs]
        suffix, how = chance.choice(("", ".gz", ".gz", ".zst")), "records as they are"
        if chance.random() < 0.5:
            at = chance.randrange(len(records))
            change = chance.choice((_wrong_length, *BYTES))
            records[at], how = change(records[at], chance), f"one record: {change.__name__}"
            touched: set[int] = {at - 1, at, at + 1}
        else:
            touched = set()
        whole = packed(b"".join(records), suffix, chance)
        stored = (
            whole
            if chance.random() < 0.3 or not suffix
            else b"".join(packed(r, suffix, random.Random(5)) for r in records)
        )
        certain = tuple(t for at, t in enumerate(texts) if at not in touched) if kind == "conversion" else ()
        if chance.random() < 0.4:
            stored, more = broken(stored, chance)
            how, certain = f"{how}, stored {more}", ()
        elif suffix == ".zst" and chance.random() < 0.5:
            stored, how = with_dictionary(records, chance), f"{how}, with a dictionary"
        path = folder / f"a.{format}{suffix}"
        path.write_bytes(stored)
        limit = chance.choice((1 << 20, 1 << 20, 600))
        certain = certain if limit > 600 else ()
        is_same = how.startswith("records as they are") and "stored" not in how
        count = (len(records), len(records)) if is_same else None
        return _case(f"{suffix}: {how}", path, records=count, certain=certain, options={"max_record_bytes": limit})

    return make


def with_dictionary(records: list[bytes], chance: random.Random) -> bytes:
    """A .warc.zst as the IIPC's proposal has it: the dictionary in a frame of its own, then a frame for each record."""
    content = b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: the and of" * 9
    dictionary = zstandard.ZstdCompressionDict(content)
    compressor = zstandard.ZstdCompressor(dict_data=dictionary)
    kept = zstandard.compress(content) if chance.random() < 0.5 else content
    frames = b"".join(compressor.compress(record) for record in records)
    return b"\x5d\x2a\x4d\x18" + struct.pack("<I", len(kept)) + kept + frames


def arc(chance: random.Random, folder: Path) -> Case:
    """The Internet Archive's older format: a line, then a message."""
    head = b"filedesc://a.arc 0.0.0.0 20080430204825 text/plain 20\n1 0 InternetArchive\n\n\n"
    records = [head]
    for at in range(chance.randint(1, 6)):
        block = _response(chance, f"{at}: {text_of(chance)}")
        records.append(f"http://a.org/{at} 1.2.3.4 20080430204825 text/html {len(block)}\n".encode() + block + b"\n")
    data, how = b"".join(records), "as it is"
    if chance.random() < 0.7:
        data, how = broken(data, chance)
    suffix = chance.choice(("", ".gz"))
    data = packed(data, suffix, chance)
    if suffix and chance.random() < 0.3:
        data, more = broken(data, chance)
        how = f"{how}, stored {more}"
    path = folder / f"a.arc{suffix}"
    path.write_bytes(data)
    return _case(f"{suffix}: {how}", path, options={"max_record_bytes": chance.choice((1 << 20, 500))})


# ---------------------------------------------------------------- layouts and folders


def dolma(chance: random.Random, folder: Path) -> Case:
    records = documents(chance)
    lines = [json.dumps({"id": r["id"], "text": r["text"], "source": "s", "added": "2024"}) for r in records]
    values: tuple[Any, ...] = (1.5, [[0, 3, 0.5]], {"x": [[0, 1, 1.0]]}, True, "s", None)
    kinds = {name: chance.choice(values) for name in ("a", "b")}
    attributes = [json.dumps({"id": r["id"], "attributes": kinds}) for r in records]
    parts = {"documents/x.jsonl.gz": lines, "attributes/tagger/x.jsonl.gz": attributes}
    return _layout(chance, folder, parts, "dolma", len(records))


def redpajama(chance: random.Random, folder: Path) -> Case:
    records = documents(chance)
    name = "documents/2023-06/0000/en_head.json.gz"
    lines = [json.dumps({"url": r["url"], "raw_content": r["text"], "nlines": 1, "length": 5}) for r in records]
    spans = {"ccnet_length": [[0, 5, 5.0]], "rps_doc_word_count": [[0, 5, None]], "rps_lines_x": [[0, 2, 1], [2, 5, 0]]}
    signals = [
        json.dumps({"id": f"2023-06/0000/en_head.json.gz/{at}", "quality_signals": spans}) for at in range(len(records))
    ]
    beside = name.replace("documents", "quality_signals").replace(".json.gz", ".signals.json.gz")
    parts = {name: lines, beside: signals}
    return _layout(chance, folder, parts, "redpajama-v2", len(records))


def _layout(chance: random.Random, folder: Path, parts: dict[str, list[str]], format: str, count: int) -> Case:
    how, records, target = "as it is", (count, count), chance.choice([*parts])
    is_documents = target.startswith("documents") and "_stats" not in target
    for name, lines in parts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name == target and chance.random() < 0.6:
            at = chance.randrange(len(lines))
            lines[at] = odd_line(lines[at], chance)
            how = f"odd line of {name.partition('/')[0]}"
            records = (0, count) if not is_documents or not lines[at].strip() else records
        data = gzip.compress("".join(line + "\n" for line in lines).encode("utf-8", "surrogatepass"), 1)
        if name == target and chance.random() < 0.4:
            data, more = broken(data, chance)
            how, records = f"{how}, {name.partition('/')[0]} stored {more}", None  # type: ignore[assignment]
        path.write_bytes(data)
    return _case(how, folder, format, records=records)


def files(chance: random.Random, folder: Path) -> Case:
    """A folder of documents with odd bytes and odd names."""
    names = ("a.md", "b c.txt", "ü.py", "d'e\"f.txt", "sub/x.md", "<b>.txt", "n\nl.txt", "\u202e.txt", "$(x).md")
    chosen = chance.sample(names, chance.randint(1, len(names)))
    contents = (
        b"",
        b"\xff\xfe\0",
        b"plain",
        "Größe".encode(),
        b"\xef\xbb\xbfmark",
        b"\0",
        b"\xed\xa0\x80",
        bz2.compress(b"x"),
    )
    for name in chosen:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(chance.choice(contents))
    return _case("odd files", folder, "files", records=(len(chosen), len(chosen)))


def code(chance: random.Random, folder: Path) -> Case:
    """The same as source code, with a .gitignore that is odd now and then."""
    case = files(chance, folder)
    if chance.random() < 0.5:
        return case._replace(format="code")
    ignored = chance.choice((b"*.md\n", b"sub/\n!sub/x.md", b"\xff", b"[", b"\\", b"!", b"**", b"/\n\0", b"a" * 9_999))
    (folder / ".gitignore").write_bytes(ignored)
    return case._replace(format="code", how=f"odd files, .gitignore {ignored[:20]!r}", records=None)


def stats(chance: random.Random, folder: Path) -> Case:
    """JSON Lines with objects that become columns; the stats of Data-Juicer in them or beside them."""
    if chance.random() < 0.6:
        case = jsonl(chance, folder)
        return case._replace(format=chance.choice(("datatrove", "data-juicer")))
    records = documents(chance)
    lines = [json.dumps({"text": r["text"], "meta": {"src": r["id"], "text": "x"}}) for r in records]
    told = [json.dumps({"__dj__stats__": {"num_words": r["count"], "score": r["score"], "top": [1]}}) for r in records]
    parts = {"documents/x.jsonl.gz": lines, "documents/x_stats.jsonl.gz": told}
    return _layout(chance, folder, parts, "data-juicer", len(records))


def bomb(chance: random.Random, folder: Path) -> Case:
    """Little that becomes much: a line or a page that expands a thousand times."""
    size = chance.choice((1, 4)) << 20
    line = b'{"text": "' + b"a" * size + b'"}\n'
    suffix = chance.choice(SUFFIXES[1:])
    good = b'{"text": "small"}\n'
    if chance.random() < 0.6:
        path = folder / f"a.jsonl{suffix}"
        path.write_bytes(packed(good + line + good, suffix, random.Random(chance.randrange(9))))
        options = {"max_record_bytes": 1 << 16}
        return _case(f"{suffix}: a long line", path, records=(3, 3), certain=("small",), options=options)
    body = gzip.compress(b"<p>" + b"a" * size)
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n\r\n" + body
    head = f"WARC/1.0\r\nWARC-Type: response\r\nContent-Type: application/http\r\nContent-Length: {len(block)}\r\n\r\n"
    path = folder / "a.warc.gz"
    path.write_bytes(gzip.compress(head.encode() + block + b"\r\n\r\n"))
    return _case("a page that expands", path, records=(1, 1), options={"max_record_bytes": 1 << 17})


FORMATS: dict[str, Callable[[random.Random, Path], Case]] = {
    "jsonl": jsonl,
    "shards": shards,
    "parquet": parquet,
    "dataset": dataset,
    "warc": archive("response", "warc"),
    "wet": archive("conversion", "warc.wet"),
    "wat": archive("metadata", "wat"),
    "arc": arc,
    "dolma": dolma,
    "redpajama-v2": redpajama,
    "files": files,
    "bomb": bomb,
    "csv": table,
    "chat": chat,
    "code": code,
    "stats": stats,
}
