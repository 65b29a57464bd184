"""Which settings matter, together: main effects, two-way interactions, the seed, and what is left.

The model: a value is the sum of what its settings add, what each pair of settings adds beyond that, what its
seed adds, and noise. The seed is a random block: a draw from all seeds, and the same for every setting. It is
taken out by its means, which tests the settings as a mixed model does where every seed has met the same ones,
and is safe where not. statsmodels gives the same sums of squares by OLS with the seed as a factor; the sums
here are taken over cells, so that a thousand seeds cost no more than one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from seedance_lab.errors import LabError
from seedance_lab.stats import design, intervals, linear, plots, ranges, say, shares, terms
from seedance_lab.stats.linear import Fit, Moments, Term
from seedance_lab.stats.significance import holm

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Ints = np.ndarray[Any, np.dtype[np.int64]]

MAX_COLUMNS = 1500
"""Dummy variables up to which interactions are in the model."""

_CROSS = " × "
_HEAD = ("term", "levels", "effect", "interval", "share", "interval", "p (Holm)")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Effects:
    """What each setting does to one column, beside the others, the seed and the noise.

    Attributes:
        table: One row a term, the largest share of its kind first:
            `term`; `kind`: setting, interaction, seed, residual; `levels`: of a setting or the seeds, `3 × 2` for
            an interaction; `df`;
            `effect`, `low`, `high`: in the column's unit. Of a setting: the range of its level means, adjusted for
            the rest. Of an interaction: the largest difference of differences. The interval covers all such
            differences at once (Tukey, Bonferroni), so it holds the true
            range at least as often as `level`;
            `share`, `share_low`, `share_high`: of the variance, see `effects`;
            `F`, `p`, `p_holm`: type II test against the residual, and adjusted for the number of terms;
            `visible`: whether `p_holm` is below 1 − level.
        of: The column.
        unit: Of the column.
        level: Of the intervals.
        n: Rows in the model.
        n_unused: Rows that failed or have no value.
        left_out: Settings and interactions of which these rows say nothing, and why.
        sentence: What can be said.
        notes: What is not known, and what to run to know it.
    """

    table: pd.DataFrame
    of: str
    unit: str
    level: float
    n: int
    n_unused: int
    left_out: dict[str, str]
    sentence: str
    notes: tuple[str, ...] = ()

    @property
    def shares(self) -> pd.Series[float]:
        """Share of the variance by term, the largest first; they sum to 1. A share that is not known is missing."""
        found: pd.Series[float] = self.table.set_index("term")["share"].sort_values(ascending=False)
        return found

    def plot(self) -> Figure:
        """The shares with their intervals, in per cent."""
        columns = ["share", "share_low", "share_high"]
        known = self.table[self.table["share"].notna()]
        return plots.intervals(
            known.assign(**{name: 100 * known[name] for name in columns}),
            label="term",
            value="share",
            low="share_low",
            high="share_high",
            title=f"Share of the variance of {self.of}",
            unit="%",
        )

    def _cells(self) -> list[tuple[str, ...]]:
        out: list[tuple[str, ...]] = []
        for row in self.table.itertuples(index=False):
            r: Any = row
            places = say.decimals((r.high - r.low) / 2, r.effect)
            has = math.isfinite(r.effect)
            between = math.isfinite(r.share_low)
            out.append(
                (
                    r.term,
                    r.levels,
                    say.quantity(r.effect, places, self.unit) if has else "",
                    say.span(r.low, r.high, places, self.unit) if has else "",
                    say.percent(r.share),
                    f"{say.percent(r.share_low)} to {say.percent(r.share_high)}" if between else "",
                    say.p_value(r.p_holm) if math.isfinite(r.p_holm) else "",
                )
            )
        return out

    def __str__(self) -> str:
        return self.sentence

    def __repr__(self) -> str:
        return say.text(self.sentence, _HEAD, self._cells(), self.notes)

    def _repr_html_(self) -> str:
        return say.block(self.sentence, _HEAD, self._cells(), self.notes)


def effects(df: pd.DataFrame, of: str = "latency_s", *, level: float = 0.95) -> Effects:
    """How much each setting matters for a column of numbers, against each other and the noise of the seed.

    The model is fixed main effects of all settings that vary and all their two-way interactions, with the seed
    (of one engine) as a random block and independent noise of one size. Three-way interactions count as noise,
    and so does a seed whose effect differs between settings.

    Tests are of type II: a setting is adjusted for the others and for interactions without it, an interaction
    for all else; so missing cells and failed clips are no obstacle. The error is what the full model leaves.

    Shares: with SS the type II sum of squares of a term, df its degrees of freedom, MSE the residual mean square
    and N the rows, the variance of a term is (SS − df · MSE) / N, not below 0. In a balanced design its share of
    the sum of all is omega squared. The seed's is the variance component of a random factor (Henderson's third
    method), the residual's is MSE. Their intervals are generalised confidence intervals, see
    `shares.of_variance`.

    How it holds: `benchmarks/coverage.py`. What it does not see is an effect that differs from seed to seed: that
    counts as noise, and the intervals are then too narrow; `compare` checks for it, one setting at a time.

    Args:
        df: From `Study.frame` or `runs`, with any further columns of numbers.
        of: The column of numbers.
        level: Of the intervals; an effect is called visible when its p-value, adjusted after Holm for all
            terms tested, is below 1 − level.

    Raises:
        LabError: No such column; nothing varies; settings that only change together, or only with the seed, and
            no others; too few clips to tell anything from noise. The message says what to run.
    """
    import numpy as np

    intervals.check(level)
    values = design.numeric(df, of)
    rows = design.made(design.ordered(df.assign(**{of: values})))
    rows = rows[np.isfinite(rows[of])]
    names = design.varying(rows)
    y = rows[of].to_numpy(dtype="float64")
    _check(df, rows, names, y, of)
    factors = terms.factors(rows, names)
    model = _fit(y, factors, {name: design.levels(rows, name).values for name in names})
    found = [*_settings(model, factors, level), *_interactions(model, factors, level)]
    table = _table(found, _seed(model, factors), model, level)
    unit = design.unit(df, of)
    table.attrs["units"] = dict.fromkeys(("effect", "low", "high"), unit)
    n_unused = len(df) - len(rows)
    if n_unused:
        factors.notes.append(f"{n_unused} rows not used: failed or without a value")
    return Effects(
        table=table,
        of=of,
        unit=unit,
        level=level,
        n=len(rows),
        n_unused=n_unused,
        left_out=dict(factors.left_out),
        sentence=_sentence(table, of, unit),
        notes=tuple(factors.notes),
    )


def _check(df: pd.DataFrame, rows: pd.DataFrame, names: list[str], y: Floats, of: str) -> None:
    if not len(rows):
        raise LabError(f"No row has a clip and a value in {of}. Run the study first: study.run(plan)")
    if not names:
        asked = design.varying(df)
        why = f" ({say.listed(asked)} did, but only one value of it has clips)" if asked else ""
        line = say.sweep_line({"resolution": ["480p", "720p"], "duration": [2, 5]})
        raise LabError(f"No setting varies among the clips with {of}{why}. Vary what may matter: {line}")
    if y.max() - y.min() <= 1e-12 * abs(y).max():
        raise LabError(f"{of} is {y[0]:g} in all {len(rows)} rows, so no setting can matter for it.")


# ── the model ───────────────────────────────────────────────────────────────────────────────────────────


class _Model(NamedTuple):
    """The full model, fitted, and what its tests are held against; values in units of `scale`."""

    design: linear.Design
    sums: Moments
    without_seed: Moments
    full: Fit
    terms: list[Term]
    left: int
    mse: float
    seed_trace: float
    scale: float


def _fit(y: Floats, factors: terms.Factors, values: dict[str, list[Any]]) -> _Model:
    import numpy as np

    codes = factors.codes
    told = [name for name in codes if name not in factors.joint]
    pairs = list(itertools.combinations(told, 2))
    size = {name: int(c.max()) for name, c in codes.items()}
    axes = {name: values[name] for name in told}
    line = say.sweep_line(axes, seeds=max(4, 2 * factors.n_seeds))
    if sum(size.values()) + sum(size[a] * size[b] for a, b in pairs) > MAX_COLUMNS:
        factors.notes.append("too many combinations of levels: interactions are counted as noise")
        pairs = []
    spread = y.std()
    scaled = (y - y.mean()) / spread  # sums of squares of large numbers lose digits
    one = np.zeros(len(y), dtype="int64")
    while True:
        model = linear.design(codes, pairs)
        sums = model.moments(scaled, factors.blocks)
        everything = list(model.places)
        full = sums.fit(model.columns(everything))
        left = sums.residual_df(full)
        if left >= 2 or not pairs:
            break
        pairs = []
        factors.notes.append(
            "too few clips a combination to tell interactions from noise: they are counted as noise. More seeds "
            f"would tell: {line}"
        )
    if left < 1:
        raise LabError(
            f"{len(y)} clips leave nothing to tell {say.listed(told)} from noise. Run more seeds: {line}"
        )
    mse = full.rss / left
    return _Model(
        design=model,
        sums=sums,
        without_seed=model.moments(scaled, one),
        full=full,
        terms=everything,
        left=left,
        mse=mse if mse > 1e-14 else 0.0,
        scale=float(spread),
        seed_trace=_seed_trace(model, factors.blocks) if factors.has_blocks else math.nan,
    )


def _seed_trace(model: linear.Design, blocks: Ints) -> float:
    """What the seed's sum of squares holds of its variance component (Henderson's third method)."""
    import numpy as np
    from scipy import sparse

    n = len(blocks)
    counts = np.bincount(blocks)
    member = sparse.csr_matrix((np.ones(n), (np.arange(n), blocks)))
    sums = np.asarray((model.matrix.T @ member).todense())
    sums = sums - np.outer(np.asarray(model.matrix.mean(axis=0)).reshape(-1), counts)
    alone = model.moments(np.zeros(n), np.zeros(n, dtype="int64")).fit(np.arange(model.matrix.shape[1]))
    within = float(np.einsum("ib,ij,jb->", sums, alone.inverse, sums, optimize=True))
    return float(n - (counts**2).sum() / n - within)


class _Row(NamedTuple):
    """A term; its sum of squares is in units of the model's scale."""

    term: str
    kind: str
    levels: str
    sum: shares.Sum
    effect: float
    low: float
    high: float
    F: float
    p: float


