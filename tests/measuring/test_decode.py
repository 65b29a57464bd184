"""Files of every kind: each is read right, held against the same film in plain form, or refused by what is wrong."""

from __future__ import annotations

import gc
import itertools
import subprocess
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
import pytest
from av.video.stream import VideoStream
from PIL import Image

from seedance_lab.errors import ClipError
from seedance_lab.measuring import decode
from seedance_lab.measuring.spec import Bytes
from tests.measuring.films import lumas, texture, view, write

WIDTH, HEIGHT, N = 160, 96, 12
CANVAS = texture(WIDTH + 64, HEIGHT + 64, 5)


def frames(n: int = N, width: int = WIDTH, height: int = HEIGHT) -> list[Bytes]:
    """A pan, so that no frame is another one."""
    return [view(CANVAS, width, height, dx=2.0 * i) for i in range(n)]


def plain(folder: Path, n: int = N, **how: Any) -> Path:
    return write(folder / "plain.mp4", frames(n), crf=8, **how)


def ffmpeg(*arguments: str | Path) -> None:
    """Run a real FFmpeg: PyAV cannot write all of these files."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True)


def video(path: Path) -> decode.Video:
    with decode.opened(path) as reader:
        return reader.video


def refusal(path: Path) -> str:
    """What is said when it is decoded to its end."""
    with pytest.raises(ClipError) as caught:
        lumas(path)
    said = str(caught.value)
    assert said.startswith(str(path))
    assert "Errno" not in said
    return said.removeprefix(str(path))


def apart(found: list[Bytes], expected: list[Bytes]) -> float:
    """Mean absolute difference in levels; the shapes and the number of frames must be the same."""
    assert [f.shape for f in found] == [e.shape for e in expected]
    return float(np.mean([np.abs(f.astype(int) - e).mean() for f, e in zip(found, expected, strict=True)]))


# ── what cannot be read ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99])
def test_a_file_cut_short_whose_index_came_last_is_refused(tmp_path: Path, share: float) -> None:
    """Nothing of it can be read."""
    data = plain(tmp_path).read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: int(share * len(data))])
    assert "cut short" in refusal(cut)


@pytest.mark.parametrize("lost", [1, 50, 1500])
def test_a_file_cut_short_whose_index_came_first_is_refused(tmp_path: Path, lost: int) -> None:
    """By one byte as well, when all frames are counted and the last one is damaged."""
    whole = tmp_path / "whole.mp4"
    ffmpeg("-i", plain(tmp_path), "-c", "copy", "-movflags", "+faststart", whole)
    data = whole.read_bytes()
    assert video(whole).faststart is True
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[:-lost])
    assert "cut short" in refusal(cut)


@pytest.mark.parametrize("number", [1, N // 2, N - 1])
def test_a_frame_that_cannot_be_decoded_is_not_passed_over(tmp_path: Path, number: int) -> None:
    """FFmpeg may drop it without a word, and the clip would be measured without it."""
    path = plain(tmp_path)
    with av.open(str(path)) as file:
        at = [(packet.pos, packet.size) for packet in file.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    position, size = at[number]
    data[position : position + size] = bytes(size)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(data)
    assert "decoded" in refusal(damaged)


def test_fewer_pictures_than_frames_are_an_error_though_nobody_raised_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a decoder with several threads does it now and then."""
    with decode.opened(plain(tmp_path)) as reader:
        monkeypatch.setattr(reader, "_pictures", itertools.islice(reader._pictures, N - 3))
        with pytest.raises(ClipError, match=f"only {N - 2} of its {N} frames can be decoded"):
            list(reader.frames())


