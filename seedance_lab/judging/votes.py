"""Votes on blind pairs: `votes.jsonl` in the study's folder.

A vote is about two files, known by their requests' keys and the sha256 of their bytes, and about the one setting in
which they differ; everything else that was asked for is the same, and is noted as it was. Taking a vote back is a
line of its own.

    {"at": "…", "kind": "vote", "id": "…", "trial": 7, "who": "ada", "by": "prompt",
     "left": {"key": "k1:…", "sha256": "…", "value": "drift"}, "right": {…},
     "held": {"seed": 3, "image": "harbour.jpg", …}, "shown": "full", "choice": "left", "ms": 4200, "plays": 2}
    {"at": "…", "kind": "undo", "id": "…", "of": "…", "who": "ada"}
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast, get_args

from seedance_lab.errors import StudyError
from seedance_lab.judging import lines

if TYPE_CHECKING:
    import pandas as pd

FILE = "votes.jsonl"

Choice = Literal["left", "right", "tie", "bad"]
"""`bad`: neither is any good. It says no more of the setting than a tie, and is counted as one."""
CHOICES: tuple[str, ...] = get_args(Choice)


class Side(NamedTuple):
    """One clip of a pair.

    Attributes:
        key: Of its request.
        sha256: Of the file that was shown.
        value: Of the setting that is judged, as JSON; None where it was not given.
    """

    key: str
    sha256: str
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One vote.

    Attributes:
        id: Its own.
        trial: Which pair of the sitting it was, from 1.
        at: When, aware UTC.
        who: Who voted.
        by: The setting in which the clips differ.
        left, right: What was shown where.
        held: What was the same, by the frame's names; pictures by file name, with `image_sha256`.
        shown: `full`, or `proxy` where a browser cannot show the file.
        choice: What was said.
        ms: Milliseconds from showing to saying, pauses not counted.
        plays: How often the pair was played.
    """

    id: str
    trial: int
    at: dt.datetime
    who: str
    by: str
    left: Side
    right: Side
    held: Mapping[str, Any]
    shown: str
    choice: Choice
    ms: int
    plays: int

    @property
    def pair(self) -> tuple[str, str]:
        """The two keys, whatever their sides."""
        return (min(self.left.key, self.right.key), max(self.left.key, self.right.key))


class Votes(NamedTuple):
    """The votes that hold, and the lines that cannot be read."""

    held: list[Vote]
    damaged: tuple[int, ...]


def read(folder: Path) -> Votes:
    """Every vote that was not taken back, in order. Works while others are voting.

    Raises:
        StudyError: The file cannot be opened.
    """
    told = lines.read(folder / FILE)
    found: dict[str, Vote] = {}
    damaged = list(told.damaged)
    for line in told.lines:
        try:
            if line.kind == "undo":
                found.pop(str(line.data["of"]), None)
            elif line.kind == "vote":
                vote = _vote(line)
                found[vote.id] = vote
        except (KeyError, TypeError, ValueError):
            damaged.append(line.n)
    return Votes(list(found.values()), tuple(sorted(damaged)))


def add(
    folder: Path,
    *,
    trial: int,
    who: str,
    by: str,
    left: Side,
    right: Side,
    held: Mapping[str, Any],
    choice: str,
    shown: str = "full",
    ms: int = 0,
    plays: int = 0,
) -> Vote:
    """Write a vote; on the disk when this returns. See `Vote` for the arguments.

    Raises:
        StudyError: There is no such choice, or it could not be written. Then it does not count.
    """
    if choice not in CHOICES:
        raise StudyError(f"choice={choice!r} is not one of {', '.join(CHOICES)}. Nothing was written.")
    if left.key == right.key:
        raise StudyError(
            f"Both sides are {left.key}: a clip cannot be held against itself. Nothing was written."
        )
    data = {
        "id": uuid.uuid4().hex,
        "trial": trial,
        "who": who,
        "by": by,
        "left": left._asdict(),
        "right": right._asdict(),
        "held": dict(held),
        "shown": shown,
        "choice": choice,
        "ms": ms,
        "plays": plays,
    }
    return _vote(lines.append(folder / FILE, "vote", data))


def undo(folder: Path, vote: Vote) -> None:
    """Take a vote back: a line that says so.

    Raises:
        StudyError: It could not be written; the vote still counts.
    """
    lines.append(folder / FILE, "undo", {"id": uuid.uuid4().hex, "of": vote.id, "who": vote.who})


