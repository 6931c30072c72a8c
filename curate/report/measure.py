"""What the report counts, streamed over the annotations: histograms, a sample of rows, and documents to show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.arrays import one, truths
from curate.deciding.annotated import Annotated
from curate.deciding.cells import needed
from curate.deciding.curves import sides
from curate.deciding.policy import Policy
from curate.operators.keep import Keep, Rule
from curate.plan import PlannedStep
from curate.report.bins import edges

SAMPLED = 40_000  # rows that quantiles, edges and correlations are told from
OWN = ("row", "text_bytes", "text_words")  # numbers of curate itself
ADDRESSES = ("_cluster", "_twin")  # row addresses, no quantities
EXAMPLES = 5
NEAR = 3  # documents on each side of a bound
READ = 4_000  # records that are read again for the sake of examples
SHARDS = 8  # of so many shards


class Law(NamedTuple):
    """A rule with bounds of its own, and the step it belongs to."""

    reason: str
    step: PlannedStep
    own: str
    rule: Rule

    @property
    def column(self) -> str:
        return self.step.inputs[self.rule.column or ""]

    @property
    def bounds(self) -> dict[str, float]:
        """The sides with a bound."""
        given = {side: getattr(self.rule, side) for side in ("min", "max")}
        return {side: float(value) for side, value in given.items() if value is not None}


class Distribution(NamedTuple):
    """One numeric column: edges of bins, kept and dropped documents in them, quantiles, nulls, bounds of rules."""

    column: str
    edges: list[float]
    kept: list[int]
    dropped: list[int]
    quantiles: dict[str, float]
    nulls: int
    bounds: list[tuple[str, float]]


class Measured(NamedTuple):
    """What was found.

    distributions   by column
    sample          some rows, evenly spread, with what rules look at and all numbers; all rows where these are few
    picked          kind -> row addresses of documents to show
    rows            documents in all
    """

    distributions: dict[str, Distribution]
    sample: pa.Table
    picked: dict[str, list[int]]
    rows: int


def laws(policy: Policy) -> list[Law]:
    """The rules whose bounds can be moved, in the order of the recipe."""
    found = []
    for step in policy.rules:
        for own, reason in step.outputs.items() if isinstance(step.operator, Keep) else ():
            law = Law(reason, step, own, step.operator.rule(own))  # type: ignore[attr-defined]
            if sides(reason, step) and law.bounds:
                found.append(law)
    return found


def measure(data: Annotated, policy: Policy, reasons: list[str]) -> Measured:
    """Look at all rows. `reasons`: those that have dropped documents."""
    numeric = numbers(data)
    ruled: dict[str, list[tuple[str, float]]] = {}
    for law in laws(policy):
        ruled.setdefault(law.column, []).extend(law.bounds.items())
    limits, sample = _first_look(data, policy, numeric)
    found = {}
    for name in numeric:
        bounds = [value for _, value in ruled.get(name, [])]
        values, (low, high, nulls) = finite(sample[name]), limits[name]
        is_whole = pa.types.is_integer(data.types[name]) and all(float(bound).is_integer() for bound in bounds)
        at = _edges(values, low, high, bounds, is_whole).tolist()
        middle = dict(zip(("5 %", "50 %", "95 %"), np.quantile(values, (0.05, 0.5, 0.95)).tolist(), strict=True))
        found[name] = Distribution(name, at, [], [], middle if low <= high else {}, nulls, ruled.get(name, []))
    counted, picked = _counted(data, found, Picks(policy, reasons, _window(data)))
    return Measured(counted, sample, picked, data.rows)


def _edges(values: np.ndarray, low: float, high: float, bounds: list[float], is_whole: bool) -> np.ndarray:
    """Where a column has no number: around its bounds, if it has such."""
    if low <= high:
        return edges(values, low, high, bounds, is_whole)
    return edges(np.array(bounds), min(bounds), max(bounds), bounds, is_whole) if bounds else np.zeros(0)


def numbers(data: Annotated) -> list[str]:
    """The numeric columns that measure something, those of the source too."""
    kinds = data.types.items()
    is_number = {name: pa.types.is_integer(kind) or pa.types.is_floating(kind) for name, kind in kinds}
    return [name for name in data.types if is_number[name] and name not in OWN and not name.endswith(ADDRESSES)]


def finite(column: pa.ChunkedArray) -> np.ndarray:
    """The finite values of a column, sorted."""
    values = as_float(column)
    values = np.sort(values[np.isfinite(values)])
    return values if len(values) else np.zeros(1)


def as_float(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Values as float64; null becomes NaN."""
    return np.asarray(pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False), float)


class Limits(NamedTuple):
    """The least and the greatest finite value of a column, NaN where it has none, and its nulls."""

    low: float = np.nan
    high: float = np.nan
    nulls: int = 0

    def widened(self, column: pa.ChunkedArray) -> Limits:
        """With the values of one more batch."""
        values = as_float(column)
        present = values[np.isfinite(values)]
        ends = [self.low, self.high, *([present.min(), present.max()] if len(present) else [])]
        return Limits(float(np.fmin.reduce(ends)), float(np.fmax.reduce(ends)), self.nulls + column.null_count)


