"""Streams of bytes from any place (local or an fsspec URL), decompressed on the way, and the memory they come into."""

from __future__ import annotations

import gzip
import lzma
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import numpy as np
import pyarrow as pa

from curate.errors import DataError

COMPRESSED = (".gz", ".zst", ".xz")
PIECE = 1 << 20
EXPANDED = 1 << 26  # what any archive may give, however small it is
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

    One that expands more than `expansion` times is not. Pieces have `size` bytes or fewer, but for a .zst that is
    damaged or has a dictionary. A reader may set `room`, memory of its own: the next piece of a .gz or .zst is then
    written there, which spares a copy.

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
    begin = raw.tell()
    if suffix == ".xz":
        yield from _read(lzma.LZMAFile(raw), size)  # noqa: SIM115
    else:
        yield from (_gzip if suffix == ".gz" else _zstd)(raw, size, room)
    if raw.tell() == begin:
        raise EOFError("the archive is empty")


def _read(reader: gzip.GzipFile | lzma.LZMAFile, size: int) -> Iterator[bytes]:
    with reader:
        while data := reader.read1(size):
            yield data


def _read_into(read: Callable[[int], bytes], readinto: Callable[[Any], int], size: int, room: Room) -> Iterator[bytes]:
    while data := read(size) if (at := room()) is None else at[: readinto(at)]:
        yield data  # type: ignore[misc]  # with a room it is a part of that


def _gzip(raw: IO[bytes], size: int, room: Room) -> Iterator[bytes]:
    """By zlib-ng; what it cannot read is left to zlib, which is slower but gives more of what is before the damage."""
    from zlib_ng import gzip_ng, zlib_ng

    begin, made = raw.tell(), 0
    try:
        with gzip_ng.GzipNGFile(fileobj=raw) as reader:
            buffer = getattr(reader, "_buffer", reader)  # reading into memory, a GzipFile itself copies
            for data in _read_into(reader.read1, buffer.readinto1, size, room):
                made += len(data)
                yield data
    except (EOFError, gzip.BadGzipFile, zlib_ng.error):  # type: ignore[misc]
        raw.seek(begin)
        yield from _after(made, _read(gzip.GzipFile(fileobj=raw), PIECE))


def _after(made: int, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces from a byte on."""
    for piece in pieces:
        if made < len(piece):
            yield piece[made:]
        made -= min(made, len(piece))


def _zstd(raw: IO[bytes], size: int, room: Room) -> Iterator[bytes]:
    """By Arrow; what it cannot read is left to zstandard, which knows dictionaries and gives what is before damage."""
    begin, made, head = raw.tell(), 0, raw.read(len(DICTIONARY))
    ahead = [head]
    file = SimpleNamespace(read=lambda size: ahead.pop() if ahead else raw.read(size), closed=False, close=lambda: None)
    try:
        if head == DICTIONARY:
            raise OSError("Arrow has no dictionaries")
        reader = pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd")
        for data in _read_into(reader.read, reader.readinto, size, room):
            made += len(data)
            yield data
    except OSError:
        raw.seek(begin)
        yield from _after(made, _frames(raw))


def _frames(raw: IO[bytes]) -> Iterator[bytes]:
    """Frames one after another. Little is fed at a time where the data expands much, so that memory stays bounded."""
    from zstandard import ZstdDecompressor, ZstdError

    head = raw.read(8)
    dictionary = _dictionary(raw, head)
    decompressor = ZstdDecompressor(dict_data=dictionary, max_window_size=MAX_WINDOW)
    frame, begin, feed, is_empty = None, 0, 1 << 12, not head
    rest = b"" if dictionary else head
    while data := rest + raw.read(feed):
        made, rest = 0, b""
        while data:
            if frame is None:
                frame, begin = decompressor.decompressobj(), raw.tell() - len(data)
            try:
                piece = frame.decompress(data)
            except ZstdError:
                yield from _byte_by_byte(raw, decompressor.decompressobj(), begin, raw.tell() - len(data))
                raise
            made += len(piece)
            yield piece
            data = frame.unused_data if frame.eof else b""
            frame = None if frame.eof else frame
        feed = max(feed >> 1, 1 << 10) if made > PIECE else min(feed << 1, 1 << 15)
    if frame is not None or is_empty:
        raise EOFError("the archive is empty" if is_empty else "the last frame is incomplete")


def _byte_by_byte(raw: IO[bytes], frame: Any, begin: int, good: int) -> Iterator[bytes]:
    """What the frame at byte `begin` gives from byte `good` on until it fails, however much was fed to it at a time."""
    raw.seek(begin)
    while raw.tell() < good:
        frame.decompress(raw.read(min(good - raw.tell(), 1 << 10)))
    while data := raw.read(1):
        yield frame.decompress(data)


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


class Inflow:
    """What has come of a stream and is not used yet: `data` from `at` on.

    The memory is used again for what follows, because new memory costs more than looking for records in it: what is
    needed of `data` must be copied before the next `fill`. `least` is how much of it there is at least.
    """

    def __init__(self, pieces: Stream | Iterable[bytes], least: int) -> None:
        self._stream = pieces if isinstance(pieces, Stream) else None
        self._pieces, self._least = iter(pieces), least
        self._memory = memoryview(bytearray())
        self.data, self.at, self.is_over = self._memory.toreadonly(), 0, False
        self._left = memoryview(b"")  # of a piece, what had no room

    def fill(self, count: int) -> bool:
        """Have `count` bytes from `at` on; False when the stream has fewer."""
        held = len(self.data) - self.at
        if held >= count or self.is_over:
            return held >= count
        room = max(self._least, count + count // 4)
        if not room <= len(self._memory) <= 4 * room:
            self._memory = np.empty(room, np.uint8).data  # from 4 MB on, NumPy asks for huge pages
        self._memory[:held] = self.data[self.at :]
        while held < len(self._memory) and not self.is_over:
            held += self._receive(self._memory[held:])
        self.data, self.at = self._memory[:held].toreadonly(), 0
        return held >= count

    def cut(self, begin: int, end: int) -> None:
        """Take some bytes out of `data`."""
        size = len(self.data) - (end - begin)
        self._memory[begin:size] = self.data[end:]
        self.data = self._memory[:size].toreadonly()

    def _receive(self, room: memoryview) -> int:
        """Have more of the stream at the beginning of the room; returns how much."""
        if not self._left:
            if self._stream:
                self._stream.room = room[:PIECE]
            piece = next(self._pieces, None)
            self._left, self.is_over = memoryview(piece or b""), piece is None
        if self._left.obj is room.obj:
            received, self._left = len(self._left), memoryview(b"")
            return received
        received = min(len(self._left), len(room))
        room[:received], self._left = self._left[:received], self._left[received:]
        return received
