"""Edges of histograms: round numbers, the bounds of rules among them, and all values between the first and the last."""

from __future__ import annotations

import numpy as np

FEW = 36  # whole numbers up to which each has a bin of its own
BINS = 40
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
SMALLEST = 300  # decades below 1 that a step may be
MANY = 1e6  # times the first edge is the last, where steps are wide
# R20 of ISO 3, twenty even steps of a decade; every other one is R10, every fourth R5.
RENARD = (1.0, 1.12, 1.25, 1.4, 1.6, 1.8, 2.0, 2.24, 2.5, 2.8, 3.15, 3.55, 4.0, 4.5, 5.0, 5.6, 6.3, 7.1, 8.0, 9.0)


def edges(values: np.ndarray, low: float, high: float, bounds: list[float], is_whole: bool) -> np.ndarray:
    """Ascending edges for values between `low` and `high`, of which `values` are some, sorted.

    Round numbers between the 0.5 % and 99.5 % quantiles; what lies outside has one bin on each side. Where the upper
    half is much wider than the lower, steps grow by ratio instead.

    >>> edges(np.arange(100) / 100, 0.0, 0.99, [0.3], False)[:4].tolist()
    [0.0, 0.025, 0.05, 0.075]
    >>> edges(np.array([0.0, 1.0, 3.0]), 0.0, 3.0, [2.0], True).tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0]
    """
    low, high = min([low, *bounds]), max([high, *bounds])
    if is_whole and high - low <= FEW:
        return np.arange(low, high + 2)
    first, middle, last = np.quantile(values, (0.005, 0.5, 0.995)) if len(values) else (low, low, high)
    if first >= 0 and middle > 0 and last > 10 * middle:
        inner = _by_ratio(max(first, middle / 1000), last, is_whole)
    else:
        inner = _by_step(first, last if last > first else high, is_whole)
    inside = np.unique(inner[(inner > low) & (inner < high)])
    found = np.concatenate([[low], inside, [high if high > low else max(low + 1, np.nextafter(low, np.inf))]])
    for bound in bounds:
        found = _with(found, bound, bounds)
    return np.asarray(found)


def _by_step(first: float, last: float, is_whole: bool) -> np.ndarray:
    """Multiples of a round step."""
    if last <= first:
        return np.zeros(0)
    rough = last / BINS - first / BINS
    decade = max(int(np.floor(np.log10(rough))), -SMALLEST)
    step = next(each for each in STEPS if each * 10.0**decade >= rough * 0.999)
    if is_whole:
        step, decade = max(1.0, np.round(step * 10.0**decade)), 0
    width = step * 10.0**decade
    with np.errstate(over="ignore"):  # what is beyond the largest number is beyond the highest value
        found = np.arange(np.floor(first / width), np.ceil(last / width) + 1) * step
        return found / 10.0**-decade if decade < 0 else found * 10.0**decade  # each as if it was written down


def _by_ratio(first: float, last: float, is_whole: bool) -> np.ndarray:
    """Preferred numbers of each decade."""
    decades = range(int(np.floor(np.log10(first))), int(np.ceil(np.log10(last))) + 1)
    steps = RENARD if last < 200 * first else RENARD[::2] if last < MANY * first else RENARD[::4]
    series = np.array([float(f"{each}e{decade}") for decade in decades for each in steps])
    series = np.round(series) if is_whole else series
    return series[(series >= first) & (series <= last * 1.25)]


def _with(found: np.ndarray, bound: float, bounds: list[float]) -> np.ndarray:
    """The edges with a bound among them; an inner edge that is close by makes room for it."""
    at = int(np.searchsorted(found, bound))
    if at < len(found) and found[at] == bound:
        return found
    gap = found[at] - found[at - 1]
    for near in (at - 1, at):
        if 0 < near < len(found) - 1 and found[near] not in bounds and abs(found[near] - bound) < 0.4 * gap:
            found = np.delete(found, near)
            break
    return np.insert(found, np.searchsorted(found, bound), bound)
