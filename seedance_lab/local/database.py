"""The engine's folder and its database: held by one process, laid out once, carried over from older layouts.

SQLite in WAL mode with synchronous=NORMAL: a killed process loses nothing that it answered for (only a
power cut may lose the last moments).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path

import filelock

from seedance_lab.errors import EngineError

_VERSION = 3
_FIRST = """
CREATE TABLE engine (id TEXT NOT NULL);
CREATE TABLE requests (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    request_id TEXT NOT NULL UNIQUE,
    endpoint_id TEXT NOT NULL,
    state TEXT NOT NULL,
    sent_at REAL NOT NULL, started_at REAL, ended_at REAL, inference_s REAL,
    status_code INTEGER, units REAL, error TEXT, error_type TEXT,
    input TEXT NOT NULL, output TEXT, logs TEXT
);
CREATE INDEX requests_unfinished ON requests (seq) WHERE state <> 'COMPLETED';
CREATE INDEX requests_sent ON requests (endpoint_id, seq);
CREATE TABLE ledger (
    request_id TEXT PRIMARY KEY REFERENCES requests (request_id),
    endpoint_id TEXT NOT NULL,
    charged_at REAL NOT NULL, units REAL NOT NULL, unit_price REAL NOT NULL, cost_usd REAL NOT NULL
);
CREATE TABLE files (
    file_id TEXT PRIMARY KEY,
    name TEXT NOT NULL, content_type TEXT NOT NULL, size INTEGER, secret TEXT, created_at REAL NOT NULL
);
"""
_SECOND = """
ALTER TABLE requests ADD COLUMN low INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN start_by REAL;
CREATE TABLE webhooks (
    request_id TEXT PRIMARY KEY REFERENCES requests (request_id),
    url TEXT NOT NULL, base TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, ended TEXT
);
CREATE INDEX webhooks_pending ON webhooks (request_id) WHERE ended IS NULL;
"""
# Whether an old clip was ever fetched is not known, so it counts as one that was not.
_THIRD = """
ALTER TABLE engine ADD COLUMN lifecycle TEXT;
ALTER TABLE requests ADD COLUMN clip_s REAL;
ALTER TABLE requests ADD COLUMN keeps_io INTEGER NOT NULL DEFAULT 1;
ALTER TABLE files ADD COLUMN is_clip INTEGER NOT NULL DEFAULT 0;
ALTER TABLE files ADD COLUMN fetched_at REAL;
ALTER TABLE files ADD COLUMN expires_at REAL;
ALTER TABLE files ADD COLUMN removed_at REAL;
UPDATE files SET is_clip = 1 WHERE file_id IN (SELECT replace(request_id, '-', '') FROM requests);
CREATE INDEX files_removable ON files (created_at)
    WHERE removed_at IS NULL AND size IS NOT NULL AND (is_clip = 0 OR fetched_at IS NOT NULL);
CREATE INDEX files_expiring ON files (expires_at) WHERE removed_at IS NULL AND expires_at IS NOT NULL;
CREATE INDEX requests_unkept ON requests (ended_at) WHERE keeps_io = 0 AND output IS NOT NULL;
"""


class Database:
    """The engine's folder, held by this process alone from `open` to `close`.

    Args:
        folder: Made when missing. Holds `engine.db`, `files/`, `tmp/` (emptied on opening) and logs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.files = self.folder / "files"
        self.scratch = self.folder / "tmp"
        self.engine_id = ""
        self._lock = filelock.FileLock(self.folder / "engine.lock", thread_local=False)
        self._holder = self.folder / "engine.pid"
        self._db: sqlite3.Connection | None = None

    def open(self) -> None:
        """Lock the folder and read what is in it.

        Raises:
            EngineError: Another process has it, or it cannot be read.
        """
        try:
            for folder in (self.folder, self.files, self.scratch):
                folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(blocking=False)
        except filelock.Timeout as error:
            raise EngineError(
                f"The engine's folder {self.folder} is in use by process {self._who()}. Nothing was sent. "
                "Stop that process, or use another folder."
            ) from error
        except OSError as error:
            raise EngineError(
                f"The engine's folder {self.folder} cannot be used: {error.strerror or error}. "
                "Nothing was sent. Use a folder that can be written to."
            ) from error
        try:
            self._holder.write_text(str(os.getpid()))
            for left in self.scratch.iterdir():
                left.unlink()
            self._db = self._connect()
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise EngineError(
                f"The engine's folder {self.folder} cannot be read: {error}. Nothing was sent. "
                "Move it away to begin with an empty one."
            ) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the folder. May be called twice."""
        if self._db is not None:
            self._db.close()
            self._db = None
        if self._lock.is_locked:
            with contextlib.suppress(OSError):
                self._holder.unlink(missing_ok=True)
            self._lock.release()

    @property
    def db(self) -> sqlite3.Connection:
        """The open database.

        Raises:
            EngineError: It is not open.
        """
        if self._db is None:
            raise EngineError("The engine is not running. Nothing was sent. Start it first.")
        return self._db

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of what is done in it, or nothing."""
        db = self.db
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")

    def _who(self) -> str:
        try:
            return self._holder.read_text().strip() or "?"
        except OSError:
            return "?"

    def _connect(self) -> sqlite3.Connection:
        # One loop uses it, but not always from the thread that made it.
        db = sqlite3.connect(self.folder / "engine.db", isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            self._lay_out(db)
            (self.engine_id,) = db.execute("SELECT id FROM engine").fetchone()
        except BaseException:
            db.close()
            raise
        return db

    def _lay_out(self, db: sqlite3.Connection) -> None:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise EngineError(
                f"The engine's folder {self.folder} has layout {version} and this version reads "
                f"{_VERSION}. Nothing was sent. Use the seedance-lab that made it, or another folder."
            )
        if version == _VERSION:
            return
        db.executescript(f"BEGIN;{''.join((_FIRST, _SECOND, _THIRD)[version:])}")
        if version == 0:
            db.execute("INSERT INTO engine (id) VALUES (?)", [str(uuid.uuid4())])
        db.execute(f"PRAGMA user_version={_VERSION}")
        db.execute("COMMIT")
