"""What the service says, as values."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import httpx


class Ticket(NamedTuple):
    """What the service gave for a request that it took."""

    request_id: str
    urls: Mapping[str, str]
    """`status_url`, `response_url`, `cancel_url`, used as returned and never built."""
    position: int | None = None
    """How many waited before it when it was taken; None when the service did not say."""


class Seen(NamedTuple):
    """What a look at a request showed."""

    state: Literal["queued", "running", "done"]
    position: int | None = None
    metrics: Mapping[str, Any] = {}
    error: str | None = None
    error_type: str | None = None


class Answer(NamedTuple):
    """What the model returned: its own status, headers and body."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def video_url(self) -> str | None:
        """Where the video is; None when there is none."""
        if not httpx.codes.is_success(self.status) or not isinstance(self.body, dict):
            return None
        video = self.body.get("video")
        url = video.get("url") if isinstance(video, dict) else None
        return url if isinstance(url, str) and url else None

    def reason(self, seen: Seen) -> tuple[str, str | None]:
        """Why there is no video: in words, and the service's own word for it."""
        body = self.body if isinstance(self.body, dict) else {"detail": self.body}
        detail = body.get("detail")
        kind = body.get("error_type") or self.headers.get("x-fal-error-type") or seen.error_type
        if isinstance(detail, list) and detail and isinstance(detail[0], dict):
            said = (
                f"{'.'.join(map(str, d.get('loc', [])[1:]))}: {d.get('msg')}".lstrip(": ") for d in detail
            )
            return "; ".join(said), detail[0].get("type") or kind
        text = detail if isinstance(detail, str) else seen.error
        return text or f"the service answered HTTP {self.status} without a video", kind


class Found(NamedTuple):
    """One request in the account's history."""

    request_id: str
    sent_at: dt.datetime | None
    input: Mapping[str, Any] | None
    output: Any = None


class Download(NamedTuple):
    """A file that came."""

    sha256: str
    size_bytes: int
    seconds: float
