"""What goes into which cell: clips, and what has none, by rows and columns of their settings.

Nothing is drawn here; the sheet and the terminal's table are two pictures of the same layout.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from seedance_lab.clip import Clip, file_name
from seedance_lab.errors import LabError, RequestError, near
from seedance_lab.plan import settings_of
from seedance_lab.record import Record
from seedance_lab.request import Request
from seedance_lab.run import Run
from seedance_lab.study import Study

MOST_COLUMNS = 8
"""Columns that are chosen without being asked for; more make a sheet that nobody can read."""

_SEEDS = ("seed", "replicate")
_LIVE = {"not sent": "waiting", "sending": "in flight", "accepted": "in flight", "finished": "in flight"}

Steps = tuple[Any, ...]
"""One value for each setting of an axis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One clip, or why there is none.

    Attributes:
        settings: By the API's names, pictures by theirs; just `file` for a clip that no study made.
        clip: None where there is none.
        stage: The last word of the journal, or `not sent`, `waiting`, `in flight`, `missing`.
        why: Why there is no clip, for people.
    """

    settings: Mapping[str, Any]
    clip: Clip | None = None
    stage: str = "saved"
    why: str = ""


class Axis(NamedTuple):
    """Settings that run down or across, and the combinations of them that occur.

    Attributes:
        names: From the outermost to the innermost.
        steps: In order; a single empty one when nothing runs along this axis.
    """

    names: tuple[str, ...]
    steps: tuple[Steps, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Entries by row and column.

    Attributes:
        entries: All, in the order given.
        rows, cols: The axes; both without names when the entries just follow one another.
        cells: Entries by (step of rows, step of cols); what is missing was never asked for.
        rest: Settings that vary and run along neither axis: each clip's caption says them.
        constant: Settings that are the same everywhere.
    """

    entries: tuple[Entry, ...]
    rows: Axis
    cols: Axis
    cells: Mapping[tuple[Steps, Steps], list[Entry]]
    rest: tuple[str, ...]
    constant: Mapping[str, Any]

    @property
    def n_clips(self) -> int:
        """Entries that have a clip."""
        return sum(e.clip is not None for e in self.entries)


def entries_of(what: Any) -> list[Entry]:
    """What there is to show of a clip, clips, a study, a run, or files.

    Raises:
        LabError: It is none of these.
    """
    if isinstance(what, Study):
        return _of_study(what)
    if isinstance(what, Run):
        return _of_run(what)
    several = [what] if isinstance(what, Clip | str | os.PathLike) else what
    if not isinstance(several, Iterable):
        raise LabError(
            f"There is no way to show a {type(what).__name__}. Give a study, a run, a clip, the path of an "
            "MP4, or a list of clips or paths."
        )
    return _told_apart([_of_item(item) for item in several])


def arrange(
    entries: Sequence[Entry],
    *,
    rows: str | Sequence[str] | None = None,
    cols: str | Sequence[str] | None = None,
) -> Layout:
    """Put entries into rows and columns.

    Args:
        entries: From `entries_of`.
        rows: Settings that run down, one or several; an empty sequence keeps the axis free.
        cols: Settings that run across, likewise. What is left out is chosen from what varies: seeds run
            down, the rest across.

    Raises:
        LabError: No such setting, or one that is named twice.
    """
    known = list(dict.fromkeys(name for entry in entries for name in entry.settings))
    values = {name: _ordered(entry.settings.get(name) for entry in entries) for name in known}
    varying = [name for name in known if len(values[name]) > 1]
    down, across = _names(rows, known, entries), _names(cols, known, entries)
    if twice := set(down or ()) & set(across or ()):
        raise LabError(f"{', '.join(sorted(twice))}: named both in rows and in cols; name it once.")
    down, across = _chosen(varying, values, down, across)
    cells: dict[tuple[Steps, Steps], list[Entry]] = {}
    for entry in entries:
        at = (_steps(entry, down), _steps(entry, across))
        cells.setdefault(at, []).append(entry)
    return Layout(
        entries=tuple(entries),
        rows=_axis(down, values, (r for r, _ in cells)),
        cols=_axis(across, values, (c for _, c in cells)),
        cells=cells,
        rest=tuple(name for name in varying if name not in {*down, *across}),
        constant={n: values[n][0] for n in known if n not in varying and n not in {*down, *across}},
    )


def label(name: str, value: Any) -> str:
    """A setting's value for people."""
    if value is None:
        return "random" if name == "seed" else "–"
    return f"{value} s" if name == "duration" else str(value)


def _of_study(study: Study) -> list[Entry]:
    entries = []
    for record in study.records().values():
        try:
            settings, clip = _known(record.request(study.folder)), study.clip_of(record)
        except (RequestError, KeyError, TypeError):
            settings, clip = _asked(record), None
            if record.stage == "saved":
                clip = Clip(path=study.folder / "clips" / file_name(record.key), record=record)
        if clip is not None:
            entries.append(Entry(settings=settings, clip=clip))
        elif record.stage == "saved":
            entries.append(_missing(settings, record.key))
        else:
            why = record.error or _WHY.get(record.stage, "")
            entries.append(Entry(settings=settings, stage=record.stage, why=why))
    return _told_apart(entries)


def _of_run(run: Run) -> list[Entry]:
    live = not run.done
    clips = {clip.key: clip for clip in run.clips}
    failures = {f.request.key: f for f in run.failures}
    entries = []
    for request in run.plan:
        settings = _known(request)
        if request.key in clips:
            entries.append(Entry(settings=settings, clip=clips[request.key]))
        elif request.key not in failures:
            entries.append(_missing(settings, request.key))
        else:
            _, stage, why = failures[request.key]
            if live and stage in _LIVE:
                stage, why = _LIVE[stage], ""
            entries.append(Entry(settings=settings, stage=stage, why=why))
    return _told_apart(entries)


