"""`curate report`: the text is harmless to a terminal, examples are the documents, and what is gone is left out."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from curate import Config, Result, ops, read
from curate.cli import main
from curate.execute.stored import texts
from curate.report import visible
from curate.store import Store

ESCAPES = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e\u2066\x7f\r"


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("terminal")
    texts = [f"{ESCAPES} text {n} of words " + "one more " * (n % 40) for n in range(90)]
    rows = [{"id": f"{ESCAPES}{n}", "text": text} for n, text in enumerate(texts)]
    rows += [{"id": f"copy{n}", "text": texts[n] + " end"} for n in range(30, 36)]
    (folder / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = read(str(folder / "in.jsonl"), name="web") | ops.Gopher()
    corpus = corpus | ops.Keep(rules={"words": {"column": "gopher_word_count", "min": 20}}) | ops.DedupMinhash()
    return corpus.run(str(folder / "out"), Config(workers=1))


def test_no_control_reaches_the_terminal(result: Result) -> None:
    done = CliRunner().invoke(main, ["report", str(result.path), "--text"])
    assert done.exit_code == 0, done.output
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", done.output)
    assert "⟨1B⟩[2J" in done.output and "dropped by words" in done.output
    for title in ("Rules", "Signals", "Examples", "Time"):
        assert f"\n{title}\n" in done.output


@given(st.text(max_size=50))
def test_visible_text_has_no_controls_and_loses_nothing_else(text: str) -> None:
    shown = visible(text)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", shown)
    plain = [char for char in text if char.isalnum()]
    assert [char for char in re.sub("⟨[0-9A-F]+⟩", "", shown) if char.isalnum()] == plain


def test_the_page_can_be_written_elsewhere(result: Result, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["report", str(result.path), "--to", str(tmp_path / "page.html")])
    assert done.exit_code == 0, done.output
    before = (result.path / "report.html").read_text(encoding="utf-8").split('<section aria-labelledby="cost">')
    after = (tmp_path / "page.html").read_text(encoding="utf-8").split('<section aria-labelledby="cost">')
    assert after[0] == before[0]


def test_texts_are_those_that_were_read(result: Result) -> None:
    rows = result.polars("annotations").select("row", "id").rows()
    found = texts(Store(str(result.path)), dict(rows))
    lines = (result.path.parent / "in.jsonl").read_text().splitlines()
    told = {row["id"]: row["text"] for row in map(json.loads, lines)}
    assert {identity: found[row] for row, identity in rows} == told


def test_a_source_that_is_another_now_gives_no_text(result: Result) -> None:
    rows = {row: f"not {identity}" for row, identity in result.polars("annotations").select("row", "id").rows()}
    assert texts(Store(str(result.path)), rows) == {}


def test_only_the_first_rows_of_a_shard_are_read(result: Result) -> None:
    rows = dict(result.polars("annotations").select("row", "id").rows())
    assert {row & 0xFFFFFFFF for row in texts(Store(str(result.path)), rows, most=7)} == set(range(7))


def test_without_source_and_work_folder_the_report_has_values_alone(result: Result, tmp_path: Path) -> None:
    import shutil

    bare = tmp_path / "bare"
    shutil.copytree(result.path, bare, ignore=shutil.ignore_patterns(".work"))
    done = CliRunner().invoke(main, ["report", str(bare), "--text"])
    assert done.exit_code == 0, done.output
    assert "gopher_word_count = " in done.output and "one more one more" not in done.output


def test_wrong_names_say_what_there_is(result: Result) -> None:
    with pytest.raises(Exception, match="gopher_word_count"):
        result.histogram("gopher_word_counts")
    with pytest.raises(Exception, match="did you mean 'words'"):
        result.what_if("word")
    with pytest.raises(Exception, match="did you mean 'words'"):
        result.examples("wordz")
    assert "at least" not in repr(result.histogram("gopher_word_count"))
    assert ">= 20" in repr(result.histogram("gopher_word_count"))
