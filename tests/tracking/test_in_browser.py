"""MLflow's own page in a real browser: what is tracked is worth opening."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from seedance_lab.plan import Plan
from tests.tracked import Books, Tracked
from tests.tracking.servers import Mlflow

PLAYS = """async video => {
  video.muted = video.loop = true;
  await video.play();
  const until = performance.now() + 10000;
  while (performance.now() < until) {
    if (video.videoWidth > 0 && video.currentTime > 0.1) break;
    await new Promise(done => setTimeout(done, 20));
  }
  return [video.videoWidth, video.currentTime];
}"""
SHOWN = """image => image.decode().then(() => image.naturalWidth)"""
PATIENCE_MS = 30_000


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        chromium = (
            shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        )
        assert chromium is not None, "there is no Chromium here; apt-get install chromium"
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1700, "height": 1200})
        page.set_default_timeout(PATIENCE_MS)
        yield page
        browser.close()


@pytest.fixture
def server(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that keeps the files itself, as a team's does."""
    mlflow = Mlflow(tmp_path / "server", store).start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow.url)
    yield mlflow.url
    mlflow.kill()


def test_the_pages_of_a_sweep_show_it(server: str, study: Path, plan: Plan, page: Page) -> None:
    """The clip plays, the table is a table, the sheet is a picture; a failure says why, in the first lines."""
    expect.set_options(timeout=PATIENCE_MS)
    with Tracked(study, plan) as one:
        one.save(*plan[:3])
        one.fail(plan[3])
        (study / "report.html").write_text("<p>the report of the study</p>")
    assert one.tracker.warning is None
    books = Books(server)
    (parent,) = books.parents
    experiment = f"{server}/#/experiments/{parent.info.experiment_id}/runs"

    page.goto(f"{experiment}/{books.of(plan[0]).info.run_id}/artifacts/clip.mp4")
    page.locator("video").wait_for(state="attached")
    width, seconds = page.locator("video").evaluate(PLAYS)
    assert width == 64
    assert seconds > 0.1

    page.goto(f"{experiment}/{books.of(plan[3]).info.run_id}")
    expect(page.get_by_text("prompt: not allowed (content_policy_violation)")).to_be_visible()

    page.goto(f"{experiment}/{parent.info.run_id}")
    expect(page.get_by_text("3 of 4 saved, 1 without a clip")).to_be_visible()
    sheet = page.locator("img[src*='contact_sheet.jpg']")
    sheet.wait_for(state="attached")
    assert sheet.evaluate(SHOWN) > 400

    page.goto(f"{experiment}/{parent.info.run_id}/artifacts/results.csv")
    expect(page.get_by_text("Previewing the first 4 rows")).to_be_visible()
    for name in ("duration", "seed", "stage"):
        expect(
            page.get_by_role("columnheader", name=name).or_(page.locator("th", has_text=name)).first
        ).to_be_visible()
