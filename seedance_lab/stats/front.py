"""What each setting costs, takes and is worth, and which settings no other one beats.

A setting is dominated when another is at least as good in cost, in time and, where it is given, in quality, and
better in one of them. What is left is the front: among these it is a matter of taste. Everything that was spent
on a setting counts, failures included, so a setting that fails often is dear.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from seedance_lab import measuring
from seedance_lab.columns import UNITS
from seedance_lab.errors import LabError, near
from seedance_lab.stats import design, intervals, look, plots
from seedance_lab.stats.times import QUANTILES, TIMES, quantile_interval

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

Cost = Literal["usd_per_clip", "usd_per_second"]
COSTS: tuple[str, ...] = get_args(Cost)

_SPENT_NOTHING = frozenset({"refused", "declined"})
"""Stages in which the service did not take the request."""
_OPEN = frozenset({"sending", "declined", "accepted", "finished", "unknown"})
"""Stages that say neither clip nor failure yet."""
_NAMED = 4
_PREFERENCE = "preference"
_JUDGED = {
    _PREFERENCE: "No clip has votes yet. Vote first, in a live notebook: lab.vote(study, by='prompt')",
    "stars": "No clip has stars yet. Rate some first: study.rate(clip, stars=4)",
}
"""Columns that a frame has once people have judged, and how to get there."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Pareto:
    """Cost, time and quality by setting, and which settings no other one beats.

    Attributes:
        table: One row a setting, by cost, with

            - `setting`: its name, and the settings' own columns;
            - `requests`, `clips`, `failed`, `open` (asked for, and neither clip nor failure yet);
            - `usd_per_clip`: what is known to have been spent on the setting, failures included, by clip that came;
            - `usd_per_clip_at_most`: the same if all that is unknown was charged at list price;
            - `usd_per_second`: likewise by second of video that came;
            - the time's quantile, such as `p50`, with `p50_low` and `p50_high`, in seconds;
            - with a quality: `quality` (its mean), `quality_low`, `quality_high`;
            - with votes (a column `preference`), or a quality that is a share: `usd_per_preferred`, what was spent by
              clip that was preferred: a clip counts with the share of its votes in which it was chosen. A measure is no
              share;
            - `best`: no other setting is as good in everything and better in something;
            - `dominated_by`: the setting that is, if there is one.
        sentence: Which settings are worth their money.
        priced: `charged`, or `list price` where nothing was charged (a free engine).
        notes: What is unknown, and what the numbers rest on.
        cost: Which cost was compared.
        latency: Which quantile of which time, such as `p50 of latency_s`.
        quality: The column, if there was one.
    """

    table: pd.DataFrame
    sentence: str
    priced: Literal["charged", "list price"]
    notes: tuple[str, ...]
    cost: Cost
    latency: str
    quality: str | None = None

    def plot(self) -> Figure:
        """Cost and time of each setting; the front joined, or the quality as colour."""
        unit = "USD" if self.priced == "charged" else "USD, list price"
        per = self.cost.removeprefix("usd_per_")
        quantile = self.latency.split()[0]
        return plots.front(
            self.table,
            label="setting",
            x=(self.cost, f"cost of a {per}", unit),
            y=(quantile, self.latency, "s"),
            best="best",
            title="What each setting costs and takes",
            shade=("quality", f"mean of {self.quality}") if self.quality else None,
        )

    def __repr__(self) -> str:
        return look.as_text(self.sentence, self._shown(), self.notes)

    __str__ = __repr__

    def _repr_html_(self) -> str:
        return look.as_html(self.sentence, self._shown(), self.notes)

    def _shown(self) -> pd.DataFrame:
        """The table without what the setting's name says already, and without columns that say nothing."""
        first = self.table.columns.get_loc("requests")
        shown = self.table.drop(columns=list(self.table.columns[1:first]))
        same = (shown["usd_per_clip"] == shown["usd_per_clip_at_most"]).all()
        idle = [n for n in ("failed", "open") if not shown[n].any()]
        if same:
            idle.append("usd_per_clip_at_most")
        return shown.drop(columns=idle)