def _test(model: _Model, ss: float, df: int) -> tuple[float, float]:
    """F and its p-value. Without any noise, as with prices, all that is not nothing is certain."""
    from scipy import stats

    if model.mse == 0:
        return (math.inf, 0.0) if ss > 1e-9 else (math.nan, 1.0)
    f = ss / df / model.mse
    return f, float(stats.f.sf(f, df, model.left))


def _term(model: _Model, name: str, kind: str, levels: str, df: int, ss: float, span: ranges.Range) -> _Row:
    f, p = _test(model, ss, df)
    if not model.mse and p == 1:  # rounding, not an effect
        span, ss = ranges.Range(0.0, 0.0, 0.0), 0.0
    effect, low, high = (model.scale * x for x in span)
    return _Row(name, kind, levels, shares.Sum(ss, df, model.sums.n), effect, low, high, f, p)


def _settings(model: _Model, factors: terms.Factors, level: float) -> Iterator[_Row]:
    for name in factors.codes:
        if name in factors.joint:
            continue
        kept = [t for t in model.terms if len(t) == 1 or name not in t]
        rest = [t for t in kept if t != (name,)]
        columns = model.design.columns(kept)
        with_it, without = model.sums.fit(columns), model.sums.fit(model.design.columns(rest))
        df = with_it.rank - without.rank
        start = int((columns < model.design.places[name,][0]).sum())
        k = len(factors.names[name])
        span = ranges.of_means(with_it, range(start, start + k - 1), model.mse, model.left, level)
        yield _term(model, name, "setting", str(k), df, without.rss - with_it.rss, span)


