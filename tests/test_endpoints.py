"""What the module says of each endpoint, held against the provider's own words."""

from __future__ import annotations

import math
import re

import jsonschema
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from seedance_lab.endpoints import (
    ENDPOINTS,
    FPS,
    LITE,
    LITE_TEXT,
    PRO,
    PRO_FAST,
    SIZES,
    Endpoint,
    Size,
    VideoOutput,
    find,
    ratio_value,
    tokens,
    wire_arguments,
)
from seedance_lab.errors import RequestError

API_PAGE = """
- **`prompt`** (`string`, _required_):
- **`aspect_ratio`** (`AspectRatioEnum`, _optional_):
  - Default: `"auto"`
  - Options: `"21:9"`, `"16:9"`, `"4:3"`, `"1:1"`, `"3:4"`, `"9:16"`, `"auto"`
- **`resolution`** (`ResolutionEnum`, _optional_):
  - Default: `"720p"`
  - Options: `"480p"`, `"720p"`, `"1080p"`
- **`duration`** (`DurationEnum`, _optional_):
  - Default: `"5"`
  - Options: `"2"`, `"3"`, `"4"`, `"5"`, `"6"`, `"7"`, `"8"`, `"9"`, `"10"`, `"11"`, `"12"`
- **`camera_fixed`** (`boolean`, _optional_):
  - Default: `false`
- **`seed`** (`integer`, _optional_):
- **`enable_safety_checker`** (`boolean`, _optional_):
  - Default: `true`
- **`image_url`** (`string`, _required_):
- **`end_image_url`** (`string`, _optional_):
"""
"""The input table of fal's API page for Seedance 1.0 Lite image-to-video, descriptions left out."""

SIZE_TABLE = """
| 16:9 | 864x480 | 48600 .0875 .0486 | 1248x704 | 102960 .1853 .1030 | 1920x1088 | 244800 .4406 .2448 |
| 4:3 | 736x544 | 46920 .0845 .0469 | 1120x832 | 109200 .1966 .1092 | 1664x1248 | 243360 .4380 .2434 |
| 1:1 | 640x640 | 48000 .0864 .0480 | 960x960 | 108000 .1944 .1080 | 1440x1440 | 243000 .4374 .2430 |
| 3:4 | 544x736 | 46920 .0845 .0469 | 832x1120 | 109200 .1966 .1092 | 1248x1664 | 243360 .4380 .2434 |
| 9:16 | 480x864 | 48600 .0875 .0486 | 704x1248 | 102960 .1853 .1030 | 1088x1920 | 244800 .4406 .2448 |
| 21:9 | 960x416 | 46800 .0842 .0468 | 1504x640 | 112800 .2030 .1128 | 2176x928 | 236640 .4260 .2366 |
"""
"""Ratio, then for 480p, 720p and 1080p: pixels, tokens of 5 s, dollars at $1.8 and at $1.0 a million."""

REQUIRED = {"prompt": "p", "image_url": "u"}


def api_page() -> dict[str, dict[str, object]]:
    """The page's table as `{input: {type, required, default, options}}`."""
    inputs: dict[str, dict[str, object]] = {}
    for line in API_PAGE.strip().splitlines():
        if head := re.match(r"- \*\*`(\w+)`\*\* \(`(\w+)`, _(\w+)_\)", line):
            inputs[head[1]] = row = {"type": head[2], "required": head[3] == "required", "options": ()}
        elif "Default" in line:
            text = line.split("`")[1]
            row["default"] = {"true": True, "false": False}.get(text, text.strip('"'))
        else:
            row["options"] = tuple(re.findall(r'`"([^"]+)"`', line))
    return inputs


def size_rows() -> list[tuple[str, str, Size, int, float, float]]:
    rows = []
    for line in SIZE_TABLE.strip().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        for i, resolution in enumerate(("480p", "720p", "1080p")):
            width, height = cells[1 + 2 * i].split("x")
            n, lite, fast = cells[2 + 2 * i].split()
            rows.append(
                (resolution, cells[0], Size(int(width), int(height)), int(n), float(lite), float(fast))
            )
    return rows


