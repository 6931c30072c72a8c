"""A family of signals that are measured together, of which a recipe may ask for some."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import pyarrow as pa

from curate.errors import nearest
from curate.operator import Columns, Signal, Types


class Family(Signal, frozen=True):
    """Signals of one published system. `columns` is all it can write; the parameter `signals` names those wanted.

    signals   names of the columns to write, in any order (default: all)

    >>> from curate.operators.gopher import Gopher
    >>> list(Gopher(signals=["gopher_word_count"]).writes())
    ['gopher_word_count']
    """

    columns: ClassVar[Mapping[str, pa.DataType]] = {}

    signals: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.signals:
            if name not in self.columns:
                raise ValueError(f"{self.name()} has no signal {name!r}{nearest(name, self.columns)}")

    def writes(self) -> Types:
        return {name: kind for name, kind in self.columns.items() if not self.signals or name in self.signals}

    def wants(self, *names: str) -> bool:
        """Whether any of these columns is asked for: what nobody asked for need not be measured."""
        return not self.signals or any(name in self.signals for name in names)

    def chosen(self, measured: Mapping[str, pa.Array]) -> Columns:
        """Of all that was measured, what is asked for."""
        return {name: measured[name] for name in self.writes()}
