"""How long clips take: by setting, with intervals, and how that grows with their length and their pixels.

Quantiles come with exact intervals from order statistics: they ask nothing of the distribution, which for
waiting times is never normal. They need clips: a 95 % interval for p95 has no upper end below 72 of them, and
then says so by an infinite one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from seedance_lab.endpoints import SIZES
from seedance_lab.errors import LabError, near
from seedance_lab.stats import design, fits, look, plots
from seedance_lab.stats.fits import Fit

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

    Array = np.ndarray[Any, np.dtype[np.float64]]

QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95}

TIMES = ("latency_s", "submit_s", "queue_s", "inference_s", "download_s", "total_s")
"""The frame's columns that are times of a request."""


def latency(
    df: pd.DataFrame,
    by: str | Sequence[str] = "resolution",
    *,
    of: str | Sequence[str] = "latency_s",
    level: float = 0.95,
) -> pd.DataFrame:
    """How long clips took, by setting; requests without a clip are left out.

    Args:
        df: From `Study.frame` or `runs`.
        by: One column or several.
        of: Which time: `latency_s` (from sending to the result), or its parts `submit_s`, `queue_s`,
            `inference_s`, or `download_s`, or `total_s` (from sending to the file on the disk). Of several, each
            has its own columns, side by side: `found["queue_s"]["p95"]`.
        level: Share of the intervals that hold the true quantile, at least.

    Returns:
        One row a combination, with `count`, `mean`, `p50`, `p90`, `p95` of that time (seconds) and, beside each
        quantile, the ends of its interval: `p50_low`, `p50_high`, … They are order statistics, exact for
        independent clips of any distribution. Where there are too few clips for an end it is infinite;
        `df.attrs["n_needed"]` says how many clips it takes to have both.

    Raises:
        LabError: No such column, no numbers in it, or no clip with such a time.
    """
    import pandas as pd

    _check(level)
    names = [design.column(df, name) for name in ([by] if isinstance(by, str) else by)]
    times = [of] if isinstance(of, str) else list(of)
    if not names or not times:
        raise LabError("latency() needs at least one column in by and one in of, such as by='resolution'.")
    made = design.made(df.assign(**{name: design.numeric(df, name) for name in times}))
    parts = {}
    for name in times:
        kept = made[made[name].notna()]
        if kept.empty:
            raise LabError(_no_clip(df, made, name))
        groups = kept.groupby(names, observed=True, dropna=False)[name]
        rows = [_summary(own.to_numpy(dtype="float64"), level) for _, own in groups]
        parts[name] = pd.DataFrame(rows, index=groups.size().index)
    found = (
        next(iter(parts.values())) if isinstance(of, str) else pd.concat(parts, axis=1, names=["time", None])
    )
    found.attrs = {
        "units": dict.fromkeys(times, "s"),
        "level": level,
        "n_needed": {name: n_needed(q, level) for name, q in QUANTILES.items()},
    }
    return found


def quantile_interval(values: Any, q: float, level: float = 0.95) -> tuple[float, float]:
    """The interval of a quantile by order statistics, exact for independent values of any distribution.

    Args:
        values: Numbers; missing ones are left out.
        q: Which quantile, 0 to 1, both ends excluded.
        level: Share of such intervals that hold the true quantile, at least.

    Returns:
        Two of the values; an end for which there are too few of them is infinite. NaN, NaN for no value.

    Source: David and Nagaraja, Order Statistics, 3rd ed., 7.1; tails of equal size.
    """
    import numpy as np
    from scipy import stats

    kept = np.sort(_finite(values))
    n = kept.size
    if not n:
        return math.nan, math.nan
    tail = (1 - level) / 2
    # The number of values below the quantile is binomial; each tail may hold at most `tail` of it.
    low = int(stats.binom.ppf(tail, n, q))  # the low-th smallest, counted from 1; 0 is none
    high = int(stats.binom.ppf(1 - tail, n, q)) + 1
    return (
        float(kept[low - 1]) if low >= 1 else -math.inf,
        float(kept[high - 1]) if high <= n else math.inf,
    )


def n_needed(q: float, level: float = 0.95) -> int:
    """How many values it takes until the interval of this quantile has both ends."""
    return math.ceil(math.log((1 - level) / 2) / math.log(max(q, 1 - q)))


def _summary(values: Array, level: float) -> dict[str, float]:
    import numpy as np

    told: dict[str, float] = {"count": len(values), "mean": float(values.mean())}
    for name, q in QUANTILES.items():
        low, high = quantile_interval(values, q, level)
        told |= {name: float(np.quantile(values, q)), f"{name}_low": low, f"{name}_high": high}
    return told


