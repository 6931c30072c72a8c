"""Run folders on object stores (s3://, gs://, ...): a folder of this thread's own stands for the one on the store.

Object stores have no renames and no files that can be mapped. So a file is made whole here, then sent in one upload,
which readers see entirely or not at all; and what is read is first brought here.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from curate.errors import PlanError

LEASE = 60.0  # seconds without a sign of life after which a run no longer holds its folder
RENEW = 15.0
_MIRRORS: dict[tuple[str, int, int], Mirror] = {}


def is_remote(root: str) -> bool:
    """Whether a run folder is a URL.

    >>> is_remote("s3://bucket/run"), is_remote("out/run")
    (True, False)
    """
    return "://" in root


def mirror(root: str) -> Mirror:
    """This thread's folder for a run folder on a store: no two tasks meet in it."""
    key = (root, os.getpid(), threading.get_ident())
    if key not in _MIRRORS:
        _MIRRORS[key] = Mirror(root)
    return _MIRRORS[key]


def publish(path: Path) -> None:
    """Send a file that is finished, if it belongs to a run folder on a store."""
    for key, found in _MIRRORS.items():
        if key[1:] == (os.getpid(), threading.get_ident()) and path.is_relative_to(found.local):
            found.send(path)


def forget(root: str) -> None:
    """Take away what a task of this thread has left here of the work folder; it is on the store."""
    if is_remote(root):
        mirror(root).forget(".work")


def read(path: str) -> bytes:
    """The content of a small file, at a path or a URL."""
    if not is_remote(path):
        return Path(path).read_bytes()
    import fsspec

    fs, place = fsspec.core.url_to_fs(path, use_listings_cache=False)
    content: bytes = fs.cat_file(place)
    return content


