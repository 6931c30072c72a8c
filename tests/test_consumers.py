"""What a run writes opens in the libraries that people use, with the rows, columns and types that it declares."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", RAY_USAGE_STATS_ENABLED="0")

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import curate
from curate import Config, Result, ops, read

SHARDS = Path(__file__).resolve().parent / "data" / "shards"
PARTS = ["data", "annotations"]


@pytest.fixture(scope="session")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A small run with all kinds of columns: text, lists, flags, whole numbers and fractions, with nulls."""
    folder = tmp_path_factory.mktemp("consumers")
    everything = read(f"{SHARDS}/web-*.jsonl.zst", name="web") + read(f"{SHARDS}/code-000.parquet", name="code")
    corpus = everything | ops.Normalize() | ops.Gopher() | ops.Keep(rules={"words": "gopher_word_count >= 30"})
    return (corpus | ops.DedupMinhash()).named("consumers").run(str(folder / "out"), Config(workers=1))


def files(result: Result, part: str) -> list[str]:
    return [str(result.path / file["path"]) for file in result.manifest[part]]


def rows(result: Result, part: str) -> int:
    count: int = result.manifest["kept" if part == "data" else "records"]
    return count


def types(result: Result, part: str) -> dict[str, str]:
    """Column -> Arrow type, as the manifest declares them; annotations hold the verdict instead of the text."""
    columns: dict[str, str] = dict(result.manifest["columns"])
    if part == "data":
        return columns
    del columns["text"]
    verdict = {"row": "int64", "dropped_by": "string", "failed_rules": "list<element: string>"}
    return columns | verdict | {"text_bytes": "int64", "text_words": "int32"}


def arrow_types(schema: pa.Schema) -> dict[str, str]:
    """Column -> Arrow type; large and plain strings and lists, and the name of a list's item, are the same here."""
    plain = {field.name: str(field.type).replace("large_", "").replace("item:", "element:") for field in schema}
    return {name: kind.replace("string_view", "string") for name, kind in plain.items()}


@pytest.mark.parametrize("part", PARTS)
def test_manifest_counts_the_rows_of_its_files(result: Result, part: str) -> None:
    assert sum(file["rows"] for file in result.manifest[part]) == rows(result, part) > 100
    assert 0 < result.manifest["kept"] < result.manifest["records"]


@pytest.mark.parametrize("part", PARTS)
def test_parquet_files_have_page_indexes_zstd_and_our_footer_key(result: Result, part: str) -> None:
    for path in files(result, part):
        meta = pq.read_metadata(path)
        groups = [meta.row_group(at) for at in range(meta.num_row_groups)]
        chunks = [group.column(at) for group in groups for at in range(group.num_columns)]
        assert chunks
        assert {chunk.compression for chunk in chunks} == {"ZSTD"}
        assert all(chunk.has_offset_index for chunk in chunks)
        # pages of nulls alone, and types without an order, need no column index
        assert all(chunk.has_column_index for chunk in chunks if chunk.path_in_schema in ("id", "gopher_word_count"))
        about = json.loads(meta.metadata[b"curate"])
        assert about["recipe"] == result.manifest["recipe"]
        assert about["version"] == curate.__version__


@pytest.mark.parametrize("part", PARTS)
def test_pyarrow_dataset(result: Result, part: str) -> None:
    found = ds.dataset(result.path / part, format="parquet")
    assert found.count_rows() == rows(result, part)
    assert arrow_types(found.schema) == types(result, part)


@pytest.mark.parametrize("part", PARTS)
def test_polars(result: Result, part: str) -> None:
    found = pl.read_parquet(result.path / part / "*.parquet")
    assert len(found) == rows(result, part)
    assert arrow_types(found.to_arrow().schema) == types(result, part)
    assert found.equals(result.polars(part))


@pytest.mark.parametrize("part", PARTS)
def test_pandas(result: Result, part: str) -> None:
    import pandas as pd

    found = pd.read_parquet(result.path / part, dtype_backend="pyarrow")
    assert len(found) == rows(result, part)
    kinds = {str(name): str(kind) for name, kind in found.dtypes.items()}
    expected = {name: f"{kind}[pyarrow]" for name, kind in types(result, part).items()}
    assert kinds == expected
    assert len(result.pandas(part)) == rows(result, part)


@pytest.mark.parametrize("part", PARTS)
def test_duckdb(result: Result, part: str) -> None:
    with duckdb.connect() as connection:
        relation = connection.sql(f"SELECT * FROM '{result.path / part}/*.parquet'")
        assert len(relation) == rows(result, part)
        names = {"VARCHAR": "string", "VARCHAR[]": "list<element: string>", "BOOLEAN": "bool"}
        names |= {"INTEGER": "int32", "BIGINT": "int64", "DOUBLE": "double"}
        found = {name: names[str(kind)] for name, kind in zip(relation.columns, relation.types, strict=True)}
        assert found == types(result, part)


