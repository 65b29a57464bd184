"""Whether the votes have decided, and about how many more would.

Whoever votes sees this after each vote and stops when it says so, and with an ordinary test that alone makes
differences of nothing: looked at after each of 120 votes, a 5 % test finds one between two equal levels in 23 % of
sittings (`benchmarks/preferences.py`). So the bound is one that holds at all looks together, 3 standard errors rather
than 2: the mixture sequential probability ratio test of a normal mean.

It is about strengths that are drawn towards each other more than those of the tables are. What won every one of 24
votes has no upper end otherwise: its variance stays as large as the prior's, and no number of such votes would ever
decide.

Source: Robbins, "Statistical methods related to the law of the iterated logarithm", Ann. Math. Statist. 41, 1970.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from seedance_lab.judging import bradley_terry
from seedance_lab.judging.bradley_terry import Strengths, Tally

SPREAD = 1.0
"""Of the differences for which the bound is narrowest, in logits."""
ALIKE = math.log(0.6 / 0.4)
"""Levels of which neither is preferred by more than 60 to 40 are called alike."""
LIKELY = math.log(2.0)
"""What is supposed before there are votes: one is preferred two to one."""
MOST = 2000
"""More votes than this nobody gives."""
_FEW = 5


class Decision(NamedTuple):
    """Where the voting stands.

    Attributes:
        decided: Whether it can stop.
        best: The level that is preferred to each other one; None where it is not decided or they are alike.
        more: About how many more votes would decide; 0 when it is, None for more than 2,000.
    """

    decided: bool
    best: int | None
    more: int | None

    @property
    def line(self) -> str:
        """In words that tell a voter nothing of who leads."""
        if self.decided:
            return "decided"
        if self.more is None:
            return f"more than {MOST:,} more votes: they are hard to tell apart"
        return f"about {self.more:,} more {'vote' if self.more == 1 else 'votes'}"


def fitted(told: Tally, k: int) -> Strengths:
    """The strengths of k levels that `decide` is about."""
    return bradley_terry.fit(told, k, prior_sd=SPREAD)


def decide(told: Strengths, *, level: float = 0.95) -> Decision:
    """Whether one level is preferred to each other one, or all are alike, at this level at all looks together.

    Args:
        told: From `fitted`; at least two levels.
        level: Chance that no wrong decision is made at any look.
    """
    import numpy as np

    k = len(told.theta)
    # Not divided by the number of pairs: to beat each other level at once is rarer by chance than to beat one.
    alpha = 1 - level
    best = int(np.argmax(told.theta))
    others = [told.against(best, j) for j in range(k) if j != best]
    worst = told.against(best, int(np.argmin(told.theta)))
    if told.n < _FEW * k:  # the fit says next to nothing yet: suppose something
        each = 4 * (k - 1) / max(1, told.n or 1) / 0.9
        others, worst = [(LIKELY, each)] * (k - 1), (LIKELY, each)
        found = _more(others, worst, max(1, told.n), alpha)
        return Decision(False, None, None if found is None else max(1, found))
    if _wins(others, 1.0, alpha):
        return Decision(True, best, 0)
    if _alike(worst, 1.0, alpha):
        return Decision(True, None, 0)
    return Decision(False, None, _more(others, worst, told.n, alpha))


def radius(variance: float, alpha: float) -> float:
    """Half the width of the interval that holds at all looks together, in the unit of the difference."""
    whole = variance + SPREAD**2
    return math.sqrt(
        2 * variance * whole / SPREAD**2 * (math.log(1 / alpha) + 0.5 * math.log(whole / variance))
    )


def _wins(others: list[tuple[float, float]], scale: float, alpha: float) -> bool:
    return all(gap >= radius(variance * scale, alpha) for gap, variance in others)


def _alike(worst: tuple[float, float], scale: float, alpha: float) -> bool:
    return worst[0] + radius(worst[1] * scale, alpha) <= ALIKE


def _more(others: list[tuple[float, float]], worst: tuple[float, float], n: int, alpha: float) -> int | None:
    """Votes until one of the two holds, if what was seen so far goes on; a variance falls as 1 over the votes."""

    def is_enough(more: int) -> bool:
        scale = n / (n + more)
        return _wins(others, scale, alpha) or _alike(worst, scale, alpha)

    if not is_enough(MOST):
        return None
    low, high = 0, MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high
