"""The effect of one setting, the same seed before and after.

A seed makes a clip easy or hard, and so does a prompt. What it adds to both clips of a pair is gone from their
difference, which is why a few pairs tell more than many clips that have nothing in common.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from seedance_lab.errors import LabError
from seedance_lab.stats import design, differences, intervals, linear, plots, say
from seedance_lab.stats.differences import Difference
from seedance_lab.stats.significance import holm, n_needed

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Ints = np.ndarray[Any, np.dtype[np.int64]]

ALL_PAIRS_UP_TO = 3
"""Levels up to which each is held against each; above, all against the first."""

_RATIO_UNITS = {"s", "USD", "bytes"}
_TIMES = {"latency_s", "total_s"}
_HEAD = ("levels", "n", "means", "difference", "interval", "p (Holm)")
_ROWS = 12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Comparison:
    """What one setting does to one column.

    Attributes:
        table: One row a comparison of two levels:
            `level`, `against`: the two values;
            `n`, `n_against`: pairs, the same number twice, or clips of each level where there are no pairs;
            `n_units`: what counts as independent: pairs, or seeds where the pairs of a seed lie together;
            `mean`, `mean_against`, `difference`, `low`, `high`: in the column's unit, the interval at `level`;
            `p`: of the t test behind the interval; `p_holm`: adjusted for the rows of this table;
            `p_exact`: by all sign flips of the units, up to 14 of them;
            `ratio`, `ratio_low`, `ratio_high`: of the means, for times, money and sizes;
            `standardised`: the difference in standard deviations of one pair's difference, or of one clip where
            there are no pairs, corrected for small n (Hedges);
            `worth`, `n_needed`: how many units would show a difference of `worth` with a power of 0.8 at the
            spread seen, each of the table's comparisons at its share of 1 − level.
        by: The setting.
        of: The column.
        unit: Of the column.
        level: Of the intervals.
        paired: Whether the same seed and the same other settings stand behind both means.
        n_unused: Rows of the frame that went into no comparison: failed, without a value, without a partner.
        sentence: What can be said, and with how much data more could be.
        notes: What holds the numbers up and is not seen in them.
    """

    table: pd.DataFrame
    by: str
    of: str
    unit: str
    level: float
    paired: bool
    n_unused: int
    sentence: str
    notes: tuple[str, ...] = ()

    def plot(self) -> Figure:
        """The differences with their intervals, in the column's unit."""
        named = self.table.assign(pair=[f"{row.level} − {row.against}" for row in _rows(self.table)])
        return plots.intervals(
            named,
            label="pair",
            value="difference",
            low="low",
            high="high",
            title=f"Effect of {self.by} on {self.of}",
            unit=self.unit,
        )

    def _cells(self) -> list[tuple[str, ...]]:
        out: list[tuple[str, ...]] = []
        for row in _rows(self.table.head(_ROWS)):
            places = say.decimals((row.high - row.low) / 2, row.difference)
            n = str(row.n) if self.paired else f"{row.n}, {row.n_against}"
            out.append(
                (
                    f"{row.level} − {row.against}",
                    n,
                    f"{say.number(row.mean, places)}, {say.number(row.mean_against, places)}",
                    say.quantity(row.difference, places, self.unit, signed=True),
                    say.span(row.low, row.high, places, self.unit, signed=True),
                    say.p_value(row.p_holm),
                )
            )
        return out

    def _notes(self) -> tuple[str, ...]:
        more = len(self.table) - _ROWS
        return (*self.notes, *([f"{more} more rows: comparison.table"] if more > 0 else []))

    def __str__(self) -> str:
        return self.sentence

    def __repr__(self) -> str:
        return say.text(self.sentence, _HEAD, self._cells(), self._notes())

    def _repr_html_(self) -> str:
        return say.block(self.sentence, _HEAD, self._cells(), self._notes())


