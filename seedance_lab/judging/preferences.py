"""What the votes say: which level of a setting people prefer, how sure that is, and whether more votes would help."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from seedance_lab.errors import LabError, near
from seedance_lab.judging import bradley_terry, decision, words
from seedance_lab.judging.agreement import Agreement, agreement
from seedance_lab.judging.pairs import FACTORS
from seedance_lab.judging.votes import CHOICES
from seedance_lab.judging.words import Share
from seedance_lab.stats import design, intervals, look, preference_plot, say
from seedance_lab.stats.significance import holm

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

Per = Literal["level", "clip"]
Interval = Literal["information", "bootstrap"]

_ROWS = 12
_NEEDED = ("by", "left", "right", "left_value", "right_value", "choice")


class HasVotes(Protocol):
    """A study."""

    def votes(self) -> pd.DataFrame:
        """One row a vote."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Preferences:
    """Which level of a setting, or which clip, is preferred.

    Attributes:
        table: One row a level, or a clip; the most preferred first:
            `level`: its name, and `value`; of a clip also `key` and `block`, its picture and seed;
            `votes`, `won`, `tied`, `lost`: votes that it was in, and how they went;
            `wins`, `low`, `high`: how often it would win against a level of average strength, of votes that are no
            ties, with the interval at `level`;
            `strength`: the same in logits.
        pairs: One row a pair of levels, of clips empty: `level`, `against`, `votes`, `won`, `tied`, `lost`, then
            `wins`, `low` and `high` (how often the first wins), `p` and `p_holm` (adjusted for this table's rows).
        by: The setting.
        per: `level` or `clip`.
        n: Votes that were counted.
        level: Of the intervals.
        decided: Whether voting can stop, however often it was looked at; see `seedance_lab.judging.decision`.
        best: The name of the level that is preferred to each other one, once that is decided.
        more: About how many more votes would decide; 0 when it is, None for more than 2,000.
        left: How often the left one of two equal clips wins, of votes that are no ties.
        agreement: How far voters say the same.
        sentence: What can be said.
        notes: What holds the numbers up and is not seen in them.
    """

    table: pd.DataFrame
    pairs: pd.DataFrame
    by: str
    per: Per
    n: int
    level: float
    decided: bool
    best: str | None
    more: int | None
    left: Share
    agreement: Agreement
    sentence: str
    notes: tuple[str, ...] = ()

    def plot(self) -> Figure:
        """How often each wins against an average one, with the intervals; a half is marked."""
        what = "clip" if self.per == "clip" else self.by
        return preference_plot.preferences(
            self.table.assign(name=self._names()),
            title=f"Preferred {what}, {self.n:,} vote{'' if self.n == 1 else 's'}",
            axis=f"wins against an average {'level' if self.per == 'level' else 'clip'}, ties left out",
        )

    def _names(self) -> list[str]:
        if self.per == "level":
            return [str(name) for name in self.table["level"]]
        blocks = [str(block).rpartition(", ") for block in self.table["block"]]
        is_one = len({picture for picture, _, _ in blocks}) == 1  # then the seed tells them apart
        return [
            f"{look.short(level, 18)} · {seed if is_one else look.short(picture, 14) + comma + seed}"
            for level, (picture, comma, seed) in zip(self.table["level"], blocks, strict=True)
        ]

    def _cells(self) -> list[tuple[str, ...]]:
        rows: list[Any] = list(self.table.head(_ROWS).itertuples(index=False))
        return [
            (
                name,
                str(row.votes),
                f"{row.won}, {row.tied}, {row.lost}",
                say.percent(row.wins),
                f"{say.percent(row.low)} to {say.percent(row.high)}",
            )
            for name, row in zip(self._names(), rows, strict=False)
        ]

    @property
    def _head(self) -> tuple[str, ...]:
        return (self.by if self.per == "level" else "clip", "votes", "won, tied, lost", "wins", "interval")

    def _notes(self) -> tuple[str, ...]:
        more = len(self.table) - _ROWS
        return (*self.notes, *([f"{more} more rows: preferences.table"] if more > 0 else []))

    def __str__(self) -> str:
        return self.sentence

    def __repr__(self) -> str:
        return say.text(self.sentence, self._head, self._cells(), self._notes())

    def _repr_html_(self) -> str:
        return say.block(self.sentence, self._head, self._cells(), self._notes())


