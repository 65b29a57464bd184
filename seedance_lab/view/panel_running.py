"""The run that a panel shows: its own, one that this kernel began elsewhere, or another kernel's."""

from __future__ import annotations

import time
from typing import Literal

from seedance_lab import run as runs
from seedance_lab.progress import Snapshot
from seedance_lab.run import Run
from seedance_lab.study import Study
from seedance_lab.view.study_source import StudySource

Phase = Literal["idle", "running", "paused", "stopping", "cancelling"]
Word = Literal["pause", "resume", "stop", "cancel"]

_PHASES: dict[Word, Phase] = {
    "pause": "paused",
    "resume": "running",
    "stop": "stopping",
    "cancel": "cancelling",
}
_SAID_S = 2.0
"""What was just said counts as heard for so long: the run's own loop takes a moment to notice it."""


class Running:
    """Who runs a study, and how far it is. All methods may be called from any thread.

    Args:
        study: The study.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self.current: Run | None = None
        """The run begun here last, or one that this kernel began elsewhere."""
        self.is_ours = False
        self.elsewhere = ""
        """How far another kernel is; empty where none runs it."""
        self._said: tuple[Phase, float] = ("idle", float("-inf"))

    @property
    def is_on(self) -> bool:
        """Whether a run of this kernel is under way."""
        return self.current is not None and not self.current.done

    def begun(self, run: Run) -> None:
        """It was begun here."""
        self.current, self.is_ours, self.elsewhere = run, True, ""
        self._said = ("idle", float("-inf"))

    def tell(self, word: Word) -> None:
        """Say it to the run; it counts as heard at once."""
        run = self.current
        if run is not None and not run.done:
            getattr(run, word)()
            self._said = (_PHASES[word], time.monotonic())

    @property
    def phase(self) -> Phase:
        """Where this kernel's run stands; what was just asked for counts as done."""
        run = self.current
        if run is None or run.done:
            return "idle"
        word, at_s = self._said
        state = run.state
        if word != "idle" and state != "cancelling" and time.monotonic() - at_s < _SAID_S:
            return word
        return "idle" if state == "done" else state

    def look(self) -> bool:
        """Take notice of what others do to the study; whether anything is other than before."""
        before = (self.current, self.elsewhere)
        if not self.is_on and (other := runs.under_way(self._study.folder)) is not None:
            self.current, self.is_ours = other, False
        self.elsewhere = ""
        if not self.is_on:
            live = StudySource(self._study).live()
            self.elsewhere = live["line"] if live["state"] else ""
        return before != (self.current, self.elsewhere)

    @property
    def who(self) -> str:
        """Who runs the study, where it is not this panel; empty where nobody else does."""
        if self.is_on:
            return "" if self.is_ours else "This kernel runs the study, begun in another panel or in a cell."
        return f"Another kernel runs this study: {self.elsewhere}." if self.elsewhere else ""

    @property
    def refusal(self) -> str:
        """Why nothing can be begun here now; empty where it can."""
        if not self.who:
            return ""
        here = "Wait for it, or press Stop" if self.is_on else "Wait for it, or stop it there"
        return f"{self.who} Nothing was sent. {here}; what it makes is shown here too."

    def snapshot(self) -> Snapshot | None:
        """How far this kernel's run is; None before the first one."""
        run = self.current
        if run is None:
            return None
        found = run.snapshot()
        return found if run.done else found._replace(state=self.phase)
