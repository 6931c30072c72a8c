"""Instruction data: forms, the view as text, and the way back."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.io.chat import conversation, record_of

Load = Callable[..., Any]
SHARED = Path(__file__).resolve().parents[3] / "shared/data/raw/instruct_llamafactory_demo.tar.zst"

RECORDS: list[dict[str, Any]] = [
    {"id": "1", "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "Look"}, {"type": "image_url", "url": "x"}]}]},
    {"messages": [{"role": "assistant", "content": None, "tool_calls": [{"id": "t"}]}], "source": "tulu", "n": 1},
    {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}], "model": "m"},
    {"conversations": [{"from": "user", "value": "Hi", "weight": 0}, {"from": "observation", "value": "{}"}]},
    {"instruction": "Add.", "input": "1 1", "output": "2"},
    {"instruction": "Add.", "input": "", "output": "2", "history": [], "system": "s"},
    {"instruction": "Go on.", "output": "2", "history": [["a", "b"], ["c", "d"]], "system": "You add."},
]


@pytest.mark.parametrize("number", range(len(RECORDS)))
def test_the_way_back(number: int) -> None:
    assert record_of(*conversation(RECORDS[number])) == RECORDS[number]


def test_rows(tmp_path: Path, load: Load) -> None:
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    loaded = load(tmp_path, format="chat")
    assert not loaded.bad
    assert loaded.column("dialect") == ["openai"] * 3 + ["sharegpt"] * 2 + ["alpaca"] * 3
    assert loaded.column("text")[0] == "<|system|>\nBe kind.\n<|user|>\nHi"
    assert loaded.column("text")[5] == "<|user|>\nAdd.\n\n1 1\n<|assistant|>\n2"
    assert [m["role"] for m in loaded.column("messages")[4]] == ["user", "tool"]
    assert loaded.column("id")[:2] == ["1", "a.jsonl#1"]
    (tmp_path / "a.jsonl").unlink()
    (tmp_path / "a.json").write_text(json.dumps(RECORDS, indent=1))
    assert load(tmp_path, format="chat").column("text") == loaded.column("text")


@pytest.mark.parametrize(
    "line",
    ["[1]", "{}", '{"messages": []}', '{"messages": [1]}', '{"messages": [{"role": 1, "content": "x"}]}', "{",
     '{"instruction": "x"}', '{"instruction": "x", "output": 1}', '{"conversations": [{"value": "x"}]}',
     '{"instruction": "x", "output": "y", "history": [[1]]}',
     '{"id": [], "messages": [{"role": "u", "content": "x"}]}'],
)  # fmt: skip
def test_other_records_are_bad(tmp_path: Path, load: Load, line: str) -> None:
    (tmp_path / "a.jsonl").write_text(f'{{"instruction": "x", "output": "y"}}\n{line}\n')
    loaded = load(tmp_path, format="chat")
    assert (len(loaded.table), [bad.position for bad in loaded.bad]) == (1, [1])


@pytest.mark.skipif(not SHARED.exists(), reason="the shared data are not here")
def test_real_files(tmp_path: Path, load: Load) -> None:
    unpack = f"zstd -dc --long=27 {SHARED} | tar x -C {tmp_path}"
    if subprocess.run(unpack, shell=True, check=False).returncode:
        pytest.skip("zstd and tar are not here")
    for name, dialect in (("alpaca_en_demo", "alpaca"), ("glaive_toolcall_en_demo", "sharegpt")):
        path = tmp_path / f"instruct_llamafactory_demo/data/{name}.json"
        records = json.loads(path.read_text())
        loaded = load(path, format="chat")
        assert (len(loaded.table), loaded.bad) == (len(records), [])
        assert set(loaded.column("dialect")) == {dialect}
        assert all(record_of(*conversation(record)) == record for record in records)
