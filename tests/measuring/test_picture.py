"""Sharpness, blocks, noise, contrast and colour: planted, and as FFmpeg's filters and scikit-image have them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.stats import spearmanr
from skimage import data
from skimage.measure import blur_effect

from seedance_lab.measuring import detail, picture
from seedance_lab.measuring.spec import Bytes, Floats
from tests.measuring.films import grey, lumas, measured, texture, view, write, write_planes
from tests.measuring.reference import column

NAMES = [measure.name for measure in picture.MEASURES]
SIZES = [(320, 180), (180, 320), (640, 360)]


def photographs() -> list[Bytes]:
    """Lumas of three photographs and a made picture, in limited range."""
    pictures = [data.chelsea()[:300, :450], data.coffee()[:400, :600], data.astronaut(), texture(640, 360)]
    grey_ones = [cv2.cvtColor(one, cv2.COLOR_RGB2GRAY) for one in pictures]
    return [np.rint(16 + one * (219 / 255)).astype(np.uint8) for one in grey_ones]


def values_of(path: Path, planes: Sequence[tuple[Bytes, Bytes, Bytes]], crf: int = 0) -> dict[str, float]:
    """All measures of a film of these frames."""
    return dict(measured(write_planes(path, planes, crf=crf), *NAMES).values)


def noisy(luma: Bytes, sigma: float, seed: int = 0) -> Bytes:
    """With Gaussian noise."""
    noise = np.random.default_rng(seed).normal(0, sigma, luma.shape)
    return np.asarray(np.clip(np.rint(luma + noise), 0, 255), np.uint8)


def blurred(luma: Bytes, sigma: float) -> Bytes:
    """By a Gaussian."""
    return np.asarray(cv2.GaussianBlur(luma, (0, 0), sigma) if sigma else luma, np.uint8)


@pytest.mark.parametrize("index", range(4))
def test_blur_is_scikit_images(index: int) -> None:
    """To ten digits, whole pictures and odd sizes."""
    luma = photographs()[index]
    for part in (luma, luma[:-3, 5:]):
        assert detail.blur(part) == pytest.approx(blur_effect(part), abs=1e-10)


def test_blur_looks_across_the_bands_that_it_works_in() -> None:
    """A picture of many bands equals the whole one; a mutant without aprons does not."""
    luma = np.vstack([photographs()[2]] * 2)
    assert detail.blur(luma) == pytest.approx(blur_effect(luma), abs=1e-10)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_blurred_clip_is_less_sharp_by_every_measure(tmp_path: Path, width: int, height: int) -> None:
    """Each more than the one before, from no blur to one of 4 pixels."""
    luma = texture(width, height, detail=0.9)[..., 1]
    found = [values_of(tmp_path / f"{s}.mp4", [grey(blurred(luma, s))] * 2) for s in (0, 0.7, 1.5, 4)]
    for name, better in (("blur", -1), ("tenengrad", 1), ("laplacian", 1), ("spatial_information", 1)):
        assert all(better * (a[name] - b[name]) > 0 for a, b in pairwise(found)), name


def test_blur_ranks_as_blurdetect_does(tmp_path: Path) -> None:
    """FFmpeg's filter measures the width of edges: another unit, the same order of one scene's blurs."""
    luma = photographs()[2]
    ours, theirs = [], []
    for sigma in (0, 0.6, 1, 1.6, 2.4, 3.5):
        path = write_planes(tmp_path / f"{sigma}.mp4", [grey(blurred(luma, sigma))])
        ours.append(measured(path, *NAMES).values["blur"])
        theirs.append(column(path, "blurdetect", "blur")[0])
    assert spearmanr(ours, theirs).statistic == pytest.approx(1.0)


@pytest.mark.parametrize("index", range(4))
def test_spatial_information_is_that_of_siti(tmp_path: Path, index: int) -> None:
    """To its last printed digit."""
    luma = photographs()[index]
    path = write_planes(tmp_path / "clip.mp4", [grey(luma)] * 2)
    theirs = column(path, "siti", "si")[0]
    assert measured(path, *NAMES).values["spatial_information"] == pytest.approx(theirs, abs=0.0051)


def gradients(luma: Bytes) -> tuple[Floats, Floats]:
    """Sobel's, by slices, in whole numbers."""
    p = luma.astype(np.float64)
    columns, rows = p[:-2] + 2 * p[1:-1] + p[2:], p[:, :-2] + 2 * p[:, 1:-1] + p[:, 2:]
    return columns[:, 2:] - columns[:, :-2], rows[2:] - rows[:-2]


