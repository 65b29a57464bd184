"""Flicker, drift, judder and loops: what was planted is read back, and FFmpeg and VBench say the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from seedance_lab.local.render import Job, render
from seedance_lab.measuring import steadiness
from seedance_lab.measuring.spec import Bytes
from tests.measuring.films import grey, measured, texture, view, write, write_planes
from tests.measuring.reference import column

NAMES = [measure.name for measure in steadiness.MEASURES]
HARBOUR = Path(steadiness.__file__).parent.parent / "pictures" / "harbour.jpg"
SIZES = [(320, 180), (180, 320), (640, 360)]


def pan(n: int, width: int = 320, height: int = 180, *, step: float = 2.0, seed: int = 0) -> list[Bytes]:
    """Lumas of a camera that goes right by `step` pixels a frame, clear of black and white."""
    canvas = texture(width * 2, height * 2, seed)[..., 1]
    canvas = np.clip(canvas, 60, 190).astype(np.uint8)
    return [view(canvas, width, height, dx=step * i - width / 4) for i in range(n)]


def brighter(lumas: Sequence[Bytes], levels: Callable[[int], float], seed: int = 0) -> list[Bytes]:
    """Each frame by so many levels, dithered: fractions of a level are kept in the mean."""
    rng = np.random.default_rng(seed)
    return [
        np.clip(np.floor(y + levels(i) + rng.random(y.shape)), 0, 255).astype(np.uint8)
        for i, y in enumerate(lumas)
    ]


def by_hand(path: Path) -> float:
    """VBench's temporal flickering, as its code has it: all frames through OpenCV, in float32."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while True:
        there, frame = capture.read()
        if not there:
            break
        frames.append(frame.astype(np.float32))
    changes = [np.abs(b - a).mean(dtype=np.float64) for a, b in pairwise(frames)]
    return float((255.0 - np.mean(changes)) / 255.0)


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("crf", [10, 32])
def test_flicker_is_vbenchs(tmp_path: Path, width: int, height: int, crf: int) -> None:
    """To the bit of every sample; only the sums are taken in another order."""
    canvas = texture(2 * width, 2 * height)
    frames = [view(canvas, width, height, dx=2 * i) for i in range(12)]
    path = write(tmp_path / "clip.mp4", frames, crf=crf)
    assert measured(path, *NAMES).values["vb_temporal_flickering"] == pytest.approx(by_hand(path), abs=1e-9)


def test_flicker_is_vbenchs_of_the_engines_clips_too(tmp_path: Path) -> None:
    """They say that their colours are BT.709, and OpenCV's reader heeds it."""
    job = Job(
        image=HARBOUR,
        end_image=None,
        prompt="the camera pans left",
        width=320,
        height=192,
        ratio=16 / 9,
        seconds=2,
        seed=0,
        camera_fixed=False,
    )
    render(job, tmp_path / "clip.mp4")
    found = measured(tmp_path / "clip.mp4", *NAMES).values["vb_temporal_flickering"]
    assert found == pytest.approx(by_hand(tmp_path / "clip.mp4"), abs=1e-9)


def test_vbenchs_flicker_takes_motion_for_flicker_and_ours_does_not(tmp_path: Path) -> None:
    """A steady pan, and the same picture standing still but pumping by a level: VBench prefers the second."""
    pumping = brighter(pan(24, step=0), lambda i: i % 2)
    moving = measured(write_planes(tmp_path / "moving.mp4", map(grey, pan(24, step=4))), *NAMES).values
    pumped = measured(write_planes(tmp_path / "pumped.mp4", map(grey, pumping)), *NAMES).values
    assert moving["vb_temporal_flickering"] < pumped["vb_temporal_flickering"]
    assert moving["luma_pump"] < 0.2 * pumped["luma_pump"]


