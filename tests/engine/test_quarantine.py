"""One bad record never kills a run and never vanishes; too many of them, or a broken operator, stop it loudly."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from curate.errors import DataError, OperatorError

pytestmark = pytest.mark.executors

BROKEN = Path(__file__).resolve().parents[1] / "data/broken"


class Expected(NamedTuple):
    """What broken/README.md says of a file."""

    good: int
    bad: int
    file_error: bool


def table() -> dict[str, Expected]:
    rows = re.findall(
        r"^\| (\S+) \| .* \| (\d+) \| (\d+) \| (yes)? *\|$", (BROKEN / "README.md").read_text(), re.MULTILINE
    )
    return {name: Expected(int(good), int(bad), bool(error)) for name, good, bad, error in rows}


FILES = table()
SOUND = [
    name
    for name, file in FILES.items()
    if not file.file_error and file.good and name.endswith((".jsonl", ".gz", ".zst"))
]
DAMAGED = ["truncated.jsonl.gz", "truncated.jsonl.zst", "wrong-checksum.jsonl.gz"]


def recipe_for(folder: Path, steps: str = "[gopher]", head: str = "") -> str:
    return f"name: p\n{head}sources: {{d: {{path: {folder}}}}}\nsteps: {steps}\n"


@pytest.fixture
def broken(lab: Any) -> Callable[..., Path]:
    """A folder with some of the broken files."""

    def broken(*names: str) -> Path:
        folder = lab.folder / "d"
        folder.mkdir(exist_ok=True)
        for name in names:
            shutil.copy2(BROKEN / name, folder / name)
        return folder

    return broken


# ---------------------------------------------------------------- records


def test_bad_records_are_counted_and_written_down(lab: Any, broken: Callable[..., Path]) -> None:
    assert len(SOUND) > 15
    result = lab.run(recipe_for(broken(*SOUND)), quarantine_share=1.0)
    good, bad = sum(FILES[name].good for name in SOUND), sum(FILES[name].bad for name in SOUND)
    assert (result.manifest["records"], result.manifest["kept"], result.manifest["quarantined"]) == (
        good + bad,
        good,
        bad,
    )
    assert result.arrow().num_rows == good
    lines = lab.quarantine()
    assert len(lines) == bad
    for line in lines:
        assert line["source"] == "d"
        assert line["position"] >= 0
        assert line["error"]
        assert FILES[line["shard"]].bad
    by_file = {name: sum(line["shard"] == name for line in lines) for name in SOUND}
    assert by_file == {name: FILES[name].bad for name in SOUND}


def test_the_sum_adds_up(lab: Any, broken: Callable[..., Path]) -> None:
    result = lab.run(recipe_for(broken(*SOUND), "[{sample: {share: 0.5}}, dedup_exact]"), quarantine_share=1.0)
    steps = {step["step"]: step["documents"] for step in result.manifest["funnel"]["steps"]}
    assert steps["read"] == result.manifest["records"]
    assert steps["read"] == sum(count for step, count in steps.items() if step != "read")
    assert steps["quarantine.read"] == result.manifest["quarantined"] == len(lab.quarantine())
    assert steps["sample"] and steps["dedup_exact"]


def test_bad_records_at_any_batch_size(lab: Any, broken: Callable[..., Path]) -> None:
    recipe = recipe_for(broken(*SOUND), "[gopher, dedup_exact]")
    lab.run(recipe, quarantine_share=1.0)
    lab.run(recipe, "small", quarantine_share=1.0, batch_size="100B")
    assert lab.contents() == lab.contents("small")


def test_above_the_share_the_run_fails_and_says_where_to_look(lab: Any, broken: Callable[..., Path]) -> None:
    broken("not-json.jsonl")
    lab.write("recipe.yaml", recipe_for(Path("d")) + "output: {path: out}\n")
    done = lab.cli("run", "recipe.yaml", "--workers", "1")
    assert done.returncode == 1
    assert "5 of 7 records are quarantined" in done.stderr
    assert "out/quarantine.jsonl" in done.stderr
    assert len(lab.quarantine()) == 5
    assert not (lab.folder / "out/manifest.json").exists()
    lab.write("forgiving.yaml", "executor: local\nquarantine_share: 0.8\n")
    done = lab.cli("run", "recipe.yaml", "--workers", "1", "--config", "forgiving.yaml")
    assert done.returncode == 0
    assert "5 records" in done.stdout and "quarantine.jsonl" in done.stdout


def test_a_finished_run_does_not_pass_under_a_smaller_share(lab: Any, broken: Callable[..., Path]) -> None:
    recipe = recipe_for(broken("not-json.jsonl"))
    lab.run(recipe, quarantine_share=1.0)
    with pytest.raises(DataError, match="5 of 7 records"):
        lab.run(recipe)


# ---------------------------------------------------------------- archives


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_archive_is_an_error(lab: Any, broken: Callable[..., Path], name: str) -> None:
    with pytest.raises(DataError, match="corrupt_archives: quarantine") as error:
        lab.run(recipe_for(broken(name)), quarantine_share=1.0)
    assert name in str(error.value)


@pytest.mark.parametrize("name", DAMAGED)
def test_or_what_is_readable_of_it_is_used(lab: Any, broken: Callable[..., Path], name: str) -> None:
    result = lab.run(recipe_for(broken(name)), quarantine_share=1.0, corrupt_archives="quarantine")
    assert (result.manifest["kept"], result.manifest["quarantined"]) == (FILES[name].good, 1)
    assert lab.quarantine()[0]["position"] == FILES[name].good


def test_a_damaged_archive_is_an_error_in_a_worker_too(lab: Any, broken: Callable[..., Path]) -> None:
    folder = broken("crlf.jsonl", *DAMAGED)
    with pytest.raises(DataError, match="corrupt_archives: quarantine"):
        lab.run(recipe_for(folder), quarantine_share=1.0, workers=2)


def test_a_file_that_cannot_be_opened_at_all_is_one_bad_record(lab: Any, broken: Callable[..., Path]) -> None:
    """Even when it is the first of its source, whose columns must then be learnt from another."""
    folder = broken("truncated.parquet")
    (folder / "truncated.parquet").rename(folder / "a.parquet")
    good = BROKEN / "null-text.parquet"
    shutil.copy2(good, folder / "b.parquet")
    result = lab.run(recipe_for(folder), quarantine_share=1.0, corrupt_archives="quarantine")
    assert (result.manifest["kept"], result.manifest["quarantined"]) == (1, 2)
    assert [line["shard"] for line in lab.quarantine()] == ["a.parquet", "b.parquet"]


# ---------------------------------------------------------------- operators


OPERATORS = """
import numpy as np
import pyarrow as pa
from curate.operator import Deduplicator, Filter, Selector, Signal, Trainer

