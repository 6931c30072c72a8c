"""Unicode 15.0 for the kernels: classes of code points, lower case and canonical decomposition (NFD) over UTF-8.

The tables are pinned in `unicode-15.0.npz`, so results do not depend on the version of Python that runs. `build`
made them: run this file with a Python whose `unicodedata` is of that version (3.12) to make them again.
"""

from __future__ import annotations

import itertools
import string
import sys
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

VERSION = "15.0"
FILE = Path(__file__).parent / f"unicode-{VERSION}.npz"

# Classes of a code point. The first seven are also flags of a word in which such a character occurs.
WORD, ALPHA, UPPER, OTHER_CASE, NUMERIC, CASED, WIDE = (1 << k for k in range(7))
WORD_FLAGS = 0x7F
IGNORABLE, SPACE, PUNCTUATION, ASCII_PUNCTUATION, REWRITTEN, ASSIGNED = (1 << k for k in range(7, 13))

SIGMA, FINAL_SIGMA, SMALL_SIGMA = 0x3A3, 0x3C2, 0x3C3
HANGUL, HANGUL_END = 0xAC00, 0xAC00 + 11172  # syllables are decomposed by arithmetic


class Tables(NamedTuple):
    """Properties by code point: entry `page[cp >> 8] << 8 | cp & 255` of `classes`, `combining` and `fold`."""

    page: np.ndarray  # uint16[0x2000], more than the 0x1100 in use: any four bytes stay within it
    classes: np.ndarray  # uint16
    combining: np.ndarray  # uint8, the canonical combining class
    fold: np.ndarray  # uint16, 0 where NFD(lower(c)) is c (and for Hangul), else k
    fold_bytes: np.ndarray  # uint64[mappings, 2], UTF-8 of the k-th mapping, little-endian
    fold_size: np.ndarray  # uint8, its bytes
    fold_ranks: np.ndarray  # uint8[mappings, 2], the combining classes of its first and its last code point


def classes_of(char: str) -> int:
    """The classes of one character by the running Python.

    >>> classes_of("A") == WORD | ALPHA | UPPER | CASED | REWRITTEN | ASSIGNED
    True
    """
    # Cased and Case_Ignorable are not exposed by Python, but the rule of the final sigma shows them.
    ignorable = ("A" + char + "Σ").lower().endswith("ς") and not (char + "Σ").lower().endswith("ς")
    folded = unicodedata.normalize("NFD", char.lower())
    properties = {
        WORD: char.isalnum() or char == "_",
        ALPHA: char.isalpha(),
        UPPER: char.isupper(),
        OTHER_CASE: char.islower() or (char.istitle() and not char.isupper()),
        NUMERIC: char.isnumeric(),
        CASED: (char + "Σ").lower().endswith("ς"),
        IGNORABLE: ignorable,
        WIDE: ord(char) >= 0x80,
        SPACE: char.isspace(),
        PUNCTUATION: unicodedata.category(char).startswith("P"),
        ASCII_PUNCTUATION: char in string.punctuation,
        REWRITTEN: folded != char or unicodedata.combining(char) > 0,
        ASSIGNED: unicodedata.category(char) != "Cn",
    }
    return sum(bit for bit, holds in properties.items() if holds)


def build() -> dict[str, np.ndarray]:
    """The tables by the running Python, as stored in the file: of `Tables` those by code point, `page` only as long as
    in use; and the mappings, the k-th of which is the code points fold_to[fold_at[k]:fold_at[k + 1]]."""
    size = 0x110000
    classes, combining, fold = (np.zeros(size, kind) for kind in (np.uint16, np.uint8, np.uint16))
    mappings: dict[str, int] = {"": 0}
    for point in range(size):
        if 0xD800 <= point < 0xE000:
            continue
        char = chr(point)
        classes[point] = classes_of(char)
        combining[point] = unicodedata.combining(char)
        folded = unicodedata.normalize("NFD", char.lower())
        if folded != char and not HANGUL <= point < HANGUL_END:
            fold[point] = mappings.setdefault(folded, len(mappings))
    columns = np.stack([classes, combining, fold], axis=1).astype(np.uint16).reshape(-1, 256 * 3)
    pages, page = np.unique(columns, axis=0, return_inverse=True)
    pages = pages.reshape(-1, 3)
    return {
        "page": page.astype(np.uint16),
        "classes": pages[:, 0].copy(),
        "combining": pages[:, 1].astype(np.uint8),
        "fold": pages[:, 2].copy(),
        "fold_at": np.cumsum([0, *map(len, mappings)]).astype(np.int32),
        "fold_to": np.array([ord(char) for folded in mappings for char in folded], np.int32),
    }


@cache
def tables() -> Tables:
    """The pinned tables, loaded once."""
    with np.load(FILE) as stored:
        arrays: dict[str, Any] = dict(stored)
    page = np.zeros(0x2000, np.uint16)
    page[: len(arrays["page"])] = arrays["page"]
    page[len(arrays["page"]) :] = arrays["page"][0x10FF]  # beyond Unicode: nothing is assigned there
    at, points = arrays.pop("fold_at"), arrays.pop("fold_to")
    mappings = ["".join(map(chr, points[begin:end])).encode() for begin, end in itertools.pairwise(at)]
    ends = np.stack([points[at[:-1].clip(max=len(points) - 1)], points[at[1:] - 1]], axis=1)
    ranks = arrays["combining"][page[ends >> 8].astype(np.int64) << 8 | ends & 255]
    padded = np.frombuffer(b"".join(mapping.ljust(16, b"\0") for mapping in mappings), np.uint64).reshape(-1, 2)
    sizes = np.array([*map(len, mappings)], np.uint8)
    return Tables(**arrays | {"page": page, "fold_bytes": padded, "fold_size": sizes, "fold_ranks": ranks})


if __name__ == "__main__":
    if not unicodedata.unidata_version.startswith(VERSION):
        sys.exit(f"these tables are of Unicode {VERSION}, this Python has {unicodedata.unidata_version}")
    np.savez_compressed(FILE, **build())  # type: ignore[arg-type]
