"""Which files a source stands for, how they become shards, and what is said when there are none."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import DataError
from curate.io.listing import glob_pattern
from curate.io.source import Source, discover

RECORD = '{"text": "one"}\n'


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(RECORD)


def names(path: object, **how: Any) -> list[str]:
    return [shard.name for shard in discover("web", Source(path=path if isinstance(path, list) else str(path), **how))]


def test_a_folder_gives_its_data_files_by_name(tmp_path: Path) -> None:
    make(tmp_path, "b.jsonl", "a/c.ndjson", "a/b.jsonl.gz", "_temporary/x.jsonl", ".git/y.jsonl", "README.md", "_done")
    assert names(tmp_path) == ["a/b.jsonl.gz", "a/c.ndjson", "b.jsonl"]


def test_json_beside_data_describes_it(tmp_path: Path) -> None:
    make(tmp_path, "a.jsonl", "info.json")
    assert names(tmp_path) == ["a.jsonl"]
    assert names(tmp_path / "*.json*") == ["a.jsonl", "info.json"]


def test_json_alone_is_data(tmp_path: Path) -> None:
    make(tmp_path, "a.json", "b.json.gz")
    assert names(tmp_path) == ["b.json.gz"]
    os.remove(tmp_path / "b.json.gz")
    assert names(tmp_path) == ["a.json"]


def test_a_glob_names_files_below_its_fixed_part(tmp_path: Path) -> None:
    make(tmp_path, "x/1.jsonl", "x/y/2.jsonl", "z/3.jsonl")
    assert names(tmp_path / "**/*.jsonl") == ["x/1.jsonl", "x/y/2.jsonl", "z/3.jsonl"]
    assert names(tmp_path / "x/*.jsonl") == ["1.jsonl"]


def test_a_glob_of_folders_gives_what_is_in_them(tmp_path: Path) -> None:
    make(tmp_path, "x/1.jsonl", "y/2.jsonl")
    assert names(tmp_path / "*") == ["x/1.jsonl", "y/2.jsonl"]


def test_several_paths_share_a_root_and_no_file_counts_twice(tmp_path: Path) -> None:
    make(tmp_path, "a/x.jsonl", "b/x.jsonl")
    paths = [str(tmp_path / "a"), str(tmp_path / "b" / "x.jsonl"), str(tmp_path / "*" / "x.jsonl")]
    assert names(paths) == ["a/x.jsonl", "b/x.jsonl"]


def test_include_and_exclude(tmp_path: Path) -> None:
    make(tmp_path, "en/a.jsonl", "en/b.jsonl", "de/a.jsonl")
    assert names(tmp_path, include=["en/*"], exclude=["b.*"]) == ["en/a.jsonl"]


def test_linked_folders_are_followed_but_not_around_in_circles(tmp_path: Path) -> None:
    make(tmp_path, "data/a.jsonl", "elsewhere/b.jsonl")
    (tmp_path / "data/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data/circle").symlink_to(tmp_path / "data")
    assert names(tmp_path / "data") == ["a.jsonl", "link/b.jsonl"]


def test_an_explicit_format_takes_any_name_that_is_given(tmp_path: Path) -> None:
    make(tmp_path, "a.txt", "b.jsonl")
    assert names(tmp_path / "a.txt", format="jsonl") == ["a.txt"]
    assert names(tmp_path, format="jsonl") == ["b.jsonl"]


def test_keys_say_whether_rows_are_the_same(tmp_path: Path) -> None:
    make(tmp_path, "a.jsonl", "b.jsonl")
    first = {shard.name: shard.key for shard in discover("web", Source(path=str(tmp_path)))}
    make(tmp_path, "c.jsonl")
    (tmp_path / "b.jsonl").write_text(RECORD * 2)
    second = {shard.name: shard.key for shard in discover("web", Source(path=str(tmp_path)))}
    assert second["a.jsonl"] == first["a.jsonl"]
    assert second["b.jsonl"] != first["b.jsonl"]
    os.utime(tmp_path / "a.jsonl", ns=(1, 1))
    third = {shard.name: shard.key for shard in discover("web", Source(path=str(tmp_path)))}
    assert third["a.jsonl"] != second["a.jsonl"]
    assert third["b.jsonl"] == second["b.jsonl"]


@pytest.mark.parametrize("change", [{"columns": {"text": "x"}}, {"other": "columns"}, {"max_record_bytes": 9}])
def test_keys_cover_how_the_source_is_read(tmp_path: Path, change: dict[str, Any]) -> None:
    make(tmp_path, "a.jsonl")
    plain, changed = Source(path=str(tmp_path)), Source(path=str(tmp_path), **change)
    assert discover("web", plain)[0].key != discover("web", changed)[0].key
    assert discover("web", plain)[0].key != discover("wiki", plain)[0].key


def test_keys_do_not_depend_on_where_the_source_lies_or_how_it_is_found(tmp_path: Path) -> None:
    make(tmp_path, "here/a.jsonl", "there/a.jsonl")
    for folder in ("here", "there"):
        os.utime(tmp_path / folder / "a.jsonl", ns=(5, 5))
    paths = [tmp_path / "here", tmp_path / "there", tmp_path / "here/*.jsonl", tmp_path / "here/a.jsonl"]
    keys = {discover("web", Source(path=str(path)))[0].key for path in paths}
    assert len(keys) == 1


# ---------------------------------------------------------------- folders of documents


def test_documents_are_grouped_by_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curate.io.grouping.SMALL_FOLDER", 0)
    make(tmp_path, "a/1.md", "a/x/2.md", "b/3.md", "4.md", ".hidden/5.md")
    shards = discover("docs", Source(path=str(tmp_path), format="files"))
    assert [(s.name, len(s.paths)) for s in shards] == [("a/part-00000", 2), ("b/part-00000", 1), ("part-00000", 1)]
    before = {shard.key for shard in shards}
    make(tmp_path, "aa/6.md")
    after = {shard.key for shard in discover("docs", Source(path=str(tmp_path), format="files"))}
    assert before < after


def test_a_few_small_folders_are_one_shard_but_one_has_its_own_name(tmp_path: Path) -> None:
    make(tmp_path, "a/1.md", "4.md")
    names = [shard.name for shard in discover("docs", Source(path=str(tmp_path), format="files"))]
    assert names == ["a/part-00000", "part-00000"]
    make(tmp_path, "b/2.md", "c/3.md")
    shards = discover("docs", Source(path=str(tmp_path), format="files"))
    assert [(s.name, len(s.paths)) for s in shards] == [("part-00000", 1), ("small-folders-000/part-00000", 3)]


def test_large_folders_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, *(f"a/{n}.md" for n in range(5)))
    monkeypatch.setattr("curate.io.grouping.SHARD_FILES", 2)
    shards = discover("docs", Source(path=str(tmp_path), format="files"))
    assert [len(shard.paths) for shard in shards] == [2, 2, 1]
    monkeypatch.setattr("curate.io.grouping.SHARD_BYTES", len(RECORD))
    assert len(discover("docs", Source(path=str(tmp_path), format="files"))) == 5


def test_many_small_folders_share_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curate.io.grouping.SHARD_FILES", 100)
    make(tmp_path, *(f"{n}/a.md" for n in range(600)))
    shards = discover("docs", Source(path=str(tmp_path), format="files"))
    assert len(shards) == 16
    assert sum(len(shard.paths) for shard in shards) == 600
    make(tmp_path, "new/a.md")
    after = discover("docs", Source(path=str(tmp_path), format="files"))
    assert len({shard.key for shard in shards} - {shard.key for shard in after}) == 1


def test_documents_that_are_too_large_are_left_out(tmp_path: Path) -> None:
    make(tmp_path, "a.md")
    (tmp_path / "b.md").write_text("x" * 100)
    shards = discover("docs", Source(path=str(tmp_path), format="files", max_file_bytes=99))
    assert [Path(path).name for path in shards[0].paths] == ["a.md"]


def test_five_thousand_documents_are_found_quickly(tmp_path: Path) -> None:
    for folder in range(20):
        (tmp_path / str(folder)).mkdir()
        for file in range(250):
            os.close(os.open(f"{tmp_path}/{folder}/{file}.md", os.O_CREAT))
    start = time.process_time()
    shards = discover("docs", Source(path=str(tmp_path), format="files", include=["**/*.md"]))
    assert time.process_time() - start < 2
    assert sum(len(shard.paths) for shard in shards) == 5_000


# ---------------------------------------------------------------- globs


@pytest.mark.parametrize(
    ("glob", "matches", "differs"),
    [
        ("*.md", ["a.md", "x/y/a.md"], ["a.mdx", "a.rst"]),
        ("docs/*.md", ["docs/a.md"], ["docs/x/a.md", "a.md"]),
        ("**/*.md", ["a.md", "x/a.md", "x/y/a.md"], ["a.txt"]),
        ("docs/**", ["docs/a", "docs/a/b"], ["docs", "other/docs/a"]),
        ("**/docs/**/*.md", ["docs/a.md", "x/docs/y/z/a.md"], ["docsx/a.md"]),
        ("?.md", ["a.md"], ["ab.md"]),
        ("[ab].md", ["a.md"], ["c.md"]),
        ("[!ab].md", ["c.md"], ["a.md"]),
        ("a.md", ["a.md", "x/a.md"], ["aXmd"]),
    ],
)
def test_globs(glob: str, matches: list[str], differs: list[str]) -> None:
    import re

    pattern = re.compile(glob_pattern(glob))
    assert all(pattern.fullmatch(name) for name in matches)
    assert not any(pattern.fullmatch(name) for name in differs)


@given(
    st.lists(st.text(st.characters(exclude_characters="/*?[]\0", exclude_categories=["Cs"]), min_size=1), min_size=1)
)
def test_a_name_matches_itself(parts: list[str]) -> None:
    import re

    name = "/".join(parts)
    assert re.compile(glob_pattern(name)).fullmatch(name)


# ---------------------------------------------------------------- what is said


def error(path: object, **how: Any) -> str:
    with pytest.raises(DataError) as caught:
        names(path, **how)
    return str(caught.value)


def test_nothing_there_names_what_is(tmp_path: Path) -> None:
    make(tmp_path, "shards/a.jsonl")
    message = error(tmp_path / "shrads/a.jsonl")
    assert message == (
        f"{tmp_path}/shrads/a.jsonl: there is nothing; {tmp_path} has shards, but no 'shrads' - did you mean 'shards'?"
    )
    assert f"{tmp_path} has shards, but no 'x'" in error(tmp_path / "x/*.jsonl")


def test_a_glob_that_matches_nothing(tmp_path: Path) -> None:
    make(tmp_path, "a.jsonl")
    assert "has a.jsonl, but no '*.parquet'" in error(tmp_path / "*.parquet")


def test_an_empty_folder(tmp_path: Path) -> None:
    assert error(tmp_path) == f"{tmp_path}: has no files"
    make(tmp_path, "a.jsonl")
    assert "has no files that `include` and `exclude` let through" in error(tmp_path, include=["*.md"])


def test_a_folder_of_documents_suggests_the_format(tmp_path: Path) -> None:
    make(tmp_path, "a.md", "b.rst")
    assert "has no data files (.jsonl, .parquet, .csv, .warc), only 2 files of other kinds (.md, .rst)" in error(
        tmp_path
    )
    assert "the suffix does not tell" in error(tmp_path / "a.md")
    assert "is not a folder that `Dataset.save_to_disk` wrote" in error(tmp_path, format="dataset")


def test_an_unreadable_folder_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a/x.jsonl", "b/y.jsonl")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("/b"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert "b: the folder cannot be read (Permission denied)" in error(tmp_path)


def test_a_dangling_link_is_not_passed_over(tmp_path: Path) -> None:
    make(tmp_path, "a.jsonl")
    (tmp_path / "b.jsonl").symlink_to(tmp_path / "gone")
    assert "b.jsonl: cannot be read" in error(tmp_path)
    assert names(tmp_path, exclude=["b.*"]) == ["a.jsonl"]


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    make(tmp_path, "a.md")
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xff.md")).write_text("x")
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    assert "b\\udcff.md': the name is not valid UTF-8; rename the file" in error(tmp_path, format="files")
    assert names(tmp_path, format="files", exclude=["b*"]) == ["part-00000"]


def test_an_unknown_protocol() -> None:
    assert "cannot be opened" in error("nowhere://bucket/a.jsonl")


@pytest.mark.parametrize(
    "how",
    [{"path": ""}, {"path": []}, {"path": "x", "columns": {"a": "f", "b": "f"}}, {"path": "x", "max_record_bytes": 0}],
)
def test_settings_that_cannot_be(how: dict[str, Any]) -> None:
    with pytest.raises((msgspec.ValidationError, ValueError)):
        msgspec.convert(how, Source)
