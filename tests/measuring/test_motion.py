"""How much moves, and how evenly: planted speeds, VBench's rule by hand, and reasons where there is nothing."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from seedance_lab.measuring import motion
from seedance_lab.measuring.asked import Asked
from seedance_lab.measuring.spec import Bytes, Found
from tests.measuring.films import measured, texture, view, write

NAMES = [measure.name for measure in motion.MEASURES]
OF_REQUEST = {"camera_fixed_ok", "camera_as_prompted"}
SIZES = ((320, 180, 24), (640, 360, 30), (360, 640, 25), (864, 480, 24))


def pan(
    path: Path,
    where: Callable[[int], float],
    *,
    size: tuple[int, int, int] = (320, 180, 24),
    n: int = 25,
    grain: float = 0.0,
    times: Callable[[int], int] | None = None,
) -> Found:
    """The measures of a clip whose camera is so many pixels to the right in each frame."""
    width, height, fps = size
    far = 2 * round(max(abs(where(i)) for i in range(n))) + 20
    canvas, rng = texture(width + far, height + 20, 3, detail=0.75), np.random.default_rng(1)

    def frame(i: int) -> Bytes:
        picture = view(canvas, width, height, dx=where(i))
        if grain:
            picture = np.clip(picture + rng.normal(0, grain, picture.shape), 0, 255).astype(np.uint8)
        return picture

    return measured(write(path / "clip.mp4", map(frame, range(n)), fps=fps, crf=14, times=times), *NAMES)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("step", [0.5, 2, 8])
@pytest.mark.parametrize("grain", [0, 6])
def test_a_planted_speed_is_read(
    tmp_path: Path, size: tuple[int, int, int], step: float, grain: float
) -> None:
    """Within 2 % + 0.4 % of the short side per second, and in pixels per second too."""
    width, height, fps = size
    short, n = min(width, height), fps // 2 + 1
    truth = 100 * step * fps / short
    found = pan(tmp_path, lambda i: step * (i - n / 2), size=size, n=n, grain=grain)
    assert found.values["flow_mean"] == pytest.approx(truth, abs=0.02 * truth + 0.4)
    assert found.values["motion_px_s"] == pytest.approx(found.values["flow_mean"] * short / 100)
    assert found.values["flow_top5"] == pytest.approx(truth, abs=0.1 * truth + 1)


def test_the_fastest_planted_speed_is_read_at_the_smallest_size(tmp_path: Path) -> None:
    """40 px a frame at 320 x 180: more than a fifth of the short side."""
    found = pan(tmp_path, lambda i: 40.0 * (i - 6), n=13)
    assert found.values["flow_mean"] == pytest.approx(100 * 40 * 24 / 180, rel=0.02)
    assert found.values["camera_pan"] == pytest.approx(100 * 40 * 24 / 180, rel=0.01)


def test_what_is_read_grows_with_what_is_planted(tmp_path: Path) -> None:
    """From rest to 40 px a frame: the mean, the fastest 5 % and the strength rise, the share at rest falls."""
    steps = (0, 0.25, 0.5, 1, 2, 5, 10, 20, 40)
    read = [pan(tmp_path, lambda i, s=step: s * (i - 6), n=13).values for step in steps]
    for name in ("flow_mean", "motion_px_s", "flow_top5", "motion_strength", "camera_pan", "camera_drift"):
        values = [found[name] for found in read]
        assert all(a < b for a, b in itertools.pairwise(values)), name
    for name in ("static_share", "background_stillness"):
        assert (read[0][name], read[-1][name]) == pytest.approx((1, 0), abs=0.01)
        values = [round(found[name], 1) for found in read]
        assert values == sorted(values, reverse=True)


def test_the_same_clip_at_two_sizes_has_the_same_numbers(tmp_path: Path) -> None:
    """Only pixels per second double."""
    canvas = texture(1400, 760, 3, detail=0.75)
    small, large = (
        measured(
            write(
                tmp_path / f"{k}.mp4",
                [view(canvas, 1280 // k, 704 // k, dx=4.0 * i, zoom=1 / k) for i in range(13)],
            ),
            *NAMES,
        ).values
        for k in (4, 2)
    )
    for name in ("flow_mean", "flow_top5", "motion_strength", "camera_pan", "camera_drift"):
        assert small[name] == pytest.approx(large[name], rel=0.04), name
    assert large["motion_px_s"] == pytest.approx(2 * small["motion_px_s"], rel=0.04)


def test_uneven_frames_are_read_by_their_times(tmp_path: Path) -> None:
    """Every third frame comes 30 ms late, with the picture that belongs there."""

    def time(i: int) -> int:
        return 40 * i + (30 if i % 3 == 2 else 0)

    found = pan(tmp_path, lambda i: 0.06 * time(i) - 30, times=time)
    assert found.values["motion_px_s"] == pytest.approx(60, rel=0.04)


@pytest.mark.parametrize(("speed", "dynamic"), [(16, 0), (22, 1)])
def test_the_dynamic_degree_turns_at_vbenchs_threshold(tmp_path: Path, speed: float, dynamic: int) -> None:
    """6 / 256 of the short side in 1/8 s, which is 18.75 % per second; the strength says how far from it."""
    found = pan(tmp_path, lambda i: speed / 100 * 180 / 24 * i)
    assert found.values["proxy_dynamic_degree"] == dynamic
    assert found.values["motion_strength"] == pytest.approx(speed / 18.75, rel=0.1)


@pytest.mark.parametrize(("moving", "dynamic"), [(0.15, 0), (0.5, 1)])
def test_a_quarter_of_the_time_must_be_dynamic(tmp_path: Path, moving: float, dynamic: int) -> None:
    """A fast pan for a part of 2 s, rest before and after."""
    n = 49
    found = pan(tmp_path, lambda i: 4.0 * float(np.clip(i - 12, 0, moving * n)), n=n)
    assert found.values["proxy_dynamic_degree"] == dynamic


@pytest.mark.parametrize("n", [2, 3, 5, 8, 17, 40, 96])
def test_the_rule_over_time_is_vbenchs_rule_over_pairs(n: int) -> None:
    """VBench, by hand: at least round(4 N / 16) of the N - 1 pairs are faster than the threshold."""
    rng = np.random.default_rng(n)
    for _ in range(50):
        speeds = rng.gamma(2, 1, n - 1)
        threshold = float(rng.uniform(0, 6))
        need = max(1, round(4 * n / 16))
        ours = motion._reached([(float(s), 1 / 8) for s in speeds]) > threshold
        assert ours == (int((speeds > threshold).sum()) >= need)


@pytest.mark.parametrize("step", [1.0, 3.0])
def test_an_even_pan_is_smooth_and_one_of_held_frames_is_not(tmp_path: Path, step: float) -> None:
    """1 is even; frames held for two stop and start at each."""
    even = pan(tmp_path, lambda i: step * i).values["smoothness"]
    held = pan(tmp_path, lambda i: step * (i // 2 * 2)).values["smoothness"]
    assert even > 0.8
    assert held < 0.25


def test_smoothness_falls_with_the_planted_unevenness(tmp_path: Path) -> None:
    """Steps of 3 + x and 3 - x px in turn: the change is 2 x, the speed 3, so that 1 - x / 3 is true."""
    read = []
    for x in (0.0, 0.5, 1.0, 2.0, 3.0):
        where = np.cumsum([3 + x * (-1) ** i for i in range(25)])
        read.append(pan(tmp_path, lambda i, w=where: float(w[i])).values["smoothness"])
    assert all(a > b for a, b in itertools.pairwise(read))
    assert read == pytest.approx([1, 5 / 6, 2 / 3, 1 / 3, 0], abs=0.1)


def test_a_picture_at_rest_has_no_smoothness_but_a_reason(tmp_path: Path) -> None:
    """All else is measured: nothing moves."""
    found = pan(tmp_path, lambda i: 0.0)
    assert "moves less than 5 %" in found.missing["smoothness"]
    assert found.values["flow_mean"] < 0.05
    assert found.values["static_share"] == found.values["background_stillness"] == 1
    assert found.values["proxy_dynamic_degree"] == 0


def test_the_background_is_still_behind_a_moving_subject(tmp_path: Path) -> None:
    """A fifth of the picture moves, well inside; the band along the edges does not."""
    canvas, subject = texture(640, 360, 1), texture(200, 160, 9)
    pictures = []
    for i in range(25):
        picture = canvas.copy()
        picture[120:280, 150 + 5 * i : 350 + 5 * i] = subject
        pictures.append(picture)
    values = measured(write(tmp_path / "clip.mp4", pictures, crf=14), *NAMES).values
    share, speed = 200 * 160 / (640 * 360), 100 * 5 * 24 / 360
    assert values["background_stillness"] > 0.97
    assert values["static_share"] == pytest.approx(1 - share, abs=0.06)
    assert values["flow_mean"] == pytest.approx(share * speed, rel=0.25)
    assert values["flow_top5"] == pytest.approx(speed, rel=0.05)


def clip(path: Path, pictures: list[Bytes], fps: int = 24) -> Path:
    """Written with little loss."""
    return write(path / "clip.mp4", pictures, fps=fps, crf=4)


@pytest.mark.parametrize(
    ("pictures", "reason"),
    [
        (lambda: [np.full((180, 320, 3), 90, np.uint8)] * 12, "flat"),
        (lambda: [texture(320, 180)], "one frame"),
        (lambda: [texture(320, 180)] * 2, "shorter than 1/8 s"),
        (lambda: [texture(96, 48)] * 12, "less than 64 px"),
        (lambda: list(np.random.default_rng(1).integers(0, 255, (12, 180, 320, 3), np.uint8)), "noise"),
        (lambda: [texture(320, 180, seed) for seed in range(12)], "a cut"),
    ],
)
def test_what_cannot_be_followed_has_a_reason_for_every_measure(
    tmp_path: Path, pictures: Callable[[], list[Bytes]], reason: str
) -> None:
    """And no value at all: not a number that means nothing."""
    found = measured(clip(tmp_path, pictures()), *NAMES, asked=Asked(prompt="pan left", camera_fixed=True))
    assert not found.values
    assert set(found.missing) == set(NAMES)
    assert all(reason in why for why in found.missing.values())


def test_a_clip_that_is_half_lost_says_how_much(tmp_path: Path) -> None:
    """Two thirds are noise."""
    rng = np.random.default_rng(1)
    scene = texture(320, 180)
    pictures = [scene if i < 12 else rng.integers(0, 255, (180, 320, 3), np.uint8) for i in range(37)]
    found = measured(clip(tmp_path, pictures), "flow_mean")
    assert "of 1.50 s could not be followed" in found.missing["flow_mean"]


@pytest.mark.parametrize(("width", "height"), [(64, 64), (96, 64), (130, 66), (64, 320), (2176, 928)])
def test_clips_of_any_size_are_measured(tmp_path: Path, width: int, height: int) -> None:
    """Each measure has a value or a reason; a pan of 1 % of the short side a frame is one."""
    step = min(width, height) / 100
    found = pan(tmp_path, lambda i: step * i, size=(width, height, 24), n=10)
    assert set(found.values) | set(found.missing) == set(NAMES)
    assert not set(found.values) & set(found.missing)
    assert found.values["camera_pan"] == pytest.approx(24, rel=0.05)


def test_only_what_is_wanted_is_told(tmp_path: Path) -> None:
    """Without the camera's measures no camera is fitted, and its series are not there."""
    path = clip(tmp_path, [texture(320, 180)] * 12)
    found = measured(path, "flow_mean", "static_share")
    assert set(found.values) == {"flow_mean", "static_share"}
    assert "camera_pan" not in found.series


