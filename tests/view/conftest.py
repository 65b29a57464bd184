"""What the tests of the views share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from view_fakes import make_picture
from view_jupyter import CHROMIUM, JupyterLab

from seedance_lab.plan import Plan, sweep


@pytest.fixture(autouse=True)
def _nobody_chose_a_front_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tested must not depend on how pytest was started."""
    monkeypatch.delenv("SEEDANCE_LAB_UI", raising=False)
    monkeypatch.delenv("SEEDANCE_LAB_ENGINE", raising=False)


@pytest.fixture
def picture() -> bytes:
    return make_picture()


@pytest.fixture
def plan(picture: bytes) -> Plan:
    """Two seeds by two resolutions."""
    return sweep(image=picture, prompt="the boats part", seed=[1, 2], resolution=["480p", "720p"], duration=2)


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterLab]:
    """One JupyterLab and one browser for all tests of a module that need them.

    Not for the whole session: Playwright's loop would still be running in later modules' thread. Without a
    browser these tests are skipped on a person's machine, and fail in CI.
    """
    if CHROMIUM is None and not os.environ.get("CI"):
        pytest.skip("there is no Chromium here; apt-get install chromium")
    with JupyterLab(tmp_path_factory.mktemp("jupyter")) as lab:
        yield lab


@pytest.fixture(scope="session")
def data() -> Path:
    """The pictures that come with the repository."""
    return Path(__file__).parents[2] / "data"
