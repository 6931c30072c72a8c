"""The documents a run kept as other tools read them: JSON Lines, Dolma, RedPajama-V2, WebDataset, MDS, datasets.

Dolma is of Soldaini et al. 2024, RedPajama-V2 of Weber et al. 2024. Files are numbered, never named by an id: what a
document says can't lead out of the folder.
"""

from __future__ import annotations

import gzip
import io
import math
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import msgspec
import pyarrow.parquet as pq

from curate.convert import size
from curate.errors import PlanError, nearest
from curate.release.mds import write_shards
from curate.result import Result, open_run
from curate.store import replace_folder

ROWS = 1_000
Record = dict[str, Any]
Groups = Iterator[list[Record]]


def write_as(run: str | Path | Result, to: str | Path, format: str, file_size: str = "256MB") -> Path:
    """Write the documents a run kept to a new folder.

    run        the run, or its folder
    to         the folder, which must be empty or not be there
    format     jsonl, dolma, redpajama-v2, webdataset, mds or dataset
    file_size  text in a file, before compression

    Raises PlanError for another format or folder, and DataError where no run has finished.
    """
    if format not in FORMATS:
        raise PlanError(f"no format {format!r}, only {', '.join(FORMATS)}{nearest(format, FORMATS)}")
    result = run if isinstance(run, Result) else open_run(run)
    to = Path(to)
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise PlanError(f"{to} is not an empty folder: choose another one")
    staging = to.with_name(f".{to.name}.making")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        FORMATS[format](result, staging, size(file_size))
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    replace_folder(staging, to)
    return to


def _files(result: Result) -> list[Path]:
    return [result.path / file["path"] for file in result.manifest["data"]]


def _groups(result: Result, limit: int) -> Iterator[Groups]:
    """Documents for each file to write, a thousand at a time."""
    held = _records(result)
    first = next(held, None)
    while first is not None:
        carried: list[list[Record]] = []

        def group(start: list[Record], carried: list[list[Record]] = carried) -> Groups:
            written, records = 0, start
            while records and written < limit:
                written += sum(len(record["text"]) for record in records)
                yield records
                records = next(held, [])
            carried.append(records)

        yield group(first)
        first = carried[0] if carried and carried[0] else None


def _records(result: Result) -> Groups:
    for path in _files(result):
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(ROWS, use_threads=False):
                if batch.num_rows:
                    yield batch.to_pylist()


def _json(value: Any) -> bytes:
    """JSON, in which what it has no word for is text; not-a-number is null."""
    return msgspec.json.encode(value, enc_hook=str)


def _jsonl(result: Result, folder: Path, limit: int) -> None:
    """A .jsonl.zst with every column as a field."""
    import zstandard

    for number, groups in enumerate(_groups(result, limit)):
        with zstandard.open(folder / f"part-{number:05d}.jsonl.zst", "wb") as file:
            for records in groups:
                file.write(b"".join(_json(record) + b"\n" for record in records))


def _dolma(result: Result, folder: Path, limit: int) -> None:
    """`documents` with id, text, source and metadata; numbers as `attributes/curate`, each a span of the whole text."""
    for number, groups in enumerate(_groups(result, limit)):
        with ExitStack() as stack:
            documents = stack.enter_context(_gzip(folder / "documents" / f"part-{number:05d}.jsonl.gz"))
            attributes = stack.enter_context(_gzip(folder / "attributes/curate" / f"part-{number:05d}.jsonl.gz"))
            for record in (record for records in groups for record in records):
                numbers, rest = _split(record)
                known = {name: rest.pop(name) for name in ("id", "text", "source")}
                documents.write(_json({**known, "metadata": rest}) + b"\n")
                spans = {name: [_span(record, value)] for name, value in numbers.items()}
                attributes.write(_json({"id": record["id"], "attributes": spans}) + b"\n")


def _redpajama(result: Result, folder: Path, limit: int) -> None:
    """`documents` with `raw_content`, and `quality_signals` joined by the row that their ids end with.

    Signals that are not RedPajama-V2's own are called `curate_NAME`.
    """
    for number, groups in enumerate(_groups(result, limit)):
        name, row = f"part-{number:05d}.json.gz", 0
        with ExitStack() as stack:
            documents = stack.enter_context(_gzip(folder / "documents" / name))
            signals = stack.enter_context(_gzip(folder / "quality_signals" / f"part-{number:05d}.signals.json.gz"))
            for record in (record for records in groups for record in records):
                numbers, rest = _split(record)
                documents.write(_json({"raw_content": rest.pop("text"), **rest}) + b"\n")
                own = ("rps_", "ccnet_")
                named = {n if n.startswith(own) else f"curate_{n}": v for n, v in numbers.items()}
                spans = {signal: [_span(record, value)] for signal, value in named.items()}
                signals.write(_json({"id": f"{name}/{row}", "metadata": {}, "quality_signals": spans}) + b"\n")
                row += 1


def _webdataset(result: Result, folder: Path, limit: int) -> None:
    """Tar files of pairs: NUMBER.txt is the text, NUMBER.json every other column."""
    count = 0
    for number, groups in enumerate(_groups(result, limit)):
        with tarfile.open(folder / f"part-{number:05d}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            for record in (record for records in groups for record in records):
                text = record.pop("text").encode()
                for suffix, content in (("txt", text), ("json", _json(record))):
                    member = tarfile.TarInfo(f"{count:09d}.{suffix}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
                count += 1


def _mds(result: Result, folder: Path, limit: int) -> None:
    """What MosaicML's `StreamingDataset` opens: `id`, `text`, `source`, and the other columns in `metadata`."""
    write_shards(_groups(result, limit), folder, limit)


def _dataset(result: Result, folder: Path, limit: int) -> None:
    """What `datasets.load_from_disk` opens."""
    import datasets

    cache = folder.with_name(f"{folder.name}.cache")
    try:
        paths = [str(path) for path in _files(result)]
        datasets.Dataset.from_parquet(paths, cache_dir=str(cache)).save_to_disk(str(folder), max_shard_size=limit)
    finally:
        shutil.rmtree(cache, ignore_errors=True)


def _gzip(path: Path) -> IO[bytes]:
    """A .gz whose bytes depend on its content alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return gzip.GzipFile(path, "wb", compresslevel=6, mtime=0)  # type: ignore[return-value]


def _split(record: Record) -> tuple[dict[str, float], Record]:
    """Numbers and truth values of a record, and its other fields."""
    numbers = {name: value for name, value in record.items() if isinstance(value, int | float)}
    return numbers, {name: value for name, value in record.items() if name not in numbers}


def _span(record: Record, value: float) -> list[Any]:
    return [0, len(record["text"]), float(value) if math.isfinite(value) else None]


FORMATS: dict[str, Callable[[Result, Path, int], None]] = {
    "jsonl": _jsonl,
    "dolma": _dolma,
    "redpajama-v2": _redpajama,
    "webdataset": _webdataset,
    "mds": _mds,
    "dataset": _dataset,
}
