"""The rows of a frame as entries of a grid: `Study.frame`, `runs`, MLflow's own `search_runs`, or a table of yours.

What a column is follows from its name where this package or MLflow gave it, else from its type: numbers are sorted
and filtered by, words are settings.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from seedance_lab import columns
from seedance_lab.clip import Clip
from seedance_lab.errors import LabError
from seedance_lab.stats import design

if TYPE_CHECKING:
    import pandas as pd

_SETTINGS = (*design.SETTINGS, "seed", "replicate")
_FILE_FACTS = {"width", "height", "fps", "n_frames", "seconds", "size_bytes"}
_ADDRESSES = ("file", "path", "artifact_uri")
"""Columns that say where the clip is; an artifact location is a folder of files."""
_IDS = ("key", "run_id")
_RATED = {"stars", "tags", "preference", "votes"}
_NO_SETTING = {
    "run_id",
    "experiment_id",
    "status",
    "run_name",
    "start_time",
    "end_time",
    *_ADDRESSES,
    *_RATED,
}
_MOST_LEVELS = 50
"""A column of words with more different ones is a remark, and no setting."""
_STATES = {
    "sending": ("unknown", "it was being sent when this was written down"),
    "accepted": ("queued", "it was at the service when this was written down"),
    "finished": ("queued", "it was made, and not fetched yet, when this was written down"),
    "declined": ("waiting", "the service did not take it"),
}


class Rows(NamedTuple):
    """The rows, each the arguments of an `Entry`, and the units of their columns."""

    rows: list[dict[str, Any]]
    units: dict[str, str]


def rows_of(df: pd.DataFrame) -> Rows:
    """What there is to show of each row.

    Raises:
        LabError: No column says where the clips are.
    """
    if not any(name in df.columns for name in _ADDRESSES):
        raise LabError(
            "This frame does not say where its clips are: it has none of the columns file, path, artifact_uri. "
            "study.frame(), lab.runs(…) and mlflow.search_runs(…) have one."
        )
    settings = dict(_settings(df))
    numbers = {str(name): _short(str(name)) for name in df.columns if _is_value(df, str(name), settings)}
    ids = next((name for name in _IDS if name in df.columns), None)
    rows = []
    for n, row in enumerate(df.to_dict("records")):
        told = {str(name): _plain(value) for name, value in row.items()}
        state, why = _state(told)
        clip, address = _clip(told) if state == "saved" else (None, "")
        if state == "saved" and clip is None and not address:
            state, why = "missing", "the frame does not say where its file is"
        elif clip is not None and not clip.path.exists():
            state, why, clip = "missing", f"there is no file {clip.path}", None
        rows.append(
            {
                "id": str(told[ids]) if ids and told[ids] is not None else f"row {n}",
                "settings": {short: told[name] for name, short in settings.items()},
                "values": {short: told[name] for name, short in numbers.items()},
                "state": state,
                "why": why,
                "clip": clip,
                "address": address,
                "file": {name: told.get(name) for name in _FILE_FACTS},
                "rating": _rating(told),
            }
        )
    return Rows(rows, dict(df.attrs.get("units", {})))


def _settings(df: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Columns that are settings, and what they are called in the grid."""
    for name in map(str, df.columns):
        if name in _SETTINGS:
            if df[name].notna().any():
                yield name, name
        elif name.startswith("params."):
            if df[name].notna().any():
                yield name, _short(name)
        elif name not in columns.NAMES | _NO_SETTING and not name.startswith(("metrics.", "tags.")):
            column = df[name]
            if column.dtype.kind not in "iufMm" and 1 <= column.astype("string").nunique() <= _MOST_LEVELS:
                yield name, name


def _is_value(df: pd.DataFrame, name: str, settings: Mapping[str, str]) -> bool:
    """Whether it is a column of numbers that is no setting, and not one of those that every cell has anyway."""
    if name in settings or name in {"width", "height", "fps", "n_frames", "attempts", "stars"}:
        return False
    return bool(df[name].dtype.kind in "iuf") and bool(df[name].notna().any())


def _short(name: str) -> str:
    return name.removeprefix("params.").removeprefix("metrics.")


def _state(told: Mapping[str, Any]) -> tuple[str, str]:
    stage = told.get("stage") or told.get("tags.seedance_lab.stage") or "saved"
    state, why = _STATES.get(str(stage), (str(stage), ""))
    return state, str(told.get("error") or told.get("tags.seedance_lab.error") or why)


def _clip(told: Mapping[str, Any]) -> tuple[Clip | None, str]:
    """The clip where it is a file of this machine, else its address; neither where nothing is said."""
    for name in _ADDRESSES:
        given = told.get(name)
        if not given:
            continue
        text = str(given)
        if name == "artifact_uri":
            return None, f"{text.rstrip('/')}/"
        if "://" in text or text.startswith("mlflow-artifacts:"):
            return None, text
        return Clip(path=Path(text).expanduser().absolute()), ""
    return None, ""


def _rating(told: Mapping[str, Any]) -> dict[str, Any]:
    """What people think of it, as a cell has it; of several people's stars the mean, as whole stars."""
    stars, tags = told.get("stars"), told.get("tags")
    if stars is None and tags is None:
        return {}
    listed = [tag.strip() for tag in str(tags).split(",")] if tags else []
    return {"stars": round(stars) if isinstance(stars, int | float) else 0, "tags": listed, "note": ""}


def _plain(value: Any) -> Any:
    """A JSON scalar; None for what is missing, text for what JSON has no word for."""
    import pandas as pd

    if value is None or value is pd.NA or value is pd.NaT:
        return None
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool) else str(value)
