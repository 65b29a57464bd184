"""A fifth of all answers broken, and the engine and the client killed at random: all finish, nothing is paid twice.

A sample; `python tests/kill_matrix.py --faults --requests 1000 --engine-too --kills 60` is the whole.
"""

from __future__ import annotations

from tests.test_kill import matrix


def test_faults_and_deaths_together_make_no_duplicate_and_lose_nothing() -> None:
    """What settles a lost answer is itself broken in a fifth of all cases, or dies half-way."""
    code, told = matrix(
        "--faults", "--requests", "24", "--kills", "5", "--seed", "3", "--engine-too", "--no-track"
    )
    assert told["told"] == []
    assert (told["paid twice"], told["lost"], code) == (0, 0, 0)
    assert told["requests"] == 24
    assert told["of the engine"] > 0