PAGE = api_page()
ROWS = size_rows()


# ── the API page ────────────────────────────────────────────────────────────────────────────────────────


def test_lite_has_the_nine_inputs_of_the_api_page_in_its_order() -> None:
    assert len(PAGE) == 9
    assert list(LITE.input.model_fields) == list(PAGE)


@pytest.mark.parametrize("name", PAGE)
def test_an_input_is_required_exactly_where_the_page_says_so(name: str) -> None:
    assert LITE.input.model_fields[name].is_required() == PAGE[name]["required"]


@pytest.mark.parametrize("name", [n for n, row in PAGE.items() if not row["required"]])
def test_a_default_is_the_pages(name: str) -> None:
    assert LITE.input.model_fields[name].default == PAGE[name].get("default")


@pytest.mark.parametrize("name", PAGE)
def test_the_options_are_the_pages_in_its_order(name: str) -> None:
    assert LITE.options(name) == PAGE[name]["options"]


@pytest.mark.parametrize(("name", "option"), [(n, o) for n, row in PAGE.items() for o in row["options"]])
def test_every_option_of_the_page_is_taken(name: str, option: str) -> None:
    assert wire_arguments(LITE, {**REQUIRED, name: option})[name] == option


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("aspect_ratio", "9:21"), ("aspect_ratio", "AUTO"), ("aspect_ratio", ""), ("aspect_ratio", None),
        ("resolution", "720"), ("resolution", 720), ("resolution", "4k"), ("resolution", "720p "),
        ("duration", "1"), ("duration", "13"), ("duration", 0), ("duration", -5), ("duration", 5.5),
        ("duration", "05"), ("duration", "5.0"), ("duration", True), ("duration", math.nan), ("duration", math.inf),
        ("camera_fixed", "true"), ("camera_fixed", 1), ("camera_fixed", None),
        ("enable_safety_checker", 0), ("enable_safety_checker", "no"),
        ("seed", -2), ("seed", 2**32), ("seed", 1.5), ("seed", True), ("seed", "x"), ("seed", math.nan),
        ("prompt", ""), ("prompt", None), ("prompt", 5), ("image_url", ""), ("end_image_url", ""),
    ],
)  # fmt: skip
def test_what_the_page_does_not_offer_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError):
        wire_arguments(LITE, {**REQUIRED, name: value})


@pytest.mark.parametrize("name", ["prompt", "image_url"])
def test_a_required_input_cannot_be_left_out(name: str) -> None:
    with pytest.raises(ValidationError):
        wire_arguments(LITE, {n: v for n, v in REQUIRED.items() if n != name})


def test_the_pages_full_example_goes_over_the_wire_as_it_is_written() -> None:
    example = {
        "prompt": "A little dog is running in the sunshine. The camera follows the dog as it plays in a garden.",
        "aspect_ratio": "auto",
        "resolution": "720p",
        "duration": "5",
        "enable_safety_checker": True,
        "image_url": "https://fal.media/files/koala/f_xmiodPjhiKjdBkFmTu1.png",
    }
    assert wire_arguments(LITE, example) == {**example, "camera_fixed": False}


def test_the_pages_example_response_is_understood() -> None:
    url = "https://v3.fal.media/files/penguin/qmLZSvOIzTKs6bDFXiEtH_video.mp4"
    output = VideoOutput.model_validate({"video": {"url": url}, "seed": 42})
    assert (output.video.url, output.seed) == (url, 42)


@pytest.mark.parametrize("body", [{"seed": 1}, {"video": {}, "seed": 1}, {"video": {"url": "u"}}])
def test_an_output_without_video_or_seed_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        VideoOutput.model_validate(body)


# ── the wire ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("value", [7, "7", 7.0, np.int64(7), np.uint8(7), np.float64(7)])
def test_every_way_to_say_seven_seconds_is_the_text_7_on_the_wire(value: object) -> None:
    assert wire_arguments(LITE, {**REQUIRED, "duration": value})["duration"] == "7"


@pytest.mark.parametrize("value", [-1, -1.0, None])
def test_a_random_seed_is_not_on_the_wire(value: object) -> None:
    assert "seed" not in wire_arguments(LITE, {**REQUIRED, "seed": value})


