"""What a run makes of the test corpus: 379 documents in six shards of four formats, with planted copies."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from curate.execute.local import dismiss

pytestmark = pytest.mark.executors

REASONS = ["words", "letters", "tongue", "dedup_exact", "dedup_minhash"]
RULES = ["words", "letters", "tongue"]


@pytest.fixture(scope="module")
def rows(probe: Any) -> list[dict[str, Any]]:
    """The annotations of the probe run."""
    found: list[dict[str, Any]] = probe.result().arrow("annotations").to_pylist()
    return found


# ---------------------------------------------------------------- what comes out


def test_the_funnel_adds_up(probe: Any, rows: list[dict[str, Any]]) -> None:
    steps = {step["step"]: step for step in probe.result().manifest["funnel"]["steps"]}
    assert [*steps] == ["read", *REASONS, "kept"]
    for unit in ("documents", "bytes", "words"):
        assert steps["read"][unit] == steps["kept"][unit] + sum(steps[reason][unit] for reason in REASONS)
    fates = Counter(row["dropped_by"] for row in rows)
    assert steps["read"]["documents"] == len(rows) == 379
    assert {reason: steps[reason]["documents"] for reason in REASONS} == {reason: fates[reason] for reason in REASONS}
    failed = Counter(rule for row in rows for rule in row["failed_rules"])
    assert {reason: steps[reason]["failed"] for reason in REASONS} == {reason: failed[reason] for reason in REASONS}


def test_the_funnel_of_each_group_adds_up(probe: Any) -> None:
    manifest = probe.result().manifest
    groups = manifest["funnel"]["groups"]
    assert sum(group["steps"][0]["documents"] for group in groups) == 379
    assert sum(group["steps"][-1]["documents"] for group in groups) == manifest["kept"]
    assert {"web", "forum", "books", "code"} <= {group["source"] for group in groups}
    for group in groups:
        first, *lost, last = (step["documents"] for step in group["steps"])
        assert first == last + sum(lost)


def test_kept_documents_have_text_and_all_documents_have_annotations(probe: Any, rows: list[dict[str, Any]]) -> None:
    data, annotations = probe.result().arrow("data"), probe.result().arrow("annotations")
    assert data.column_names[:2] == ["id", "text"]
    assert annotations.column_names[0] == "id"
    assert set(data.column_names) - set(annotations.column_names) == {"text"}
    assert {"dropped_by", "failed_rules"} <= set(annotations.column_names) - set(data.column_names)
    assert data["id"].to_pylist() == [row["id"] for row in rows if row["dropped_by"] is None]
    assert data["text"].null_count == 0


def test_every_dropped_document_has_its_first_failed_rule_as_reason(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert row["dropped_by"] == (row["failed_rules"][0] if row["failed_rules"] else None)
        assert row["dropped_by"] in (*REASONS, None)


def test_failed_rules_holds_every_rule_a_document_fails(rows: list[dict[str, Any]]) -> None:
    def fails(row: dict[str, Any]) -> list[str]:
        bad = {
            "words": row["gopher_word_count"] < 20,
            "letters": row["gopher_alpha_word_ratio"] < 0.5,
            "tongue": row["language"] == "zxx",
        }
        return [rule for rule in RULES if bad[rule]]

    assert [[rule for rule in row["failed_rules"] if rule in RULES] for row in rows] == [fails(row) for row in rows]
    assert any(len(row["failed_rules"]) > 1 for row in rows)


def test_planted_copies_are_found(rows: list[dict[str, Any]], planted: list[dict[str, Any]]) -> None:
    """Exact copies all, near ones by similarity; each pair is decided against the copy that comes later."""
    by_id = {row["id"]: row for row in rows}
    for pair in planted:
        copy, original = by_id[pair["copy"]], by_id[pair["original"]]
        if {copy["dropped_by"], original["dropped_by"]} & set(RULES):
            continue
        twins = {
            (row["dropped_by"], row["dedup_exact_duplicate_of"] or row["dedup_minhash_duplicate_of"])
            for row in (copy, original)
        }
        if pair["kind"] == "exact":
            assert twins in (
                {("dedup_exact", original["id"]), (None, None)},
                {("dedup_exact", copy["id"]), (None, None)},
            )
        elif pair["jaccard"] > 0.9:
            assert ("dedup_minhash", original["id"]) in twins or ("dedup_minhash", copy["id"]) in twins
        elif pair["jaccard"] < 0.65:
            assert twins == {(None, None)}


def test_clusters_point_to_the_document_that_stays(rows: list[dict[str, Any]]) -> None:
    for step in ("dedup_exact", "dedup_minhash"):
        cluster, twin = f"{step}_cluster", f"{step}_duplicate_of"
        heads = {row[cluster]: row["id"] for row in rows if row[cluster] is not None and row[twin] is None}
        for row in rows:
            assert (row["dropped_by"] == step) == (row[twin] is not None)
            assert row[twin] is None or row[twin] == heads[row[cluster]]


def test_columns_are_flat_and_typed(probe: Any) -> None:
    schema = probe.result().arrow("data").schema
    assert {field.name: str(field.type) for field in schema} == probe.result().manifest["columns"]
    assert schema.field("gopher_word_count").type == pa.int32()
    assert schema.field("normalize_is_changed").type == pa.bool_()


def test_the_manifest_lists_every_file_with_its_digest(probe: Any) -> None:
    import hashlib

    contents = probe.contents()
    for part in ("data", "annotations"):
        for file in probe.result().manifest[part]:
            assert hashlib.sha256(contents[file["path"]]).hexdigest() == file["sha256"]
            assert len(contents[file["path"]]) == file["bytes"]
    listed = {file["path"] for part in ("data", "annotations") for file in probe.result().manifest[part]}
    assert listed == {path for path in contents if "/" in path}


# ---------------------------------------------------------------- same bytes


@pytest.mark.parametrize("patience", [0, 0.05, 60])
def test_two_workers_give_the_same_bytes(
    lab: Any, probe: Any, monkeypatch: pytest.MonkeyPatch, patience: float
) -> None:
    """In two processes, in this one until they are up, and in this one alone."""
    monkeypatch.setattr("curate.execute.local.PATIENCE", patience)
    lab.run(workers=2)
    assert lab.contents() == probe.contents()


def test_the_next_run_of_a_process_has_the_same_workers(
    lab: Any, probe: Any, executor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless a run was stopped, or what they have inherited is another by now."""
    if executor == "ray":
        pytest.skip("Ray keeps its own")
    monkeypatch.setattr("curate.execute.local.PATIENCE", 0)
    dismiss()
    others = workers()  # somebody else's
    lab.run(workers=2)
    first = workers() - others
    shutil.rmtree(lab.root())
    lab.run(workers=2)
    assert workers() - others == first and len(first) == 2
    assert lab.contents() == probe.contents()
    monkeypatch.setenv("LANGUAGE", "fi")
    lab.run(workers=2, words=30)
    assert len(workers() - others - first) == len(workers() - others) == 2
    dismiss()
    assert workers() <= others


