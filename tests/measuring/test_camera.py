"""What the camera does, held against planted moves, scikit-image's fit and the engine's own commands."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.transform import estimate_transform

from seedance_lab.local.render import Job, render
from seedance_lab.measuring import camera
from seedance_lab.measuring.asked import Asked
from seedance_lab.measuring.camera_model import Points, Similarity, fitted
from seedance_lab.measuring.camera_prompt import contradiction, moves_of
from seedance_lab.measuring.flow import Grid, Pair
from seedance_lab.measuring.spec import Bytes, Found
from tests.measuring.films import measured, texture, view, write

NAMES = [measure.name for measure in camera.MEASURES]
RATES = ("camera_pan", "camera_tilt", "camera_zoom", "camera_roll")
DATA = Path(__file__).parents[2] / "data"
SMALL = (320, 180, 24)
SIZES = (SMALL, (640, 360, 30), (360, 640, 24))


def shot(
    path: Path,
    pose: Callable[[float], dict[str, float]],
    *,
    size: tuple[int, int, int] = SMALL,
    seconds: float = 1.0,
    grain: float = 0.0,
    crf: int = 14,
    asked: Asked | None = None,
    over: Callable[[Bytes, float], None] | None = None,
) -> Found:
    """The camera measures of a clip whose camera is where `pose` says at each time; `over` draws into frames."""
    width, height, fps = size
    canvas, rng = texture(width + 240, height + 240, 3, detail=0.75), np.random.default_rng(7)
    pictures = []
    for i in range(round(seconds * fps)):
        picture = view(canvas, width, height, **pose(i / fps))
        if over is not None:
            over(picture, i / fps)
        if grain:
            picture = np.clip(picture + rng.normal(0, grain, picture.shape), 0, 255).astype(np.uint8)
        pictures.append(picture)
    return measured(write(path / "clip.mp4", pictures, fps=fps, crf=crf), *NAMES, asked=asked)


def pair_of(grid: Grid, model: Similarity, rng: np.random.Generator, error: float, others: float) -> Pair:
    """Flow of a model with errors, and a part of the picture on its own way."""
    u, v = model.of(grid.x, grid.y)
    u, v = u + rng.normal(0, error, u.shape), v + rng.normal(0, error, v.shape)
    inside = (np.abs(grid.x) < others) & (np.abs(grid.y) < others)
    picture = np.zeros((4, 4), np.uint8)
    trust = np.ones_like(u, np.float32)
    own = np.where(inside, 0.05, u), np.where(inside, -0.03, v)
    return Pair(0, 1 / 8, picture, picture, *own, trust, trust > 0)


def grid() -> Grid:
    """That of a clip of 1248 x 704."""
    x, y = np.meshgrid((np.arange(78) - 38.5) * 4 / 176, (np.arange(44) - 21.5) * 4 / 176)
    return Grid(x.astype(np.float32), y.astype(np.float32), 1 / 176)


def test_the_fit_is_that_of_scikit_image_where_nothing_moves_by_itself() -> None:
    """scikit-image's similarity on the same points, to a thousandth of a working pixel over the picture."""
    where = grid()
    pair = pair_of(where, Similarity(0.02, -0.01, 0.03, -0.02), np.random.default_rng(0), 0.0005, 0.0)
    ours = fitted(pair, Points(where))
    points = np.stack([where.x.ravel(), where.y.ravel()], axis=1)
    theirs = estimate_transform(
        "similarity", points, points + np.stack([pair.u.ravel(), pair.v.ravel()], axis=1)
    )
    u, v = ours.of(where.x, where.y)
    there = theirs(points) - points
    assert np.hypot(u.ravel() - there[:, 0], v.ravel() - there[:, 1]).max() < 0.03 * where.pixel


@pytest.mark.parametrize(
    "model",
    [
        Similarity(0, 0, 0, 0),
        Similarity(0.03, 0, 0, 0),
        Similarity(0, 0.02, 0, 0),
        Similarity(-0.01, 0.005, 0.04, 0.01),
    ],
)
def test_a_subject_on_its_own_way_does_not_carry_the_camera_along(model: Similarity) -> None:
    """It fills 45 % of the picture. By plain least squares the error is over five working pixels."""
    where = grid()
    pair = pair_of(where, model, np.random.default_rng(1), 0.0005, 0.45)
    off = np.subtract(fitted(pair, Points(where)).of(where.x, where.y), model.of(where.x, where.y))
    assert np.hypot(*off).max() < 0.25 * where.pixel


