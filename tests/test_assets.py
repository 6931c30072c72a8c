"""Assets: found by name, fetched from a real server on this machine, checked, and resumed."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from curate import assets
from curate.cli import main
from curate.engine import plan_recipe
from curate.errors import AssetError, PlanError
from curate.recipe import Recipe

BODY = bytes(range(256)) * 2000  # several chunks
LISTS = Path(__file__).resolve().parents[2] / "shared/data/lists"


class Server(NamedTuple):
    """A server's address, what it serves, how it misbehaves, and the requests it saw: path and Range."""

    url: str
    files: dict[str, bytes]
    manners: dict[str, Any]
    seen: list[tuple[str, str | None]]


@pytest.fixture
def server() -> Iterator[Server]:
    files: dict[str, bytes] = {}
    manners: dict[str, Any] = {"ranges": True, "drop": []}
    seen: list[tuple[str, str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            seen.append((self.path, asked))
            body = files.get(self.path)
            if body is None:
                return self.send_error(404)
            start = int(re.findall(r"bytes=(\d+)-", asked)[0]) if asked and manners["ranges"] else 0
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            upto = manners["drop"].pop(0) if manners["drop"] else len(body)
            self.wfile.write(body[start:upto])  # and the connection closes, though more was promised

        def log_message(self, *words: Any) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
    thread.start()
    yield Server(f"http://127.0.0.1:{listening.server_port}", files, manners, seen)
    listening.shutdown()
    listening.server_close()
    thread.join()


def known(body: bytes) -> assets.File:
    return assets.File(len(body), hashlib.sha256(body).hexdigest())


@pytest.fixture
def one(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> assets.Asset:
    """An asset of one file, and `many` of two, which this server has."""
    about: dict[str, Any] = {"about": "for tests", "version": "1", "licence": "CC0-1.0", "used_by": ()}
    made = assets.Asset(**about, name="one", url=f"{server.url}/up/{{file}}", files={"list.txt": known(BODY)})
    words = {"de": known(b"eins\n"), "en/common": known(b"one\n")}
    many = assets.Asset(**about, name="many", url=f"{server.url}/up/{{file}}", files=words)
    server.files.update({"/up/list.txt": BODY, "/up/de": b"eins\n", "/up/en/common": b"one\n"})
    monkeypatch.setenv("CURATE_ASSETS", str(tmp_path / "assets"))
    monkeypatch.delenv("CURATE_MIRRORS", raising=False)
    monkeypatch.setattr(assets, "registry", lambda: {"one": made, "many": many})
    monkeypatch.setattr(assets.time, "sleep", lambda seconds: None)
    return made


def test_a_file_is_fetched_once_and_found_by_its_name(server: Server, one: assets.Asset, tmp_path: Path) -> None:
    told: list[int] = []
    path = assets.get("one", tell=told.append)
    assert path == assets.locate("one") == tmp_path / "assets/one/1/list.txt"
    assert path.read_bytes() == BODY and sum(told) == len(BODY)
    assert assets.get("one") == path and len(server.seen) == 1
    assert [*path.parent.iterdir()] == [path]


def test_a_set_of_files_is_a_folder_and_each_file_has_a_name(server: Server, one: assets.Asset) -> None:
    assert assets.get("many/en/common").read_bytes() == b"one\n"
    with pytest.raises(PlanError, match=r"the asset many is not here; this gets it: curate assets get many$"):
        assets.locate("many")
    path = assets.get("many")
    assert assets.files("many") == (str(path / "de"), str(path / "en/common"))
    assert [asked for asked, _ in server.seen] == ["/up/en/common", "/up/de"]
    with pytest.raises(PlanError, match="asset many has no file 'dee' - did you mean 'de'"):
        assets.locate("many/dee")


def test_a_dropped_connection_goes_on_where_it_ended(server: Server, one: assets.Asset) -> None:
    server.manners["drop"] = [100_000, 200_000]
    told: list[int] = []
    assert assets.get("one", tell=told.append).read_bytes() == BODY
    assert [asked for _, asked in server.seen] == [None, "bytes=100000-", "bytes=200000-"]
    assert sum(told) == len(BODY)


def test_a_later_command_goes_on_too(server: Server, one: assets.Asset) -> None:
    server.manners["drop"] = [1000] + [0] * 5
    with pytest.raises(AssetError, match=f"the connection ended after 1000 of {len(BODY)} bytes"):
        assets.get("one")
    with pytest.raises(PlanError, match="curate assets get one"):
        assets.locate("one")
    server.manners["drop"] = []
    server.seen.clear()
    assert assets.get("one").read_bytes() == BODY
    assert server.seen == [("/up/list.txt", "bytes=1000-")]


def test_a_server_without_ranges_sends_it_all_again(server: Server, one: assets.Asset) -> None:
    server.manners.update(ranges=False, drop=[1000])
    told: list[int] = []
    assert assets.get("one", tell=told.append).read_bytes() == BODY
    assert sum(told) == len(BODY)


@pytest.mark.parametrize(
    ("body", "problem"),
    [(b"x" + BODY[1:], "its SHA-256 is "), (BODY + b"!", "more than"), (BODY[:-1], "the connection ended after")],
    ids=["changed", "longer", "shorter"],
)
def test_wrong_content_never_appears(server: Server, one: assets.Asset, body: bytes, problem: str) -> None:
    server.files["/up/list.txt"] = body
    with pytest.raises(AssetError, match=problem):
        assets.get("one")
    assert one.absent() == ["list.txt"]
    server.files["/up/list.txt"] = BODY  # what was wrong does not stand in the way
    assert assets.get("one").read_bytes() == BODY


def test_mirrors_come_first_and_upstream_last(
    server: Server, one: assets.Asset, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["/mirror/one/1/list.txt"] = b"not it" * 1000
    monkeypatch.setenv("CURATE_MIRRORS", f"{server.url}/mirror")
    assert assets.get("one", [f"{server.url}/nothing/"]).read_bytes() == BODY
    assert [path for path, _ in server.seen][:2] == ["/nothing/one/1/list.txt", "/mirror/one/1/list.txt"]
    assert server.seen[-1][0] == "/up/list.txt"


def test_a_folder_of_assets_is_a_mirror(
    server: Server, one: assets.Asset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assets.get("many")
    server.files.clear()
    monkeypatch.setenv("CURATE_ASSETS", str(tmp_path / "mine"))
    assert assets.get("many", [(tmp_path / "assets").as_uri()]) == tmp_path / "mine/many/1"


def test_all_addresses_and_their_faults_are_named(server: Server, one: assets.Asset) -> None:
    server.files.clear()
    with pytest.raises(AssetError) as caught:
        assets.get("one", ["http://127.0.0.1:9/closed"])
    assert "127.0.0.1:9/closed/one/1/list.txt" in str(caught.value)
    assert "up/list.txt: HTTP 404" in str(caught.value)


def test_two_at_once_fetch_one_file(server: Server, one: assets.Asset) -> None:
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(assets.get("one").read_bytes())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [BODY] * 4


def test_a_path_is_used_as_it_is(one: assets.Asset, tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    assert assets.locate(str(mine)) == mine and assets.files(mine) == (str(mine),)
    with pytest.raises(PlanError, match="ones is neither a file nor an asset - did you mean 'one'"):
        assets.locate("ones")


def test_verify_finds_what_changed(one: assets.Asset) -> None:
    path = assets.get("one")
    assert assets.verify("one") == []
    path.write_bytes(b"x" + BODY[1:])
    assert assets.verify("one") == ["list.txt has other content"]
    assert assets.verify("many/de") == ["de is absent"]


def test_the_command_line(server: Server, one: assets.Asset) -> None:
    call: Callable[..., Any] = lambda *words: CliRunner().invoke(main, ["assets", *words])  # noqa: E731
    assert re.search(r"^one +1 +512,000 +CC0-1.0 +no ", call("list").output, re.MULTILINE)
    got = call("get", "one", "many/de")
    assert got.exit_code == 0 and "many/de  " in got.output
    assert re.search(r"^one +1 +512,000 +CC0-1.0 +yes ", call("list").output, re.MULTILINE)
    assert call("verify").output == "one  good\n"
    assets.locate("one").write_bytes(bytes(len(BODY)))
    wrong = call("verify", "one")
    assert wrong.exit_code == 1 and "one  list.txt has other content" in wrong.output
    assert call("get", "onne").exit_code == 2
    server.files.clear()
    assert call("get", "many").exit_code == 1


def test_a_plan_that_needs_an_absent_asset_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURATE_ASSETS", str(tmp_path))
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n')
    recipe = f"sources: {{a: {{path: {tmp_path}/a.jsonl}}}}\nsteps:\n- language: {{model: lid.176.ftz}}\n"
    with pytest.raises(PlanError, match=r"recipe:4: .*curate assets get lid.176.ftz"):
        plan_recipe(Recipe.parse(f"name: x\n{recipe}"))


def test_the_registry_is_complete() -> None:
    for name, asset in assets.registry().items():
        assert asset.name == name and asset.about and asset.licence and asset.version
        assert bool(asset.url) != bool(asset.package)
        for file, figures in asset.files.items():
            assert figures.size > 0 and re.fullmatch("[0-9a-f]{64}", figures.sha256), f"{name}/{file}"


def test_what_comes_with_a_package_is_what_the_registry_knows() -> None:
    packaged = [name for name, asset in assets.registry().items() if asset.package]
    assert packaged
    for name in packaged:
        assert assets.verify(name) == [] and assets.get(name) == assets.locate(name)


@pytest.mark.skipif(not LISTS.exists(), reason="the shared lists are not here")
@pytest.mark.parametrize(
    ("name", "path"),
    [("ldnoobw", "ldnoobw"), ("lid.176.ftz", "lid176/backend/langid"), ("stopwords-iso", "stopwords_iso")],
)
def test_the_figures_are_those_of_real_files(name: str, path: str) -> None:
    for file, figures in assets.registry()[name].files.items():
        assert known((LISTS / path / file).read_bytes()) == figures, file
