"""How the panel's widgets are made and filled: room for errors below each, and what the program sets is no typing."""

from __future__ import annotations

import contextlib
import html
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from seedance_lab.view.fields import Problem


class Making:
    """Makes widgets, and knows whose error goes where. Filling is done by one thread at a time."""

    def __init__(self) -> None:
        # Imported here: a terminal never makes a widget.
        import ipywidgets

        self.w: Any = ipywidgets
        self.lock = threading.RLock()
        self.errors: dict[str, Any] = {}
        """What is wrong, by field."""
        self._own: dict[str, str] = {}
        self._filler: int | None = None

    def field(self, name: str, *widgets: Any) -> Any:
        """Widgets with room for what is wrong with them."""
        self.errors[name] = self.w.HTML()
        return self.classed(self.w.VBox([*widgets, self.errors[name]]), "sl-field")

    def classed(self, widget: Any, name: str) -> Any:
        """The widget, with a class for the style."""
        widget.add_class(name)
        return widget

    def wide(self) -> Any:
        """A layout of its own: widgets that share one are hidden together."""
        return self.w.Layout(width="auto")

    def say(self, name: str, text: str) -> None:
        """What went wrong with a field just now, until it is changed; empty takes it back."""
        with self.lock:
            before, self._own[name] = self._own.get(name, ""), text
            if text or before:
                put(self.errors[name], error_html(Problem(text)) if text else "")

    def show_errors(self, problems: Mapping[str, Problem]) -> None:
        """Put each problem below its field."""
        for name, widget in self.errors.items():
            own = self._own.get(name, "")
            problem = problems.get(name) or (Problem(own) if own else None)
            put(widget, error_html(problem) if problem else "")

    @contextlib.contextmanager
    def quietly(self) -> Iterator[None]:
        """What is set in here does not come back as if a person had typed it."""
        with self.lock:
            before, self._filler = self._filler, threading.get_ident()
            try:
                yield
            finally:
                self._filler = before

    @property
    def is_filling(self) -> bool:
        """Whether this thread is in `quietly`; what a person types meanwhile comes from another one."""
        return self._filler == threading.get_ident()


def put(widget: Any, value: str) -> None:
    """Set an HTML widget's text; an empty one takes no room."""
    if widget.value != value:
        widget.value = value
    widget.layout.display = None if value else "none"


def error_html(problem: Problem) -> str:
    """What is wrong; what is only missing is no alarm."""
    if problem.missing:
        return hint_html(problem.text)
    return f'<div class="sl-error" role="alert">{html.escape(problem.text)}</div>'


def hint_html(text: str) -> str:
    """A line in small print."""
    return f'<div class="sl-hint">{html.escape(text)}</div>' if text else ""