def test_tenengrad_and_laplacian_are_those_worked_by_hand() -> None:
    """By slices of the array, over several bands."""
    luma = photographs()[2]
    across, down = gradients(luma)
    assert detail.tenengrad(luma) == pytest.approx((across**2 + down**2).mean(), rel=1e-12)
    p = luma.astype(np.float64)
    response = p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:] - 4 * p[1:-1, 1:-1]
    assert detail.laplacian(luma) == pytest.approx(response.var(), rel=1e-12)


@pytest.mark.parametrize("index", range(4))
def test_noise_of_a_known_sigma_is_recovered(index: int) -> None:
    """On photographs from 2 levels on within 0.3 levels + 5 %; never less with more noise."""
    luma = photographs()[index]
    found = [detail.noise(noisy(luma, sigma)) for sigma in (0, 1, 2, 4, 8, 16)]
    for sigma, value in zip((2, 4, 8, 16), found[2:], strict=True):
        assert value == pytest.approx(sigma, abs=0.3 + 0.05 * sigma)
    assert all(a is not None and b is not None and a < b for a, b in pairwise(found))
    assert found[0] is not None
    assert found[0] < 1.2, "what fine texture reads as"


@pytest.mark.parametrize("sigma", [0.5, 1, 2, 5])
def test_noise_of_a_flat_picture_is_its_standard_deviation(sigma: float) -> None:
    """Within a tenth: nothing else is in the picture."""
    luma = noisy(np.full((360, 640), 128, np.uint8), sigma)
    assert detail.noise(luma) == pytest.approx(luma.std(), rel=0.1)


def test_noise_is_not_read_off_bars_that_are_black(tmp_path: Path) -> None:
    """A letterbox has no noise, the film in it has: three levels, within a tenth."""
    luma = noisy(texture(320, 180, detail=0.4)[..., 1], 3)
    luma[:40] = luma[-40:] = 16
    found = values_of(tmp_path / "clip.mp4", [grey(luma)] * 2)
    assert found["noise"] == pytest.approx(3, rel=0.1)


def test_noise_does_not_follow_contrast_or_edges() -> None:
    """The same noise on pictures of twice the contrast."""
    calm, strong = texture(640, 360, detail=0.4)[..., 1], texture(640, 360, detail=0.4)[..., 1]
    calm = (64 + calm // 2).astype(np.uint8)
    a, b = detail.noise(noisy(calm, 3)), detail.noise(noisy(strong, 3))
    assert a == pytest.approx(b, rel=0.1)


def test_contrast_is_as_it_was_scaled(tmp_path: Path) -> None:
    """Ratios within 1 %, and the mean stays."""
    luma = texture(320, 180)[..., 1].astype(np.float64) - 128
    found = [
        values_of(tmp_path / f"{k}.mp4", [grey(np.rint(128 + k * luma).astype(np.uint8))] * 2)
        for k in (0.25, 0.5, 1.0)
    ]
    for k, values in zip((0.25, 0.5, 1.0), found, strict=True):
        assert values["contrast"] == pytest.approx(k * luma.std(), rel=0.01)
        assert values["mean_luma"] == pytest.approx(128 + k * luma.mean(), abs=0.1)


def in_planes(rgb: Floats) -> tuple[Bytes, Bytes, Bytes]:
    """R'G'B' of 0 to 255 as Y'CbCr, BT.709, limited range, by the standard's formulas; colour at half the size."""
    r, g, b = (rgb[..., i] / 255 for i in range(3))
    y = 0.2126 * r + 0.7152 * g + 0.0722 * b
    u, v = (b - y) / 1.8556, (r - y) / 1.5748
    half = [np.asarray(cv2.resize(c, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)) for c in (u, v)]
    planes = (16 + 219 * y, *(128 + 224 * c for c in half))
    whole = [np.rint(plane).astype(np.uint8) for plane in planes]
    return whole[0], whole[1], whole[2]


def hasler(rgb: Floats) -> float:
    """Hasler and Suesstrunk's formula, by hand."""
    rg, yb = rgb[..., 0] - rgb[..., 1], (rgb[..., 0] + rgb[..., 1]) / 2 - rgb[..., 2]
    return float(np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean()))