def workers() -> set[int]:
    """The worker processes of this process."""
    found = psutil.Process().children(recursive=True)
    return {child.pid for child in found if "popen_loky" in " ".join(child.cmdline())}


@pytest.fixture
def shuffle(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Do the tasks of all later runs of this test in a random order, and return them in another."""
    from curate import engine
    from curate.execute.tasks import run_task

    class Shuffled:
        def __init__(self, seed: int):
            self.chance = random.Random(seed)

        def map(self, tasks: Any) -> Iterator[Any]:
            waiting = list(tasks)
            self.chance.shuffle(waiting)
            done = [(task, run_task(task)) for task in waiting]
            self.chance.shuffle(done)
            yield from done

        def close(self) -> None:
            pass

    return lambda seed: monkeypatch.setattr(engine, "make_executor", lambda config: Shuffled(seed))


@pytest.mark.parametrize("seed", [1, 2])
def test_any_order_of_shards_gives_the_same_bytes(
    lab: Any, probe: Any, seed: int, shuffle: Callable[[int], None]
) -> None:
    shuffle(seed)
    lab.run()
    assert lab.contents() == probe.contents()


def test_files_of_a_target_size_hold_each_document_once(lab: Any, probe: Any, shuffle: Callable[[int], None]) -> None:
    recipe = lab.probe_with({"{path: out}": "{path: out, file_size: 20kB, row_group_rows: 7}"})
    manifest = lab.run(recipe).manifest
    assert len(manifest["data"]) > 10
    assert len(manifest["annotations"]) > 5
    assert lab.result().arrow().equals(probe.result().arrow())
    shuffle(3)
    lab.run(recipe, "again", batch_size="4kB")
    assert lab.contents() == lab.contents("again")


def test_small_batches_give_the_same_bytes(lab: Any, probe: Any) -> None:
    lab.run(batch_size="4kB")
    assert len(lab.times("index/*")) == 6
    assert lab.contents() == probe.contents()


def test_a_step_that_sees_no_row_of_a_batch(lab: Any) -> None:
    """Batches in which nothing is left for a step, before and after one with something."""
    recipe = lab.probe_with(
        {
            "  - gopher\n": "  - gopher: {where: \"language = 'ja'\"}\n",
            'min: "${words:-20}"': "min: 20, nulls: pass",
            "min: 0.5": "min: 0.5, nulls: pass",
        }
    )
    lab.run(recipe)
    lab.run(recipe, "small", batch_size="4kB")
    assert lab.contents() == lab.contents("small")


def test_a_run_goes_on_under_another_executor(
    lab: Any, probe: Any, cluster: object, executor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Begun by the one, stopped in its second pass, ended by the other."""
    from curate.progress import Stage

    tasks = iter(range(8))

    def stop(*_: object) -> None:
        if next(tasks, None) is None:
            raise KeyboardInterrupt

    monkeypatch.setattr(Stage, "advance", stop)
    with pytest.raises(KeyboardInterrupt):
        lab.run(executor={"local": "ray", "ray": "local"}[executor])
    monkeypatch.undo()
    assert lab.times("done/*/*.json")
    before = lab.overlays("gopher_word_count")
    lab.run()
    assert lab.contents() == probe.contents()
    after = lab.overlays("gopher_word_count")
    assert {name: after[name] for name in before} == before


# ---------------------------------------------------------------- only what changed is done again


def test_a_rerun_does_nothing(continued: Any) -> None:
    before = continued.everything()
    began = time.perf_counter()
    continued.run()
    assert time.perf_counter() - began < 1
    changed = {path for path, time_ in continued.everything().items() if before.get(path) != time_}
    assert changed <= {"log.jsonl", ".work/recipe", ".work/lock"}


@pytest.mark.parametrize("words", [60, 5], ids=["tightened", "loosened"])
def test_a_changed_threshold_redoes_the_filter_only(continued: Any, words: int) -> None:
    gopher, sketches = continued.overlays("gopher_word_count"), continued.overlays("signature")
    assert (len(gopher), len(sketches)) == (6, 5)  # no document of the code shard is kept
    continued.run(words=words)
    assert continued.overlays("gopher_word_count") == gopher
    if words == 60:
        assert continued.overlays("signature") == sketches
    continued.run(out="fresh", words=words)
    assert continued.contents() == continued.contents("fresh")


def test_there_and_back_gives_the_first_bytes(continued: Any, probe: Any) -> None:
    for words in (60, 5, 20):
        continued.run(words=words)
    assert continued.contents() == probe.contents()


def test_a_changed_dedup_threshold_makes_no_sketch_again(continued: Any) -> None:
    recipe = continued.probe_with({"  - dedup_minhash\n": "  - dedup_minhash: {threshold: 0.5, bands: 25, rows: 5}\n"})
    before = stored(continued)
    continued.run(recipe)
    assert stored(continued) == before
    continued.run(recipe, "fresh")
    assert continued.contents() == continued.contents("fresh")


def stored(lab: Any) -> dict[str, int]:
    """When values were stored; without the shingles of pairs in doubt, for which documents are read again."""
    return {path: time for path, time in lab.times("values/*/*").items() if path not in lab.overlays("shingles")}


def test_a_change_of_the_output_only_writes_the_files_anew(continued: Any) -> None:
    """Also in one process, where workers keep the plans they have loaded."""
    for rows_ in (50, 70):
        recipe = continued.probe_with({"output: {path: out}": f"output: {{path: out, row_group_rows: {rows_}}}"})
        before = continued.times("done/**/*") | continued.times("values/*/*")
        continued.run(recipe)
        assert continued.times("done/**/*") | continued.times("values/*/*") == before
        continued.run(recipe, f"fresh-{rows_}")
        assert continued.contents() == continued.contents(f"fresh-{rows_}")


def test_a_new_shard_costs_only_itself_and_the_corpus_wide_steps(lab: Any) -> None:
    lab.copy_shards("web-000.jsonl.zst", "web-001.jsonl.zst", "forum-000.jsonl.gz")
    lab.run()
    before = stored(lab) | lab.times("index/*")
    lab.copy_shards("mixed-000.jsonl.xz")
    lab.run()
    after = stored(lab) | lab.times("index/*")
    assert {path: after[path] for path in before} == before
    assert len(after) > len(before)
    lab.run(out="fresh")
    assert lab.contents() == lab.contents("fresh")


def test_a_removed_shard_is_gone(lab: Any) -> None:
    shards = lab.copy_shards("web-000.jsonl.zst", "web-001.jsonl.zst", "mixed-000.jsonl.xz")
    lab.run()
    (shards / "web-000.jsonl.zst").unlink()
    before = lab.times("values/*/*")
    lab.run()
    assert lab.times("values/*/*") == before
    lab.run(out="fresh")
    assert lab.contents() == lab.contents("fresh")


def test_a_changed_file_is_read_again(lab: Any) -> None:
    shards = lab.copy_shards("books-000.jsonl", "forum-000.jsonl.gz")
    lab.run()
    file = shards / "books-000.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join(lines[1:]), encoding="utf-8")
    lab.run()
    lab.run(out="fresh")
    assert lab.result().manifest["records"] == lab.result("fresh").manifest["records"]
    assert lab.contents() == lab.contents("fresh")


def test_a_first_shard_of_other_types_makes_the_others_be_read_again(lab: Any, documents: Callable[..., Path]) -> None:
    """Which records are good depends on the types of the columns, and those on the first shard."""
    documents("d/b.jsonl", lang="en")
    recipe = f"name: p\nsources: {{d: {{path: {lab.folder}/d, columns: {{lang: lang}}}}}}\nsteps: [gopher]\n"
    assert lab.run(recipe).manifest["quarantined"] == 0
    documents("d/a.jsonl", lang=5)
    assert lab.run(recipe, quarantine_share=1.0).manifest["quarantined"] == 20
    lab.run(recipe, "fresh", quarantine_share=1.0)
    assert lab.contents() == lab.contents("fresh")


def test_a_stopped_change_does_not_pass_for_the_old_result(
    continued: Any, probe: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after new files are in place and before the manifest; then the recipe is changed back."""
    from curate import engine

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(engine._Run, "_finish", stop)
    with pytest.raises(KeyboardInterrupt):
        continued.run(words=60)
    monkeypatch.undo()
    continued.run()
    assert continued.contents() == probe.contents()


EDITS = [
    "normalize",
    "gopher: {as: g}",
    "gopher: {as: h, where: \"language = 'en'\"}",
    "gopher: {as: u, columns: {text: url}}",
    "sample: {share: 0.8}",
    'keep: {as: k, rules: {a: "length(id) <> 11", b: {sql: "language <> \'fr\'", nulls: pass}}}',
    'keep: {as: k, where: url IS NOT NULL, rules: {a: "length(id) <> 12"}}',
    "dedup_exact",
    "split: {by: paragraphs, where: \"source = 'books'\"}",
    "dedup_minhash: {threshold: 0.8}",
    "dedup_minhash: {threshold: 0.5, where: \"language = 'en'\"}",
    "dedup_minhash: {as: m, ngram: 3}",
    "surprisal: {bits: 12}",
]


def test_after_any_edits_a_run_equals_a_fresh_one(lab: Any) -> None:
    """A random walk through recipes over one folder: whatever is reused, nobody can tell."""
    chance = random.Random(11)
    shards = lab.copy_shards("web-000.jsonl.zst", "books-000.jsonl", "code-000.parquet")
    head = f"name: p\nsources: {{d: {{path: {shards}, columns: {{url: url, language: language}}}}}}\n"
    for number in range(10):
        steps = sorted(chance.sample(EDITS, chance.randint(2, 7)), key=lambda _: chance.random())
        by_name = {step.partition(" ")[0] + step.partition("as: ")[2][:1]: step for step in steps}
        recipe = head + "steps:\n" + "".join(f"  - {step}\n" for step in by_name.values())
        recipe += f"annotate: {chance.choice(['kept', 'all'])}\n"
        if number % 4 == 3:
            lines = (shards / "books-000.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
            (shards / "books-000.jsonl").write_text("".join(chance.sample(lines, len(lines) - 1)), encoding="utf-8")
        lab.run(recipe, batch_size=chance.choice(["8MB", "20kB"]))
        lab.run(recipe, f"fresh-{number}")
        assert lab.contents() == lab.contents(f"fresh-{number}"), recipe


def test_a_run_goes_on_when_its_work_folder_was_deleted(continued: Any, probe: Any) -> None:
    shutil.rmtree(continued.root() / ".work")
    continued.run(words=60)
    continued.run()
    assert continued.contents() == probe.contents()


# ---------------------------------------------------------------- the graph


def test_annotate_all_lets_every_step_see_every_row(lab: Any, probe: Any) -> None:
    lab.run(lab.probe_with({"output:": "annotate: all\noutput:"}))
    rows = lab.result().arrow("annotations").to_pylist()
    kept = [row["id"] for row in rows if row["dropped_by"] is None]
    first = Counter(row["dropped_by"] for row in rows)
    assert len(rows) == 379
    assert any({"words", "dedup_exact"} <= set(row["failed_rules"]) for row in rows)
    assert (
        first["words"] == Counter(row["dropped_by"] for row in probe.result().arrow("annotations").to_pylist())["words"]
    )
    assert kept == [row["id"] for row in rows if not row["failed_rules"]]


def test_rows_outside_where_pass_untouched(lab: Any) -> None:
    recipe = lab.probe_with(
        {"  - normalize\n": "  - normalize\n  - gopher: {as: english, where: \"language = 'en'\"}\n"}
    )
    recipe += "annotate: all\n"
    lab.run(recipe)
    for row in lab.result().arrow("annotations").to_pylist():
        if row["language"] == "en":
            assert row["english_gopher_word_count"] == row["gopher_word_count"]
        else:
            assert row["english_gopher_word_count"] is None


def test_where_on_a_null_does_not_hold(lab: Any, documents: Callable[..., Path]) -> None:
    documents("d/a.jsonl", n=5)
    documents("d/b.jsonl")
    recipe = (
        f"name: p\nsources: {{d: {{path: {lab.folder}/d, columns: {{n: n}}}}}}\nsteps:\n  - gopher: {{where: n > 3}}\n"
    )
    table = lab.run(recipe).arrow()
    assert table["n"].null_count == 20
    assert pc.is_null(table["n"]).equals(pc.is_null(table["gopher_word_count"]))


def test_from_limits_a_step_to_a_source_or_to_the_rows_of_a_step(lab: Any, documents: Callable[..., Path]) -> None:
    documents("a/a.jsonl", n=1)
    documents("b/b.jsonl", n=2)
    sources = "".join(f"  {name}: {{path: {lab.folder}/{name}, columns: {{n: n}}}}\n" for name in "ab")
    lab.run(
        f"name: p\nsources:\n{sources}"
        "steps:\n"
        "  - gopher: {as: first, from: a}\n"
        "  - gopher: {as: third, from: second}\n"
        '  - gopher: {as: second, from: [a, b], where: "n = 2"}\n'
        "  - keep: {from: b, rules: {n: {min: 3}}}\n"
    )
    for row in lab.result().arrow("annotations").to_pylist():
        assert (row["first_gopher_word_count"] is None) == (row["source"] == "b")
        assert (row["second_gopher_word_count"] is None) == (row["source"] == "a")
        assert (row["third_gopher_word_count"] is None) == (row["source"] == "a")
        assert row["dropped_by"] == ("n" if row["source"] == "b" else None)


def test_two_instances_on_two_text_columns(lab: Any) -> None:
    lab.run(lab.probe_with({"  - normalize\n": "  - gopher: {as: address, columns: {text: url}}\n"}))
    for row in lab.result().arrow("annotations").to_pylist():
        assert row["address_gopher_word_count"] == (None if row["url"] is None else len(row["url"].split()))
    assert lab.result().arrow()["gopher_word_count"].null_count == 0


def test_one_step_twice_shares_what_it_computes(lab: Any) -> None:
    """The same operator on the same column under two conditions: one overlay, two columns."""
    steps = """\
  - gopher
  - gopher: {as: a, where: "language = 'en'"}
  - gopher: {as: b, where: "language <> 'en'"}
"""
    recipe = lab.probe_with({"  - gopher\n": steps}) + "annotate: all\n"
    lab.run(recipe, batch_size="10kB")
    assert len(lab.overlays("gopher_word_count")) == 6
    for row in lab.result().arrow("annotations").to_pylist():
        a, b, whole = (row[f"{prefix}gopher_word_count"] for prefix in ("a_", "b_", ""))
        assert (a, b) == ((whole, None) if row["language"] == "en" else (None, whole))
    lab.run(recipe, "again")
    assert lab.contents() == lab.contents("again")


def test_a_new_name_of_a_step_is_a_new_name_everywhere(lab: Any, documents: Callable[..., Path]) -> None:
    """Counts by reason and by language follow the names; values are not computed again."""
    documents("d/a.jsonl")
    lab.write("ops.py", NAMED)
    head = f"name: p\nuses: [ops.py]\nsources: {{d: {{path: {lab.folder}/d}}}}\n"
    recipe = head + "steps:\n  - guess: {}\n  - picky: {as: x}\n"
    lab.run(recipe, quarantine_share=1.0)
    before = lab.times("values/*/*")
    for out, (old, new) in {"renamed": ("as: x", "as: y"), "moved": ("guess: {}", "guess: {as: g}")}.items():
        recipe = recipe.replace(old, new)
        lab.run(recipe, quarantine_share=1.0)
        lab.run(recipe, out, quarantine_share=1.0)
        assert lab.contents() == lab.contents(out)
    assert lab.times("values/*/*") == before


NAMED = """
import pyarrow as pa
from curate.operator import Signal

class Guess(Signal, frozen=True):
    def writes(self): return {"language": pa.string()}
    def compute(self, text: pa.StringArray): return {"language": pa.array(["xx"] * len(text))}

class Picky(Signal, frozen=True):
    def writes(self): return {"picky": pa.int32()}
    def compute(self, text: pa.StringArray):
        if any("number 7 " in t for t in text.to_pylist()):
            raise ValueError("seven")
        return {"picky": pa.nulls(len(text), pa.int32())}
"""


def test_include_brings_in_rules_with_variables(lab: Any, probe: Any) -> None:
    rules = "variables: {words: 1000}\nsteps:\n" + probe_rules()
    lab.write("rules.yaml", rules)
    recipe = lab.probe_with({probe_rules(): "  - include: {recipe: rules.yaml, with: {words: 20}}\n"})
    assert "min:" not in recipe
    lab.run(recipe)
    assert lab.result().manifest["funnel"] == probe.result().manifest["funnel"]
    lab.run(recipe.replace(", with: {words: 20}", ""), "default", words=30)
    by_name = {step["step"]: step for step in lab.result("default").manifest["funnel"]["steps"]}
    assert by_name["words"]["documents"] > 36


def probe_rules() -> str:
    return """\
  - keep:
      rules:
        words: {column: gopher_word_count, min: "${words:-20}"}
        letters: {column: gopher_alpha_word_ratio, min: 0.5}
        tongue: "language <> 'zxx'"
"""


def test_nulls_fail_or_pass_as_the_rule_says(lab: Any) -> None:
    lines = [{"id": f"d{n}", "text": "some words", "score": score} for n, score in enumerate([1, 5, None])]
    lab.write("d/a.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    rules = {
        "low": "{column: score, min: 3}",
        "low_pass": "{column: score, min: 3, nulls: pass}",
        "sql": '"score < 3"',
        "sql_pass": '{sql: "score < 3", nulls: pass}',
        "known": '"score IS NOT NULL"',
        "either": "\"score > 3 OR text = 'some words'\"",
    }
    steps = "".join(f"        {name}: {rule}\n" for name, rule in rules.items())
    head = f"name: p\nsources: {{d: {{path: {lab.folder}/d, columns: {{score: score}}}}}}\n"
    lab.run(head + f"steps:\n  - keep:\n      rules:\n{steps}")
    failed = {row["id"]: row["failed_rules"] for row in lab.result().arrow("annotations").to_pylist()}
    assert failed == {"d0": ["low", "low_pass"], "d1": ["sql", "sql_pass"], "d2": ["low", "sql", "known"]}


def test_a_sample_is_stable_under_resharding(lab: Any) -> None:
    recipe = lab.probe_with({"  - normalize\n": "  - sample: {share: 0.3}\n"})
    lab.run(recipe)
    chosen = {row["id"] for row in lab.result().arrow("annotations").to_pylist() if row["dropped_by"] != "sample"}
    assert 70 < len(chosen) < 160
    table = lab.result().arrow("annotations").select(["id"]).append_column("text", pa.array(["some words"] * 379))
    lines = [json.dumps(row) + "\n" for row in table.to_pylist()]
    random.Random(0).shuffle(lines)
    for part in range(3):
        lab.write(f"other/{part}.jsonl", "".join(lines[part::3]))
    lab.run(f"name: p\nsources: {{d: {{path: {lab.folder}/other}}}}\nsteps:\n  - sample: {{share: 0.3}}\n", "other-out")
    assert set(lab.result("other-out").arrow()["id"].to_pylist()) == chosen
    lab.run(f"name: p\nsources: {{d: {{path: {lab.folder}/other}}}}\nsteps:\n  - sample: {{share: 0.5}}\n", "more")
    assert set(lab.result("more").arrow()["id"].to_pylist()) > chosen


def test_a_reference_source_is_read_but_not_exported(lab: Any, documents: Callable[..., Path]) -> None:
    documents("a/a.jsonl", n=1)
    documents("b/b.jsonl", n=2)
    head = f"name: p\nsources:\n  a: {{path: {lab.folder}/a}}\n  b: {{path: {lab.folder}/b, reference: true}}\nsteps:\n"
    recipe = head + "  - dedup_exact: {from: [a, b]}\n  - gopher: {from: a}\n"
    result = lab.run(recipe)
    assert set(result.arrow("annotations")["source"].to_pylist()) == {"a"}
    assert result.manifest["records"] == 20
    recipe = recipe.replace(", reference: true", "")
    assert lab.run(recipe).manifest["records"] == 40
    lab.run(recipe, "fresh")
    assert lab.contents() == lab.contents("fresh")


@pytest.mark.parametrize("steps", ["[]", "[gopher, dedup_exact, dedup_minhash, surprisal]"], ids=["no steps", "steps"])
def test_no_documents_at_all(lab: Any, steps: str) -> None:
    lab.write("d/a.jsonl", "")
    result = lab.run(f"name: p\nsources: {{d: {{path: {lab.folder}/d}}}}\nsteps: {steps}\n")
    assert result.manifest["records"] == 0
    assert result.arrow().num_rows == result.arrow("annotations").num_rows == 0


def test_nothing_kept(lab: Any, documents: Callable[..., Path]) -> None:
    documents("d/a.jsonl")
    result = lab.run(f"name: p\nsources: {{d: {{path: {lab.folder}/d}}}}\nsteps:\n  - sample: {{share: 0}}\n")
    assert (result.arrow().num_rows, result.arrow("annotations").num_rows) == (0, 20)


def test_selectors_and_trainers_in_any_order_and_in_small_batches(lab: Any, shuffle: Callable[[int], None]) -> None:
    steps = "  - surprisal\n  - dedup_minhash\n  - select_top: {by: surprisal, count: 100}\n"
    recipe = lab.probe_with({"  - dedup_minhash\n": steps})
    assert lab.run(recipe).manifest["kept"] == 100
    shuffle(1)
    lab.run(recipe, "two", batch_size="20kB")
    assert lab.contents() == lab.contents("two")


SELECTORS = """  - select_top: {by: gopher_word_count, share: 0.8, per: language}
  - select_budget: {tokens: 9000, size: gopher_word_count, per: language, quotas: {en: {min: 0.2}, "*": {max: 0.3}}}
  - perplexity_buckets: {of: gopher_mean_word_length}
"""


def test_a_selection_in_many_tasks_has_the_bytes_of_one(lab: Any) -> None:
    recipe = lab.probe_with({"  - dedup_exact\n  - dedup_minhash\n": SELECTORS})
    at_once, in_parts = lab.run(recipe), lab.run(recipe, "two", memory="1kB")
    assert lab.contents() == lab.contents("two")
    assert 0 < at_once.manifest["corpus"]["select_budget"]["kept"] < at_once.manifest["corpus"]["select_top"]["kept"]
    assert at_once.manifest["corpus"] == in_parts.manifest["corpus"]


def test_expanders_in_any_order_and_in_small_batches(lab: Any, shuffle: Callable[[int], None]) -> None:
    recipe = lab.probe_with({"  - normalize\n": "  - normalize\n  - split: {by: paragraphs}\n"})
    assert lab.run(recipe).manifest["kept"] > 379
    shuffle(1)
    lab.run(recipe, "two", batch_size="20kB")
    assert lab.contents() == lab.contents("two")


def test_a_sample_has_the_text_of_rows_that_a_step_made() -> None:
    from curate import ops, read

    documents = {"id": ["a", "b"], "text": ["One.\n\nTwo words here.", "Three."]}
    sample = (read(documents) | ops.Split() | ops.Gopher()).sample(10).sort_by("id")
    assert sample["id"].to_pylist() == ["a", "a#0", "a#1", "b", "b#0"]
    assert sample["text"].to_pylist() == [documents["text"][0], "One.", "Two words here.", "Three.", "Three."]
    assert sample["gopher_word_count"].to_pylist() == [None, 1, 3, None, 1]


def test_the_order_of_rules_decides_which_reason_comes_first(lab: Any) -> None:
    lab.write("d.jsonl", '{"id": "a", "text": "one two"}\n')
    recipe = "name: x\nsources: {d: {path: d.jsonl}}\nsteps:\n- gopher\n- keep: {rules: {%s}}\noutput: {path: out}\n"
    rules = ["few: {column: gopher_word_count, min: 9}", "short: {column: gopher_mean_word_length, min: 9}"]
    for order in (rules, rules[::-1]):
        result = lab.run(recipe % ", ".join(order))
        first = order[0].partition(":")[0]
        assert result.arrow("annotations")["dropped_by"].to_pylist() == [first]
        assert [step["step"] for step in result.manifest["funnel"]["steps"] if step["documents"]] == ["read", first]


def test_a_ray_dataset_on_several_nodes_is_written_where_all_see_it(cluster: Any, tmp_path: Path) -> None:
    import ray

    from curate import Config, read
    from curate.errors import PlanError

    data = ray.data.from_arrow(pa.table({"id": ["a", "b"], "text": ["one text", "another"]}))
    with pytest.raises(
        PlanError, match=r"on 2 nodes is written by them: give read\(..., folder=\) on storage that all"
    ):
        read(data)
    found = read(data, folder=tmp_path / "inputs").named("x").run(str(tmp_path / "out"), Config(executor="ray"))
    assert found.arrow()["text"].to_pylist() == ["one text", "another"]
