"""What preferences are said to be, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from seedance_lab.judging import bradley_terry, decision
from seedance_lab.judging.votes import damage
from seedance_lab.stats import say

if TYPE_CHECKING:
    import pandas as pd

    from seedance_lab.judging.agreement import Agreement

TELLING = frozenset({"resolution", "duration", "aspect_ratio"})
"""Settings that a voter sees at once."""


class Share(NamedTuple):
    """A share with its interval, 0 to 1."""

    value: float
    low: float
    high: float


def of_clips(table: pd.DataFrame, by: str, n: int, level: float) -> str:
    """The sentence about clips."""
    top = table.iloc[0]
    span, votes = _span(top, level), _counted(n)
    who = f"The clip {_named(top['level'], by)} of {top['block']} ({top['key']})"
    return (
        f"{who} wins most: {say.percent(top['wins'])} against an average clip ({span}; "
        f"{top['votes']} of {votes} were on it)."
    )


def of_levels(
    table: pd.DataFrame,
    pairs: pd.DataFrame,
    by: str,
    decided: decision.Decision,
    n: int,
    level: float,
) -> str:
    """The sentence about levels: who is preferred, who leads, or that nothing is to be seen."""
    top = table.iloc[0]
    span, votes = _span(top, level), _counted(n)
    wins = f"{say.percent(top['wins'])} of its votes against an average {_what(by)}"
    name = _named(top["level"], by)
    if "_" not in name.partition(" ")[0]:  # a setting's own name stays as it is typed
        name = name[0].upper() + name[1:]
    if decided.best is not None:
        return f"{name} is preferred: it wins {wins} ({span}; {votes})."
    if decided.decided:
        return (
            f"No visible preference at n = {n:,}: no value of {by} is preferred to another by more than 60 to 40, "
            "and more votes would not change that."
        )
    more = (
        f"more than {decision.MOST:,} more votes would be needed to decide"
        if decided.more is None
        else f"about {decided.more:,} more {'vote' if decided.more == 1 else 'votes'} would decide"
    )
    first = pairs[(pairs["level"] == top["level"])]
    if (first["p_holm"] < 1 - level).all():
        return f"{name} leads: it wins {wins} ({span}; {votes}); {more}."
    is_ahead = top["low"] > 0.5  # of the average, though not of each other one
    lead = "Not decided" if is_ahead else "No visible preference"
    return f"{lead} at n = {n:,}: the best, {_named(top['level'], by)}, wins {wins} ({span}); {more}."


def _span(row: Any, level: float) -> str:
    return f"{100 * level:g} % interval {say.percent(row['low'])} to {say.percent(row['high'])}"


def _counted(n: int) -> str:
    return f"{n:,} vote{'' if n == 1 else 's'}"


def _named(name: str, by: str) -> str:
    if by in {"prompt", "image", "end_image"} and name != "none":
        return f"“{name}”"
    return str(name) if by in {"resolution", "aspect_ratio", "duration", "endpoint"} else f"{by} {name}"


def _what(by: str) -> str:
    return {"image": "picture", "end_image": "end picture"}.get(by, by.replace("_", " "))


def notes(
    df: pd.DataFrame,
    rows: pd.DataFrame,
    by: str,
    fit: bradley_terry.Strengths,
    left: Share,
    voters: Agreement,
    *,
    is_bootstrap: bool,
) -> tuple[str, ...]:
    """What holds the numbers up and is not seen in them."""
    said: list[str] = []
    ties, bad = int((rows["choice"] == "tie").sum()), int((rows["choice"] == "bad").sum())
    if bad:
        told = (
            "says that both are bad: counted as a tie"
            if bad == 1
            else "say that both are bad: counted as ties"
        )
        others = f", with {ties} other{'' if ties == 1 else 's'}" if ties else ""
        said.append(f"{bad} of {_counted(len(rows))} {told}{others}")
    elif ties:
        told = "is a tie" if ties == 1 else "are ties"
        said.append(f"{ties} of {_counted(len(rows))} {told}: half a win for each")
    if not left.low <= 0.5 <= left.high:
        side, value = ("left", left.value) if left.value > 0.5 else ("right", 1 - left.value)
        ends = sorted((left.low, left.high) if side == "left" else (1 - left.low, 1 - left.high))
        said.append(
            f"the {side} side is favoured: of two equal clips it wins {say.percent(value)} "
            f"({say.percent(ends[0])} to {say.percent(ends[1])}); that is allowed for"
        )
    if fit.n_blocks == 1:
        said.append("one picture and seed only: what holds for it may not hold for others")
    elif fit.n_blocks < bradley_terry.ENOUGH_BLOCKS:
        what = "the bootstrap is too narrow, and " if is_bootstrap else ""
        said.append(
            f"{fit.n_blocks} pictures and seeds only: {what}the intervals hold for these, and others may differ"
        )
    if by in TELLING:
        said.append(
            f"clips of another {by.replace('_', ' ')} can be told apart, so these votes are not blind"
        )
    if voters.sentence:
        said.append(voters.sentence)
    if df.attrs.get("damaged"):
        said.append(damage(df.attrs["damaged"]))
    return tuple(said)
