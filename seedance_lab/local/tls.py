"""A certificate for this machine's own names, so that clients which insist on TLS reach the engine.

fal's Python client builds `https://` URLs from its environment and has no setting for plain http. The authority
that signs the certificate lives for one signature: its key is never written, so that whoever trusts `ca.pem` trusts
this one server and nothing that a thief of the folder could make later.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import os
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import filelock

from seedance_lab.errors import EngineError

NAMES = ("localhost", "127.0.0.1", "::1")

CA = "tls/ca.pem"
"""Where in the engine's folder a client finds what to trust."""

_LIFE = dt.timedelta(days=397)
_RENEW_BEFORE = dt.timedelta(days=7)  # a server that starts now may run for days
_LOCK_WAIT_S = 30


class Certificate(NamedTuple):
    """Two PEM files: `ca` is what a client must trust, `server` holds the server's key and certificate."""

    ca: Path
    server: Path


def certificate(folder: Path, names: Collection[str] = ()) -> Certificate:
    """The certificate in this folder; made when there is none, when it has expired or lacks a name.

    Two processes may ask at the same time (`serve --tls` and `serve --env`) and get the same one.

    Args:
        folder: The engine's folder; made when missing. The files can be read by their owner only.
        names: Host names and addresses besides `NAMES`.

    Raises:
        EngineError: The files cannot be written.
    """
    wanted = [*NAMES, *sorted({name.lower() for name in names} - set(NAMES))]
    home = folder / "tls"
    found = Certificate(folder / CA, home / "server.pem")
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with filelock.FileLock(home / "lock", timeout=_LOCK_WAIT_S):
            if not _good(found, wanted):
                _make(found, wanted)
    except (OSError, filelock.Timeout) as error:
        raise EngineError(
            f"The certificate in {home} cannot be made: {error}. Nothing was sent. "
            "Use a folder that can be written to."
        ) from error
    return found


def _good(found: Certificate, names: Collection[str]) -> bool:
    """Whether both files are there, belong together, are in time and have all of the names."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    try:
        ca = x509.load_pem_x509_certificate(found.ca.read_bytes())
        leaf = x509.load_pem_x509_certificates(found.server.read_bytes())[0]
        leaf.verify_directly_issued_by(ca)
        listed = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    has = {*listed.get_values_for_type(x509.DNSName)}
    has |= {str(address) for address in listed.get_values_for_type(x509.IPAddress)}
    in_time = leaf.not_valid_after_utc - _RENEW_BEFORE > dt.datetime.now(dt.UTC)
    return in_time and {_plain(name) for name in names} <= has


def _make(found: Certificate, names: Collection[str]) -> None:
    import trustme

    authority = trustme.CA(
        organization_name="seedance-lab simulator", organization_unit_name="this machine only"
    )
    server = authority.issue_cert(*names, not_after=dt.datetime.now(dt.UTC) + _LIFE)
    parts = [server.private_key_pem, *server.cert_chain_pems]
    # The server's file first: a crash between the two leaves a pair that does not match and is made again.
    _write(found.server, b"".join(part.bytes() for part in parts))
    _write(found.ca, authority.cert_pem.bytes())


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, and never readable by others (`mkstemp` makes files 0600)."""
    number, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def _plain(name: str) -> str:
    """An address in its shortest form; a name as it is."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name
