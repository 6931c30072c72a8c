"""Where a document stands among all others, from histograms that are refined where they are crowded."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import PlanError
from curate.operator import Columns, Trainer
from curate.ranking import ordered

BITS = (16, 26, 42)  # of a number's 64 that a bin of each round goes by; 42 are nine digits
SCHEMA = pa.schema(
    [("key", pa.uint64()), ("group", pa.uint64()), ("low", pa.uint64()), ("level", pa.int8()), ("count", pa.int64())]
)


class Quantile(Trainer, frozen=True):
    """The quantile of a number among all documents, or among those of the same group. Nothing is dropped.

    It is the share of documents with a lower value, and half of those with the same one: 0.5 is the median. Numbers are
    counted in bins by their first bits; a bin with more than twice the `error` of a group is parted anew, twice. So the
    quantile is off by at most `error`, and not at all in a group of fewer than 1 / (2 error) documents; numbers that
    agree in nine digits are the same. Memory is that of the bins, which does not grow with the corpus: some 100,000
    of a group for an error of 0.001. Documents without a value, or without a group, have no quantile.

    of      numeric column
    per     among documents with the same value of this column of strings, instead of all
    error   by how much the quantile may be off, above 0

    OF_quantile   the quantile, 0..1; `of: score` writes score_quantile

    Raises PlanError where `of` is no number.

    >>> Quantile(of="score")(pa.table({"score": [5.0, 1.0, 5.0, None]}))["score_quantile"].to_pylist()
    [0.6666666666666666, 0.16666666666666666, 0.6666666666666666, None]
    """

    version = 2
    key: ClassVar[str] = "key"
    rounds: ClassVar[int] = len(BITS)
    example: ClassVar[dict[str, Any]] = {"of": "OF", "per": "language"}

    of: str
    per: str | None = None
    error: Annotated[float, msgspec.Meta(gt=0, le=0.5)] = 0.001

    def reads(self) -> dict[str, pa.DataType | None]:
        return {self.of: None, **({self.per: pa.string()} if self.per else {})}

    def writes(self) -> dict[str, pa.DataType]:
        return {f"{self.of}_quantile": pa.float64()}

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        if not (pa.types.is_integer(types[self.of]) or pa.types.is_floating(types[self.of])):
            raise PlanError(f"quantile is about numbers, but {self.of} is {types[self.of]}")

    def sketch_schema(self) -> pa.Schema:
        return SCHEMA

    def sketch(self, model: pa.Table | None = None, **given: pa.Array) -> pa.Table:
        """How many of a batch's values are in each bin."""
        value, group = self._numbers(given), self._groups(given)
        is_number = ~np.isnan(value)
        code, group = ordered(value[is_number]), group[is_number]
        low, level = located(code, group, crowded(model, self.error) if model is not None else [])
        return binned(group, low, level, np.ones(len(low), np.int64))

    def fit(self, sketches: pa.Table) -> pa.Table:
        group, low, level, count = (sketches[name].to_numpy() for name in SCHEMA.names[1:])
        return binned(group, low, level, count)

    def facts(self, model: pa.Table) -> dict[str, Any]:
        return {"bins": len(model), "values": pc.sum(model["count"]).as_py() or 0}

    def apply(self, model: pa.Table, **given: pa.Array) -> Columns:
        value, group = self._numbers(given), self._groups(given)
        code, found = ordered(value), np.full(len(value), np.nan)
        bins = standing(model)
        for one in np.unique(group):
            rows = np.flatnonzero((group == one) & ~np.isnan(value))
            first, last = np.searchsorted(bins.group, [one, one + np.uint64(1)])
            at = first + np.searchsorted(bins.low[first:last], code[rows], side="right") - 1
            found[rows] = bins.quantile[at]
        return {f"{self.of}_quantile": pa.array(found, mask=np.isnan(found))}

    def _numbers(self, given: Columns) -> np.ndarray:
        return np.asarray(given[self.of].cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64) + 0.0

    def _groups(self, given: Columns) -> np.ndarray:
        """A hash of each row's group, below the highest number there is."""
        from curate.kernels.hashing import xxh3_128

        if not self.per:
            return np.zeros(len(given[self.of]), np.uint64)
        low, _ = xxh3_128(given[self.per])
        return np.asarray(low) >> np.uint64(1)


class Bins(NamedTuple):
    """Bins in order of group and value, and the quantile in the middle of each."""

    group: np.ndarray
    low: np.ndarray
    quantile: np.ndarray


def located(code: np.ndarray, group: np.ndarray, split: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The bin of each number, as its lowest number and its level; `split` are the keys of bins that are parted."""
    low, level = masked(code, 0), np.zeros(len(code), np.int8)
    for at, keys in enumerate(split):
        inside = (level == at) & np.isin(keyed(group, low, at), keys)
        low = np.where(inside, masked(code, at + 1), low)
        level = np.where(inside, np.int8(at + 1), level)
    return low, level


def crowded(model: pa.Table, error: float) -> list[np.ndarray]:
    """For each level but the last the keys of bins that hold too much of their group, or were parted before."""
    group, low, level, count = (model[name].to_numpy() for name in SCHEMA.names[1:])
    _, of = np.unique(group, return_inverse=True)
    is_full = count > 2 * error * np.bincount(of, count)[of] if len(of) else np.zeros(0, bool)
    found = []
    for at in range(len(BITS) - 1):
        parted = (level > at) | ((level == at) & is_full)
        found.append(np.unique(keyed(group[parted], masked(low[parted], at), at)))
    return found


def binned(group: np.ndarray, low: np.ndarray, level: np.ndarray, count: np.ndarray) -> pa.Table:
    """Counts of bins, each bin once."""
    if not len(low):
        return SCHEMA.empty_table()
    order = np.lexsort((low, group))
    group, low, level, count = group[order], low[order], level[order], count[order]
    first = np.flatnonzero(np.r_[True, (group[1:] != group[:-1]) | (low[1:] != low[:-1])])
    group, low, level = group[first], low[first], level[first]
    keys = keyed(group, low, 0)
    return pa.table([keys, group, low, level, np.add.reduceat(count, first)], schema=SCHEMA)


def standing(model: pa.Table) -> Bins:
    """The quantile in the middle of each bin: what is below it, and half of what is in it."""
    group, low, count = (model[name].to_numpy() for name in ("group", "low", "count"))
    order = np.lexsort((low, group))
    group, low, count = group[order], low[order], count[order]
    _, first, of = np.unique(group, return_index=True, return_inverse=True)
    sums = np.r_[0, np.cumsum(count)]
    whole = np.diff(np.r_[sums[first], sums[-1]])
    return Bins(group, low, ((sums[:-1] - sums[first][of]) + count / 2) / whole[of])


def masked(code: np.ndarray, level: int) -> np.ndarray:
    """The bits that a bin of this level goes by."""
    return code & np.uint64((1 << 64) - (1 << (64 - BITS[level])))


def keyed(group: np.ndarray, low: np.ndarray, level: int) -> np.ndarray:
    """A hash of a bin."""
    from curate.kernels.mixing import mix

    return np.asarray(mix(low ^ np.asarray(mix(group, 1)), level))
