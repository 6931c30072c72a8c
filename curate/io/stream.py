"""Streams of bytes from any place (local or an fsspec URL), decompressed on the way, and cut at line ends."""

from __future__ import annotations

import gzip
import lzma
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from curate.errors import DataError

COMPRESSED = (".gz", ".zst", ".xz")
PIECE = 1 << 20
EXPANDED = 1 << 26  # what any archive may give, however small it is
BOM = b"\xef\xbb\xbf"
# The decoder needs this much memory for a frame's window; 2**27 is what `zstd --long` writes and what decoders accept.
MAX_WINDOW = 1 << 27
DICTIONARY = b"\x5d\x2a\x4d\x18"
MAX_DICTIONARY = 1 << 27


def is_local(url: str) -> bool:
    return "://" not in url and "::" not in url


def name_of(path: str, root: str) -> str:
    """The part of a path or URL that is below `root`.

    >>> name_of("/data/a/b.md", "/data"), name_of("zip://docs/a.md::x.zip", "zip://docs/")
    ('a/b.md', 'a.md')
    """
    name = path[len(root) :]
    return name.lstrip("/") if is_local(path) else name.partition("::")[0]


def stamp_of(status: os.stat_result) -> str:
    """What changes with the content of a local file."""
    return f"{status.st_mtime_ns}-{status.st_size}"


@contextmanager
def open_bytes(url: str, seekable: bool = False) -> Iterator[IO[bytes]]:
    """A file open for reading from its start. Raises DataError when it cannot be opened."""
    with ExitStack() as stack:
        try:
            handle = stack.enter_context(_open(url, seekable))
        except Exception as error:
            raise unreadable(url, error) from error
        yield handle


def _open(url: str, seekable: bool) -> AbstractContextManager[IO[bytes]]:
    if is_local(url):
        return Path(url).open("rb")
    from curate.io.remote import Remote

    return Remote(url, seekable)  # type: ignore[return-value]


def unreadable(url: str, error: Exception) -> DataError:
    """The error for a file that could not be opened or read."""
    if isinstance(error, FileNotFoundError):
        return DataError(f"{url}: the file is not there any more; run again to take stock of the source")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return DataError(f"{url}: cannot be read ({type(error).__name__}: {reason})")


