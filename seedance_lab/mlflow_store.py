"""Which MLflow store is meant, whether it answers, and how to keep it quiet.

MLflow itself is imported only where it is needed: it costs 1–2 s, and what is here must be askable before.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import socket
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

import httpx

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

ENV = "MLFLOW_TRACKING_URI"
ANSWER_S = 5.0
"""How long a tracking server may take to show a sign of life."""

_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}


class Unreachable(Exception):  # never leaves the tracker: it becomes a warning
    """The store does not answer, or cannot be written."""


class Location(NamedTuple):
    """Where MLflow would look, as it was at one moment: a later change of folder must not split the store.

    Attributes:
        uri: What `MLFLOW_TRACKING_URI` said (`mlflow.set_tracking_uri` sets it too); None: MLflow's default.
        cwd: The working folder, which relative locations and the default are meant from.
    """

    uri: str | None
    cwd: Path

    @classmethod
    def now(cls) -> Location:
        """As this process stands."""
        return cls(os.environ.get(ENV) or None, Path.cwd())

    def absolute(self) -> str:
        """The tracking URI, independent of the working folder. Loads MLflow when it is the default's turn."""
        if self.uri is not None:
            return _absolute(self.uri, self.cwd)
        if _same_folder(self.cwd):
            import mlflow

            return _absolute(mlflow.get_tracking_uri(), self.cwd)
        # The folder was left while MLflow was being imported: its own rule, for the folder that was meant.
        older = any((self.cwd / "mlruns").glob("[0-9]*/meta.yaml"))
        return (self.cwd / "mlruns").as_uri() if older else _sqlite_uri(self.cwd / "mlflow.db")

    def artifacts(self, uri: str) -> str | None:
        """Where a new experiment's artifacts go when MLflow's own answer would be the wrong folder."""
        relative_to_here = not uri.startswith(("http:", "https:", "file:", "databricks"))
        if not relative_to_here or _same_folder(self.cwd):
            return None
        return (self.cwd / "mlruns").as_uri()


def _same_folder(cwd: Path) -> bool:
    try:
        return Path.cwd() == cwd
    except OSError:
        return False


def _absolute(uri: str, cwd: Path) -> str:
    if uri.startswith("sqlite:///"):
        path = sqlite_path(uri)
        # `?…` options and in-memory databases are the user's own affair.
        if path is None or "?" in uri:
            return uri
        return uri if path.is_absolute() else _sqlite_uri(cwd / path)
    parts = urlsplit(uri)
    if parts.scheme == "file" and not parts.path.startswith("/"):
        return (cwd / unquote(parts.path)).as_uri()
    if not parts.scheme and uri not in {"databricks", "databricks-uc", "uc"}:
        return (cwd / uri).as_uri()
    return uri


def _sqlite_uri(path: Path) -> str:
    return f"sqlite:///{path.as_posix()}"


def sqlite_path(uri: str) -> Path | None:
    """The file of a SQLite URI; None for other stores, a database in memory and SQLite's own `file:` form."""
    if not uri.startswith("sqlite:///"):
        return None
    name = unquote(uri.removeprefix("sqlite:///").split("?", 1)[0])
    return Path(name) if name and name != ":memory:" and not name.startswith("file:") else None


def check(uri: str) -> None:
    """Ask for a sign of life, within a few seconds; MLflow itself would go on trying for minutes.

    Raises:
        Unreachable: There is none, or the file cannot be written.
    """
    parts = urlsplit(uri)
    if parts.scheme in {"http", "https"}:
        _check_http(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}/health")
    elif (path := sqlite_path(uri)) is not None:
        _check_sqlite(path)
    elif parts.hostname and (port := parts.port or _PORTS.get(parts.scheme.partition("+")[0])):
        try:
            socket.create_connection((parts.hostname, port), timeout=ANSWER_S).close()
        except OSError as error:
            raise Unreachable(f"{error.strerror or error}") from error


def _check_http(url: str) -> None:
    try:
        # Any answer is a sign of life; whether to trust the certificate is MLflow's to decide, and nothing
        # secret is sent here.
        httpx.get(url, timeout=ANSWER_S, verify=False)  # noqa: S501  # see above
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unreachable(f"{type(error).__name__}: {error}".rstrip(": ")) from error


def _check_sqlite(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():  # and it shall not: an empty file is no database that is not there yet
            with tempfile.TemporaryFile(dir=path.parent):
                return
        with contextlib.closing(sqlite3.connect(path, timeout=ANSWER_S, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
    except sqlite3.Error as error:
        if "locked" not in str(error):  # busy is alive
            raise Unreachable(str(error)) from error
    except OSError as error:
        raise Unreachable(f"{error.strerror or error}") from error


def holds_runs(path: Path) -> bool:
    """Whether there is a run in this SQLite database; True too where that cannot be told."""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            named = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            if ("runs",) not in named:
                return False
            return bool(database.execute("SELECT EXISTS (SELECT 1 FROM runs)").fetchone()[0])
    except sqlite3.Error:
        return True


def search(
    client: MlflowClient,
    ids: Sequence[str],
    asked: str,
    *,
    page: int,
    before: Callable[[], None] = lambda: None,
) -> Iterator[Run]:
    """Every run that answers the filter, oldest first.

    Args:
        client: Of the store.
        ids: Of the experiments.
        asked: In MLflow's search language.
        page: Runs a call.
        before: Called before each call.
    """
    token = None
    while True:
        before()
        # Python's garbage collector walking the ORM's objects would take two thirds of the time.
        collecting = gc.isenabled()
        gc.disable()
        try:
            found = client.search_runs(
                list(ids), asked, max_results=page, order_by=["attributes.start_time ASC"], page_token=token
            )
        finally:
            if collecting:
                gc.enable()
        yield from found
        token = found.token
        if not token:
            return


def shown(uri: str) -> str:
    """The URI for people, without a password."""
    parts = urlsplit(uri)
    return uri.replace(parts.netloc, parts.netloc.rpartition("@")[2]) if "@" in parts.netloc else uri


def without_secrets(text: str, uri: str) -> str:
    """A library's message, without the password of the URI."""
    password = urlsplit(uri).password
    for secret in {password, unquote(password)} if password else ():
        text = text.replace(secret, "***")
    return text


class _NotFromHere(logging.Filter):
    """Drops what one thread says."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    def filter(self, record: logging.LogRecord) -> bool:
        return record.thread != self._thread


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what MLflow, Alembic and urllib3 log in this thread away from the user; other threads are heard.

    Call it after MLflow was imported: its import sets up the handler that is hushed.
    """
    hush = _NotFromHere()
    places: list[logging.Filterer] = [
        *logging.getLogger("mlflow").handlers,
        *(logging.getLogger(name) for name in ("alembic.runtime.migration", "urllib3.connectionpool")),
    ]
    for place in places:
        place.addFilter(hush)
    try:
        yield
    finally:
        for place in places:
            place.removeFilter(hush)
