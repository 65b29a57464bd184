"""A collector on a thread of its own sees what it would have seen otherwise."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from seedance_lab.measuring import aside, cores, decode, one_pass
from seedance_lab.measuring.asked import Asked
from seedance_lab.measuring.decode import Frame
from seedance_lab.measuring.parts import Part
from seedance_lab.measuring.spec import Found, Measure
from tests.measuring.films import texture, view, write

MEASURE = Measure(name="sum_of_small", unit="", doc="A sum that depends on the order", group="picture")


class Sums:
    """Adds up, each frame by its place; fails at one if told to."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.total, self._fails_at = 0.0, fails_at
        self.threads: set[str] = set()

    def see(self, frame: Frame) -> None:
        if frame.index == self._fails_at:
            raise ZeroDivisionError("planted")
        self.threads.add(threading.current_thread().name)
        self.total += float(frame.small.mean()) * (frame.index + 1) + frame.time

    def found(self) -> Found:
        return Found({"sum_of_small": self.total}, {}, {})


@pytest.fixture
def film(tmp_path: Path) -> Path:
    canvas = texture(800, 600)
    return write(tmp_path / "clip.mp4", [view(canvas, 640, 384, dx=3 * i) for i in range(30)])


def measured(film: Path, *, is_aside: bool) -> tuple[float, set[str]]:
    sums = Sums()
    part = Part((MEASURE,), lambda *_: sums, aside=is_aside)
    found = one_pass.measured(film, Asked(), frozenset({"sum_of_small"}), [part])
    return found.values["sum_of_small"], sums.threads


def test_it_sees_every_frame_in_order_on_another_thread(film: Path) -> None:
    here, mine = measured(film, is_aside=False)
    there, other = measured(film, is_aside=True)
    assert here == there > 0
    assert mine == {threading.current_thread().name} != other
    assert len(other) == 1


@pytest.mark.parametrize(
    ("share", "is_aside", "threads"), [("1", True, 1), ("2", True, 1), ("2", False, 2), ("8", True, 7)]
)
def test_the_decoder_leaves_a_core_to_what_is_aside(
    film: Path, monkeypatch: pytest.MonkeyPatch, share: str, is_aside: bool, threads: int
) -> None:
    told: list[int] = []
    opened = decode.opened

    def spied(path: Path, *, threads: int) -> Any:
        told.append(threads)
        return opened(path, threads=threads)

    monkeypatch.setenv(cores.SHARE, share)
    monkeypatch.setattr(decode, "opened", spied)
    measured(film, is_aside=is_aside)
    assert told == [threads]


def test_what_it_raises_is_raised_where_the_frames_come_from(film: Path) -> None:
    """And its thread ends."""
    part = Part((MEASURE,), lambda *_: Sums(fails_at=3), aside=True)
    with pytest.raises(ZeroDivisionError, match="planted"):
        one_pass.measured(film, Asked(), frozenset({"sum_of_small"}), [part])
    assert not [t for t in threading.enumerate() if t.name == "seedance_lab aside"]


def test_a_file_that_breaks_off_ends_its_thread(film: Path) -> None:
    part = Part((MEASURE,), lambda *_: Sums(), aside=True)
    with decode.opened(film) as reader:
        one = aside.Aside(part.collector(reader.video, Asked(), frozenset({"sum_of_small"})))
        one.see(next(reader.frames()))
        one.close()
    assert not [t for t in threading.enumerate() if t.name == "seedance_lab aside"]


def test_a_reduced_frame_has_no_planes_left(film: Path) -> None:
    with decode.opened(film) as reader:
        frame = next(reader.frames())
        kept = frame.reduced()
        assert np.array_equal(kept.small, frame.small)
        assert (kept.index, kept.time, kept.luma.size) == (frame.index, frame.time, 0)


def test_a_pass_leaves_opencv_as_many_threads_as_it_had(film: Path) -> None:
    """Also when it fails, and when two are under way."""
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(2)
        inner = Part((MEASURE,), lambda *_: Nested(film))
        one_pass.measured(film, Asked(), frozenset({"sum_of_small"}), [inner])
        assert cv2.getNumThreads() == 2
        broken = Part((MEASURE,), lambda *_: Sums(fails_at=3))
        with pytest.raises(ZeroDivisionError):
            one_pass.measured(film, Asked(), frozenset({"sum_of_small"}), [broken])
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(before)


class Nested(Sums):
    """Measures another file in the middle of this one's pass."""

    def __init__(self, film: Path) -> None:
        super().__init__()
        self._film = film

    def see(self, frame: Frame) -> None:
        if frame.index == 0:
            measured(self._film, is_aside=False)
        assert cv2.getNumThreads() == 1
