"""Two models of how a time grows with a clip, fitted by least squares with noise in proportion to the time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, np.dtype[np.float64]]


class Fit(NamedTuple):
    """Least squares with noise in proportion: in logarithms, or weighted by one over the expected time squared."""

    model: str
    names: list[str]
    beta: Array
    covariance: Array
    sigma: float
    """Standard deviation of the relative noise; NaN where nothing is left over to tell."""
    free: int
    """Clips beyond the number of coefficients."""
    left_out: float

    def row(self, seconds: float, megapixels: float, n_frames: float) -> Array:
        """What the coefficients are multiplied by."""
        import numpy as np

        told = {
            "seconds": math.log(seconds),
            "megapixels": math.log(megapixels),
            "work": megapixels * n_frames,
        }
        return np.array([1.0, *(told[name] for name in self.names[1:])])

    def at(
        self, seconds: float, megapixels: float, n_frames: float, level: float, *, one_clip: bool
    ) -> tuple[float, float, float]:
        """The expected time and its interval: of one clip, or of their mean."""
        from scipy import stats

        row = self.row(seconds, megapixels, n_frames)
        middle, spread = float(row @ self.beta), math.sqrt(max(0.0, float(row @ self.covariance @ row)))
        if self.model == "power":
            half = t_of(level, self.free, stats) * math.hypot(spread, self.sigma if one_clip else 0)
            return math.exp(middle), math.exp(min(700, middle - half)), math.exp(min(700, middle + half))
        half = t_of(level, self.free, stats) * math.hypot(spread, abs(middle) * self.sigma if one_clip else 0)
        return middle, max(0.0, middle - half), middle + half


def t_of(level: float, free: int, stats: Any) -> float:
    """Student's t of an interval; NaN where nothing is left over to tell the noise."""
    return float(stats.t.ppf((1 + level) / 2, free)) if free > 0 else math.nan


def power(points: pd.DataFrame, of: str, varies: list[str]) -> Fit:
    """The logarithm of the time on those of `varies`."""
    import numpy as np

    y = np.log(points[of].to_numpy())
    design_matrix = np.column_stack([np.ones(len(y)), *(np.log(points[n].to_numpy()) for n in varies)])
    beta, covariance, sigma, free, left = _least_squares(design_matrix, y)
    wrong = float(np.mean(np.abs(np.expm1(-left)))) if np.isfinite(left).all() else math.inf
    return Fit("power", ["a", *varies], beta, covariance, sigma, free, wrong)


def linear(points: pd.DataFrame, of: str) -> Fit:
    """The time on megapixels × frames."""
    import numpy as np

    y, work = points[of].to_numpy(), (points["megapixels"] * points["n_frames"]).to_numpy()
    matrix = np.column_stack([np.ones(len(y)), work])
    weight = 1 / y
    for _ in range(3):  # weights from the fit itself, not from the noisy times, which would pull it down
        beta, covariance, sigma, free, left = _least_squares(matrix * weight[:, None], y * weight)
        fitted = matrix @ beta
        weight = 1 / np.maximum(fitted, 0.05 * y)
    wrong = float(np.mean(np.abs(left / weight / y))) if np.isfinite(left).all() else math.inf
    return Fit("linear", ["a", "work"], beta, covariance, sigma, free, wrong)


def _least_squares(x: Array, y: Array) -> tuple[Array, Array, float, int, Array]:
    """Coefficients, their covariance, the noise, what is left over, and the error of each value left out."""
    import numpy as np

    inverse: Array = np.asarray(np.linalg.pinv(x.T @ x), dtype="float64")
    beta: Array = inverse @ x.T @ y
    rest = y - x @ beta
    free = len(y) - x.shape[1]
    sigma = float(np.sqrt(rest @ rest / free)) if free > 0 else math.nan
    leverage = np.einsum("ij,jk,ik->i", x, inverse, x)
    left: Array = np.where(leverage < 1 - 1e-9, rest / np.maximum(1 - leverage, 1e-9), np.inf)
    return beta, inverse * sigma**2, sigma, free, left
