"""How alike two pictures are: held against scikit-image, FFmpeg, and the papers' formulas worked by hand."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
import pytest
import scipy.ndimage
import skimage.metrics

from seedance_lab.measuring import similarity
from seedance_lab.measuring.spec import Bytes
from tests.measuring.films import texture

Worse = Callable[[Bytes, float], Bytes]


def grey(width: int = 320, height: int = 180, seed: int = 0) -> Bytes:
    return np.ascontiguousarray(texture(width, height, seed)[..., 1])


def noisy(picture: Bytes, strength: float) -> Bytes:
    noise = np.random.default_rng(7).normal(0, strength, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def blurred(picture: Bytes, strength: float) -> Bytes:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), strength), np.uint8)


def pale(picture: Bytes, strength: float) -> Bytes:
    return np.asarray(128 + (picture.astype(float) - 128) * (1 - strength), np.uint8)


KINDS: list[tuple[Worse, tuple[float, float, float]]] = [
    (noisy, (3.0, 9.0, 27.0)),
    (blurred, (0.6, 1.2, 2.4)),
    (pale, (0.1, 0.3, 0.6)),
]
SIZES = [(320, 180), (177, 176), (641, 203)]


def skimage_ssim(a: Bytes, b: Bytes) -> float:
    return float(
        skimage.metrics.structural_similarity(
            a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
        )
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("worse", "strengths"), KINDS)
def test_ssim_is_scikit_images_to_five_digits(
    worse: Worse, strengths: tuple[float, ...], size: tuple[int, int]
) -> None:
    """Also where the last strip of lines is a short one."""
    a = grey(*size)
    for strength in strengths:
        b = worse(a, strength)
        assert similarity.ssim(a, b) == pytest.approx(skimage_ssim(a, b), abs=5e-6)


@pytest.mark.parametrize("level", [0, 1, 254, 255])
def test_ssim_keeps_its_digits_on_flat_and_on_hard_pictures(level: int) -> None:
    """Differences of large squares are where float32 would lose them."""
    flat = np.full((64, 96), level, np.uint8)
    hard = np.where(np.random.default_rng(1).random((64, 96)) < 0.5, 0, 255).astype(np.uint8)
    nearly = flat.copy()
    nearly[::7] ^= 1
    for a, b in [(flat, nearly), (flat, hard), (hard, 255 - hard), (hard, blurred(hard, 2.0))]:
        assert similarity.ssim(a, b) == pytest.approx(skimage_ssim(a, b), abs=2e-5)


@pytest.mark.parametrize(("worse", "strengths"), KINDS)
def test_psnr_is_scikit_images(worse: Worse, strengths: tuple[float, ...]) -> None:
    a = grey()
    for strength in strengths:
        b = worse(a, strength)
        expected = skimage.metrics.peak_signal_noise_ratio(a, b, data_range=255)
        assert similarity.psnr(a, b) == pytest.approx(float(expected), abs=1e-9)


def ffmpeg(folder: Path, filter_: str, a: Bytes, b: Bytes) -> str:
    """What FFmpeg's filter prints at the end."""
    inputs: list[str] = []
    for name, picture in (("a", a), ("b", b)):
        cv2.imwrite(str(folder / f"{name}.png"), picture)
        inputs += ["-i", str(folder / f"{name}.png")]
    graph = f"[0]format=gray[a];[1]format=gray[b];[a][b]{filter_}"
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-nostdin",
        "-hide_banner",
        *inputs,
        "-lavfi",
        graph,
        "-f",
        "null",
        "-",
    ]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr


@pytest.mark.parametrize(("worse", "strengths"), KINDS)
def test_psnr_is_ffmpegs_to_all_printed_digits(
    tmp_path: Path, worse: Worse, strengths: tuple[float, ...]
) -> None:
    a = grey()
    b = worse(a, strengths[1])
    printed = float(re.search(r"PSNR y:([\d.]+)", ffmpeg(tmp_path, "psnr", a, b))[1])  # type: ignore[index]
    assert similarity.psnr(a, b) == pytest.approx(printed, abs=2e-6)


def test_ffmpegs_ssim_is_another_measure_that_ranks_alike(tmp_path: Path) -> None:
    """Its window is a box of 8 × 8 every 4 px: the numbers differ, the order does not."""
    a = grey()
    worse = [make(a, strength) for make, strengths in KINDS for strength in strengths]
    ours = [similarity.ssim(a, b) for b in worse]
    printed = [ffmpeg(tmp_path, "ssim", a, b) for b in worse]
    theirs = [float(re.search(r"SSIM Y:([\d.]+)", text)[1]) for text in printed]  # type: ignore[index]
    assert np.argsort(ours).tolist() == np.argsort(theirs).tolist()
    assert max(abs(x - y) for x, y in zip(ours, theirs, strict=True)) < 0.1


