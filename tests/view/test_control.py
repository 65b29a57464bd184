"""The panel's decisions, without a browser and without widgets."""

from __future__ import annotations

import subprocess
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
from seedance_lab.view import panel_running
from seedance_lab.view.control import PanelControl
from seedance_lab.view.fields import NAMES, Upload


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

    def pause(self) -> None:
        self.said.append("pause")

    def resume(self) -> None:
        self.said.append("resume")

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
    assert control.price_text.startswith("2 requests · 10 s of video · $0.00 here, free engine (at fal $")
    control.set(seed="1-8", resolution=("480p", "720p"))
    assert control.price_text.startswith("16 requests · 80 s of video")
    assert control.plan is not None
    assert f"at fal ${control.plan.usd:,.2f}, by the list price of 2026" in control.price_text


def test_the_service_is_asked_for_its_price_without_sending_anything(study: Study, file: Path) -> None:
    control = PanelControl(study, image=str(file), resolution="480p", duration=2)
    assert "2 requests · 4 s of video · est. $" in control.quote()
    assert study.records() == {}
    control.set(seed="x")
    with pytest.raises(LabError, match="no plan to ask the price of"):
        control.quote()


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
        ("resolution", "", "at least one resolution"),
        ("resolution", "480p,4k", "not offered"),
        ("aspect_ratio", " ", "at least one aspect ratio"),
        ("camera_fixed", "still", "neither true nor false"),
        ("enable_safety_checker", "", "at least one safety checker"),
        ("repeat", 0, "must be 1 to"),
        ("sample", "many", "must be 1 to"),
        ("where", "durations > 3", "'durations' is no input. Did you mean 'duration'"),
        ("where", "duration >", "is no condition"),
        ("where", "duration > 99", "left no request"),
        ("where", "seed < 'a'", "not supported between"),
        ("zip", "image", "at least two"),
        ("zip", "prompt + sed", "Did you mean 'seed'"),
        ("zip", "prompt + seed", "prompt has 1, seed has 2"),
        ("rows", "seed=3", "Row 1 is no JSON object"),
        ("rows", '{"sed": 3}', "Row 1: 'sed' is no input. Did you mean 'seed'"),
        ("rows", '{"seed": "x"}', "not a seed"),
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
    assert "takes no picture" in control.errors["image"].text
    control.set(image=None)
    assert control.errors == {}
    assert control.options("aspect_ratio")[-1] == "9:21"


def test_a_choice_that_another_model_does_not_offer_can_still_be_unticked(study: Study) -> None:
    control = PanelControl(study, aspect_ratio="auto")
    control.set(endpoint="lite-text", image=None)
    assert "aspect_ratio" in control.errors
    assert "auto" in control.options("aspect_ratio")


def test_a_plan_too_large_for_the_panel_is_not_built(study: Study, file: Path) -> None:
    """It would be built again at every key press."""
    control = PanelControl(study, image=str(file), seed="1-1999", duration="2-3")
    assert "3,998 requests" in control.errors["plan"].text
    control.set(seed="1-4000000000")
    assert "8,000,000,000 requests" in control.errors["plan"].text
    control.set(sample="5")
    assert control.errors == {}
    control.set(sample="", seed="1..4000000000..1000000000", duration="2")
    assert control.errors == {}


def test_a_file_that_is_changed_is_read_again(study: Study, file: Path) -> None:
    control = PanelControl(study, image=str(file))
    before = control.shown_pictures("image")
    file.write_bytes(make_picture(shade=99) + b"\0")
    control.set(image=str(file))
    assert control.shown_pictures("image") != before