def sound(path: Path, *, cover: bool) -> Path:
    with av.open(str(path), "w", format="mp4") as sink:
        stream = sink.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        sink.mux(stream.encode(frame))
        sink.mux(stream.encode(None))
    if cover:
        picture = path.with_suffix(".jpg")
        Image.fromarray(texture(64, 64)).save(picture)
        out = path.with_name("cover.mp4")
        ffmpeg(
            "-i",
            path,
            "-i",
            picture,
            "-map",
            "0",
            "-map",
            "1",
            "-c",
            "copy",
            "-disposition:v:0",
            "attached_pic",
            out,
        )
        return out
    return path


def empty(path: Path) -> Path:
    path.touch()
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def text(path: Path) -> Path:
    path.write_text("a harbour at dawn\n" * 200)
    return path


def picture(path: Path) -> Path:
    Image.fromarray(texture(320, 240)).save(path, "PNG")
    return path


# PyAV 14.0 does not tell a cover from a film; it then finds no packet of it.
COVER = "only a cover picture" if hasattr(VideoStream, "disposition") else "has no frame in it"
NO_VIDEOS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "nothing": (lambda path: path, "is not there"),
    "empty": (empty, "is empty"),
    "folder": (folder, "is a folder"),
    "text": (text, "is not a video"),
    "picture": (picture, "is not a video"),
    "sound": (lambda path: sound(path, cover=False), "has no video in it"),
    "sound with a cover": (lambda path: sound(path, cover=True), COVER),
}


@pytest.mark.parametrize(("make", "said"), NO_VIDEOS.values(), ids=NO_VIDEOS.keys())
def test_what_is_no_video_is_refused_by_what_it_is(
    tmp_path: Path, make: Callable[[Path], Path], said: str
) -> None:
    """Each with a message of its own."""
    assert said in refusal(make(tmp_path / "clip.mp4"))


def test_an_error_of_the_one_who_reads_is_not_taken_for_the_files(tmp_path: Path) -> None:
    """A collector that cannot open something of its own is not a damaged clip."""

    def reads() -> None:
        with decode.opened(plain(tmp_path)) as reader:
            for _ in reader.frames():
                (tmp_path / "missing").read_bytes()

    with pytest.raises(FileNotFoundError):
        reads()


def test_an_angle_that_is_no_quarter_turn_is_refused(tmp_path: Path) -> None:
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", "30", "-i", plain(tmp_path), "-c", "copy", turned)
    assert "30°" in refusal(turned)


# ── what is read ────────────────────────────────────────────────────────────────────────────────────────


def test_the_plain_film_is_read_as_it_was_written(tmp_path: Path) -> None:
    """What the others are held against."""
    path = plain(tmp_path)
    found = video(path)
    assert (found.width, found.height, found.n_frames) == (WIDTH, HEIGHT, N)
    assert (found.rotation, found.mirrored, found.bit_depth, found.n_audio) == (0, False, 8, 0)
    assert found.times == pytest.approx([i / 24 for i in range(N)], abs=1e-3)
    limited = [np.asarray(16 + f.astype(float) @ [25.064, 129.057, 65.481][::1] / 256) for f in frames()]
    with av.open(str(path)) as file:
        expected = [f.to_ndarray()[:HEIGHT] for f in file.decode(video=0)]
    assert apart(lumas(path), expected) == 0
    assert apart(lumas(path), [np.asarray(f) for f in limited]) < 3


TURNS: dict[str, tuple[list[str], int, bool]] = {
    "90": (["-display_rotation", "90"], 90, False),
    "180": (["-display_rotation", "180"], 180, False),
    "270": (["-display_rotation", "270"], 270, False),
    "flipped left to right": (["-display_hflip"], 0, True),
    "flipped upside down": (["-display_vflip"], 180, True),
    "turned and flipped": (["-display_rotation", "90", "-display_hflip"], 90, True),
}