# ── growth ──────────────────────────────────────────────────────────────────────────────────────────────


class Expected(NamedTuple):
    """What one more clip is expected to take.

    Attributes:
        s: Seconds, the middle of what is expected.
        low: Lower end of the interval for one clip.
        high: Upper end; both NaN where there are too few clips for an interval.
        outside: Whether the clip is longer, shorter, larger or smaller than any that was measured.
    """

    s: float
    low: float
    high: float
    outside: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Growth:
    """How a time grows with the length and the pixels of a clip.

    Attributes:
        table: One row a factor, `seconds` and `megapixels`: `factor` by which doubling it multiplies the time,
            with `low` and `high`. For a straight line that is the factor at the typical clip.
        sentence: The same in words.
        model: `power`: a · seconds^b · megapixels^c; `linear`: a + b · megapixels · frames.
        error: Mean relative error on clips that the fit had not seen, each left out once: 0.1 is 10 %.
        errors: The same of both models; infinite for one that these clips cannot support.
        coefficients: Of the model, by name; seconds.
        notes: What a reader should know.
        level: Of the intervals.
        of: The column.
    """

    table: pd.DataFrame
    sentence: str
    model: str
    error: float
    errors: dict[str, float]
    coefficients: dict[str, float]
    notes: tuple[str, ...]
    level: float
    of: str
    _fit: Fit
    _points: pd.DataFrame

    def predict(self, pixels: str | float, seconds: float) -> Expected:
        """What one more clip would take.

        Args:
            pixels: A resolution such as `720p`, with its pixels as measured (else those of 16:9), or a number
                of pixels, width × height.
            seconds: Length of the clip.

        Raises:
            LabError: No such resolution, or a length or number of pixels that is not above 0.
        """
        points = self._points
        area = self._area(pixels)
        if not (area > 0 and seconds > 0):
            raise LabError(f"pixels={pixels!r} and seconds={seconds!r} must both be above 0.")
        fps = float((points["n_frames"] / points["seconds"]).median())
        s, low, high = self._fit.at(seconds, area / 1e6, seconds * fps, self.level, one_clip=True)
        outside = not (
            0.99 * points["seconds"].min() <= seconds <= 1.01 * points["seconds"].max()
            and 0.99 * points["megapixels"].min() <= area / 1e6 <= 1.01 * points["megapixels"].max()
        )
        return Expected(s, low, high, outside)

    def plot(self) -> Figure:
        """Measured times over the length, and the fit with the interval of its mean, a line a number of pixels."""
        import numpy as np
        import pandas as pd

        points = self._points
        lengths = np.linspace(0.9 * points["seconds"].min(), 1.05 * points["seconds"].max(), 40)
        fps = float((points["n_frames"] / points["seconds"]).median())
        lines, series = [], []
        areas = np.sort(points["megapixels"].unique())
        # More sizes than colours, as with many aspect ratios, are drawn by their nearest of six.
        if len(areas) > len(look.COLOURS):
            areas = np.quantile(areas, np.linspace(0, 1, len(look.COLOURS)), method="nearest")
        near_to = areas[np.abs(points["megapixels"].to_numpy()[:, None] - areas).argmin(axis=1)]
        for area in areas:
            name = self._size_name(float(area))
            series.append(name)
            told = [self._fit.at(x, area, x * fps, self.level, one_clip=False) for x in lengths]
            lines.append(pd.DataFrame(told, columns=["y", "low", "high"]).assign(series=name, x=lengths))
        names = dict(zip(areas, series, strict=True))
        dots = pd.DataFrame(
            {"series": [names[a] for a in near_to], "x": points["seconds"], "y": points[self.of]}
        )
        return plots.curves(
            dots.sort_values("series", key=lambda s: s.map(series.index), kind="stable"),
            pd.concat(lines),
            title=f"{self.of} by length and size, and the fit ({self.model})",
            x=("length of the clip", "s"),
            y=(self.of, "s"),
        )

    def _area(self, pixels: str | float) -> float:
        if not isinstance(pixels, str):
            return float(pixels)
        own = self._points["megapixels"][self._points["resolution"] == pixels]
        if len(own):
            return 1e6 * float(own.median())
        if (size := SIZES.get((pixels, "16:9"))) is not None:
            return float(size.width * size.height)
        known = sorted({name for name, _ in SIZES})
        raise LabError(f"There is no resolution {pixels!r}.{near(pixels, known)} Or give pixels as a number.")

    def _size_name(self, area: float) -> str:
        points = self._points
        own = points["resolution"][points["megapixels"] == area].dropna().unique()
        if len(own) == 1 and points["megapixels"][points["resolution"] == own[0]].nunique() == 1:
            return str(own[0])
        return f"{look.number(area)} megapixels"

    def __repr__(self) -> str:
        return look.as_text(self.sentence, self.table, self.notes)

    __str__ = __repr__

    def _repr_html_(self) -> str:
        return look.as_html(self.sentence, self.table, self.notes)


