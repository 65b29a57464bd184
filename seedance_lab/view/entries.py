"""What is looked at, one clip at a time, and sources that give it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from seedance_lab.clip import Clip
from seedance_lab.folder import StudyFolder
from seedance_lab.plan import settings_of
from seedance_lab.record import Record
from seedance_lab.request import Request

FILE_FACTS = ("width", "height", "fps", "n_frames", "seconds", "codec", "size_bytes")
FACTS = ("latency_s", "inference_s", "queue_s", "cost_usd", "returned_seed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One clip, or why there is none.

    Attributes:
        id: The request's key; for a file that no study made its place in the list.
        settings: By the API's names, pictures by theirs; `file` for a clip that no study made.
        values: Facts, measures and what people think, by the names of a frame's columns.
        state: A word of the grid: `saved`, `waiting`, `queued`, `running`, `refused`, `failed`, `cancelled`,
            `unknown`, `missing` or `unreadable`.
        why: Why there is no clip, for people.
        since: When it began to run, seconds since the epoch; None where nobody knows.
        clip: None where there is none.
        address: Where the clip can be had from if it is not on this machine; `clip` is None then.
        file: `width`, `height`, `fps`, `n_frames`, `seconds`, `codec`, `size_bytes`, as far as they are known.
        rating: `stars`, `tags`, `note`; empty where nobody said anything.
    """

    id: str
    settings: Mapping[str, Any]
    values: Mapping[str, Any] = field(default_factory=dict)
    state: str = "saved"
    why: str = ""
    since: float | None = None
    clip: Clip | None = None
    address: str = ""
    file: Mapping[str, Any] = field(default_factory=dict)
    rating: Mapping[str, Any] = field(default_factory=dict)


class Source(Protocol):
    """Something that can be looked at.

    Attributes:
        title: Above the grid; empty where there is no name for it.
        nothing: What to say and to do while there are no clips.
        study: The study that ratings are written to; None where there is none.
        units: Of columns that are not declared anywhere, by name.
    """

    title: str
    nothing: str
    study: StudyFolder | None
    units: Mapping[str, str]

    def entries(self) -> list[Entry]:
        """Everything, in the order of asking."""

    def stamp(self) -> Hashable:
        """Something that is another one when `entries` may give other entries; cheap."""

    def live(self) -> dict[str, str]:
        """State and line of what is under way; both empty where nothing is."""


class Fixed:
    """Entries that stay as they are.

    Args:
        entries: All of them.
        title: Above the grid.
        units: Of columns that are not declared anywhere, by name.
        study: The one that all of them are of, if they are.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        *,
        title: str = "",
        units: Mapping[str, str] | None = None,
        study: StudyFolder | None = None,
    ) -> None:
        self._entries = told_apart(entries)
        self.title = title
        self.nothing = "There are no clips in this list."
        self.study = study
        self.units = units or {}

    def entries(self) -> list[Entry]:
        """As they were given."""
        return self._entries

    def stamp(self) -> Hashable:
        """Always the same."""
        return ()

    def live(self) -> dict[str, str]:
        """Nothing is under way."""
        return {"state": "", "line": ""}


# ── settings ────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Named:
    """A picture as a value to tell requests apart by."""

    name: str
    sha256: str


def known(request: Request) -> dict[str, Any]:
    """Settings, with the pictures' checksums beside them until `told_apart` has looked at the names."""
    settings = settings_of(request)
    for name in ("image", "end_image"):
        picture = getattr(request, name)
        if picture is not None:
            settings[name] = Named(picture.name, picture.sha256)
    return settings


def as_written(record: Record) -> dict[str, Any]:
    """The settings of a request that this version cannot make any more."""
    asked = record.asked
    pictures = {
        n: asked[n].get("name", n) for n in ("image", "end_image") if isinstance(asked.get(n), Mapping)
    }
    return {"endpoint": asked.get("endpoint"), **pictures, **asked.get("arguments", {})}


def told_apart(entries: Sequence[Entry]) -> list[Entry]:
    """The same entries; pictures and files of one name get a mark that tells them apart, and so do equal ids."""
    pictures = {v for e in entries for v in e.settings.values() if isinstance(v, Named)}
    names = [picture.name for picture in pictures]
    shown = {p: p.name if names.count(p.name) == 1 else f"{p.name} ({p.sha256[:6]})" for p in pictures}
    files: dict[Any, int] = {}
    ids: dict[str, int] = {}
    out = []
    for entry in entries:
        settings = {n: shown[v] if isinstance(v, Named) else v for n, v in entry.settings.items()}
        if "file" in settings:
            at = (settings.get("folder"), settings["file"])
            files[at] = n = files.get(at, 0) + 1
            settings["file"] = f"{settings['file']} ({n})" if n > 1 else settings["file"]
        ids[entry.id] = n = ids.get(entry.id, 0) + 1
        out.append(replace(entry, id=f"{entry.id}#{n}" if n > 1 else entry.id, settings=settings))
    return out
