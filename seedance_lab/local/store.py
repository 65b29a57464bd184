"""What the engine must not forget: requests, files and what was charged, in one folder.

SQLite in WAL mode with synchronous=NORMAL: a killed process loses nothing that it answered for (only a
power cut may lose the last moments). A completion and its charge are one transaction and the ledger's
primary key is the request id, so that nothing is charged twice however often the process is killed.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import filelock

from seedance_lab.errors import EngineError
from seedance_lab.local.records import Charge, FileRecord, LedgerLine, Outcome, Record

_VERSION = 1
_SCHEMA = """
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


class Store:
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
        if version == 0:
            db.executescript(f"BEGIN;{_SCHEMA}")
            db.execute("INSERT INTO engine VALUES (?)", [str(uuid.uuid4())])
            db.execute(f"PRAGMA user_version={_VERSION}")
            db.execute("COMMIT")
        elif version != _VERSION:
            raise EngineError(
                f"The engine's folder {self.folder} has layout {version} and this version reads "
                f"{_VERSION}. Nothing was sent. Use the seedance-lab that made it, or another folder."
            )

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
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = self.db
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")

    def add(self, request_id: str, endpoint_id: str, arguments: str, sent_at: float) -> int:
        """Take a request in; from here on it is not lost. Returns its place in the order of arrival."""
        cursor = self.db.execute(
            "INSERT INTO requests (request_id, endpoint_id, state, sent_at, input) "
            "VALUES (?, ?, 'IN_QUEUE', ?, ?)",
            (request_id, endpoint_id, sent_at, arguments),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def begin(self, request_id: str, started_at: float) -> None:
        """Note that work on it began."""
        self.db.execute(
            "UPDATE requests SET state = 'IN_PROGRESS', started_at = ? WHERE request_id = ?",
            (started_at, request_id),
        )

    def finish(
        self, request_id: str, outcome: Outcome, charge: Charge | None = None, file: FileRecord | None = None
    ) -> bool:
        """Note the outcome, its charge and its file together. False when it had been finished before."""
        with self._transaction() as db:
            changed = db.execute(
                "UPDATE requests SET state = 'COMPLETED', status_code = ?, output = ?, logs = ?, "
                "started_at = ?, ended_at = ?, inference_s = ?, error = ?, error_type = ?, units = ? "
                "WHERE request_id = ? AND state <> 'COMPLETED'",
                (*outcome, charge.units if charge else None, request_id),
            ).rowcount
            if not changed:
                return False
            if file is not None:
                db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", file)
            if charge is not None:
                db.execute(
                    "INSERT INTO ledger SELECT request_id, endpoint_id, ?, ?, ?, ? FROM requests "
                    "WHERE request_id = ?",
                    (outcome.ended_at, *charge, request_id),
                )
        return True

    def requeue(self) -> list[tuple[int, str, str]]:
        """All that is unfinished goes back to the queue.

        Returns:
            (seq, request id, endpoint id) in order of arrival.
        """
        self.db.execute(
            "UPDATE requests SET state = 'IN_QUEUE', started_at = NULL WHERE state = 'IN_PROGRESS'"
        )
        return self.db.execute(
            "SELECT seq, request_id, endpoint_id FROM requests WHERE state <> 'COMPLETED' ORDER BY seq"
        ).fetchall()

    def find(self, request_id: str) -> Record | None:
        """The request with this id."""
        row = self.db.execute(
            f"SELECT {', '.join(Record._fields)} FROM requests WHERE request_id = ?",  # noqa: S608  # own names
            (request_id,),
        ).fetchone()
        return None if row is None else Record._make(row)

    def history(
        self,
        *,
        endpoint_ids: Sequence[str],
        start: float,
        end: float,
        statuses: Sequence[tuple[int, int]] = (),
        request_ids: Sequence[str] = (),
        before: int | None = None,
        limit: int,
    ) -> list[Record]:
        """Requests of these endpoints sent in [start, end), newest first.

        Args:
            endpoint_ids: At least one.
            start: Seconds since the epoch.
            end: Seconds since the epoch.
            statuses: Ranges of result statuses, first and last; empty for all and for unfinished ones.
            request_ids: Only these; empty for all.
            before: Only what arrived before this place in the order.
            limit: At most so many.
        """
        where = [f"endpoint_id IN ({_marks(endpoint_ids)})", "sent_at >= ?", "sent_at < ?"]
        values: list[object] = [*endpoint_ids, start, end]
        if statuses:
            where.append(f"({' OR '.join(['status_code BETWEEN ? AND ?'] * len(statuses))})")
            values += [bound for pair in statuses for bound in pair]
        if request_ids:
            where.append(f"request_id IN ({_marks(request_ids)})")
            values += request_ids
        if before is not None:
            where.append("seq < ?")
            values.append(before)
        sql = (
            f"SELECT {', '.join(Record._fields)} FROM requests "  # noqa: S608  # own names; values are bound
            f"WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT ?"
        )
        return [Record._make(row) for row in self.db.execute(sql, [*values, limit])]

    def ledger(
        self,
        *,
        endpoint_ids: Sequence[str] = (),
        request_ids: Sequence[str] = (),
        start: float = 0.0,
        end: float = float("inf"),
        before: int | None = None,
        limit: int = 1_000_000,
    ) -> list[LedgerLine]:
        """What was charged in [start, end), newest first; arguments as in `history`."""
        where, values = ["charged_at >= ?", "charged_at < ?"], [start, end]
        parts: list[object] = list(values)
        for column, wanted in (("endpoint_id", endpoint_ids), ("request_id", request_ids)):
            if wanted:
                where.append(f"{column} IN ({_marks(wanted)})")
                parts += wanted
        if before is not None:
            where.append("rowid < ?")
            parts.append(before)
        sql = (
            f"SELECT rowid, {', '.join(LedgerLine._fields[1:])} FROM ledger "  # noqa: S608  # as above
            f"WHERE {' AND '.join(where)} ORDER BY rowid DESC LIMIT ?"
        )
        return [LedgerLine._make(row) for row in self.db.execute(sql, [*parts, limit])]

    def put_file(self, file: FileRecord) -> None:
        """Add a file's record, or replace it."""
        self.db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", file)

    def find_file(self, file_id: str) -> FileRecord | None:
        """The record of the file with this id."""
        row = self.db.execute("SELECT * FROM files WHERE file_id = ?", (file_id,)).fetchone()
        return None if row is None else FileRecord._make(row)


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
