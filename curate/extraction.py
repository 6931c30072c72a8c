"""Runs an extractor of text from HTML in a process of its own, so that a hostile page costs itself and nothing else.

The same file is that process's program: it imports the extractor and the standard library, nothing of curate.
"""

from __future__ import annotations

import bisect
import contextlib
import itertools
import mmap
import os
import signal
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

COUNT = struct.Struct("<I")
HEAD = struct.Struct("<cI")  # status, bytes of text
GOOD, EMPTY, FAILED, NONE = b"g", b"e", b"f", b"\0"
DONE = b"."
AT_ONCE = 32
BYTES_AT_ONCE = 8 << 20
HEADS = AT_ONCE * HEAD.size
MEMORY = 4 << 30  # of address space; a page that needs more fails alone
# Of the C library: that it takes the memory of one page for the next, instead of new memory from the system.
REUSED = {"MALLOC_MMAP_THRESHOLD_": str(1 << 25), "MALLOC_TRIM_THRESHOLD_": str(1 << 26)}
STARTED = b"started\n"


class Extractor:
    """An extractor in a child process: started on first use, and anew after a page that killed it.

    Pages and texts go through memory that both have, so that what a child has answered outlives it.

    name      resiliparse or trafilatura
    options   what `load` takes for it
    seconds   of processor time for one page
    """

    def __init__(self, name: str, options: dict[str, Any], seconds: float) -> None:
        self.pages, self.answers = _memory(), _memory()
        files = [str(one.fileno()) for one in (self.pages, self.answers)]
        self.command = [sys.executable, "-P", os.path.abspath(__file__), name, repr(options), repr(seconds), *files]
        self.child: subprocess.Popen[bytes] | None = None
        self.lock = threading.Lock()

    def __call__(self, data: memoryview, offsets: Sequence[int]) -> list[tuple[bytes, str]]:
        """For each page of `data` its text, or an empty one and why: `empty`, `error`, `time` or `crash`."""
        found: list[tuple[bytes, str]] = []
        with self.lock:
            while len(found) < len(offsets) - 1:
                found += self._some(data, offsets[len(found) : len(found) + AT_ONCE + 1])
        return found

    def _some(self, data: memoryview, offsets: Sequence[int]) -> Iterator[tuple[bytes, str]]:
        """The answers to the first pages; the last of them is about the page that killed the child, if one did."""
        count = max(1, bisect.bisect_right(offsets, offsets[0] + BYTES_AT_ONCE) - 1)
        lengths = [end - begin for begin, end in itertools.pairwise(offsets[: count + 1])]
        _write(self.pages, data[offsets[0] : offsets[count]], 0)
        _write(self.answers, bytes(HEADS), 0)
        is_whole = self._ask(struct.pack(f"<{1 + count}I", count, *lengths))
        at = HEADS
        for head in HEAD.iter_unpack(os.pread(self.answers.fileno(), HEAD.size * count, 0)):
            status, size = head
            if status == NONE:
                break
            yield _read(self.answers, size, at), {GOOD: "", EMPTY: "empty", FAILED: "error"}[status]
            at += size
        if not is_whole:
            yield b"", self._why_dead()

    def _ask(self, request: bytes) -> bool:
        """Whether the child has come to the end of it."""
        child = self.child = self.child or self._start()
        assert child.stdin and child.stdout
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(request)
            child.stdin.flush()
        return child.stdout.read(len(DONE)) == DONE

    def _start(self) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(place for place in sys.path if place)
        environment = REUSED | os.environ | {"PYTHONPATH": path}
        files = self.pages.fileno(), self.answers.fileno()
        child = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, pass_fds=files
        )
        assert child.stdout
        if child.stdout.readline() != STARTED:
            raise RuntimeError(f"the extractor could not be started (it ended with code {child.wait()})")
        return child

    def _why_dead(self) -> str:
        child, self.child = self.child, None
        assert child and child.stdin and child.stdout
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
        child.stdout.close()
        return "time" if child.wait() == -signal.SIGPROF else "crash"

    def close(self) -> None:
        if self.child:
            self._why_dead()


def _memory() -> IO[bytes]:
    """A file without a name, in memory where the system can do that."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("curate"), "r+b", buffering=0)
    return tempfile.TemporaryFile(buffering=0)


def _write(file: IO[bytes], data: memoryview | bytes, at: int) -> None:
    while data:
        written = os.pwrite(file.fileno(), data, at)
        data, at = data[written:], at + written


def _read(file: IO[bytes], size: int, at: int) -> bytes:
    found = os.pread(file.fileno(), size, at)
    while len(found) < size:
        found += os.pread(file.fileno(), size - len(found), at + len(found))
    return found


# ---------------------------------------------------------------- in the child


Extract = Callable[[str], str | None]


def load(name: str, options: dict[str, Any]) -> Extract:
    """The extractor as a function of a page."""
    if name == "resiliparse":
        from resiliparse.extract.html2text import extract_plain_text

        return lambda page: extract_plain_text(page, **options)
    import logging

    from trafilatura import extract

    logging.disable(logging.CRITICAL)  # it reports every page that it can't read
    return lambda page: extract(page, **options)


def serve(
    requests: IO[bytes], done: IO[bytes], files: tuple[IO[bytes], IO[bytes]], extract: Extract, seconds: float
) -> None:
    """Answer until there are no more requests. A page that takes too long ends the process: no code of ours may be
    running to be told."""
    pages, answers = files
    data = memoryview(b"")
    while len(count := requests.read(COUNT.size)) == COUNT.size:
        lengths = struct.unpack(f"<{COUNT.unpack(count)[0]}I", requests.read(4 * COUNT.unpack(count)[0]))
        if sum(lengths) > len(data):
            data = memoryview(mmap.mmap(pages.fileno(), 0, access=mmap.ACCESS_READ))
        begin, at = 0, HEADS
        for number, length in enumerate(lengths):
            signal.setitimer(signal.ITIMER_PROF, seconds)
            try:
                page = str(data[begin : begin + length], "utf-8", "replace")
                text = (extract(page) or "").encode("utf-8", "replace")
                status = GOOD if text else EMPTY
            except Exception:  # whatever an extractor raises is about this page
                text, status = b"", FAILED
            signal.setitimer(signal.ITIMER_PROF, 0)
            _write(answers, text, at)
            _write(answers, HEAD.pack(status, len(text)), number * HEAD.size)
            begin, at = begin + length, at + len(text)
        done.write(DONE)
        done.flush()


def main(name: str, options: str, seconds: str, pages: str, answers: str) -> None:
    import ast
    import resource

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this by closing its pipe
    extract = load(name, ast.literal_eval(options))
    extract("<p>warm</p>")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    done = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the answers
    done.write(STARTED)
    done.flush()
    with os.fdopen(int(pages), "rb") as asked, os.fdopen(int(answers), "r+b", buffering=0) as answered:
        serve(sys.stdin.buffer, done, (asked, answered), extract, float(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
