"""What makes two requests the same video, and what the endpoint does not take."""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedance_lab import image as images
from seedance_lab.endpoints import LITE
from seedance_lab.errors import ImageError, RequestError
from seedance_lab.request import Request, canonical
from tests.assets.make import bmp

A, B = images.load(bmp()), images.load(bmp(shade=9))

GOLDEN: list[tuple[str, dict[str, Any]]] = [
    ("k1:0ca07c4ed6691769e718f5d498a94d0e", {"image": A, "prompt": "boats"}),
    ("k1:fd357d117c50105bdb2b322db0100fae", {"image": B, "prompt": "boats"}),
    ("k1:be8c1b84d9863b984f2495c4bae9276e", {"image": A, "end_image": B, "prompt": "boats"}),
    ("k1:e5337b6724a151a1d8ea28c2e5f80468", {"image": A, "prompt": "Boote treiben — “leise” 🚤\n"}),
    (
        "k1:9764accf433a19130ada6a82c19124e1",
        {"image": A, "prompt": "boats", "resolution": "480p", "duration": 12},
    ),
    (
        "k1:d9a2a8bc432ca40974296dee3b6e47d1",
        {
            "image": A,
            "prompt": "boats",
            "aspect_ratio": "21:9",
            "camera_fixed": True,
            "enable_safety_checker": False,
        },
    ),
    ("k1:f6f7f5ee9c4032b6893ed3826f120f03", {"image": A, "prompt": "boats", "seed": 0}),
    (
        "k1:0b10144b53581cbf644a323bb47bfc20",
        {"image": A, "prompt": "boats", "seed": 2**32 - 1, "replicate": 3},
    ),
    ("k1:4b0ccb3426b91f6fa9045805ff809939", {"endpoint": "pro-fast", "image": A, "prompt": "boats"}),
    (
        "k1:82140fce17feb43dc70784aafdedd5be",
        {"endpoint": "lite-text", "prompt": "boats", "aspect_ratio": "9:21"},
    ),
]
"""Keys as they are in people's journals. If one changes, what they paid for is paid for again."""

DEFAULTS: dict[str, Any] = {
    "endpoint": "lite", "aspect_ratio": "auto", "resolution": "720p", "duration": 5, "camera_fixed": False,
    "seed": None, "enable_safety_checker": True, "end_image": None, "replicate": 0,
}  # fmt: skip

PROMPTS = st.text(min_size=1).filter(lambda text: text.strip())
INPUTS = st.fixed_dictionaries(
    {"prompt": PROMPTS, "image": st.sampled_from([A, B])},
    optional={
        "aspect_ratio": st.sampled_from(LITE.options("aspect_ratio")),
        "resolution": st.sampled_from(LITE.options("resolution")),
        "duration": st.integers(2, 12) | st.integers(2, 12).map(str) | st.integers(2, 12).map(float),
        "camera_fixed": st.booleans(),
        "seed": st.none() | st.integers(-1, 2**32 - 1),
        "enable_safety_checker": st.booleans(),
        "end_image": st.sampled_from([A, B]),
        "endpoint": st.sampled_from(["lite", "pro"]),
        "replicate": st.integers(0, 3),
    },
)


def boats(**inputs: Any) -> Request:
    return Request(**{"image": A, "prompt": "boats", **inputs})


def meaning(inputs: dict[str, Any]) -> tuple[object, ...]:
    """What is asked for, worked out without the module."""
    full = {**DEFAULTS, **inputs}
    if "resolution" not in inputs and full["endpoint"] == "pro":
        full["resolution"] = "1080p"
    full["duration"] = int(full["duration"])
    full["seed"] = None if full["seed"] == -1 else full["seed"]
    full["camera_fixed"], full["enable_safety_checker"] = (
        str(full["camera_fixed"]),
        str(full["enable_safety_checker"]),
    )
    return tuple(sorted(full.items(), key=lambda item: item[0]))


# ── identity ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("key", "inputs"), GOLDEN)
def test_a_key_is_what_it_was_in_the_first_version(key: str, inputs: dict[str, Any]) -> None:
    assert Request(**inputs).key == key


def test_the_recipe_of_a_key_can_be_followed_by_hand() -> None:
    identity = (
        '{"arguments":{"aspect_ratio":"auto","camera_fixed":false,"duration":"5","enable_safety_checker":true,'
        '"prompt":"Boote – leise","resolution":"720p","seed":7},"end_image":null,'
        '"endpoint":"fal-ai/bytedance/seedance/v1/lite/image-to-video",'
        f'"image":"{hashlib.sha256(bmp()).hexdigest()}","replicate":0}}'
    )
    assert (
        boats(prompt="Boote – leise", seed=7).key
        == "k1:" + hashlib.sha256(identity.encode()).hexdigest()[:32]
    )


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_default_said_or_left_out_is_the_same_request(name: str) -> None:
    assert boats(**{name: DEFAULTS[name]}).key == boats().key


