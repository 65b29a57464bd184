"""Where clips are made: fal, a served simulator, or the simulator inside this process."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import fal_client
import httpx
from fal_client.auth import AuthCredentials, MissingCredentialsError, fetch_auth_credentials

from seedance_lab import local
from seedance_lab.engine.client import Engine
from seedance_lab.engine.platform import API_URL
from seedance_lab.engine.transport import Apart, KeyGuard, OneShot, Paced, Router
from seedance_lab.errors import EngineError, near

NAMES = ("local", "fal")
ENV = "SEEDANCE_LAB_ENGINE"

IN_PROCESS = "http://local.seedance-lab.invalid"
"""The base URL of the simulator inside this process; `.invalid` never resolves (RFC 2606)."""

_HISTORY_LAG_S = 15 * 60.0
"""fal does not say whether its history lists requests that are still under way. A clip takes one to two minutes
and may wait for a slot; only after this long does absence mean that the request never arrived."""

_SERVED_LAG_S = 2.0
"""A served simulator's history is never behind, but a request whose sender has died may still lie in its socket."""

_FAL_PER_S = 10.0
"""Source: fal's FAQ, 10 requests a second and user across endpoints; an old page, read 2026-11-23."""

_SIMULATOR_KEY = AuthCredentials("Key", "local:simulator")  # no secret: a simulator takes any key


@dataclass(frozen=True, slots=True)
class Place:
    """Where a study's clips are made.

    Attributes:
        name: `local`, `fal`, or the URL of a served simulator; what the journal records.
        free: Whether it charges nothing.
        private: Whether nobody but this study uses it.
        most_wait_s: Longest pause between two looks.
        history_lag_s: How long after the sending a request may still be missing in the account's history.
    """

    name: str
    free: bool
    private: bool
    most_wait_s: float
    history_lag_s: float

    @property
    def hosted(self) -> bool:
        """Whether it is the real service."""
        return not self.free


def place_of(name: str | None) -> Place:
    """The place by its name: the argument, else `SEEDANCE_LAB_ENGINE`, else `local`.

    Raises:
        EngineError: No such engine. Nothing was sent.
    """
    name = name or os.environ.get(ENV) or "local"
    if name == "fal":
        return Place("fal", free=False, private=False, most_wait_s=10.0, history_lag_s=_HISTORY_LAG_S)
    if name == "local":
        return Place("local", free=True, private=True, most_wait_s=0.5, history_lag_s=0.0)
    parts = urlsplit(name) if isinstance(name, str) else None
    if parts and parts.scheme in {"http", "https"} and parts.hostname and parts.path in {"", "/"}:
        if parts.username or parts.password:
            raise EngineError("The engine's URL must not carry a password. Nothing was sent.")
        return Place(
            name.rstrip("/"), free=True, private=False, most_wait_s=10.0, history_lag_s=_SERVED_LAG_S
        )
    raise EngineError(
        f"engine={name!r} is not known; it is 'local' (free, the default), 'fal' (paid), or the URL of a served "
        f"simulator such as 'http://127.0.0.1:8000'.{near(str(name), NAMES)} Nothing was sent."
    )


async def open_engine(
    place: Place, folder: Path, *, slots: int | None = None, requests_per_s: float | None = None
) -> Engine:
    """Open the engine of a place.

    Args:
        place: From `place_of`.
        folder: Where the in-process simulator keeps its queue and files.
        slots: How many requests the in-process simulator works on at a time; None: one a core.
        requests_per_s: Most HTTP requests a second, files not counted; None: fal's published 10, and no limit
            for simulators.

    Raises:
        EngineError: No key, or nobody answers there. Nothing was sent.
    """
    if place.hosted:
        return _open_fal(requests_per_s or _FAL_PER_S)
    if place.name == "local":
        # Results are kept for ever: they lie in the study's own folder, and a study may be resumed next week.
        service = local.Service(folder, slots=slots or os.cpu_count() or 2, retention_s=None)
        await service.start()
        asgi = httpx.ASGITransport(local.create_app(service))
        return _simulator(asgi, IN_PROCESS, service.engine_id, (service.aclose,), requests_per_s)
    identity = await _greet(place.name)
    return _simulator(_wires(place.name), place.name, identity, (), requests_per_s)


