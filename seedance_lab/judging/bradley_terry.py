"""How strong each of several things is, from votes on pairs of them.

Bradley and Terry's model with Davidson's ties: of i on the left and j on the right, with η = θi − θj + δ,

    left : tie : right  =  exp(η/2) : ν : exp(−η/2)

A tie counts half a win for each, exactly (Davidson 1970); in Rao and Kupper's model what a tie is worth depends on
the strengths, and the likelihood needs a threshold. δ is what the left side is worth (Davidson and Beaver 1977).
Without ties ν is 0 and this is Bradley and Terry's own model. The likelihood is concave, so Newton's steps find the
one maximum.

A weak prior on θ and δ (normal, standard deviation 3: together worth under half a vote for a level) keeps finite what
won every time. The votes of one block (a picture and a seed) lie together, because they are about the same clips. Where
there are enough blocks, a variance is the larger of two: by Fisher information, as if votes were independent, and
between the blocks (the sandwich, with B/(B − 1)).

Sources: Bradley and Terry, Biometrika 39, 1952; Davidson, JASA 65, 1970; Davidson and Beaver, Biometrics 33, 1977.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike

    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Ints = np.ndarray[Any, np.dtype[np.int64]]

PRIOR_SD = 3.0
"""Of a strength and of the left side's worth, in logits: 0.95 of them within ±6, which is 1 in 400."""
CLIP_SD = 0.7
"""Of what a clip adds to its setting's strength; a guess, about what seeds do."""
ENOUGH_BLOCKS = 8
"""From here on the blocks' own spread is used: with fewer, the sandwich is too small."""

_STEPS = 100
_TOLERANCE = 1e-10
_MOST_STEP = 5.0
_NO_TIES = -1e9


class Tally(NamedTuple):
    """Votes, counted: one row for each thing on the left, thing on the right and block.

    Attributes:
        left, right: Which things, from 0; shape (m,).
        block: Which block, from 0; shape (m,).
        counts: Left, tie, right; shape (m, 3).
    """

    left: Ints
    right: Ints
    block: Ints
    counts: Floats

    @property
    def n(self) -> int:
        """How many votes."""
        return round(float(self.counts.sum()))

    @property
    def n_blocks(self) -> int:
        """How many blocks."""
        return int(self.block.max()) + 1 if len(self.block) else 0


