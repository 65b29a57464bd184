"""Whether the clip begins and ends with the pictures that it was given: planted differences are found as planted."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.color
from PIL import Image

from seedance_lab import image
from seedance_lab.endpoints import Size
from seedance_lab.image import Picture
from seedance_lab.local.render import Job, render
from seedance_lab.local.render.planes import from_rgb
from seedance_lab.measuring import faithful, similarity
from seedance_lab.measuring.asked import Asked
from seedance_lab.measuring.spec import Bytes, Found
from tests.measuring.films import measured, texture, write, write_tagged

NAMES = [measure.name for measure in faithful.MEASURES]
FIRST = [name for name in NAMES if name.startswith("first_")]
LAST = [name for name in NAMES if name.startswith("last_")]
WIDTH, HEIGHT, RATIO = 544, 304, 16 / 9

Planes = tuple[Bytes, Bytes, Bytes]


def fine(width: int, height: int, seed: int) -> Bytes:
    """Colourful, with much detail: what SSIM looks at."""
    return texture(width, height, seed, detail=0.8)


def picture(rgb: Bytes) -> Picture:
    """As a study sends it."""
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "PNG")
    return image.load(file.getvalue())


def planes(rgb: Bytes) -> Planes:
    made = from_rgb(np.ascontiguousarray(rgb))
    return made.y, made.u.copy(), made.v.copy()


def cropped(rgb: Bytes, width: int = WIDTH, height: int = HEIGHT, ratio: float = RATIO) -> Bytes:
    """The service's rule, by hand and with OpenCV: around the middle to the ratio, then to the size."""
    h, w = rgb.shape[:2]
    if w / h > ratio:
        kept = round(h * ratio)
        rgb = rgb[:, (w - kept) // 2 : (w - kept) // 2 + kept]
    else:
        kept = round(w / ratio)
        rgb = rgb[(h - kept) // 2 : (h - kept) // 2 + kept]
    way = cv2.INTER_AREA if rgb.shape[1] > width else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=way), np.uint8)


def exact(given: Picture, **where: int) -> Planes:
    """The frame that a service would make which does just what is expected of it."""
    return tuple(faithful.fitted(given, WIDTH, HEIGHT, RATIO, **where))  # type: ignore[return-value]


def first(path: Path, frame: Planes, given: Picture, *, ratio: float = RATIO, **tags: int) -> Found:
    """The measures of a clip that begins with this frame."""
    file = write_tagged(path / "clip.mp4", [frame, planes(fine(WIDTH, HEIGHT, 9))], **tags)
    return measured(file, *FIRST, asked=Asked(image=given, ratio=ratio))


@pytest.fixture(scope="module")
def given() -> Picture:
    """4:3, larger than the clip: it is cropped and scaled down."""
    return picture(fine(800, 600, 1))


@pytest.mark.parametrize("size", [(800, 600), (900, 400), (320, 300)])
def test_a_first_frame_that_is_the_picture_has_the_best_values(tmp_path: Path, size: tuple[int, int]) -> None:
    """Whether the crop takes from above and below or from the sides, and whether it is scaled down or up."""
    given = picture(fine(*size, 1))
    values = first(tmp_path, exact(given), given).values
    assert values["first_ssim"] == pytest.approx(1, abs=1e-6)
    assert values["first_ms_ssim"] == pytest.approx(1, abs=1e-6)
    assert values["first_aligned_ssim"] == pytest.approx(1, abs=1e-6)
    assert values["first_psnr"] == similarity.MOST_DB
    assert values["first_gmsd"] == pytest.approx(0, abs=1e-6)
    assert values["first_colour_shift"] == pytest.approx(0, abs=1e-4)
    assert values["first_misplaced"] == 0


