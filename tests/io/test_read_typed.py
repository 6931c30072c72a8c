"""Parquet files and saved datasets: types, columns, bad rows, batches."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import DataError
from curate.io.parquet import from_dataset
from curate.io.source import BadRecord, Source, discover, read, schema

Load = Callable[..., Any]
TABLE = pa.table(
    {
        "id": pa.array([3, None, 5], pa.int32()),
        "text": ["one", "two", "three"],
        "lang": pa.array(["en", "en", None]).dictionary_encode(),
        "score": pa.array([0.5, None, 1.5], pa.float32()),
        "tags": [["a"], [], None],
        "meta": [{"x": 1}, {"x": None}, None],
    }
)


def put(path: Path, table: pa.Table, **how: Any) -> Path:
    pq.write_table(table, path, **how)
    return path


def saved(path: Path, table: pa.Table) -> Path:
    import datasets

    datasets.Dataset(table).save_to_disk(path, num_shards=min(2, len(table)))
    return path


@pytest.fixture(params=["parquet", "dataset"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[pa.Table], Path]:
    if request.param == "parquet":
        return lambda table: put(tmp_path / "a.parquet", table)
    return lambda table: saved(tmp_path / "saved", table)


# ---------------------------------------------------------------- columns


def test_columns_keep_their_types(store: Callable[[pa.Table], Path], load: Load) -> None:
    got = load(store(TABLE), columns={"language": "lang"})
    assert got.table.schema.names == ["id", "text", "language", "score", "tags", "meta", "source"]
    assert got.table.schema.field("language").type == pa.string()
    assert got.table.select(["text", "score", "tags"]).equals(TABLE.select(["text", "score", "tags"]))
    assert got.column("meta") == TABLE["meta"].to_pylist()
    assert got.column("language") == ["en", "en", None]
    assert got.column("source") == ["web"] * 3
    assert got.column("id")[0] == "3"
    assert got.column("id")[1].endswith("#1")
    assert got.bad == []


@pytest.mark.parametrize(
    "kind", [pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.dictionary(pa.int8(), pa.string())]
)
def test_every_kind_of_text(tmp_path: Path, load: Load, kind: pa.DataType) -> None:
    strings = pa.array(["x", "", "日本"])
    text = strings.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else strings.cast(kind)
    got = load(put(tmp_path / "a.parquet", pa.table({"text": text, "url": text})))
    assert got.table["text"].type == pa.string()
    assert got.column("text") == ["x", "", "日本"]
    assert got.table["url"].type == (kind if "binary" in str(kind) else pa.string())


def test_other_fields_as_metadata(tmp_path: Path, load: Load) -> None:
    got = load(put(tmp_path / "a.parquet", TABLE), other="metadata", columns={"language": "lang"})
    assert got.table.schema.names == ["id", "text", "language", "metadata", "source"]
    assert [value and json.loads(value) for value in got.column("metadata")] == [
        {"score": 0.5, "tags": ["a"], "meta": {"x": 1}},
        {"tags": [], "meta": {"x": None}},
        {"score": 1.5},
    ]


def test_parquet_and_json_lines_in_one_source(tmp_path: Path, load: Load) -> None:
    put(tmp_path / "b.parquet", TABLE.select(["id", "text", "lang", "score"]))
    (tmp_path / "a.jsonl").write_text('{"id": "x", "text": "zero", "lang": "de", "n": 1}\n')
    got = load(tmp_path, columns={"language": "lang"})
    assert got.table.schema.names == ["id", "text", "language", "metadata", "source"]
    assert got.column("text") == ["zero", "one", "two", "three"]
    assert got.column("metadata") == ['{"n":1}', '{"score":0.5}', None, '{"score":1.5}']


def test_a_source_column_of_the_data(tmp_path: Path, load: Load) -> None:
    path = put(tmp_path / "a.parquet", pa.table({"source": ["wiki", None], "text": ["x", "y"]}))
    assert load(path).table.to_pylist() == [
        {"id": "a.parquet#0", "text": "x", "source": "wiki"},
        {"id": "a.parquet#1", "text": "y", "source": "web"},
    ]


# ---------------------------------------------------------------- bad rows


def broken_strings(*values: bytes | None) -> pa.Array:
    return pa.array(values, pa.binary()).view(pa.string())


def test_bad_rows(tmp_path: Path, load: Load) -> None:
    table = pa.table(
        {
            "id": broken_strings(b"a", b"b", b"\xff", b"d"),
            "text": broken_strings(b"x", b"\xffy", b"z", None),
            "n": range(4),
        }
    )
    path = put(tmp_path / "a.parquet", table)
    got = load(path)
    assert got.column("n") == [0]
    assert got.bad == [
        BadRecord("a.parquet", 1, "field 'text' is not valid UTF-8 at byte 0", "\\xffy"),
        BadRecord("a.parquet", 2, "field 'id' is not valid UTF-8 at byte 0", "z"),
        BadRecord("a.parquet", 3, "field 'text' is null", "d"),
    ]
    for needed in ({"n"}, {"source"}, {"id", "n"}):
        part = load(path, needed=needed)
        assert part.table.num_rows == 1
        assert part.bad == got.bad
    again = load(path, needed={"n"}, skip=np.array([bad.position for bad in got.bad]))
    assert (again.column("n"), again.bad) == ([0], [])


def test_generated_ids_count_bad_rows_too(store: Callable[[pa.Table], Path], load: Load) -> None:
    got = load(store(pa.table({"text": ["a", None, "b", "c"]})))
    numbers = [int(value.rpartition("#")[2]) for value in got.column("id")]
    assert numbers in ([0, 2, 3], [0, 0, 1])
    assert len(got.table) + len(got.bad) == 4


@pytest.mark.parametrize("column", [broken_strings(b"ok", b"\xff"), pa.array([["ok"], ["\x00"]])])
def test_other_columns_must_be_sound(tmp_path: Path, load: Load, column: pa.Array) -> None:
    if pa.types.is_list(column.type):
        column = pa.ListArray.from_arrays([0, 1, 2], broken_strings(b"ok", b"\xff"))
    path = put(tmp_path / "a.parquet", pa.table({"text": ["x", "y"], "url": column}))
    with pytest.raises(DataError, match=r"a\.parquet: the column 'url' is not valid UTF-8 in row 1"):
        load(path)
    assert load(path, needed={"text"}).table.num_rows == 2


# ---------------------------------------------------------------- batches and projection


def test_batches_and_projection(store: Callable[[pa.Table], Path], load: Load) -> None:
    rng = np.random.default_rng(0)
    lengths = [*rng.integers(0, 3_000, 500).tolist(), 100_000]
    table = pa.table({"text": ["é" * n for n in lengths], "n": range(501), "wide": [[0.5] * 20] * 501})
    path = store(table)
    whole = load(path, batch_bytes=50_000)
    assert whole.column("n") == list(range(501))
    assert whole.batches == load(path, batch_bytes=50_000).batches
    start = 0
    for rows in whole.batches:
        size = sum(2 * n for n in lengths[start : start + rows])
        assert size <= 50_000 or rows == 1
        start += rows
    for needed in ({"n"}, {"id"}, {"source"}, {"text", "wide"}):
        part = load(path, batch_bytes=50_000, needed=needed)
        assert part.table.equals(whole.table.select([n for n in whole.table.schema.names if n in needed]))
        assert part.table.equals(load(path, batch_bytes=50_000, needed=needed, skip=np.array([], np.int64)).table)


def test_the_text_is_not_read_where_it_is_not_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source(path=str(put(tmp_path / "a.parquet", TABLE)))
    (shard,) = discover("web", source)
    columns = schema(source, [shard])
    asked: list[list[str]] = []
    original = pq.ParquetFile.iter_batches

    def spy(self: pq.ParquetFile, *args: Any, columns: list[str], **how: Any) -> Any:
        asked.append(columns)
        return original(self, *args, columns=columns, **how)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", spy)
    for skip in (None, np.array([], np.int64)):
        list(read(shard, source, columns, 1_000, lambda bad: None, needed={"score"}, skip=skip))
    assert asked == [["id", "text", "score"], ["score"]]


# ---------------------------------------------------------------- shards that differ


def differing(tmp_path: Path, second: pa.Table, load: Load) -> str:
    put(tmp_path / "a.parquet", pa.table({"text": ["x"], "n": [1]}))
    put(tmp_path / "b.parquet", second)
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    return str(caught.value).replace(str(tmp_path), "DIR")


def test_shards_must_have_the_same_columns(tmp_path: Path, load: Load) -> None:
    end = "; the shards of a source must have the same columns: make them two sources, or rewrite one of them"
    start = "DIR/b.parquet: the column"
    lacks, changes, adds = pa.table({"text": ["y"]}), pa.table({"text": ["y"], "n": ["1"]}), {"text": ["y"], "n": [1]}
    assert differing(tmp_path, lacks, load) == f"{start} 'n' is missing, but int64 in a.parquet{end}"
    assert differing(tmp_path, changes, load) == f"{start} 'n' is string, but int64 in a.parquet{end}"
    assert (
        differing(tmp_path, pa.table(adds | {"m": [1]}), load) == f"{start} 'm' is int64, but missing in a.parquet{end}"
    )


def test_shards_may_order_columns_and_store_strings_differently(tmp_path: Path, load: Load) -> None:
    put(tmp_path / "a.parquet", pa.table({"text": ["x"], "url": ["u"]}))
    put(tmp_path / "b.parquet", pa.table({"url": pa.array(["v"], pa.large_string()), "text": ["y"]}))
    assert load(tmp_path).table.to_pylist()[1] == {"id": "b.parquet#0", "text": "y", "url": "v", "source": "web"}


# ---------------------------------------------------------------- what is said


def error(load: Load, path: Path, **how: Any) -> str:
    with pytest.raises(DataError) as caught:
        load(path, **how)
    return str(caught.value).replace(str(path), "PATH")


def test_columns_that_are_not_there_or_clash(tmp_path: Path, load: Load) -> None:
    path = put(tmp_path / "a.parquet", pa.table({"content": ["x"], "text": [1], "url": ["u"], "source": [[1]]}))
    assert error(load, path) == (
        "PATH: 'text' must be strings but is int64; take another field for it, "
        "or give this one a name of its own, as in `columns: {my_text: text}`"
    )
    named = {"text": "content", "number": "text"}
    assert "there is no field 'ul' for the column 'address' - did you mean 'url'?" in error(
        load, path, columns=named | {"address": "ul"}
    )
    assert "'source' must be strings but is list" in error(load, path, columns=named)
    clash = error(load, path, columns={"text": "content", "origin": "source"})
    assert "two columns would be named 'text'" in clash
    assert "`columns: {my_text: text}`" in clash
    assert load(path, columns=named | {"origin": "source"}).table.num_rows == 1


@pytest.mark.parametrize("damage", ["footer", "empty", "garbage"])
def test_a_file_that_is_not_parquet(tmp_path: Path, load: Load, damage: str) -> None:
    path = put(tmp_path / "b.parquet", TABLE)
    content = path.read_bytes()
    path.write_bytes({"footer": content[:-100], "empty": b"", "garbage": b"x" * 1_000}[damage])
    assert error(load, path).startswith("PATH: damaged from its start (not readable as Parquet: ")
    put(tmp_path / "a.parquet", TABLE)
    got = load(tmp_path, corrupt="quarantine")
    assert got.table.num_rows == 3
    assert [(bad.shard, bad.position) for bad in got.bad] == [("b.parquet", 0)]


def test_damaged_pages_always_stop(tmp_path: Path, load: Load) -> None:
    path = put(tmp_path / "a.parquet", pa.table({"text": [str(n) * 50 for n in range(1_000)]}), use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[100:5_000] = bytes(4_900)
    path.write_bytes(content)
    for corrupt in ("error", "quarantine"):
        assert error(load, path, corrupt=corrupt).startswith("PATH: damaged inside (")


# ---------------------------------------------------------------- datasets


def test_a_saved_dataset_has_its_arrow_files_as_shards(tmp_path: Path, load: Load) -> None:
    got = load(saved(tmp_path / "saved", TABLE))
    assert [shard.name for shard in got.shards] == ["data-00000-of-00002.arrow", "data-00001-of-00002.arrow"]
    assert {shard.format for shard in got.shards} == {"dataset"}


def test_a_dataset_dict_gives_all_its_splits(tmp_path: Path, load: Load) -> None:
    import datasets

    splits = {
        "train": datasets.Dataset.from_dict({"text": ["a", "b"]}),
        "test": datasets.Dataset.from_dict({"text": ["c"]}),
    }
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "saved")
    (tmp_path / "more.jsonl").write_text('{"text": "d"}\n')
    assert sorted(load(tmp_path).column("text")) == ["a", "b", "c", "d"]


def test_a_dataset_that_lacks_a_file(tmp_path: Path, load: Load) -> None:
    path = saved(tmp_path / "saved", TABLE)
    (path / "data-00001-of-00002.arrow").unlink()
    assert "names 'data-00001-of-00002.arrow', which is not there" in error(load, path)
    path = saved(tmp_path / "saved", TABLE)
    (path / "data-00000-of-00002.arrow").write_bytes(b"x" * 100)
    assert "damaged from its start (not readable as a saved dataset" in error(load, path)


def test_a_dataset_in_memory(tmp_path: Path, load: Load) -> None:
    import datasets

    dataset = datasets.Dataset(TABLE).select([2, 0])
    source = from_dataset(dataset, tmp_path / "spill")
    got = load(source)
    assert got.column("text") == ["three", "one"]
    assert got.column("tags") == [None, ["a"]]
    before = [shard.key for shard in got.shards]
    from_dataset(dataset, tmp_path / "spill")
    assert [shard.key for shard in discover("web", source)] == before
    from_dataset(datasets.Dataset(TABLE), tmp_path / "spill")
    assert load(source).column("text") == ["one", "two", "three"]
    assert sorted(p.name for p in (tmp_path / "spill").iterdir()) == ["part-00000.parquet"]


def test_a_streaming_or_empty_dataset(tmp_path: Path, load: Load) -> None:
    import datasets

    stream = datasets.Dataset(TABLE).to_iterable_dataset()
    assert load(from_dataset(stream, tmp_path / "a")).column("text") == ["one", "two", "three"]
    none = datasets.Dataset(TABLE).select([])
    assert load(from_dataset(none, tmp_path / "b")).table.num_rows == 0
    with pytest.raises(TypeError, match="take one split of it"):
        from_dataset(datasets.DatasetDict({"train": stream}), tmp_path / "c")
