"""fal_client.AsyncClient with its wires in our hands.

fal_client keeps its HTTP clients in private attributes; the overrides here are all that depends on them, and
`tests/test_engine.py` fails when a new version moves them.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import AsyncIterator

import fal_client
import httpx
from fal_client.auth import AuthCredentials
from fal_client.client import AsyncCDNTokenManager, CDNToken


class Client(fal_client.AsyncClient):
    """fal's client, sending through transports that were handed to it.

    `key` is held in a dataclass field that its repr leaves out.
    """

    def __init__(
        self, credentials: AuthCredentials, with_key: httpx.AsyncClient, bare: httpx.AsyncClient
    ) -> None:
        super().__init__(key=None)
        self.__dict__.update(_credentials=credentials, _with_key=with_key, _bare=bare, _tokens=None)

    @property
    async def _auth(self) -> AuthCredentials:
        return self.__dict__["_credentials"]  # type: ignore[no-any-return]

    @property
    async def _client(self) -> httpx.AsyncClient:
        return self.__dict__["_with_key"]  # type: ignore[no-any-return]

    @property
    async def _token_manager(self) -> AsyncCDNTokenManager:
        if self.__dict__["_tokens"] is None:
            self.__dict__["_tokens"] = _Tokens(self.__dict__["_credentials"], self.__dict__["_with_key"])
        return self.__dict__["_tokens"]  # type: ignore[no-any-return]

    @contextlib.asynccontextmanager
    async def _cdn_client(self) -> AsyncIterator[httpx.AsyncClient]:
        yield self.__dict__["_bare"]


class _Tokens(AsyncCDNTokenManager):
    """fal's upload tokens, asked for through our transport instead of a client of its own."""

    def __init__(self, credentials: AuthCredentials, client: httpx.AsyncClient) -> None:
        super().__init__(credentials)
        self._http = client

    async def _refresh_token(self) -> CDNToken:
        response = await self._http.post(self._url, json={})
        response.raise_for_status()
        data = response.json()
        return CDNToken(
            token=data["token"],
            token_type=data["token_type"],
            base_upload_url=data["base_url"],
            expires_at=dt.datetime.fromisoformat(data["expires_at"]),
        )