@pytest.mark.parametrize("size", [(800, 600), (900, 400), (1248, 704)])
def test_the_crop_is_the_services_and_not_another(tmp_path: Path, size: tuple[int, int]) -> None:
    """Worked by hand with another library's filter, it is nearly the same; without the crop it is not."""
    rgb = fine(*size, 1)
    given = picture(rgb)
    right = first(tmp_path, planes(cropped(rgb)), given).values
    assert right["first_ssim"] > 0.94
    assert right["first_misplaced"] < 0.5
    assert right["first_colour_shift"] < 3
    if abs(size[0] / size[1] - RATIO) > 0.1:
        squeezed = np.asarray(cv2.resize(rgb, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)
        assert first(tmp_path, planes(squeezed), given).values["first_ssim"] < 0.7


def test_the_engines_clip_begins_and_ends_with_its_pictures(tmp_path: Path) -> None:
    """And not with each other's."""
    paths = []
    for seed in (1, 2):
        paths.append(tmp_path / f"{seed}.png")
        Image.fromarray(fine(800, 600, seed)).save(paths[-1])
    made = render(
        Job(
            image=paths[0], end_image=paths[1], prompt="slow pan left", width=864, height=480, ratio=16 / 9,
            seed=3, seconds=1, camera_fixed=False,
        ),
        tmp_path / "clip.mp4",
    )  # fmt: skip
    a, b = (image.load(path) for path in paths)
    assert made is not None
    right = measured(tmp_path / "clip.mp4", *NAMES, asked=Asked(image=a, end_image=b, ratio=16 / 9))
    wrong = measured(tmp_path / "clip.mp4", *NAMES, asked=Asked(image=b, end_image=a, ratio=16 / 9))
    assert not right.missing
    for end in ("first", "last"):
        assert right.values[f"{end}_ssim"] > 0.95
        assert right.values[f"{end}_psnr"] > 35
        assert right.values[f"{end}_misplaced"] < 0.5
        assert right.values[f"{end}_colour_shift"] < 3
        assert wrong.values[f"{end}_ssim"] < 0.6
        assert wrong.values[f"{end}_aligned_ssim"] < 0.6


def moved(rgb: Bytes, *, stretch: tuple[float, float] = (1, 1), shift: tuple[float, float] = (0, 0)) -> Bytes:
    """A larger picture's middle, WIDTH × HEIGHT, stretched about its middle and shifted."""
    h, w = rgb.shape[:2]
    cx, cy, ox, oy = (WIDTH - 1) / 2, (HEIGHT - 1) / 2, (w - WIDTH) / 2, (h - HEIGHT) / 2
    back = np.array(
        [
            [stretch[0], 0, ox + cx - stretch[0] * cx + shift[0]],
            [0, stretch[1], oy + cy - stretch[1] * cy + shift[1]],
        ]
    )
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    mx, my = back[0, 0] * x + back[0, 2], back[1, 1] * y + back[1, 2]
    out = cv2.remap(rgb, mx.astype(np.float32), my.astype(np.float32), cv2.INTER_CUBIC)
    return np.asarray(out, np.uint8)


BIG = fine(WIDTH + 80, HEIGHT + 80, 4)
MOVES = {
    "one pixel wider": {"stretch": (WIDTH / (WIDTH + 1), 1.0)},
    "one pixel wider and higher, cut at the left top": {
        "stretch": (WIDTH / (WIDTH + 1), HEIGHT / (HEIGHT + 1)),
        "shift": (0.5, 0.5),
    },
    "one pixel to the right": {"shift": (-1.0, 0.0)},
    "a few pixels": {"shift": (3.5, -2.25)},
    "as far as is looked for": {"shift": (13.0, -12.0)},
    "two per cent larger": {"stretch": (0.98, 0.98)},
    "two per cent smaller and shifted": {"stretch": (1.02, 1.02), "shift": (-2.0, 1.0)},
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES.keys())
@pytest.mark.parametrize("sigma", [0.0, 4.0])
def test_a_small_resize_or_shift_is_no_damage(
    tmp_path: Path, move: dict[str, tuple[float, float]], sigma: float
) -> None:
    """It is read to 0.3 px, and at least four fifths of what it cost in SSIM come back."""
    noise = np.random.default_rng(0).normal(0, sigma, (HEIGHT, WIDTH, 3))
    still, off = (np.clip(moved(BIG, **m) + noise, 0, 255).astype(np.uint8) for m in ({}, move))
    given = picture(moved(BIG))
    at_rest = first(tmp_path, planes(still), given, ratio=WIDTH / HEIGHT).values
    found = first(tmp_path, planes(off), given, ratio=WIDTH / HEIGHT).values
    stretch, shift = move.get("stretch", (1, 1)), move.get("shift", (0, 0))
    across = abs(stretch[0] - 1) * WIDTH / 2 + abs(shift[0])
    down = abs(stretch[1] - 1) * HEIGHT / 2 + abs(shift[1])
    assert found["first_misplaced"] == pytest.approx(np.hypot(across, down), abs=0.3)
    lost = at_rest["first_ssim"] - found["first_ssim"]
    assert lost > 0.005
    assert at_rest["first_ssim"] - found["first_aligned_ssim"] < max(0.2 * lost, 0.001)
    assert at_rest["first_misplaced"] == 0
    assert at_rest["first_aligned_ssim"] == at_rest["first_ssim"]


@pytest.mark.parametrize("strength", [1.0, 2.0, 4.0])
def test_the_alignment_does_not_forgive_a_blur(tmp_path: Path, strength: float) -> None:
    given = picture(moved(BIG))
    soft = np.asarray(cv2.GaussianBlur(moved(BIG, shift=(2, 1)), (0, 0), strength), np.uint8)
    in_place = np.asarray(cv2.GaussianBlur(moved(BIG), (0, 0), strength), np.uint8)
    found = first(tmp_path, planes(soft), given, ratio=WIDTH / HEIGHT).values["first_aligned_ssim"]
    expected = first(tmp_path, planes(in_place), given, ratio=WIDTH / HEIGHT).values["first_ssim"]
    assert found == pytest.approx(expected, abs=0.02)
    assert expected < 0.95


def test_the_worse_the_first_frame_the_worse_every_number(tmp_path: Path, given: Picture) -> None:
    """Noise of growing strength on all three planes."""
    rng = np.random.default_rng(0)
    noise = [rng.normal(0, 1, plane.shape) for plane in exact(given)]
    rows = []
    for strength in (2, 6, 18):
        frame = tuple(
            np.clip(plane + strength * n, 16, 235).astype(np.uint8)
            for plane, n in zip(exact(given), noise, strict=True)
        )
        rows.append(first(tmp_path, frame, given).values)  # type: ignore[arg-type]
    for name in set(FIRST) - {"first_misplaced"}:
        better = {m.name: m.better for m in faithful.MEASURES}[name]
        found = [row[name] for row in rows]
        assert found == sorted(found, reverse=better == "more")
        assert len(set(found)) == 3


@pytest.mark.parametrize("bt601", [False, True])
def test_the_colour_shift_is_scikit_images_difference(bt601: bool) -> None:
    """On flat colours, whose Y'CbCr is worked out here by the standard's own coefficients."""
    red, blue = (0.299, 0.114) if bt601 else (0.2126, 0.0722)
    colours = np.array([[200, 120, 60], [60, 160, 90], [90, 90, 200]], float) / 255
    made = []
    for r, g, b in colours:
        y = red * r + (1 - red - blue) * g + blue * b
        values = 16 + 219 * y, 128 + 112 * (b - y) / (1 - blue), 128 + 112 * (r - y) / (1 - red)
        made.append(
            faithful.Planes(
                *(
                    np.full(s, round(v), np.uint8)
                    for s, v in zip([(8, 8), (4, 4), (4, 4)], values, strict=True)
                )
            )
        )
    lab = skimage.color.rgb2lab(colours[None])[0]
    for i, j in [(0, 1), (1, 2), (0, 2)]:
        expected = float(skimage.color.deltaE_cie76(lab[i], lab[j]))
        assert faithful.colour_shift(made[i], made[j], 1, bt601=bt601) == pytest.approx(expected, abs=1.0)


def test_a_tint_is_told_by_the_colours_alone(tmp_path: Path, given: Picture) -> None:
    """The luma is the same, so SSIM and PSNR see nothing."""
    y, u, v = exact(given)
    shifts = []
    for by in (0, 4, 12):
        found = first(tmp_path, (y, u, np.clip(v.astype(int) + by, 16, 240).astype(np.uint8)), given).values
        assert found["first_psnr"] == similarity.MOST_DB
        shifts.append(found["first_colour_shift"])
    assert shifts == sorted(shifts)
    assert shifts[0] < 0.01
    assert shifts[1] > 1


def test_a_file_that_says_bt601_is_read_as_bt601(tmp_path: Path, given: Picture) -> None:
    """The same samples with the other tag are other colours."""
    frame = exact(given, bt601=True)
    right = first(tmp_path, frame, given, matrix=6).values
    assert right["first_psnr"] == similarity.MOST_DB
    assert right["first_colour_shift"] < 0.01
    wrong = first(tmp_path, frame, given, matrix=1).values
    assert wrong["first_colour_shift"] > 1


def test_the_last_frame_is_held_against_the_end_image(tmp_path: Path, given: Picture) -> None:
    """The one before it is not; and the first frame not against the end image."""
    end = picture(fine(800, 600, 2))
    frames = [exact(given), planes(fine(WIDTH, HEIGHT, 9)), exact(end)]
    asked = Asked(image=given, end_image=end, ratio=RATIO)
    for n in (0, 7, 30):  # with and without B-frames at the end
        file = write_tagged(tmp_path / f"{n}.mp4", [frames[0], *[frames[1]] * n, frames[2]])
        values = measured(file, *NAMES, asked=asked).values
        assert values["first_psnr"] == values["last_psnr"] == similarity.MOST_DB
        cut = write_tagged(tmp_path / f"{n} cut.mp4", [frames[0], *[frames[1]] * (n + 1)])
        assert measured(cut, *LAST, asked=asked).values["last_ssim"] < 0.6


def test_a_clip_of_one_frame_has_it_first_and_last(tmp_path: Path, given: Picture) -> None:
    file = write_tagged(tmp_path / "clip.mp4", [exact(given)])
    values = measured(file, *NAMES, asked=Asked(image=given, end_image=given, ratio=RATIO)).values
    assert values["first_ssim"] == values["last_ssim"] == pytest.approx(1, abs=1e-6)


def test_what_was_not_given_is_named_as_the_reason(tmp_path: Path, given: Picture) -> None:
    file = write_tagged(tmp_path / "clip.mp4", [exact(given)])
    without_end = measured(file, *NAMES, asked=Asked(image=given, ratio=RATIO))
    assert {without_end.missing[name] for name in LAST} == {"no end image was given"}
    assert set(without_end.values) == set(FIRST)
    text_to_video = measured(file, *NAMES, asked=Asked(size=Size(WIDTH, HEIGHT), prompt="a harbour"))
    assert {text_to_video.missing[name] for name in FIRST} == {"no input picture was given"}
    nothing = measured(file, *NAMES)
    assert set(nothing.missing) == set(NAMES)
    assert set(nothing.missing.values()) == {"nothing is known of what was asked for"}


def test_a_picture_that_is_gone_or_has_changed_is_named_as_the_reason(tmp_path: Path, given: Picture) -> None:
    """The other frame's measures are there."""
    for seed, name in enumerate(("gone", "changed")):
        path = tmp_path / f"{name}.png"
        Image.fromarray(fine(400, 320, 5 + seed)).save(path)
        lost = image.load(path)
        path.unlink()
        if name == "changed":
            Image.fromarray(fine(400, 320, 8)).save(path)
        file = write_tagged(tmp_path / "clip.mp4", [exact(given)])
        found = measured(file, *NAMES, asked=Asked(image=lost, end_image=given, ratio=RATIO))
        assert all("input picture cannot be read" in found.missing[n] for n in FIRST)
        assert str(path) in found.missing["first_ssim"]
        assert set(found.values) == set(LAST)


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_an_hdr_clip_is_not_held_against_an_ordinary_picture(
    tmp_path: Path, given: Picture, transfer: int, name: str
) -> None:
    """The same light has other samples there."""
    found = first(tmp_path, exact(given), given, transfer=transfer)
    assert not found.values
    assert all(name in found.missing[n] for n in FIRST)


def test_what_a_small_clip_is_too_small_for_is_said(tmp_path: Path) -> None:
    """MS-SSIM needs five scales; the others are there."""
    given = picture(fine(400, 320, 1))
    frame = tuple(faithful.fitted(given, 160, 120, 4 / 3))
    found = measured(
        write_tagged(tmp_path / "clip.mp4", [frame]),
        *FIRST,
        asked=Asked(image=given, ratio=4 / 3),  # type: ignore[list-item]
    )
    assert "176" in found.missing["first_ms_ssim"]
    assert set(found.values) == set(FIRST) - {"first_ms_ssim"}
    tiny = write_tagged(tmp_path / "tiny.mp4", [planes(fine(24, 12, 1))])
    found = measured(tiny, *FIRST, asked=Asked(image=given, ratio=2.0))
    assert set(found.missing) == set(FIRST)


def test_a_clip_of_odd_size_is_compared_without_its_last_line(tmp_path: Path) -> None:
    """4:4:4, since 4:2:0 files have even sizes."""
    rgb = fine(433, 301, 1)
    file = write(tmp_path / "odd.mp4", [rgb[..., ::-1]] * 3, pix_fmt="yuv444p", crf=1)
    given = picture(rgb)
    found = measured(file, *FIRST, asked=Asked(image=given, ratio=433 / 301))
    assert found.values["first_aligned_ssim"] > 0.9
    assert not found.missing


def test_only_what_is_wanted_is_taken(
    tmp_path: Path, given: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dear ones cost nothing where nobody asked for them."""
    for name in ("ssim", "ms_ssim", "gmsd"):
        monkeypatch.setattr(similarity, name, lambda *_: pytest.fail("not wanted"))
    file = write_tagged(tmp_path / "clip.mp4", [exact(given)])
    asked = Asked(image=given, end_image=given, ratio=RATIO)
    assert set(measured(file, "first_psnr", "last_colour_shift", asked=asked).values) == {
        "first_psnr",
        "last_colour_shift",
    }
