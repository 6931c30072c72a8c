"""How many documents pass each of many bounds, exactly, in one look at the rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from curate.arrays import one
from curate.deciding.annotated import Annotated
from curate.deciding.cells import cells_of, needed, nothing, summed
from curate.deciding.policy import Fails, Policy
from curate.funnel import UNITS
from curate.operators.keep import Keep, Rule
from curate.plan import PlannedStep

POINTS = 101  # bounds on a curve, if nothing else is asked for
LOOKED_AT = 200_000  # values of a column that a curve's bounds are chosen from
GROUPS = ("all", "source", "language")
Side = str  # "min" or "max"


class Curve(NamedTuple):
    """One side of one rule, and the bounds to count at."""

    rule: str
    step: PlannedStep
    own: str
    side: Side
    bounds: np.ndarray

    @property
    def law(self) -> Rule:
        assert isinstance(self.step.operator, Keep)
        return self.step.operator.rule(self.own)

    @property
    def column(self) -> str:
        return self.step.inputs[self.law.column or ""]


def sides(name: str, step: PlannedStep) -> list[tuple[PlannedStep, str, Side]]:
    """The sides of a rule that have a bound."""
    found = []
    for own, reason in step.outputs.items():
        law = step.operator.rule(own)  # type: ignore[attr-defined]
        if reason != name or law.sql:
            continue
        every = [law, *filter(None, law.by_value().values())]
        found += [(step, own, side) for side in ("min", "max") if any(getattr(b, side) is not None for b in every)]
    return found


def first_look(
    data: Annotated, applied: Policy, about: list[tuple[PlannedStep, str]]
) -> tuple[pl.DataFrame, dict[str, np.ndarray]]:
    """Counts by the set of reasons that apply, and some values of each column that has bounds."""
    stride = max(1, data.rows // LOOKED_AT)
    columns = {step.inputs[step.operator.rule(own).column] for step, own in about}  # type: ignore[attr-defined]
    values: dict[str, list[np.ndarray]] = {name: [] for name in columns}
    parts = [nothing(data, applied)]
    seen = 0
    for table in data.batches(needed(data, applied)):
        parts = [summed([*parts, cells_of(table, applied.fails(table), data.sizes)])]
        for name, found in values.items():
            found.append(_numbers(table[name].slice(-seen % stride))[::stride])
        seen += len(table)
    return pl.DataFrame(parts[0]), {name: np.concatenate([np.zeros(0), *found]) for name, found in values.items()}


def _numbers(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Values as float64; null becomes NaN."""
    return pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype(float)


def grid(values: np.ndarray, now: float | None) -> np.ndarray:
    """Bounds to count at: every value where there are few, else percentiles; and the bound as it is."""
    present = np.sort(values[np.isfinite(values)])
    distinct = np.unique(present)
    if len(distinct) > POINTS:
        distinct = np.unique(present[np.linspace(0, len(present) - 1, POINTS).round().astype(int)])
    return np.append(distinct, [] if now is None else [float(now)])


# ---------------------------------------------------------------- counting


def count(data: Annotated, applied: Policy, curves: list[Curve], groups: Sequence[str] = GROUPS) -> pl.DataFrame:
    """All curves, in one look at the rows."""
    tallies = [_Tally(curve, groups) for curve in curves]
    for table in data.batches(needed(data, applied)) if curves else ():
        fails = applied.fails(table)
        dropped = np.sum([mask.astype(np.int32) for mask in fails.values()], axis=0)
        weights = [np.nan_to_num(_numbers(table[data.sizes[u]])) if u in data.sizes else None for u in UNITS[1:]]
        labels = _Labels(table)
        for tally in tallies:
            tally.add(table, applied, fails, dropped - fails[tally.curve.rule] == 0, labels, weights)
    frames = [tally.frame() for tally in tallies]
    return pl.concat(frames) if frames else _Tally.empty()


