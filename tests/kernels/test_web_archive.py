"""Ordinary records of a WARC are those that the lenient way finds, one at a time, with the same values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.io.framing import Frames, Record, fields
from curate.io.http import BadMessage, parse
from curate.kernels.web_archive import HEADERS, Found, find, names

KINDS = ["response", "resource"]
LINES = [
    b"WARC-Type: response",
    b"WARC-Type: request",
    b"warc-TYPE:resource ",
    b"WARC-Target-URI: <http://a.example/>",
    b"WARC-Target-URI:\t http://b.example/ \t",
    b"WARC-Date: caf\xc3\xa9",
    b"Note: caf\xe9",
    b"WARC-Date: 2024\r",
    b"WARC-Truncated:",
    b" folded",
    b"no colon",
    b"WARC-Date : 1",
    b"Content-Type: application/http; msgtype=response",
    b"Content-Type: APPLICATION/HTTP",
    b"Content-Type: text/plain",
    b"Content-Length: 1",
    b"\x0bWARC-Date: 2",
    b": nothing",
]
BLOCKS = [
    b"",
    b"plain",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=UTF-8\r\n\r\n<p>Hi",
    b"HTTP/1.0\t404\nContent-Type: text/html\n\nbare line feeds",
    b"HTTP/2 2000\r\nX: caf\xe9\r\ncontent-type:text/html\r\n\r\n",
    b"HTTP/1.1 200 OK\r\rContent-Type: text/html\r\n\r\nx",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n folded\r\n\r\nx",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html",
    b"HTTP/1.1 OK\r\nContent-Type: text/html\r\n\r\n",
    b"HTTP/1.1 200\r\n\r\nno type",
    b"ICY 200 OK\r\nContent-Type: text/html\r\n\r\nx",
]


def made(lines: list[bytes], block: bytes, version: bytes, line_end: bytes, after: bytes) -> bytes:
    header = line_end.join([version, *lines, b"Content-Length: %d" % len(block), b"", b""])
    return header + block + after


records = st.builds(
    made,
    st.lists(st.sampled_from(LINES), max_size=5),
    st.sampled_from(BLOCKS),
    st.sampled_from([b"WARC/1.0", b"WARC/1.1", b"WARC/0.17", b"WARC/2.0", b"WARC/1."]),
    st.sampled_from([b"\r\n", b"\r\n", b"\n"]),
    st.sampled_from([b"\r\n\r\n", b"\r\n\r\n", b"\r\n\r\n\n", b"\r\n", b"\n\n", b""]),
)


def values(data: bytes, found: Found, row: int) -> dict[str, str]:
    spans = dict(zip(HEADERS, found.headers[row].tolist(), strict=True))
    return {name: data[begin:end].decode() for name, (begin, end) in spans.items() if begin >= 0}


@given(st.lists(records, min_size=1, max_size=4), st.sampled_from([3, 1_000]))
def test_what_is_ordinary_is_what_the_lenient_way_finds(parts: list[bytes], limit: int) -> None:
    data = b"".join(parts)
    expected = [one for one in Frames([data], is_arc=False, limit=limit) if isinstance(one, Record)]
    count, end, found = find(data, 0, names(KINDS), limit)
    assert count <= len(expected)
    assert not any(one.error for one in expected[:count])
    wanted = [number for number, one in enumerate(expected[:count]) if one.headers.get("warc-type") in KINDS]
    assert found.number.tolist() == wanted
    for row, number in enumerate(wanted):
        one, (begin, block, after) = expected[number], found.place[row].tolist()
        assert (data[block:after], fields(data[begin:block])) == (one.block, one.headers)
        assert values(data, found, row) == {name: one.headers[name] for name in HEADERS if name in one.headers}
        assert KINDS[found.kind[row]] == one.headers["warc-type"]
        check_content(data, found, row, one, limit)
    assert end <= len(data)


def check_content(data: bytes, found: Found, row: int, record: Record, limit: int) -> None:
    is_http = record.headers.get("content-type", "").lower().startswith("application/http")
    body = data[slice(*found.body[row])]
    if not is_http:
        assert (body, found.status[row], bool(found.is_odd[row])) == (record.block, -1, False)
    elif not found.is_odd[row]:
        message = parse(record.block, limit)
        assert (body, found.status[row]) == (message.body, message.status)
        stated = data[slice(*found.type[row])].decode()
        assert stated == fields(b"\n" + record.block.split(b"\n", 1)[1])["content-type"]


def test_ordinary_messages_are_not_odd() -> None:
    lines = [b"WARC-Type: response", b"Content-Type: application/http"]
    for block, is_odd in zip(BLOCKS[2:], [False, False, False, *[True] * 7], strict=True):
        data = made(lines, block, b"WARC/1.0", b"\r\n", b"\r\n\r\n")
        count, _, found = find(data, 0, names(KINDS), 1_000)
        assert (count, found.is_odd.tolist()) == (1, [is_odd]), block
    with pytest.raises(BadMessage):
        parse(BLOCKS[9], 1_000)
