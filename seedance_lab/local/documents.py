"""What the OpenAPI document says of each operation, kept out of the handlers.

Handlers take the bare request: what is declared here is read by people and generators, and checked by a
test, but costs nothing when a request is answered.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from seedance_lab.local.shapes import Missing, Problems, Refusal

Handler = Callable[[Request], Awaitable[Response]]
Answers = Mapping[int, type[BaseModel] | str | None]
KEY = "apiKeyAuth"
EVENTS = "text/event-stream"
_EVENT = {
    "type": "object",
    "description": "One event; its data is the status as JSON. Comments keep the connection alive.",
    "properties": {"data": {"type": "string", "contentMediaType": "application/json"}},
    "required": ["data"],
}
_REASONS = {
    200: "Success",
    202: "Not finished",
    206: "A part of the file",
    304: "Not changed",
    400: "Declined",
    401: "No key, or none that is one",
    403: "The balance is used up",
    404: "Not found",
    405: "No such method",
    409: "It has other bytes already",
    413: "Too large",
    416: "No such range",
    422: "Not what the model takes",
    429: "Too many",
    499: "Cancelled",
    500: "The model broke",
    503: "The engine is stopping",
    504: "It did not begin in time",
    507: "The files that may not be removed take all the room that there is",
}


class Operation(NamedTuple):
    """One operation of the document.

    Attributes:
        summary: A few words.
        answers: Status → shape of the JSON body, a media type, or None for no body.
        parameters: Besides the path's, in OpenAPI's form.
        body: Shape of the JSON body, a media type, or None.
        needs_key: Whether a key is needed.
    """

    summary: str
    answers: Answers
    parameters: Sequence[Mapping[str, Any]] = ()
    body: type[BaseModel] | str | None = None
    needs_key: bool = True


def query(name: str, said: str, **schema: Any) -> dict[str, Any]:
    """A query parameter; text unless said otherwise."""
    return {"name": name, "in": "query", "description": said, "schema": {"type": "string", **schema}}


def many(name: str, said: str, **schema: Any) -> dict[str, Any]:
    """A query parameter that may be repeated."""
    items = {"type": "string", **schema}
    return {"name": name, "in": "query", "description": said, "schema": {"type": "array", "items": items}}


def header(name: str, said: str, **schema: Any) -> dict[str, Any]:
    """A header."""
    return {"name": name, "in": "header", "description": said, "schema": {"type": "string", **schema}}


def add(
    routes: APIRouter,
    method: str,
    path: str,
    handler: Handler,
    operation: Operation,
    *,
    name: str | None = None,
    tags: list[str] | None = None,
) -> None:
    """Route a handler, and say in the document what it does."""
    in_path = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    said = declared(operation)
    said["openapi_extra"]["parameters"][:0] = [
        {"name": n, "in": "path", "required": True, "schema": {"type": "string"}} for n in in_path
    ]
    routes.add_api_route(path, handler, methods=[method], name=name, tags=list(tags or ()), **said)


def declared(operation: Operation) -> dict[str, Any]:
    """The same as keywords of a route, for handlers that take the path's parts by name."""
    extra: dict[str, Any] = {
        "parameters": list(operation.parameters),
        "security": [{KEY: []}] if operation.needs_key else [],
    }
    if operation.body is not None:
        extra["requestBody"] = {"required": True, "content": _content(operation.body)}
    answers = {**({401: Refusal} if operation.needs_key else {}), **operation.answers}
    return {
        "summary": operation.summary,
        "response_class": Response,
        "responses": {status: _answer(status, shape) for status, shape in answers.items()},
        "openapi_extra": extra,
    }


def _answer(status: int, shape: type[BaseModel] | str | None) -> dict[str, Any]:
    said: dict[str, Any] = {"description": _REASONS[status]}
    if isinstance(shape, str):
        said["content"] = {shape: {"schema": _EVENT if shape == EVENTS else {"type": "string"}}}
    elif shape is not None:
        said["content"] = _content(shape)
    return said


def _content(shape: type[BaseModel] | str) -> dict[str, Any]:
    if isinstance(shape, str):
        return {shape: {"schema": {"type": "string", "format": "binary"}}}
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{_remember(shape)}"}}}


_SHAPES: dict[str, type[BaseModel]] = {}


def _remember(shape: type[BaseModel]) -> str:
    _SHAPES[shape.__name__] = shape
    return shape.__name__


def describe(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """What makes the application's document, once."""

    def made() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, routes=app.routes, description=_ABOUT)
            schema["tags"] = [tag for tag in _TAGS if tag["name"] in _used(schema)]
            components = schema.setdefault("components", {})
            schemas = components.setdefault("schemas", {})
            for name, shape in sorted(_SHAPES.items()):
                said = shape.model_json_schema(ref_template="#/components/schemas/{model}")
                schemas.update(said.pop("$defs", {}))
                schemas[name] = said
            components["securitySchemes"] = {
                KEY: {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "`Key id:secret`",
                }
            }
            app.openapi_schema = schema
        return app.openapi_schema

    return made


def _used(schema: dict[str, Any]) -> set[str]:
    """The tags of its operations."""
    operations = [operation for methods in schema["paths"].values() for operation in methods.values()]
    return {tag for operation in operations for tag in operation.get("tags", ())}


_ABOUT = (
    "A simulator of fal's queue, storage and platform for Seedance 1.0. It makes no video of the model's."
)
_TAGS = [
    {"name": "queue", "description": "queue.fal.run"},
    {"name": "run", "description": "fal.run"},
    {"name": "storage", "description": "rest.fal.ai and v3.fal.media"},
    {"name": "platform", "description": "api.fal.ai/v1"},
    {"name": "admin", "description": "What a test may do to this engine; not at fal"},
]

MISSING: Answers = {404: Missing}
MODEL_ERRORS: Answers = {422: Problems, 499: Refusal, 500: Problems, 504: Refusal}