def _interactions(model: _Model, factors: terms.Factors, level: float) -> Iterator[_Row]:
    for pair in (t for t in model.terms if len(t) == 2):
        rest = [t for t in model.terms if t != pair]
        without = model.sums.fit(model.design.columns(rest))
        df = model.full.rank - without.rank
        a, b = (len(factors.names[n]) for n in pair)
        name = _CROSS.join(pair)
        if df == 0:
            factors.left_out[name] = "no two levels of each were run with each other"
            continue
        if df < model.design.nominal_df(pair):
            factors.notes.append(
                f"some combinations of {say.listed(pair)} are missing: {name} holds for the others"
            )
        span = ranges.of_interaction(
            model.full, model.design.places[pair], (a, b), model.mse, model.left, level
        )
        yield _term(model, name, "interaction", f"{a} × {b}", df, without.rss - model.full.rss, span)


def _seed(model: _Model, factors: terms.Factors) -> _Row | None:
    if not factors.has_blocks:
        return None
    without = model.without_seed.fit(model.design.columns(model.terms))
    df = model.without_seed.residual_df(without) - model.left
    ss = without.rss - model.full.rss
    k = model.seed_trace
    if df < 1 or not k > 1e-9:
        return None
    f, p = _test(model, ss, df)
    total = shares.Sum(0.0 if not model.mse and p == 1 else ss, df, k, is_random=True)
    n_blocks = str(model.sums.n_blocks)
    return _Row(factors.block_name, "seed", n_blocks, total, math.nan, math.nan, math.nan, f, p)


