"""Quantiles from histograms: exact in small groups and where values repeat, else within the error that is stated."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.evaluate import fitted
from curate.operators.quantile import BITS, Quantile, ordered

VALUES = st.none() | st.integers(-3, 3).map(float) | st.floats(allow_nan=True)


def exact(values: np.ndarray) -> np.ndarray:
    """The share of lower values, and half of the same."""
    order = np.sort(values)
    return (np.searchsorted(order, values, "left") + np.searchsorted(order, values, "right")) / 2 / len(values)


@given(st.lists(st.tuples(VALUES, st.sampled_from(["a", "b", None])), max_size=40))
def test_a_small_group_has_exact_quantiles(rows: list[tuple[float | None, str | None]]) -> None:
    columns = {"score": pa.array([row[0] for row in rows], pa.float64())}
    columns["group"] = pa.array([row[1] for row in rows], pa.string())
    found = Quantile(of="score", per="group")(pa.table(columns))["score_quantile"].to_pylist()
    for (value, group), quantile in zip(rows, found, strict=True):
        mine = [v for v, its in rows if its == group and v is not None and v == v]
        if value is None or value != value or group is None:
            assert quantile is None
            continue
        alike = [v for v in mine if same(v, value)]
        assert quantile == pytest.approx((sum(v < min(alike) for v in mine) + len(alike) / 2) / len(mine), abs=1e-12)


def same(one: float, other: float) -> bool:
    """Whether two numbers share the bits that the last bins go by."""
    codes = ordered(np.array([one, other]) + 0.0) >> np.uint64(64 - BITS[-1])
    return bool(codes[0] == codes[1])


SHAPES = {
    "uniform": lambda chance: chance.random(40_000),
    "lognormal": lambda chance: np.exp(2 * chance.normal(size=40_000)),
    "whole": lambda chance: chance.integers(-40, 40, 40_000).astype(float),
    "narrow": lambda chance: 0.5 + 1e-3 * chance.random(40_000),
    "spike": lambda chance: np.where(chance.random(40_000) < 0.5, 0.25, chance.random(40_000)),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("error", [0.05, 0.002])
def test_the_error_is_at_most_the_one_that_is_stated(shape: str, error: float) -> None:
    values = SHAPES[shape](np.random.default_rng(1))
    operator = Quantile(of="score", error=error)
    found = operator(pa.table({"score": values}))["score_quantile"].to_numpy()
    assert np.abs(found - exact(values)).max() <= error
    assert len(fitted(operator, [{"score": pa.array(values)}])) < len(values) or shape == "uniform"
    if shape == "whole" and error < 0.005:
        assert found == pytest.approx(exact(values), abs=1e-12)


def test_shards_and_ranges_do_not_matter() -> None:
    values = np.random.default_rng(2).normal(size=5_000)
    operator = Quantile(of="score", error=0.01)
    parts = [{"score": pa.array(part)} for part in np.array_split(values, 9)]
    models = [fitted(operator, parts, ranges=3), fitted(operator, [{"score": pa.array(values)}])]
    one, other = (operator.apply(model=model, score=pa.array(values))["score_quantile"] for model in models)
    assert one.equals(other)


def test_bins_are_bounded_by_the_error() -> None:
    """However many values there are: a bin that is not crowded is never parted."""
    values = np.random.default_rng(3).random(200_000)
    rough = fitted(Quantile(of="score", error=0.1), [{"score": pa.array(values)}])
    fine = fitted(Quantile(of="score", error=0.001), [{"score": pa.array(values)}])
    assert len(rough) < 1_000 < len(fine) < 100_000
