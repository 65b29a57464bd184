"""A process that dies at any journal line pays for nothing twice and loses nothing; the mutants show the teeth."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.conftest import REPO

MATRIX = REPO / "tests" / "crash_matrix.py"


def matrix(*options: str) -> tuple[int, dict[str, Any]]:
    """In a process without threads: the matrix forks."""
    done = subprocess.run(
        [sys.executable, str(MATRIX), *options], capture_output=True, text=True, timeout=600, cwd=REPO
    )
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("in_flight", ["1", "3"])
def test_dying_before_during_and_after_every_line_pays_once_and_loses_nothing(in_flight: str) -> None:
    code, told = matrix("--in-flight", in_flight)
    assert told == {"cases": 48, "wrong": []}
    assert code == 0


@pytest.mark.parametrize("mutant", ["intent-after-post", "resend-leftover", "keep-torn-tail"])
def test_the_matrix_turns_red_for_a_runner_that_is_broken(mutant: str) -> None:
    """A check that cannot fail proves nothing."""
    code, told = matrix("--mutant", mutant)
    assert told["wrong"]
    assert code == 1
