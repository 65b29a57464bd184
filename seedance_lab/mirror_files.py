"""What lies among the artifacts of a pass and of a request in MLflow.

a request    clip.mp4, poster.jpg, request.json, response.json; prompt.txt where MLflow cuts the prompt
a pass       plan.json, results.csv, contact_sheet.jpg; report.html where the study's folder has one
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from seedance_lab import columns, frames, measuring
from seedance_lab._version import __version__
from seedance_lab.clip import Clip
from seedance_lab.contact_sheet import Cell, contact_sheet
from seedance_lab.errors import LabError
from seedance_lab.measuring.store import Store
from seedance_lab.mirror_words import caption, pass_name
from seedance_lab.passes import Pass
from seedance_lab.record import Record

if TYPE_CHECKING:
    from mlflow import MlflowClient

MOST_PARAM = 6000
"""Where MLflow cuts a parameter's value, without a word."""

_FIRST = ("stage", "latency_s", "cost_usd", "estimate_usd", "error")

_MOST_COLUMNS = 8

Files = Mapping[str, bytes | Path]
"""Artifacts by name: what is in them, or the file to copy."""


def of_request(record: Record, study: Path) -> dict[str, bytes | Path]:
    """The clip, its poster, what was asked and what was answered."""
    asked = {"key": record.key, **record.asked, "wire": record.wire}
    answered = record.result or {
        "error": record.error,
        "error_type": record.error_type,
        "http_status": record.http_status,
    }
    files: dict[str, bytes | Path] = {"request.json": _json(asked), "response.json": _json(answered)}
    prompt = str(record.asked.get("arguments", {}).get("prompt", ""))
    if len(prompt) > MOST_PARAM:
        files["prompt.txt"] = _encoded(prompt)
    clip = columns.clip_path(record, study)
    if clip is not None:
        files["clip.mp4"] = clip
        if (poster := _poster(clip, study)) is not None:
            files["poster.jpg"] = poster
    return files


def plan(one: Pass) -> bytes:
    """A pass's requests as JSON: each is what `Request.from_record` takes, with its key."""
    requests = one.asked or {key: record.asked for key, record in one.in_order.items()}
    return _json(
        {
            "version": 1,
            "made_by": f"seedance_lab {one.begun.get('version') or __version__}",
            "run": one.run,
            "n_requests": one.n_requests,
            # The journal has only what was sent; of a pass that was cut off that may be less than was planned.
            "is_whole": one.is_whole,
            "varying": one.varying,
            "requests": [{"key": key, **asked} for key, asked in requests.items()],
        }
    )


def of_pass(one: Pass, study: Path) -> dict[str, bytes | Path]:
    """The table of what a pass touched, a sheet of its posters, and the study's report where there is one."""
    files = table(one, study)
    if records := one.in_order:
        files["contact_sheet.jpg"] = _sheet(one, records, study)
    if (report := study / "report.html").is_file():
        files["report.html"] = report
    return files


def table(one: Pass, study: Path) -> dict[str, bytes | Path]:
    """The table alone, with what is measured by now; nothing where no request came to its end."""
    records = one.in_order
    if not records:
        return {}
    store = Store(study)
    measured = measuring.as_columns(store, records) if store.path.exists() else None
    df = frames.frame(records, study, extra=measured)
    first = [*one.varying, *_FIRST]
    df = df[[*first, *(name for name in df.columns if name not in first)]]
    return {"results.csv": _encoded(df.to_csv(index=False))}


def _sheet(one: Pass, records: Mapping[str, Record], study: Path) -> bytes:
    cells = []
    for record in records.values():
        why = f"{record.stage}: {record.error}" if record.error else record.stage
        cells.append(Cell(caption(record, one.varying), partial(_poster_of, record, study), why))
    title = pass_name(one)
    if len(cells) < one.n_requests:
        title = f"{len(cells):,} of {title}"
    return contact_sheet(cells, title=title, columns=_columns(one, len(cells)))


def _columns(one: Pass, n: int) -> int | None:
    """As many as the axes that change fastest have combinations, so that a row is one step of the others."""
    found, steps = None, 1
    for values in reversed(one.varying.values()):
        steps *= len(values)
        if steps <= _MOST_COLUMNS and n % steps == 0:
            found = steps
    return found if found and found > 1 else None


def _poster_of(record: Record, study: Path) -> bytes | None:
    clip = columns.clip_path(record, study)
    return None if clip is None else _poster(clip, study)


def _poster(clip: Path, study: Path) -> bytes | None:
    """The clip's first frame; None where it cannot be made: a clip without a poster is still a clip."""
    try:
        return Clip(path=clip, views=study / "views").poster()
    except (LabError, OSError):
        return None


def folder_of(artifact_uri: str) -> Path | None:
    """The folder on this machine that an artifact location names; None where it is elsewhere."""
    parts = urlsplit(artifact_uri)
    if parts.scheme not in {"", "file"} or parts.netloc not in {"", "localhost"}:
        return None
    return Path(unquote(parts.path) if parts.scheme else artifact_uri)


def put(
    client: MlflowClient, run_id: str, artifact_uri: str, files: Files, *, allow: Callable[[int], None]
) -> None:
    """Store the files of one run.

    A folder on this machine is written directly: MLflow would look the run up once more and copy everything
    from a second folder, a quarter of the CPU time that a run costs.

    Args:
        client: Of the store.
        run_id: The run.
        artifact_uri: Where the store says that its artifacts are.
        files: By name.
        allow: Told how many bytes are going to be moved.

    Raises:
        Exception: Whatever the artifact store raises.
    """
    allow(sum(len(f) if isinstance(f, bytes) else f.stat().st_size for f in files.values()))
    folder = folder_of(artifact_uri)
    if folder is not None:
        _lay_out(folder, files)
        return
    with tempfile.TemporaryDirectory(prefix="seedance_lab-") as name:
        _lay_out(Path(name), files)
        client.log_artifacts(run_id, name)


def _lay_out(folder: Path, files: Files) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            shutil.copyfile(content, folder / name)


def _json(value: Any) -> bytes:
    return _encoded(json.dumps(value, indent=2, ensure_ascii=False))


def _encoded(text: str) -> bytes:
    """UTF-8; half an emoji, cut by the service, becomes a question mark."""
    return text.encode("utf-8", "replace")
