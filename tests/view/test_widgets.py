"""The widgets, bound to the control; without a kernel and without a browser."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from view_fakes import make_picture, wait_until, write_study

from seedance_lab.errors import LabError
from seedance_lab.plan import sweep
from seedance_lab.study import Study
from seedance_lab.view import Panel, panel, widgets
from seedance_lab.view.widgets import PanelWidgets


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "harbour.jpg"
    path.write_bytes(make_picture())
    return path


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path / "study", track=False, measure=False)


@pytest.fixture
def made(study: Study, file: Path) -> Iterator[Panel]:
    shown = panel(study, image=str(file), resolution="480p", duration=2, seed="1-2")
    yield shown
    shown.close()


@pytest.fixture
def w(made: Panel) -> PanelWidgets:
    return made.widgets


def ticks(w: PanelWidgets, name: str) -> dict[str, Any]:
    return {tick.word: tick for tick in w.form.ticks[name].children}


def error(w: PanelWidgets, name: str) -> Any:
    return w._making.errors[name]


def ended(w: PanelWidgets) -> None:
    """Wait until the run that is shown is over, and shown to be."""
    follower = w.follower
    assert follower is not None
    wait_until(lambda: not follower.is_alive(), 60)


# ── inputs ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_field_that_is_typed_into_changes_the_plan_and_its_price(w: PanelWidgets) -> None:
    w.form.texts["seed"].value = "1-6"
    w.form.texts["prompt"].value = "one\ntwo"
    w.form.texts["camera_fixed"].value = "moving,fixed"
    assert w.control.plan is not None
    assert len(w.control.plan) == 24
    assert "24 requests" in w.bar.price.value


def test_a_ticked_box_is_an_axis_and_its_text_form(w: PanelWidgets) -> None:
    ticks(w, "resolution")["1080p"].value = True
    assert w.form.texts["resolution"].value == "480p,1080p"
    ticks(w, "resolution")["480p"].value = False
    assert (w.form.texts["resolution"].value, w.control.fields.resolution) == ("1080p", "1080p")


def test_a_text_form_ticks_the_boxes(w: PanelWidgets) -> None:
    w.form.texts["duration"].value = "2..12..5"
    assert [word for word, tick in ticks(w, "duration").items() if tick.value] == ["2", "7", "12"]


def test_every_input_of_the_model_has_a_field(w: PanelWidgets) -> None:
    names = set(w.control.endpoints[0].settings)
    assert names <= set(w.form.texts)
    assert set(w.form.pictures) == {"image", "end_image"}


def test_an_error_appears_beside_its_field_and_goes_again(w: PanelWidgets) -> None:
    assert error(w, "duration").layout.display == "none"
    w.form.texts["duration"].value = "99"
    assert "2 to 12" in error(w, "duration").value
    assert 'role="alert"' in error(w, "duration").value
    assert error(w, "duration").layout.display is None
    assert w.bar.run.disabled
    w.form.texts["duration"].value = "3"
    assert error(w, "duration").value == ""
    assert not w.bar.run.disabled


def test_every_field_that_can_be_wrong_has_room_to_say_so(
    w: PanelWidgets, tmp_path: Path, file: Path
) -> None:
    paid = panel(Study(tmp_path / "paid", engine="fal", track=False), image=str(file))
    assert {*w.control.fields.__dataclass_fields__, "plan", "run", "load"} - {"budget_usd"} == set(
        w._making.errors
    )
    assert "budget_usd" in paid.widgets._making.errors
    paid.close()


def test_another_model_offers_its_own_choices(w: PanelWidgets) -> None:
    w.form.addresses["image"].value = ""
    w.form.texts["endpoint"].value = "lite-text"
    assert list(ticks(w, "aspect_ratio"))[:7] == ["21:9", "16:9", "4:3", "1:1", "3:4", "9:16", "9:21"]
    assert "deprecated, read 2026-" in w.form.hints["endpoint"].value
    assert "$1.80 per million tokens, read 2026-" in w.form.hints["endpoint"].value


def test_a_path_is_taken_shown_and_can_be_emptied(w: PanelWidgets, file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jpg"
    other.write_bytes(make_picture(shade=3))
    assert w.form.addresses["image"].value == str(file)
    w.form.addresses["image"].value = str(other)
    assert w.control.fields.image == (str(other),)
    w.form.addresses["image"].value = ""
    assert w.control.fields.image == ()
    assert "Choose a picture" in error(w, "image").value


def test_a_path_without_a_picture_is_said(w: PanelWidgets, file: Path) -> None:
    w.form.addresses["image"].value = "nowhere.jpg"
    assert "nowhere.jpg" in error(w, "image").value
    assert w.control.fields.image == (str(file),)
    w.form.addresses["image"].value = str(file)
    assert error(w, "image").value == ""


def test_an_address_that_does_not_answer_is_said_below_the_field(
    w: PanelWidgets, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(_: str) -> bytes:
        raise LabError("nobody answers there")

    monkeypatch.setattr("seedance_lab.image._fetch", fetch)
    w.form.addresses["image"].value = "https://example.org/a.jpg"
    wait_until(lambda: "nobody answers there" in error(w, "image").value)
    assert w.control.fields.image == (str(file),)


def test_several_pictures_are_added_by_their_paths(w: PanelWidgets, file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jpg"
    other.write_bytes(make_picture(shade=3))
    w.form.several["image"].value = True
    w.form.addresses["image"].value = str(other)
    assert w.control.fields.image == (str(file), str(other))
    assert w.form.addresses["image"].value == ""
    w.form.several["image"].value = False
    assert w.control.fields.image == (str(other),)


def test_a_last_frame_can_be_compared_with_none(w: PanelWidgets, file: Path) -> None:
    assert w.form.without.layout.display == "none"
    w.form.addresses["end_image"].value = str(file)
    w.form.without.value = True
    assert w.control.fields.end_image == (None, str(file))
    assert "4 requests" in w.bar.price.value
    w.form.without.value = False
    assert w.control.fields.end_image == (str(file),)


def test_commands_in_a_prompt_are_flagged_and_taken_into_the_fields_by_a_press(w: PanelWidgets) -> None:
    assert w.form.lift.layout.display == "none"
    w.form.texts["prompt"].value = "boats --dur 7"
    assert "--dur 7: a text command of the model" in w.form.hints["prompt"].value
    assert w.form.lift.layout.display is None
    w.form.lift.click()
    assert (w.form.texts["prompt"].value, w.form.texts["duration"].value) == ("boats", "7")


def test_conditions_groups_and_samples_stand_behind_a_button(w: PanelWidgets) -> None:
    assert w.form._more.layout.display == "none"
    w.form.more.value = True
    assert w.form._more.layout.display is None
    w.form.texts["where"].value = "seed == 2"
    assert "1 request ·" in w.bar.price.value
    w.form.texts["sample"].value = "1"
    assert all(part.layout.display is None for part in w.form.drawing)


def test_names_from_outside_stay_text(w: PanelWidgets) -> None:
    w.form.texts["seed"].value = "<b>"
    w.form.texts["prompt"].value = "x --<script>alert(1)</script> --ab<b> 3"
    for html in (error(w, "seed").value, w.form.hints["prompt"].value, w._page(with_clips=False)):
        assert "'<b>'" not in html
        assert "--ab<b>" not in html
        assert "<script" not in html


def test_an_input_that_stands_in_the_rows_cannot_be_typed_into(w: PanelWidgets) -> None:
    w.form.texts["rows"].value = '{"duration": 3}'
    assert w.form.texts["duration"].disabled
    assert all(tick.disabled for tick in ticks(w, "duration").values())
    assert not w.form.texts["seed"].disabled


# ── running ─────────────────────────────────────────────────────────────────────────────────────────────


def test_what_goes_wrong_in_a_callback_is_shown(w: PanelWidgets, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would end in the server's log, which nobody reads."""

    def fails() -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(w.control, "run", fails)
    w.bar.run.click()
    assert "ZeroDivisionError: oh" in w.bar.message.value


