"""A snapshot of a frame's rows: what a report shows, where no study or kernel is at hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from seedance_lab.clip import Clip
from seedance_lab.pages import Snapshot
from seedance_lab.pages.places import natural
from seedance_lab.stats import design

if TYPE_CHECKING:
    import pandas as pd

_FILE = ("width", "height", "fps")
_LABELS = {"latency_s": "latency", "cost_usd": "cost", "returned_seed": "returned seed", "size_bytes": "size"}
_STATES = {
    "sending": ("unknown", "it was being sent; run the plan again to look for it"),
    "accepted": ("queued", "it is at the service; run the plan again to fetch it"),
    "finished": ("queued", "it is made and paid for; run the plan again to fetch it"),
    "declined": ("waiting", "the service did not take it; run the plan again"),
}
_NOT_A_VALUE = {"estimate_usd", "attempts", "n_frames", "seconds", *_FILE}


def snapshot_of(df: pd.DataFrame, clips: Mapping[str, Clip], *, title: str = "") -> Snapshot:
    """A frame's rows as cells, one each, their settings and numbers as columns.

    Args:
        df: From `Study.frame` or `runs`; `key` identifies a row.
        clips: The clips that are here, by key.
        title: Above the grid.

    Returns:
        Rows and columns are left open: whoever draws it chooses them from what varies.
    """
    units = df.attrs.get("units", {})
    settings = [n for n in (*design.SETTINGS, "seed", "replicate") if n in df.columns and df[n].notna().any()]
    numbers = [
        name
        for name in df.columns
        if name not in settings
        and name not in _NOT_A_VALUE
        and df[name].dtype.kind in "iuf"
        and df[name].notna().any()
    ]
    rows = df.to_dict("records")
    columns = [
        {
            "name": name,
            "label": name,
            "unit": units.get(name, ""),
            "kind": "setting",
            "values": _levels(df[name]),
            "labels": {"null": "random"} if name == "seed" else {},
            "better": "",
        }
        for name in settings
    ]
    columns += [
        {
            "name": name,
            "label": _LABELS.get(name, name),
            "unit": units.get(name, ""),
            "kind": "fact" if name in _LABELS else "measure",
            "values": [],
            "labels": {},
            "better": "",
        }
        for name in numbers
    ]
    return {
        "v": 1,
        "title": title,
        "columns": columns,
        "cells": [_cell(row, settings, numbers, clips) for row in rows],
        "view": {
            "rows": None,
            "cols": None,
            "pages": [],
            "hidden": {},
            "filters": [],
            "sort": None,
            "cell_px": 200,
            "captions": True,
            "compare": None,
        },
        "live": {"state": "", "line": ""},
    }


def _levels(column: pd.Series[Any]) -> list[Any]:
    """Numbers and sizes by size, a category in its own order, words as they came; none last."""
    seen = [_plain(value) for value in column.dropna().unique()]
    if column.dtype == "category":
        seen = [value for value in column.cat.categories if value in seen]
    elif all(natural(value)[0] == 0 for value in seen):
        seen.sort(key=natural)
    return [*seen, *([None] if column.isna().any() else [])]


def _cell(
    row: Mapping[Any, Any], settings: list[str], numbers: list[str], clips: Mapping[str, Clip]
) -> dict[str, Any]:
    clip = clips.get(row["key"])
    stage = str(row["stage"])
    state, why = _STATES.get(stage, (stage, _plain(row.get("error"))))
    if state == "saved" and clip is None:
        state, why = "missing", "there is no such file"
    facts = {name: _plain(row.get(name)) or 0 for name in _FILE}
    return {
        "id": row["key"],
        "ver": 1,
        "settings": {name: _plain(row[name]) for name in settings},
        "values": {name: _plain(row[name]) for name in numbers},
        "state": state,
        "why": why or "",
        "since": None,
        "title": clip.title if clip else "",
        **facts,
        "frames": _plain(row.get("n_frames")) or 0,
        "seconds": _plain(row.get("seconds")) or 0,
        "codec": ((clip.record.clip or {}).get("codec") if clip and clip.record else None) or "",
        "bytes": _plain(row.get("size_bytes")) or 0,
        "media": [],
        "rating": {"stars": 0, "tags": [], "note": ""},
    }


def _plain(value: Any) -> Any:
    """A JSON scalar; None for what is missing."""
    import pandas as pd

    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    return value.item() if hasattr(value, "item") else value