def tally(left: ArrayLike, right: ArrayLike, outcome: ArrayLike, block: ArrayLike | None = None) -> Tally:
    """Count votes.

    Args:
        left: Which thing, from 0, one a vote.
        right: Likewise.
        outcome: 1 left, 0 tie, −1 right.
        block: Which block, from 0; one block if not given.
    """
    import numpy as np

    sides = [np.asarray(side, dtype="int64") for side in (left, right)]
    blocks = np.zeros_like(sides[0]) if block is None else np.asarray(block, dtype="int64")
    named = np.stack([*sides, blocks], axis=1)
    cells, at = np.unique(named, axis=0, return_inverse=True)
    counts = np.zeros((len(cells), 3))
    np.add.at(counts, (at.reshape(-1), 1 - np.asarray(outcome, dtype="int64")), 1)
    return Tally(cells[:, 0], cells[:, 1], cells[:, 2], counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Strengths:
    """A fit.

    Attributes:
        theta: Strengths in logits, mean 0; shape (k,).
        side: What the left side is worth, in logits.
        tie: log ν; −1e9 where there was no tie.
        information: Inverse of the Fisher information and prior, of θ and δ, shape (k + 1, k + 1).
        between: The same from the blocks' own spread; None where there are too few of them.
        n: Votes.
        n_blocks: Blocks.
    """

    theta: Floats
    side: float
    tie: float
    information: Floats
    between: Floats | None
    n: int
    n_blocks: int

    def variance(self, contrast: Floats) -> float:
        """Of a sum of θ and δ, shape (k + 1,)."""
        told = float(contrast @ self.information @ contrast)
        if self.between is None:
            return told
        return max(told, float(contrast @ self.between @ contrast))

    def against(self, i: int, j: int) -> tuple[float, float]:
        """How much stronger i is than j, in logits, and its variance."""
        import numpy as np

        contrast = np.zeros(len(self.theta) + 1)
        contrast[i], contrast[j] = 1, -1
        return float(self.theta[i] - self.theta[j]), self.variance(contrast)

    def against_mean(self, i: int) -> tuple[float, float]:
        """How much stronger i is than a thing of average strength, in logits, and its variance."""
        import numpy as np

        k = len(self.theta)
        contrast = np.append(np.full(k, -1 / k), 0.0)
        contrast[i] += 1
        return float(self.theta[i]), self.variance(contrast)

    def left_side(self) -> tuple[float, float]:
        """What the left side is worth, in logits, and its variance."""
        import numpy as np

        return self.side, self.variance(np.append(np.zeros(len(self.theta)), 1.0))

    def outcome(self, i: int, j: int) -> tuple[float, float, float]:
        """Chances of left, tie and right, with i on the left and j on the right."""
        import numpy as np

        eta = np.array([self.theta[i] - self.theta[j] + self.side])
        left, tie, right = _chances(eta, self.tie)[0]
        return float(left), float(tie), float(right)


def fit(told: Tally, k: int, *, prior_sd: float = PRIOR_SD) -> Strengths:
    """The strengths that make the votes most likely, under a weak prior.

    Args:
        told: The votes; there may be none.
        k: How many things there are.
        prior_sd: Of θ and δ, in logits.
    """
    import numpy as np

    x = _columns(told, k)
    penalty = np.full(k + 1, prior_sd**-2.0)
    beta, tie, hessian, scores = _newton(x, told.counts, penalty)
    inverse: Floats = np.linalg.inv(hessian)[: k + 1, : k + 1].astype(np.float64)
    between = None
    if told.n_blocks >= ENOUGH_BLOCKS:
        by_block = np.zeros((told.n_blocks, scores.shape[1]))
        np.add.at(by_block, told.block, scores)
        full = np.linalg.inv(hessian)
        grown = told.n_blocks / (told.n_blocks - 1)
        between = (grown * full @ (by_block.T @ by_block) @ full)[: k + 1, : k + 1]
    theta = beta[:k] - beta[:k].mean()
    return Strengths(
        theta=theta,
        side=float(beta[k]),
        tie=tie,
        information=inverse,
        between=between,
        n=told.n,
        n_blocks=told.n_blocks,
    )


def fit_clips(
    told: Tally, level: ArrayLike, k: int, *, prior_sd: float = PRIOR_SD, clip_sd: float = CLIP_SD
) -> tuple[Floats, Floats]:
    """Strengths of clips: each is its setting's strength and something of its own, which is drawn towards 0.

    A clip is in few votes, and only with clips of its own block; what its setting does elsewhere says more of it than
    two votes do.

    Args:
        told: The votes, `left` and `right` being clips.
        level: Of each clip, from 0.
        k: How many levels there are.
        prior_sd: Of a level's strength.
        clip_sd: Of what is the clip's own.

    Returns:
        Strengths in logits against a level of average strength, and their variances.
    """
    import numpy as np

    levels = np.asarray(level, dtype="int64")
    n = len(levels)
    clips = _columns(told, n)
    own, side = clips[:, :n], clips[:, n:]
    member = np.zeros((n, k))
    member[np.arange(n), levels] = 1
    x = np.hstack([own @ member, own, side])
    penalty = np.concatenate([np.full(k, prior_sd**-2.0), np.full(n, clip_sd**-2.0), [prior_sd**-2.0]])
    beta, _, hessian, _ = _newton(x, told.counts, penalty)
    contrast = np.hstack([member - 1 / k, np.eye(n)])
    covariance = np.linalg.inv(hessian)[: k + n, : k + n]
    variances = np.einsum("ij,jk,ik->i", contrast, covariance, contrast)
    return contrast @ beta[: k + n], variances


def resampled(
    told: Tally, k: int, *, n_resamples: int = 999, seed: int = 0, prior_sd: float = PRIOR_SD
) -> Floats:
    """Strengths of resamples of the blocks, shape (n_resamples, k), each with mean 0."""
    import numpy as np

    draw = np.random.default_rng(seed)
    b = told.n_blocks
    times = draw.multinomial(b, np.full(b, 1 / b), size=n_resamples)
    x = _columns(told, k)
    penalty = np.full(k + 1, prior_sd**-2.0)
    out = np.empty((n_resamples, k))
    start = None
    for i, weights in enumerate(times):
        beta, _, _, _ = _newton(x, told.counts * weights[told.block][:, None], penalty, start)
        start = beta if start is None else start
        out[i] = beta[:k] - beta[:k].mean()
    return out


# ── Newton ──────────────────────────────────────────────────────────────────────────────────────────────


def _columns(told: Tally, k: int) -> Floats:
    """One for the thing on the left, minus one for the one on the right, and one for the side. Shape (m, k + 1)."""
    import numpy as np

    m = len(told.left)
    x = np.zeros((m, k + 1))
    x[np.arange(m), told.left] += 1
    x[np.arange(m), told.right] -= 1
    x[:, k] = 1
    return x


def _chances(eta: Floats, tie: float) -> Floats:
    """Of left, tie and right; shape (m, 3)."""
    import numpy as np

    logits = np.stack([eta / 2, np.full_like(eta, tie), -eta / 2], axis=1)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances: Floats = weights / weights.sum(axis=1, keepdims=True)
    return chances


def _newton(
    x: Floats, counts: Floats, penalty: Floats, start: Floats | None = None
) -> tuple[Floats, float, Floats, Floats]:
    """Coefficients, log ν, the matrix of second derivatives and each row's own first derivatives.

    The matrix has one more row where there are ties. Steps that make it worse are halved.
    """
    import numpy as np

    p = x.shape[1]
    has_ties = bool(counts[:, 1].sum() > 0)
    if has_ties:
        # As many as in the votes, were all things equal; its own prior is as weak as the others'.
        penalty = np.append(penalty, PRIOR_SD**-2.0)
    size = counts.sum(axis=1)
    beta = np.zeros(p + has_ties)
    if start is not None:
        beta[:p] = start

    def worth(beta: Floats) -> float:
        chances = _chances(x @ beta[:p], beta[p] if has_ties else _NO_TIES)
        seen = counts > 0
        return float((counts[seen] * np.log(chances[seen])).sum() - 0.5 * (penalty * beta**2).sum())

    now = worth(beta)
    for _ in range(_STEPS):
        first, hessian, _ = _derivatives(x, counts, size, beta, penalty, has_ties=has_ties)
        step = np.linalg.solve(hessian, first)
        step *= min(1.0, _MOST_STEP / max(float(np.abs(step).max()), 1e-300))
        while (then := worth(beta + step)) < now - 1e-12 and np.abs(step).max() > _TOLERANCE:
            step = step / 2
        beta, now = beta + step, then
        if np.abs(step).max() < _TOLERANCE:
            break
    _, hessian, scores = _derivatives(x, counts, size, beta, penalty, has_ties=has_ties)
    return beta[:p], float(beta[p]) if has_ties else _NO_TIES, hessian, scores


def _derivatives(
    x: Floats, counts: Floats, size: Floats, beta: Floats, penalty: Floats, *, has_ties: bool
) -> tuple[Floats, Floats, Floats]:
    """Of the log-likelihood and prior: first ones, minus the second ones, and the first ones row by row."""
    import numpy as np

    p = x.shape[1]
    chances = _chances(x @ beta[:p], beta[p] if has_ties else _NO_TIES)
    left, tie, right = chances.T
    lean = left - right
    of_eta = (counts[:, 0] - counts[:, 2] - size * lean) / 2
    rows = x * of_eta[:, None]
    curve = size * (left + right - lean**2) / 4
    hessian = np.zeros((len(beta), len(beta)))
    hessian[:p, :p] = x.T @ (x * curve[:, None])
    if has_ties:
        rows = np.hstack([rows, (counts[:, 1] - size * tie)[:, None]])
        hessian[p, :p] = hessian[:p, p] = -(x.T @ (size * tie * lean / 2))
        hessian[p, p] = float((size * tie * (1 - tie)).sum())
    hessian[np.diag_indices_from(hessian)] += penalty
    return rows.sum(axis=0) - penalty * beta, hessian, rows
