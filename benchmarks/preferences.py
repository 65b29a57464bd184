"""Whether voting finds what people prefer: simulated voters with planted preferences.

    python benchmarks/preferences.py --sittings 400

Each row is one kind of voter, asked 120 times about pairs that the tool itself chooses, from 3 levels over 12 pictures
and seeds. The first three columns are about the end: whether the best level stands on top, whether the 95 % intervals
hold the planted strengths (careless votes bring them nearer together, so there they need not), and whether the left
side's interval holds what was planted. Then what a voter sees who looks after every vote: how often the tool says
"decided" within 120 votes, how often that is wrong, and after how many votes, beside what it said after 30 of how many
more it takes. Last, how often an ordinary 5 % test would have said so at some look: where levels are alike, each is a
false alarm.
"""

from __future__ import annotations

import argparse
import math
import os
import random
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from seedance_lab.judging import bradley_terry, decision, pairs
from seedance_lab.judging.votes import Choice, Vote

N_VOTES = 120
LEVELS = ("calm", "drift", "storm")
SAID_AT = 30
AT = datetime(2026, 1, 1, tzinfo=UTC)


class Voter(NamedTuple):
    """A kind of voter.

    Attributes:
        name: In the table.
        strengths: Of the levels, in logits; only their differences count.
        ties: How often two equal clips are called a tie.
        left: What the left side is worth, in logits.
        careless: Share of votes that are thrown with a coin.
        between: Standard deviation of what a block adds to a level, in logits.
        n_blocks: Pictures and seeds.
    """

    name: str
    strengths: tuple[float, ...]
    ties: float = 0.0
    left: float = 0.0
    careless: float = 0.0
    between: float = 0.0
    n_blocks: int = 12


def share(wins: float) -> tuple[float, ...]:
    """Strengths of three levels of which the first wins so many of 1 against each other one."""
    return (math.log(wins / (1 - wins)), 0.0, 0.0)


KINDS = (
    Voter("best wins 95 %", share(0.95)),
    Voter("best wins 75 %", share(0.75)),
    Voter("best wins 70 %", share(0.70)),
    Voter("best wins 65 %", share(0.65)),
    Voter("best wins 60 %", share(0.60)),
    Voter("in steps: 65 % each", (0.62, 0.0, -0.62)),
    Voter("70 %, a third ties", share(0.70), ties=1 / 3),
    Voter("70 %, left favoured 60 : 40", share(0.70), left=math.log(1.5)),
    Voter("70 %, a fifth careless", share(0.70), careless=0.2),
    Voter("70 %, seeds differ (0.5)", share(0.70), between=0.5),
    Voter("70 %, seeds differ (0.5), 30 blocks", share(0.70), between=0.5, n_blocks=30),
    Voter("70 %, 4 blocks", share(0.70), n_blocks=4),
    Voter("two of three best", (0.4, 0.4, -0.8)),
    Voter("two levels, 70 %", (0.85, 0.0)),
    Voter("two levels, alike", (0.0, 0.0)),
    Voter("all alike", (0.0, 0.0, 0.0)),
    Voter("all alike, a third ties", (0.0, 0.0, 0.0), ties=1 / 3),
    Voter("all alike, seeds differ (0.5), 30 blocks", (0.0, 0.0, 0.0), between=0.5, n_blocks=30),
)


def pool(n_blocks: int, n_levels: int) -> pairs.Pool:
    """The pairs of a sweep over a prompt's levels and seeds."""
    clips = [
        pairs.Candidate(
            f"{level}-{seed}", f"sha-{level}-{seed}", {"prompt": level, "seed": seed, "image_sha256": "a"}
        )
        for seed in range(n_blocks)
        for level in LEVELS[:n_levels]
    ]
    return pairs.pool(clips, "prompt")


class Sitting(NamedTuple):
    """What came of one voter's 120 votes.

    Attributes:
        found: Whether the best level stands on top.
        held: Share of the levels whose interval holds the planted strength.
        side_held: Whether the left side's does.
        decided_at: Votes until the tool said so; None where it did not.
        wrong: Whether what it said then is wrong.
        said: What it said after 30 votes of how many more are needed.
        naive: Whether an ordinary test of the best against the others was below 5 % at any look.
    """

    found: bool
    held: float
    side_held: bool
    decided_at: int | None
    wrong: bool
    said: int | None
    naive: bool