@pytest.mark.parametrize("saturation", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("tint", [(0, 0, 0), (20, 0, -15)])
def test_colourfulness_is_that_of_the_rgb_picture(
    tmp_path: Path, saturation: float, tint: tuple[int, int, int]
) -> None:
    """Within 2 % and 0.3 levels of the formula on the picture before it became a film, and in step with saturation."""
    rgb = texture(320, 180, detail=0.4).astype(np.float64) * 0.6 + 51
    level = rgb.mean(axis=2, keepdims=True)
    rgb = level + saturation * (rgb - level) + np.array(tint)
    smooth = cv2.resize(cv2.resize(rgb, (160, 90), interpolation=cv2.INTER_AREA), (320, 180))
    found = values_of(tmp_path / "clip.mp4", [in_planes(smooth)] * 2)
    assert found["colourfulness"] == pytest.approx(hasler(smooth), rel=0.02, abs=0.3)


@pytest.mark.parametrize("axis", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, -1, 0), (-1, 0, 1)])
def test_colourfulness_of_one_hue_is_that_of_the_rgb_picture(axis: tuple[int, int, int]) -> None:
    """Cb and Cr go together there, up or down: within 2 % and 0.3 levels."""
    wave = cv2.resize(texture(160, 90, detail=0.4)[..., 1].astype(np.float64), (320, 180)) - 128
    rgb = 128 + 0.5 * wave[..., None] * np.array(axis)
    _, u, v = in_planes(rgb)
    assert picture.colourfulness(u, v) == pytest.approx(hasler(rgb), rel=0.02, abs=0.3)


def test_clipped_pixels_are_counted(tmp_path: Path) -> None:
    """A tenth of the rows at black, a twentieth at white; one level inside counts, two do not."""
    luma = np.clip(texture(320, 180)[..., 1], 18, 233)
    luma[:9], luma[9:18], luma[18:22], luma[22:27], luma[27:36], luma[36:45] = 16, 17, 235, 234, 18, 233
    found = values_of(tmp_path / "clip.mp4", [grey(luma)] * 2)
    assert found["clipped_low"] == pytest.approx(0.1)
    assert found["clipped_high"] == pytest.approx(0.05)


def test_brightness_is_that_of_signalstats(tmp_path: Path) -> None:
    """To its last printed digit, the mean over the frames that are looked at."""
    path = write(tmp_path / "clip.mp4", [texture(320, 180, seed) for seed in range(5)])
    theirs = column(path, "signalstats", "YAVG")
    assert measured(path, *NAMES).values["mean_luma"] == pytest.approx(theirs.mean(), rel=1e-5)


def test_five_frames_are_looked_at_from_the_first_to_the_last(tmp_path: Path) -> None:
    """Frames 0, 10, … 40 of 41. The first and the last are brighter, and count; the thirteenth is, and does not."""
    flat = [np.full((64, 64), 30 + i, np.uint8) for i in range(41)]
    flat[0] += np.uint8(60)
    flat[40] += np.uint8(120)
    flat[13] += np.uint8(200)
    found = values_of(tmp_path / "clip.mp4", list(map(grey, flat)))
    planted = [float(flat[i].mean()) for i in range(0, 41, 10)]
    assert found["mean_luma"] == pytest.approx(sum(planted) / 5)