@pytest.mark.parametrize("value", [0, 7, 7.0, 2**32 - 1])
def test_a_seed_is_a_whole_number_on_the_wire(value: float) -> None:
    """0 is a seed: a test for truth would drop it."""
    sent = wire_arguments(LITE, {**REQUIRED, "seed": value})["seed"]
    assert (sent, type(sent)) == (value, int)


def test_no_null_is_on_the_wire() -> None:
    assert None not in wire_arguments(LITE, {**REQUIRED, "end_image_url": None, "seed": None}).values()


def test_an_unknown_key_is_ignored_on_the_wire_as_the_service_does() -> None:
    assert "num_frames" not in wire_arguments(LITE, {**REQUIRED, "num_frames": 29})


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: e.alias)
def test_the_json_schema_is_a_valid_one(endpoint: Endpoint) -> None:
    jsonschema.Draft202012Validator.check_schema(endpoint.input.model_json_schema())


@pytest.mark.parametrize("name", ["aspect_ratio", "resolution", "duration"])
def test_the_json_schema_lists_the_options(name: str) -> None:
    assert tuple(LITE.input.model_json_schema()["properties"][name]["enum"]) == PAGE[name]["options"]


@pytest.mark.parametrize(("seed", "valid"), [(-2, False), (-1, True), (2**32 - 1, True), (2**32, False)])
def test_the_json_schema_allows_minus_one_as_the_page_does(seed: int, valid: bool) -> None:
    validator = jsonschema.Draft202012Validator(LITE.input.model_json_schema())
    assert validator.is_valid({**REQUIRED, "seed": seed}) == valid


# ── siblings ────────────────────────────────────────────────────────────────────────────────────────────


def test_pro_differs_from_lite_in_its_default_resolution_only() -> None:
    assert list(PRO.input.model_fields) == list(LITE.input.model_fields)
    defaults = {n: (f.default, PRO.input.model_fields[n].default) for n, f in LITE.input.model_fields.items()}
    assert {n: pair for n, pair in defaults.items() if pair[0] != pair[1]} == {
        "resolution": ("720p", "1080p")
    }


def test_pro_fast_is_pro_without_an_end_image() -> None:
    assert [n for n in PRO.input.model_fields if n != "end_image_url"] == list(PRO_FAST.input.model_fields)
    assert PRO_FAST.takes_image
    assert not PRO_FAST.takes_end_image
    assert PRO_FAST.input.model_fields["resolution"].default == "1080p"


def test_lite_text_has_no_pictures_and_another_choice_of_ratios() -> None:
    assert not LITE_TEXT.takes_image
    assert not LITE_TEXT.takes_end_image
    assert LITE_TEXT.options("aspect_ratio") == ("21:9", "16:9", "4:3", "1:1", "3:4", "9:16", "9:21")
    assert LITE_TEXT.input.model_fields["aspect_ratio"].default == "16:9"


@pytest.mark.parametrize(
    ("endpoint", "path", "usd"),
    [
        (LITE, "lite/image-to-video", 1.8),
        (PRO, "pro/image-to-video", 2.5),
        (PRO_FAST, "pro/fast/image-to-video", 1.0),
        (LITE_TEXT, "lite/text-to-video", 1.8),
    ],
    ids=lambda v: getattr(v, "alias", ""),
)
def test_an_endpoint_has_the_services_id_and_its_published_price(
    endpoint: Endpoint, path: str, usd: float
) -> None:
    assert endpoint.id == f"fal-ai/bytedance/seedance/v1/{path}"
    assert endpoint.price.usd_per_million_tokens == usd


def test_the_model_that_was_switched_off_upstream_says_so() -> None:
    assert (LITE.status, LITE_TEXT.status) == ("deprecated", "deprecated")
    assert "2026-05-13" in LITE.note


def test_every_fact_with_a_price_has_its_source_and_date() -> None:
    assert all(e.price.source and e.price.read.year >= 2026 and e.latency.source for e in ENDPOINTS)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: e.alias)
