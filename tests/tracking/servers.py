"""Real tracking servers for tests: PostgreSQL, `mlflow server`, and a wire between client and server to pull at.

Each is a process of its own on a loopback port and can be killed with `SIGKILL` and started again on what it left.
What is missing on the machine is an error that says what to install: nothing is skipped.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Self

import httpx

_START_S = 120.0
_TICK_S = 0.05


def free_port() -> int:
    """A loopback port that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class _Process:
    """A server that runs in a process group of its own."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self.log: Path

    def _spawn(self, command: list[str], env: dict[str, str], cwd: Path) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env=env,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _answers(self) -> bool:
        raise NotImplementedError

    def _await(self) -> None:
        assert self._process is not None
        until = time.monotonic() + _START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self.kill()
                raise AssertionError(f"The server did not start:\n{self.log.read_text()[-4000:]}")
            time.sleep(_TICK_S)

    def kill(self) -> None:
        """`SIGKILL` to it and to all that it started, as a power cut would end them."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(30)
            self._process = None


def _postgres_binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    if on_path is not None:
        return Path(on_path).resolve().parent
    raise AssertionError("PostgreSQL is not installed. Type: apt-get install postgresql")


class Postgres(_Process):
    """A PostgreSQL cluster in a temporary folder, on a loopback port; trusts whoever connects.

    It refuses to run as root; root runs it as the user `postgres` that Debian's package makes.
    """

    def __init__(self) -> None:
        super().__init__()
        self._binaries = _postgres_binaries()
        # Not below pytest's folders: those are root's alone, and the server's user must get in.
        self.folder = Path(tempfile.mkdtemp(prefix="seedance_lab-pg-", dir="/tmp"))
        self.log = self.folder / "log"
        self.port = free_port()
        self._as: list[str] = []
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._as = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        self._run("initdb", "--pgdata", "data", "--username", "mlflow", "--auth", "trust", "--no-sync")
        self.start()
        self.database("mlflow")

    def _run(self, program: str, *options: str) -> None:
        done = subprocess.run(
            [*self._as, str(self._binaries / program), *options],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"

    def database(self, name: str) -> str:
        """Make an empty database; returns its URI."""
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "mlflow", name)
        return self.uri(name)

    def uri(self, name: str = "mlflow") -> str:
        """As SQLAlchemy takes it."""
        return f"postgresql+psycopg://mlflow@127.0.0.1:{self.port}/{name}"

    def start(self) -> Self:
        """Begin to serve what is in the folder; after a kill it recovers first."""
        where = ["-D", "data", "-h", "127.0.0.1", "-p", str(self.port), "-k", str(self.folder)]
        self._spawn(
            [*self._as, str(self._binaries / "postgres"), *where, "-c", "fsync=off"],
            {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            self.folder,
        )
        self._await()
        return self

    def _answers(self) -> bool:
        ready = [str(self._binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(ready, check=False).returncode == 0

    def close(self) -> None:
        """End it and delete its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Mlflow(_Process):
    """An `mlflow server` with one worker, whose artifacts go through it into a folder of its own.

    Args:
        folder: Its working folder; artifacts in `served/`, what it says in `log`.
        store: URI of its database.
    """

    def __init__(self, folder: Path, store: str) -> None:
        super().__init__()
        self.folder, self.store = folder, store
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "log"
        self.served = folder / "served"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Begin to serve, at the same port each time."""
        where = ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        stores = ["--backend-store-uri", self.store, "--artifacts-destination", str(self.served)]
        self._spawn(
            [sys.executable, "-m", "mlflow", "server", *where, *stores, "--serve-artifacts"],
            {
                **{name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")},
                "MLFLOW_DISABLE_TELEMETRY": "true",
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            },
            self.folder,
        )
        self._await()
        return self

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False


class Wire:
    """A TCP relay to a server that can be slow and can lose answers.

    Args:
        port: Of the server on loopback.

    Attributes:
        url: What the client is given.
        delay_s: How late each piece of an answer comes.
        lose: When a request's first bytes hold this, the connection ends instead of its answer being handed on, once
            the server has answered; then it is None again.
        lost: How many answers were lost.
    """

    def __init__(self, port: int) -> None:
        self._server_port = port
        self.delay_s = 0.0
        self.lose: bytes | None = None
        self.lost = 0
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._server_port))
            except OSError:
                client.close()
                continue
            doomed = threading.Event()
            threading.Thread(target=self._up, args=(client, server, doomed), daemon=True).start()
            threading.Thread(target=self._down, args=(client, server, doomed), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket, doomed: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if self.lose is not None and self.lose in data:
                    self.lose = None
                    doomed.set()
                server.sendall(data)
        self._end(client, server)

    def _down(self, client: socket.socket, server: socket.socket, doomed: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if doomed.is_set():
                    self.lost += 1
                    break
                self._over.wait(self.delay_s)
                client.sendall(data)
        self._end(client, server)

    @staticmethod
    def _end(*ends: socket.socket) -> None:
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        """Take no more connections."""
        self._over.set()
        self._listener.close()
