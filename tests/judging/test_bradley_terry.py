"""Strengths from votes, held against choix, evalica, a likelihood written out, and planted strengths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import choix
import evalica
import numpy as np
import pytest
from scipy import optimize

from seedance_lab.judging import bradley_terry as bt

WINNERS = {1: evalica.Winner.X, 0: evalica.Winner.Draw, -1: evalica.Winner.Y}
PLANTED = np.array([0.9, 0.2, -0.3, -0.8])


class Said(NamedTuple):
    """Votes: things on the left and right, what was said, and the block."""

    left: Any
    right: Any
    outcome: Any
    block: Any = None

    @property
    def decided(self) -> Said:
        is_decided = self.outcome != 0
        return Said(self.left[is_decided], self.right[is_decided], self.outcome[is_decided])

    @property
    def both_ways(self) -> Said:
        """Each vote with its mirror image: then no side is worth anything, and others' models leave it out."""
        return Said(
            np.r_[self.left, self.right], np.r_[self.right, self.left], np.r_[self.outcome, -self.outcome]
        )

    def fit(self, k: int = len(PLANTED), **more: Any) -> bt.Strengths:
        return bt.fit(bt.tally(self.left, self.right, self.outcome, self.block), k, **more)


def votes(
    n: int, seed: int, *, strengths: Sequence[float] = tuple(PLANTED), ties: float = 0.6, side: float = 0.0
) -> Said:
    """Votes by Davidson's model on pairs that are drawn, the first things more often."""
    draw, k = np.random.default_rng(seed), len(strengths)
    weights = np.arange(k, 0, -1) / np.arange(1, k + 1).sum()
    pairs = np.array([draw.choice(k, 2, replace=False, p=weights) for _ in range(n)])
    eta = np.take(strengths, pairs[:, 0]) - np.take(strengths, pairs[:, 1]) + side
    chances = np.stack([np.exp(eta / 2), np.full(n, ties), np.exp(-eta / 2)], axis=1)
    chances /= chances.sum(axis=1, keepdims=True)
    outcome = np.array([draw.choice([1, 0, -1], p=p) for p in chances])
    return Said(pairs[:, 0], pairs[:, 1], outcome)


def centred(strengths: Any) -> Any:
    return np.asarray(strengths) - np.mean(strengths)