@pytest.mark.parametrize(
    ("model", "others"), [(Similarity(0, 0, 0, 0), 0.55), (Similarity(0.01, 0, 0.03, 0), 0.47)]
)
def test_a_subject_in_most_of_the_picture_does_not_either(model: Similarity, others: float) -> None:
    """62 % before a camera at rest, 53 % before one that moves: rest, and what is at the edges, have more say."""
    where = grid()
    pair = pair_of(where, model, np.random.default_rng(1), 0.0005, others)
    assert 0.5 < (np.abs(where.x) < others).mean() < 0.65
    off = np.subtract(fitted(pair, Points(where)).of(where.x, where.y), model.of(where.x, where.y))
    assert np.hypot(*off).max() < 0.25 * where.pixel


def test_two_ways_after_each_other_are_one() -> None:
    """Points are carried along by the chain as by its links."""
    one, two = Similarity(0.1, -0.2, 0.3, 0.1), Similarity(-0.05, 0.1, 0.2, -0.4)
    x, y = np.array([0.3, -0.5, 0.0]), np.array([0.2, 0.4, 0.0])
    u, v = one.of(x, y)
    u2, v2 = two.of(x + u, y + v)
    np.testing.assert_allclose(one.then(two).of(x, y), (u + u2, v + v2), atol=1e-12)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("right", "up"), [(4, 0), (-12, 0), (0, 8), (0, -30), (20, -10), (60, 0)])
def test_a_pan_and_a_tilt_are_read_with_their_signs(
    tmp_path: Path, size: tuple[int, int, int], right: float, up: float
) -> None:
    """In % of the short side per second, within 2 % + 0.15: right and up are positive."""
    short = min(size[:2])
    found = shot(tmp_path, lambda t: {"dx": right / 100 * short * t, "dy": -up / 100 * short * t}, size=size)
    assert found.values["camera_pan"] == pytest.approx(right, abs=0.02 * abs(right) + 0.15)
    assert found.values["camera_tilt"] == pytest.approx(up, abs=0.02 * abs(up) + 0.15)
    assert abs(found.values["camera_zoom"]) < 0.3
    assert abs(found.values["camera_roll"]) < 0.15


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("rate", [3, 10, 25, -3, -15])
def test_a_zoom_is_read_with_its_sign(tmp_path: Path, size: tuple[int, int, int], rate: float) -> None:
    """In % per second, within 4 % + 0.2: in is positive."""
    found = shot(tmp_path, lambda t: {"zoom": math.exp(rate / 100 * t)}, size=size)
    assert found.values["camera_zoom"] == pytest.approx(rate, abs=0.04 * abs(rate) + 0.2)
    assert max(abs(found.values[name]) for name in ("camera_pan", "camera_tilt", "camera_roll")) < 0.4


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("rate", [2, 10, -2, -20])
def test_a_roll_is_read_with_its_sign(tmp_path: Path, size: tuple[int, int, int], rate: float) -> None:
    """In degrees per second, within 4 % + 0.1: clockwise is positive, and the picture turns the other way."""
    found = shot(tmp_path, lambda t: {"roll_deg": rate * t}, size=size)
    assert found.values["camera_roll"] == pytest.approx(rate, abs=0.04 * abs(rate) + 0.1)
    assert max(abs(found.values[name]) for name in ("camera_pan", "camera_tilt", "camera_zoom")) < 0.5


@pytest.mark.parametrize(("grain", "crf"), [(6, 20), (0, 30)])
def test_grain_and_compression_leave_the_moves_as_they_are(tmp_path: Path, grain: float, crf: int) -> None:
    """Pan, zoom and roll at once, within 10 %."""
    found = shot(
        tmp_path,
        lambda t: {"dx": 36 * t, "zoom": math.exp(0.1 * t), "roll_deg": 5 * t},
        size=(640, 360, 24),
        grain=grain,
        crf=crf,
    )
    read = [found.values[name] for name in ("camera_zoom", "camera_roll")]
    assert read == pytest.approx([10, 5], rel=0.1)
    grown = (math.exp(0.1) - 1) / 0.1  # the way is in pixels of the canvas, which look larger and larger
    assert found.values["camera_pan"] == pytest.approx(10 * grown, rel=0.1)


