"""Measures by learned networks: what they are shown and what is made of it; the networks themselves are stand-ins."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import seedance_lab as lab
from seedance_lab.clip import Clip
from seedance_lab.errors import MeasureError
from seedance_lab.image import load
from seedance_lab.measuring import networks
from seedance_lab.measuring.asked import Asked
from seedance_lab.measuring.catalog import FULL, STANDARD
from seedance_lab.measuring.jobs import Job, take
from seedance_lab.measuring.learned import MEASURES, consistency, square
from seedance_lab.measuring.spec import Bytes, Floats
from tests.conftest import REPO
from tests.measuring.films import measured, write

NEAR = 10
"""Levels: the films say nothing of their matrix, so that BT.601 is read as BT.709."""

NAMES = [m.name for m in MEASURES]


class Colours:
    """Embeds a picture by its mean colour and a text by the colour that it names."""

    def __init__(self) -> None:
        self.seen: list[Bytes] = []

    def images(self, pictures: Sequence[Bytes]) -> Floats:
        self.seen = list(pictures)
        means = np.stack([p.reshape(-1, 3).mean(axis=0) for p in pictures]) + 1e-9
        return means / np.linalg.norm(means, axis=1, keepdims=True)

    def text(self, text: str) -> Floats:
        return np.array({"red": [1.0, 0, 0], "green": [0, 1.0, 0], "blue": [0, 0, 1.0]}[text])


@pytest.fixture
def colours(monkeypatch: pytest.MonkeyPatch) -> Colours:
    made = Colours()
    monkeypatch.setattr(networks, "clip", lambda: made)
    return made


def plain(colour: tuple[int, int, int], n: int) -> list[Bytes]:
    """Frames of one colour, given as RGB; films take BGR."""
    return [np.full((180, 320, 3), colour[::-1], np.uint8)] * n


def test_they_are_taken_only_when_they_are_named() -> None:
    assert not set(NAMES) & (STANDARD | FULL)
    assert set(lab.measures().query("tier == 'extra'")["name"]) == set(NAMES)


def test_a_prompt_is_held_against_eight_frames_from_all_over_the_clip(
    tmp_path: Path, colours: Colours
) -> None:
    film = write(tmp_path / "a.mp4", plain((255, 0, 0), 24) + plain((0, 0, 255), 24))
    red = measured(film, "clip_prompt", asked=Asked(prompt="red")).values["clip_prompt"]
    assert len(colours.seen) == 8
    assert [p[0, 0].argmax() for p in colours.seen] == [0] * 4 + [2] * 4
    assert red == pytest.approx(0.5, abs=0.02)


def test_what_clip_is_shown_has_the_colours_of_the_clip(tmp_path: Path, colours: Colours) -> None:
    colour = (200, 120, 40)
    measured(write(tmp_path / "a.mp4", plain(colour, 8)), "clip_prompt", asked=Asked(prompt="red"))
    assert colours.seen[0].shape == (networks.SIDE, networks.SIDE, 3)
    assert np.abs(colours.seen[0].reshape(-1, 3).mean(axis=0) - colour).max() <= NEAR


def test_the_middle_of_a_wide_picture_is_what_clip_sees() -> None:
    wide = np.zeros((180, 320, 3), np.uint8)
    wide[:, 70:250] = 255  # 180 px wide, in the middle
    assert square(wide).mean() > 250
    assert square(wide.transpose(1, 0, 2)).mean() > 250


def test_background_consistency_is_that_of_vbench_worked_by_hand() -> None:
    a, b, c = np.eye(3)
    half = (a + b) / np.sqrt(2)
    assert consistency(np.stack([a, a, a])) == pytest.approx(1)
    # To the one before and to the first: (cos 45° + cos 45°) / 2, then (cos 45° + 0) / 2.
    assert consistency(np.stack([a, half, b])) == pytest.approx((np.sqrt(0.5) + np.sqrt(0.5) / 2) / 2)
    assert consistency(np.stack([a, -a, c])) == 0  # what is below 0 counts as 0


def test_a_cut_lowers_the_consistency_of_a_clip(tmp_path: Path, colours: Colours) -> None:
    still = write(tmp_path / "still.mp4", plain((255, 0, 0), 12))
    cut = write(tmp_path / "cut.mp4", plain((255, 0, 0), 6) + plain((0, 0, 255), 6))
    name = "vb_background_consistency"
    assert measured(still, name).values[name] == pytest.approx(1, abs=1e-6)
    # Five frames like the first, then one that is like neither, and five that are like the one before them.
    assert measured(cut, name).values[name] == pytest.approx((5 + 0 + 5 * 0.5) / 11, abs=0.03)


def test_lpips_is_given_both_pictures_in_rgb_and_in_one_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Bytes, Bytes]] = []
    monkeypatch.setattr(networks, "lpips", lambda: lambda a, b: seen.append((a, b)) or 0.25)
    film = write(tmp_path / "a.mp4", plain((200, 120, 40), 4))
    asked = Asked(image=load(REPO / "data" / "harbour_dusk.jpg"))
    assert measured(film, "first_lpips", asked=asked).values["first_lpips"] == 0.25
    (reference, frame), shape = seen[0], (180, 320, 3)
    assert reference.shape == frame.shape == shape
    assert np.abs(frame.reshape(-1, 3).mean(axis=0) - (200, 120, 40)).max() <= NEAR
    assert reference.std() > 10


@pytest.mark.parametrize(
    ("name", "asked", "reason"),
    [
        ("first_lpips", Asked(), "no input picture was given"),
        ("last_lpips", Asked(), "no end image was given"),
        ("clip_prompt", Asked(), "nothing is known of the prompt"),
    ],
)
def test_what_was_not_asked_for_is_the_reason(tmp_path: Path, name: str, asked: Asked, reason: str) -> None:
    film = write(tmp_path / "a.mp4", plain((200, 120, 40), 4))
    assert measured(film, name, asked=asked).missing[name] == reason


@pytest.mark.parametrize(
    ("package", "load", "what"), [("lpips", "lpips", "LPIPS"), ("open_clip", "clip", "CLIP")]
)
def test_a_package_that_is_not_there_is_named_with_what_to_type(
    monkeypatch: pytest.MonkeyPatch, package: str, load: str, what: str
) -> None:
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace())
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        MeasureError, match=rf"{what} needs the package {package}.*pip install 'seedance-lab\[learned\]'"
    ):
        getattr(networks, load).__wrapped__()


def test_weights_that_cannot_be_fetched_are_the_reason_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fetch(**_: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "lpips", SimpleNamespace(LPIPS=fetch))
    with pytest.raises(
        MeasureError, match=r"the weights of LPIPS cannot be had .no route to host.*with a network"
    ):
        networks.lpips.__wrapped__()


def test_what_kept_a_network_from_loading_is_asked_for_once_only() -> None:
    calls = []

    @networks.once
    def load() -> None:
        calls.append(1)
        raise MeasureError("no route to host")

    for _ in range(3):
        with pytest.raises(MeasureError, match="no route to host"):
            load()
    assert len(calls) == 1


def test_a_reason_for_want_of_a_package_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = write(tmp_path / "a.mp4", plain((255, 0, 0), 8))

    def absent() -> None:
        raise MeasureError("CLIP is not here")

    name = "vb_background_consistency"
    monkeypatch.setattr(networks, "clip", absent)
    job = Job(Clip(path=film), frozenset({name}))
    assert take(job).failed == {name: "CLIP is not here"}
    monkeypatch.setattr(networks, "clip", Colours)
    assert take(job).values[name] == pytest.approx(1, abs=1e-6)