@pytest.mark.parametrize(
    "defaults",
    [
        {},
        {"seed": range(4), "duration": [2, 4, 6], "resolution": ["480p", "720p"], "aspect_ratio": "1:1,16:9"},
        {"prompt": ["one, two", 'it\'s "three" – 1-3'], "seed": "random,7"},
        {"prompt": ["a" * 50, "b" * 50], "camera_fixed": [True, False], "repeat": 3},
        {"camera": "fixed", "seed": "", "endpoint": "pro", "duration": "2..12..5"},
        {"endpoint": ["lite", "pro"], "enable_safety_checker": [True, False], "camera_fixed": [False, True]},
        {"prompt": ["one", "two"], "seed": "1,2", "zip": "prompt + seed", "duration": "2,3"},
        {
            "seed": "1-9",
            "duration": "2,9",
            "where": "duration < 5 or seed in [1, 3] and not endpoint == 'pro'",
        },
        {"seed": "1-4000000000", "sample": 7, "method": "lhs", "sample_seed": 3},
        {"rows": [{"seed": 3, "prompt": "x"}, {"seed": 9, "prompt": "it's"}], "resolution": "480p,720p"},
        {"prompt": ["two\nlines"]},
    ],
)
def test_the_code_makes_the_same_plan(study: Study, file: Path, defaults: dict[str, Any]) -> None:
    control = PanelControl(study, image=str(file), **defaults)
    assert control.plan is not None, control.errors
    assert keys(control.as_code(run=False)) == [request.key for request in control.plan]


def test_the_code_leaves_out_what_the_service_does_anyway(study: Study, file: Path) -> None:
    control = PanelControl(study, image=str(file), prompt="x", seed="7")
    assert control.as_code(run=False).splitlines()[2:] == [
        "plan = lab.sweep(",
        f"    image={str(file)!r},",
        "    prompt='x',",
        "    resolution='720p',",
        "    duration=5,",
        "    seed=7,",
        ")",
    ]


def test_the_code_of_an_upload_names_a_file_with_the_same_bytes(study: Study) -> None:
    """Bytes cannot be typed; the study keeps them, as it would at the first run."""
    control = PanelControl(study, image=Upload("dusk.jpg", make_picture()), end_image=make_picture(shade=9))
    assert [picture.name for _, picture in control.shown_pictures("image")] == ["dusk.jpg"]
    assert control.plan is not None
    assert keys(control.as_code(run=False)) == [request.key for request in control.plan]
    assert Study(study.folder, track=False).clips() == []


def test_the_code_says_how_it_was_to_be_run(hosted: Study, file: Path) -> None:
    code = PanelControl(hosted, image=str(file), budget_usd=2.5).as_code()
    assert f"lab.Study({str(hosted.folder)!r}, engine='fal', track=False)" in code
    assert "study.run(plan, budget_usd=2.5)" in code


def test_without_a_plan_there_is_no_code_but_a_reason(study: Study) -> None:
    with pytest.raises(LabError, match="picture: Choose a picture"):
        PanelControl(study).as_code()


def test_a_field_that_the_panel_has_not_is_named_with_near_ones(study: Study) -> None:
    with pytest.raises(LabError, match=r"no field 'seeds'.*'seed'"):
        PanelControl(study, seeds=3)
    with pytest.raises(LabError, match="these two signs"):
        PanelControl(study, prompt=[r"C:\new"])
    with pytest.raises(LabError, match="takes a condition as text"):
        PanelControl(study, where=lambda r: r.seed)


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
    monkeypatch.setattr(panel_running, "time", clock)
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


def test_a_word_to_the_run_counts_as_heard_at_once(
    study: Study, file: Path, started: list[tuple[FakeRun, Plan, dict[str, Any]]], clock: Clock
) -> None:
    """The run's own loop notices a moment later; a button that shows nothing meanwhile is pressed again."""
    control = PanelControl(study, image=str(file))
    assert (control.running.snapshot(), control.running.phase) == (None, "idle")
    control.tell("stop")
    control.run()
    assert control.running.phase == "running"
    assert not control.can_run
    words = [("pause", "paused"), ("resume", "running"), ("stop", "stopping"), ("cancel", "cancelling")]
    for word, phase in words:
        control.tell(word)
        snapshot = control.running.snapshot()
        assert snapshot is not None
        assert (control.running.phase, snapshot.state) == (phase, phase)
    assert started[0][0].said == [word for word, _ in words]
    clock.now_s = 9.0  # it never did stop: the run has the last word
    assert control.running.phase == "running"


