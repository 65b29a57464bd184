"""Facts, posters and proxies of real files, and of files that are no videos."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import PIL.Image
import pytest

from seedance_lab import media
from seedance_lab.errors import ClipError
from tests.assets.make import mp4

CALLS: dict[str, Callable[[Path], object]] = {
    "facts": media.facts,
    "poster": media.poster,
    "proxy": lambda path: media.proxy(path, path.with_name("small.mp4")),
}


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return mp4(tmp_path / "clip.mp4")


def not_a_video(kind: str, folder: Path, video: Path) -> Path:
    path = folder / f"{kind}.mp4"
    match kind:
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_text("no such clip\n" * 100)
        case "page":
            path.write_text("<html><body>502 Bad Gateway</body></html>")
        case "cut":
            path.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
        case "sound":
            mp4(path, audio_only=True)
        case "folder":
            path.mkdir()
        case "picture":
            PIL.Image.new("RGB", (300, 300)).save(path, "PNG")
        case "notes":
            path = path.with_suffix(".txt")
            path.write_text("hello\n" * 100)
    return path


def brightness(jpeg: bytes) -> int:
    return int(PIL.Image.open(io.BytesIO(jpeg)).convert("L").getpixel((3, 3)))


def test_facts_are_what_was_encoded(video: Path) -> None:
    assert media.facts(video) == media.FileFacts(
        64, 48, 24.0, 12, 0.5, "h264", "yuv420p", video.stat().st_size
    )


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", ["empty", "text", "page", "cut", "sound", "folder", "missing"])
def test_a_file_that_is_no_video_is_a_clip_error_with_its_path(
    kind: str, call: str, tmp_path: Path, video: Path
) -> None:
    path = not_a_video(kind, tmp_path, video)
    with pytest.raises(ClipError, match=path.name):
        CALLS[call](path)


@pytest.mark.parametrize("kind", ["picture", "notes"])
def test_what_ffmpeg_only_plays_as_a_video_is_no_clip(kind: str, tmp_path: Path, video: Path) -> None:
    """FFmpeg opens a PNG as a film of no seconds, and a .txt as ANSI art; `saved` must not say that of either."""
    with pytest.raises(ClipError):
        media.facts(not_a_video(kind, tmp_path, video))


@pytest.mark.parametrize("kind", ["empty", "cut", "sound", "missing"])
def test_a_proxy_that_fails_leaves_nothing_behind(kind: str, tmp_path: Path, video: Path) -> None:
    path = not_a_video(kind, tmp_path, video)
    out = tmp_path / "views"
    out.mkdir()
    with pytest.raises(ClipError):
        media.proxy(path, out / "small.mp4")
    assert list(out.iterdir()) == []


def test_a_proxy_that_cannot_be_put_in_place_leaves_no_part_file(video: Path) -> None:
    (video.parent / "small.mp4").mkdir()
    with pytest.raises(ClipError):
        media.proxy(video, video.parent / "small.mp4")
    assert {p.name for p in video.parent.iterdir()} == {"clip.mp4", "small.mp4"}


def test_a_proxy_that_fails_keeps_the_old_one(tmp_path: Path) -> None:
    small = tmp_path / "small.mp4"
    small.write_bytes(b"old")
    with pytest.raises(ClipError):
        media.proxy(tmp_path / "missing.mp4", small)
    assert small.read_bytes() == b"old"


def test_a_proxy_has_every_frame_at_the_same_rate(tmp_path: Path) -> None:
    media.proxy(mp4(tmp_path / "big.mp4", width=640, height=360), tmp_path / "small.mp4")
    facts = media.facts(tmp_path / "small.mp4")
    assert (facts.width, facts.height, facts.fps, facts.n_frames) == (320, 180, 24.0, 12)


def test_a_proxy_leaves_no_part_file(video: Path) -> None:
    media.proxy(video, video.with_name("small.mp4"))
    assert {p.name for p in video.parent.iterdir()} == {"clip.mp4", "small.mp4"}


def test_two_threads_may_make_the_same_proxy(tmp_path: Path) -> None:
    """A grid asks for its proxies from several threads; a part file named by the process only is shared."""
    video = mp4(tmp_path / "clip.mp4", width=640, height=480, n_frames=48)
    gate = threading.Barrier(3)
    problems: list[Exception] = []

    def make() -> None:
        gate.wait()
        try:
            media.proxy(video, tmp_path / "small.mp4")
        except ClipError as error:
            problems.append(error)

    threads = [threading.Thread(target=make) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_two_processes_may_make_the_same_proxy(tmp_path: Path) -> None:
    """Two notebooks on one study: each finds a whole file whenever it looks, and no part is left."""
    video = mp4(tmp_path / "clip.mp4", width=640, height=480, n_frames=48)
    small = tmp_path / "views" / "small.mp4"
    small.parent.mkdir()
    code = (
        "import sys, pathlib; from seedance_lab import media; media.proxy(*map(pathlib.Path, sys.argv[1:]))"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, str(video), str(small)]) for _ in range(2)]
    while any(process.poll() is None for process in both):
        if small.exists():
            assert media.facts(small).n_frames == 48
    assert [process.returncode for process in both] == [0, 0]
    assert [p.name for p in small.parent.iterdir()] == ["small.mp4"]


def test_a_proxy_has_a_key_frame_at_least_every_second(tmp_path: Path) -> None:
    """A seek decodes from the key frame before it."""
    media.proxy(mp4(tmp_path / "long.mp4", n_frames=100), tmp_path / "small.mp4")
    with av.open(str(tmp_path / "small.mp4")) as container:
        stream = container.streams.video[0]
        keys = [
            float(packet.pts * stream.time_base) for packet in container.demux(stream) if packet.is_keyframe
        ]
    assert keys == pytest.approx([0, 1, 2, 3, 4])


def test_a_proxy_keeps_times_that_are_not_regular(tmp_path: Path) -> None:
    """On one clock a proxy must show what the file shows at that time."""
    times = [0.0, 0.1, 0.5, 0.6, 1.4]
    path = tmp_path / "uneven.mp4"
    with av.open(str(path), "w") as sink:
        stream = sink.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for at in times:
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), int(at * 150), np.uint8), format="rgb24")
            frame.pts, frame.time_base = round(at * 1000), Fraction(1, 1000)
            for packet in stream.encode(frame):
                sink.mux(packet)
        for packet in stream.encode(None):
            sink.mux(packet)
    media.proxy(path, tmp_path / "small.mp4")
    with av.open(str(tmp_path / "small.mp4")) as container:
        assert [frame.time for frame in container.decode(video=0)] == pytest.approx(times, abs=1e-3)


@pytest.mark.parametrize("size", [(321, 241), (35, 999)])
def test_an_odd_size_has_a_proxy_of_even_size(tmp_path: Path, size: tuple[int, int]) -> None:
    """H.264 in yuv420p has no odd sizes; such a file is of another kind, as ffv1 or yuv444p."""
    path = tmp_path / "odd.mp4"
    with av.open(str(path), "w") as sink:
        stream = sink.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv444p"
        for _ in range(3):
            picture = np.zeros((size[1], size[0], 3), np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                sink.mux(packet)
        for packet in stream.encode(None):
            sink.mux(packet)
    media.proxy(path, tmp_path / "small.mp4")
    facts = media.facts(tmp_path / "small.mp4")
    assert (facts.width % 2, facts.height % 2, facts.pix_fmt, facts.n_frames) == (0, 0, "yuv420p", 3)
    assert max(facts.width, facts.height) <= 320


def test_a_poster_is_a_jpeg_within_the_side(tmp_path: Path) -> None:
    picture = PIL.Image.open(
        io.BytesIO(media.poster(mp4(tmp_path / "tall.mp4", width=90, height=160), side=80))
    )
    assert (picture.format, picture.size) == ("JPEG", (44, 80))


def test_a_poster_is_never_larger_than_the_clip(video: Path) -> None:
    assert PIL.Image.open(io.BytesIO(media.poster(video, side=4000))).size == (64, 48)


def test_a_poster_is_of_the_share_that_is_asked_for(video: Path) -> None:
    first, middle, last = (brightness(media.poster(video, at=at)) for at in (0.0, 0.5, 1.0))
    assert first < middle < last


def test_a_clip_of_one_frame_has_a_poster(tmp_path: Path) -> None:
    assert media.poster(mp4(tmp_path / "one.mp4", n_frames=1), at=1.0).startswith(b"\xff\xd8")


@pytest.mark.parametrize(
    ("size", "expected"), [((6, 4000), (2, 320)), ((321, 321), (320, 320)), ((2, 2), (2, 2))]
)
def test_a_fitted_size_is_even_and_never_nothing(size: tuple[int, int], expected: tuple[int, int]) -> None:
    """H.264 with 4:2:0 takes even sides only."""
    assert media._fitted(*size, 320) == expected
