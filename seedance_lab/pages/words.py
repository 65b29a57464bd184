"""What is said of a cell, a heading and a whole grid: the same words in every picture of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from seedance_lab.media import SHOWN_BY_BROWSERS
from seedance_lab.pages.places import Places

_LIVE = {"waiting", "queued", "running"}
_WORDLESS = {"prompt", "file"}


def is_live(state: str) -> bool:
    """Whether the cell may still get a clip."""
    return state in _LIVE


def setting(places: Places, name: str, value: Any) -> tuple[str, str]:
    """A setting's name and its value for people; the name is empty where the value says it."""
    column = places.columns.get(name, {})
    return ("" if name in _WORDLESS else str(column.get("label") or name), places.label(name, value))


def told(places: Places, name: str, value: Any) -> str:
    """`duration 5 s`, as one text."""
    return " ".join(part for part in setting(places, name, value) if part)


def counts(places: Places, unread: int = 0) -> str:
    """`12 clips · 2 failed · 3 hidden`.

    Args:
        places: The cells.
        unread: How many of those that the snapshot takes for saved could not be read.
    """
    states = Counter(cell["state"] for cell in places.cells)
    n = states.pop("saved", 0) - unread
    states["unreadable"] += unread
    parts = [f"{n:,} clip{'s' if n != 1 else ''}", *(f"{k:,} {state}" for state, k in states.items() if k)]
    if places.n_hidden:
        parts.append(f"{places.n_hidden:,} hidden")
    return " · ".join(parts)


def same(places: Places) -> list[tuple[str, str]]:
    """Name and value of what is the same everywhere, but for what nobody asked for."""
    return [
        setting(places, name, value)
        for name, value in places.constant.items()
        if name not in _WORDLESS and not (name == "replicate" and not value) and value is not None
    ]


def caption(places: Places, cell: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the headings do not say of this cell."""
    settings = cell["settings"]
    return [setting(places, name, settings[name]) for name in places.rest if name in settings]


def facts(cell: Mapping[str, Any]) -> str:
    """Latency, dollars, and the seed that came back where it is not the one asked for."""
    values, parts = cell.get("values", {}), []
    if is_live(cell["state"]):
        return ""  # nothing is known yet, and nothing is spent for sure
    if (latency := values.get("latency_s")) is not None:
        parts.append(f"{latency:.1f} s to make")
    if "cost_usd" in values:
        cost = values["cost_usd"]
        parts.append("cost unknown" if cost is None else f"${cost:.2f}")
    seed = values.get("returned_seed")
    if seed is not None and seed != cell["settings"].get("seed"):
        parts.append(f"seed {seed} came back")
    return " · ".join(parts)


def rating(cell: Mapping[str, Any]) -> str:
    """Stars, tags and note; empty where there are none."""
    rated = cell.get("rating") or {}
    stars = int(rated.get("stars") or 0)
    parts = [f"{'★' * stars}{'☆' * (5 - stars)} {stars} of 5"] if stars else []
    parts += [f"#{tag}" for tag in rated.get("tags") or ()]
    parts += [rated["note"]] if rated.get("note") else []
    return " · ".join(parts)


def name_of(places: Places, cell: Mapping[str, Any]) -> str:
    """What a screen reader says of the clip: its title, else its settings."""
    if title := cell.get("title"):
        return str(title)
    return ", ".join(told(places, name, value) for name, value in cell["settings"].items())


def plays(cell: Mapping[str, Any]) -> bool:
    """Whether browsers show the file itself, as far as is known."""
    return not cell.get("codec") or cell["codec"] in SHOWN_BY_BROWSERS


def codec_note(cell: Mapping[str, Any]) -> str:
    """A sentence where most browsers do not show the file itself."""
    if plays(cell):
        return ""
    return f"The file is {cell['codec']}, which most browsers do not show; its small copy is H.264."
