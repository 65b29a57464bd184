"""The one widget class: a thin wire between a kernel and the scripts in `static/`.

They hold no state of their own: media and snapshots go as messages, because traits are written into every notebook that
a program executes, and 64 small clips would make it 86 MB. What decides anything is a plain class that holds one of
these (`Bridge`): attributes such as `log` or `_send` on a widget's own class break ipywidgets.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Literal, Protocol

from seedance_lab.errors import LabError
from seedance_lab.view.subshells import heard_aside

Kind = Literal["grid", "vote", "picture"]

STATIC = Path(__file__).parent / "static"
"""The built front end; it comes with the package."""


class Wire(Protocol):
    """What a bridge needs of a widget."""

    def send(self, content: Any, buffers: Any = None) -> None:
        """Send a message to every view."""

    def on_msg(self, callback: Any, remove: bool = False) -> None:
        """Call back with each message of a view: the widget, the message, its buffers."""


def lab_widget(kind: Kind, static_id: str = "") -> Any:
    """A new widget: an `anywidget.AnyWidget`.

    Args:
        kind: What its script draws.
        static_id: The views hide the plain sheet of this id for as long as they live; empty for none.

    Raises:
        LabError: The installation is incomplete.
    """
    return heard_aside(_widget_class(kind)(kind=kind, static_id=static_id))


def shown_as(widget: Any, plain: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Data and metadata of an output that is a view of this widget.

    Args:
        widget: From `lab_widget`, or any other of ipywidgets.
        plain: What stands in its place where no widget can be drawn.
    """
    made = widget._repr_mimebundle_()  # IPython's own protocol
    data, metadata = made if isinstance(made, tuple) else (made, {})
    return {**data, "text/plain": plain}, dict(metadata)


@functools.cache
def _widget_class(name: Kind) -> type[Any]:
    # Imported here: a script that plans and runs has no use for it.
    import anywidget
    import traitlets

    class LabWidget(anywidget.AnyWidget):
        _esm = _read(f"{name}.js")
        _css = _read(f"{name}.css")
        kind = traitlets.Unicode().tag(sync=True)
        static_id = traitlets.Unicode().tag(sync=True)

    # A page keeps one style for each class name, so two kinds of one name would take each other's.
    LabWidget.__name__ = f"{name.title()}Widget"
    return LabWidget


def _read(name: str) -> str:
    try:
        return (STATIC / name).read_text(encoding="utf-8")
    except OSError as error:
        raise LabError(
            f"{STATIC / name} is missing, so there is no living view. Install seedance-lab again; until then "
            "SEEDANCE_LAB_UI=static shows the plain one."
        ) from error