def preferences(
    votes: HasVotes | pd.DataFrame,
    by: str | None = None,
    *,
    per: Per = "level",
    level: float = 0.95,
    interval: Interval = "information",
) -> Preferences:
    """Which level of a setting people prefer, from their votes on blind pairs.

    Strengths are Bradley and Terry's, with Davidson's ties and a left side that may be worth something; "both bad"
    counts as a tie. A picture with a seed is a block: both clips of a pair come from it, so what it adds to both is
    gone from the vote, and from 8 blocks on the intervals are wide enough for what differs between blocks.

    Args:
        votes: A study, or `study.votes()`, or several of these put together with `pandas.concat`.
        by: The setting that was voted on; may be left out where there is one.
        per: `level`, or `clip` for each clip by itself. A clip is in few votes, so it is drawn towards its level.
        level: Of the intervals.
        interval: `information` (Fisher's, and the spread between blocks where there are 8), or `bootstrap` over the
            blocks: for levels only, and from two blocks on.

    Raises:
        LabError: There are no votes on this setting, it is not said which of several is meant, or there is nothing to
            bootstrap.
    """
    import pandas as pd

    intervals.check(level)
    for name, value, known in (("per", per, get_args(Per)), ("interval", interval, get_args(Interval))):
        if value not in known:
            raise LabError(f"{name}={value!r} is not one of {', '.join(known)}.{near(str(value), known)}")
    if interval == "bootstrap" and per == "clip":
        raise LabError(
            "interval='bootstrap' is for levels: a clip is in one block only. Leave it out for per='clip'."
        )
    df = votes if isinstance(votes, pd.DataFrame) else votes.votes()
    if missing := [name for name in _NEEDED if name not in df.columns]:
        raise LabError(f"The frame has no column {missing[0]!r}: give a study or study.votes().")
    factor = _factor(df, by)
    rows = df[df["by"] == factor]
    rows = rows[rows["choice"].isin(CHOICES).to_numpy()]
    if rows.empty:
        raise LabError(
            f"The votes on {factor} say none of {', '.join(CHOICES)}, so there is nothing to count."
        )
    both = pd.concat([rows["left_value"], rows["right_value"]])
    found = design.levels(design.ordered(pd.DataFrame({factor: both.infer_objects()}), factor), factor)
    left, right = found.codes[: len(rows)], found.codes[len(rows) :]
    if len(found.values) < 2:
        raise LabError(f"All votes are on one value of {factor} ({found.names[0]}): nothing to compare.")
    blocks = pd.factorize(_blocks(rows))[0]
    outcome = rows["choice"].map({"left": 1, "right": -1, "tie": 0, "bad": 0}).to_numpy(dtype="int64")
    told = bradley_terry.tally(left, right, outcome, blocks)
    fit = bradley_terry.fit(told, len(found.values))
    decided = decision.decide(decision.fitted(told, len(found.values)), level=level)
    boot = _resampled(told, len(found.values)) if interval == "bootstrap" else None
    voters = agreement(_said(rows))
    pairs = _pairs(told, fit, found.names, level, boot) if per == "level" else _no_pairs()
    table = (
        _levels(told, fit, found, level, boot)
        if per == "level"
        else _clips(rows, left, right, outcome, found, level)
    )
    side, variance = fit.left_side()
    share = Share(*(float(_share(side + end * math.sqrt(variance) * _z(level))) for end in (0, -1, 1)))
    return Preferences(
        table=table,
        pairs=pairs,
        by=factor,
        per=per,
        n=len(rows),
        level=level,
        decided=decided.decided,
        best=None if decided.best is None else found.names[decided.best],
        more=decided.more,
        left=share,
        agreement=voters,
        sentence=words.of_levels(table, pairs, factor, decided, len(rows), level)
        if per == "level"
        else words.of_clips(table, factor, len(rows), level),
        notes=words.notes(df, rows, factor, fit, share, voters, is_bootstrap=boot is not None),
    )