def pareto(
    df: pd.DataFrame,
    by: str | Sequence[str] | None = None,
    *,
    quality: str | None = None,
    latency: str = "p50",
    of: str = "latency_s",
    cost: Cost = "usd_per_clip",
    level: float = 0.95,
) -> Pareto:
    """Which settings are worth their money: cost, time and quality, and what no other setting beats.

    Where nothing was charged, as by a free engine, clips count with their list price, and what failed with
    nothing: no one knows what the service would have charged for it. The result says so.

    Args:
        df: From `Study.frame` or `runs`: every request, failures included. One engine, or `engine` in `by`.
        by: The columns that make a setting; those that vary if not given. Seeds are no settings.
        quality: A column with numbers: `stars`, `preference` (the share of votes), a measure. More is better, but for
            a measure of which less is (`seedance_lab.measures`). Without one only cost and time are compared, and
            the smallest clip wins.
        latency: Which quantile: `p50`, `p90` or `p95`.
        of: Of which time.
        cost: `usd_per_clip`, or `usd_per_second` to hold short and long clips against each other.
        level: Of the intervals.

    Raises:
        LabError: A column is missing or holds no numbers, no setting varies, no clip was saved, or engines
            are mixed.
    """
    import numpy as np
    import pandas as pd

    if latency not in QUANTILES:
        raise LabError(f"latency={latency!r} is not one of {', '.join(QUANTILES)}.{near(latency, QUANTILES)}")
    if cost not in COSTS:
        raise LabError(f"cost={cost!r} is not usd_per_clip or usd_per_second.{near(cost, COSTS)}")
    names = _settings(df, by)
    design.column(df, "stage")
    numbers = {n: design.numeric(df, n) for n in ("cost_usd", "estimate_usd", "seconds", of)}
    if quality is not None:
        if quality in _JUDGED and (quality not in df.columns or not df[quality].notna().any()):
            raise LabError(f"{_JUDGED[quality]}, or leave quality out.")
        numbers["quality"] = design.numeric(df, quality)
        if not numbers["quality"][df["stage"] == "saved"].notna().any():
            raise LabError(
                f"No saved clip has a value of {quality!r}. Rate or measure the clips first, or leave quality out."
            )
    less = quality is not None and measuring.better(quality) == "less"
    numbers["share"] = _shares(df, numbers.get("quality"), quality).where(df["stage"] == "saved")
    _one_engine(df, names)
    rows = pd.DataFrame(numbers).assign(stage=df["stage"].astype(str), **{f"_{n}": df[n] for n in names})
    if not (rows["stage"] == "saved").any():
        raise LabError(
            f"None of the {len(df)} requests has a clip, so no setting can be judged: look at df[['stage', 'error']], "
            "then study.run(plan, retry_failed=True)."
            if len(df)
            else "The frame is empty: run a plan first, study.run(plan), then study.frame()."
        )
    listed = bool(not (rows["cost_usd"] > 0).any() and (rows["estimate_usd"] > 0).any())
    found = []
    for key, own in rows.groupby([f"_{n}" for n in names], observed=True, dropna=False, sort=True):
        settings = dict(zip(names, key, strict=True))
        found.append(
            {
                "setting": _name(settings),
                **settings,
                **_spent(own, listed=listed),
                **_time(own, of, latency, level),
            }
            | (_quality(own, level) if quality else {})
            | {"share": own["share"].mean()}
        )
    table = pd.DataFrame(found)
    if quality or table["share"].notna().any():
        table["usd_per_preferred"] = table["usd_per_clip"] / table["share"].where(table["share"] > 0)
    table = table.drop(columns="share")
    table = table.sort_values(cost, kind="stable", na_position="last", ignore_index=True)
    loss = [table["quality"] * (1 if less else -1)] if quality else []
    goals = np.column_stack([table[cost], table[latency], *loss]).astype(float)
    best, by_whom = _front(goals)
    table["best"] = best
    table["dominated_by"] = [None if i is None else table["setting"][i] for i in by_whom]
    return Pareto(
        table=table,
        sentence=_sentence(table, cost, latency, ("argmin" if less else "argmax") if quality else None),
        priced="list price" if listed else "charged",
        notes=_notes(table, rows, listed=listed, quality=quality, less=less, of=of),
        cost=cost,
        latency=f"{latency} of {of}",
        quality=quality,
    )


def _shares(df: pd.DataFrame, values: pd.Series[float] | None, quality: str | None) -> pd.Series[float]:
    """How often each clip was preferred, 0 to 1: by votes where there are any, else a quality that is a share.

    A measure is none, though many lie between 0 and 1: nobody preferred anything.
    """
    import pandas as pd

    if _PREFERENCE in df.columns and df[_PREFERENCE].notna().any():
        return design.numeric(df, _PREFERENCE)
    judged = quality is not None and quality != "stars" and not measuring.better(quality)
    if values is not None and judged and values.dropna().between(0, 1).all():
        return values
    return pd.Series(math.nan, index=df.index)


