"""VMAF by a real FFmpeg with libvmaf."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
import pytest

from seedance_lab.clip import Clip
from seedance_lab.errors import ClipError, MeasureError
from seedance_lab.measuring import vmaf
from seedance_lab.measuring.spec import Bytes
from tests.measuring.films import texture, view, write

N = 12


def pan(n: int = N) -> list[Bytes]:
    canvas = texture(420, 216, 1, detail=0.8)
    return [view(canvas, 320, 192, dx=2.0 * i) for i in range(n)]


def film(path: Path, frames: list[Bytes] | None = None, *, crf: int = 4, fps: int = 24) -> Path:
    return write(path, frames or pan(), crf=crf, fps=fps)


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    return film(tmp_path / "reference.mp4")


def test_a_clip_beside_itself_has_the_best_score(reference: Path) -> None:
    """Not quite 100: the model is one of ratings, and nothing in it says "the same"."""
    found = vmaf.score(Clip(path=reference), reference)
    assert 95 < found.worst <= found.harmonic_mean <= found.mean <= 100
    assert found.n_frames == N == len(found.frames)
    assert found.model == "vmaf_v0.6.1"
    assert found.version


def test_the_worse_the_clip_the_lower_the_score(tmp_path: Path, reference: Path) -> None:
    """Encoded harder, and blurred more."""
    harder = [vmaf.score(film(tmp_path / f"{crf}.mp4", crf=crf), reference).mean for crf in (18, 30, 42)]
    assert harder == sorted(harder, reverse=True)
    softer = [
        vmaf.score(
            film(
                tmp_path / f"{s}.mp4", [np.asarray(cv2.GaussianBlur(f, (0, 0), s), np.uint8) for f in pan()]
            ),
            reference,
        ).mean
        for s in (0.7, 1.5, 3.0)
    ]
    assert softer == sorted(softer, reverse=True)
    assert softer[0] - softer[-1] > 20


def test_the_numbers_are_those_of_the_program_run_by_hand(tmp_path: Path, reference: Path) -> None:
    """FFmpeg prints the mean; the two inputs are not exchanged."""
    clip = film(tmp_path / "clip.mp4", crf=34)
    done = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-i", clip, "-i", reference,
         "-lavfi", "libvmaf", "-f", "null", "-"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    printed = float(done.stderr.rsplit("VMAF score:", 1)[1].split()[0])
    assert vmaf.score(clip, reference).mean == pytest.approx(printed, abs=1e-4)
    assert vmaf.score(reference, clip).mean != pytest.approx(printed, abs=0.1)


@pytest.mark.parametrize("at", [0, 5, N - 1])
def test_the_worst_frame_is_where_it_was_planted(tmp_path: Path, reference: Path, at: int) -> None:
    frames = pan()
    frames[at] = np.asarray(cv2.GaussianBlur(frames[at], (0, 0), 4), np.uint8)
    found = vmaf.score(film(tmp_path / "clip.mp4", frames), reference)
    assert int(found.frames.argmin()) == at
    assert found.worst < 60 < found.mean
    assert found.harmonic_mean < found.mean


def test_another_size_is_scaled_to_the_references(tmp_path: Path, reference: Path) -> None:
    small = [np.asarray(cv2.resize(f, (160, 96), interpolation=cv2.INTER_AREA), np.uint8) for f in pan()]
    large = [np.asarray(cv2.resize(f, (640, 384), interpolation=cv2.INTER_CUBIC), np.uint8) for f in pan()]
    worse = vmaf.score(film(tmp_path / "small.mp4", small), reference).mean
    better = vmaf.score(film(tmp_path / "large.mp4", large), reference).mean
    assert worse + 5 < better < 100


def test_of_other_lengths_and_rates_the_frames_of_one_time_are_compared(
    tmp_path: Path, reference: Path
) -> None:
    """In either order; matched by number, half the rate would be another film."""
    short = film(tmp_path / "short.mp4", pan(7))
    half = film(tmp_path / "half.mp4", pan()[::2], fps=12)
    assert vmaf.score(short, reference).n_frames == 7
    assert vmaf.score(reference, short).n_frames == 7
    assert vmaf.score(half, reference).mean > 90


def test_time_stamps_that_were_rounded_do_not_shift_the_frames(tmp_path: Path, reference: Path) -> None:
    """Matroska counts in milliseconds: 42 ms is after 41.7 ms, and still the same frame."""
    rounded = film(tmp_path / "rounded.mkv")
    assert vmaf.score(reference, rounded).worst > 90
    assert vmaf.score(rounded, reference).worst > 90


def test_another_model_is_another_score(tmp_path: Path, reference: Path) -> None:
    """`neg` does not reward sharpening, so it is never kinder to a sharpened clip."""
    sharp = [
        np.asarray(cv2.addWeighted(f, 1.6, cv2.GaussianBlur(f, (0, 0), 1.5), -0.6, 0), np.uint8)
        for f in pan()
    ]
    clip = film(tmp_path / "sharp.mp4", sharp)
    neg = vmaf.score(clip, reference, model="vmaf_v0.6.1neg")
    assert neg.model == "vmaf_v0.6.1neg"
    assert neg.mean < vmaf.score(clip, reference).mean


def test_any_path_will_do(tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What means something to FFmpeg's filters or to a shell means nothing here; nor does where the process stands."""
    folder = tmp_path / "a:b,c;d'e [f] %03d"
    folder.mkdir()
    awkward = folder / "-clip $x.mp4"
    awkward.write_bytes(reference.read_bytes())
    monkeypatch.chdir(folder)
    assert vmaf.score("-clip $x.mp4", awkward).mean > 95
    assert [path.name for path in folder.iterdir()] == [awkward.name]


