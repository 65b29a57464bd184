"""The record of what may have cost money: nothing is lost, nothing is made up, one process writes."""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedance_lab.errors import JournalDamaged, StudyError, StudyLocked
from seedance_lab.journal import Event, Journal, read
from seedance_lab.record import fold
from seedance_lab.request import Request

REPO = Path(__file__).parent.parent
ASSET = Path(__file__).parent / "assets" / "journal_v1.jsonl"
TIME = '"at":"2026-08-20T12:00:00.000+00:00"'
GOOD = f'{{{TIME},"kind":"run"}}\n'.encode()

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
WORDS = st.text(min_size=1).filter(lambda word: word not in {"at", "kind", "key", "self"})
LINES = st.lists(
    st.tuples(st.text(min_size=1), st.text(), st.dictionaries(WORDS, JSON, max_size=4)), max_size=5
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def write_then_read(
    folder: Path, lines: list[tuple[str, str, dict[str, Any]]]
) -> tuple[list[Event], list[Event]]:
    with Journal(folder) as journal:
        written = [journal.append(kind, key, **data) for kind, key, data in lines]
    return written, read(folder / "journal.jsonl")


# ── round trip ──────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=60, deadline=None)
@given(LINES)
def test_what_is_appended_is_what_is_read(lines: list[tuple[str, str, dict[str, Any]]]) -> None:
    """Prompts hold line ends, other scripts and emoji; the service's JSON holds anything."""
    with tempfile.TemporaryDirectory() as folder:
        written, found = write_then_read(Path(folder), lines)
    assert found == written
    assert [(e.kind, e.key, e.data) for e in found] == lines


@pytest.mark.parametrize("text", ["a\nb", "\r\n", "\u2028\u2029\x85\x0b\x0c", "\0", "🚤é", '"}\\', "\ufeff"])
def test_a_text_never_breaks_its_line(text: str, tmp_path: Path) -> None:
    written, found = write_then_read(tmp_path, [("sending", "k", {"prompt": text}), ("ended", "", {})])
    assert found == written


def test_half_an_emoji_in_the_services_json_does_not_lose_the_line(tmp_path: Path) -> None:
    r"""JSON allows a lone "\ud83d", `finished` keeps the service's JSON verbatim, and it has been paid for."""
    body = json.loads('{"video": {"url": "u"}, "note": "\\ud83d"}')
    written, found = write_then_read(tmp_path, [("finished", "k", {"result": body})])
    assert found == written


def test_lines_are_numbered_from_one_also_after_reopening(tmp_path: Path) -> None:
    write_then_read(tmp_path, [("study", "", {}), ("run", "", {})])
    _, found = write_then_read(tmp_path, [("ended", "", {})])
    assert [event.n for event in found] == [1, 2, 3]


def test_a_line_has_its_time_in_utc(tmp_path: Path) -> None:
    before = dt.datetime.now(dt.UTC) - dt.timedelta(milliseconds=1)
    event = write_then_read(tmp_path, [("run", "", {})])[1][0]
    assert event.at.utcoffset() == dt.timedelta(0)
    assert before <= event.at <= dt.datetime.now(dt.UTC)


def test_the_event_is_what_a_reader_would_get_and_not_what_was_passed(tmp_path: Path) -> None:
    """Watching and replaying are one code path: a tuple is a list to both."""
    written, found = write_then_read(tmp_path, [("run", "", {"size": (1, 2)})])
    assert written[0].data == found[0].data == {"size": [1, 2]}


def test_a_line_is_on_the_disk_when_append_returns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    fsync = os.fsync
    with Journal(path.parent) as journal:
        journal.append("study")
        monkeypatch.setattr(
            os, "fsync", lambda handle: (synced.append(path.stat().st_size), fsync(handle))[1]
        )
        journal.append("run")
        assert synced == [path.stat().st_size]


def test_a_journal_holds_what_was_there_before(path: Path) -> None:
    path.write_bytes(GOOD * 3)
    with Journal(path.parent) as journal:
        assert [event.n for event in journal.take()] == [1, 2, 3]
        assert journal.take() == [], "nothing keeps them in memory"
        assert journal.append("run").n == 4


def test_a_missing_journal_has_no_lines(path: Path) -> None:
    assert read(path) == []


def test_what_is_no_json_is_refused_before_anything_is_written(path: Path) -> None:
    with Journal(path.parent) as journal:
        journal.append("run")
        before = path.read_bytes()
        with pytest.raises(TypeError):
            journal.append("run", thing=object())
        assert path.read_bytes() == before


# ── the last line ───────────────────────────────────────────────────────────────────────────────────────

TORN = [GOOD[:-10], b"{", b'{"at":"2026', '{"prompt":"é'.encode()[:-1], b"\0\0\0\0"]


@pytest.mark.parametrize("torn", TORN)
def test_a_torn_last_line_is_left_out_and_left_in_the_file_by_a_reader(torn: bytes, path: Path) -> None:
    """Another process may be writing it just now."""
    path.write_bytes(GOOD + torn)
    assert [event.n for event in read(path)] == [1]
    assert path.read_bytes() == GOOD + torn


@pytest.mark.parametrize("torn", TORN)
def test_a_torn_last_line_is_cut_off_by_a_writer(torn: bytes, path: Path) -> None:
    path.write_bytes(GOOD + torn)
    with Journal(path.parent) as journal:
        assert path.read_bytes() == GOOD
        journal.append("ended")
    assert [event.kind for event in read(path)] == ["run", "ended"]


def test_a_torn_only_line_is_cut_off(path: Path) -> None:
    path.write_bytes(GOOD[:20])
    with Journal(path.parent) as journal:
        assert journal.take() == []


def test_a_whole_last_line_without_its_end_is_kept(path: Path) -> None:
    """An `accepted` line that lost only its newline is a paid request."""
    path.write_bytes(GOOD + GOOD[:-1])
    assert len(read(path)) == 2
    with Journal(path.parent) as journal:
        journal.append("ended")
    assert [event.kind for event in read(path)] == ["run", "run", "ended"]


def test_every_cut_of_a_journal_reads_as_the_lines_before_it(path: Path) -> None:
    whole = GOOD + '{"at":"2026-08-20T12:00:00+00:00","kind":"sending","key":"k","prompt":"é🚤"}\n'.encode()
    for n in range(len(whole) + 1):
        path.write_bytes(whole[:n])
        assert len(read(path)) == (n >= len(GOOD) - 1) + (n >= len(whole) - 1)


# ── damage ──────────────────────────────────────────────────────────────────────────────────────────────

BAD = {
    "cut": GOOD[:-10],
    "empty": b"",
    "words": b"mended by hand",
    "no time": b'{"kind":"run"}',
    "no kind": f"{{{TIME}}}".encode(),
    "a number as time": b'{"at":5,"kind":"run"}',
    "no such time": b'{"at":"yesterday","kind":"run"}',
    "a time without a zone": b'{"at":"2026-08-20T12:00:00","kind":"run"}',
    "bytes": b"\xff\xfe\x00",
    "zeros": b"\0\0\0",
    "a list": b"[1]",
    "a number": b"5",
    "null": b"null",
    "a text": b'"run"',
    "two objects": GOOD[:-1] + GOOD[:-1],
    "very deep": b"[" * 100_000,
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("last", [False, True], ids=["in the middle", "last"])
@pytest.mark.parametrize("door", ["read", "open"])
def test_any_other_bad_line_is_damage_with_its_number_and_the_file_is_untouched(
    bad: bytes, last: bool, door: str, path: Path
) -> None:
    content = GOOD * 2 + bad + b"\n" + (b"" if last else GOOD)
    path.write_bytes(content)
    with pytest.raises(JournalDamaged, match=r"journal\.jsonl, line 3 cannot be read.*Nothing was sent"):
        read(path) if door == "read" else Journal(path.parent)
    assert path.read_bytes() == content


def test_a_damaged_journal_is_not_locked_for_ever(path: Path) -> None:
    path.write_bytes(b"damaged\n")
    with pytest.raises(JournalDamaged):
        Journal(path.parent)
    path.write_bytes(GOOD)
    Journal(path.parent).close()


# ── the lock ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Another process that has the journal open."""
    script = "import sys; from pathlib import Path; from seedance_lab.journal import Journal\n" \
             "j = Journal(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read(); j.close()"  # fmt: skip
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)], cwd=REPO, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_second_process_is_refused_and_told_who_has_it(
    holder: Callable[[], subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = holder()
    with pytest.raises(StudyLocked, match=rf"process {process.pid} on .*Nothing was sent"):
        Journal(tmp_path)


def test_a_locked_journal_can_be_read(holder: Callable[[], subprocess.Popen[str]], path: Path) -> None:
    path.write_bytes(GOOD)
    holder()
    assert len(read(path)) == 1


def test_a_killed_process_leaves_no_lock(holder: Callable[[], subprocess.Popen[str]], tmp_path: Path) -> None:
    process = holder()
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    Journal(tmp_path).close()


def test_the_same_process_cannot_open_it_twice(tmp_path: Path) -> None:
    with Journal(tmp_path), pytest.raises(StudyLocked, match=f"process {os.getpid()}"):
        Journal(tmp_path)


def test_a_refused_opening_does_not_take_the_lock_from_its_holder(tmp_path: Path) -> None:
    with Journal(tmp_path):
        for _ in range(2):
            with pytest.raises(StudyLocked):
                Journal(tmp_path)


def test_a_closed_journal_can_be_opened_again(tmp_path: Path) -> None:
    Journal(tmp_path).close()
    Journal(tmp_path).close()


def test_a_journal_can_be_closed_twice(tmp_path: Path) -> None:
    """The second time its file's number may already be another file's."""
    journal = Journal(tmp_path)
    journal.append("run")
    journal.close()
    with (tmp_path / "another").open("wb") as another:
        journal.close()
        another.write(b"still open")
        another.flush()


# ── the disk ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From now on half a journal line can be written and no more."""
    write = os.write

    def half(handle: int, data: bytes) -> int:
        if data.startswith(b'{"at"'):
            return write(handle, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return lambda: monkeypatch.setattr(os, "write", half)


def test_a_write_that_fails_half_way_leaves_the_file_as_it_was(
    path: Path, full_disk: Callable[[], None]
) -> None:
    with Journal(path.parent) as journal:
        journal.append("run")
        before = path.read_bytes()
        full_disk()
        with pytest.raises(OSError, match="No space left"):
            journal.append("sending", "k")
        assert path.read_bytes() == before


def test_a_line_can_be_written_when_there_is_room_again(
    path: Path, full_disk: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Journal(path.parent) as journal:
        write = os.write
        full_disk()
        with pytest.raises(OSError, match="No space left"):
            journal.append("sending", "k")
        monkeypatch.setattr(os, "write", write)
        assert journal.append("run").n == 1
    assert [event.kind for event in read(path)] == ["run"]


def test_a_line_that_could_not_be_synced_is_taken_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with Journal(path.parent) as journal:
        monkeypatch.setattr(os, "fsync", failing)
        with pytest.raises(OSError, match="Input/output error"):
            journal.append("run")
        assert path.read_bytes() == b""


def test_a_line_does_not_grow_onto_a_torn_one_that_could_not_be_taken_back(
    path: Path, full_disk: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the `accepted` of a paid request, or the run's `ended`, makes the whole journal unreadable."""

    def failing(*_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    write = os.write
    with Journal(path.parent) as journal:
        journal.append("run")
        full_disk()
        monkeypatch.setattr(os, "ftruncate", failing)
        with pytest.raises(OSError, match="No space left"):
            journal.append("sending", "k")
        monkeypatch.setattr(os, "write", write)
        with contextlib.suppress(OSError, StudyError):
            journal.append("ended")
    assert read(path)[0].kind == "run"


def test_short_writes_are_continued(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    with Journal(path.parent) as journal:
        monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:7]))
        written = journal.append("run", prompt="é🚤")
    assert read(path) == [written]


@pytest.mark.parametrize("folder", ["/proc/no/such", "/dev/null/study"])
def test_a_folder_that_cannot_be_made_is_a_study_error(folder: str) -> None:
    with pytest.raises(StudyError, match=rf"{folder} cannot be used: .*Nothing was sent"):
        Journal(Path(folder))


def test_a_file_in_place_of_the_folder_is_a_study_error(tmp_path: Path) -> None:
    (tmp_path / "study").touch()
    with pytest.raises(StudyError, match="Nothing was sent"):
        Journal(tmp_path / "study")


def test_a_new_journal_is_made_by_its_first_line(path: Path) -> None:
    """A run that is refused for its budget leaves no study behind."""
    with Journal(path.parent) as journal:
        assert not path.exists()
        journal.append("study")
        assert path.exists()


def test_a_journal_that_is_a_folder_is_a_study_error(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StudyError):
        Journal(path.parent)


# ── an old file ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_journal_of_the_first_version_still_reads_and_folds() -> None:
    """The first lines are of a real run; never change this file: people's folders hold such files."""
    stages = [(r.stage, r.attempts, r.cost_usd, r.at_stake_usd) for r in fold(read(ASSET)).values()]
    assert stages == [
        ("saved", 1, 0.03456, 0.03456), ("saved", 1, 0.03456, 0.03456), ("refused", 1, 0.0, 0.0),
        ("failed", 1, None, 0.03456), ("accepted", 1, 0.03456, 0.03456), ("cancelled", 2, 0.0, 0.0),
        ("declined", 1, 0.0, 0.0), ("sending", 1, None, 0.03456),
    ]  # fmt: skip


def test_the_requests_of_the_first_version_still_have_their_keys() -> None:
    records = fold(read(ASSET))
    assert [record.request(Path("study")).key for record in records.values()] == list(records)


def test_an_old_journal_can_be_appended_to(path: Path) -> None:
    path.write_bytes(ASSET.read_bytes())
    with Journal(path.parent) as journal:
        assert journal.append("run").n == 31
    assert path.read_bytes().startswith(ASSET.read_bytes())


def test_an_old_line_names_the_request_that_it_was() -> None:
    record = next(iter(fold(read(ASSET)).values()))
    assert isinstance(record.request(Path("study")), Request)
    assert record.request(Path("study")).prompt == "the boats drift apart — “slowly” 🚤"


def test_a_closed_journal_takes_no_more_lines(path: Path) -> None:
    """The lock is gone: another process may be writing."""
    journal = Journal(path.parent)
    journal.append("run")
    before = path.read_bytes()
    journal.close()
    with pytest.raises(ValueError, match="is closed"):
        journal.append("ended")
    assert path.read_bytes() == before
