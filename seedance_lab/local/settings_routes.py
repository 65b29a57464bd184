"""api.fal.ai/v1/storage: how long the account's files are to be had unless a request says otherwise."""

from __future__ import annotations

import pydantic
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from seedance_lab.local.documents import Operation, add
from seedance_lab.local.lifecycle import settings
from seedance_lab.local.paging import REFUSALS, bad, need_key
from seedance_lab.local.platform_routes import PREFIX
from seedance_lab.local.platform_shapes import StorageSettings
from seedance_lab.local.records import as_json
from seedance_lab.local.service import Service
from seedance_lab.local.wire import HttpError, read_json, reply

_GET = Operation("The account's settings of storage", {200: StorageSettings, **REFUSALS})
_PUT = Operation(
    "Set them; what is left out is set back", {200: StorageSettings, **REFUSALS}, body=StorageSettings
)


def router(service: Service) -> APIRouter:
    """The routes under `/api/v1/storage`."""
    routes = APIRouter(prefix=PREFIX)

    async def shown(request: Request) -> Response:
        need_key(request)
        return reply(settings(service.store))

    async def put(request: Request) -> Response:
        need_key(request)
        try:
            kept = StorageSettings.model_validate(await read_json(request), strict=True).model_dump()
        except (pydantic.ValidationError, HttpError) as error:
            raise bad(
                "expiration_duration_seconds (a whole number from 1) and initial_acl are expected"
            ) from error
        service.store.lifecycle = as_json(kept)
        return reply(kept)

    add(routes, "GET", "/storage/settings", shown, _GET, tags=["platform"])
    add(routes, "PUT", "/storage/settings", put, _PUT, tags=["platform"])
    return routes
