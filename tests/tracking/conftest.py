"""A study, a plan of four and an empty store for the tests of what MLflow holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from seedance_lab.plan import Plan, sweep
from tests.tracked import fresh_store


@pytest.fixture
def store(tmp_path: Path) -> str:
    """An empty store where MLflow looks by default: the working folder."""
    return fresh_store(tmp_path)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return tmp_path / "study"


@pytest.fixture
def plan(picture: bytes) -> Plan:
    """Two durations by two seeds."""
    return sweep(image=picture, prompt="the boats drift", duration=[2, 5], resolution="480p", seed=range(2))
