"""`runs`: the frame of a study from MLflow, by the fastest way that is certain.

A database is read by SQL, a tracking server page by page over HTTP, everything else by MLflow's client. The
same frame comes out of each.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from seedance_lab import mlflow_store
from seedance_lab.errors import LabError, near
from seedance_lab.loading import client, rest, sql, watch
from seedance_lab.loading.database import NotReadable, is_database, opened
from seedance_lab.loading.rows import Loaded, latest

if TYPE_CHECKING:
    import pandas as pd

_ATTEMPTS = ("latest", "all")


def runs(
    experiments: str | Sequence[str],
    *,
    tracking_uri: str | None = None,
    filter: str = "",  # noqa: A002  # MLflow's own word for it
    attempts: str = "latest",
) -> pd.DataFrame:
    """The same table from MLflow: what was tracked, by anyone, in one or several experiments.

    It differs from `Study.frame` in that only what came to an end is there; a prompt is cut at 6,000
    characters; and `file` is MLflow's copy of the clip (a path where the store is on this machine, else a
    URI).

    Where the tracking URI is a database (SQLite, PostgreSQL) it is read directly, and read-only. A large
    SQLite experiment stays in memory: a second call reads what is new or changed only, by looking at all
    runs and tags again; nothing is taken for granted, so there is nothing to refresh. Over HTTP nothing is
    kept: a server does not tell which of its runs have changed.

    Args:
        experiments: A name, or several.
        tracking_uri: MLflow's own default if not given.
        filter: In MLflow's search language: ``"params.resolution = '720p'"``.
        attempts: `latest`: one row a request and engine, its latest attempt, where its first one stood.
            `all`: one row an attempt, in the order of sending.

    Returns:
        The columns of `Study.frame`, then every other metric of these runs as float64, by name.
        `df.attrs["units"]` has the units, `df.attrs["n_foreign"]` how many runs in there are not of this
        package.

    Raises:
        LabError: There is no such experiment or store, it does not answer, or MLflow does not understand the
            filter.
    """
    if attempts not in _ATTEMPTS:
        raise LabError(f"attempts={attempts!r}: it is 'latest' or 'all'.{near(attempts, _ATTEMPTS)}")
    where = mlflow_store.Location.now()
    uri = where._replace(uri=tracking_uri or where.uri).absolute()
    path = mlflow_store.sqlite_path(uri)
    if path is not None and not path.exists():
        raise LabError(f"There is no MLflow store at {path}. Name it: runs(…, tracking_uri='sqlite:///…').")
    names = list(dict.fromkeys([experiments] if isinstance(experiments, str) else experiments))
    with _no_collecting():
        loaded = _loaded(uri, names, filter.strip())
    df = latest(loaded.df) if attempts == "latest" else loaded.df
    df.attrs["n_foreign"] = loaded.n_foreign
    return df


@contextlib.contextmanager
def _no_collecting() -> Iterator[None]:
    """Python's garbage collector paused: it would walk millions of new objects, none of them garbage.

    Two thirds of the time that MLflow's client takes is its.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _loaded(uri: str, names: Sequence[str], asked: str) -> Loaded:
    if is_database(uri) and not _in_a_workspace():
        try:
            return _by_sql(uri, names, asked)
        except NotReadable:
            pass  # what is wrong, if anything is, MLflow itself will say
    return _by_api(uri, names, asked)


def _by_sql(uri: str, names: Sequence[str], asked: str) -> Loaded:
    if not asked:
        with opened(uri) as database:
            kept = watch.load(database, sql.experiment_ids(database, names))
            return kept._replace(df=kept.df.copy())
    from mlflow.exceptions import MlflowException

    with opened(uri) as database:
        ids = sql.experiment_ids(database, names)
        try:
            wanted = sql.translated(database, asked)
        except MlflowException as error:
            raise _unanswered(uri, error) from error
        return sql.read(database, ids, wanted).loaded()


def _by_api(uri: str, names: Sequence[str], asked: str) -> Loaded:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    with mlflow_store.quiet():
        try:
            if mlflow_store.sqlite_path(uri) is None:  # a file may be read where it cannot be written
                mlflow_store.check(uri)
            mlflow = MlflowClient(tracking_uri=uri)
            ids = client.experiment_ids(mlflow, names, uri)
            if uri.startswith(("http:", "https:")) and not _in_a_workspace():
                rows = rest.read(uri, ids, asked)
            else:
                rows = client.read(mlflow, ids, asked)
        except (MlflowException, mlflow_store.Unreachable, *_database_errors()) as error:
            raise _unanswered(uri, error) from error
    return rows.loaded()


def _database_errors() -> tuple[type[Exception], ...]:
    """What SQLAlchemy raises, where it was loaded: a server's client does without it, and 10 MB less."""
    loaded = sys.modules.get("sqlalchemy.exc")
    return (loaded.SQLAlchemyError,) if loaded else ()


def _unanswered(uri: str, error: Exception) -> LabError:
    said = mlflow_store.without_secrets(str(error), uri)
    return LabError(f"MLflow at {mlflow_store.shown(uri)} did not answer: {said}")


def _in_a_workspace() -> bool:
    """Whether MLflow is told to see one workspace only: that is left to MLflow."""
    return bool(os.environ.get("MLFLOW_WORKSPACE") or os.environ.get("MLFLOW_ENABLE_WORKSPACES"))
