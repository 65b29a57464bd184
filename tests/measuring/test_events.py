"""Freezes, held frames, black frames and cuts: where they were planted, and as FFmpeg's filters have them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from seedance_lab.measuring import events
from seedance_lab.measuring.spec import Bytes, Found
from tests.measuring.films import grey, measured, texture, view, write, write_planes
from tests.measuring.reference import by_filter, column

NAMES = [measure.name for measure in events.MEASURES]


def pan(n: int, *, width: int = 320, height: int = 180, seed: int = 0, step: float = 2.0) -> list[Bytes]:
    """Frames of a camera that goes right by `step` pixels a frame."""
    canvas = texture(width * 2, height * 2, seed)
    return [view(canvas, width, height, dx=step * i - width / 4) for i in range(n)]


def scene(n: int, seed: int, *, width: int = 320, height: int = 180, step: float = 2.0) -> list[Bytes]:
    """The same without colour, which leaves it the contrast of a photograph: another seed is another scene."""
    frames = pan(n, width=width, height=height, seed=seed, step=step)
    return [np.repeat(frame[..., 1:2], 3, axis=2) for frame in frames]


def with_a_freeze(frames: Sequence[Bytes], start: int, n: int) -> list[Bytes]:
    """The frame at `start` stands for `n` frames in all."""
    return [*frames[:start], *[frames[start]] * n, *frames[start + 1 :]]


@pytest.mark.parametrize(
    ("width", "height", "fps", "crf", "start", "n", "error"),
    [
        (320, 180, 24, 0, 10, 18, 0),
        (320, 180, 24, 20, 10, 18, 0),
        (640, 360, 30, 10, 0, 20, 0),
        (180, 320, 12, 28, 5, 9, 1),
    ],
)
def test_a_freeze_is_as_long_as_it_was_made(
    tmp_path: Path, width: int, height: int, fps: int, crf: int, start: int, n: int, error: int
) -> None:
    """To the frame up to crf 20; at 28 x264 is still mending the picture for a frame after it has stopped."""
    frames = with_a_freeze(pan(24, width=width, height=height), start, n)
    found = measured(write(tmp_path / "clip.mp4", frames, fps=fps, crf=crf), *NAMES)
    assert found.values["longest_freeze_s"] == pytest.approx(n / fps, abs=error / fps + 1e-3)
    assert found.values["frozen_share"] == pytest.approx(n / len(frames), abs=error / len(frames) + 1e-3)


def test_a_freeze_at_the_end_lasts_to_the_end_of_the_last_frame(tmp_path: Path) -> None:
    """The last frame is shown for as long as the others."""
    frames = with_a_freeze(pan(12), 11, 24)
    found = measured(write(tmp_path / "clip.mp4", frames), *NAMES)
    assert found.values["longest_freeze_s"] == pytest.approx(1.0, abs=1e-3)


def test_two_freezes_add_up_and_the_longer_one_is_told(tmp_path: Path) -> None:
    """13 and 24 frames of 71."""
    frames = with_a_freeze(with_a_freeze(pan(36), 30, 24), 5, 13)
    found = measured(write(tmp_path / "clip.mp4", frames), *NAMES)
    assert found.values["longest_freeze_s"] == pytest.approx(1.0, abs=1e-3)
    assert found.values["frozen_share"] == pytest.approx((13 + 24) / len(frames), abs=1e-3)


def test_a_picture_that_stands_for_less_than_half_a_second_is_held_and_not_frozen(tmp_path: Path) -> None:
    """Ten frames at 24 a second."""
    frames = with_a_freeze(pan(24), 8, 10)
    found = measured(write(tmp_path / "clip.mp4", frames), *NAMES)
    assert found.values["frozen_share"] == found.values["longest_freeze_s"] == 0
    assert found.values["held_share"] == pytest.approx(9 / 32)


def test_a_freeze_is_measured_by_the_time_stamps(tmp_path: Path) -> None:
    """Frames 8 to 12 stand, and come 200 ms apart instead of 40."""
    frames = with_a_freeze(pan(20), 8, 5)
    planted = [40 * i if i <= 8 else 320 + 200 * min(i - 8, 5) + 40 * max(0, i - 13) for i in range(24)]
    path = write(tmp_path / "clip.mp4", frames, times=lambda i: planted[i])
    assert measured(path, *NAMES).values["longest_freeze_s"] == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_freezes_are_those_of_freezedetect(tmp_path: Path, seed: int) -> None:
    """A drift that is slow enough to be on either side of its threshold, and noise of the coder."""
    rng = np.random.default_rng(seed)
    canvas = texture(640, 360, seed, detail=0.4)
    place = np.cumsum(np.where(rng.random(60) < 0.8, 0.01, 0.8))
    frames = [view(canvas, 320, 180, dx=x) for x in place]
    path = write(tmp_path / "clip.mp4", frames, crf=20)
    notes = by_filter(path, "freezedetect", "d=0.5")
    begun = [float(row["freeze_start"]) for row in notes if "freeze_start" in row]
    ended = [float(row["freeze_end"]) for row in notes if "freeze_end" in row]
    ended += [60 / 24] * (len(begun) - len(ended))
    found = measured(path, *NAMES)
    spans = [b - a for a, b in zip(begun, ended, strict=True)]
    assert found.values["longest_freeze_s"] == pytest.approx(max(spans, default=0.0), abs=1e-3)
    assert found.values["frozen_share"] == pytest.approx(sum(spans) / (60 / 24), abs=1e-3)


def test_the_freezes_compared_are_not_all_nothing(tmp_path: Path) -> None:
    """At least one of the films of the test above has a freeze that starts by slow drift and not by a copy."""
    canvas = texture(640, 360, detail=0.4)
    path = write(tmp_path / "clip.mp4", [view(canvas, 320, 180, dx=0.01 * i) for i in range(36)], crf=20)
    assert measured(path, *NAMES).values["longest_freeze_s"] > 0.5


@pytest.mark.parametrize("crf", [0, 10, 20])
@pytest.mark.parametrize("times", [2, 3])
def test_frames_that_come_several_times_are_held(tmp_path: Path, crf: int, times: int) -> None:
    """Made at 12 or 8 pictures a second and played at 24."""
    frames = [frame for frame in pan(36 // times, step=2.0 * times) for _ in range(times)]
    found = measured(write(tmp_path / "clip.mp4", frames, crf=crf), *NAMES)
    assert found.values["held_share"] == pytest.approx((36 - 36 // times) / 35)
    assert found.values["frozen_share"] == 0


@pytest.mark.parametrize("noise", [0.0, 3.0])
def test_a_clip_that_moves_all_the_time_holds_nothing(tmp_path: Path, noise: float) -> None:
    """Two pixels a frame are enough, over a smooth picture and at the engine's compression."""
    rng = np.random.default_rng(0)
    frames = [np.clip(f + rng.normal(0, noise, f.shape), 0, 255).astype(np.uint8) for f in pan(24)]
    found = measured(write(tmp_path / "clip.mp4", frames, crf=20), *NAMES)
    assert found.values["held_share"] == found.values["frozen_share"] == 0


