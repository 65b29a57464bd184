"""What makes drawing quick must not show: memory between frames, colours in pairs, copies left out."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seedance_lab.local.render.encode import blank
from seedance_lab.local.render.film import drawing
from seedance_lab.local.render.fit import load
from seedance_lab.local.render.job import Job
from seedance_lab.local.render.planes import empty, from_rgb, pairs, still
from seedance_lab.local.render.warp import Grid, plain_opencv

HARBOUR = Path(__file__).resolve().parents[2] / "seedance_lab" / "pictures" / "harbour.jpg"


def job(prompt: str) -> Job:
    return Job(
        image=HARBOUR,
        end_image=None,
        prompt=prompt,
        width=448,
        height=256,
        ratio=16 / 9,
        seconds=2,
        seed=3,
        camera_fixed=False,
    )


def frames(asked: Job, order: list[int]) -> dict[int, bytes]:
    """The luma and colours of frames drawn in this order."""
    plain_opencv()
    show, seen = drawing(asked), {}
    for i in order:
        _, planes = blank(asked.width, asked.height)
        show(i, planes)
        seen[i] = planes.y.tobytes() + planes.uv.tobytes()
    return seen


@pytest.mark.parametrize("prompt", ["slow push in, the boats drift", "wind, the woman jumps and waves"])
def test_a_frame_does_not_depend_on_what_was_drawn_before_it(prompt):
    """Half the movements are means of neighbouring frames, which are remembered: never the wrong ones."""
    asked = job(prompt)
    order = [47, 46, 0, 9, 8, 10, 9, 33, 1, 2, 45]
    in_order = frames(asked, list(range(48)))
    assert all(in_order[i] == seen for i, seen in frames(asked, order).items())


def test_frames_between_two_others_show_movement_midway_and_not_a_standstill():
    """Were a frame to repeat its neighbour's movement, every second step would be twice as long."""
    plain_opencv()
    asked = job("static camera, the boats drift, strong waves")
    show, lumas = drawing(asked), []
    for i in range(20, 41):
        _, planes = blank(asked.width, asked.height)
        show(i, planes)
        lumas.append(planes.y.astype(np.float32))
    steps = np.array([np.abs(b - a).mean() for a, b in itertools.pairwise(lumas)])
    assert steps[::2].mean() == pytest.approx(steps[1::2].mean(), rel=0.1)


def test_pairs_are_each_pixel_with_its_right_neighbour():
    uv = np.random.default_rng(1).integers(0, 256, (6, 8, 2), np.uint8)
    both = pairs(uv)
    assert np.array_equal(both[..., :2], uv)
    assert np.array_equal(both[:, :-1, 2:], uv[:, 1:])
    assert np.array_equal(both[:, -1, 2:], uv[:, -1])


def test_looking_straight_at_a_picture_shows_luma_and_colours_untouched():
    """Half a pixel wrong in the place of a pair, and all colours would stand beside their things."""
    plain_opencv()
    planes = from_rgb(np.random.default_rng(2).integers(0, 256, (96, 128, 3), np.uint8))
    grid, out = Grid(128, 96), empty(128, 96)
    grid.sample(still(planes), grid.x, grid.y, out)
    assert np.array_equal(out.y, planes.y)
    assert np.array_equal(out.uv, planes.uv)


def test_a_shift_by_whole_pixels_moves_luma_and_colours_alike():
    plain_opencv()
    planes = from_rgb(np.random.default_rng(3).integers(0, 256, (128, 160, 3), np.uint8))
    grid, out = Grid(128, 96), empty(128, 96)
    grid.sample(still(planes), grid.x + 6, grid.y + 4, out)
    assert np.array_equal(out.y, planes.y[4:100, 6:134])
    assert np.array_equal(out.uv, planes.uv[2:50, 3:67])


def test_a_picture_lying_on_its_side_is_turned_upright_without_a_copy(tmp_path):
    """In place, and after its file was closed."""
    lying = Image.new("RGB", (40, 20), (200, 30, 30))
    exif = Image.Exif()
    exif[0x0112] = 6
    lying.save(tmp_path / "lying.jpg", exif=exif)
    upright = load(tmp_path / "lying.jpg")
    assert (upright.mode, upright.size) == ("RGB", (20, 40))
    assert np.asarray(upright).shape == (40, 20, 3)
