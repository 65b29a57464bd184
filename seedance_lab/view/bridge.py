"""Between what the kernel knows and what the browser shows: numbered, coalesced, and mended when messages are lost.

JupyterLab drops widget messages above 1,000 a second without a word. So updates are gathered and sent four times a
second at most, each with a number; a browser that finds a gap says what it has, as it does every two seconds anyway,
and gets everything anew. A patch holds whole cells, so one that comes twice does no harm.

    to the kernel    ready{have} · media{rid, id, kind} · posters{all: [[rid, id]]} · drawn · view · rate · cmd ·
                     choice · undo · pause · upload
    to the browser   snapshot{seq, data} · patch{seq, cells, live?, columns?, view?} · media{rid, i, n, mime} ·
                     media_error{rid, why} · given{ids, kind, mime} · ack{cid, ok, err} · what else handlers send
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from seedance_lab.errors import LabError
from seedance_lab.view.lab_widget import Wire

VERSION = 1
"""Of the messages; each carries it."""
EVERY_S = 0.25
"""Least time between two patches."""
CHUNK_BYTES = 1 << 20
"""Of one message of media: patches go between two of them, and a slow connection shows that it moves."""
MOST_CELLS = 500
"""Cells of one patch: a browser draws so many without a stop that is seen."""

Handler = Callable[[dict[str, Any], list[memoryview]], dict[str, Any] | None]

_LOG = logging.getLogger(__name__)


class Bridge:
    """One widget's messages. All methods may be called from any thread.

    Args:
        widget: From `lab_widget`.
        snapshot: Everything that the browser is to show, as JSON; `{}` where handlers tell it piece by piece.
        handlers: By the message's `t`: a function of the message and its buffers. They are called on the thread of
            the front end's messages and must be quick. What one returns goes into the message's `ack`, if it has a
            `cid`; a message of its own if it has a `t`. What it raises is told to the browser: as `ack`, as
            `media_error` to `media`, and as `rejected` to what else has a `rid`. `ready` may be among them, and is
            called after the bridge's own answer.
    """

    def __init__(
        self, widget: Wire, *, snapshot: Callable[[], Mapping[str, Any]], handlers: Mapping[str, Handler]
    ) -> None:
        self.widget = widget
        self._snapshot = snapshot
        self._handlers = handlers
        # Held while a message is numbered and sent, so that numbers are in the order of sending. A snapshot is taken
        # under it; what takes a snapshot must not wait for whoever is sending.
        self._sending = threading.RLock()
        self._seq = 1
        # A leaf: nothing else is locked while it is held, so `patch` may be called with any lock.
        self._gathering = threading.Lock()
        self._cells: dict[str, Mapping[str, Any]] = {}
        self._parts: dict[str, Any] = {}
        self._timer: threading.Timer | None = None
        self._sent_s = float("-inf")
        self._closed = False
        widget.on_msg(self._on_message)

    # ── to the browser ──────────────────────────────────────────────────────────────────────────────────

    def patch(
        self,
        cells: Iterable[Mapping[str, Any]] = (),
        *,
        live: Mapping[str, Any] | None = None,
        columns: Sequence[Mapping[str, Any]] | None = None,
        view: Mapping[str, Any] | None = None,
    ) -> None:
        """Tell what has changed, soon: at once after a quiet time, else with what else changes meanwhile.

        Args:
            cells: Whole cells; of two with one `id` the one with the higher `ver` is sent.
            live: State and line of what is under way.
            columns: All columns.
            view: The whole view.
        """
        parts = {"live": live, "columns": columns, "view": view}
        with self._gathering:
            for cell in cells:
                before = self._cells.get(cell["id"])
                if before is None or before["ver"] <= cell["ver"]:
                    self._cells[cell["id"]] = cell
            self._parts |= {name: part for name, part in parts.items() if part is not None}
            self._schedule()

    def send(self, t: str, fields: Mapping[str, Any] | None = None, buffers: Sequence[Any] = ()) -> None:
        """Send a message that has no number: one that is lost is asked for again, or missed by nobody."""
        with self._sending:
            self._put({"v": VERSION, "t": t, **(fields or {})}, buffers)

    def media(self, rid: Any, data: bytes, mime: str) -> None:
        """Answer a `media` request, in pieces of 1 MiB.

        Args:
            rid: Of the request.
            data: The whole file.
            mime: Such as `video/mp4`.
        """
        view = memoryview(data)
        pieces = [view[at : at + CHUNK_BYTES] for at in range(0, len(view), CHUNK_BYTES)] or [view]
        for i, piece in enumerate(pieces):
            self.send("media", {"rid": rid, "i": i, "n": len(pieces), "mime": mime}, [piece])

    def offer(self) -> None:
        """Send everything, unasked: to a page that cannot be heard now."""
        with self._sending:
            self._put({"v": VERSION, "t": "snapshot", "seq": self._seq, "data": self._snapshot()})

    def flush(self) -> None:
        """Send what is gathered, now."""
        with self._sending:
            while (gathered := self._take()) is not None:
                self._seq += 1
                self._put({"v": VERSION, "t": "patch", "seq": self._seq, **gathered})

    def close(self) -> None:
        """Send what is gathered, and neither hear nor send from now on. The widget is left to its owner."""
        self.flush()
        with self._gathering:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
        self.widget.on_msg(self._on_message, remove=True)

    # ── gathering ───────────────────────────────────────────────────────────────────────────────────────

    def _schedule(self) -> None:
        """Have a flush on its way; with `_gathering` held."""
        if self._timer is None and not self._closed and (self._cells or self._parts):
            wait_s = max(0.0, self._sent_s + EVERY_S - time.monotonic())
            # Not on the caller's thread: it may be the loop that runs the sweep, and a message is made of JSON.
            self._timer = threading.Timer(wait_s, self._tick)
            self._timer.daemon = True
            self._timer.start()

    def _tick(self) -> None:
        with self._sending:
            gathered = self._take(MOST_CELLS)
            if gathered is not None:
                self._seq += 1
                self._put({"v": VERSION, "t": "patch", "seq": self._seq, **gathered})
        with self._gathering:
            self._sent_s = time.monotonic()
            self._timer = None
            self._schedule()

    def _take(self, most: int = MOST_CELLS) -> dict[str, Any] | None:
        """What is gathered, so many cells of it; None when there is nothing."""
        with self._gathering:
            if not self._cells and not self._parts:
                return None
            ids = list(self._cells)[:most]
            gathered = {"cells": [self._cells.pop(id_) for id_ in ids], **self._parts}
            self._parts = {}
            return gathered

    def _put(self, message: dict[str, Any], buffers: Sequence[Any] = ()) -> None:
        """Send; with `_sending` held. A connection that is gone is no error: whoever comes back asks for everything."""
        if self._closed:
            return
        try:
            self.widget.send(message, list(buffers) or None)
        except Exception:  # noqa: BLE001  # whatever the kernel's connection raises while it goes down
            _LOG.debug("a %s was not sent", message["t"], exc_info=True)

    # ── from the browser ────────────────────────────────────────────────────────────────────────────────

    def _on_message(self, _: Any, message: Any, buffers: Sequence[Any] | None = None) -> None:
        """Answer one message. Nothing is raised: a callback's error would go to a log that nobody reads."""
        if not isinstance(message, dict) or message.get("v") != VERSION or self._closed:
            return
        kind = message.get("t")
        try:
            if kind == "ready":
                self._on_ready(message.get("have"))
            handler = self._handlers.get(str(kind)) or (_heartbeat if kind == "ready" else _no_use)
            answer = handler(message, [memoryview(b) for b in buffers or ()])
        except LabError as error:
            self._refuse(message, str(error))
        except Exception as error:  # noqa: BLE001  # told to the browser, which is where somebody looks
            _LOG.debug("%s failed", kind, exc_info=True)
            self._refuse(message, f"{type(error).__name__}: {error}")
        else:
            self._answer(message, answer)

    def _on_ready(self, have: Any) -> None:
        with self._sending:
            if have == self._seq:
                return
            # What is gathered is in the snapshot too. It is taken away first: what changes while the snapshot is
            # made is sent again, and never lost.
            if self._take(most=1 << 62) is not None:
                self._seq += 1
            data = self._snapshot()
            self._put({"v": VERSION, "t": "snapshot", "seq": self._seq, "data": data})

    def _answer(self, message: Mapping[str, Any], answer: dict[str, Any] | None) -> None:
        if answer is not None and "t" in answer:
            self.send(answer["t"], {k: v for k, v in answer.items() if k != "t"})
            answer = None
        if "cid" in message:
            self.send("ack", {"cid": message["cid"], "ok": True, **(answer or {})})

    def _refuse(self, message: Mapping[str, Any], why: str) -> None:
        if "cid" in message:
            self.send("ack", {"cid": message["cid"], "ok": False, "err": why})
        elif "rid" in message:
            t = "media_error" if message.get("t") == "media" else "rejected"
            self.send(t, {"rid": message["rid"], "why": why})


def _heartbeat(_: Mapping[str, Any], __: Sequence[Any]) -> None:
    """The bridge's own answer is all."""


def _no_use(message: Mapping[str, Any], _: Sequence[Any]) -> None:
    raise LabError(f"This view has no use for {message.get('t')!r}.")
