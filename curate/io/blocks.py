"""Streams cut at line ends."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from curate.io.stream import PIECE, Inflow, Stream

BOM = b"\xef\xbb\xbf"
LINE_END = re.compile(b"\n")
LineEnds = Callable[[np.ndarray], np.ndarray]  # uint8 -> positions of the line feeds


def _line_ends(data: np.ndarray) -> np.ndarray:
    return np.flatnonzero(data == 10)


class Block(NamedTuple):
    """Whole lines of a text file: the number of the first one, their bytes, the positions of the line ends in them.

    The memory of the bytes is used again for the next block.
    """

    line: int
    data: memoryview
    ends: np.ndarray


class Blocks(Inflow):
    """A stream cut into blocks of whole lines, as many as fit in `size` bytes; a longer line is a block of its own.

    A line that is longer than `limit` comes out cut, but longer than `limit` still. Where the archive is damaged the
    incomplete last line is not part of any block but in `rest`. `line` is the number of lines so far.
    """

    def __init__(self, stream: Stream, size: int, limit: int, line_ends: LineEnds | None = None) -> None:
        super().__init__(stream, size + PIECE)
        self.stream, self.size, self.line_ends = stream, size, line_ends or _line_ends
        self.longest = max(size, limit + 1 + len(BOM))
        self.line = 0
        self.rest = b""

    def __iter__(self) -> Iterator[Block]:
        while self.fill(self.size):
            ends = self.line_ends(np.frombuffer(self.data[self.at : self.at + self.size], np.uint8))
            if len(ends):
                yield self._block(int(ends[-1]) + 1, ends)
            elif length := self._long_line():
                yield self._block(length, np.array([length - 1]))
            else:
                break
        yield from self._last()

    def _long_line(self) -> int:
        """The length of a line of more than `size` bytes, when all of it has come; 0 where the stream ends in it."""
        seen = self.size
        while True:
            found, longest = LINE_END.search(self.data, self.at + seen), self.at + self.longest
            end = found.start() if found else len(self.data)
            if end > longest:
                self.cut(longest, end)
            seen = min(end, longest) - self.at
            if found:
                return seen + 1
            if not self.fill(seen + 1):
                return 0

    def _last(self) -> Iterator[Block]:
        data = self.data[self.at :]
        ends = self.line_ends(np.frombuffer(data, np.uint8))
        lines = int(ends[-1]) + 1 if len(ends) else 0
        whole = lines if self.stream.damage else len(data)
        self.rest = bytes(data[whole:])
        if whole:
            yield self._block(whole, ends if whole == lines else np.append(ends, whole))

    def _block(self, length: int, ends: np.ndarray) -> Block:
        """The next bytes, which are lines with these ends."""
        data, self.at = self.data[self.at : self.at + length], self.at + length
        if self.line == 0 and data[:3] == BOM:
            data, ends = data[3:], ends - 3
        block = Block(self.line, data, ends)
        self.line += len(ends)
        return block
