"""The same runs in SQLite, in PostgreSQL and behind a tracking server, and every way to read them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest

from seedance_lab.loading import load, runs
from tests.tracked import fresh_store
from tests.tracking.servers import Mlflow, Postgres

_numbers = itertools.count(1)


class Way(NamedTuple):
    """Where a test writes, and how it reads.

    Attributes:
        store: The URI that is written to.
        read: `runs` by this way and no other.
    """

    store: str
    read: Callable[..., pd.DataFrame]


@pytest.fixture(scope="session")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A SQLite store that many tests share, each with an experiment of its own."""
    return fresh_store(tmp_path_factory.mktemp("loading"))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """A PostgreSQL store, likewise."""
    server = Postgres()
    yield server.uri()
    server.close()


@pytest.fixture(scope="session")
def over_http(sqlite: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A tracking server of the SQLite store."""
    server = Mlflow(tmp_path_factory.mktemp("server"), sqlite).start()
    yield server.url
    server.kill()


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes every other way than this one fail."""

    def keep(name: str) -> None:
        def fails(*args: object, **kwargs: object) -> Any:
            raise AssertionError(f"not read by {name}")

        if name == "sql":
            monkeypatch.setattr(load, "_by_api", fails)
        else:
            monkeypatch.setattr(load, "is_database", lambda uri: False)
            monkeypatch.setattr(load.client if name == "rest" else load.rest, "read", fails)

    return keep


@pytest.fixture(params=["sql", "client", "rest", "sql on postgresql", "client on postgresql"])
def way(request: pytest.FixtureRequest, only: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> Way:
    """Each of them."""
    name, _, database = request.param.partition(" on ")
    store = request.getfixturevalue(database or "sqlite")
    uri = request.getfixturevalue("over_http") if name == "rest" else store
    only(name)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)

    def read(experiments: str | list[str], **options: Any) -> pd.DataFrame:
        return runs(experiments, tracking_uri=uri, **options)

    return Way(store, read)


@pytest.fixture
def experiment() -> str:
    """A name that no other test has used."""
    return f"harbour {next(_numbers)}"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study's folder."""
    return tmp_path / "study"
