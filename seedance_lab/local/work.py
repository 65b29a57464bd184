"""The work on one request: the model is asked for its clip, and what comes back is put into the service's words.

What happens to the queue, the ledger and whoever waits is the service's business.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import NamedTuple, Protocol

from seedance_lab.endpoints import find
from seedance_lab.local.files import describe
from seedance_lab.local.model import Made, Model
from seedance_lab.local.records import Charge, FileRecord, Outcome, Record, as_json
from seedance_lab.local.refusals import ModelError, internal
from seedance_lab.local.renderer import IDENTITY

log = logging.getLogger(__name__)

_LOGGED_STEPS = 4  # a line at each quarter of the work


class Say(Protocol):
    """Adds a line to the request's log."""

    def __call__(self, message: str, level: str = "INFO") -> None:
        """Add it."""


class Ended(NamedTuple):
    """How a request ended; with its charge and its clip, if it has one."""

    outcome: Outcome
    charge: Charge | None = None
    file: FileRecord | None = None


async def work(model: Model, record: Record, *, clock: Callable[[], float], say: Say) -> Ended:
    """Make the clip of a request. Whatever breaks, the request ends.

    Args:
        model: Makes it.
        record: The request.
        clock: Seconds since the epoch.
        say: Tells its owner how it goes.
    """
    say(IDENTITY)
    began = clock()
    step = 0

    def on_progress(share: float) -> None:
        nonlocal step
        if int(share * _LOGGED_STEPS) > step:
            step = int(share * _LOGGED_STEPS)
            say(f"rendered {step * 100 // _LOGGED_STEPS} %")

    try:
        made = await model.make(
            record.request_id, find(record.endpoint_id), json.loads(record.input), on_progress=on_progress
        )
    except ModelError as refusal:
        return _refused(record, refusal, say)
    except Exception as error:
        # Whatever broke, the request must end and its owner be told.
        log.exception("request %s", record.request_id)
        return _refused(record, internal(f"{type(error).__name__}: {error}"), say)
    return _made(record, made, began, clock())


def _made(record: Record, made: Made, began: float, now: float) -> Ended:
    ends = None if record.clip_s is None else now + record.clip_s
    file = made.file._replace(created_at=now, expires_at=ends)
    output = {"video": describe(file, ""), "seed": made.seed}
    outcome = Outcome(200, as_json(output), inference_s=max(0.0, now - began))
    return Ended(outcome, made.charge, file)


def _refused(record: Record, refusal: ModelError, say: Say) -> Ended:
    log.info("request %s refused: %s", record.request_id, refusal)
    say(f"refused: {refusal.type}", "ERROR")
    return Ended(
        Outcome(
            refusal.status,
            as_json({"detail": refusal.detail}),
            error=f"Invalid status code: {refusal.status}",
            error_type=refusal.type,
        )
    )
