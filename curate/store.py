"""The run folder: what users read at its top, and under `.work` the overlays that make a rerun cheap.

    data/ annotations/ manifest.json report.html README.md recipe.yaml quarantine.jsonl log.jsonl
    .work/values/<value_key>/<shard>.arrow       a step's columns, row-aligned with the shard
    .work/index/<shard>.arrow                    short source columns, sizes of texts; has the batches of the shard
    .work/bad/<shard>.jsonl                      records of the shard that could not be read
    .work/members/<pass key>/<shard>.arrow       what a shard hands to a corpus-wide step
    .work/documents/<pass key>/<shard>.arrow     row by row: the sketch's digest, a tag and a rank, for a deduplicator
    .work/pieces/<shard>.arrow                   rows that an expander made; a shard of its own from then on
    .work/corpus/<corpus_key>/...                decisions per shard, or a fitted model
    .work/done/<key>/<shard>.json                receipts: that work is finished and need not be done again

Files appear whole or not at all: they are written under a temporary name and renamed.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from curate.errors import PlanError

NODE = socket.gethostname()[:32]


class Store(msgspec.Struct, frozen=True):
    """Paths inside a run folder; small enough to travel with every task."""

    root: str

    def path(self, *parts: str) -> Path:
        return Path(self.root, *parts)

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

    def part(self, corpus_key: str, round: int, name: str) -> Path:
        return self.work("corpus", corpus_key, f"parts-{round}", f"{name}.arrow")

    def receipt(self, key: str, shard: str) -> dict[str, Any] | None:
        """What was noted when this work was finished; None when it was not."""
        path = self.work("done", key, f"{shard}.json")
        try:
            return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        except FileNotFoundError:
            return None

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
        self._refuse_others(recipe)
        try:
            self.work().mkdir(parents=True, exist_ok=True)
            write_text(self.work("recipe"), recipe)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise PlanError(f"cannot write to {self.root} ({why}): choose another output (--output)") from error
        with self.work("lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise PlanError(
                    f"another run is writing to {self.root}: wait for it, or choose another output"
                ) from None
            yield

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
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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
