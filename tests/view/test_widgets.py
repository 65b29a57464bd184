"""The widgets, bound to the control; without a kernel and without a browser."""

from __future__ import annotations

import datetime as dt
import threading
from pathlib import Path
from typing import Any

import pytest
from view_fakes import make_picture, wait_until

from seedance_lab.study import Study
from seedance_lab.view import Panel, panel, widgets


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "harbour.jpg"
    path.write_bytes(make_picture())
    return path


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path / "study", track=False)


@pytest.fixture
def made(study: Study, file: Path) -> Panel:
    return panel(study, image=str(file), resolution="480p", duration=2, seed="1-2")


def upload(name: str, data: bytes) -> tuple[dict[str, Any], ...]:
    """What a FileUpload holds after a person chose a file."""
    now = dt.datetime.now(dt.UTC)
    file = {"name": name, "type": "image/jpeg", "size": len(data), "content": memoryview(data)}
    return ({**file, "last_modified": now},)


def test_a_field_that_is_typed_into_changes_the_plan_and_its_price(made: Panel) -> None:
    made.widgets.seed.value = "1-6"
    made.widgets.prompt.value = "one\ntwo"
    made.widgets.camera.value = "both"
    assert made.control.plan is not None
    assert len(made.control.plan) == 24
    assert "24 requests" in made.widgets.price.value


def test_a_ticked_box_is_an_axis(made: Panel) -> None:
    ticks = {tick.description: tick for tick in made.widgets.resolution.children}
    ticks["1080p"].value = True
    assert made.control.fields.resolution == ("480p", "1080p")
    ticks["480p"].value = False
    assert made.control.fields.resolution == ("1080p",)


def test_an_error_appears_beside_its_field_and_goes_again(made: Panel) -> None:
    beside = made.widgets._errors["duration"]
    assert beside.layout.display == "none"
    made.widgets.duration.value = "99"
    assert "2 to 12" in beside.value
    assert beside.layout.display is None
    assert made.widgets.run.disabled
    made.widgets.duration.value = "3"
    assert beside.value == ""
    assert not made.widgets.run.disabled


def test_another_model_offers_its_own_choices(made: Panel) -> None:
    made.widgets.remove.click()
    made.widgets.endpoint.value = "lite-text"
    assert [t.description for t in made.widgets.aspect_ratio.children] == [
        *("21:9", "16:9", "4:3", "1:1", "3:4", "9:16", "9:21"),
        "auto",
    ]


def test_an_upload_takes_the_paths_place_and_can_be_removed(made: Panel) -> None:
    made.widgets.upload.value = upload("dusk.jpg", make_picture(shade=7))
    assert made.widgets.image.value == ""
    assert made.control.picture is not None
    assert made.control.picture.name == "dusk.jpg"
    assert "dusk.jpg" in made.widgets.thumb.value
    made.widgets.remove.click()
    assert made.control.picture is None
    assert made.widgets.run.disabled
    assert "9 MB" in made.widgets.thumb.value


def test_an_upload_that_the_browser_cannot_send_whole_is_refused(
    made: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages over 10 MB never arrive, so what does arrive near that size is not to be relied on."""
    monkeypatch.setattr(widgets, "UPLOAD_LIMIT", 10)
    made.widgets.upload.value = upload("dusk.jpg", make_picture())
    assert "give its path instead" in made.widgets.message.value


def test_a_name_from_the_browser_stays_text(made: Panel) -> None:
    made.widgets.upload.value = upload("<img src=x onerror=alert(1)>.jpg", make_picture())
    assert "<img src=x" not in made.widgets.thumb.value
    made.widgets.seed.value = "<b>"
    assert "<b>" not in made.widgets._errors["seed"].value


def test_what_goes_wrong_in_a_callback_is_shown(made: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would end in the server's log, which nobody reads."""

    def fails() -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(made.control, "run", fails)
    made.widgets.run.click()
    assert "ZeroDivisionError: oh" in made.widgets.message.value


def test_run_makes_the_clips_and_the_display_thread_ends_with_it(made: Panel) -> None:
    w = made.widgets
    w.run.click()
    assert w.run.disabled
    assert not w.stop.disabled
    follower = w._follower
    assert follower is not None
    wait_until(lambda: not follower.is_alive(), 60)
    assert w._result_html.count("<video ") == 2
    assert "2 of 2 saved" in w.progress.value
    assert "all made already" in w.price.value
    assert w.stop.disabled
    assert not [t for t in threading.enumerate() if t.name == "seedance-lab-panel"]


def test_stop_saves_what_is_in_flight_and_begins_nothing_new(study: Study, file: Path) -> None:
    made = panel(study, image=str(file), resolution="480p", duration=2, seed="1-40", in_flight=1)
    w = made.widgets
    w.run.click()
    w.stop.click()
    follower = w._follower
    assert follower is not None
    wait_until(lambda: not follower.is_alive(), 60)
    assert len(study.clips()) < 40
    assert not study.unknown
    assert "not made" in w.progress.value
    assert not w.run.disabled


def test_the_code_appears_on_demand_and_follows_the_fields(made: Panel) -> None:
    assert made.widgets.code.value == ""
    made.widgets.as_code.value = True
    assert "seed=[1, 2]" in made.widgets.code.value
    made.widgets.seed.value = "1-9"
    assert "seed=range(1, 10)" in made.widgets.code.value


def test_the_budget_is_asked_for_only_where_it_costs_money(tmp_path: Path, file: Path, made: Panel) -> None:
    assert "budget_usd" not in made.widgets._errors
    paid = panel(Study(tmp_path / "paid", engine="fal", track=False), image=str(file))
    assert paid.widgets.run.disabled
    paid.widgets.budget.value = "9"
    assert not paid.widgets.run.disabled
    assert paid.widgets.confirm.value == ""
    paid.widgets.run.click()
    assert "This will cost about $" in paid.widgets.confirm.value
    assert (paid.widgets.run.description, paid.widgets.run.button_style) == ("Confirm", "warning")
    paid.widgets.seed.value = "1-9"
    assert paid.widgets.confirm.value == ""
    assert paid.widgets.run.description == "Run"
    assert paid.control.current is None


@pytest.mark.parametrize("where", ["static", "text"])
def test_where_nobody_can_press_a_button_it_says_how_to_run_the_plan_in_code(
    made: Panel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    """papermill and nbmake save every widget's state, and nobody ever sees it."""
    monkeypatch.setenv("SEEDANCE_LAB_UI", where)
    made._ipython_display_()
    assert made._widgets is None
    assert "lab.sweep(" in repr(made)
    assert "study.run(plan)" in repr(made)


def test_without_a_picture_the_sentence_says_what_is_missing(study: Study) -> None:
    assert "Choose a picture" in repr(panel(study))
