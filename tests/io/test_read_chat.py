"""Instruction data: forms, the view as text, and the way back."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.engine import run
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


def test_what_each_role_says(tmp_path: Path, load: Load) -> None:
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    loaded = load(tmp_path, format="chat")
    assert loaded.column("user_text")[7] == "a\n\nc\n\nGo on."
    assert loaded.column("assistant_text")[7] == "b\n\nd\n\n2"
    assert (loaded.column("system_text")[7], loaded.column("tool_text")[7]) == ("You add.", None)
    assert [loaded.column(f"{role}_turn_count")[7] for role in ("system", "user", "assistant", "tool")] == [1, 3, 3, 0]
    assert loaded.column("last_role") == ["user", "user", "assistant", "assistant", "tool", *["assistant"] * 3]


def test_any_signal_of_each_role(tmp_path: Path) -> None:
    from curate import Recipe

    turns = [{"role": "user", "content": "Count to four."}, {"role": "assistant", "content": "one two three four five"}]
    records = [{"id": "a", "messages": turns}, {"id": "b", "messages": turns[:1]}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    recipe = Recipe.parse(f"""
name: roles
sources: {{chats: {{path: {tmp_path}/a.jsonl, format: chat}}}}
steps:
  - gopher: {{as: asked, columns: {{text: user_text}}, signals: [gopher_word_count]}}
  - gopher: {{as: answered, columns: {{text: assistant_text}}, signals: [gopher_word_count]}}
output: {{path: {tmp_path}/out}}
""")
    found = run(recipe).arrow()
    assert found["asked_gopher_word_count"].to_pylist() == [3, 3]
    assert found["answered_gopher_word_count"].to_pylist() == [5, None]


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
