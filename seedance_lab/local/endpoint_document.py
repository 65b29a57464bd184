"""The OpenAPI document of one endpoint, as the service publishes it for each model.

Made from the pydantic model that also checks the input, so that it cannot say anything else.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from seedance_lab.endpoints import Endpoint, VideoOutput
from seedance_lab.local.addresses import owner_and_app
from seedance_lab.local.shapes import QueueStatus

_REF = "#/components/schemas/{model}"


def document(endpoint: Endpoint) -> dict[str, Any]:
    """OpenAPI 3.0.4 of the endpoint's queue."""
    name = "".join(
        part.capitalize() for part in endpoint.id.removeprefix("fal-ai/").replace("/", "-").split("-")
    )
    schemas: dict[str, Any] = {}
    for title, model in (
        (f"{name}Input", endpoint.input),
        (f"{name}Output", VideoOutput),
        ("QueueStatus", QueueStatus),
    ):
        schemas |= _schemas(title, model)
    of_request = f"/{owner_and_app(endpoint.id)}/requests/{{request_id}}"
    in_path = {"name": "request_id", "in": "path", "required": True, "schema": {"type": "string"}}
    cancelled = {"type": "object", "properties": {"status": {"type": "string"}}}
    return {
        "openapi": "3.0.4",
        "info": {
            "title": f"Queue OpenAPI for {endpoint.id}",
            "version": "1.0.0",
            "x-fal-metadata": {"endpointId": endpoint.id, "category": category(endpoint)},
        },
        "components": {
            "securitySchemes": {"apiKeyAuth": {"type": "apiKey", "in": "header", "name": "Authorization"}},
            "schemas": schemas,
        },
        "servers": [{"url": "https://queue.fal.run"}],
        "security": [{"apiKeyAuth": []}],
        "paths": {
            f"/{endpoint.id}": {
                "post": {
                    "requestBody": {"required": True, "content": _json(_ref(f"{name}Input"))},
                    "responses": _answer(_ref("QueueStatus")),
                }
            },
            of_request: {"get": {"parameters": [in_path], "responses": _answer(_ref(f"{name}Output"))}},
            f"{of_request}/status": {
                "get": {"parameters": [in_path], "responses": _answer(_ref("QueueStatus"))}
            },
            f"{of_request}/cancel": {"put": {"parameters": [in_path], "responses": _answer(cancelled)}},
        },
    }


def category(endpoint: Endpoint) -> str:
    """The service's word for what goes in and what comes out."""
    return "image-to-video" if endpoint.takes_image else "text-to-video"


def _schemas(title: str, model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema(ref_template=_REF)
    inner = schema.pop("$defs", {})
    schema |= {"title": title, "x-fal-order-properties": list(model.model_fields)}
    return {name: _older(part) for name, part in {**inner, title: schema}.items()}


def _older(schema: Any) -> Any:
    """The same in OpenAPI 3.0, which knows no type `null` and one example only."""
    if isinstance(schema, list):
        return [_older(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    said = {key: _older(part) for key, part in schema.items()}
    options = said.get("anyOf")
    if isinstance(options, list) and {"type": "null"} in options:
        left = [option for option in options if option != {"type": "null"}]
        del said["anyOf"]
        said |= {**(left[0] if len(left) == 1 else {"anyOf": left}), "nullable": True}
    if isinstance(said.get("examples"), list):
        said["example"] = said.pop("examples")[0]
    if "const" in said:
        said["enum"] = [said.pop("const")]
    return said


def _ref(name: str) -> dict[str, str]:
    return {"$ref": _REF.format(model=name)}


def _json(schema: Any) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _answer(schema: Any) -> dict[str, Any]:
    return {"200": {"description": "The answer", "content": _json(schema)}}
