"""What cannot be made again by a machine is on the disk before anybody is told that it counts."""

from __future__ import annotations

import errno
import getpass
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import filelock
import pytest

from seedance_lab.errors import StudyError
from seedance_lab.judging import lines

MANY = """
import sys
from pathlib import Path
from seedance_lab.judging import lines
for i in range(int(sys.argv[3])):
    lines.append(Path(sys.argv[1]), "vote", {"who": sys.argv[2], "i": i, "pad": "x" * 300})
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "votes.jsonl"


def said(path: Path) -> list[object]:
    return [line.data["i"] for line in lines.read(path).lines]


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────


def test_no_file_says_nothing(path: Path) -> None:
    assert lines.read(path) == lines.Read([], ())
    assert not path.exists()


def test_what_is_written_is_read_again(path: Path) -> None:
    written = lines.append(path, "vote", {"i": 1, "value": None, "prompt": "两只船 · ½"})
    [line] = lines.read(path).lines
    assert (line.n, line.kind, line.at) == (1, "vote", written.at)
    assert line.data == written.data == {"i": 1, "value": None, "prompt": "两只船 · ½"}
    assert line.at.tzinfo is not None


def test_half_an_emoji_is_kept(path: Path) -> None:
    """A browser cuts a text between two halves, and UTF-8 has no bytes for one."""
    lines.append(path, "rating", {"note": "fine \ud83d"})
    assert lines.read(path).lines[0].data["note"] == "fine \ud83d"


@pytest.mark.parametrize(
    "bad",
    [
        b"not json",
        b"[1, 2]",
        b"7",
        b'{"kind": "vote"}',
        b'{"at": "2026-01-01T00:00:00", "kind": "vote"}',  # no zone: whose clock?
        b'{"at": "yesterday", "kind": "vote"}',
        b'{"at": 5, "kind": "vote"}',
        b"\xff\xfe",
        b"\0" * 40,
    ],
)
def test_a_line_that_cannot_be_read_is_named_and_the_others_count(path: Path, bad: bytes) -> None:
    for i in range(2):
        lines.append(path, "vote", {"i": i})
    first, second = path.read_bytes().splitlines()
    path.write_bytes(first + b"\n" + bad + b"\n" + second + b"\n")
    found = lines.read(path)
    assert [line.data["i"] for line in found.lines] == [0, 1]
    assert found.damaged == (2,)
    assert found.lines[1].n == 3


def test_a_damaged_line_is_left_where_it_is(path: Path) -> None:
    """A person may still be able to read what a program cannot."""
    path.write_bytes(b"half a vo\n")
    lines.append(path, "vote", {"i": 1})
    assert path.read_bytes().startswith(b"half a vo\n")
    assert lines.read(path).damaged == (1,)


def test_a_folder_of_that_name_is_an_error_and_not_no_votes(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StudyError, match="cannot be read"):
        lines.read(path)


# ── a crash ─────────────────────────────────────────────────────────────────────────────────────────────


def test_every_cut_of_the_last_line_leaves_the_others_and_takes_the_next(path: Path) -> None:
    """A crash may stop a writer at any byte. Only the line that nobody was told of may be lost."""
    for i in range(2):
        lines.append(path, "vote", {"i": i})
    whole = path.read_bytes()
    start = whole.index(b"\n") + 1
    for cut in range(start, len(whole)):
        path.write_bytes(whole[:cut])
        before = said(path)
        assert before == ([0, 1] if cut == len(whole) - 1 else [0])
        assert lines.read(path).damaged == ()
        lines.append(path, "vote", {"i": 2})
        assert said(path) == [*before, 2]
        assert lines.read(path).damaged == ()
        assert path.read_bytes().startswith(whole[:start])


def test_a_full_disk_says_so_and_leaves_the_file_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines.append(path, "vote", {"i": 0})
    before = path.read_bytes()
    write, room = os.write, [10]

    def fill(file: int, raw: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        room[0] -= (n := write(file, raw[: room[0]]))
        return n

    with monkeypatch.context() as full:
        full.setattr(os, "write", fill)
        with pytest.raises(StudyError, match="No space left on device") as told:
            lines.append(path, "vote", {"i": 1})
    assert "as it was before" in str(told.value)
    assert path.read_bytes() == before
    lines.append(path, "vote", {"i": 1})
    assert said(path) == [0, 1]


def test_a_disk_that_does_not_take_it_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written and not synced may be gone after a power cut: it does not count."""

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StudyError, match="Input/output error"):
        lines.append(path, "vote", {"i": 1})
    assert path.read_bytes() == b""


def test_it_is_synced_whole_before_it_returns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.append(path.read_bytes()))
    lines.append(path, "vote", {"i": 1})
    assert seen[0] == path.read_bytes()
    assert json.loads(seen[0])["i"] == 1
    assert len(seen) == 2, "a new file's name is made durable too"


# ── several at a time ───────────────────────────────────────────────────────────────────────────────────


def test_two_processes_and_two_threads_lose_nothing(path: Path) -> None:
    n = 60
    processes = [
        subprocess.Popen([sys.executable, "-c", MANY, str(path), who, str(n)]) for who in ("ada", "bob")
    ]

    def write(who: str) -> None:
        for i in range(n):
            lines.append(path, "vote", {"who": who, "i": i, "pad": "y" * 300})

    threads = [threading.Thread(target=write, args=[who]) for who in ("eve", "joe")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait(timeout=60) for process in processes] == [0, 0]
    found = lines.read(path)
    assert found.damaged == ()
    assert len(found.lines) == 4 * n
    for who in ("ada", "bob", "eve", "joe"):
        assert [line.data["i"] for line in found.lines if line.data["who"] == who] == list(range(n))


def test_a_writer_waits_its_turn_and_then_says_why_not(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "_WAIT_S", 0.05)
    with (
        filelock.FileLock(path.with_name(".judging.lock")),
        pytest.raises(StudyError, match="another process has it locked"),
    ):
        lines.append(path, "vote", {"i": 1})
    assert not path.exists()
    lines.append(path, "vote", {"i": 1})
    assert said(path) == [1]


def test_a_file_system_without_locks_is_written_all_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object, **__: object) -> None:
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr(filelock.FileLock, "acquire", no_locks)
    lines.append(path, "vote", {"i": 1})
    assert said(path) == [1]


# ── names ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_voter_is_the_account_unless_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "mary")
    assert lines.voter() == "mary"
    assert lines.voter("  Ada \n Lovelace ") == "Ada Lovelace"
    assert lines.voter("李雷") == "李雷"
    assert lines.voter("Ada \ud83d") == "Ada �"


def test_an_account_without_a_name_is_someone(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert lines.voter() == "someone"


@pytest.mark.parametrize("name", ["", "  ", "?!", "x" * 81])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(StudyError, match="voter='ada'"):
        lines.voter(name)
