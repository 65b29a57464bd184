"""The grid in a notebook: two outputs, messages and answers, laid out anew, kept in files, live during a run."""

from __future__ import annotations

import asyncio
import io
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import PIL.Image
import pytest
from view_fakes import make_clip, make_picture, wait_until, write_study
from view_wires import WIDGET, Browser, FakeWidget, Notebook, opened

import seedance_lab as lab
from seedance_lab.clip import Clip
from seedance_lab.errors import LabError
from seedance_lab.plan import Plan, sweep
from seedance_lab.study import Study
from seedance_lab.view import grid as grids
from seedance_lab.view import serving, watching
from seedance_lab.view.grid import Grid


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    return opened(monkeypatch)


@pytest.fixture
def study(tmp_path: Path, plan: Plan) -> Study:
    return write_study(tmp_path / "s", plan, ["saved", "failed"])


@pytest.fixture
def shown(notebook: Notebook, study: Study) -> Iterator[Grid]:
    grid = lab.show(study, rows="seed", cols="resolution")
    yield grid
    grid.close()


# ── shown ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_living_notebook_gets_the_widget_and_below_it_the_sheet_that_it_hides(
    notebook: Notebook, shown: Grid
) -> None:
    widget, place = notebook.outputs
    assert set(widget) == {WIDGET, "text/plain"}
    assert widget["text/plain"] == "s: 3 clips · 1 failed"
    assert place == {"text/plain": ""}, "the page has the grid to draw first"
    notebook.widget.say("ready", have=0)
    time.sleep(0.6)
    assert notebook.updates == []
    notebook.widget.say("drawn")
    wait_until(lambda: notebook.sheet.count("data:image/jpeg") == 3)
    assert "<video" not in notebook.sheet, "posters only: the notebook's file stays small"
    assert f"sl-static-{shown._id}" in notebook.sheet


