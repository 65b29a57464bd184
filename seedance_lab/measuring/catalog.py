"""Which measures there are, and which part of the pass takes them."""

from __future__ import annotations

from seedance_lab.measuring import conformance, events, faithful, learned, motion, picture, steadiness
from seedance_lab.measuring.parts import Part
from seedance_lab.measuring.spec import Measure

PARTS: tuple[Part, ...] = (
    Part(conformance.MEASURES, conformance.Collector),
    Part(faithful.MEASURES, faithful.Collector),
    Part(motion.MEASURES, motion.Collector, aside=True),
    Part(steadiness.MEASURES, steadiness.Collector),
    Part(events.MEASURES, events.Collector),
    Part(picture.MEASURES, picture.Collector),
    Part(learned.MEASURES, learned.Collector),
)
"""In the order of the columns."""

BUILT_IN: dict[str, Measure] = {measure.name: measure for part in PARTS for measure in part.measures}
"""Every measure of this package, by name."""

STANDARD: frozenset[str] = frozenset(m.name for m in BUILT_IN.values() if m.tier == "standard")
"""What is on by default."""

FULL: frozenset[str] = frozenset(m.name for m in BUILT_IN.values() if m.tier != "extra")
"""What needs no extra package."""