# ── what can be said ────────────────────────────────────────────────────────────────────────────────────


def _table(found: list[_Row], seed: _Row | None, model: _Model, level: float) -> pd.DataFrame:
    import pandas as pd

    nan = math.nan
    adjusted = holm([row.p for row in found])
    every = [*found, *([seed] if seed else [])]
    each = shares.of_variance([row.sum for row in every], model.mse, model.left, level)
    out = [
        {
            "term": row.term,
            "kind": row.kind,
            "levels": row.levels,
            "df": row.sum.df,
            "effect": row.effect,
            "low": row.low,
            "high": row.high,
            "share": share.share,
            "share_low": share.low,
            "share_high": share.high,
            "F": row.F,
            "p": row.p,
            "p_holm": p_holm,
            "visible": p_holm < 1 - level,
        }
        for row, share, p_holm in zip(every, each, [*adjusted, nan], strict=False)
    ]
    kinds = ("setting", "interaction", "seed")
    out.sort(key=lambda row: (kinds.index(str(row["kind"])), -float(str(row["share"]))))
    rest = {"term": "residual", "kind": "residual", "levels": "", "df": model.left, "visible": False}
    rest |= dict(zip(("share", "share_low", "share_high"), each[-1], strict=True))
    return pd.DataFrame([*out, rest])


def _sentence(table: pd.DataFrame, of: str, unit: str) -> str:
    rows: list[Any] = list(table.itertuples(index=False))
    tested = [r for r in rows if r.kind in {"setting", "interaction"}]
    seen = sorted((r for r in tested if r.visible), key=lambda r: -r.share)
    unseen = [r.term for r in tested if not r.visible and r.kind == "setting"]
    parts = []
    if seen:
        parts.append(f"{_told(seen[0], unit, f' matters most for {of}')}.")
        if more := [_told(r, unit) for r in seen[1:4]]:
            rest = f"; {len(seen) - 4} more" if len(seen) > 4 else ""
            parts.append(f"Then {'; '.join(more)}{rest}.")
        close = [f"{a.term} and {b.term}" for a, b in itertools.pairwise(seen) if a.share_low <= b.share_high]
        if close:
            parts.append(f"Their order is not certain: {'; '.join(close)}.")
    else:
        parts.append(f"No setting has a visible effect on {of}.")
    if unseen:
        parts.append(f"Cannot be told apart from noise: {say.listed(unseen)}.")
    seed = next((r for r in rows if r.kind == "seed"), None)
    who = (
        f"The {seed.term} makes up {say.percent(seed.share)} of the variance and noise"
        if seed
        else "Noise makes up"
    )
    parts.append(f"{who} {say.percent(rows[-1].share)}{'' if seed else ' of the variance'}.")
    return " ".join(parts)


def _told(row: Any, unit: str, verb: str = "") -> str:
    share = f"{row.term}{verb}: {say.percent(row.share)} of the variance"
    if not math.isfinite(row.effect):
        return share
    places = say.decimals((row.high - row.low) / 2, row.effect)
    what = "differences of differences up to" if row.kind == "interaction" else "level means up to"
    apart = "" if row.kind == "interaction" else " apart"
    return (
        f"{share}, {what} {say.quantity(row.effect, places, unit)}{apart} "
        f"({say.span(row.low, row.high, places, unit)})"
    )
