"""A server that speaks as much of the Hugging Face Hub's API as is needed to list and read a dataset."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAME, COMMIT = "someone/corpus", "c0ffee" * 6 + "abcd"


class Hub(http.server.BaseHTTPRequestHandler):
    """Serves the files of a folder as the dataset someone/corpus; `asked` are the paths that were read."""

    folder: Path
    asked: list[tuple[str, str | None]]

    def log_message(self, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self._json([entry for path in form.get("paths", []) if (entry := self._entry(self.folder / path))])

    def do_GET(self) -> None:
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        api, resolve = f"/api/datasets/{NAME}", f"/datasets/{NAME}/resolve/"
        if path.startswith(f"{api}/tree/"):
            inside = self.folder / path.removeprefix(f"{api}/tree/").partition("/")[2]
            found = inside.rglob("*") if "recursive=true" in self.path.lower() else inside.iterdir()
            self._json([self._entry(each) for each in sorted(found)])
        elif path == api or path.startswith(f"{api}/revision/"):
            self._json({"id": NAME, "sha": COMMIT, "private": False, "tags": [], "siblings": []})
        elif path.startswith(resolve):
            self._file(self.folder / path.removeprefix(resolve).partition("/")[2])
        else:
            self.send_error(404)

    def _entry(self, path: Path) -> dict[str, Any] | None:
        if not path.exists():
            return None
        oid = hashlib.sha1(str(path).encode()).hexdigest()
        kind = "directory" if path.is_dir() else "file"
        size = path.stat().st_size if path.is_file() else 0
        return {"type": kind, "oid": oid, "size": size, "path": path.relative_to(self.folder).as_posix()}

    def _json(self, value: Any) -> None:
        content = json.dumps(value).encode()
        self._send(200, content, {"Content-Type": "application/json"})

    def _file(self, path: Path) -> None:
        if not path.is_file():
            self.send_error(404)
            return
        content, wanted = path.read_bytes(), self.headers.get("Range")
        self.asked.append((path.name, wanted))
        told = {"ETag": f'"{len(content)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if not wanted:
            self._send(200, content, told)
            return
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        end = min(int(last), len(content) - 1) if last else len(content) - 1
        told["Content-Range"] = f"bytes {first}-{end}/{len(content)}"
        self._send(206, content[int(first) : end + 1], told)

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """The address of a hub with the folder's files, and what has been read of it so far."""
    asked: list[tuple[str, str | None]] = []
    handler = type("Hub", (Hub,), {"folder": folder, "asked": asked})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}", asked
        finally:
            running.shutdown()
            thread.join()
