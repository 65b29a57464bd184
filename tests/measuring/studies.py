"""Studies with films in them, written by a test; and a measure that counts how often it is taken."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from seedance_lab import media
from seedance_lab.clip import file_name
from seedance_lab.measuring import custom
from seedance_lab.plan import Plan
from seedance_lab.request import Request
from tests.measuring.films import write
from tests.tracked import Tracked


def film(path: Path, level: int, n: int = 12) -> Path:
    """A small clip of a level that gets a little brighter, without loss."""
    return write(path, [np.full((96, 128), level + i, np.uint8) for i in range(n)], crf=0)


class Filmed(Tracked):
    """A pass whose clips are films of different levels."""

    def save_film(self, request: Request, level: int) -> Path:
        """One request comes to its end with such a film."""
        self.accept(request)
        result = {"video": {"url": "https://cdn.invalid/a.mp4"}, "seed": request.seed}
        self.say("finished", request.key, run=self.run, result=result, metrics={}, billable_units=None)
        path = film(self.folder / "clips" / file_name(request.key), level)
        self.say(
            "saved",
            request.key,
            run=self.run,
            file=f"clips/{path.name}",
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            download_s=0.01,
            **media.facts(path)._asdict(),
        )
        return path


def made(folder: Path, plan: Plan, *, levels: Iterable[int] | None = None, track: bool = False) -> list[Path]:
    """A study in which the whole plan came to its end, each clip with a level of its own."""
    with Filmed(folder, plan, track=track) as one:
        given = levels if levels is not None else range(40, 40 + 20 * len(plan), 20)
        return [one.save_film(request, level) for request, level in zip(plan, given, strict=False)]


def counted(log: Path, *, version: int = 1) -> None:
    """Declare the measure `brightness`, which notes each of its uses in a file."""
    where = str(log)

    def brightness(clip: object) -> float:
        """Level of the first picture"""
        import av

        with open(where, "a") as file:  # noqa: PTH123  # works in a worker too
            file.write("taken\n")
        with av.open(str(clip.path)) as container:  # type: ignore[attr-defined]
            picture = next(container.decode(video=0)).to_ndarray(format="gray")
        return float(picture.mean())

    custom.new_measure(of="clip", unit="levels", version=version)(brightness)


def uses(log: Path) -> int:
    """How often it was taken."""
    return len(log.read_text().splitlines()) if log.exists() else 0


__all__ = ["Filmed", "counted", "film", "made", "uses"]