def test_run_makes_the_clips_below_and_the_display_thread_ends_with_it(w: PanelWidgets) -> None:
    assert w.grid is None
    w.bar.run.click()
    assert w.bar.run.disabled
    assert not w.bar.stop.disabled
    assert w.grid is not None
    assert w._results.children == (w.grid.widget,)
    ended(w)
    assert "2 of 2 saved" in w.bar.progress.value
    assert "all made already" in w.bar.price.value
    assert w.bar.stop.disabled
    wait_until(lambda: "2 clips" in w.grid.line if w.grid else False)
    assert w._page(with_clips=True).count("<img ") == 2
    assert not [t for t in threading.enumerate() if t.name == "seedance-lab panel"]


def test_the_saved_copy_is_drawn_again_when_the_clips_below_change_and_once_nothing_runs(
    w: PanelWidgets, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    w.bar.run.click()
    ended(w)
    drawn: list[str] = []
    monkeypatch.setattr(w._plain, "redraw", lambda: drawn.append(w._page(with_clips=True)))
    grid = w.grid
    assert grid is not None
    grid._model.refresh()  # the grid's own thread does so now and then
    w.beat()
    wait_until(lambda: len(drawn) == 1)
    study.rate(study.clips()[0].key, stars=5)
    grid._model.refresh()
    w.beat()
    wait_until(lambda: len(drawn) == 2)
    assert "★★★★★" not in drawn[0]
    assert "★★★★★" in drawn[1]


def test_pause_stop_and_cancel_are_seen_at_once(study: Study, file: Path) -> None:
    made = panel(study, image=str(file), resolution="480p", duration=2, seed="1-40", in_flight=1)
    w = made.widgets
    w.bar.run.click()
    w.bar.pause.click()
    assert (w.bar.pause.description, "paused" in w.bar.progress.value) == ("Resume", True)
    w.bar.pause.click()
    assert w.bar.pause.description == "Pause"
    w.bar.stop.click()
    assert "stopping" in w.bar.progress.value
    assert (w.bar.stop.disabled, w.bar.pause.disabled, w.bar.cancel.disabled) == (True, True, False)
    w.bar.cancel.click()
    assert "cancelling" in w.bar.progress.value
    assert w.bar.cancel.disabled
    ended(w)
    assert len(study.clips()) < 40
    assert not study.unknown
    assert "not made" in w.bar.progress.value
    assert not w.bar.run.disabled
    made.close()


def test_a_second_panel_says_who_runs_the_study_and_follows_it(study: Study, file: Path) -> None:
    options: dict[str, Any] = {"image": str(file), "resolution": "480p", "duration": 2, "seed": "1-40"}
    first, second = panel(study, in_flight=1, **options), panel(study, **options)
    second.widgets.beat()
    assert second.widgets.follower is None
    first.widgets.bar.run.click()
    second.widgets.beat()
    assert "begun in another panel" in second.widgets.bar.who.value
    assert "of 40 saved" in second.widgets.bar.progress.value
    second.widgets.bar.run.click()
    assert "Nothing was sent. Wait for it, or press Stop" in error(second.widgets, "run").value
    second.widgets.bar.stop.click()
    ended(first.widgets)
    ended(second.widgets)
    assert second.widgets.bar.who.value == ""
    assert "not made" in second.widgets.bar.progress.value
    for one in (first, second):
        one.close()


def test_the_budget_is_asked_for_only_where_it_costs_money(
    tmp_path: Path, file: Path, w: PanelWidgets
) -> None:
    assert "budget_usd" not in w._making.errors
    paid = panel(Study(tmp_path / "paid", engine="fal", track=False), image=str(file))
    bar = paid.widgets.bar
    assert bar.run.disabled
    bar.budget.value = "9"
    assert not bar.run.disabled
    assert bar.confirm.value == ""
    bar.run.click()
    assert "This will cost about $" in bar.confirm.value
    assert (bar.run.description, bar.run.button_style) == ("Confirm", "warning")
    bar.run.click()
    assert paid.control.running.current is None, "a double click is no answer"
    paid.widgets.form.texts["seed"].value = "1-9"
    assert bar.confirm.value == ""
    assert bar.run.description == "Run"
    assert paid.control.running.current is None
    paid.close()


def test_the_price_of_today_is_asked_for_and_what_goes_wrong_is_said(
    tmp_path: Path, file: Path, w: PanelWidgets, monkeypatch: pytest.MonkeyPatch
) -> None:
    def quote(*_: object) -> None:
        raise LabError("engine='fal' needs a key, and none was found.")

    assert w.bar.ask not in w.box.children
    monkeypatch.setattr(Study, "quote", quote)
    paid = panel(Study(tmp_path / "paid", engine="fal", track=False), image=str(file), budget_usd=5)
    paid.widgets.bar.ask.click()
    wait_until(lambda: "needs a key" in paid.widgets.bar.quoted.value)
    paid.close()


def test_a_display_that_fails_does_not_end_the_run(w: PanelWidgets, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise OSError("the connection is gone")

    monkeypatch.setattr(w.bar, "show_progress", fails)
    monkeypatch.setattr(widgets, "_TICK_S", 0.01)
    w.control.run()
    w.beat()
    ended(w)
    assert "The display failed, the run goes on" in w.bar.message.value
    assert w.control.running.current is not None
    assert len(w.control.running.current.clips) == 2


# ── code and loading ────────────────────────────────────────────────────────────────────────────────────


def test_the_code_appears_on_demand_and_follows_the_fields(w: PanelWidgets) -> None:
    assert w.bar.code.value == ""
    w.bar.as_code.value = True
    assert "seed=[1, 2]" in w.bar.code.value
    w.form.texts["seed"].value = "1-9"
    assert "seed=range(1, 10)" in w.bar.code.value


def test_a_pasted_request_fills_the_fields_and_is_not_kept(w: PanelWidgets, file: Path) -> None:
    """A copied command line may have a key in it."""
    w.bar.loading.value = True
    w.bar.pasted.value = f"""curl -H "Authorization: Key abc:secret" --data '{{"prompt": "a dog", "image_url":
        "{file}", "duration": "7"}}'"""
    w.bar.load.click()
    assert (w.form.texts["prompt"].value, w.form.texts["duration"].value) == ("a dog", "7")
    assert w.bar.pasted.value == ""
    assert not w.bar.loading.value
    assert "secret" not in w._page(with_clips=False)


def test_what_cannot_be_loaded_says_why_below_the_box_and_keeps_the_text(w: PanelWidgets) -> None:
    w.bar.pasted.value = "lab.sweep(seed=draw())"
    w.bar.load.click()
    assert "seed=draw() is computed" in error(w, "load").value
    assert w.bar.pasted.value == "lab.sweep(seed=draw())"
    w.bar.load_last.click()
    assert "has no requests yet" in error(w, "load").value


def test_the_studys_last_plan_is_loaded_by_a_press_and_by_name(tmp_path: Path, file: Path) -> None:
    plan = sweep(image=file, prompt="gulls", seed=[4, 5], resolution="480p", duration=3)
    study = write_study(tmp_path / "old", plan)
    made = panel(study)
    made.widgets.bar.load_last.click()
    assert (made.widgets.form.texts["prompt"].value, made.widgets.form.texts["seed"].value) == (
        "gulls",
        "4,5",
    )
    assert "all made already" in made.widgets.bar.price.value
    assert made.load("sweep(prompt='x', seed=range(5))") is made
    assert made.widgets.form.texts["seed"].value == "0-4"
    made.close()


# ── where no widget lives ───────────────────────────────────────────────────────────────────────────────


def test_in_a_terminal_it_is_text(
    made: Panel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEEDANCE_LAB_UI", "text")
    made._ipython_display_()
    said = capsys.readouterr().out
    assert made._widgets is None
    assert "A panel needs a living notebook" in said
    assert "2 requests · 4 s of video" in said
    assert "lab.sweep(" in said
    assert "study.run(plan)" in said


def test_where_nobody_looks_it_is_a_plain_summary_and_no_widget(
    made: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """papermill and nbmake save every widget's state, and nobody ever sees it."""
    shown: list[dict[str, str]] = []
    monkeypatch.setenv("SEEDANCE_LAB_UI", "static")
    monkeypatch.setattr(widgets, "display", lambda data, *_: shown.append(data))
    made._ipython_display_()
    assert made._widgets is None
    (bundle,) = shown
    assert set(bundle) == {"text/html", "text/plain"}
    assert "<table><tr><td>seed</td><td>1, 2</td></tr></table>" in bundle["text/html"]
    assert "lab.sweep(" in bundle["text/html"]
    assert "<script" not in bundle["text/html"]
    assert "<style" not in bundle["text/html"]


def test_in_a_notebook_it_is_two_outputs_of_which_the_second_survives_the_kernel(
    made: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[dict[str, str]] = []
    monkeypatch.setenv("SEEDANCE_LAB_UI", "widget")
    monkeypatch.setattr(widgets, "display", lambda data, *_, **__: shown.append(data))
    monkeypatch.setattr("seedance_lab.view.plain.display", lambda data, *_, **__: shown.append(data))
    made._ipython_display_()
    alive, saved = shown
    assert "application/vnd.jupyter.widget-view+json" in alive
    for said in (alive["text/plain"], saved["text/plain"], saved["text/html"]):
        assert "Run its cell to have it again" in said
        assert "lab.sweep(" in said
    assert f"sl-static-{made.widgets._id}" in saved["text/html"]


def test_without_a_picture_the_text_says_what_is_missing(study: Study) -> None:
    assert "Choose a picture" in repr(panel(study))


def test_a_field_that_there_is_not_is_refused_with_near_ones(study: Study) -> None:
    with pytest.raises(LabError, match="'seed'"):
        panel(study, seeds=3)
