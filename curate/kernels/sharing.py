"""What several operators derive from the same lexed batch is derived once: the last few are kept per thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from curate.kernels.lexer import Lexed

KEPT = 10  # derivations that are kept per thread,
BATCHES = 2  # of so many batches
Derived = TypeVar("Derived")

_cache = threading.local()


def shared(lexed: Lexed, name: str, derive: Callable[[], Derived]) -> Derived:
    """What `derive` makes of a lexed batch, made once while the batch is among the last in use.

    >>> from curate.kernels.lexer import lex
    >>> import pyarrow as pa
    >>> lexed = lex(pa.array(["one"]))
    >>> shared(lexed, "anything", object) is shared(lexed, "anything", object)
    True
    """
    kept: list[tuple[Lexed, str, Derived]] = _cache.__dict__.setdefault("kept", [])
    for known, key, made in kept:
        if known is lexed and key == name:
            return made
    fresh = derive()
    kept.insert(0, (lexed, name, fresh))
    recent = [*dict.fromkeys(id(known) for known, *_ in kept)][:BATCHES]
    kept[:] = [one for one in kept[:KEPT] if id(one[0]) in recent]
    return fresh