@pytest.mark.parametrize("crf", [10, 28, 44])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_blockiness_is_that_of_blockdetects_first_frame(
    tmp_path: Path, crf: int, width: int, height: int
) -> None:
    """To five digits; from the second frame on FFmpeg's filter adds up what it saw before."""
    path = write(tmp_path / "clip.mp4", [texture(width, height)], crf=crf)
    theirs = column(path, "blockdetect", "block")[0]
    assert measured(path, *NAMES).values["blockiness"] == pytest.approx(theirs, rel=1e-5)


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_blockiness_leaves_the_border_out_as_blockdetect_does(tmp_path: Path, at: int) -> None:
    """A grid of 4 px whose first line lies at the third column, and a hard edge beside it or further out."""
    luma = texture(320, 180, detail=0.4)[..., 1]
    luma = (luma + 12 * (np.arange(320) // 4 % 2)).astype(np.uint8)
    luma[:, : at + 1] = 235 - luma[:, : at + 1]
    path = write_planes(tmp_path / "clip.mp4", [grey(luma)])
    theirs = column(path, "blockdetect", "block")[0]
    assert measured(path, *NAMES).values["blockiness"] == pytest.approx(theirs, rel=1e-5)


def test_blockiness_has_no_memory(tmp_path: Path) -> None:
    """The same picture twice has the value of once: FFmpeg's has not."""
    luma = texture(320, 180)[..., 1]
    once = values_of(tmp_path / "once.mp4", [grey(luma)])["blockiness"]
    twice = values_of(tmp_path / "twice.mp4", [grey(luma)] * 2)["blockiness"]
    assert once == twice


@pytest.mark.parametrize("period", [4, 8, 16, 20])
@pytest.mark.parametrize("upright", [True, False])
def test_a_planted_grid_is_found_whatever_its_period(period: int, upright: bool) -> None:
    """Stronger steps on it, larger values."""
    luma = texture(320, 240, detail=0.5)[..., 1]
    step = (np.arange(320 if upright else 240) // period % 2).astype(np.int16)
    grid = step[None, :] if upright else step[:, None]
    found = [detail.blockiness(np.clip(luma + k * grid, 0, 255).astype(np.uint8)) for k in (0, 3, 8, 20)]
    assert all(a is not None and b is not None and a < b for a, b in pairwise(found))
    assert found[-1] is not None
    assert found[-1] > 2


def test_compression_moves_blockiness_up_and_sharpness_down(tmp_path: Path) -> None:
    """crf 20, 32 and 44, of a film that moves."""
    canvas = texture(1000, 500, detail=0.8)
    frames = [view(canvas, 640, 360, dx=1.5 * i) for i in range(12)]
    found = [measured(write(tmp_path / f"{crf}.mp4", frames, crf=crf), *NAMES).values for crf in (20, 32, 44)]
    for name, better in (("blockiness", 1), ("tenengrad", -1), ("laplacian", -1), ("blur", 1)):
        assert all(better * (b[name] - a[name]) > 0 for a, b in pairwise(found)), name


def test_a_clip_of_one_frame_is_measured_like_any_other(tmp_path: Path) -> None:
    """One picture is enough for all of this."""
    path = write(tmp_path / "clip.mp4", [texture(320, 180)])
    found = measured(path, *NAMES)
    assert not found.missing
    assert found.values["contrast"] == pytest.approx(lumas(path)[0].std())


def test_flat_grey_has_reasons_where_there_are_no_edges(tmp_path: Path) -> None:
    """And zeros elsewhere."""
    flat = np.full((180, 320), 128, np.uint8)
    found = measured(write_planes(tmp_path / "clip.mp4", [grey(flat)] * 3), *NAMES)
    assert found.missing == dict.fromkeys(("blur", "blockiness"), picture.NO_EDGES)
    assert found.values.pop("mean_luma") == 128  # type: ignore[attr-defined]
    assert set(found.values.values()) == {0.0}


def test_all_black_has_no_noise_to_speak_of(tmp_path: Path) -> None:
    """Noise at black is cut in half, and so is not told; all pixels are clipped."""
    found = measured(write_planes(tmp_path / "clip.mp4", [grey(np.full((180, 320), 16, np.uint8))]), *NAMES)
    assert set(found.missing) == {"blur", "blockiness", "noise"}
    assert "black" in found.missing["noise"]
    assert found.values["clipped_low"] == 1


def test_a_tiny_clip_has_its_tones_and_reasons_for_the_rest(tmp_path: Path) -> None:
    """8 × 8 pixels: no grid, no noise."""
    luma = np.random.default_rng(0).integers(40, 200, (8, 8), np.uint8)
    found = measured(write_planes(tmp_path / "clip.mp4", [grey(luma)] * 3), *NAMES)
    assert found.values["contrast"] == pytest.approx(luma.std())
    assert set(found.missing.values()) == {"a side of the picture is below 32 px"}
    assert "blur" in found.missing


def test_what_is_not_wanted_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blockiness is of the full tier: the standard pass must not pay for it."""
    monkeypatch.setitem(picture._OF_LUMA, "blockiness", lambda luma: pytest.fail("was taken"))
    path = write(tmp_path / "clip.mp4", [texture(320, 180)])
    assert set(measured(path, "blur", "noise").values) == {"blur", "noise"}
