"""JSON Lines of datatrove and Data-Juicer, whose stats become columns."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curate.errors import DataError

Load = Callable[..., Any]
TROVE = [
    {
        "text": f"text {n}",
        "id": f"<urn:{n}>",
        "media": [],
        "metadata": {"url": "u", "score": n / 4, "tokens": n, "top": [n]},
    }
    for n in range(4)
]
STATS = [{"__dj__stats__": {"num_words": n, "lang": "en", "lang_score": n / 8, "boxes": [n]}} for n in range(4)]
TEXTS = [{"text": f"text {n}", "meta": {"src": "a", "text": "of meta"}} for n in range(4)]


def write(path: Path, records: list[Any]) -> Path:
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return path


def test_datatrove(tmp_path: Path, load: Load) -> None:
    got = load(write(tmp_path / "00000.jsonl", TROVE), format="datatrove")
    types = {field.name: field.type for field in got.table.schema}
    strings = dict.fromkeys(("id", "text", "url", "metadata", "source"), pa.string())
    assert types == {**strings, "score": pa.float64(), "tokens": pa.int64()}
    assert got.column("score") == [0.0, 0.25, 0.5, 0.75]
    assert json.loads(got.column("metadata")[3]) == {"media": [], "top": [3]}


def test_data_juicer_with_stats_inside(tmp_path: Path, load: Load) -> None:
    records = [text | stats for text, stats in zip(TEXTS, STATS, strict=True)]
    got = load(write(tmp_path / "a.jsonl", records), format="data-juicer")
    assert got.column("num_words") == [0, 1, 2, 3]
    assert got.table["lang_score"].type == pa.float64()
    assert (got.column("lang"), got.column("src")) == (["en"] * 4, ["a"] * 4)
    assert got.column("text") == [f"text {n}" for n in range(4)]
    assert got.column("meta.text") == ["of meta"] * 4


def test_data_juicer_with_stats_beside(tmp_path: Path, load: Load) -> None:
    write(tmp_path / "a.jsonl", TEXTS)
    inside = load(write(tmp_path / "b.jsonl", [t | s for t, s in zip(TEXTS, STATS, strict=True)]), format="data-juicer")
    (tmp_path / "b.jsonl").unlink()
    write(tmp_path / "a_stats.jsonl", STATS)
    beside = load(tmp_path, format="data-juicer", batch_bytes=60)
    assert beside.table.drop(["id"]).equals(inside.table.drop(["id"]))
    assert [shard.name for shard in beside.shards] == ["a.jsonl"]


def test_a_bad_record_does_not_move_the_stats(tmp_path: Path, load: Load) -> None:
    write(tmp_path / "a.jsonl", [TEXTS[0], 7, {"text": None}, TEXTS[3]])
    write(tmp_path / "a_stats.jsonl", STATS)
    got = load(tmp_path, format="data-juicer")
    assert got.column("num_words") == [0, 3]
    assert [(bad.position, bad.error) for bad in got.bad] == [
        (1, "the record is int, expected object"),
        (2, "field 'text' is null"),
    ]


def test_a_value_of_another_type_is_quarantined(tmp_path: Path, load: Load) -> None:
    late = [{"text": "x", "metadata": {"score": "high", "tokens": 1}}]
    got = load(write(tmp_path / "a.jsonl", TROVE * 300 + late), format="datatrove")
    assert [bad.error for bad in got.bad] == ["field 'score' is string, expected float"]


@pytest.mark.parametrize(
    ("stats", "message"),
    [
        (STATS[:2], "line 3 has no stats, but .*a.jsonl has a record there"),
        ([*STATS, STATS[0]], "has more lines than"),
        ([STATS[0], 3], "line 2 is no JSON object"),
    ],
)
def test_stats_that_do_not_fit(tmp_path: Path, load: Load, stats: list[Any], message: str) -> None:
    write(tmp_path / "a.jsonl", TEXTS)
    write(tmp_path / "a_stats.jsonl", stats)
    with pytest.raises(DataError, match=message):
        load(tmp_path, format="data-juicer")


def test_stats_that_end_early_cost_the_rest_alone(tmp_path: Path, load: Load) -> None:
    import gzip

    write(tmp_path / "a.jsonl", TEXTS * 100)
    lines = "".join(f"{json.dumps(record)}\n" for record in STATS * 100).encode()
    (tmp_path / "a_stats.jsonl.gz").write_bytes(gzip.compress(lines)[:-20])
    (tmp_path / "a.jsonl").rename(tmp_path / "plain")
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress((tmp_path / "plain").read_bytes()))
    got = load(tmp_path, format="data-juicer", corrupt="quarantine", batch_bytes=1_000)
    assert 0 < len(got.table) < 400
    assert [bad.position for bad in got.bad] == [len(got.table)]


def test_rules_look_at_the_stats(tmp_path: Path) -> None:
    from curate import ops, read

    write(tmp_path / "a.jsonl", TEXTS)
    write(tmp_path / "a_stats.jsonl", STATS)
    corpus = read(str(tmp_path), format="data-juicer") | ops.Keep(rules={"words": {"column": "num_words", "min": 2}})
    assert corpus.run(str(tmp_path / "out")).arrow()["num_words"].to_pylist() == [2, 3]