def _settings(df: pd.DataFrame, by: str | Sequence[str] | None) -> list[str]:
    if by is not None:
        names = [design.column(df, n) for n in ([by] if isinstance(by, str) else by)]
        if not names:
            raise LabError("by is empty. Name the settings, such as by=['resolution', 'duration'].")
        return names
    names = design.varying(df)
    if not names and len(df):
        raise LabError(
            "No setting varies in this frame, so there is nothing to choose between. Run a sweep over one, such as "
            "lab.sweep(…, resolution=['480p', '720p']), or name the columns: pareto(df, by='seed')."
        )
    return names or ["resolution"]


def _one_engine(df: pd.DataFrame, names: Sequence[str]) -> None:
    if "engine" not in df.columns or "engine" in names:
        return
    engines = [str(e) for e in df["engine"].dropna().unique()]
    if len(engines) > 1:
        raise LabError(
            f"Requests of several engines are mixed ({', '.join(engines)}); a rehearsal's costs and times say nothing "
            f"about the service. Take one: pareto(df[df['engine'] == {engines[0]!r}])."
        )


def _spent(rows: pd.DataFrame, *, listed: bool) -> dict[str, Any]:
    """What the setting's requests cost, by clip and by second; NaN where there is no clip or no price."""
    saved = rows["stage"] == "saved"
    still = rows["stage"].isin(_OPEN)
    clips = int(saved.sum())
    listed_price = rows["estimate_usd"].where(~rows["stage"].isin(_SPENT_NOTHING), 0.0)
    charged = rows["cost_usd"] if not listed else rows["estimate_usd"].where(saved, 0.0)
    # A clip without a charge on record does not count as free.
    known = charged.fillna(listed_price.where(saved))
    spent = _total(known[saved | known.notna()])
    most = _total(listed_price if listed else charged.fillna(listed_price))
    seconds = rows["seconds"].where(saved).sum()
    return {
        "requests": len(rows),
        "clips": clips,
        "failed": int((~saved & ~still).sum()),
        "open": int(still.sum()),
        "usd_per_clip": spent / clips if clips else math.nan,
        "usd_per_clip_at_most": most / clips if clips else math.nan,
        "usd_per_second": spent / seconds if seconds > 0 else math.nan,
    }


def _total(values: pd.Series[Any]) -> float:
    return float(values.sum()) if values.notna().all() else math.nan


def _time(rows: pd.DataFrame, of: str, quantile: str, level: float) -> dict[str, float]:
    values = rows[of][rows["stage"] == "saved"].dropna()
    low, high = quantile_interval(values, QUANTILES[quantile], level)
    middle = float(values.quantile(QUANTILES[quantile])) if len(values) else math.nan
    return {quantile: middle, f"{quantile}_low": low, f"{quantile}_high": high}


def _quality(rows: pd.DataFrame, level: float) -> dict[str, float]:
    values = rows["quality"][rows["stage"] == "saved"].dropna()
    low, high = intervals.mean(values, level)
    return {
        "quality": float(values.mean()) if len(values) else math.nan,
        "quality_low": low,
        "quality_high": high,
    }


def _front(goals: np.ndarray[Any, Any]) -> tuple[list[bool], list[int | None]]:
    """Who is dominated by whom, less being better; what has a number missing is neither on the front nor beats.

    Of several that dominate, the one that is itself best in the first goal is named, and it is on the front.
    """
    import numpy as np

    whole = np.isfinite(goals).all(axis=1)
    # A comparison with a missing number is false, so it takes no part in this.
    no_worse = np.all(goals[:, None, :] <= goals[None], axis=2)
    beats = np.asarray(no_worse & np.any(goals[:, None, :] < goals[None], axis=2))
    best = whole & ~beats.any(axis=0)
    by_whom = [int(np.flatnonzero(best & column)[0]) if column.any() else None for column in beats.T]
    return best.tolist(), by_whom


