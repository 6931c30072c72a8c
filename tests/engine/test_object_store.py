"""Input, run folder and output on S3, as Moto's server has it, under both executors."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from curate.errors import PlanError
from tests.cluster import free_port

fsspec = pytest.importorskip("fsspec")
pytest.importorskip("s3fs", reason="S3 needs s3fs")
pytest.importorskip("moto", reason="the server is Moto's")
pytestmark = pytest.mark.executors

DATA = Path(__file__).resolve().parents[1] / "data"


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    """A server with a bucket of the test shards; what a client of it needs in its environment."""
    port = free_port()
    told = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    before = dict(os.environ)
    os.environ.update(told)
    try:
        yield told
    finally:
        server.kill()
        server.wait()
        os.environ.clear()
        os.environ.update(before)
        fsspec.filesystem("s3").clear_instance_cache()


@pytest.fixture(scope="module")
def s3(environment: dict[str, str]) -> Any:
    store = fsspec.filesystem("s3", use_listings_cache=False)
    end = time.monotonic() + 30
    while True:
        try:
            store.mkdir("bucket")
            break
        except Exception:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
    for name in ("forum-000.jsonl.gz", "web-000.jsonl.zst", "code-000.parquet"):
        store.put(str(DATA / "shards" / name), f"bucket/shards/{name}")
    return store


RECIPE = """\
name: probe
sources:
  all: {path: "${shards}", columns: {url: url, language: language}}
steps:
  - gopher
  - keep: {rules: {words: {column: gopher_word_count, min: "${words:-20}"}}}
output: {path: "${output}"}
"""


CORPUS_WIDE = """  - dedup_exact
  - dedup_minhash
  - select_top: {by: gopher_word_count, share: 0.9}
"""


@pytest.fixture
def run(lab: Any, environment: dict[str, str], executor: str) -> Any:
    """Run the recipe with its output on S3, in a folder of this test's own."""

    def run(output: str, **how: Any) -> Any:
        from curate import engine
        from curate.config import Config
        from curate.recipe import Recipe

        variables = {"shards": "s3://bucket/shards", "output": output, "words": str(how.pop("words", 20))}
        text = RECIPE.replace("output:", how.pop("steps", "") + "output:")
        recipe = Recipe.load(lab.write("recipe.yaml", text), variables=variables)
        environments = {"runtime_env": {"env_vars": environment}} if executor == "ray" else {}
        return engine.run(recipe, Config(executor=executor, workers=1, **environments, **how))  # type: ignore[arg-type]

    return run


def objects(s3: Any, folder: str) -> dict[str, bytes]:
    """What a user of the run sees, without its log."""
    found = s3.cat([path for path in s3.find(folder) if "/.work/" not in path and not path.endswith("log.jsonl")])
    return {path.removeprefix(f"{folder}/"): content for path, content in found.items()}


def test_a_run_on_s3_has_the_bytes_of_a_local_one(lab: Any, run: Any, s3: Any, executor: str) -> None:
    result = run(f"s3://bucket/{executor}/run", steps=CORPUS_WIDE, memory="1kB")
    here = run(str(lab.folder / "here"), steps=CORPUS_WIDE)
    expected = {
        str(path.relative_to(lab.folder / "here")): path.read_bytes()
        for path in sorted((lab.folder / "here").rglob("*"))
        if path.is_file() and ".work" not in path.parts and path.name != "log.jsonl"
    }
    found = objects(s3, f"bucket/{executor}/run")
    assert found.keys() == expected.keys()
    differ = {name for name in found if found[name] != expected[name]}
    assert differ <= {"recipe.yaml", "report.html"}  # which say where the output is, and how long it took
    assert result.polars("annotations").equals(here.polars("annotations"))
    assert "dropped" in result.show(result.arrow("annotations")["id"][0].as_py()) or result.manifest["kept"]


def test_a_rerun_and_a_changed_threshold(run: Any, s3: Any, executor: str) -> None:
    url, fresh = f"s3://bucket/{executor}/again", f"s3://bucket/{executor}/fresh"
    run(url)
    before = {path: info["ETag"] for path, info in s3.find(url, detail=True).items()}
    run(url)
    after = {path: info["ETag"] for path, info in s3.find(url, detail=True).items()}
    assert {path for path in after if after[path] != before.get(path)} <= {f"bucket/{executor}/again/log.jsonl"}
    run(url, words=60)
    run(fresh, words=60)
    names = [f"bucket/{executor}/{name}" for name in ("again", "fresh")]
    changed, anew = (objects(s3, name) for name in names)
    assert {name for name in anew if changed.get(name) != anew[name]} <= {"recipe.yaml", "report.html"}
    assert changed.keys() == anew.keys()


def test_no_reader_sees_half_a_result(run: Any, s3: Any, executor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While files are replaced there is no manifest, and what was written to the work folder stays there."""
    from curate.shared import Mirror

    url, seen = f"bucket/{executor}/half", []
    run(f"s3://{url}")
    original = Mirror.copy

    def copy(self: Mirror, folder: str, to: str) -> None:
        seen.append(s3.exists(f"{url}/manifest.json"))
        original(self, folder, to)

    monkeypatch.setattr(Mirror, "copy", copy)
    run(f"s3://{url}", words=60)
    assert seen == [False, False]
    assert s3.exists(f"{url}/manifest.json")
    assert not s3.find(f"{url}/.work/export")


def test_two_runs_do_not_share_a_folder(run: Any, s3: Any, executor: str) -> None:
    import json

    url = f"bucket/{executor}/busy"
    run(f"s3://{url}")
    held = {"node": "another", "pid": 1, "thread": "x"}
    s3.pipe_file(f"{url}/.work/lock", json.dumps({**held, "time": time.time()}).encode())
    with pytest.raises(PlanError, match=r"another run is writing to s3://bucket/.*another, 0 s ago"):
        run(f"s3://{url}", words=60)
    s3.pipe_file(f"{url}/.work/lock", json.dumps({**held, "time": time.time() - 100}).encode())
    run(f"s3://{url}", words=60)
    assert not s3.exists(f"{url}/.work/lock")