# ── against others ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(4))
def test_it_agrees_with_choix_under_the_same_prior(seed: int) -> None:
    """To 1e-6 logits, where its optimizer stops.

    choix adds alpha times the square of each strength: half of 1 over the prior's variance.
    """
    said = votes(300, seed).decided.both_ways
    pairs = [(a, b) if x > 0 else (b, a) for a, b, x in zip(said.left, said.right, said.outcome, strict=True)]
    theirs = choix.opt_pairwise(4, pairs, alpha=0.5 * bt.PRIOR_SD**-2, tol=1e-12)
    ours = said.fit()
    assert ours.theta == pytest.approx(centred(theirs), abs=1e-6)
    assert ours.side == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_it_agrees_with_evalica_where_the_prior_is_weak(seed: int) -> None:
    """To 1e-6 logits, on votes without ties."""
    said = votes(300, seed).decided.both_ways
    theirs = evalica.bradley_terry(
        said.left.tolist(),
        said.right.tolist(),
        [WINNERS[x] for x in said.outcome],
        tolerance=1e-13,
        limit=100_000,
    )
    ours = said.fit(prior_sd=1e4)
    assert ours.theta == pytest.approx(centred(np.log([theirs.scores[i] for i in range(4)])), abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_with_ties_it_agrees_with_evalica_too(seed: int) -> None:
    """To 0.001 logits: Newman's model is Davidson's, with ν twice his v; the tie's own prior is not in it."""
    said = votes(600, seed).both_ways
    theirs = evalica.newman(
        said.left.tolist(),
        said.right.tolist(),
        [WINNERS[x] for x in said.outcome],
        tolerance=1e-13,
        limit=100_000,
    )
    ours = said.fit(prior_sd=1e4)
    assert ours.theta == pytest.approx(centred(np.log([theirs.scores[i] for i in range(4)])), abs=1e-3)
    assert ours.tie == pytest.approx(math.log(2 * theirs.v), abs=1e-3)


def likelihood(x: Any, said: Said, k: int) -> float:
    """Minus the logarithm, of strengths, side and log ν, prior included: the docstring's formula, vote by vote."""
    told = 0.0
    for a, b, outcome in zip(said.left, said.right, said.outcome, strict=True):
        eta = x[a] - x[b] + x[k]
        weights = {1: math.exp(eta / 2), 0: math.exp(x[k + 1]), -1: math.exp(-eta / 2)}
        told += math.log(weights[outcome] / sum(weights.values()))
    return -told + 0.5 * sum(v * v for v in x) / bt.PRIOR_SD**2


@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_maximum_of_the_likelihood_that_the_docstring_states(seed: int) -> None:
    """By a general optimizer, to 1e-4 logits; ties, a favoured side, and the variances by finite differences."""
    said, k = votes(120, seed, strengths=PLANTED[:3], side=0.5), 3
    found = optimize.minimize(
        likelihood, np.zeros(k + 2), args=(said, k), method="BFGS", options={"gtol": 1e-7}
    )
    ours = said.fit(k)
    assert ours.theta == pytest.approx(centred(found.x[:k]), abs=1e-4)
    assert ours.side == pytest.approx(found.x[k], abs=1e-4)
    assert ours.tie == pytest.approx(found.x[k + 1], abs=1e-4)
    step = 1e-3
    eye = np.eye(k + 2) * step
    hessian = [
        [
            (
                likelihood(found.x + a + b, said, k)
                - likelihood(found.x + a - b, said, k)
                - likelihood(found.x - a + b, said, k)
                + likelihood(found.x - a - b, said, k)
            )
            / (4 * step**2)
            for b in eye
        ]
        for a in eye
    ]
    assert ours.information == pytest.approx(np.linalg.inv(hessian)[: k + 1, : k + 1], rel=1e-3, abs=1e-5)


def test_it_finds_what_was_planted() -> None:
    said = votes(20_000, 1, side=0.3)
    ours = said.fit()
    assert ours.theta == pytest.approx(centred(PLANTED), abs=0.06)
    assert ours.side == pytest.approx(0.3, abs=0.06)
    assert math.exp(ours.tie) == pytest.approx(0.6, abs=0.03)


# ── what must hold ──────────────────────────────────────────────────────────────────────────────────────


def test_the_order_of_the_votes_and_the_names_do_not_matter() -> None:
    said = votes(200, 2, side=0.4)
    order = np.random.default_rng(0).permutation(200)
    ours = said.fit()
    assert Said(said.left[order], said.right[order], said.outcome[order]).fit().theta == pytest.approx(
        ours.theta
    )
    renamed = Said(3 - said.left, 3 - said.right, said.outcome).fit()
    assert renamed.theta[::-1] == pytest.approx(ours.theta)


def test_swapping_every_pair_turns_the_side_and_nothing_else() -> None:
    said = votes(200, 3, side=0.5)
    ours, turned = said.fit(), Said(said.right, said.left, -said.outcome).fit()
    assert turned.theta == pytest.approx(ours.theta)
    assert turned.side == pytest.approx(-ours.side)


def test_no_votes_say_nothing() -> None:
    ours = bt.fit(bt.tally([], [], []), 3)
    assert ours.theta == pytest.approx(np.zeros(3))
    assert (ours.n, ours.n_blocks) == (0, 0)
    gap, variance = ours.against(0, 1)
    assert (gap, variance) == (pytest.approx(0), pytest.approx(2 * bt.PRIOR_SD**2))
    assert sum(ours.outcome(0, 1)) == pytest.approx(1)


def test_what_won_every_time_is_finite_and_first() -> None:
    """Without the prior there is no maximum."""
    n = 40
    ours = Said(np.zeros(n, int), np.ones(n, int), np.ones(n, int)).both_ways.fit(2)
    assert np.isfinite(ours.theta).all()
    assert 2 < ours.against(0, 1)[0] < 12
    assert all(map(math.isfinite, ours.left_side()))


def test_ties_alone_are_no_preference() -> None:
    n = 40
    ours = Said(np.arange(n) % 3, (np.arange(n) + 1) % 3, np.zeros(n, int)).fit(3)
    assert ours.theta == pytest.approx(np.zeros(3), abs=1e-9)
    left, tie, right = ours.outcome(0, 1)
    assert tie > 0.9
    assert left == pytest.approx(right)


def test_a_favoured_side_is_no_preference() -> None:
    """Whoever always presses left prefers nothing: each was on the left as often as the other."""
    ours = Said(np.arange(60) % 2, (np.arange(60) + 1) % 2, np.ones(60, int)).fit(2)
    assert ours.theta == pytest.approx(np.zeros(2), abs=1e-9)
    side, variance = ours.left_side()
    assert side > 1.96 * math.sqrt(variance)


def test_more_votes_are_surer() -> None:
    few, many = votes(50, 4).fit(), votes(800, 4).fit()
    assert many.against(0, 3)[1] < few.against(0, 3)[1] / 8


def test_a_tally_counts_each_vote_once() -> None:
    told = bt.tally([0, 0, 1, 0], [1, 1, 0, 1], [1, 1, 0, -1], [0, 0, 0, 1])
    assert told.n == 4
    assert told.n_blocks == 2
    found = {
        (int(a), int(b), int(c)): tuple(map(int, counts))
        for a, b, c, counts in zip(told.left, told.right, told.block, told.counts, strict=True)
    }
    assert found == {(0, 1, 0): (2, 0, 0), (1, 0, 0): (0, 1, 0), (0, 1, 1): (0, 0, 1)}


# ── blocks ──────────────────────────────────────────────────────────────────────────────────────────────


def in_blocks(n_blocks: int, each: int, spread: float, seed: int) -> Said:
    """Two things of one strength, whose difference is another in each block."""
    draw = np.random.default_rng(seed)
    block = np.repeat(np.arange(n_blocks), each)
    gap = np.repeat(draw.normal(0, spread, n_blocks), each)
    left = np.tile([0, 1], n_blocks * each // 2)
    eta = np.where(left == 0, gap, -gap)
    outcome = np.where(draw.random(len(eta)) < 1 / (1 + np.exp(-eta)), 1, -1)
    return Said(left, 1 - left, outcome, block)


def test_votes_on_the_same_clips_count_less_where_blocks_differ() -> None:
    """Mutant: without the sandwich twenty votes on each of twelve seeds counted as 240 seeds."""
    said = in_blocks(12, 20, 1.5, 1)
    ours = said.fit(2)
    assert ours.between is not None
    contrast = np.array([1, -1, 0.0])
    alone = float(contrast @ ours.information @ contrast)
    assert ours.against(0, 1)[1] > 3 * alone


def test_the_variance_is_never_below_the_informations() -> None:
    said = in_blocks(12, 20, 0.0, 2)
    ours = said.fit(2)
    contrast = np.array([1, -1, 0.0])
    assert ours.against(0, 1)[1] >= float(contrast @ ours.information @ contrast)


def test_a_few_blocks_have_no_spread_of_their_own() -> None:
    assert in_blocks(bt.ENOUGH_BLOCKS - 1, 20, 1.0, 3).fit(2).between is None
    assert in_blocks(bt.ENOUGH_BLOCKS, 20, 1.0, 3).fit(2).between is not None


def test_the_bootstrap_and_the_sandwich_agree() -> None:
    """Both are about another draw of the blocks; within a third of each other at 40 of them."""
    said = in_blocks(40, 10, 1.0, 4)
    told = bt.tally(said.left, said.right, said.outcome, said.block)
    ours, boot = bt.fit(told, 2), bt.resampled(told, 2)
    assert ours.between is not None
    contrast = np.array([1, -1, 0.0])
    sandwich = math.sqrt(float(contrast @ ours.between @ contrast))
    assert np.std(boot[:, 0] - boot[:, 1]) == pytest.approx(sandwich, rel=1 / 3)
    assert boot.shape == (999, 2)
    assert boot.mean(axis=1) == pytest.approx(np.zeros(999), abs=1e-9)


def test_the_bootstrap_is_the_same_again() -> None:
    said = in_blocks(10, 10, 1.0, 5)
    told = bt.tally(said.left, said.right, said.outcome, said.block)
    assert bt.resampled(told, 2, n_resamples=20).tolist() == bt.resampled(told, 2, n_resamples=20).tolist()


# ── clips ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_clip_is_drawn_towards_its_level() -> None:
    """Clips 0 and 1 are of level 0, and 2 and 3 of level 1. Clip 1 was never seen: it stands where its level stands."""
    told = bt.tally([0] * 10 + [2] * 10, [2] * 10 + [0] * 10, [1] * 10 + [-1] * 10)
    strengths, variances = bt.fit_clips(told, [0, 0, 1, 1], 2)
    assert strengths[0] > strengths[1] > 0 > strengths[3] > strengths[2]
    assert variances[1] > variances[0]


def test_without_votes_every_clip_is_the_same() -> None:
    strengths, variances = bt.fit_clips(bt.tally([], [], []), [0, 0, 1], 2)
    assert strengths == pytest.approx(np.zeros(3))
    assert (variances > 0).all()
