"""Who runs a study, as its folder tells: this process, another one, one on another machine, or nobody."""

from __future__ import annotations

import os
import re
import socket
import time
from pathlib import Path

_SILENT_S = 120.0
"""A run on another machine that wrote nothing for so long is taken for dead; fal's slowest clips take less."""


def stamp_of(path: Path) -> tuple[int, int]:
    """Size and time of a file; another one when it was written to. (0, 0) where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return (0, 0)
    return (stat.st_size, stat.st_mtime_ns)


def holder_of(folder: Path) -> str:
    """Who holds the study, as the journal writes it down; empty where nobody does."""
    try:
        return (folder / ".lock.holder").read_text().strip()
    except OSError:
        return ""


def is_running(folder: Path) -> bool:
    """Whether a living process holds the study. A killed one leaves its name behind, so the name is not enough."""
    found = re.match(r"process (\d+) on (\S+) since", holder_of(folder))
    if found is None:
        return False
    if found[2] == socket.gethostname():
        return _is_alive(int(found[1]))
    _, mtime_ns = stamp_of(folder / "journal.jsonl")
    return time.time() - mtime_ns / 1e9 < _SILENT_S


def _is_alive(pid: int) -> bool:
    if os.name != "posix":  # there a signal of 0 ends the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return True
