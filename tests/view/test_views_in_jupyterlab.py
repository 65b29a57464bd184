"""Grid and votes in a real JupyterLab and a real browser: filled by a run, played, rated, voted, saved, reopened."""

from __future__ import annotations

import contextlib
import json
import os
import re
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect
from playwright.sync_api import TimeoutError as Late
from view_fakes import wait_until, write_study
from view_jupyter import ROOT, JupyterLab

from seedance_lab.plan import Plan, sweep

AXE = ROOT / "tests" / "js" / "node_modules" / "axe-core" / "axe.min.js"
SHOTS = os.environ.get("SEEDANCE_LAB_SHOTS")  # a folder for pictures of what the tests saw

PLAYING = """n => {
  const all = [...document.querySelectorAll('.sl-grid .sl-video.sl-ready')];
  return all.length === n && all.every(v => v.videoWidth > 0 && v.currentTime > 0.2);
}"""
POSTERS = """n => [...document.querySelectorAll('.sl-grid .sl-poster')]
  .filter(i => !i.hidden && i.complete && i.naturalWidth > 0).length === n"""


def snap(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"lab-{name}.png"))


def opening(folder: Path) -> str:
    return f"import seedance_lab as lab\nstudy = lab.Study({str(folder)!r}, track=False, measure=False)\n"


def violations(page: Page, selector: str) -> list[Any]:
    page.add_script_tag(path=AXE)
    found: list[Any] = page.evaluate(
        "s => axe.run(s).then(r => r.violations.map(v => [v.id, v.nodes.map(n => n.html)]))", selector
    )
    return found


def test_cells_fill_while_a_run_goes_on_and_the_saved_notebook_keeps_the_pictures(
    jupyter: JupyterLab, tmp_path: Path, data: Path
) -> None:
    jupyter.write(
        "live.ipynb",
        opening(tmp_path / "s")
        + f"plan = lab.sweep(image={str(data / 'coffee.jpg')!r}, prompt='steam rises', resolution='480p', duration=2,\n"
        "    seed=range(4), camera_fixed=[True, False])\n"
        "run = study.start(plan)\n"
        "lab.show(run, rows='camera_fixed', cols='seed')",
    )
    with jupyter.opened("live.ipynb") as page:
        expect(page.locator(".sl-grid .sl-cell")).to_have_count(8)
        first = page.locator(".sl-grid .sl-cell").first.element_handle()
        expect(page.locator(".sl-counts")).to_have_text("8 clips", timeout=90_000)
        page.wait_for_function(POSTERS, arg=8)
        assert first is not None
        assert first.evaluate("el => el.isConnected"), "a cell is changed in place"
        expect(page.locator(".seedance-lab-sheet")).to_be_hidden()
        page.get_by_role("button", name="Play").first.click()
        page.wait_for_function(PLAYING, arg=8)
        snap(page, "live")
        expect(page.locator(".seedance-lab-sheet img")).to_have_count(8)  # the plain sheet is the final one
        saved = jupyter.saved(page, "live.ipynb")
    text = json.dumps(saved)
    assert len(text) < 1_000_000
    html = "".join(
        "".join(o["data"].get("text/html", "")) for o in saved["cells"][0]["outputs"] if "data" in o
    )
    assert html.count("<img ") == 8
    with jupyter.opened("live.ipynb", run=False) as page:
        expect(page.locator(".seedance-lab-sheet img")).to_have_count(8)
        expect(page.locator(".seedance-lab-sheet")).to_be_visible()
        snap(page, "reopened")


