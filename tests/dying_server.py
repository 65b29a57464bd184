"""A served engine that ends itself at a durable step of its choice, as `kill -9` would. For `server_crash_matrix`.

    python tests/dying_server.py --trace FILE --die "finish: clip, statement 3" --at before \
        --folder DIR --port 0 --stub …

It is `seedance_lab.local.serve` with the store's and the files' methods wrapped; the product knows nothing of it. Every
step that outlives the process is named when it is reached: each method that commits, each of its SQL statements,
each file that is written or moved into place, and each answer that a client takes for a promise. `--trace` notes the
names, one a line; `--die` takes one of them, with

    before   nothing of it has happened
    torn     half of it has: half of what the commit wrote to the log of the database, half of a file's bytes, an
             answer's headers without its body
    after    all of it has, and nothing more

The process dies once: it leaves `died` in its folder, and lives on at its next start. A prompt with "hold" in it is
worked on until there is a file `release` in the folder, so that nothing depends on how long anything takes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import pathlib
import signal
import sqlite3
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seedance_lab.local import database, files, serve, service, webhooks
from seedance_lab.local.database import Database
from seedance_lab.local.files import Files
from seedance_lab.local.live import CANCELLED
from seedance_lab.local.pool import WorkerPool
from seedance_lab.local.records import Charge, FileRecord, Options, Outcome, Unfinished
from seedance_lab.local.renderer import Job, Rendered
from seedance_lab.local.service import Service
from seedance_lab.local.store import Store
from seedance_lab.local.stub import StubRenderer
from seedance_lab.local.webhooks import Webhooks

DIED = "died"
RELEASE = "release"
UNNAMED = "a write outside of every step"
"""The matrix does not accept one: it would never die there."""


class Death:
    """Where the process is, and where it is to end."""

    def __init__(self, folder: Path, step: str, at: str, trace: Path | None) -> None:
        self.folder = folder
        self.armed = (step, at) if step and not (folder / DIED).exists() else ("", "")
        self.trace = trace
        self.inside = ""
        self.n_statements = 0

    def here(self, step: str, at: str) -> None:
        if self.trace is not None:
            with self.trace.open("a") as file:
                file.write(f"{step}|{at}\n")
        if (step, at) == self.armed:
            self.now()

    def is_torn(self, step: str) -> bool:
        """Whether this step is to be done and half undone; then `now`."""
        if self.trace is not None:
            self.here(step, "torn")
        return self.armed == (step, "torn")

    def now(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / DIED).touch()
        os.kill(os.getpid(), signal.SIGKILL)

    @contextlib.contextmanager
    def step(self, name: str, *written: Path) -> Iterator[None]:
        """Something that outlives the process; `written` are the files that it makes longer."""
        self.here(name, "before")
        before = [_size(path) for path in written]
        yield
        if written and self.is_torn(name):
            for path, size in zip(written, before, strict=True):
                if (grown := _size(path)) > size:
                    os.truncate(path, (size + grown) // 2)
            self.now()
        self.here(name, "after")

    @contextlib.contextmanager
    def commit(self, name: str) -> Iterator[None]:
        """A method of the database that writes to it; its statements are steps within."""
        if self.inside:  # one method uses another
            yield
            return
        with self.step(name, self.folder / "engine.db-wal"):
            self.inside, self.n_statements = name, 0
            try:
                yield
            finally:
                self.inside = ""

    def statement(self, sql: str) -> None:
        self.n_statements += 1
        if not self.inside:
            self.here(f"{UNNAMED}: {sql.split(' (')[0]}", "before")
        elif self.n_statements > 1:
            self.here(f"{self.inside}, statement {self.n_statements}", "before")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


# ── where it can die ────────────────────────────────────────────────────────────────────────────────────


def install(death: Death) -> None:
    """Wrap everything that outlives the process."""
    _statements(death)
    _commits(death)
    _bytes(death)
    _renderers(death)
    _answers(death)


def _statements(death: Death) -> None:
    class Connection(sqlite3.Connection):
        def execute(self, *args: Any) -> sqlite3.Cursor:
            if args[0].lstrip()[:6].upper() not in {"SELECT", "PRAGMA"}:
                death.statement(args[0])
            return super().execute(*args)

        def executemany(self, *args: Any) -> sqlite3.Cursor:
            death.statement(args[0])
            return super().executemany(*args)

        def executescript(self, script: str, /) -> sqlite3.Cursor:
            death.statement(script[:20])
            return super().executescript(script)

    connect = sqlite3.connect
    database.sqlite3.connect = lambda *args, **how: connect(*args, **how, factory=Connection)


def _commits(death: Death) -> None:
    def add(_: Store, *args: Any) -> str:
        options = args[4] if len(args) > 4 else Options()
        return "add a request with a webhook" if options.webhook else "add a request"

    def finish(_: Store, request_id: str, outcome: Outcome, charge: Charge | None = None, *args: Any) -> str:
        if charge is not None:
            return "finish: clip"
        if outcome.status_code != CANCELLED:
            return "finish: refusal"
        return "finish: cancelled in the queue" if outcome.started_at is None else "finish: cancelled at work"

    def put_file(_: Store, file: FileRecord) -> str:
        return "announce a file" if file.size is None else "note a file"

    for kind, method, name in (
        (Database, "_lay_out", lambda *_: "lay the database out"),
        (Store, "add", add),
        (Store, "begin", lambda *_: "begin"),
        (Store, "finish", finish),
        (Store, "requeue", lambda *_: "queue again"),
        (Store, "put_file", put_file),
        (Store, "note_webhook", lambda *_: "note a webhook"),
        (Store, "stop", lambda *_: "note a cancellation"),
        (Store, "note_fetched", lambda *_: "note a delivery"),
        (Store, "note_removed", lambda *_: "give files up"),
        (Store, "forget_outputs", lambda *_: "forget outputs"),
    ):
        _wrap_commit(death, kind, method, name)
    kept = Store.lifecycle

    def note(self: Store, text: str) -> None:
        with death.commit("note the settings"):
            kept.fset(self, text)

    Store.lifecycle = property(kept.fget, note)


def _wrap_commit(death: Death, kind: type, method: str, name: Callable[..., str]) -> None:
    original = getattr(kind, method)

    def wrapped(self: Any, *args: Any, **more: Any) -> Any:
        with death.commit(name(self, *args, *more.values())):
            return original(self, *args, **more)

    setattr(kind, method, wrapped)


def _bytes(death: Death) -> None:
    write, replace = files._write, pathlib.Path.replace

    async def dying_write(path: Path, chunks: AsyncIterator[bytes], limit: int) -> tuple[int, str]:
        with death.step("write an upload", path):
            return await write(path, chunks, limit)

    def dying_replace(self: Path, target: Path) -> Path:
        kind = "a part" if ".parts" in str(target) else "a key" if "key" in target.name else "an upload"
        with death.step(f"move {kind} into place"):
            return replace(self, target)

    files._write = dying_write
    pathlib.Path.replace = dying_replace
    attempt = Webhooks._attempt

    async def dying_attempt(self: Webhooks, *args: Any) -> str | None:
        with death.step("tell a webhook"):
            return await attempt(self, *args)

    webhooks.Webhooks._attempt = dying_attempt


def _renderers(death: Death) -> None:
    for kind in (StubRenderer, WorkerPool):
        _wrap_render(death, kind)


def _wrap_render(death: Death, kind: type[StubRenderer | WorkerPool]) -> None:
    render = kind.render

    async def dying_render(self: Any, job: Job, *, on_progress: Callable[[float], None]) -> Rendered:
        while "hold" in job.prompt and not (death.folder / RELEASE).exists():
            await asyncio.sleep(0.005)

        def told(share: float) -> None:
            death.here("render", "halfway")  # a worker is left alone with its clip
            on_progress(share)

        with death.step("render", job.out):
            return await render(self, job, on_progress=told)

    kind.render = dying_render


class _Answers:
    """Names the answers that are promises."""

    def __init__(self, app: ASGIApp, death: Death) -> None:
        self._app = app
        self._death = death

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = _promise(scope)

        async def dying(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._death.here(name, "before")
                await send(message)
                self._death.here(name, "torn")
            else:
                await send(message)
                if not message.get("more_body", False):
                    self._death.here(name, "after")

        await self._app(scope, receive, dying if name else send)


def _promise(scope: Scope) -> str:
    method, path = scope.get("method", ""), scope.get("path", "")
    if method == "POST" and path.startswith("/queue/"):
        return "answer a submission"
    if method == "PUT" and path.endswith("/cancel"):
        return "answer a cancellation"
    if method == "POST" and path == "/cdn/files/upload":
        return "answer an upload"
    if method == "GET" and path.startswith("/cdn/files/"):
        return "answer with a file"
    return ""


def _answers(death: Death) -> None:
    create = serve.create_app
    serve.create_app = lambda *args, **more: _Answers(create(*args, **more), death)


# ── mutants: what the matrix must catch ─────────────────────────────────────────────────────────────────


def _begin_is_the_end() -> None:
    begin = Store.begin

    def mutant(self: Store, request_id: str, started_at: float) -> None:
        begin(self, request_id, started_at)
        self.db.execute(
            "UPDATE requests SET state = 'COMPLETED', status_code = 200 WHERE request_id = ?", (request_id,)
        )

    finish = Store.finish

    def late(self: Store, request_id: str, *args: Any, **more: Any) -> bool:
        self.db.execute("UPDATE requests SET state = 'IN_PROGRESS' WHERE request_id = ?", (request_id,))
        return finish(self, request_id, *args, **more)

    Store.begin, Store.finish = mutant, late


def _charge_apart() -> None:
    finish = Store.finish

    def mutant(
        self: Store,
        request_id: str,
        outcome: Outcome,
        charge: Charge | None = None,
        file: FileRecord | None = None,
    ) -> bool:
        ended = finish(self, request_id, outcome, None, file)
        if ended and charge is not None:
            _charge(self, request_id, charge)
        return ended

    Store.finish = mutant


def _charge_twice() -> None:
    """Charged before the request is finished, by a ledger that takes it again."""
    database._FIRST = database._FIRST.replace(
        "request_id TEXT PRIMARY KEY REFERENCES requests (request_id),\n    endpoint_id",
        "request_id TEXT REFERENCES requests (request_id),\n    endpoint_id",
    )
    finish = Store.finish

    def mutant(
        self: Store,
        request_id: str,
        outcome: Outcome,
        charge: Charge | None = None,
        file: FileRecord | None = None,
    ) -> bool:
        if charge is not None:
            _charge(self, request_id, charge)
        return finish(self, request_id, outcome, None, file)

    Store.finish = mutant


def _charge(store: Store, request_id: str, charge: Charge) -> None:
    store.db.execute(
        "INSERT INTO ledger SELECT request_id, endpoint_id, ?, ?, ?, ? FROM requests WHERE request_id = ?",
        (time.time(), *charge, request_id),
    )
    store.db.execute("UPDATE requests SET units = ? WHERE request_id = ?", (charge.units, request_id))


def _answer_first() -> None:
    submit = Service.submit

    def mutant(self: Service, *args: Any) -> tuple[str, int]:
        request_id = str(uuid.uuid4())

        def later() -> None:
            draw, service.uuid.uuid4 = service.uuid.uuid4, lambda: uuid.UUID(request_id)
            try:
                submit(self, *args)
            finally:
                service.uuid.uuid4 = draw

        asyncio.get_running_loop().call_later(0.2, later)
        return request_id, 0

    Service.submit = mutant


def _requeue_forgotten() -> None:
    def mutant(self: Store) -> list[Unfinished]:
        return []

    Store.requeue = mutant


def _cancel_in_memory() -> None:
    """Of a request that waits: its owner is told OK before that is noted."""

    def mutant(self: Service, request_id: str) -> str:
        live = self._current(request_id)
        if live is None or live.task is not None:
            return cancel(self, request_id)
        asyncio.get_running_loop().call_later(0.2, cancel, self, request_id)
        return "OK"

    cancel = Service.cancel
    Service.cancel = mutant


def _cancellation_forgotten() -> None:
    """Of a request that is worked on: it is only asked to stop."""
    Store.stop = lambda *_: None


def _record_before_bytes() -> None:
    fill = Files.fill

    async def mutant(self: Files, file: FileRecord, chunks: AsyncIterator[bytes], **more: Any) -> FileRecord:
        data = b"".join([chunk async for chunk in chunks])
        self._store.put_file(file._replace(size=len(data)))

        async def again() -> AsyncIterator[bytes]:
            yield data

        return await fill(self, file, again(), **more)

    Files.fill = mutant


def _webhook_noted_first() -> None:
    attempt = Webhooks._attempt

    async def mutant(self: Webhooks, request_id: str, url: str, body: bytes, n: int) -> str | None:
        self._store.note_webhook(request_id, n, "delivered")
        return await attempt(self, request_id, url, body, n)

    Webhooks._attempt = mutant


class Mutant(NamedTuple):
    """How to break the server, and the death that shows it."""

    apply: Callable[[], None]
    step: str
    at: str


MUTANTS = {
    "answer-first": Mutant(_answer_first, "answer a submission", "after"),
    "begin-is-the-end": Mutant(_begin_is_the_end, "begin", "after"),
    "cancel-in-memory": Mutant(_cancel_in_memory, "answer a cancellation", "after"),
    "cancellation-forgotten": Mutant(_cancellation_forgotten, "finish: cancelled at work", "before"),
    "charge-apart": Mutant(_charge_apart, "finish: clip, statement 5", "before"),
    "charge-twice": Mutant(_charge_twice, "finish: clip, statement 3", "before"),
    "record-before-bytes": Mutant(_record_before_bytes, "note a file", "after"),
    "requeue-forgotten": Mutant(_requeue_forgotten, "add a request", "after"),
    "webhook-noted-first": Mutant(_webhook_noted_first, "note a webhook", "after"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--die", default="")
    parser.add_argument("--at", default="before")
    parser.add_argument("--trace", type=Path)
    parser.add_argument("--mutant", choices=sorted(MUTANTS))
    own, rest = parser.parse_known_args()
    if own.mutant:
        MUTANTS[own.mutant].apply()
    install(Death(own.folder, own.die, own.at, own.trace))
    sys.argv[1:] = ["--folder", str(own.folder), *rest]
    serve._main()


if __name__ == "__main__":
    main()
