"""The panel and the sheet in a real JupyterLab and a real browser."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from view_fakes import write_study
from view_jupyter import JupyterLab

from seedance_lab.plan import Plan
from seedance_lab.study import Study

PLAYS = """async video => {
  video.muted = true;
  await video.play();
  const until = performance.now() + 10000;
  while (performance.now() < until) {
    if (video.videoWidth > 0 && video.currentTime > 0.2) return [video.videoWidth, video.currentTime];
    await new Promise(done => setTimeout(done, 50));
  }
  return [video.videoWidth, video.currentTime];
}"""


def assert_plays(page: Page, selector: str) -> None:
    width, seconds = page.locator(selector).first.evaluate(PLAYS)
    assert width > 0
    assert seconds > 0.2


def button(page: Page, words: str) -> object:
    return page.locator(".seedance-lab-panel button").filter(has_text=re.compile(f"^ ?{words}$"))


def test_a_sweep_by_hand_from_the_first_key_to_a_playing_video(
    jupyter: JupyterLab, tmp_path: Path, data: Path
) -> None:
    jupyter.write(
        "panel.ipynb",
        "import seedance_lab as lab\n"
        f"study = lab.Study({str(tmp_path / 's')!r}, track=False)\n"
        f"lab.panel(study, image={str(data / 'harbour_dusk.jpg')!r}, resolution='480p', duration=2)",
    )
    with jupyter.opened("panel.ipynb") as page:
        shown = page.locator(".seedance-lab-panel")
        expect(shown).to_contain_text("2 requests · 4 s of video · $0.00 here, free engine")
        page.get_by_label("Seeds").fill("1-3")
        expect(shown).to_contain_text("3 requests · 6 s of video")
        page.get_by_label("Duration (s)").fill("13")
        expect(shown.get_by_role("alert")).to_contain_text("it takes 2 to 12")
        expect(button(page, "Run")).to_be_disabled()
        page.get_by_label("Duration (s)").fill("2")
        # A shortcut of the notebook must not fire while a person types: "b" inserts a cell, "dd" deletes one.
        page.get_by_label("Prompt").fill("")
        page.get_by_label("Prompt").press_sequentially("boats bob, dd")
        assert page.locator(".jp-Notebook .jp-Cell").count() == 1
        button(page, "Run").click()
        expect(page.locator(".seedance-lab-sheet video")).to_have_count(3, timeout=60_000)
        expect(shown).to_contain_text("3 of 3 saved")
        expect(shown).to_contain_text("all made already")
        assert_plays(page, ".seedance-lab-sheet video")
        button(page, "As code").click()
        expect(shown).to_contain_text("seed=range(1, 4)")
        saved = jupyter.saved(page, "panel.ipynb")
    outputs = saved["cells"][0]["outputs"]
    assert sum("<video " in "".join(o.get("data", {}).get("text/html", "")) for o in outputs) == 1
    assert len(Study(tmp_path / "s", track=False).clips()) == 3


def test_stop_begins_nothing_new(jupyter: JupyterLab, tmp_path: Path, data: Path) -> None:
    jupyter.write(
        "stop.ipynb",
        "import seedance_lab as lab\n"
        f"study = lab.Study({str(tmp_path / 's')!r}, track=False)\n"
        f"lab.panel(study, image={str(data / 'coffee.jpg')!r}, resolution='480p', duration=2, seed='1-60',\n"
        "    in_flight=1)",
    )
    with jupyter.opened("stop.ipynb") as page:
        button(page, "Run").click()
        expect(page.locator(".seedance-lab-sheet")).to_contain_text("in flight")
        button(page, "Stop").click()
        expect(page.locator(".seedance-lab-panel")).to_contain_text("not made", timeout=30_000)
        expect(button(page, "Run")).to_be_enabled()
    study = Study(tmp_path / "s", track=False)
    assert len(study.clips()) < 60
    assert not study.unknown


@pytest.mark.parametrize("width", [400, 1400])
def test_a_sheet_plays_and_only_the_table_scrolls_sideways(
    jupyter: JupyterLab, tmp_path: Path, plan: Plan, width: int
) -> None:
    write_study(tmp_path / "s", plan, ["saved", "failed"])
    jupyter.write(
        f"show{width}.ipynb",
        "import seedance_lab as lab\n"
        f"lab.show(lab.Study({str(tmp_path / 's')!r}, track=False), rows='seed', cols='resolution')",
    )
    with jupyter.opened(f"show{width}.ipynb", width=width) as page:
        sheet = page.locator(".seedance-lab-sheet")
        expect(sheet.locator("video")).to_have_count(3)
        assert_plays(page, ".seedance-lab-sheet video")
        assert sheet.evaluate("e => e.scrollWidth <= e.clientWidth")
        assert sheet.locator("mjx-container").count() == 0


def test_a_colleague_sees_the_videos_without_a_kernel_and_without_trust(
    jupyter: JupyterLab, tmp_path: Path, plan: Plan
) -> None:
    """The sanitiser has taken out what it does not like; what is left must still play."""
    import seedance_lab as lab

    study = write_study(tmp_path / "s", plan, ["saved", "refused"])
    path = jupyter.write("mailed.ipynb", "1")
    notebook = json.loads(path.read_text())
    data = {"text/html": lab.show(study, return_html=True), "text/plain": "clips"}
    notebook["cells"][0]["outputs"] = [{"output_type": "display_data", "data": data, "metadata": {}}]
    path.write_text(json.dumps(notebook))
    with jupyter.opened("mailed.ipynb", run=False) as page:
        assert not page.evaluate("() => jupyterapp.shell.currentWidget.content.widgets[0].model.trusted")
        expect(page.locator(".seedance-lab-sheet video")).to_have_count(3)
        expect(page.locator(".seedance-lab-sheet")).to_contain_text("not today")
        assert_plays(page, ".seedance-lab-sheet video")


def test_a_run_in_a_cell_shows_a_bar_and_leaves_one_line(
    jupyter: JupyterLab, tmp_path: Path, data: Path
) -> None:
    jupyter.write(
        "run.ipynb",
        "import seedance_lab as lab\n"
        f"study = lab.Study({str(tmp_path / 's')!r}, track=False)\n"
        f"plan = lab.sweep(image={str(data / 'coffee.jpg')!r}, prompt='steam rises', resolution='480p', duration=2,\n"
        "    seed=[1, 2, 3])\n"
        "run = study.run(plan)",
    )
    with jupyter.opened("run.ipynb") as page:
        page.locator(".jp-OutputArea-output [role=progressbar]").wait_for()
        expect(page.locator(".jp-OutputArea-output")).to_contain_text("3 of 3 saved", timeout=60_000)
        expect(page.locator(".jp-OutputArea-output [role=progressbar]")).to_have_count(0)
        saved = jupyter.saved(page, "run.ipynb")
    assert len(saved["cells"][0]["outputs"]) == 1
