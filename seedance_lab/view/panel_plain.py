"""A panel where no widget lives: what it was, how to get it again, and the same plan as code.

It stands in the notebook's file below the living panel, which hides it; it is all there is in a notebook that a
program executes, and, as text, in a terminal.
"""

from __future__ import annotations

import html

from seedance_lab.errors import LabError
from seedance_lab.view.control import PanelControl
from seedance_lab.view.fields import label
from seedance_lab.view.panel_style import IGNORED_BY_MATHJAX

AGAIN = (
    "This is what a panel showed; it does nothing without its kernel. Run its cell to have it again. That sends and "
    "costs nothing: what was made is in the study."
)
NEEDED = (
    "A panel needs a living notebook (JupyterLab, Notebook 7, VS Code, Colab). The code below does the same."
)


def text(control: PanelControl, *, lead: str = NEEDED) -> str:
    """The panel in a few lines, and its code.

    Args:
        control: What it shows.
        lead: The first sentence.
    """
    return "\n".join(
        [f"Panel of the study {control.study.folder}. {lead}", *_lines(control), "", _code(control)]
    )


def page(control: PanelControl, *, static_id: str = "", lead: str = AGAIN, below: str = "") -> str:
    """The same as HTML without style or script, fit for a notebook that is not trusted.

    Args:
        control: What it shows.
        static_id: By which a living panel hides it.
        lead: The first sentence.
        below: HTML that follows, such as the clips.
    """
    mark = f"sl-static-{static_id} " if static_id else ""
    lines = "".join(f"<div>{html.escape(line)}</div>" for line in _lines(control))
    name = html.escape(control.study.folder.name)
    return (
        f'<div class="{mark}{IGNORED_BY_MATHJAX}" style="font-size:13px;line-height:1.4">'
        f"<div><b>Panel of the study {name}</b></div><div>{html.escape(lead)}</div>{_table(control)}{lines}"
        f'<pre style="font-size:12px;margin:8px 0">{html.escape(_code(control))}</pre>{below}</div>'
    )


def _lines(control: PanelControl) -> list[str]:
    problems = [f"{label(name)}: {problem.text}" for name, problem in control.errors.items()]
    who = control.running.who
    return [control.price_text, *problems, *([who] if who else [])]


def _table(control: PanelControl) -> str:
    """What varies, a row each."""
    varying = control.plan.varying if control.plan else {}
    rows = "".join(
        f"<tr><td>{html.escape(label(name))}</td><td>{html.escape(_listed(values))}</td></tr>"
        for name, values in varying.items()
    )
    return f"<table>{rows}</table>" if rows else ""


def _listed(values: list[object]) -> str:
    told = ", ".join("random" if v is None else str(v) for v in values[:12])
    return told if len(values) <= 12 else f"{told}, … ({len(values):,} values)"


def _code(control: PanelControl) -> str:
    try:
        return control.as_code()
    except (LabError, OSError) as error:
        return str(error)
