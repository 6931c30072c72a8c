"""Published layouts with annotations beside the documents: RedPajama-V2's and Dolma's."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from curate.errors import DataError

Load = Callable[..., Any]
SHARED = Path(__file__).resolve().parents[3] / "shared/data"
SHARD = "2023-06/0000/en_head"
TEXTS = ["One line.", "Two\nlines here", "Three"]


def write(path: Path, records: list[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))


def document(text: str) -> dict[str, Any]:
    size = {"length": len(text), "nlines": text.count("\n") + 1, "language": "en", "language_score": 0.97}
    return {
        "url": "http://a.example/",
        "digest": "sha1:A",
        "raw_content": text,
        "line_ids": [0],
        **size,
        "perplexity": 5,
    }


def signals(row: int, text: str) -> dict[str, Any]:
    ends = [len("".join(text.splitlines(keepends=True)[: k + 1])) for k in range(text.count("\n") + 1)]
    spans = [[start, end, 2.0] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    made = {"rps_doc_word_count": [[0, len(text), float(row)]], "rps_doc_ut1_blacklist": [[0, len(text), None]]}
    return {"id": f"{SHARD}.json.gz/{row}", "quality_signals": {**made, "rps_lines_num_words": spans}}


def redpajama(root: Path, rows: tuple[int, ...] = (0, 1, 2)) -> Path:
    write(root / f"documents/{SHARD}.json.gz", [document(text) for text in TEXTS])
    write(root / f"quality_signals/{SHARD}.signals.json.gz", [signals(row, TEXTS[row]) for row in rows])
    ids = [f"{SHARD}.json.gz/{row}" for row in rows]
    minhash = {
        "shard_id": [SHARD] * len(rows),
        "id": ids,
        "signature_sim0.7": [[b"ab", b"cd"], None, [b"ef"]][: len(rows)],
    }
    tables = {"minhash": minhash, "duplicates": {"doc_id": [f"{SHARD}.json.gz/1"]}}
    for kind, columns in tables.items():
        path = root / f"{kind}/{SHARD}.{kind}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path)
    return root


def test_redpajama_v2_joins_what_was_published(tmp_path: Path, load: Load) -> None:
    found = load(redpajama(tmp_path), format="redpajama-v2")
    assert [shard.name for shard in found.shards] == [f"{SHARD}.json.gz"]
    assert found.column("text") == TEXTS
    assert found.column("id") == [f"{SHARD}.json.gz/{row}" for row in range(3)]
    assert found.column("rps_doc_word_count") == [0.0, 1.0, 2.0]
    assert found.column("rps_doc_ut1_blacklist") == [None, None, None]
    assert found.column("rps_lines_num_words") == [[2.0], [2.0, 2.0], [2.0]]
    assert found.column("rps_lines_start") == [[0], [0, 4], [0]]
    assert found.column("rps_lines_end") == [[9], [4, 14], [5]]
    assert found.column("signature_sim0.7") == [[b"ab", b"cd"], None, [b"ef"]]
    assert found.column("is_duplicate") == [False, True, False]
    assert found.column("perplexity") == [5.0] * 3
    assert found.column("metadata") == ['{"line_ids":[0]}'] * 3


def test_signals_follow_their_document_where_rows_are_missing(tmp_path: Path, load: Load) -> None:
    found = load(redpajama(tmp_path, rows=(0, 2)), format="redpajama-v2")
    assert found.column("rps_doc_word_count") == [0.0, None, 2.0]
    assert found.column("signature_sim0.7") == [[b"ab", b"cd"], None, None]


def test_a_bad_document_does_not_move_the_others_signals(tmp_path: Path, load: Load) -> None:
    root = redpajama(tmp_path)
    write(root / f"documents/{SHARD}.json.gz", [document("a"), '{"raw_content": 3}', document("c")])
    found = load(root, format="redpajama-v2")
    assert found.column("rps_doc_word_count") == [0.0, 2.0]
    assert [(bad.position, bad.error) for bad in found.bad] == [(1, "field 'raw_content' is int, expected string")]


def test_documents_alone_are_enough(tmp_path: Path, load: Load) -> None:
    write(tmp_path / f"documents/{SHARD}.json.gz", [document(text) for text in TEXTS])
    assert "is_duplicate" not in load(tmp_path, format="redpajama-v2").table.column_names


def test_shards_with_more_annotations_than_the_first_are_refused(tmp_path: Path, load: Load) -> None:
    root = redpajama(tmp_path)
    write(root / "documents/2023-06/0000/de_tail.json.gz", [document("x")])
    with pytest.raises(DataError, match=r"en_head.*beside it, which .*de_tail.* has not"):
        load(root, format="redpajama-v2")
    assert len(load(root, format="redpajama-v2", include=["en_*"]).table) == 3


def test_damage_in_a_file_beside_the_documents_is_told(tmp_path: Path, load: Load) -> None:
    path = redpajama(tmp_path) / f"quality_signals/{SHARD}.signals.json.gz"
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(DataError, match=r"signals\.json\.gz: damaged"):
        load(tmp_path, format="redpajama-v2")
    write(path, [signals(0, "x"), {"id": "x"}])
    with pytest.raises(DataError, match="line 2 has no quality signals"):
        load(tmp_path, format="redpajama-v2")


def dolma(root: Path) -> Path:
    records = [{"id": name, "text": f"text {name}", "source": "s", "metadata": {"url": name}} for name in "abc"]
    write(root / "documents/x/000.json.gz", records)
    spans = [{"id": name, "attributes": {"tagger__length": [[0, 6, 6.0]]}} for name in "abc"]
    write(root / "attributes/length/x/000.json.gz", spans)
    some = [{"pii": {"email": [[0, 1, 0.5]]}, "toxicity": 0.25}, {}, {}]
    write(
        root / "attributes/mixed/x/000.json.gz", [{"id": i, "attributes": a} for i, a in zip("abc", some, strict=True)]
    )
    return root


def test_dolma_attributes_are_columns(tmp_path: Path, load: Load) -> None:
    found = load(dolma(tmp_path), format="dolma")
    assert found.column("text") == ["text a", "text b", "text c"]
    assert found.column("tagger__length") == [[{"start": 0, "end": 6, "score": 6.0}]] * 3
    assert found.column("pii__email") == [[{"start": 0, "end": 1, "score": 0.5}], None, None]
    assert found.column("toxicity") == [0.25, None, None]
    assert found.column("source") == ["s"] * 3


def test_attributes_of_other_documents_are_refused(tmp_path: Path, load: Load) -> None:
    root = dolma(tmp_path)
    write(root / "attributes/length/x/000.json.gz", [{"id": name, "attributes": {}} for name in "acb"])
    with pytest.raises(DataError, match="line 2 is about 'c', but the document there is 'b'"):
        load(root, format="dolma")


def test_a_folder_without_the_layout_says_so(tmp_path: Path, load: Load) -> None:
    write(tmp_path / "a.json.gz", [{}])
    with pytest.raises(DataError, match=r"has no \.json\.gz below a folder `documents`"):
        load(tmp_path, format="dolma")


def test_dolmas_own_fixtures(tmp_path: Path, load: Load) -> None:
    path = SHARED / "raw/warc_dolma_cc.tar.zst"
    if not path.exists():
        pytest.skip("the shared data is not here")
    data = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(path.read_bytes()).read()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        tar.extractall(tmp_path, filter="data")
    root = tmp_path / "warc_dolma_cc/tests/data/provided"
    found = load(root, format="dolma", exclude=["deduper/**"])
    assert len(found.table) == 10
    assert {"pii__email", "toxicity", "sample__random_number_v1__random"} <= set(found.table.column_names)
    assert found.column("pii__email")[2][0]["start"] == 5407


def test_values_of_redpajamas_own_code(tmp_path: Path, load: Load) -> None:
    folder = SHARED / "oracle_rpv2"
    if not folder.exists():
        pytest.skip("the shared data is not here")
    read = lambda name: [json.loads(line) for line in zstandard.open(folder / f"{name}.jsonl.zst").read().splitlines()]  # noqa: E731
    texts = {one["id"]: one["text"] for one in read("docs")}
    oracle = [one for one in read("signals") if texts.get(one["id"])]
    write(tmp_path / f"documents/{SHARD}.json.gz", [document(texts[one["id"]]) for one in oracle])
    published = [{"id": f"{SHARD}.json.gz/{row}", "quality_signals": one["signals"]} for row, one in enumerate(oracle)]
    write(tmp_path / f"quality_signals/{SHARD}.signals.json.gz", published)
    found = load(tmp_path, format="redpajama-v2")
    assert len(found.table) == len(oracle) > 200
    for name in ("rps_doc_word_count", "rps_doc_frac_chars_top_2gram", "ccnet_perplexity"):
        assert found.column(name) == [one["signals"][name][0][2] for one in oracle]
    assert found.column("rps_lines_num_words")[0] == [span[2] for span in oracle[0]["signals"]["rps_lines_num_words"]]
