"""Whether a seed keeps its composition when the resolution or the duration changes.

A pair of clips with one seed is held against pairs with two seeds, in the same two settings. How sure that is
follows from shuffling the seeds: nothing is assumed of the distances.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product
from typing import TYPE_CHECKING, Any, NamedTuple

from seedance_lab.stats.grey import Reader

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Floats = np.ndarray[Any, np.dtype[np.float64]]

MOST_SEEDS = 24
"""Seeds of one prompt and picture that are compared across settings; about 50 kB a clip."""

KINDS = tuple(
    f"{seed} seed, other {change}"
    for change in ("resolution", "duration", "both")
    for seed in ("same", "other")
)
"""What pairs can have in common."""

_PERMUTATIONS = 1999
_CLEAR = 0.9
_SURE = 0.05
_FEW_SEEDS = 5


class Pair(NamedTuple):
    """Two clips that were compared.

    Attributes:
        kind: What they have in common.
        distance: Mean difference of grey levels, 0 to 255.
        a: The file of one.
        b: The file of the other.
        verdict: Of repeats, `identical`, `near` or `different`.
    """

    kind: str
    distance: float
    a: str
    b: str
    verdict: str = ""


class Grid(NamedTuple):
    """The distances between one setting's clips (rows) and another's (columns), both in the order of their seeds."""

    family: int
    seeds: list[int]
    """Their places among the family's seeds."""
    change: str
    apart: Floats
    rows: list[str]
    cols: list[str]

    def scores(self) -> Floats:
        """For each cell, how much of its row and its column is farther apart; ties count half."""
        import numpy as np

        m, k = self.apart, len(self.apart)
        by_row = (m[:, :, None] < m[:, None, :]).sum(2) + 0.5 * ((m[:, :, None] == m[:, None, :]).sum(2) - 1)
        by_col = (m[:, :, None] < m.T[None]).sum(2) + 0.5 * ((m[:, :, None] == m.T[None]).sum(2) - 1)
        scores: Floats = (by_row + by_col) / (2 * (k - 1))
        return np.asarray(scores, dtype="float64")

    def pairs(self) -> Iterator[Pair]:
        """Every cell as a pair."""
        for (i, a), (j, b) in product(enumerate(self.rows), enumerate(self.cols)):
            change = "both" if " and " in self.change else self.change
            kind = f"{'same' if i == j else 'other'} seed, other {change}"
            yield Pair(kind, float(self.apart[i, j]), a, b)


def grids_of(rows: pd.DataFrame, reader: Reader) -> Iterator[Grid]:
    """For one prompt and picture: each two settings with at least two seeds in common."""
    from scipy.spatial.distance import cdist

    seeds = sorted(rows["_seed"].unique())[:MOST_SEEDS]
    kept = rows[rows["_seed"].isin(seeds)].drop_duplicates(["_setting", "_seed"])
    of = {
        setting: {row["_seed"]: row for row in own.to_dict("records")}
        for setting, own in kept.groupby("_setting", sort=True)
    }
    for a, b in combinations(of.values(), 2):
        read = {s: [reader.few(setting[s]["file"]) for setting in (a, b)] for s in seeds if s in a and s in b}
        both = {s: (x, y) for s, (x, y) in read.items() if x is not None and y is not None}
        if len(both) < 2:
            continue
        common = list(both)
        one, two = [a[s]["file"] for s in common], [b[s]["file"] for s in common]
        n = min(len(few) for pair in both.values() for few in pair)
        flat = [[pair[i][:n].reshape(-1).astype("float32") for pair in both.values()] for i in (0, 1)]
        apart = cdist(flat[0], flat[1], "cityblock") / flat[0][0].size
        places = [seeds.index(seed) for seed in common]
        yield Grid(int(rows["_family"].iloc[0]), places, _change(a[common[0]], b[common[0]]), apart, one, two)


def _change(a: dict[Any, Any], b: dict[Any, Any]) -> str:
    return " and ".join(n for n in ("resolution", "duration") if a.get(n) != b.get(n))


def composition(grids: Sequence[Grid]) -> pd.DataFrame:
    """One row a kind of change: distances, how often the same seed is nearer, how sure that is."""
    import numpy as np
    import pandas as pd

    rows = []
    for change in ("resolution", "duration", "resolution and duration"):
        own = [g for g in grids if g.change == change]
        if not own:
            continue
        diagonal = np.concatenate([np.diag(g.apart) for g in own])
        beside = np.concatenate([g.apart[~np.eye(len(g.apart), dtype=bool)] for g in own])
        auc, p = _auc(own)
        n_seeds = max(len(g.apart) for g in own)
        rows.append(
            {
                "changed": change,
                "same_seed": len(diagonal),
                "other_seed": len(beside),
                "same_seed_distance": float(np.median(diagonal)),
                "other_seed_distance": float(np.median(beside)),
                "auc": auc,
                "p": p,
                "seeds": n_seeds,
                "verdict": _verdict(auc, p),
            }
        )
    return pd.DataFrame(rows)


def _verdict(auc: float, p: float) -> str:
    if p > _SURE:
        return "unclear"
    return "kept" if auc >= _CLEAR else "partly kept"


def _auc(grids: Sequence[Grid]) -> tuple[float, float]:
    """How often the same seed is nearer, and how often it would be with the seeds shuffled."""
    import numpy as np

    shuffle = np.random.default_rng(0)
    n_seeds = 1 + max(place for grid in grids for place in grid.seeds)
    # One shuffle for all the grids of a prompt and picture: the same clip in two grids is not two witnesses.
    keys = {grid.family: shuffle.random((_PERMUTATIONS, n_seeds)) for grid in grids}
    total, shuffled, n = 0.0, np.zeros(_PERMUTATIONS), 0
    for grid in grids:
        scores, k = grid.scores(), len(grid.apart)
        total += float(np.trace(scores))
        orders = keys[grid.family][:, grid.seeds].argsort(axis=1)
        shuffled += scores[np.arange(k), orders].sum(axis=1)
        n += k
    return total / n, float((1 + (shuffled >= total - 1e-9).sum()) / (1 + _PERMUTATIONS))


def sentence(found: pd.DataFrame) -> str:
    """What `composition` found, in words."""
    told = []
    for r in found.to_dict("records"):
        share = f"the same seed is nearer in {100 * r['auc']:.0f} % of comparisons, chance is 50 %, p = {r['p']:.2g}"
        few = r["verdict"] == "unclear" and r["seeds"] < _FEW_SEEDS
        head = {
            "kept": "A seed keeps its composition",
            "partly kept": "A seed keeps some of its composition",
            "unclear": f"{r['seeds']} seeds are too few to tell whether a seed keeps its composition"
            if few
            else "Nothing shows that a seed keeps its composition",
        }[r["verdict"]]
        hint = " Try seed=range(6)." if few else ""
        told.append(
            f"{head} when the {r['changed']} change{'' if ' and ' in r['changed'] else 's'} ({share}).{hint}"
        )
    return " ".join(told)
