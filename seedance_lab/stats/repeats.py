"""Whether the same request gives the same clip again, and whether a seed keeps its composition across settings.

Clips are compared as small grey frames (`grey`): repeats in all of them, settings in two a second (`seeds`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from seedance_lab import frames
from seedance_lab.clip import Clip
from seedance_lab.errors import LabError
from seedance_lab.stats import design, look, plots, seeds
from seedance_lab.stats.grey import Reader, distance
from seedance_lab.stats.seeds import Grid, Pair, grids_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class Threshold(NamedTuple):
    """Up to which distance two clips are called so.

    Attributes:
        most: Mean absolute difference of grey levels, 0 to 255.
        reason: Where the number comes from.
    """

    most: float
    reason: str


THRESHOLDS = {
    "identical": Threshold(0.0, "equal files, or every grey pixel of every frame equal"),
    "near": Threshold(
        2.0,
        "encoding a clip of the embedded engine once more, down to CRF 35, moves it by less than 1 level; other seeds "
        "move it by more than 3",
    ),
}
"""What is further apart than `near` is different."""

MOST_REPEATS = 50
"""Repeats of one request that are compared; each is held in memory with 4 kB a frame."""

_AGAIN = "same inputs again"
_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Repeatability:
    """Whether the same request gives the same clip, and what a seed keeps.

    Attributes:
        table: One row a repeated request: its settings that vary, `seed`, `clips`, pairs that are `identical`, `near`
            and `different`, their mean and largest `distance` (grey levels). Empty if nothing was repeated.
        composition: One row a kind of change (`resolution`, `duration`, `resolution and duration`): `same_seed` and
            `other_seed` pairs, their median distances, `auc` (how often a pair of one seed is nearer than a pair
            of two, 0.5 is chance), `p` (how often shuffled seeds do as well), `verdict`. Empty where no seed was
            used with two settings.
        pairs: Every compared pair: `kind`, `distance`, `a`, `b` (the files).
        sentence: Both in words.
        missing: Names of the clips whose file is not there or cannot be read.
        notes: What was left out.
        thresholds: From which distance clips are called what, and why.
    """

    table: pd.DataFrame
    composition: pd.DataFrame
    pairs: pd.DataFrame
    sentence: str
    missing: tuple[str, ...]
    notes: tuple[str, ...]
    thresholds: dict[str, Threshold] = field(default_factory=lambda: dict(THRESHOLDS))

    def plot(self) -> Figure:
        """The distances of all compared pairs, by what the pairs have in common."""
        import pandas as pd

        kinds = [k for k in (_AGAIN, *seeds.KINDS) if k in set(self.pairs["kind"])]
        shown = pd.DataFrame(
            {
                "pairs": pd.Categorical(self.pairs["kind"], categories=kinds, ordered=True),
                "mean difference of grey levels, 0 to 255": self.pairs["distance"],
            }
        )
        return plots.spread(
            shown, str(shown.columns[1]), "pairs", title="How far apart clips are", dot="a pair"
        )

    def __repr__(self) -> str:
        return look.as_text(self.sentence, self._shown(), self.notes)

    __str__ = __repr__

    def _repr_html_(self) -> str:
        return look.as_html(self.sentence, self._shown(), self.notes)

    def _shown(self) -> pd.DataFrame:
        return self.table if len(self.table) else self.composition


def repeatability(clips: pd.DataFrame | Iterable[Clip]) -> Repeatability:
    """Whether the same inputs and seed give the same clip, and whether a seed keeps its composition.

    Repeats are clips with equal inputs and seed, as `lab.sweep(…, repeat=3)` makes them. The composition is judged by
    clips of one prompt and picture whose resolution or duration differs: a pair with one seed against pairs with
    two seeds. Frames are compared at equal times. A seed that was random counts by what the service says it
    used; pictures are told apart by their names.

    Args:
        clips: From `Study.frame` or `runs`, or clips that a study made.

    Raises:
        LabError: A column is missing, no clip is there, or there is nothing to compare; it says what to run.
    """
    import pandas as pd

    rows, missing = _there(_as_frame(clips))
    reader = Reader()
    varying = design.varying(rows)
    table: list[dict[str, Any]] = []
    pairs: list[Pair] = []
    grids: list[Grid] = []
    notes: dict[str, None] = {}
    for _, family in rows.groupby("_family", sort=False):
        for _, own in family.groupby("_inputs", sort=False):
            if found := list(_repeats(own, reader)):
                table.append(_repeated(own, found, varying))
                pairs += found
            if len(own) > MOST_REPEATS:
                notes[f"Of {len(own)} repeats of a request the first {MOST_REPEATS} were compared."] = None
        if family["_setting"].nunique() > 1:
            grids += grids_of(family, reader)
            if family["_seed"].nunique() > seeds.MOST_SEEDS:
                notes[f"Of each prompt and picture the first {seeds.MOST_SEEDS} seeds were compared."] = None
        reader.forget()
    composition = seeds.composition(grids)
    pairs += [pair for grid in grids for pair in grid.pairs()]
    missing += [Path(file).name for file in reader.unreadable]
    if missing:
        told = ", ".join(missing[:_NAMED]) + (
            f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        )
        lost = f"{len(missing)} {_clips(len(missing))} not there or cannot be read, and left out: {told}."
        notes[lost] = None
    if not pairs:
        raise LabError(
            f"Among the {len(rows)} clips no two can be compared: none has the inputs and the seed of another, and no "
            "two seeds were used with two settings alike. Run study.run(lab.sweep(…, seed=7, repeat=3)), or "
            f"lab.sweep(…, seed=range(6), resolution=['480p', '720p']).{' ' + list(notes)[-1] if missing else ''}"
        )
    sentence = f"{_in_words(pairs)} {seeds.sentence(composition)}".strip()
    return Repeatability(
        table=pd.DataFrame(table),
        composition=composition,
        pairs=pd.DataFrame([p[:4] for p in pairs], columns=["kind", "distance", "a", "b"]),
        sentence=sentence,
        missing=tuple(missing),
        notes=tuple(notes),
    )


# ── which clips ─────────────────────────────────────────────────────────────────────────────────────────


def _as_frame(clips: pd.DataFrame | Iterable[Clip]) -> pd.DataFrame:
    import pandas as pd

    if isinstance(clips, pd.DataFrame):
        return clips
    listed = list(clips)
    if strange := [c for c in listed if not isinstance(c, Clip)]:
        raise LabError(
            f"repeatability() takes a frame or clips, not {type(strange[0]).__name__}: repeatability(study.frame())."
        )
    if bare := [c.path.name for c in listed if c.record is None]:
        raise LabError(
            f"{bare[0]} was made by no study, so nobody knows its inputs. Give a frame with its settings and file: "
            "repeatability(df)."
        )
    parts = [
        frames.frame({str(c.key): c.record}, c.path.parent).assign(file=str(c.path))
        for c in listed
        if c.record
    ]
    return pd.concat(parts, ignore_index=True) if parts else frames.frame({}, Path())


def _there(df: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The clips whose files are there, with what groups them, and the names of the others."""
    for name in ("file", "seed"):
        design.column(df, name)
    made = design.made(df)
    if made.empty:
        raise LabError(
            "There is no saved clip to compare. Run study.run(lab.sweep(…, seed=7, repeat=3)), then "
            "repeatability(study.frame())."
        )
    present = [isinstance(f, str) and Path(f).is_file() for f in made["file"]]
    missing = [_named(row) for row, there in zip(made.to_dict("records"), present, strict=True) if not there]
    rows = made[present].drop_duplicates("file")
    if rows.empty:
        raise LabError(
            f"None of the {len(made)} clips is on this machine: {missing[0]}{', …' if len(missing) > 1 else ''}. Fetch "
            "them with study.run(plan), or read the frame where the files are."
        )
    seed = rows["seed"]
    if "returned_seed" in rows.columns:
        seed = seed.fillna(rows["returned_seed"])
    rows = rows.assign(_seed=seed)
    rows = rows[rows["_seed"].notna()]  # without a seed nothing is known to be the same
    inputs = [*design.SETTINGS, "engine", "_seed"]
    family = [n for n in inputs if n not in {"resolution", "duration", "_seed"}]
    return rows.assign(
        _inputs=design.grouped(rows, inputs),
        _family=design.grouped(rows, family),
        _setting=design.grouped(rows, ["resolution", "duration"]),
    ), missing