def test_a_page_that_says_nothing_gets_the_sheet_soon_and_a_slow_one_does_too(
    notebook: Notebook, shown: Grid, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_until(lambda: notebook.sheet.count("data:image/jpeg") == 3)
    monkeypatch.setattr(watching, "COMING_UP_S", 0.5)
    monkeypatch.setattr(watching, "UNHEARD_S", 60.0)
    notebook.shell.execution_count = 2
    shown.show()
    assert notebook.sheet.count("data:image/jpeg") == 3, "that of the cell before"
    notebook.widget.say("ready", have=0)
    wait_until(lambda: notebook.updates[-1][0] == f"seedance-lab-{shown._id}-2")


def test_a_grid_that_is_closed_or_shown_again_leaves_its_sheet(
    notebook: Notebook, shown: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown.show()
    assert [name[-2:] for name, _ in notebook.updates] == ["-1"]
    shown.close()
    assert [name[-2:] for name, _ in notebook.updates] == ["-1", "-2"]
    assert notebook.sheet.count("data:image/jpeg") == 3


def test_as_a_cells_value_it_is_shown_once_and_again_in_another_cell(notebook: Notebook, shown: Grid) -> None:
    shown._ipython_display_()
    assert len(notebook.outputs) == 2
    notebook.shell.execution_count = 2
    shown._ipython_display_()
    shown._ipython_display_()
    assert len(notebook.outputs) == 4
    assert len(notebook.widgets) == 1, "two views of one widget"


def test_where_nobody_looks_there_is_the_sheet_alone(monkeypatch: pytest.MonkeyPatch, study: Study) -> None:
    notebook = opened(monkeypatch, watched=False)
    lab.show(study)
    (output,) = notebook.outputs
    assert WIDGET not in output
    assert output["text/html"].count("data:image/jpeg") == 3
    assert notebook.widgets == []


def test_where_nobody_looks_the_sheet_is_laid_out_as_the_cell_said_last(
    monkeypatch: pytest.MonkeyPatch, study: Study
) -> None:
    """`lab.show(study).hide(…)` in a notebook that a program executes: the sheet is out before the layout is said."""
    notebook = opened(monkeypatch, watched=False)
    grid = lab.show(study).hide("seed", 1).sort("latency_s")
    assert notebook.sheet == grid.html()
    assert notebook.sheet != notebook.outputs[0]["text/html"]
    assert len({name for name, _ in notebook.updates}) == len(notebook.outputs) == 1


def test_sixty_four_clips_are_under_a_megabyte(notebook: Notebook, tmp_path: Path) -> None:
    for n in range(64):
        make_clip(tmp_path / "clips" / f"{n}.mp4", width=640, height=368, seconds=0.1, hue=n)
    grid = lab.show(tmp_path / "clips")
    wait_until(lambda: notebook.sheet.count("data:image/jpeg") == 64)
    grid.close()
    assert len(notebook.sheet) < 1_000_000


def test_a_cell_does_not_wait_for_pictures_that_take_long(
    notebook: Notebook, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are put into their place when they are there."""
    go_on = threading.Event()
    make = Clip.poster

    def slowly(self: Clip) -> bytes:
        assert go_on.wait(30)
        return make(self)

    monkeypatch.setattr(Clip, "poster", slowly)
    monkeypatch.setattr(grids, "PATIENCE_S", 0.01)
    grid = lab.show(study)
    assert len(notebook.outputs) == 2
    assert notebook.sheet == ""
    go_on.set()
    wait_until(lambda: notebook.sheet.count("data:image/jpeg") == 3)
    grid.close()


def test_no_clips_is_a_sentence_on_what_to_run(notebook: Notebook, tmp_path: Path) -> None:
    grid = lab.show(Study(tmp_path / "new", track=False))
    assert "study.run(lab.sweep(" in notebook.sheet
    assert "study.run(lab.sweep(" in repr(grid)
    grid.close()
    lab.show([])
    assert notebook.sheet.endswith(">There are no clips in this list.</div>")
    assert len(notebook.widgets) == 1, "a list never gets any"


def test_a_setting_that_is_not_there_is_refused_before_anything_is_shown(
    notebook: Notebook, study: Study
) -> None:
    with pytest.raises(LabError, match="Did you mean 'seed'"):
        lab.show(study, rows="sed")
    with pytest.raises(LabError, match=r"embed='posters' is not known\. Did you mean 'poster'"):
        lab.show(study, embed="posters")  # type: ignore[arg-type]
    assert (notebook.outputs, notebook.widgets) == ([], [])


# ── messages ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_page_gets_everything_and_each_clips_files(notebook: Notebook, shown: Grid, study: Study) -> None:
    browser = Browser(notebook.widget)
    browser.ready()
    assert len(browser.cells) == 4
    assert browser.rest["view"]["rows"] == ["seed"]
    clip = study.clips()[0]
    for kind in ("poster", "proxy", "full"):
        notebook.widget.say("media", rid=kind, id=clip.key, kind=kind)
    assert notebook.widget.file("full") == (clip.path.read_bytes(), "video/mp4")
    poster, mime = notebook.widget.file("poster")
    assert (PIL.Image.open(io.BytesIO(poster)).format, mime) == ("JPEG", "image/jpeg")
    proxy, mime = notebook.widget.file("proxy")
    with av.open(io.BytesIO(proxy)) as video:
        assert (video.streams.video[0].codec_context.name, mime) == ("h264", "video/mp4")


def test_posters_asked_for_at_once_come_bundled_and_the_broken_one_is_told_of_alone(
    notebook: Notebook, tmp_path: Path, plan: Plan
) -> None:
    write_study(tmp_path / "s", plan, ["saved", "broken", "saved", "saved"])
    lab.show(tmp_path / "s")
    whole = [request.key for request in plan if request is not plan[1]]
    notebook.widget.say("posters", all=[[f"abc-{n}", request.key] for n, request in enumerate(plan)])
    assert "not a video" in notebook.widget.wait_for("media_error", rid="abc-1")["why"]
    wait_until(lambda: set(notebook.widget.posters) == set(whole))
    for data in notebook.widget.posters.values():
        assert PIL.Image.open(io.BytesIO(data)).format == "JPEG"
    assert notebook.widget.messages("media") == []


def test_files_are_made_beside_the_thread_of_messages(
    notebook: Notebook, shown: Grid, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small copy takes most of a second; the heartbeat behind it must be heard meanwhile."""
    go_on = threading.Event()
    read = serving._read

    def slowly(*asked: Any) -> Any:
        assert go_on.wait(30)
        return read(*asked)

    monkeypatch.setattr(serving, "_read", slowly)
    notebook.widget.say("media", rid="r", id=study.clips()[0].key, kind="proxy")
    browser = Browser(notebook.widget)
    browser.ready()
    assert len(browser.cells) == 4
    assert notebook.widget.messages("media") == []
    go_on.set()
    notebook.widget.file("r")


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a niceness of their own on Linux only")
def test_small_copies_are_made_with_less_priority_than_pictures(
    notebook: Notebook, shown: Grid, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page has 64 of them made while it comes up."""
    found: dict[str, int] = {}
    read = serving._read

    def spied(clip: Clip, kind: str) -> Any:
        found[kind] = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        return read(clip, kind)

    monkeypatch.setattr(serving, "_read", spied)
    for kind in ("poster", "full", "proxy"):
        notebook.widget.say("media", rid=kind, id=study.clips()[0].key, kind=kind)
        notebook.widget.file(kind)
    assert found["proxy"] > found["poster"] == found["full"]


def test_of_a_question_that_was_repeated_while_the_kernel_was_busy_the_last_is_answered(
    notebook: Notebook, shown: Grid, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them are heard when the cell has ended; ten minutes of them would be gigabytes."""
    go_on = threading.Event()
    read = serving._read

    def slowly(*asked: Any) -> Any:
        assert go_on.wait(30)
        return read(*asked)

    monkeypatch.setattr(serving, "_read", slowly)
    first, second, _ = study.clips()
    for n in range(40):
        notebook.widget.say("media", rid=f"abc-{n}", id=first.key, kind="proxy")
    notebook.widget.say("media", rid="xyz-1", id=first.key, kind="proxy")
    notebook.widget.say("media", rid="abc-99", id=second.key, kind="proxy")
    go_on.set()
    for rid in ("abc-39", "xyz-1", "abc-99"):
        notebook.widget.file(rid)
    # Those that the threads had begun with are answered too.
    assert (
        len({message["rid"] for message in notebook.widget.messages("media")})
        <= 3 + serving._THREADS["proxy"]
    )


def test_a_broken_file_makes_its_cell_say_so_and_the_rest_shows(
    notebook: Notebook, tmp_path: Path, plan: Plan
) -> None:
    study = write_study(tmp_path / "s", plan, ["broken"])
    grid = lab.show(study)
    browser = Browser(notebook.widget)
    browser.ready()
    notebook.widget.say("media", rid="r", id=plan[0].key, kind="proxy")
    assert "not a video" in notebook.widget.wait_for("media_error", rid="r")["why"]
    wait_until(lambda: browser.cells[plan[0].key]["state"] == "unreadable")
    notebook.widget.say("media", rid="q", id=plan[1].key, kind="full")
    notebook.widget.file("q")
    (study.folder / "clips").rename(study.folder / "elsewhere")
    notebook.widget.say("media", rid="p", id=plan[2].key, kind="full")
    notebook.widget.wait_for("media_error", rid="p")
    wait_until(lambda: browser.cells[plan[2].key]["state"] == "missing")
    grid.close()


@pytest.mark.parametrize(
    ("asked", "why"),
    [({"id": "k1:none", "kind": "poster"}, "no clip of"), ({"kind": "postr"}, "Did you mean 'poster'")],
)
def test_what_cannot_be_had_is_said(notebook: Notebook, shown: Grid, asked: dict[str, str], why: str) -> None:
    notebook.widget.say("media", rid="r", **asked)
    assert why in notebook.widget.wait_for("media_error", rid="r")["why"]


def test_a_rating_is_acknowledged_with_what_is_kept(
    notebook: Notebook, shown: Grid, study: Study, plan: Plan
) -> None:
    notebook.widget.say("rate", cid="1", id=plan[0].key, stars=4, tags=["sharp"], note="")
    ack = notebook.widget.wait_for("ack", cid="1")
    assert ack["ok"]
    assert ack["rating"] == {"stars": 4, "tags": ["sharp"], "note": ""}
    assert study.ratings()["stars"].tolist() == [4]
    notebook.widget.say("rate", cid="2", id=plan[0].key, stars=9)
    assert "stars=9" in notebook.widget.wait_for("ack", cid="2")["err"]


def test_a_layout_made_in_the_browser_is_the_grids_and_goes_into_the_sheet(
    notebook: Notebook, shown: Grid
) -> None:
    notebook.widget.say("view", view={"rows": ["resolution"], "cols": [], "hidden": {"seed": [2]}})
    assert shown._model.view.rows == ("resolution",)
    wait_until(lambda: "2 hidden" in notebook.sheet)
    assert notebook.updates[-1][0] == f"seedance-lab-{shown._id}-1"


# ── laid out anew ───────────────────────────────────────────────────────────────────────────────────────


def test_the_layout_is_said_in_a_row_and_reaches_the_page(
    notebook: Notebook, shown: Grid, study: Study
) -> None:
    browser = Browser(notebook.widget)
    browser.ready()
    first, second, _ = study.clips()
    same = shown.assign(rows="resolution").hide("seed", 2).filter("state", "==", "saved").size(320)
    assert same is shown
    shown.compare(first, second.key or "", mode="wipe")
    wait_until(lambda: browser.rest["view"]["compare"])
    assert browser.rest["view"] | {"filters": []} == {
        "rows": ["resolution"], "cols": [], "pages": [], "hidden": {"seed": [2]}, "filters": [], "sort": None,
        "cell_px": 320, "captions": True, "compare": {"ids": [first.key, second.key], "mode": "wipe"},
    }  # fmt: skip
    assert shown.line == "s: 1 clip · 3 hidden"
    assert shown.show_all().compare().line == "s: 3 clips · 1 failed"


def test_sorting_by_a_number_lays_the_clips_in_that_order_and_the_headings_come_back(shown: Grid) -> None:
    shown.sort("latency_s", descending=True)
    assert (shown._model.view.rows, shown._model.view.cols) == ((), ())
    shown.sort("cost_usd")
    shown.sort(None)
    assert (shown._model.view.rows, shown._model.view.cols) == (("seed",), ("resolution",))
    shown.sort("seed", descending=True)
    assert shown._model.view.rows == ("seed",), "a heading is turned round where it stands"


def test_values_are_hidden_one_or_several_and_shown_again(shown: Grid) -> None:
    assert shown.hide("resolution", "480p")._model.view.hidden == {"resolution": ["480p"]}
    assert shown.hide("resolution", ("480p", "720p"))._model.view.hidden == {"resolution": ["480p", "720p"]}
    assert shown.hide("resolution", None)._model.view.hidden == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: g.assign(cols="resolutoin"), "Did you mean 'resolution'"),
        (lambda g: g.hide("sed", 1), "Did you mean 'seed'"),
        (lambda g: g.hide("resolution", "480"), "Did you mean '480p'"),
        (lambda g: g.filter("latency", "<", 3), "Did you mean 'latency_s'"),
        (lambda g: g.filter("latency_s", "<<", 3), "'<<' is no condition"),
        (lambda g: g.sort("star"), "Did you mean 'stars'"),
        (lambda g: g.compare("k1:none", "k1:other"), "There is no clip 'k1:none'"),
        (lambda g: g.compare("k1:none"), "give two to 4"),
        (lambda g: g.compare(mode="wype"), "Did you mean 'wipe'"),
        (lambda g: g.size(4), "60 to 2000"),
    ],
)
def test_what_is_not_there_names_the_near_ones_and_changes_nothing(
    shown: Grid, change: Any, message: str
) -> None:
    before = shown._model.view
    with pytest.raises(LabError, match=message):
        change(shown)
    assert shown._model.view == before


# ── kept ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_saved_page_has_the_view_and_says_its_size(
    shown: Grid, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = shown.hide("seed", 2).save(tmp_path / "out" / "grid.html", files="folder", embed="poster")
    text = path.read_text(encoding="utf-8")
    assert '"hidden": {"seed": [2]}' in text
    assert "seedance-lab grid" in text
    assert capsys.readouterr().out.startswith("grid.html and grid_files: ")


def test_a_saved_video_has_the_view(shown: Grid, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = shown.save(tmp_path / "sheet.mp4")
    with av.open(str(path)) as video:
        assert video.streams.video[0].frames == 24
    assert capsys.readouterr().out.startswith("sheet.mp4: ")


def test_another_kind_of_file_is_refused(shown: Grid, tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"no name of a page .* Name it grid\.html"):
        shown.save(tmp_path / "grid.pdf")


def test_html_can_have_more_in_it_than_the_notebook(shown: Grid) -> None:
    assert shown.html(embed="proxy").count("<video") == 3
    with pytest.raises(LabError, match="embed='proxi'"):
        shown.html(embed="proxi")  # type: ignore[arg-type]


def test_html_has_what_was_made_since_anybody_looked(tmp_path: Path, plan: Plan, served: str) -> None:
    study = Study(tmp_path / "s", engine=served, track=False)
    grid = Grid.of(study)
    assert "<img" not in grid.html()
    study.run(plan, progress=False)
    assert grid.html().count("<img") == 4
    journal = study.folder / "journal.jsonl"
    journal.write_bytes(b"damage\n" + journal.read_bytes())
    kept = grid.html()
    assert kept.count("<img") == 4
    assert "journal" in kept, "what cannot be read is said"


# ── live ────────────────────────────────────────────────────────────────────────────────────────────────


def test_cells_fill_while_the_embedded_engine_runs_and_the_last_sheet_is_the_final_one(
    notebook: Notebook, tmp_path: Path
) -> None:
    plan = sweep(image=make_picture(), prompt="pan left", seed=[1, 2], resolution="480p", duration=2)
    study = Study(tmp_path / "s", track=False)
    run = study.start(plan)
    grid = lab.show(run)
    browser = Browser(notebook.widget)
    browser.ready()
    states = {cell["state"] for cell in browser.cells.values()}
    assert states <= {"waiting", "queued", "running", "saved", "unknown"}
    wait_until(lambda: browser.rest["live"]["state"] == "done", 120)
    wait_until(lambda: all(cell["state"] == "saved" for cell in browser.cells.values()))
    wait_until(lambda: notebook.sheet.count("data:image/jpeg") == 2)
    assert (run.done, len(browser.cells)) == (True, 2)
    assert list((study.folder / "views").glob("*.jpg")), "posters are made before anybody asks"
    grid.close()


def test_a_study_that_is_run_in_a_later_cell_fills_the_grid_that_stands_above(
    notebook: Notebook, tmp_path: Path, plan: Plan, served: str
) -> None:
    study = Study(tmp_path / "s", engine=served, track=False)
    grid = lab.show(study)
    browser = Browser(notebook.widget)
    browser.ready()
    assert browser.cells == {}
    study.run(plan, progress=False)
    browser.ready()  # as it does every 2 s while it is seen
    wait_until(lambda: len(browser.cells) == 4)
    wait_until(lambda: {cell["state"] for cell in browser.cells.values()} == {"saved"})
    wait_until(lambda: notebook.sheet.count("data:image/jpeg") == 4)
    grid.close()


def test_where_nobody_looks_a_run_that_is_under_way_leaves_its_final_sheet(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, plan: Plan, served: str
) -> None:
    notebook = opened(monkeypatch, watched=False)
    study = Study(tmp_path / "s", engine=served, track=False)
    run = study.start(plan)
    grid = lab.show(run)
    run.wait()
    wait_until(lambda: notebook.sheet.count("data:image/jpeg") == 4)
    watcher = grid._watcher
    if watcher is not None:  # the run may have been over before it was shown
        wait_until(lambda: watcher.is_over)
    assert notebook.widgets == []


def test_a_damaged_journal_is_said_in_the_grid_and_ends_nothing(
    notebook: Notebook, shown: Grid, study: Study, plan: Plan
) -> None:
    browser = Browser(notebook.widget)
    browser.ready()
    journal = study.folder / "journal.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(b"damage\n" + whole)
    browser.ready()
    wait_until(lambda: "journal" in browser.rest["live"]["line"])
    journal.write_bytes(whole)
    browser.ready()
    wait_until(lambda: browser.rest["live"]["line"] == "")
    assert len(browser.cells) == 4


def test_a_closed_grid_follows_nothing_and_its_widget_is_closed(notebook: Notebook, shown: Grid) -> None:
    watcher = shown._watcher
    assert watcher is not None
    shown.close()
    wait_until(lambda: watcher.is_over)
    assert notebook.widget.is_closed
    assert notebook.widget.callbacks == []
    assert shown._model._listeners == []
    assert shown.html().count("<img") == 3


def test_a_page_that_cannot_ask_is_told_unasked(
    notebook: Notebook, study: Study, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel that runs a cell hears no question, in most front ends; the cells fill all the same."""
    monkeypatch.setattr(watching.asyncio, "get_running_loop", lambda: asyncio.new_event_loop())
    monkeypatch.setattr("seedance_lab.view.grid.IDLE_S", 0.0)
    grid = lab.show(study)
    browser = Browser(notebook.widget)
    wait_until(lambda: len(browser.cells) == 4)
    wait_until(lambda: len(notebook.widget.posters) == 3)
    assert set(notebook.widget.posters) == {clip.key for clip in study.clips()}
    picture = next(iter(notebook.widget.posters.values()))
    assert PIL.Image.open(io.BytesIO(picture)).format == "JPEG"
    grid.close()


def test_a_page_that_can_ask_is_told_nothing_unasked(notebook: Notebook, shown: Grid) -> None:
    """It would get each picture twice."""
    browser = Browser(notebook.widget)
    browser.ready()
    seen = len(notebook.widget.sent)
    looked = threading.Event()
    shown._model.source.stamp = lambda: looked.set() or 1  # type: ignore[assignment, func-returns-value, method-assign]
    browser.ready()
    assert looked.wait(20)
    assert [message["t"] for message, _ in notebook.widget.sent[seen:]] in ([], ["patch"])


def test_what_nobody_looks_at_is_hardly_ever_looked_at(
    notebook: Notebook, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silence counts only while the kernel could have heard: one that runs a cell is not taken for unseen."""
    now = [0.0]
    monkeypatch.setattr(watching.time, "monotonic", lambda: now[0])

    class Loop:
        def __init__(self) -> None:
            self.calls: list[Any] = []

        def call_soon_threadsafe(self, call: Any) -> None:
            self.calls.append(call)

        def is_closed(self) -> bool:
            return False

        def turn(self) -> None:
            for call in self.calls:
                call()
            self.calls.clear()

    loop = Loop()
    monkeypatch.setattr(watching.asyncio, "get_running_loop", lambda: loop)
    ear = watching.Ear()
    now[0] = 5
    assert ear.is_watched()
    assert not ear.is_deaf
    now[0] = 300  # a long cell: the loop did not turn
    assert ear.is_watched()
    assert ear.is_deaf
    loop.turn()
    now[0] = 304
    assert ear.is_watched()
    loop.turn()
    now[0] = 306
    assert not ear.is_watched()
    ear.heard()
    assert ear.is_watched()
    now[0] = 308  # another long cell, in a front end whose messages are heard aside
    assert ear.is_watched()
    assert not ear.is_deaf


def test_the_widget_of_a_grid_can_stand_in_a_box_of_widgets(notebook: Notebook, study: Study) -> None:
    grid = Grid.of(study, rows="seed")
    assert notebook.widgets == []
    assert isinstance(grid.widget, FakeWidget)
    assert grid.widget is grid.widget
    browser = Browser(grid.widget)
    browser.ready()
    assert len(browser.cells) == 4
    assert notebook.outputs == []
    grid.close()


def test_the_real_widget_carries_its_kind_and_which_sheet_it_hides(study: Study) -> None:
    grid = Grid.of(study)
    widget = grid.widget
    assert (widget.kind, widget.static_id) == ("grid", grid._id)
    state = widget.get_state()
    assert not any(isinstance(value, bytes) or len(str(value)) > 400_000 for value in state.values())
    assert "cells" not in state
    grid.close()
