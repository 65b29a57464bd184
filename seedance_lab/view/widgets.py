"""The panel: a sweep by hand, as widgets over `PanelControl`.

Two outputs, because a saved notebook forgets its widgets: the panel with the living grid in it, and below it the same
as plain HTML, which the living panel hides and which stays in the notebook's file. Widgets are made where they are
shown, so that a terminal never loads them.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from typing import Any

from seedance_lab.errors import LabError
from seedance_lab.frontend import frontend
from seedance_lab.run import Run
from seedance_lab.study import Study
from seedance_lab.view import panel_plain
from seedance_lab.view.control import PanelControl
from seedance_lab.view.grid import Grid
from seedance_lab.view.lab_widget import shown_as
from seedance_lab.view.panel_bar import Bar
from seedance_lab.view.panel_form import Form
from seedance_lab.view.panel_making import Making
from seedance_lab.view.panel_style import style_html
from seedance_lab.view.plain import PlainSheet, display
from seedance_lab.view.subshells import all_heard_aside

_TICK_S = 0.25


def panel(study: Study, *, in_flight: int | None = None, plan: Any = None, **defaults: Any) -> Panel:
    """Make a sweep by hand: controls, price, run, pause, stop, and the clips as they arrive.

    Put it last in a cell. In a notebook that nobody watches (papermill, nbmake) and in a terminal it says
    how to run the same plan in code. `panel(study).control.as_code()` is what was set by hand.

    Args:
        study: What runs the plan.
        in_flight: Requests at the service at a time.
        plan: What to begin with: a plan, code with a `lab.sweep(…)` in it, a JSON request copied from the service's
            playground, or a study, whose last plan it is. Code is read and not run.
        defaults: First values of the fields, as `sweep` takes them: `image`, `end_image`, `prompt`, `endpoint`,
            `resolution`, `aspect_ratio`, `duration`, `camera_fixed`, `seed`, `enable_safety_checker`, each a value,
            several, or a text form; `zip`, `repeat`, `rows`, `sample`, `method`, `sample_seed`; `where` as text,
            such as `"duration <= 5"`; and `budget_usd`.

    Raises:
        LabError: No such field, a value that has no place in it, or no plan.
    """
    return Panel(PanelControl(study, in_flight=in_flight, plan=plan, **defaults))


class Panel:
    """What `panel` gives back: shows itself when it is a cell's value.

    Attributes:
        control: State and decisions; `control.as_code()` is the plan as Python.
    """

    def __init__(self, control: PanelControl) -> None:
        self.control = control
        self._widgets: PanelWidgets | None = None

    @property
    def widgets(self) -> PanelWidgets:
        """The widgets, made at first use."""
        if self._widgets is None:
            self._widgets = PanelWidgets(self.control)
        return self._widgets

    def load(self, what: Any) -> Panel:
        """Take over a plan: code, a JSON request, a plan, requests, a study or its path. The budget stays.

        Raises:
            LabError: There is no plan in it that the panel can show. Nothing has changed.
        """
        self.control.load(what)
        if self._widgets is not None:
            self._widgets.refresh()
        return self

    def close(self) -> None:
        """Take the panel away. A run that is under way goes on."""
        if self._widgets is not None:
            self._widgets.close()
            self._widgets = None

    def _ipython_display_(self) -> None:
        where = frontend()
        if where == "widget":
            self.widgets.show()
            return
        if where == "static":
            html = panel_plain.page(self.control, lead=panel_plain.NEEDED)
            display({"text/html": html, "text/plain": repr(self)})
            return
        print(repr(self))  # noqa: T201  # a terminal is where this goes

    def __repr__(self) -> str:
        return panel_plain.text(self.control)


class PanelWidgets:
    """The widgets, bound to a control. All methods may be called from any thread.

    Attributes:
        box: The whole panel.
        form: The inputs.
        bar: Price, buttons, progress.
        grid: The clips below; None while there are none.
    """

    def __init__(self, control: PanelControl) -> None:
        self.control = control
        self._id = uuid.uuid4().hex[:12]
        self._following = threading.Lock()
        self.follower: threading.Thread | None = None
        self.grid: Grid | None = None
        self._grid_of: Any = None
        self._is_stale = False
        self._making = making = Making()
        self.form = Form(
            making, control, act=self._act, changed=self.refresh, beat=self.beat, static_id=self._id
        )
        self.bar = Bar(making, control, act=self._act, changed=self.refresh, run=self._run)
        self._results = making.classed(making.w.VBox(), "sl-results")
        parts = [
            making.w.HTML(style_html()),
            self.bar.engine,
            self.form.columns,
            self.form.foot,
            self.bar.box,
        ]
        self.box = making.classed(making.w.VBox([*parts, self._results]), "seedance-lab-panel")
        self._plain = PlainSheet(
            f"seedance-lab-panel-{self._id}",
            draw=lambda: self._page(with_clips=True),
            line=lambda: panel_plain.text(control, lead=panel_plain.AGAIN),
            early=lambda: self._page(with_clips=False),
        )
        self.refresh()

    # ── shown ───────────────────────────────────────────────────────────────────────────────────────────

    def show(self) -> None:
        """Show the panel, and below it what stays in the notebook's file."""
        display(*shown_as(self.box, panel_plain.text(self.control, lead=panel_plain.AGAIN)))
        self._plain.show()

    def refresh(self) -> None:
        """Bring the widgets up to what the control says."""
        with self._making.quietly():
            self.form.refresh()
            self.bar.refresh()
            self._making.show_errors(self.control.errors)
            all_heard_aside(self.box)
        self._is_stale = True
        self._show_clips()
        self._follow_others()

    def beat(self) -> None:
        """A page is seen: look what others do, and keep the plain page up to date; called every two seconds."""
        if self.control.look():
            self.refresh()
        self._follow_others()
        is_live = self.control.running.is_on or (self.grid is not None and self.grid.is_live)
        if self._is_stale and not is_live:
            self._is_stale = False
            threading.Thread(target=self._redraw, name="seedance-lab page", daemon=True).start()

    def close(self) -> None:
        """Take all of it away."""
        self.form.close()
        if self.grid is not None:
            self.grid.close()
        self.box.close()

    def _page(self, *, with_clips: bool) -> str:
        clips = self.grid.html() if with_clips and self.grid is not None else ""
        return panel_plain.page(self.control, static_id=self._id, below=clips)

    def _redraw(self) -> None:
        self._tried("The saved copy of this panel is not up to date", self._plain.redraw)

    def _show_clips(self) -> None:
        """Have the grid show the run that is shown here, else the study once there is anything in it."""
        with self._making.lock:
            what: Any = self.control.running.current
            if what is None and (self.control.study.folder / "journal.jsonl").exists():
                what = self.control.study
            if what is None or what is self._grid_of:
                return
            before, self._grid_of = self.grid, what
            self.grid = Grid.of(what)
            self.grid.on_change(self._clips_changed)
            self._results.children = [self.grid.widget]
        if before is not None:
            before.close()

    def _clips_changed(self, **_: Any) -> None:
        self._is_stale = True

    # ── acting ──────────────────────────────────────────────────────────────────────────────────────────

    def _act(self, do: Callable[..., Any], *args: Any) -> None:
        """Do what a person asked for; what goes wrong is shown, since a callback has no other place."""
        self.bar.say("")
        self._tried("", do, *args)

    def _tried(self, sorry: str, do: Callable[..., Any], *args: Any) -> None:
        try:
            do(*args)
        except Exception as error:  # noqa: BLE001  # it would vanish into the server's log
            said = str(error) if isinstance(error, LabError) else f"{type(error).__name__}: {error}"
            self.bar.say(f"{sorry}: {said}" if sorry else said)

    def _run(self) -> None:
        self.control.run()
        self.refresh()

    # ── while it runs ───────────────────────────────────────────────────────────────────────────────────

    def _follow_others(self) -> None:
        """Follow the run of this kernel that is under way, whoever began it."""
        run = self.control.running.current
        with self._following:
            if run is None or run.done or (self.follower is not None and self.follower.is_alive()):
                return
            self.follower = threading.Thread(
                target=self._follow, args=(run,), name="seedance-lab panel", daemon=True
            )
            self.follower.start()

    def _follow(self, run: Run) -> None:
        """Show how far the run is until it is over; this thread ends with it."""
        sorry = "The display failed, the run goes on"
        while not run.wait(_TICK_S):
            self._tried(sorry, self.bar.show_progress)
            self._tried(sorry, self.bar.show_buttons)
        self._tried(sorry, self.control.refresh)
        self._tried(sorry, self.refresh)
        self._redraw()
