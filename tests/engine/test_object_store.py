"""Input, run folder and output on S3 and GCS, as emulators on this machine have them, under both executors."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from curate.errors import PlanError
from curate.io.remote import stamp_in
from tests.cluster import free_port

fsspec = pytest.importorskip("fsspec")
pytestmark = pytest.mark.executors

DATA = Path(__file__).resolve().parents[1] / "data"
LIBRARIES = {"s3": ("s3fs", "moto.server"), "gs": ("gcsfs", "gcp_storage_emulator")}


def of_s3(port: int) -> tuple[list[str], dict[str, str]]:
    """Flags for Moto's server, and what a client of it needs in its environment."""
    keys = {"ACCESS_KEY_ID": "testing", "SECRET_ACCESS_KEY": "testing", "DEFAULT_REGION": "us-east-1"}
    told = {"ENDPOINT_URL": f"http://127.0.0.1:{port}", **keys}
    return ["-p", str(port)], {f"AWS_{name}": value for name, value in told.items()}


def of_gs(port: int) -> tuple[list[str], dict[str, str]]:
    """The same of an emulator of GCS; it has no gRPC, by which gcsfs would ask for a bucket's kind."""
    told = {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}", "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}
    flags = ["start", "--host", "127.0.0.1", "--port", str(port), "--in-memory", "--quiet"]
    return flags, {**told, "FSSPEC_GS_TOKEN": "anon"}


class Store(NamedTuple):
    """A bucket of the test shards on this machine: its URL, its filesystem, what a client needs to reach it."""

    url: str
    fs: Any
    environment: dict[str, str]


@pytest.fixture(scope="module", params=["s3", "gs"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    client, server = LIBRARIES[request.param]
    for library in (client, server.partition(".")[0]):
        if importlib.util.find_spec(library) is None:  # gcsfs looks at the environment when it is imported
            pytest.skip(f"{library} is not installed")
    flags, told = {"s3": of_s3, "gs": of_gs}[request.param](free_port())
    running = subprocess.Popen(
        [sys.executable, "-m", server, *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    before, settings = dict(os.environ), dict(fsspec.config.conf)
    os.environ.update(told)
    fsspec.config.set_conf_env(fsspec.config.conf)
    try:
        fs = fsspec.filesystem(request.param, use_listings_cache=False)
        filled(fs)
        yield Store(f"{request.param}://bucket", fs, told)
    finally:
        running.kill()
        running.wait()
        os.environ.clear()
        os.environ.update(before)
        fsspec.config.conf.clear()
        fsspec.config.conf.update(settings)
        fs.clear_instance_cache()


def filled(fs: Any) -> None:
    """Make the bucket as soon as the server answers."""
    end = time.monotonic() + 30
    while True:
        try:
            fs.mkdir("bucket")
            break
        except Exception:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
    for name in ("forum-000.jsonl.gz", "web-000.jsonl.zst", "code-000.parquet"):
        fs.put(str(DATA / "shards" / name), f"bucket/shards/{name}")


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
def run(lab: Any, store: Store, executor: str) -> Any:
    """Run the recipe with its output on the store, in a folder of this test's own."""

    def run(output: str, **how: Any) -> Any:
        from curate import engine
        from curate.config import Config
        from curate.recipe import Recipe

        variables = {"shards": f"{store.url}/shards", "output": output, "words": str(how.pop("words", 20))}
        text = RECIPE.replace("output:", how.pop("steps", "") + "output:")
        recipe = Recipe.load(lab.write("recipe.yaml", text), variables=variables)
        environments = {"runtime_env": {"env_vars": store.environment}} if executor == "ray" else {}
        return engine.run(recipe, Config(executor=executor, workers=1, **environments, **how))  # type: ignore[arg-type]

    return run


def objects(fs: Any, folder: str) -> dict[str, bytes]:
    """What a user of the run sees, without its log."""
    found = fs.cat([path for path in fs.find(folder) if "/.work/" not in path and not path.endswith("log.jsonl")])
    return {path.removeprefix(f"{folder}/"): content for path, content in found.items()}


def test_a_run_on_a_store_has_the_bytes_of_a_local_one(lab: Any, run: Any, store: Store, executor: str) -> None:
    result = run(f"{store.url}/{executor}/run", steps=CORPUS_WIDE, memory="1kB")
    here = run(str(lab.folder / "here"), steps=CORPUS_WIDE)
    expected = {
        str(path.relative_to(lab.folder / "here")): path.read_bytes()
        for path in sorted((lab.folder / "here").rglob("*"))
        if path.is_file() and ".work" not in path.parts and path.name != "log.jsonl"
    }
    found = objects(store.fs, f"bucket/{executor}/run")
    assert found.keys() == expected.keys()
    differ = {name for name in found if found[name] != expected[name]}
    assert differ <= {"recipe.yaml", "report.html"}  # which say where the output is, and how long it took
    assert result.polars("annotations").equals(here.polars("annotations"))
    assert "dropped" in result.show(result.arrow("annotations")["id"][0].as_py()) or result.manifest["kept"]


def test_a_rerun_and_a_changed_threshold(run: Any, store: Store, executor: str) -> None:
    url, fresh = f"{store.url}/{executor}/again", f"{store.url}/{executor}/fresh"
    run(url)
    before = {path: stamp_in(info) for path, info in store.fs.find(url, detail=True).items()}
    run(url)
    after = {path: stamp_in(info) for path, info in store.fs.find(url, detail=True).items()}
    assert {path for path in after if after[path] != before.get(path)} <= {f"bucket/{executor}/again/log.jsonl"}
    run(url, words=60)
    run(fresh, words=60)
    names = [f"bucket/{executor}/{name}" for name in ("again", "fresh")]
    changed, anew = (objects(store.fs, name) for name in names)
    assert {name for name in anew if changed.get(name) != anew[name]} <= {"recipe.yaml", "report.html"}
    assert changed.keys() == anew.keys()


def test_no_reader_sees_half_a_result(run: Any, store: Store, executor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While files are replaced there is no manifest, and what was written to the work folder stays there."""
    from curate.shared import Mirror

    url, seen = f"{executor}/half", []
    run(f"{store.url}/{url}")
    original = Mirror.copy

    def copy(self: Mirror, folder: str, to: str) -> None:
        seen.append(store.fs.exists(f"bucket/{url}/manifest.json"))
        original(self, folder, to)

    monkeypatch.setattr(Mirror, "copy", copy)
    run(f"{store.url}/{url}", words=60)
    assert seen == [False, False]
    assert store.fs.exists(f"bucket/{url}/manifest.json")
    assert not store.fs.find(f"bucket/{url}/.work/export")


def test_two_runs_do_not_share_a_folder(run: Any, store: Store, executor: str) -> None:
    import json

    url = f"{executor}/busy"
    run(f"{store.url}/{url}")
    held = {"node": "another", "pid": 1, "thread": "x"}
    store.fs.pipe_file(f"bucket/{url}/.work/lock", json.dumps({**held, "time": time.time()}).encode())
    with pytest.raises(PlanError, match=r"another run is writing to .*://bucket/.*another, 0 s ago"):
        run(f"{store.url}/{url}", words=60)
    store.fs.pipe_file(f"bucket/{url}/.work/lock", json.dumps({**held, "time": time.time() - 100}).encode())
    run(f"{store.url}/{url}", words=60)
    assert not store.fs.exists(f"bucket/{url}/.work/lock")
