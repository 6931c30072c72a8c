"""Finds the files a source stands for, locally or through fsspec, and groups them into shards."""

from __future__ import annotations

import fnmatch
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from curate.errors import DataError, nearest
from curate.io.source import MB, Source
from curate.io.stream import COMPRESSED, is_local, name_of

LINES = (".jsonl", ".ndjson", ".json")
TABLES = (".parquet", ".pq")
SHARD_BYTES, SHARD_FILES = 16 * MB, 2_000
# Folders of documents are shards of their own as long as there are not more than this many.
MAX_FOLDERS = 512


class Found(msgspec.Struct, frozen=True):
    """A file: where it is, its path below the root, its size, a stamp that changes with its content."""

    path: str
    name: str
    root: str
    bytes: int
    stamp: str


class Part(msgspec.Struct, frozen=True):
    """The files of one shard."""

    name: str
    format: str
    files: list[Found]


def shards_of(source: Source) -> list[Part]:
    """The files of a source, grouped into shards. Raises DataError when there are none."""
    paths = [source.path] if isinstance(source.path, str) else list(source.path)
    accept = _filter(source)
    listed: dict[str, Found] = {}
    chosen: dict[str, Found] = {}
    for path in paths:
        files, is_folder = _files_at(path, accept)
        (listed if is_folder else chosen).update({file.path: file for file in files})
    everything = _named(listed | chosen)
    if source.format == "files":
        parts = _documents([file for file in everything if file.bytes <= source.max_file_bytes])
    else:
        parts = _data(everything, set(chosen), source)
    if not parts:
        raise _nothing(paths, source, everything)
    return parts


# ---------------------------------------------------------------- what there is at a path


def _files_at(path: str, accept: Callable[[str], bool]) -> tuple[list[Found], bool]:
    """The files at a path, and whether they were found by listing a folder."""
    fs, place = _filesystem(path)
    is_glob = any(c in place for c in "*?[") and not fs.exists(place)
    if is_glob:
        matches = fs.glob(place, detail=True)
        root = place[: re.search(r"[*?\[]", place).start()].rpartition("/")[0]  # type: ignore[union-attr]
        files = [match for match, info in matches.items() if info["type"] == "file"]
        if not files:
            return [f for folder in sorted(matches) for f in _folder(fs, path, folder, root, accept)], True
        return [f for f in (_found(fs, path, file, root, matches[file]) for file in files) if accept(f.name)], False
    # Files first: to ask whether it is a folder, HTTP would fetch it.
    if not path.endswith("/") and fs.isfile(place):
        return [_found(fs, path, place, place.rpartition("/")[0], fs.info(place))], False
    if fs.isdir(place):
        return list(_folder(fs, path, place, place, accept)), True
    raise DataError(_missing(path, place if is_local(_url(fs, path, place)) else ""))


def _filesystem(path: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    try:
        fs, place = url_to_fs(os.path.expanduser(path) if is_local(path) else path)
    except (ImportError, ValueError) as error:
        raise DataError(f"{path}: cannot be opened: {error}") from error
    return fs, place


def _folder(fs: Any, path: str, folder: str, root: str, accept: Callable[[str], bool]) -> Iterator[Found]:
    places: dict[str, dict[str, Any]]
    if "file" in _protocols(fs):
        places = {place: {} for place in _walk(folder, root, accept)}
    else:
        places = fs.find(folder, detail=True)
    for place, info in places.items():
        name = _relative(place, root)
        if info.get("type", "file") == "file" and not _is_hidden(name) and accept(name):
            yield _found(fs, path, place, root, info)


def _walk(folder: str, root: str, accept: Callable[[str], bool]) -> Iterator[str]:
    """Regular files below a local folder. Links to folders elsewhere are followed; hidden folders are not entered."""
    entered = [os.path.realpath(folder)]

    def is_new(place: str) -> bool:
        if not os.path.islink(place):
            return True
        real = os.path.realpath(place)
        if any(os.path.commonpath([real, seen]) in (real, seen) for seen in entered):
            return False
        entered.append(real)
        return True

    def fail(error: OSError) -> None:
        raise DataError(f"{error.filename}: the folder cannot be read ({error.strerror})")

    for place, folders, names in os.walk(folder, onerror=fail, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".") and is_new(os.path.join(place, name))]
        for name in names:
            file = os.path.join(place, name)
            if not name.startswith(".") and accept(_relative(file, root)) and not _is_special(file):
                yield file


