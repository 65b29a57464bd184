"""Which two clips to show next: pairs in which one setting differs, the most telling first.

Picture, seed, replicate and every other setting are the same in a pair, so that a vote is about that one setting. The
next pair is the one whose outcome would tell most of how the levels stand to each other (half the logarithm of how
much it would shrink the variance of their difference, under the fit so far), spread over pictures and seeds, so that
what is found holds for more than one of them.
"""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seedance_lab import columns
from seedance_lab.errors import LabError, near
from seedance_lab.judging import bradley_terry
from seedance_lab.judging.votes import Side, Vote, block
from seedance_lab.record import Record
from seedance_lab.stats import design, say

FACTORS = (*design.SETTINGS, "seed")
"""What clips can differ in."""
_MATCHED = (*design.SETTINGS, *design.BLOCK, "replicate")
_PICTURES = ("image", "end_image")
_SECONDS = 0.06
"""Lengths that differ by less than this, about a frame and a half at 24 a second, nobody can tell apart."""
_RATES = 0.01
"""Frames a second by which the rates of two files of one rate may differ: 23.976 and 24 are two."""
_FAIR = 2 / 3
"""Chance that the side is drawn that evens out what was drawn so far."""


class Candidate(NamedTuple):
    """A clip that can be shown.

    Attributes:
        key, sha256: Of its request and file.
        settings: By the frame's names, with `image_sha256` and `end_image_sha256`.
        seconds, width, height, fps: Of the file; 0 where the journal does not say.
    """

    key: str
    sha256: str
    settings: Mapping[str, Any]
    seconds: float = 0.0
    width: int = 0
    height: int = 0
    fps: float = 0.0


class Pair(NamedTuple):
    """Two clips that differ in one setting, the lower level first.

    Attributes:
        a, b: The clips.
        levels: Of these, from 0.
        held: What they share.
        block: Picture and seed, as a word.
        warning: What of the files tells them apart besides the setting; empty mostly.
    """

    a: Candidate
    b: Candidate
    levels: tuple[int, int]
    held: Mapping[str, Any]
    block: str
    warning: str

    @property
    def keys(self) -> tuple[str, str]:
        """As `Vote.pair` has them."""
        return (min(self.a.key, self.b.key), max(self.a.key, self.b.key))


class Pool(NamedTuple):
    """Every pair of a study in which one setting alone differs.

    Attributes:
        by: The setting.
        values: Its levels, in natural order.
        pairs: In the order of asking.
        notes: What could not be matched, and which levels never meet.
    """

    by: str
    values: tuple[Any, ...]
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...]


class Shown(NamedTuple):
    """A pair with its sides."""

    pair: Pair
    left: Candidate
    right: Candidate

    def side(self, candidate: Candidate, by: str) -> Side:
        """One of its clips as a vote has it."""
        return Side(candidate.key, candidate.sha256, candidate.settings[by])


def candidates(records: Mapping[str, Record], folder: Path) -> list[Candidate]:
    """The clips that are in a study's folder, in the order of asking."""
    wanted = {c.name: c for c in columns.COLUMNS if c.name in _MATCHED}
    found = []
    for record in records.values():
        if columns.clip_path(record, folder) is None or not record.clip:
            continue
        settings = {name: c.of(record, folder) for name, c in wanted.items()}
        for name in _PICTURES:
            settings[f"{name}_sha256"] = (record.asked.get(name) or {}).get("sha256")
        found.append(
            Candidate(
                record.key,
                str(record.clip["sha256"]),
                settings,
                float(record.clip.get("seconds") or 0),
                int(record.clip.get("width") or 0),
                int(record.clip.get("height") or 0),
                float(record.clip.get("fps") or 0),
            )
        )
    return found


def pool(clips: Sequence[Candidate], by: str) -> Pool:
    """Every pair of these clips that differs in `by` alone.

    Raises:
        LabError: There is no such setting, or there is no such pair; the message says what to run, and which other
            settings have pairs.
    """
    if by not in FACTORS:
        hint = near(str(by), FACTORS) or f" There are: {', '.join(FACTORS)}."
        raise LabError(f"by={by!r} is no setting that clips can be compared by.{hint}")
    if not clips:
        raise LabError("There are no clips to vote on yet. Make some: study.run(lab.sweep(…, seed=range(4)))")
    clips = _told_apart(clips, by)
    values, found = _paired(clips, by)
    if not found:
        others = [name for name in FACTORS if name != by and _paired(clips, name)[1]]
        raise LabError(_none(clips, by, values) + _instead(others))
    return Pool(by, values, tuple(found), _notes(clips, found, by, values))


