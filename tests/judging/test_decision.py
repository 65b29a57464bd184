"""When voting can stop: a bound that holds although somebody looks after each vote."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from seedance_lab.judging import decision
from seedance_lab.judging.bradley_terry import Strengths, Tally, tally


def strengths(theta: Sequence[float], variance: float, n: int = 1000) -> Strengths:
    """Strengths whose differences have twice this variance."""
    k = len(theta)
    return Strengths(
        theta=np.array(theta),
        side=0.0,
        tie=-1e9,
        information=np.diag(np.append(np.full(k, variance), 1.0)),
        between=None,
        n=n,
        n_blocks=1,
    )


def test_a_clear_winner_over_each_other_is_decided() -> None:
    told = decision.decide(strengths([1.5, -0.5, -1.0], 0.02))
    assert (told.decided, told.best, told.more) == (True, 0, 0)
    assert told.line == "decided"


def test_the_best_must_beat_each_other_one() -> None:
    """Mutant: beating the last one is enough."""
    told = decision.decide(strengths([0.6, 0.5, -1.1], 0.02))
    assert (told.decided, told.best) == (False, None)
    assert told.more is None or told.more > 0


def test_levels_that_hardly_differ_are_alike_once_that_is_sure() -> None:
    told = decision.decide(strengths([0.02, 0.0, -0.02], 1e-4))
    assert (told.decided, told.best, told.more) == (True, None, 0)
    assert not decision.decide(strengths([0.02, 0.0, -0.02], 0.05)).decided


def test_a_few_votes_decide_nothing_however_they_went() -> None:
    told = decision.decide(decision.fitted(tally([0] * 9, [1] * 9, [1] * 9), 2))
    assert not told.decided
    assert told.more is not None
    assert told.more > 0


def won(n: int, lost: int = 0) -> Tally:
    """The first of two wins all but so many of n votes, each way round as often, each in a block of its own."""
    i = np.arange(n)
    return tally(i % 2, 1 - i % 2, np.where(i % 2 == 0, 1, -1) * np.where(i < lost, -1, 1), i)


def test_who_is_always_of_one_mind_is_done_first() -> None:
    """Mutant: by the tables' strengths, 24 of 24 were undecided and 22 of 24 were decided: what won every time had a
    variance as large as the prior's, and "about 35 more votes" became more with each vote.
    """
    needed = [
        next(n for n in range(10, 60) if decision.decide(decision.fitted(won(n, lost), 2)).decided)
        for lost in range(4)
    ]
    assert needed == sorted(needed)
    assert needed[0] <= 20


def test_with_each_vote_of_one_mind_fewer_are_needed() -> None:
    more = [decision.decide(decision.fitted(won(n), 2)).more for n in range(10, 24)]
    told = [n for n in more if n is not None]
    assert len(told) == len(more)
    assert told == sorted(told, reverse=True)
    assert told[-1] == 0


def test_before_the_first_vote_it_supposes_something() -> None:
    told = decision.decide(decision.fitted(tally([], [], []), 3))
    assert not told.decided
    assert told.more is not None
    assert 40 < told.more < 400
    assert told.line == f"about {told.more} more votes"


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (1, "about 1 more vote"),
        (1500, "about 1,500 more votes"),
        (None, "more than 2,000 more votes: they are hard to tell apart"),
    ],
)
def test_the_line_tells_nothing_of_who_leads(more: int | None, line: str) -> None:
    assert decision.Decision(False, None, more).line == line


def test_the_number_of_votes_to_come_is_the_least_that_decides() -> None:
    """Were so many more given and went as before, it is decided; with one fewer it is not."""
    theta, n = [0.5, -0.5], 60
    variance = 0.1
    more = decision.decide(strengths(theta, variance, n)).more
    assert more is not None
    assert decision.decide(strengths(theta, variance * n / (n + more), n + more)).decided
    assert not decision.decide(strengths(theta, variance * n / (n + more - 1), n + more - 1)).decided


def test_what_many_votes_would_not_decide_has_no_number() -> None:
    """Half way to what counts as a preference."""
    told = decision.decide(strengths([decision.ALIKE / 4, -decision.ALIKE / 4], 0.4, n=30))
    assert told.more is None


def test_the_bound_is_wider_than_a_single_look_and_narrows_with_votes() -> None:
    radii = [decision.radius(variance, 0.05) for variance in (0.5, 0.1, 0.02, 0.004)]
    assert radii == sorted(radii, reverse=True)
    assert all(r > 2.5 * math.sqrt(v) for r, v in zip(radii, (0.5, 0.1, 0.02, 0.004), strict=True))


def test_looking_after_every_vote_seldom_finds_what_is_not_there() -> None:
    """A fair coin, looked at after each of 200 throws, 400 times: at most 5 % may leave the bound, and a 5 % test at
    1.96 standard errors leaves it far more often. Mutant: 1.96 in the place of the bound.
    """
    draw = np.random.default_rng(7)
    left = draw.integers(0, 2, (400, 200)).cumsum(axis=1)
    n = np.arange(1, 201)
    share = (left + 1) / (n + 2)
    gap, variance = np.log(share / (1 - share)), 1 / ((n + 2) * share * (1 - share))
    bound = np.vectorize(decision.radius)(variance, 0.05)
    late = n >= 10
    assert ((np.abs(gap) >= bound)[:, late].any(axis=1)).mean() <= 0.05
    assert ((np.abs(gap) >= 1.96 * np.sqrt(variance))[:, late].any(axis=1)).mean() > 0.2


def test_a_wider_level_needs_more() -> None:
    assert decision.radius(0.1, 0.01) > decision.radius(0.1, 0.05)
    told = strengths([0.8, -0.8], 0.1)
    assert decision.decide(told, level=0.8).decided
    assert not decision.decide(told, level=0.9999).decided
