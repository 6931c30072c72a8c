"""Damaged files of the work folder: found by reading them, and taken out so that the next run makes them anew."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from curate.errors import DataError
from curate.execute.batches import BatchFile, DamagedWork
from curate.store import Store

BY_SHARD = ("values", "members", "documents")


def find(store: Store) -> Iterator[tuple[Path, str]]:
    """Files of the work folder that are not as they were written, and why. Reads all of them."""
    for path in sorted(store.work().rglob("[!.]*")):
        if path.suffix not in (".arrow", ".json", ".jsonl"):
            continue
        try:
            _read(path)
        except DamagedWork as error:
            yield path, error.why
        except (ValueError, OSError) as error:
            yield path, " ".join(str(error).split())
    yield from _unequal(store)


def _read(path: Path) -> None:
    if path.suffix == ".arrow":
        for batch in BatchFile(path):
            batch.validate()
    else:
        for line in path.read_text(encoding="utf-8").splitlines():
            json.loads(line)


def _unequal(store: Store) -> Iterator[tuple[Path, str]]:
    """Values of steps that have not the batches of their shard's index."""
    sizes: dict[str, list[int]] = {}
    for path in sorted(store.work("values").glob("*/[!.]*.arrow")):
        index = store.index(path.stem)
        try:
            if path.stem not in sizes:
                sizes[path.stem] = [len(batch) for batch in BatchFile(index)]
            found = [len(batch) for batch in BatchFile(path)]
        except (DamagedWork, FileNotFoundError):
            continue
        if found != sizes[path.stem]:
            yield path, f"has {sum(found)} rows, the shard {sum(sizes[path.stem])}"


def take_out(store: Store, path: Path) -> None:
    """Remove a damaged file with the receipts that vouch for it. What other files are made from goes with it."""
    kind, *_ = path.relative_to(store.work()).parts
    path.unlink(missing_ok=True)
    if kind == "corpus":
        key = path.relative_to(store.work("corpus")).parts[0]
        for folder in (store.work("corpus", key), store.work("done", key)):
            shutil.rmtree(folder, ignore_errors=True)
        return
    shard = path.stem
    if kind in ("index", "bad"):  # the batches of everything else are those of the index
        store.index(shard).unlink(missing_ok=True)
        store.bad(shard).unlink(missing_ok=True)
        for made in (made for folder in BY_SHARD for made in store.work(folder).glob(f"*/{shard}.arrow")):
            made.unlink()
    for receipt in store.work("done").glob(f"*/{shard}.json"):
        receipt.unlink()


def healing(store: Store, error: DamagedWork) -> DataError:
    """The error for a run that has come upon a damaged file: its own is taken out, those of other runs are not."""
    if store.work() in error.path.parents:
        take_out(store, error.path)
        return DataError(f"{error}; it has been taken out: run again, and it is made anew")
    return DataError(
        f"{error}; it is of another run: `curate verify` tells what else is, and running that run mends it"
    )
