"""The lower part of the panel: price, budget, what runs and how far it is, the code, and loading a plan."""

from __future__ import annotations

import html
import threading
from collections.abc import Callable
from typing import Any

from seedance_lab.errors import LabError
from seedance_lab.progress import bar_html
from seedance_lab.view import panel_said
from seedance_lab.view.control import PanelControl
from seedance_lab.view.fields import Problem
from seedance_lab.view.panel_making import Making, error_html, hint_html, put
from seedance_lab.view.panel_style import IGNORED_BY_MATHJAX

_STOPPED = {"stopping", "cancelling"}


class Bar:
    """Price, buttons and progress, bound to a control.

    Args:
        making: Makes widgets and keeps their errors.
        control: What is run.
        act: Does what a person asked for and shows what goes wrong with it.
        changed: Called after a change, to bring the whole panel up to date.
        run: Called when the button is pressed.
    """

    def __init__(
        self,
        making: Making,
        control: PanelControl,
        *,
        act: Callable[..., None],
        changed: Callable[[], None],
        run: Callable[[], None],
    ) -> None:
        self.control, self._making, self._act, self._changed = control, making, act, changed
        w = making.w
        self.engine, self.who = w.HTML(hint_html(panel_said.engine_text(control.study))), w.HTML()
        self.price, self.quoted, self.confirm = w.HTML(), w.HTML(), w.HTML()
        self.progress, self.message, self.code = w.HTML(), w.HTML(), w.HTML()
        self.budget = w.Text(
            description="Budget in dollars, for all of this study", placeholder="5", layout=making.wide()
        )
        self.budget.observe(self._set_budget, "value")
        self.ask = self._button("Ask for today's price", "refresh", self._quote)
        self.run = self._button("Run", "play", run, style="primary")
        self.pause = self._button("Pause", "pause", self._pause)
        self.stop = self._button("Stop", "stop", lambda: self._tell("stop"))
        self.stop.tooltip = "Begin nothing new; what is in flight is saved"
        self.cancel = self._button("Cancel", "times", lambda: self._tell("cancel"))
        self.cancel.tooltip = (
            "Stop, and ask the service to take back what is in flight; it may still be billed"
        )
        self.as_code = w.ToggleButton(description="As code", icon="code")
        self.as_code.observe(lambda _: act(self.refresh), "value")
        self.loading = w.ToggleButton(description="Load a plan", icon="folder-open")
        self.loading.observe(lambda _: act(self.refresh), "value")
        self._loader = self._load_box()
        self.box = self._layout()

    def _button(self, words: str, icon: str, do: Callable[[], None], style: str = "") -> Any:
        button = self._making.w.Button(description=words, icon=icon, button_style=style)
        button.on_click(lambda _: self._act(do))
        return button

    def _layout(self) -> Any:
        making, w = self._making, self._making.w
        parts = [making.classed(self.who, "sl-who"), making.classed(self.price, "sl-price")]
        if self.control.needs_confirm:
            parts.append(making.field("budget_usd", self.budget))
        if self.control.study.place.name != "local":
            parts += [making.classed(w.Box([self.ask]), "sl-buttons"), self.quoted]
        buttons = [self.run, self.pause, self.stop, self.cancel, self.as_code, self.loading]
        parts += [
            making.field("plan"),
            making.classed(self.confirm, "sl-asking"),
            making.classed(w.Box(buttons), "sl-buttons"),
            making.field("run"),
            self.message,
            self.progress,
            self._loader,
            self.code,
        ]
        return making.classed(w.VBox(parts), "sl-foot")

    def _load_box(self) -> Any:
        making, w = self._making, self._making.w
        self.pasted = w.Textarea(
            description="Code with lab.sweep(…), or a JSON request from the service's playground",
            placeholder='{"prompt": "…", "image_url": "https://…", "duration": "5"}',
            rows=4,
            layout=making.wide(),
        )
        self.load = self._button("Load this", "check", self._load)
        self.load_last = self._button("Load the study's last plan", "history", self._load_last)
        buttons = making.classed(w.Box([self.load, self.load_last]), "sl-buttons")
        return making.classed(w.VBox([making.field("load", self.pasted, buttons)]), "sl-load")

    # ── from the widgets ────────────────────────────────────────────────────────────────────────────────

    def _set_budget(self, change: Any) -> None:
        if not self._making.is_filling:
            self._act(self._budget, change["new"])

    def _budget(self, text: str) -> None:
        self.control.set(budget_usd=text)
        self._changed()

    def _pause(self) -> None:
        self._tell("resume" if self.control.running.phase == "paused" else "pause")

    def _tell(self, word: Any) -> None:
        # Shown without a lock that somebody may hold for long: it is heard, and that is seen at once.
        self.control.tell(word)
        self.show_buttons()
        self.show_progress()

    def _load(self) -> None:
        self._take(self.pasted.value)

    def _load_last(self) -> None:
        self._take(self.control.study)

    def _take(self, what: Any) -> None:
        try:
            self.control.load(what)
        except LabError as error:
            self._making.say("load", str(error))
            return
        self._making.say("load", "")
        with self._making.quietly():
            self.pasted.value = ""  # a copied command line may have a key in it
            self.loading.value = False
        self._changed()

    def _quote(self) -> None:
        """Ask for the price on a thread of its own: the service may take its time."""
        put(self.quoted, hint_html("Asking…"))

        def asked() -> None:
            try:
                put(self.quoted, f'<div class="{IGNORED_BY_MATHJAX}">{hint_html(self.control.quote())}</div>')
            except Exception as error:  # noqa: BLE001  # a thread has nobody to raise to
                said = str(error) if isinstance(error, LabError) else f"{type(error).__name__}: {error}"
                put(self.quoted, error_html(Problem(said)))

        threading.Thread(target=asked, name="seedance-lab price", daemon=True).start()

    # ── to the widgets ──────────────────────────────────────────────────────────────────────────────────

    def say(self, text: str) -> None:
        """Something went wrong that belongs to no field; empty takes it back."""
        put(self.message, error_html(Problem(text)) if text else "")

    def refresh(self) -> None:
        """Bring the widgets up to what the control says."""
        control = self.control
        put(self.price, _price_html(control))
        if self.budget.value != control.fields.budget_usd:
            self.budget.value = control.fields.budget_usd
        who = control.running.who
        put(self.who, f'<div class="sl-warn">{html.escape(who)}</div>' if who else "")
        self.show_buttons()
        self.show_progress()
        self._loader.layout.display = None if self.loading.value else "none"
        self._show_code()

    def show_buttons(self) -> None:
        """What can be pressed now."""
        control, phase = self.control, self.control.running.phase
        is_on = phase != "idle"
        self.pause.description, self.pause.icon = (
            ("Resume", "play") if phase == "paused" else ("Pause", "pause")
        )
        self.pause.tooltip = "Go on" if phase == "paused" else "Begin nothing new until you resume"
        self.pause.disabled = not is_on or phase in _STOPPED
        self.stop.disabled = not is_on or phase in _STOPPED
        self.cancel.disabled = not is_on or phase == "cancelling"
        if is_on and control.running.is_ours:
            self.run.disabled = True
            return
        question = control.confirm_text
        self.run.disabled = not control.can_run
        self.run.description, self.run.button_style = (
            ("Confirm", "warning") if question else ("Run", "primary")
        )
        asking = f'<div class="sl-ask {IGNORED_BY_MATHJAX}" role="alert"><b>{html.escape(question)}</b></div>'
        put(self.confirm, asking if question else "")

    def show_progress(self) -> None:
        """How far the run is."""
        snapshot = self.control.running.snapshot()
        put(self.progress, bar_html(snapshot) if snapshot else "")

    def _show_code(self) -> None:
        if not self.as_code.value:
            put(self.code, "")
            return
        try:
            code = html.escape(self.control.as_code())
            put(self.code, f'<pre class="sl-code" tabindex="0" aria-label="The plan as code">{code}</pre>')
        except (LabError, OSError) as error:
            put(self.code, error_html(Problem(str(error))))


def _price_html(control: PanelControl) -> str:
    notes = "".join(hint_html(note) for note in control.notes)
    return f'<div class="{IGNORED_BY_MATHJAX}"><b>{html.escape(control.price_text)}</b>{notes}</div>'