def by_hand_ms_ssim(a: Bytes, b: Bytes) -> float:
    """The paper's formula in float64 with SciPy's filters."""
    x, y, result = a.astype(float), b.astype(float), 1.0
    c1, c2 = 6.5025, 58.5225
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):

        def blur(z: np.ndarray) -> np.ndarray:
            return scipy.ndimage.gaussian_filter(z, 1.5, radius=5)[5:-5, 5:-5]

        mx, my = blur(x), blur(y)
        vx, vy, both = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
        value = (2 * both + c2) / (vx + vy + c2)
        if scale == 4:
            value = value * (2 * mx * my + c1) / (mx**2 + my**2 + c1)
        result *= value.mean() ** weight
        h, w = x.shape[0] // 2 * 2, x.shape[1] // 2 * 2
        x, y = (z[:h, :w].reshape(h // 2, 2, w // 2, 2).mean((1, 3)) for z in (x, y))
    return result


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("worse", "strengths"), KINDS)
def test_ms_ssim_is_the_papers_formula(
    worse: Worse, strengths: tuple[float, ...], size: tuple[int, int]
) -> None:
    """To five digits, also where a side is odd at some scale."""
    a = grey(*size)
    for strength in strengths:
        b = worse(a, strength)
        assert similarity.ms_ssim(a, b) == pytest.approx(by_hand_ms_ssim(a, b), abs=1e-5)


def by_hand_gmsd(a: Bytes, b: Bytes) -> float:
    def gradient(z: Bytes) -> np.ndarray:
        h, w = z.shape[0] // 2 * 2, z.shape[1] // 2 * 2
        half = z[:h, :w].astype(float).reshape(h // 2, 2, w // 2, 2).mean((1, 3))
        return np.hypot(*(scipy.ndimage.prewitt(half, axis=i, mode="mirror") / 3 for i in (0, 1)))

    x, y = gradient(a), gradient(b)
    return float(((2 * x * y + 170) / (x**2 + y**2 + 170)).std())


@pytest.mark.parametrize(("worse", "strengths"), KINDS)
def test_gmsd_is_the_papers_formula(worse: Worse, strengths: tuple[float, ...]) -> None:
    a = grey(321, 181)
    for strength in strengths:
        b = worse(a, strength)
        assert similarity.gmsd(a, b) == pytest.approx(by_hand_gmsd(a, b), abs=1e-5)


@pytest.mark.parametrize(("worse", "strengths"), KINDS)
@pytest.mark.parametrize(
    ("measure", "sign"),
    [(similarity.ssim, -1), (similarity.ms_ssim, -1), (similarity.psnr, -1), (similarity.gmsd, 1)],
)
def test_the_worse_the_picture_the_worse_the_number(
    measure: Callable[[Bytes, Bytes], float], sign: int, worse: Worse, strengths: tuple[float, ...]
) -> None:
    a = grey()
    found = [sign * measure(a, worse(a, strength)) for strength in strengths]
    assert found == sorted(found)
    assert len(set(found)) == 3


def test_equal_pictures_are_as_alike_as_can_be() -> None:
    a = grey()
    assert similarity.ssim(a, a) == pytest.approx(1, abs=1e-6)
    assert similarity.ms_ssim(a, a) == pytest.approx(1, abs=1e-6)
    assert similarity.gmsd(a, a) == pytest.approx(0, abs=1e-6)
    assert similarity.psnr(a, a) == similarity.MOST_DB


def test_the_order_of_the_two_does_not_matter() -> None:
    a, b = grey(), noisy(grey(), 12)
    for measure in (similarity.ssim, similarity.ms_ssim, similarity.psnr, similarity.gmsd):
        assert measure(a, b) == pytest.approx(measure(b, a), abs=1e-6)


def test_a_view_with_padding_at_the_end_of_its_lines_is_read_as_it_is() -> None:
    """Planes of a decoded frame are such views."""
    wide = grey(384, 180)
    a, b = wide[:, :320], noisy(wide, 5)[:, :320]
    for measure in (similarity.ssim, similarity.ms_ssim, similarity.psnr, similarity.gmsd):
        assert measure(a, b) == measure(a.copy(), b.copy())


@pytest.mark.parametrize(
    ("measure", "side"),
    [(similarity.ssim, 11), (similarity.ms_ssim, 176), (similarity.psnr, 1), (similarity.gmsd, 4)],
)
def test_what_is_too_small_or_of_another_size_is_refused(
    measure: Callable[[Bytes, Bytes], float], side: int
) -> None:
    """And what is just large enough is not."""
    assert np.isfinite(measure(grey(side, side), grey(side, side, 1)))
    with pytest.raises(ValueError, match="cannot be compared"):
        measure(grey(side + 1, side), grey(side, side))
    if side > 1:
        with pytest.raises(ValueError, match=f"at least {side} px"):
            measure(grey(side, side - 1), grey(side, side - 1))


def test_nothing_is_written_into_the_pictures(tmp_path: Path) -> None:
    a, b = grey(), noisy(grey(), 5)
    before = a.copy(), b.copy()
    for measure in (similarity.ssim, similarity.ms_ssim, similarity.psnr, similarity.gmsd):
        measure(a, b)
    assert np.array_equal(a, before[0])
    assert np.array_equal(b, before[1])