def sitting(voter: Voter, seed: int, *, n_votes: int = N_VOTES) -> Sitting:
    """One voter, asked by the tool."""
    draw, coins = random.Random(seed), np.random.default_rng(seed)
    k = len(voter.strengths)
    of = pool(voter.n_blocks, k)
    strength = np.array(voter.strengths) - np.mean(voter.strengths)
    extra = coins.normal(0, voter.between, (voter.n_blocks, k)) if voter.between else None
    votes: list[Vote] = []
    decided_at, is_wrong, said, naive = None, False, None, False
    for trial in range(1, n_votes + 1):
        shown = pairs.next_pair(of, votes, "ada", draw)
        assert shown is not None
        votes.append(vote(voter, shown, strength, extra, coins, trial))
        counted = pairs.count(of.values, votes)
        told, now = bradley_terry.fit(counted, k), decision.decide(decision.fitted(counted, k))
        if now.decided and decided_at is None:
            decided_at, is_wrong = trial, _is_wrong(now, strength)
        if trial == SAID_AT:
            said = now.more
        naive = naive or (trial >= 15 and _would_say(told))
    held = [
        abs(told.against_mean(i)[0] - strength[i]) <= 1.96 * math.sqrt(told.against_mean(i)[1])
        for i in range(k)
    ]
    side, variance = told.left_side()
    return Sitting(
        found=bool(strength[int(np.argmax(told.theta))] == strength.max()),
        held=float(np.mean(held)),
        side_held=bool(abs(side - voter.left) <= 1.96 * math.sqrt(variance)),
        decided_at=decided_at,
        wrong=is_wrong,
        said=said,
        naive=naive,
    )


def vote(
    voter: Voter,
    shown: pairs.Shown,
    strength: np.ndarray,
    extra: np.ndarray | None,
    coins: np.random.Generator,
    trial: int,
) -> Vote:
    """What the voter says of a pair."""
    left, right = shown.side(shown.left, "prompt"), shown.side(shown.right, "prompt")
    at = [LEVELS.index(left.value), LEVELS.index(right.value)]
    gap = strength[at[0]] - strength[at[1]] + voter.left
    if extra is not None:
        gap += extra[shown.pair.held["seed"], at[0]] - extra[shown.pair.held["seed"], at[1]]
    if coins.random() < voter.careless:
        gap = 0.0
    nu = 2 * voter.ties / (1 - voter.ties)
    worth = np.array([math.exp(gap / 2), nu, math.exp(-gap / 2)])
    choices: tuple[Choice, ...] = ("left", "tie", "right")
    choice = choices[int(coins.choice(3, p=worth / worth.sum()))]
    return Vote(
        id=str(trial),
        trial=trial,
        at=AT,
        who="ada",
        by="prompt",
        left=left,
        right=right,
        held=shown.pair.held,
        shown="full",
        choice=choice,
        ms=0,
        plays=0,
    )


def _is_wrong(now: decision.Decision, strength: np.ndarray) -> bool:
    """Whether a level is called best that is not, or levels alike that are not."""
    if now.best is None:
        return bool(strength.max() - strength.min() > decision.ALIKE)
    return bool(strength[now.best] < strength.max() or (strength == strength.max()).sum() > 1)


def _would_say(told: bradley_terry.Strengths) -> bool:
    """Whether the best differs from each other one at 5 %, as if this were the only look."""
    best = int(np.argmax(told.theta))
    gaps = [told.against(best, j) for j in range(len(told.theta)) if j != best]
    return all(gap > 1.96 * math.sqrt(variance) for gap, variance in gaps)


class Found(NamedTuple):
    """What came of many sittings; shares from 0 to 1, votes as medians of those that decided."""

    found: float
    held: float
    side_held: float
    decided: float
    wrong: float
    votes: float
    said: float
    naive: float


def simulate(voter: Voter, n: int, *, seed: int = 1, n_votes: int = N_VOTES) -> Found:
    """So many sittings with this kind of voter."""
    those = [sitting(voter, 100_000 * seed + i, n_votes=n_votes) for i in range(n)]
    at = [one.decided_at for one in those if one.decided_at is not None]
    said = [decision.MOST if one.said is None else one.said for one in those]
    return Found(
        found=float(np.mean([one.found for one in those])),
        held=float(np.mean([one.held for one in those])),
        side_held=float(np.mean([one.side_held for one in those])),
        decided=len(at) / n,
        wrong=float(np.mean([one.wrong for one in those])),
        votes=float(np.median(at)) if at else math.nan,
        said=float(np.median(said)),
        naive=float(np.mean([one.naive for one in those])),
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sittings", type=int, default=400)
    options = parser.parse_args()
    n = options.sittings
    table = Table(title=f"{n:,} sittings of {N_VOTES} votes a row; 95 % intervals")
    for name in (
        "voter",
        "best found",
        "held",
        "left held",
        "decided",
        "wrong",
        "after",
        "said at 30",
        "naive",
    ):
        table.add_column(name, justify="left" if name == "voter" else "right")
    with ProcessPoolExecutor(os.cpu_count()) as workers:
        jobs = [workers.submit(simulate, voter, n) for voter in KINDS]
        for voter, job in zip(KINDS, jobs, strict=True):
            found = job.result()
            alike = len(set(voter.strengths)) == 1
            shares = [f"{100 * share:.1f} %" for share in found[:5]]
            votes = "–" if math.isnan(found.votes) else f"{found.votes:.0f}"
            table.add_row(
                voter.name,
                "–" if alike else shares[0],
                *shares[1:],
                votes,
                f"{found.said:.0f} more",
                f"{100 * found.naive:.1f} %",
            )
    console = Console(width=150)
    console.print(table)
    console.print(f"Chance alone moves a share of 95 % by ± {196 * math.sqrt(0.95 * 0.05 / n):.1f} points.")


if __name__ == "__main__":
    main()
