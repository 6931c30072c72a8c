"""Groups the files of a source into shards."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from curate.errors import DataError
from curate.io.listing import Found, Walked, accepts, files_at, missing, named
from curate.io.source import ARCHIVES, LAYOUTS, MB, Source
from curate.io.stream import COMPRESSED, is_local

LINES = (".jsonl", ".ndjson", ".json")
TABLES = (".parquet", ".pq")
VALUES = (".csv", ".tsv", ".tab")
STATS_FILE = re.compile(r"(\.(?:jsonl|ndjson|json)(?:\.[a-z]+)?)$", re.IGNORECASE)
BOOKS = (".pdf", ".epub", ".docx", ".doc", ".mobi", ".djvu")
SHARD_BYTES, SHARD_FILES = 16 * MB, 2_000
SMALL_FOLDER = 4 * MB  # folders of documents below this size share shards, by a hash of their names
POOLS = 1, 16, 256  # so many of these


class Part(msgspec.Struct, frozen=True):
    """The files of one shard; None stands for a file of its layout that is not there."""

    name: str
    format: str
    files: Sequence[Found | None]


def shards_of(source: Source, walked: Walked) -> list[Part]:
    """The files of a source, grouped into shards. Raises DataError when there are none."""
    paths = [source.path] if isinstance(source.path, str) else list(source.path)
    accept = accepts(source)
    listed: dict[str, Found] = {}
    chosen: dict[str, Found] = {}
    for path in paths:
        files, is_folder = files_at(path, accept, walked)
        (listed if is_folder else chosen).update({file.path: file for file in files})
    everything, is_chosen = named(listed | chosen), set(chosen)
    listed.clear()
    if source.format == "files":
        parts = _documents([file for file in everything if file.bytes <= source.max_file_bytes])
    elif source.format == "code":
        parts = _source_code([file for file in everything if file.bytes <= source.max_file_bytes], source)
    elif source.format == "data-juicer":
        parts = _beside_stats(everything)
    elif source.format in LAYOUTS:
        parts = _annotated(everything, source.format)
    else:
        parts = _data(everything, is_chosen, source)
    if not parts:
        raise _nothing(paths, source, everything)
    return parts


def _data(files: list[Found], chosen: set[str], source: Source) -> list[Part]:
    """Each data file is a shard. Of a folder only files with a known suffix are taken, and plain .json only where
    there is nothing else: next to data it describes the data."""
    datasets = _dataset_folders(files) if source.format in ("auto", "dataset") else []
    parts = [part for folder in datasets for part in _dataset_parts(folder, files)]
    if source.format == "dataset":
        return parts
    rest = [file for file in files if not any(file.name.startswith(folder) for folder in datasets)]
    listed = [file for file in rest if file.path not in chosen and not _is_private(file.name)]
    known = {file.path: format_of(file.name) for file in rest}
    if any(known[file.path] and not file.name.endswith(".json") for file in listed):
        listed = [file for file in listed if not file.name.endswith(".json")]
    listed = [file for file in listed if known[file.path] and source.format in ("auto", known[file.path])]
    if source.format in ("chat", "datatrove"):
        listed = [file for file in rest if file.path not in chosen and known[file.path] == "jsonl"]
    for file in [*listed, *(file for file in rest if file.path in chosen)]:
        format = known[file.path] if source.format == "auto" else source.format
        if format is None and file.name.lower().endswith(BOOKS):
            raise DataError(_book(file.path))
        if format is None:
            raise DataError(
                f"{file.path}: the suffix does not tell what it holds; "
                "say `format: jsonl`, `parquet`, `warc`, ... or `files`"
            )
        parts.append(Part(file.name, format, [file]))
    return parts


def _is_private(name: str) -> bool:
    return name.startswith("_") or "/_" in name


def format_of(name: str) -> str | None:
    """The format that a file's suffix tells, None when it tells none.

    >>> format_of("a/b.jsonl.zst"), format_of("b.pq"), format_of("b.warc.wet.gz"), format_of("b.txt.gz")
    ('jsonl', 'parquet', 'wet', None)
    """
    name = name.lower()
    stem = name.removesuffix(next((suffix for suffix in COMPRESSED if name.endswith(suffix)), ""))
    if stem.endswith(LINES):
        return "jsonl"
    if stem.endswith(VALUES):
        return "csv"
    archive = stem.rpartition(".")[2]
    if archive in ARCHIVES:
        return archive
    return "parquet" if name.endswith(TABLES) else None


def _dataset_folders(files: list[Found]) -> list[str]:
    """Prefixes of names below which a dataset is saved."""
    names = {file.name for file in files}
    prefixes = [name.removesuffix("state.json") for name in names if name.endswith("state.json")]
    return sorted(prefix for prefix in prefixes if {prefix + "state.json", prefix + "dataset_info.json"} <= names)


def _dataset_parts(folder: str, files: list[Found]) -> list[Part]:
    """The Arrow files that the state.json of a saved dataset names."""
    by_name = {file.name: file for file in files}
    state = by_name[folder + "state.json"].path
    if not is_local(state):
        raise DataError(f"{state}: a saved dataset is read from a local folder; copy it, or save it as Parquet")
    try:
        names = [str(entry["filename"]) for entry in msgspec.json.decode(Path(state).read_bytes())["_data_files"]]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise DataError(f"{state}: does not name the files of the dataset ({error}); fetch it again") from error
    gone = next((name for name in names if folder + name not in by_name), None)
    if gone:
        raise DataError(f"{state}: names {gone!r}, which is not there; fetch the dataset again")
    return [Part(folder + name, "dataset", [by_name[folder + name]]) for name in names]


def _annotated(files: list[Found], format: str) -> list[Part]:
    """A shard for each file below `documents`, with the files of the same name below the folders beside it.

    A shard's name has neither what is above `documents` nor the folder itself: RedPajama-V2's ids begin with it.
    """
    by_name = {f"/{file.name}": file for file in files}
    parts = []
    for name, file in by_name.items():
        above, folder, rest = name.partition("/documents/")
        if not folder or format_of(rest) != "jsonl":
            continue
        stem = rest.removesuffix(".gz").removesuffix(".zst").removesuffix(".json").removesuffix(".jsonl")
        if format == "redpajama-v2":
            endings = {"quality_signals": "signals.json.gz", "minhash": "minhash.parquet"}
            endings |= {"duplicates": "duplicates.parquet"}
            beside = [by_name.get(f"{above}/{kind}/{stem}.{ending}") for kind, ending in endings.items()]
        else:
            start = f"{above}/attributes/"
            names = [other for other in by_name if other.startswith(start) and other[len(start) :].count("/")]
            beside = [by_name[other] for other in names if other[len(start) :].partition("/")[2] == rest]
        parts.append(Part(f"{above}/{rest}".lstrip("/"), format, [file, *beside]))
    return parts


def _beside_stats(files: list[Found]) -> list[Part]:
    """A shard for each .jsonl, with the NAME_stats.jsonl that Data-Juicer writes beside NAME.jsonl."""
    lines = {file.name: file for file in files if format_of(file.name) == "jsonl" and not _is_private(file.name)}
    beside = {name: STATS_FILE.sub(r"_stats\1", name, count=1) for name in lines}
    taken = {stats for name, stats in beside.items() if stats in lines}
    return [
        Part(name, "data-juicer", [file, lines.get(beside[name])]) for name, file in lines.items() if name not in taken
    ]


def _documents(files: list[Found]) -> list[Part]:
    """Documents grouped by the folder they are in below the root, so that a new folder changes one shard at most."""
    folders: dict[str, list[Found]] = {}
    for file in files:
        folders.setdefault(_top(file), []).append(file)
    small = {name: members for name, members in folders.items() if name and _bytes(members) < SMALL_FOLDER}
    pools = _pools(small)
    groups: dict[str, list[Found]] = {}
    for name, members in folders.items():
        is_shared = name in small and len(small) > pools
        group = f"small-folders-{zlib.crc32(name.encode()) % pools:03d}" if is_shared else name
        groups.setdefault(group, []).extend(members)
    return [
        Part(f"{name}/part-{number:05d}".lstrip("/"), "files", piece)
        for name, members in groups.items()
        for number, piece in enumerate(_pieces(members))
    ]


def _pools(folders: dict[str, list[Found]]) -> int:
    """Over how many pools small folders are spread, so that each is about a shard."""
    size, files = sum(map(_bytes, folders.values())), sum(map(len, folders.values()))
    return next((n for n in POOLS if size <= n * SHARD_BYTES and files <= n * SHARD_FILES), POOLS[-1])


def _bytes(files: list[Found]) -> int:
    return sum(file.bytes for file in files)


def _source_code(files: list[Found], source: Source) -> list[Part]:
    """The documents of source trees; behind them, after None, the files with their licences."""
    from curate.io.checkout import documents, with_licences

    parts = _documents(documents(files, bool(source.include)))
    return [Part(part.name, "code", with_licences(file for file in part.files if file)) for part in parts]


def _top(file: Found) -> str:
    return file.name.partition("/")[0] if "/" in file.name else ""


def _pieces(files: list[Found]) -> Iterator[list[Found]]:
    piece: list[Found] = []
    size = 0
    for file in files:
        if piece and (size + file.bytes > SHARD_BYTES or len(piece) == SHARD_FILES):
            yield piece
            piece, size = [], 0
        piece.append(file)
        size += file.bytes
    if piece:
        yield piece


def _book(path: str) -> str:
    kind = os.path.splitext(path)[1][1:].upper()
    return (
        f"{path}: {kind} is not read, because where its text is and in which order is a question of layout; "
        "turn it into text, Markdown or HTML first (pdftotext, pandoc, Docling, ...)"
    )


def _nothing(paths: list[str], source: Source, files: list[Found]) -> DataError:
    place = ", ".join(paths)
    if not files:
        patterns = " that `include` and `exclude` let through" if source.include or source.exclude else ""
        where = paths[0] if len(paths) == 1 and is_local(paths[0]) else ""
        return DataError(missing(place, os.path.abspath(os.path.expanduser(where)) if where else "", patterns))
    if source.format == "dataset":
        return DataError(f"{place}: is not a folder that `Dataset.save_to_disk` wrote (it has no state.json)")
    if source.format == "code":
        return DataError(
            f"{place}: none of the {len(files)} files has a name that tells a language, or .gitignore names all that "
            "have; say by `include` which files are documents"
        )
    if source.format in LAYOUTS:
        return DataError(f"{place}: has no .json.gz below a folder `documents`, as {source.format} has them")
    book = next((file.path for file in files if file.name.lower().endswith(BOOKS)), None)
    if book:
        return DataError(_book(book))
    suffixes = sorted({os.path.splitext(file.name)[1] or file.name for file in files})
    asked = "data files (.jsonl, .parquet, .csv, .warc)" if source.format == "auto" else f"{source.format} files"
    return DataError(
        f"{place}: has no {asked}, only {len(files)} files of other kinds ({', '.join(suffixes[:5])}); "
        "say `format: files` to make each of them a document"
    )
