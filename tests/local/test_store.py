"""The durable state: what was answered for is never lost, nothing is charged twice."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from seedance_lab.errors import EngineError
from seedance_lab.local.records import Charge, Options, Outcome, as_json
from seedance_lab.local.store import Store

DONE = Outcome(200, "{}", started_at=1.0, ended_at=2.0)
CHARGE = Charge(0.1, 1.8, 0.18)


@pytest.fixture
def store(tmp_path: Path):
    store = Store(tmp_path / "engine")
    store.open()
    yield store
    store.close()


def test_a_request_is_charged_once_however_often_it_is_finished(store: Store) -> None:
    """A restart may render again what had just been completed."""
    store.add("r1", "e", "{}", 0.0)
    assert store.finish("r1", DONE, CHARGE)
    assert not store.finish("r1", DONE, CHARGE)
    assert [line.request_id for line in store.ledger()] == ["r1"]


def test_a_charge_that_cannot_be_written_undoes_the_completion(store: Store) -> None:
    """One transaction: a completed request without its charge, or the other way round, cannot exist."""
    store.add("r1", "e", "{}", 0.0)
    store.db.execute("INSERT INTO ledger VALUES ('r1', 'e', 0, 0, 0, 0)")
    with pytest.raises(sqlite3.IntegrityError):
        store.finish("r1", DONE, CHARGE)
    record = store.find("r1")
    assert record is not None
    assert record.state == "IN_QUEUE"


def test_what_is_unfinished_is_queued_again_in_order_of_arrival(tmp_path: Path) -> None:
    """A killed process leaves requests in both states."""
    first = Store(tmp_path)
    first.open()
    for request_id in ("r1", "r2", "r3"):
        first.add(request_id, "e", "{}", 0.0)
    first.begin("r1", 1.0)
    first.begin("r2", 1.0)
    first.finish("r1", DONE)
    first.close()
    second = Store(tmp_path)
    second.open()
    assert [unfinished.request_id for unfinished in second.requeue()] == ["r2", "r3"]
    second.close()


def test_what_had_begun_in_time_is_not_late_after_a_restart(tmp_path: Path) -> None:
    """Its caller asked for a beginning within so many seconds and had it; that it begins twice is our affair."""
    first = Store(tmp_path)
    first.open()
    for request_id in ("begun", "waiting"):
        first.add(request_id, "e", "{}", 0.0, Options(start_timeout_s=5.0))
    first.begin("begun", 1.0)
    first.close()
    second = Store(tmp_path)
    second.open()
    assert [unfinished.start_by for unfinished in second.requeue()] == [None, 5.0]
    second.close()


def test_the_engine_id_belongs_to_the_folder(tmp_path: Path) -> None:
    """A study remembers it, so that it never mistakes one engine's requests for another's."""
    ids = []
    for name in ("a", "a", "b"):
        store = Store(tmp_path / name)
        store.open()
        ids.append(store.engine_id)
        store.close()
    assert ids[0] == ids[1] != ids[2]


def test_a_folder_in_use_is_refused_with_the_name_of_its_holder(store: Store) -> None:
    """Two writers would render and charge the same requests."""
    with pytest.raises(EngineError, match=rf"process {os.getpid()}\b"):
        Store(store.folder).open()


def test_a_layout_of_another_version_is_refused_and_the_folder_released(tmp_path: Path) -> None:
    """Guessing at a newer layout could charge twice; a refusal must not leave the lock behind."""
    store = Store(tmp_path)
    store.open()
    store.db.execute("PRAGMA user_version=99")
    store.close()
    for _ in range(2):
        with pytest.raises(EngineError, match="layout 99"):
            Store(tmp_path).open()


def test_a_damaged_database_is_an_engine_error(tmp_path: Path) -> None:
    """Not a bare sqlite3 error from somewhere below."""
    (tmp_path / "engine.db").write_bytes(b"not a database, and long enough to be looked at" * 100)
    with pytest.raises(EngineError, match="cannot be read"):
        Store(tmp_path).open()


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    """A request that arrives during shutdown gets an answer, not an AttributeError."""
    with pytest.raises(EngineError, match="not running"):
        Store(tmp_path).find("r1")


def test_text_that_is_not_unicode_is_stored(store: Store) -> None:
    r"""JSON may hold "\ud800" alone, which neither SQLite nor UTF-8 take."""
    store.add("r1", "e", as_json({"prompt": "\ud800"}), 0.0)
    record = store.find("r1")
    assert record is not None
    assert record.input == '{"prompt":"\\ud800"}'


def test_leftovers_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    """Half-received uploads would pile up."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "half").write_bytes(b"x")
    store = Store(tmp_path)
    store.open()
    assert list(store.scratch.iterdir()) == []
    store.close()
