"""Two files as a voter gets them: the same pictures, and nothing else that tells them apart."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest

from seedance_lab.clip import Clip
from seedance_lab.errors import ClipError
from seedance_lab.judging import blind

SECRET = "prompt: the boats drift apart; seed 4711"


def film(path: Path, *, n: int = 24, shade: int = 0, codec: str = "libx264", sound: bool = False) -> Clip:
    """A clip whose file says what it is, in every place where a file can say so."""
    with av.open(str(path), "w", options={"movflags": "use_metadata_tags"}) as sink:
        sink.metadata.update({"title": SECRET, "comment": SECRET, "seedance_lab": SECRET})
        stream = sink.add_stream(codec, rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.metadata.update({"handler_name": SECRET, "language": "deu"})
        if codec == "libx265":
            stream.options = {"x265-params": "log-level=none"}
        noise = np.random.default_rng(shade)
        tone = sink.add_stream("aac", rate=48_000) if sound else None
        for i in range(n):
            picture = noise.integers(0, 200, (48, 64, 3)).astype(np.uint8)
            picture[:, : 2 * i + 1] = shade
            sink.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
            if tone is not None:
                quiet = av.AudioFrame.from_ndarray(
                    np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
                )
                quiet.sample_rate = 48_000
                sink.mux(tone.encode(quiet))
        sink.mux(stream.encode(None))
        if tone is not None:
            sink.mux(tone.encode(None))
    return Clip(path=path, views=path.parent / "views")


def pictures(data: bytes | Path) -> list[bytes]:
    with av.open(io.BytesIO(data) if isinstance(data, bytes) else str(data)) as source:
        return [frame.to_ndarray(format="rgb24").tobytes() for frame in source.decode(video=0)]


def test_the_pictures_are_the_same_to_the_bit(tmp_path: Path) -> None:
    """A vote on how a clip looks must be about that clip, not about a copy of it."""
    left, right = film(tmp_path / "a.mp4"), film(tmp_path / "b.mp4", shade=90)
    found = blind.blinded(left, right)
    assert found.shown == "full"
    assert pictures(found.left) == pictures(left.path)
    assert pictures(found.right) == pictures(right.path)


def test_neither_name_nor_what_is_written_in_it_is_left(tmp_path: Path) -> None:
    clip = film(tmp_path / "k1-secret.mp4", sound=True)
    assert SECRET.encode() in clip.path.read_bytes(), "or this test tests nothing"
    found = blind.blinded(clip, film(tmp_path / "b.mp4"))
    for word in (SECRET, "4711", "k1-secret", "deu", str(tmp_path)):
        assert word.encode() not in found.left


def test_sound_is_left_out(tmp_path: Path) -> None:
    """One clip with sound and one without would tell which is which."""
    with av.open(io.BytesIO(blind.bare(film(tmp_path / "a.mp4", sound=True).path))) as source:
        assert [stream.type for stream in source.streams] == ["video"]


def test_both_are_of_one_length_which_is_a_whole_step(tmp_path: Path) -> None:
    short, long = film(tmp_path / "a.mp4", n=2), film(tmp_path / "b.mp4", n=48)
    assert short.path.stat().st_size < long.path.stat().st_size
    found = blind.blinded(short, long)
    assert len(found.left) == len(found.right)
    assert len(found.left) % 65_536 == 0
    assert len(pictures(found.left)) == 2, "players pass over the filling"


def test_the_index_is_in_front(tmp_path: Path) -> None:
    """So that a browser shows the first picture before it has the last byte."""
    data = blind.bare(film(tmp_path / "a.mp4").path)
    assert data.index(b"moov") < data.index(b"mdat")


def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    """No time of making in it."""
    path = film(tmp_path / "a.mp4").path
    assert blind.bare(path) == blind.bare(path)


def test_what_a_browser_cannot_show_is_shown_small_and_so_is_the_other(tmp_path: Path) -> None:
    """Mutant: only the HEVC file becomes a proxy, and anyone sees which is which."""
    left, right = film(tmp_path / "a.mp4", codec="libx265"), film(tmp_path / "b.mp4")
    found = blind.blinded(left, right)
    assert found.shown == "proxy"
    assert [one.codec for one in found.facts] == ["hevc", "h264"]
    for data in (found.left, found.right):
        with av.open(io.BytesIO(data)) as source:
            assert source.streams.video[0].codec_context.name == "h264"
    assert len(found.left) == len(found.right)


def test_a_file_that_is_gone_or_damaged_is_said_to_be(tmp_path: Path) -> None:
    good, gone, broken = (
        film(tmp_path / "a.mp4"),
        Clip(path=tmp_path / "b.mp4"),
        Clip(path=tmp_path / "c.mp4"),
    )
    broken.path.write_bytes(good.path.read_bytes()[:500])
    for bad in (gone, broken):
        with pytest.raises(ClipError):
            blind.blinded(good, bad)
        with pytest.raises(ClipError):
            blind.bare(bad.path)


@pytest.mark.parametrize("spare", [8, 9, 4000])
def test_filling_adds_one_box_to_the_byte(spare: int) -> None:
    told = blind.filled(b"data", 4 + spare)
    assert len(told) == 4 + spare
    assert told[:4] == b"data"
    assert told[4:12] == spare.to_bytes(4, "big") + b"free"
