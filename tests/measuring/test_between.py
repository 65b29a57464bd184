"""Clips held against each other: planted differences are found where and as large as they were planted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import scipy.fft
import skimage.metrics

from seedance_lab.clip import Clip
from seedance_lab.errors import ClipError, MeasureError
from seedance_lab.measuring import between, similarity
from seedance_lab.measuring.between import compare_clips, diversity, hash_of, near_duplicates
from seedance_lab.measuring.spec import Bytes
from tests.measuring.films import lumas, texture, view, write

WIDTH, HEIGHT, N = 320, 192, 24


def pan(
    seed: int = 0, n: int = N, speed: float = 2.0, *, fps: int = 24, size: tuple[int, int] = (WIDTH, HEIGHT)
) -> list[Bytes]:
    """A camera over a picture; `speed` in px a frame at 24 a second, at any frame rate."""
    canvas = texture(WIDTH + 160, HEIGHT + 32, seed, detail=0.7)
    made = [view(canvas, WIDTH, HEIGHT, dx=speed * i * 24 / fps) for i in range(n)]
    if size == (WIDTH, HEIGHT):
        return made
    return [np.asarray(cv2.resize(f, size, interpolation=cv2.INTER_AREA), np.uint8) for f in made]


def film(path: Path, *arguments: Any, crf: int = 10, **how: Any) -> Path:
    return write(path, pan(*arguments, **how), crf=crf, fps=how.get("fps", 24))


def test_a_clip_is_the_same_as_itself(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4")
    found = compare_clips(path, Clip(path=path))
    assert found.same_bytes
    assert found.same_pictures
    assert found.n_frames == N
    assert found.size == (WIDTH, HEIGHT)
    assert found.psnr_min == similarity.MOST_DB
    assert found.ssim_min == pytest.approx(1, abs=1e-6)
    assert found.difference_max == 0
    assert found.notes == ()


def test_equal_pictures_in_other_bytes_are_told_from_equal_bytes(tmp_path: Path) -> None:
    """The container is another one."""
    found = compare_clips(film(tmp_path / "a.mp4"), film(tmp_path / "a.mov"))
    assert found.same_pictures
    assert not found.same_bytes


def test_the_numbers_of_every_frame_are_scikit_images(tmp_path: Path) -> None:
    a, b = film(tmp_path / "a.mp4"), film(tmp_path / "b.mp4", crf=34)
    found = compare_clips(a, b)
    x, y = lumas(a), lumas(b)
    ssim = [
        skimage.metrics.structural_similarity(
            p, q, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
        )
        for p, q in zip(x, y, strict=True)
    ]
    psnr = [skimage.metrics.peak_signal_noise_ratio(p, q, data_range=255) for p, q in zip(x, y, strict=True)]
    assert found.series[:, 0] == pytest.approx(np.arange(N) / 24, abs=1e-3)
    assert found.series[:, 1] == pytest.approx(ssim, abs=5e-6)
    assert found.series[:, 2] == pytest.approx(psnr, abs=1e-6)
    assert (found.ssim_min, found.psnr_min) == pytest.approx((min(ssim), min(psnr)), abs=5e-6)
    assert (found.ssim_mean, found.psnr_mean) == pytest.approx((np.mean(ssim), np.mean(psnr)), abs=5e-6)


def test_a_planted_difference_is_as_large_as_it_is(tmp_path: Path) -> None:
    """A grey film, five levels brighter: nothing in the chroma, so the mean over all samples is two thirds of it."""
    grey = [np.full((HEIGHT, WIDTH), 100, np.uint8)] * 6
    lighter = [np.full((HEIGHT, WIDTH), 105, np.uint8)] * 6
    a, b = write(tmp_path / "a.mp4", grey, crf=0), write(tmp_path / "b.mp4", lighter, crf=0)
    step = float(lumas(b)[0].mean() - lumas(a)[0].mean())
    found = compare_clips(a, b)
    assert step > 3
    assert found.difference_mean == found.difference_max == pytest.approx(step * 2 / 3, abs=1e-6)
    assert found.psnr_mean == pytest.approx(20 * np.log10(255 / step), abs=1e-6)


@pytest.mark.parametrize("at", [0, 9, N - 1])
def test_the_worst_frame_is_found_where_it_is(tmp_path: Path, at: int) -> None:
    frames = pan()
    other = [f if i != at else np.ascontiguousarray(f[:, ::-1]) for i, f in enumerate(frames)]
    found = compare_clips(write(tmp_path / "a.mp4", frames), write(tmp_path / "b.mp4", other))
    assert found.worst_s == pytest.approx(at / 24, abs=2e-3)
    assert found.ssim_min < 0.7 < 0.9 < np.delete(found.series[:, 1], at).min()


def test_the_harder_it_was_encoded_the_farther_it_is(tmp_path: Path) -> None:
    a = film(tmp_path / "a.mp4")
    found = [compare_clips(a, film(tmp_path / f"{crf}.mp4", crf=crf)) for crf in (18, 28, 40)]
    for name in ("ssim_min", "ssim_mean", "psnr_min", "psnr_mean"):
        values = [getattr(f, name) for f in found]
        assert values == sorted(values, reverse=True)
    assert found[0].difference_mean < found[1].difference_mean < found[2].difference_mean


def test_of_clips_of_other_length_the_common_part_is_compared(tmp_path: Path) -> None:
    """In either order, and it is said."""
    long, short = film(tmp_path / "long.mp4", 0, 30), film(tmp_path / "short.mp4", 0, 12)
    for a, b in ((long, short), (short, long)):
        found = compare_clips(a, b)
        assert found.n_frames == 12
        assert found.ssim_min > 0.95
        assert not found.same_pictures
        assert "12 pairs" in found.notes[0]


def test_frames_are_matched_by_their_time_and_not_by_their_number(tmp_path: Path) -> None:
    """The same pan at 24 and at 12 frames a second: matched by number it would be another film."""
    a, b = film(tmp_path / "a.mp4", 0, 24), film(tmp_path / "b.mp4", 0, 12, fps=12)
    for found in (compare_clips(a, b), compare_clips(b, a)):
        assert found.n_frames == 12
        assert found.ssim_min > 0.95
    wrong = compare_clips(a, film(tmp_path / "c.mp4", 0, 24, 4.0))
    assert wrong.ssim_mean < 0.8


def test_uneven_frames_are_matched_with_the_nearest(tmp_path: Path) -> None:
    """Every second frame was dropped at random places; what is left stands at its own time."""
    frames, kept = pan(), [0, 1, 2, 5, 8, 9, 14, 15, 16, 23]
    stamps = [round(1000 * i / 24) for i in kept]
    a = write(tmp_path / "a.mp4", frames, crf=10)
    b = write(tmp_path / "b.mp4", [frames[i] for i in kept], crf=10, times=lambda i: stamps[i])
    for found in (compare_clips(a, b), compare_clips(b, a)):
        assert found.n_frames == len(kept)
        assert found.ssim_min > 0.95


def test_clips_of_other_size_are_compared_at_a_common_one(tmp_path: Path) -> None:
    """And the same film is the same film."""
    a = film(tmp_path / "a.mp4")
    b = film(tmp_path / "b.mp4", size=(640, 384))
    other = film(tmp_path / "c.mp4", 1, size=(640, 384))
    for one, two in ((a, b), (b, a)):
        found = compare_clips(one, two)
        assert found.ssim_min > 0.95
        assert found.size == (WIDTH, HEIGHT)
        assert "320 × 192 and 640 × 384" in found.notes[0] or "640 × 384 and 320 × 192" in found.notes[0]
    assert compare_clips(a, other).ssim_mean < 0.7


def test_a_damaged_clip_is_named_even_behind_the_common_part(tmp_path: Path) -> None:
    a, long = film(tmp_path / "a.mp4", 0, 6), film(tmp_path / "long.mp4", 0, 24)
    with av.open(str(long)) as file:
        position, size = [(packet.pos, packet.size) for packet in file.demux(video=0) if packet.size][20]
    data = bytearray(long.read_bytes())
    data[position : position + size] = bytes(size)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(data)
    for pair in ((a, damaged), (damaged, a)):
        with pytest.raises(ClipError, match=r"damaged\.mp4"):
            compare_clips(*pair)


# ── the clips of a set ──────────────────────────────────────────────────────────────────────────────────


def test_a_set_of_one_film_has_no_diversity(tmp_path: Path) -> None:
    """Every pair is counted once."""
    clips = [film(tmp_path / f"{i}.mp4", crf=6 + i) for i in range(4)]
    found = diversity(clips)
    assert (found.n_clips, found.n_pairs, len(found.pairs)) == (4, 6, 6)
    assert 0 <= found.value < 0.02
    assert found.missing == {}


def test_the_farther_the_films_part_the_greater_the_diversity(tmp_path: Path) -> None:
    """From one picture at ever more different speeds, and then other pictures altogether."""
    values = []
    for spread in (0.0, 0.25, 1.0):
        clips = [film(tmp_path / f"{spread} {i}.mp4", 0, 24, 2 + spread * i) for i in range(3)]
        values.append(diversity(clips).value)
    values.append(diversity([film(tmp_path / f"other {i}.mp4", i) for i in range(3)]).value)
    assert values == sorted(values)
    assert values[0] < 0.02 < 0.1 < values[1] < values[2]


def test_the_value_is_one_less_the_mean_of_the_pairs(tmp_path: Path) -> None:
    """Worked by hand at full rate of the sampling: frames 0, 6, 12, 18 of clips that are not reduced."""
    clips = [film(tmp_path / f"{i}.mp4", 0, 24, 1.0 + i) for i in range(3)]
    few = [lumas(clip)[::6] for clip in clips]
    alike = {
        (i, j): np.mean([similarity.ssim(x, y) for x, y in zip(few[i], few[j], strict=True)])
        for i, j in [(0, 1), (0, 2), (1, 2)]
    }
    found = diversity(clips)
    assert found.value == pytest.approx(1 - np.mean(list(alike.values())), abs=1e-6)
    assert found.pairs[0].similarity == pytest.approx(max(alike.values()), abs=1e-6)
    assert {(clips.index(p.a), clips.index(p.b)) for p in found.pairs} == set(alike)


def test_sizes_rates_and_lengths_may_differ_in_a_set(tmp_path: Path) -> None:
    clips = [
        film(tmp_path / "a.mp4"),
        film(tmp_path / "b.mp4", size=(640, 384)),
        film(tmp_path / "c.mp4", 0, 12, fps=12),
        film(tmp_path / "d.mp4", 0, 30),
    ]
    assert diversity(clips).value < 0.05


def test_a_clip_that_cannot_be_read_is_left_out_and_named(tmp_path: Path) -> None:
    clips = [film(tmp_path / f"{i}.mp4", i) for i in range(2)]
    found = diversity([*clips, tmp_path / "gone.mp4"])
    assert found.n_pairs == 1
    assert "is not there" in found.missing[tmp_path / "gone.mp4"]


def test_one_clip_has_no_diversity_and_the_reason_is_said(tmp_path: Path) -> None:
    """Nor has one clip that is named twice."""
    one = film(tmp_path / "a.mp4")
    with pytest.raises(MeasureError, match="two clips"):
        diversity([one, str(one)])
    with pytest.raises(MeasureError, match="is not there"):
        diversity([one, tmp_path / "gone.mp4"])


# ── nearly the same ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(4))
def test_a_hash_is_the_published_one(seed: int) -> None:
    """By hand with SciPy's transform, on a picture of 32 × 32."""
    luma = np.ascontiguousarray(texture(32, 32, seed)[..., 1])
    low = scipy.fft.dct(scipy.fft.dct(luma.astype(float), axis=0), axis=1)[:8, :8]
    expected = "".join("1" if value > np.median(low) else "0" for value in low.ravel())
    assert f"{between.frame_hash(luma):064b}" == expected


