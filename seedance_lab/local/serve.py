"""Puts the engine on a port, for curl, the JavaScript client and the unmodified Python client.

Plain http, or TLS with a certificate of its own (`tls`); how clients then find it is in `environment`.

`python -m seedance_lab.local.serve --folder DIR --stub` is for programs (`served`); people use `seedance-lab serve`,
which takes the same options.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import uvicorn

from seedance_lab.errors import EngineError
from seedance_lab.local import environment, latency, tls
from seedance_lab.local.app import create_app
from seedance_lab.local.disk import GB
from seedance_lab.local.faults import Faults
from seedance_lab.local.keys import Keys
from seedance_lab.local.pool import WorkerPool
from seedance_lab.local.renderer import Renderer
from seedance_lab.local.service import Service
from seedance_lab.local.stub import StubRenderer

DISK_GB = 20.0
"""What the files of a served engine may take unless it is told otherwise, in thousands of millions of bytes."""
_GRACE_S = 2
_BACKLOG = 1024


class Behaviour(NamedTuple):
    """How the service behaves, besides working.

    Attributes:
        faults: Rules by the grammar of `seedance_lab.local.faults`.
        latency: `instant` (as fast as it renders) or `model` (the hosted service's times, a guess).
        speed: Divides the model's waits.
        seed: Of chances and spreads.
        balance_usd: Runs down by the ledger; None never does.
        admin: Whether `/admin/faults` and `/admin/clock` exist.
        webhooks_to_loopback: Whether webhooks may go to this machine.
        disk_gb: What the files may take, in thousands of millions of bytes; 0 for no limit.
        forget_unfetched: Whether clips may go that nobody has fetched, once their results are no longer kept.
        keys: The keys that are good, each `ID:SECRET`; none for any.
    """

    faults: Sequence[str] = ()
    latency: str = "instant"
    speed: float = 1.0
    seed: int = 0
    balance_usd: float | None = None
    admin: bool = False
    webhooks_to_loopback: bool = False
    disk_gb: float = DISK_GB
    forget_unfetched: bool = False
    keys: Sequence[str] = ()


def serve(
    folder: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    slots: int = 2,
    stub: bool = False,
    workers: int | None = None,
    hosts: Collection[str] = (),
    secure: bool = False,
    behaviour: Behaviour | None = None,
    announce: Callable[[str], None],
) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        folder: The engine's folder; made when missing.
        host: Address to listen on. Anything but loopback lets other machines in.
        port: 0 takes a free one.
        slots: Requests that run at a time.
        stub: Still clips at once instead of rendered ones.
        workers: Render processes; default: one for each processor.
        hosts: Further names by which callers may address this server, besides loopback and `host`.
        secure: Over TLS, with a certificate in the folder.
        behaviour: Times, faults, balance; default: instant, faultless, rich.
        announce: Called once with the base URL, when it answers.

    Raises:
        EngineError: The folder is in use, the port is taken, or a key is none.
    """
    asked = behaviour or Behaviour()
    Keys(asked.keys)  # said before anything is begun
    with _logged(folder), listening(host, port) as listener:
        url = environment.base_url(host, listener.getsockname()[1], secure=secure)
        certificate = tls.certificate(folder, environment.names(host, hosts)) if secure else None
        renderer: Renderer = (
            StubRenderer() if stub else WorkerPool(workers=workers, log=folder / "workers.log")
        )
        service = Service(
            folder,
            slots=slots,
            renderer=renderer,
            faults=Faults(asked.faults, seed=asked.seed),
            latency=latency.parse(asked.latency, speed=asked.speed, seed=asked.seed),
            balance_usd=asked.balance_usd,
            webhooks_to_loopback=asked.webhooks_to_loopback,
            disk_bytes=asked.disk_gb * GB or None,
            forget_unfetched=asked.forget_unfetched,
        )
        asyncio.run(
            _serve(
                service,
                listener,
                certificate,
                admin=asked.admin,
                keys=asked.keys,
                hosts={host, *hosts},
                noted=environment.address(folder, url),
                ready=lambda: announce(url),
            )
        )


async def _serve(
    service: Service,
    listener: socket.socket,
    certificate: tls.Certificate | None,
    *,
    admin: bool,
    keys: Sequence[str],
    hosts: Collection[str],
    noted: contextlib.AbstractContextManager[None],
    ready: Callable[[], None],
) -> None:
    await service.start()
    try:
        config = uvicorn.Config(
            create_app(service, hosts=hosts, admin=admin, keys=keys),
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
            ssl_certfile=certificate.server if certificate else None,
        )
        server = _Server(config, ready)
        _stop_on_signals(server)
        with noted:  # not before the service has started: until then another may hold the folder
            await server.serve(sockets=[listener])
    finally:
        await service.aclose()


class _Server(uvicorn.Server):
    """Tells when it answers, and leaves the signals to us.

    Uvicorn raises them again when it is done, which would turn a clean stop into a death by signal.
    """

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _stop_on_signals(server: uvicorn.Server) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        # In a thread that is not the main one, signals are somebody else's.
        with contextlib.suppress(ValueError, RuntimeError):
            loop.add_signal_handler(number, setattr, server, "should_exit", True)


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens there, closed at the end.

    Raises:
        EngineError: The port is taken, or there is no such address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named in full: asyncio turns Nagle's delay (40 ms for each answer) off only where it can read TCP here.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(_BACKLOG)
        except (OSError, OverflowError) as error:
            raise EngineError(
                f"The engine cannot listen on {host}:{port}: {error}. Nothing was sent. "
                "Use another port, or 0 for a free one."
            ) from error
        yield listener
    finally:
        listener.close()


@contextlib.contextmanager
def _logged(folder: Path) -> Iterator[None]:
    """What the server has to say goes to a file in its folder, not to the terminal."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(folder / "server.log", delay=True)
    except OSError as error:
        raise EngineError(
            f"The engine's folder {folder} cannot be used: {error}. Nothing was sent. "
            "Use a folder that can be written to."
        ) from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    loggers = [logging.getLogger(name) for name in ("uvicorn", "seedance_lab.local")]
    before = [logger.propagate for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, propagate in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.propagate = propagate
        handler.close()


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--stub", action="store_true")
    parser.add_argument("--tls", dest="secure", action="store_true")
    moods = parser.add_argument_group("behaviour").add_argument
    moods("--fault", dest="faults", action="append", default=[])
    moods("--latency", default="instant")
    moods("--speed", type=float, default=1.0)
    moods("--seed", type=int, default=0)
    moods("--balance-usd", type=float)
    moods("--admin", action="store_true")
    moods("--webhooks-to-loopback", action="store_true")
    moods("--disk-gb", type=float, default=DISK_GB)
    moods("--forget-unfetched", action="store_true")
    moods("--key", dest="keys", action="append", default=[])
    options = vars(parser.parse_args())
    behaviour = Behaviour(**{name: options.pop(name) for name in Behaviour._fields})
    try:
        serve(**options, behaviour=behaviour, announce=lambda url: print(url, flush=True))  # noqa: T201  # is waited for
    except EngineError as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    _main()
