"""Runs through MLflow's public client: any store, and what the faster readers fall back to."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from seedance_lab import mlflow_store
from seedance_lab.errors import LabError, near
from seedance_lab.loading.rows import Info, Rows, Told

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PAGE = 2000
"""Runs a call. A page is held as MLflow's objects, about 60 kB a run, until it is turned into columns."""
_SOME = 500


def experiment_ids(client: MlflowClient, names: Sequence[str], uri: str) -> list[str]:
    """The ids of these experiments.

    Raises:
        LabError: One is not there; near names are named.
    """
    ids = []
    for name in names:
        found = client.get_experiment_by_name(name)
        if found is None or found.lifecycle_stage != "active":
            raise no_experiment(name, [e.name for e in client.search_experiments()], uri)
        ids.append(str(found.experiment_id))
    return ids


def no_experiment(name: str, known: Sequence[str], uri: str) -> LabError:
    """The error that says so."""
    return LabError(
        f"There is no experiment {name!r} in MLflow at {mlflow_store.shown(uri)}.{near(name, known)} "
        f"It has {', '.join(map(repr, known[:10]))}{', …' if len(known) > 10 else ''}."
    )


def read(client: MlflowClient, ids: Sequence[str], asked: str) -> Rows:
    """Every run that answers the filter.

    Raises:
        MlflowException: The store does not answer, or does not understand the filter.
    """
    rows = Rows()
    found = mlflow_store.search(client, ids, asked, page=PAGE)
    with _forgetful():
        while some := list(islice(found, _SOME)):
            rows.take(_told(run) for run in some)
    return rows


@contextlib.contextmanager
def _forgetful() -> Iterator[None]:
    """Let this thread's database sessions forget what they have read before they end.

    Where MLflow reads a database itself, SQLAlchemy marks every object of a page as out of date at the end of a
    session, one by one: a quarter of the time, for objects that nobody will look at again.
    """
    import sqlalchemy.event
    import sqlalchemy.orm

    thread = threading.get_ident()

    def forget(session: sqlalchemy.orm.Session) -> None:
        if threading.get_ident() == thread and not (session.new or session.dirty or session.deleted):
            session.expunge_all()

    sqlalchemy.event.listen(sqlalchemy.orm.Session, "before_commit", forget)
    try:
        yield
    finally:
        sqlalchemy.event.remove(sqlalchemy.orm.Session, "before_commit", forget)


def _told(run: Run) -> Told:
    info, data = run.info, run.data
    at = Info(info.run_id, info.start_time, info.end_time, info.artifact_uri)
    return Told(at, data.params, data.metrics, data.tags)