def test_all_defaults_said_are_the_same_request() -> None:
    assert boats(**DEFAULTS) == boats()


@pytest.mark.parametrize("seed", [-1, -1.0, None, np.int64(-1)])
def test_every_random_seed_is_the_same_request(seed: object) -> None:
    assert boats(seed=seed).key == boats().key


def test_the_name_and_place_of_a_picture_are_not_in_the_identity(tmp_path: Path) -> None:
    keys = set()
    for name in ("a.bmp", "b.bmp"):
        (tmp_path / name).write_bytes(bmp())
        keys.add(boats(image=tmp_path / name).key)
    assert keys == {boats().key}


@pytest.mark.parametrize("pair", [(LITE, "lite"), (LITE.id, "lite")])
def test_the_way_an_endpoint_is_named_is_not_in_the_identity(pair: tuple[Any, Any]) -> None:
    assert boats(endpoint=pair[0]).key == boats(endpoint=pair[1]).key


def test_price_status_and_notes_of_an_endpoint_are_not_in_the_identity() -> None:
    changed = LITE._replace(price=LITE.price._replace(usd_per_million_tokens=9.0), status="active", note="")
    assert boats(endpoint=changed).key == boats().key


def test_first_and_last_picture_are_told_apart() -> None:
    assert boats(image=A, end_image=B).key != boats(image=B, end_image=A).key


def test_a_prompt_is_not_normalised() -> None:
    """The service sees the bytes, so `é` and `e` with an accent are two requests."""
    assert boats(prompt="é").key != boats(prompt="e\u0301").key


@settings(deadline=None)
@given(INPUTS, st.randoms(use_true_random=False))
def test_a_key_does_not_depend_on_the_order_of_the_inputs(inputs: dict[str, Any], rng: Any) -> None:
    names = list(inputs)
    rng.shuffle(names)
    assert Request(**{name: inputs[name] for name in names}).key == Request(**inputs).key


@settings(max_examples=300, deadline=None)
@given(INPUTS, INPUTS)
def test_two_requests_share_a_key_exactly_if_they_ask_for_the_same(
    one: dict[str, Any], two: dict[str, Any]
) -> None:
    assert (Request(**one).key == Request(**two).key) == (meaning(one) == meaning(two))


@settings(deadline=None)
@given(INPUTS, st.data())
def test_changing_one_input_changes_the_key_exactly_if_it_means_something(
    inputs: dict[str, Any], data: Any
) -> None:
    """Two drawn requests mostly differ in much; a collision would hide in requests that differ in one thing."""
    other = data.draw(INPUTS)
    name = data.draw(st.sampled_from(sorted(other)))
    changed = {**inputs, name: other[name]}
    assert (Request(**changed).key == Request(**inputs).key) == (meaning(changed) == meaning(inputs))


def test_the_same_request_is_equal_and_hashes_alike() -> None:
    assert boats() == boats()
    assert len({boats(), boats(), boats(seed=1)}) == 2


def test_a_request_equals_nothing_else() -> None:
    assert boats() != boats().key


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.dictionaries(st.text(), x)
    )
)
def test_canonical_json_reads_back_the_same(value: object) -> None:
    assert json.loads(canonical(value)) == value


# ── the journal's form ──────────────────────────────────────────────────────────────────────────────────


@settings(deadline=None)
@given(INPUTS)
def test_a_request_survives_the_journal(inputs: dict[str, Any]) -> None:
    request = Request(**inputs)
    again = Request.from_record(json.loads(json.dumps(request.record())), Path("inputs"))
    assert again.key == request.key
    assert (again.record(), again.size, again.wire("a", "b")) == (
        request.record(),
        request.size,
        request.wire("a", "b"),
    )


def test_a_request_without_pictures_survives_the_journal() -> None:
    request = Request(endpoint="lite-text", prompt="boats")
    assert Request.from_record(request.record(), Path("inputs")) == request


def test_a_record_of_an_endpoint_that_is_not_known_is_a_request_error() -> None:
    with pytest.raises(RequestError, match="seedance-9"):
        Request.from_record({**boats().record(), "endpoint": "fal-ai/seedance-9"}, Path("inputs"))


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda r: pickle.loads(pickle.dumps(r))])
def test_a_request_can_be_copied_and_pickled(again: Any) -> None:
    """Clips are measured in other processes."""
    assert again(boats(seed=3)) == boats(seed=3)


# ── the wire ────────────────────────────────────────────────────────────────────────────────────────────