class Picky(Signal, frozen=True):
    word: str
    def writes(self): return {"picky": pa.int32()}
    def compute(self, text: pa.StringArray):
        if any(self.word in t for t in text.to_pylist()):
            raise ValueError(f"cannot take {self.word}")
        return {"picky": pa.array([1] * len(text), pa.int32())}

class Crowd(Signal, frozen=True):
    "Fails on more than one document, but on none alone."
    def writes(self): return {"crowd": pa.int32()}
    def compute(self, text: pa.StringArray):
        if len(text) > 1:
            raise ValueError("too many at once")
        return {"crowd": pa.array([1] * len(text), pa.int32())}

class WrongType(Signal, frozen=True):
    def writes(self): return {"wrong": pa.int32()}
    def compute(self, text: pa.StringArray): return {"wrong": pa.array(["x"] * len(text))}

class WrongLength(Signal, frozen=True):
    def writes(self): return {"wrong": pa.int32()}
    def compute(self, text: pa.StringArray): return {"wrong": pa.array([1], pa.int32())}

class WrongColumn(Signal, frozen=True):
    def writes(self): return {"wrong": pa.int32()}
    def compute(self, text: pa.StringArray): return {"other": pa.array([1] * len(text), pa.int32())}

class NotArrow(Signal, frozen=True):
    def writes(self): return {"wrong": pa.int32()}
    def compute(self, text: pa.StringArray): return {"wrong": [1] * len(text)}

class BadKeys(Deduplicator, frozen=True):
    def sketches(self): return {"h": pa.uint64()}
    def sketch(self, text: pa.StringArray): return {"h": pa.array([1] * len(text), pa.uint64())}
    def keys(self, sketch): raise ValueError("no keys today")

