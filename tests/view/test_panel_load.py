"""Plans from elsewhere: code, JSON, studies, requests; read and never run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from view_fakes import make_picture, write_study

from seedance_lab.errors import LabError
from seedance_lab.image import Picture, load
from seedance_lab.plan import Plan, sweep
from seedance_lab.request import Request
from seedance_lab.study import Study
from seedance_lab.view.control import PanelControl
from seedance_lab.view.panel_load import given_by


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path / "study", track=False)


def never(_: Picture) -> str:
    raise AssertionError("no picture has to be kept for this")


PLAYGROUND: dict[str, Any] = {
    "prompt": "A little dog is running in the sunshine.",
    "aspect_ratio": "auto",
    "resolution": "720p",
    "duration": "5",
    "enable_safety_checker": True,
    "image_url": "https://fal.media/files/koala/f_xmiodPjhiKjdBkFmTu1.png",
}
READ = {"image" if name == "image_url" else name: value for name, value in PLAYGROUND.items()}
ID = "fal-ai/bytedance/seedance/v1/pro/fast/image-to-video"


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(PLAYGROUND, indent=2),
        json.dumps({"input": PLAYGROUND}),
        json.dumps({"data": {"input": PLAYGROUND}}),
        repr(PLAYGROUND),
        json.dumps({**PLAYGROUND, "seed": None, "end_image_url": None}),
    ],
)
def test_a_request_copied_from_the_playground_is_read(text: str) -> None:
    assert given_by(text, never) == READ


@pytest.mark.parametrize(
    "text",
    [
        f"import fal_client\n\nresult = fal_client.subscribe(\n    {ID!r},\n    arguments={PLAYGROUND!r},\n"
        "    with_logs=True,\n)\nprint(result)",
        f'curl --request POST \\\n  --url https://fal.run/{ID} \\\n  --header "Authorization: Key $FAL_KEY" \\\n'
        f"  --data '{json.dumps(PLAYGROUND, indent=5)}'",
        json.dumps({"endpoint_id": ID, "input": PLAYGROUND}),
    ],
)
def test_a_copied_call_of_the_service_names_its_model_too(text: str) -> None:
    assert given_by(text, never) == {**READ, "endpoint": "pro-fast"}


def test_a_seed_of_minus_one_is_a_random_one() -> None:
    assert given_by('{"prompt": "x", "seed": -1}', never) == {"prompt": "x", "seed": None}


def test_a_list_of_requests_is_rows() -> None:
    given = given_by('[{"prompt": "x", "seed": 1}, {"prompt": "y", "image_url": "a.jpg"}]', never)
    assert given == {"rows": [{"prompt": "x", "seed": 1}, {"prompt": "y", "image": "a.jpg"}]}


def test_code_is_read_with_names_ranges_and_conditions() -> None:
    code = """
