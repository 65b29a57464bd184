"""MLflow's own database, opened for reading only: SQLite or PostgreSQL.

Everything is read in one transaction, so that a frame is one moment's, whoever is writing meanwhile.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from seedance_lab import mlflow_store

SCHEMAS = (
    "bda7b8c39065", "cbc13b556ace", "770bee3ae1dd", "a1b2c3d4e5f6", "de4033877273", "1a0cddfcaa16",
    "534353b11cbc", "71994744cf8e", "3da73c924c2f", "bf29a5ff90ea", "1bd49d398cd23", "b7c8d9e0f1a2",
    "5d2d30f0abce", "c9d4e5f6a7b8", "2c33131f4dae", "d3e4f5a6b7c8", "d0e1f2a3b4c5", "c8d9e0f1a2b3",
    "1b5f0d9ad7c1", "e1f2a3b4c5d6", "76601a5f987d", "c3d6457b6d8a", "a5b4c3d2e1f0", "ae8bbe7743c9",
    "7d34483879f0", "da6fb0208061", "89d3d66ed43f", "b7e4c1a90f23", "a8b9c0d1e2f3", "c1d2e3f4a5b6",
    "c3d9e7f1a2b4", "6f8d9c3b2a1e", "1971f2d9a75b", "17e22815139b", "b7e2c1a4d9f3", "75868b020152",
    "dc11669786a5",
)  # fmt: skip
"""Alembic revisions, in their order, in which the tables that we read are as we read them.

From MLflow's migrations, read up to 3.17.2: from the first to the last of these, the only change to `runs`,
`params`, `tags`, `metrics`, `latest_metrics` and `experiments` that matters is the column below.
"""

WORKSPACES = "1b5f0d9ad7c1"
"""The revision from which an experiment's name is unique in its workspace only."""

_FAMILIES = ("postgresql", "postgres")


class NotReadable(Exception):  # never leaves `loading`: the public API is asked instead
    """This database cannot be read by SQL, or not with certainty."""


class Statement(NamedTuple):
    """SQL and its named values, as the database's own driver takes them."""

    sql: str
    values: Mapping[str, Any]


class Database:
    """An open connection.

    Attributes:
        uri: As MLflow writes it.
        schema: Its Alembic revision.
        is_sqlite: Otherwise it is PostgreSQL.
    """

    def __init__(self, uri: str, connection: Any, *, is_sqlite: bool) -> None:
        self.uri, self.is_sqlite = uri, is_sqlite
        self._connection = connection
        self.schema = self._schema()

    def rows(self, sql: str, values: Mapping[str, Any] | None = None) -> Iterator[tuple[Any, ...]]:
        """What a query gives, row by row."""
        cursor = self._connection.cursor()
        cursor.arraysize = 1000
        cursor.execute(sql, values or {})
        return iter(cursor)

    def one(self, sql: str, values: Mapping[str, Any] | None = None) -> tuple[Any, ...] | None:
        """Its first row."""
        return next(self.rows(sql, values), None)

    def _schema(self) -> str:
        found = [version for (version,) in self.rows("SELECT version_num FROM alembic_version")]
        if len(found) != 1 or found[0] not in SCHEMAS:
            raise NotReadable(f"its schema is {', '.join(map(str, found)) or 'unknown'}")
        return str(found[0])

    @property
    def has_workspaces(self) -> bool:
        """Whether experiments belong to a workspace."""
        return SCHEMAS.index(self.schema) >= SCHEMAS.index(WORKSPACES)


def is_database(uri: str) -> bool:
    """Whether a tracking URI names a database that can be read here."""
    scheme = uri.partition(":")[0].partition("+")[0]
    return mlflow_store.sqlite_path(uri) is not None or scheme in _FAMILIES


@contextlib.contextmanager
def opened(uri: str) -> Iterator[Database]:
    """The database, read-only, within one transaction.

    Raises:
        NotReadable: It cannot be opened or read, or this version does not know its schema.
    """
    path = mlflow_store.sqlite_path(uri)
    try:
        with _sqlite(path) if path is not None else _postgresql(uri) as connection:
            yield Database(uri, connection, is_sqlite=path is not None)
    except sqlite3.Error as error:
        raise NotReadable(str(error)) from error


@contextlib.contextmanager
def _sqlite(path: Path) -> Iterator[Any]:
    database = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode=ro",
        uri=True,
        timeout=mlflow_store.ANSWER_S,
        isolation_level=None,
        check_same_thread=False,
    )
    with contextlib.closing(database):
        database.execute("PRAGMA case_sensitive_like = true")  # as MLflow reads it
        database.execute("BEGIN")
        yield database


@contextlib.contextmanager
def _postgresql(uri: str) -> Iterator[Any]:
    import sqlalchemy

    try:
        engine = sqlalchemy.create_engine(
            uri.replace("postgres://", "postgresql://", 1),
            poolclass=sqlalchemy.pool.NullPool,
            connect_args={"connect_timeout": int(mlflow_store.ANSWER_S)},
        )
        with engine.connect() as connection:
            one = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield one.connection.driver_connection
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        raise NotReadable(str(error)) from error
    except Exception as error:
        # A driver's own errors have no class in common but the name that PEP 249 gives them.
        if any(base.__name__ == "Error" for base in type(error).__mro__):
            raise NotReadable(str(error)) from error
        raise