def blacked(n_before: int, n_black: int, n_after: int, level: int = 16, spots: float = 0.0) -> list[Bytes]:
    """Lumas; a share of `spots` of the pixels of the black ones is white."""
    canvas = [np.ascontiguousarray(frame[..., 1]) for frame in pan(n_before + n_after)]
    dark = np.full_like(canvas[0], level)
    dark.reshape(-1)[: round(spots * dark.size)] = 235
    return [*canvas[:n_before], *[dark] * n_black, *canvas[n_before:]]


@pytest.mark.parametrize(
    ("n_black", "level", "spots", "counted"),
    [
        (6, 16, 0.0, 6),
        (1, 16, 0.0, 1),
        (6, 37, 0.0, 6),
        (6, 38, 0.0, 0),
        (6, 16, 0.015, 6),
        (6, 16, 0.025, 0),
    ],
)
def test_black_frames_are_counted_as_blackdetect_counts_them(
    tmp_path: Path, n_black: int, level: int, spots: float, counted: int
) -> None:
    """Both sides of both thresholds: how dark a pixel is, and how many of them."""
    lumas = blacked(10, n_black, 10, level, spots)
    path = write_planes(tmp_path / "clip.mp4", map(grey, lumas))
    assert measured(path, *NAMES).values["black_share"] == pytest.approx(counted / len(lumas))
    notes = by_filter(path, "blackdetect", "d=0")
    begun = [float(row["black_start"]) for row in notes if "black_start" in row]
    ended = [float(row["black_end"]) for row in notes if "black_end" in row]
    assert sum(b - a for a, b in zip(begun, ended, strict=True)) * 24 == pytest.approx(counted, abs=0.01)


