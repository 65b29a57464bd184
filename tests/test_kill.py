"""A real sweep that is killed at random moments pays for nothing twice and loses nothing; mutants show the teeth.

A sample; `python tests/kill_matrix.py --kills 200` and `--engine-too` are the whole.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import seedance_lab as lab
from seedance_lab.journal import read
from tests.conftest import REPO

MATRIX = REPO / "tests" / "kill_matrix.py"


def matrix(*options: str) -> tuple[int, dict[str, Any]]:
    """In a process without threads: the matrix forks."""
    done = subprocess.run(
        [sys.executable, str(MATRIX), "--json", *options],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=REPO,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


def test_a_sweep_that_is_killed_again_and_again_pays_once_and_loses_nothing() -> None:
    """SIGKILL in whatever library it is in, MLflow's thread among them; `crash_matrix` dies at exact lines only."""
    code, told = matrix("--kills", "4", "--seed", "7")
    assert told["told"] == []
    assert (told["paid twice"], told["lost"], code) == (0, 0, 0)
    assert told["of the client"] == 4


def test_an_engine_that_is_killed_as_well_changes_nothing() -> None:
    """Then answers are lost on both sides, and the service's own books come back from its disk."""
    code, told = matrix("--kills", "5", "--seed", "4", "--engine-too")
    assert told["told"] == []
    assert (told["paid twice"], told["lost"], code) == (0, 0, 0)
    assert told["of the engine"] > 0
    assert told["of the client"] > 0


@pytest.mark.parametrize("mutant", ["resend-leftover", "intent-after-post", "adopt-any"])
def test_the_matrix_turns_red_for_a_runner_that_is_broken(mutant: str) -> None:
    """A check that cannot fail proves nothing."""
    code, told = matrix("--kills", "25", "--seed", "5", "--mutant", mutant, "--no-track", "--requests", "12")
    assert told["told"]
    assert code == 1


ENDING = """
import sys, time; from pathlib import Path
import seedance_lab as lab
plan = lab.sweep(image=Path(sys.argv[2]), prompt="ending", duration=2, resolution="480p", seed=range(400))
study = lab.Study(sys.argv[3], engine=sys.argv[1], track=False)
study.start(plan, in_flight=3)
while not any(record.stage == "saved" for record in study.records().values()):
    time.sleep(0.01)
"""


def test_a_script_that_ends_in_the_middle_of_a_run_leaves_it_as_if_told_to(
    served: str, picture: bytes, tmp_path: Path
) -> None:
    """At `atexit` Python has taken its thread pools away: lines would not reach the disk, the engine not be closed."""
    (tmp_path / "p.png").write_bytes(picture)
    subprocess.run(
        [sys.executable, "-c", ENDING, served, str(tmp_path / "p.png"), str(tmp_path / "study")],
        check=True,
        timeout=60,
        cwd=REPO,
    )
    last = read(tmp_path / "study" / "journal.jsonl")[-1]
    assert (last.kind, last.data["why"]) == ("ended", None)
    assert not {r.stage for r in lab.Study(tmp_path / "study").records().values()} & {"sending", "unknown"}
