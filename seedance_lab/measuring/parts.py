"""What a part of the pass is: measures that are taken together, and who takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from seedance_lab.measuring.asked import Asked
from seedance_lab.measuring.decode import Frame, Video
from seedance_lab.measuring.spec import Found, Measure


class Collector(Protocol):
    """Looks at every frame once, then says what it found."""

    def see(self, frame: Frame) -> None:
        """One more frame, in the order of showing; who keeps it keeps its samples in memory."""

    def found(self) -> Found:
        """A value, or the reason why there is none, for each measure of its module that was wanted."""


class Part(NamedTuple):
    """Measures that are taken together.

    Attributes:
        measures: What it can take.
        collector: Makes one for a clip, given the names that are wanted (those of other parts among them).
        aside: Whether it is much work and needs `Frame.small` only: then it gets a thread of its own.
    """

    measures: tuple[Measure, ...]
    collector: Callable[[Video, Asked, frozenset[str]], Collector]
    aside: bool = False
