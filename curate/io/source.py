"""Sources of documents: what a recipe declares, the shards it stands for, and their rows as Arrow batches."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from curate.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

Format = Literal[
    "auto", "jsonl", "parquet", "csv", "chat", "files", "code", "dataset", "warc", "wet", "wat", "arc",
    "redpajama-v2", "dolma", "datatrove", "data-juicer",
]  # fmt: skip
ARCHIVES = ("warc", "wet", "wat", "arc")
LAYOUTS = ("redpajama-v2", "dolma")
STATS = ("datatrove", "data-juicer")
MB = 1 << 20


SECRET = re.compile(
    r"://[^/@\s]*:[^/@\s]+@"
    r"|[?&;](?:x-(?:amz|goog)-(?:signature|credential|security-token)|signature|sig|awsaccesskeyid|(?:access_?)?token"
    r"|api_?key|key|secret|password|passwd)=[^&]",
    re.IGNORECASE,
)


def _has_secret(path: str) -> bool:
    """Whether a URL holds what nobody else may see.

    >>> [_has_secret(url) for url in ("https://me:pw@a.org/x", "https://a.org/x?X-Amz-Signature=a", "s3://b/x?part=1")]
    [True, True, False]
    """
    return SECRET.search(path) is not None


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A named input corpus, as the recipe declares it.

    path            a file, a folder, a glob, or a list of them; local, or any URL that fsspec opens
    format          `auto` goes by the suffix: .jsonl .ndjson .json .csv .tsv (plain, .gz, .zst, .xz), .parquet, and
                    folders that `datasets.Dataset.save_to_disk` wrote; web archives .warc, .wet, .wat and .arc (plain
                    or compressed; `.warc.wet.gz` is a WET); `files` makes a document of each file; `code` of each file
                    of a source tree whose name tells a language and that no .gitignore names; `chat` is instruction
                    data, as ShareGPT, Alpaca, OpenAI and Tulu have it, in JSON Lines or one JSON array; `datatrove`
                    and `data-juicer` are their JSON Lines, whose metadata and stats become columns;
                    `redpajama-v2` and `dolma` are folders in the layout of those data sets: `documents` and, where
                    they are there, `quality_signals`, `minhash`, `duplicates` or `attributes`, joined by row
    columns         our column -> the field of the data it is read from; `id`, `text` and `source` need no mention
                    where the data calls them so
    other           what becomes of the other fields: `columns` of their own (for typed data, the default) or one
                    JSON column `metadata` (the default as soon as the source has JSON Lines). JSON Lines with
                    `columns` give a column to each field that is of one simple type in the first 1,000 records;
                    what is left goes to `metadata`, so that nothing is lost
    include         only files whose path below the folder matches one of these globs; a glob without `/` matches names
    exclude         and none of these
    max_file_bytes  for `files` and `code`: larger files are not documents
    records         for web archives: kinds of records that are documents; by default `response` and `resource` of a
                    WARC, `conversion` of a WET, `metadata` of a WAT
    mime            for web archives: media types that are documents, as globs; by default text/html,
                    application/xhtml+xml and text/plain for WARC and ARC, all for WET and WAT
    max_record_bytes  for JSON Lines and web archives: a longer record, also one that gets longer when its content is
                    unpacked, is quarantined
    max_expansion   a compressed file that gives more than 64 MB and more than this many times what it takes on disk is
                    damaged (see `corrupt_archives`)
    reference       the corpus is only there to fit on or to compare with; it is not exported

    >>> Source(path="data/*.jsonl.zst", columns={"text": "content"}).columns
    {'text': 'content'}
    """

    path: str | list[str]
    format: Format = "auto"
    columns: dict[str, str] = {}
    other: Literal["auto", "columns", "metadata"] = "auto"
    include: list[str] = []
    exclude: list[str] = []
    records: list[str] = []
    mime: list[str] = []
    max_file_bytes: int = 64 * MB
    max_record_bytes: int = 256 * MB
    max_expansion: int = 1_000
    reference: bool = False

    def __post_init__(self) -> None:
        paths = [self.path] if isinstance(self.path, str) else self.path
        if not paths or not all(paths):
            raise ValueError("path is empty")
        if any(map(_has_secret, paths)):
            raise ValueError(
                "path holds a password, a token or a signature, and recipes are written beside every result; give it "
                "where fsspec looks for it (the environment, ~/.config/fsspec, ~/.aws, ~/.netrc) and leave it out here"
            )
        mapped = list(self.columns.values())
        twice = next((field for field in mapped if mapped.count(field) > 1), None)
        if twice is not None:
            raise ValueError(f"columns: two columns are read from the field {twice!r}")
        if not 0 < self.max_record_bytes <= 1024 * MB or not 0 < self.max_file_bytes <= 1024 * MB:
            raise ValueError("max_record_bytes and max_file_bytes are between 1 and 1073741824 (1 GB)")
        if self.max_expansion < 2:
            raise ValueError("max_expansion is at least 2")


