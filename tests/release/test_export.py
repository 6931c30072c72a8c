"""A release holds what its run kept, in the order and the files asked for; nothing is there that cannot be loaded."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import curate
from curate import Result, ops
from curate.errors import DataError, PlanError, RecipeError
from curate.release.check import check
from curate.release.columns import plain_type, safe
from curate.release.routes import domain_names
from curate.release.settings import Settings, from_flags
from tests.release.reading import BUCKET, digests, manifest, rows


def test_every_kept_document_is_there_once_with_its_text(run: Result, release: Path) -> None:
    found, kept = rows(release).sort("id"), run.polars().sort("id")
    assert found["id"].to_list() == kept["id"].to_list()
    assert found["text"].to_list() == kept["text"].to_list()
    assert found["gopher_word_count"].to_list() == kept["gopher_word_count"].to_list()


def test_a_file_holds_one_domain_and_is_named_after_it(release: Path) -> None:
    for path in sorted(release.glob("data/*/*.parquet")):
        domains = pl.read_parquet(path, columns=["domain"])["domain"].unique().to_list()
        assert domains == [path.name.rsplit("-", 3)[0]]


def test_properties_are_plain_text_without_nulls(release: Path) -> None:
    schema = pq.read_schema(next(release.glob("data/train/*.parquet")))
    for name in ("source", "language", "license", "domain", "gopher_mean_word_length_bucket"):
        assert schema.field(name).type == pa.string()
        assert not schema.field(name).nullable
        assert rows(release)[name].str.contains(r"^[A-Za-z0-9._+/-]+$").all()
    wanted = {"low": (0, 4), "mid": (4, 5), "high": (5, 100)}
    for label, values in rows(release).group_by("gopher_mean_word_length_bucket"):
        low, high = wanted[str(label[0])]
        assert values["gopher_mean_word_length"].is_between(low, high, closed="left").all()


def test_licences_are_those_of_the_sources(release: Path) -> None:
    found = rows(release).select("source", "license").unique()
    for source, licence in found.iter_rows():
        assert licence == (
            "CC-BY-4.0" if source.startswith("web") else "CC0-1.0" if source.startswith("books") else "unknown"
        )


def test_dropped_documents_have_the_reason_of_the_run(run: Result, release: Path) -> None:
    dropped = rows(release, "dropped/*.parquet")
    expected = run.polars("annotations").filter(pl.col("dropped_by").is_not_null())
    assert dict(zip(dropped["id"], dropped["dropped_by"], strict=True)) == dict(
        zip(expected["id"], expected["dropped_by"], strict=True)
    )
    assert "text" not in dropped.columns


def test_files_tell_what_their_columns_are(release: Path) -> None:
    path = next(release.glob("data/train/*.parquet"))
    about = json.loads(pq.read_schema(path).metadata[b"curate"])
    assert about["columns"]["gopher_word_count"] == {"definition": "words", "operator": "gopher"}
    assert about["operators"]["gopher"]["version"] == ops.Gopher.version
    assert "Gopher" in about["operators"]["gopher"]["source"]
    chunk = pq.read_metadata(path).row_group(0).column(0)
    assert (chunk.compression, chunk.has_offset_index) == ("ZSTD", True)


def test_the_manifest_sums_up_the_files(release: Path) -> None:
    told, data = manifest(release), rows(release)
    assert told["total"]["rows"] == len(data) == sum(file["rows"] for file in told["files"])
    assert told["total"]["tokens"] == {"tokens": data["tokens"].sum()}
    assert told["total"]["text_bytes"] == data["text"].str.len_bytes().sum()
    by_language = Counter(data["language"].to_list())
    assert {name: part["rows"] for name, part in told["properties"]["language"].items()} == by_language
    assert told["rules"][0]["source"] == "a paper, table 1"


def test_the_same_run_gives_the_same_bytes(run: Result, release: Path, tmp_path: Path) -> None:
    again = curate.export(run.path, tmp_path / "again", shuffle=1, split={"validation": 0.2}, bucket=BUCKET)
    assert digests(again) == digests(release)


@pytest.mark.parametrize("shuffle", [None, 7])
def test_memory_does_not_change_the_bytes(run: Result, tmp_path: Path, shuffle: int | None) -> None:
    little = curate.export(run, tmp_path / "little", shuffle=shuffle, memory="40kB", domain=["source"])
    much = curate.export(run, tmp_path / "much", shuffle=shuffle, memory="1GB", domain=["source"])
    assert digests(little) == digests(much)
    assert not list(little.rglob("*.arrows"))


def test_source_order_is_the_order_of_the_run(run: Result, tmp_path: Path) -> None:
    folder = curate.export(run, tmp_path / "ordered", domain=["source"])
    order = {id_: at for at, id_ in enumerate(run.polars()["id"])}
    for path in folder.glob("data/train/*.parquet"):
        places = [order[id_] for id_ in pl.read_parquet(path)["id"]]
        assert places == sorted(places)


def test_another_seed_is_another_order(run: Result, release: Path, tmp_path: Path) -> None:
    other = curate.export(run, tmp_path / "other", shuffle=2, domain=["source"])
    same = curate.export(run, tmp_path / "same", domain=["source"])
    assert rows(other)["id"].to_list() != rows(same)["id"].to_list()
    assert sorted(rows(other)["id"]) == sorted(rows(same)["id"])


def test_files_have_the_size_that_is_asked_for(run: Result, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"domain": ["language"], "file_size": "20kB", "row_group_rows": 5}
    folder = curate.export(run, tmp_path / "small", **settings, chunking=True)
    names = sorted(path.name for path in folder.glob("data/train/en-*.parquet"))
    assert len(names) > 2
    assert names[-1] == f"en-{len(names) - 1:05d}-of-{len(names):05d}.parquet"
    for path in folder.glob("data/train/*.parquet"):
        meta = pq.read_metadata(path)
        assert max(meta.row_group(at).num_rows for at in range(meta.num_row_groups)) <= 5


def test_what_must_stay_together_shares_a_split(run: Result, tmp_path: Path) -> None:
    folder = curate.export(run, tmp_path / "sites", split={"validation": 0.4}, split_by=["source"])
    held = set(rows(folder, "data/validation/*.parquet")["source"]) if (folder / "data/validation").exists() else set()
    assert not held & set(rows(folder, "data/train/*.parquet")["source"])


def test_shares_of_splits_are_about_right(release: Path) -> None:
    told = manifest(release)
    assert 0.1 < told["splits"]["validation"]["rows"] / told["total"]["rows"] < 0.3


def test_only_wanted_licences_are_released(run: Result, tmp_path: Path) -> None:
    folder = curate.export(run, tmp_path / "free", require_license=["cc0-1.0"], dropped=True)
    assert set(rows(folder)["license"]) == {"CC0-1.0"}
    dropped = rows(folder, "dropped/*.parquet")
    assert (dropped["dropped_by"] == "require_license").sum() == run.manifest["kept"] - len(rows(folder))
    assert len(dropped) + len(rows(folder)) == run.manifest["records"]
    assert "`require_license`" in (folder / "README.md").read_text(encoding="utf-8")
    assert check(folder).problems == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"domain": ["sourse"]}, "did you mean 'source'"),
        ({"domain": ["gopher_mean_word_length"]}, "--bucket gopher_mean_word_length=CUT,CUT"),
        ({"bucket": {"text": [1]}}, "not a number"),
        ({"split_by": ["site"]}, "no column 'site'"),
        ({"require_license": ["none-such"]}, "no document is left"),
    ],
)
def test_what_cannot_be_is_refused(run: Result, tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises((PlanError, DataError), match=message):
        curate.export(run, tmp_path / "no", **settings)
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [({"split": ("train=0.1",)}, "plain word"), ({"split": ("a=2",)}, "below 1"), ({"bucket": ("x=2,1",)}, "rising")],
)
def test_wrong_settings_are_refused(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Settings(**from_flags(flags))


def test_names_of_domains_are_unique_and_safe() -> None:
    names = domain_names([("a,b", "x"), ("a;b", "x"), ("A-b", "x"), ("", "")])
    assert len({name.lower() for name in names.values()}) == 4
    assert all("," not in name and "/" not in name and name for name in names.values())


def test_types_that_some_reader_refuses_are_changed() -> None:
    assert plain_type(pa.dictionary(pa.int32(), pa.string())) == pa.string()
    assert plain_type(pa.uint64()) == pa.int64()
    assert plain_type(pa.timestamp("us", "UTC")) == pa.string()
    assert plain_type(pa.list_(pa.large_string())) == pa.list_(pa.string())
    assert safe(pa.chunked_array([["a b"], [None]])).to_pylist() == ["a_b", "unknown"]