@pytest.mark.parametrize(("config", "part"), [("default", "data"), ("annotations", "annotations")])
def test_hugging_face_datasets_through_the_card(result: Result, config: str, part: str, tmp_path: Path) -> None:
    import datasets

    found = datasets.load_dataset(str(result.path), config, split="train", cache_dir=str(tmp_path))
    assert len(found) == rows(result, part)
    assert arrow_types(found.features.arrow_schema) == types(result, part)
    assert found["id"][:] == result.arrow(part)["id"].to_pylist()


@pytest.fixture(scope="module")
def ray_data() -> Iterator[object]:
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield ray.data
    ray.shutdown()


@pytest.mark.parametrize("part", PARTS)
def test_ray_data(result: Result, part: str, ray_data) -> None:
    found = result.ray(part)
    assert found.count() == rows(result, part)
    assert arrow_types(found.schema().base_schema) == types(result, part)


# ---------------------------------------------------------------- operators inside other libraries


@pytest.fixture(scope="module")
def texts(result: Result) -> pa.Table:
    """Documents as they were kept, and one without text."""
    table = result.arrow().select(["id", "text"])
    return pa.concat_tables([table, pa.table({"id": ["none"], "text": pa.nulls(1, pa.string())})])


def assert_same(found: pa.Table, expected: pa.Table) -> None:
    """Equal values in equal rows, whatever their order: the ids say which is which."""
    found, expected = found.sort_by("id"), expected.sort_by("id")
    for name in expected.column_names:
        assert found[name].to_pylist() == expected[name].to_pylist(), name


def test_an_operator_in_ray_data(texts: pa.Table, ray_data) -> None:
    mapped = ray_data.from_arrow(texts).map_batches(ops.Gopher(), batch_format="pyarrow", batch_size=50)
    assert_same(pa.concat_tables(mapped.iter_batches(batch_format="pyarrow")), ops.Gopher()(texts))


def test_an_operator_with_a_model_as_actors_that_load_it_once(texts: pa.Table, ray_data) -> None:
    model = str(Path(__file__).resolve().parent / "data/classifier.bin")
    operator = ops.FasttextScore(model=model, label="positive")

    class Told(operator.actor()):  # type: ignore[misc]
        """Says in which process it is and how often that has loaded a model."""

        def __call__(self, value: pa.Table) -> pa.Table:
            from curate.fast_text import load

            found = super().__call__(value)
            for name, number in (("loads", load.cache_info().misses), ("process", os.getpid())):
                found = found.append_column(name, pa.array([number] * len(found)))
            return found

    mapped = ray_data.from_arrow(texts).map_batches(Told, concurrency=1, batch_format="pyarrow", batch_size=20)
    found = pa.concat_tables(mapped.iter_batches(batch_format="pyarrow"))
    assert pc.unique(found["loads"]).to_pylist() == [1]
    assert len(pc.unique(found["process"])) == 1 and os.getpid() not in found["process"].to_pylist()
    assert_same(found.drop_columns(["loads", "process"]), operator(texts))


def test_a_ray_dataset_as_a_source(texts: pa.Table, ray_data, tmp_path: Path) -> None:
    """Its rows come in their order, whatever makes them; and once more they are the same files, so nothing is done."""
    texts = texts.slice(0, 60)

    def run(source: curate.Corpus) -> Result:
        return (source | ops.Gopher()).named("documents").run(str(tmp_path / "out"), Config(workers=1))

    dataset = ray_data.from_arrow([texts.slice(start, 20) for start in (0, 20, 40)]).map_batches(
        lambda batch: batch, batch_format="pyarrow"
    )
    found = run(read(dataset, folder=tmp_path / "inputs"))
    assert found.arrow()["id"].to_pylist() == texts["id"].to_pylist()
    assert_same(found.arrow().select(ops.Gopher()(texts).column_names), ops.Gopher()(texts))
    again = run(read(dataset, folder=tmp_path / "inputs"))
    assert again.manifest == found.manifest
    assert len([*(tmp_path / "inputs").iterdir()]) == 1


def test_an_empty_ray_dataset(ray_data) -> None:
    with pytest.raises(curate.CurateError, match="the Ray Dataset has no rows"):
        read(ray_data.from_arrow(pa.table({"text": pa.array([], pa.string())})))


def test_an_operator_in_hugging_face_datasets(texts: pa.Table) -> None:
    import datasets

    expected = ops.Gopher()(texts)
    mapped = datasets.Dataset(texts).map(ops.Gopher(), batched=True, batch_size=50, keep_in_memory=True)
    assert_same(mapped.with_format("arrow")[:], expected)
    assert pc.sum(expected["gopher_word_count"]).as_py() > 1000
