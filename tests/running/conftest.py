"""What the tests of a pass share."""

from __future__ import annotations

from pathlib import Path

import pytest

from seedance_lab.plan import Plan, sweep
from tests.running.virtual import World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


@pytest.fixture
def plan(picture: bytes) -> Plan:
    return sweep(image=picture, prompt="boats", duration=2, resolution="480p", seed=range(3))


@pytest.fixture
def texts() -> Plan:
    """Requests that nothing but their text tells apart: no picture."""
    return sweep(prompt="boats", endpoint="lite-text", duration=2, resolution="480p", seed=range(2))