def _of_item(item: Any) -> Entry:
    if isinstance(item, Clip):
        settings = _known(item.request) if item.request else {"file": item.path.name}
        return Entry(settings=settings, clip=item)
    if isinstance(item, str | os.PathLike):
        path = Path(item).expanduser()
        return Entry(settings={"file": path.name}, clip=Clip(path=path.absolute()))
    raise LabError(
        f"There is no way to show a {type(item).__name__} in a list; clips and paths of MP4s are shown."
    )


_WHY = {
    "sending": "it was being sent; run the plan again to look for it",
    "accepted": "it is at the service; run the plan again to fetch it",
    "finished": "it is made and paid for; run the plan again to fetch it",
    "unknown": "the answer was lost; run the plan again to look for it",
    "declined": "the service did not take it; run the plan again",
    "cancelled": "it was taken back",
}


def _missing(settings: Mapping[str, Any], key: str) -> Entry:
    why = f"clips/{file_name(key)} is gone; run the plan again to fetch it"
    return Entry(settings=settings, stage="missing", why=why)


def _asked(record: Record) -> dict[str, Any]:
    """The settings of a request that this version cannot make any more, as they were written down."""
    asked = record.asked
    pictures = {
        n: asked[n].get("name", n) for n in ("image", "end_image") if isinstance(asked.get(n), Mapping)
    }
    return {"endpoint": asked.get("endpoint"), **pictures, **asked.get("arguments", {})}


def _known(request: Request) -> dict[str, Any]:
    """Settings, with the pictures' checksums beside them until `_told_apart` has looked at the names."""
    settings = settings_of(request)
    for name in ("image", "end_image"):
        picture = getattr(request, name)
        if picture is not None:
            settings[name] = _Named(picture.name, picture.sha256)
    return settings


class _Named(NamedTuple):
    """A picture as a value to tell requests apart by."""

    name: str
    sha256: str

    def __str__(self) -> str:
        return self.name


def _told_apart(entries: list[Entry]) -> list[Entry]:
    """The same entries; different pictures or files of one name get a mark that tells them apart."""
    pictures = {v for e in entries for v in e.settings.values() if isinstance(v, _Named)}
    names = [p.name for p in pictures]
    shown = {p: p.name if names.count(p.name) == 1 else f"{p.name} ({p.sha256[:6]})" for p in pictures}
    out, n_of = [], dict[str, int]()
    for entry in entries:
        settings = {n: shown[v] if isinstance(v, _Named) else v for n, v in entry.settings.items()}
        if file := settings.get("file"):
            n_of[file] = n_of.get(file, 0) + 1
            if n_of[file] > 1:
                settings["file"] = f"{file} ({n_of[file]})"
        out.append(replace(entry, settings=settings))
    return out


def _names(
    asked: str | Sequence[str] | None, known: Sequence[str], entries: Sequence[Entry]
) -> tuple[str, ...] | None:
    if asked is None:
        return None
    names = (asked,) if isinstance(asked, str) else tuple(asked)
    for name in names:
        if entries and name not in known:
            raise LabError(
                f"{name!r} is not a setting of these clips.{near(str(name), known)} They have "
                f"{', '.join(known)}."
            )
    return tuple(dict.fromkeys(names))


def _chosen(
    varying: Sequence[str],
    values: Mapping[str, Sequence[Any]],
    down: tuple[str, ...] | None,
    across: tuple[str, ...] | None,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The axes: as asked for, else from what varies."""
    free = [name for name in varying if name not in {*(down or ()), *(across or ())} and name != "file"]
    if down is not None and across is not None:
        return down, across
    if down is not None:
        return down, tuple(free)
    if across is not None:
        return tuple(free), across
    if len(free) == 1:
        name = free[0]
        # Few go side by side; many follow one another, each with its caption.
        return ((), (name,)) if len(values[name]) <= MOST_COLUMNS else ((), ())
    rows = [name for name in free if name in _SEEDS] or free[-1:]
    cols = [name for name in free if name not in rows]
    while len(cols) > 1 and _product(cols, values) > MOST_COLUMNS:
        widest = max(cols, key=lambda name: len(values[name]))
        cols.remove(widest)
        rows.insert(0, widest)
    return tuple(rows), tuple(cols)


def _product(names: Iterable[str], values: Mapping[str, Sequence[Any]]) -> int:
    n = 1
    for name in names:
        n *= len(values[name])
    return n


def _steps(entry: Entry, names: Iterable[str]) -> Steps:
    return tuple(entry.settings.get(name) for name in names)


def _axis(names: tuple[str, ...], values: Mapping[str, Sequence[Any]], seen: Iterable[Steps]) -> Axis:
    present = set(seen)
    every = itertools.product(*(values.get(name, ()) for name in names))
    return Axis(names, tuple(step for step in every if step in present))


def _ordered(values: Iterable[Any]) -> list[Any]:
    """Each value once: numbers and sizes by size, other things as they came, none last."""
    once = list(dict.fromkeys(values))
    plain = [v for v in once if v is not None]
    if plain and all(_number(v) is not None for v in plain):
        plain.sort(key=lambda v: _number(v) or 0.0)
    return [*plain, *(v for v in once if v is None)]


def _number(value: Any) -> float | None:
    """`5` and `480p` as numbers; None for what has no size."""
    if isinstance(value, int | float):
        return float(value)
    found = re.fullmatch(r"(\d+)p", value) if isinstance(value, str) else None
    return float(found[1]) if found else None
