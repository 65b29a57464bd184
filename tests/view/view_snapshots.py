"""Snapshots for tests: of a study that nobody ran, and of cells that are written down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from seedance_lab.clip import Clip
from seedance_lab.pages.from_frame import snapshot_of
from seedance_lab.study import Study


def shown(study: Study, **view: Any) -> tuple[dict[str, Any], Callable[[str], Clip | None]]:
    """A study's snapshot, with this view, and its clips by id."""
    clips = {clip.key: clip for clip in study.clips() if clip.key is not None}
    snapshot = dict(snapshot_of(study.frame(), clips, title=study.folder.name))
    snapshot["view"] = {**snapshot["view"], **view}
    return snapshot, clips.get


def written(cells: Mapping[str, Mapping[str, Any]], **view: Any) -> dict[str, Any]:
    """A snapshot of cells by id, each with its settings, all saved."""
    names = list(dict.fromkeys(name for settings in cells.values() for name in settings))
    values = {name: list(dict.fromkeys(s.get(name) for s in cells.values())) for name in names}
    return {
        "v": 1,
        "title": "",
        "columns": [
            {
                "name": n,
                "label": n,
                "unit": "",
                "kind": "setting",
                "values": values[n],
                "labels": {},
                "better": "",
            }
            for n in names
        ],
        "cells": [cell(id_, settings) for id_, settings in cells.items()],
        "view": {"rows": None, "cols": None, "pages": [], "hidden": {}, "filters": [], "sort": None, **view},
        "live": {"state": "", "line": ""},
    }


def cell(id_: str, settings: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A saved cell."""
    return {
        "id": id_, "ver": 1, "settings": dict(settings), "values": {}, "state": "saved", "why": "", "since": None,
        "title": id_, "width": 320, "height": 192, "fps": 24, "frames": 24, "seconds": 1.0, "codec": "h264",
        "bytes": 1, "media": [], "rating": {"stars": 0, "tags": [], "note": ""}, **more,
    }  # fmt: skip
