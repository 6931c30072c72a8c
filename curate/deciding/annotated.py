"""Documents with columns to decide on: a finished run, RedPajama-V2's signals, or anyone's Parquet; read in batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl
import pyarrow as pa

from curate.arrays import plain
from curate.errors import DataError, PlanError, nearest
from curate.io.listing import files_at
from curate.result import Result, open_run

if TYPE_CHECKING:
    from collections.abc import Mapping

ROWS = 1 << 17  # of a batch
HELD = 1 << 28  # bytes of columns that are kept for the next look
WIDE = 64  # bytes that a value without a fixed width is taken for
SIGNALS = "quality_signals"  # RedPajama-V2: name -> [[start, end, value], ...], as JSON or as a struct
JSON_LINES = (".jsonl", ".ndjson", ".json", ".jsonl.gz", ".json.gz", ".jsonl.zst", ".json.zst")


class Annotated:
    """Rows with columns, and where they are from. `result` is the run they are the annotations of, if it is one.

    types   column -> Arrow type, of all that rules can look at
    sizes   the columns that hold the bytes and the words of a document, as far as there are such
    """

    def __init__(self, title: str, frame: pl.LazyFrame, result: Result | None, sizes: Mapping[str, str | None]):
        self.title, self.result = title, result
        self.frame = frame.with_columns(**_signals(frame)) if result is None else frame
        schema = self.frame.collect_schema()
        self.types = {name: narrow(pl.Series(dtype=kind).to_arrow().type) for name, kind in schema.items()}
        own = {"bytes": "text_bytes", "words": "text_words"}
        self.sizes = {unit: name for unit in own if (name := sizes.get(unit) or own[unit]) in self.types}
        self._held: dict[str, pa.Array | pa.ChunkedArray] = {}
        for name in filter(None, sizes.values()):
            if name not in self.types:
                raise PlanError(f"{title} has no column {name!r}{nearest(name, self.types)}")

    @cached_property
    def rows(self) -> int:
        """How many rows there are."""
        return int(self.frame.select(pl.len()).collect().item())

    def batches(self, columns: Iterable[str] | None = None) -> Iterator[pa.Table]:
        """All rows in order, some thousands at a time; `columns` that are not there are left out.

        The columns of a run with few rows are read once, however often they are looked at.
        """
        wanted = [*self.types] if columns is None else [name for name in dict.fromkeys(columns) if name in self.types]
        if self.result is not None and self._size({*wanted, *self._held}) <= HELD:
            new = [name for name in wanted if name not in self._held]
            self._held |= dict(zip(new, _columns(self.frame.select(new).collect()), strict=True)) if new else {}
            table = pa.table({name: self._held[name] for name in wanted})
            yield from (table.slice(first, ROWS) for first in range(0, len(table), ROWS))
        else:
            for part in self.frame.select(wanted).collect_batches(chunk_size=ROWS, maintain_order=True):
                yield pa.table(dict(zip(wanted, _columns(part), strict=True)))

    def _size(self, columns: Iterable[str]) -> int:
        """About how many bytes some columns take."""
        return self.rows * sum(8 if pa.types.is_primitive(self.types[name]) else WIDE for name in columns)


def _columns(frame: pl.DataFrame) -> Iterator[pa.Array | pa.ChunkedArray]:
    """Its columns; numbers stay in the pieces that they were read in, which to join takes as long as to read them."""
    columns = frame.to_arrow().columns
    return (column if pa.types.is_primitive(column.type) else plain(column) for column in columns)


def annotated(path: str | Path | Result, words: str | None = None, bytes: str | None = None) -> Annotated:
    """What is at a path: an output folder, a file, a folder or a glob. `words`, `bytes`: columns with those sizes.

    Raises DataError when nothing is there.
    """
    sizes = {"words": words, "bytes": bytes}
    if isinstance(path, Result) or Path(path, "manifest.json").is_file():
        result = path if isinstance(path, Result) else open_run(path)
        return Annotated(str(result.path), result.scan("annotations"), result, sizes)
    found, _ = files_at(str(path), lambda name: name.endswith((".parquet", *JSON_LINES)), {})
    files = [file.path for file in sorted(found, key=lambda file: file.name)]
    if not files:
        raise DataError(f"{path}: no Parquet file (and no manifest.json of a run)")
    if all(file.endswith(".parquet") for file in files):
        frame = pl.scan_parquet(files, missing_columns="insert", extra_columns="ignore")
    else:
        frame = pl.scan_ndjson(files, infer_schema_length=1_000)
    return Annotated(str(path), frame, None, sizes)


def _signals(frame: pl.LazyFrame) -> dict[str, pl.Expr]:
    """RedPajama-V2's document signals as columns of their own: the value of the first span."""
    schema = frame.collect_schema()
    kind = schema.get(SIGNALS)
    if isinstance(kind, pl.Struct):
        spans = {field.name: pl.col(SIGNALS).struct.field(field.name) for field in kind.fields}
        found = {name: span.list.first().list.get(2, null_on_oob=True).cast(pl.Float64) for name, span in spans.items()}
    elif kind == pl.String:
        head = frame.select(SIGNALS).head(1).collect()[SIGNALS].to_list()
        names: Iterable[str] = msgspec.json.decode(head[0], type=dict[str, Any]) if head and head[0] else ()
        text = {name: pl.col(SIGNALS).str.json_path_match(f"$.{name}[0][2]") for name in names}
        found = {name: value.cast(pl.Float64, strict=False) for name, value in text.items()}
    else:
        return {}
    return {name: value for name, value in found.items() if not name.startswith("rps_lines") and name not in schema}


def narrow(kind: pa.DataType) -> pa.DataType:
    """The type without the wide offsets that Polars gives to strings and lists."""
    if pa.types.is_large_string(kind) or kind == pa.string_view() or pa.types.is_dictionary(kind):
        return pa.string()
    if pa.types.is_large_binary(kind):
        return pa.binary()
    if pa.types.is_large_list(kind) or pa.types.is_list(kind):
        return pa.list_(narrow(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, narrow(field.type)) for field in kind])
    return kind
