"""fastText models (Joulin et al. 2016): files read with care, held once per process, trained to the same bytes."""

from __future__ import annotations

import functools
import hashlib
import mmap
import os
import struct
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from curate.errors import PlanError

MAGIC, VERSIONS = 793712314, (11, 12)
LARGEST = 16 << 30  # bytes of a model file
KINDS = {1: "cbow", 2: "skipgram", 3: "supervised"}
LABEL = "__label__"


class Header(NamedTuple):
    """What a model file says of itself."""

    kind: str
    dim: int
    words: int
    labels: tuple[str, ...]


class _Reader:
    """Reads numbers from a file that may end too early."""

    def __init__(self, data: mmap.mmap):
        self.data, self.at = data, 0

    def numbers(self, form: str) -> tuple[Any, ...]:
        kind = struct.Struct("<" + form)
        at = self.at
        self.skip(kind.size)
        return kind.unpack_from(self.data, at)

    def skip(self, size: int) -> None:
        if size < 0 or self.at + size > len(self.data):
            raise ValueError("it ends too early")
        self.at += size

    def word(self) -> bytes:
        end = self.data.find(b"\0", self.at)
        if end < 0:
            raise ValueError("it ends too early")
        found, self.at = self.data[self.at : end], end + 1
        return found


def read_header(path: str | Path) -> Header:
    """What is in a fastText file (.bin or .ftz), which is looked through to its end without being loaded.

    Raises PlanError for one that is too large, truncated, or no fastText model.
    """
    size = os.path.getsize(path)
    if size > LARGEST:
        raise PlanError(f"{path} has {size / 1e9:,.1f} GB: models of over {LARGEST >> 30} GiB are not read")
    try:
        with Path(path).open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _header(_Reader(data))
    except ValueError as error:
        raise PlanError(
            f"{path} is no whole fastText model ({error}): name a .bin or .ftz file that fastText has written"
        ) from error


def _header(reader: _Reader) -> Header:
    if reader.numbers("i") != (MAGIC,):
        raise ValueError("its first bytes are others")
    (version,) = reader.numbers("i")
    if version not in VERSIONS:
        raise ValueError(f"its version is {version}")
    arguments = reader.numbers("12id")
    size, words, labels, _, pruned = reader.numbers("3i2q")
    names = []
    for at in range(size):
        name = reader.word()
        reader.skip(9)  # a count and a kind
        if at >= words:
            names.append(name.decode())
    reader.skip(8 * max(pruned, 0))
    for _ in range(2):  # the input and the output matrix
        _skip_matrix(reader)
    if reader.at != len(reader.data) or len(names) != labels:
        raise ValueError("it goes on after its end")
    kind = KINDS.get(arguments[7])
    if kind is None:
        raise ValueError(f"it is of kind {arguments[7]}")
    return Header(kind, arguments[0], words, tuple(names))


def _skip_matrix(reader: _Reader) -> None:
    if not reader.numbers("?")[0]:
        rows, columns = reader.numbers("2q")
        return reader.skip(4 * rows * columns)
    has_norms, rows, _, size = reader.numbers("?2qi")
    reader.skip(size)
    _skip_quantizer(reader)
    if has_norms:
        reader.skip(rows)
        _skip_quantizer(reader)


def _skip_quantizer(reader: _Reader) -> None:
    dim, *_ = reader.numbers("4i")
    reader.skip(4 * 256 * dim)


# ---------------------------------------------------------------- loaded models


@functools.lru_cache(maxsize=4)
def load(path: str, changed: int = 0) -> Any:
    """The model in a file, loaded once per process: it does not pickle. `changed`: when the file was last written."""
    import fasttext

    read_header(path)
    return fasttext.load_model(path)


_held: dict[str, Any] = {}


def load_bytes(content: Any, digest: str) -> Any:
    """The model in a buffer, known by its SHA-256; the last few are kept. fastText reads files only: one is made."""
    if digest not in _held:
        with tempfile.TemporaryDirectory(prefix="curate-") as folder:
            path = Path(folder, "model.bin")
            path.write_bytes(content)
            model = load.__wrapped__(str(path))
        while len(_held) >= 4:
            del _held[next(iter(_held))]
        _held[digest] = model
    return _held[digest]


def train(path: str | Path, kind: str, seed: int, settings: Mapping[str, Any]) -> bytes:
    """Train on a file of lines; the bytes of the model. With one thread, which makes them a matter of the seed alone:
    the threads of fastText race for the weights. Raises ValueError when there is nothing to learn from.
    """
    import fasttext

    options = {**settings, "thread": 1, "verbose": 0, "seed": seed}
    if kind == "supervised":
        model = fasttext.train_supervised(str(path), **options)
    else:
        options.pop("seed")  # which its Python does not take here: it is always 0
        model = fasttext.train_unsupervised(str(path), model=kind, **options)
    target = Path(path).with_suffix(".model")
    model.save_model(str(target))
    content = target.read_bytes()
    target.unlink()
    return content


def check_words(path: str | Path, min_count: int) -> None:
    """Raise ValueError unless two words occur often enough: with one, fastText looks for another one for ever."""
    seen: Counter[bytes] = Counter()
    enough: set[bytes] = set()
    with Path(path).open("rb") as lines:
        for line in lines:
            words = [*line.replace(b"\0", b" ").split(), b"</s>"]
            seen.update(words)
            enough |= {word for word in {*words} if seen[word] >= min_count}
            if len(enough) > 1:
                return
    raise ValueError("there are fewer than two words")


def digest(content: Any) -> str:
    return hashlib.sha256(content).hexdigest()


# ---------------------------------------------------------------- predictions and vectors


def vectors(model: Any, lines: list[str]) -> np.ndarray:
    """fastText's vector of each line (which ends in a line feed): float32[lines, dim]."""
    from fasttext.FastText import fasttext as binding

    found = np.empty((len(lines), model.get_dimension()), np.float32)
    vector, get = binding.Vector(found.shape[1]), model.f.getSentenceVector
    for at, line in enumerate(lines):
        get(vector, line)
        found[at] = vector
    return found


def scores(model: Any, lines: list[str], label: str) -> list[float | None]:
    """The probability of a label for each line (which ends in a line feed), 0..1; None where fastText gives none.

    Of two labels only the likelier one is asked for, and the other's is the rest, as in RedPajama.
    """
    labels = model.get_labels()
    name, predict = f"{LABEL}{label}", model.f.predict
    if len(labels) > 2:
        found = ({own: p for p, own in predict(line, -1, 0.0, "strict")}.get(name, 0.0) for line in lines)
        return [min(max(p, 0.0), 1.0) for p in found]
    made: list[float | None] = []
    for line in lines:
        for p, own in predict(line, 1, 0.0, "strict"):
            made.append(min(p, 1.0) if own == name else max(1.0 - p, 0.0))
            break
        else:
            made.append(None)
    return made
