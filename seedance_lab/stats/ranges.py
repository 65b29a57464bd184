"""How far apart the level means of a setting lie, and how much that depends on another setting."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from seedance_lab.stats.linear import Fit

if TYPE_CHECKING:
    import numpy as np

    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Ints = np.ndarray[Any, np.dtype[np.int64]]

_MOST = 20_000
"""Differences of differences that are looked at."""


class Range(NamedTuple):
    """The largest difference in size, and where the largest true one lies; NaN where nothing can be said."""

    effect: float
    low: float
    high: float


def of_means(fit: Fit, at: Sequence[int], mse: float, left: int, level: float) -> Range:
    """The range of a setting's adjusted means.

    The interval holds for all differences of two levels at once (Tukey and Kramer), so the largest true one is in
    it at least as often as `level` says, and for two levels exactly as often.

    Args:
        fit: Of a model in which the setting takes part in no interaction.
        at: The setting's columns in it.
        mse: Residual mean square.
        left: Residual degrees of freedom.
        level: Of the interval.
    """
    import numpy as np

    k = len(at) + 1
    contrasts = np.zeros((k * (k - 1) // 2, k))
    for row, (i, j) in enumerate(itertools.combinations(range(k), 2)):
        contrasts[row, [i, j]] = -1, 1
    q = _tukey(level, k, left)
    return _largest(fit, np.asarray(at), contrasts[:, 1:], mse, q)


@functools.cache  # a tenth of a second each
def _tukey(level: float, k: int, left: int) -> float:
    """How many standard errors the differences of k means reach; Student's quantile for two."""
    from scipy import stats

    if k == 2:
        return float(stats.t.ppf((1 + level) / 2, left))
    return float(stats.studentized_range.ppf(level, k, left)) / math.sqrt(2)


def of_interaction(fit: Fit, at: Ints, shape: tuple[int, int], mse: float, left: int, level: float) -> Range:
    """The largest difference of differences: how much the effect of one setting depends on the other.

    The interval holds for all of them at once (Bonferroni, or Scheffé where that is narrower).

    Args:
        fit: Of the full model.
        at: The interaction's columns.
        shape: Levels of the two settings.
        mse: Residual mean square.
        left: Residual degrees of freedom.
        level: Of the interval.
    """
    import numpy as np
    from scipy import stats

    a, b = shape
    n = a * (a - 1) // 2 * (b * (b - 1) // 2)
    if n > _MOST or n * a * b > 50_000_000:
        return Range(math.nan, math.nan, math.nan)
    contrasts = np.zeros((n, a, b))
    pairs = itertools.product(itertools.combinations(range(a), 2), itertools.combinations(range(b), 2))
    for row, ((i, j), (k, m)) in enumerate(pairs):
        contrasts[row, [i, j, i, j], [k, k, m, m]] = 1, -1, -1, 1
    df = (a - 1) * (b - 1)
    bonferroni = float(stats.t.ppf(1 - (1 - level) / 2 / n, left))
    scheffe = math.sqrt(df * float(stats.f.ppf(level, df, left)))
    return _largest(fit, at, contrasts[:, 1:, 1:].reshape(n, -1), mse, min(bonferroni, scheffe))


def _largest(fit: Fit, at: Ints, contrasts: Floats, mse: float, q: float) -> Range:
    import numpy as np

    unseen = fit.seen[at].copy()
    unseen[np.arange(len(at)), at] -= 1
    known = np.abs(contrasts @ unseen).max(axis=1, initial=0) < 1e-6
    if not known.any():
        return Range(math.nan, math.nan, math.nan)
    contrasts = contrasts[known]
    size = np.abs(contrasts @ fit.beta[at])
    variances = np.einsum("ij,jk,ik->i", contrasts, fit.inverse[np.ix_(at, at)], contrasts, optimize=True)
    half = q * np.sqrt(np.maximum(variances, 0) * mse)
    return Range(float(size.max()), float(max(0.0, (size - half).max())), float((size + half).max()))
