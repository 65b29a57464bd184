"""How far a run or other work is: a bar in a notebook, a line in a terminal, a line now and then in a log.

A display must never harm what it shows: whatever goes wrong in here ends the display, not the run. The
notebook's bar is one output that is replaced, and only when its text changes: a front end drops messages
when there are many, and every replaced output of a saved notebook is a diff.
"""

from __future__ import annotations

import contextlib
import html
import os
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TextIO, TypeAlias

from seedance_lab.frontend import frontend

MOST_OFTEN_S = 0.25
"""Least time between two updates of the notebook's bar."""
LINE_EVERY_S = 5.0
"""Least time between two lines in a log."""


class Snapshot(NamedTuple):
    """How far a run is.

    Attributes:
        state: `running`, `paused`, `stopping` (nothing new begins), `cancelling` (what is at the service is asked
            back) or `done`.
        n_total: Requests of the plan.
        n_saved: Those with a clip, the ones that were there before included.
        n_before: Those that had one when the run began.
        n_failed: Refused, failed or taken back.
        n_unknown: Their answer was lost.
        n_in_flight: At the service now.
        cost_usd: Dollars of this pass; None when something of it is unknown.
        free: Whether the engine charges nothing.
        elapsed_s: Seconds since the run began.
        eta_s: Seconds that are probably left; None when nobody can tell.
        n_to_measure: Clips that are here and whose measures are not.
        verb: What is done to each request.
    """

    state: str
    n_total: int
    n_saved: int
    n_before: int
    n_failed: int
    n_unknown: int
    n_in_flight: int
    cost_usd: float | None
    free: bool
    elapsed_s: float
    eta_s: float | None
    n_to_measure: int = 0
    verb: str = "saved"


class Steps(NamedTuple):
    """How far work on many files is.

    Attributes:
        verb: What is done to each, such as `measured`.
        n_total: Files.
        n_before: Those that needed nothing.
        n_failed: Those that could not be read.
        elapsed_s: Seconds since it began.
        n_done: Those that are done now, the failed ones included.
        is_over: Whether nothing more is done.
        n_unknown, n_in_flight: As of a run; nothing here is either.
    """

    verb: str
    n_total: int
    n_before: int
    n_failed: int
    elapsed_s: float
    n_done: int = 0
    is_over: bool = False
    n_unknown: int = 0
    n_in_flight: int = 0

    @property
    def n_saved(self) -> int:
        """Those that came out well, the ones before included."""
        return self.n_before + self.n_done - self.n_failed

    @property
    def eta_s(self) -> float | None:
        """Seconds that are probably left; None when nobody can tell."""
        left = self.n_total - self.n_before - self.n_done
        return self.elapsed_s / self.n_done * left if self.n_done and not self.is_over else None

    def after(self, *, n_failed: int) -> Steps:
        """The same with one more done.

        Args:
            n_failed: How many of all could not be read.
        """
        return self._replace(n_done=self.n_done + 1, n_failed=n_failed)


Shown: TypeAlias = Snapshot | Steps


class Reporter:
    """Shows progress; this one shows nothing. Use it from one thread."""

    def show(self, snapshot: Shown) -> None:
        """Show how far it is; cheap enough to be called five times a second."""

    def close(self, snapshot: Shown) -> None:
        """Show how it ended."""


def reporter(enabled: bool) -> Reporter:
    """The reporter that suits whoever is looking; a silent one when `enabled` is false."""
    if not enabled:
        return Reporter()
    where = frontend()
    if where == "widget":
        return _Guard(_Bar())
    if where == "static":
        return _Guard(_Final())
    if _can_redraw(sys.stderr):
        return _Guard(_Terminal())
    return _Guard(_Lines(sys.stderr))


def told(snapshot: Shown) -> str:
    """The whole state in one line, for a log and for the notebook's plain text."""
    return " · ".join([_head(snapshot), *_facts(snapshot)])


def bar_html(snapshot: Shown) -> str:
    """The state as a bar and a line of text, in the colours of the notebook's theme.

    It is fit for a live output or a widget. What is saved with a notebook is `line_html`: the sanitiser of
    an untrusted notebook takes out what this is coloured with.
    """
    said = html.escape(told(snapshot), quote=True)
    left = max(1, snapshot.n_total)
    parts = "".join(
        f'<div style="width:{100 * n / left:.3f}%;background-color:{colour};transition:width .3s"></div>'
        for n, colour in (
            (snapshot.n_saved, "var(--jp-success-color1, #388e3c)"),
            (snapshot.n_failed, "var(--jp-error-color1, #d32f2f)"),
            (snapshot.n_unknown, "var(--jp-warn-color1, #f57c00)"),
            (snapshot.n_in_flight, "var(--jp-brand-color1, #2196f3);opacity:.45"),
        )
        if n
    )
    return (
        f'<div style="{_TEXT};max-width:640px">'
        f'<div role="progressbar" aria-label="Clips {snapshot.verb}" aria-valuemin="0" '
        f'aria-valuemax="{snapshot.n_total}" aria-valuenow="{snapshot.n_saved}" aria-valuetext="{said}" '
        'style="display:flex;height:8px;border-radius:4px;overflow:hidden;margin:4px 0;'
        f'background-color:var(--jp-layout-color2, rgba(128,128,128,.25))">{parts}</div>{_line(snapshot)}</div>'
    )


def line_html(snapshot: Shown) -> str:
    """The state as one line of plain HTML that survives the notebook's sanitiser."""
    return f"<div>{_line(snapshot)}</div>"


_TEXT = (
    "font:var(--jp-ui-font-size1, 13px)/1.5 var(--jp-ui-font-family, system-ui, sans-serif);"
    "color:var(--jp-ui-font-color1, inherit);font-variant-numeric:tabular-nums"
)