def test_a_stop_does_not_wait_for_a_plan_in_the_making(
    study: Study, file: Path, started: list[tuple[FakeRun, Plan, dict[str, Any]]]
) -> None:
    """A picture may be half a minute on its way while the fields are locked."""
    control = PanelControl(study, image=str(file))
    control.run()
    said = threading.Event()

    def stop() -> None:
        control.tell("stop")
        said.set()

    with control._lock:
        threading.Thread(target=stop).start()
        assert said.wait(5)
    assert control.running.phase == "stopping"


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


def test_every_field_makes_a_difference_to_the_code(study: Study, file: Path) -> None:
    """A field that `as_code` forgot would make another plan."""
    other = {
        "image": make_picture(shade=1),
        "end_image": make_picture(shade=2),
        "prompt": "another",
        "endpoint": "pro",
        "resolution": "1080p",
        "aspect_ratio": "1:1",
        "duration": "7",
        "camera_fixed": "fixed",
        "seed": "9",
        "enable_safety_checker": "false",
        "rows": '{"seed": 5}',
        "zip": "seed + duration",
        "where": "seed == 1",
        "repeat": 2,
        "sample": "1",
        "method": "lhs",
        "sample_seed": 1,
        "budget_usd": "5",
    }
    assert set(other) == set(NAMES)
    base: dict[str, Any] = {"image": str(file), "seed": "1-2", "duration": "2,3", "sample": "3"}
    before = PanelControl(study, **base).as_code()
    for name, value in other.items():
        assert PanelControl(study, **{**base, name: value}).as_code() != before, name


# ── ticks and pictures ──────────────────────────────────────────────────────────────────────────────────


def test_a_tick_is_a_way_to_write_the_text_form(study: Study) -> None:
    control = PanelControl(study, resolution="720p", duration="2")
    control.tick("resolution", "480p", on=True)
    assert control.fields.resolution == "480p,720p"
    for seconds in ("4", "6"):
        control.tick("duration", seconds, on=True)
    assert control.fields.duration == "2..6..2"
    control.tick("duration", "4", on=False)
    assert control.fields.duration == "2,6"
    control.tick("camera_fixed", "fixed", on=True)
    assert control.fields.camera_fixed == "moving,fixed"
    control.tick("resolution", "480p", on=False)
    control.tick("resolution", "720p", on=False)
    assert "resolution" in control.errors


def test_a_text_form_shows_what_is_ticked(study: Study) -> None:
    control = PanelControl(study, duration="2..12..5", camera_fixed="true", resolution="480p,4k")
    assert control.ticked("duration") == ["2", "7", "12"]
    assert control.ticked("camera_fixed") == ["fixed"]
    assert control.options("resolution") == ("480p", "720p", "1080p", "4k")


def test_several_pictures_are_an_axis(study: Study, file: Path) -> None:
    control = PanelControl(study, image=str(file), seed="1", end_image=[None, make_picture(shade=3)])
    other = Upload("other.jpg", make_picture(shade=7))
    control.add_picture("image", other, also=True)
    assert control.price_text.startswith("4 requests")
    control.add_picture("image", other, also=True)
    assert control.price_text.startswith("4 requests")
    control.remove_picture("image", str(file))
    assert control.fields.image == (other,)
    control.add_picture("image", str(file), also=False)
    assert control.fields.image == (str(file),)
    control.remove_picture("end_image", control.fields.end_image[1])
    assert control.fields.end_image == ()


def test_the_crop_is_that_of_the_first_chosen_shape(study: Study, file: Path) -> None:
    control = PanelControl(study, image=str(file), end_image=make_picture(900, 600), aspect_ratio="9:16,1:1")
    (_, first), (_, last) = control.shown_pictures("image")[0], control.shown_pictures("end_image")[0]
    assert (control.aspect_of("image", first), control.aspect_of("end_image", last)) == ("9:16", "9:16")
    control.set(aspect_ratio="auto")
    assert control.aspect_of("image", first) == "16:9"
    assert control.aspect_of("end_image", last) == "16:9", "a last frame follows the first"


