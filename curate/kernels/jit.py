"""Compiles kernels with Numba and keeps the machine code where only this user can write and where it never goes stale.

Numba's own cache looks at the file of a function, not at its callees in other files, and gives up when neither the
package nor HOME can be written; so the folder is chosen here and named after everything the machine code depends on.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numba.core.config
from llvmlite import binding
from numba.core.caching import FunctionCache
from numba.core.runtime import rtsys

config: Any = numba.core.config  # its attributes are made when it is imported
_SOURCES = Path(__file__).parent
UNUSED = 30 * 24 * 3600


def _stamp() -> str:
    """What compiled kernels depend on: their sources, the compiler, its settings and the processor."""
    digest = hashlib.sha256()
    for source in sorted(_SOURCES.glob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    processor = config.CPU_NAME or binding.get_host_cpu_name()
    digest.update(repr((numba.__version__, llvmlite.__version__, processor, config.BOUNDSCHECK)).encode())
    return digest.hexdigest()[:16]


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0


def _roots() -> Iterator[Path]:
    """Where the cache may live, the best place first."""
    if cache_home := os.environ.get("XDG_CACHE_HOME"):
        yield Path(cache_home) / "curate"
    with contextlib.suppress(RuntimeError):  # no HOME and no entry in the password database
        yield Path.home() / ".cache" / "curate"
    yield Path(tempfile.gettempdir()) / f"curate-{_user()}"


def _is_private(folder: Path) -> bool:
    """Whether `folder` is a real folder of this user that nobody else can write: cache files are pickles."""
    status = folder.lstat()
    if os.name != "posix":
        return stat.S_ISDIR(status.st_mode)
    others_write = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(status.st_mode) and status.st_uid == _user() and not others_write


def _forget_others(folder: Path) -> None:
    """Delete what other versions of the kernels left that was not used for UNUSED seconds; note that this one is."""
    os.utime(folder)
    for other in folder.parent.glob("kernels-*"):
        with contextlib.suppress(OSError):
            if time.time() - other.lstat().st_mtime > UNUSED:
                shutil.rmtree(other, ignore_errors=True)


@functools.cache
def cache_folder() -> Path | None:
    """The folder of the compiled kernels (mode 0700), or None where no safe one can be written.

    `XDG_CACHE_HOME`, `~/.cache` and the temporary folder are tried in this order.
    """
    for root in _roots():
        folder = root / f"kernels-{_stamp()}"
        try:
            root.parent.mkdir(parents=True, exist_ok=True)
            root.mkdir(mode=0o700, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
            if _is_private(root) and _is_private(folder):
                tempfile.TemporaryFile(dir=folder).close()
                _forget_others(folder)
                return folder
        except OSError:
            continue
    return None


class Compiled(FunctionCache):
    """Numba's cache of a function, which loads only what machine code needs; what the compiler needs takes 0.2 s."""

    def __init__(self, function: Callable[..., Any], allocates: bool) -> None:
        super().__init__(function)
        self._allocates = allocates

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        if self._allocates:  # it calls Numba's runtime, which is compiled for that
            rtsys.initialize(target_context)
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)


def kernel(
    function: Callable[..., Any] | None = None, /, *, allocates: bool = True, cached: bool = True, **options: Any
) -> Any:
    """Decorator: compile with Numba without the GIL, with C's rules for division, cached in `cache_folder()`.

    With `allocates=False` the kernel cannot make arrays, and pays for no reference counts: those of Numba are atomic,
    and in a loop over words they cost more than the work. Other options are those of `numba.njit`.

    >>> @kernel
    ... def double(x):
    ...     return 2 * x
    >>> double(21)
    42
    """
    if function is None:
        return functools.partial(kernel, allocates=allocates, cached=cached, **options)
    if not allocates:
        options["_nrt"] = False
    made = numba.njit(nogil=True, error_model="numpy", **options)(function)
    folder = cache_folder() if cached and Path(function.__code__.co_filename).exists() else None
    if folder:
        before, config.CACHE_DIR = config.CACHE_DIR, str(folder)
        try:
            made._cache = Compiled(function, allocates)
        finally:
            config.CACHE_DIR = before
    return made


def inner(function: Callable[..., Any]) -> Any:
    """Decorator for what only kernels call, once per word or character: always inlined, allocates nothing."""
    return kernel(function, allocates=False, cached=False, forceinline=True)
