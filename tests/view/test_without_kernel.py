"""What is seen where no kernel runs: executed by nobody's hand, converted, mailed, reopened."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import papermill
import pytest
from nbconvert import HTMLExporter
from playwright.sync_api import Page, expect
from view_fakes import write_study
from view_jupyter import JupyterLab
from view_snapshots import shown

from seedance_lab.pages.page import write
from seedance_lab.pages.sheet import Embed, sheet
from seedance_lab.plan import Plan

PLAYS = """async video => {
  video.muted = true;
  await video.play();
  const until = performance.now() + 10000;
  while (performance.now() < until) {
    if (video.videoWidth > 0 && video.currentTime > 0.2) break;
    await new Promise(done => setTimeout(done, 50));
  }
  return [video.videoWidth, video.currentTime];
}"""
PICTURES = "images => images.filter(i => i.complete && i.naturalWidth > 0).length"
WIDGET = "application/vnd.jupyter.widget-view+json"
SHEET = ".seedance-lab-sheet"


def assert_shows(page: Page, n: int) -> None:
    """So many pictures, and the first video plays when it is unfolded."""
    expect(page.locator(f"{SHEET} img")).to_have_count(n)
    assert page.locator(f"{SHEET} img").evaluate_all(PICTURES) == n
    page.locator(f"{SHEET} summary").first.click()
    video = page.locator(f"{SHEET} video").first
    expect(video).to_be_visible()
    width, seconds = video.evaluate(PLAYS)
    assert width > 0
    assert seconds > 0.2


def notebook(path: Path, *cells: str, outputs: list[dict[str, Any]] | None = None) -> Path:
    """A notebook of code cells, the first one with these outputs."""
    made = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    if outputs:
        made.cells[0].outputs = [nbformat.from_dict(output) for output in outputs]
        made.cells[0].execution_count = 1
    nbformat.write(made, path)
    return path


def both_outputs(study: Any, embed: Embed = "proxy", **more: Any) -> list[dict[str, Any]]:
    """What a living grid leaves in the file: the widget, whose kernel is gone, and the sheet."""
    html = sheet(*shown(study), embed=embed, static_id="abc", **more)
    widget = {WIDGET: {"model_id": "0" * 32, "version_major": 2, "version_minor": 0}, "text/plain": "3 clips"}
    bundles = [widget, {"text/html": html, "text/plain": "3 clips"}]
    return [{"output_type": "display_data", "data": data, "metadata": {}} for data in bundles]


# ── executed by a program ───────────────────────────────────────────────────────────────────────────────


def by_nbclient(path: Path) -> nbformat.NotebookNode:
    made = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(made, timeout=120, resources={"metadata": {"path": str(path.parent)}}).execute()
    return made


def by_papermill(path: Path) -> nbformat.NotebookNode:
    out = path.with_name("out.ipynb")
    papermill.execute_notebook(str(path), str(out), progress_bar=False)
    return nbformat.read(out, as_version=4)


def by_nbmake(path: Path) -> nbformat.NotebookNode:
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={path.parent}",
         "--nbmake", "--overwrite", str(path)],
        check=True, capture_output=True, timeout=180,
    )  # fmt: skip
    return nbformat.read(path, as_version=4)


@pytest.mark.parametrize("execute", [by_nbclient, by_papermill, by_nbmake])
def test_a_notebook_that_a_program_runs_holds_pictures_and_no_widget(
    tmp_path: Path, plan: Plan, execute: Any
) -> None:
    """A widget there would bloat the file and show nothing."""
    write_study(tmp_path / "s", plan, ["saved", "failed"])
    path = notebook(
        tmp_path / "show.ipynb",
        "import seedance_lab as lab\n"
        f"study = lab.Study({str(tmp_path / 's')!r}, track=False)\n"
        "lab.show(study, rows='seed', cols='resolution')",
    )
    done = execute(path)
    bundles = [output.get("data", {}) for output in done.cells[0].outputs]
    drawn = [bundle["text/html"] for bundle in bundles if "text/html" in bundle]
    assert not any(WIDGET in bundle for bundle in bundles)
    assert "widgets" not in done.metadata
    assert len(drawn) == 1
    assert drawn[0].count("data:image/jpeg") == 3
    assert "content checker" in drawn[0]


# ── converted ───────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _opened(jupyter: JupyterLab, address: str, width: int = 1280) -> Iterator[Page]:
    page = jupyter.browser.new_page()
    page.set_viewport_size({"width": width, "height": 1000})
    try:
        page.goto(address)
        yield page
    finally:
        page.close()


@pytest.mark.parametrize("embed", ["proxy", "relative"])
def test_nbconverts_html_shows_and_plays_from_disk(
    jupyter: JupyterLab, tmp_path: Path, plan: Plan, embed: Embed
) -> None:
    """A link to the files plays as long as the page lies where the notebook lay."""
    study = write_study(tmp_path / "my study", plan, ["saved", "failed"])
    folder = tmp_path / "notebooks"
    folder.mkdir()
    path = notebook(folder / "grid.ipynb", "1", outputs=both_outputs(study, embed, relative_to=folder))
    exporter = HTMLExporter(embed_images=False)
    (folder / "grid.html").write_text(exporter.from_filename(str(path))[0], encoding="utf-8")
    with _opened(jupyter, (folder / "grid.html").as_uri()) as page:
        assert_shows(page, 3)
        expect(page.locator(SHEET)).to_contain_text("content checker")


# ── reopened ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("trusted", [False, True])
def test_a_reopened_notebook_shows_the_sheet_trusted_or_not(
    jupyter: JupyterLab, tmp_path: Path, plan: Plan, trusted: bool
) -> None:
    """Trusted, the widget's output is one line of error; untrusted, its words. The sheet stands below either way."""
    name = f"reopened-{trusted}.ipynb"
    path = notebook(
        jupyter.root / name,
        "1",
        outputs=both_outputs(write_study(tmp_path / "s", plan, ["saved", "refused"])),
    )
    if trusted:
        env = {**os.environ, "JUPYTER_DATA_DIR": str(jupyter.folder / "data")}
        subprocess.run([sys.executable, "-m", "jupyter", "trust", str(path)], env=env, check=True)
    with jupyter.opened(name, run=False) as page:
        assert (
            page.evaluate("() => jupyterapp.shell.currentWidget.content.widgets[0].model.trusted") is trusted
        )
        assert_shows(page, 3)
        expect(page.locator(SHEET)).to_contain_text("not today")