def _paired(clips: Sequence[Candidate], by: str) -> tuple[tuple[Any, ...], list[Pair]]:
    """The levels of a setting, and the pairs of clips that differ in it alone."""
    # Of two random seeds nobody knows whether they differ, and none that is drawn can be preferred.
    known = [clip for clip in clips if clip.settings["seed"] is not None]
    values = _levels([clip.settings[by] for clip in (known if by == "seed" else clips)], by)
    place = {_spelled(value): i for i, value in enumerate(values)}
    groups: dict[tuple[str, ...], list[Candidate]] = {}
    for clip in known:
        groups.setdefault(_shared(clip, by), []).append(clip)
    found = []
    for together in groups.values():
        together.sort(key=lambda clip: place[_spelled(clip.settings[by])])
        for a, b in itertools.combinations(together, 2):
            levels = place[_spelled(a.settings[by])], place[_spelled(b.settings[by])]
            if levels[0] != levels[1]:
                held = {n: v for n, v in a.settings.items() if n not in {by, f"{by}_sha256"}}
                found.append(Pair(a, b, levels, held, block(held), _warning(a, b)))
    return values, found


def next_pair(
    of: Pool,
    votes: Sequence[Vote],
    who: str,
    draw: random.Random,
    *,
    not_now: Sequence[tuple[str, str]] = (),
) -> Shown | None:
    """The pair to show next, and its sides; the same for the same arguments and state of `draw`.

    Args:
        of: The pairs.
        votes: On this setting, by anybody, in order.
        who: Is asked.
        draw: Breaks ties, and throws for the sides.
        not_now: Pairs (`Pair.keys`) that are not to come: the one that is shown, or whose files are gone.

    Returns:
        None when there is no other pair.
    """
    mine = [vote for vote in votes if vote.who == who]
    by_me, by_all = Counter(v.pair for v in mine), Counter(v.pair for v in votes)
    in_block = Counter(block(v.held) for v in votes)
    fewest = min((in_block[pair.block] for pair in of.pairs), default=0)
    gains = _gains(of, votes)
    banned = {*not_now, *([mine[-1].pair] if mine else [])}
    left = [pair for pair in of.pairs if pair.keys not in banned]
    if not left:
        left = [pair for pair in of.pairs if pair.keys not in set(not_now)]
    if not left:
        return None

    def worth(pair: Pair) -> float:
        others = by_all[pair.keys] - by_me[pair.keys]
        seen = 1 + 2 * by_me[pair.keys] + others  # the same clips again tell less, and least to the same eyes
        return gains[pair.levels] / (seen * (1 + in_block[pair.block] - fewest))

    scores = [worth(pair) for pair in left]
    most = max(scores)
    best = [pair for pair, score in zip(left, scores, strict=True) if score >= most * (1 - 1e-9)]
    return _sided(draw.choice(best), of, mine, draw)


def _gains(of: Pool, votes: Sequence[Vote]) -> dict[tuple[int, int], float]:
    """What one more vote would tell, by pair of levels."""
    k = len(of.values)
    told = bradley_terry.fit(count(of.values, votes), k)
    gains = {}
    for i, j in {pair.levels for pair in of.pairs}:
        left, _, right = told.outcome(i, j)
        each = (left + right - (left - right) ** 2) / 4
        _, variance = told.against(i, j)
        gains[i, j] = 0.5 * math.log1p(each * variance)
    return gains


def count(values: Sequence[Any], votes: Sequence[Vote]) -> bradley_terry.Tally:
    """The votes on these levels, counted; those on other levels are left out. "Both bad" counts as a tie."""
    place = {_spelled(value): i for i, value in enumerate(values)}
    blocks: dict[str, int] = {}
    rows = []
    for vote in votes:
        left, right = (place.get(_spelled(side.value)) for side in (vote.left, vote.right))
        if left is None or right is None or left == right:
            continue
        at = blocks.setdefault(block(vote.held), len(blocks))
        rows.append((left, right, {"left": 1, "right": -1}.get(vote.choice, 0), at))
    return bradley_terry.tally(*zip(*rows, strict=True)) if rows else bradley_terry.tally([], [], [])


def _sided(pair: Pair, of: Pool, mine: Sequence[Vote], draw: random.Random) -> Shown:
    """The same clips again come the other way round. Otherwise sides are thrown for, and nobody can foretell them.

    A level that was on the left more often than on the right goes to the right in two of three throws (a biased coin:
    Efron, Biometrika 58, 1971). Were it sure to, whoever had made out one pair would know the sides of the next.
    """
    coin = draw.random()
    before = next((vote for vote in reversed(mine) if vote.pair == pair.keys), None)
    if before is not None:
        a_left = before.left.key != pair.a.key
    else:
        levels = _spelled(of.values[pair.levels[0]]), _spelled(of.values[pair.levels[1]])
        sides = [(_spelled(vote.left.value), _spelled(vote.right.value)) for vote in mine]
        lean = sides.count(levels) - sides.count(levels[::-1])
        a_left = coin < (0.5 if lean == 0 else 1 - _FAIR if lean > 0 else _FAIR)
    return Shown(pair, pair.a, pair.b) if a_left else Shown(pair, pair.b, pair.a)


# ── matching ────────────────────────────────────────────────────────────────────────────────────────────


def _shared(clip: Candidate, by: str) -> tuple[str, ...]:
    """What the other clip of a pair must have too. Pictures count by their bytes, not by their names."""
    names = [n if n not in _PICTURES else f"{n}_sha256" for n in _MATCHED if n != by]
    return tuple(_spelled(clip.settings.get(name)) for name in names)


