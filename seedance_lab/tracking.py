"""The live mirror of a study in MLflow: a queue, a thread, and a promise never to be in the way.

The journal's lines go through the queue to one writer thread (several bring nothing, and SQLite suffers
from them). A tracking server that is dead, slow or read-only costs one warning: the study folder is the
truth, and the next pass writes what is missing.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import filelock

from seedance_lab import journal, mlflow_client, mlflow_store
from seedance_lab.engine import Place
from seedance_lab.journal import Event
from seedance_lab.mirror import CALL_S, Mirror
from seedance_lab.plan import Plan
from seedance_lab.record import Record

if TYPE_CHECKING:
    from mlflow import MlflowClient

_OPEN_S = 60.0
"""MLflow's import, and the migration of a fresh database: seconds, on a slow disk many."""
_TURN_S = 30.0
"""Longest wait for another process that still writes this study's runs."""
_MOST_FAILURES = 3
_TICK_S = 0.1


class TrackingWarning(UserWarning):
    """MLflow did not take everything; the study's folder has it all."""


class _Abandoned(Exception):  # a signal inside this module
    """`close` has stopped waiting."""


class Tracker:
    """Follows one pass of a study.

    Args:
        folder: The study's folder.
        experiment: Name of the MLflow experiment; made when it is not there.
        place: Where the clips are made.

    Attributes:
        warning: One sentence for people when MLflow did not take everything, else None.
    """

    def __init__(self, folder: Path, *, experiment: str, place: Place) -> None:
        self.warning: str | None = None
        self._folder, self._experiment, self._engine = folder, experiment, place.name
        self._inbox: queue.SimpleQueue[tuple[Event, Record | None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._began = False
        self._over = False
        self._until = 0.0
        self._failures = 0
        self._turn = filelock.FileLock(folder / ".tracking.lock", thread_local=False)
        self._run = ""
        self._plan: Plan
        self._where: mlflow_store.Location
        self._uri: str | None = None

    def start(self, run_id: str, plan: Plan) -> None:
        """Begin to follow; returns at once.

        Args:
            run_id: The pass's id.
            plan: What it is to make.
        """
        try:
            self._where = mlflow_store.Location.now()
        except OSError as error:
            self._warn(f"the working folder is gone ({error.strerror})")
            return
        self._run, self._plan = run_id, plan
        thread = threading.Thread(target=self._main, name="seedance_lab tracking", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the system's limit of threads
            self._warn(str(error))
        else:
            self._thread = thread

    def put(self, event: Event, record: Record | None) -> None:
        """Take one line of the journal; never blocks, never raises."""
        if self._thread is not None and not self._over:
            self._began = self._began or event.kind == "run"
            self._inbox.put((event, record))

    def close(self) -> None:
        """Wait for what is still to be written, as long as it moves; never raises."""
        if self._thread is None:
            return
        self._inbox.put(None)
        if not self._began:  # the pass never began, so there is nothing to wait for
            self._over = True
            return
        self._until = max(self._until, time.monotonic() + CALL_S)
        while self._thread.is_alive():
            if time.monotonic() > self._until:
                self._over = True
                self._warn("it has stopped answering")
                # The thread writes nothing more after the call that it is in, which may take MLflow minutes.
                self._turn.release()
                return
            self._thread.join(_TICK_S)

    # ── on the thread ───────────────────────────────────────────────────────────────────────────────────

    def _main(self) -> None:
        try:
            self._allow(_OPEN_S)
            import mlflow  # noqa: F401  # early, while the engine is being opened

            with mlflow_store.quiet():
                self._follow()
        except _Abandoned:
            pass
        except mlflow_store.Unreachable as error:
            self._warn(str(error))
        except Exception as error:  # noqa: BLE001  # whatever MLflow raises must not touch the run
            self._warn(_told(error))
        finally:
            self._over = True

    def _follow(self) -> None:
        while (item := self._inbox.get()) is None or item[0].kind != "run":
            if item is None:
                return
        self._take_turn()
        try:
            self._write(item[0])
        finally:
            self._turn.release()

    def _take_turn(self) -> None:
        """One process at a time: the study's next pass may begin while the last one's runs are being written.

        Two would not find each other's runs, and write some twice.
        """
        self._allow(_TURN_S)
        try:
            self._turn.acquire(timeout=_TURN_S)
        except filelock.Timeout as error:
            raise mlflow_store.Unreachable("another process is still writing this study's runs") from error
        except OSError:
            return  # a folder whose file system has no locks; the journal's own was granted, or nobody would be here
        if self._over:
            self._turn.release()

    def _write(self, begun: Event) -> None:
        mirror = self._open(begun)
        earlier = mirror.catch_up(journal.read(self._folder / "journal.jsonl"), self._run)
        while True:
            if earlier and self._inbox.empty():  # what is happening now goes before what was missed
                with self._forgiven(mirror):
                    earlier.popleft()()
            elif (item := self._inbox.get()) is not None:
                with self._forgiven(mirror):
                    mirror.hear(*item)
            else:
                break
        mirror.end(self._run)
        while earlier:
            with self._forgiven(mirror):
                earlier.popleft()()

    def _open(self, event: Event) -> Mirror:
        uri = self._uri = self._where.absolute()
        self._allow(2 * mlflow_store.ANSWER_S)
        mlflow_store.check(uri)
        self._allow(CALL_S if uri.startswith("http") else _OPEN_S)
        client = _client(uri, before=lambda: self._allow(CALL_S))
        mirror = Mirror(
            client,
            self._experiment_id(client, uri),
            folder=self._folder,
            engine=self._engine,
            cwd=self._where.cwd,
            allow=self._allow,
        )
        mirror.begin(event, self._plan)
        return mirror

    def _experiment_id(self, client: MlflowClient, uri: str) -> str:
        from mlflow.exceptions import MlflowException

        found = client.get_experiment_by_name(self._experiment)
        if found is None:
            self._allow(CALL_S)
            try:
                return str(
                    client.create_experiment(self._experiment, artifact_location=self._where.artifacts(uri))
                )
            except MlflowException:  # another process was quicker
                found = client.get_experiment_by_name(self._experiment)
                if found is None:
                    raise
        return str(found.experiment_id)

    @contextlib.contextmanager
    def _forgiven(self, mirror: Mirror) -> Iterator[None]:
        """One request that MLflow refuses costs that request; a store that is gone ends the tracking."""
        try:
            yield
            self._failures = 0
            if mirror.artifact_problem is not None:
                self._warn(f"its artifact store: {_told(mirror.artifact_problem)}")
        except _Abandoned:
            raise
        except Exception as error:
            self._failures += 1
            if self._failures >= _MOST_FAILURES:
                raise
            self._allow(2 * mlflow_store.ANSWER_S)
            mlflow_store.check(self._uri or "")
            self._warn(_told(error))

    def _allow(self, seconds: float) -> None:
        """Say how long the next step may take: what `close` waits for."""
        if self._over:
            raise _Abandoned
        self._until = time.monotonic() + seconds

    def _warn(self, why: str) -> None:
        """Once."""
        if self.warning is not None:
            return
        uri = self._uri or (self._where.uri if self._thread is not None else None) or "its default location"
        said = mlflow_store.without_secrets(why, uri)
        self.warning = (
            f"MLflow at {mlflow_store.shown(uri)} did not take everything ({said.rstrip('.')}); the clips "
            "and the journal are complete, and the next run of this study tracks what is missing"
        )
        # Where warnings are errors the sentence is still in `warning`, and the run must not suffer.
        with contextlib.suppress(Warning):
            warnings.warn(self.warning, TrackingWarning, stacklevel=2)


_client = mlflow_client.opened


def _told(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:600]}" if lines else type(error).__name__
