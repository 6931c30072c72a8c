"""Web archives: what a record becomes, what is passed over, what is quarantined, and that nothing is lost."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from curate.errors import DataError
from curate.io import archive, framing, http
from curate.io.framing import Frames, Record
from curate.io.stream import Stream

Load = Callable[..., Any]
SHARED = Path(__file__).resolve().parents[3] / "shared/data/raw"
PAGE = "<html><body><p>Größe und Ängste</p></body></html>"


def record(kind: str, block: bytes, url: str = "", **more: str) -> bytes:
    given = {"WARC-Type": kind, "WARC-Record-ID": f"<urn:{kind}:{url}>", "WARC-Date": "2024-05-18T01:58:10Z"}
    given |= {"WARC-Target-URI": url} if url else {}
    given |= {"Content-Type": "application/http; msgtype=response"} if kind == "response" else {}
    given |= {name.replace("_", "-"): value for name, value in more.items()}
    given = {"Content-Length": str(len(block))} | given
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"WARC/1.0\r\n{head}\r\n".encode() + block + b"\r\n\r\n"


def response(body: bytes, *headers: str, type: str = "text/html") -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", f"Content-Type: {type}", *headers, "", ""]).encode() + body


def archive_records() -> list[bytes]:
    return [
        record("warcinfo", b"software: none\r\n"),
        record("request", b"GET / HTTP/1.1\r\n\r\n", "http://a.example/"),
        record("response", response(PAGE.encode()), "http://a.example/", WARC_Payload_Digest="sha1:AAAA"),
        record("response", response(b"\x89PNG", type="image/png"), "http://a.example/i.png"),
        record("response", response(PAGE.encode("latin-1"), type="text/html; charset=iso-8859-1"), "http://b.example/"),
        record("resource", b"plain", "http://c.example/", Content_Type="text/plain"),
        record("metadata", b"outlink: x\r\n", "http://a.example/"),
    ]


def packed(name: str, records: list[bytes]) -> bytes:
    if name.endswith(".gz"):
        return b"".join(gzip.compress(one, mtime=0) for one in records)
    if name.endswith(".zst"):
        return b"".join(zstandard.compress(one) for one in records)
    return b"".join(records)


@pytest.fixture(params=["a.warc", "a.warc.gz", "a.warc.zst"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / request.param
    path.write_bytes(packed(request.param, archive_records()))
    return path


def test_pages_become_rows_and_the_rest_is_passed_over(file: Path, load: Load) -> None:
    found = load(file)
    assert found.column("url") == ["http://a.example/", "http://b.example/", "http://c.example/"]
    assert found.column("text") == [PAGE, PAGE, "plain"]
    assert found.column("charset") == ["utf-8", "cp1252", "utf-8"]
    assert found.column("status") == [200, 200, None]
    assert found.column("content_type") == ["text/html", "text/html", "text/plain"]
    assert found.column("digest") == ["sha1:AAAA", None, None]
    assert found.column("id")[0] == "<urn:response:http://a.example/>"
    assert set(found.column("date")) == {"2024-05-18T01:58:10Z"}
    assert not found.bad


def test_kinds_and_media_types_are_chosen_in_the_recipe(file: Path, load: Load) -> None:
    assert load(file, records=["metadata"], mime=["*"]).column("text") == ["outlink: x\r\n"]
    assert load(file, mime=["text/plain"]).column("text") == ["plain"]
    assert len(load(file, mime=["*"]).column("text")) == 4


def test_only_what_is_needed_comes_in_batches_of_any_size(file: Path, load: Load) -> None:
    whole = load(file)
    small = load(file, batch_bytes=60)
    assert small.table.equals(whole.table)
    assert len(small.batches) > 1
    assert load(file, needed={"id", "url"}).table.equals(whole.table.select(["id", "url"]))


@pytest.mark.parametrize("name", ["a.warc.wet.gz", "a.wet"])
def test_texts_of_wet(name: str, tmp_path: Path, load: Load) -> None:
    more = {"Content_Type": "text/plain", "WARC_Identified_Content_Language": "deu,eng"}
    records = [record("warcinfo", b"x"), record("conversion", "Größe\n".encode(), "http://a.example/", **more)]
    records.append(record("conversion", b"\xff\xfe bad", "http://b.example/", **more))
    (tmp_path / name).write_bytes(packed(name, records))
    found = load(tmp_path)
    assert (found.column("text"), found.column("languages")) == (["Größe\n"], ["deu,eng"])
    assert [(bad.position, bad.error) for bad in found.bad] == [(2, "not valid UTF-8 at byte 0")]


def arc(records: list[tuple[str, bytes]], version: bytes = b"1 0 Test\nURL IP-address Archive-date\n\n") -> bytes:
    made = b"filedesc://x.arc 0.0.0.0 20080430204825 text/plain %d\n%s\n" % (len(version), version)
    for url, block in records:
        made += f"{url} 1.2.3.4 20080430204825 text/html {len(block)}\n".encode() + block + b"\n"
    return made


@pytest.mark.parametrize("name", ["x.arc", "x.arc.gz"])
def test_pages_of_arc(name: str, tmp_path: Path, load: Load) -> None:
    data = arc([("http://a.example/with a space", response(PAGE.encode())), ("http://b.example/", response(b"b"))])
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    found = load(tmp_path)
    assert found.column("text") == [PAGE, "b"]
    assert found.column("url")[0] == "http://a.example/with a space"
    assert found.column("date") == ["2008-04-30T20:48:25Z"] * 2
    assert found.column("id") == [f"{name}#1", f"{name}#2"]


def zlib_deflated(body: bytes) -> bytes:
    return zlib.compress(body)


def raw_deflated(body: bytes) -> bytes:
    return zlib.compress(body)[2:-4]


def brotlied(body: bytes) -> bytes:
    return bytes(pytest.importorskip("brotli").compress(body))


def chunked(body: bytes) -> bytes:
    return b"".join(
        b"%x;ext=1\r\n%s\r\n" % (len(body[at : at + 7]), body[at : at + 7]) for at in range(0, len(body), 7)
    ) + (b"0\r\n\r\n")


@pytest.mark.parametrize(
    ("headers", "encode"),
    [
        (["Content-Encoding: gzip"], gzip.compress),
        (["Content-Encoding: x-gzip"], gzip.compress),
        (["Content-Encoding: deflate"], zlib_deflated),
        (["Content-Encoding: deflate"], raw_deflated),
        (["Content-Encoding: br"], brotlied),
        (["Content-Encoding: zstd"], zstandard.compress),
        (["Transfer-Encoding: chunked"], chunked),
        (["Transfer-Encoding: chunked", "Content-Encoding: gzip"], lambda body: chunked(gzip.compress(body))),
        (["Transfer-Encoding: chunked"], bytes),
        (["Content-Encoding: gzip"], bytes),
        (["Content-Encoding: br"], bytes),
    ],
    ids=[
        "gzip",
        "x-gzip",
        "zlib",
        "deflate",
        "br",
        "zstd",
        "chunked",
        "chunked-gzip",
        "not-chunked",
        "not-gzip",
        "not-br",
    ],
)
def test_encodings_are_undone(headers: list[str], encode: Callable[[bytes], bytes]) -> None:
    assert http.parse(response(encode(PAGE.encode()), *headers), 1 << 20).body == PAGE.encode()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_what_expands_too_much_is_one_bad_record(encoding: str, tmp_path: Path, load: Load) -> None:
    compress: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotlied}
    compress["zstd"] = zstandard.compress
    page = response(compress[encoding](bytes(1 << 20)), f"Content-Encoding: {encoding}")
    records = [record("response", page, "http://a.example/"), record("response", response(b"b"), "http://b.example/")]
    (tmp_path / "a.warc").write_bytes(b"".join(records))
    found = load(tmp_path, max_record_bytes=100_000)
    assert found.column("text") == ["b"]
    assert "expands to more than 100000 bytes" in found.bad[0].error


@pytest.mark.parametrize(
    ("change", "reason", "position"),
    [
        (lambda r: [*r[:2], r[2].replace(b"HTTP/1.1 200", b"NONSENSE 200"), *r[3:]], "no HTTP status line", 2),
        (lambda r: [*r[:2], r[2].replace(b"Content-Length: ", b"Content-Length: -"), *r[3:]], "Content-Length is", 2),
        (lambda r: [*r[:2], r[2].replace(b"Content-Length", b"Content-Lenght"), *r[3:]], "no Content-Length", 2),
        (
            lambda r: [*r[:2], r[2].replace(b"Content-Length: ", b"Content-Length: 7\r\nX: "), *r[3:]],
            "does not lead",
            2,
        ),
        (lambda r: [*r[:2], r[2].replace(b"Content-Length: ", b"Content-Length: 9"), *r[3:]], "does not lead", 2),
        (lambda r: [*r[:2], b"\x00garbage\r\n" * 9, *r[2:]], "is not the start of a record", 2),
    ],
    ids=["status", "negative", "no-length", "short", "long", "garbage"],
)
def test_a_bad_record_costs_itself_alone(
    change: Callable[[list[bytes]], list[bytes]], reason: str, position: int, tmp_path: Path, load: Load
) -> None:
    records = change(archive_records())
    (tmp_path / "a.warc").write_bytes(b"".join(records))
    found = load(tmp_path)
    assert [bad.position for bad in found.bad] == [position]
    assert reason in found.bad[0].error
    assert len(found.column("text")) == 3 - (len(records) == 7)


def test_a_record_that_is_too_long_is_passed_over(tmp_path: Path, load: Load) -> None:
    long = record("response", response(b"x" * 3_000_000), "http://l.example/")
    (tmp_path / "a.warc.gz").write_bytes(packed(".gz", [long, *archive_records()]))
    found = load(tmp_path, max_record_bytes=50_000)
    assert len(found.column("text")) == 3
    assert [(bad.position, "max_record_bytes" in bad.error) for bad in found.bad] == [(0, True)]


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz", "a.warc.zst"])
def test_wherever_an_archive_ends_early_it_is_said(name: str, tmp_path: Path, load: Load) -> None:
    records, path = archive_records(), tmp_path / name
    whole = packed(name, records)
    path.write_bytes(whole)
    texts = load(path).column("text")
    ends = {len(packed(name, records[:count])) for count in range(len(records) + 1)}
    for size in range(1, len(whole), 5):
        path.write_bytes(whole[:size])
        found = load(path, corrupt="quarantine")
        assert found.column("text") == texts[: len(found.column("text"))]
        at_boundary = min(abs(size - end) for end in ends) <= (4 if name == "a.warc" else 0)
        assert at_boundary or found.bad, size


def test_damage_is_an_error_unless_the_run_is_told_to_go_on(tmp_path: Path, load: Load) -> None:
    path = tmp_path / "a.warc.gz"
    path.write_bytes(packed(".gz", archive_records())[:-30])
    with pytest.raises(DataError, match=r"damaged after record 6 .*corrupt_archives: quarantine"):
        load(path)
    found = load(path, corrupt="quarantine")
    assert (len(found.column("text")), found.bad[-1].position) == (3, 6)


def test_what_is_no_archive_is_one_bad_record(tmp_path: Path, load: Load) -> None:
    (tmp_path / "a.warc").write_bytes(b"<html>not an archive" * 1000)
    found = load(tmp_path)
    assert [bad.error for bad in found.bad] == ["is not the start of a record"]


@pytest.mark.parametrize("seed", range(8))
def test_flipped_bits_never_crash_and_never_change_other_records(seed: int, tmp_path: Path, load: Load) -> None:
    draw, path = random.Random(seed), tmp_path / "a.warc"
    whole = b"".join(archive_records())
    path.write_bytes(whole)
    texts = set(load(path).column("text"))
    for _ in range(60):
        data = bytearray(whole)
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        path.write_bytes(bytes(data))
        found = load(path, corrupt="quarantine")
        assert len(set(found.column("text")) - texts) <= 1
        assert len(found.column("text")) + len(found.bad) >= 2


def mutated(data: bytes, draw: random.Random) -> bytes:
    """With a bit flipped, a few bytes taken out, or the end cut off."""
    at, changed = draw.randrange(len(data)), bytearray(data)
    if draw.random() < 0.5:
        changed[at] ^= 1 << draw.randrange(8)
    else:
        del changed[at : draw.choice([at + draw.randrange(1, 30), len(data)])]
    return bytes(changed)


@pytest.mark.parametrize("at_once", [300, framing.AT_ONCE])
@pytest.mark.parametrize("inside", [False, True], ids=["packed", "record"])
def test_ordinary_records_in_columns_and_one_by_one_are_the_same(
    inside: bool, at_once: int, tmp_path: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(framing, "AT_ONCE", at_once)
    draw, path = random.Random(int(inside)), tmp_path / "a.warc.gz"
    for number in range(40):
        all_of_it = archive_records()
        if inside:
            at = draw.randrange(len(all_of_it))
            all_of_it[at] = mutated(all_of_it[at], draw)
        data = packed(path.name, all_of_it)
        path.write_bytes(data if inside else mutated(data, draw))
        found = []
        for finder in (archive.finder, lambda kinds: None):
            monkeypatch.setattr(archive, "finder", finder)
            read = load(path, corrupt="quarantine")
            found.append((read.table.to_pylist(), read.bad))
        assert found[0] == found[1], number


@pytest.mark.parametrize("size", [1, 7, 1_000, 1 << 20])
@pytest.mark.parametrize("at_once", [64, framing.AT_ONCE])
def test_how_an_archive_comes_does_not_matter(size: int, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In pieces of any size, empty ones among them, and looked at in little memory or much."""
    data = b"".join(archive_records())
    pieces = [piece for at in range(0, len(data), size) for piece in (data[at : at + size], b"")]
    expected = list(Frames([data], is_arc=False, limit=1 << 20))
    monkeypatch.setattr(framing, "AT_ONCE", at_once)
    assert list(Frames(pieces, is_arc=False, limit=1 << 20)) == expected
    assert len(expected) == len(archive_records())


