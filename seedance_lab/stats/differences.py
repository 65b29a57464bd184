"""The difference of two levels and its interval: of pairs, of two samples, or within a model of the rest."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from seedance_lab.stats import intervals, linear
from seedance_lab.stats.significance import sign_flip

if TYPE_CHECKING:
    import numpy as np

    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Ints = np.ndarray[Any, np.dtype[np.int64]]

TOGETHER = 0.25
"""Differences of one seed count as one where an F test says, at this level, that they lie together."""


_ROUNDING = 1e-9
"""Relative size below which a difference is one of floating point."""


class Difference(NamedTuple):
    """A difference of two means and what is known about it; the fields are those of `Comparison.table`.

    `spread` is the standard deviation that `n_needed` starts from: of the units' differences, or of clips.
    """

    n: int
    n_against: int
    n_units: int
    mean: float
    mean_against: float
    difference: float
    low: float
    high: float
    p: float
    p_exact: float
    ratio: float
    ratio_low: float
    ratio_high: float
    standardised: float
    spread: float


def estimable(fit: linear.Fit, k: int) -> bool:
    """Whether the differences of the first setting's levels can be told from all else in the model."""
    import numpy as np

    return bool(np.abs(fit.seen[: k - 1] - np.eye(len(fit.seen))[: k - 1]).max() < 1e-6)


def paired(a: Floats, b: Floats, seeds: Ints | None, cells: Ints, level: float, is_ratio: bool) -> Difference:
    """Of two levels that stand behind each other.

    Args:
        a: The first level's value of each group, NaN where there is none, shape (groups,).
        b: The second level's.
        seeds: The groups' seeds; None where they are not all known.
        cells: The groups' other settings.
        level: Of the interval.
        is_ratio: Whether the ratio of the means says something.
    """
    import numpy as np
    from scipy import stats

    both = np.isfinite(a) & np.isfinite(b)
    a, b = a[both], b[both]
    d = np.where(np.abs(b - a) > _ROUNDING * (np.abs(a) + np.abs(b)), b - a, 0.0)
    units = d
    if seeds is not None and _lie_together(d, seeds[both], cells[both]):
        units = _means(d, seeds[both])
    n = len(units)
    middle, sd = float(units.mean()), float(units.std(ddof=1))
    if sd <= _ROUNDING * abs(middle):  # prices: the same difference in all pairs
        units, sd = np.full(n, middle), 0.0
    low, high = intervals.mean(units, level)
    p = float(stats.ttest_1samp(units, 0).pvalue) if sd > 0 else float(middle == 0)
    ratio = ratio_low = ratio_high = math.nan
    if is_ratio:
        ratio = float(b.mean() / a.mean())
        rest = b - ratio * a
        rest = _means(rest, seeds[both]) if seeds is not None and n < len(d) else rest
        half = stats.t.ppf((1 + level) / 2, n - 1) * rest.std(ddof=1) / math.sqrt(n) / a.mean()
        ratio_low, ratio_high = float(ratio - half), float(ratio + half)
    return Difference(
        n=len(d),
        n_against=len(d),
        n_units=n,
        mean=float(b.mean()),
        mean_against=float(a.mean()),
        difference=middle,
        low=low,
        high=high,
        p=p,
        p_exact=sign_flip(units),
        ratio=ratio,
        ratio_low=ratio_low,
        ratio_high=ratio_high,
        standardised=_hedges(middle, sd, n - 1),
        spread=sd,
    )


def _means(values: Floats, groups: Ints) -> Floats:
    import numpy as np

    own = np.unique(groups, return_inverse=True)[1]
    return np.bincount(own, weights=values) / np.bincount(own)


