"""A widget without a kernel, the page at its other end, and a notebook that only remembers what it was shown."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import IPython.display
import pytest
from view_fakes import wait_until

from seedance_lab import frontend as frontends
from seedance_lab.view import grid as grids

WIDGET = "application/vnd.jupyter.widget-view+json"


class FakeWidget:
    """Keeps what is sent, and says what a page would say."""

    def __init__(self, *_: Any) -> None:
        self.sent: list[tuple[dict[str, Any], list[bytes]]] = []
        self.callbacks: list[Callable[..., None]] = []
        self.listeners: list[Callable[[dict[str, Any]], None]] = []
        self.is_closed = False
        self._lock = threading.Lock()

    def send(self, content: Any, buffers: Any = None) -> None:
        with self._lock:
            self.sent.append((content, [bytes(b) for b in buffers or ()]))
        for listener in self.listeners:
            listener(content)

    def on_msg(self, callback: Any, remove: bool = False) -> None:
        if remove:
            self.callbacks.remove(callback)
        else:
            self.callbacks.append(callback)

    def say(self, t: str, *, v: int = 1, buffers: list[bytes] | None = None, **fields: Any) -> None:
        for callback in list(self.callbacks):
            callback(self, {"v": v, "t": t, **fields}, buffers or [])

    def close(self) -> None:
        self.is_closed = True

    def messages(self, t: str) -> list[dict[str, Any]]:
        with self._lock:
            return [message for message, _ in self.sent if message["t"] == t]

    def wait_for(self, t: str, **fields: Any) -> dict[str, Any]:
        """The first message of this kind with these fields."""

        def found() -> list[dict[str, Any]]:
            return [m for m in self.messages(t) if fields.items() <= m.items()]

        wait_until(found)
        return found()[0]

    def file(self, rid: Any) -> tuple[bytes, str]:
        """The pieces of an answer put together, and what they are."""
        n = self.wait_for("media", rid=rid)["n"]

        def pieces() -> list[tuple[int, bytes, str]]:
            with self._lock:
                found = [(m, b) for m, b in self.sent if m["t"] == "media" and m["rid"] == rid]
            return [(m["i"], b[0], m["mime"]) for m, b in found]

        wait_until(lambda: len(pieces()) == n)
        assert [i for i, _, _ in pieces()] == list(range(n))
        return b"".join(data for _, data, _ in pieces()), pieces()[0][2]

    @property
    def posters(self) -> dict[str, bytes]:
        """Pictures that came bundled, by cell."""
        with self._lock:
            given = [(m["ids"], b) for m, b in self.sent if m["t"] == "given"]
        return {id_: data for ids, pieces in given for id_, data in zip(ids, pieces, strict=True)}

    def _repr_mimebundle_(self) -> dict[str, Any]:
        return {WIDGET: {"model_id": "0" * 32, "version_major": 2, "version_minor": 0}}


class Browser:
    """What a page does with the messages, as far as tests need it; it may lose some."""

    def __init__(self, widget: FakeWidget, *, loses: Callable[[int], bool] = lambda n: False) -> None:
        self.widget = widget
        self.seq = 0
        self.cells: dict[str, Mapping[str, Any]] = {}
        self.rest: dict[str, Any] = {}
        self.n = self.n_lost = 0
        self._loses = loses
        self._lock = threading.RLock()
        widget.listeners.append(self.hear)

    def ready(self) -> None:
        self.widget.say("ready", have=self.seq)

    def hear(self, message: dict[str, Any]) -> None:
        with self._lock:
            self.n += 1
            if self._loses(self.n):
                self.n_lost += 1
                return
            if message["t"] == "snapshot":
                self.seq = message["seq"]
                self.cells = {cell["id"]: cell for cell in message["data"]["cells"]}
                self.rest |= {k: v for k, v in message["data"].items() if k != "cells"}
            elif message["t"] == "patch":
                for cell in message["cells"]:
                    if self.cells.get(cell["id"], {"ver": 0})["ver"] <= cell["ver"]:
                        self.cells[cell["id"]] = cell
                self.rest |= {k: v for k, v in message.items() if k in {"live", "columns", "view"}}
                if message["seq"] <= self.seq + 1:
                    self.seq = max(self.seq, message["seq"])


class Notebook:
    """A kernel's shell that remembers what was displayed, by display id where there is one."""

    def __init__(self) -> None:
        self.outputs: list[dict[str, Any]] = []
        self.updates: list[tuple[str, dict[str, Any]]] = []
        self.widgets: list[FakeWidget] = []
        self.shell = SimpleNamespace(execution_count=1, kernel=SimpleNamespace(_allow_stdin=True))

    @property
    def widget(self) -> FakeWidget:
        (made,) = self.widgets
        return made

    @property
    def sheet(self) -> str:
        """The plain sheet as it stands now."""
        return [data.get("text/html", "") for data in (*self.outputs, *dict(self.updates).values())][-1]

    def make(self, *_: Any) -> FakeWidget:
        self.widgets.append(FakeWidget())
        return self.widgets[-1]

    def display(self, data: Any, *, display_id: str = "", raw: bool = False, metadata: Any = None) -> None:
        assert raw
        self.outputs.append(data)

    def update(self, data: Any, *, display_id: str, raw: bool = False) -> None:
        assert raw
        self.updates.append((display_id, data))


def opened(monkeypatch: pytest.MonkeyPatch, *, watched: bool = True) -> Notebook:
    """A notebook, in a living front end or executed by a program."""
    made = Notebook()
    made.shell.kernel._allow_stdin = watched
    monkeypatch.setattr(frontends, "shell", lambda: made.shell)
    monkeypatch.setattr(IPython.display, "display", made.display)
    monkeypatch.setattr(IPython.display, "update_display", made.update)
    monkeypatch.setattr(grids, "lab_widget", made.make)
    return made