def compare(
    df: pd.DataFrame, by: str, of: str = "latency_s", *, level: float = 0.95, worth: float | None = None
) -> Comparison:
    """The effect of one setting on a column of numbers, within the same seed and other settings if it can be.

    Up to three levels are compared each with each, more with the first. Clips are paired when they share
    engine, seed, replicate and every other setting; a random seed is unknown, so there clips of the same
    settings meet in the order of the frame. When fewer than half of the clips find a partner, or two levels
    share fewer than two pairs, nothing is paired: the means are compared after Welch, or, when other settings
    vary too, within a linear model of them (HC3 standard errors; the means in the table stay those of the
    clips).

    The interval of paired differences is Student's. Over 1,000 simulated sweeps for each of several kinds of
    noise and numbers of pairs it held the true value more evenly than the bootstrap, whose intervals are too
    narrow below about 15 pairs (`benchmarks/coverage.py`). Pairs count as independent, unless those of one
    seed lie together: then the effect itself depends on the seed, and each seed's mean counts once. That is
    decided by an F test at 0.25 (preliminary tests at this level: Bancroft, Biometrics 20, 1964).

    Args:
        df: From `Study.frame` or `runs`, with any further columns of numbers.
        by: The setting; any column of the frame with at least two values will do.
        of: The column of numbers.
        level: Of the intervals; a comparison is called visible when its p-value, adjusted for all in the table
            after Holm, is below 1 − level.
        worth: The smallest difference that would matter, in the column's unit. By default a tenth of the first
            level's mean for times, money and sizes, else half a standard deviation of the column; one digit.

    Raises:
        LabError: No such column; one level only; fewer than two clips of a level; or another setting always
            changes along. The message says what to run.
    """
    import numpy as np
    import pandas as pd

    intervals.check(level)
    design.column(df, by)
    if by == of:
        raise LabError(f"by and of are both {by!r}: name the setting first, then what it may change.")
    if pd.api.types.is_float_dtype(df[by]):
        raise LabError(
            f"{by} is a measurement; by= takes a setting. Settings that vary: {_settings(df, by)}."
        )
    values = design.numeric(df, of)
    rows = design.made(design.ordered(df.assign(**{of: values}), by))
    rows = rows[np.isfinite(rows[of])]
    named = design.levels(rows, by)
    if len(named.values) < 2:
        raise LabError(_one_level(df, rows, by, of, named))
    y = rows[of].to_numpy(dtype="float64")
    pairs = _level_pairs(len(named.values))
    groups = design.pairing(rows, by)
    means = _by_group(groups, named.codes, y, len(named.values))
    paired = _can_pair(means, groups, named.codes, pairs) and _has_anchor(rows, by)
    unit = design.unit(df, of)
    is_ratio = unit in _RATIO_UNITS and bool((y > 0).all())
    alpha = (1 - level) / len(pairs)
    if paired:
        seeds = _first(groups, design.blocks(rows)) if _has_seed(rows) else None
        cells = _first(groups, design.grouped(rows, [n for n in design.SETTINGS if n != by]))
        found = [
            differences.paired(means[:, a], means[:, b], seeds, cells, level, is_ratio) for a, b in pairs
        ]
        used = np.isfinite(means[groups]).sum(axis=1) > 1
        if len(named.values) > ALL_PAIRS_UP_TO:
            used &= np.isfinite(means[groups][:, 0])
        n_used = int(used.sum())
    else:
        found = _unpaired(rows, by, named, y, pairs, level, is_ratio)
        n_used = len(rows)
    table = pd.DataFrame(found).drop(columns="spread")
    table.insert(0, "level", [named.names[b] for _, b in pairs])
    table.insert(1, "against", [named.names[a] for a, _ in pairs])
    table.insert(list(table.columns).index("p") + 1, "p_holm", holm([f.p for f in found]))
    matters = worth if worth is not None else _worth(found[0].mean_against, y, is_ratio)
    table["worth"] = matters
    needed = [n_needed(matters, f.spread, alpha=alpha, two_samples=not paired) for f in found]
    table["n_needed"] = pd.array(needed, dtype="Int64")
    table.attrs["units"] = dict.fromkeys(("mean", "mean_against", "difference", "low", "high", "worth"), unit)
    return Comparison(
        table=table,
        by=by,
        of=of,
        unit=unit,
        level=level,
        paired=paired,
        n_unused=len(df) - n_used,
        sentence=_sentence(table, by=by, of=of, unit=unit, level=level, paired=paired),
        notes=_notes(table, rows, by, paired=paired, n_unused=len(df) - n_used),
    )