def _line(snapshot: Shown) -> str:
    facts = "".join(f" · {html.escape(fact)}" for fact in _facts(snapshot))
    return f"<b>{_head(snapshot)}</b>{facts}"


def _head(s: Shown) -> str:
    return f"{s.n_saved:,} of {s.n_total:,} {s.verb}"


def _facts(s: Shown) -> list[str]:
    facts = []
    if s.n_before:
        facts.append(f"{'all' if s.n_before == s.n_total else s.n_before} there before")
    if s.n_failed:
        facts.append(f"{s.n_failed:,} failed")
    if isinstance(s, Steps):
        return [*facts, _span(s.elapsed_s), *_left(s)]
    if s.n_unknown:
        facts.append(f"{s.n_unknown:,} unknown")
    if s.state == "paused":
        facts.append("paused")
    if s.state == "stopping":
        facts.append(f"stopping: {s.n_in_flight:,} in flight will be saved" if s.n_in_flight else "stopping")
    elif s.state == "cancelling":
        facts.append(f"cancelling: {s.n_in_flight:,} in flight asked back; what was begun is saved")
    elif s.n_in_flight:
        facts.append(f"{s.n_in_flight:,} in flight")
    missing = s.n_total - s.n_saved - s.n_failed - s.n_unknown
    if s.state == "done" and missing > 0:
        facts.append(f"{missing:,} not made")
    if s.n_to_measure:
        facts.append(f"{s.n_to_measure:,} being measured")
    facts.append(_cost(s))
    facts.append(_span(s.elapsed_s))
    return [*facts, *(_left(s) if s.state == "running" else [])]


def _left(s: Shown) -> list[str]:
    return [] if s.eta_s is None else [f"about {_span(s.eta_s)} left"]


def _cost(s: Snapshot) -> str:
    if s.free:
        return "$0.00, free engine"
    return "cost unknown" if s.cost_usd is None else f"${s.cost_usd:,.2f} at list price"


def _span(seconds: float) -> str:
    """`12 s`, `3 min 05 s`, `2 h 10 min`."""
    whole = round(max(0.0, seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class _Guard(Reporter):
    """Ends the display when it fails, so that the run goes on."""

    def __init__(self, inner: Reporter) -> None:
        self._inner = inner

    def show(self, snapshot: Shown) -> None:
        self._try(self._inner.show, snapshot)

    def close(self, snapshot: Shown) -> None:
        self._try(self._inner.close, snapshot)

    def _try(self, draw: Callable[[Shown], None], snapshot: Shown) -> None:
        try:
            draw(snapshot)
        except Exception:  # noqa: BLE001  # a closed stream or a broken front end must not end a paid run
            self._inner = Reporter()


class _Bar(Reporter):
    """One output of a notebook, replaced when its text changes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._handle: Any = None
        self._shown = ""
        self._next = clock()

    def show(self, snapshot: Shown) -> None:
        if self._clock() >= self._next:
            self._put(bar_html(snapshot), snapshot)

    def close(self, snapshot: Shown) -> None:
        self._put(line_html(snapshot), snapshot)

    def _put(self, drawn: str, snapshot: Shown) -> None:
        if drawn == self._shown:
            return
        bundle = {"text/html": drawn, "text/plain": told(snapshot)}
        if self._handle is None:
            self._handle = _display(bundle)
        else:
            self._handle.update(bundle, raw=True)
        self._shown = drawn
        self._next = self._clock() + MOST_OFTEN_S


class _Final(Reporter):
    """One output at the end: nobody watches, and the notebook's file stays small."""

    def close(self, snapshot: Shown) -> None:
        _display({"text/html": line_html(snapshot), "text/plain": told(snapshot)})


class _Terminal(Reporter):
    """One line on a terminal, redrawn in place."""

    def __init__(self, stream: TextIO | None = None) -> None:
        # rich costs a tenth of a second, and most runs in a notebook need none of it.
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
        from rich.table import Column

        self._bars = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=24),
            TextColumn(
                "{task.fields[told]}",
                markup=False,
                table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1),
            ),
            console=Console(file=stream or sys.stderr),
            auto_refresh=False,
            expand=True,
            transient=True,
        )
        self._task: Any = None

    def show(self, snapshot: Shown) -> None:
        if self._task is None:
            self._task = self._bars.add_task("", total=snapshot.n_total, told="")
            self._bars.start()
        self._bars.update(self._task, completed=snapshot.n_saved, told=told(snapshot))
        self._bars.refresh()

    def close(self, snapshot: Shown) -> None:
        # The bar goes away and leaves one line: what a terminal's scrollback should have.
        self._bars.stop()
        self._bars.console.print(told(snapshot), markup=False, highlight=False, soft_wrap=True)


class _Lines(Reporter):
    """A plain line every few seconds, and one at the end."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._next = clock() + LINE_EVERY_S

    def show(self, snapshot: Shown) -> None:
        if self._clock() >= self._next:
            self._write(snapshot)

    def close(self, snapshot: Shown) -> None:
        self._write(snapshot)

    def _write(self, snapshot: Shown) -> None:
        self._next = self._clock() + LINE_EVERY_S
        self._stream.write(f"{told(snapshot)}\n")
        self._stream.flush()


def _display(bundle: dict[str, str]) -> Any:
    """Show a bundle as an output that can be replaced; returns its handle."""
    from IPython.display import display  # only a notebook has it loaded already

    return display(bundle, raw=True, display_id=True)


def _can_redraw(stream: TextIO | None) -> bool:
    """Whether the stream is a terminal; a dumb one is as good as a file."""
    with contextlib.suppress(ValueError, OSError):  # a closed stream
        return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"
    return False
