"""Runs an extractor of text from HTML in a process of its own, so that a hostile page costs itself and nothing else.

The same file is that process's program: it imports the extractor and the standard library, nothing of curate.
"""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

HEAD = struct.Struct("<cI")  # status, bytes of text
COUNT = struct.Struct("<I")
GOOD, EMPTY, FAILED = b"g", b"e", b"f"
AT_ONCE = 32
MEMORY = 4 << 30  # of address space; a page that needs more fails alone
STARTED = b"started\n"


class Extractor:
    """An extractor in a child process: started on first use, and anew after a page that killed it.

    name      resiliparse or trafilatura
    options   what `load` takes for it
    seconds   of processor time for one page
    """

    def __init__(self, name: str, options: dict[str, Any], seconds: float) -> None:
        self.command = [sys.executable, "-P", os.path.abspath(__file__), name, repr(options), repr(seconds)]
        self.child: subprocess.Popen[bytes] | None = None
        self.lock = threading.Lock()

    def __call__(self, pages: Sequence[bytes]) -> list[tuple[bytes, str]]:
        """For each page its text, or an empty one and why: `empty`, `error`, `time` or `crash`."""
        found: list[tuple[bytes, str]] = []
        with self.lock:
            while len(found) < len(pages):
                found += self._some(pages[len(found) : len(found) + AT_ONCE])
        return found

    def _some(self, pages: Sequence[bytes]) -> Iterator[tuple[bytes, str]]:
        """The answers to pages; the last of them is about the page that killed the child, if one did."""
        child = self.child = self.child or self._start()
        assert child.stdin and child.stdout
        lengths = struct.pack(f"<{len(pages)}I", *(len(page) for page in pages))
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(COUNT.pack(len(pages)) + lengths + b"".join(pages))
            child.stdin.flush()
        for _ in pages:
            head = child.stdout.read(HEAD.size)
            status, size = HEAD.unpack(head) if len(head) == HEAD.size else (b"", 0)
            text = child.stdout.read(size)
            if not status or len(text) < size:
                yield b"", self._why_dead()
                return
            yield text, {GOOD: "", EMPTY: "empty", FAILED: "error"}[status]

    def _start(self) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(place for place in sys.path if place)
        environment = os.environ | {"PYTHONPATH": path}
        child = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
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


# ---------------------------------------------------------------- in the child


def load(name: str, options: dict[str, Any]) -> Callable[[str], str | None]:
    """The extractor as a function of a page."""
    if name == "resiliparse":
        from resiliparse.extract.html2text import extract_plain_text

        return lambda page: extract_plain_text(page, **options)
    import logging

    from trafilatura import extract

    logging.disable(logging.CRITICAL)  # it reports every page that it can't read
    return lambda page: extract(page, **options)


def serve(requests: IO[bytes], answers: IO[bytes], extract: Callable[[str], str | None], seconds: float) -> None:
    """Answer until there are no more requests. A page that takes too long ends the process: no code of ours may be
    running to be told."""
    while len(count := requests.read(COUNT.size)) == COUNT.size:
        lengths = struct.unpack(f"<{COUNT.unpack(count)[0]}I", requests.read(4 * COUNT.unpack(count)[0]))
        for page in [requests.read(length) for length in lengths]:
            signal.setitimer(signal.ITIMER_PROF, seconds)
            try:
                text = (extract(page.decode("utf-8", "replace")) or "").encode("utf-8", "replace")
                status = GOOD if text else EMPTY
            except Exception:  # whatever an extractor raises is about this page
                text, status = b"", FAILED
            signal.setitimer(signal.ITIMER_PROF, 0)
            answers.write(HEAD.pack(status, len(text)) + text)
            answers.flush()


def main(name: str, options: str, seconds: str) -> None:
    import ast
    import resource

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this by closing its pipe
    extract = load(name, ast.literal_eval(options))
    extract("<p>warm</p>")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the answers
    answers.write(STARTED)
    answers.flush()
    serve(sys.stdin.buffer, answers, extract, float(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