import seedance_lab as lab
from pathlib import Path
image = Path("data/harbour.jpg")
durations = [2, 5]
plan = lab.sweep(
    image=image, prompt=("a", "b"), duration=durations, seed=range(3), camera_fixed=False,
    resolution="480p,720p", where=lambda r: r.duration <= 5 or r.seed == 1, repeat=2, zip=("prompt", "duration"),
)
run = study.run(plan, budget_usd=5)
"""
    assert given_by(code, never) == {
        "image": "data/harbour.jpg",
        "prompt": ["a", "b"],
        "duration": [2, 5],
        "seed": range(3),
        "camera_fixed": False,
        "resolution": "480p,720p",
        "where": "duration <= 5 or seed == 1",
        "repeat": 2,
        "zip": ["prompt", "duration"],
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "nothing to load"),
        ("hello there", "Neither code nor JSON"),
        ("x = 1", "Neither code nor JSON"),
        ("[1, 2]", "no request"),
        ("{}", "says nothing"),
        ('{"promt": "x"}', "'promt' is no input of these models. Did you mean 'prompt'"),
        ("sweep(promt='x')", "sweep has no 'promt'. Did you mean 'prompt'"),
        ("sweep(seed=draw())", r"seed=draw\(\) is computed"),
        ("sweep(seed=[1, os.getpid()])", "is computed"),
        ("sweep(seed=unknown)", "seed=unknown is computed"),
        ("sweep(prompt=f'{x}')", "is computed"),
        ("sweep(**inputs)", "arguments without a name"),
        ("sweep(rows)", "arguments without a name"),
        ("sweep(seed=1); sweep(seed=2)", "2 sweeps"),
        ("sweep(seed=range('a'))", "not understood"),
        ("sweep(seed=list(range(1000000000)))", "more than the panel's"),
        ("sweep(seed=[[[[" * 30, "Neither code"),
        ("a = b\nb = a\nsweep(seed=a)", "is computed"),
        ("sweep(where=lambda r: open('x'))", "no place in a condition"),
        ("sweep(where=allowed)", "'allowed' is no input"),
    ],
)
def test_what_is_no_plain_plan_is_refused_with_a_reason(text: str, words: str) -> None:
    with pytest.raises(LabError, match=words):
        given_by(text, never)


def test_code_is_never_run(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    for value in (f"open({str(trap)!r}, 'w')", f"__import__('pathlib').Path({str(trap)!r}).touch()"):
        with pytest.raises(LabError):
            given_by(f"plan = lab.sweep(seed={value})", never)
        with pytest.raises(LabError):
            given_by(f"{value}\n{{'prompt': {value}}}", never)
    assert not trap.exists()


def test_what_is_no_plan_at_all_is_named() -> None:
    with pytest.raises(LabError, match="There is no plan in a int"):
        given_by(3, never)


# ── requests ────────────────────────────────────────────────────────────────────────────────────────────


def same(control: PanelControl, plan: Plan) -> bool:
    assert control.plan is not None, control.errors
    return {r.key for r in control.plan} == {r.key for r in plan} and len(control.plan) == len(plan)


def test_requests_that_are_every_combination_become_axes(study: Study) -> None:
    plan = sweep(
        image=[make_picture(), make_picture(shade=5)], prompt="x", duration=[2, 9], seed=range(2, 5), repeat=2
    )
    control = PanelControl(study, plan=plan)
    assert same(control, plan)
    assert (control.fields.duration, control.fields.seed, control.fields.repeat) == ("2,9", "2-4", 2)
    assert control.fields.rows == ""


def test_requests_that_are_not_become_rows(study: Study) -> None:
    whole = sweep(image=make_picture(), prompt="x", duration=[2, 9], seed=range(3), resolution="480p")
    plan = whole.filter(lambda r: r.seed != 1 or r.duration == 2)
    control = PanelControl(study, plan=plan)
    assert same(control, plan)
    assert len(control.fields.rows.splitlines()) == 5
    assert control.fields.resolution == "480p"
    assert same(PanelControl(study, plan=control.as_code()), plan)


def test_pictures_and_models_that_vary_together_become_rows(study: Study) -> None:
    first, second = load(make_picture()), load(make_picture(shade=9))
    plan = Plan.of(
        [
            Request(image=first, prompt="x", resolution="480p"),
            Request(image=second, prompt="x", resolution="480p", replicate=3),
            Request(endpoint="lite-text", prompt="x", resolution="480p", aspect_ratio="16:9"),
        ]
    )
    control = PanelControl(study, plan=plan)
    assert same(control, plan)
    assert control.fields.image == ()


def test_a_studys_last_pass_is_loaded_and_all_of_it_where_that_sent_nothing(tmp_path: Path) -> None:
    plan = sweep(image=make_picture(), prompt="boats", seed=[3, 1, 2], duration=2, resolution="480p")
    study = write_study(tmp_path / "s", plan, ["saved", "refused", "saved"])
    control = PanelControl(study, plan=study)
    assert same(control, plan)
    assert control.fields.seed == "1-3"
    by_path = PanelControl(study, plan=str(study.folder))
    assert same(by_path, plan)


def test_a_study_without_requests_says_so(study: Study) -> None:
    with pytest.raises(LabError, match="has no requests yet"):
        PanelControl(study, plan=study)


def test_too_many_requests_for_the_panel_are_said(study: Study) -> None:
    plan = sweep(image=make_picture(), prompt="x", seed=range(2001))
    with pytest.raises(LabError, match="the panel shows 1 to 2,000"):
        PanelControl(study, plan=plan)