@pytest.mark.parametrize("move", ["dx", "dy", "zoom", "roll_deg"])
def test_what_is_read_grows_with_what_is_planted(tmp_path: Path, move: str) -> None:
    """Strictly, over a hundredfold range; so does the length of the path."""
    rates, paths = [], []
    name = {"dx": "camera_pan", "dy": "camera_tilt", "zoom": "camera_zoom", "roll_deg": "camera_roll"}[move]
    for strength in (0.3, 1, 3, 10, 30):
        amount = {"dx": 1.8, "dy": -1.8, "zoom": 0.01, "roll_deg": 1.0}[move] * strength
        found = shot(
            tmp_path, lambda t, a=amount: {move: math.exp(a * t) if move == "zoom" else a * t}, seconds=0.75
        )
        rates.append(found.values[name])
        paths.append(found.values["camera_path"])
    assert rates == sorted(rates)
    assert rates[0] > 0
    assert len({round(rate, 3) for rate in rates}) == 5
    assert paths == sorted(paths)


def subject(picture: Bytes, time: float) -> None:
    """Something that goes half the short side in a second, over a fifth of the picture."""
    height, width = picture.shape[:2]
    side = round(0.55 * height)
    x = round(0.1 * width + 0.5 * height * time)
    picture[-side:, x : x + side] = texture(side, side, 9)


def test_a_camera_at_rest_is_at_rest_whatever_walks_through_the_picture(tmp_path: Path) -> None:
    """The drift stays under VBench's threshold, so the request for a fixed camera is granted."""
    found = shot(
        tmp_path,
        lambda t: {},
        size=(640, 360, 24),
        over=subject,
        asked=Asked(camera_fixed=True, prompt="static shot"),
    )
    assert max(abs(found.values[name]) for name in RATES) < 0.1
    assert found.values["camera_drift"] < 0.25
    assert found.values["camera_fixed_ok"] == 1
    assert found.values["camera_as_prompted"] == 1
    assert found.values["camera_residual"] > 3
    assert found.values["camera_inliers"] < 0.9
    assert camera.labels(found.values) == ("static",)


@pytest.mark.parametrize("picture", ["harbour_dusk", "street", "still_life"])
@pytest.mark.parametrize("step", [40, 60])
def test_a_whip_pan_over_a_photograph_is_read(tmp_path: Path, picture: str, step: int) -> None:
    """A third of the short side in every frame. Without phase correlation all six have no value."""
    photo = cv2.imread(str(DATA / f"{picture}.jpg"))
    photo = cv2.resize(
        photo, (900, round(900 * photo.shape[0] / photo.shape[1])), interpolation=cv2.INTER_AREA
    )
    path = write(
        tmp_path / "clip.mp4", [view(photo, 320, 180, dx=step * (i - 4.0)) for i in range(9)], crf=14
    )
    found = measured(path, "camera_pan", "camera_tilt")
    assert found.values["camera_pan"] == pytest.approx(100 * step * 24 / 180, rel=0.01)
    assert abs(found.values["camera_tilt"]) < 1


def test_a_camera_on_its_way_is_read_behind_what_walks_through_the_picture(tmp_path: Path) -> None:
    """Within 5 %."""
    found = shot(tmp_path, lambda t: {"dx": -54 * t}, size=(640, 360, 24), over=subject)
    assert found.values["camera_pan"] == pytest.approx(-15, rel=0.05)


@pytest.mark.parametrize(("drift", "ok"), [(0.0, 1), (0.3, 1), (1.0, 0), (5.0, 0)])
def test_a_camera_is_fixed_that_drifts_less_than_half_a_percent(
    tmp_path: Path, drift: float, ok: int
) -> None:
    """Of the short side, by VBench; the drift itself is read within 10 % + 0.1."""
    found = shot(
        tmp_path,
        lambda t: {"dx": drift / 100 * 360 * t},
        size=(640, 360, 24),
        seconds=25 / 24,
        asked=Asked(camera_fixed=True),
    )
    assert found.values["camera_drift"] == pytest.approx(drift, abs=0.1 * drift + 0.1)
    assert found.values["camera_fixed_ok"] == ok