@pytest.mark.parametrize(
    ("width", "height", "fps", "crf"), [(320, 180, 24, 10), (640, 360, 30, 28), (176, 320, 12, 20)]
)
def test_cuts_are_found_at_their_frames(tmp_path: Path, width: int, height: int, fps: int, crf: int) -> None:
    """Three scenes with motion in each: two cuts."""
    scenes = [scene(n, seed, width=width, height=height) for seed, n in enumerate((9, 14, 7))]
    path = write(tmp_path / "clip.mp4", [f for scene in scenes for f in scene], fps=fps, crf=crf)
    found = measured(path, *NAMES)
    assert found.values["n_cuts"] == 2
    score = found.series["cut_score"]
    at = score[score[:, 1] >= events.CUT_SCORE, 0]
    assert at == pytest.approx([9 / fps, 23 / fps], abs=1e-3)


def test_scores_of_cuts_are_those_of_scdet(tmp_path: Path) -> None:
    """To its last printed digit."""
    frames = [*scene(8, 1), *scene(8, 2, step=4), *with_a_freeze(scene(6, 3), 2, 4)]
    path = write(tmp_path / "clip.mp4", frames, crf=20)
    found = measured(path, *NAMES)
    theirs = column(path, "scdet", "score", "threshold=10")
    assert found.series["cut_score"][:, 1] == pytest.approx(theirs[1:], abs=0.00051)
    assert found.values["n_cuts"] == np.count_nonzero(theirs >= 10) == 2


@pytest.mark.parametrize("step", [2.0, 10.0, 25.0])
def test_a_fast_pan_has_no_cuts_after_it_has_begun(tmp_path: Path, step: float) -> None:
    """The score falls where the change before was as large; a pan that leaps off from the first frame is the limit."""
    canvas = texture(1400, 360)
    ease = np.concatenate([np.linspace(0, step, 8), np.full(16, step)])
    frames = [view(canvas, 320, 180, dx=x - 350) for x in np.cumsum(ease)]
    assert measured(write(tmp_path / "clip.mp4", frames), *NAMES).values["n_cuts"] == 0


def test_a_larger_change_has_a_larger_score_and_from_ten_on_is_a_cut(tmp_path: Path) -> None:
    """The same scene brighter by so many levels: 25 of 256 are under a tenth, 26 over it."""
    base = (texture(320, 180, detail=0.4)[..., 1] // 3).astype(np.uint8)
    steps = (5, 25, 26, 80)
    found = [
        measured(
            write_planes(tmp_path / f"{step}.mp4", [grey(base)] * 6 + [grey(base + np.uint8(step))] * 6),
            *NAMES,
        ).values
        for step in steps
    ]
    assert [one["cut_score"] for one in found] == pytest.approx(
        [step * 100 / 256 for step in steps], rel=1e-6
    )
    assert [one["n_cuts"] for one in found] == [0, 0, 1, 1]


def reasons(found: Found) -> set[str]:
    return set(found.missing.values())


def test_a_clip_of_one_frame_has_reasons(tmp_path: Path) -> None:
    """Only whether that frame is black can be said."""
    found = measured(write(tmp_path / "clip.mp4", pan(1)), *NAMES)
    assert found.values == {"black_share": 0.0}
    assert set(found.missing) == set(NAMES) - {"black_share"}
    assert reasons(found) == {"the clip has one frame"}


@pytest.mark.parametrize(("level", "black"), [(16, 1.0), (128, 0.0)])
def test_a_flat_clip_is_one_long_freeze(tmp_path: Path, level: int, black: float) -> None:
    """Flat grey, and all black."""
    flat = np.full((180, 320), level, np.uint8)
    found = measured(write_planes(tmp_path / "clip.mp4", [grey(flat)] * 24), *NAMES)
    assert found.values == pytest.approx(
        {
            "n_cuts": 0,
            "cut_score": 0,
            "frozen_share": 1,
            "longest_freeze_s": 1,
            "held_share": 1,
            "black_share": black,
        },
        abs=1e-3,
    )
