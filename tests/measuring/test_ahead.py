"""Frames read ahead are the same ones, and their thread ends however the pass does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from seedance_lab.errors import ClipError
from seedance_lab.measuring import ahead, decode, one_pass
from seedance_lab.measuring.asked import Asked
from seedance_lab.measuring.decode import Frame, Planes
from seedance_lab.measuring.parts import Part
from seedance_lab.measuring.spec import Found, Measure
from tests.measuring.films import texture, view, write

MEASURE = Measure(name="n_seen", unit="", doc="Frames that came", group="picture")


def frames(n: int, asked: list[int], fails: BaseException | None = None) -> Iterator[Frame]:
    """So many of them; `asked` is told of each one that is asked for."""
    nothing = np.empty((0, 0), np.uint8)
    for index in range(n):
        asked.append(index)
        yield Frame(index, index / 24, Planes(nothing, nothing, nothing), 1)
    if fails is not None:
        raise fails


def readers() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "seedance_lab reading"]


def test_all_of_them_come_in_order_and_the_thread_ends() -> None:
    with ahead.read_ahead(frames(50, [])) as taken:
        assert [frame.index for frame in taken] == list(range(50))
    assert not readers()


def test_only_a_few_are_read_before_they_are_taken() -> None:
    """Else a long clip would be held whole."""
    asked: list[int] = []
    with ahead.read_ahead(frames(50, asked)) as taken:
        for frame in taken:
            assert len(asked) <= frame.index + 1 + ahead.WAITING
    assert len(asked) == 50


def test_who_stops_early_leaves_no_thread_behind() -> None:
    asked: list[int] = []
    with ahead.read_ahead(frames(1000, asked)) as taken:
        assert next(taken).index == 0
    assert not readers()
    assert len(asked) <= 2 + ahead.WAITING


@pytest.mark.parametrize(
    "error", [ClipError("it breaks off"), KeyboardInterrupt()], ids=["damage", "interrupt"]
)
def test_what_reading_raises_comes_after_the_frames_before_it(error: BaseException) -> None:
    seen: list[int] = []
    with pytest.raises(type(error)), ahead.read_ahead(frames(3, [], error)) as taken:
        seen.extend(frame.index for frame in taken)
    assert seen == [0, 1, 2]
    assert not readers()


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_a_pass_that_is_broken_off_leaves_no_thread_behind(
    tmp_path: Path, error: type[BaseException]
) -> None:
    canvas = texture(800, 600)
    film = write(tmp_path / "clip.mp4", [view(canvas, 640, 384, dx=3 * i) for i in range(30)])

    class Broken:
        def see(self, frame: Frame) -> None:
            if frame.index == 3:
                raise error

        def found(self) -> Found:
            return Found({}, {}, {})

    with pytest.raises(error):
        one_pass.measured(film, Asked(), frozenset({"n_seen"}), [Part((MEASURE,), lambda *_: Broken())])
    assert not readers()


def test_a_file_may_be_opened_again_at_once(tmp_path: Path) -> None:
    """The thread no longer reads when the file is closed."""
    canvas = texture(800, 600)
    film = write(tmp_path / "clip.mp4", [view(canvas, 640, 384, dx=3 * i) for i in range(30)])
    for n in range(8):
        with decode.opened(film) as reader, ahead.read_ahead(reader.frames()) as taken:
            assert [next(taken).index for _ in range(n)] == list(range(n))
