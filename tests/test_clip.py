"""A finished file: its caption, its small stand-ins, and how a notebook shows it."""

from __future__ import annotations

import base64
import dataclasses
import re
from pathlib import Path

import pytest

from seedance_lab.clip import Clip, file_name
from seedance_lab.errors import ClipError
from seedance_lab.record import Record
from seedance_lab.request import Request
from tests.assets.make import bmp, mp4


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return mp4(tmp_path / "clip.mp4")


@pytest.fixture
def kept(tmp_path: Path, video: Path) -> Clip:
    return Clip(path=video, views=tmp_path / "views")


def request(**settings: object) -> Request:
    return Request(image=bmp(), prompt="boats", **settings)


def recorded(seed: int) -> Record:
    return Record("k", {}, result={"video": {"url": "https://v3.fal.media/x.mp4"}, "seed": seed})


def test_a_file_without_a_study_is_titled_by_its_name(video: Path) -> None:
    clip = Clip(path=video)
    assert (clip.title, clip.key, clip.seed, clip.output_url) == ("clip.mp4", None, None, None)


def test_a_title_has_resolution_duration_and_seed(video: Path) -> None:
    clip = Clip(path=video, request=request(resolution="480p", duration=7, seed=3))
    assert clip.title == "480p · 7 s · seed 3"


def test_a_title_prefers_the_seed_that_the_service_used(video: Path) -> None:
    assert Clip(path=video, request=request(), record=recorded(0)).title.endswith("seed 0")


def test_a_title_never_says_seed_none(video: Path) -> None:
    assert "None" not in Clip(path=video, request=request()).title


def test_a_clip_has_its_requests_key_and_its_records_address(video: Path) -> None:
    asked = request(seed=3)
    clip = Clip(path=video, request=asked, record=recorded(3))
    assert (clip.key, clip.output_url) == (asked.key, "https://v3.fal.media/x.mp4")


def test_facts_are_the_files(video: Path) -> None:
    assert Clip(path=video).facts().n_frames == 12


def test_a_clip_is_frozen(video: Path) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Clip(path=video).path = Path("other.mp4")


def test_a_poster_is_made_once_and_read_again(kept: Clip) -> None:
    first = kept.poster()
    kept.path.unlink()
    assert kept.poster() == first


def test_a_proxy_is_made_once_and_read_again(kept: Clip) -> None:
    first = kept.proxy()
    kept.path.unlink()
    assert kept.proxy() == first


def test_posters_and_proxies_are_made_again_when_their_folder_was_deleted(kept: Clip) -> None:
    kept.poster()
    assert kept.views is not None
    for path in kept.views.iterdir():
        path.unlink()
    kept.views.rmdir()
    assert kept.poster().startswith(b"\xff\xd8")


def test_a_poster_needs_no_folder(video: Path) -> None:
    assert Clip(path=video).poster().startswith(b"\xff\xd8")
    assert [p.name for p in video.parent.iterdir()] == ["clip.mp4"]


def test_a_proxy_without_a_folder_is_refused_with_the_reason(video: Path) -> None:
    with pytest.raises(ClipError, match="belongs to no study"):
        Clip(path=video).proxy()


@pytest.mark.parametrize("door", ["facts", "poster", "proxy"])
def test_a_clip_whose_file_is_gone_is_a_clip_error(kept: Clip, door: str) -> None:
    kept.path.unlink()
    with pytest.raises(ClipError, match=r"clip\.mp4"):
        getattr(kept, door)()


def test_the_html_holds_the_file_itself(video: Path) -> None:
    shown = Clip(path=video)._repr_html_()
    data = re.search(r"data:video/mp4;base64,([^\"]+)", shown)
    assert data is not None
    assert base64.b64decode(data[1]) == video.read_bytes()


def test_the_html_escapes_the_name(tmp_path: Path) -> None:
    """A file's name is whatever somebody called it."""
    shown = Clip(path=mp4(tmp_path / "<img onerror=x>.mp4"))._repr_html_()
    assert "<img" not in shown
    assert "&lt;img onerror=x&gt;.mp4" in shown


def test_a_file_name_has_no_colon_and_tells_keys_apart() -> None:
    names = {file_name(request(seed=seed).key) for seed in range(20)}
    assert len(names) == 20
    assert all(re.fullmatch(r"k1-[0-9a-f]{32}\.mp4", name) for name in names)
