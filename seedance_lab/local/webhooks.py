"""Tells the end of a request to the URL that its submission named, signed, and again until it is heard.

As at the service: a public address only (unless loopback is allowed), no redirects, ED25519 over the
request's id, the user's id, the time and the body's digest. What waits to be told is in the store first, so
a restart goes on with it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from seedance_lab.local.fetch import FetchError, pinned, resolve
from seedance_lab.local.records import Record, Webhook, as_json
from seedance_lab.local.store import Store

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

log = logging.getLogger(__name__)

_ATTEMPTS = 31
_FIRST_TIMEOUT_S, _TIMEOUT_S = 15.0, 120.0
_LONGEST_PAUSE_S = 300.0


class Signer:
    """Signs bodies with a key that belongs to the folder.

    Args:
        path: Where the key is kept; made at first use, readable by its owner only.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._key: Ed25519PrivateKey | None = None

    def headers(self, request_id: str, user_id: str, now: float, body: bytes) -> dict[str, str]:
        """The four headers of a signed body."""
        moment = str(int(now))
        message = "\n".join([request_id, user_id, moment, hashlib.sha256(body).hexdigest()])
        return {
            "X-Fal-Webhook-Request-Id": request_id,
            "X-Fal-Webhook-User-Id": user_id,
            "X-Fal-Webhook-Timestamp": moment,
            "X-Fal-Webhook-Signature": self._load().sign(message.encode()).hex(),
        }

    def jwks(self) -> dict[str, Any]:
        """The public key as a JSON web key set."""
        public = self._load().public_key().public_bytes_raw()
        name = hashlib.sha256(public).hexdigest()[:16]
        text = base64.urlsafe_b64encode(public).rstrip(b"=").decode()
        return {
            "keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": name, "x": text}]
        }

    def _load(self) -> Ed25519PrivateKey:
        # Most engines never send one, and the library takes a while to load.
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        if self._key is None:
            if not self._path.exists():
                part = self._path.with_suffix(".part")
                part.touch(mode=0o600)
                part.write_bytes(Ed25519PrivateKey.generate().private_bytes_raw())
                part.replace(self._path)
            self._key = Ed25519PrivateKey.from_private_bytes(self._path.read_bytes())
        return self._key


class Webhooks:
    """Delivers what is due, each in a task of its own.

    Args:
        store: Knows what is due.
        signer: Signs it.
        clock: Seconds since the epoch.
        output: The body of a finished request, for a base URL.
        is_kept: Whether its result can still be had; it is told no longer than that.
        to_loopback: Whether loopback addresses may be told.
        pause: Waits between attempts; replaced in tests.
        transport: Carries the requests; replaced in tests.
    """

    def __init__(
        self,
        store: Store,
        signer: Signer,
        *,
        clock: Callable[[], float],
        output: Callable[[Record, str], Any],
        is_kept: Callable[[Record], bool],
        to_loopback: bool,
        pause: Callable[[float], Awaitable[object]],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._store = store
        self._signer = signer
        self._clock = clock
        self._output = output
        self._is_kept = is_kept
        self._to_loopback = to_loopback
        self._pause = pause
        self._transport = transport
        self._tasks: set[asyncio.Task[None]] = set()

    def tell(self, request_id: str | None = None) -> None:
        """Begin with the webhook of this finished request; or with all that are due."""
        for due in self._store.webhooks(request_id):
            task = asyncio.get_running_loop().create_task(self._deliver(due))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> None:
        """Stop at once; what is left is told after the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _deliver(self, due: Webhook) -> None:
        record = self._store.find(due.request_id)
        assert record is not None
        body = as_json(_message(record, self._output(record, due.base))).encode()
        for attempt in range(due.attempts + 1, _ATTEMPTS + 1):
            ended = await self._attempt(record.request_id, due.url, body, attempt)
            if ended is None and (attempt == _ATTEMPTS or not self._is_kept(record)):
                ended = "given up"
            self._store.note_webhook(record.request_id, attempt, ended)
            if ended is not None:
                log.info("webhook of %s: %s", record.request_id, ended)
                return
            await self._pause(min(2.0 ** (attempt - 1), _LONGEST_PAUSE_S))

    async def _attempt(self, request_id: str, url: str, body: bytes, attempt: int) -> str | None:
        """How it ended for good; None when it may be tried again."""
        headers = {
            "Content-Type": "application/json",
            **self._signer.headers(request_id, self._store.engine_id, self._clock(), body),
        }
        timeout_s = _FIRST_TIMEOUT_S if attempt == 1 else _TIMEOUT_S
        try:
            async with (
                asyncio.timeout(timeout_s),
                httpx.AsyncClient(transport=self._transport, trust_env=False, timeout=timeout_s) as client,
            ):
                request = await pinned(
                    client, "POST", url, resolve, to_loopback=self._to_loopback, content=body, headers=headers
                )
                response = await client.send(request, stream=True)
                await response.aclose()
        except FetchError as error:
            return f"refused: {error}"
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            log.info("webhook of %s, attempt %d: %s", request_id, attempt, error)
            return None
        if response.is_success:
            return "delivered"
        return f"refused: HTTP {response.status_code}" if response.is_redirect else None


def _message(record: Record, payload: Any) -> dict[str, Any]:
    message: dict[str, Any] = {"request_id": record.request_id, "gateway_request_id": record.request_id}
    if record.status_code == httpx.codes.OK:
        return {**message, "status": "OK", "payload": payload}
    return {**message, "status": "ERROR", "error": record.error, "payload": payload}
