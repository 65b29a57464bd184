"""Stars, tags and notes on clips: `ratings.jsonl` in the study's folder.

Each person has one opinion of a clip: a later line changes the parts that it names and leaves the others.

    {"at": "…", "kind": "rating", "id": "…", "who": "ada", "key": "k1:…", "sha256": "…", "stars": 4, "tags": ["sharp"]}
"""

from __future__ import annotations

import datetime as dt
import math
import uuid
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from seedance_lab.errors import StudyError
from seedance_lab.judging import lines

if TYPE_CHECKING:
    import pandas as pd

FILE = "ratings.jsonl"
MOST_STARS = 5
MOST_TAG = 40
MOST_NOTE = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """What one person thinks of one clip.

    Attributes:
        key: Of the clip's request.
        sha256: Of the file.
        who: Whose opinion it is.
        at: When it was last changed, aware UTC.
        stars: 1 to 5; 0 is none given.
        tags: In the order of giving, each once.
        note: Free text.
    """

    key: str
    sha256: str
    who: str
    at: dt.datetime
    stars: int = 0
    tags: tuple[str, ...] = ()
    note: str = ""

    def as_cell(self) -> dict[str, Any]:
        """As a cell of the grid has it."""
        return {"stars": self.stars, "tags": list(self.tags), "note": self.note}


class Ratings(NamedTuple):
    """Everybody's opinions, and the lines that cannot be read."""

    held: list[Rating]
    damaged: tuple[int, ...]

    def of(self, who: str, files: Mapping[str, str] | None = None) -> dict[str, dict[str, Any]]:
        """One person's, by request key, as the grid's cells have them.

        Args:
            who: Whose.
            files: sha256 of the files that are there now, by key: what was said of an earlier file of a request is
                left out.
        """
        mine = [one for one in self.held if one.who == who]
        return {one.key: one.as_cell() for one in mine if files is None or files.get(one.key) == one.sha256}


def read(folder: Path) -> Ratings:
    """The opinions that hold, in the order of their first lines.

    Raises:
        StudyError: The file cannot be opened.
    """
    told = lines.read(folder / FILE)
    found: dict[tuple[str, str, str], Rating] = {}
    damaged = list(told.damaged)
    for line in told.lines:
        if line.kind != "rating":
            continue
        try:
            # The key too: two requests may have brought the same bytes, and each has a cell of its own.
            of = str(line.data["key"]), str(line.data["sha256"]), str(line.data["who"])
            parts = _parts(line.data)
            before = found.get(of) or Rating(key=of[0], sha256=of[1], who=of[2], at=line.at)
            found[of] = replace(before, at=line.at, **parts)
        except (KeyError, TypeError, ValueError, StudyError):
            damaged.append(line.n)
    return Ratings(list(found.values()), tuple(sorted(damaged)))


def rate(
    folder: Path,
    key: str,
    sha256: str,
    *,
    who: str,
    stars: float | None = None,
    tags: str | Iterable[str] | None = None,
    note: str | None = None,
) -> Rating:
    """Write what somebody thinks of a clip; on the disk when this returns.

    Args:
        folder: The study's.
        key: Of the clip's request.
        sha256: Of its file.
        who: Whose opinion it is.
        stars: 1 to 5, whole; 0 takes them back; None leaves them as they are.
        tags: All of them, or text with commas; empty for none; None leaves them.
        note: None leaves it.

    Returns:
        The person's whole opinion of the clip, as it is now.

    Raises:
        StudyError: No such stars, tags or note; nothing at all to write; or it could not be written.
    """
    given = {"stars": stars, "tags": tags, "note": note}
    parts = _parts({name: value for name, value in given.items() if value is not None})
    if not parts:
        raise StudyError("There is nothing to write: give stars=1…5, tags=['…'] or note='…'.")
    data = {"id": uuid.uuid4().hex, "who": who, "key": key, "sha256": sha256, **parts}
    lines.append(folder / FILE, "rating", data)
    return next(one for one in read(folder).held if (one.key, one.sha256, one.who) == (key, sha256, who))


def _parts(data: Mapping[str, Any]) -> dict[str, Any]:
    """What a line says, checked.

    Raises:
        StudyError: It is no rating.
    """
    parts: dict[str, Any] = {}
    if "stars" in data:
        stars = data["stars"]
        is_number = isinstance(stars, Real) and not isinstance(stars, bool) and math.isfinite(stars)
        if not is_number or stars != int(stars) or not 0 <= stars <= MOST_STARS:
            raise StudyError(
                f"stars={stars!r} are not 1 to {MOST_STARS} whole stars, or 0 for none. Nothing was written."
            )
        parts["stars"] = int(stars)
    if "tags" in data:
        parts["tags"] = _tags(data["tags"])
    if "note" in data:
        note = lines.whole_letters(str(data["note"]))
        if len(note) > MOST_NOTE:
            raise StudyError(
                f"The note has {len(note):,} characters; {MOST_NOTE:,} are kept. Nothing was written."
            )
        parts["note"] = note
    return parts


def _tags(tags: Any) -> tuple[str, ...]:
    if not isinstance(tags, Iterable) or isinstance(tags, bytes):
        raise StudyError(
            f"tags={tags!r} are no tags: give ['sharp', 'calm'] or 'sharp, calm'. Nothing was written."
        )
    listed = tags.split(",") if isinstance(tags, str) else list(tags)
    clean = [" ".join(lines.whole_letters(str(tag)).split()) for tag in listed]
    for tag in clean:
        if len(tag) > MOST_TAG or "," in tag:
            raise StudyError(
                f"The tag {tag[:60]!r} is longer than {MOST_TAG} characters or has a comma. Nothing was written."
            )
    return tuple(dict.fromkeys(tag for tag in clean if tag))


# ── as tables ───────────────────────────────────────────────────────────────────────────────────────────


def table(found: Ratings) -> pd.DataFrame:
    """One row a clip and person: `key`, `who`, `at`, `stars` (missing: none), `tags`, `note`, `sha256`."""
    import pandas as pd

    if found.damaged:
        numbers = ", ".join(str(n) for n in found.damaged[:5])
        warnings.warn(f"Lines of {FILE} that cannot be read are left out: {numbers}", stacklevel=3)
    dtypes = {
        "key": "string",
        "who": "string",
        "at": "datetime64[ms, UTC]",
        "stars": "float64",
        "tags": "string",
        "note": "string",
        "sha256": "string",
    }
    rows = [
        (one.key, one.who, one.at, one.stars or math.nan, ", ".join(one.tags), one.note, one.sha256)
        for one in found.held
    ]
    return pd.DataFrame({name: [row[i] for row in rows] for i, name in enumerate(dtypes)}).astype(dtypes)


class Together(NamedTuple):
    """What all think of a file: the mean of the stars that were given, and every tag."""

    stars: float
    tags: str


def together(found: Ratings) -> dict[tuple[str, str], Together]:
    """By key and sha256; stars are NaN where nobody gave any."""
    by_file: dict[tuple[str, str], list[Rating]] = {}
    for one in found.held:
        by_file.setdefault((one.key, one.sha256), []).append(one)
    out = {}
    for file, those in by_file.items():
        given = [one.stars for one in those if one.stars]
        tags = dict.fromkeys(tag for one in those for tag in one.tags)
        out[file] = Together(sum(given) / len(given) if given else math.nan, ", ".join(tags))
    return out
