"""rest.fal.ai and v3.fal.media: upload tokens, the three ways to upload, and the files themselves."""

from __future__ import annotations

import datetime as dt
import secrets
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from seedance_lab.local.documents import Operation, declared, query
from seedance_lab.local.files import MAX_FILE_BYTES, TooLargeError, UnfinishedError, WrittenError, url_path
from seedance_lab.local.records import FileRecord
from seedance_lab.local.service import Service
from seedance_lab.local.shapes import (
    Announcement,
    Begun,
    Initiated,
    Keys,
    NotJson,
    Part,
    Parts,
    Refusal,
    Token,
    Uploaded,
)
from seedance_lab.local.wire import (
    HttpError,
    base_url,
    chunks,
    has_key,
    has_token,
    read_json,
    reply,
    small_number,
)

_TOKEN_HOURS = 1
_PART_BYTES = 128 * 1024**2
_PARTS_MAX = 10_000
_BYTES = "application/octet-stream"
_REFUSALS = {404: Refusal, 413: Refusal, 422: Refusal}
_KEYS = Operation("The keys that sign webhooks", {200: Keys}, needs_key=False)
_TOKEN = Operation("A token for uploads", {200: Token})
_UPLOAD = Operation("Upload a file", {200: Uploaded, 413: Refusal}, body=_BYTES)
_BEGIN = Operation("Begin an upload in parts", {200: Begun})
_INITIATE = Operation("A URL to upload to", {200: Initiated, 413: Refusal, 422: NotJson}, body=Announcement)
_INITIATE_PARTS = _INITIATE._replace(summary="A URL to upload parts to")
_PUT = Operation(
    "Upload to an announced URL",
    {200: None, 409: Refusal, **_REFUSALS},
    [query("upload", "The announcement's secret")],
    _BYTES,
    needs_key=False,
)
_PUT_PART = Operation("Upload one part", {200: Part, 400: Refusal, **_REFUSALS}, body=_BYTES, needs_key=False)
_COMPLETE = Operation(
    "Join the parts",
    {200: Uploaded, 400: Refusal, **_REFUSALS, 422: NotJson},
    body=Parts,
    needs_key=False,
)
_READ = Operation(
    "A file", {200: "*/*", 206: "*/*", 304: None, 416: "text/plain", **_REFUSALS}, needs_key=False
)
_SHOWN_IN_PLACE = ("image/", "video/", "audio/")


