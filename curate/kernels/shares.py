"""Shares of a whole that may be nothing."""

from __future__ import annotations

import numpy as np


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, 0.0 where the whole is 0.

    >>> share(np.array([1, 0]), np.array([4, 0])).tolist()
    [0.25, 0.0]
    """
    return np.divide(part, whole, out=np.zeros(len(part)), where=np.asarray(whole) != 0)