def test_a_hash_stays_through_size_and_encoding(tmp_path: Path) -> None:
    """By less than the bits at which near_duplicates stops to look; of other pictures a third of the bits differ."""
    reference = hash_of(film(tmp_path / "a.mp4"))
    same = [film(tmp_path / f"{crf}.mp4", crf=crf) for crf in (23, 35)]
    same += [film(tmp_path / "large.mp4", size=(640, 384)), film(tmp_path / "small.mp4", size=(160, 96))]
    assert all(reference.distance(hash_of(path)) < between.SUSPECT_BITS / 2 for path in same)
    for seed in (1, 2, 3):
        assert reference.distance(hash_of(film(tmp_path / f"other {seed}.mp4", seed))) > 20
    assert reference.distance(reference) == 0
    assert len(str(reference).split("-")) == len(between.HASHED_AT)


def test_near_duplicates_are_found_and_others_are_not(tmp_path: Path) -> None:
    """Encoded again, scaled, and copied; not: another picture, another move, half as long."""
    one = film(tmp_path / "one.mp4", 0, 48)
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(one.read_bytes())
    again = film(tmp_path / "again.mp4", 0, 48, crf=33)
    small = film(tmp_path / "small.mp4", 0, 48, size=(160, 96))
    others = [
        film(tmp_path / "other picture.mp4", 1, 48),
        film(tmp_path / "other move.mp4", 0, 48, 0.5),
        film(tmp_path / "half.mp4", 0, 24),
    ]
    found = near_duplicates([one, *others, copy, again, small, tmp_path / "gone.mp4"])
    assert {frozenset((p.a, p.b)) for p in found.pairs} == {
        frozenset(pair)
        for pair in [(one, copy), (one, again), (one, small), (copy, again), (copy, small), (again, small)]
    }
    assert [p.same_bytes for p in found.pairs] == [True] + [False] * 5
    assert found.pairs[0].difference == 0
    assert found.n_clips == 7
    assert list(found.missing) == [tmp_path / "gone.mp4"]


def test_a_still_film_of_another_length_is_another_film(tmp_path: Path) -> None:
    """Every frame of the shorter one is in the longer one, and the hashes are the same."""
    one, two = (film(tmp_path / f"{n}.mp4", 0, n, 0.0) for n in (24, 48))
    assert hash_of(one).distance(hash_of(two)) < between.SUSPECT_BITS
    assert near_duplicates([one, two]).pairs == ()


def test_a_set_without_duplicates_has_no_pairs(tmp_path: Path) -> None:
    assert near_duplicates([film(tmp_path / f"{i}.mp4", i) for i in range(3)]).pairs == ()
    assert near_duplicates([]).n_clips == 0