class Mirror:
    """A run folder on a store, and the local folder that stands for it."""

    def __init__(self, root: str):
        import fsspec

        self.root = root.rstrip("/")
        try:
            self.fs, self.place = fsspec.core.url_to_fs(self.root, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            scheme = root.partition("://")[0]
            hint = f"; pip install 'curate[{scheme}]'" if scheme in ("s3", "gs") else ""
            raise PlanError(f"{root}: cannot be opened: {error}{hint}") from error
        name = hashlib.sha256(self.root.encode()).hexdigest()[:12]
        scratch = Path(os.environ.get("CURATE_SCRATCH") or tempfile.gettempdir())
        self.local = scratch / f"curate-{os.getuid()}" / f"{name}-{os.getpid()}-{threading.get_ident()}"
        shutil.rmtree(self.local, ignore_errors=True)  # of a process that had this number before
        self.local.mkdir(parents=True, mode=0o700)
        self._here: set[str] = set()  # files that are here as they are there

    def bring(self, name: str) -> Path:
        """The local path of a file, which is brought here if it is there. Within a task files do not change."""
        path = self.local / name
        if not name or name in self._here or path.is_dir():
            return path
        try:
            self._bring(name)
        except FileNotFoundError:
            path.unlink(missing_ok=True)
        return path

    def bring_all(self, folder: str, pattern: str) -> list[Path]:
        """All files of a folder that match, in order."""
        names = [place[len(self.place) + 1 :] for place in sorted(self.fs.glob(f"{self.place}/{folder}/{pattern}"))]
        for name in names:
            if name not in self._here:
                self._bring(name)
        return [self.local / name for name in names]

    def read_all(self, folder: str) -> dict[str, bytes]:
        """The contents of the small files of a folder, by name, many at a time."""
        with suppress(FileNotFoundError):
            places = list(self.fs.find(f"{self.place}/{folder}"))
            return {place.rpartition("/")[2]: data for place, data in self.fs.cat(places).items()} if places else {}
        return {}

    def folders(self, folder: str) -> list[str]:
        """Names of the folders in a folder."""
        with suppress(FileNotFoundError):
            there = self.fs.ls(f"{self.place}/{folder}", detail=True)
            return sorted(i["name"].rstrip("/").rpartition("/")[2] for i in there if i["type"] == "directory")
        return []

    def has(self, names: Iterable[str]) -> bool:
        """Whether files are there."""
        there = {place[len(self.place) + 1 :] for folder in _folders(names) for place in self._list(folder)}
        return set(names) <= there

    def forget(self, folder: str) -> None:
        """Take a folder away here, not there."""
        shutil.rmtree(self.local / folder, ignore_errors=True)
        self.local.mkdir(exist_ok=True)
        self._here = {name for name in self._here if not name.startswith(folder)}

    def send(self, path: Path) -> None:
        """One upload, which replaces what is there."""
        name = path.relative_to(self.local).as_posix()
        self.fs.put_file(str(path), f"{self.place}/{name}")
        self._here.add(name)

    def remove(self, name: str) -> None:
        """A file or a folder, here and there."""
        with suppress(FileNotFoundError):
            self.fs.rm(f"{self.place}/{name}", recursive=True)
        (self.local / name).unlink() if (self.local / name).is_file() else self.forget(name)
        self._here.discard(name)

    def copy(self, folder: str, to: str) -> None:
        """All files of a folder, without their way through this machine; what else is in `to` goes."""
        there = {place[len(f"{self.place}/{folder}/") :] for place in self.fs.find(f"{self.place}/{folder}")}
        for place in self.fs.find(f"{self.place}/{to}"):
            if place[len(f"{self.place}/{to}/") :] not in there:
                self.fs.rm(place)
        self.forget(to)
        for name in sorted(there):
            self.fs.copy(f"{self.place}/{folder}/{name}", f"{self.place}/{to}/{name}")

    @contextmanager
    def leased(self, name: str) -> Iterator[None]:
        """Hold the folder while the block lasts: an object that is written again and again says who does."""
        path, mine = f"{self.place}/{name}", {"node": socket.gethostname(), "pid": os.getpid(), "thread": _token()}
        with suppress(FileNotFoundError, msgspec.DecodeError):
            held = msgspec.json.decode(self.fs.cat_file(path), type=dict[str, Any])
            ago = time.time() - held["time"]
            if ago < LEASE and not _is_gone(held):
                raise PlanError(
                    f"another run is writing to {self.root} ({held['node']}, {ago:.0f} s ago): wait for it, or choose"
                    f" another output; a run that was killed lets go after {LEASE:.0f} s"
                )
        done = threading.Event()

        def renew() -> None:
            self.fs.pipe_file(path, msgspec.json.encode({**mine, "time": time.time()}))

        def keep() -> None:
            while not done.wait(RENEW):
                renew()

        renew()
        thread = threading.Thread(target=keep, daemon=True)
        thread.start()
        try:
            time.sleep(0.05)  # of two that begin at once the later one has it
            held = msgspec.json.decode(self.fs.cat_file(path), type=dict[str, Any])
            if held["thread"] != mine["thread"]:
                raise PlanError(f"another run has just begun to write to {self.root}: wait for it")
            yield
        finally:
            done.set()
            thread.join()
            with suppress(FileNotFoundError):
                self.fs.rm_file(path)

    def _list(self, folder: str) -> list[str]:
        with suppress(FileNotFoundError):
            return [str(place) for place in self.fs.ls(f"{self.place}/{folder}".rstrip("/"), detail=False)]
        return []

    def _bring(self, name: str) -> None:
        path = self.local / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            self.fs.get_file(f"{self.place}/{name}", str(temporary))
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        self._here.add(name)


def _folders(names: Iterable[str]) -> set[str]:
    return {name.rpartition("/")[0] for name in names}


def _is_gone(held: dict[str, Any]) -> bool:
    """Whether a holder was a process of this machine that has ended."""
    if held["node"] != socket.gethostname():
        return False
    try:
        os.kill(held["pid"], 0)
    except ProcessLookupError:
        return True
    return False


def _token() -> str:
    return os.urandom(8).hex()
