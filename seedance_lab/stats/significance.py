"""How surprising a difference is, how many of them were looked at, and how much data would settle it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

POWER = 0.8
EXACT_UP_TO = 14
"""Pairs up to which all sign flips are gone through: 16,384 of them."""


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjustment for having looked several times; missing values stay missing and do not count."""
    known = sorted((p, i) for i, p in enumerate(p_values) if math.isfinite(p))
    out = [math.nan] * len(p_values)
    worst = 0.0
    for place, (p, i) in enumerate(known):
        worst = max(worst, min(1.0, p * (len(known) - place)))
        out[i] = worst
    return out


def sign_flip(differences: ArrayLike) -> float:
    """Exact p-value of paired differences: how many of all sign flips have as large a sum.

    It needs no normal distribution, only that each difference could as well have had the other sign. NaN for
    fewer than 2 or more than 14 differences. With n pairs it cannot be smaller than 2 / 2ⁿ.
    """
    import numpy as np

    d = np.asarray(differences, dtype="float64")
    if not 2 <= d.size <= EXACT_UP_TO:
        return math.nan
    bits = (np.arange(2**d.size)[:, None] >> np.arange(d.size)) & 1
    sums = np.abs((1 - 2 * bits) @ d)
    return float((sums >= abs(d.sum()) * (1 - 1e-12) - 1e-300).mean())


def n_needed(difference: float, spread: float, *, alpha: float, two_samples: bool = False) -> int | None:
    """How many pairs would show this difference with a power of 0.8.

    Args:
        difference: What is to be seen.
        spread: Standard deviation of the pairs' differences; of two samples: within each.
        alpha: Of a two-sided t test.
        two_samples: Then the number is of rows in each sample.

    Returns:
        At least 2; None where nothing can be said, or above a million.
    """
    from scipy import stats

    if not (difference > 0 and spread > 0 and math.isfinite(difference / spread)):
        return None
    size = difference / spread / (math.sqrt(2) if two_samples else 1)
    rough = ((stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(POWER)) / size) ** 2
    if not rough <= 1e6:
        return None
    n = int(max(2, math.floor(rough)))
    while True:
        df = 2 * (n - 1) if two_samples else n - 1
        edge = stats.t.ppf(1 - alpha / 2, df)
        if stats.nct.sf(edge, df, size * math.sqrt(n)) >= POWER:
            return n
        n += 1
