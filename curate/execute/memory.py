"""How a process that does tasks treats its memory."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
from pathlib import Path

import pyarrow as pa

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of mallopt, in malloc.h of glibc
KEPT, LITTLE = 1 << 28, 1 << 24  # bytes that are free and not given back
LARGEST, MIDDLING = 1 << 25, 1 << 22  # bytes of a piece of them; glibc takes no more than the first


@functools.lru_cache(maxsize=1)  # what is so already need not be said again
def treat(in_batches: bool) -> None:
    """For work in batches: from now on the memory of one batch serves the next, instead of new memory, whose zeroing is
    a twentieth of a run. For other work only small pieces of it, because it takes as much memory as the config allows.

    By glibc, where this process has it: what NumPy and Python ask for comes from there, and Arrow is told to.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(TRIM_THRESHOLD, KEPT if in_batches else LITTLE)
        mallopt(MMAP_THRESHOLD, LARGEST if in_batches else MIDDLING)


def machine() -> int:
    """Bytes of memory that the machine has; more than any, where the system does not say."""
    if not hasattr(os, "sysconf"):
        return 1 << 62
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def let_go(path: Path, first: int = 0, length: int = 0) -> None:
    """Tell the system that what it keeps of a file in memory (from a byte on; all the rest if no length is given) can
    serve others: what is not read again soon, of much. To fill memory that was never used may cost ten times as much as
    to read a file. Nothing depends on it, so that a system which knows no such advice is as good.
    """
    if not hasattr(os, "posix_fadvise"):
        return
    with contextlib.suppress(OSError), path.open("rb") as file:
        os.posix_fadvise(file.fileno(), first, length, os.POSIX_FADV_DONTNEED)
