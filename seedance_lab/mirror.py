"""A study's passes and requests as MLflow runs: one parent a pass, one child a request.

Runs are found again by key and time of sending, because MLflow lets nobody choose a run's id: what is there
is not written twice, and what was cut off half-way is completed.
"""

from __future__ import annotations

import datetime as dt
import getpass
import importlib.metadata
import json
import math
import os
import shutil
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from seedance_lab import columns, mlflow_store
from seedance_lab._version import __version__
from seedance_lab.clip import Clip
from seedance_lab.errors import LabError
from seedance_lab.journal import Event
from seedance_lab.plan import Plan
from seedance_lab.record import Record, fold

if TYPE_CHECKING:
    from mlflow import MlflowClient

STATUS = {"saved": "FINISHED", "failed": "FAILED", "refused": "FAILED", "cancelled": "KILLED"}
"""Journal kinds that end a request, and what MLflow calls such an end."""

CALL_S = 10.0
"""Longest that one call to a store may take before it counts as stuck."""
_UPLOAD_BYTES_S = 200_000
"""Slowest upload that still counts as moving."""
_PAGE = 1000
_MOST_PARAM, _MOST_TAG, _MOST_LIST = 6000, 5000, 500
_MISSING = "missing"
_GIT_S = 2.0


@dataclass(slots=True)
class Pass:
    """One pass of the study, as the journal tells it.

    Attributes:
        run: Its id.
        began, ended: Aware UTC; `ended` is None for one that was cut off.
        n_requests: In its plan.
        why: What ended it, when that was an error.
        stopped: Whether it was told to begin nothing new, or requests of it were taken back.
        last: When its last line was written.
    """

    run: str
    began: dt.datetime
    n_requests: int
    budget_usd: float | None
    last: dt.datetime
    ended: dt.datetime | None = None
    why: str | None = None
    stopped: bool = False

    def hear(self, event: Event) -> None:
        """Take in one line of it."""
        self.last = event.at
        if event.kind == "cancelled":
            self.stopped = True
        elif event.kind == "ended":
            self.ended, self.why = event.at, event.data.get("why")
            self.stopped = self.stopped or bool(event.data.get("stopped"))

    @property
    def status(self) -> str:
        """As MLflow calls it."""
        if self.why:
            return "FAILED"
        return "KILLED" if self.ended is None or self.stopped else "FINISHED"


class _Known(NamedTuple):
    """A run that is in the store: whether it came to its end, and whether only its files are missing."""

    run_id: str
    whole: bool
    bare: bool = False


