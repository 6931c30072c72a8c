"""Every operator by its class name: `from curate import ops; ops.Gopher()`."""

from __future__ import annotations

from typing import Any

from curate import registry
from curate.errors import nearest


def _classes() -> dict[str, Any]:
    return {cls.__name__: cls for cls in registry.builtin().values()}


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    found = _classes()
    if name not in found:
        raise AttributeError(f"no operator class {name!r}{nearest(name, found)}")
    return found[name]


def __dir__() -> list[str]:
    return sorted(_classes())
