"""A finished file: its caption, its small stand-ins, and how a notebook shows it."""

from __future__ import annotations

import base64
import dataclasses
import os
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


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache folder, for this test."""
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name, **_: tmp_path / "cache" / name)
    return tmp_path / "cache" / "seedance-lab" / "views"


def test_a_file_without_a_study_has_its_poster_and_proxy_in_the_cache(video: Path, cache: Path) -> None:
    """The file's own folder is not ours to fill."""
    clip = Clip(path=video)
    assert clip.poster().startswith(b"\xff\xd8")
    assert clip.proxy()[4:8] == b"ftyp"
    assert sorted(p.suffix for p in cache.iterdir()) == [".jpg", ".mp4"]
    assert [p.name for p in video.parent.iterdir() if p.is_file()] == ["clip.mp4"]


def test_the_cache_goes_by_content(video: Path, cache: Path, tmp_path: Path) -> None:
    """A copy is not made again; another video of the same name is."""
    first = Clip(path=video).poster()
    twin = tmp_path / "twin.mp4"
    twin.write_bytes(video.read_bytes())
    assert Clip(path=twin).poster() == first
    assert len(list(cache.iterdir())) == 1
    mp4(video, width=90, height=160)
    assert Clip(path=video).poster() != first
    assert len(list(cache.iterdir())) == 2


def test_the_cache_is_bounded_and_the_oldest_go_first(
    video: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.mkdir(parents=True)
    for n in range(4):
        (cache / f"{n}.mp4").write_bytes(bytes(1000))
        os.utime(cache / f"{n}.mp4", (n, n))
    monkeypatch.setattr("seedance_lab.clip.CACHE_BYTES", 2000)
    Clip(path=video).poster()
    assert sorted(p.name for p in cache.glob("*.mp4")) == ["2.mp4", "3.mp4"]


def test_a_study_that_can_only_be_read_uses_the_cache(
    video: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said by a stand-in for the system's answer: tests may run as a user to whom everything is allowed."""
    views = tmp_path / "views"
    views.mkdir()
    monkeypatch.setattr("os.access", lambda path, _: Path(path) != views)
    clip = Clip(path=video, views=views)
    assert clip.proxy()[4:8] == b"ftyp"
    assert list(views.iterdir()) == []
    assert len(list(cache.iterdir())) == 1


def test_without_any_folder_to_write_to_it_is_made_each_time(
    video: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where the folder should be")
    assert Clip(path=video).proxy()[4:8] == b"ftyp"
    assert Clip(path=video).poster().startswith(b"\xff\xd8")


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


def test_the_html_of_a_file_that_is_gone_says_so(video: Path) -> None:
    """A cell whose last value is a clip must not end in a traceback."""
    video.unlink()
    shown = Clip(path=video)._repr_html_()
    assert "clip.mp4 is not a video that can be read" in shown
    assert "<video" not in shown


def test_the_html_of_a_codec_that_browsers_do_not_show_is_its_small_copy(
    video: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seedance_lab.media.SHOWN_BY_BROWSERS", frozenset({"vp9"}))
    clip = Clip(path=video)
    shown = clip._repr_html_()
    assert base64.b64encode(clip.proxy()).decode() in shown
    assert "the file is h264, which browsers do not show" in shown


def test_the_html_escapes_the_name(tmp_path: Path) -> None:
    """A file's name is whatever somebody called it."""
    shown = Clip(path=mp4(tmp_path / "<img onerror=x>.mp4"))._repr_html_()
    assert "<img" not in shown
    assert "&lt;img onerror=x&gt;.mp4" in shown


def test_a_file_name_has_no_colon_and_tells_keys_apart() -> None:
    names = {file_name(request(seed=seed).key) for seed in range(20)}
    assert len(names) == 20
    assert all(re.fullmatch(r"k1-[0-9a-f]{32}\.mp4", name) for name in names)