def test_the_wire_has_the_uploaded_addresses_and_no_picture_names() -> None:
    assert boats(end_image=B, seed=3, duration=7).wire("https://a", "https://b") == {
        "prompt": "boats", "aspect_ratio": "auto", "resolution": "720p", "duration": "7", "camera_fixed": False,
        "seed": 3, "enable_safety_checker": True, "image_url": "https://a", "end_image_url": "https://b",
    }  # fmt: skip


def test_a_text_requests_wire_has_no_picture() -> None:
    assert {"image_url", "end_image_url"}.isdisjoint(Request(endpoint="lite-text", prompt="boats").wire())


def test_changing_the_wires_body_does_not_change_the_request() -> None:
    request = boats()
    request.wire("u")["prompt"] = "another"
    assert request.prompt == "boats"


# ── frozen ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["seed", "prompt", "key", "arguments", "image", "replicate", "note"])
def test_nothing_can_be_set(name: str) -> None:
    with pytest.raises((AttributeError, TypeError)):
        setattr(boats(), name, 1)


def test_the_arguments_cannot_be_changed() -> None:
    """What is sent would then no longer be what the key says."""
    request = boats()
    with pytest.raises(TypeError):
        request.arguments["seed"] = 7


def test_with_changes_what_is_named_and_nothing_else() -> None:
    request = boats(end_image=B, duration=7, replicate=2, camera_fixed=True)
    changed = request.with_(seed=7)
    assert changed.seed == 7
    assert changed.with_(seed=None) == request


def test_with_checks_what_it_is_given() -> None:
    with pytest.raises(RequestError, match="duration=15"):
        boats().with_(duration=15)


# ── refusals ────────────────────────────────────────────────────────────────────────────────────────────

REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    ({"duration": 15}, ["duration=15", "Seedance 1.0 Lite", "2 to 12"]),
    ({"duration": "5s"}, ["duration='5s'", "2 to 12"]),
    ({"duration": 4.5}, ["duration=4.5", "2 to 12"]),
    ({"duration": None}, ["duration=None", "2 to 12"]),
    ({"duration": True}, ["duration=True", "2 to 12"]),
    ({"duration": float("nan")}, ["duration=nan", "2 to 12"]),
    ({"duration": pd.NA}, ["duration=<NA>", "2 to 12"]),
    ({"duration": [5, 10]}, ["duration=[5, 10]", "2 to 12"]),
    ({"resolution": "720"}, ["resolution='720'", "480p, 720p, 1080p", "'720p'"]),
    ({"resolution": 720}, ["resolution=720", "480p, 720p, 1080p"]),
    ({"aspect_ratio": "16x9"}, ["aspect_ratio='16x9'", "21:9, 16:9, 4:3, 1:1, 3:4, 9:16, auto", "'16:9'"]),
    ({"aspect_ratio": "9:21"}, ["aspect_ratio='9:21'", "21:9"]),
    ({"camera_fixed": "false"}, ["camera_fixed='false'", "True or False"]),
    ({"camera_fixed": 1}, ["camera_fixed=1", "True or False"]),
    ({"enable_safety_checker": None}, ["enable_safety_checker=None", "True or False"]),
    ({"seed": -2}, ["seed=-2", "0 to 4294967295", "-1 for random"]),
    ({"seed": 2**32}, ["seed=4294967296", "0 to 4294967295"]),
    ({"seed": 1.5}, ["seed=1.5", "whole number"]),
    ({"seed": True}, ["seed=True", "whole number"]),
    ({"seed": "lucky"}, ["seed='lucky'", "whole number"]),
    ({"seed": range(3)}, ["seed=range(0, 3)", "whole number"]),
    ({"prompt": ""}, ["prompt", "empty"]),
    ({"prompt": " \n\t"}, ["prompt is empty"]),
    ({"prompt": None}, ["prompt=None", "text"]),
    ({"prompt": 5}, ["prompt=5", "text"]),
    ({"prompt": b"boats"}, ["prompt=b'boats'", "text"]),
    ({"prompt": "boats \ud83d"}, ["prompt='boats \\ud83d'"]),
    ({"replicate": -1}, ["replicate=-1", "0, 1, 2"]),
    ({"replicate": True}, ["replicate=True"]),
    ({"replicate": "1"}, ["replicate='1'"]),
    ({"endpoint": "lit"}, ["endpoint='lit'", "lite, pro, pro-fast, lite-text", "Did you mean 'lite'"]),
    ({"endpoint": ["lite"]}, ["lite, pro, pro-fast, lite-text"]),
    ({"seeds": 3}, ["'seeds'", "Did you mean 'seed'", "prompt, aspect_ratio"]),
    ({"fps": 30}, ["no input 'fps'", "prompt, aspect_ratio"]),
    ({"image_url": "https://a"}, ["'image_url'", "image=<path"]),
    ({"end_image_url": "https://a"}, ["'end_image_url'", "end_image=<path"]),
    ({"image": None}, ["needs a picture"]),
    ({"endpoint": "lite-text"}, ["takes no picture"]),
    ({"endpoint": "pro-fast", "end_image": B}, ["Pro Fast takes no end image"]),
]


