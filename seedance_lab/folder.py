"""What lies in a study's folder, for reading: the journal's story and the clips.

Reading takes no lock: it works while this or another process runs the study.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from seedance_lab import frames
from seedance_lab.clip import Clip, file_name
from seedance_lab.errors import StudyError, near
from seedance_lab.journal import Event, read
from seedance_lab.record import IN_DOUBT, Record, fold

if TYPE_CHECKING:
    import pandas as pd


class StudyFolder:
    """A study's folder, read-only.

    Args:
        folder: It need not exist yet.

    Raises:
        StudyError: It is a file, or holds other things than a study.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder).expanduser().absolute()
        if self.folder.exists() and not self.folder.is_dir():
            raise StudyError(f"{self.folder} is a file, not a folder for a study. Nothing was sent.")
        if self.folder.is_dir() and not (self.folder / "journal.jsonl").exists() and _has_others(self.folder):
            raise StudyError(
                f"The folder {self.folder} holds other files and no study. Nothing was sent or written. "
                "Name a new or an empty folder."
            )
        self._cache: tuple[tuple[int, int], list[Event]] | None = None

    def events(self) -> list[Event]:
        """The journal's lines so far; works while another process is running the study."""
        path = self.folder / "journal.jsonl"
        try:
            stat = path.stat()
        except FileNotFoundError:
            return []
        state = (stat.st_size, stat.st_mtime_ns)
        if self._cache is None or self._cache[0] != state:
            self._cache = (state, read(path))
        return self._cache[1]

    def records(self) -> dict[str, Record]:
        """What the journal says of each request, by key."""
        return fold(self.events())

    @property
    def unknown(self) -> dict[str, Record]:
        """Requests that may have been received and paid for, and are not settled yet."""
        return {key: r for key, r in self.records().items() if r.stage in IN_DOUBT}

    def clips(self) -> list[Clip]:
        """Every clip that is in the folder, in the order of asking."""
        return [c for record in self.records().values() if (c := self.clip_of(record)) is not None]

    def clip(self, key: str) -> Clip:
        """The clip of a request.

        Raises:
            StudyError: There is none.
        """
        records = self.records()
        clip = self.clip_of(records[key]) if key in records else None
        if clip is None:
            said = records[key].stage if key in records else "never asked for"
            raise StudyError(f"There is no clip for {key!r}: it is {said}.{near(key, records)}")
        return clip

    def clip_of(self, record: Record) -> Clip | None:
        """The clip of a record; None when there is none."""
        path = self.folder / "clips" / file_name(record.key)
        if record.stage != "saved" or not path.exists():
            return None
        return Clip(
            path=path, request=record.request(self.folder), record=record, views=self.folder / "views"
        )

    def frame(self) -> pd.DataFrame:
        """One row a request, failures included, the API's names as columns; see `seedance_lab.frames`."""
        return frames.frame(self.records(), self.folder)


def _has_others(folder: Path) -> bool:
    known = {"engine", "inputs", "clips", "views"}
    return any(entry.name not in known and not entry.name.startswith(".") for entry in folder.iterdir())
