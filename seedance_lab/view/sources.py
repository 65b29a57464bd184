"""What can be looked at, as entries: a study, a run, clips, files, a folder of files, a frame of runs.

A source is asked again while something is under way. It reads the study's folder and nothing else, so a run of this
kernel, of another one and of yesterday are looked at in one way.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from seedance_lab.clip import Clip
from seedance_lab.errors import LabError, near
from seedance_lab.folder import StudyFolder
from seedance_lab.measuring.store import Store
from seedance_lab.run import Run
from seedance_lab.view.entries import FACTS, FILE_FACTS, Entry, Fixed, Source, known
from seedance_lab.view.frame_rows import rows_of
from seedance_lab.view.study_source import StudySource, Told

VIDEOS = frozenset({".mp4", ".m4v", ".mov", ".webm", ".mkv"})
"""What is taken from a folder, by its name's end."""


def source_of(what: Any) -> Source:
    """What there is to look at of a study, a run, a clip, files, a folder, a frame, or a list of these.

    Raises:
        LabError: It is none of these, or there is no such folder.
    """
    if isinstance(what, Run):
        return StudySource(what.study, run=what)
    if isinstance(what, StudyFolder):
        return StudySource(what)
    if isinstance(what, str | os.PathLike):
        path = Path(what).expanduser()
        if (path / "journal.jsonl").exists():
            return StudySource(StudyFolder(path))
        return Fixed(_of_path(path), title=path.name if path.is_dir() else "")
    if _is_frame(what):
        found = rows_of(what)
        return Fixed([Entry(**row) for row in found.rows], units=found.units)
    several = [what] if isinstance(what, Clip) else what
    if not isinstance(several, Iterable) or isinstance(several, Mapping | bytes):
        raise LabError(
            f"There is no way to show a {type(what).__name__}. Give a study, a run, a clip, the path of an MP4 or of "
            "a folder of them, a frame of runs, or a list of these."
        )
    return _of_several(list(several))


def _of_several(items: list[Any]) -> Fixed:
    """The entries of a list, one after another; rated where all of them are of one study."""
    found: list[Entry] = []
    of = [_study_of(item) if isinstance(item, Clip) else None for item in items]
    studies = {folder: StudyFolder(folder) for folder in of if folder is not None}
    told = {folder: Told(folder, Store(folder), study.records()) for folder, study in studies.items()}
    for item, folder in zip(items, of, strict=True):
        if isinstance(item, Clip):
            entry = _of_clip(item)
            found.append(entry if folder is None else told[folder].about(entry, item.record))
        elif isinstance(item, str | os.PathLike):
            path = Path(item).expanduser()
            found += source_of(path).entries() if (path / "journal.jsonl").exists() else _of_path(path)
        elif isinstance(item, StudyFolder | Run) or _is_frame(item):
            found += source_of(item).entries()
        else:
            raise LabError(
                f"There is no way to show a {type(item).__name__} in a list; clips, paths of MP4s and of folders, "
                "studies, runs and frames are shown."
            )
    whole = len(studies) == 1 and None not in of
    return Fixed(found, study=next(iter(studies.values())) if whole else None)


def _study_of(clip: Clip) -> Path | None:
    """The folder of the study that a clip is of, if it is still there."""
    folder = clip.path.parent.parent
    return folder if clip.record is not None and (folder / "journal.jsonl").exists() else None


def _of_clip(clip: Clip) -> Entry:
    record, saved = clip.record, (clip.record.clip if clip.record else None) or {}
    settings = known(clip.request) if clip.request else {"file": clip.path.name}
    values = {name: getattr(record, name) for name in FACTS} if record else {}
    entry = Entry(
        id=clip.key or str(clip.path),
        settings=settings,
        values={**values, "seconds": saved.get("seconds"), "size_bytes": saved.get("size_bytes")},
        clip=clip,
        file={name: saved.get(name) for name in FILE_FACTS},
    )
    return entry if clip.path.exists() else replace(entry, state="missing", why=_gone(clip.path), clip=None)


def _of_path(path: Path) -> list[Entry]:
    """A file, or every video in a folder.

    Raises:
        LabError: There is no such folder, or no video in it.
    """
    if not path.is_dir():
        if path.suffix.lower() not in VIDEOS and not path.exists():
            beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
            raise LabError(f"There is no file or folder {path}.{near(path.name, beside)}")
        return [_of_clip(Clip(path=path.absolute()))]
    files = sorted((p for p in path.rglob("*") if p.suffix.lower() in VIDEOS and p.is_file()), key=_by_name)
    if not files:
        raise LabError(
            f"There is no video in {path} ({', '.join(sorted(VIDEOS))}), and it is no study. To make clips there: "
            f"lab.Study({str(path)!r}).run(lab.sweep(image=…, prompt=…, seed=range(3)))"
        )
    entries = [_of_clip(Clip(path=file.absolute())) for file in files]
    folders = [file.parent.relative_to(path).as_posix() for file in files]
    if len(set(folders)) == 1:
        return entries
    return [
        replace(entry, settings={"folder": folder, **entry.settings})
        for folder, entry in zip(folders, entries, strict=True)
    ]


def _gone(path: Path) -> str:
    return f"{path.name} is not in {path.parent}; was it moved?"


def _by_name(path: Path) -> list[tuple[int, str]]:
    """`clip2` before `clip10`."""
    parts = re.split(r"(\d+)", str(path))
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts]


def _is_frame(what: Any) -> bool:
    """Whether it is a pandas frame; pandas is not loaded for the question."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(what, pandas.DataFrame)