class Stream:
    """The decompressed bytes of a file, in pieces. After the last piece `damage` says whether the archive was whole.

    One that expands more than `expansion` times is not. Pieces have `size` bytes or fewer, except of .zst. A reader may
    set `room`, memory of its own: the next piece of a .gz is then written there, which spares a copy.

    Raises DataError when the file cannot be read at all, as when the network fails.
    """

    def __init__(self, url: str, expansion: int, size: int = PIECE) -> None:
        self.url, self.expansion, self.size = url, expansion, size
        self.damage = ""
        self.room: memoryview | None = None

    def __iter__(self) -> Iterator[bytes]:
        from zstandard import ZstdError

        suffix = os.path.splitext(self.url)[1].lower()
        try:
            with open_bytes(self.url) as raw:
                pieces = _pieces(raw, suffix, self.size, lambda: self.room)
                yield from self._bounded(raw, pieces) if suffix in COMPRESSED else pieces
        except DataError:
            raise
        except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, ZstdError) as error:
            if "too much memory" in str(error):
                raise DataError(
                    f"{self.url}: made with a zstd window above {MAX_WINDOW >> 20} MB; pack it anew"
                ) from error
            self.damage = str(error)
        except Exception as error:
            raise unreadable(self.url, error) from error

    def _bounded(self, raw: IO[bytes], pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The pieces until they are too much for what was read of the file."""
        made = 0
        for piece in pieces:
            made += len(piece)
            excess = made - max(EXPANDED, self.expansion * raw.tell())
            if excess > 0:
                self.damage = f"expands more than {self.expansion} times (max_expansion)"
                yield piece[:-excess]
                return
            yield piece


Room = Callable[[], memoryview | None]


def _pieces(raw: IO[bytes], suffix: str, size: int, room: Room) -> Iterator[bytes]:
    if suffix not in COMPRESSED:
        while data := raw.read(size):
            yield data
        return
    if suffix == ".zst":
        yield from _zstd(raw)
        return
    begin = raw.tell()
    yield from _gzip(raw, size, room) if suffix == ".gz" else _read(lzma.LZMAFile(raw), size)  # noqa: SIM115
    if raw.tell() == begin:
        raise EOFError("the archive is empty")


def _read(reader: gzip.GzipFile | lzma.LZMAFile, size: int) -> Iterator[bytes]:
    with reader:
        while data := reader.read1(size):
            yield data


def _read_into(reader: gzip.GzipFile, size: int, room: Room) -> Iterator[bytes]:
    buffer = getattr(reader, "_buffer", reader)  # reading into memory, a GzipFile itself copies
    with reader:
        while data := reader.read1(size) if (at := room()) is None else at[: buffer.readinto1(at)]:
            yield data  # type: ignore[misc]  # with a room it is a part of that


def _gzip(raw: IO[bytes], size: int, room: Room) -> Iterator[bytes]:
    """By zlib-ng; what it cannot read is left to zlib, which is slower but gives more of what is before the damage."""
    from zlib_ng import gzip_ng, zlib_ng

    begin, made = raw.tell(), 0
    try:
        for data in _read_into(gzip_ng.GzipNGFile(fileobj=raw), size, room):
            made += len(data)
            yield data
    except (EOFError, gzip.BadGzipFile, zlib_ng.error):  # type: ignore[misc]
        raw.seek(begin)
        for data in _read(gzip.GzipFile(fileobj=raw), PIECE):
            if made < len(data):
                yield data[made:]
            made -= min(made, len(data))


def _zstd(raw: IO[bytes]) -> Iterator[bytes]:
    """Frames one after another. Little is fed at a time where the data expands much, so that memory stays bounded."""
    from zstandard import ZstdDecompressor

    head = raw.read(8)
    dictionary = _dictionary(raw, head)
    decompressor = ZstdDecompressor(dict_data=dictionary, max_window_size=MAX_WINDOW)
    frame, feed, is_empty = None, 1 << 12, not head
    rest = b"" if dictionary else head
    while data := rest + raw.read(feed):
        made, rest = 0, b""
        while data:
            frame = frame or decompressor.decompressobj()
            piece = frame.decompress(data)
            made += len(piece)
            yield piece
            data = frame.unused_data if frame.eof else b""
            frame = None if frame.eof else frame
        feed = max(feed >> 1, 1 << 10) if made > PIECE else min(feed << 1, 1 << 15)
    if frame is not None or is_empty:
        raise EOFError("the archive is empty" if is_empty else "the last frame is incomplete")


def _dictionary(raw: IO[bytes], head: bytes) -> Any:
    """The dictionary that a .warc.zst begins with, as the IIPC's proposal has it: in a frame that decoders skip."""
    from zstandard import ZstdCompressionDict, ZstdDecompressor, ZstdError

    if head[:4] != DICTIONARY:
        return None
    size = int.from_bytes(head[4:], "little")
    if size > MAX_DICTIONARY:
        raise ZstdError(f"a dictionary of {size} bytes is larger than {MAX_DICTIONARY}")
    data = raw.read(size)
    if len(data) < size:
        raise EOFError("the dictionary is incomplete")
    if data.startswith(b"\x28\xb5\x2f\xfd"):
        data = ZstdDecompressor().decompress(data, max_output_size=MAX_DICTIONARY)
    return ZstdCompressionDict(data)


LineEnds = Callable[[np.ndarray], np.ndarray]  # uint8 -> positions of the line feeds


def _line_ends(data: np.ndarray) -> np.ndarray:
    return np.flatnonzero(data == 10)


class Block(NamedTuple):
    """Whole lines of a text file: the number of the first one, their bytes, the positions of the line ends in them."""

    line: int
    data: memoryview
    ends: np.ndarray


class Blocks:
    """A stream cut into blocks of whole lines, as many as fit in `size` bytes; a longer line is a block of its own.

    A line that is longer than `limit` comes out cut, but longer than `limit` still. Where the archive is damaged the
    incomplete last line is not part of any block but in `rest`. `line` is the number of lines so far.
    """

    def __init__(self, stream: Stream, size: int, limit: int, line_ends: LineEnds | None = None) -> None:
        self.stream, self.size, self.limit, self.line_ends = stream, size, limit, line_ends or _line_ends
        self.longest = limit + 1 + len(BOM)
        self.line = 0
        self.rest = bytearray()

    def __iter__(self) -> Iterator[Block]:
        held = bytearray()
        wanted, overlong = self.size, False
        for piece in self.stream:
            if overlong:
                at = piece.find(b"\n")
                if at < 0:
                    continue
                piece, overlong = piece[at:], False
            held += piece
            if len(held) >= wanted:
                yield from self._cut(held)
                overlong = len(self.rest) >= max(self.size, self.longest)
                held = self.rest[: self.longest] if overlong else self.rest
                wanted = max(self.size, min(2 * len(held), self.longest + PIECE))
        yield from self._cut(held)
        yield from self._last()

    def _cut(self, data: bytearray) -> Iterator[Block]:
        self.rest, start = bytearray(), 0
        while len(data) - start >= self.size:
            end = data.rfind(b"\n", start, start + self.size) + 1 or data.find(b"\n", start + self.size) + 1
            if not end:
                break
            yield self._block(memoryview(data)[start:end].toreadonly())
            start = end
        self.rest = data[start:]

    def _last(self) -> Iterator[Block]:
        end = self.rest.rfind(b"\n") + 1 if self.stream.damage else len(self.rest)
        data, self.rest = memoryview(self.rest)[:end].toreadonly(), self.rest[end:]
        if data:
            yield self._block(data)

    def _block(self, data: memoryview) -> Block:
        if self.line == 0 and data[:3] == BOM:
            data = data[3:]
        ends = self.line_ends(np.frombuffer(data, np.uint8))
        if not len(ends) or ends[-1] != len(data) - 1:
            ends = np.append(ends, len(data))
        block = Block(self.line, data, ends)
        self.line += len(ends)
        return block
