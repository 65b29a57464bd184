"""Flow between frames: what was planted is read, and what cannot be followed is said to be so."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.registration import phase_cross_correlation

from seedance_lab.measuring import decode
from seedance_lab.measuring.decode import Frame
from seedance_lab.measuring.flow import Gap, Matcher, Pair
from seedance_lab.measuring.flow_pairs import Follower
from seedance_lab.measuring.spec import Bytes
from tests.measuring.films import texture, view, write

REST = (0.0, 0.0, 0.0, 0.0)


def matcher_for(tmp_path: Path, width: int, height: int) -> Matcher:
    """One for clips of that size."""
    path = write(tmp_path / "one.mp4", [np.full((height, width, 3), 90, np.uint8)])
    with decode.opened(path) as reader:
        return Matcher(reader.video)


def frame_of(picture: Bytes, index: int = 0, time: float = 0.0) -> Frame:
    """A decoded frame without a file."""
    luma = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) if picture.ndim == 3 else picture
    short = min(luma.shape)
    empty = np.zeros((luma.shape[0] // 2, luma.shape[1] // 2), np.uint8)
    planes = decode.Planes(luma, empty, empty)
    return Frame(index, time, planes, max(1, round(short / decode.SMALL_SIDE)))


def pan(width: int, height: int, steps: list[float]) -> list[Bytes]:
    """Pictures of a camera that is so many pixels to the right in each."""
    canvas = texture(width + 2 * int(max(map(abs, steps))) + 20, height + 20, 2)
    return [view(canvas, width, height, dx=step) for step in steps]


def followed(matcher: Matcher, pictures: list[Bytes], times: list[float]) -> list[Pair | Gap]:
    """All pairs of these frames."""
    follower = Follower(matcher)
    told = [follower.see(frame_of(p, i, t)) for i, (p, t) in enumerate(zip(pictures, times, strict=True))]
    return [pair for pair in told if pair is not None]


@pytest.mark.parametrize(("width", "height"), [(320, 180), (640, 360), (864, 480), (1248, 704), (480, 864)])
@pytest.mark.parametrize("shift", [0.0, 1.5, 6.0, 15.0])
def test_a_planted_shift_is_read_to_a_twentieth_of_a_working_pixel(
    tmp_path: Path, width: int, height: int, shift: float
) -> None:
    """The mean over the picture; upright clips too."""
    matcher = matcher_for(tmp_path, width, height)
    before, after = pan(width, height, [0, shift])
    pair = matcher.match(frame_of(before).small, frame_of(after).small, 0, 1 / 8, REST)
    assert isinstance(pair, Pair)
    inner = (slice(4, -4), slice(8, -8))
    pixels = pair.u[inner].mean() / matcher.grid.pixel * round(min(width, height) / decode.SMALL_SIDE)
    assert pixels == pytest.approx(
        -shift, abs=0.05 * round(min(width, height) / decode.SMALL_SIDE) + 0.01 * shift
    )
    assert abs(pair.v[inner].mean()) < 0.05 * matcher.grid.pixel


def test_the_shift_is_that_of_scikit_image(tmp_path: Path) -> None:
    """Phase correlation with a hundredfold upsampling, on the same two reduced frames: within 0.05 px."""
    matcher = matcher_for(tmp_path, 640, 360)
    canvas = texture(760, 480, 5)
    small = [frame_of(view(canvas, 640, 360, dx=dx, dy=dy)).small for dx, dy in ((0, 0), (5.0, -3.0))]
    pair = matcher.match(small[0], small[1], 0, 1 / 8, REST)
    assert isinstance(pair, Pair)
    window = np.outer(np.hanning(180), np.hanning(320))
    (down, right), *_ = phase_cross_correlation(
        small[0] * window - window * small[0].mean(),
        small[1] * window - window * small[1].mean(),
        upsample_factor=100,
    )
    assert np.median(pair.u) / matcher.grid.pixel == pytest.approx(-right, abs=0.05)
    assert np.median(pair.v) / matcher.grid.pixel == pytest.approx(-down, abs=0.05)


def test_what_rests_beside_what_moves_is_read_as_resting(tmp_path: Path) -> None:
    """Without the comparison with the picture as it stands a quarter of the background goes along."""
    matcher, canvas, subject = matcher_for(tmp_path, 640, 360), texture(640, 360, 1), texture(240, 200, 9)
    small = []
    for x in (70, 85):
        picture = canvas.copy()
        picture[100:300, x : x + 240] = subject
        small.append(frame_of(picture).small)
    pair = matcher.match(small[0], small[1], 0, 1 / 8, REST)
    assert isinstance(pair, Pair)
    speed = np.hypot(pair.u, pair.v) / matcher.grid.pixel
    outside = np.ones(speed.shape, bool)
    outside[90 // 8 : 310 // 8 + 1, 60 // 8 : 335 // 8 + 1] = False
    assert (speed[outside] < 0.45).mean() > 0.9
    assert np.median(pair.u[105 // 8 : 295 // 8, 90 // 8 : 290 // 8]) / matcher.grid.pixel == pytest.approx(
        7.5, abs=0.2
    )


@pytest.mark.parametrize("detail", [0.4, 0.6, 0.8])
@pytest.mark.parametrize("seed", range(5))
def test_a_cut_is_a_gap_and_not_a_motion(tmp_path: Path, seed: int, detail: float) -> None:
    """Pictures with the same broad light and dark come together a little: the threshold is in between."""
    matcher = matcher_for(tmp_path, 640, 360)
    small = [frame_of(texture(640, 360, seed + k, detail=detail)).small for k in (0, 1)]
    gap = matcher.match(small[0], small[1], 0, 1 / 8, REST)
    assert isinstance(gap, Gap)
    assert "cut" in gap.reason


@pytest.mark.parametrize(("grain", "error"), [(5, 0.03), (15, 0.06), (30, 0.1)])
def test_grain_does_not_make_a_gap(tmp_path: Path, grain: int, error: float) -> None:
    """Independent in every frame, standard deviation in grey levels; what is read falls short by a little."""
    matcher, rng = matcher_for(tmp_path, 640, 360), np.random.default_rng(1)
    small = [
        frame_of(np.clip(p + rng.normal(0, grain, p.shape), 0, 255).astype(np.uint8)).small
        for p in pan(640, 360, [0, 6])
    ]
    pair = matcher.match(small[0], small[1], 0, 1 / 8, REST)
    assert isinstance(pair, Pair)
    assert np.median(pair.u) / matcher.grid.pixel == pytest.approx(-3, rel=error)


def test_noise_alone_and_a_flat_picture_are_gaps_with_their_reasons(tmp_path: Path) -> None:
    """Neither is a motion of zero."""
    matcher, rng = matcher_for(tmp_path, 640, 360), np.random.default_rng(1)
    noise = [frame_of(rng.integers(0, 255, (360, 640), np.uint8)).small for _ in range(2)]
    flat = frame_of(np.full((360, 640), 90, np.uint8)).small
    one, other = matcher.match(*noise, 0, 1 / 8, REST), matcher.match(flat, flat, 0, 1 / 8, REST)
    assert isinstance(one, Gap)
    assert "noise" in one.reason
    assert isinstance(other, Gap)
    assert "flat" in other.reason


@pytest.mark.parametrize("change", [0.7, 1.3])
def test_a_change_of_light_is_no_gap(tmp_path: Path, change: float) -> None:
    """A flash is not a cut."""
    matcher = matcher_for(tmp_path, 640, 360)
    before, after = pan(640, 360, [0, 6])
    after = np.clip(after.astype(np.float32) * change, 0, 255).astype(np.uint8)
    pair = matcher.match(frame_of(before).small, frame_of(after).small, 0, 1 / 8, REST)
    assert isinstance(pair, Pair)
    assert np.median(pair.u) / matcher.grid.pixel == pytest.approx(-3, rel=0.1)


@pytest.mark.parametrize("fps", [8, 16, 24, 25, 30, 50, 60])
def test_pairs_are_an_eighth_of_a_second_to_the_nearest_frame(tmp_path: Path, fps: int) -> None:
    """VBench's sampling, whatever the frame rate."""
    matcher, n = matcher_for(tmp_path, 320, 180), fps + 1
    told = followed(matcher, pan(320, 180, [i / fps * 10 for i in range(n)]), [i / fps for i in range(n)])
    lengths = [pair.stop - pair.start for pair in told]
    assert all(abs(length - 1 / 8) <= 0.5 / fps + 1e-9 for length in lengths)
    assert [pair.stop for pair in told][:-1] == [pair.start for pair in told][1:]