@pytest.mark.parametrize("at_once", [64, framing.AT_ONCE])
@pytest.mark.parametrize("lost", [0, 1, 30, 700])
def test_what_is_unpacked_in_place_is_what_comes_in_pieces(
    lost: int, at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.warc.gz"
    data = packed(path.name, archive_records())
    path.write_bytes(data[: len(data) - lost])
    in_pieces, in_place = Stream(str(path), 100, size=50), Stream(str(path), 100)
    expected = list(Frames(list(in_pieces), is_arc=False, limit=1 << 20))
    monkeypatch.setattr(framing, "AT_ONCE", at_once)
    assert list(Frames(in_place, is_arc=False, limit=1 << 20)) == expected
    assert (in_place.damage, bool(in_place.damage)) == (in_pieces.damage, lost > 0)
    assert in_place.room is not None


# ---------------------------------------------------------------- real archives


def members(name: str) -> Iterator[tuple[str, bytes]]:
    path = SHARED / f"{name}.tar.zst"
    if not path.exists():
        pytest.skip("the shared data is not here")
    data = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(path.read_bytes()).read()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            if member.isfile():
                yield member.name, tar.extractfile(member).read()  # type: ignore[union-attr]


def one(name: str, ending: str) -> bytes:
    return next(data for path, data in members(name) if path.endswith(ending))


@pytest.mark.parametrize(
    ("set", "file"),
    [
        ("warc_cc2014_ia2008", "web_sample.warc.gz"),
        ("warc_dolma_cc", "sample-0000.warc.gz"),
        ("warc_fastwarc", "warcfile.warc"),
        ("warc_pywb", "iana.warc.gz"),
        ("warc_whirlwind_cc", "whirlwind.warc.gz"),
    ],
)
def test_records_are_those_that_fastwarc_finds(set: str, file: str) -> None:
    fastwarc = pytest.importorskip("fastwarc")
    data = one(set, file)
    theirs = [
        (record.headers.get("WARC-Record-ID"), record.reader.read())
        for record in fastwarc.ArchiveIterator(io.BytesIO(data), parse_http=False)
    ]
    plain = gzip.decompress(data) if file.endswith(".gz") else data
    frames = Frames([plain[at : at + 1000] for at in range(0, len(plain), 1000)], is_arc=False, limit=1 << 28)
    ours = [(found.headers.get("warc-record-id"), found.block) for found in frames if isinstance(found, Record)]
    assert ours == theirs
    assert not frames.damage


def test_one_crawl_as_arc_and_as_warc_gives_the_same_pages(tmp_path: Path, load: Load) -> None:
    (tmp_path / "a.arc.gz").write_bytes(one("arc_warc_ia2008_pair", "example.arc.gz"))
    (tmp_path / "a.warc.gz").write_bytes(one("warc_cc2014_ia2008", "web_sample.warc.gz"))
    arcs, warcs = load(tmp_path / "a.arc.gz"), load(tmp_path / "a.warc.gz")
    assert len(arcs.table) == len(warcs.table) > 150
    for column in ("url", "text", "date", "status", "charset", "content_type"):
        assert arcs.column(column) == warcs.column(column)


def test_a_page_of_common_crawl_as_warc_wet_and_wat(tmp_path: Path, load: Load) -> None:
    urls = set()
    for ending, kind in [("whirlwind.warc.gz", ""), (".wet.gz", "conversion"), (".wat.gz", "metadata")]:
        path = tmp_path / f"x{ending}"
        path.write_bytes(one("warc_whirlwind_cc", ending))
        found = load(path)
        urls |= set(found.column("url"))
        assert found.column("kind") == [kind or "response"]
    assert len(urls) == 1


@pytest.mark.parametrize("is_packed", [False, True])
def test_zstd_with_a_dictionary(tmp_path: Path, load: Load, is_packed: bool) -> None:
    """The dictionary comes first, in a frame that decoders skip, as the IIPC's proposal has it."""
    content = b"".join(archive_records())[:600] * 2
    compressor = zstandard.ZstdCompressor(dict_data=zstandard.ZstdCompressionDict(content))
    kept = zstandard.compress(content) if is_packed else content
    frames = b"".join(compressor.compress(one) for one in archive_records())
    path = tmp_path / "a.warc.zst"
    path.write_bytes(b"\x5d\x2a\x4d\x18" + len(kept).to_bytes(4, "little") + kept + frames)
    assert load(path).column("text") == [PAGE, PAGE, "plain"]
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="the dictionary is incomplete"):
        load(path)
