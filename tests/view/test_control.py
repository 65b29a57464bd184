"""The panel's decisions, without a browser and without widgets."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from view_fakes import make_picture, wait_until, write_study

import seedance_lab as lab
from seedance_lab import progress
from seedance_lab.errors import LabError, StudyLocked
from seedance_lab.journal import Journal
from seedance_lab.plan import Plan, sweep
from seedance_lab.study import Study
from seedance_lab.view import control as controls
from seedance_lab.view.control import PanelControl
from seedance_lab.view.fields import Fields, Upload


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "harbour.jpg"
    path.write_bytes(make_picture())
    return path


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path / "study", track=False)


@pytest.fixture
def hosted(tmp_path: Path) -> Study:
    return Study(tmp_path / "paid", engine="fal", track=False)


class FakeRun:
    """A run under the test's hand."""

    def __init__(self) -> None:
        self.state, self.done, self.said = "running", False, list[str]()

    def stop(self) -> None:
        self.said.append("stop")
        self.state = "stopping"

    def cancel(self) -> None:
        self.said.append("cancel")

    def check(self) -> None:
        raise StudyLocked("another process is running it")

    def snapshot(self) -> progress.Snapshot:
        return progress.Snapshot(self.state, 2, 1, 0, 0, 0, 1, 0.0, True, 1.0, None)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[FakeRun, Plan, dict[str, Any]]]:
    """Every run that a study is asked to start."""
    runs: list[tuple[FakeRun, Plan, dict[str, Any]]] = []

    def start(self: Study, plan: Plan, **options: Any) -> FakeRun:
        runs.append((FakeRun(), plan, options))
        return runs[-1][0]

    monkeypatch.setattr(Study, "start", start)
    return runs


def keys(code: str) -> list[str]:
    """The keys of the plan that the code makes."""
    names: dict[str, Any] = {}
    exec(code, names)
    return [request.key for request in names["plan"]]


def test_with_a_picture_the_first_plan_can_be_run_at_once(study: Study, file: Path) -> None:
    control = PanelControl(study)
    assert not control.can_run
    assert control.errors["image"].missing
    assert list(control.errors) == ["image"]
    control.set(image=str(file))
    assert control.errors == {}
    assert control.can_run


def test_the_count_is_shown_before_there_is_a_picture(study: Study) -> None:
    assert PanelControl(study, seed="1-5").price_text == "5 requests · choose a picture to see the price"


def test_the_price_follows_what_is_typed(study: Study, file: Path) -> None:
    control = PanelControl(study, image=str(file), resolution="480p", duration=5)
    assert control.price_text.startswith("2 requests · 10 s of video · $0.00 here, free engine ($")
    control.set(seed="1-8", resolution=("480p", "720p"))
    assert control.price_text.startswith("16 requests · 80 s of video")
    assert control.plan is not None
    assert f"${control.plan.usd:,.2f} at fal" in control.price_text


def test_what_was_made_before_is_not_priced_again(tmp_path: Path, file: Path) -> None:
    plan = sweep(image=file, prompt="x", seed=[1, 2], resolution="480p", duration=2)
    study = write_study(tmp_path / "s", plan)
    control = PanelControl(study, image=str(file), prompt="x", resolution="480p", duration=2, seed="1-3")
    assert control.price_text.startswith("3 requests, 2 made already · 2 s of video")
    control.set(seed="1-2")
    assert control.price_text == "2 requests, all made already · nothing to make"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("duration", "13", "2 to 12"),
        ("duration", "5,", "empty part"),
        ("seed", "x", "not understood"),
        ("seed", "4294967296", "not a seed"),
        ("prompt", "  \n ", "Say what should happen"),
        ("resolution", (), "at least one resolution"),
        ("resolution", ("4k",), "not offered"),
        ("aspect_ratio", (), "at least one aspect ratio"),
        ("repeat", 0, "must be 1 to"),
        ("endpoint", "lyte", "'lite'"),
        ("image", "nowhere.jpg", "cannot be read"),
        ("image", b"not a picture", "cannot be read as an image"),
        ("image", make_picture(100, 100), "300 to 6000"),
        ("end_image", "nowhere.jpg", "cannot be read"),
    ],
)
def test_an_error_stays_with_its_field(study: Study, file: Path, field: str, value: Any, words: str) -> None:
    control = PanelControl(study, image=str(file))
    control.set(**{field: value})
    assert list(control.errors) == [field]
    assert words in control.errors[field].text
    assert "Nothing was sent" not in control.errors[field].text
    assert control.plan is None
    assert not control.can_run
    assert control.run() is None


def test_every_wrong_field_is_told_of_at_once(study: Study) -> None:
    control = PanelControl(study, seed="x", duration="99", prompt="")
    assert set(control.errors) == {"image", "seed", "duration", "prompt"}
    assert control.price_text == "No plan yet · mend the marked fields to see the price"


