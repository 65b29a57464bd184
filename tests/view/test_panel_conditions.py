"""Conditions as text: what they mean, and that nothing but a comparison is ever done."""

from __future__ import annotations

import pytest
from view_fakes import make_picture

from seedance_lab.errors import PlanError
from seedance_lab.request import Request
from seedance_lab.view.panel_conditions import NAMES, Condition, ConditionFailed


@pytest.fixture(scope="module")
def request_() -> Request:
    return Request(
        image=make_picture(), prompt="boats", duration=5, resolution="480p", seed=4, camera_fixed=True
    )


HOLDS = [
    "duration <= 5",
    "duration == 5 and resolution == '480p'",
    "duration > 9 or seed % 2 == 0",
    "not camera_fixed == False",
    "camera_fixed",
    "2 < duration < 6",
    "resolution in ['480p', '720p']",
    "'boat' in prompt",
    "endpoint == 'lite'",
    "image == 'picture'",
    "end_image is None",
    "seed is not None",
    "duration * 2 - 1 == 9",
    "-seed < 0",
    "usd < 1",
    "replicate == 0",
    "seed not in (1, 2, 3)",
    "lambda r: r.duration <= 5 and r.endpoint.alias != 'pro'",
    "lambda request: request.seed == 4",
]


@pytest.mark.parametrize("text", HOLDS)
def test_a_condition_holds_or_does_not(request_: Request, text: str) -> None:
    condition = Condition(text)
    assert condition(request_) is True
    assert Condition(f"not ({condition.text})")(request_) is False


@pytest.mark.parametrize("text", HOLDS)
def test_the_function_for_sweep_says_the_same_and_can_be_read_back(request_: Request, text: str) -> None:
    condition = Condition(text)
    function = eval(condition.as_python())
    assert bool(function(request_)) is True
    assert Condition(condition.as_python()).text == condition.text


@pytest.mark.parametrize("name", NAMES)
def test_every_name_has_a_value_and_a_spelling(request_: Request, name: str) -> None:
    condition = Condition(f"{name} != 'nothing like it'")
    assert condition(request_) is True
    assert eval(condition.as_python())(request_) is True


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "prompt.upper() == 'X'",
        "prompt.__class__",
        "[x for x in prompt]",
        "(lambda: 1)()",
        "f'{prompt}' == 'x'",
        "seed := 3",
        "duration ** 9999",
        "prompt[0] == 'b'",
        "{'a': 1}",
        "b'x' == prompt",
        "1 if seed else 2",
        "seed << 900",
        "...",
        "lambda r, s: True",
        "lambda *r: True",
        "lambda r: r.__dict__",
        "lambda r: print(r)",
        "",
        "seed ==",
        "import os",
    ],
)
def test_what_is_no_comparison_is_refused(text: str) -> None:
    with pytest.raises(PlanError):
        Condition(text)


@pytest.mark.parametrize(
    "text", ["prompt * 9 == 'x'", "prompt % 3 == 'x'", "seed / 0 == 1", "duration < '5'"]
)
def test_what_cannot_be_reckoned_is_said_and_not_raised_raw(request_: Request, text: str) -> None:
    """A text can be multiplied too, into one that fills the memory."""
    with pytest.raises(ConditionFailed):
        Condition(text)(request_)


def test_a_random_seed_in_a_comparison_is_named() -> None:
    random = Request(image=make_picture(), prompt="x")
    with pytest.raises(ConditionFailed, match="seed is not set in some of the requests"):
        Condition("seed < 3")(random)
    assert Condition("seed is not None and seed < 3")(random) is False


@pytest.mark.parametrize(
    "text", ["(" * 300 + "seed" + ")" * 300, "not " * 500 + "seed", "seed and " * 500 + "seed"]
)
def test_a_condition_that_is_too_long_or_too_deep_is_refused(text: str) -> None:
    with pytest.raises(PlanError):
        Condition(text)
