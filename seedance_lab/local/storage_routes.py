"""rest.fal.ai and v3.fal.media: upload tokens, the three ways to upload, and the files themselves."""

from __future__ import annotations

import datetime as dt
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from seedance_lab.local.delivery import Delivery
from seedance_lab.local.documents import Operation, declared, query
from seedance_lab.local.files import (
    MAX_FILE_BYTES,
    GoneError,
    TooLargeError,
    UnfinishedError,
    WrittenError,
    url_path,
)
from seedance_lab.local.lifecycle import LIFECYCLE, lifetime_s
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
    keys_of,
    read_json,
    reply,
    small_number,
)

_TOKEN_HOURS = 1
_PART_BYTES = 128 * 1024**2
_PARTS_MAX = 10_000
_BYTES = "application/octet-stream"
_REFUSALS = {404: Refusal, 413: Refusal, 422: Refusal, 507: Refusal}
_KEYS = Operation("The keys that sign webhooks", {200: Keys}, needs_key=False)
_TOKEN = Operation("A token for uploads", {200: Token})
_UPLOAD = Operation(
    "Upload a file", {200: Uploaded, 400: Refusal, 413: Refusal, 507: Refusal}, [LIFECYCLE], _BYTES
)
_BEGIN = Operation("Begin an upload in parts", {200: Begun, 400: Refusal, 507: Refusal}, [LIFECYCLE])
_INITIATE = Operation(
    "A URL to upload to",
    {200: Initiated, 400: Refusal, 413: Refusal, 422: NotJson, 507: Refusal},
    [LIFECYCLE],
    Announcement,
)
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
    "A file", {200: "*/*", 206: "*/*", 304: None, 404: Refusal, 416: "text/plain"}, needs_key=False
)
_NO_UPLOAD = {"detail": "Upload not found"}
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
            "token": keys_of(request).token(expires.timestamp()),
            "token_type": "Bearer",
            "base_url": base_url(request) + "/cdn",
            "expires_at": expires.isoformat(),
        }
        return reply(body)

    @routes.post("/cdn/files/upload", **declared(_UPLOAD))
    async def upload(request: Request) -> Response:
        need_token(request)
        lifetime = lifetime_s(request, service.store)
        service.disk.make_room(_announced_bytes(request))
        try:
            file = await files.save(
                chunks(request, MAX_FILE_BYTES), _file_name(request), _media_type(request), lifetime
            )
        except TooLargeError as error:
            raise _too_large(error) from error
        return reply({"access_url": base_url(request) + url_path(file)})

    @routes.post("/cdn/files/upload/multipart", **declared(_BEGIN))
    async def begin(request: Request) -> Response:
        need_token(request)
        lifetime = lifetime_s(request, service.store)
        service.disk.make_room()
        file = files.open(_file_name(request), _media_type(request), lifetime)
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
            raise HttpError(404, _NO_UPLOAD)
        service.disk.make_room(_announced_bytes(request))
        try:
            await files.fill(file, chunks(request, MAX_FILE_BYTES))
        except TooLargeError as error:
            raise _too_large(error) from error
        except GoneError as error:
            raise HttpError(404, _NO_UPLOAD) from error
        except WrittenError as error:
            raise HttpError(409, {"detail": "This URL was uploaded to before"}) from error
        return Response(status_code=200)

    @routes.put("/cdn/files/{file_id}/{_name}/multipart/{upload_id}/{number}", **declared(_PUT_PART))
    async def put_part(file_id: str, _name: str, upload_id: str, number: str, request: Request) -> Response:
        file = files.announced(file_id, upload_id)
        if file is None:
            raise HttpError(404, _NO_UPLOAD)
        part = small_number(number)
        if part is None or not 1 <= part <= _PARTS_MAX:
            raise HttpError(400, {"detail": f"Part numbers are 1 to {_PARTS_MAX}"})
        service.disk.make_room(_announced_bytes(request))
        try:
            etag = await files.fill_part(file, part, chunks(request, _PART_BYTES), limit=_PART_BYTES)
        except TooLargeError as error:
            raise _too_large(error) from error
        except GoneError as error:
            raise HttpError(404, _NO_UPLOAD) from error
        return reply({"partNumber": part, "etag": etag}, headers={"etag": etag})

    @routes.post("/cdn/files/{file_id}/{_name}/multipart/{upload_id}/complete", **declared(_COMPLETE))
    async def complete(file_id: str, _name: str, upload_id: str, request: Request) -> Response:
        file = files.announced(file_id, upload_id)
        if file is None:
            raise HttpError(404, _NO_UPLOAD)
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
        return Delivery(
            files.path(file),
            media_type=file.content_type,
            headers=headers,
            filename=file.name,
            content_disposition_type="inline" if shown else "attachment",
            delivered=lambda: service.disk.note_fetched(file),
        )

    async def _announced(request: Request) -> FileRecord:
        _need_key(request)
        lifetime = lifetime_s(request, service.store)
        service.disk.make_room()
        asked = await read_json(request)
        if not isinstance(asked, dict):
            raise HttpError(422, {"detail": "file_name and content_type are expected"})
        return files.open(
            str(asked.get("file_name") or "file"),
            str(asked.get("content_type") or "application/octet-stream"),
            lifetime,
        )

    def need_token(request: Request) -> None:
        if not has_token(request, service.clock()):
            raise HttpError(401, {"detail": "Authentication is required"})

    return routes


def _announced_bytes(request: Request) -> int:
    """How many there will be, as far as is said; what lies beyond is counted as it comes."""
    said = request.headers.get("content-length", "")
    return min(int(said), MAX_FILE_BYTES) if said.isascii() and said.isdigit() else 1


def _need_key(request: Request) -> None:
    if not has_key(request):
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
