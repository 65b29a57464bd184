"""A linear model of categories, from sums of products alone.

The rows are met once, as a sparse matrix; after that every model is a small square one. So ten thousand rows
with a thousand seeds cost what a hundred rows cost. Blocks are taken out by subtracting their means (Frisch,
Waugh and Lovell), which gives the sums of squares that a dummy variable for each block would give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from scipy import sparse

    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Ints = np.ndarray[Any, np.dtype[np.int64]]

Term = tuple[str, ...]
"""One name for a main effect, two for an interaction."""

_SINGULAR = 1e-9


class Fit(NamedTuple):
    """A least-squares fit of some of the columns.

    Attributes:
        rank: Independent columns, the blocks not counted.
        rss: What is left, as a sum of squares.
        beta: One coefficient a column; of those that depend on each other, the shortest solution.
        inverse: Generalised inverse of the sums of products.
        seen: `inverse @ gram`: a contrast c can be estimated where c @ seen = c.
    """

    rank: int
    rss: float
    beta: Floats
    inverse: Floats
    seen: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Sums of products with the blocks' means taken out.

    Attributes:
        gram: X'X, shape (p, p).
        cross: X'y, shape (p,).
        total: y'y.
        n: Rows.
        n_blocks: Blocks whose means were taken out, at least 1.
        scale: Sums of squares of the columns before that, shape (p,).
    """

    gram: Floats
    cross: Floats
    total: float
    n: int
    n_blocks: int
    scale: Floats

    def fit(self, columns: Sequence[int] | Ints) -> Fit:
        """Fit these columns. Dependent ones are found and do no harm."""
        import numpy as np

        at = np.asarray(columns, dtype="int64")
        gram, cross = self.gram[np.ix_(at, at)], self.cross[at]
        own = np.diag(gram)
        kept = own > _SINGULAR * np.maximum(self.scale[at], 1)
        inverse = np.zeros_like(gram)
        rank = 0
        if kept.any():
            size = np.sqrt(own[kept])
            scaled = gram[np.ix_(kept, kept)] / np.outer(size, size)
            values, vectors = np.linalg.eigh(scaled)
            real = values > _SINGULAR * len(values) * max(1.0, values[-1])
            rank = int(real.sum())
            half = vectors[:, real] / np.sqrt(values[real]) / size[:, None]
            inverse[np.ix_(kept, kept)] = half @ half.T
        beta = inverse @ cross
        rss = max(0.0, float(self.total - cross @ beta))
        return Fit(rank, rss, beta, inverse, inverse @ gram)

    def residual_df(self, fit: Fit) -> int:
        """Degrees of freedom that a fit leaves over."""
        return self.n - self.n_blocks - fit.rank


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """The columns of a model and where each term has its own.

    Attributes:
        matrix: Dummy variables of every level but the first, and their products; sparse, shape (n, p).
        places: The columns of each term.
        n_levels: By setting.
    """

    matrix: sparse.csr_matrix
    places: dict[Term, Ints]
    n_levels: dict[str, int]

    def columns(self, terms: Sequence[Term]) -> Ints:
        """The columns of these terms together."""
        import numpy as np

        return np.concatenate([self.places[t] for t in terms]) if terms else np.zeros(0, dtype="int64")

    def nominal_df(self, term: Term) -> int:
        """Degrees of freedom that the term has when every combination is there."""
        product = 1
        for name in term:
            product *= self.n_levels[name] - 1
        return product

    def moments(self, y: Floats, blocks: Ints) -> Moments:
        """The sums of products, the means of the blocks taken out.

        Args:
            y: Shape (n,).
            blocks: Whole numbers from 0, shape (n,); all 0 takes out the one mean of all rows.
        """
        import numpy as np
        from scipy import sparse

        n = len(y)
        member = sparse.csr_matrix((np.ones(n), (np.arange(n), blocks)))
        counts = np.asarray(member.sum(axis=0)).reshape(-1)
        centred = y - (member.T @ y / counts)[blocks]
        sums = member.T @ self.matrix
        between = (sums.multiply(1 / np.sqrt(counts)[:, None])).tocsr()
        raw = self.matrix.T @ self.matrix
        return Moments(
            gram=np.asarray((raw - between.T @ between).todense()),
            cross=np.asarray(self.matrix.T @ centred).reshape(-1),
            total=float(centred @ centred),
            n=n,
            n_blocks=len(counts),
            scale=np.asarray(raw.diagonal()).reshape(-1),
        )


def design(codes: dict[str, Ints], interactions: Sequence[tuple[str, str]]) -> Design:
    """Main effects of all these settings and the named interactions.

    Args:
        codes: Each row's level by setting, whole numbers from 0.
        interactions: Pairs of settings.
    """
    import numpy as np
    from scipy import sparse

    n = len(next(iter(codes.values())))
    n_levels = {name: int(c.max()) + 1 for name, c in codes.items()}
    parts, places, start = [], {}, 0
    for term in [*((name,) for name in codes), *interactions]:
        width = 1
        at = np.zeros(n, dtype="int64")
        there = np.ones(n, dtype=bool)
        for name in term:  # the last name runs fastest
            at = at * (n_levels[name] - 1) + codes[name] - 1
            there &= codes[name] > 0
            width *= n_levels[name] - 1
        rows = np.flatnonzero(there)
        parts.append(sparse.csr_matrix((np.ones(len(rows)), (rows, at[rows])), shape=(n, width)))
        places[tuple(term)] = np.arange(start, start + width)
        start += width
    return Design(matrix=sparse.hstack(parts).tocsr(), places=places, n_levels=n_levels)
