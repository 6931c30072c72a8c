"""Every error curate raises; each says what is wrong, where, and what to do.

CurateError
├── RecipeError     the recipe or the configuration is wrong: file:line, the key, the nearest right name
├── PlanError       the steps do not fit together or the run folder is not theirs: step, column, who could write it
├── DataError       the input cannot be read: file, position, what to do
├── AssetError      an external list or model cannot be fetched, or has other bytes than it should have
└── OperatorError   an operator failed on data: step, shard, row
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CurateError(Exception):
    """Base class of all errors that curate raises on purpose."""


class RecipeError(CurateError):
    """The recipe or the configuration is wrong."""


class PlanError(CurateError):
    """The steps of a recipe do not fit together."""


class DataError(CurateError):
    """An input cannot be read."""


class AssetError(CurateError):
    """An external list or model cannot be fetched, or is not what it should be."""


class OperatorError(CurateError):
    """An operator failed on data."""


def nearest(word: str, words: Iterable[str]) -> str:
    """The phrase that suggests the closest of `words`, or an empty string.

    >>> nearest("gofer", ["gopher", "keep"])
    " - did you mean 'gopher'?"
    >>> nearest("zzz", ["gopher"])
    ''
    """
    hits = difflib.get_close_matches(word, list(words), n=1)
    return f" - did you mean {hits[0]!r}?" if hits else ""
