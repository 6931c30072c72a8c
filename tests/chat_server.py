"""A server of the chat completions protocol: its score is a matter of the text, its failures are asked for by it."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TEXT = "\n---\n"
KEY = "sk-a-secret-of-the-test"


def score(text: str, high: float) -> float:
    """What this model thinks of a text."""
    return len(text) % (high + 1) if high > 1 else float(len(text) % 2)


class Server(ThreadingHTTPServer):
    """`requests` are the bodies it was sent, `times` when."""

    daemon_threads = True

    def __init__(self, needs_key: bool = False):
        super().__init__(("127.0.0.1", 0), Handler)
        self.needs_key, self.requests, self.times = needs_key, [], []  # type: ignore[var-annotated]
        self.seen: Counter[str] = Counter()
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that have given up are no news."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.requests.append(body)
            self.server.times.append(time.monotonic())
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        try:
            self.answer(body)
        finally:
            with self.server.lock:
                self.server.at_once -= 1

    def answer(self, body: dict[str, Any]) -> None:
        said = self.headers.get("Authorization") or ""
        if self.path != "/v1/chat/completions":
            return self.send(404, {"error": {"message": f"no such path {self.path}"}})
        if self.server.needs_key and said != f"Bearer {KEY}":
            return self.send(401, {"error": {"message": f"wrong key: {said}"}})
        if body["model"] == "unknown":
            return self.send(404, {"error": {"message": "The model `unknown` does not exist."}})
        text = body["messages"][0]["content"].split(TEXT)[1]
        with self.server.lock:
            self.server.seen[text] += 1
        self.behave(body, text, self.server.seen[text])

    def behave(self, body: dict[str, Any], text: str, attempt: int) -> None:
        """What the first word of the text asks for; at first, for those that a second attempt mends."""
        word = text.split(" ")[0] if text[:1].isupper() else ""
        high = body["response_format"]["json_schema"]["schema"]["properties"]["score"]["maximum"]
        good = json.dumps({"reason": f"it has {len(text)} characters", "score": score(text, high)})
        if word == "SLOW":
            time.sleep(0.3)
        if word in ("LIMITED", "BROKEN", "GONE", "HTML") and (attempt < 3 or word == "GONE"):
            if word == "HTML":
                return self.send_bytes(200, b"<html>Bad gateway</html>")
            return self.send(429 if word == "LIMITED" else 503, {"error": {"message": "later"}}, {"Retry-After": "0"})
        if word == "HANGING" and attempt == 1:
            time.sleep(1.5)
        if word == "CUT" and attempt == 1:
            return self.send_bytes(200, b'{"choices": [', promised=1000)
        if word == "REFUSED":
            return self.send(400, {"error": {"message": "this document is not acceptable"}})
        if word == "LENGTH":
            return self.complete(good[:10], "length")
        if word == "FILTERED":
            return self.complete(None, "content_filter")
        nonsense = {"NONSENSE": "I would rather talk about the weather.", "HIGH": '{"score": 77, "reason": "!"}'}
        nonsense |= {"NAN": '{"score": NaN}', "LIST": "[3]", "TRUE": '{"score": true}', "WRONG": '{"points": 3}'}
        if word in nonsense:
            return self.complete(nonsense[word], "stop")
        if word == "ONCE" and attempt == 1:
            return self.complete("Hm.", "stop")
        if word == "FENCED":
            good = f"Here you are:\n```json\n{good}\n```"
        if word == "VARYING":
            good = json.dumps({"reason": "so", "score": attempt % 3})
        self.complete(good, "stop")

    def complete(self, content: str | None, reason: str) -> None:
        choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": reason}
        usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
        self.send(200, {"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage})

    def send(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self.send_bytes(status, json.dumps(body).encode(), headers)

    def send_bytes(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, promised: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(promised or len(body)))
        self.end_headers()
        self.wfile.write(body)
