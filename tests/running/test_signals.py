"""Stop, pause, resume, cancel, leave: who wakes, and who sleeps on."""

from __future__ import annotations

import asyncio

import pytest

from seedance_lab.running.signals import Left, Signals


def test_nothing_is_said_at_first() -> None:
    signals = Signals()
    assert not any([signals.stopping, signals.paused, signals.cancelling, signals.leaving])


def test_a_pause_ends_with_resume_stop_cancel_and_leave() -> None:
    for word in ("resume", "stop", "cancel", "leave"):
        signals = Signals()
        signals.pause()
        assert signals.paused
        getattr(signals, word)()
        assert not signals.paused
        assert signals.stopping == (word != "resume")


def test_a_stopped_pass_cannot_be_paused() -> None:
    signals = Signals()
    signals.stop()
    signals.pause()
    assert not signals.paused


def test_every_change_is_told() -> None:
    told = []
    signals = Signals(lambda: told.append(1))
    signals.pause()
    signals.resume()
    signals.stop()
    assert len(told) == 3


def _asleep(kind: str, *words: str, seconds: float = 3600) -> str:
    async def story() -> str:
        signals = Signals()
        sleeper = asyncio.create_task(getattr(signals, kind)(seconds))
        await asyncio.sleep(0)
        for word in words:
            getattr(signals, word)()
            for _ in range(5):
                await asyncio.sleep(0)
        if not sleeper.done():
            sleeper.cancel()
            return "asleep"
        return "left" if isinstance(sleeper.exception(), Left) else "awake"

    return asyncio.run(story())


@pytest.mark.parametrize("word", ["stop", "pause", "cancel"])
def test_a_nap_ends_at_any_change(word: str) -> None:
    assert _asleep("nap", word) == "awake"


def test_who_waits_for_a_clip_sleeps_through_stop_and_pause() -> None:
    """Looking earlier because nothing new begins would only be one more request."""
    assert _asleep("sleep", "pause", "resume", "stop") == "asleep"
    assert _asleep("sleep", "cancel") == "awake"


@pytest.mark.parametrize("kind", ["nap", "sleep"])
def test_leaving_ends_every_wait(kind: str) -> None:
    assert _asleep(kind, "leave") == "left"
    assert _asleep(kind, "stop", "leave") == ("awake" if kind == "nap" else "left")


@pytest.mark.parametrize("kind", ["nap", "sleep"])
def test_a_wait_that_begins_after_leaving_does_not_begin(kind: str) -> None:
    async def story() -> None:
        signals = Signals()
        signals.leave()
        with pytest.raises(Left):
            await getattr(signals, kind)(3600)

    asyncio.run(story())