def growth(df: pd.DataFrame, of: str = "inference_s", *, level: float = 0.95) -> Growth:
    """How a time grows with the length and the pixels of a clip.

    Two models are fitted, a power law and a straight line in megapixels × frames, and the one that predicts
    left-out clips better is kept. Both take the noise to be in proportion to the time, as it is of work.

    Args:
        df: From `Study.frame` or `runs`: one engine and one endpoint, with `seconds`, `width`, `height` and
            `n_frames` of the clips.
        of: Which time; `inference_s` is the work itself, without the queue.
        level: Of the intervals.

    Raises:
        LabError: A column is missing, there are fewer than 3 clips with such a time, all clips have one length
            and one size, or several engines or endpoints are mixed; it says what to run or to type.
    """
    import numpy as np

    _check(level)
    points = _points(df, of)
    varies = [n for n in ("seconds", "megapixels") if points[n].max() > 1.02 * points[n].min()]
    if not varies:
        raise LabError(
            f"All {len(points)} clips are {look.number(points['seconds'].iloc[0])} s long and of one size, so nothing "
            "can grow. Run at least two: study.run(lab.sweep(…, duration=[2, 5, 10], resolution=['480p', '720p']))."
        )
    y, columns = np.log(points[of].to_numpy()), [np.log(points[n].to_numpy()) for n in varies]
    together = (
        len(varies) == 2 and np.linalg.matrix_rank(np.column_stack([np.ones(len(y)), *columns]), 1e-3) < 3
    )
    notes = []
    tried = [fits.linear(points, of)]
    if together:
        notes.append(
            "Length and pixels changed together, so their parts cannot be told apart: run each length at each "
            "resolution."
        )
    else:
        tried.insert(0, fits.power(points, of, varies))
    errors = {fit.model: fit.left_out for fit in tried}
    best = min(tried, key=lambda fit: fit.left_out)
    if math.isinf(best.left_out):
        best = tried[0]
        notes.append("Too few clips to test the fit on clips that it had not seen: repeat=3 gives more.")
    table = _factors(best, points, varies, together, level)
    if len(points) - len(best.beta) < 1:
        notes.append("Too few clips for intervals: run more seeds or repeat=3.")
    elif not (points[of].groupby(points["cell"]).count() > 1).any():
        notes.append("No setting was run twice, so noise and misfit cannot be told apart: run more seeds.")
    return Growth(
        table=table,
        sentence=_growth_sentence(of, table, best, len(points)),
        model=best.model,
        error=best.left_out,
        errors={"power": math.inf, "linear": math.inf} | errors,
        coefficients=dict(zip(best.names, map(float, best.beta), strict=True)),
        notes=tuple(notes),
        level=level,
        of=of,
        _fit=best,
        _points=points,
    )


def _points(df: pd.DataFrame, of: str) -> pd.DataFrame:
    """The clips with such a time, by length, size and frames."""
    import pandas as pd

    names = ["seconds", "width", "height", "n_frames"]
    for name in names:
        design.column(df, name)
    time = design.numeric(df, of)
    numbers = pd.DataFrame({name: design.numeric(df, name) for name in names}).assign(**{of: time})
    numbers["megapixels"] = numbers["width"] * numbers["height"] / 1e6
    numbers["resolution"] = df["resolution"].astype(object) if "resolution" in df.columns else None
    made = design.made(df.assign(_at=range(len(df))))["_at"].to_numpy(dtype=int)
    kept = numbers.iloc[made]
    kept = kept[(kept[[*names, of]] > 0).all(axis=1)]
    if len(kept) < 3:
        told = "no clip has" if kept.empty else f"only {len(kept)} clips have"
        if kept.empty and len(made) and not time.notna().any():
            raise LabError(
                f"No clip has a value in {of!r}; the service did not tell. Try growth(df, of='latency_s')."
            )
        raise LabError(
            f"growth() needs at least 3 clips with {of}; {told} it. Run a sweep over lengths and resolutions: "
            "study.run(lab.sweep(…, duration=[2, 5, 10], resolution=['480p', '720p']))."
        )
    for name in ("engine", "endpoint"):
        if name in df.columns and len(several := df[name].iloc[made].dropna().unique()) > 1:
            raise LabError(
                f"Clips of several values of {name!r} are mixed ({', '.join(map(str, several))}), and their times "
                f"have nothing in common. Take one: growth(df[df[{name!r}] == {str(several[0])!r}])."
            )
    return kept.assign(cell=kept.groupby(["seconds", "megapixels"]).ngroup()).reset_index(drop=True)


