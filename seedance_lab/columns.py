"""What a row about a request holds, declared once: the frame's columns and where each lives in MLflow.

The tracker writes and the frames read by this one table, so a study's own frame and the frame of its
MLflow runs agree by construction.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from seedance_lab.endpoints import Ratio, Resolution, find
from seedance_lab.errors import RequestError
from seedance_lab.record import Record

TAG = "seedance_lab."
"""What our own MLflow tags begin with; the service's names are left as they are."""

KEY, RUN, ATTEMPT, ARTIFACTS = f"{TAG}key", f"{TAG}run", f"{TAG}attempt", f"{TAG}artifacts"

RATIOS = (*get_args(Ratio), "9:21", "auto")
"""From the widest to the tallest, then what the picture decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column.

    Attributes:
        name: The API's name for an input, else ours, with its unit last.
        dtype: A pandas dtype.
        unit: Of its values; empty for names and counts.
        doc: What it says, in one line.
        of: Its value for a record of the study in this folder; None when there is none.
        home: Where the MLflow run has it, as MLflow's search spells it: `params.seed`, `metrics.latency_s`,
            `tags.request_id`; empty for what follows from the run's own times and artifacts.
        order: The known values of a category, in their natural order.
    """

    name: str
    dtype: str
    unit: str
    doc: str
    of: Callable[[Record, Path], Any]
    home: str = ""
    order: tuple[str, ...] = ()


def alias(endpoint: str) -> str:
    """The endpoint's short word, or its id where this version does not know it."""
    try:
        return find(endpoint).alias
    except RequestError:
        return endpoint


def clip_path(record: Record, folder: Path) -> Path | None:
    """Where the clip is; None when it is not there."""
    path = folder / record.clip["file"] if record.stage == "saved" and record.clip else None
    return path if path is not None and path.is_file() else None


def differences(record: Record) -> str | None:
    """Where the file is not what was asked for, in words; None when it is."""
    told = [f"{name} {got}, not {asked}" for name, (asked, got) in record.differs.items()]
    return "; ".join(told) or None


def _input(
    name: str, dtype: str, doc: str, *, unit: str = "", order: tuple[str, ...] = (), kind: type = str
) -> Column:
    def of(record: Record, _: Path) -> Any:
        value = record.asked.get("arguments", {}).get(name)
        return None if value is None else kind(value)

    return Column(name=name, dtype=dtype, unit=unit, doc=doc, of=of, home=f"params.{name}", order=order)


def _picture(name: str, doc: str) -> Column:
    def of(record: Record, _: Path) -> Any:
        return (record.asked.get(name) or {}).get("name")

    return Column(name=name, dtype="string", unit="", doc=doc, of=of, home=f"params.{name}")


def _number(name: str, unit: str, doc: str, attribute: str = "") -> Column:
    return Column(
        name=name,
        dtype="float64",
        unit=unit,
        doc=doc,
        of=lambda record, _: getattr(record, attribute or name),
        home=f"metrics.{name}",
    )


def _fact(name: str, dtype: str, unit: str, doc: str) -> Column:
    """What the file that came back says of itself."""
    return Column(
        name=name,
        dtype=dtype,
        unit=unit,
        doc=doc,
        of=lambda record, _: (record.clip or {}).get(name),
        home=f"metrics.{name}",
    )


def _word(
    name: str, doc: str, of: Callable[[Record, Path], Any], *, tag: str = "", dtype: str = "string"
) -> Column:
    return Column(name=name, dtype=dtype, unit="", doc=doc, of=of, home=f"tags.{tag or TAG + name}")


def _time(name: str, doc: str) -> Column:
    def of(record: Record, _: Path) -> dt.datetime | None:
        return getattr(record, name)  # type: ignore[no-any-return]  # the three of them are times

    return Column(name=name, dtype="datetime64[ms, UTC]", unit="", doc=doc, of=of)


