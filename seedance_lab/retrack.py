"""A study written into MLflow now: what was made without tracking, or what a lost database has forgotten.

The same steps as a pass takes to catch up with what it missed, without a pass and without a thread of its own:
whoever asks for it waits for it, and is told why when it cannot be done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import filelock

from seedance_lab import mlflow_client, mlflow_store
from seedance_lab.engine import Place
from seedance_lab.errors import StudyError, StudyLocked
from seedance_lab.journal import Event, Journal
from seedance_lab.mirror import Mirror

if TYPE_CHECKING:
    from mlflow import MlflowClient

_MOST_FAILURES = 3
"""Refusals one after another that mean the store, not the run."""
_TURN_S = 30.0
"""Longest wait for another process that still writes this study's runs."""

Listener = Callable[[int, int], None]


class Written(NamedTuple):
    """What `Study.track` did. A run stands for a request that came to an end, or for a pass.

    Attributes:
        n_written: Runs that were made or completed now.
        n_there: Runs that were there already, whole.
        problems: What MLflow did not take, a sentence each; empty when it has everything.
        uri: The store, without its password.
        experiment: Name of the experiment.
    """

    n_written: int
    n_there: int
    problems: tuple[str, ...]
    uri: str
    experiment: str

    def __repr__(self) -> str:
        facts = [
            f"{self.n_written:,} run{'s' if self.n_written != 1 else ''} written",
            f"{self.n_there:,} {'were' if self.n_there != 1 else 'was'} there",
            f"experiment {self.experiment!r} of MLflow at {self.uri}",
        ]
        if self.problems:
            n = len(self.problems)
            facts.append(f"{n:,} problem{'s' if n != 1 else ''}: {self.problems[0]}")
        return " · ".join(facts)


def retrack(
    folder: Path,
    *,
    place: Place,
    experiment: str,
    tracking_uri: str | None = None,
    listener: Listener | None = None,
) -> Written:
    """Write everything that a study's journal knows and MLflow does not have.

    Args:
        folder: The study's.
        place: Where its clips are made.
        experiment: Name of the MLflow experiment; made if it is not there.
        tracking_uri: Where MLflow itself would put runs if not given.
        listener: Told after each run how many are done, of how many.

    Raises:
        StudyError: There is no study, or the store cannot be reached or written. What was written is kept, and
            the same call goes on from there.
        StudyLocked: The study is being run, or its runs are being written.
        JournalDamaged: The journal cannot be read.
    """
    if not (folder / "journal.jsonl").exists():
        raise StudyError(f"There is no study in {folder}, so there is nothing to track.")
    where = mlflow_store.Location.now()
    where = where._replace(uri=tracking_uri or where.uri)
    uri = where.absolute()
    # Under the study's lock, and in the tracker's turn: two writers would not find each other's runs.
    with Journal(folder) as journal, _turn(folder):
        try:
            import mlflow  # noqa: F401  # its import sets up the handler that `quiet` hushes

            with mlflow_store.quiet():
                client = _client(uri, experiment)
                mirror = Mirror(
                    client,
                    _experiment_id(client, experiment, where.artifacts(uri)),
                    folder=folder,
                    engine=place.name,
                    cwd=where.cwd,
                    allow=_wait,
                )
                problems = _write(mirror, journal.take(), listener)
        except StudyError:
            raise
        except Exception as error:  # MLflow, SQLAlchemy, drivers and plugins each raise their own
            said = mlflow_store.without_secrets(_told(error), uri).rstrip(".")
            raise StudyError(
                f"MLflow at {mlflow_store.shown(uri)} did not take the runs ({said}). The study is complete in "
                f"{folder}, and the same call again writes what is missing. Start that server or mend that store, "
                "or name another one: tracking_uri='sqlite:///mlflow.db' (--tracking-uri on the command line)."
            ) from error
    secretless = tuple(mlflow_store.without_secrets(problem, uri) for problem in problems)
    return Written(mirror.n_written, mirror.n_there, secretless, mlflow_store.shown(uri), experiment)


def _turn(folder: Path) -> filelock.BaseFileLock:
    """The right to write this study's runs; the tracker of a run that has just ended may still have it."""
    turn = filelock.FileLock(folder / ".tracking.lock")
    try:
        turn.acquire(timeout=_TURN_S)
    except filelock.Timeout as error:
        raise StudyLocked(
            f"Another process is still writing the runs of {folder} into MLflow. Wait for it and call again."
        ) from error
    return turn


def _client(uri: str, experiment: str) -> MlflowClient:
    path = mlflow_store.sqlite_path(uri)
    is_new = path is not None and not path.exists()
    mlflow_store.check(uri)
    client = mlflow_client.opened(uri)
    if is_new and client.get_experiment_by_name(experiment) is not None:
        raise StudyError(
            f"The database {path} was deleted, and this process has it open still. Nothing was written. "
            "Restart Python (the notebook's kernel) and call again."
        )
    return client


def _write(mirror: Mirror, events: Sequence[Event], listener: Listener | None) -> list[str]:
    """Take the steps; returns what was refused."""
    steps = mirror.catch_up(events)
    n, problems, in_a_row = len(steps), [], 0
    while steps:
        try:
            steps.popleft()()
            in_a_row = 0
        except Exception as error:
            in_a_row += 1
            if in_a_row >= _MOST_FAILURES:
                raise
            problems.append(_told(error))
        if listener is not None:
            listener(n - len(steps), n)
    if mirror.artifact_problem is not None:
        problems.append(f"its artifact store: {_told(mirror.artifact_problem)}")
    return problems


def _experiment_id(client: MlflowClient, name: str, artifacts: str | None) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        return str(client.create_experiment(name, artifact_location=artifacts))
    if found.lifecycle_stage != "active":
        raise StudyError(
            f"The experiment {name!r} is deleted in MLflow. Nothing was written. Restore it (mlflow experiments "
            f"restore --experiment-id {found.experiment_id}), or name another one."
        )
    return str(found.experiment_id)


def _wait(_: float) -> None:
    """A caller who is waiting can interrupt."""


def _told(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    if isinstance(error, mlflow_store.Unreachable):
        return lines[0]
    return f"{type(error).__name__}: {lines[0][:600]}" if lines else type(error).__name__
