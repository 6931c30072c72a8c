"""A release holds what its run kept, in the order and the files asked for; nothing is there that cannot be loaded."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

import curate
from curate import Config, Result, ops, read
from curate.errors import DataError, PlanError, RecipeError
from curate.recipe import Recipe
from curate.release.check import check
from curate.release.columns import plain_type, safe
from curate.release.reproduce import reproduce
from curate.release.routes import domain_names
from curate.release.settings import Settings, from_flags

SHARDS = Path(__file__).resolve().parents[1] / "data" / "shards"
CARD = {
    "summary": "A small release.",
    "sources": {"web*": {"license": "CC-BY-4.0", "url": "https://example.org/web"}, "books*": {"license": "CC0-1.0"}},
}
BUCKET = {"gopher_mean_word_length": (4.0, 5.0)}


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A run of the test shards with tokens, rules and near-copies."""
    corpus = read(str(SHARDS), name="corpus") | ops.Normalize() | ops.Language() | ops.Tokens() | ops.Gopher()
    rules = {"words": {"column": "gopher_word_count", "min": 20, "source": "a paper, table 1"}}
    corpus = corpus | ops.Keep(rules=rules) | ops.DedupMinhash()
    corpus = msgspec.structs.replace(corpus, recipe=msgspec.structs.replace(corpus.recipe, card=CARD))
    return corpus.run(str(tmp_path_factory.mktemp("release") / "run"), Config(workers=1))


@pytest.fixture(scope="session")
def release(run: Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release with all that export can add."""
    to = tmp_path_factory.mktemp("release") / "dir"
    return curate.export(run, to, shuffle=1, split={"validation": 0.2}, bucket=BUCKET, dropped=True)


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return found


def rows(folder: Path, pattern: str = "data/*/*.parquet") -> pl.DataFrame:
    return pl.read_parquet(sorted(folder.glob(pattern)))


def digests(folder: Path) -> dict[str, str]:
    return {file["path"]: file["sha256"] for file in manifest(folder)["files"]}


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


@pytest.mark.parametrize(("config", "split"), [("default", "train"), ("default", "validation"), ("text_only", "train")])
def test_datasets_loads_it(release: Path, tmp_path: Path, config: str, split: str) -> None:
    import datasets

    found = datasets.load_dataset(str(release), config, split=split, cache_dir=str(tmp_path))
    assert len(found) == manifest(release)["splits"][split]["rows"]
    assert ("domain" in found.features) == (config == "default")


def test_datasets_loads_what_was_dropped(run: Result, release: Path, tmp_path: Path) -> None:
    import datasets

    found = datasets.load_dataset(str(release), "dropped", split="train", cache_dir=str(tmp_path))
    assert len(found) == run.manifest["records"] - run.manifest["kept"]


def test_the_hub_reads_the_card(release: Path) -> None:
    from huggingface_hub import DatasetCard

    card = DatasetCard.load(release / "README.md")
    assert [config["config_name"] for config in card.data.to_dict()["configs"]] == ["default", "text_only", "dropped"]


def test_croissant_is_valid_and_gives_every_record(release: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
    found = mlcroissant.Dataset(str(release / "croissant.json"))
    assert not found.metadata.ctx.issues.errors
    assert sum(1 for _ in found.records("train")) == manifest(release)["splits"]["train"]["rows"]


def test_the_card_of_a_release_agrees_with_its_data(release: Path) -> None:
    found = check(release)
    assert found.problems == []
    assert found.compared > 300


def spoiled(release: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(release, tmp_path / "spoiled"))


def test_a_number_changed_in_the_card_is_found(release: Path, tmp_path: Path) -> None:
    folder = spoiled(release, tmp_path)
    text = (folder / "README.md").read_text(encoding="utf-8")
    number = f"{manifest(release)['total']['text_bytes']:,}"
    (folder / "README.md").write_text(text.replace(number, "999,999", 1), encoding="utf-8")
    assert any("999,999" in problem for problem in check(folder).problems)


def test_a_number_changed_in_the_manifest_is_found(release: Path, tmp_path: Path) -> None:
    folder = spoiled(release, tmp_path)
    told = manifest(folder)
    told["statistics"]["gopher_word_count"]["50%"] += 1
    told["funnel"]["steps"][1]["documents"] += 1
    told["properties"]["language"]["tlh"] = {"rows": 1, "text_bytes": 1, "tokens": 1}
    (folder / "manifest.json").write_text(json.dumps(told), encoding="utf-8")
    problems = " ".join(check(folder).problems)
    assert "statistics.gopher_word_count.50%" in problems
    assert "funnel" in problems
    assert "properties.language.tlh" in problems


def test_a_file_changed_added_or_lost_is_found(release: Path, tmp_path: Path) -> None:
    folder = spoiled(release, tmp_path)
    first, second = (folder / file["path"] for file in manifest(folder)["files"][:2])
    shutil.copy(first, first.with_name("more.parquet"))
    pq.write_table(pq.read_table(first), first)
    problems = " ".join(check(folder).problems)
    assert "sha256" in problems
    assert "more.parquet" in problems
    second.unlink()
    assert second.name in " ".join(check(folder).problems)


def test_what_a_person_wrote_into_the_card_stays(run: Result, tmp_path: Path) -> None:
    folder = curate.export(run, tmp_path / "dir")
    text = (folder / "README.md").read_text(encoding="utf-8")
    (folder / "README.md").write_text(text.replace("is yours", "was written by Ada"), encoding="utf-8")
    curate.export(run, folder, domain=["language"])
    assert "was written by Ada" in (folder / "README.md").read_text(encoding="utf-8")
    assert check(folder).problems == []


def test_what_the_author_does_not_say_is_listed_as_missing(release: Path) -> None:
    card = json.loads((release / "card.json").read_text(encoding="utf-8"))
    assert {"card.license", "card.contact", "card.motivation.purpose", "card.limitations"} <= set(card["missing"])
    assert "card.summary" not in card["missing"]
    assert "⚠ no licence stated" in (release / "README.md").read_text(encoding="utf-8")
    yaml.safe_load((release / "README.md").read_text(encoding="utf-8").split("---\n")[1])


def test_a_release_is_made_again_from_its_own_recipe(release: Path) -> None:
    verdicts = reproduce(release, {"corpus": str(SHARDS)}, config=Config(workers=1))
    assert set(verdicts.values()) == {"same"}
    assert set(digests(release)) <= set(verdicts)


def test_other_sources_make_another_release(release: Path) -> None:
    verdicts = reproduce(release, {"corpus": str(SHARDS / "web-*.jsonl.zst")}, config=Config(workers=1))
    assert "same" not in {verdicts[path] for path in digests(release) if "/books" in path}
    assert len(set(verdicts.values())) > 1


def test_the_released_recipe_names_no_folder_of_this_machine(release: Path) -> None:
    assert str(SHARDS.parent) not in (release / "recipe.yaml").read_text(encoding="utf-8")
    assert Recipe.load(release / "recipe.yaml").sources["corpus"].path == "shards"


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


def test_a_folder_with_other_things_is_left_alone(run: Result, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(PlanError, match="no release"):
        curate.export(run, tmp_path)
    with pytest.raises(PlanError, match="holds the run itself"):
        curate.export(run, run.path)
    with pytest.raises(DataError, match="a run, not a release"):
        check(run.path)


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
