"""Which measures there are, and which part of the pass takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from seedance_lab.measuring import conformance, events, faithful, motion, picture, steadiness
from seedance_lab.measuring.asked import Asked
from seedance_lab.measuring.decode import Frame, Video
from seedance_lab.measuring.spec import Found, Measure


class Collector(Protocol):
    """Looks at every frame once, then says what it found."""

    def see(self, frame: Frame) -> None:
        """One more frame, in the order of showing; its planes are gone afterwards."""

    def found(self) -> Found:
        """A value, or the reason why there is none, for each measure of its module that was wanted."""


class Part(NamedTuple):
    """Measures that are taken together.

    Attributes:
        measures: What it can take.
        collector: Makes one for a clip, given the names that are wanted (those of other parts among them).
    """

    measures: tuple[Measure, ...]
    collector: Callable[[Video, Asked, frozenset[str]], Collector]


PARTS: tuple[Part, ...] = (
    Part(conformance.MEASURES, conformance.Collector),
    Part(faithful.MEASURES, faithful.Collector),
    Part(motion.MEASURES, motion.Collector),
    Part(steadiness.MEASURES, steadiness.Collector),
    Part(events.MEASURES, events.Collector),
    Part(picture.MEASURES, picture.Collector),
)
"""In the order of the columns."""

BUILT_IN: dict[str, Measure] = {measure.name: measure for part in PARTS for measure in part.measures}
"""Every measure of this package that needs nothing but the file and what was asked for, by name."""

STANDARD: frozenset[str] = frozenset(m.name for m in BUILT_IN.values() if m.tier == "standard")
"""What is on by default."""
