"""curate: raw, sharded text corpora into training sets that people can explain.

A recipe is a graph of operators; an operator turns named columns into named columns; rows never disappear,
they get a reason. Names are imported when first used, so that `import curate` stays instant.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Arrow's allocator gives memory back after 10 ms, to ask for it again with the next batch: a twelfth of a run.
os.environ.setdefault("MIMALLOC_PURGE_DELAY", "1000")

_HOME = {
    "Config": "curate.config",
    "CurateError": "curate.errors",
    "Corpus": "curate.corpus",
    "Decision": "curate.deciding.decide",
    "Deduplicator": "curate.operator",
    "Expander": "curate.operator",
    "Filter": "curate.operator",
    "Mapper": "curate.operator",
    "Operator": "curate.operator",
    "Recipe": "curate.recipe",
    "Result": "curate.result",
    "Selector": "curate.operator",
    "Signal": "curate.operator",
    "Source": "curate.io.source",
    "Trainer": "curate.operator",
    "build_index": "curate.index.build",
    "decide": "curate.deciding.decide",
    "diff": "curate.deciding.diff",
    "export": "curate.release",
    "open_index": "curate.index.similar",
    "open_run": "curate.result",
    "ops": "curate.ops",
    "read": "curate.corpus",
    "run": "curate.engine",
    "what_if": "curate.deciding.what_if",
}

__all__ = [*_HOME, "__version__"]

if TYPE_CHECKING:
    from curate import ops as ops
    from curate.config import Config as Config
    from curate.corpus import Corpus as Corpus
    from curate.corpus import read as read
    from curate.deciding.decide import Decision as Decision
    from curate.deciding.decide import decide as decide
    from curate.deciding.diff import diff as diff
    from curate.deciding.what_if import what_if as what_if
    from curate.engine import run as run
    from curate.errors import CurateError as CurateError
    from curate.index.build import build_index as build_index
    from curate.index.similar import open_index as open_index
    from curate.io.source import Source as Source
    from curate.operator import Deduplicator as Deduplicator
    from curate.operator import Expander as Expander
    from curate.operator import Filter as Filter
    from curate.operator import Mapper as Mapper
    from curate.operator import Operator as Operator
    from curate.operator import Selector as Selector
    from curate.operator import Signal as Signal
    from curate.operator import Trainer as Trainer
    from curate.recipe import Recipe as Recipe
    from curate.release import export as export
    from curate.result import Result as Result
    from curate.result import open_run as open_run


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'curate' has no attribute {name!r}")
    module = importlib.import_module(_HOME[name])
    value = module if name == "ops" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
