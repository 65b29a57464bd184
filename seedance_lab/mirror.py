"""A study's passes and requests as MLflow runs: one parent a pass, one child a request.

Runs are found again by key and time of sending, because MLflow lets nobody choose a run's id: what is there
is not written twice, and what was cut off half-way is completed.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from seedance_lab import columns, lineage, mirror_files, mirror_words, mlflow_store
from seedance_lab.journal import Event
from seedance_lab.measuring.store import Store
from seedance_lab.mirror_words import MOST_TAG, cut
from seedance_lab.passes import STATUS, Pass, history, identity, ms
from seedance_lab.plan import Plan
from seedance_lab.record import Record

if TYPE_CHECKING:
    from mlflow import MlflowClient

CALL_S = 10.0
"""Longest that one call to a store may take before it counts as stuck."""
_UPLOAD_BYTES_S = 200_000
"""Slowest upload that still counts as moving."""
_PAGE = 1000
_MOST_LIST = 500
_MOST_PICTURES = 100
_MISSING = "missing"
_NOTE = "mlflow.note.content"


class _Known(NamedTuple):
    """A run that is in the store.

    Attributes:
        run_id, artifact_uri: As the store says.
        whole: Whether it came to its end.
        bare: Whether only its files are missing.
        begun: Whether its params are there.
        found: Whether an earlier process made it.
        lacks: Measures that are known by now and that it does not have.
    """

    run_id: str
    artifact_uri: str
    whole: bool = False
    bare: bool = False
    begun: bool = True
    found: bool = True
    lacks: Mapping[str, float] = {}


class Mirror:
    """Writes into one experiment; for one thread.

    Args:
        client: Of the store.
        experiment_id: Where to.
        folder: The study's folder.
        engine: Where its clips are made.
        cwd: Whose git commit is noted.
        allow: Told before each call how many seconds it may take.

    Attributes:
        artifact_problem: Why files could not be stored; numbers are written all the same.
        n_written: Runs that were made or completed.
        n_there: Runs that were found whole by `catch_up`.
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
        self._engine, self._cwd = engine, cwd
        self._store = Store(folder)
        self._children: dict[tuple[str, int], _Known] = {}
        self._parents: dict[str, _Known] = {}
        self._passes: dict[str, Pass] = {}
        self._common = {f"{columns.TAG}engine": engine, **lineage.of_writer()}
        self.artifact_problem: Exception | None = None
        self.n_written = self.n_there = 0

    # ── passes ──────────────────────────────────────────────────────────────────────────────────────────

    def begin(self, event: Event, plan: Plan) -> None:
        """A pass begins: its `run` line came."""
        one = self._passes[event.data["run"]] = Pass.of(event, plan)
        if "lineage" not in event.data:
            one.lineage = lineage.now(self._cwd)
        self._parent(one)

    def catch_up(self, events: Sequence[Event], current: str = "") -> deque[Callable[[], None]]:
        """Look up what is there; returns the steps that write what earlier passes could not.

        Args:
            events: The whole journal.
            current: The pass that is under way, which is left out; none if not given.
        """
        told = history(events)
        earlier = {run: one for run, one in told.passes.items() if run != current}
        if not earlier:
            return deque()
        self._common.update(lineage.of_writer(told.version))
        self._passes = {**earlier, **self._passes}
        measured = {
            found: self._measures(record)
            for found, (record, _) in told.ends.items()
            if record.stage == "saved"
        }
        self._look(since=events[0].at, measured=measured)
        steps: deque[Callable[[], None]] = deque()
        # Before the measures themselves: what is cut off in between is then seen to be missing the next time.
        for run in self._with_old_tables(told.ends, earlier):
            steps.append(partial(self._renew, run))
        for found, (record, at) in told.ends.items():
            if record.run in earlier:
                self._plan_step(steps, self._children.get(found), partial(self.log, record, at))
        for run in earlier:
            self._plan_step(steps, self._parents.get(run), partial(self.end, run))
        return steps

    def _with_old_tables(
        self, ends: Mapping[tuple[str, int], tuple[Record, dt.datetime]], earlier: Mapping[str, Pass]
    ) -> list[str]:
        """Passes that are whole and whose table lacks measures which came after it."""
        late = {record.run for found, (record, _) in ends.items() if self._is_late(self._children.get(found))}
        return [run for run in earlier if run in late and run in self._parents and self._parents[run].whole]

    @staticmethod
    def _is_late(known: _Known | None) -> bool:
        return known is not None and known.whole and bool(known.lacks)

    def _plan_step(
        self, steps: deque[Callable[[], None]], known: _Known | None, step: Callable[[], None]
    ) -> None:
        if known is not None and self._is_late(known):
            steps.append(partial(self._complete, known))
        elif known is not None and known.whole:
            self.n_there += 1
        else:
            steps.append(step)

    def hear(self, event: Event, record: Record | None) -> None:
        """One line of the pass that is under way."""
        one = self._passes.get(event.data.get("run", ""))
        if one is None:
            return
        if event.kind == "measured":
            if record is not None:
                self.measured(record, event.data["values"], event.at)
            return
        one.hear(event)
        if record is not None:
            one.records[record.key] = record
            if event.kind in STATUS:
                self.log(record, event.at)

    def measured(self, record: Record, values: Mapping[str, float], at: dt.datetime) -> None:
        """A clip's measures, which come after its end."""
        known = self._children.get(identity(record))
        if known is not None and values:
            self._batch(known.run_id, params={}, metrics=values, at=at)

    def end(self, run: str) -> None:
        """The pass is over, or its end was never heard."""
        if run in self._passes and not (run in self._parents and self._parents[run].whole):
            self._parent(self._passes[run])
            self._end(self._passes[run])

    def _look(self, *, since: dt.datetime, measured: Mapping[tuple[str, int], Mapping[str, float]]) -> None:
        """Which of our runs are in the experiment: once a pass, not once a request."""
        found = mlflow_store.search(
            self._client,
            [self._experiment_id],
            f"tags.`{columns.RUN}` LIKE '%' AND attributes.start_time >= {ms(since)}",
            page=_PAGE,
            before=lambda: self._allow(CALL_S),
        )
        for run in found:
            tags = run.data.tags
            bare = columns.ARTIFACTS in tags
            over = run.info.status not in {"RUNNING", "SCHEDULED"} and not bare
            known = _Known(run.info.run_id, run.info.artifact_uri, over, bare, begun=bool(run.data.params))
            if key := tags.get(columns.KEY):
                values, there = measured.get((key, run.info.start_time), {}), run.data.metrics
                if lacks := {name: value for name, value in values.items() if there.get(name) != value}:
                    known = known._replace(lacks=lacks)
                before = self._children.get((key, run.info.start_time))
                if before is None or not before.whole:
                    self._children[key, run.info.start_time] = known
            else:
                self._parents.setdefault(tags[columns.RUN], known)

    def _parent(self, one: Pass) -> str:
        """The pass's run, made when it is not there yet."""
        if one.run not in self._parents:
            tags = {**self._common, **one.lineage, columns.RUN: one.run, **self._told(one)}
            made = self._create(one.began, mirror_words.pass_name(one), tags)
            self._parents[one.run] = made
            self._begin(one, made)
        return self._parents[one.run].run_id

    def _begin(self, one: Pass, known: _Known) -> None:
        """What is known before anything was sent."""
        usd = one.estimate_usd
        metrics = {"estimate_usd": None if usd is None else round(usd, 6)}
        self._batch(known.run_id, params=self._params(one), metrics=metrics, at=one.began)
        self._put(known, {"plan.json": mirror_files.plan(one)} if one.asked else {})
        if datasets := _datasets(one, self._folder):
            self._log_inputs(known, datasets)

    def _log_inputs(self, known: _Known, datasets: list[Any]) -> None:
        """Say which pictures went in; once more if another study wrote the same picture at the same moment.

        MLflow looks whether it has the dataset and then makes it: the second of two is refused.
        """
        from mlflow.exceptions import MlflowException

        for is_last in (False, True):
            self._allow(CALL_S)
            try:
                self._client.log_inputs(known.run_id, datasets=datasets)
                return
            except MlflowException as error:
                if is_last or "UNIQUE" not in str(error).upper():
                    raise

    def _params(self, one: Pass) -> dict[str, Any]:
        endpoints = dict.fromkeys(columns.alias(asked["endpoint"]) for asked in one.requests.values())
        return {
            "n_requests": one.n_requests,
            "engine": self._engine,
            "endpoint": ", ".join(endpoints),
            "varying": ", ".join(one.varying),
            "budget_usd": one.budget_usd,
            **{name: cut(mirror_words.listed(v), _MOST_LIST) for name, v in one.varying.items()},
        }

    def _told(self, one: Pass, run_id: str | None = None) -> dict[str, str]:
        """The tags of a pass that change when it is over; its run's id says that it is."""
        free = self._engine != "fal"
        tags = {
            _NOTE: mirror_words.pass_note(one, free=free, run_id=run_id),
            f"{columns.TAG}price": mirror_words.price(one, free=free),
            f"{columns.TAG}error": one.why or "",
        }
        return {name: value for name, value in tags.items() if value}

    def _end(self, one: Pass) -> None:
        known, ended = self._parents[one.run], one.ended or one.last
        if known.found and not known.begun:
            self._begin(one, known)
        tags = self._told(one, known.run_id)
        self._batch(known.run_id, params={}, metrics=one.totals()._asdict(), at=ended, tags=tags)
        files = mirror_files.of_pass(one, self._folder)
        if not one.asked and not (known.found and self._has_plan(known)):
            files["plan.json"] = mirror_files.plan(one)
        self._put(known, files)
        self._close(known, one.status, ended)
        self._parents[one.run] = known._replace(whole=True)

    def _has_plan(self, known: _Known) -> bool:
        """Whether the whole plan is there; the journal alone may know less of a pass that was cut off."""
        self._allow(CALL_S)
        return any(file.path == "plan.json" for file in self._client.list_artifacts(known.run_id))

    # ── requests ────────────────────────────────────────────────────────────────────────────────────────

    def log(self, record: Record, ended: dt.datetime) -> None:
        """A request came to its end: one run, unless it is there already."""
        found = identity(record)
        known = self._children.get(found)
        if known is not None and (known.whole or self.artifact_problem is not None):
            return
        values = _values(record, self._folder)
        if known is None:
            known = self._children[found] = self._create_child(record, values["tags"])
        metrics = {**self._measures(record), **values["metrics"]}
        self._batch(known.run_id, params=values["params"], metrics=metrics, at=ended)
        self._put(known, mirror_files.of_request(record, self._folder))
        self._close(known, STATUS[record.stage], ended)
        self._children[found] = known._replace(whole=True)

    def _create_child(self, record: Record, tags: Mapping[str, Any]) -> _Known:
        assert record.sent_at is not None
        one = self._passes.get(record.run)
        more = {
            **self._common,
            **tags,
            **lineage.of_endpoint(record.asked["endpoint"]),
            f"{columns.TAG}image_sha256": (record.asked.get("image") or {}).get("sha256"),
            f"{columns.TAG}size": f"{record.clip['width']}×{record.clip['height']}" if record.clip else None,
            _NOTE: mirror_words.run_note(record),
        }
        if one is not None:
            more |= {**one.lineage, "mlflow.parentRunId": self._parent(one)}
        return self._create(record.sent_at, mirror_words.run_name(record, one.varying if one else {}), more)

    def _measures(self, record: Record) -> dict[str, float]:
        """What was measured of its clip so far."""
        if record.stage != "saved" or not record.clip:
            return {}
        entries = self._store.of_key(record.key, str(record.clip["sha256"]))
        return {name: entry.value for name, entry in entries.items() if entry.value is not None}

    def _complete(self, known: _Known) -> None:
        """Measures that came after the run was whole. Timed now: of two at one time MLflow keeps the larger."""
        self._batch(known.run_id, params={}, metrics=known.lacks, at=dt.datetime.now(dt.UTC))
        self.n_written += 1

    def _renew(self, run: str) -> None:
        """The table of a pass, with the measures that came after it."""
        self._put(self._parents[run], mirror_files.table(self._passes[run], self._folder))

    # ── calls ───────────────────────────────────────────────────────────────────────────────────────────

    def _create(self, began: dt.datetime, name: str, tags: Mapping[str, Any]) -> _Known:
        self._allow(CALL_S)
        made = self._client.create_run(
            self._experiment_id,
            start_time=ms(began),
            tags={name: cut(str(value), MOST_TAG) for name, value in tags.items() if value is not None},
            run_name=name,
        )
        return _Known(made.info.run_id, made.info.artifact_uri, found=False)

    def _batch(
        self,
        run_id: str,
        *,
        params: Mapping[str, Any],
        metrics: Mapping[str, Any],
        at: dt.datetime,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """All params and metrics in one call; what has no value is left out: one bad value fails them all."""
        from mlflow.entities import Metric, Param, RunTag

        self._allow(CALL_S)
        self._client.log_batch(
            run_id,
            metrics=[
                Metric(name, float(value), ms(at), 0)
                for name, value in metrics.items()
                if value is not None and math.isfinite(value)
            ],
            params=[
                Param(name, cut(str(value), mirror_files.MOST_PARAM))
                for name, value in params.items()
                if value is not None and value != ""
            ],
            tags=[RunTag(name, cut(value, MOST_TAG)) for name, value in (tags or {}).items()],
            synchronous=True,
        )

    def _put(self, known: _Known, files: mirror_files.Files) -> None:
        """Store files. A store that takes none keeps the numbers all the same; the next pass tries again."""
        if self.artifact_problem is None and files:
            try:
                mirror_files.put(
                    self._client,
                    known.run_id,
                    known.artifact_uri,
                    files,
                    allow=lambda n_bytes: self._allow(CALL_S + n_bytes / _UPLOAD_BYTES_S),
                )
            except Exception as error:  # noqa: BLE001  # each kind of artifact store raises its own
                self.artifact_problem = error

    def _close(self, known: _Known, status: str, ended: dt.datetime) -> None:
        """The run's end, and whether its files are there."""
        self._allow(CALL_S)
        if self.artifact_problem is not None:
            self._client.set_tag(known.run_id, columns.ARTIFACTS, _MISSING)
        elif known.bare:
            self._client.delete_tag(known.run_id, columns.ARTIFACTS)
        self._allow(CALL_S)
        self._client.set_terminated(known.run_id, status=status, end_time=ms(ended))
        self.n_written += 1


def _values(record: Record, folder: Path) -> dict[str, dict[str, Any]]:
    """The record's values by where MLflow keeps them, as `columns` declares."""
    values: dict[str, dict[str, Any]] = {"params": {}, "metrics": {}, "tags": {}}
    for column in columns.COLUMNS:
        place, _, name = column.home.partition(".")
        if place:
            values[place][name] = column.of(record, folder)
    return values


def _datasets(one: Pass, study: Path) -> list[Any]:
    """The pictures of a pass as MLflow's inputs.

    Of the pass only: for each request it would be one more call, a sixth of the time that its run takes.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag

    pictures: dict[str, Mapping[str, Any]] = {}
    uses: dict[str, dict[str, None]] = {}
    for asked in one.requests.values():
        for name, use in (("image", "first frame"), ("end_image", "last frame")):
            if picture := asked.get(name):
                pictures[picture["sha256"]] = picture
                uses.setdefault(picture["sha256"], {})[use] = None
    return [
        DatasetInput(
            Dataset(
                name=str(picture["name"]),
                digest=sha256[:16],
                source_type="local",
                source=json.dumps({"uri": (study / "inputs" / sha256).as_uri()}),
                profile=json.dumps({k: picture[k] for k in ("width", "height", "n_bytes", "media_type")}),
            ),
            [InputTag("mlflow.data.context", ", ".join(sorted(uses[sha256])))],
        )
        for sha256, picture in itertools.islice(pictures.items(), _MOST_PICTURES)
    ]
