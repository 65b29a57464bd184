"""A measure as data: what a number about a clip is called, means, and is good for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from seedance_lab.errors import MeasureError, near

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Floats = np.ndarray[Any, np.dtype[np.float64]]

Tier = Literal["standard", "full", "extra"]
Group = Literal["conformance", "faithfulness", "motion", "steadiness", "picture", "yours"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A number about a clip.

    Attributes:
        name: Column of the frame and metric of the MLflow run.
        unit: Of its values; empty for ratios and counts.
        low, high: Ends of its range; None where there is none.
        better: `more` or `less`; empty where neither is.
        doc: Its definition, in one line.
        source: Whose definition it is, and what it was held against.
        group: What it is about.
        tier: `standard` is on by default, `full` is asked for, `extra` is asked for by name and needs more packages.
        version: Counts up when the same file would give another number.
        of_request: Whether it depends on what was asked for, not on the file alone.
    """

    name: str
    unit: str
    doc: str
    group: Group
    low: float | None = None
    high: float | None = None
    better: Literal["more", "less", ""] = ""
    source: str = ""
    tier: Tier = "standard"
    version: int = 1
    of_request: bool = False


class Found(NamedTuple):
    """What was measured of one clip, or by one collector.

    Attributes:
        values: By measure name; finite.
        missing: Why a measure has no value, by measure name.
        series: Values over time, by name: shape (n, 2), seconds and value.
    """

    values: Mapping[str, float]
    missing: Mapping[str, str]
    series: Mapping[str, Floats]


def named(names: Iterable[str], known: Mapping[str, Measure]) -> frozenset[str]:
    """These names, all of them known.

    Raises:
        MeasureError: One is not.
    """
    asked = frozenset(names)
    for name in sorted(asked - known.keys()):
        raise MeasureError(
            f"There is no measure {name!r}.{near(name, known)} seedance_lab.measures() lists them."
        )
    return asked