def test_an_endpoint_is_found_by_alias_and_by_id(endpoint: Endpoint) -> None:
    assert find(endpoint.alias) is find(endpoint.id) is find(endpoint) is endpoint


@pytest.mark.parametrize(
    "word", ["light", "", "LITE", None, 3, "fal-ai/bytedance/seedance/v1/lite", ["lite"], {}]
)
def test_an_unknown_endpoint_is_refused_with_all_names(word: object) -> None:
    """A list arrives here from a panel's or a parameter file's mistake; it must not be a bare TypeError."""
    with pytest.raises(RequestError, match=r"lite, pro, pro-fast, lite-text.*Nothing was sent"):
        find(word)


# ── sizes ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("resolution", "ratio", "size"), [row[:3] for row in ROWS])
def test_a_size_is_the_published_one(resolution: str, ratio: str, size: Size) -> None:
    assert SIZES[resolution, ratio] == size


@pytest.mark.parametrize("resolution", ["480p", "720p", "1080p"])
def test_9_21_mirrors_21_9(resolution: str) -> None:
    assert SIZES[resolution, "9:21"] == SIZES[resolution, "21:9"][::-1]


def test_there_are_no_other_sizes() -> None:
    assert len(SIZES) == 18 + 3


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: e.alias)
def test_every_ratio_that_an_endpoint_offers_has_a_size(endpoint: Endpoint) -> None:
    for resolution in endpoint.options("resolution"):
        for ratio in endpoint.options("aspect_ratio"):
            assert endpoint.size(resolution, ratio, Size(400, 300)) in SIZES.values()


@pytest.mark.parametrize(("resolution", "ratio", "size", "n", "lite", "fast"), ROWS)
def test_tokens_and_price_of_five_seconds_are_the_tables(
    resolution: str, ratio: str, size: Size, n: int, lite: float, fast: float
) -> None:
    assert tokens(size, 5) == n
    assert round(LITE.price.usd(size, 5) or 0, 4) == lite
    assert round(PRO_FAST.price.usd(size, 5) or 0, 4) == fast


@settings(deadline=None)
@given(st.sampled_from(sorted(SIZES)), st.integers(2, 12))
def test_tokens_are_height_width_frames_over_1024(name: tuple[str, str], seconds: int) -> None:
    size = SIZES[name]
    assert tokens(size, seconds) * 1024 == size.width * size.height * FPS * seconds


def test_an_unpublished_price_is_unknown_and_not_nothing() -> None:
    assert LITE.price._replace(usd_per_million_tokens=None).usd(Size(960, 960), 5) is None


# ── auto ────────────────────────────────────────────────────────────────────────────────────────────────

SHAPES = st.builds(Size, st.integers(300, 6000), st.integers(300, 6000))


@settings(deadline=None)
@given(SHAPES)
def test_auto_treats_portrait_and_landscape_alike(picture: Size) -> None:
    """Save for 21:9, whose transposition image-to-video does not offer."""
    width, height = LITE.ratio("auto", picture).split(":")
    assume(width != "21")
    turned = LITE.ratio("auto", Size(picture.height, picture.width))
    assert turned == f"{height}:{width}" or (turned == "21:9" and f"{width}:{height}" == "9:16")


@settings(deadline=None)
@given(SHAPES)
def test_no_offered_ratio_is_nearer_than_the_one_that_auto_takes(picture: Size) -> None:
    def stretch(ratio: str) -> float:
        times = picture.width / picture.height / ratio_value(ratio)
        return max(times, 1 / times)

    chosen = stretch(LITE.ratio("auto", picture))
    assert all(chosen <= stretch(r) * (1 + 1e-12) for r in LITE.options("aspect_ratio") if r != "auto")


@settings(deadline=None)
@given(SHAPES, st.sampled_from(["21:9", "16:9", "4:3", "1:1", "3:4", "9:16"]))
def test_a_ratio_that_is_asked_for_does_not_depend_on_the_picture(picture: Size, ratio: str) -> None:
    assert LITE.ratio(ratio, picture) == ratio


def test_auto_without_a_picture_is_16_9() -> None:
    assert LITE.size("720p", "auto") == Size(1248, 704)