def _lie_together(d: Floats, seeds: Ints, cells: Ints) -> bool:
    """Whether the differences of one seed are alike, by an F test once each cell's mean is taken out."""
    import numpy as np
    from scipy import stats

    _, own = np.unique(seeds, return_inverse=True)
    _, cell = np.unique(cells, return_inverse=True)
    n_seeds = int(own.max()) + 1
    if n_seeds < 3 or len(d) < n_seeds + 2:
        return False
    within = linear.design({"seed": own}, []).moments(d, cell)
    fit = within.fit(np.arange(n_seeds - 1))
    left = within.residual_df(fit)
    if fit.rank < 1 or left < 1:
        return False
    explained = (within.total - fit.rss) / fit.rank
    return bool(stats.f.sf(explained / max(fit.rss / left, 1e-300), fit.rank, left) < TOGETHER)


def _hedges(difference: float, sd: float, df: int) -> float:
    """In standard deviations, corrected for small n."""
    return difference / sd * (1 - 3 / (4 * df - 1)) if sd > 0 and df >= 1 else math.nan


def adjusted(
    matrix: Any,
    blocks: Ints,
    fit: linear.Fit,
    left: int,
    y: Floats,
    codes: Ints,
    pair: tuple[int, int],
    level: float,
) -> Difference:
    """A difference of two levels in a linear model with the other settings; HC3 standard error."""
    import numpy as np
    from scipy import stats

    a, b = pair
    contrast = np.zeros(len(fit.beta))
    contrast[b - 1] = 1
    if a > 0:
        contrast[a - 1] = -1
    counts = np.bincount(blocks)
    x = matrix.toarray()
    x -= np.stack([np.bincount(blocks, weights=column) / counts for column in x.T], axis=1)[blocks]
    centred = y - (np.bincount(blocks, weights=y) / counts)[blocks]
    rest = centred - x @ fit.beta
    hat = np.einsum("ij,jk,ik->i", x, fit.inverse, x) + 1 / counts[blocks]
    pull = x @ fit.inverse @ contrast
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = np.where(hat < 1 - 1e-9, rest / (1 - hat), 0)
    se = float(np.sqrt((pull**2 * scaled**2).sum()))
    middle = float(contrast @ fit.beta)
    half = float(stats.t.ppf((1 + level) / 2, left)) * se
    sd = math.sqrt(float(rest @ rest) / left)
    first, second = y[codes == a], y[codes == b]
    mean_against = float(first.mean())
    return Difference(
        n=len(second),
        n_against=len(first),
        n_units=len(first) + len(second),
        mean=float(second.mean()),
        mean_against=mean_against,
        difference=middle,
        low=middle - half,
        high=middle + half,
        p=2 * float(stats.t.sf(abs(middle) / se, left)) if se > 0 else float(middle == 0),
        p_exact=math.nan,
        ratio=math.nan,
        ratio_low=math.nan,
        ratio_high=math.nan,
        standardised=_hedges(middle, sd, left),
        spread=sd,
    )


def welch(first: Floats, second: Floats, level: float, is_ratio: bool) -> Difference:
    """Of two samples that have nothing in common."""
    from scipy import stats

    middle = float(second.mean() - first.mean())
    sd = math.sqrt((first.var(ddof=1) + second.var(ddof=1)) / 2)
    low = high = middle
    p = float(middle == 0)
    ratio = ratio_low = ratio_high = math.nan
    if sd > 0:
        test = stats.ttest_ind(second, first, equal_var=False)
        low, high = (float(end) for end in test.confidence_interval(level))
        p = float(test.pvalue)
    if is_ratio:
        ratio = float(second.mean() / first.mean())
        parts = [second.var(ddof=1) / len(second), ratio**2 * first.var(ddof=1) / len(first)]
        df = min(len(first), len(second)) - 1
        half = stats.t.ppf((1 + level) / 2, df) * math.sqrt(sum(parts)) / first.mean()
        ratio_low, ratio_high = float(ratio - half), float(ratio + half)
    return Difference(
        n=len(second),
        n_against=len(first),
        n_units=len(first) + len(second),
        mean=float(second.mean()),
        mean_against=float(first.mean()),
        difference=middle,
        low=low,
        high=high,
        p=p,
        p_exact=math.nan,
        ratio=ratio,
        ratio_low=ratio_low,
        ratio_high=ratio_high,
        standardised=_hedges(middle, sd, len(first) + len(second) - 2),
        spread=sd,
    )