def _is_special(file: str) -> bool:
    return not os.path.isfile(file) and os.path.exists(file)


def _found(fs: Any, path: str, place: str, root: str, info: dict[str, Any]) -> Found:
    url = _url(fs, path, place)
    name = _relative(place, root)
    if not is_local(url):
        return Found(url, name, url[: url.rindex(name)], int(info.get("size") or 0), _stamp(info))
    try:
        status = os.stat(place)
    except OSError as error:
        raise DataError(f"{place}: cannot be read ({error.strerror})") from error
    if not os.access(place, os.R_OK):
        raise DataError(f"{place}: cannot be read (permission denied)")
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{place}: is not a regular file; store what it gives in one, it has to be read more than once")
    return Found(place, name, root, status.st_size, str(status.st_mtime_ns))


def _stamp(info: dict[str, Any]) -> str:
    known = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "updated", "created")
    return next((str(info[key]) for key in known if info.get(key)), "")


def _url(fs: Any, path: str, place: str) -> str:
    """The way to open a place again: a plain path when local, else a URL, with what `path` chains behind it."""
    if "file" in _protocols(fs):
        return place
    first, _, rest = path.partition("::")
    url = str(fs.unstrip_protocol(place)) if "://" in first else f"{first}::{place}"
    return f"{url}::{rest}" if rest and "://" in first else url


def _protocols(fs: Any) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def _relative(place: str, root: str) -> str:
    return place[len(root) :].lstrip("/") if place.startswith(root) else place


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or "/." in name


def _named(files: dict[str, Found]) -> list[Found]:
    """Files of several roots get names below the root they share, so that no two have the same."""
    roots = {file.root for file in files.values()}
    found = sorted(files.values(), key=lambda file: file.name)
    if len(roots) <= 1:
        return found
    if all(is_local(file.path) for file in found):
        shared = os.path.commonpath(roots)
    else:
        parts = os.path.commonprefix([file.path.split("/")[:-1] for file in found])  # noqa: RUF071  # of lists
        shared = "".join(f"{part}/" for part in parts)
    moved = [msgspec.structs.replace(file, name=name_of(file.path, shared), root=shared) for file in found]
    return sorted(moved, key=lambda file: file.name)


# ---------------------------------------------------------------- include and exclude


def _filter(source: Source) -> Callable[[str], bool]:
    include, exclude = _matcher(source.include), _matcher(source.exclude)
    return lambda name: (not source.include or include(name)) and not (source.exclude and exclude(name))


def _matcher(globs: list[str]) -> Callable[[str], bool]:
    pattern = re.compile("|".join(glob_pattern(glob) for glob in globs))
    return lambda name: pattern.fullmatch(name) is not None


def glob_pattern(glob: str) -> str:
    """The regular expression of a glob: `*` and `?` stay within a folder, `**/` crosses any number of them.

    >>> bool(re.fullmatch(glob_pattern("docs/**/*.md"), "docs/a/b.md"))
    True
    >>> bool(re.fullmatch(glob_pattern("*.md"), "docs/a/b.md"))
    True
    """
    glob = glob if "/" in glob else f"**/{glob}"
    parts = re.split(r"(\*\*/|/\*\*$|\*|\?|\[[^]]*\])", glob.removeprefix("/"))
    known = {"**/": r"(?:[^/]+/)*", "/**": "/.+", "*": "[^/]*", "?": "[^/]"}
    return "".join(
        known.get(part) or (fnmatch.translate(part)[4:-3] if part.startswith("[") and part != "[" else re.escape(part))
        for part in parts
    )


