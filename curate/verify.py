"""Whether every file of a run is as the run left it: sizes, digests, rows, columns, and the counts that must add up."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from curate.errors import DataError
from curate.execute import damage
from curate.result import open_run
from curate.store import Store

WORK = ".work"
PAGES = ("report.html", "README.md", "recipe.yaml", "quarantine.jsonl")


class Damage(NamedTuple):
    """A file of a run and what is wrong with it."""

    path: str
    why: str


def verify(run: str | Path, repair: bool = False) -> tuple[int, list[Damage]]:
    """How many files of a run were looked at, and which of them are damaged.

    run     the folder of a run
    repair  take damaged files out, so that the next run of the recipe makes them anew

    Raises DataError when no run has finished there, and PlanError when one is at work.
    """
    result = open_run(run)
    store = Store(str(Path(run).resolve()))
    with store.claimed(result.manifest["recipe"]):
        found = [*_output(store, result.manifest), *_work(store)]
        for item in found if repair else ():
            _take_out(store, item)
    listed = [file for part in ("data", "annotations") for file in result.manifest[part]]
    work = [path for path in store.work().rglob("[!.]*") if path.is_file()]
    return len(listed) + len(PAGES) + len(work), found


def _output(store: Store, manifest: dict[str, Any]) -> Iterator[Damage]:
    listed = {part: manifest[part] for part in ("data", "annotations")}
    for part, files in listed.items():
        for file in files:
            why = _parquet(store.path(file["path"]), file, manifest, has_all=part == "data")
            if why:
                yield Damage(file["path"], why)
        known = {Path(file["path"]).name for file in files}
        for path in sorted(store.path(part).glob("*")):
            if path.name not in known:
                yield Damage(f"{part}/{path.name}", "is not of this run")
    rows = sum(file["rows"] for file in listed["data"])
    if rows != manifest["kept"]:
        yield Damage("manifest.json", f"says that {manifest['kept']} documents were kept, but lists files with {rows}")
    for name in PAGES:
        if not store.path(name).is_file():
            yield Damage(name, "is missing")
    yield from _quarantine(store, manifest)


def _parquet(path: Path, file: dict[str, Any], manifest: dict[str, Any], has_all: bool) -> str:
    """What is wrong with a Parquet file that the manifest lists; empty when nothing is."""
    if not path.is_file():
        return "is missing"
    size = path.stat().st_size
    if size != file["bytes"]:
        return f"has {size:,} bytes, {file['bytes']:,} were written"
    with path.open("rb") as handle:
        if hashlib.file_digest(handle, "sha256").hexdigest() != file["sha256"]:
            return "has other bytes than were written (SHA-256)"
    try:
        with pq.ParquetFile(path) as opened:
            rows, schema = opened.metadata.num_rows, opened.schema_arrow
    except (pa.ArrowException, OSError) as error:
        return f"cannot be read as Parquet ({error})"
    columns = {field.name: str(field.type) for field in schema}
    if rows != file["rows"]:
        return f"has {rows:,} rows, {file['rows']:,} were written"
    if has_all and columns != manifest["columns"]:
        return "has other columns than the manifest says"
    return "" if b"curate" in (schema.metadata or {}) else "does not say what made it"


def _quarantine(store: Store, manifest: dict[str, Any]) -> Iterator[Damage]:
    path = store.path("quarantine.jsonl")
    if not path.is_file():
        return
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except ValueError as error:
        yield Damage(path.name, f"is not JSON Lines ({error})")
        return
    if len(lines) < manifest["quarantined"]:
        yield Damage(path.name, f"has {len(lines)} records, {manifest['quarantined']} were quarantined")


def _work(store: Store) -> Iterator[Damage]:
    seen: set[Path] = set()
    for path, why in damage.find(store):
        if path not in seen:
            seen.add(path)
            yield Damage(str(path.relative_to(store.path())), why)


def _take_out(store: Store, item: Damage) -> None:
    path = store.path(item.path)
    if item.path.startswith(f"{WORK}/"):
        damage.take_out(store, path)
        path = store.path("manifest.json")  # what was made from it is made again, too
    if path.exists() and store.path() not in path.resolve().parents:
        raise DataError(f"{path} leads out of the run: take it out yourself")
    path.unlink(missing_ok=True)