def test_uneven_frames_are_followed_by_their_times(tmp_path: Path) -> None:
    """A camera of 60 px a second, seen at uneven moments, is one of 60 px a second."""
    matcher, rng = matcher_for(tmp_path, 320, 180), np.random.default_rng(3)
    times = [0.0, *np.cumsum(rng.uniform(0.01, 0.09, 30))]
    told = followed(matcher, pan(320, 180, [60 * t for t in times]), times)
    speeds = [-float(np.median(p.u)) * 180 / (p.stop - p.start) for p in told if isinstance(p, Pair)]
    assert len(speeds) == len(told) >= 8
    assert speeds == pytest.approx([60] * len(speeds), rel=0.05)


@pytest.mark.parametrize("step", [20, 40])
def test_fast_pictures_are_followed_over_shorter_pairs(tmp_path: Path, step: int) -> None:
    """After 1/8 s too little of the picture would be in both frames; a fifth of the short side ends the pair."""
    matcher = matcher_for(tmp_path, 320, 180)
    told = followed(matcher, pan(320, 180, [step * i for i in range(-4, 5)]), [i / 24 for i in range(9)])
    assert all(isinstance(pair, Pair) for pair in told)
    assert all(pair.stop - pair.start < 0.1 for pair in told)
    speeds = [-float(np.median(p.u)) * 180 / (p.stop - p.start) / 24 for p in told if isinstance(p, Pair)]
    assert speeds == pytest.approx([step] * len(told), rel=0.02)


def test_the_two_sums_of_evenness_are_those_of_planted_steps(tmp_path: Path) -> None:
    """Steps of 2 px and 6 px in turn: each change is 4 px, the mean speed 4 px."""
    matcher, where = matcher_for(tmp_path, 320, 180), [0.0]
    for i in range(18):
        where.append(where[-1] + (6 if i % 2 else 2))
    follower = Follower(matcher)
    for i, picture in enumerate(pan(320, 180, where)):
        follower.see(frame_of(picture, i, i / 24))
    speed, change, weight = follower.evenness
    assert change / speed == pytest.approx(1, abs=0.1)
    assert speed / weight == pytest.approx(4 * 24 / 180, rel=0.05)
    assert weight == 17  # of 18 steps, over the ends of pairs too
