"""Shares of the variance and their intervals, from the sums of squares behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np

    Floats = np.ndarray[Any, np.dtype[np.float64]]

_DRAWS = 4000
_EXACT_BELOW = 2000.0
"""Where the inverse of the noncentral chi-squared distribution is still exact; above, the normal is as good."""


class Sum(NamedTuple):
    """A term's sum of squares.

    Attributes:
        ss: Itself.
        df: Its degrees of freedom.
        size: Its expectation is df · noise + size · variance: the rows for a setting, less for a random seed.
        is_random: Whether its levels are drawn from many, as seeds are.
    """

    ss: float
    df: int
    size: float
    is_random: bool = False


class Share(NamedTuple):
    """A share of the variance, from 0 to 1, and the ends of its interval."""

    share: float
    low: float
    high: float


def of_variance(sums: Sequence[Sum], mse: float, left: int, level: float) -> list[Share]:
    """The share of each term and, last, of the noise.

    The intervals are generalised ones (Weerahandi, JASA 88, 1993): the noise, the seed's variance and each term's
    noncentrality are drawn from what their sums of squares leave possible, 4,000 times, always the same; so a
    share's interval knows that the seed's variance is hardly known from six seeds.

    Args:
        sums: Of the terms.
        mse: Residual mean square; 0 where there is no noise at all.
        left: Residual degrees of freedom.
        level: Of the intervals.
    """
    import numpy as np

    points = np.array([*(max(0.0, s.ss - s.df * mse) / s.size for s in sums), mse])
    points /= points.sum()
    if mse == 0:
        return [Share(float(p), float(p), float(p)) for p in points]
    rng = np.random.default_rng(0)
    noise = mse * left / rng.chisquare(left, _DRAWS)
    drawn = np.stack([*(_draws(s, noise, rng) for s in sums), noise])
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(drawn / drawn.sum(axis=0), tails, axis=1)
    return [Share(*(float(x) for x in ends)) for ends in zip(points, low, high, strict=True)]


def _draws(term: Sum, noise: Floats, rng: np.random.Generator) -> Floats:
    """What the variance of a term may be, for each draw of the noise."""
    import numpy as np
    from scipy import special, stats

    if term.is_random:
        random: Floats = np.maximum(0, term.ss / rng.chisquare(term.df, len(noise)) - noise)
        return random * term.df / term.size
    x = term.ss / noise
    u = rng.random(len(noise))
    middle = x - term.df
    rough = middle + stats.norm.ppf(u) * np.sqrt(np.maximum(0, 2 * (term.df + 2 * middle)))
    exact = x < _EXACT_BELOW
    some = exact & (special.chdtr(term.df, x) > u)
    out: Floats = np.where(exact, 0.0, np.maximum(0, rough))
    out[some] = special.chndtrinc(x[some], term.df, u[some])
    return out * noise / term.size
