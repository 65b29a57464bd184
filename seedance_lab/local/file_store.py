"""The database's questions and answers about files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from seedance_lab.local.database import Database
from seedance_lab.local.records import FileRecord

_COLUMNS = ", ".join(FileRecord._fields)
_FILES = f"SELECT {_COLUMNS} FROM files WHERE"  # noqa: S608  # names of our own  # own names; values are bound
PUT_FILE = f"INSERT OR REPLACE INTO files ({_COLUMNS}) VALUES ({', '.join('?' * len(FileRecord._fields))})"  # noqa: S608  # names of our own
"""Adds a file's record, or replaces it."""


class FileStore(Database):
    """What is known of the files, whether their bytes are still there or not."""

    def put_file(self, file: FileRecord) -> None:
        """Add a file's record, or replace it."""
        self.db.execute(PUT_FILE, file)

    def find_file(self, file_id: str) -> FileRecord | None:
        """The record of the file with this id."""
        row = self.db.execute(f"{_FILES} file_id = ?", (file_id,)).fetchone()
        return None if row is None else FileRecord._make(row)

    def files_there(self) -> Iterator[FileRecord]:
        """All whose bytes were not given up, oldest first; announced ones last."""
        return map(
            FileRecord._make,
            self.db.execute(f"{_FILES} removed_at IS NULL ORDER BY size IS NULL, created_at"),
        )

    def unneeded(self, *, uploaded_by: float, fetched_by: float) -> Iterator[FileRecord]:
        """Uploads that were there, and clips that were fetched, at these moments; oldest first.

        Args:
            uploaded_by: Seconds since the epoch.
            fetched_by: Seconds since the epoch.
        """
        rows = self.db.execute(
            f"{_FILES} removed_at IS NULL AND size IS NOT NULL AND (is_clip = 0 OR fetched_at IS NOT NULL) "
            "AND CASE is_clip WHEN 0 THEN created_at <= ? ELSE fetched_at <= ? END ORDER BY created_at",
            (uploaded_by, fetched_by),
        )
        return map(FileRecord._make, rows)

    def unfetched(self, made_by: float) -> Iterator[FileRecord]:
        """Clips that nobody has fetched though they were there at this moment; oldest first."""
        rows = self.db.execute(
            f"{_FILES} removed_at IS NULL AND is_clip = 1 AND fetched_at IS NULL AND created_at <= ? "
            "ORDER BY created_at",
            (made_by,),
        )
        return map(FileRecord._make, rows)

    def expired_files(self, now: float) -> list[FileRecord]:
        """Files that are to be had no longer and are still there."""
        rows = self.db.execute(
            f"{_FILES} removed_at IS NULL AND size IS NOT NULL AND expires_at <= ?", (now,)
        )
        return [FileRecord._make(row) for row in rows]

    def note_fetched(self, file_id: str, now: float) -> None:
        """Note that a client was handed all of a file."""
        self.db.execute(
            "UPDATE files SET fetched_at = ? WHERE file_id = ? AND fetched_at IS NULL", (now, file_id)
        )

    def note_removed(self, file_ids: Iterable[str], now: float) -> None:
        """Note that the bytes of these files are given up."""
        with self.transaction() as db:
            db.executemany(
                "UPDATE files SET removed_at = ? WHERE file_id = ?", [(now, file_id) for file_id in file_ids]
            )

    @property
    def lifecycle(self) -> str | None:
        """The account's settings of storage, as JSON; None before the first."""
        (text,) = self.db.execute("SELECT lifecycle FROM engine").fetchone()
        return None if text is None else str(text)

    @lifecycle.setter
    def lifecycle(self, text: str) -> None:
        self.db.execute("UPDATE engine SET lifecycle = ?", (text,))