def test_an_address_that_does_not_answer_is_not_asked_at_each_key(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        raise LabError("nobody answers")

    monkeypatch.setattr("seedance_lab.image._fetch", fetch)
    control = PanelControl(study, image="https://example.org/a.jpg")
    for seed in ("1", "1-", "1-3"):
        control.set(seed=seed)
    assert len(asked) == 1
    assert control.errors["image"].text == "nobody answers"
    control.set(image="https://example.org/a.jpg")
    assert len(asked) == 2, "given again, it is asked again"


def test_models_of_which_one_takes_a_picture_and_one_does_not_are_two_sweeps(
    study: Study, file: Path
) -> None:
    control = PanelControl(study, endpoint="lite,lite-text", aspect_ratio="16:9", resolution="480p")
    assert "two sweeps" in control.errors["endpoint"].text
    control.set(image=str(file))
    assert "takes no picture" in control.errors["image"].text


def test_an_input_that_stands_in_the_rows_is_no_axis_of_its_own(study: Study, file: Path) -> None:
    control = PanelControl(study, image=str(file), seed="x", rows='{"seed": 1}\n\n{"seed": 2, "duration": 3}')
    assert control.errors == {}
    assert control.in_rows == {"seed", "duration"}
    assert control.plan is not None
    assert [(r.seed, r.duration) for r in control.plan] == [(1, 5), (2, 3)]


# ── prompts ─────────────────────────────────────────────────────────────────────────────────────────────


def test_text_commands_are_flagged_and_can_be_taken_into_the_fields(study: Study, file: Path) -> None:
    control = PanelControl(
        study,
        image=str(file),
        prompt=["boats --resolution 480p --dur 5", "gulls --rs 480p --dur 5 --wm true"],
    )
    assert any("--dur 5: a text command of the model" in text for text in control.prompt_warnings)
    assert control.can_lift
    control.lift_commands()
    assert control.prompts == ["boats", "gulls --wm true"]
    assert (control.fields.resolution, control.fields.duration) == ("480p", "5")
    assert not control.can_lift


def test_prompts_whose_commands_differ_are_left_alone(study: Study) -> None:
    control = PanelControl(study, prompt=["boats --dur 5", "gulls"])
    assert not control.can_lift
    control.lift_commands()
    assert control.prompts == ["boats --dur 5", "gulls"]


# ── who runs it ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_second_panel_says_who_runs_the_study_and_shows_it(study: Study, file: Path) -> None:
    first = PanelControl(study, image=str(file), resolution="480p", duration=2, seed="1-30", in_flight=1)
    second = PanelControl(Study(study.folder, track=False), image=str(file), resolution="480p", duration=2)
    run = first.run()
    assert run is not None
    try:
        assert second.can_run
        assert second.run() is None
        said = second.errors["run"].text
        assert "This kernel runs the study, begun in another panel or in a cell. Nothing was sent." in said
        assert second.running.current is run
        assert second.running.snapshot() is not None
        second.tell("stop")
        assert second.running.phase == "stopping"
        wait_until(lambda: run.done, 60)
    finally:
        run.stop()
    assert first.running.phase == "idle"
    second.set(seed="1")
    assert second.errors == {}
    again = second.run()
    assert again is not None
    wait_until(lambda: again.done, 60)


def test_a_study_that_another_kernel_runs_says_so_and_nothing_is_sent(study: Study, file: Path) -> None:
    PanelControl(study, image=str(file))
    holder = (
        "import sys, seedance_lab.journal as j, pathlib\n"
        "with j.Journal(pathlib.Path(sys.argv[1])) as journal:\n"
        "    journal.append('study', version=1, engine='local')\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.readline()\n"
    )
    arguments = [sys.executable, "-c", holder, str(study.folder)]
    control = PanelControl(study, image=str(file))
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        other.stdout.readline()
        assert control.look()
        assert control.running.who.startswith(
            "Another kernel runs this study: 0 saved · 0 in flight · run by process"
        )
        assert control.run() is None
        assert f"process {other.pid} on" in control.errors["run"].text
        assert "Nothing was sent. Wait for it, or stop it there" in control.errors["run"].text
        other.stdin.write(b"\n")
        other.stdin.flush()
        other.wait(20)
    control.look()
    assert control.running.who == ""
    assert Study(study.folder, track=False).records() == {}


def test_what_another_kernel_made_is_not_priced_again(tmp_path: Path, file: Path) -> None:
    study = Study(tmp_path / "s", track=False)
    control = PanelControl(study, image=str(file), prompt="x", resolution="480p", duration=2, seed="1-2")
    assert control.price_text.startswith("2 requests ·")
    write_study(tmp_path / "s", sweep(image=file, prompt="x", seed=[1, 2], resolution="480p", duration=2))
    assert control.look()
    assert control.price_text.startswith("2 requests, all made already")
    assert not control.look()


# ── loading ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_plan_loaded_from_its_own_code_is_the_same(study: Study, file: Path) -> None:
    made = PanelControl(
        study, image=str(file), seed="1-4", duration="2,6", where="duration < 5 or seed == 2", repeat=2
    )
    other = PanelControl(study, plan=made.as_code())
    assert other.plan is not None
    assert made.plan is not None
    assert [r.key for r in other.plan] == [r.key for r in made.plan]


@pytest.mark.parametrize("method", ["random", "lhs"])
def test_a_loaded_sample_is_the_one_that_the_code_draws(study: Study, file: Path, method: str) -> None:
    """What is drawn depends on the order of the keywords, and the panel has an order of its own."""
    code = f"lab.sweep(seed=range(50), duration='2-12', image={str(file)!r}, prompt='x', sample=6, method={method!r})"
    control = PanelControl(study, plan=code)
    plan = sweep(seed=range(50), duration="2-12", image=file, prompt="x", sample=6, method=method)
    assert control.plan is not None, control.errors
    assert {r.key for r in control.plan} == {r.key for r in plan}


def test_what_a_loaded_plan_leaves_out_has_the_services_default_and_the_budget_stays(
    hosted: Study, file: Path
) -> None:
    control = PanelControl(
        hosted, image=str(file), seed="1-9", resolution="480p", endpoint="pro", budget_usd=3
    )
    control.load({"prompt": "a dog", "image_url": str(file), "duration": "5"})
    assert (control.fields.seed, control.fields.resolution) == ("random", "1080p")
    assert (control.fields.endpoint, control.fields.budget_usd) == ("pro", "3")
    control.load(f"lab.sweep(image={str(file)!r}, prompt='x')")
    assert (control.fields.endpoint, control.fields.resolution) == ("lite", "720p")


def test_loading_takes_an_open_question_back(hosted: Study, file: Path, clock: Clock) -> None:
    control = PanelControl(hosted, image=str(file), budget_usd=50)
    control.run()
    assert control.confirm_text
    control.load(f"lab.sweep(image={str(file)!r}, prompt='x')")
    assert control.confirm_text == ""


def test_a_load_that_fails_changes_nothing(study: Study, file: Path) -> None:
    control = PanelControl(study, image=str(file))
    before = control.fields
    with pytest.raises(LabError):
        control.load("lab.sweep(seed=draw())")
    assert control.fields is before


def test_the_key_is_in_nothing_that_the_panel_says(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAL_KEY", "abc:very-secret")
    control = PanelControl(Study(tmp_path / "p", engine="fal", track=False), image=str(file), budget_usd=1)
    control.run()
    said = [control.as_code(), control.price_text, control.confirm_text, *control.notes, repr(control.errors)]
    assert "very-secret" not in " ".join(said)


def test_nothing_of_the_controller_draws() -> None:
    """It must be usable, and tested, where there is no notebook."""
    views = Path(controls.__file__).parent
    parts = "code conditions draft load pictures prompts running said"
    plain = ["control", "fields", *(f"panel_{name}" for name in parts.split())]
    for name in plain:
        source = (views / f"{name}.py").read_text()
        assert not any(word in source for word in ("ipywidgets", "IPython", "rich", "<div")), name
    assert lab.__name__ in sys.modules
