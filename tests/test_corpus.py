"""The small corpus in tests/data: what it promises to the other tests, and that its shards follow from its sources."""

from __future__ import annotations

import gzip
import importlib.util
import json
import lzma
import re
import sys
import zlib
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

DATA = Path(__file__).resolve().parent / "data"


def load_make() -> ModuleType:
    spec = importlib.util.spec_from_file_location("corpus_make", DATA / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["corpus_make"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


make = load_make()
documents = make.read_corpus(DATA / "corpus")


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("rebuilt")
    make.make(folder)
    return folder


def files_below(folder: Path) -> dict[str, bytes]:
    """Everything that make.py writes."""
    paths = [*sorted((folder / "shards").iterdir()), *sorted((folder / "broken").iterdir()), folder / "planted.json"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def rows_of(path: Path) -> list[dict[str, Any]]:
    data = path.read_bytes()
    if path.suffix == ".parquet":
        return list(pq.read_table(path).to_pylist())
    if path.suffix == ".zst":
        data = zstandard.ZstdDecompressor().decompress(data)
    elif path.suffix in {".gz", ".xz"}:
        data = gzip.decompress(data) if path.suffix == ".gz" else lzma.decompress(data)
    return [json.loads(line) for line in data.split(b"\n") if line]


def all_rows(folder: Path = DATA) -> list[dict[str, Any]]:
    return [row for path in sorted((folder / "shards").iterdir()) for row in rows_of(path)]


def test_the_sources_are_many_and_varied() -> None:
    languages = Counter(d.language for d in documents if d.language not in {"zxx", "mul"})
    assert len(documents) >= 200
    assert sum(count >= 4 for count in languages.values()) >= 15
    assert len({d.kind for d in documents}) >= 15
    assert len({d.text for d in documents}) == len(documents)


def test_two_builds_have_the_same_bytes(rebuilt: Path, tmp_path: Path) -> None:
    make.make(tmp_path)
    assert files_below(tmp_path) == files_below(rebuilt)


def test_the_shards_here_are_those_that_the_sources_give(rebuilt: Path) -> None:
    """Byte for byte where nothing is compressed; another release of a compressor may pack the same rows differently."""
    here, again = files_below(DATA), files_below(rebuilt)
    assert list(here) == list(again)
    for name in here:
        if name.endswith((".jsonl", ".json", ".md")):
            assert here[name] == again[name], f"{name}: run python tests/data/make.py"
        elif name.startswith("shards/"):
            assert rows_of(DATA / name) == rows_of(rebuilt / name), f"{name}: run python tests/data/make.py"


def test_a_build_removes_what_an_older_one_left(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "old-000.jsonl").write_text("{}\n")
    make.make(tmp_path)
    assert not (tmp_path / "shards" / "old-000.jsonl").exists()


def test_the_shards_hold_each_document_and_each_copy_once() -> None:
    rows = all_rows()
    planted = json.loads((DATA / "planted.json").read_text())["pairs"]
    ids = [row["id"] for row in rows]
    assert len(set(ids)) == len(ids)
    assert set(ids) == {d.id for d in documents} | {pair["copy"] for pair in planted}
    by_id = {row["id"]: row for row in rows}
    for document in documents:
        row = by_id[document.id]
        assert (row["text"], row["language"], row["source"]) == (document.text, document.language, document.source)


def test_all_that_is_written_stays_small() -> None:
    assert sum(len(data) for data in files_below(DATA).values()) < 1_500_000


def five_word_runs(text: str) -> set[str]:
    """Shingles once more, apart from make.py: every run of five words, or all words when there are fewer."""
    words = text.lower().split()
    return {" ".join(words[i : i + 5]) for i in range(len(words)) if i == 0 or i + 5 <= len(words)}


def test_planted_pairs_are_as_far_apart_as_recorded() -> None:
    planted = json.loads((DATA / "planted.json").read_text())
    text = {row["id"]: row["text"] for row in all_rows()}
    kinds = Counter(pair["kind"] for pair in planted["pairs"])
    assert kinds["exact"] >= 12
    assert kinds["near"] >= 25
    for pair in planted["pairs"]:
        a, b = five_word_runs(text[pair["copy"]]), five_word_runs(text[pair["original"]])
        assert len(a & b) / len(a | b) == pytest.approx(pair["jaccard"], abs=1e-6), pair
        if pair["kind"] == "exact":
            assert text[pair["copy"]].lower().split() == text[pair["original"]].lower().split()
        else:
            assert planted["near_jaccard"]["min"] <= pair["jaccard"] < planted["near_jaccard"]["max"], pair


def test_the_near_copies_cover_the_range() -> None:
    pairs = json.loads((DATA / "planted.json").read_text())["pairs"]
    near = sorted(pair["jaccard"] for pair in pairs if pair["kind"] == "near")
    assert near[0] < 0.65
    assert near[-1] > 0.9
    assert len({name for pair in pairs for name in pair["changes"]}) == len(make.EDITS) + 2


def test_originals_are_far_from_each_other() -> None:
    """Nothing but what was planted is a near-duplicate: else a deduplication test could not be judged."""
    runs = [(d.id, five_word_runs(d.text)) for d in documents]
    for i, (left, a) in enumerate(runs):
        for right, b in runs[i + 1 :]:
            assert len(a & b) <= 0.2 * len(a | b), (left, right)


def test_the_readme_counts_right() -> None:
    text = (DATA / "README.md").read_text(encoding="utf-8")
    kind_of_table = {"language": Counter(d.language for d in documents), "kind": Counter(d.kind for d in documents)}
    for title, counted in kind_of_table.items():
        line = re.search(rf"^By {title}: (.*?)\.$", text, re.MULTILINE | re.DOTALL)
        assert line is not None
        stated = {name: int(count) for name, count in re.findall(r"([a-z-]+) (\d+)", line[1])}
        assert stated == counted, f"By {title}: " + ", ".join(f"{n} {c}" for n, c in counted.most_common()) + "."


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("id: en-x-001 | language: en | source: web | colour: red", "unknown header key"),
        ("id: en-x-1 | language: en | source: web", "is not <language>-<kind>-"),
        ("id: en-x-001 | language: de | source: web", "with its own language"),
        ("id: en-x-001 | language: en | source: radio", "source must be one of"),
    ],
)
def test_a_wrong_header_is_refused(head: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make.parse("file.txt", head, "text")


def test_an_id_can_be_used_once(tmp_path: Path) -> None:
    one = "=== id: en-x-001 | language: en | source: web\nText.\n"
    (tmp_path / "a.txt").write_text(one)
    (tmp_path / "b.txt").write_text(one)
    with pytest.raises(ValueError, match="two documents have the id 'en-x-001'"):
        make.read_corpus(tmp_path)


# --- the broken shards, read in the plainest way ---


def unpack(name: str, data: bytes) -> tuple[bytes, bool]:
    """The bytes that can be had, and whether the archive is damaged."""
    if name.endswith(".gz"):
        out, rest = b"", data
        while True:
            stream = zlib.decompressobj(wbits=31)
            try:
                out += stream.decompress(rest)
            except zlib.error:
                return whole_content(data), True
            if not stream.eof:
                return out, True
            rest = stream.unused_data
            if not rest:
                return out, False
    if name.endswith(".zst"):
        reader, out = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True), b""
        try:
            while chunk := reader.read(1 << 16):
                out += chunk
        except zstandard.ZstdError:
            return out, True
        return out, name.startswith("truncated")  # the reader does not tell a cut frame from the end
    return data, data.startswith(b"\xff\xfe")


def whole_content(data: bytes) -> bytes:
    """A gzip member's content without its check sum (its header is ten bytes: no name, no time)."""
    return zlib.decompressobj(wbits=-15).decompress(data[10:])


def is_good(line: bytes) -> bool:
    try:
        record = json.loads(line.decode("utf-8"))
        return isinstance(record, dict) and bool(record["text"].encode("utf-8"))
    except (ValueError, KeyError, AttributeError, RecursionError):
        return False


def read_plainly(path: Path) -> tuple[int, int, bool]:
    """Good records, bad records, and whether the file as a whole is damaged."""
    if path.suffix == ".parquet":
        try:
            texts = pq.read_table(path)["text"]
        except (pa.ArrowException, KeyError, OSError):
            return 0, 0, True
        if not pa.types.is_string(texts.type):
            return 0, 0, True
        return len(texts) - texts.null_count, texts.null_count, False
    data, damaged = unpack(path.name, path.read_bytes())
    if data.startswith(b"\xff\xfe"):
        return 0, 0, True
    found = [line for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()]
    sound = sum(map(is_good, found))
    return sound, len(found) - sound, damaged


TABLE_ROW = re.compile(r"^\| (\S+\.\S+) \| .* \| (\d+) \| (\d+) \| (yes)? ?\|$", re.MULTILINE)
page = (DATA / "broken" / "README.md").read_text()
table = {m[1]: (int(m[2]), int(m[3]), m[4] == "yes") for m in TABLE_ROW.finditer(page)}


def test_the_table_of_broken_shards_names_them_all() -> None:
    assert set(table) == {path.name for path in (DATA / "broken").iterdir()} - {"README.md"}


@pytest.mark.parametrize("name", sorted(table))
def test_a_broken_shard_is_broken_as_its_table_says(name: str) -> None:
    assert read_plainly(DATA / "broken" / name) == table[name]


def test_the_long_line_is_long() -> None:
    lines = gzip.decompress((DATA / "broken" / "long-line.jsonl.gz").read_bytes()).split(b"\n")
    assert max(map(len, lines)) > 2_000_000