def test_the_series_are_values_over_time(tmp_path: Path) -> None:
    """Shape (pairs, 2): the second in which a pair ends, and the value; their mean is the measure."""
    found = pan(tmp_path, lambda i: 2.0 * i)
    for name in (
        "flow_mean",
        "flow_top5",
        "camera_pan",
        "camera_tilt",
        "camera_zoom",
        "camera_roll",
        "camera_drift",
    ):
        assert found.series[name].shape == (8, 2)
        assert found.series[name][:, 0] == pytest.approx(np.arange(1, 9) / 8, abs=0.01)
    assert found.series["flow_mean"][:, 1].mean() == pytest.approx(found.values["flow_mean"], rel=1e-3)
    assert found.series["camera_drift"][-1, 1] == pytest.approx(found.values["camera_drift"])
    assert found.series["camera_pan"][:, 1].mean() == pytest.approx(found.values["camera_pan"], rel=0.03)


def test_the_same_file_gives_the_same_numbers(tmp_path: Path) -> None:
    """The fit draws its pairs of points by a fixed seed."""
    path = clip(
        tmp_path, [view(texture(400, 240), 320, 180, dx=float(i), roll_deg=0.2 * i) for i in range(12)]
    )
    assert measured(path, *NAMES).values == measured(path, *NAMES).values
