"""Which signals say the same: Spearman's rank correlation, in the order of a corrgram (Friendly 2002)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa

MOST = 40  # signals in the picture
ROWS = 5_000
COMMON = 20  # documents that two signals must have in common


class Related(NamedTuple):
    """Correlations between signals (NaN: too few documents have both), and of how many documents."""

    names: list[str]
    values: np.ndarray
    rows: int

    def pairs(self, most: int = 12) -> list[tuple[str, str, float]]:
        """The pairs that are most alike, strongest first."""
        upper = np.nan_to_num(np.triu(self.values, 1))
        order = np.argsort(-np.abs(upper), axis=None, kind="stable")[:most]
        places = [divmod(int(at), len(self.names)) for at in order]
        return [(self.names[a], self.names[b], float(upper[a, b])) for a, b in places if abs(upper[a, b]) > 0.5]


def related(sample: pa.Table, numeric: list[str], first: list[str]) -> Related:
    """Correlations of the signals that vary; those in `first` have a place before others."""
    stride = max(1, -(-len(sample) // ROWS))
    frame = pl.from_arrow(sample.select(numeric)).gather_every(stride)
    assert isinstance(frame, pl.DataFrame)
    names = [name for name in dict.fromkeys([*first, *numeric]) if frame[name].drop_nulls().n_unique() > 1][:MOST]
    if len(names) < 2:
        return Related([], np.zeros((0, 0)), len(frame))
    values = spearman(frame.select(names))
    order = _order(np.nan_to_num(values))
    return Related([names[at] for at in order], values[np.ix_(order, order)], len(frame))


def spearman(frame: pl.DataFrame) -> np.ndarray:
    """Rank correlations over the documents that have both values; ties share their mean rank.

    >>> spearman(pl.DataFrame({"a": range(30), "b": [n**3 for n in range(30)], "c": [-n for n in range(30)]})).tolist()
    [[1.0, 1.0, -1.0], [1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]]
    """
    ranks = frame.select(pl.all().cast(pl.Float64).fill_nan(None).rank("average")).to_numpy().astype(float)
    present = ~np.isnan(ranks)
    centred = np.where(present, ranks - np.nanmean(ranks, axis=0), 0.0)
    held = present.astype(float)
    spread = _product(centred**2, held)  # of each row's signal, over the documents that the column's signal has too
    with np.errstate(invalid="ignore", divide="ignore"):
        values = _product(centred, centred) / np.sqrt(spread * spread.T)
    values[_product(held, held) < COMMON] = np.nan
    return np.asarray(np.clip(np.round(values, 12), -1, 1))


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a.T @ b in one thread: small as it is, BLAS's threads would only wait for one another on a busy machine."""
    return np.asarray(np.einsum("ij,ik->jk", a, b))


def _order(values: np.ndarray) -> np.ndarray:
    """By angle of the two main axes, from the widest gap on, so that what belongs together stands together."""
    axes = np.linalg.eigh(values)[1][:, -2:]
    angle = np.arctan2(axes[:, 0], axes[:, 1])
    order = np.argsort(angle, kind="stable")
    gaps = np.diff(angle[order], append=angle[order][0] + 2 * np.pi)
    return np.roll(order, -int(np.argmax(gaps)) - 1)
