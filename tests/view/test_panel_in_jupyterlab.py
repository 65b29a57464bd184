"""The panel in a real JupyterLab and a real browser, used as a person would."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from view_jupyter import ROOT, JupyterLab

from seedance_lab.study import Study

AXE = ROOT / "tests" / "js" / "node_modules" / "axe-core" / "axe.min.js"
SHOTS = os.environ.get("SEEDANCE_LAB_SHOTS")  # a folder for pictures of what the tests saw

Write = Callable[..., None]


@pytest.fixture
def write(jupyter: JupyterLab, tmp_path: Path, data: Path) -> Write:
    """A notebook whose first cell shows a panel of the study `s`."""

    def write(name: str, *more: str, options: str = "", image: str = "harbour_dusk.jpg") -> None:
        cell = (
            "import seedance_lab as lab\n"
            f"study = lab.Study({str(tmp_path / 's')!r}, track=False, measure=False)\n"
            f"lab.panel(study, image={str(data / image)!r}, resolution='480p', duration=2{options})"
        )
        jupyter.write(name, cell, *more)

    return write


def panel(page: Page) -> Locator:
    return page.locator(".seedance-lab-panel").first


def button(page: Page, words: str) -> Locator:
    return panel(page).locator("button").filter(has_text=re.compile(f"^ ?{words}$"))


def shoot(page: Page, name: str) -> None:
    if SHOTS:
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(SHOTS) / f"panel-{name}.png")


def violations(page: Page) -> list[Any]:
    page.add_script_tag(path=AXE)
    found: list[Any] = page.evaluate(
        "axe.run('.seedance-lab-panel').then(r => r.violations.map(v => [v.id, v.nodes.map(n => n.html)]))"
    )
    return found


def test_a_sweep_by_hand_from_the_first_key_to_the_last_clip(
    jupyter: JupyterLab, tmp_path: Path, write: Write
) -> None:
    write("panel.ipynb")
    with jupyter.opened("panel.ipynb") as page:
        expect(panel(page)).to_contain_text("2 requests · 4 s of video · $0.00 here, free engine")
        expect(panel(page).locator(".sl-crop")).to_be_visible()
        page.get_by_label("Seeds").fill("1-3")
        expect(panel(page)).to_contain_text("3 requests · 6 s of video")
        page.get_by_label("Duration (s)").first.fill("13")
        expect(panel(page).get_by_role("alert").filter(has_text="it takes 2 to 12")).to_be_visible()
        expect(button(page, "Run")).to_be_disabled()
        page.get_by_label("Duration (s)").first.fill("2")
        # A shortcut of the notebook must not fire while a person types: "b" inserts a cell, "dd" deletes one.
        page.get_by_label("Prompt").fill("")
        page.get_by_label("Prompt").press_sequentially("boats bob, dd --dur 5")
        expect(panel(page)).to_contain_text("--dur 5: a text command of the model")
        button(page, "Take the commands into the fields").click()
        expect(page.get_by_label("Prompt")).to_have_value("boats bob, dd")
        expect(page.get_by_label("Duration (s)").first).to_have_value("5")
        panel(page).get_by_role("group", name="Duration (s)").get_by_label("5", exact=True).uncheck()
        panel(page).get_by_role("group", name="Duration (s)").get_by_label("2", exact=True).check()
        expect(panel(page)).to_contain_text("3 requests · 6 s of video")
        assert page.locator(".jp-Notebook .jp-Cell").count() == 1
        button(page, "Run").focus()
        page.keyboard.press("Enter")
        expect(panel(page)).to_contain_text("3 of 3 saved", timeout=60_000)
        expect(panel(page)).to_contain_text("all made already")
        expect(panel(page).locator(".sl-grid-view .sl-cell img")).to_have_count(3)
        button(page, "As code").click()
        expect(panel(page)).to_contain_text("seed=range(1, 4)")
        shoot(page, "done")
    assert len(Study(tmp_path / "s", track=False).clips()) == 3


def test_a_picture_is_uploaded_in_pieces_and_cropped_to_the_chosen_shape(
    jupyter: JupyterLab, write: Write, data: Path, tmp_path: Path
) -> None:
    write("upload.ipynb")
    with jupyter.opened("upload.ipynb") as page:
        shown = panel(page).locator(".sl-picture").first
        expect(shown).to_contain_text("harbour_dusk.jpg")
        shown.locator("input[type=file]").set_input_files(data / "coffee.jpg")
        expect(shown.locator("figcaption")).to_contain_text("coffee.jpg")
        expect(shown.locator("figure")).to_have_count(1)
        panel(page).get_by_role("group", name="Aspect ratio").get_by_label("auto").uncheck()
        panel(page).get_by_role("group", name="Aspect ratio").get_by_label("9:16").check()
        expect(shown.locator("figcaption")).to_contain_text("9:16: the middle")
        panel(page).get_by_label("several, as an axis").first.check()
        shown.locator("input[type=file]").set_input_files(data / "harbour_dusk.jpg")
        expect(shown.locator("figure")).to_have_count(2)
        expect(panel(page)).to_contain_text("4 requests")
        bad = tmp_path / "notes.txt"
        bad.write_text("no picture")
        shown.locator("input[type=file]").set_input_files(bad)
        expect(shown.get_by_role("alert")).to_contain_text("cannot be read as an image")
        shown.get_by_role("button", name="Remove coffee.jpg").click()
        expect(shown.locator("figure")).to_have_count(1)
        expect(panel(page)).to_contain_text("2 requests")


def test_pause_and_stop_are_acknowledged_while_a_cell_runs(
    jupyter: JupyterLab, tmp_path: Path, write: Write
) -> None:
    """The cell ends when it is told to, after all three were heard. `benchmarks/views.py` says how long they take."""
    release = tmp_path / "release"
    until_told = (
        f"import time, pathlib\nprint('busy')\nwhile not pathlib.Path({str(release)!r}).exists(): time.sleep(0.05)"
        "\nprint('let go')"
    )
    write("busy.ipynb", until_told, options=", seed='1-60', in_flight=1")
    with jupyter.opened("busy.ipynb") as page:
        page.get_by_text("busy", exact=True).wait_for()
        button(page, "Run").click()
        expect(panel(page)).to_contain_text("in flight")
        heard = """async ([word, said]) => {
          const panel = document.querySelector('.seedance-lab-panel');
          const buttons = [...panel.querySelectorAll('button.jupyter-button')];
          const find = () => buttons.find(b => b.textContent.trim() === word);
          find().click();
          const heard = () => said ? panel.querySelector('[role=progressbar]')
            .getAttribute('aria-valuetext').includes(said) : !find();
          while (!heard()) await new Promise(requestAnimationFrame);
        }"""  # in the page, which sees words that stand for a frame only
        for word, said in (("Pause", "paused"), ("Resume", ""), ("Stop", "stopping")):
            page.evaluate(heard, [word, said])
        expect(panel(page)).to_contain_text("not made")
        printed = page.locator(".jp-OutputArea-output").filter(has_text=re.compile("^busy"))
        assert "let go" not in (printed.text_content() or "")
        release.touch()
        expect(printed).to_contain_text("let go")
    study = Study(tmp_path / "s", track=False)
    assert len(study.clips()) < 60
    assert not study.unknown


def test_two_panels_on_one_study_show_one_run_and_the_second_says_who_runs_it(
    jupyter: JupyterLab, write: Write
) -> None:
    write("two.ipynb", "lab.panel(study, image=None)", options=", seed='1-30', in_flight=1")
    with jupyter.opened("two.ipynb") as page:
        first, second = page.locator(".seedance-lab-panel").nth(0), page.locator(".seedance-lab-panel").nth(1)
        second.wait_for()
        second.get_by_label("or its path or URL").first.fill(str(ROOT / "data" / "coffee.jpg"))
        second.get_by_label("or its path or URL").first.press("Enter")
        expect(second).to_contain_text("2 requests ·")
        first.locator("button").filter(has_text="Run").click()
        expect(second).to_contain_text("This kernel runs the study, begun in another panel or in a cell.")
        expect(second).to_contain_text("of 30 saved")
        second.locator("button").filter(has_text="Run").click()
        expect(second.get_by_role("alert").filter(has_text="Nothing was sent")).to_be_visible()
        shoot(page, "second")
        second.locator("button.jupyter-button").filter(has_text="Stop").click()
        for one in (first, second):
            expect(one).to_contain_text("not made", timeout=30_000)


def test_a_saved_panel_says_what_it_was_and_how_to_have_it_again(jupyter: JupyterLab, write: Write) -> None:
    write("saved.ipynb", options=", seed='1-2'")
    with jupyter.opened("saved.ipynb") as page:
        button(page, "Run").click()
        expect(panel(page)).to_contain_text("2 of 2 saved", timeout=60_000)
        expect(page.get_by_text("Run its cell to have it again")).to_have_count(1)
        expect(page.get_by_text("Run its cell to have it again")).to_be_hidden()
        page.wait_for_function(
            "() => document.querySelectorAll('[class*=sl-static] img').length === 2", timeout=60_000
        )
        saved = jupyter.saved(page, "saved.ipynb")
        # The kernel goes away under a page that stays: the picture field, which lives, says so.
        page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
        expect(panel(page)).to_contain_text(
            "The kernel is gone: a picture cannot be sent. Run the panel's cell again."
        )
    alive, plain = saved["cells"][0]["outputs"]
    assert "Run its cell to have it again" in "".join(alive["data"]["text/plain"])
    assert "".join(plain["data"]["text/html"]).count("<img ") == 2
    with jupyter.opened("saved.ipynb", run=False) as page:
        again = page.locator(".jp-OutputArea-output").filter(has_text="Run its cell to have it again").last
        expect(again).to_be_visible()
        expect(again).to_contain_text("2 requests, all made already")
        expect(again).to_contain_text("lab.sweep(")
        expect(again.locator("img")).to_have_count(2)
        shoot(page, "reopened")


def looks(page: Page) -> Iterator[str]:
    """The page in both themes, wide and narrow."""
    for theme in ("light", "dark"):
        page.evaluate(
            "theme => { jupyterapp.commands.execute('apputils:change-theme', {theme}); }",
            f"JupyterLab {theme.title()}",
        )
        page.locator(f"body[data-jp-theme-light={'true' if theme == 'light' else 'false'}]").wait_for(
            state="attached"
        )
        for width in (1300, 400):
            page.set_viewport_size({"width": width, "height": 1000})
            yield f"{width}-{theme}"


def test_axe_finds_nothing_and_nothing_sticks_out(jupyter: JupyterLab, write: Write) -> None:
    write("axe.ipynb", options=", prompt='boats --dur 5'")
    with jupyter.opened("axe.ipynb") as page:
        page.locator(".sl-picture-item img").wait_for()
        page.wait_for_function("() => document.querySelector('.sl-picture-item img').naturalWidth > 0")
        button(page, "More: conditions, groups, repeats, samples, rows").click()
        button(page, "Load a plan").click()
        button(page, "As code").click()
        page.get_by_label("Seeds").fill("x")
        expect(page.get_by_label("Seeds")).to_have_attribute("aria-invalid", "true")
        for look in looks(page):
            assert violations(page) == [], look
            assert panel(page).evaluate("e => e.scrollWidth <= e.clientWidth + 1"), look
            shoot(page, f"{look}-error")
        page.get_by_label("Seeds").fill("1-2")
        button(page, "Run").click()
        expect(panel(page)).to_contain_text("2 of 2 saved", timeout=60_000)
        expect(panel(page)).to_contain_text("all made already")
        for look in looks(page):
            assert violations(page) == [], look
            assert panel(page).evaluate("e => e.scrollWidth <= e.clientWidth + 1"), look
            button(page, "Run").hover()
            shoot(page, look)


def test_every_control_is_reached_by_tab_and_shows_that_it_has_the_focus(
    jupyter: JupyterLab, write: Write
) -> None:
    write("keys.ipynb")
    with jupyter.opened("keys.ipynb") as page:
        page.locator(".sl-picture-item img").wait_for()
        panel(page).locator("button").first.focus()
        reached: list[str] = []
        wanted = (
            panel(page).locator("button:enabled:visible, input:enabled:visible, textarea:visible").count()
        )
        for _ in range(wanted):
            name, shows = page.evaluate(
                """() => { const e = document.activeElement, s = getComputedStyle(e);
                const label = e.labels?.[0]?.textContent || e.textContent || e.getAttribute('aria-label');
                return [label.trim(), s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 1]; }"""
            )
            reached.append(name)
            assert name, "a control without a name"
            assert shows or len(reached) == 1, f"{name} does not show that it has the focus"
            page.keyboard.press("Tab")
        assert {"Run", "As code", "Load a plan", "Seeds", "Prompt, one a line", "480p", "fixed"} <= set(
            reached
        )
