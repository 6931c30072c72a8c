"""Rounding of many numbers exactly as Python's `round(x, digits)` does it, which NumPy does not."""

from __future__ import annotations

import numpy as np

MOST_DIGITS = 11  # 5**11 has 26 bits, so its product with half a double's 53 is exact
LOW = np.int64((1 << 27) - 1)


def rounded(values: np.ndarray, digits: int) -> np.ndarray:
    """The nearest multiples of 10**-digits, ties to the even one; values are below 2**51 / 10**digits.

    >>> rounded(np.array([0.5, 0.125, 2.675]), 2).tolist()
    [0.5, 0.12, 2.67]
    """
    scale = 10.0**digits
    high = (values.view(np.int64) & ~LOW).view(np.float64)
    large, small = high * scale, (values - high) * scale  # both exact
    floor = np.floor(large + small)
    above = (large - floor - 0.5) + small  # its sign is exact
    return (floor + ((above > 0) | (above == 0) & (floor % 2 == 1))) / scale