class Mirror:
    """Writes into one experiment; for one thread.

    Args:
        client: Of the store.
        experiment_id: Where to.
        folder: The study's folder.
        engine: Where its clips are made.
        cwd: Whose git commit is noted.
        allow: Told before each call how many seconds it may take.
    """

    def __init__(
        self,
        client: MlflowClient,
        experiment_id: str,
        *,
        folder: Path,
        engine: str,
        cwd: Path,
        allow: Callable[[float], None],
    ) -> None:
        self._client, self._experiment_id, self._folder, self._allow = client, experiment_id, folder, allow
        self._children: dict[tuple[str, int], _Known] = {}
        self._parents: dict[str, _Known] = {}
        self._passes: dict[str, Pass] = {}
        self._records: dict[str, Record] = {}
        self._common = {
            f"{columns.TAG}engine": engine,
            f"{columns.TAG}version": __version__,
            "fal_client.version": _version_of("fal-client"),
            "mlflow.source.name": "seedance_lab",
            "mlflow.user": _user(),
            "mlflow.source.git.commit": _commit(cwd),
        }
        self.artifact_problem: Exception | None = None

    # ── passes ──────────────────────────────────────────────────────────────────────────────────────────

    def begin(self, event: Event, plan: Plan) -> None:
        """A pass begins: its `run` line came."""
        now = self._passes[event.data["run"]] = _pass(event)
        self._parent(now, plan)

    def catch_up(self, events: Sequence[Event], current: str) -> deque[Callable[[], None]]:
        """Look up what is there; returns the steps that write what earlier passes could not."""
        earlier = {e.data["run"]: _pass(e) for e in events if e.kind == "run" and e.data["run"] != current}
        if not earlier:
            return deque()
        ends: dict[str, dt.datetime] = {}
        for event in events:
            if event.data.get("run") in earlier:
                earlier[event.data["run"]].hear(event)
            if event.kind in STATUS:
                ends[event.key] = event.at
        self._passes = {**earlier, **self._passes}
        self._look(since=events[0].at)
        records = fold(events)
        steps: deque[Callable[[], None]] = deque()
        for record in records.values():
            if record.stage in STATUS and record.run in earlier and not self._is_whole(record):
                steps.append(partial(self.log, record, ends[record.key]))
        steps.extend(partial(self.end, run) for run in earlier)
        self._records.update((key, record) for key, record in records.items() if record.run in earlier)
        return steps

    def hear(self, event: Event, record: Record | None) -> None:
        """One line of the pass that is under way."""
        one = self._passes.get(event.data.get("run", ""))
        if one is None:
            return
        one.hear(event)
        if record is not None:
            self._records[record.key] = record
            if event.kind in STATUS:
                self.log(record, event.at)
        elif event.kind == "ended":
            self.end(one.run)

    def end(self, run: str) -> None:
        """The pass is over, or its end was never heard."""
        if run in self._parents and not self._parents[run].whole:
            self._end(self._passes[run], [r for r in self._records.values() if r.run == run])

    def _look(self, *, since: dt.datetime) -> None:
        """Which of our runs are in the experiment: once a pass, not once a request."""
        found = mlflow_store.search(
            self._client,
            [self._experiment_id],
            f"tags.`{columns.RUN}` LIKE '%' AND attributes.start_time >= {_ms(since)}",
            page=_PAGE,
            before=lambda: self._allow(CALL_S),
        )
        for run in found:
            tags = run.data.tags
            bare = columns.ARTIFACTS in tags
            over = run.info.status not in {"RUNNING", "SCHEDULED"} and not bare
            known = _Known(run.info.run_id, over, bare)
            if key := tags.get(columns.KEY):
                before = self._children.get((key, run.info.start_time))
                if before is None or not before.whole:
                    self._children[key, run.info.start_time] = known
            else:
                self._parents.setdefault(tags[columns.RUN], known)

    def _parent(self, one: Pass, plan: Plan | None = None) -> str:
        """The pass's run, made when it is not there yet."""
        if one.run not in self._parents:
            varying = plan.varying if plan else {}
            n = f"{one.n_requests:,} request{'s' if one.n_requests != 1 else ''}"
            tags = {**self._common, columns.RUN: one.run}
            if plan is not None:
                tags["mlflow.note.content"] = _cut(repr(plan), _MOST_TAG)
            self._allow(CALL_S)
            made = self._client.create_run(
                self._experiment_id,
                start_time=_ms(one.began),
                tags={name: value for name, value in tags.items() if value},
                run_name=f"{n} · {' × '.join(varying)}" if varying else n,
            )
            self._parents[one.run] = _Known(made.info.run_id, whole=False)
            params: dict[str, Any] = {
                "n_requests": one.n_requests,
                "engine": self._common[f"{columns.TAG}engine"],
                "varying": ", ".join(varying),
                "budget_usd": one.budget_usd,
            }
            for name, values in varying.items():
                listed = ", ".join("random" if v is None else str(v) for v in values)
                params[name] = _cut(f"{len(values)}: {listed}", _MOST_LIST)
            self._batch(made.info.run_id, params=params, metrics={}, at=one.began)
        return self._parents[one.run].run_id

    def _end(self, one: Pass, records: Sequence[Record]) -> None:
        ended = one.ended or one.last
        costs = [r.cost_usd for r in records]
        metrics = {
            "n_saved": sum(r.stage == "saved" for r in records),
            "n_failed": sum(r.stage in STATUS and r.stage != "saved" for r in records),
            "cost_usd": None if None in costs else math.fsum(c for c in costs if c is not None),
            "video_s": math.fsum(r.clip["seconds"] for r in records if r.stage == "saved" and r.clip),
            "wall_s": (ended - one.began).total_seconds(),
        }
        run_id = self._parents[one.run].run_id
        self._batch(run_id, params={}, metrics=metrics, at=ended)
        if one.why:
            self._allow(CALL_S)
            self._client.set_tag(run_id, f"{columns.TAG}error", _cut(one.why, _MOST_TAG))
        self._allow(CALL_S)
        self._client.set_terminated(run_id, status=one.status, end_time=_ms(ended))
        self._parents[one.run] = _Known(run_id, whole=True)

    # ── requests ────────────────────────────────────────────────────────────────────────────────────────

    def _is_whole(self, record: Record) -> bool:
        known = self._children.get(_identity(record))
        return known is not None and known.whole

    def log(self, record: Record, ended: dt.datetime) -> None:
        """A request came to its end: one run, unless it is there already."""
        identity = _identity(record)
        known = self._children.get(identity)
        if known is not None and (known.whole or self.artifact_problem is not None):
            return
        values = _values(record, self._folder)
        if known is None:
            known = _Known(self._create(record, values), whole=False)
            self._children[identity] = known
        self._batch(known.run_id, params=values["params"], metrics=values["metrics"], at=ended)
        self._put_files(known, record)
        self._allow(CALL_S)
        self._client.set_terminated(known.run_id, status=STATUS[record.stage], end_time=_ms(ended))
        self._children[identity] = _Known(known.run_id, whole=True)

    def _create(self, record: Record, values: Mapping[str, Mapping[str, Any]]) -> str:
        assert record.sent_at is not None
        tags = {
            **self._common,
            **values["tags"],
            f"{columns.TAG}endpoint": record.asked["endpoint"],
            f"{columns.TAG}image_sha256": (record.asked.get("image") or {}).get("sha256"),
            f"{columns.TAG}size": f"{record.clip['width']}×{record.clip['height']}" if record.clip else None,
        }
        one = self._passes.get(record.run)
        if one is not None:
            tags["mlflow.parentRunId"] = self._parent(one)
        self._allow(CALL_S)
        made = self._client.create_run(
            self._experiment_id,
            start_time=_ms(record.sent_at),
            tags={name: _cut(str(value), _MOST_TAG) for name, value in tags.items() if value is not None},
            run_name=_title(record),
        )
        return str(made.info.run_id)

    def _batch(
        self, run_id: str, *, params: Mapping[str, Any], metrics: Mapping[str, Any], at: dt.datetime
    ) -> None:
        """All params and metrics in one call; what has no value is left out: one bad value fails them all."""
        from mlflow.entities import Metric, Param

        self._allow(CALL_S)
        self._client.log_batch(
            run_id,
            metrics=[
                Metric(name, float(value), _ms(at), 0)
                for name, value in metrics.items()
                if value is not None and math.isfinite(value)
            ],
            params=[
                Param(name, _cut(str(value), _MOST_PARAM))
                for name, value in params.items()
                if value is not None and value != ""
            ],
            synchronous=True,
        )

    def _put_files(self, known: _Known, record: Record) -> None:
        """The clip, its poster, what was asked and what was answered.

        A store that takes no files keeps the numbers all the same; the next pass tries again.
        """
        if self.artifact_problem is None:
            try:
                with tempfile.TemporaryDirectory(prefix="seedance_lab-") as name:
                    n_bytes = _lay_out(Path(name), record, self._folder)
                    self._allow(CALL_S + n_bytes / _UPLOAD_BYTES_S)
                    self._client.log_artifacts(known.run_id, name)
            except Exception as error:  # noqa: BLE001  # each kind of artifact store raises its own
                self.artifact_problem = error
        self._allow(CALL_S)
        if self.artifact_problem is not None:
            self._client.set_tag(known.run_id, columns.ARTIFACTS, _MISSING)
        elif known.bare:
            self._client.delete_tag(known.run_id, columns.ARTIFACTS)


