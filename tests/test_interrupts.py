"""Ctrl-C is heard wherever the main thread happens to be, and a program's own handler is left alone."""

from __future__ import annotations

import contextlib
import signal
import threading

import pytest

from seedance_lab.interrupts import Interrupts, counted
from seedance_lab.progress import Reporter
from seedance_lab.study import _watch


class Words:
    """A run that is interrupted so often, by whoever throws, and notes what it was told."""

    def __init__(self, n: int) -> None:
        self.n, self.told, self.interrupted = n, list[str](), False

    def wait(self, _: float | None = None) -> bool:
        if self.n:
            self.n -= 1
            raise KeyboardInterrupt
        return True

    def snapshot(self) -> None:
        return None

    def stop(self) -> None:
        self.told.append("stop")

    def cancel(self) -> None:
        self.told.append("cancel")

    def leave(self) -> None:
        self.told.append("leave")


class InFinalizers(Words):
    """One whose interrupts come while the garbage collector is at work; it goes on for a few looks at most."""

    looks = 9

    def wait(self, _: float | None = None) -> bool:
        self.looks -= 1
        return self.looks < 0

    def snapshot(self) -> None:
        if self.n:
            self.n -= 1
            _Finalized()


class _Finalized:
    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)
        for _ in range(100):
            pass  # the signal's handler runs between two steps, here


@pytest.mark.parametrize("run", [Words, InFinalizers])
@pytest.mark.parametrize("words", [[], ["stop"], ["stop", "cancel"], ["stop", "cancel", "leave"]])
def test_each_interrupt_says_one_word_more(run: type[Words], words: list[str]) -> None:
    """The third one is thrown, once the run was told to leave."""
    interrupted = run(len(words))
    last = pytest.raises(KeyboardInterrupt) if "leave" in words else contextlib.nullcontext()
    with last:
        _watch(interrupted, Reporter())  # type: ignore[arg-type]
    assert interrupted.told == words
    assert interrupted.interrupted is bool(words)


def test_each_interrupt_is_thrown_once_and_where_it_is_asked_for() -> None:
    with counted() as interrupts:
        interrupts.check()
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                interrupts.check()
        interrupts.check()


def test_afterwards_python_throws_them_again() -> None:
    with counted():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(ZeroDivisionError), counted():
        _ = 1 / 0
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_of_the_programs_own_decides() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    try:
        with counted() as interrupts:
            signal.raise_signal(signal.SIGINT)
            interrupts.check()
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [signal.SIGINT]


def test_in_another_thread_nothing_is_changed() -> None:
    seen: list[object] = []

    def inside() -> None:
        with counted() as interrupts:
            seen.extend((type(interrupts), signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert seen == [Interrupts, signal.default_int_handler]