class BadSame(Deduplicator, frozen=True):
    def sketches(self): return {"h": pa.uint64()}
    def sketch(self, text: pa.StringArray): return {"h": pa.array([1] * len(text), pa.uint64())}
    def keys(self, sketch): return np.arange(len(sketch)), sketch["h"].to_numpy()
    def similarity(self, left, right): raise ValueError("cannot compare")

class BadSelect(Selector, frozen=True):
    def sketches(self): return {"h": pa.uint64()}
    def sketch(self, text: pa.StringArray): return {"h": pa.array([1] * len(text), pa.uint64())}
    def select(self, rows, ranking): raise ValueError("cannot choose")

class BadFit(Trainer, frozen=True):
    def writes(self): return {"fit": pa.int32()}
    def sketch_schema(self): return pa.schema([("h", pa.int64())])
    def sketch(self, text: pa.StringArray): return pa.table({"h": pa.array([len(text)], pa.int64())})
    def fit(self, sketches): raise ValueError("cannot fit")
"""


@pytest.fixture
def run_with(lab: Any, documents: Callable[..., Path]) -> Callable[..., Any]:
    """Run a step of the operators above, between gopher and a filter, on two shards of twenty documents each."""
    lab.write("ops.py", OPERATORS)
    documents("d/a.jsonl")
    documents("d/b.jsonl")

    def run_with(step: str, **how: Any) -> Any:
        steps = f"[gopher, {step}, {{keep: {{rules: {{gopher_word_count: {{min: 10}}}}}}}}]"
        return lab.run(recipe_for(lab.folder / "d", steps, "uses: [ops.py]\n"), **{"quarantine_share": 1.0, **how})

    return run_with


def test_only_the_document_that_an_operator_fails_on_is_quarantined(lab: Any, run_with: Callable[..., Any]) -> None:
    result = run_with("{picky: {word: a number 7}}")
    assert (result.manifest["records"], result.manifest["quarantined"]) == (40, 1)
    (line,) = lab.quarantine()
    assert (line["id"], line["step"], line["shard"], line["source"]) == ("a-7", "picky", "a.jsonl", "d")
    assert line["error"] == "ValueError: cannot take a number 7"
    row = result.row("a-7")
    assert row["dropped_by"] == "quarantine.picky"
    assert row["picky"] is None and row["gopher_word_count"] > 0
    others = result.arrow("annotations").to_pylist()
    assert all(other["picky"] == 1 for other in others if other["id"] != "a-7")
    steps = {step["step"]: step["documents"] for step in result.manifest["funnel"]["steps"]}
    assert steps["quarantine.picky"] == 1
    assert steps["read"] == sum(count for step, count in steps.items() if step != "read")


def test_the_quarantine_of_an_operator_is_the_same_in_a_second_run(lab: Any, run_with: Callable[..., Any]) -> None:
    run_with("{picky: {word: a number 7}}")
    first = lab.contents()
    run_with("{picky: {word: a number 7}}", out="small", batch_size="1B")
    assert lab.contents("small") == first
    run_with("{picky: {word: a number 7, as: again}}")
    run_with("{picky: {word: a number 7}}")
    assert lab.contents() == first


def test_the_share_counts_each_record_once(run_with: Callable[..., Any]) -> None:
    with pytest.raises(DataError, match="1 of 40 records are quarantined"):
        run_with("{picky: {word: a number 7}}", quarantine_share=0.001)
    run_with("{picky: {word: a number 7}}", quarantine_share=1 / 40)


def test_or_the_run_stops_and_names_the_documents(run_with: Callable[..., Any]) -> None:
    with pytest.raises(
        OperatorError, match=r"step picky, shard a.jsonl, .*a-0 \.\. a-19: ValueError: cannot take"
    ) as error:
        run_with("{picky: {word: a number 7}}", operator_errors="error")
    assert "a number 7" in str(error.value)


def test_an_operator_that_fails_on_everything_stops_soon(lab: Any) -> None:
    lab.write(
        "ops.py",
        OPERATORS.replace('raise ValueError(f"cannot', 'self.count(); raise ValueError(f"cannot').replace(
            "    word: str\n", COUNT
        ),
    )
    texts = "".join(json.dumps({"id": str(n), "text": f"some words {n}"}) + "\n" for n in range(5000))
    lab.write("d/a.jsonl", texts)
    with pytest.raises(
        OperatorError, match=r"step picky, shard [ab]\.jsonl: .*many documents.*ValueError: cannot take words"
    ):
        lab.run(recipe_for(lab.folder / "d", "[{picky: {word: words}}]", "uses: [ops.py]\n"))
    calls = (lab.folder / "calls").read_text().count("x")
    assert calls < 200


def test_a_run_that_stops_leaves_nothing_running(lab: Any, executor: str) -> None:
    """A cluster that is the user's own is free again soon, though one of the tasks would have taken ten minutes."""
    lab.write("ops.py", OPERATORS.replace('        return {"picky"', WAIT + '        return {"picky"'))
    for name, text in (("a", "words"), ("b", "wait"), ("c", "wait")):
        lab.write(f"d/{name}.jsonl", json.dumps({"id": name, "text": text}) + "\n")
    recipe = recipe_for(lab.folder / "d", "[{picky: {word: words}}]", "uses: [ops.py]\n")
    with pytest.raises(OperatorError, match="cannot take words"):
        lab.run(recipe, operator_errors="error", workers=2)
    if executor == "ray":
        import ray

        end = time.monotonic() + 60
        while ray.available_resources().get("CPU") != 2:
            assert time.monotonic() < end, "tasks of a run that has stopped are still running"
            time.sleep(0.2)