def _identity(record: Record) -> tuple[str, int]:
    """What a run is found again by: the key, and when it was sent, in MLflow's milliseconds."""
    assert record.sent_at is not None  # a record begins with its `sending` line
    return record.key, _ms(record.sent_at)


def _pass(event: Event) -> Pass:
    return Pass(
        run=event.data["run"],
        began=event.at,
        n_requests=event.data.get("n_requests", 0),
        budget_usd=event.data.get("budget_usd"),
        last=event.at,
    )


def _values(record: Record, folder: Path) -> dict[str, dict[str, Any]]:
    """The record's values by where MLflow keeps them, as `columns` declares."""
    values: dict[str, dict[str, Any]] = {"params": {}, "metrics": {}, "tags": {}}
    for column in columns.COLUMNS:
        place, _, name = column.home.partition(".")
        if place:
            values[place][name] = column.of(record, folder)
    return values


def _lay_out(folder: Path, record: Record, study: Path) -> int:
    """Put the files of a run side by side; returns how many bytes they have."""
    asked = {"key": record.key, **record.asked, "wire": record.wire}
    answered = record.result or {
        "error": record.error,
        "error_type": record.error_type,
        "http_status": record.http_status,
    }
    for name, content in (("request.json", asked), ("response.json", answered)):
        (folder / name).write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")
    prompt = str(record.asked.get("arguments", {}).get("prompt", ""))
    if len(prompt) > _MOST_PARAM:
        (folder / "prompt.txt").write_text(prompt, encoding="utf-8")
    clip = columns.clip_path(record, study)
    if clip is not None:
        shutil.copyfile(clip, folder / "clip.mp4")
        try:
            (folder / "poster.jpg").write_bytes(Clip(path=clip, views=study / "views").poster())
        except (LabError, OSError):  # a clip without a poster is still a clip
            (folder / "poster.jpg").unlink(missing_ok=True)
    return sum(path.stat().st_size for path in folder.iterdir())


def _title(record: Record) -> str:
    arguments = record.asked.get("arguments", {})
    seed = record.returned_seed if record.returned_seed is not None else arguments.get("seed")
    told = "random seed" if seed is None else f"seed {seed}"
    return f"{arguments.get('resolution')} · {arguments.get('duration')} s · {told}"


def _ms(at: dt.datetime) -> int:
    """Milliseconds since 1970, exactly: a float would round some of them down."""
    return (at - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(milliseconds=1)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _version_of(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return None


def _commit(cwd: Path) -> str | None:
    """The commit of the folder that the work is done in, where there is one and git is quick."""
    git = shutil.which("git")
    if git is None:
        return None
    try:
        said = subprocess.run(  # noqa: S603  # a fixed command, no shell
            [git, "rev-parse", "HEAD"],
            cwd=cwd,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
            capture_output=True,
            text=True,
            timeout=_GIT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.strip() or None
