"""A release goes to the Hub in one commit, and to S3 with its manifest last; what is there is not sent again."""

from __future__ import annotations

import base64
import http.server
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click.testing
import fsspec
import huggingface_hub.constants
import pytest
from click.testing import CliRunner

import curate
from curate import Config, Result, ops, read
from curate.cli import main
from curate.errors import PlanError
from curate.release.publish import look, upload


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Result:
    table = {"text": [f"text number {at}" for at in range(30)], "source": ["a", "b", "c"] * 10}
    corpus = read(table, name="made") | ops.Tokens() | ops.Keep(rules={"all": "tokens > 0"})
    return corpus.run(str(tmp_path_factory.mktemp("publish") / "run"), Config(workers=1))


@pytest.fixture(scope="module")
def release(run: Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return curate.export(run, tmp_path_factory.mktemp("publish") / "dir")


@pytest.fixture
def memory() -> Iterator[Any]:
    fs = fsspec.filesystem("memory")
    yield fs
    fs.store.clear()


def kinds(changes: list[Any]) -> dict[str, str]:
    return {change.path: change.what for change in changes}


def test_a_release_is_copied_once(release: Path, memory: Any) -> None:
    assert set(kinds(upload(release, "memory://bucket/x", dry_run=True)).values()) == {"new"}
    assert not memory.find("/bucket")
    upload(release, "memory://bucket/x")
    names = {path.removeprefix("/bucket/x/") for path in memory.find("/bucket/x")}
    assert names == {path.relative_to(release).as_posix() for path in release.rglob("*") if path.is_file()}
    again = kinds(upload(release, "memory://bucket/x"))
    assert {again[name] for name in again if name.endswith(".parquet")} == {"same"}


def test_files_of_an_earlier_release_go(run: Result, release: Path, memory: Any, tmp_path: Path) -> None:
    upload(release, "memory://bucket/x")
    other = curate.export(run, tmp_path / "other", domain=["source"], split={"validation": 0.5})
    changes = kinds(upload(other, "memory://bucket/x"))
    assert {what for name, what in changes.items() if "/train/" in name} >= {"changed"}
    assert "removed" not in {what for name, what in changes.items() if name in ("README.md", "manifest.json")}
    there = {path.removeprefix("/bucket/x/") for path in memory.find("/bucket/x")}
    assert there == {path.relative_to(other).as_posix() for path in other.rglob("*") if path.is_file()}


def test_other_files_are_left_alone(release: Path, memory: Any) -> None:
    memory.pipe({"/bucket/y/mine.txt": b"mine"})
    with pytest.raises(PlanError, match="files that are no release"):
        upload(release, "memory://bucket/y")
    assert memory.cat_file("/bucket/y/mine.txt") == b"mine"
    with pytest.raises(PlanError, match="curate"):
        upload(release, "nosuchscheme://bucket/y")


def test_what_a_person_wrote_there_stays(run: Result, release: Path, memory: Any, tmp_path: Path) -> None:
    upload(release, "memory://bucket/x")
    text = memory.cat_file("/bucket/x/README.md").decode()
    memory.pipe({"/bucket/x/README.md": text.replace("is yours", "was written by Ada").encode()})
    look("memory://bucket/x", tmp_path / "dir")
    upload(curate.export(run, tmp_path / "dir"), "memory://bucket/x")
    assert "was written by Ada" in memory.cat_file("/bucket/x/README.md").decode()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An S3 bucket of moto's server, on this machine."""
    server = pytest.importorskip("moto.server", reason="moto is not installed")
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    for name, value in {"ACCESS_KEY_ID": "test", "SECRET_ACCESS_KEY": "test", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir("shelf")
    yield "s3://shelf"
    running.stop()


def command(*given: str) -> click.testing.Result:
    return CliRunner().invoke(main, ["export", *given])


def test_a_release_goes_to_s3(run: Result, bucket: str) -> None:
    done = command(str(run.path), "--to", f"{bucket}/small")
    assert done.exit_code == 0, done.output
    assert "s3://shelf/small: sent" in done.output
    fs = fsspec.filesystem("s3", skip_instance_cache=True)
    told = json.loads(fs.cat_file("shelf/small/manifest.json"))
    assert {f"shelf/small/{file['path']}" for file in told["files"]} <= set(fs.find("shelf/small"))
    again = command(str(run.path), "--to", f"{bucket}/small", "--dry-run")
    assert re.search(r"same +data/train/a-00000-of-00001.parquet", again.output), again.output


class Hub(http.server.BaseHTTPRequestHandler):
    """What of the Hub's interface an upload needs; everything is an ordinary file, sent within the commit."""

    files: dict[str, bytes] = {}
    exists = False
    commits = 0
    asked: list[str] = []

    def do_GET(self) -> None:
        type(self).asked.append(f"GET {self.path}")
        if not self.exists:
            return self.answer({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
        if "/tree/" in self.path:
            tree = [{"type": "file", "path": p, "size": len(b), "oid": "0" * 40} for p, b in self.files.items()]
            return self.answer(tree)
        named = [{"rfilename": path} for path in self.files]
        return self.answer({"id": "me/x", "sha": "a" * 40, "siblings": named, "private": False, "tags": []})

    def do_POST(self) -> None:
        type(self).asked.append(f"POST {self.path}")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.startswith("/api/repos/create"):
            type(self).exists = True
            return self.answer({"url": "http://127.0.0.1/datasets/me/x", "name": "me/x"})
        if self.path == "/api/validate-yaml":
            return self.answer({"warnings": [], "errors": []})
        if "/preupload/" in self.path:
            paths = [file["path"] for file in json.loads(body)["files"]]
            said = [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in paths]
            return self.answer({"files": said})
        for line in map(json.loads, body.decode().splitlines()):
            if line["key"] == "file":
                self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            if line["key"] == "deletedFile":
                self.files.pop(line["value"]["path"])
        type(self).commits += 1
        url = "http://127.0.0.1/datasets/me/x/commit/" + "a" * 40
        return self.answer({"success": True, "commitOid": "a" * 40, "commitUrl": url})

    def answer(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        for name, said in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, said)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    Hub.files, Hub.exists, Hub.commits, Hub.asked = {}, False, 0, []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{running.server_port}"
        monkeypatch.setenv("HF_ENDPOINT", url)
        yield url
        running.shutdown()


def test_a_release_goes_to_the_hub_in_one_commit(run: Result, hub: str, tmp_path: Path) -> None:
    flags = [str(run.path), "--to", str(tmp_path / "dir"), "--push-to-hub", "me/x"]
    dry = command(*flags, "--dry-run")
    assert dry.exit_code == 0, dry.output
    assert "datasets/me/x: would send" in dry.output
    assert Hub.commits == 0
    assert {asked.split()[0] for asked in Hub.asked} == {"GET"}
    done = command(*flags)
    assert done.exit_code == 0, done.output
    assert Hub.commits == 1
    here = {path.relative_to(tmp_path / "dir").as_posix() for path in (tmp_path / "dir").rglob("*") if path.is_file()}
    assert set(Hub.files) == here
    Hub.files["data/train/gone-00000-of-00001.parquet"] = b"old"
    assert re.search(r"removed +data/train/gone", command(*flags, "--dry-run").output)
    assert command(*flags).exit_code == 0
    assert "data/train/gone-00000-of-00001.parquet" not in Hub.files


def test_the_hub_may_refuse(run: Result, hub: str, tmp_path: Path) -> None:
    flags = [str(run.path), "--to", str(tmp_path / "dir"), "--push-to-hub", "a b/c/d"]
    refused = command(*flags)
    assert refused.exit_code == 2
    assert "the Hub does not take a b/c/d" in refused.output