@pytest.mark.parametrize(("how", "rotation", "mirrored"), TURNS.values(), ids=TURNS.keys())
def test_a_turned_file_is_read_upright(tmp_path: Path, how: list[str], rotation: int, mirrored: bool) -> None:
    """Only the display matrix differs; FFmpeg's own player is the reference."""
    path, turned = plain(tmp_path), tmp_path / "turned.mp4"
    ffmpeg(*how, "-i", path, "-c", "copy", turned)
    found = video(turned)
    assert (found.rotation, found.mirrored) == (rotation, mirrored)
    assert (found.width, found.height) == ((HEIGHT, WIDTH) if rotation in {90, 270} else (WIDTH, HEIGHT))
    expected = [np.rot90(f, rotation // 90) for f in lumas(path)]
    if mirrored:
        expected = [f[:, ::-1] for f in expected]
    assert apart(lumas(turned), expected) == 0
    shown = tmp_path / "shown.mp4"
    ffmpeg("-i", turned, "-c:v", "libx264", "-crf", "1", "-pix_fmt", "yuv420p", shown)
    assert apart(lumas(turned), lumas(shown)) < 1


def test_all_planes_of_a_turned_file_are_upright(tmp_path: Path) -> None:
    path, turned = plain(tmp_path), tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", "90", "-i", path, "-c", "copy", turned)
    with decode.opened(path) as a, decode.opened(turned) as b:
        for x, y in zip(a.frames(), b.frames(), strict=True):
            for one, other in zip((x.luma, x.u, x.v), (y.luma, y.u, y.v), strict=True):
                assert np.array_equal(np.rot90(one), other)


FORMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "10 bits": ({"pix_fmt": "yuv420p10le"}, {"bit_depth": 10}),
    "PQ": (
        {
            "pix_fmt": "yuv420p10le",
            "options": {"color_trc": "smpte2084", "x264-params": "transfer=smpte2084"},
        },
        {"bit_depth": 10, "transfer": 16},
    ),
    "4:4:4": ({"pix_fmt": "yuv444p"}, {"bit_depth": 8}),
    "full range": ({"pix_fmt": "yuvj420p"}, {"bit_depth": 8}),
    "interlaced": ({"options": {"x264-params": "tff=1"}}, {"bit_depth": 8}),
    "MPEG-4": (
        {"codec": "mpeg4", "options": {"qscale": "1", "flags": "+qscale", "global_quality": "118"}},
        {},
    ),
}


@pytest.mark.parametrize(("how", "facts"), FORMS.values(), ids=FORMS.keys())
def test_another_form_gives_the_same_pictures(
    tmp_path: Path, how: dict[str, Any], facts: dict[str, Any]
) -> None:
    """To what the encoder and rounding leave: under one and a half levels of 255, where the range alone makes nine."""
    other = write(tmp_path / "other.mp4", frames(), crf=8, **how)
    assert apart(lumas(other), lumas(plain(tmp_path))) < 1.5
    found = video(other)
    assert (found.width, found.height, found.n_frames) == (WIDTH, HEIGHT, N)
    for name, value in facts.items():
        assert getattr(found, name) == value


def test_full_range_would_be_told_if_it_were_not_converted(tmp_path: Path) -> None:
    """The samples in the file are others: the test above is not blind."""
    full = write(tmp_path / "full.mp4", frames(), crf=8, pix_fmt="yuvj420p")
    with av.open(str(full)) as file:
        raw = [
            np.frombuffer(f.planes[0], np.uint8).reshape(-1, f.planes[0].line_size)
            for f in file.decode(video=0)
        ]
        raw = [f[:HEIGHT, :WIDTH] for f in raw]
    assert apart(raw, lumas(plain(tmp_path))) > 4


FULL: dict[str, tuple[str, list[str]]] = {
    "VP9": (
        "yuv420p",
        ["-c:v", "libvpx-vp9", "-crf", "4", "-b:v", "0", "-cpu-used", "8", "-deadline", "realtime"],
    ),
    "10 bits": ("yuv420p10le", ["-c:v", "libx264", "-crf", "4", "-pix_fmt", "yuv420p10le"]),
    "4:2:0": ("yuvj420p", ["-c:v", "libx264", "-crf", "4", "-pix_fmt", "yuvj420p"]),
}


@pytest.mark.parametrize(("pixels", "how"), FULL.values(), ids=FULL.keys())
def test_full_range_is_converted_in_luma_and_chroma(tmp_path: Path, pixels: str, how: list[str]) -> None:
    """VP9 and 10 bits have one pixel format for both ranges: only the tag tells."""
    path, full = plain(tmp_path), tmp_path / "full.mkv"
    wider = "scale=in_range=limited:out_range=full"
    ffmpeg("-color_range", "tv", "-i", path, "-vf", wider, "-color_range", "pc", *how, full)
    with av.open(str(full)) as file:
        assert next(file.decode(video=0)).format.name == pixels
    with decode.opened(path) as a, decode.opened(full) as b:
        planes = [
            ([x.luma.copy(), x.u.copy(), x.v.copy()], [y.luma.copy(), y.u.copy(), y.v.copy()])
            for x, y in zip(a.frames(), b.frames(), strict=True)
        ]
    for k in range(3):
        assert apart([x[k] for x, _ in planes], [y[k] for _, y in planes]) < 1.2
    spread = np.array([[p.astype(float).std() for p in side] for pair in planes for side in pair])
    ratio = spread[1::2].mean(0) / spread[::2].mean(0)
    assert ratio == pytest.approx(1, abs=0.03)  # unconverted: 1.16 and 1.14


@pytest.mark.parametrize(
    ("name", "how"), [("odd.mp4", {"pix_fmt": "yuv444p"}), ("odd.mkv", {"codec": "ffv1"})]
)
def test_odd_sides_keep_their_last_line(tmp_path: Path, name: str, how: dict[str, Any]) -> None:
    """The inner part is that of the plain film; the chroma is rounded up."""
    width, height = WIDTH + 1, HEIGHT + 1
    made = [view(CANVAS, width, height, dx=2.0 * i) for i in range(N)]
    path = write(tmp_path / name, made, crf=8, **how)
    found = video(path)
    assert (found.width, found.height) == (width, height)
    even = write(tmp_path / "even.mp4", [f[:HEIGHT, :WIDTH] for f in made], crf=8)
    assert apart([f[:HEIGHT, :WIDTH] for f in lumas(path)], lumas(even)) < 1.5
    with decode.opened(path) as reader:
        frame = next(reader.frames())
        assert frame.u.shape == frame.v.shape == ((height + 1) // 2, (width + 1) // 2)


def test_the_times_of_uneven_frames_are_those_of_the_file(tmp_path: Path) -> None:
    """Video.times and the frames' own times, from the first frame on."""
    stamps = [100 + 40 * i + (25 if i % 4 == 3 else 0) for i in range(N)]
    path = plain(tmp_path, times=lambda i: stamps[i])
    expected = [(s - stamps[0]) / 1000 for s in stamps]
    assert video(path).times == pytest.approx(expected, abs=2e-3)
    with decode.opened(path) as reader:
        assert [f.time for f in reader.frames()] == pytest.approx(expected, abs=2e-3)


def test_a_clip_of_one_frame_is_a_clip(tmp_path: Path) -> None:
    path = plain(tmp_path, 1)
    assert video(path).times == (0.0,)
    assert apart(lumas(path), lumas(plain(tmp_path, 3))[:1]) < 1.5


def test_frames_that_the_edit_list_hides_are_neither_counted_nor_shown(tmp_path: Path) -> None:
    """Cut without encoding: the file holds frames from the key frame on, and shows fewer."""
    path, cut = plain(tmp_path, 24, options={"g": "24", "bf": "2"}), tmp_path / "cut.mp4"
    ffmpeg("-ss", "0.25", "-i", path, "-c", "copy", cut)
    with av.open(str(cut)) as file:
        stored = sum(1 for packet in file.demux(video=0) if packet.size)
    found = video(cut)
    assert found.n_frames == 18 < stored
    assert found.times[0] == 0
    assert found.times[-1] == pytest.approx(17 / 24, abs=2e-3)
    assert apart(lumas(cut), lumas(path)[6:]) == 0


def test_of_two_films_in_a_file_the_first_is_read(tmp_path: Path) -> None:
    other = write(tmp_path / "other.mp4", [texture(128, 64, 2)] * 30)
    both = tmp_path / "both.mp4"
    ffmpeg("-i", plain(tmp_path), "-i", other, "-map", "0", "-map", "1", "-c", "copy", both)
    assert video(both).n_frames == N
    assert apart(lumas(both), lumas(tmp_path / "plain.mp4")) == 0


@pytest.mark.parametrize("faststart", [False, True])
def test_a_cover_picture_is_not_the_film(tmp_path: Path, faststart: bool) -> None:
    """As phones and shops put one in; it is a video stream too."""
    cover = tmp_path / "cover.jpg"
    Image.fromarray(texture(64, 64)).save(cover)
    path, both = plain(tmp_path), tmp_path / "both.mp4"
    ffmpeg(
        "-i", path, "-i", cover, "-map", "0", "-map", "1", "-c", "copy", "-disposition:v:1", "attached_pic",
        *(["-movflags", "+faststart"] if faststart else []), both,
    )  # fmt: skip
    with av.open(str(both)) as file:
        assert len(file.streams.video) == 2
    assert video(both).n_frames == N
    assert apart(lumas(both), lumas(path)) == 0


def test_the_sound_is_counted_and_left_out(tmp_path: Path) -> None:
    path, both = plain(tmp_path), tmp_path / "both.mp4"
    ffmpeg("-i", path, "-i", sound(tmp_path / "sound.mp4", cover=False), "-c", "copy", both)
    found = video(both)
    assert found.n_audio == 1
    assert found.bit_rate == pytest.approx(video(path).bit_rate, rel=0.01)
    assert apart(lumas(both), lumas(path)) == 0


@pytest.mark.parametrize("name", ["clip.webm", "clip.mkv", "clip.mov", "clip.avi"])
def test_other_containers_are_read_alike(tmp_path: Path, name: str) -> None:
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    options = (
        {"crf": "8", "b": "0", "cpu-used": "8", "deadline": "realtime"} if "vp9" in codec else {"bf": "0"}
    )
    path = write(tmp_path / name, frames(), crf=8, codec=codec, options=options)
    found = video(path)
    assert (found.n_frames, found.width, found.height) == (N, WIDTH, HEIGHT)
    assert apart(lumas(path), lumas(plain(tmp_path))) < 2.5
    assert found.faststart is (False if name.endswith("mov") else None)


def test_no_clip_is_ever_held_whole(tmp_path: Path) -> None:
    """A frame's planes may be let go: only the decoder's few are alive at a time."""
    alive: list[weakref.ref[decode.Frame]] = []
    with decode.opened(plain(tmp_path, 48)) as reader:
        for frame in reader.frames():
            alive.append(weakref.ref(frame))
            gc.collect(0)
            assert sum(ref() is not None for ref in alive) <= 2


@pytest.mark.parametrize(("k", "within"), [(1, 0), (2, 0.5), (3, 0.5), (4, 1), (6, 1)])
def test_small_is_the_mean_of_whole_blocks(k: int, within: float) -> None:
    """Whole numbers of pixels, the rest at the right and the bottom left out; rounded once, or once a halving."""
    rng = np.random.default_rng(0)
    luma = rng.integers(16, 235, (180 * k + k // 2, 320 * k + k - 1)).astype(np.uint8)
    half = np.full((181, 321), 128, np.uint8)
    frame = decode.Frame(0, 0.0, decode.Planes(luma, half, half), k)
    expected = luma[: 180 * k, : 320 * k].reshape(180, k, 320, k).mean((1, 3))
    assert frame.small.shape == expected.shape
    assert np.abs(frame.small - expected).max() <= within