def _factor(df: pd.DataFrame, by: str | None) -> str:
    """The setting that is meant.

    Raises:
        LabError: It is not said, or nobody voted on it.
    """
    counts = df["by"].value_counts()
    told = ", ".join(f"{name} ({n:,})" for name, n in counts.items())
    if not len(counts):
        named = repr(by) if by in FACTORS else "'prompt'"
        raise LabError(f"There are no votes yet. Vote in a live notebook: lab.vote(study, by={named})")
    if by is None:
        if len(counts) > 1:
            raise LabError(f"There are votes on several settings: {told}. Say which: by={counts.index[0]!r}.")
        return str(counts.index[0])
    if by not in counts.index:
        hint = near(str(by), [str(name) for name in counts.index])
        raise LabError(
            f"There are no votes on {by!r}; votes are on {told}.{hint} Vote: lab.vote(study, by={str(by)!r})"
        )
    return by


def _blocks(rows: pd.DataFrame) -> pd.Series[Any]:
    """Picture and seed of each vote; where that is not told, each pair of clips is a block."""
    if "block" in rows.columns:
        return rows["block"].astype("string").fillna("")
    low, high = rows[["left", "right"]].min(axis=1), rows[["left", "right"]].max(axis=1)
    return low.astype("string") + " " + high.astype("string")


def _said(rows: pd.DataFrame) -> list[tuple[tuple[str, str], str, str]]:
    """Pair, voter and what was said whatever the sides: the key that won, or `tie`."""
    if "who" not in rows.columns:
        return []
    out = []
    for left, right, choice, who in zip(
        rows["left"], rows["right"], rows["choice"], rows["who"], strict=True
    ):
        said = {"left": left, "right": right}.get(choice, "tie")
        out.append(((min(left, right), max(left, right)), str(who), said))
    return out


def _resampled(told: bradley_terry.Tally, k: int) -> np.ndarray[Any, Any]:
    """Strengths of resamples of the blocks.

    Raises:
        LabError: There is one block: each resample would be the same.
    """
    if told.n_blocks < 2:
        raise LabError(
            "interval='bootstrap' draws pictures and seeds anew, and these votes are on one. Leave it out, or vote on "
            "more: lab.sweep(…, seed=range(4))"
        )
    return bradley_terry.resampled(told, k)


# ── tables ──────────────────────────────────────────────────────────────────────────────────────────────


def _share(logit: Any) -> Any:
    from scipy import special

    return special.expit(logit)


def _z(level: float) -> float:
    """Half the width of an interval in standard errors.

    The normal's with blocks too: of two variances the larger one is taken, which makes up for Student's.
    """
    from scipy import stats

    return float(stats.norm.ppf((1 + level) / 2))


def _counted(codes: Any, others: Any, outcome: Any, i: int) -> tuple[int, int, int, int]:
    """Votes that i was in; won, tied, lost."""
    import numpy as np

    mine = np.concatenate([outcome[codes == i], -outcome[others == i]])
    return len(mine), int((mine > 0).sum()), int((mine == 0).sum()), int((mine < 0).sum())