@pytest.mark.parametrize(
    ("inputs", "parts"), REFUSED, ids=lambda v: str(v)[:50] if isinstance(v, dict) else ""
)
def test_what_the_endpoint_does_not_take_is_refused_with_value_and_options(
    inputs: dict[str, Any], parts: list[str]
) -> None:
    with pytest.raises(RequestError) as caught:
        boats(**inputs)
    said = str(caught.value)
    assert [part for part in [*parts, "Nothing was sent."] if part not in said] == []


def test_a_missing_prompt_is_named() -> None:
    with pytest.raises(RequestError, match=r"prompt is missing\. Nothing was sent\."):
        Request(image=A)


def test_two_mistakes_are_told_together() -> None:
    with pytest.raises(RequestError, match=r"(?s)resolution='8k'.*duration=99"):
        boats(resolution="8k", duration=99)


def test_a_refusal_is_a_value_error_too() -> None:
    with pytest.raises(ValueError, match="duration=15"):
        boats(duration=15)


def test_a_bad_picture_is_an_image_error() -> None:
    with pytest.raises(ImageError):
        boats(image=b"no picture")


def test_settings_are_keywords_only() -> None:
    with pytest.raises(TypeError):
        Request("lite", A)


# ── what people type ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "value", "plain"),
    [
        ("duration", np.int64(7), 7), ("duration", np.float32(7), 7),
        ("duration", "7", 7), ("duration", 7.0, 7),
        ("duration", pd.Series([7])[0], 7), ("duration", np.array(7), 7), ("duration", np.str_("7"), 7),
        ("seed", np.uint32(2**32 - 1), 2**32 - 1),
        ("seed", np.float64(3), 3), ("seed", pd.Series([3.0])[0], 3),
        ("seed", "-1", None), ("replicate", np.int64(2), 2),
        ("camera_fixed", np.bool_(True), True), ("camera_fixed", pd.array([True], "boolean")[0], True),
        ("resolution", np.str_("480p"), "480p"),
        ("resolution", pd.Series(["480p"], dtype="category")[0], "480p"),
    ],
)  # fmt: skip
def test_scalars_of_numpy_pandas_and_text_mean_the_plain_value(
    name: str, value: object, plain: object
) -> None:
    request = boats(**{name: value})
    assert getattr(request, name) == plain
    assert request == boats(**{name: plain})


@pytest.mark.parametrize(
    "prompt",
    ["🚤" * 300, "line\nline\r\n\ttab", "\u202eright to left", "\u0000 zero", "<script>alert(1)</script>",
     '"}{"', "%s {x}", "a\u2028b", "word " * 10_000],
    ids=range(9),
)  # fmt: skip
def test_a_strange_prompt_goes_over_the_wire_unchanged(prompt: str) -> None:
    request = boats(prompt=prompt)
    assert json.loads(json.dumps(request.wire("u")))["prompt"] == prompt
    assert len(repr(request)) < 600


@pytest.mark.parametrize("prompt", ["boats --rs 480p", "--dur 5", "boats\n --seed 3"])
def test_a_command_in_a_prompt_is_noted(prompt: str) -> None:
    assert "--commands" in boats(prompt=prompt).notes[0]


@pytest.mark.parametrize(("n", "noted"), [(1000, 0), (1001, 1)])
def test_a_very_long_prompt_is_noted(n: int, noted: int) -> None:
    assert len(boats(prompt="word " * n).notes) == noted


@pytest.mark.parametrize("prompt", ["boats", "well-known boats", "boats – still – here", "a--b"])
def test_an_ordinary_prompt_has_no_notes(prompt: str) -> None:
    assert boats(prompt=prompt).notes == ()


def test_a_repr_says_what_a_person_tells_requests_apart_by() -> None:
    said = repr(boats(seed=3, duration=7, resolution="480p", replicate=1))
    assert all(
        part in said
        for part in ("Seedance 1.0 Lite", "480p", "7 s", "640×640", "seed 3", "replicate 1", "'boats'", "k1:")
    )


def test_a_random_seed_is_called_so() -> None:
    assert "random seed" in repr(boats())


def test_the_size_follows_the_picture_where_the_ratio_is_auto() -> None:
    assert boats(image=bmp(640, 360)).size == (1248, 704)


def test_the_price_is_that_of_the_size_and_the_length() -> None:
    assert boats(aspect_ratio="16:9", duration=10).usd == pytest.approx(2 * 102_960 * 1.8e-6)