def test_differences_and_means_are_those_of_signalstats(tmp_path: Path) -> None:
    """YDIF and YAVG, to their last printed digit."""
    canvas = texture(640, 360)
    path = write(tmp_path / "clip.mp4", [view(canvas, 320, 180, dx=1.5 * i) for i in range(12)], crf=24)
    found = measured(path, *NAMES)
    assert found.series["frame_difference"][:, 1] == pytest.approx(
        column(path, "signalstats", "YDIF")[1:], rel=1e-5
    )
    assert found.series["mean_luma"][:, 1] == pytest.approx(column(path, "signalstats", "YAVG"), rel=1e-5)
    assert found.values["frame_difference"] == pytest.approx(
        column(path, "signalstats", "YDIF")[1:].mean(), rel=1e-5
    )


@pytest.mark.parametrize("step", [0.5, 3.0, 12.0])
def test_temporal_information_is_that_of_siti(tmp_path: Path, step: float) -> None:
    """Ours leaves out the rounding to full range."""
    path = write_planes(tmp_path / "clip.mp4", map(grey, pan(12, step=step)))
    theirs = column(path, "siti", "ti")[1:].mean()
    assert measured(path, *NAMES).values["temporal_information"] == pytest.approx(theirs, abs=0.1)


def test_temporal_information_does_not_see_light_that_changes_everywhere_alike(tmp_path: Path) -> None:
    """Nor does siti's: it is the spread of the change, not its mean."""
    still = pan(1)[0]
    path = write_planes(tmp_path / "clip.mp4", [grey(still + np.uint8(5 * (i % 2))) for i in range(6)])
    found = measured(path, *NAMES).values
    assert found["frame_difference"] == pytest.approx(5)
    assert found["temporal_information"] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("step", [0.0, 3.0])
def test_flicker_of_a_known_amplitude_is_recovered(
    tmp_path: Path, width: int, height: int, step: float
) -> None:
    """Every other frame brighter by a: the second difference is 2 a. Within 5 % and 0.1 levels, motion or not."""
    lumas = pan(16, width, height, step=step)
    found = []
    for amplitude in (0.5, 1.0, 3.0, 8.0):
        lit = brighter(lumas, lambda i, a=amplitude: a * (i % 2))  # type: ignore[misc]
        path = write_planes(tmp_path / f"{amplitude}.mp4", map(grey, lit))
        found.append(measured(path, *NAMES).values["luma_pump"])
        assert found[-1] == pytest.approx(2 * amplitude, rel=0.05, abs=0.1)
    assert all(a < b for a, b in pairwise(found))


@pytest.mark.parametrize(("crf", "error"), [(10, 0.1), (18, 0.2)])
@pytest.mark.parametrize("hertz", [3.0, 6.0])
def test_flicker_survives_the_coder(tmp_path: Path, crf: int, error: float, hertz: float) -> None:
    """A wave of 4 levels: its mean second difference, within what x264 itself smooths away.

    That is a tenth at crf 18 and a third at 24, and then it is not in the file.
    """
    lit = brighter(pan(24), lambda i: 4 * np.sin(2 * np.pi * hertz * i / 24))
    path = write_planes(tmp_path / "clip.mp4", map(grey, lit), crf=crf)
    planted = np.abs(np.diff([4 * np.sin(2 * np.pi * hertz * i / 24) for i in range(24)], 2)).mean()
    assert measured(path, *NAMES).values["luma_pump"] == pytest.approx(planted, rel=error)


