"""Blind votes in a notebook: two clips side by side, which is better, and nothing that tells what they are."""

from __future__ import annotations

import html
from typing import Any

from seedance_lab.errors import LabError
from seedance_lab.folder import StudyFolder
from seedance_lab.frontend import cell_number, frontend
from seedance_lab.judging.preferences import Preferences
from seedance_lab.view.bridge import Bridge
from seedance_lab.view.lab_widget import lab_widget, shown_as
from seedance_lab.view.sitting import QUESTION, Sitting


class Voting:
    """A sitting and its view. `vote` makes it, and shows it.

    Args:
        sitting: Whose votes.
    """

    def __init__(self, sitting: Sitting) -> None:
        self._sitting = sitting
        self._widget: Any = None
        self._bridge: Bridge | None = None
        self._shown_in: int | None = None

    @property
    def n_votes(self) -> int:
        """Votes of this sitting that hold."""
        return self._sitting.n_votes

    @property
    def warning(self) -> str | None:
        """Why MLflow has not got the votes; None when it has, or was not asked."""
        return self._sitting.warning

    def preferences(self) -> Preferences:
        """What all votes on this setting say so far; see `seedance_lab.preferences`."""
        return self._sitting.preferences()

    def show(self) -> None:
        """Show the pair; where there is no living page, how to get one."""
        where = frontend()
        if where == "text":
            print(self._elsewhere())  # noqa: T201  # a terminal is where this goes
            return
        # Only a notebook comes here, and it has IPython loaded.
        from IPython.display import display

        self._shown_in = cell_number()
        if where == "static":
            plain = self._elsewhere()
            display({"text/html": f"<div>{html.escape(plain)}</div>", "text/plain": plain}, raw=True)
            return
        if self._widget is None:
            self._widget = lab_widget("vote")
            self._bridge = Bridge(self._widget, snapshot=dict, handlers=self._sitting.handlers())
            self._sitting.begin(self._bridge)
        data, metadata = shown_as(self._widget, self._elsewhere())
        display(data, metadata=metadata, raw=True)

    def close(self) -> None:
        """Take the view away. The votes are kept, and `show` goes on with the same pair."""
        self._sitting.leave()
        if self._bridge is not None:
            self._bridge.close()
            self._widget.close()
            self._bridge = self._widget = None

    def __repr__(self) -> str:
        return repr(self._sitting)

    def _ipython_display_(self) -> None:
        """As a cell's value it is shown, unless that cell has shown it already."""
        if self._shown_in is None or self._shown_in != cell_number():
            self.show()

    def _elsewhere(self) -> str:
        """What stands where no votes can be given."""
        by = self._sitting.by
        return (
            f"Votes on {by}: {self._sitting.line}. {len(self._sitting.pool.pairs)} pairs wait. Voting needs a living "
            f"notebook (JupyterLab, Notebook 7, VS Code, Colab): run lab.vote(study, by={by!r}) there. "
            f"What the votes say: study.preferences({by!r})."
        )


def vote(
    study: StudyFolder,
    by: str,
    *,
    voter: str | None = None,
    n: int | None = None,
    question: str = QUESTION,
    seed: int | None = None,
) -> Voting:
    """Vote on blind pairs: two clips that differ in one setting alone, side by side, their settings hidden.

    Both have the same picture, seed and other settings; sides are drawn. Each vote is kept with the study at once; keys
    are on the buttons. The pair that tells most comes next, and the page says when it is decided or about how many more
    votes that takes. What was shown is told at the end, by `study.preferences(by)` at any time.

    Args:
        study: With clips.
        by: The setting to judge: `prompt`, `resolution`, `camera_fixed`, `seed`, ….
        voter: Who votes; the name of your account by default. Several people may vote, at the same time too.
        n: How many votes. If not given: until it is decided, or you saw each pair both ways round.
        question: What is asked, such as `"Which moves more naturally?"`.
        seed: To have the same pairs on the same sides again; drawn by default.

    Returns:
        The voting, which is shown already.

    Raises:
        LabError: There is no such setting, or no two clips differ in it alone. The message says what to run.
    """
    if not isinstance(study, StudyFolder):
        raise LabError(
            f"Votes are kept with a study, and {type(study).__name__} is none: "
            "lab.vote(lab.Study('studies/…'), by='prompt')."
        )
    voting = Voting(Sitting(study, by, voter=voter, n=n, question=question, seed=seed))
    voting.show()
    return voting