def _sentence(table: pd.DataFrame, cost: Cost, latency: str, best_quality: str | None) -> str:
    """Which settings are worth their money, in words."""
    front = table[table["best"]]
    if front.empty:
        return "No setting has both a cost and a time, so none can be compared."
    titles: dict[str, list[str]] = {}
    goals = {"cheapest": front[cost].argmin(), "fastest": front[latency].argmin()}
    if best_quality:
        goals["best in quality"] = getattr(front["quality"], best_quality)()
    for title, row in goals.items():
        titles.setdefault(str(front["setting"].iloc[row]), []).append(title)
    told = [f"{name} is {_and(what)}" for name, what in titles.items()]
    between = [str(n) for n in front["setting"] if n not in titles]
    if between:
        told.append(f"{_few(between)} {'is' if len(between) == 1 else 'are'} worth the money between them")
    dominated = table[table["dominated_by"].notna()]
    for name, own in dominated.groupby("dominated_by", sort=False):
        losers = [str(n) for n in own["setting"]]
        told.append(f"{_few(losers)} {'is' if len(losers) == 1 else 'are'} dominated by {name}")
    return "; ".join(told) + "."


def _notes(
    table: pd.DataFrame, rows: pd.DataFrame, *, listed: bool, quality: str | None, less: bool, of: str
) -> tuple[str, ...]:
    notes = []
    saved = rows["stage"] == "saved"
    failed = int(table["failed"].sum())
    if listed:
        notes.append(
            "Nothing was charged here, so each clip counts with its list price"
            + (
                f"; what the service would have charged for {failed} without a clip is not known."
                if failed
                else "."
            )
        )
    elif n := int((~saved & rows["cost_usd"].isna()).sum()):
        notes.append(
            f"What {n} {'request' if n == 1 else 'requests'} without a clip cost is not known; usd_per_clip_at_most "
            "counts them at list price, and study.bill() may know."
        )
    if not listed and (n := int((saved & rows["cost_usd"].isna()).sum())):
        notes.append(f"{n} clips have no charge on record and count with their list price.")
    if n := int((table[["usd_per_clip"]].isna().any(axis=1) & (table["clips"] > 0)).sum()):
        notes.append(f"{n} settings have clips without any known price and are not compared.")
    if bare := [str(n) for n in table["setting"][table["clips"] == 0]]:
        notes.append(f"{_few(bare)} made no clip and {'is' if len(bare) == 1 else 'are'} not compared.")
    if quality is not None and _is_close(table, less=less):
        notes.append(
            f"The intervals of {quality} overlap: the order of the settings may be chance. More seeds or more votes "
            "would tell."
        )
    if quality is None:
        notes.append(
            "Without a quality the smallest and shortest clips win by their nature: pareto(df, quality="
            f"{_PREFERENCE if rows['share'].notna().any() else '…'!r}) weighs what they are worth."
        )
    elif n := int((table["quality"].isna() & (table["clips"] > 0)).sum()):
        lacking = "1 setting has" if n == 1 else f"{n} settings have"
        notes.append(f"{lacking} no {quality} yet and {'is' if n == 1 else 'are'} not compared.")
    if not rows[of][saved].notna().any():
        others = [t for t in TIMES if t != of]
        notes.append(f"No clip has a {of}; try of={others[0]!r}.")
    return tuple(notes)


def _is_close(table: pd.DataFrame, *, less: bool) -> bool:
    """Whether the best quality is within another setting's interval, or another's is unknown."""
    rated = table[table["quality"].notna()]
    sign, end = (-1, "quality_low") if less else (1, "quality_high")
    worth, most = sign * rated["quality"], sign * rated[end]
    top = worth.max()
    rest = most[worth < top] if (worth == top).sum() == 1 else most
    return bool((rest.isna() | (rest >= top)).any())


def _name(settings: dict[str, Any]) -> str:
    """A setting in words: the values, with the name where the value alone would not tell."""
    told = []
    for name, value in settings.items():
        if look.missing(value):
            told.append(f"no {name}")
        elif isinstance(value, bool) or str(value) in {"True", "False"}:
            told.append(name if str(value) == "True" else f"not {name}")
        elif name in design.SETTINGS:
            told.append(design.level_name(value, UNITS.get(name, "")))
        else:
            told.append(f"{name} {look.short(value)}")
    return " · ".join(told)


def _few(names: Sequence[str]) -> str:
    shown = list(names[:_NAMED])
    return _and(shown) if len(names) <= _NAMED else f"{', '.join(shown)} and {len(names) - _NAMED} more"


def _and(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
