"""What lies in a study's folder, for reading: the journal's story and the clips.

Reading takes no lock: it works while this or another process runs the study.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING

from seedance_lab import frames, measuring, report
from seedance_lab.clip import Clip, file_name
from seedance_lab.errors import StudyError, near
from seedance_lab.journal import Event, read
from seedance_lab.judging import lines, ratings, votes
from seedance_lab.judging.preferences import Interval, Per, Preferences, preferences
from seedance_lab.measuring.store import FILE, Store
from seedance_lab.record import IN_DOUBT, Record, fold
from seedance_lab.stats import anova, front, paired, repeats, times

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
        self._measured = Store(self.folder)

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
        """One row a request, failures included, the API's names as columns; see `seedance_lab.frames`.

        What was measured of the clips comes after them, as float64; `unmeasured` says why a value is missing. Then,
        once there are any: `stars` (the mean of those that people gave) and `tags`; `preference`, the share of its
        votes in which the clip was chosen (a tie is half, "both bad" none), and `votes`, how many these are.
        """
        records = self.records()
        measured = measuring.as_columns(self._measured, records) if self._measured.path.exists() else {}
        judged, tags = self._judged(records)
        df = frames.frame(records, self.folder, extra={**measured, **judged})
        df.attrs["units"] |= measuring.units(list(measured))
        if tags is not None:
            df.insert(list(df.columns).index("stars") + 1, "tags", tags)
            df["tags"] = df["tags"].astype("string")
        return df

    # ── measures ────────────────────────────────────────────────────────────────────────────────────────

    def measure(
        self,
        *,
        only: str | Iterable[str] | None = None,
        full: bool = False,
        executor: Executor | None = None,
        progress: bool = True,
    ) -> pd.DataFrame:
        """Measure the clips that are here, and keep what was measured; see `seedance_lab.measure`.

        Args:
            only: Names of measures; `seedance_lab.measures()` lists them.
            full: Whether to take the measures of the tier `full` too.
            executor: Who measures; worker processes by default, one a core.
            progress: Whether to show it.

        Returns:
            One row a clip: `key`, `path` and the measures.

        Raises:
            MeasureError: There is no such measure.
        """
        return measuring.measure(self, only=only, full=full, executor=executor, progress=progress)

    def unmeasured(self) -> pd.DataFrame:
        """Which measures the clips have no value for, and why.

        Returns:
            `key`, `measure` and `reason`: one row for each value that `frame` does not have.
        """
        records = {key: r for key, r in self.records().items() if self.clip_of(r) is not None}
        return measuring.reasons(self._measured, records)

    # ── what people think ───────────────────────────────────────────────────────────────────────────────

    def rate(
        self,
        clip: Clip | str,
        *,
        stars: float | None = None,
        tags: str | Iterable[str] | None = None,
        note: str | None = None,
        voter: str | None = None,
    ) -> ratings.Rating:
        """Say what you think of a clip; kept with the study, on the disk when this returns. What is left out stays.

        Args:
            clip: A clip of this study, or its request's key.
            stars: 1 to 5, whole; 0 takes them back.
            tags: All of them, or text with commas; empty for none.
            note: Free text.
            voter: Who says it; the name of your account by default.

        Returns:
            Your whole opinion of the clip, as it is now.

        Raises:
            StudyError: There is no such clip here, no such stars or tags, or it could not be written.
        """
        key = clip if isinstance(clip, str) else clip.key
        if key is None:
            raise StudyError(f"{clip} is of no study, so its rating has no place. Nothing was written.")
        found = self.clip(key)
        assert found.record is not None  # a study's clip has one
        assert found.record.clip is not None
        sha256 = str(found.record.clip["sha256"])
        who = lines.voter(voter)
        return ratings.rate(self.folder, key, sha256, who=who, stars=stars, tags=tags, note=note)

    def ratings(self) -> pd.DataFrame:
        """What people think of the clips: one row a clip and person, with `stars`, `tags` and `note`."""
        return ratings.table(ratings.read(self.folder))

    def votes(self) -> pd.DataFrame:
        """The votes on blind pairs that were not taken back, one row each; see `seedance_lab.vote`."""
        return votes.table(votes.read(self.folder))

    def preferences(
        self,
        by: str | None = None,
        *,
        per: Per = "level",
        level: float = 0.95,
        interval: Interval = "information",
    ) -> Preferences:
        """Which level of a setting people prefer, by their votes; see `seedance_lab.preferences`."""
        return preferences(self.votes(), by, per=per, level=level, interval=interval)

    def _judged(
        self, records: Mapping[str, Record]
    ) -> tuple[dict[str, list[float]], list[str | None] | None]:
        """Columns of numbers for the frame, a value for each record, and the tags; nothing where nobody judged."""
        files = [
            (key, str(r.clip["sha256"]) if r.stage == "saved" and r.clip else "")
            for key, r in records.items()
        ]
        made: dict[str, list[float]] = {}
        tags = None
        if rated := ratings.together(ratings.read(self.folder)):
            made["stars"] = [rated[f].stars if f in rated else math.nan for f in files]
            tags = [(rated[f].tags or None) if f in rated else None for f in files]
        if shares := votes.shares(votes.read(self.folder).held):
            made["preference"] = [shares[f][0] if f in shares else math.nan for f in files]
            made["votes"] = [float(shares[f][1]) if f in shares else 0.0 for f in files]
        return made, tags

    # ── answers ─────────────────────────────────────────────────────────────────────────────────────────

    def compare(self, by: str, of: str = "latency_s") -> paired.Comparison:
        """What one setting changes, all else being equal; see `seedance_lab.compare`."""
        return paired.compare(self.frame(), by, of)

    def effects(self, of: str = "latency_s") -> anova.Effects:
        """Which settings matter, against the noise of the seed; see `seedance_lab.effects`."""
        return anova.effects(self.frame(), of)

    def latency(self, by: str | Sequence[str] = "resolution", *, of: str = "latency_s") -> pd.DataFrame:
        """How long clips took, by setting; see `seedance_lab.latency`."""
        return times.latency(self.frame(), by, of=of)

    def pareto(self, by: str | Sequence[str] | None = None, *, quality: str | None = None) -> front.Pareto:
        """Which settings are worth their dollars and seconds; see `seedance_lab.pareto`."""
        return front.pareto(self.frame(), by, quality=quality)

    def repeatability(self) -> repeats.Repeatability:
        """Whether the same inputs give the same video again; see `seedance_lab.repeatability`."""
        return repeats.repeatability(self.frame())

    def report(
        self,
        path: str | os.PathLike[str] = "report.html",
        *,
        question: str = "",
        of: str | Sequence[str] = "latency_s",
    ) -> Path:
        """Everything on one page that opens without a server: question, plan, answers, plots, clips, requests.

        Args:
            path: Where to; an earlier report is replaced, any other file is not.
            question: What the sweep was run to find out.
            of: Numeric column or columns that are answered for.

        Raises:
            LabError: Nothing was sent yet, or there is no such column.
            StudyError: Another file is there.
        """
        return report.write(
            Path(path).expanduser().absolute(),
            self.frame(),
            {clip.key: clip for clip in self.clips() if clip.key is not None},
            title=self.folder.name,
            question=question,
            of=[of] if isinstance(of, str) else list(of),
        )


def _has_others(folder: Path) -> bool:
    known = {"engine", "inputs", "clips", "views", "report.html", FILE, votes.FILE, ratings.FILE}
    return any(entry.name not in known and not entry.name.startswith(".") for entry in folder.iterdir())