def test_a_relative_link_plays_in_an_untrusted_notebook(jupyter: JupyterLab, plan: Plan) -> None:
    """The server answers for files below its root; a seek needs its ranges."""
    study = write_study(jupyter.root / "s 1", plan, ["saved", "refused"])
    notebook(
        jupyter.root / "linked.ipynb", "1", outputs=both_outputs(study, "relative", relative_to=jupyter.root)
    )
    with jupyter.opened("linked.ipynb", run=False) as page:
        assert_shows(page, 3)
        seeked = """async v => { v.pause(); v.currentTime = 0.5;
            await new Promise(done => v.addEventListener('seeked', done, {once: true})); return v.currentTime; }"""
        assert page.locator(f"{SHEET} video").first.evaluate(seeked) == pytest.approx(0.5)


def test_notebook_7_shows_the_sheet_too(jupyter: JupyterLab, tmp_path: Path, plan: Plan) -> None:
    """The same server has both; this front end has its own sanitiser settings and styles."""
    notebook(
        jupyter.root / "seven.ipynb",
        "1",
        outputs=both_outputs(write_study(tmp_path / "s", plan, ["saved", "refused"])),
    )
    with _opened(jupyter, f"{jupyter.base}/notebooks/seven.ipynb?token=tests") as page:
        expect(page.locator("#notebook-container, .jp-Notebook").first).to_be_visible()
        assert_shows(page, 3)