def _wires(base: str) -> httpx.AsyncBaseTransport:
    """Connections to a served simulator: few, for a pool looks at each of them at each request."""
    is_tls = base.startswith("https:")  # without it, reading the world's certificates is 40 ms for nothing
    few = httpx.Limits(max_connections=8, max_keepalive_connections=8)
    return Apart(
        httpx.AsyncHTTPTransport(limits=few, verify=is_tls),
        httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=32), verify=is_tls),
    )


def _simulator(
    inner: httpx.AsyncBaseTransport,
    base: str,
    identity: str,
    closing: tuple[Callable[[], Awaitable[None]], ...],
    requests_per_s: float | None = None,
) -> Engine:
    router = Router(inner, base=base, prefixes=_prefixes())
    return Engine(
        credentials=_SIMULATOR_KEY,
        transport=OneShot(
            Paced(router, requests_per_s) if requests_per_s else router,
            submit_prefix=fal_client.client.QUEUE_URL_FORMAT,
        ),
        bare=router,
        identity=identity,
        can_stream=base != IN_PROCESS,  # in process the whole stream would come at its end
        rebase=lambda url: _rebased(url, base),
        closing=closing,
    )


def _prefixes() -> dict[str, str]:
    """Beginning of the URLs that fal_client builds → path at the simulator."""
    return {
        fal_client.client.QUEUE_URL_FORMAT: "/queue",
        fal_client.client.RUN_URL_FORMAT: "/run",
        f"{fal_client.client.REST_URL}/": "/rest",
        f"{fal_client.client.CDN_URL}/": "/cdn",
        f"{API_URL}/": "/api/v1",
    }


def _rebased(url: str, base: str) -> str:
    """A served simulator may have come back on another port: its own URLs follow it."""
    parts = urlsplit(url)
    if parts.path.startswith(("/queue/", "/cdn/")) and not url.startswith(f"{base}/"):
        return f"{base}{parts.path}{f'?{parts.query}' if parts.query else ''}"
    return url


def _open_fal(requests_per_s: float) -> Engine:
    if fal_client.auth.FAL_RUN_HOST != "fal.run":
        raise EngineError(
            f"FAL_RUN_HOST is {fal_client.auth.FAL_RUN_HOST!r}, which is not fal. Nothing was sent. Unset it, or "
            "name the simulator: engine='http://…'."
        )
    try:
        credentials = fetch_auth_credentials()
    except MissingCredentialsError as error:
        raise EngineError(
            "engine='fal' needs a key, and none was found. Nothing was sent. Put it into the environment variable "
            "FAL_KEY (fal.ai/dashboard/keys), or use engine='local', which is free."
        ) from error
    if not all("!" <= letter <= "~" for letter in credentials.token):
        # httpx would say so too, and show the key while it does.
        raise EngineError(
            "The key in FAL_KEY has a space, a line's end or another character that no key has. Nothing was sent. "
            "Set it again (fal.ai/dashboard/keys)."
        )
    hosted = Paced(KeyGuard(fal_client.client.AsyncBackupDomainTransport()), requests_per_s)
    return Engine(
        credentials=credentials,
        transport=OneShot(hosted, submit_prefix=fal_client.client.QUEUE_URL_FORMAT),
        bare=None,
        identity="fal",
    )


async def _greet(base: str) -> str:
    """Make sure that a simulator answers there, before a picture is sent to it; returns its id."""
    try:
        async with httpx.AsyncClient(timeout=5.0, verify=base.startswith("https:")) as client:
            answer = (await client.get(f"{base}/")).json()
            said, identity = str(answer["engine"]), str(answer["id"])
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        raise EngineError(
            f"No engine answers at {base} ({type(error).__name__}). Nothing was sent. Start one with "
            "`seedance-lab serve`, or use engine='local'."
        ) from error
    if "simulator" not in said:
        raise EngineError(f"{base} is not a Seedance Lab simulator. Nothing was sent.")
    return identity
