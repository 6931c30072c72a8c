"""Rounding of many numbers exactly as Python's `round(x, digits)` does it, which NumPy does not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from curate.kernels.jit import kernel

MOST_DIGITS = 11  # 5**11 has 26 bits, so its product with half a double's 53 is exact
SPLIT = 2.0**27 + 1  # Dekker's: halves a double


def rounded(values: np.ndarray, digits: int) -> np.ndarray:
    """The nearest multiples of 10**-digits, ties to the even one; values are below 2**51 / 10**digits.

    >>> rounded(np.array([0.5, 0.125, 2.675]), 2).tolist()
    [0.5, 0.12, 2.67]
    """
    found = np.empty(len(values))
    round_all(values, 10.0**digits, found)
    return found


@kernel(allocates=False)
def round_all(values: Any, scale: Any, found: Any) -> None:
    """Fill the rounded values."""
    for k in range(len(values)):
        value = values[k]
        high = SPLIT * value
        high -= high - value
        large, small = high * scale, (value - high) * scale  # both exact
        floor = math.floor(large + small)
        above = (large - floor - 0.5) + small  # its sign is exact
        found[k] = (floor + (above > 0 or (above == 0 and floor % 2 == 1))) / scale
