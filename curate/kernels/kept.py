"""Arrays that take long to make: kept beside the compiled kernels, and mapped into memory by later processes.

A file is the SHA-256 of all that follows, in hexadecimal, then the arrays, each as NumPy's .npy with zeros up to a
multiple of 64 bytes. What is damaged is made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import mmap
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from curate.kernels.jit import cache_folder
from curate.kernels.text import read_only

ALIGNED = 64  # bytes; as many as the digest has


def kept(name: str, make: Callable[[], Sequence[np.ndarray]]) -> list[np.ndarray]:
    """The arrays of this name, which cannot be written to; made where no file has them.

    What they are made from belongs into the name; the code of the kernels is in that of the folder.
    """
    folder = cache_folder()
    path = folder / f"{name}.arrays" if folder else None
    if path:
        with contextlib.suppress(OSError, ValueError):
            return _read(path)
    arrays = [read_only(np.asarray(array, order="C")) for array in make()]
    if path:
        with contextlib.suppress(OSError):  # a full disk: this process has them all the same
            _write(path, arrays)
    return arrays


def _write(path: Path, arrays: Sequence[np.ndarray]) -> None:
    """The file appears whole or not at all."""
    body = io.BytesIO()
    for array in arrays:
        np.lib.format.write_array(body, array, version=(1, 0), allow_pickle=False)
        body.write(bytes(-body.tell() % ALIGNED))
    content = body.getbuffer()
    number, unfinished = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(hashlib.sha256(content).hexdigest().encode())
            file.write(content)
        os.replace(unfinished, path)
    except BaseException:
        os.unlink(unfinished)
        raise


def _read(path: Path) -> list[np.ndarray]:
    """The arrays of a file, where they lie. Raises ValueError for one that is not whole."""
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if hashlib.sha256(memoryview(data)[ALIGNED:]).hexdigest().encode() != data[:ALIGNED]:
        raise ValueError(f"{path} is damaged")
    data.seek(ALIGNED)
    arrays = []
    while data.tell() < len(data):
        np.lib.format.read_magic(data)
        shape, _, kind = np.lib.format.read_array_header_1_0(data)
        arrays.append(np.ndarray(shape, kind, data, data.tell()))
        end = data.tell() + arrays[-1].nbytes
        data.seek(end + -end % ALIGNED)
    return arrays