def test_a_fade_is_drift_and_not_flicker(tmp_path: Path) -> None:
    """A constant speed has no second difference."""
    path = write_planes(tmp_path / "clip.mp4", map(grey, brighter(pan(24, step=0), lambda i: 1.5 * i)))
    found = measured(path, *NAMES).values
    assert found["luma_pump"] < 0.05
    assert found["exposure_drift"] == pytest.approx(1.5 * 24, rel=0.01)


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("fps", [12, 24, 30])
def test_exposure_drift_is_recovered_per_second(tmp_path: Path, width: int, height: int, fps: int) -> None:
    """Within 2 % and 0.05 levels per second, whatever the size and the rate; its sign says which way."""
    still = pan(fps, width, height, step=0)
    found = []
    for drift in (-20.0, -2.0, 0.5, 6.0, 30.0):
        lit = brighter(still, lambda i, d=drift: d * i / fps)  # type: ignore[misc]
        path = write_planes(tmp_path / f"{drift}.mp4", map(grey, lit), fps=fps)
        values = measured(path, *NAMES).values
        found.append(values["exposure_drift"])
        assert found[-1] == pytest.approx(drift, rel=0.02, abs=0.05)
        assert values["exposure_range"] == pytest.approx(abs(drift) * (fps - 1) / fps, rel=0.02, abs=0.05)
    assert all(a < b for a, b in pairwise(found))


def test_drift_is_measured_by_the_time_stamps(tmp_path: Path) -> None:
    """Every second frame comes late; the light follows the clock."""
    stamps = [40 * i + (15 if i % 2 else 0) for i in range(24)]
    lit = brighter(pan(24, step=0), lambda i: 10 * stamps[i] / 1000)
    path = write_planes(tmp_path / "clip.mp4", map(grey, lit), times=lambda i: stamps[i])
    assert measured(path, *NAMES).values["exposure_drift"] == pytest.approx(10, rel=0.02)


@pytest.mark.parametrize(("by_u", "by_v"), [(12.0, 0.0), (0.0, -9.0), (3.0, 4.0)])
def test_colour_drift_is_recovered_per_second(tmp_path: Path, by_u: float, by_v: float) -> None:
    """Within 3 % and 0.1 levels per second; the brightness stays."""
    luma = pan(1)[0]
    rng = np.random.default_rng(0)

    def plane(levels: float) -> Bytes:
        return np.floor(128 + levels + rng.random((90, 160))).astype(np.uint8)

    planes = [(luma, plane(by_u * i / 24), plane(by_v * i / 24)) for i in range(24)]
    found = measured(write_planes(tmp_path / "clip.mp4", planes), *NAMES).values
    assert found["colour_drift"] == pytest.approx(np.hypot(by_u, by_v), rel=0.03, abs=0.1)
    assert found["colour_range"] == pytest.approx(np.hypot(by_u, by_v) * 23 / 24, rel=0.03, abs=0.1)
    assert found["exposure_drift"] == pytest.approx(0, abs=1e-6)


def test_a_clip_that_neither_drifts_nor_flickers_says_so(tmp_path: Path) -> None:
    """Compressed as the engine's are."""
    path = write_planes(tmp_path / "clip.mp4", map(grey, pan(24, step=0)), crf=20)
    found = measured(path, *NAMES).values
    for name in ("luma_pump", "exposure_drift", "exposure_range", "colour_drift", "colour_range"):
        assert abs(found[name]) < 0.2, name


def test_judder_of_an_even_pan_is_nothing_and_of_doubled_frames_one(tmp_path: Path) -> None:
    """Changes of 0, d, 0, d … have a standard deviation as large as their mean."""
    even = measured(write_planes(tmp_path / "even.mp4", map(grey, pan(24))), *NAMES).values["judder"]
    doubled = [y for y in pan(13, step=4) for _ in (0, 1)][:25]
    twice = measured(write_planes(tmp_path / "twice.mp4", map(grey, doubled)), *NAMES).values["judder"]
    assert even < 0.1
    assert twice == pytest.approx(1.0, abs=0.05)


def test_judder_rises_with_unevenness(tmp_path: Path) -> None:
    """Steps of 4 ± a pixels."""
    canvas = np.clip(texture(800, 360)[..., 1], 60, 190).astype(np.uint8)
    found = []
    for uneven in (0.0, 1.0, 2.0, 3.5):
        place = np.cumsum([4 + uneven * (-1) ** i for i in range(24)])
        path = write_planes(
            tmp_path / f"{uneven}.mp4", [grey(view(canvas, 320, 180, dx=x - 60)) for x in place]
        )
        found.append(measured(path, *NAMES).values["judder"])
    assert all(a < b for a, b in pairwise(found))


