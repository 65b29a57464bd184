"""The progress display: it tells the truth, it is quiet, and it never harms the run."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from seedance_lab import frontend as frontends
from seedance_lab import progress
from seedance_lab.progress import Snapshot, bar_html, line_html, reporter, told

RUNNING = Snapshot(
    state="running", n_total=24, n_saved=7, n_before=2, n_failed=1, n_unknown=1, n_in_flight=4,
    cost_usd=1.234, free=False, elapsed_s=65.4, eta_s=125.0,
)  # fmt: skip
DONE = RUNNING._replace(state="done", n_saved=22, n_in_flight=0, eta_s=None)


class Kernel:
    def __init__(self, *, watched: bool) -> None:
        self._allow_stdin = watched


class Shell:
    def __init__(self, kernel: Kernel | None) -> None:
        self.kernel = kernel


class Display:
    """Stands for IPython's display and its handle."""

    def __init__(self) -> None:
        self.shown: list[dict[str, str]] = []
        self.updates: list[dict[str, str]] = []

    def __call__(self, bundle: dict[str, str]) -> Display:
        self.shown.append(bundle)
        return self

    def update(self, bundle: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.updates.append(bundle)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def no_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(frontends.ENV, raising=False)


@pytest.fixture
def display(monkeypatch: pytest.MonkeyPatch) -> Display:
    fake = Display()
    monkeypatch.setattr(progress, "_display", fake)
    return fake


@pytest.mark.parametrize(
    ("shell", "expected"),
    [
        (None, "text"),
        (Shell(None), "text"),
        (Shell(Kernel(watched=True)), "widget"),
        (Shell(Kernel(watched=False)), "static"),
    ],
)
def test_a_kernel_that_nobody_watches_is_told_from_one_with_a_browser(
    monkeypatch: pytest.MonkeyPatch, shell: Shell | None, expected: str
) -> None:
    """nbclient, papermill and nbmake allow no input; a widget there is dead weight in the saved file."""
    monkeypatch.setattr(frontends, "shell", lambda: shell)
    assert frontends.frontend() == expected


def test_the_environment_overrides_the_choice_and_nonsense_is_ignored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(frontends.ENV, "static")
    assert frontends.frontend() == "static"
    monkeypatch.setenv(frontends.ENV, "hologram")
    assert frontends.frontend() == "text"


def test_a_line_says_counts_dollars_and_times() -> None:
    assert told(RUNNING) == (
        "7 of 24 saved · 2 there before · 1 failed · 1 unknown · 4 in flight · $1.23 at list price · "
        "1 min 05 s · about 2 min 05 s left"
    )


def test_an_unknown_cost_is_never_shown_as_nothing() -> None:
    said = told(RUNNING._replace(cost_usd=None))
    assert "cost unknown" in said
    assert "$0" not in said


def test_a_free_engine_says_so() -> None:
    assert "$0.00, free engine" in told(RUNNING._replace(free=True, cost_usd=0.0))


def test_stopping_says_what_happens_to_what_is_in_flight() -> None:
    """A person who pressed stop must know that clips already paid for are not thrown away."""
    assert "stopping: 4 in flight will be saved" in told(RUNNING._replace(state="stopping"))
    assert "left" not in told(RUNNING._replace(state="stopping"))


def test_cancelling_does_not_promise_what_the_service_may_take_back() -> None:
    said = told(RUNNING._replace(state="cancelling"))
    assert "cancelling: 4 in flight asked back" in said
    assert "will be saved" not in said


def test_the_end_says_what_was_never_made() -> None:
    assert "3 not made" in told(DONE._replace(n_saved=19))
    assert "not made" not in told(DONE)


def test_a_plan_that_was_done_before_says_so() -> None:
    everything = DONE._replace(n_saved=24, n_before=24, n_failed=0, n_unknown=0)
    assert "all there before" in told(everything)


def test_the_bar_is_a_progressbar_with_its_state_in_words() -> None:
    drawn = bar_html(RUNNING)
    assert 'role="progressbar"' in drawn
    assert 'aria-valuenow="7"' in drawn
    assert told(RUNNING).split(" · ", maxsplit=1)[0] in drawn


def test_the_bar_takes_the_themes_colours_and_has_others_where_there_is_no_theme() -> None:
    drawn = bar_html(RUNNING)
    assert drawn.count("var(--jp-") == drawn.count("var(")
    assert all("," in part.split(")")[0] for part in drawn.split("var(--jp-")[1:])


def test_an_empty_plan_does_not_divide_by_zero() -> None:
    assert bar_html(DONE._replace(n_total=0, n_saved=0, n_before=0, n_failed=0, n_unknown=0))


def test_what_is_saved_with_the_notebook_survives_the_sanitiser() -> None:
    """An untrusted notebook loses styles with variables; the last line must not need them."""
    assert "var(" not in line_html(DONE)
    assert "style" not in line_html(DONE)


def test_the_notebooks_bar_is_replaced_at_most_four_times_a_second(display: Display) -> None:
    """Front ends drop messages when there are many."""
    clock = Clock()
    bar = progress._Bar(clock)
    for step in range(40):
        clock.now = step * 0.05
        bar.show(RUNNING._replace(elapsed_s=65 + step))
    assert len(display.shown) == 1
    assert len(display.updates) <= 8


def test_the_notebooks_bar_is_not_replaced_by_itself(display: Display) -> None:
    clock = Clock()
    bar = progress._Bar(clock)
    for clock.now in range(5):
        bar.show(RUNNING)
    assert len(display.shown) + len(display.updates) == 1


def test_the_end_is_shown_however_soon_it_comes(display: Display) -> None:
    clock = Clock()
    bar = progress._Bar(clock)
    bar.show(RUNNING)
    bar.close(DONE)
    assert display.updates[-1] == {"text/html": line_html(DONE), "text/plain": told(DONE)}


def test_a_notebook_that_nobody_watches_gets_one_output_at_the_end(
    monkeypatch: pytest.MonkeyPatch, display: Display
) -> None:
    monkeypatch.setenv(frontends.ENV, "static")
    report = reporter(enabled=True)
    for _ in range(50):
        report.show(RUNNING)
    report.close(DONE)
    assert len(display.shown) == 1
    assert display.updates == []


def test_a_log_gets_a_line_every_few_seconds_and_one_at_the_end() -> None:
    stream, clock = io.StringIO(), Clock()
    lines = progress._Lines(stream, clock)
    for second in range(120):
        clock.now = second / 10
        lines.show(RUNNING)
    lines.close(DONE)
    written = stream.getvalue().splitlines()
    assert written == [told(RUNNING), told(RUNNING), told(DONE)]


def test_a_terminal_is_left_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar goes away; the scrollback keeps what came of the run."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "60")
    screen = Screen()
    report = progress._Terminal(screen)
    report.show(RUNNING)
    report.close(DONE)
    assert screen.getvalue().rstrip().endswith(told(DONE))


@pytest.mark.parametrize(("term", "kind"), [("xterm", progress._Terminal), ("dumb", progress._Lines)])
def test_only_a_terminal_that_can_redraw_gets_a_bar(
    monkeypatch: pytest.MonkeyPatch, term: str, kind: type[Any]
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(sys, "stderr", Screen())
    assert isinstance(reporter(enabled=True)._inner, kind)


@pytest.mark.parametrize("broken", ["show", "close"])
def test_a_broken_display_does_not_end_the_run(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    """A closed stream, a front end that went away: the clips are paid for all the same."""

    def fails(bundle: dict[str, str]) -> None:
        raise OSError("nobody there")

    monkeypatch.setenv(frontends.ENV, "widget")
    monkeypatch.setattr(progress, "_display", fails)
    report = reporter(enabled=True)
    getattr(report, broken)(RUNNING)
    report.close(DONE)


def test_a_closed_stderr_is_taken_for_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    report = reporter(enabled=True)
    report.show(RUNNING)
    report.close(DONE)


def test_a_silent_reporter_shows_nothing(
    monkeypatch: pytest.MonkeyPatch, display: Display, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(frontends.ENV, "widget")
    report = reporter(enabled=False)
    report.show(RUNNING)
    report.close(DONE)
    assert display.shown == []
    assert capsys.readouterr() == ("", "")
