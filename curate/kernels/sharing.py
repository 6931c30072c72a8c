"""What several operators derive from the same lexed batch is derived once: the last few are kept per thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from curate.kernels.lexer import Lexed

KEPT = 20  # derivations that are kept per thread,
BATCHES = 2  # of so many batches
Derived = TypeVar("Derived")

_cache = threading.local()


def known(lexed: Lexed, name: str) -> Any:
    """What was derived of a lexed batch before, None if it was not."""
    kept: list[tuple[Lexed, str, Any]] = _cache.__dict__.get("kept", [])
    return next((made for batch, key, made in kept if batch is lexed and key == name), None)


def shared(lexed: Lexed, name: str, derive: Callable[[], Derived]) -> Derived:
    """What `derive` makes of a lexed batch, made once while the batch is among the last in use.

    >>> from curate.kernels.lexer import lex
    >>> import pyarrow as pa
    >>> lexed = lex(pa.array(["one"]))
    >>> shared(lexed, "anything", object) is shared(lexed, "anything", object)
    True
    """
    made: Derived | None = known(lexed, name)
    if made is not None:
        return made
    kept: list[tuple[Lexed, str, Derived]] = _cache.__dict__.setdefault("kept", [])
    fresh = derive()
    kept.insert(0, (lexed, name, fresh))
    recent = [*dict.fromkeys(id(batch) for batch, *_ in kept)][:BATCHES]
    kept[:] = [one for one in kept[:KEPT] if id(one[0]) in recent]
    return fresh
