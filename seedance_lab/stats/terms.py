"""Which settings a model of these rows can tell apart, from each other and from the seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from seedance_lab.errors import LabError
from seedance_lab.stats import design, linear, say

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Ints = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(slots=True, kw_only=True)
class Factors:
    """What a model is made of, and what had to stay out of it.

    Attributes:
        codes: Each row's level, by setting. Settings that always change together are one factor of their own.
        names: The levels' names.
        joint: The factors that are adjusted for and not reported: of several settings, or one with the seed.
        blocks: Each row's block; all 0 where the seed cannot be one.
        block_name: What the blocks are: seed, engine, or both.
        n_seeds: Different seeds, as far as they are known.
        left_out: Setting and reason.
        notes: For the reader: what is not known and what to run.
    """

    codes: dict[str, Ints]
    names: dict[str, list[str]]
    blocks: Ints
    block_name: str = "seed"
    n_seeds: int = 0
    joint: set[str] = field(default_factory=set)
    left_out: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def has_blocks(self) -> bool:
        """Whether the seed is a block here."""
        return bool(self.blocks.max(initial=0) > 0)


def factors(rows: pd.DataFrame, names: list[str]) -> Factors:
    """The factors of a model of these settings.

    Args:
        rows: Those with a clip and a value.
        names: Settings that vary in them.

    Raises:
        LabError: None of them can be told from the others and the seed. The message says what to run.
    """
    levels = {name: design.levels(rows, name) for name in names}
    out = Factors(codes={}, names={}, blocks=design.blocks(rows))
    values = {name: levels[name].values for name in names}
    for group in _groups({name: levels[name].codes for name in names}):
        joined = " + ".join(group)
        if len(group) == 1:
            out.codes[joined], out.names[joined] = levels[joined].codes, levels[joined].names
            continue
        out.codes[joined] = design.grouped(rows, group)
        out.names[joined] = [str(i) for i in range(int(out.codes[joined].max()) + 1)]
        out.joint.add(joined)
        for name in group:
            others = say.listed([n for n in group if n != name])
            out.left_out[name] = f"always changes together with {others}"
        line = say.sweep_line({name: values[name] for name in group})
        out.notes.append(
            f"{say.listed(group)} always change together, so neither is told apart. Cross them: {line}"
        )
    _block(out, rows, values)
    if all(name in out.joint for name in out.codes):
        raise LabError(f"No effect can be known from these {len(rows)} clips: {' '.join(out.notes)}")
    return out


def _ranks(codes: dict[str, Ints], blocks: Ints) -> tuple[int, dict[frozenset[str], int]]:
    """The rank of all factors together, and without each and each two of them."""
    import numpy as np

    model = linear.design(codes, [])
    sums = model.moments(np.zeros(len(blocks)), blocks)

    def rank(left_out: frozenset[str]) -> int:
        return sums.fit(model.columns([(n,) for n in codes if n not in left_out])).rank

    without = {frozenset((a, b)): rank(frozenset((a, b))) for a in codes for b in codes}
    return rank(frozenset()), without


def _groups(codes: dict[str, Ints]) -> list[list[str]]:
    """The settings in groups within which none can be told from the rest; most groups are one setting."""
    import numpy as np

    full, without = _ranks(codes, np.zeros(len(next(iter(codes.values()))), dtype="int64"))
    group = {name: {name} for name in codes}
    for name in codes:
        if full - without[frozenset((name,))] > 0:
            continue
        partners = [
            other
            for other in codes
            if other != name and without[frozenset((other,))] > without[frozenset((name, other))]
        ]
        for other in partners or codes:
            merged = group[name] | group[other]
            for member in merged:
                group[member] = merged
    return [sorted(members, key=list(codes).index) for members in {id(g): g for g in group.values()}.values()]


def _block(out: Factors, rows: pd.DataFrame, values: dict[str, list[Any]]) -> None:
    """Decide whether the seed can be a block, and what changes only with it."""
    import numpy as np

    seeds = rows["seed"] if "seed" in rows.columns else None
    out.n_seeds = int(seeds.nunique()) if seeds is not None else 0
    engines = rows["engine"].nunique() if "engine" in rows.columns else 1
    if engines > 1:
        out.block_name = "seed and engine" if out.n_seeds > 1 else "engine"
    told = {name: values[name] for name in out.codes if name not in out.joint}
    line = say.sweep_line(told)
    counts = np.bincount(out.blocks)
    if len(counts) > 1 and counts[counts > 1].sum() * 2 < len(rows):
        out.blocks = np.zeros(len(rows), dtype="int64")
        out.notes.append(
            "hardly any seed was used twice, so what the seed does cannot be told from noise. Use the same seeds for "
            f"all settings: {line}"
        )
    if out.n_seeds == 1 and (seeds is None or seeds.notna().all()):
        out.notes.append(f"one seed only: what other seeds would do is not known. Run more: {line}")
    elif out.n_seeds == 0:
        out.notes.append(
            f"the seeds are random or missing: what they do is counted as noise. Name them: {line}"
        )
    if not out.has_blocks:
        return
    alone = np.zeros(len(rows), dtype="int64")
    free, free_without = _ranks(out.codes, alone)
    tied, tied_without = _ranks(out.codes, out.blocks)
    for name in list(told):
        one = frozenset((name,))
        if tied - tied_without[one] < free - free_without[one]:
            out.joint.add(name)
            out.left_out[name] = f"changes only with the {out.block_name}"
            axes = say.sweep_line({name: values[name]})
            out.notes.append(
                f"{name} changes only with the {out.block_name}, so the two are not told apart: {axes}"
            )
