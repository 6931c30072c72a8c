"""Reads source trees and git checkouts: each file whose name tells a language is a document."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa

from curate.io import files
from curate.io.checkout import language_of
from curate.io.columns import typed_schema, wanted
from curate.io.source import BadRecord, Shard, Source
from curate.io.stream import name_of

LICENCES = pa.list_(pa.string())
FIELDS = pa.schema([*files.FIELDS, ("code_language", pa.string()), ("license_files", LICENCES)])


def shard_schema(source: Source, shard: Shard) -> tuple[pa.Schema, bool]:
    """Beside what every file has: its language, and the paths of the licence files nearest above it."""
    return typed_schema(FIELDS, source, shard), True


def rows(
    shard: Shard,
    source: Source,
    schema: pa.Schema,
    batch_bytes: int,
    quarantine: Callable[[BadRecord], None],
    needed: set[str] | None = None,
    skip: np.ndarray | None = None,
) -> Iterator[pa.RecordBatch]:
    """The documents that are valid UTF-8."""
    end = shard.paths.index("")
    licences = _by_folder([name_of(path, shard.root) for path in shard.paths[end + 1 :]])
    more: files.Makers = {
        "code_language": lambda names: pa.array(map(language_of, names.to_pylist()), pa.string()),
        "license_files": lambda names: pa.array([_nearest(name, licences) for name in names.to_pylist()], LICENCES),
    }
    out = wanted(schema, needed)
    yield from files.documents(FIELDS, shard.paths[:end], more, shard, source, out, batch_bytes, quarantine, skip)


def _by_folder(names: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(name.rpartition("/")[0], []).append(name)
    return found


def _nearest(name: str, licences: dict[str, list[str]]) -> list[str] | None:
    """The licence files in the nearest folder above that has any.

    >>> _nearest("a/b/c.py", {"": ["LICENSE"], "a": ["a/COPYING"]}), _nearest("x.py", {"a": ["a/COPYING"]})
    (['a/COPYING'], None)
    """
    folder = name
    while folder:
        folder = folder.rpartition("/")[0]
        if folder in licences:
            return licences[folder]
    return None