def test_what_is_no_video_is_named(tmp_path: Path, reference: Path) -> None:
    with pytest.raises(ClipError, match=r"gone\.mp4 is not there"):
        vmaf.score(tmp_path / "gone.mp4", reference)
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(ClipError, match="is empty"):
        vmaf.score(reference, tmp_path / "empty.mp4")


def program(folder: Path, filters: str) -> Path:
    """A real program that lists these filters and fails at all else."""
    folder.mkdir()
    path = folder / "ffmpeg"
    path.write_text(
        f'#!/bin/sh\n[ "$2" = -filters ] && echo "{filters}" && exit 0\necho "no such codec" >&2\nexit 1\n'
    )
    path.chmod(0o755)
    return path


def test_without_an_ffmpeg_that_has_it_the_message_says_what_to_install(
    tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None at all, and one without libvmaf: `vmafmotion` is another filter."""
    monkeypatch.setattr(vmaf, "_bundled", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        MeasureError, match=r"there is none\. Install one: pip install 'seedance-lab\[vmaf\]'"
    ):
        vmaf.score(reference, reference)
    other = program(tmp_path / "bin", " .. vmafmotion        V->V       Calculate the VMAF Motion score.")
    monkeypatch.setenv("PATH", str(other.parent))
    with pytest.raises(MeasureError, match=f"{other} has no libvmaf"):
        vmaf.score(reference, reference)


def test_the_one_on_the_path_is_taken_where_there_is_no_other(
    tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what it says when it fails is passed on."""
    broken = program(
        tmp_path / "bin", " .. libvmaf           VV->V      Calculate the VMAF between two video streams."
    )
    monkeypatch.setattr(vmaf, "_bundled", lambda: None)
    monkeypatch.setenv("PATH", f"{broken.parent}{os.pathsep}{os.environ['PATH']}")
    assert vmaf.ffmpeg() == str(broken)
    with pytest.raises(MeasureError, match=r"could not compare .*reference\.mp4: no such codec"):
        vmaf.score(reference, reference)
