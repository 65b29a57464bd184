"""How the model says no: fal's error bodies, by type.

Source: fal.ai/docs/errors, read 2026-08-20. Items of failed input validation are pydantic's own, without
fal's `url`, as the service passes them through.
"""

from __future__ import annotations

from typing import Any

import pydantic

_MESSAGES = {
    "content_policy_violation": "The content could not be processed because it contained material flagged by "
    "a content checker.",
    "unsupported_image_format": "Unsupported image format. Supported formats are {formats}.",
    "image_too_small": "Image too small",
    "image_too_large": "Image too large",
    "image_load_error": "Image load error",
    "file_download_error": "File download error",
    "file_too_large": "File too large",
    "internal_server_error": "Internal server error",
}


class ModelError(Exception):
    """The model's own error: an HTTP status and a body with `detail`.

    Args:
        status: HTTP status of the result.
        detail: The items of `detail`.
        reason: For the request's log.
    """

    def __init__(self, status: int, detail: list[dict[str, Any]], reason: str = "") -> None:
        super().__init__(reason or (str(detail[0]["msg"]) if detail else ""))
        self.status = status
        self.detail = detail

    @property
    def type(self) -> str | None:
        """Type of the first item."""
        return str(self.detail[0]["type"]) if self.detail else None


def refuse(kind: str, field: str, value: object, *, reason: str = "", **context: object) -> ModelError:
    """A refusal of one input field, of a documented type."""
    formats = context.get("supported_formats")
    item: dict[str, Any] = {
        "loc": ["body", field],
        "msg": _MESSAGES[kind].format(formats=", ".join(formats) if isinstance(formats, list) else ""),
        "type": kind,
        "url": f"https://docs.fal.ai/errors/#{kind}",
        "input": _short(value),
    }
    if context:
        item["ctx"] = context
    return ModelError(422, [item], reason)


def refuse_value(field: str, value: object, message: str) -> ModelError:
    """A refusal for which no type is documented, in pydantic's form."""
    return ModelError(
        422, [{"loc": ["body", field], "msg": message, "type": "value_error", "input": _short(value)}]
    )


def internal(reason: str) -> ModelError:
    """The model broke; the caller learns no more than that, the log has the reason."""
    kind = "internal_server_error"
    item = {
        "loc": ["body"],
        "msg": _MESSAGES[kind],
        "type": kind,
        "url": f"https://docs.fal.ai/errors/#{kind}",
    }
    return ModelError(500, [item], reason)


def invalid(error: pydantic.ValidationError) -> ModelError:
    """Pydantic's items as FastAPI shows them, located in the body."""
    items = []
    for problem in error.errors(include_url=False):
        item = dict(problem)
        item["loc"] = ["body", *problem["loc"]]
        item["input"] = _short(problem["input"])
        if "ctx" in item:
            item["ctx"] = {
                name: value if isinstance(value, (str, int, float, list)) else str(value)
                for name, value in problem["ctx"].items()
            }
        items.append(item)
    return ModelError(422, items)


def _short(value: object) -> object:
    """A data URI of megabytes is not echoed."""
    if isinstance(value, str) and len(value) > _ECHOED:
        return value[:_ECHOED] + "…"
    if isinstance(value, dict):
        return {name: _short(part) for name, part in value.items()}
    return value


_ECHOED = 2000