def router(service: Service) -> APIRouter:
    """The routes under `/rest` and `/cdn`."""
    routes = APIRouter(tags=["storage"])
    files = service.files

    @routes.get("/rest/.well-known/jwks.json", **declared(_KEYS))
    async def jwks() -> Response:
        return reply(service.signer.jwks())

    @routes.post("/rest/storage/auth/token", **declared(_TOKEN))
    async def token(request: Request) -> Response:
        _need_key(request)
        expires = dt.datetime.fromtimestamp(service.clock(), dt.UTC) + dt.timedelta(hours=_TOKEN_HOURS)
        body = {
            "token": secrets.token_urlsafe(24),
            "token_type": "Bearer",
            "base_url": base_url(request) + "/cdn",
            "expires_at": expires.isoformat(),
        }
        return reply(body)

    @routes.post("/cdn/files/upload", **declared(_UPLOAD))
    async def upload(request: Request) -> Response:
        _need_token(request)
        try:
            file = await files.save(
                chunks(request, MAX_FILE_BYTES), _file_name(request), _media_type(request)
            )
        except TooLargeError as error:
            raise _too_large(error) from error
        return reply({"access_url": base_url(request) + url_path(file)})

    @routes.post("/cdn/files/upload/multipart", **declared(_BEGIN))
    async def begin(request: Request) -> Response:
        _need_token(request)
        file = files.open(_file_name(request), _media_type(request))
        return reply({"access_url": base_url(request) + url_path(file), "uploadId": file.secret})

    @routes.post("/rest/storage/upload/initiate", **declared(_INITIATE))
    async def initiate(request: Request) -> Response:
        file = await _announced(request)
        url = base_url(request) + url_path(file)
        return reply({"upload_url": f"{url}?upload={file.secret}", "file_url": url})

    @routes.post("/rest/storage/upload/initiate-multipart", **declared(_INITIATE_PARTS))
    async def initiate_multipart(request: Request) -> Response:
        file = await _announced(request)
        url = base_url(request) + url_path(file)
        return reply({"upload_url": f"{url}/multipart/{file.secret}", "file_url": url})

    # The secret in these three URLs is the permission: the JavaScript client sends no key with them.

    @routes.put("/cdn/files/{file_id}/{_name}", **declared(_PUT))
    async def put(file_id: str, _name: str, request: Request) -> Response:
        file = files.announced(file_id, request.query_params.get("upload", ""))
        if file is None:
            raise HttpError(404, {"detail": "Upload not found"})
        try:
            await files.fill(file, chunks(request, MAX_FILE_BYTES))
        except TooLargeError as error:
            raise _too_large(error) from error
        except WrittenError as error:
            raise HttpError(409, {"detail": "This URL was uploaded to before"}) from error
        return Response(status_code=200)

    @routes.put("/cdn/files/{file_id}/{_name}/multipart/{upload_id}/{number}", **declared(_PUT_PART))
    async def put_part(file_id: str, _name: str, upload_id: str, number: str, request: Request) -> Response:
        file = files.announced(file_id, upload_id)
        if file is None:
            raise HttpError(404, {"detail": "Upload not found"})
        part = small_number(number)
        if part is None or not 1 <= part <= _PARTS_MAX:
            raise HttpError(400, {"detail": f"Part numbers are 1 to {_PARTS_MAX}"})
        try:
            etag = await files.fill_part(file, part, chunks(request, _PART_BYTES), limit=_PART_BYTES)
        except TooLargeError as error:
            raise _too_large(error) from error
        return reply({"partNumber": part, "etag": etag}, headers={"etag": etag})

    @routes.post("/cdn/files/{file_id}/{_name}/multipart/{upload_id}/complete", **declared(_COMPLETE))
    async def complete(file_id: str, _name: str, upload_id: str, request: Request) -> Response:
        file = files.announced(file_id, upload_id)
        if file is None:
            raise HttpError(404, {"detail": "Upload not found"})
        numbers = _part_numbers(await read_json(request))
        try:
            # A lost answer makes clients ask again; the parts are gone by then and the file is whole.
            joined = file if file.size is not None else files.join_parts(file, numbers)
        except UnfinishedError as error:
            raise HttpError(400, {"detail": "Parts are missing"}) from error
        except TooLargeError as error:
            raise _too_large(error) from error
        return reply({"access_url": base_url(request) + url_path(joined)})

    @routes.head("/cdn/files/{file_id}/{_name}", include_in_schema=False)
    @routes.get("/cdn/files/{file_id}/{_name}", **declared(_READ))
    async def read(file_id: str, _name: str) -> Response:
        file = files.find(file_id)
        if file is None or not files.path(file).is_file():
            raise HttpError(404, {"detail": "File not found"})
        headers = {
            # Public by its unguessable URL, as at the service: pages may read it, but never run it.
            "access-control-allow-origin": "*",
            "x-content-type-options": "nosniff",
            "content-security-policy": "sandbox; default-src 'none'",
            "cache-control": "public, max-age=31536000, immutable",
        }
        shown = file.content_type.startswith(_SHOWN_IN_PLACE) and "svg" not in file.content_type
        return FileResponse(
            files.path(file),
            media_type=file.content_type,
            headers=headers,
            filename=file.name,
            content_disposition_type="inline" if shown else "attachment",
        )

    async def _announced(request: Request) -> FileRecord:
        _need_key(request)
        asked = await read_json(request)
        if not isinstance(asked, dict):
            raise HttpError(422, {"detail": "file_name and content_type are expected"})
        return files.open(
            str(asked.get("file_name") or "file"),
            str(asked.get("content_type") or "application/octet-stream"),
        )

    return routes


def _need_key(request: Request) -> None:
    if not has_key(request):
        raise HttpError(401, {"detail": "Authentication is required"})


def _need_token(request: Request) -> None:
    if not has_token(request):
        raise HttpError(401, {"detail": "Authentication is required"})


def _file_name(request: Request) -> str:
    return request.headers.get("x-fal-file-name") or "file"


def _media_type(request: Request) -> str:
    return request.headers.get("content-type") or "application/octet-stream"


def _too_large(error: TooLargeError) -> HttpError:
    return HttpError(413, {"detail": f"File is larger than {error.args[0]} bytes"})


def _part_numbers(body: Any) -> list[int]:
    try:
        return [int(part["partNumber"]) for part in body["parts"]]
    except (KeyError, TypeError, ValueError) as error:
        raise HttpError(422, {"detail": "parts are expected, each with its partNumber"}) from error
