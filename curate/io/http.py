"""What an archived HTTP response says: status, media type, and its body without transfer and content encodings."""

from __future__ import annotations

import contextlib
import functools
import re
import zlib
from typing import NamedTuple

import numpy as np

from curate.errors import DataError
from curate.io.framing import BLANK_LINE, HEADER_BYTES, fields

STATUS = re.compile(rb"\s*HTTP/\d(?:\.\d)?\s+(\d{3})|\s*ICY\s+(\d{3})")
CHUNK = re.compile(rb"[ \t]*([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")
CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
ESCAPE = b"\x1b"  # ISO-2022 text is valid UTF-8 by accident
# How the content of each encoding begins. Servers and crawlers often name one that the body does not have (any more).
MAGIC = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}
PLAIN = re.compile(rb"\s*<[!?a-zA-Z]")


class BadMessage(ValueError):
    """A message that cannot be decoded; the text says why."""


class Message(NamedTuple):
    """status (None where there is none), media type, charset that the header names (both "" when none), body."""

    status: int | None
    type: str
    charset: str
    body: bytes


def parse(block: bytes, limit: int) -> Message:
    """An HTTP response with its body decoded to at most `limit` bytes. Raises BadMessage.

    >>> parse(b"HTTP/1.1 200 OK\\r\\nContent-Type: text/html; charset=UTF-8\\r\\n\\r\\n<p>Hi", 100)
    Message(status=200, type='text/html', charset='UTF-8', body=b'<p>Hi')
    """
    match = STATUS.match(block)
    if match is None:
        raise BadMessage("no HTTP status line")
    end = BLANK_LINE.search(block, match.end(), match.end() + HEADER_BYTES)
    header, body = (block, b"") if end is None else (block[: end.start()], block[end.end() :])
    found = fields(header)
    if "chunked" in found.get("transfer-encoding", "").lower():
        body = dechunked(body)
    for encoding in reversed(found.get("content-encoding", "").lower().split(",")):
        body = _decoded(body, encoding.strip(), limit)
    type, charset = media_type(found.get("content-type", ""))
    return Message(int(match[1] or match[2]), type, charset, body)


@functools.lru_cache(maxsize=1_000)
def media_type(value: str) -> tuple[str, str]:
    """A Content-Type's media type in lower case, and its charset.

    >>> media_type('Text/HTML; charset="utf-8"'), media_type("")
    (('text/html', 'utf-8'), ('', ''))
    """
    charset = CHARSET.search(value)
    return re.split(r"[;,\s]", value.strip(), maxsplit=1)[0].lower(), charset[1] if charset else ""


def dechunked(body: bytes) -> bytes:
    """A body without its chunks' sizes; as it is where it has none, and up to where they make no sense.

    >>> dechunked(b"4\\r\\nWiki\\r\\n3\\r\\npedia"), dechunked(b"<p>plain")
    (b'Wikiped', b'<p>plain')
    """
    parts, at = [], 0
    while match := CHUNK.match(body, at):
        size = int(match[1], 16)
        at = match.end()
        if not size:
            break
        parts.append(body[at : at + size])
        at += size
        at += 2 if body[at : at + 2] == b"\r\n" else body[at : at + 1] == b"\n"
    return b"".join(parts) if at else body


def _decoded(body: bytes, encoding: str, limit: int) -> bytes:
    encoding = encoding.removeprefix("x-")
    if encoding in ("", "identity", "none", "utf-8", "utf8") or not body:
        return body
    if not body.startswith(MAGIC.get(encoding, b"")) or (encoding not in MAGIC and PLAIN.match(body)):
        return body
    try:
        if encoding == "gzip":
            made = _inflated(body, 31, limit)
        elif encoding == "deflate":
            has_header = len(body) > 1 and body[0] & 15 == 8 and int.from_bytes(body[:2], "big") % 31 == 0
            made = _inflated(body, 15 if has_header else -15, limit)
        elif encoding == "br":
            made = _unbrotlied(body, limit)
        elif encoding == "zstd":
            made = _unzstd(body, limit)
        else:
            raise BadMessage(f"the content encoding {encoding[:40]!r} is not known")
    except (zlib.error, EOFError) as error:
        raise BadMessage(f"the body is not {encoding}: {error}") from error
    if len(made) > limit:
        raise BadMessage(f"the body expands to more than {limit} bytes (max_record_bytes)")
    return made


def _inflated(body: bytes, window: int, limit: int) -> bytes:
    """What there is of a body, which crawlers may have cut; members one after another."""
    made = b""
    while len(made) <= limit:
        decompressor = zlib.decompressobj(window)
        made += decompressor.decompress(body, limit + 1 - len(made))
        body = decompressor.unused_data
        if not decompressor.eof or not body.startswith(MAGIC["gzip"]):
            break
    return made


def _unbrotlied(body: bytes, limit: int) -> bytes:
    try:
        import brotli
    except ImportError as error:
        raise DataError("a page is compressed with brotli: pip install 'curate[web]'") from error
    decompressor, parts, size = brotli.Decompressor(), [], 0
    try:
        part = decompressor.process(body, output_buffer_limit=1 << 20)
        while part or not decompressor.can_accept_more_data():
            parts.append(part)
            size += len(part)
            if size > limit or decompressor.is_finished():
                break
            part = decompressor.process(b"", output_buffer_limit=1 << 20)
    except brotli.error as error:
        raise BadMessage(f"the body is not br: {error}") from error
    return b"".join(parts)


def _unzstd(body: bytes, limit: int) -> bytes:
    from zstandard import ZstdDecompressor, ZstdError

    try:
        return bytes(ZstdDecompressor(max_window_size=1 << 27).stream_reader(body).read(limit + 1))
    except ZstdError as error:
        raise BadMessage(f"the body is not zstd: {error}") from error


def decoded(body: bytes, named: str) -> tuple[bytes, str]:
    """Text in UTF-8 and the charset it was read as: a byte order mark's; UTF-8 where it is valid; else the one that the
    header names, then the page itself; else the one that resiliparse detects. What is invalid in it becomes U+FFFD.

    >>> decoded("Größe".encode("latin-1"), "iso-8859-1")
    (b'Gr\xc3\xb6\xc3\x9fe', 'cp1252')
    """
    if body[:2] not in (b"\xff\xfe", b"\xfe\xff") and ESCAPE not in body and _is_utf8(body):
        return body.removeprefix(b"\xef\xbb\xbf"), "utf-8"
    try:
        from resiliparse.parse.encoding import bytes_to_str, detect_encoding, map_encoding_to_html5
    except ImportError as error:
        raise DataError("a page is not UTF-8, and to find its charset needs: pip install 'curate[web]'") from error
    from curate.kernels.spans import repaired

    marks = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
    charset = marks.get(body[:2]) or (map_encoding_to_html5(named, fallback_utf8=False) if named else None)
    charset = charset or detect_encoding(body, from_html_meta=True) or "utf-8"
    if charset != "utf-8":
        with contextlib.suppress(LookupError, UnicodeError):
            return bytes_to_str(body, charset, errors="replace", fallback_encodings=()).encode(), charset
    return repaired(body), "utf-8"


def _is_utf8(body: bytes) -> bool:
    from curate.kernels.spans import are_plain

    return bool(are_plain(body, np.array([[0, len(body)]], np.int32), of_page=False)[0])
