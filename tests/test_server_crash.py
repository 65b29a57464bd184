"""kill -9 of the engine loses nothing and bills nothing twice: a sample of what `server_crash_matrix` tries."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.conftest import REPO

MATRIX = REPO / "tests" / "server_crash_matrix.py"
MUTANTS = {
    "answer-first": "lost, it is not in the history",
    "begin-is-the-end": "its result has no clip",
    "cancel-in-memory": "cancelled in the queue, and run",
    "cancellation-forgotten": "ended with 200, wanted {499}",
    "charge-apart": "ended with 200 and 0 charges",
    "charge-twice": "ended with 200 and 2 charges",
    "record-before-bytes": "is not that",
    "requeue-forgotten": "accepted, and never finished",
    "webhook-noted-first": "nobody was told of its end",
}
"""What is said of each engine that is broken."""


def matrix(*options: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, str(MATRIX), *options], capture_output=True, text=True, timeout=600, cwd=REPO
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


def test_dying_at_durable_steps_loses_nothing_and_bills_nothing_twice() -> None:
    """Each twentieth of the named cases; the first playing finds the steps."""
    code, told = matrix("--every", "20", "--kills", "0")
    assert told["wrong"] == []
    assert told["cases"] >= 5
    assert code == 0


def test_dying_at_random_moments_under_load_loses_nothing_and_bills_nothing_twice() -> None:
    """What is asserted holds whenever it dies; only how much was under way depends on the moment."""
    code, told = matrix("--every", "0", "--kills", "6")
    assert told["wrong"] == []
    assert {name: tallies["kills"] for name, tallies in told["storms"].items()} == {"stub": 6, "real": 1}
    assert code == 0


@pytest.fixture(scope="module")
def broken() -> dict[str, Any]:
    code, told = matrix("--mutant", *MUTANTS)
    assert code == 1
    return told


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_matrix_turns_red_for_an_engine_that_is_broken(mutant: str, broken: dict[str, Any]) -> None:
    """A check that cannot fail proves nothing; and it fails for the reason that it should."""
    assert mutant in broken["red"]
    assert any(what.startswith(f"{mutant}: ") and MUTANTS[mutant] in what for what in broken["wrong"])