def test_the_grid_goes_on_being_looked_at_while_the_kernel_is_busy_and_when_it_is_gone(
    jupyter: JupyterLab, tmp_path: Path, plan: Plan
) -> None:
    write_study(tmp_path / "s", plan)
    flag = tmp_path / "flag"
    jupyter.write(
        "busy.ipynb",
        opening(tmp_path / "s") + "lab.show(study)",
        # A cell that runs until the test is done with it.
        f"import pathlib, time\nwhile not pathlib.Path({str(flag)!r}).exists(): time.sleep(0.05)",
    )
    with jupyter.opened("busy.ipynb") as page:
        page.wait_for_function("() => document.querySelectorAll('.sl-grid .sl-cell').length === 4")
        page.wait_for_function(POSTERS, arg=4)
        page.get_by_role("button", name="Play").first.click()
        page.wait_for_function(PLAYING, arg=4)
        page.locator(".sl-grid .sl-cell").first.click()
        expect(page.locator(".sl-compare video")).to_have_count(2)
        page.keyboard.press("Escape")
        flag.touch()
        page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
        expect(page.locator(".sl-lost")).to_contain_text("The kernel is gone")
        before = page.locator(".sl-video").first.evaluate("v => v.currentTime")
        page.wait_for_function(
            "t => Math.abs(document.querySelector('.sl-video').currentTime - t) > 0.2", arg=before
        )


def run_first_cell(page: Page) -> None:
    """By its key, until it is taken: a page that is still coming up hears no keys."""
    taken = page.locator(".jp-InputPrompt").filter(has_text=re.compile(r"[*\d]")).first
    for _ in range(10):
        page.locator(".jp-Cell .cm-content").first.click()
        page.keyboard.press("Control+Enter")
        with contextlib.suppress(Late):
            return taken.wait_for(timeout=5_000)
    raise AssertionError("the cell was never run")