class _Labels:
    """The pairs of source and language in a batch, and for each row the place of its own among them."""

    def __init__(self, table: pa.Table):
        names, codes = {}, {}
        for name in GROUPS[1:]:
            names[name], codes[name] = _coded(table, name)
        both = codes["source"] * len(names["language"]) + codes["language"]
        pairs, self.row = np.unique(both, return_inverse=True)
        self.pairs = len(pairs)
        places = dict(zip(GROUPS[1:], np.divmod(pairs, len(names["language"])), strict=True))
        self.of = {name: [names[name][at] for at in places[name]] for name in GROUPS[1:]}
        self.of["all"] = [None] * self.pairs


def _coded(table: pa.Table, name: str) -> tuple[list[str | None], np.ndarray]:
    """The values of a column of strings, and for each row the place of its own; one null where there is no such."""
    if name not in table.column_names or table.schema.field(name).type != pa.string():
        return [None], np.zeros(len(table), np.int64)
    encoded = one(table[name]).dictionary_encode(null_encoding="encode")
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.int64)


class _Tally:
    """Counts of one curve by group and by how many of its bounds a document passes."""

    def __init__(self, curve: Curve, groups: Sequence[str] = GROUPS):
        self.curve, self.groups = curve, groups
        self.slots = len(curve.bounds) + 1
        # by, group -> [unit, dropped by other rules or not, passes so many bounds]
        self.counts: dict[tuple[str, str | None], np.ndarray] = {}
        if "all" in groups:
            self.counts["all", None] = np.zeros((len(UNITS), 2, self.slots), np.int64)

    def add(
        self,
        table: pa.Table,
        applied: Policy,
        fails: Fails,
        clean: np.ndarray,
        labels: _Labels,
        weights: list[np.ndarray | None],
    ) -> None:
        """Count a batch. `clean`: rows that no other rule drops."""
        law = self.curve.law
        own, moved = self._passed(table, applied, ~fails[self.curve.rule])
        seen = _seen(applied, self.curve, fails)
        sums = self._sums(own, seen, clean, labels, weights)
        for by in self.groups:
            is_moved = bool(law.overrides) and by == self._by()
            found = self._sums(moved, seen, clean, labels, weights) if is_moved else sums
            for pair, name in enumerate(labels.of[by]):
                if (by, name) not in self.counts:
                    self.counts[by, name] = np.zeros((len(UNITS), 2, self.slots), np.int64)
                self.counts[by, name] += found[:, pair]

    def _sums(
        self,
        passed: np.ndarray,
        seen: np.ndarray,
        clean: np.ndarray,
        labels: _Labels,
        weights: list[np.ndarray | None],
    ) -> np.ndarray:
        """[unit, pair of source and language, dropped by other rules or not, passes so many bounds]"""
        slot = (labels.row * 2 + clean) * self.slots + passed
        found = np.zeros((len(UNITS), labels.pairs * 2 * self.slots), np.int64)
        for unit, weight in enumerate([None, *weights]):
            if unit and weight is None:
                continue
            some = weight if weight is None or seen.all() else weight[seen]
            found[unit] = np.rint(np.bincount(slot if seen.all() else slot[seen], some, found.shape[1]))
        return found.reshape(len(UNITS), labels.pairs, 2, self.slots)

    def _passed(self, table: pa.Table, applied: Policy, passes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How many bounds each row passes: when the rule's own bound moves, and when every bound moves."""
        curve, law = self.curve, self.curve.law
        values = _numbers(table[curve.column])
        sign = 1 if curve.side == "min" else -1  # ascending, the bounds of a minimum are passed from the first on
        bounds = np.sort(curve.bounds * sign)
        moved = np.searchsorted(bounds, values * sign, side="right")
        absent = table[curve.column].is_null().to_numpy()
        other_side = "max" if curve.side == "min" else "min"
        low_high = _other_bounds(law, table, self._by(), other_side)
        inside = values <= low_high if other_side == "max" else values >= low_high
        moved[~inside] = 0  # also where the value is not a number
        moved[absent] = self.slots - 1 if law.nulls == "pass" else 0
        free = ~applied.scope(curve.step, table)
        overridden = np.zeros(len(table), bool)
        if law.overrides:
            by = one(table[self._by()])
            free |= _one_of(by, [name for name, known in law.by_value().items() if known is None])
            overridden = _one_of(by, [*law.by_value()])
            if getattr(law, curve.side) is None:
                overridden |= True
        moved[free] = self.slots - 1
        own = np.where(overridden, np.where(passes, self.slots - 1, 0), moved)
        return own, moved

    def _by(self) -> str:
        law = self.curve.law
        return self.curve.step.inputs[law.by] if law.overrides else ""

    def frame(self) -> pl.DataFrame:
        """Kept at each bound: all that pass at least that many."""
        curve, groups = self.curve, sorted(self.counts, key=lambda group: (GROUPS.index(group[0]), str(group)))
        if not groups:
            return self.empty()
        counts = np.stack([self.counts[group] for group in groups], axis=1)
        kept = counts[..., ::-1].cumsum(axis=-1)[..., ::-1][..., 1:]  # from the loosest bound on
        bounds = np.tile(curve.bounds if curve.side == "min" else curve.bounds[::-1], len(groups))
        columns: dict[str, Any] = {"bound": bounds, "now": bounds == getattr(curve.law, curve.side)}
        for prefix, units in {"": kept[:, :, 1], "alone_": kept.sum(axis=2)}.items():
            columns |= {f"{prefix}{unit}": units[at].ravel() for at, unit in enumerate(UNITS)}
        each = np.repeat(np.arange(len(groups)), len(curve.bounds))
        columns |= {
            name: pl.Series(name, labels, pl.String).gather(each)
            for name, labels in zip(("by", "value"), zip(*groups, strict=True), strict=True)
        }
        labels = {"rule": curve.rule, "column": curve.column, "side": curve.side}
        fixed = [pl.lit(label, pl.String).alias(name) for name, label in labels.items()]
        return pl.DataFrame(columns, schema_overrides={"now": pl.Boolean}).select(
            *fixed, "by", "value", pl.exclude("by", "value")
        )

    @staticmethod
    def empty() -> pl.DataFrame:
        labels = dict.fromkeys(("rule", "column", "side", "by", "value"), pl.String)
        counts = [f"{prefix}{unit}" for prefix in ("", "alone_") for unit in UNITS]
        return pl.DataFrame(
            schema={**labels, "bound": pl.Float64, "now": pl.Boolean, **dict.fromkeys(counts, pl.Int64)}
        )


def _seen(applied: Policy, curve: Curve, fails: Fails) -> np.ndarray:
    """Rows that a rule has a say about when it stands alone: all, or those that steps before its own have kept."""
    rows = np.ones(len(fails[curve.rule]), bool)
    for name, mask in fails.items() if applied.is_kept_only else ():
        if name in curve.step.outputs.values():
            break
        rows &= ~mask
    return rows


def _other_bounds(law: Rule, table: pa.Table, by: str, side: Side) -> np.ndarray:
    """For each row the bound on the other side, infinite where there is none."""
    infinite = np.inf if side == "max" else -np.inf
    own = getattr(law, side)
    found = np.full(len(table), infinite if own is None else float(own))
    if law.overrides:
        encoded = one(table[by]).dictionary_encode()
        known = law.by_value()
        codes = encoded.indices.fill_null(-1).to_numpy()
        for code, name in enumerate(encoded.dictionary.to_pylist()):
            bounds = known.get(name)
            if bounds is not None:
                value = getattr(bounds, side)
                found[codes == code] = infinite if value is None else float(value)
    return found


def _one_of(column: pa.Array, names: list[str]) -> np.ndarray:
    found = pc.is_in(column, pa.array(names, pa.string()))
    return np.asarray(found.to_numpy(zero_copy_only=False), bool)