# ── what is compared ────────────────────────────────────────────────────────────────────────────────────


def _level_pairs(k: int) -> list[tuple[int, int]]:
    return (
        list(itertools.combinations(range(k), 2)) if k <= ALL_PAIRS_UP_TO else [(0, i) for i in range(1, k)]
    )


def _by_group(groups: Ints, codes: Ints, y: Floats, k: int) -> Floats:
    """The mean of each group at each level, NaN where there is none. Shape (groups, k)."""
    import numpy as np

    at = groups * k + codes
    size = (int(groups.max()) + 1) * k
    counts = np.bincount(at, minlength=size)
    sums = np.bincount(at, weights=y, minlength=size)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (sums / counts).reshape(-1, k)


def _can_pair(means: Floats, groups: Ints, codes: Ints, pairs: list[tuple[int, int]]) -> bool:
    import numpy as np

    there = np.isfinite(means)
    if any((there[:, a] & there[:, b]).sum() < 2 for a, b in pairs):
        return False
    partners = there[groups].sum(axis=1) > 1
    return bool(partners.sum() * 2 >= len(codes))


def _has_anchor(rows: pd.DataFrame, by: str) -> bool:
    """Whether the clips of a pair share anything that others do not: a known seed, or one more setting."""
    return ("seed" in rows.columns and bool(rows["seed"].notna().any())) or any(
        name != by for name in design.varying(rows)
    )


def _first(groups: Ints, of: Ints) -> Ints:
    """What the rows of each group share."""
    import numpy as np

    return of[np.unique(groups, return_index=True)[1]]


def _has_seed(rows: pd.DataFrame) -> bool:
    return "seed" in rows.columns and bool(rows["seed"].notna().all())


def _settings(df: pd.DataFrame, by: str) -> str:
    return ", ".join(n for n in design.varying(design.made(df)) if n != by) or "none"


