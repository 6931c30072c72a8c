"""An index finds what a look at all documents finds, from Python and the command line; a run may go on from it."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from click.testing import CliRunner

from curate import Config, Recipe, build_index, engine, open_index
from curate.cli import main
from curate.errors import DataError, PlanError
from curate.index import similar as asking
from curate.kernels.minhash import estimate
from curate.lsh import signature_values
from curate.operators.dedup import DedupMinhash
from curate.result import Result

CHANCE = random.Random(0)


def texts(families: int = 60) -> list[str]:
    """Families of one to six documents in which a few words are others."""
    made = []
    for _ in range(families):
        words = [f"w{CHANCE.randrange(10**6)}" for _ in range(150)]
        for _ in range(CHANCE.choice([1, 2, 6])):
            copy = list(words)
            for _ in range(CHANCE.choice([0, 1, 2, 3])):
                copy[CHANCE.randrange(len(copy))] = f"x{CHANCE.randrange(10**6)}"
            made.append(" ".join(copy))
    CHANCE.shuffle(made)
    return made


TEXTS = texts()


def run(folder: Path, given: list[str], steps: list[Any], shards: int = 3, first: int = 0) -> Result:
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(shards):
        rows = [
            {"id": f"d{first + at}", "text": text}
            for at, text in enumerate(given)
            if at * shards // len(given) == shard
        ]
        (folder / f"{shard}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    plain = {"name": "r", "sources": {"all": {"path": str(folder / "*.jsonl")}}, "steps": steps}
    recipe = Recipe.parse(json.dumps({**plain, "output": {"path": str(folder / "out")}}))
    return engine.run(recipe, Config(workers=1, batch_size="20kB"))


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return run(tmp_path_factory.mktemp("index") / "run", TEXTS, ["dedup_minhash"])


@pytest.fixture(scope="module")
def index(result: Result, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return build_index(result.path, tmp_path_factory.mktemp("index") / "index")


def by_all(text: str, threshold: float) -> list[tuple[str, float]]:
    """Every document whose signature agrees in so many slots, best first; those of one band at least."""
    operator = DedupMinhash()
    made = signature_values(operator.sketch(pl.Series([text, *TEXTS]).to_arrow().cast("string"))["signature"])
    bands, rows = operator.settings.shape
    cut = made[:, : bands * rows].reshape(len(made), bands, rows)
    shares = (cut[1:] == cut[0]).all(axis=2).any(axis=1)
    alike = estimate(made[:1].repeat(len(TEXTS), axis=0), made[1:])
    found = [(f"d{at}", float(alike[at])) for at in range(len(TEXTS)) if shares[at] and alike[at] >= threshold]
    return sorted(found, key=lambda each: (-each[1], int(each[0][1:])))


@pytest.mark.parametrize("threshold", [0.8, 0.3])
def test_it_finds_what_a_look_at_all_finds(index: Any, threshold: float) -> None:
    queries = [*TEXTS[:40], TEXTS[3].replace("w1", "y"), "nothing like it", ""]
    found = index.similar(queries, threshold=threshold, most=50)
    for at, text in enumerate(queries):
        rows = found.filter(query=at).select("id", "similarity").rows()
        assert rows == by_all(text, threshold)
    assert found["query"].is_sorted()


def test_who_was_kept_and_texts(index: Any, result: Result) -> None:
    fate = dict(result.scan("annotations").select("id", "dropped_by").collect().iter_rows())
    found = index.similar(TEXTS, most=3, text=True)
    given = {f"d{at}": text for at, text in enumerate(TEXTS)}
    for row in found.iter_rows(named=True):
        assert row["is_kept"] == (fate[row["id"]] is None)
        assert row["text"] == (given[row["id"]] if row["is_kept"] else None)
    assert 0 < found["is_kept"].sum() < len(found)


def test_little_memory_makes_the_same_index(index: Any, result: Result, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("curate.index.build.KEY_BYTES", 1 << 12)
    small = build_index(result.path, tmp_path / "index", memory="1kB")
    assert len(small._keys) > 5
    assert small.similar(TEXTS, 0.3).equals(index.similar(TEXTS, 0.3))


def test_rows_in_several_batches(result: Result, index: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("curate.index.build.BATCH", 7)
    small = build_index(result.path, tmp_path / "index")
    assert len(small._ids) > 10
    assert small.similar(TEXTS, 0.3).equals(index.similar(TEXTS, 0.3))


def test_a_band_of_a_crowd_is_cut(index: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(asking, "CROWD", 1)
    found = index.similar(TEXTS[0], 0.3)
    assert 1 <= len(found) <= 17 and found["similarity"][0] >= 0.3


@pytest.mark.parametrize("parameters", [{}, {"remember": "evidence"}, {"verify": "estimate"}], ids=str)
def test_a_run_goes_on_from_an_index(tmp_path: Path, parameters: dict[str, str]) -> None:
    """As from the run it was made of, which may be gone."""
    earlier = run(tmp_path / "earlier", TEXTS[:120], [{"dedup_minhash": parameters}])
    index = build_index(earlier.path, tmp_path / "index")
    later = {"first": 120, "given": TEXTS[120:]}
    step = lambda folder: [{"dedup_minhash": {**parameters, "against": str(folder)}}]  # noqa: E731
    one = run(tmp_path / "one", steps=step(earlier.path), **later)  # type: ignore[arg-type]
    facts = one.manifest["corpus"]["dedup_minhash"]
    shutil.rmtree(tmp_path / "earlier")
    two = run(tmp_path / "two", steps=step(index.path), **later)  # type: ignore[arg-type]
    same = ["id", "dropped_by", "dedup_minhash_duplicate_of", "dedup_minhash_similarity", "dedup_minhash_cluster_size"]
    left, right = (each.polars("annotations").select(same) for each in (one, two))
    assert left.equals(right) and left["dedup_minhash_duplicate_of"].drop_nulls().len() > 20
    assert two.manifest["corpus"]["dedup_minhash"] == facts
    assert ("estimated" in facts) == (parameters == {})
    assert build_index(two.path).documents == len(TEXTS)


def test_documents_that_an_earlier_step_dropped_are_not_there(tmp_path: Path) -> None:
    result = run(tmp_path / "run", [*TEXTS[:20], TEXTS[0], "short"], ["dedup_exact", "dedup_minhash"])
    index = build_index(result.path)
    assert index.path == result.path / "similar" and len(index) == 21
    assert index.similar(TEXTS[0])["id"][0] == "d0"
    assert index.similar("SHORT ").rows() == [(0, "d21", 1.0, True)]


def test_other_presets(tmp_path: Path) -> None:
    steps = [{"dedup_minhash": {"preset": "nemo", "as": "near"}}, {"dedup_minhash": {"as": "again"}}]
    result = run(tmp_path / "run", TEXTS[:30], steps)
    with pytest.raises(PlanError, match=r"signatures of several steps: choose one of near, again \(--step\)"):
        build_index(result.path)
    with pytest.raises(PlanError, match=r"no signatures of a step 'nera' - did you mean 'near'"):
        build_index(result.path, step="nera")
    index = build_index(result.path, step="near")
    assert index.operator == DedupMinhash(preset="nemo") and index.similar(TEXTS[1])["id"][0] == "d1"


def test_what_cannot_be_is_told(result: Result, index: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no index in .*nowhere: there is no index.json"):
        open_index(tmp_path / "nowhere")
    with pytest.raises(PlanError, match="threshold is above 0"):
        index.similar("a", threshold=0)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("mine")
    with pytest.raises(PlanError, match="holds files that are not of an index"):
        build_index(result.path, tmp_path / "mine")
    bare = run(tmp_path / "bare", ["one"], ["gopher"])
    with pytest.raises(PlanError, match="its recipe has no step like dedup_minhash"):
        build_index(bare.path)
    shutil.copytree(result.path, tmp_path / "gone", ignore=shutil.ignore_patterns(".work"))
    with pytest.raises(DataError, match=r"does not hold what it compared any more"):
        build_index(tmp_path / "gone")


def test_an_index_of_other_data_does_not_show_its_texts(index: Any, result: Result, tmp_path: Path) -> None:
    shutil.copytree(index.path, tmp_path / "index")
    other = run(tmp_path / "other", TEXTS[30:], ["dedup_minhash"])
    facts = json.loads((tmp_path / "index/index.json").read_text())
    (tmp_path / "index/index.json").write_text(json.dumps({**facts, "run": str(other.path)}))
    with pytest.raises(DataError, match="run `curate index` again"):
        open_index(tmp_path / "index").similar(TEXTS, text=True)


def test_signatures_travel_to_datasketch_and_back(result: Result, index: Any) -> None:
    """As in a notebook: an index of datasketch over a run, and a question to ours that its objects ask."""
    from datasketch import MinHashLSH

    from curate.lsh import from_datasketch, to_datasketch

    table = result.sketch("dedup_minhash")
    objects = dict(zip(table["id"].to_pylist(), to_datasketch(table), strict=True))
    theirs = MinHashLSH(params=index.operator.settings.shape, num_perm=128)
    for id, minhash in objects.items():
        theirs.insert(id, minhash)
    for id in [*objects][:30]:
        ours = index.like(pa.table({"signature": from_datasketch([objects[id]])}), threshold=0.01, most=1000)
        assert sorted(ours["id"]) == sorted(theirs.query(objects[id]))
        assert ours["similarity"].to_list() == [objects[id].jaccard(objects[other]) for other in ours["id"]]


def curate(*arguments: str) -> Any:
    return CliRunner().invoke(main, [*arguments])


def test_the_commands(result: Result, tmp_path: Path) -> None:
    folder = str(tmp_path / "index")
    made = curate("index", str(result.path), "--to", folder)
    assert (made.exit_code, made.stdout) == (0, f"{len(TEXTS)} documents in {folder}\n")
    found = curate("similar", folder, "--text", TEXTS[5], "--most", "1")
    assert found.stdout.startswith("1.000  d")
    assert f"among {len(TEXTS)} documents" in found.stderr
    (tmp_path / "a.txt").write_text(TEXTS[5])
    shown = curate("similar", folder, "--file", str(tmp_path / "a.txt"), "--show-text")
    assert shown.stdout.startswith(found.stdout.split("\n")[0])
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"id": f"q{k}", "text": TEXTS[k]}) + "\n" for k in range(3)))
    many = curate("similar", folder, "--file", str(tmp_path / "a.jsonl"), "--most", "1")
    assert [line.split()[0] for line in many.stdout.splitlines()] == ["q0", "q1", "q2"]
    rows = [json.loads(line) for line in curate("similar", folder, "--text", TEXTS[5], "--json").stdout.splitlines()]
    assert set(rows[0]) == {"query", "id", "similarity", "is_kept"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say what to look for"),
        (["--text", "a", "--file", "b"], "say what to look for"),
        (["--file", "nothing"], "there is no file nothing"),
        (["--text", "a", "--most", "0"], "most at least 1"),
    ],
    ids=["nothing", "both", "no file", "none"],
)
def test_wrong_arguments(index: Any, arguments: list[str], message: str) -> None:
    done = curate("similar", str(index.path), *arguments)
    assert done.exit_code == 2 and message in done.stderr