def _named(row: dict[Any, Any]) -> str:
    file, key = row.get("file"), row.get("key")
    return Path(file).name if isinstance(file, str) else str(key if isinstance(key, str) else "a clip")


def _clips(n: int) -> str:
    return "clip is" if n == 1 else "clips are"


# ── the same again ──────────────────────────────────────────────────────────────────────────────────────


def _repeats(rows: pd.DataFrame, reader: Reader) -> Iterator[Pair]:
    """Every pair of one request's clips; none of a request that was run once."""
    import numpy as np

    listed = rows.head(MOST_REPEATS).to_dict("records") if len(rows) > 1 else []
    decoded = [(row, reader.whole(row["file"])) for row in listed]
    read = [(row["file"], row.get("sha256"), found.grey) for row, found in decoded if found is not None]
    for (a, sha_a, x), (b, sha_b, y) in combinations(read, 2):
        apart = distance(x, y)
        same_file = isinstance(sha_a, str) and sha_a == sha_b
        if same_file or np.array_equal(x, y):
            verdict = "identical"
        else:
            verdict = "near" if apart <= THRESHOLDS["near"].most and len(x) == len(y) else "different"
        yield Pair(_AGAIN, apart, a, b, verdict)


def _repeated(rows: pd.DataFrame, pairs: Sequence[Pair], varying: Sequence[str]) -> dict[str, Any]:
    first = rows.iloc[0]
    apart = [p.distance for p in pairs]
    return {
        **{n: first[n] for n in varying},
        "seed": int(first["_seed"]),
        "clips": len({file for p in pairs for file in (p.a, p.b)}),
        **{v: sum(p.verdict == v for p in pairs) for v in ("identical", "near", "different")},
        "distance_mean": sum(apart) / len(apart),
        "distance_max": max(apart),
    }


def _in_words(pairs: Sequence[Pair]) -> str:
    again = [p for p in pairs if p.kind == _AGAIN]
    if not again:
        return "Nothing was run twice with one seed; repeat=3 in the sweep would tell whether clips come out the same."
    counts = {v: sum(p.verdict == v for p in again) for v in ("identical", "near", "different")}
    if counts["identical"] == len(again):
        return f"The same request gave the same clip in all {len(again)} pairs of repeats."
    told = ", ".join(f"{n} {v}" for v, n in counts.items() if n)
    largest = look.number(max(p.distance for p in again))
    return f"Of {len(again)} pairs of repeats: {told} (largest distance {largest} grey levels)."