def _unpaired(
    rows: pd.DataFrame,
    by: str,
    named: design.Levels,
    y: Floats,
    pairs: list[tuple[int, int]],
    level: float,
    is_ratio: bool,
) -> list[Difference]:
    import numpy as np

    others = [n for n in design.varying(rows) if n != by]
    counts = np.bincount(named.codes)
    if counts.min() < 2:
        few = named.names[int(counts.argmin())]
        axes = {by: named.values}
        raise LabError(
            f"{by} {few} has one clip with a value and no two levels share two seeds: too few to compare. "
            f"Run the same seeds at each level: {say.sweep_line(axes)}"
        )
    if not others:
        return [
            differences.welch(y[named.codes == a], y[named.codes == b], level, is_ratio) for a, b in pairs
        ]
    codes = {by: named.codes, **{n: design.levels(rows, n).codes for n in others}}
    blocks = design.blocks(rows)
    model = linear.design(codes, [])
    sums = model.moments(y, blocks)
    fit = sums.fit(model.columns(list(model.places)))
    if not differences.estimable(fit, len(named.values)) or sums.residual_df(fit) < max(2, len(y) // 3):
        blocks = np.zeros(len(y), dtype="int64")  # seeds that hardly repeat tell nothing: they are noise here
        sums = model.moments(y, blocks)
        fit = sums.fit(model.columns(list(model.places)))
    if not differences.estimable(fit, len(named.values)):
        raise LabError(_confounded(rows, by, named, others))
    if (left := sums.residual_df(fit)) < 1:
        raise LabError(
            f"{len(y)} clips are too few to tell {by} from {say.listed(others)}. Run the same seeds at each "
            f"level: {say.sweep_line({by: named.values})}"
        )
    return [
        differences.adjusted(model.matrix, blocks, fit, left, y, named.codes, pair, level) for pair in pairs
    ]


def _worth(mean_against: float, y: Floats, is_ratio: bool) -> float:
    """The difference worth seeing, to one digit."""
    size = mean_against / 10 if is_ratio else float(y.std(ddof=1)) / 2
    return float(f"{size:.0e}") if size > 0 else math.nan


def _rows(table: pd.DataFrame) -> list[Any]:
    """The table's rows with their columns as attributes; a missing count is None."""
    names = [str(name) for name in table.columns]
    rows = [SimpleNamespace(**dict(zip(names, row, strict=True))) for row in table.itertuples(index=False)]
    for row, is_missing in zip(rows, table["n_needed"].isna(), strict=True):
        row.n_needed = None if is_missing else row.n_needed
    return rows


# ── what can be said ────────────────────────────────────────────────────────────────────────────────────


def _sentence(table: pd.DataFrame, *, by: str, of: str, unit: str, level: float, paired: bool) -> str:
    seen = table[table["p_holm"] < 1 - level]
    if len(table) == 1:
        row = _rows(table)[0]
        return _seen(row, by, of, unit, level, paired) if len(seen) else _unseen(row, by, of, unit, paired)
    if not len(seen):
        row = max(_rows(table), key=lambda r: r.high - r.low)
        return f"None of {len(table)} comparisons is visible. {_unseen(row, by, of, unit, paired, pair=True)}"
    told = " ".join(_seen(row, by, of, unit, level, paired) for row in _rows(seen.head(3)))
    more = f" {len(seen) - 3} more are visible." if len(seen) > 3 else ""
    rest = table.drop(seen.index)
    pairs = [f"{r.level} and {r.against}" for r in _rows(rest.head(3))]
    pairs += [f"{len(rest) - 3} more"] if len(rest) > 3 else []
    apart = f" Cannot be told apart: {'; '.join(pairs)}." if pairs else ""
    return f"{told}{more}{apart}"


def _seen(row: Any, by: str, of: str, unit: str, level: float, paired: bool) -> str:
    places = say.decimals((row.high - row.low) / 2, row.difference)
    low, high = sorted((abs(row.low), abs(row.high)))  # both have the sign of the difference
    size = say.quantity(abs(row.difference), places, unit)
    level_name, against = _named(row.level, by), _named(row.against, by)
    up = row.difference > 0
    if of in _TIMES:
        what = f"{level_name} takes {size} {'longer' if up else 'less'} than {against}"
    elif unit == "USD":
        what = f"{level_name} costs {size} {'more' if up else 'less'} than {against}"
    else:
        what = f"{of} is {size} {'higher' if up else 'lower'} with {level_name} than with {against}"
    what = what[0].upper() + what[1:] if not what.startswith(of) and not what.startswith(by) else what
    return f"{what} ({100 * level:g} % interval {say.span(low, high, places, unit)}; {_count(row, paired)})."


def _unseen(row: Any, by: str, of: str, unit: str, paired: bool, *, pair: bool = False) -> str:
    places = say.decimals((row.high - row.low) / 2, row.difference)
    if row.low == row.high == 0:
        what = f"the same in all {row.n} pairs" if paired else "the same in all clips"
        return f"{by} makes no difference to {of}: {what}."
    n = f"{row.n}" if paired else f"{row.n} and {row.n_against}, unpaired"
    which = f" of {row.level} and {row.against}" if pair else ""
    ends = say.span(row.low, row.high, places, unit, signed=True, between=True)
    text = f"No visible effect of {by} on {of} at n = {n}: the difference{which} lies between {ends}."
    if not math.isfinite(row.worth):
        return text
    size = say.quantity(row.worth, max(0, -math.floor(math.log10(row.worth))), unit)
    if max(abs(row.low), abs(row.high)) < row.worth:
        return f"{text} One of {size} is ruled out."
    if row.n_needed is None:
        return f"{text} More than a million pairs would be needed to show one of {size}."
    what = "pairs" if paired and row.n_units == row.n else "seeds" if paired else "clips of each"
    return f"{text} About {row.n_needed:,} {what} would show one of {size}."


def _count(row: Any, paired: bool) -> str:
    if not paired:
        return f"{row.n} and {row.n_against} clips, not paired"
    seeds = f" that count as {row.n_units} seeds" if row.n_units < row.n else ""
    return f"{row.n} pairs{seeds}"


def _named(level: str, by: str) -> str:
    if by == "prompt":
        return f"“{level}”"
    return (
        level
        if by in {"resolution", "aspect_ratio", "duration", "endpoint", "image", "engine"}
        else f"{by} {level}"
    )


def _notes(
    table: pd.DataFrame, rows: pd.DataFrame, by: str, *, paired: bool, n_unused: int
) -> tuple[str, ...]:
    notes = []
    if paired and not _has_seed(rows):
        notes.append("seeds are random or missing: clips are paired by their other settings only")
    if not paired:
        others = [n for n in design.varying(rows) if n != by]
        why = f"; adjusted for {say.listed(others)}" if others else ""
        notes.append(f"not paired: too few clips share seed and other settings{why}")
    elif _has_seed(rows) and rows["seed"].nunique() == 1:
        notes.append("one seed only: what holds for it may not hold for others")
    if (table["n_units"] < table["n"]).any():
        notes.append("the pairs of a seed seem to lie together, so each seed counts once")
    if n_unused:
        notes.append(f"{n_unused} rows not used: failed, without a value or without a partner")
    return tuple(notes)


def _one_level(df: pd.DataFrame, rows: pd.DataFrame, by: str, of: str, named: design.Levels) -> str:
    asked = design.levels(df, by)
    if not len(rows):
        return (
            f"No row has a clip and a value in {of}: nothing to compare. Run the study first: study.run(plan)"
        )
    has = f"{by} has one value among the clips with {of} ({named.names[0]})"
    if len(asked.values) > 1:
        return f"{has}; clips of the others failed or have no value. Try them again: study.run(plan, retry_failed=True)"
    known: dict[str, list[Any]] = {
        "resolution": ["480p", "720p"],
        "duration": [2, 5],
        "camera_fixed": [False, True],
    }
    line = say.sweep_line({by: known.get(by) or [*named.values, "…"]})
    settings = _settings(df, by)
    hint = f" Settings that vary: {settings}." if settings != "none" else ""
    if by not in design.SETTINGS:
        return f"{has}, so there is nothing to compare.{hint}"
    return f"{has}, so there is nothing to compare.{hint} Run another: {line}"


def _confounded(rows: pd.DataFrame, by: str, named: design.Levels, others: list[str]) -> str:
    import numpy as np

    codes = {n: design.levels(rows, n) for n in others}
    partners = []
    for name in others:
        model = linear.design({by: named.codes, name: codes[name].codes}, [])
        sums = model.moments(np.zeros(len(rows)), np.zeros(len(rows), dtype="int64"))
        if not differences.estimable(sums.fit(model.columns(list(model.places))), len(named.values)):
            partners.append(name)
    blamed = partners or others
    axes = {by: named.values, **{n: codes[n].values for n in blamed}}
    verb = "always change together" if partners else "change in step"
    return (
        f"{say.listed([by, *blamed])} {verb}, so the effect of {by} cannot be told from theirs. "
        f"Cross them: {say.sweep_line(axes)}"
    )