def _first_look(data: Annotated, policy: Policy, numeric: list[str]) -> tuple[dict[str, Limits], pa.Table]:
    """The limits of each numeric column; and every so many-th row, with what the rules need."""
    stride = max(1, -(-data.rows // SAMPLED))
    wanted = [name for name in dict.fromkeys([*needed(data, policy), "row", *numeric]) if name in data.types]
    limits, parts, seen = dict.fromkeys(numeric, Limits()), [], 0
    for table in data.batches(wanted):
        limits = {name: limits[name].widened(table[name]) for name in numeric}
        parts.append(table.take(np.arange(-seen % stride, len(table), stride)))
        seen += len(table)
    empty = pa.schema([(name, data.types[name]) for name in wanted]).empty_table()
    return limits, pa.concat_tables(parts or [empty]).combine_chunks()


# ---------------------------------------------------------------- documents to show


class Picks:
    """The best documents of each kind, kept while rows stream by; those whose text is soon read come first.

    Kinds: a reason; `kept`; `RULE SIDE kept` and `RULE SIDE dropped`, nearest to the bound; `STEP twins`.
    """

    def __init__(self, policy: Policy, reasons: list[str], window: Mapping[int, int]):
        self.laws = laws(policy)
        self.reasons, self.window = reasons, window
        self.held: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def add(self, table: pa.Table, values: Mapping[str, np.ndarray]) -> None:
        row = table["row"].to_numpy()
        shard, position = row >> 32, row & 0xFFFFFFFF
        ends = np.array([self.window.get(int(each), 0) for each in np.unique(shard)])
        far = position >= ends[np.searchsorted(np.unique(shard), shard)]
        late = position + np.where(far, 1e12, 0.0)
        fate = one(table["dropped_by"])
        is_kept = fate.is_null().to_numpy(zero_copy_only=False)
        self._best("kept", late, row, is_kept)
        for reason in self.reasons:
            self._best(reason, late, row, truths(pc.equal(fate, reason)))
        for law in self.laws:
            own = truths(pc.equal(fate, law.reason))
            for side, bound in law.bounds.items():
                gap = np.abs(values[law.column] - bound)
                right = values[law.column] >= bound if side == "min" else values[law.column] <= bound
                near = ~far & np.isfinite(gap)
                self._best(f"{law.reason} {side} kept", gap, row, near & is_kept & right, NEAR)
                self._best(f"{law.reason} {side} dropped", gap, row, near & own & ~right, NEAR)
        for step in (name.removesuffix("_twin") for name in table.column_names if name.endswith("_twin")):
            if f"{step}_similarity" in table.column_names:
                alike = as_float(table[f"{step}_similarity"])
                some = ~far & np.isfinite(alike)
                self._best(f"{step} twins", alike, row, some & (alike < 1), NEAR)
                self._best(f"{step} copies", late, row, some & (alike == 1), 1)

    def _best(self, kind: str, score: np.ndarray, row: np.ndarray, mask: np.ndarray, most: int = EXAMPLES) -> None:
        if not mask.any():
            return
        held = self.held.get(kind, (np.zeros(0), np.zeros(0, np.int64)))
        scores, rows = np.concatenate([held[0], score[mask]]), np.concatenate([held[1], row[mask]])
        first = np.lexsort((rows, scores))[:most]
        self.held[kind] = scores[first], rows[first]

    def rows(self) -> dict[str, list[int]]:
        return {kind: rows.tolist() for kind, (_, rows) in self.held.items()}


def _window(data: Annotated) -> dict[int, int]:
    """Shard -> how many of its first records may be read again; some shards, evenly spread."""
    assert data.result is not None
    shards = sum(count for _, count in data.result.manifest["shards"])
    some = np.unique(np.linspace(0, max(shards - 1, 0), SHARDS).round().astype(int)).tolist()
    return {shard: READ // len(some) for shard in some}


def _counted(
    data: Annotated, found: dict[str, Distribution], picks: Picks
) -> tuple[dict[str, Distribution], dict[str, list[int]]]:
    """Fill the bins, and pick documents, in one look at the rows."""
    shown = {name: it for name, it in found.items() if it.edges}
    inner = {name: np.array(it.edges[1:-1]) for name, it in shown.items()}
    counts = {name: np.zeros((2, len(it.edges) - 1), np.int64) for name, it in shown.items()}
    for table in data.batches([*found, "row", "dropped_by"]):
        is_kept = table["dropped_by"].is_null().to_numpy()
        values = {name: as_float(table[name]) for name in found}
        for name, (_, bins) in ((name, counts[name].shape) for name in shown):
            present = np.isfinite(values[name])
            slot = np.searchsorted(inner[name], values[name], side="right") + bins * is_kept
            slot = slot if present.all() else slot[present]
            counts[name] += np.bincount(slot, minlength=2 * bins).reshape(2, bins)
        picks.add(table, values)
    filled = {
        name: it._replace(dropped=counts[name][0].tolist(), kept=counts[name][1].tolist()) for name, it in shown.items()
    }
    return {name: filled.get(name, it) for name, it in found.items()}, picks.rows()
