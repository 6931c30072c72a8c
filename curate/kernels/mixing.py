"""Seeded mixing of 64-bit values (the finaliser of SplitMix64, Steele et al. 2014)."""

from __future__ import annotations

import numpy as np


def mix(values: np.ndarray, seed: int | np.ndarray) -> np.ndarray:
    """Spread uint64 values evenly over 64 bits; another seed (or an array of them, uint64) gives an unrelated spread.

    >>> [hex(v) for v in mix(np.array([0, 1], np.uint64), seed=0)]
    ['0xe220a8397b1dcdaf', '0x910a2dec89025cc1']
    """
    step = np.uint64(0x9E3779B97F4A7C15)
    with np.errstate(over="ignore"):
        seeds = seed if isinstance(seed, np.ndarray) else np.uint64(seed & (2**64 - 1))
        z = values.astype(np.uint64) * step + step * (seeds + np.uint64(1))
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))
