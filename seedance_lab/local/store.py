"""What the engine must not forget: requests, files and what was charged, in one folder.

A completion and its charge are one transaction and the ledger's primary key is the request id, so that
nothing is charged twice however often the process is killed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from seedance_lab.local.file_store import PUT_FILE, FileStore
from seedance_lab.local.records import (
    PLAIN,
    Charge,
    FileRecord,
    LedgerLine,
    Options,
    Outcome,
    Record,
    Unfinished,
    UsageLine,
    Webhook,
)

_SORTS = {
    "": "seq",
    "ended_at": "coalesce(ended_at, -1.0), seq",
    "duration": "coalesce(ended_at - started_at, -1.0), seq",
}


class Store(FileStore):
    """The database's questions and answers."""

    def add(
        self, request_id: str, endpoint_id: str, arguments: str, sent_at: float, options: Options = PLAIN
    ) -> int:
        """Take a request in; from here on it is not lost. Returns its place in the order of arrival."""
        start_by = None if options.start_timeout_s is None else sent_at + options.start_timeout_s
        values = (
            request_id, endpoint_id, sent_at, arguments, options.low, start_by, options.clip_s, options.keeps_io
        )  # fmt: skip
        if options.webhook is None:
            return self._insert(self.db, values)
        with self.transaction() as db:
            seq = self._insert(db, values)
            db.execute(
                "INSERT INTO webhooks (request_id, url, base) VALUES (?, ?, ?)",
                (request_id, options.webhook, options.base),
            )
        return seq

    @staticmethod
    def _insert(db: sqlite3.Connection, values: tuple[object, ...]) -> int:
        cursor = db.execute(
            "INSERT INTO requests (request_id, endpoint_id, state, sent_at, input, low, start_by, clip_s, keeps_io) "
            "VALUES (?, ?, 'IN_QUEUE', ?, ?, ?, ?, ?, ?)",
            values,
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
        """Note the outcome, its charge and its file together. False when it had been finished before.

        An input that belongs to no history is forgotten with it.
        """
        with self.transaction() as db:
            changed = db.execute(
                "UPDATE requests SET state = 'COMPLETED', status_code = ?, output = ?, logs = ?, "
                "started_at = ?, ended_at = ?, inference_s = ?, error = ?, error_type = ?, units = ?, "
                "input = CASE keeps_io WHEN 0 THEN 'null' ELSE input END "
                "WHERE request_id = ? AND state <> 'COMPLETED'",
                (*outcome, charge.units if charge else None, request_id),
            ).rowcount
            if not changed:
                return False
            if file is not None:
                db.execute(PUT_FILE, file)
            if charge is not None:
                db.execute(
                    "INSERT INTO ledger SELECT request_id, endpoint_id, ?, ?, ?, ? FROM requests "
                    "WHERE request_id = ?",
                    (outcome.ended_at, *charge, request_id),
                )
        return True

    def stop(self, request_id: str) -> None:
        """Note that its owner took it back while it was worked on: a restart must not begin it again."""
        self.db.execute("UPDATE requests SET state = 'STOPPING' WHERE request_id = ?", (request_id,))

    def stopping(self) -> list[Record]:
        """What was taken back and is not finished."""
        sql = f"SELECT {', '.join(Record._fields)} FROM requests WHERE state = 'STOPPING'"  # noqa: S608  # own names
        return [Record._make(row) for row in self.db.execute(sql)]

    def requeue(self) -> list[Unfinished]:
        """All that is unfinished goes back to the queue; in order of arrival.

        What had begun in the time that its caller gave keeps to that, so nothing limits its second beginning.
        """
        self.db.execute(
            "UPDATE requests SET state = 'IN_QUEUE', started_at = NULL, start_by = NULL "
            "WHERE state = 'IN_PROGRESS'"
        )
        rows = self.db.execute(
            "SELECT seq, requests.request_id, endpoint_id, low, start_by, webhooks.request_id IS NOT NULL "
            "FROM requests LEFT JOIN webhooks USING (request_id) WHERE state <> 'COMPLETED' ORDER BY seq"
        )
        return [Unfinished(seq, rid, eid, bool(low), by, bool(hook)) for seq, rid, eid, low, by, hook in rows]

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
        sort_by: str = "",
        after: Sequence[float] | None = None,
        limit: int,
    ) -> list[Record]:
        """Requests of these endpoints sent in [start, end), newest first.

        Args:
            endpoint_ids: At least one.
            start: Seconds since the epoch.
            end: Seconds since the epoch.
            statuses: Ranges of result statuses, first and last; empty for all and for unfinished ones.
            request_ids: Only these; empty for all.
            sort_by: `ended_at` or `duration` for the largest of these first, unfinished last; else by arrival.
            after: Only what comes after this place in the order: `seq`, before it the value sorted by if any.
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
        key = _SORTS[sort_by]
        if after is not None:
            where.append(f"({key}) < ({_marks(after)})")
            values += after
        sql = (
            f"SELECT {', '.join(Record._fields)} FROM requests "  # noqa: S608  # own names; values are bound
            f"WHERE {' AND '.join(where)} ORDER BY {key.replace(', seq', ' DESC, seq')} DESC LIMIT ?"
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

    def forget_outputs(self, ended_by: float) -> None:
        """Forget the outputs that belong to no history, of requests that had ended at this moment."""
        which = "WHERE keeps_io = 0 AND output IS NOT NULL AND ended_at <= ?"
        if self.db.execute(f"SELECT 1 FROM requests {which} LIMIT 1", (ended_by,)).fetchone():  # noqa: S608  # own text
            self.db.execute(f"UPDATE requests SET output = NULL {which}", (ended_by,))  # noqa: S608  # own text

    def usage(self, *, endpoint_ids: Sequence[str] = (), start: float, end: float) -> list[UsageLine]:
        """What was charged in [start, end), summed by minute, endpoint and price; oldest first."""
        chosen = f"AND endpoint_id IN ({_marks(endpoint_ids)})" if endpoint_ids else ""
        rows = self.db.execute(
            "SELECT CAST(charged_at / 60 AS INTEGER) AS minute, endpoint_id, unit_price, sum(units), "  # noqa: S608  # own text
            f"sum(cost_usd) FROM ledger WHERE charged_at >= ? AND charged_at < ? {chosen} "
            "GROUP BY minute, endpoint_id, unit_price ORDER BY minute",
            (start, end, *endpoint_ids),
        )
        return [UsageLine._make(row) for row in rows]

    def mean_usd(self, endpoint_id: str) -> float | None:
        """What a clip of this endpoint has cost on average; None before the first."""
        row = self.db.execute("SELECT avg(cost_usd) FROM ledger WHERE endpoint_id = ?", (endpoint_id,))
        mean: float | None = row.fetchone()[0]
        return mean

    def spent_usd(self) -> float:
        """All that was ever charged."""
        (total,) = self.db.execute("SELECT total(cost_usd) FROM ledger").fetchone()
        return float(total)

    def webhooks(self, request_id: str | None = None) -> list[Webhook]:
        """Webhooks that wait to be delivered, of finished requests; or the one of this request."""
        rows = self.db.execute(
            "SELECT request_id, url, base, attempts, ended FROM webhooks JOIN requests USING (request_id) "
            "WHERE (?1 IS NULL AND ended IS NULL AND state = 'COMPLETED') OR request_id = ?1",
            (request_id,),
        )
        return [Webhook._make(row) for row in rows]

    def note_webhook(self, request_id: str, attempts: int, ended: str | None) -> None:
        """Note how often it was tried, and how it ended."""
        self.db.execute(
            "UPDATE webhooks SET attempts = ?, ended = ? WHERE request_id = ?", (attempts, ended, request_id)
        )


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
