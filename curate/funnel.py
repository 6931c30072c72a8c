"""The funnel: what was read, what each reason took away, what is left. The sums must agree, or the run fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from curate.errors import DataError

UNITS = ("documents", "bytes", "words")
UNREADABLE = "quarantine.read"

Group = tuple[str, str | None]


class Funnel:
    """Counts by (source, language, fate), where the fate is null for kept documents."""

    def __init__(self, reasons: Iterable[str], facts: Iterable[tuple[str, dict[str, Any]]]):
        """`facts`: for every shard of an exported source, its source and the receipt of the last pass."""
        self.order = list(reasons)
        self.cells: dict[Group, dict[str | None, Counter[str]]] = {}
        self.failed: Counter[str] = Counter()
        self.rows = self.bad = 0
        for source, fact in facts:
            self.rows += fact["rows"]
            self.bad += fact["bad"]
            self.failed.update(fact["failed"])
            for name, language, fate, *counts in fact["cells"]:
                self._add((name, language), fate, counts)
            if fact["bad"]:
                self._add((source, None), UNREADABLE, [fact["bad"], 0, 0])
        fates = {fate for cells in self.cells.values() for fate in cells}
        self.order += sorted(fate for fate in fates if fate and fate not in self.order)

    def _add(self, group: Group, fate: str | None, counts: list[int]) -> None:
        cell = self.cells.setdefault(group, {}).setdefault(fate, Counter())
        cell.update(dict(zip(UNITS, counts, strict=True)))

    def total(self, *fates: str | None, group: Group | None = None) -> Counter[str]:
        """Counts over all cells, or those of some fates, of one group."""
        whole: Counter[str] = Counter(dict.fromkeys(UNITS, 0))
        for cells in self.cells.values() if group is None else [self.cells.get(group, {})]:
            for fate in fates or cells:
                whole.update(cells.get(fate, {}))
        return whole

    def steps(self, group: Group | None = None) -> list[dict[str, Any]]:
        """One row per reason, in order: what it took and what was left after it."""
        left = self.total(group=group)
        rows: list[dict[str, Any]] = [{"step": "read", **_take(left), **_left(left)}]
        for reason in self.order:
            lost = self.total(reason, group=group)
            left = Counter({unit: left[unit] - lost[unit] for unit in UNITS})
            row = {"step": reason, **_take(lost), **_left(left)}
            rows.append(row if group else {**row, "failed": self.failed.get(reason, 0)})
        rows.append({"step": "kept", **_take(left), **_left(left)})
        return rows

    def groups(self) -> list[Group]:
        """Every (source, language) met, largest first."""
        sizes: Counter[Group] = Counter()
        for group, cells in self.cells.items():
            sizes[group] += sum(counts["documents"] for counts in cells.values())
        return sorted(sizes, key=lambda group: (-sizes[group], str(group)))

    def check(self) -> None:
        """DataError unless read = kept + dropped by each reason + quarantined."""
        kept = self.total(None)["documents"]
        lost = {reason: self.total(reason)["documents"] for reason in self.order}
        if self.rows + self.bad != kept + sum(lost.values()):
            raise DataError(
                f"the counts do not add up: {self.rows + self.bad} read, {kept} kept, {lost}: please report this"
            )

    @property
    def quarantined(self) -> int:
        return sum(self.total(fate)["documents"] for fate in self.order if fate.startswith("quarantine."))

    def to_plain(self) -> dict[str, Any]:
        """For the manifest."""
        by_group = [
            {"source": source, "language": language, "steps": self.steps((source, language))}
            for source, language in self.groups()
        ]
        return {"steps": self.steps(), "groups": by_group}


def _take(counts: Counter[str]) -> dict[str, int]:
    return {unit: counts[unit] for unit in UNITS}


def _left(counts: Counter[str]) -> dict[str, int]:
    return {f"{unit}_left": counts[unit] for unit in UNITS}