def test_a_cut_is_no_judder(tmp_path: Path) -> None:
    """One change that is fifty times the others would be."""
    dark, bright = pan(12), [255 - y for y in pan(12, seed=3)]
    dark = [y // 2 for y in dark]
    path = write_planes(tmp_path / "clip.mp4", map(grey, [*dark, *bright]))
    assert measured(path, *NAMES).values["judder"] < 0.5


@pytest.mark.parametrize("n_turn", [16, 24])
def test_a_loop_has_no_seam(tmp_path: Path, n_turn: int) -> None:
    """A panorama that goes round: the step from the last frame to the first is like every other."""
    half = pan(1, 240, 200)[0]
    panorama = np.hstack([half, half[:, ::-1]])
    shift = panorama.shape[1] // n_turn
    frames = [np.ascontiguousarray(np.roll(panorama, -shift * i, axis=1)[:, :320]) for i in range(n_turn)]
    looped = measured(write_planes(tmp_path / "loop.mp4", map(grey, frames)), *NAMES).values
    cut_short = frames[: n_turn // 2]
    broken = measured(write_planes(tmp_path / "broken.mp4", map(grey, cut_short)), *NAMES).values
    assert looped["loop_jump"] < 0.25 * broken["loop_jump"]
    assert looped["loop_ssim"] > broken["loop_ssim"]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("step", [1.0, 3.0, 6.0])
def test_the_jump_of_a_halt_is_the_speed(tmp_path: Path, width: int, height: int, step: float) -> None:
    """The last frame is the first again, so what moved by `step` pixels stands still: within a tenth, at any size."""
    there = pan(7, width, height, step=step)
    frames = [*there[::-1], *there[1:]]
    found = measured(write_planes(tmp_path / "clip.mp4", map(grey, frames)), *NAMES).values
    assert found["loop_ssim"] == pytest.approx(1.0, abs=1e-6)
    assert found["loop_jump"] == pytest.approx(100 * step / min(width, height), rel=0.1)


def test_a_clip_of_one_frame_has_reasons(tmp_path: Path) -> None:
    """Nothing here can be said of one picture."""
    found = measured(write_planes(tmp_path / "clip.mp4", [grey(pan(1)[0])]), *NAMES)
    assert not found.values
    assert found.missing == dict.fromkeys(NAMES, "the clip has one frame")


def test_a_clip_of_two_frames_has_what_two_frames_can_tell(tmp_path: Path) -> None:
    """No second difference, no evenness, no step before the last."""
    found = measured(write_planes(tmp_path / "clip.mp4", map(grey, pan(2))), *NAMES)
    assert set(found.missing) == {"luma_pump", "judder", "loop_jump"}
    assert all("two" in reason or "few" in reason for reason in found.missing.values())


@pytest.mark.parametrize("level", [16, 128])
def test_a_flat_clip_is_steady_and_its_judder_unknown(tmp_path: Path, level: int) -> None:
    """Flat grey, and all black."""
    found = measured(
        write_planes(tmp_path / "clip.mp4", [grey(np.full((180, 320), level, np.uint8))] * 12), *NAMES
    )
    assert found.missing == {"judder": "nothing moves"}
    assert found.values["vb_temporal_flickering"] == found.values["loop_ssim"] == 1
    rest = set(found.values) - {"vb_temporal_flickering", "loop_ssim"}
    assert {found.values[name] for name in rest} == {0.0}


def test_a_tiny_clip_has_no_seam_but_a_reason(tmp_path: Path) -> None:
    """8 × 8 pixels."""
    rng = np.random.default_rng(0)
    frames = [grey(rng.integers(40, 200, (8, 8), np.uint8)) for _ in range(5)]
    found = measured(write_planes(tmp_path / "clip.mp4", frames), *NAMES)
    assert set(found.missing) == {"loop_ssim", "loop_jump"}
    assert "8 × 8" in found.missing["loop_ssim"]