def test_a_picture_where_the_model_takes_none_is_an_error_not_ignored(study: Study, file: Path) -> None:
    """A person would think that the clips show their picture."""
    control = PanelControl(study, image=str(file), endpoint="lite-text")
    assert "takes no image" in control.errors["image"].text
    control.set(image=None)
    assert control.errors == {}
    assert control.options("aspect_ratio")[-1] == "9:21"


def test_a_choice_that_another_model_does_not_offer_can_still_be_unticked(study: Study) -> None:
    control = PanelControl(study, aspect_ratio="auto")
    control.set(endpoint="lite-text")
    assert "aspect_ratio" in control.errors
    assert "auto" in control.options("aspect_ratio")


def test_a_plan_too_large_for_the_panel_is_not_built(study: Study, file: Path) -> None:
    """It would be built again at every key press."""
    control = PanelControl(study, image=str(file), seed="1-1999", duration="2-3")
    assert "3,998 requests" in control.errors["plan"].text
    control.set(seed="1-4000000000")
    assert "more than the panel's" in control.errors["seed"].text
    control.set(seed="1..4000000000..1000000000", duration="2")
    assert control.errors == {}


def test_a_file_that_is_changed_is_read_again(study: Study, file: Path) -> None:
    control = PanelControl(study, image=str(file))
    before = control.picture
    file.write_bytes(make_picture(shade=99) + b"\0")
    control.set(image=str(file))
    assert control.picture != before


@pytest.mark.parametrize(
    "defaults",
    [
        {},
        {"seed": range(4), "duration": [2, 4, 6], "resolution": ["480p", "720p"], "aspect_ratio": "1:1,16:9"},
        {"prompt": ["one, two", 'it\'s "three" – 1-3'], "seed": "random,7"},
        {"prompt": ["a" * 50, "b" * 50], "camera_fixed": [True, False], "repeat": 3},
        {"camera": "fixed", "seed": "", "endpoint": "pro", "duration": "2..12..5"},
    ],
)
def test_the_code_makes_the_same_plan(study: Study, file: Path, defaults: dict[str, Any]) -> None:
    control = PanelControl(study, image=str(file), **defaults)
    assert control.plan is not None, control.errors
    assert keys(control.as_code(run=False)) == [request.key for request in control.plan]


def test_the_code_of_an_upload_names_a_file_with_the_same_bytes(study: Study) -> None:
    """Bytes cannot be typed; the study keeps them, as it would at the first run."""
    control = PanelControl(study, image=Upload("dusk.jpg", make_picture()), end_image=make_picture(shade=9))
    assert control.picture is not None
    assert control.picture.name == "dusk.jpg"
    assert control.plan is not None
    assert keys(control.as_code(run=False)) == [request.key for request in control.plan]
    assert Study(study.folder, track=False).clips() == []


def test_the_code_says_how_it_was_to_be_run(hosted: Study, file: Path) -> None:
    code = PanelControl(hosted, image=str(file), budget_usd=2.5).as_code()
    assert f"lab.Study({str(hosted.folder)!r}, engine='fal', track=False)" in code
    assert "study.run(plan, budget_usd=2.5)" in code


def test_without_a_plan_there_is_no_code_but_a_reason(study: Study) -> None:
    with pytest.raises(LabError, match="image: Choose a picture"):
        PanelControl(study).as_code()


def test_a_field_that_the_panel_has_not_is_named_with_near_ones(study: Study) -> None:
    with pytest.raises(LabError, match=r"no field 'seeds'.*'seed'"):
        PanelControl(study, seeds=3)
    with pytest.raises(LabError, match="no line break"):
        PanelControl(study, prompt=["a\nb"])


