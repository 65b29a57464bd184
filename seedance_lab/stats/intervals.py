"""Intervals for one sample: of a mean, and of any statistic by resampling. The same numbers at every call."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from seedance_lab.errors import LabError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike

_RESAMPLES = 9999
_AT_ONCE = 4_000_000  # values held in memory at a time: 32 MB
_IN_ALL = 20_000_000  # values drawn in all: about a second
_MANY = 2000  # values from which the correction, one leave-out a value, costs more than it changes


class Interval(NamedTuple):
    """Lower and upper end, in the unit of the values; NaN where there are too few of them."""

    low: float
    high: float


def mean(values: ArrayLike, level: float = 0.95) -> Interval:
    """Student's interval of the mean. NaN for fewer than 2 values; missing ones are left out.

    Raises:
        LabError: `level` is not between 0 and 1.
    """
    import numpy as np
    from scipy import stats

    check(level)
    kept = _finite(values)
    if kept.size < 2:
        return Interval(np.nan, np.nan)
    half = stats.t.ppf((1 + level) / 2, kept.size - 1) * kept.std(ddof=1) / np.sqrt(kept.size)
    return Interval(float(kept.mean() - half), float(kept.mean() + half))


def bootstrap(
    values: ArrayLike, statistic: Callable[..., Any], *, level: float = 0.95, seed: int = 0
) -> Interval:
    """Bootstrap interval of a statistic of one sample: bias-corrected and accelerated, else by percentiles.

    Percentiles stand in where the correction cannot be computed, as for the median of values with many ties,
    and above 2,000 values, where it changes next to nothing.

    Args:
        values: Numbers; missing ones are left out.
        statistic: From an array to a number. Much faster if it takes `axis`, as NumPy's own do.
        level: Share of such intervals that hold the true value.
        seed: Of the resampling.

    Returns:
        NaN for fewer than 2 values; the value itself twice where all are equal.

    Raises:
        LabError: `level` is not between 0 and 1.
    """
    import numpy as np
    from scipy import stats

    check(level)
    kept = _finite(values)
    if kept.size < 2:
        return Interval(np.nan, np.nan)
    if np.ptp(kept) == 0:
        same = float(statistic(kept))
        return Interval(same, same)
    for method in ("BCa", "percentile") if kept.size <= _MANY else ("percentile",):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of degenerate resamples; the check below sees what came of it
            found = stats.bootstrap(
                (kept,),
                statistic,
                confidence_level=level,
                n_resamples=int(min(_RESAMPLES, max(999, _IN_ALL // kept.size))),
                batch=max(1, _AT_ONCE // kept.size),
                method=method,
                random_state=np.random.default_rng(seed),
            ).confidence_interval
        if np.isfinite([found.low, found.high]).all():
            break
    return Interval(float(found.low), float(found.high))


def check(level: float) -> None:
    """Raise `LabError` unless the level is between 0 and 1."""
    if not 0 < level < 1:
        raise LabError(f"level={level} is not between 0 and 1; 0.95 gives the usual 95 % interval.")


def _finite(values: ArrayLike) -> np.ndarray[Any, np.dtype[np.float64]]:
    import numpy as np

    found = np.asarray(values, dtype="float64").reshape(-1)
    kept: np.ndarray[Any, np.dtype[np.float64]] = found[np.isfinite(found)]
    return kept
