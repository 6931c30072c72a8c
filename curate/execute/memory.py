"""How a process that does tasks treats its memory."""

from __future__ import annotations

import ctypes
import functools

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of mallopt, in malloc.h of glibc
KEPT = 1 << 28  # bytes that are free and not given back
LARGEST = 1 << 25  # bytes of a piece of them; glibc takes no more


@functools.cache
def reuse() -> None:
    """From now on the memory of one batch serves the next, instead of new memory: a twentieth of a run is its zeroing.

    By glibc, where this process has it. What NumPy and Python ask for comes from there; Arrow has an allocator of its
    own.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(TRIM_THRESHOLD, KEPT)
        mallopt(MMAP_THRESHOLD, LARGEST)
