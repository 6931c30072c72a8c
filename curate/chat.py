"""Questions to a language model behind an OpenAI-compatible endpoint: retried, limited, and each answer kept for good.

Answers, the next free moment and what was spent are in one SQLite file, which all processes of a machine share.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import random
import sqlite3
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from curate.errors import OperatorError

PATIENCE = 60.0  # seconds to wait for others that write to the ledger
FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0  # seconds between attempts
LARGEST = 1 << 22  # bytes of an answer
AGAIN = (408, 409, 425, 429, 500, 502, 503, 504, 529)  # the service may do better later
DOCUMENT = (400, 413, 422)  # it is this document that it does not take
EXCERPT = 300

TABLES = """
CREATE TABLE IF NOT EXISTS answers
    (key BLOB PRIMARY KEY, content TEXT, problem TEXT, prompt INTEGER, completion INTEGER);
CREATE TABLE IF NOT EXISTS services (name TEXT PRIMARY KEY, next REAL, spent REAL);
"""


class Service(NamedTuple):
    """Where and how to ask.

    endpoint  address up to /v1
    key       secret, sent as a bearer token; "" for none. It is in no message and no file
    timeout   seconds without a byte after which an attempt is given up
    retries   attempts after the first
    per_minute  requests a minute of all processes that share the ledger; 0: no limit
    price     dollars for a million tokens read and written
    budget    dollars that may be spent, as far as `ledger` knows; None: no limit
    ledger    file of answers
    """

    endpoint: str
    key: str
    timeout: float
    retries: int
    per_minute: float
    price: tuple[float, float]
    budget: float | None
    ledger: Path


class Answer(NamedTuple):
    """What the model said; or, with `problem`, why it did not, which asking again would not change."""

    content: str
    problem: str | None
    prompt: int
    completion: int


class _Again(Exception):
    """An attempt failed in a way that another may not; `wait`: seconds the service asks for."""

    def __init__(self, problem: str, wait: float | None = None):
        super().__init__(problem)
        self.wait = wait


def default_ledger() -> Path:
    """`CURATE_ANSWERS`, or a file in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("CURATE_ANSWERS") or cache / "curate" / "answers.sqlite").expanduser()


