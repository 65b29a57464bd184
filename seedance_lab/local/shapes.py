"""The shapes of what the engine answers, for its OpenAPI document only: no answer is checked at run time.

That they are true is held by a test, which compares them with a few thousand answers.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Shape(BaseModel):
    """A JSON object; what is not optional is always there."""

    model_config = ConfigDict(json_schema_extra=lambda schema: schema.pop("title", None))


class Log(Shape):
    """One line of a request's log."""

    message: str
    level: Literal["STDERR", "STDOUT", "ERROR", "INFO", "WARN", "DEBUG"]
    source: Literal["USER"]
    timestamp: str
    labels: dict[str, Any]


class QueueStatus(Shape):
    """How a request stands. COMPLETED covers failure and cancellation too: the result's own status decides."""

    status: Literal["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]
    request_id: str
    response_url: str
    status_url: str
    cancel_url: str
    logs: list[Log] | None = Field(description="null unless asked for")
    metrics: dict[str, float] = Field(description="`inference_time` in seconds, once completed")
    queue_position: int = Field(0, ge=0, description="While IN_QUEUE: how many are before it")
    error: str = Field("", description="Of a failure")
    error_type: str | None = None


class Cancellation(Shape):
    """The answer to a cancellation."""

    status: Literal["OK", "CANCELLATION_REQUESTED", "ALREADY_COMPLETED", "NOT_FOUND"]


class Missing(Shape):
    """There is no such request."""

    status: Literal["NOT_FOUND"]
    detail: str = ""


class Refusal(Shape):
    """An error of the platform, not of the model."""

    detail: str
    error_type: str = ""


class Problem(Shape):
    """One item of a model's error."""

    loc: list[str | int]
    msg: str
    type: str
    url: str = ""
    ctx: dict[str, Any] = Field(default_factory=dict)
    input: Any = None


class Problems(Shape):
    """A model's error. `X-Fal-Retryable` says whether to try again may help."""

    detail: list[Problem]


class NotJson(Shape):
    """The body is not what was expected: items, or a sentence."""

    detail: list[Problem] | str


class Token(Shape):
    """Leave to upload, for a while."""

    token: str
    token_type: str
    base_url: str
    expires_at: str


class Initiated(Shape):
    """Where to put a file, and where it will then be."""

    upload_url: str
    file_url: str


class Begun(Shape):
    """An upload in parts."""

    access_url: str
    uploadId: str  # noqa: N815  # the service's name


class Uploaded(Shape):
    """Where a file is."""

    access_url: str


class Part(Shape):
    """A part that arrived."""

    partNumber: int  # noqa: N815  # the service's name
    etag: str


class Announcement(Shape):
    """A file that will be uploaded."""

    file_name: str = "file"
    content_type: str = "application/octet-stream"


class Parts(Shape):
    """The parts that make up a file."""

    parts: list[Part]


class Identity(Shape):
    """Who answers."""

    engine: str
    id: str
    version: str


class RuleTally(Shape):
    """A rule in force: how many requests it concerned, and how many of them it broke."""

    rule: str
    seen: int
    fired: int


class FaultsInForce(Shape):
    """The rules in force, and the seed of their chances."""

    seed: int
    rules: list[RuleTally]


class FaultsAsked(Shape):
    """Rules such as `submit:drop-after@2`."""

    rules: list[str]
    seed: int | None = None


class Time(Shape):
    """What time it is at the engine, and by how many seconds it is ahead."""

    now: str
    ahead_s: float


class Move(Shape):
    """By how many seconds to move the clock forward."""

    move_s: float = Field(ge=0)


class Key(Shape):
    """A public key, as in RFC 8037."""

    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    alg: Literal["EdDSA"]
    use: Literal["sig"]
    kid: str
    x: str


class Keys(Shape):
    """The keys that sign webhooks."""

    keys: list[Key]
