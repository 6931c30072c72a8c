"""Finds the files that are at a path, locally or through fsspec."""

from __future__ import annotations

import fnmatch
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import msgspec

from curate.errors import DataError, nearest
from curate.io.remote import pages, stamp_in
from curate.io.source import Source
from curate.io.stream import is_local, name_of, stamp_of

COMPILED = "__pycache__"  # half of the files beside Python sources, none of them a document
NOTHING = r"(?!)"  # a regular expression that matches no name
Walked = dict[str, list[str]]  # what local folders hold, for sources that list the same one


class Special(DataError):
    """No regular file."""


class Found(msgspec.Struct, frozen=True):
    """A file: where it is, its path below the root, its size, a stamp that changes with its content."""

    path: str
    name: str
    root: str
    bytes: int
    stamp: str


# ---------------------------------------------------------------- what there is at a path


def files_at(path: str, accept: Callable[[str], bool], walked: Walked) -> tuple[list[Found], bool]:
    """The files at a path, and whether they were found by listing a folder."""
    place = os.path.abspath(os.path.expanduser(path)) if is_local(path) else ""  # what needs no fsspec does not load it
    if place and os.path.isdir(place):
        return list(_folder_here(place, place, accept, walked)), True
    if place and os.path.isfile(place) and not path.endswith("/"):
        return [_found_here(place, os.path.dirname(place))], False
    fs, place = _filesystem(path)
    is_glob = any(c in place for c in "*?[") and not fs.exists(place)
    if is_glob:
        matches = fs.glob(place, detail=True)
        root = place[: re.search(r"[*?\[]", place).start()].rpartition("/")[0]  # type: ignore[union-attr]
        files = [match for match, info in matches.items() if info["type"] == "file"]
        if not files:
            return [f for folder in sorted(matches) for f in _folder(fs, path, folder, root, accept, walked)], True
        return [f for f in (_found(fs, path, file, root, matches[file]) for file in files) if accept(f.name)], False
    # Files first: to ask whether it is a folder, HTTP would fetch it.
    if not path.endswith("/") and fs.isfile(place):
        return [_found(fs, path, place, place.rpartition("/")[0], fs.info(place))], False
    if fs.isdir(place):
        return list(_folder(fs, path, place, place, accept, walked)), True
    raise DataError(missing(path, place if is_local(_url(fs, path, place)) else ""))


def _filesystem(path: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    try:
        fs, place = url_to_fs(os.path.expanduser(path) if is_local(path) else path)
    except (ImportError, ValueError) as error:
        raise DataError(f"{path}: cannot be opened: {error}") from error
    return fs, place


def _folder(
    fs: Any, path: str, folder: str, root: str, accept: Callable[[str], bool], walked: Walked
) -> Iterator[Found]:
    if "file" in _protocols(fs):
        yield from _folder_here(folder, root, accept, walked)
        return
    for place, info in pages(fs, folder):
        name = _relative(place, root)
        if info.get("type", "file") == "file" and not _is_hidden(name) and accept(name):
            yield _found(fs, path, place, root, info)


def _folder_here(folder: str, root: str, accept: Callable[[str], bool], walked: Walked) -> Iterator[Found]:
    if folder not in walked:
        walked[folder] = list(_walk(folder))
    start = len(root.rstrip("/")) + 1
    for place in walked[folder]:
        if accept(place[start:]):
            with suppress(Special):  # a pipe, a device or the like
                yield _found_here(place, root)


def _walk(folder: str) -> Iterator[str]:
    """All that is no folder below a local folder. Links to folders elsewhere are followed; hidden ones, and Python's
    compiled code, are not entered.
    """
    entered, waiting = [os.path.realpath(folder)], [folder]

    def is_new(link: str) -> bool:
        real = os.path.realpath(link)
        if any(os.path.commonpath([real, seen]) in (real, seen) for seen in entered):
            return False
        entered.append(real)
        return True

    while waiting:
        place = waiting.pop()
        try:
            entries = [entry for entry in os.scandir(place) if entry.name[0] != "." and entry.name != COMPILED]
        except OSError as error:
            raise DataError(f"{error.filename}: the folder cannot be read ({error.strerror})") from error
        for entry in entries:
            if not os.path.isdir(entry.path) if entry.is_symlink() else not entry.is_dir():
                yield entry.path
            elif not entry.is_symlink() or is_new(entry.path):
                waiting.append(entry.path)


def _found(fs: Any, path: str, place: str, root: str, info: dict[str, Any]) -> Found:
    url = _url(fs, path, place)
    if is_local(url):
        return _found_here(place, root)
    name = _printable(place, root)
    return Found(url, name, sys.intern(url[: url.rindex(name)]), int(info.get("size") or 0), stamp_in(info))


def _found_here(place: str, root: str) -> Found:
    """A local file."""
    name = _printable(place, root)
    try:
        status = os.stat(place)
    except OSError as error:
        raise DataError(f"{place}: cannot be read ({error.strerror})") from error
    if not stat.S_ISREG(status.st_mode):
        raise Special(f"{place}: is not a regular file; store what it gives in one, it has to be read more than once")
    if not os.access(place, os.R_OK):
        raise DataError(f"{place}: cannot be read (permission denied)")
    return Found(place, name, root, status.st_size, stamp_of(status))


def _printable(place: str, root: str) -> str:
    """The name of a file below its root. Raises DataError for one that no text can hold."""
    name = _relative(place, root)
    if not name.isprintable() and any("\ud800" <= c <= "\udfff" for c in name):
        raise DataError(f"{place!r}: the name is not valid UTF-8; rename the file, or leave it out with `exclude`")
    return name


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


def named(files: dict[str, Found]) -> list[Found]:
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


def accepts(source: Source) -> Callable[[str], bool]:
    """Whether `include` and `exclude` let a name through."""
    include, exclude = _matcher(source.include), _matcher(source.exclude)
    if not source.exclude:
        return include if source.include else lambda name: True
    return lambda name: (not source.include or include(name)) and not exclude(name)


def _matcher(globs: list[str]) -> Callable[[str], bool]:
    """A glob without a slash is about the last part of a name, which is much the quicker to look at."""
    short, long = ([glob for glob in globs if ("/" in glob) == has_slash] for has_slash in (False, True))
    last = re.compile("|".join(glob_pattern(f"/{glob}") for glob in short) or NOTHING)
    whole = re.compile("|".join(map(glob_pattern, long)) or NOTHING)
    if not short:
        return lambda name: whole.fullmatch(name) is not None
    return lambda name: bool(last.fullmatch(name, name.rfind("/") + 1) or (long and whole.fullmatch(name)))


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


# ---------------------------------------------------------------- nothing there


def missing(path: str, place: str, patterns: str = "") -> str:
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