def _factors(fit: Fit, points: pd.DataFrame, varies: list[str], together: bool, level: float) -> pd.DataFrame:
    """By what doubling multiplies the time, with intervals."""
    import numpy as np
    import pandas as pd
    from scipy import stats

    t = fits.t_of(level, fit.free, stats)
    if fit.model == "power":
        slopes, names = fit.beta[1:], varies
        halves = t * np.sqrt(np.maximum(0.0, np.diag(fit.covariance)[1:]))
        factors, lows, highs = 2.0**slopes, 2.0 ** (slopes - halves), 2.0 ** (slopes + halves)
    else:
        work = float((points["megapixels"] * points["n_frames"]).median())
        a, b = fit.beta
        before = a + b * work
        # The factor (a + 2bw) / (a + bw), and its slope in a and b.
        slope = np.array([-b * work, a * work]) / before**2
        half = t * math.sqrt(max(0.0, slope @ fit.covariance @ slope))
        names = ["megapixels × frames"] if together else varies
        factors = np.full(len(names), (a + 2 * b * work) / before)
        lows, highs = factors - half, factors + half
    return pd.DataFrame({"doubled": names, "factor": factors, "low": lows, "high": highs})


_WORDS = {"seconds": "the seconds", "megapixels": "the pixels", "megapixels × frames": "pixels × frames"}


def _growth_sentence(of: str, table: pd.DataFrame, fit: Fit, n: int) -> str:
    names = [_WORDS[name] for name in table["doubled"]]
    rows = list(zip(names, *(table[c].tolist() for c in ("factor", "low", "high")), strict=True))
    up = [name.removeprefix("the ") for name, _, low, _ in rows if low > 1]
    down = [name.removeprefix("the ") for name, _, _, high in rows if high < 1]
    moves = [f"{verb} with {' and '.join(own)}" for verb, own in (("grows", up), ("falls", down)) if own]
    head = f"{of} {' and '.join(moves)}" if moves else f"{of} shows no sure growth"
    if fit.model == "linear":  # one line, so one factor for all
        rows = [(" or ".join(names), *rows[0][1:])]
    told = []
    for name, factor, low, high in rows:
        between = "" if math.isnan(low) else f" ({_two(low)} to {_two(high)})"
        told.append(f"doubling {name} multiplies it by {_two(factor)}{between}")
    where = " at the typical clip" if fit.model == "linear" else ""
    off = "less than 0.1" if fit.left_out < 0.001 else look.number(100 * fit.left_out)
    error = f" The fit ({fit.model}, {n} clips) is off by {off} % on clips that it had not seen."
    return f"{head}: {', '.join(told)}{where}.{'' if math.isinf(fit.left_out) else error}"


def _two(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


# ── checks ──────────────────────────────────────────────────────────────────────────────────────────────


def _check(level: float) -> None:
    if not 0 < level < 1:
        raise LabError(f"level={level} is not between 0 and 1; 0.95 gives the usual 95 % interval.")


def _finite(values: Any) -> Array:
    import numpy as np

    found = np.asarray(values, dtype="float64").reshape(-1)
    kept: Array = found[np.isfinite(found)]
    return kept


def _no_clip(df: pd.DataFrame, made: pd.DataFrame, name: str) -> str:
    if df.empty:
        return "The frame is empty: run a plan first, study.run(plan), then study.frame()."
    if made.empty:
        return (
            f"None of the {len(df)} requests has a clip: look at df[['stage', 'error']], then run the plan again, "
            "study.run(plan, retry_failed=True)."
        )
    others = [t for t in TIMES if t in made.columns and t != name and made[t].notna().any()]
    hint = (
        f" There is {', '.join(others)}: of={others[0]!r}."
        if others
        else " Run the plan first: study.run(plan)."
    )
    return f"No clip has a value in {name!r}.{hint}"