def _told_apart(clips: Sequence[Candidate], by: str) -> list[Candidate]:
    """Two pictures of one name get the beginning of their checksum, where pictures are what is judged."""
    if by not in _PICTURES:
        return list(clips)
    known: dict[Any, set[Any]] = {}
    for clip in clips:
        known.setdefault(clip.settings[by], set()).add(clip.settings[f"{by}_sha256"])
    out = []
    for clip in clips:
        name, sha256 = clip.settings[by], clip.settings[f"{by}_sha256"]
        if len(known[name]) > 1:
            clip = clip._replace(settings={**clip.settings, by: f"{name} ({str(sha256)[:6]})"})
        out.append(clip)
    return out


def _spelled(value: Any) -> str:
    """A setting's value as text: 5 and 5.0 are one level, True and 1 are two."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"{type(value).__name__} {value}"


def _levels(values: Sequence[Any], by: str) -> tuple[Any, ...]:
    """Each value once, in natural order: none first, numbers by size, words as declared, else as first met."""
    distinct = {_spelled(value): value for value in values}
    order = next((c.order for c in columns.COLUMNS if c.name == by), ())

    def rank(item: tuple[int, Any]) -> tuple[int, float]:
        i, value = item
        if value is None:
            return 0, 0
        if isinstance(value, int | float):
            return 1, float(value)
        return 2, order.index(value) if value in order else len(order) + i

    return tuple(value for _, value in sorted(enumerate(distinct.values()), key=rank))


def _warning(a: Candidate, b: Candidate) -> str:
    told = []
    if abs(a.seconds - b.seconds) > _SECONDS:
        told.append("in length")
    if (a.width, a.height) != (b.width, b.height):
        told.append("in size")
    if abs(a.fps - b.fps) > _RATES:
        told.append("in frame rate")
    return f"These two differ {say.listed(told)}, so you may be able to tell which is which." if told else ""


def _none(clips: Sequence[Candidate], by: str, values: Sequence[Any]) -> str:
    n_random = sum(clip.settings["seed"] is None for clip in clips)
    if by == "seed" and not values:
        return (
            f"seed is random in all {len(clips)} clips: nothing to compare. Run: lab.sweep(…, seed=range(4))"
        )
    named = design.level_name(values[0], columns.UNITS.get(by, ""))
    if len(values) < 2:
        more: dict[str, list[Any]] = {
            "resolution": ["480p", "720p"],
            "duration": [5, 10],
            "camera_fixed": [False, True],
        }
        if by == "seed":
            return f"All clips have one seed ({named}): nothing to compare. Run more: lab.sweep(…, seed=range(4))"
        line = say.sweep_line({by: more.get(by) or [values[0], "…"]})
        return f"{by} has one value among the clips ({named}), so there is nothing to compare. Run another: {line}"
    axes: dict[str, list[Any]] = {} if by == "seed" else {by: list(values)}
    line = say.sweep_line(axes)
    if by != "seed" and n_random == len(clips):
        return (
            f"seed is random in all {len(clips)} clips, so no two of them differ in {by} alone: no pairs. "
            f"Run with seeds: {line}"
        )
    some = f" ({n_random} of {len(clips)} have a random seed)" if n_random else ""
    how = "everything else with more seeds" if by == "seed" else "the same seeds at each value"
    return f"No two clips differ in {by} alone{some}: no pairs. Run {how}: {line}"


def _instead(others: Sequence[str]) -> str:
    """What can be voted on as the clips are."""
    if not others:
        return ""
    return f"\nThere are pairs that differ in {say.listed(others)}: lab.vote(study, by={others[0]!r})"


def _notes(
    clips: Sequence[Candidate], found: Sequence[Pair], by: str, values: Sequence[Any]
) -> tuple[str, ...]:
    notes = []
    used = {clip.key for pair in found for clip in (pair.a, pair.b)}
    if alone := [clip for clip in clips if clip.key not in used]:
        n_random = sum(clip.settings["seed"] is None for clip in alone)
        why = f", {n_random} of them because their seed is random" if n_random else ""
        notes.append(f"{len(alone)} of {len(clips)} clips have no partner that differs in {by} alone{why}")
    parts = _parts(len(values), {pair.levels for pair in found})
    if len(parts) > 1:
        unit = columns.UNITS.get(by, "")
        told = " | ".join(
            ", ".join(design.level_name(values[i], unit) for i in sorted(part)) for part in parts
        )
        notes.append(f"these values of {by} never meet, so they cannot be held against each other: {told}")
    if n := sum(bool(pair.warning) for pair in found):
        notes.append(
            f"{n} of {len(found)} pairs differ in length, size or frame rate too, which a voter can tell"
        )
    return tuple(notes)


def _parts(k: int, met: set[tuple[int, int]]) -> list[set[int]]:
    """Levels that are joined by pairs, directly or through others."""
    parts = [{i} for i in range(k)]
    for i, j in met:
        one, other = (next(p for p in parts if x in p) for x in (i, j))
        if one is not other:
            parts.remove(other)
            one |= other
    return parts