class Shard(msgspec.Struct, frozen=True):
    """A part of a source that one task reads.

    source   the source's name in the recipe
    name     path below the source's root: the same on other machines, and unique within the source
    root     the folder that names are relative to
    paths    what to open: one file, the many documents of a `files` shard, or a file and those that lie beside it
    format   the source's format, which is not `auto` any more
    other    what becomes of undeclared fields: columns or metadata
    bytes    size as stored
    key      hex digest of the content's identity and of how it is read: same key and same schema, same rows
    stamps   of each path what must not change while it is read; empty where nobody can tell
    """

    source: str
    name: str
    root: str
    paths: tuple[str, ...]
    format: str
    other: str
    bytes: int
    key: str
    stamps: tuple[str, ...] = ()


class BadRecord(msgspec.Struct, frozen=True):
    """A record that could not become a row.

    shard     the shard's name
    position  number of the line, row or file in its shard, from 0
    error     what is wrong
    excerpt   the record's first 200 characters, escaped
    """

    shard: str
    position: int
    error: str
    excerpt: str


def discover(name: str, source: Source, walked: dict[str, list[str]] | None = None) -> list[Shard]:
    """The shards of a source, sorted by name.

    Hidden files (and, of data formats, those that begin with `_`) are passed over, as are the files that `include`,
    `exclude` and `max_file_bytes` leave out. Sources that are discovered with one `walked` list a folder once.

    Raises DataError when nothing matches, with what there is instead, or when a file cannot be read.

    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.jsonl").write_text('{"text": "one"}')
    >>> [shard.name for shard in discover("web", Source(path=str(folder)))]
    ['a.jsonl']
    """
    from curate.io.grouping import shards_of
    from curate.io.listing import Found
    from curate.io.stream import is_local

    parts = shards_of(source, {} if walked is None else walked)
    formats = {part.format for part in parts}
    other = source.other
    if other == "auto":
        other = "metadata" if "jsonl" in formats else "columns"

    def shard(name_of_part: str, format: str, found: Sequence[Found | None]) -> Shard:
        how = [name, name_of_part, format, other, source.columns, source.max_record_bytes]
        how += [source.records, source.mime] if format in ARCHIVES else []
        how += [source.max_expansion] if source.max_expansion != Source(path="x").max_expansion else []
        what = [(file.name, file.bytes, file.stamp) if file else None for file in found]
        key = hashlib.blake2b(msgspec.json.encode([how, what]), digest_size=16).hexdigest()
        paths = tuple(file.path if file else "" for file in found)
        size = sum(file.bytes for file in found if file)
        root = next(file.root for file in found if file)
        stamps = tuple(file.stamp if file and is_local(file.path) else "" for file in found)
        return Shard(name, name_of_part, root, paths, format, other, size, key, stamps)

    shards = []
    while parts:  # of a million files not both what was found and the shards are held
        part = parts.pop()
        shards.append(shard(part.name, part.format, part.files))
    return sorted(shards, key=lambda shard: shard.name)


