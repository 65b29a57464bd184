"""Votes and pools that nobody made, for tests."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import pandas as pd

from seedance_lab.judging.pairs import Candidate, Shown
from seedance_lab.judging.votes import Choice, Side, Vote, Votes, table

AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
BASE: dict[str, Any] = {
    "endpoint": "lite",
    "prompt": "drift",
    "aspect_ratio": "16:9",
    "resolution": "480p",
    "duration": 5,
    "camera_fixed": False,
    "enable_safety_checker": True,
    "image": "harbour.jpg",
    "image_sha256": "a" * 64,
    "end_image": None,
    "end_image_sha256": None,
    "engine": "local",
    "seed": 0,
    "replicate": 0,
}


def clip(key: str, **settings: Any) -> Candidate:
    """A clip of 5 s and 864 × 480 pixels, unless `seconds`, `width`, `height` or `fps` say otherwise."""
    facts: dict[str, Any] = {"seconds": 5.0, "width": 864, "height": 480, "fps": 24.0}
    facts |= {name: settings.pop(name) for name in facts if name in settings}
    return Candidate(key, f"sha-{key}", {**BASE, **settings}, **facts)


def clips(
    by: str, values: Sequence[Any], seeds: Sequence[int | None] = (0, 1, 2), **same: Any
) -> list[Candidate]:
    """A full crossing of a setting's values with seeds."""
    return [
        clip(f"{value}-{seed}", **{by: value, "seed": seed}, **same) for seed in seeds for value in values
    ]


def vote(
    left: Any, right: Any, choice: Choice, *, seed: int = 0, who: str = "ada", by: str = "prompt", n: int = 0
) -> Vote:
    """A vote on two values of a setting."""
    return Vote(
        id=f"{who}-{left}-{right}-{choice}-{seed}-{n}",
        trial=n + 1,
        at=AT,
        who=who,
        by=by,
        left=Side(f"{left}-{seed}", f"sha-{left}-{seed}", left),
        right=Side(f"{right}-{seed}", f"sha-{right}-{seed}", right),
        held={**{k: v for k, v in BASE.items() if k != by}, "seed": seed},
        shown="full",
        choice=choice,
        ms=1000,
        plays=1,
    )


def of_shown(shown: Shown, choice: Choice, *, who: str = "ada", by: str = "prompt", n: int = 0) -> Vote:
    """A vote on a pair that was chosen."""
    left, right = shown.side(shown.left, by), shown.side(shown.right, by)
    return Vote(
        id=f"{who}-{n}",
        trial=n + 1,
        at=AT,
        who=who,
        by=by,
        left=left,
        right=right,
        held=shown.pair.held,
        shown="full",
        choice=choice,
        ms=1000,
        plays=1,
    )


def frame(votes: Sequence[Vote]) -> pd.DataFrame:
    """Votes as `study.votes()` gives them."""
    return table(Votes(list(votes), ()))
