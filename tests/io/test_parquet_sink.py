"""The Parquet writer: bytes that depend on the rows alone, files that are whole or not there."""

from __future__ import annotations

import hashlib
import importlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.io.parquet import ParquetSink, Written, remove_unfinished, write_table

RNG = np.random.default_rng(0)
ROWS = 3_000
TABLE = pa.table(
    {
        "id": [str(n) for n in range(ROWS)],
        "text": ["word " * int(n) for n in RNG.integers(0, 60, ROWS)],
        "language": pa.array([("en", "de", None)[n] for n in RNG.integers(0, 3, ROWS)], pa.string()),
        "words": RNG.integers(0, 900, ROWS),
        "share": RNG.random(ROWS),
        "fails": [["a", "b"][: n % 3] for n in range(ROWS)],
    }
)


def sink_files(folder: Path, batches: list[pa.RecordBatch], **how: Any) -> list[Written]:
    how = {"row_group_rows": 500, "row_group_bytes": 40_000, "file_bytes": 150_000} | how
    with ParquetSink(folder, "part-{}.parquet", TABLE.schema, **how) as sink:
        for batch in batches:
            sink.append(batch)
    return sink.files


def contents(files: list[Written]) -> list[bytes]:
    return [Path(file.path).read_bytes() for file in files]


def test_files_and_row_groups_have_their_sizes(tmp_path: Path) -> None:
    files = sink_files(tmp_path, TABLE.to_batches(), metadata={"recipe": "abc"})
    assert [Path(file.path).name for file in files] == [f"part-{n:05d}.parquet" for n in range(len(files))]
    assert len(files) > 3
    assert pa.concat_tables(pq.read_table(file.path) for file in files).equals(TABLE)
    for file in files:
        meta = pq.read_metadata(file.path)
        assert (meta.num_rows, Path(file.path).stat().st_size) == (file.rows, file.bytes)
        assert hashlib.sha256(Path(file.path).read_bytes()).hexdigest() == file.sha256
        assert all(meta.row_group(n).num_rows <= 500 for n in range(meta.num_row_groups))
        assert meta.metadata[b"recipe"] == b"abc"
    sizes = [pq.read_metadata(file.path).num_row_groups for file in files[:-1]]
    assert len(set(sizes)) <= 2


def test_encodings(tmp_path: Path) -> None:
    (file,) = sink_files(tmp_path, TABLE.to_batches(), row_group_rows=10_000, row_group_bytes=10**9, file_bytes=10**9)
    group = pq.read_metadata(file.path).row_group(0)
    columns = {group.column(n).path_in_schema: group.column(n) for n in range(group.num_columns)}
    assert {column.compression for column in columns.values()} == {"ZSTD"}
    assert {name for name, column in columns.items() if column.has_dictionary_page} == {"language", "words"}
    assert all(column.has_offset_index for column in columns.values())
    assert not columns["text"].is_stats_set
    assert (columns["words"].statistics.min, columns["words"].statistics.max) == (0, TABLE["words"].to_numpy().max())


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, ROWS), max_size=8))
def test_bytes_do_not_depend_on_how_the_rows_arrive(
    tmp_path_factory: pytest.TempPathFactory, bounds: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("sink")
    bounds = sorted([0, *bounds, ROWS])
    parts = [TABLE.slice(a, b - a).combine_chunks() for a, b in pairwise(bounds)]
    batches = [batch for part in parts for batch in part.to_batches()]
    whole = contents(sink_files(folder / "whole", TABLE.to_batches()))
    assert contents(sink_files(folder / "parts", batches)) == whole
    table = write_table(folder / "a.parquet", TABLE)
    assert write_table(folder / "b.parquet", iter(batches), TABLE.schema).sha256 == table.sha256


def test_columns_may_come_in_another_order_but_not_in_another_type(tmp_path: Path) -> None:
    turned = TABLE.select(TABLE.schema.names[::-1])
    assert contents(sink_files(tmp_path / "a", turned.to_batches())) == contents(
        sink_files(tmp_path / "b", TABLE.to_batches())
    )
    with pytest.raises(ValueError, match="the rows have the columns"):
        sink_files(tmp_path / "c", TABLE.drop_columns(["id"]).to_batches())
    wrong = TABLE.set_column(0, "id", pa.array(range(ROWS)))
    with pytest.raises(ValueError, match="id is int64, the file has string"):
        sink_files(tmp_path / "c", wrong.to_batches())


def test_no_rows_make_one_file_with_the_columns(tmp_path: Path) -> None:
    (file,) = sink_files(tmp_path, [])
    assert file.rows == 0
    assert pq.read_table(tmp_path).schema.names == TABLE.schema.names
    assert write_table(tmp_path / "x.parquet", iter([]), TABLE.schema).rows == 0
    assert write_table(tmp_path / "y.parquet", TABLE.slice(0, 0)).rows == 0


def test_a_failure_leaves_no_unfinished_file(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), ParquetSink(tmp_path, "{}.parquet", TABLE.schema, row_group_rows=10) as sink:
        sink.append(TABLE)
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []

    def broken() -> Any:
        yield TABLE.to_batches()[0]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_table(tmp_path / "x.parquet", broken(), TABLE.schema)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_not_there_before_it_is_whole(tmp_path: Path) -> None:
    sink = ParquetSink(tmp_path / "new", "{}.parquet", TABLE.schema, row_group_rows=10)
    sink.append(TABLE)
    assert list((tmp_path / "new").glob("*.parquet")) == []
    left = [path.name for path in (tmp_path / "new").iterdir()]
    assert all(name.startswith(".00000.parquet.") and name.endswith(".tmp") for name in left)
    assert len(left) == 1
    assert remove_unfinished(tmp_path) == 1
    assert list((tmp_path / "new").iterdir()) == []


def test_a_file_is_replaced(tmp_path: Path) -> None:
    write_table(tmp_path / "x.parquet", TABLE)
    write_table(tmp_path / "x.parquet", TABLE.slice(0, 3), metadata={"a": "b"})
    assert pq.read_table(tmp_path / "x.parquet").num_rows == 3
    assert pq.read_metadata(tmp_path / "x.parquet").metadata[b"a"] == b"b"


def test_names_are_taken_as_they_are(tmp_path: Path) -> None:
    assert write_table(tmp_path / "a{}b {x}.parquet", TABLE).path == str(tmp_path / "a{}b {x}.parquet")


@pytest.mark.parametrize("library", ["pandas", "polars", "duckdb", "datasets"])
def test_other_libraries_read_it(tmp_path: Path, library: str) -> None:
    module: Any = importlib.import_module(library)
    sink_files(tmp_path / "data", TABLE.to_batches())
    glob = str(tmp_path / "data" / "*.parquet")
    if library == "pandas":
        rows = pa.Table.from_pandas(module.read_parquet(tmp_path / "data"))
    elif library == "polars":
        rows = module.read_parquet(glob).to_arrow()
    elif library == "duckdb":
        rows = module.sql(f"select * from '{glob}'").to_arrow_table()
    else:
        rows = module.load_dataset("parquet", data_files=glob, cache_dir=str(tmp_path))["train"].with_format("arrow")[:]
    assert rows.to_pylist() == TABLE.to_pylist()