def test_notebook_7_has_the_living_grid_too(jupyter: JupyterLab, tmp_path: Path, plan: Plan) -> None:
    write_study(tmp_path / "s", plan)
    jupyter.write("seven_living.ipynb", opening(tmp_path / "s") + "lab.show(study)")
    page = jupyter.browser.new_page()
    try:
        page.goto(f"{jupyter.base}/notebooks/seven_living.ipynb?token=tests")
        expect(page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").first).to_be_attached()
        run_first_cell(page)
        expect(page.locator(".sl-grid .sl-cell")).to_have_count(4)
        page.wait_for_function(POSTERS, arg=4)
        expect(page.locator(".seedance-lab-sheet")).to_be_hidden()
        page.get_by_role("button", name="Play").first.click()
        page.wait_for_function(PLAYING, arg=4)
        snap(page, "notebook7")
    finally:
        page.close()


def test_stars_by_key_are_in_the_study_and_no_key_reaches_the_notebook(
    jupyter: JupyterLab, tmp_path: Path, plan: Plan
) -> None:
    study = write_study(tmp_path / "s", plan)
    jupyter.write("rate.ipynb", opening(tmp_path / "s") + "lab.show(study, rows='seed', cols='resolution')")
    with jupyter.opened("rate.ipynb") as page:
        cells = page.locator(".sl-grid .sl-cell")
        expect(cells).to_have_count(4)
        cells.first.focus()
        page.keyboard.press("4")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("2")
        page.keyboard.press("b")  # picks; to the notebook it would be "insert a cell"
        expect(page.locator(".sl-pick.sl-picked")).to_have_attribute("data-letter", "B")
        assert page.locator(".jp-Notebook .jp-Cell").count() == 1
        wait_until(lambda: len(study.ratings()) == 2)
        snap(page, "rated")
        assert violations(page, ".sl-grid-view") == []
    assert sorted(study.ratings()["stars"]) == [2, 4]
    assert study.frame()["stars"].notna().sum() == 2


def test_a_layout_made_by_hand_is_the_kernels_and_a_saved_page_opens_from_disk(
    jupyter: JupyterLab, tmp_path: Path, plan: Plan
) -> None:
    write_study(tmp_path / "s", plan, ["saved", "saved", "failed", "saved"])
    path = tmp_path / "grid.html"
    jupyter.write(
        "page.ipynb",
        opening(tmp_path / "s") + "grid = lab.show(study, rows='seed', cols='resolution')",
        f"grid.save({str(path)!r})",
    )
    with jupyter.opened("page.ipynb") as page:
        expect(page.locator(".sl-grid .sl-cell")).to_have_count(4)
        page.get_by_role("button", name="Swap rows and columns").click()
        expect(page.locator(".sl-colhead").first).to_contain_text("seed")
        page.evaluate(
            """() => { const nb = jupyterapp.shell.currentWidget.content; nb.activeCellIndex = 1;
            jupyterapp.commands.execute('notebook:run-cell'); }"""
        )
        expect(page.locator(".jp-Cell").nth(1)).to_contain_text("grid.html:")
        page = jupyter.browser.new_page()
        page.goto(path.as_uri())
        expect(page.locator(".sl-colhead").first).to_contain_text("seed")
        expect(page.locator(".sl-counts")).to_have_text("3 clips · 1 failed")
        page.keyboard.press("Tab")
        page.get_by_role("button", name="Play").first.click()
        page.wait_for_function(PLAYING, arg=3)
        snap(page, "page")
        page.close()


def press(page: Page, key: str, *, n_before: int) -> None:
    """Press a key on the pair after so many votes, late enough not to be taken for one meant for the pair before."""
    view = page.locator(".sl-vote")
    expect(view).to_contain_text(f"{n_before} of 4 votes")
    expect(view).to_have_attribute("data-stage", "voting")
    page.wait_for_timeout(500)  # of the page's own clock: it passes over presses within 0.4 s
    view.focus()
    page.keyboard.press(key)


def test_votes_are_given_by_keys_written_at_once_and_told_at_the_end(
    jupyter: JupyterLab, tmp_path: Path, picture: bytes
) -> None:
    plan = sweep(
        image=picture,
        prompt=["boats drift", "boats hold still"],
        seed=[1, 2, 3],
        resolution="480p",
        duration=2,
    )
    study = write_study(tmp_path / "s", plan)
    jupyter.write(
        "vote.ipynb", opening(tmp_path / "s") + "lab.vote(study, by='prompt', n=4, voter='ann', seed=1)"
    )
    with jupyter.opened("vote.ipynb") as page:
        view = page.locator(".sl-vote")
        press(page, "ArrowLeft", n_before=0)
        expect(view).to_contain_text("1 of 4 votes")
        assert list(study.votes()["choice"]) == ["left"]
        assert violations(page, ".sl-vote") == []
        snap(page, "vote")
        press(page, "u", n_before=1)
        expect(view).to_contain_text("0 of 4 votes")
        assert len(study.votes()) == 0
        for n, key in enumerate(["ArrowLeft", "ArrowUp", "ArrowDown", "ArrowRight"]):
            assert "boats" not in view.inner_text(), "nothing tells which is which"
            press(page, key, n_before=n)
        expect(view).to_have_attribute("data-stage", "end")
        expect(view).to_contain_text("boats")
        snap(page, "vote-end")
        assert page.locator(".jp-Notebook .jp-Cell").count() == 1
    votes = study.votes()
    assert list(votes["choice"]) == ["left", "tie", "bad", "right"]
    assert set(votes["who"]) == {"ann"}


def test_updates_in_a_burst_arrive_complete(jupyter: JupyterLab, tmp_path: Path, picture: bytes) -> None:
    """JupyterLab drops what comes faster than 1,000 messages a second, without a word."""
    plan = sweep(image=picture, prompt="boats", seed=range(50), resolution="480p", duration=2)
    write_study(tmp_path / "s", plan, ["never"] * 50)
    jupyter.write(
        "burst.ipynb",
        opening(tmp_path / "s") + "from seedance_lab.view.cells import GridModel\n"
        "from seedance_lab.view.grid import Grid\n"
        "from seedance_lab.view.entries import Entry, Fixed\n"
        "model = GridModel(Fixed([Entry(id=f'c{n}', settings={'seed': n}, state='running') for n in range(50)]))\n"
        "grid = Grid(model); grid.widget",
        "for n in range(5000):\n    model._put(f'c{n % 50}', state='failed', why=f'update {n}')",
    )
    with jupyter.opened("burst.ipynb") as page:
        expect(page.locator(".sl-grid .sl-cell")).to_have_count(50)
        page.wait_for_function(
            """() => [...document.querySelectorAll('.sl-grid .sl-state-why')].map(e => e.textContent).sort().join() ===
            Array.from({length: 50}, (_, n) => `update ${4950 + n}`).sort().join()"""
        )


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
