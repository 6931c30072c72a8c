"""The run folder: what users read at its top, and under `.work` the overlays that make a rerun cheap.

    data/ annotations/ manifest.json report.html README.md recipe.yaml quarantine.jsonl log.jsonl
    .work/values/<value_key>/<shard>.arrow       a step's columns, row-aligned with the shard
    .work/index/<shard>.arrow                    short source columns, sizes of texts; has the batches of the shard
    .work/bad/<shard>.jsonl                      records of the shard that could not be read
    .work/members/<pass key>/<shard>.arrow       what a shard hands to a corpus-wide step
    .work/documents/<pass key>/<shard>.arrow     row by row: the sketch's digest, a tag and a rank, for a deduplicator
    .work/pieces/<shard>.arrow                   rows that an expander made; a shard of its own from then on
    .work/corpus/<corpus_key>/...                decisions per shard, or a fitted model, and its files for others
    .work/done/<key>/<shard>.json                receipts: that work is finished and need not be done again

Files appear whole or not at all: they are written under a temporary name and renamed. A run folder may be on an object
store (`s3://bucket/run`); then paths are of a local folder that stands for it (shared.py).
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from curate import shared
from curate.errors import PlanError

NODE = socket.gethostname()[:32]


class Store(msgspec.Struct, frozen=True):
    """Paths inside a run folder; small enough to travel with every task."""

    root: str

    def path(self, *parts: str) -> Path:
        """Where a file of the run is: for a run on an object store here, as it is there by now."""
        if shared.is_remote(self.root):
            return shared.mirror(self.root).bring("/".join(parts))
        return Path(self.root, *parts)

    def files(self, *parts: str) -> list[Path]:
        """The files of a folder of the run that match a pattern, the last of the parts, in order."""
        *folders, pattern = parts
        if shared.is_remote(self.root):
            return shared.mirror(self.root).bring_all("/".join(folders), pattern)
        return sorted(Path(self.root, *folders).glob(pattern))

    def folders(self, *parts: str) -> list[str]:
        """Names of the folders in a folder of the run."""
        if shared.is_remote(self.root):
            return shared.mirror(self.root).folders("/".join(parts))
        folder = self.path(*parts)
        return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.exists() else []

    def has(self, names: Iterable[str]) -> bool:
        """Whether all of some files at the top of the run are there."""
        if shared.is_remote(self.root):
            return shared.mirror(self.root).has(names)
        return all(self.path(name).exists() for name in names)

    def remove(self, *parts: str) -> None:
        """Take away a file or a folder."""
        if shared.is_remote(self.root):
            shared.mirror(self.root).remove("/".join(parts))
        elif self.path(*parts).is_dir():
            shutil.rmtree(self.path(*parts), ignore_errors=True)
        else:
            self.path(*parts).unlink(missing_ok=True)

    def put_in_place(self, folder: str, part: str) -> None:
        """Give what `folder` (of the work folder) holds the name `part`, in the place of what has it."""
        if shared.is_remote(self.root):
            shared.mirror(self.root).copy(f".work/{folder}", part)
        else:
            replace_folder(self.work(*folder.split("/")), self.path(part))

    def work(self, *parts: str) -> Path:
        return self.path(".work", *parts)

    def values(self, value_key: str, shard: str) -> Path:
        return self.work("values", value_key, f"{shard}.arrow")

    def index(self, shard: str) -> Path:
        return self.work("index", f"{shard}.arrow")

    def bad(self, shard: str) -> Path:
        return self.work("bad", f"{shard}.jsonl")

    def members(self, pass_key: str, shard: str) -> Path:
        return self.work("members", pass_key, f"{shard}.arrow")

    def documents(self, pass_key: str, shard: str) -> Path:
        return self.work("documents", pass_key, f"{shard}.arrow")

    def pieces(self, shard: str) -> Path:
        return self.work("pieces", f"{shard}.arrow")

    def decisions(self, corpus_key: str, shard: str) -> Path:
        return self.work("corpus", corpus_key, f"{shard}.arrow")

    def model(self, corpus_key: str, round: int = 0) -> Path:
        return self.work("corpus", corpus_key, f"model-{round}.arrow")

    def exported(self, corpus_key: str) -> Path:
        return self.work("corpus", corpus_key, "files")

    def part(self, corpus_key: str, round: int, name: str) -> Path:
        return self.work("corpus", corpus_key, f"parts-{round}", f"{name}.arrow")

    def receipt(self, key: str, shard: str) -> dict[str, Any] | None:
        """What was noted when this work was finished; None when it was not."""
        path = self.work("done", key, f"{shard}.json")
        try:
            return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        except FileNotFoundError:
            return None

    def receipts(self, key: str, shards: Iterable[str]) -> list[dict[str, Any]]:
        """Those of many shards; {} where there is none."""
        if not shared.is_remote(self.root):
            return [self.receipt(key, shard) or {} for shard in shards]
        found = shared.mirror(self.root).read_all(f".work/done/{key}")
        return [msgspec.json.decode(found.get(f"{shard}.json", b"{}"), type=dict[str, Any]) for shard in shards]

    def sign(self, key: str, shard: str, facts: dict[str, Any]) -> None:
        """Note that a piece of work is finished."""
        write_text(self.work("done", key, f"{shard}.json"), json.dumps(facts))

    def manifest(self) -> dict[str, Any] | None:
        try:
            return msgspec.json.decode(self.path("manifest.json").read_bytes(), type=dict[str, Any])
        except FileNotFoundError:
            return None

    @contextmanager
    def claimed(self, recipe: str) -> Iterator[None]:
        """Hold the folder for one run of one recipe; PlanError when it is another's or in use."""
        if shared.is_remote(self.root):
            with self._leased(recipe):
                yield
            return
        self._refuse_others(recipe)
        try:
            self.work().mkdir(parents=True, exist_ok=True)
            write_text(self.work("recipe"), recipe)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise PlanError(f"cannot write to {self.root} ({why}): choose another output (--output)") from error
        # The system gives the lock back when its process ends, however it ends: what a dead one wrote is no obstacle.
        with self.work("lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.seek(0)
                who = " ".join(lock.read(200).split())
                raise PlanError(
                    f"another run is writing to {self.root}{f' ({who})' if who else ''}: "
                    "wait for it, or choose another output"
                ) from None
            lock.truncate(0)
            lock.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            lock.flush()
            yield

    @contextmanager
    def _leased(self, recipe: str) -> Iterator[None]:
        """The same on an object store."""
        shared.mirror(self.root).forget("")  # an earlier run of this process may have been followed by another's
        owner = self._owner()
        if owner not in (None, recipe):
            raise PlanError(
                f"{self.root} belongs to the recipe {owner!r}, not {recipe!r}: choose another output (--output)"
            )
        try:
            write_text(self.work("recipe"), recipe)
        except OSError as error:
            raise PlanError(f"cannot write to {self.root} ({error}): choose another output (--output)") from error
        try:
            with shared.mirror(self.root).leased(".work/lock"):
                yield
        finally:
            log = shared.mirror(self.root).local / "log.jsonl"
            if log.exists():
                shared.publish(log)

    def _refuse_others(self, recipe: str) -> None:
        root = Path(self.root)
        if not root.exists():
            return
        if not root.is_dir():
            raise PlanError(f"{root} is a file, not a folder: choose another output (--output)")
        # A run that was killed at its very start leaves `.work` with nothing of worth in it.
        if not self.work("recipe").exists() and {path.name for path in root.iterdir()} <= {".work"}:
            return
        owner = self._owner()
        if owner is None:
            raise PlanError(f"{root} holds files that curate did not write: choose another output (--output)")
        if owner != recipe:
            raise PlanError(
                f"{root} belongs to the recipe {owner!r}, not {recipe!r}: choose another output (--output) or delete it"
            )

    def _owner(self) -> str | None:
        """The recipe whose folder this is, as an earlier run has noted; users may delete `.work` to save space."""
        with suppress(OSError):
            return self.work("recipe").read_text()
        with suppress(ValueError):
            manifest = self.manifest()
            if isinstance(manifest, dict) and {"curate", "recipe"} <= set(manifest):
                return str(manifest["recipe"])
        return None


def unfinished(path: Path) -> Path:
    """The temporary name under which this process writes a file; on shared storage other nodes have the same ids."""
    return path.with_name(f".{path.name}.{NODE}-{os.getpid()}.tmp")


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary path that becomes `path` when the block ends well, and vanishes when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = unfinished(path)
    try:
        yield temporary
        put(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """An empty folder that takes the place of `path` when the block ends well, and vanishes when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        replace_folder(temporary, path)
        for file in sorted(path.rglob("*")):
            if file.is_file():
                shared.publish(file)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def put(temporary: Path, path: Path) -> None:
    """Give a finished file its name."""
    os.replace(temporary, path)
    shared.publish(path)


def located(path: str) -> str:
    """A run folder as an absolute path, or its URL."""
    return path if shared.is_remote(path) else str(Path(path).resolve())


def write_text(path: Path, text: str) -> None:
    """Write a small file whole or not at all."""
    with whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def replace_folder(new: Path, path: Path) -> None:
    """Put the finished folder `new` in the place of `path`."""
    old = path.with_name(f".{path.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        os.rename(path, old)
    os.rename(new, path)
    shutil.rmtree(old, ignore_errors=True)