class Chat:
    """A service with its ledger. Safe to use from several threads."""

    def __init__(self, service: Service):
        self.service = service
        self.name = hashlib.sha256(service.endpoint.encode()).hexdigest()[:16]
        self._local = threading.local()

    def ask(self, request: Mapping[str, Any], sample: int = 0) -> Answer:
        """The answer to a request of the chat completions protocol; `sample` tells several of the same apart.

        Raises OperatorError when the service refuses (key, model, address) or stays away: what was answered is kept.
        """
        key = hashlib.sha256(json.dumps([self.service.endpoint, request, sample], sort_keys=True).encode()).digest()
        known = self._ledger.execute(
            "SELECT content, problem, prompt, completion FROM answers WHERE key = ?", (key,)
        ).fetchone()
        if known:
            return Answer(*known)
        answer = self._persist(json.dumps(request).encode())
        with self._writing() as ledger:
            ledger.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)", (key, *answer))
        return answer

    def _persist(self, body: bytes) -> Answer:
        """Ask until there is an answer or no attempt is left."""
        problem: _Again | None = None
        for attempt in range(self.service.retries + 1):
            if problem is not None:
                growing = FIRST_WAIT * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)
                time.sleep(min(LONGEST_WAIT, growing if problem.wait is None else problem.wait))
            self._wait_for_turn()
            try:
                return self._answer(self._post(body))
            except _Again as again:
                problem = again
        raise self._stopped(f"no answer after {self.service.retries + 1} attempts ({problem})")

    def _post(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json", "User-Agent": "curate"}
        if self.service.key:
            headers["Authorization"] = f"Bearer {self.service.key}"
        address = f"{self.service.endpoint.rstrip('/')}/chat/completions"
        try:
            opened = urllib.request.urlopen(
                urllib.request.Request(address, body, headers), timeout=self.service.timeout
            )
            with opened as answer:
                content: bytes = answer.read(LARGEST + 1)
        except urllib.error.HTTPError as error:
            return self._refused(error)
        except (OSError, http.client.HTTPException) as error:
            raise _Again(str(getattr(error, "reason", None) or error) or type(error).__name__) from None
        return content

    def _refused(self, error: urllib.error.HTTPError) -> bytes:
        """What an error status means: again, this document, or never."""
        said = b""
        with contextlib.suppress(OSError, http.client.HTTPException):
            said = error.read(LARGEST)
        words = self._safe(" ".join(said.decode(errors="replace").split()))[:EXCERPT]
        problem = f"HTTP {error.code} {error.reason}: {words}"
        if error.code in AGAIN:
            raise _Again(problem, _seconds(error.headers.get("Retry-After"))) from None
        if error.code in DOCUMENT:
            return json.dumps({"refused": problem}).encode()
        raise self._stopped(problem) from None

    def _answer(self, body: bytes) -> Answer:
        """The first choice of an answer, and what it cost."""
        try:
            made = json.loads(body)
            if "refused" in made:
                return Answer("", made["refused"], 0, 0)
            choice, usage = made["choices"][0], made.get("usage") or {}
            content, ended = choice["message"].get("content"), choice.get("finish_reason")
            prompt, completion = int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
        except (ValueError, LookupError, TypeError, AttributeError):
            said = body[:EXCERPT].decode(errors="replace")
            raise _Again(self._safe(f"not an answer of the chat completions protocol: {said!r}")) from None
        self._spend(prompt, completion)
        if ended in ("length", "content_filter") or not isinstance(content, str) or not content.strip():
            return Answer("", f"the model gave no whole answer (finish_reason {ended})", prompt, completion)
        return Answer(content, None, prompt, completion)

    # ---------------------------------------------------------------- the ledger

    @property
    def _ledger(self) -> sqlite3.Connection:
        if not hasattr(self._local, "ledger"):
            self._local.ledger = _opened(self.service.ledger)
        made: sqlite3.Connection = self._local.ledger
        return made

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that no other process is in."""
        self._ledger.execute("BEGIN IMMEDIATE")
        try:
            yield self._ledger
            self._ledger.execute("COMMIT")
        except BaseException:
            self._ledger.execute("ROLLBACK")
            raise

    def _wait_for_turn(self) -> None:
        """Take the next free moment, if requests are limited; stop when the budget is spent."""
        now = time.time()
        with self._writing() as ledger:
            found = ledger.execute("SELECT next, spent FROM services WHERE name = ?", (self.name,)).fetchone()
            turn, spent = max(now, found[0] if found else 0.0), found[1] if found else 0.0
            if self.service.budget is not None and spent >= self.service.budget:
                raise self._stopped(f"${spent:,.4f} are spent, of a max_cost of ${self.service.budget:,.4f}")
            following = turn + 60 / self.service.per_minute if self.service.per_minute else 0.0
            ledger.execute("INSERT OR REPLACE INTO services VALUES (?, ?, ?)", (self.name, following, spent))
        time.sleep(turn - now)

    def _spend(self, prompt: int, completion: int) -> None:
        cost = (prompt * self.service.price[0] + completion * self.service.price[1]) / 1e6
        with self._writing() as ledger:
            ledger.execute("UPDATE services SET spent = spent + ? WHERE name = ?", (cost, self.name))

    def _safe(self, message: str) -> str:
        return message.replace(self.service.key, "***") if self.service.key else message

    def _stopped(self, problem: str) -> OperatorError:
        advice = "answers so far are kept: the same command goes on from here"
        return OperatorError(self._safe(f"{self.service.endpoint}: {problem}; {advice}"))


def _seconds(header: str | None) -> float | None:
    """The Retry-After header, when it is a number."""
    try:
        return max(0.0, float(header or ""))
    except ValueError:
        return None


def _opened(path: Path) -> sqlite3.Connection:
    """The ledger in a file, made if it is not there. SQLite does not wait while others turn its journal on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ledger = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
    until = time.monotonic() + PATIENCE
    while True:
        try:
            ledger.execute("PRAGMA journal_mode = WAL")
            ledger.executescript(TABLES)
            return ledger
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
