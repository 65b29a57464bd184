"""What a shell must hold so that fal's unmodified client talks to a served engine, and to nobody else.

fal_client 1.0.3 reads two host names at import and always speaks TLS. `SSL_CERT_FILE` replaces what httpx trusts,
so in such a shell the client cannot reach the paid service even by accident; the key is not a secret either.
"""

from __future__ import annotations

import contextlib
import shlex
import socket
import urllib.parse
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from seedance_lab.errors import EngineError
from seedance_lab.local import tls

KEY = "local:simulator"
"""A simulator takes any key; this one says what it is for."""

_ADDRESS = "address"
_CONNECT_S = 1.0


def base_url(host: str, port: int, *, secure: bool) -> str:
    """The URL by which programs on this machine reach a server that listens there."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # a comparison
    if secure and shown in tls.NAMES:
        shown = "localhost"
    return f"http{'s' if secure else ''}://{f'[{shown}]' if ':' in shown else shown}:{port}"


def names(host: str, hosts: Collection[str] = ()) -> list[str]:
    """What a certificate must name besides loopback, for a server that listens there."""
    return [name for name in (host, *hosts) if name not in {"0.0.0.0", "::"}]  # noqa: S104  # a comparison


@contextlib.contextmanager
def address(folder: Path, url: str) -> Iterator[None]:
    """The server's URL in its folder, as long as it serves."""
    path = folder / _ADDRESS
    path.write_text(f"{url}\n")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def running(folder: Path) -> str | None:
    """The URL of the server of this folder; None when nobody listens there (a killed one leaves its URL behind)."""
    try:
        url = (folder / _ADDRESS).read_text().strip()
        parts = urllib.parse.urlsplit(url)
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=_CONNECT_S):
            return url
    except (OSError, ValueError, OverflowError):
        return None


def variables(folder: Path, *, host: str, port: int) -> dict[str, str]:
    """The variables for the server of this folder: the one that runs, else one that is about to.

    Args:
        folder: The engine's folder; the certificate is made there if there is none.
        host: Where a server that is about to run will listen.
        port: Its port.

    Raises:
        EngineError: The running server speaks plain http, or none runs and the port is not known.
    """
    url = running(folder)
    if url is None:
        if port == 0:
            raise EngineError(
                f"No engine runs on {folder}, so its port is not known. Nothing was sent. "
                "Start `seedance-lab serve --tls` first, or name the same --port for both."
            )
        tls.certificate(folder, names(host))
        url = base_url(host, port, secure=True)
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "https":
        raise EngineError(
            f"The engine at {url} speaks plain http, which fal's Python client cannot. Nothing was sent. "
            "Start it with --tls."
        )
    ca = str(folder.resolve() / tls.CA)
    return {
        "FAL_RUN_HOST": f"{parts.netloc}/run",
        # The prefix tells the two apart: run and submit are the same request otherwise.
        "FAL_QUEUE_RUN_HOST": f"{parts.netloc}/queue",
        "FAL_KEY": KEY,
        "SSL_CERT_FILE": ca,
        "NODE_EXTRA_CA_CERTS": ca,
        "SEEDANCE_LAB_ENGINE": url,
    }


def exports(values: Mapping[str, str]) -> str:
    """The variables as lines for a POSIX shell."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in values.items())