def test_there_and_back_is_no_way_but_a_path(tmp_path: Path) -> None:
    """10 % of the short side to the right and back in 2 s; the mean pan is nothing, the drift 10 %, the path 10 %/s."""
    found = shot(tmp_path, lambda t: {"dx": 18 * (1 - abs(1 - t))}, seconds=49 / 24)
    assert abs(found.values["camera_pan"]) < 0.3
    assert found.values["camera_drift"] == pytest.approx(10, rel=0.05)
    assert found.values["camera_path"] == pytest.approx(10, rel=0.05)


def test_a_tremor_within_a_second_counts_as_drift(tmp_path: Path) -> None:
    """2 % of the short side, twice a second: at whole seconds it is where it was."""
    found = shot(
        tmp_path,
        lambda t: {"dx": 3.6 * math.sin(2 * math.tau * t)},
        seconds=49 / 24,
        asked=Asked(camera_fixed=True),
    )
    assert found.values["camera_drift"] == pytest.approx(2, rel=0.15)
    assert found.values["camera_fixed_ok"] == 0
    assert abs(found.values["camera_pan"]) < 0.3


def test_a_cut_is_left_out_and_not_taken_for_a_move(tmp_path: Path) -> None:
    """Two cuts in two still seconds; the pairs across them are gaps, and nothing else is lost."""
    scenes = [texture(320, 180, seed) for seed in (1, 2, 3)]
    path = write(tmp_path / "clip.mp4", [scenes[i // 17] for i in range(49)])
    found = measured(path, *NAMES, asked=Asked(camera_fixed=True))
    assert max(abs(found.values[name]) for name in RATES) < 0.1
    assert found.values["camera_fixed_ok"] == 1
    assert len(found.series["camera_pan"]) == 16 - 2


def test_a_move_goes_on_behind_a_cut(tmp_path: Path) -> None:
    """The mean rate is that of what was seen."""
    canvases = [texture(400, 200, seed) for seed in (1, 2)]
    path = write(
        tmp_path / "clip.mp4", [view(canvases[i // 24], 320, 180, dx=i % 24 - 12) for i in range(48)]
    )
    assert measured(path, *NAMES).values["camera_pan"] == pytest.approx(100 * 24 / 180, rel=0.03)


def test_what_is_not_asked_for_is_not_held_against_the_clip(tmp_path: Path) -> None:
    """Reasons stand in the place of values."""
    found = shot(tmp_path, lambda t: {"dx": 20 * t}, seconds=0.5, asked=Asked(prompt="a dog runs"))
    assert set(found.missing) == {"camera_fixed_ok", "camera_as_prompted"}
    assert "camera_fixed" in found.missing["camera_fixed_ok"]
    assert "names no camera move" in found.missing["camera_as_prompted"]
    found = shot(tmp_path, lambda t: {}, seconds=0.5, asked=Asked(prompt="pan left, then pan right"))
    assert "pan_left and pan_right" in found.missing["camera_as_prompted"]


@pytest.mark.parametrize(
    ("prompt", "kept"),
    [
        ("camera pans right", 1),
        ("camera pans left", 0),
        ("camera tilts up", 0),
        ("static camera", 0),
        ("zoom in", 0),
    ],
)
def test_a_prompted_move_is_held_against_the_clip(tmp_path: Path, prompt: str, kept: int) -> None:
    """Here the camera goes to the right."""
    found = shot(tmp_path, lambda t: {"dx": 27 * t}, asked=Asked(prompt=prompt))
    assert found.values["camera_as_prompted"] == kept


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ((8, 0, 0, 0), ("pan_right",)),
        ((-8, 5, 0, 0), ("pan_left", "tilt_up")),
        ((-8, 3, 0, 0), ("pan_left",)),
        ((0, 0, -4, 0), ("zoom_out",)),
        ((1, 0, 12, 0), ("zoom_in",)),
        ((0, 0, 0, -3), ("roll_counterclockwise",)),
        ((0.3, -0.2, 0.6, 0.1), ("static",)),
    ],
)
def test_labels_are_what_a_person_would_say(values: tuple[float, ...], labels: tuple[str, ...]) -> None:
    """The strongest first, and nothing beside it that is less than half as strong."""
    assert camera.labels(dict(zip(RATES, values, strict=True))) == labels


def test_what_was_not_measured_has_no_label() -> None:
    """Not even "static"."""
    assert camera.labels({}) == ()


@pytest.mark.parametrize(
    ("prompt", "moves"),
    [
        ("The camera pans left across the harbour", {"pan_left"}),
        ("slow pan to the right", {"pan_right"}),
        ("camera moves from left to right", {"pan_right"}),
        ("Tilt up to the sky", {"tilt_up"}),
        ("the camera slowly tilts down", {"tilt_down"}),
        ("zoom in on her face", {"zoom_in"}),
        ("Camera zooms out.", {"zoom_out"}),
        ("slow push-in", {"zoom_in"}),
        ("the camera pushes in, leaves fall", {"zoom_in"}),
        ("pull back to reveal the valley", {"zoom_out"}),
        ("dolly out", {"zoom_out"}),
        ("camera dollies in slowly", {"zoom_in"}),
        ("camera rolls clockwise", {"roll_clockwise"}),
        ("the camera rotates counter-clockwise", {"roll_counterclockwise"}),
        ("the camera rolls anticlockwise", {"roll_counterclockwise"}),
        ("static camera, the boats drift", {"static"}),
        ("fixed shot of a street", {"static"}),
        ("locked-off shot", {"static"}),
        ("the camera remains still", {"static"}),
        ("no camera movement", {"static"}),
        ("static shot, then the camera zooms in", {"zoom_in"}),
        ("pan left and tilt up", {"pan_left", "tilt_up"}),
        ("the camera pans right while the dog runs left", {"pan_right"}),
        ("crane up over the roofs", {"tilt_up"}),
        ("a dog runs to the left", set()),
        ("she turns right and looks up", set()),
        ("the ball rolls to the right", set()),
        ("a man with a camera walks in", set()),
        ("a still life with fruit", set()),
        ("without zooming in", set()),
        ("a frying pan on the left", set()),
        ("the boats drift apart", set()),
        ("", set()),
    ],
)
def test_the_prompt_names_these_moves(prompt: str, moves: set[str]) -> None:
    """Plainly named ones only: what the subject does is not the camera's."""
    assert moves_of(prompt) == moves


def test_moves_that_undo_each_other_are_a_contradiction() -> None:
    """The mean over the clip could not show them."""
    assert contradiction(frozenset({"zoom_in", "zoom_out", "pan_left"})) == "zoom_in and zoom_out"
    assert not contradiction(frozenset({"zoom_in", "pan_left"}))


@pytest.mark.parametrize("picture", ["still_life", "street"])
@pytest.mark.parametrize(
    ("prompt", "label"),
    [
        ("camera pans left", "pan_left"),
        ("camera pans right", "pan_right"),
        ("camera tilts up", "tilt_up"),
        ("camera tilts down", "tilt_down"),
        ("camera zooms in", "zoom_in"),
        ("camera zooms out", "zoom_out"),
        ("camera pushes in", "zoom_in"),
        ("static camera", "static"),
    ],
)
def test_the_engines_camera_commands_are_recognised(
    tmp_path: Path, picture: str, prompt: str, label: str
) -> None:
    """By VBench's rule and as a person's first word for it."""
    fixed = label == "static"
    job = Job(
        image=DATA / f"{picture}.jpg",
        end_image=None,
        prompt=prompt,
        width=864,
        height=480,
        ratio=16 / 9,
        seconds=2,
        seed=5,
        camera_fixed=fixed,
    )
    render(job, tmp_path / "clip.mp4")
    found = measured(tmp_path / "clip.mp4", *NAMES, asked=Asked(prompt=prompt, camera_fixed=fixed))
    assert found.values["camera_as_prompted"] == 1
    assert camera.labels(found.values)[0] == label
    assert found.values.get("camera_fixed_ok", 1) == 1


@pytest.mark.parametrize("picture", ["still_life", "street", "coffee"])
def test_a_fixed_camera_of_the_engine_is_fixed_whatever_moves(tmp_path: Path, picture: str) -> None:
    """In `coffee` the cup and its saucer slide over half of the picture, slower than a working pixel in 1/8 s."""
    job = Job(
        image=DATA / f"{picture}.jpg",
        end_image=None,
        prompt="the boats drift, grass sways",
        width=864,
        height=480,
        ratio=16 / 9,
        seconds=2,
        seed=19,
        camera_fixed=True,
    )
    render(job, tmp_path / "clip.mp4")
    found = measured(tmp_path / "clip.mp4", *NAMES, asked=Asked(prompt=job.prompt, camera_fixed=True))
    assert found.values["camera_fixed_ok"] == 1
    assert camera.labels(found.values) == ("static",)