def _levels(
    told: bradley_terry.Tally,
    fit: bradley_terry.Strengths,
    found: design.Levels,
    level: float,
    boot: np.ndarray[Any, Any] | None,
) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for i, name in enumerate(found.names):
        strength, variance = fit.against_mean(i)
        half = _z(level) * math.sqrt(variance)
        low, high = strength - half, strength + half
        if boot is not None:
            low, high = np.quantile(boot[:, i], [(1 - level) / 2, (1 + level) / 2])
        on_left, on_right = told.counts[told.left == i].sum(axis=0), told.counts[told.right == i].sum(axis=0)
        won, tied, lost = (int(n) for n in on_left + on_right[::-1])
        rows.append(
            {
                "level": name,
                "value": found.values[i],
                "votes": won + tied + lost,
                "won": won,
                "tied": tied,
                "lost": lost,
                "wins": float(_share(strength)),
                "low": float(_share(low)),
                "high": float(_share(high)),
                "strength": strength,
            }
        )
    table = pd.DataFrame(rows).assign(value=pd.Series(list(found.values), dtype="object"))  # None stays None
    return table.sort_values("strength", ascending=False, kind="stable", ignore_index=True)


def _pairs(
    told: bradley_terry.Tally,
    fit: bradley_terry.Strengths,
    names: Sequence[str],
    level: float,
    boot: np.ndarray[Any, Any] | None,
) -> pd.DataFrame:
    import numpy as np
    import pandas as pd
    from scipy import stats

    rows: list[dict[str, Any]] = []
    order = np.argsort(-fit.theta, kind="stable")
    for a in range(len(names)):
        for b in range(a + 1, len(names)):
            i, j = int(order[a]), int(order[b])
            gap, variance = fit.against(i, j)
            error = math.sqrt(variance)
            low, high = gap - _z(level) * error, gap + _z(level) * error
            if boot is not None:
                low, high = np.quantile(boot[:, i] - boot[:, j], [(1 - level) / 2, (1 + level) / 2])
            counts = told.counts[(told.left == i) & (told.right == j)].sum(axis=0)
            counts = counts + told.counts[(told.left == j) & (told.right == i)].sum(axis=0)[::-1]
            rows.append(
                {
                    "level": names[i],
                    "against": names[j],
                    "votes": int(counts.sum()),
                    "won": int(counts[0]),
                    "tied": int(counts[1]),
                    "lost": int(counts[2]),
                    "wins": float(_share(gap)),
                    "low": float(_share(low)),
                    "high": float(_share(high)),
                    "p": float(2 * stats.norm.sf(abs(gap) / error)),
                }
            )
    return pd.DataFrame(rows).assign(p_holm=holm([row["p"] for row in rows]))


def _no_pairs() -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        columns=["level", "against", "votes", "won", "tied", "lost", "wins", "low", "high", "p", "p_holm"]
    )


def _clips(
    rows: pd.DataFrame, left: Any, right: Any, outcome: Any, found: design.Levels, level: float
) -> pd.DataFrame:
    import numpy as np
    import pandas as pd
    from scipy import stats

    n = len(rows)
    codes, keys = pd.factorize(pd.concat([rows["left"], rows["right"]]))
    at = np.unique(codes, return_index=True)[1]
    levels = np.concatenate([left, right])[at]
    blocks = np.concatenate([_blocks(rows), _blocks(rows)])[at]
    told = bradley_terry.tally(codes[:n], codes[n:], outcome)
    strengths, variances = bradley_terry.fit_clips(told, levels, len(found.values))
    half = stats.norm.ppf((1 + level) / 2) * np.sqrt(variances)
    counts = [_counted(codes[:n], codes[n:], outcome, i) for i in range(len(keys))]
    table = pd.DataFrame(
        {
            "level": [found.names[i] for i in levels],
            "value": pd.Series([found.values[i] for i in levels], dtype="object"),
            "key": pd.Series(list(keys), dtype="string"),
            "block": pd.Series(list(blocks), dtype="string"),
            **{name: [c[i] for c in counts] for i, name in enumerate(("votes", "won", "tied", "lost"))},
            "wins": _share(strengths),
            "low": _share(strengths - half),
            "high": _share(strengths + half),
            "strength": strengths,
        }
    )
    return table.sort_values("strength", ascending=False, kind="stable", ignore_index=True)


__all__ = ["Preferences", "preferences"]
