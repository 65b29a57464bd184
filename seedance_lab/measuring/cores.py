"""How many cores there are to measure with: all that this process may use, or the share that a worker was given."""

from __future__ import annotations

import os

SHARE = "SEEDANCE_LAB_CORES"
"""The environment variable by which a worker is told its share."""


def n_cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def for_a_pass() -> int:
    """Cores for one pass through a file; at least 1."""
    return int(os.environ.get(SHARE, "0")) or n_cores()