def schema(source: Source, shards: list[Shard], corrupt: Literal["error", "quarantine"] = "error") -> pa.Schema:
    """The columns of a source's rows, known from the first records of its first shard that has any.

    `id` and `text` come first and are never null, then the declared columns, the others, and `source` last: the
    data's own field of that name or else the source's name. With `corrupt="quarantine"` shards that cannot be opened
    are passed over.

    Raises DataError when the text or a declared column is not there or has a type it cannot have.

    >>> import pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "a.jsonl"
    >>> _ = file.write_text('{"text": "one", "lang": "en"}')
    >>> source = Source(path=str(file), columns={"language": "lang"})
    >>> schema(source, discover("web", source)).names
    ['id', 'text', 'language', 'metadata', 'source']
    """
    first: pa.Schema | None = None
    unread: list[DamagedFile] = []
    for shard in shards:
        try:
            found, has_rows = _reader(shard.format).shard_schema(source, shard)
        except DamagedFile as error:
            if corrupt == "error":
                raise
            unread.append(error)
            continue
        first = first or found
        if has_rows:
            return found
    if first is None:
        raise DataError(f"none of the {len(shards)} shards can be read; the first: {unread[0].reason}")
    return first


def read(
    shard: Shard,
    source: Source,
    schema: pa.Schema,
    batch_bytes: int,
    quarantine: Callable[[BadRecord], None],
    needed: set[str] | None = None,
    skip: np.ndarray | None = None,
    corrupt: Literal["error", "quarantine"] = "error",
) -> Iterator[pa.RecordBatch]:
    """The good rows of a shard in batches of about `batch_bytes`, in order; a larger row is a batch of its own.

    Batches hold the columns of `schema` that are `needed` (all when None). Each bad record goes to `quarantine`; good
    and bad rows are the same whatever is needed. `skip` holds the positions of the shard's bad records as an earlier
    read reported them: then nothing is reported, and Parquet need not read the text to check it.

    An archive that ends early or is damaged gives the records before the damage, then raises DataError; with
    `corrupt="quarantine"` it gives one BadRecord in its place. Damaged pages inside a Parquet file always raise.

    >>> import pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "a.jsonl"
    >>> _ = file.write_text('{"text": "one"}\\n{"text": 2}\\n{"text": "three"}')
    >>> source, bad = Source(path=str(file)), []
    >>> (shard,) = discover("web", source)
    >>> (batch,) = read(shard, source, schema(source, [shard]), 8 * MB, bad.append)
    >>> batch["id"].to_pylist(), batch["text"].to_pylist()
    (['a.jsonl#0', 'a.jsonl#2'], ['one', 'three'])
    >>> bad[0].position, bad[0].error
    (1, "field 'text' is int, expected string")
    """

    def report(bad: BadRecord) -> None:
        if skip is None:
            quarantine(bad)

    _check_unchanged(shard)
    try:
        yield from _reader(shard.format).rows(shard, source, schema, batch_bytes, report, needed, skip)
    except DamagedFile as error:
        if corrupt == "error":
            raise
        report(BadRecord(shard.name, error.position, error.reason, error.excerpt))
    _check_unchanged(shard)


def _check_unchanged(shard: Shard) -> None:
    """Refuse a shard whose files are not those that were listed: its rows would be mixed of two versions."""
    from curate.io.stream import stamp_of, unreadable

    for path, stamp in zip(shard.paths, shard.stamps, strict=False):
        if not stamp:
            continue
        try:
            now = stamp_of(os.stat(path))
        except OSError as error:
            raise unreadable(path, error) from error
        if now != stamp:
            raise DataError(f"{path}: has changed since the run began; run again when it is written no more")


class DamagedFile(DataError):
    """A file that ends early or is not what it should be: where, why, and what was read before."""

    def __init__(self, path: str, reason: str, position: int = 0, excerpt: str = "") -> None:
        self.reason, self.position, self.excerpt = " ".join(reason.split()), position, excerpt
        place = f"after record {position}" if position else "from its start"
        super().__init__(
            f"{path}: damaged {place} ({self.reason}); fetch the file again, or set `corrupt_archives: quarantine` "
            "to go on without the rest of it"
        )


def _reader(format: str):  # type: ignore[no-untyped-def]  # a module with shard_schema() and rows()
    if format == "jsonl":
        from curate.io import jsonl

        return jsonl
    if format == "csv":
        from curate.io import csv

        return csv
    if format == "chat":
        from curate.io import chat

        return chat
    if format == "files":
        from curate.io import files

        return files
    if format == "code":
        from curate.io import code

        return code
    if format in STATS:
        from curate.io import stats

        return stats
    if format in LAYOUTS:
        from curate.io import annotated

        return annotated
    if format in ARCHIVES:
        from curate.io import archive

        return archive
    from curate.io import typed

    return typed