# ---------------------------------------------------------------- files into shards


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
    for file in [*listed, *(file for file in rest if file.path in chosen)]:
        format = known[file.path] if source.format == "auto" else source.format
        if format is None:
            raise DataError(
                f"{file.path}: the suffix does not tell what it holds; say `format: jsonl`, `parquet` or `files`"
            )
        parts.append(Part(file.name, format, [file]))
    return parts


def _is_private(name: str) -> bool:
    return name.startswith("_") or "/_" in name


def format_of(name: str) -> str | None:
    """The format that a file's suffix tells, None when it tells none.

    >>> format_of("a/b.jsonl.zst"), format_of("b.pq"), format_of("b.txt.gz")
    ('jsonl', 'parquet', None)
    """
    name = name.lower()
    stem = name.removesuffix(next((suffix for suffix in COMPRESSED if name.endswith(suffix)), ""))
    if stem.endswith(LINES):
        return "jsonl"
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
    names = [entry["filename"] for entry in msgspec.json.decode(Path(state).read_bytes())["_data_files"]]
    gone = next((name for name in names if folder + name not in by_name), None)
    if gone:
        raise DataError(f"{state}: names {gone!r}, which is not there; fetch the dataset again")
    return [Part(folder + name, "dataset", [by_name[folder + name]]) for name in names]


def _documents(files: list[Found]) -> list[Part]:
    """Documents grouped by the folder they are in below the root, so that a new folder changes no other shard."""
    is_flat = len({_top(file) for file in files}) > MAX_FOLDERS
    groups: dict[str, list[Found]] = {}
    for file in files:
        name = f"group-{zlib.crc32(_top(file).encode()) % 256:03d}" if is_flat else _top(file)
        groups.setdefault(name, []).append(file)
    return [
        Part(f"{name}/part-{number:05d}".lstrip("/"), "files", piece)
        for name, members in groups.items()
        for number, piece in enumerate(_pieces(members))
    ]


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


# ---------------------------------------------------------------- nothing there


def _nothing(paths: list[str], source: Source, files: list[Found]) -> DataError:
    place = ", ".join(paths)
    if not files:
        patterns = " that `include` and `exclude` let through" if source.include or source.exclude else ""
        where = paths[0] if len(paths) == 1 and is_local(paths[0]) else ""
        return DataError(_missing(place, os.path.abspath(os.path.expanduser(where)) if where else "", patterns))
    if source.format == "dataset":
        return DataError(f"{place}: is not a folder that `Dataset.save_to_disk` wrote (it has no state.json)")
    suffixes = sorted({os.path.splitext(file.name)[1] or file.name for file in files})
    asked = "data files (.jsonl, .parquet)" if source.format == "auto" else f"{source.format} files"
    return DataError(
        f"{place}: has no {asked}, only {len(files)} files of other kinds ({', '.join(suffixes[:5])}); "
        "say `format: files` to make each of them a document"
    )


def _missing(path: str, place: str, patterns: str = "") -> str:
    """The message for a path at which nothing is, with the nearest thing that is there (local paths only)."""
    if not place:
        return f"{path}: there is nothing{patterns}; check the address, and that it can be reached from here"
    if os.path.isdir(place):
        return f"{path}: has no files{patterns}"
    known, rest = place, ""
    while not os.path.isdir(known):
        known, rest = os.path.dirname(known), os.path.basename(known)
    there = sorted(os.listdir(known))
    listed = f"{', '.join(there[:8]) or 'nothing'}{', ...' if len(there) > 8 else ''}"
    return f"{path}: there is nothing{patterns}; {known} has {listed}, but no {rest!r}{nearest(rest, there)}"