WAIT = """        import time
        for _ in range(6000 * ("wait" in text.to_pylist())): time.sleep(0.1)
"""
COUNT = """    word: str
    def count(self):
        from pathlib import Path
        with (Path(__file__).parent / "calls").open("a") as calls:
            calls.write("x")
"""


def test_an_operator_that_fails_on_no_document_alone(run_with: Callable[..., Any]) -> None:
    with pytest.raises(OperatorError, match=r"step crowd, shard [ab]\.jsonl.*alone.*too many at once"):
        run_with("crowd")


@pytest.mark.parametrize(
    ("step", "message"),
    {
        "wrong_type": r"step wrong_type, shard [ab]\.jsonl: wrong_type declares wrong as int32 but returned string",
        "wrong_length": r"step wrong_length, shard [ab]\.jsonl: wrong_length returned 1 values of wrong for 20 rows",
        "wrong_column": r"wrong_column declares columns \['wrong'\] but returned \['other'\]",
        "not_arrow": r"step not_arrow, shard [ab]\.jsonl: not_arrow declares wrong as int32 but returned a list",
        "bad_keys": r"step bad_keys, shard [ab]\.jsonl: ValueError: no keys today",
        "bad_same": "step bad_same, verify: ValueError: cannot compare",
        "bad_select": "step bad_select, corpus-wide: ValueError: cannot choose",
        "bad_fit": "step bad_fit, corpus-wide: ValueError: cannot fit",
    }.items(),
)
def test_an_operator_that_breaks_its_promises_is_named(run_with: Callable[..., Any], step: str, message: str) -> None:
    with pytest.raises(OperatorError, match=message):
        run_with(step)


def test_an_operator_that_ends_its_process_is_tried_three_times(
    lab: Any, documents: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curate.execute.local.PATIENCE", 0)
    documents("d/a.jsonl")
    documents("d/b.jsonl")
    lab.write("ops.py", DEADLY)
    with pytest.raises(OperatorError, match=r"a worker died 3 times on [ab]\.jsonl .*smaller batch_size"):
        lab.run(recipe_for(lab.folder / "d", "[deadly]", "uses: [ops.py]\n"), workers=2)


DEADLY = """
import os
import pyarrow as pa
from curate.operator import Signal

class Deadly(Signal, frozen=True):
    def writes(self): return {"deadly": pa.int32()}
    def compute(self, text: pa.StringArray): os._exit(3)
"""


def test_a_plain_archive_of_a_bad_record_reads_on(lab: Any) -> None:
    """Records after a bad one keep their positions, in compressed files too."""
    lines = [json.dumps({"id": str(n), "text": f"text {n}"}) if n % 10 else "{broken" for n in range(100)]
    (lab.folder / "d").mkdir()
    with gzip.open(lab.folder / "d/a.jsonl.gz", "wt") as file:
        file.write("\n".join(lines))
    result = lab.run(recipe_for(lab.folder / "d"), quarantine_share=0.2, batch_size="200B")
    assert [line["position"] for line in lab.quarantine()] == list(range(0, 100, 10))
    assert result.arrow()["id"].to_pylist() == [str(n) for n in range(100) if n % 10]
