"""Which of the requests at the service are being worked on, as far as the journal tells.

The service says, when it takes a request, how many wait before it; nothing is written when work begins. Each one
that was taken before and ends moves it up by one. So a request is taken to have begun when as many earlier ones have
ended as waited before it. Others of the account may be among those, and then it began later than this says.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable

from seedance_lab.record import Record


class Queue:
    """The ends so far, in order.

    Args:
        records: Every request of the study.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self._ends = sorted(r.finished_at.timestamp() for r in records if r.finished_at is not None)

    def began(self, record: Record) -> float | None:
        """When work on it began, in seconds since the epoch; None while it still waits, as far as is known."""
        if record.accepted_at is None:
            return None
        accepted = record.accepted_at.timestamp()
        waited = record.position or 0
        if not waited:
            return accepted
        first = bisect.bisect_right(self._ends, accepted)
        nth = first + waited - 1
        return self._ends[nth] if nth < len(self._ends) else None
