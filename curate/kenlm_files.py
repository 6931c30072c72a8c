"""Writing n-gram models as KenLM reads them (Heafield 2011): ARPA, and its binary format of probing hash tables."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from curate.language_model import SPECIAL, special_hashes

if TYPE_CHECKING:
    from curate.kernels.kneser_ney import Model

MAGIC = b"mmap lm http://kheafield.com/code format version 5\n\0\0"


def write_arpa(model: Model, words: pa.Array, path: Path) -> None:
    """The model as an ARPA file; `words` are those of its vocabulary after the three special ones."""
    from curate.kernels.ngram_text import Words, lines
    from curate.kernels.text import buffers

    vocabulary = Words(*buffers(pa.concat_arrays([pa.array(SPECIAL), words])))
    counts = np.diff(model.first)
    with path.open("wb") as out:
        out.write(b"\\data\\\n")
        out.writelines(b"ngram %d=%d\n" % (n, count) for n, count in enumerate(counts, 1))
        for n in range(1, model.order + 1):
            out.write(b"\n\\%d-grams:\n" % n)
            for piece in lines(model, vocabulary, n):
                out.write(piece.data)
        out.write(b"\n\\end\\\n")


def write_binary(model: Model, words: pa.Array, hashes: np.ndarray, path: Path) -> None:
    """The model as a binary file, which KenLM maps into memory; `hashes` are MurmurHash64A of the words."""
    from curate.kernels import ngram_text

    counts = np.diff(model.first).tolist()
    hashes = np.concatenate([special_hashes()[1:], hashes])  # <unk> is what is not in the table
    header = _header(counts)
    sizes = [8, 12 * ngram_text.cells(counts[0]), 8 * (counts[0] + 1)]
    sizes += [(12 if n == model.order else 16) * ngram_text.cells(counts[n - 1]) for n in range(2, model.order + 1)]
    with path.open("wb") as out:
        out.write(header)
        out.truncate(len(header) + sum(sizes))
    whole = np.memmap(path, np.uint32, "r+")
    head, vocabulary, unigrams, *tables = np.split(whole[len(header) // 4 :], np.cumsum(sizes)[:-1] // 4)
    head[:] = 0, counts[0]
    ngram_text.fill_words(hashes, 1, vocabulary.view(np.ndarray).reshape(-1, 3))
    unigrams[: 2 * counts[0]] = ngram_text.unigrams(model).reshape(-1)
    for n, table in enumerate(tables, 2):
        ngram_text.fill_ngrams(model, n, table.view(np.ndarray).reshape(-1, 3 if n == model.order else 4))
    whole.flush()
    with path.open("ab") as out:
        for chunk in (pa.array(SPECIAL), words):
            out.write("".join(f"{word}\0" for word in chunk.to_pylist()).encode())


def _header(counts: list[int]) -> bytes:
    """What KenLM checks a file by, and the sizes of its parts."""
    sanity = MAGIC.ljust(-(-len(MAGIC) // 8) * 8, b"\0") + struct.pack("<fffIIIQ", 0.0, 1.0, -0.5, 1, 2**32 - 1, 0, 1)
    probing, has_words, version = 0, True, 0
    fixed = struct.pack("<B3xfI?3xI", len(counts), 1.5, probing, has_words, version)
    header = sanity + fixed + struct.pack(f"<{len(counts)}Q", *counts)
    return header.ljust(-(-len(header) // 8) * 8, b"\0")
