"""The documents a run kept as other tools read them: JSON Lines, Dolma, RedPajama-V2, WebDataset, MDS, datasets.

Dolma is of Soldaini et al. 2024, RedPajama-V2 of Weber et al. 2024. Files are numbered, never named by an id: what a
document says can't lead out of the folder.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from curate.convert import size
from curate.errors import PlanError, nearest
from curate.io.annotated import DOLMA, REDPAJAMA, SPANS
from curate.release.mds import write_shards
from curate.result import Result, open_run
from curate.store import replace_folder

ROWS = 1_000
LINES, PLACES = "rps_lines_", ("rps_lines_start", "rps_lines_end")  # signals of lines, and where these are
OWN = ("rps_", "ccnet_")
ABOUT = ("cc_segment", "url", "source_domain", "language")  # what RedPajama-V2 says of a document beside its signals
Record = dict[str, Any]
Groups = Iterator[list[Record]]
Spans = list[list[Any]]  # first and last code point, score
Describe = dict[str, Callable[[Record, Any], Spans]]  # column -> what makes spans of a record's value


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


def _schema(result: Result) -> pa.Schema:
    return next((pq.read_schema(path) for path in _files(result)), pa.schema([]))


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
    """`documents` with id, text, source and metadata; `attributes/curate` with what describes a text or parts of it,
    as spans: a number is one of the whole text, and where there is none, there is no span.
    """
    describe = _describing(result)
    for number, groups in enumerate(_groups(result, limit)):
        with ExitStack() as stack:
            documents = stack.enter_context(_gzip(folder / "documents" / f"part-{number:05d}.jsonl.gz"))
            attributes = stack.enter_context(_gzip(folder / "attributes/curate" / f"part-{number:05d}.jsonl.gz"))
            for record in (record for records in groups for record in records):
                spans, rest = _split(record, describe)
                scored = {name: [span for span in found if span[2] is not None] for name, found in spans.items()}
                attributes.write(_json({"id": record["id"], "attributes": scored}) + b"\n")
                known = {name: rest.pop(name) for name in ("id", "text", *DOLMA) if rest.get(name) is not None}
                documents.write(_json({**known, "metadata": rest}) + b"\n")


def _redpajama(result: Result, folder: Path, limit: int) -> None:
    """`documents` with the fields of cc_net, null where the run has none, and `quality_signals` joined by the row that
    their ids end with. Signals that are not RedPajama-V2's own are called `curate_NAME`.
    """
    types = {field.name: field.type for field in _schema(result)}
    fields = [name for name, type in REDPAJAMA.items() if types.get(name) == type]
    describe = {name: make for name, make in _describing(result).items() if name not in fields}
    for number, groups in enumerate(_groups(result, limit)):
        name, row = f"part-{number:05d}.json.gz", 0
        with ExitStack() as stack:
            documents = stack.enter_context(_gzip(folder / "documents" / name))
            signals = stack.enter_context(_gzip(folder / "quality_signals" / f"part-{number:05d}.signals.json.gz"))
            for record in (record for records in groups for record in records):
                spans, rest = _split(record, describe)
                text, known = rest.pop("text"), {name: rest.pop(name) if name in fields else None for name in REDPAJAMA}
                documents.write(_json({"raw_content": text, **known, **rest}) + b"\n")
                signals.write(_json(_signals(f"{name}/{row}", known, spans)) + b"\n")
                row += 1


def _signals(id: str, known: Record, spans: dict[str, Spans]) -> Record:
    """A document's line of `quality_signals`. Its number is the start of its id's SHA-1."""
    return {
        "id": id,
        "id_int": int.from_bytes(hashlib.sha1(id.encode()).digest()[:8], "little"),
        "metadata": {name: known[name] for name in ABOUT if known[name] is not None},
        "quality_signals": {n if n.startswith(OWN) else f"curate_{n}": found for n, found in spans.items()},
    }


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


def _describing(result: Result) -> Describe:
    """The columns that say something of a text or of parts of it."""
    schema = _schema(result)
    has_places = all(name in schema.names for name in PLACES)
    found: Describe = {}
    for name, type in zip(schema.names, schema.types, strict=True):
        if _is_number(type):
            found[name] = _whole
        elif type == SPANS:
            found[name] = _parts
        elif has_places and name.startswith(LINES) and name not in PLACES and pa.types.is_list(type):
            found[name] = _lines
    return found


def _is_number(type: pa.DataType) -> bool:
    return pa.types.is_integer(type) or pa.types.is_floating(type) or pa.types.is_boolean(type)


def _split(record: Record, describe: Describe) -> tuple[dict[str, Spans], Record]:
    """What says something of a record's text, as spans, and its other fields."""
    spans = {name: make(record, record[name]) for name, make in describe.items()}
    said = {*spans, *(PLACES if _lines in describe.values() else ())}
    return spans, {name: value for name, value in record.items() if name not in said}


def _whole(record: Record, value: Any) -> Spans:
    return [[0, len(record["text"]), _score(value)]]


def _parts(record: Record, spans: list[dict[str, Any]] | None) -> Spans:
    return [[span["start"], span["end"], _score(span["score"])] for span in spans or ()]


def _lines(record: Record, scores: list[Any] | None) -> Spans:
    places = (record[name] or () for name in PLACES)
    return [[start, end, _score(score)] for start, end, score in zip(*places, scores or (), strict=False)]


def _score(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


FORMATS: dict[str, Callable[[Result, Path, int], None]] = {
    "jsonl": _jsonl,
    "dolma": _dolma,
    "redpajama-v2": _redpajama,
    "webdataset": _webdataset,
    "mds": _mds,
    "dataset": _dataset,
}
