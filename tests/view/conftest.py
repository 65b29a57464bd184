"""What the tests of the views share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright
from view_fakes import make_picture
from view_jupyter import CHROMIUM, JupyterLab
from view_pages import Pages

from seedance_lab.plan import Plan, sweep

expect.set_options(timeout=30_000)  # a machine with other work draws late


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


def _need_chromium() -> None:
    """It is there, or the test is skipped; in CI it fails a little later."""
    if CHROMIUM is None and not os.environ.get("CI"):
        pytest.skip("there is no Chromium here; apt-get install chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser without a notebook around it."""
    _need_chromium()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, headless=True, args=["--no-sandbox", "--disable-gpu"]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def pages(browser: Browser) -> Iterator[Pages]:
    """Opens pages in it; whatever they complain of fails the test."""
    made = Pages(browser)
    yield made
    made.close()
    assert made.complaints == []


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterLab]:
    """One JupyterLab and one browser for all tests of a module that need them.

    Not for the whole session: Playwright's loop would still be running in later modules' thread. Without a
    browser these tests are skipped on a person's machine, and fail in CI.
    """
    _need_chromium()
    with JupyterLab(tmp_path_factory.mktemp("jupyter")) as lab:
        yield lab


@pytest.fixture(scope="session")
def data() -> Path:
    """The pictures that come with the repository."""
    return Path(__file__).parents[2] / "data"