COLUMNS: tuple[Column, ...] = (
    _word("key", "What identifies the request", lambda r, _: r.key),
    Column(
        name="endpoint",
        dtype="string",
        unit="",
        doc="Alias of the hosted model",
        of=lambda r, _: alias(r.asked["endpoint"]),
        home="params.endpoint",
    ),
    _input("prompt", "string", "The text; MLflow's own copy is cut at 6,000 characters"),
    _input("aspect_ratio", "category", "As asked for, `auto` included", order=RATIOS),
    _input("resolution", "category", "As asked for", order=get_args(Resolution)),
    _input("duration", "Int64", "Length asked for", unit="s", kind=int),
    _input("camera_fixed", "boolean", "Whether the camera was asked to stand still", kind=bool),
    _input("seed", "Int64", "Seed asked for; missing is random", kind=int),
    _input("enable_safety_checker", "boolean", "Whether the safety checker was asked for", kind=bool),
    _picture("image", "File name of the first frame"),
    _picture("end_image", "File name of the last frame"),
    _word(
        "replicate",
        "0, 1, … for the same video once more",
        lambda r, _: r.asked.get("replicate", 0),
        dtype="Int64",
    ),
    _word("stage", "Where it stands: saved, failed, refused, cancelled, unknown, …", lambda r, _: r.stage),
    _number("latency_s", "s", "From sending to the result, as seen from here; no download"),
    _number("submit_s", "s", "From sending to the service's word that it has it"),
    _number("queue_s", "s", "What of the latency was not work, our own wait until we looked included"),
    _number("inference_s", "s", "Work, as the service says"),
    _number("download_s", "s", "From asking for the file to its last byte"),
    _number("total_s", "s", "From sending to the file on the disk, as seen from here"),
    _number("cost_usd", "USD", "What it cost as far as is known; missing is unknown, not nothing"),
    _number("estimate_usd", "USD", "Price when it was sent: live where it was read, else published", "usd"),
    _fact("width", "Int64", "px", "Of the file"),
    _fact("height", "Int64", "px", "Of the file"),
    _fact("fps", "float64", "1/s", "Frames per second of the file"),
    _fact("n_frames", "Int64", "", "Frames in the file"),
    _fact("seconds", "float64", "s", "Length of the file's video"),
    _fact("size_bytes", "Int64", "bytes", "Length of the file"),
    Column(
        name="returned_seed",
        dtype="Int64",
        unit="",
        doc="Seed that the service says it used",
        of=lambda r, _: r.returned_seed,
        home="metrics.returned_seed",
    ),
    _word(
        "output_url",
        "Where the service keeps the video, for as long as it does",
        lambda r, _: r.output_url,
        tag="output_url",
    ),
    _word("request_id", "The service's id", lambda r, _: r.request_id, tag="request_id"),
    Column(
        name="file",
        dtype="string",
        unit="",
        doc="The clip: its path in the study, or MLflow's copy",
        of=lambda r, folder: str(path) if (path := clip_path(r, folder)) else None,
    ),
    _word("sha256", "Of the file", lambda r, _: (r.clip or {}).get("sha256")),
    _word("differs", "Where the file is not what was asked for", lambda r, _: differences(r)),
    _word("attempts", "POSTs that were begun", lambda r, _: r.attempts, tag=ATTEMPT, dtype="Int64"),
    _word("error", "Why there is no clip", lambda r, _: r.error),
    _word("error_type", "The service's word for it", lambda r, _: r.error_type),
    _word("engine", "`local`, `fal` or a served simulator's URL", lambda r, _: r.engine),
    _word("run", "The pass that touched it last", lambda r, _: r.run),
    _time("sent_at", "When it was sent"),
    _time("finished_at", "When its end was seen"),
    _time("saved_at", "When its file was here"),
)
"""Every column, in order."""

UNITS = {column.name: column.unit for column in COLUMNS if column.unit}

NAMES = frozenset(column.name for column in COLUMNS)
