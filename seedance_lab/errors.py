"""Every error this package raises on purpose.

    LabError
    ├── RequestError      a field, option or type that the endpoint does not take   (also a ValueError)
    │   └── ImageError    a picture that the service would refuse
    ├── PlanError         a sweep that cannot be built                              (also a ValueError)
    ├── BudgetError       a run that may cost more than was allowed
    ├── StudyError        a folder that cannot be used as this study
    │   ├── StudyLocked   another process is running it
    │   └── JournalDamaged
    ├── EngineError       the place where clips are made cannot be used
    │   ├── NotSent       nothing left this machine: safe to send again
    │   ├── Declined      the service answered that it did not take the request
    │   ├── LostAnswer    the request may have been received: never sent again blindly
    │   └── LinkGone      a file that was paid for is no longer where the service said
    ├── ClipError         a video file that cannot be read
    └── RunFailed         raised only by `Run.raise_if_failed()`

A message says what happened, what it means for money, and what to type next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LabError(Exception):
    """Base of all errors that this package raises on purpose."""


class RequestError(LabError, ValueError):
    """A field, option or type that the endpoint does not take. Nothing was sent."""


class ImageError(RequestError):
    """A picture that the service would refuse. Nothing was sent."""


class PlanError(LabError, ValueError):
    """A sweep that cannot be built. Nothing was sent."""


class BudgetError(LabError):
    """A run that may cost more than `budget_usd`, or has no budget where one is needed."""


class StudyError(LabError):
    """A folder that cannot be used as this study."""


class StudyLocked(StudyError):
    """Another process is running this study; the message says which."""


class JournalDamaged(StudyError):
    """A journal line other than the last one cannot be read; the message has its number."""


class EngineError(LabError):
    """The engine cannot be used: wrong name, no key, no answer, no money."""


class NotSent(EngineError):
    """The connection was never made, so nothing left this machine: safe to send again."""


class Declined(EngineError):
    """The service answered that it did not take the request.

    Args:
        message: What it said.
        status: HTTP status, 3xx or 4xx.
        body: The parsed JSON body, or its text.
        retry_after_s: Seconds to wait before asking again; `None` when the answer is final.
    """

    def __init__(
        self, message: str, *, status: int, body: object = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = body
        self.retry_after_s = retry_after_s


class LostAnswer(EngineError):
    """The request may have been received and may cost money; it is never sent again blindly."""


class LinkGone(EngineError):
    """The service no longer has the file under the link it gave; the clip was paid for."""


class ClipError(LabError):
    """A video file that cannot be read."""


class MeasureError(LabError):
    """A measure that there is not, or that cannot be taken."""


class RunFailed(LabError):
    """Raised by `Run.raise_if_failed()`: some requests of the run have no clip."""


def near(name: str, known: Iterable[str]) -> str:
    """` Did you mean …?` for the known names nearest to `name`; empty when none is near."""
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.55)
    return f" Did you mean {' or '.join(repr(c) for c in close)}?" if close else ""
