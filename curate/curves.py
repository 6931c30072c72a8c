"""How many documents pass each of many bounds, exactly, in one look at the rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from curate.annotated import Annotated
from curate.cells import cells_of, needed, nothing, summed
from curate.funnel import UNITS
from curate.operators.keep import Keep, Rule
from curate.plan import PlannedStep
from curate.policy import Fails, Policy

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
    rows = data.frame.select(pl.len()).collect().item()
    stride = max(1, rows // LOOKED_AT)
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


def count(data: Annotated, applied: Policy, curves: list[Curve]) -> pl.DataFrame:
    """All curves, in one look at the rows."""
    tallies = [_Tally(curve) for curve in curves]
    sized = data.sizes
    for table in data.batches([*applied.columns, *GROUPS[1:], *sized.values()]) if curves else ():
        fails = applied.fails(table)
        dropped = np.sum([mask.astype(np.int32) for mask in fails.values()], axis=0)
        weights = [np.ones(len(table)), *(_numbers(table[sized[u]]) if u in sized else None for u in UNITS[1:])]
        labels = {name: _labels(table, name) for name in GROUPS}
        for tally in tallies:
            tally.add(table, applied, fails, dropped - fails[tally.curve.rule], labels, weights)
    frames = [tally.frame() for tally in tallies]
    return pl.concat(frames) if frames else _Tally.empty()


def _labels(table: pa.Table, name: str) -> tuple[list[str | None], np.ndarray]:
    """Names of the groups in a batch, and for each row the place of its group among them."""
    if name not in table.column_names or table.schema.field(name).type != pa.string():
        return [None], np.zeros(len(table), np.int64)
    encoded = table[name].combine_chunks().dictionary_encode(null_encoding="encode")
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.int64)


class _Tally:
    """Counts of one curve by group and by how many of its bounds a document passes."""

    def __init__(self, curve: Curve):
        self.curve = curve
        self.slots = len(curve.bounds) + 1
        # by, group -> [with the other rules / alone, unit, passes so many bounds]
        self.counts: dict[tuple[str, str | None], np.ndarray] = {}

    def add(
        self,
        table: pa.Table,
        applied: Policy,
        fails: Fails,
        others: np.ndarray,
        labels: Mapping[str, tuple[list[str | None], np.ndarray]],
        weights: list[np.ndarray | None],
    ) -> None:
        law = self.curve.law
        own, moved = self._passed(table, applied, ~fails[self.curve.rule])
        seen = _seen(applied, self.curve, fails)
        for by in GROUPS:
            names, at = labels[by]
            passed = moved if by == law.by else own
            for kind, rows in enumerate((others == 0, seen)):
                slot = at[rows] * self.slots + passed[rows]
                for unit, weight in enumerate(weights):
                    if weight is not None:
                        sums = np.bincount(slot, np.nan_to_num(weight[rows]), len(names) * self.slots)
                        self._keep(by, names, kind, unit, sums.reshape(len(names), self.slots))

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
            by = table[self._by()].combine_chunks()
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

    def _keep(self, by: str, names: list[str | None], kind: int, unit: int, sums: np.ndarray) -> None:
        for name, row in zip(names, sums, strict=True):
            if (by, name) not in self.counts:
                self.counts[by, name] = np.zeros((2, len(UNITS), self.slots), np.int64)
            self.counts[by, name][kind, unit] += np.rint(row).astype(np.int64)

    def frame(self) -> pl.DataFrame:
        """Kept at each bound: all that pass at least that many."""
        curve, parts = self.curve, [self.empty()]
        bounds = curve.bounds if curve.side == "min" else curve.bounds[::-1]
        for (by, value), counts in sorted(self.counts.items(), key=lambda item: (GROUPS.index(item[0][0]), str(item))):
            kept = counts[:, :, ::-1].cumsum(axis=2)[:, :, ::-1][:, :, 1:]  # from the loosest bound on
            columns: dict[str, Any] = {"bound": bounds, "now": bounds == getattr(curve.law, curve.side)}
            for kind, prefix in enumerate(("", "alone_")):
                columns |= {f"{prefix}{unit}": kept[kind, at] for at, unit in enumerate(UNITS)}
            labels = {"rule": curve.rule, "column": curve.column, "side": curve.side, "by": by, "value": value}
            fixed = [pl.lit(label, pl.String).alias(name) for name, label in labels.items()]
            parts.append(pl.DataFrame(columns, schema_overrides={"now": pl.Boolean}).select(*fixed, pl.all()))
        return pl.concat([part.select(parts[0].columns).cast(parts[0].schema) for part in parts])

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
        encoded = table[by].combine_chunks().dictionary_encode()
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
