"""A study whose passes are written by a test, in the lines that the runner writes, with MLflow watching."""

from __future__ import annotations

import functools
import hashlib
import io
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import av
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Run

from seedance_lab import media
from seedance_lab.clip import file_name
from seedance_lab.columns import KEY, RUN
from seedance_lab.engine import place_of
from seedance_lab.journal import Journal
from seedance_lab.mlflow_store import quiet
from seedance_lab.plan import Plan
from seedance_lab.record import Record, fold, step
from seedance_lab.request import Request
from seedance_lab.tracking import Tracker

EXPERIMENT = "harbour"
_numbers = itertools.count(1)


@functools.cache
def tiny_mp4() -> bytes:
    """Half a second of 64×48 at 24 fps."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(12):
            picture = np.full((48, 64, 3), 20 * i, dtype=np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture)):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return buffer.getvalue()


@functools.cache
def _template() -> Path:
    """A migrated store: making one costs seconds, copying it nothing."""
    path = Path(tempfile.mkdtemp(prefix="seedance_lab-tests-")) / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}")
    return path


def fresh_store(folder: Path) -> str:
    """An empty MLflow store at its default place in a folder; returns its URI."""
    path = folder / "mlflow.db"
    shutil.copyfile(_template(), path)
    return f"sqlite:///{path}"


class Tracked:
    """One pass: `with Tracked(folder, plan) as one: one.save(plan[0])`."""

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        *,
        engine: str = "local",
        track: bool = True,
        experiment: str = EXPERIMENT,
        why: str | None = None,
    ) -> None:
        self.folder, self.plan, self.engine, self.why = folder, plan, engine, why
        self.run = f"20261123T120000-{os.getpid():x}{next(_numbers):04x}"  # no other process's
        self.tracker = Tracker(folder, experiment=experiment, place=place_of(engine)) if track else None
        self.cut_off = False

    def __enter__(self) -> Self:
        if self.tracker:
            self.tracker.start(self.run, self.plan)
        self.journal = Journal(self.folder)
        before = self.journal.take()
        self.records: dict[str, Record] = fold(before)
        if not before:
            self.say("study", version=1, engine=self.engine)
        (self.folder / "clips").mkdir(exist_ok=True)
        self.say("run", run=self.run, n_requests=len(self.plan), engine_id="x", budget_usd=None, version="0")
        return self

    def __exit__(self, *_: object) -> None:
        if not self.cut_off:
            self.say("ended", run=self.run, why=self.why)
        self.journal.close()
        if self.tracker:
            self.tracker.close()

    def say(self, kind: str, key: str = "", **data: Any) -> None:
        event = self.journal.append(kind, key, **data)
        record = step(self.records, event, self.engine) if key else None
        if self.tracker:
            self.tracker.put(event, replace(record) if record else None)

    def send(self, request: Request) -> None:
        wire = request.wire("https://cdn.invalid/a.png", "https://cdn.invalid/b.png")
        self.say("sending", request.key, run=self.run, request=request.record(), wire=wire, usd=request.usd)

    def accept(self, request: Request) -> None:
        self.send(request)
        self.say("accepted", request.key, run=self.run, request_id=f"id-{request.key[-6:]}", urls={})

    def save(self, *requests: Request, metrics: dict[str, Any] | None = None) -> None:
        for request in requests:
            self.accept(request)
            self.say(
                "finished",
                request.key,
                run=self.run,
                billable_units=None,
                result={
                    "video": {"url": f"https://cdn.invalid/{request.key[-6:]}.mp4"},
                    "seed": request.seed or 77,
                },
                metrics={"inference_time": 0.25} if metrics is None else metrics,
            )
            path = self.folder / "clips" / file_name(request.key)
            path.write_bytes(tiny_mp4())
            self.say(
                "saved",
                request.key,
                run=self.run,
                file=f"clips/{path.name}",
                sha256=hashlib.sha256(tiny_mp4()).hexdigest(),
                download_s=0.0125,
                **media.facts(path)._asdict(),
            )

    def fail(self, request: Request) -> None:
        self.accept(request)
        self.say(
            "failed",
            request.key,
            run=self.run,
            error="prompt: not allowed",
            error_type="content_policy_violation",
            http_status=422,
            metrics={},
            billable_units=None,
        )

    def refuse(self, request: Request) -> None:
        self.send(request)
        self.say("refused", request.key, run=self.run, error="HTTP 422: seed is too large", http_status=422)

    def cancel(self, request: Request) -> None:
        self.accept(request)
        self.say(
            "cancelled",
            request.key,
            run=self.run,
            error="taken back",
            error_type=None,
            http_status=499,
            may_be_billed=False,
            metrics={},
            billable_units=None,
        )

    def lose(self, request: Request) -> None:
        self.send(request)
        self.say("unknown", request.key, run=self.run, error="the answer was lost")


class Books:
    """What is in an MLflow store."""

    def __init__(self, uri: str, experiment: str = EXPERIMENT) -> None:
        with quiet():
            self.client = MlflowClient(tracking_uri=uri)
            found = self.client.get_experiment_by_name(experiment)
        self.runs: list[Run] = (
            list(self.client.search_runs([found.experiment_id], order_by=["attributes.start_time ASC"]))
            if found
            else []
        )

    def where(self, holds: Callable[[Run], bool]) -> list[Run]:
        return [run for run in self.runs if holds(run)]

    @property
    def children(self) -> list[Run]:
        return self.where(lambda run: KEY in run.data.tags)

    @property
    def parents(self) -> list[Run]:
        return self.where(lambda run: RUN in run.data.tags and KEY not in run.data.tags)

    def of(self, request: Request) -> Run:
        """The one run of a request."""
        (run,) = self.where(lambda run: run.data.tags.get(KEY) == request.key)
        return run

    def keys(self) -> list[str]:
        return [run.data.tags[KEY] for run in self.children]

    def artifacts(self, run: Run) -> set[str]:
        return {file.path for file in self.client.list_artifacts(run.info.run_id)}


class Grumpy:
    """An MLflow client of which some calls fail as the test says."""

    def __init__(
        self, client: MlflowClient, fails: Callable[[str, tuple[Any, ...]], Exception | None]
    ) -> None:
        self._client, self._fails = client, fails

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            if error := self._fails(name, args):
                raise error
            return method(*args, **kwargs)

        return call


def keys(requests: Iterable[Request]) -> list[str]:
    return [request.key for request in requests]