def _vote(line: lines.Line) -> Vote:
    data = line.data
    if data["choice"] not in CHOICES:
        raise ValueError("no choice")
    return Vote(
        id=str(data["id"]),
        trial=int(data["trial"]),
        at=line.at,
        who=str(data["who"]),
        by=str(data["by"]),
        left=_side(data["left"]),
        right=_side(data["right"]),
        held=dict(data["held"]),
        shown=str(data.get("shown", "full")),
        choice=cast("Choice", data["choice"]),
        ms=int(data["ms"]),
        plays=int(data["plays"]),
    )


def _side(data: Mapping[str, Any]) -> Side:
    return Side(str(data["key"]), str(data["sha256"]), data["value"])


# ── as a table ──────────────────────────────────────────────────────────────────────────────────────────

_DTYPES = {
    "vote": "string",
    "trial": "Int64",
    "at": "datetime64[ms, UTC]",
    "who": "string",
    "by": "string",
    "left": "string",
    "right": "string",
    "left_value": "object",
    "right_value": "object",
    "choice": "string",
    "block": "string",
    "ms": "Int64",
    "plays": "Int64",
    "shown": "string",
    "held": "string",
    "left_sha256": "string",
    "right_sha256": "string",
}


def table(found: Votes) -> pd.DataFrame:
    """One row a vote that holds; a warning names lines that cannot be read.

    Returns:
        `vote`, `trial`, `at`, `who`, `by`, `left` and `right` (keys), `left_value` and `right_value` (of the setting
        `by`), `choice`, `block` (picture and seed), `ms`, `plays`, `shown`, `held` (JSON), `left_sha256`,
        `right_sha256`; `df.attrs["damaged"]` has the numbers of lines that cannot be read.
    """
    import pandas as pd

    if found.damaged:
        warnings.warn(damage(found.damaged), stacklevel=3)
    rows = [_row(vote) for vote in found.held]
    # Each column with its type at once: a guess makes NaN of None, and 5.0 of 5 beside it.
    df = pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=_DTYPES[name]) for name in _DTYPES})
    df.attrs["damaged"] = list(found.damaged)
    return df


def _row(vote: Vote) -> dict[str, Any]:
    return {
        "vote": vote.id,
        "trial": vote.trial,
        "at": vote.at,
        "who": vote.who,
        "by": vote.by,
        "left": vote.left.key,
        "right": vote.right.key,
        "left_value": vote.left.value,
        "right_value": vote.right.value,
        "choice": vote.choice,
        "block": block(vote.held),
        "ms": vote.ms,
        "plays": vote.plays,
        "shown": vote.shown,
        "held": json.dumps(dict(vote.held), sort_keys=True, ensure_ascii=False),
        "left_sha256": vote.left.sha256,
        "right_sha256": vote.right.sha256,
    }


def block(held: Mapping[str, Any]) -> str:
    """What the clips of a pair share and others do not: picture and seed. They make a pair easy or hard."""
    sha256 = held.get("image_sha256")
    # Two pictures may have one name.
    picture = f"{held.get('image') or 'picture'} ({str(sha256)[:6]})" if sha256 else "no picture"
    return f"{picture}, seed {held.get('seed')}" if held.get("seed") is not None else picture


def damage(numbers: Sequence[int]) -> str:
    """What to say of lines that cannot be read."""
    shown = ", ".join(str(n) for n in numbers[:5]) + (", …" if len(numbers) > 5 else "")
    which = f"Line {shown}" if len(numbers) == 1 else f"Lines {shown}"
    return f"{which} of {FILE} cannot be read and {'is' if len(numbers) == 1 else 'are'} left out; the rest counts"


def shares(found: Sequence[Vote]) -> dict[tuple[str, str], tuple[float, int]]:
    """How often each clip was chosen, of the votes it was in, and how many these are.

    A tie counts half for each; of two that are both bad none was chosen.

    Returns:
        By key and sha256: a file that was made anew since is another clip.
    """
    won: dict[tuple[str, str], float] = {}
    n: dict[tuple[str, str], int] = {}
    for vote in found:
        for side, name in ((vote.left, "left"), (vote.right, "right")):
            worth = 0.5 if vote.choice == "tie" else float(vote.choice == name)
            file = side.key, side.sha256
            won[file] = won.get(file, 0.0) + worth
            n[file] = n.get(file, 0) + 1
    return {file: (won[file] / n[file], n[file]) for file in won}
