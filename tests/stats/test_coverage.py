"""Over many simulated sweeps: the truth lies in the intervals as often as they say.

The simulations are those of `benchmarks/coverage.py`, fewer of them. With 300 sweeps a true share of 95 % strays by
1.26 points (its standard deviation), so four of those are allowed: 90 % to 100 %, and 0 % to 10 % false alarms.
Tests at the noise of a whole sweep, unpaired, or with the wrong degrees of freedom leave these bounds.
"""

from __future__ import annotations

import math
import runpy
from pathlib import Path
from typing import Any

import pytest

N = 300
STRAY = 4 * math.sqrt(0.95 * 0.05 / N)
COVERAGE = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "coverage.py"))
KINDS = {sweep.name: sweep for sweep in COVERAGE["KINDS"]}


@pytest.mark.parametrize(
    "name",
    [
        "15 % of the clips failed",
        "half of the 720p clips not run",
        "4 seeds, no other setting",
        "8 seeds, lognormal",
        "the effect differs by seed (2 s)",
    ],
)
def test_compare_holds_the_truth_and_raises_no_false_alarms(name: str) -> None:
    found: Any = COVERAGE["simulate"](KINDS[name], N, seed=11, models=False)
    assert abs(found.bias_s) < 0.4
    assert found.held > 0.95 - STRAY
    assert found.alarms < 0.05 + STRAY


@pytest.mark.parametrize("name", ["15 % of the clips failed", "lognormal noise"])
def test_effects_holds_the_truth_and_raises_no_false_alarms(name: str) -> None:
    """A third of the simulations, each of which takes longer; so the bounds are wider."""
    n, stray = N // 3, STRAY * math.sqrt(3)
    found: Any = COVERAGE["simulate"](KINDS[name], n, seed=12)
    assert found.held_effects > 0.95 - stray
    assert found.held_share > 0.95 - stray
    assert found.alarms_effects < 0.05 + stray
    assert found.alarms_any < 0.05 + stray