class Clock:
    """Time under the test's hand."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(controls, "time", clock)
    return clock


def test_where_it_costs_money_it_takes_a_budget_and_a_second_press(
    hosted: Study, file: Path, started: list[tuple[FakeRun, Plan, dict[str, Any]]], clock: Clock
) -> None:
    control = PanelControl(hosted, image=str(file))
    assert control.errors["budget_usd"].missing
    control.set(budget_usd="lots")
    assert "not a number of dollars" in control.errors["budget_usd"].text
    control.set(budget_usd="0.01")
    assert "budget is $0.01" in control.errors["budget_usd"].text
    assert not control.can_run
    control.set(budget_usd="$5")
    assert (control.can_run, control.confirm_text) == (True, "")
    assert control.run() is None
    assert control.confirm_text == "This will cost about $0.37 at fal. Press again to confirm."
    assert (started, control.errors) == ([], {})
    clock.now_s = 2.0
    assert control.run() is not None
    assert started[0][2]["budget_usd"] == 5.0
    assert control.confirm_text == ""


@pytest.mark.parametrize("change", [{"seed": "1-9"}, {"budget_usd": "40"}, {"prompt": "other boats"}])
def test_any_change_takes_the_question_back(
    hosted: Study,
    file: Path,
    started: list[tuple[FakeRun, Plan, dict[str, Any]]],
    clock: Clock,
    change: dict[str, str],
) -> None:
    """Another prompt costs the same, and is another plan."""
    control = PanelControl(hosted, image=str(file), budget_usd=50)
    control.run()
    control.set(**change)
    assert control.confirm_text == ""
    clock.now_s = 2.0
    assert control.run() is None
    assert control.confirm_text
    assert started == []
    clock.now_s = 4.0
    assert control.run() is not None


def test_a_double_click_does_not_answer_its_own_question(
    hosted: Study, file: Path, started: list[tuple[FakeRun, Plan, dict[str, Any]]], clock: Clock
) -> None:
    control = PanelControl(hosted, image=str(file), budget_usd=50)
    for clock.now_s in (0.0, 0.2, 0.9):
        assert control.run() is None
    assert started == []
    clock.now_s = 1.5
    assert control.run() is not None


def test_what_was_paid_for_meanwhile_makes_it_another_question(
    tmp_path: Path, file: Path, started: list[tuple[FakeRun, Plan, dict[str, Any]]], clock: Clock
) -> None:
    """The clips may have been made from a cell while the question stood there."""
    hosted = Study(tmp_path / "paid", engine="fal", track=False)
    control = PanelControl(hosted, image=str(file), budget_usd=50)
    control.run()
    assert control.plan is not None
    with Journal(hosted.folder) as journal:
        journal.append("study", version=1, engine="fal")
        journal.append("sending", control.plan[0].key, request=control.plan[0].record(), wire={}, usd=0.1)
        journal.append("accepted", control.plan[0].key, request_id="r", urls={})
    control.refresh()
    assert control.confirm_text == ""
    clock.now_s = 2.0
    assert control.run() is None
    assert control.confirm_text.startswith("This will cost about $0.19")
    assert started == []


def test_a_free_engine_asks_for_neither(study: Study, file: Path) -> None:
    control = PanelControl(study, image=str(file))
    assert not control.needs_confirm
    assert control.confirm_text == ""
    assert control.can_run


def test_a_double_click_runs_once(study: Study, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Callbacks may come on two threads; two runs of one plan would fight for the journal's lock.

    The second click comes while the first is still starting; without the control's lock both would start.
    """
    started: list[Plan] = []
    again = threading.Event()

    def start(self: Study, plan: Plan, **options: Any) -> FakeRun:
        started.append(plan)
        if len(started) > 1:
            again.set()
        again.wait(0.3)
        return FakeRun()

    monkeypatch.setattr(Study, "start", start)
    control = PanelControl(study, image=str(file))
    threads = [threading.Thread(target=control.run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(started) == 1


def test_stop_begins_nothing_new_and_cancel_takes_back(
    study: Study, file: Path, started: list[tuple[FakeRun, Plan, dict[str, Any]]]
) -> None:
    control = PanelControl(study, image=str(file))
    assert control.snapshot() is None
    control.stop()
    control.run()
    assert control.running
    assert not control.can_run
    control.stop()
    assert control.stopping
    control.cancel()
    assert started[0][0].said == ["stop", "cancel"]
    snapshot = control.snapshot()
    assert snapshot is not None
    assert snapshot.state == "stopping"


def test_what_ends_a_whole_run_is_shown(
    study: Study, file: Path, started: list[tuple[FakeRun, Plan, dict[str, Any]]]
) -> None:
    control = PanelControl(study, image=str(file))
    control.run()
    started[0][0].done = True
    control.refresh()
    assert control.errors["run"].text == "another process is running it"
    control.set(seed="3")
    assert "run" not in control.errors


def test_a_run_through_the_embedded_engine_makes_the_plan(study: Study, file: Path) -> None:
    control = PanelControl(study, image=str(file), resolution="480p", duration=2, seed="1-2")
    run = control.run()
    assert run is not None
    wait_until(lambda: run.done, 60)
    control.refresh()
    assert control.errors == {}
    assert [clip.request.seed for clip in run.clips if clip.request] == [1, 2]
    assert control.price_text == "2 requests, all made already · nothing to make"


def test_the_fields_are_those_that_the_code_can_say() -> None:
    """A field that `as_code` forgot would make a different plan."""
    said = {
        "image",
        "end_image",
        "prompt",
        "seed",
        "duration",
        "resolution",
        "aspect_ratio",
        "camera",
        "repeat",
    }
    assert set(Fields.__dataclass_fields__) == said | {"endpoint", "budget_usd"}


def test_the_controller_imports_nothing_that_draws() -> None:
    """It must be usable, and tested, where there is no notebook."""
    source = Path(controls.__file__).read_text()
    assert not any(word in source for word in ("ipywidgets", "IPython", "rich", "<div"))
    assert lab.__name__ in sys.modules