@pytest.mark.parametrize("width", [400, 1400])
def test_only_the_table_scrolls_sideways(jupyter: JupyterLab, tmp_path: Path, plan: Plan, width: int) -> None:
    notebook(
        jupyter.root / f"narrow{width}.ipynb", "1", outputs=both_outputs(write_study(tmp_path / "s", plan))
    )
    with jupyter.opened(f"narrow{width}.ipynb", run=False, width=width) as page:
        root = page.locator(SHEET)
        expect(root.locator("img")).to_have_count(4)
        assert root.evaluate("e => e.scrollWidth <= e.clientWidth")
        widths = root.locator("img").evaluate_all(
            "images => images.map(i => i.getBoundingClientRect().width)"
        )
        shown_at = root.locator("img").evaluate_all(
            "images => images.map(i => Number(i.getAttribute('width')))"
        )
        assert widths == pytest.approx(shown_at, abs=1)  # a table that is too wide would rather shrink them
        assert root.locator("mjx-container").count() == 0


# ── the page ────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _fresh(jupyter: JupyterLab, address: str, *, scripts: bool = True, width: int = 1280) -> Iterator[Page]:
    """A page from disk, and a failure when it asks for anything that does not lie there."""
    asked: list[str] = []
    page = jupyter.browser.new_page()
    page.set_viewport_size({"width": width, "height": 900})
    page.on("request", lambda request: asked.append(request.url))
    if not scripts:
        session = jupyter.browser.new_cdp_session(page)
        session.send("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        page.goto(address)
        yield page
        assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    finally:
        page.close()


@pytest.mark.parametrize("files", ["inline", "folder"])
def test_a_page_without_scripts_shows_the_plain_sheet(
    jupyter: JupyterLab, tmp_path: Path, plan: Plan, files: Any
) -> None:
    study = write_study(tmp_path / "s", plan, ["saved", "failed"])
    path = write(*shown(study), tmp_path / "grid.html", files=files)
    with _fresh(jupyter, path.as_uri(), scripts=False) as page:
        expect(page.locator(f"{SHEET} img")).to_have_count(3)
        assert page.locator(f"{SHEET} img").evaluate_all(PICTURES) == 3
        expect(page.locator(SHEET)).to_contain_text("content checker")
        expect(page.locator(f"{SHEET} summary")).to_have_count(3 if files == "folder" else 0)


@pytest.mark.parametrize("files", ["inline", "folder"])
def test_a_page_plays_all_its_clips_on_one_clock_from_disk(
    jupyter: JupyterLab, tmp_path: Path, plan: Plan, files: Any
) -> None:
    """No server, no network, no kernel; moved to another folder first, as a mail does."""
    study = write_study(tmp_path / "s", plan, ["saved", "failed"])
    write(*shown(study), tmp_path / "made" / "grid.html", files=files)
    (tmp_path / "made").rename(tmp_path / "mailed & moved")
    with _fresh(jupyter, (tmp_path / "mailed & moved" / "grid.html").as_uri()) as page:
        expect(page.locator(SHEET)).to_have_count(0)
        view = page.locator(".sl-view").first
        expect(view).to_contain_text("content checker")
        view.get_by_role("button", name="Play", exact=True).first.click()
        page.wait_for_function(
            """() => { const v = [...document.querySelectorAll('.sl-view video')];
              return v.length === 3 && v.every(e => e.videoWidth > 0 && e.currentTime > 0.1); }"""
        )
        view.get_by_role("button", name="Pause", exact=True).first.click()
        page.wait_for_function(
            """() => { const v = [...document.querySelectorAll('.sl-view video')];
              const frames = new Set(v.map(e => Math.floor(e.currentTime * 24)));
              return v.every(e => e.paused && !e.seeking) && frames.size === 1; }"""
        )


def test_a_report_shows_the_same_grid_and_prints(jupyter: JupyterLab, tmp_path: Path, plan: Plan) -> None:
    study = write_study(tmp_path / "s", plan, ["saved", "failed"])
    path = study.report(tmp_path / "report.html")
    with _fresh(jupyter, path.as_uri(), width=500) as page:
        view = page.locator(".living .sl-view").first
        expect(view).to_contain_text("content checker")
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        assert page.pdf().startswith(b"%PDF")
    with _fresh(jupyter, path.as_uri(), scripts=False) as page:
        expect(page.locator(f"{SHEET} img")).to_have_count(3)
