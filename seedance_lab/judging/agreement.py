"""How far several people say the same of the same pairs.

Krippendorff's alpha for names without an order: 1 is perfect, 0 is what chance would give, below 0 they contradict each
other. It takes any number of voters and pairs that some did not see, where Cohen's kappa takes two voters who saw all.

Source: Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

FEW = 20
"""Fewer shared pairs than this say little of agreement."""


class Agreement(NamedTuple):
    """How far voters agree.

    Attributes:
        alpha: Krippendorff's; None where nobody shared a pair, or all said the same of all pairs, which leaves no
            chance to be better than.
        share: Of two who voted on one pair, how often they said the same; None without such a pair.
        n_pairs: Pairs that two or more voted on.
        n_voters: How many voted at all.
    """

    alpha: float | None
    share: float | None
    n_pairs: int
    n_voters: int

    @property
    def sentence(self) -> str:
        """In words; empty with one voter."""
        if self.n_voters < 2:
            return ""
        if self.share is None:
            return f"{self.n_voters} voters shared no pair, so whether they agree is not known"
        pairs = "1 shared pair" if self.n_pairs == 1 else f"{self.n_pairs} shared pairs"
        told = f"{self.n_voters} voters agree on {100 * self.share:.0f} % of {pairs}"
        if self.alpha is not None:
            told += (
                f" (Krippendorff's alpha {self.alpha:.2f}".replace("-", "−")
                + ", where 0 is chance and 1 perfect)"
            )
        return told + (": too few to say much" if self.n_pairs < FEW else "")


def agreement(said: Iterable[tuple[Hashable, str, Hashable]]) -> Agreement:
    """From what voters said of pairs.

    Args:
        said: Pair, voter, and what was said, whatever the sides. A voter's last word on a pair holds.
    """
    last: dict[Hashable, dict[str, Hashable]] = {}
    voters = set()
    for pair, who, choice in said:
        last.setdefault(pair, {})[who] = choice
        voters.add(who)
    shared = [list(of.values()) for of in last.values() if len(of) > 1]
    if not shared:
        return Agreement(None, None, 0, len(voters))
    same, n = 0, 0
    for values in shared:
        counts = Counter(values)
        same += sum(c * (c - 1) for c in counts.values())
        n += len(values) * (len(values) - 1)
    return Agreement(krippendorff(shared), same / n, len(shared), len(voters))


def krippendorff(units: Sequence[Sequence[Hashable]]) -> float | None:
    """Alpha for nominal values.

    Args:
        units: What was said of each; those with fewer than two values take no part.

    Returns:
        At most 1; None where there is no pair of values, or only one value at all.
    """
    kept = [list(values) for values in units if len(values) > 1]
    total = Counter(value for values in kept for value in values)
    n = sum(total.values())
    expected = n * n - sum(c * c for c in total.values())
    if not expected:
        return None
    observed = 0.0
    for values in kept:
        m = len(values)
        observed += (m * m - sum(c * c for c in Counter(values).values())) / (m - 1)
    return 1 - (n - 1) * observed / expected
