"""The messages: numbered, gathered, mended when some are lost; and no error is swallowed."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from view_fakes import wait_until
from view_wires import Browser, FakeWidget

from seedance_lab.errors import LabError
from seedance_lab.view import bridge as bridges
from seedance_lab.view.bridge import CHUNK_BYTES, MOST_CELLS, Bridge


class Model:
    """Cells that count their versions."""

    def __init__(self) -> None:
        self.cells: dict[str, dict[str, Any]] = {}
        self.lock = threading.Lock()

    def put(self, id_: str, ver: int) -> dict[str, Any]:
        with self.lock:
            self.cells[id_] = {"id": id_, "ver": ver}
            return self.cells[id_]

    def snapshot(self) -> dict[str, Any]:
        with self.lock:
            return {"v": 1, "cells": list(self.cells.values())}


@pytest.fixture
def widget() -> FakeWidget:
    return FakeWidget()


@pytest.fixture
def model() -> Model:
    return Model()


def test_a_page_that_has_nothing_gets_all_and_one_that_has_it_gets_silence(
    widget: FakeWidget, model: Model
) -> None:
    model.put("a", 1)
    Bridge(widget, snapshot=model.snapshot, handlers={})
    browser = Browser(widget)
    browser.ready()
    assert list(browser.cells) == ["a"]
    browser.ready()
    assert len(widget.sent) == 1


def test_five_thousand_updates_in_a_burst_arrive_complete_in_few_numbered_messages(
    widget: FakeWidget, model: Model
) -> None:
    """JupyterLab drops what is above 1,000 messages a second. A mutant without gathering sends 5,000."""
    bridge = Bridge(widget, snapshot=model.snapshot, handlers={})
    browser = Browser(widget)
    browser.ready()
    n_before = len(widget.sent)

    def burst(thread: int) -> None:
        for n in range(1250):
            bridge.patch([model.put(f"{thread}-{n % 250}", n + 1)])

    threads = [threading.Thread(target=burst, args=(n,)) for n in range(4)]
    began = time.monotonic()
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    wait_until(lambda: browser.cells == model.cells)
    n_sent = len(widget.sent) - n_before
    assert len(model.cells) == 1000
    assert n_sent <= 4 + (time.monotonic() - began) / bridges.EVERY_S
    seqs = [message["seq"] for message in widget.messages("patch")]
    assert seqs == list(range(2, 2 + len(seqs)))
    assert all(len(message["cells"]) <= MOST_CELLS for message in widget.messages("patch"))


def test_what_was_lost_on_the_way_is_mended_by_the_next_heartbeat(widget: FakeWidget, model: Model) -> None:
    bridge = Bridge(widget, snapshot=model.snapshot, handlers={})
    browser = Browser(widget, loses=lambda n: n in {2, 3, 5})
    browser.ready()
    for n in range(6):
        bridge.patch([model.put(f"c{n}", n + 1)])
        bridge.flush()
    assert browser.n_lost == 3
    assert browser.cells != model.cells
    browser.ready()
    assert browser.cells == model.cells
    n = len(widget.sent)
    browser.ready()
    assert len(widget.sent) == n


def test_an_update_does_not_wait_for_the_front_end(widget: FakeWidget, model: Model) -> None:
    """The caller may be the loop that runs the sweep. The widget here hangs until the caller is done."""
    done, was_done = threading.Event(), []
    widget.listeners.append(lambda _: was_done.append(done.wait(20)))
    bridge = Bridge(widget, snapshot=model.snapshot, handlers={})
    for n in range(500):
        bridge.patch([model.put(f"c{n}", n + 1)])
    done.set()
    wait_until(lambda: bool(was_done))
    assert all(was_done)


def test_of_two_versions_of_a_cell_the_newer_one_is_sent(widget: FakeWidget, model: Model) -> None:
    bridge = Bridge(widget, snapshot=model.snapshot, handlers={})
    live = {"state": "running", "line": "1 of 2"}
    with bridge._sending:
        bridge.patch([{"id": "a", "ver": 3}])
        bridge.patch([{"id": "a", "ver": 2}], live=live)
        bridge.flush()
    assert widget.messages("patch") == [
        {"v": 1, "t": "patch", "seq": 2, "cells": [{"id": "a", "ver": 3}], "live": live}
    ]


def test_a_file_goes_in_pieces_of_one_mebibyte(widget: FakeWidget, model: Model) -> None:
    bridge = Bridge(widget, snapshot=model.snapshot, handlers={})
    data = bytes(range(256)) * (CHUNK_BYTES // 256 * 2 + 5)
    bridge.media("r1", data, "video/mp4")
    assert widget.file("r1") == (data, "video/mp4")
    sizes = [len(buffers[0]) for message, buffers in widget.sent if message["t"] == "media"]
    assert sizes == [CHUNK_BYTES, CHUNK_BYTES, 5 * 256]


def test_an_empty_file_is_one_empty_piece(widget: FakeWidget, model: Model) -> None:
    Bridge(widget, snapshot=model.snapshot, handlers={}).media("r", b"", "image/jpeg")
    assert widget.file("r") == (b"", "image/jpeg")


def test_what_a_handler_returns_is_in_its_acknowledgement(widget: FakeWidget, model: Model) -> None:
    seen = []

    def rate(message: dict[str, Any], buffers: list[memoryview]) -> dict[str, Any]:
        seen.append((message["stars"], [bytes(b) for b in buffers]))
        return {"rating": {"stars": 4}}

    Bridge(widget, snapshot=model.snapshot, handlers={"rate": rate})
    widget.say("rate", cid="7", stars=4, buffers=[b"xy"])
    assert seen == [(4, [b"xy"])]
    assert widget.messages("ack") == [{"v": 1, "t": "ack", "cid": "7", "ok": True, "rating": {"stars": 4}}]


@pytest.mark.parametrize(
    ("t", "field", "answer"),
    [
        ("rate", {"cid": "7"}, "ack"),
        ("media", {"rid": "7"}, "media_error"),
        ("upload", {"rid": "7"}, "rejected"),
    ],
)
@pytest.mark.parametrize("error", [LabError("there is no such clip"), KeyError("id")])
def test_what_a_handler_raises_is_told_to_the_page(
    widget: FakeWidget, model: Model, t: str, field: dict[str, str], answer: str, error: Exception
) -> None:
    """A callback's error would go to a log that nobody reads."""

    def handler(*_: Any) -> None:
        raise error

    Bridge(widget, snapshot=model.snapshot, handlers={t: handler})
    widget.say(t, **field)
    (told,) = widget.messages(answer)
    why = told.get("err") or told["why"]
    assert "there is no such clip" in why or "KeyError" in why
    assert told.get("ok", False) is False


def test_a_message_that_nobody_knows_is_refused_and_one_of_another_version_is_ignored(
    widget: FakeWidget, model: Model
) -> None:
    Bridge(widget, snapshot=model.snapshot, handlers={})
    widget.say("dance", cid="1")
    assert "no use for 'dance'" in widget.messages("ack")[0]["err"]
    widget.say("ready", v=2, have=0)
    for callback in widget.callbacks:
        callback(widget, "nonsense", [])
    assert len(widget.sent) == 1


def test_a_connection_that_is_gone_is_no_error(
    widget: FakeWidget, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge = Bridge(widget, snapshot=model.snapshot, handlers={})
    send = widget.send

    def broken(*_: Any) -> None:
        raise OSError("the socket is closed")

    monkeypatch.setattr(widget, "send", broken)
    bridge.patch([model.put("a", 1)])
    bridge.flush()
    monkeypatch.setattr(widget, "send", send)
    browser = Browser(widget)
    browser.ready()
    assert browser.cells == model.cells


def test_a_closed_bridge_has_sent_what_was_gathered_and_hears_nothing(
    widget: FakeWidget, model: Model
) -> None:
    bridge = Bridge(widget, snapshot=model.snapshot, handlers={})
    browser = Browser(widget)
    browser.ready()
    bridge.patch([model.put("a", 1)])
    bridge.close()
    assert browser.cells == model.cells
    n = len(widget.sent)
    widget.say("ready", have=0)
    bridge.patch([model.put("a", 2)])
    bridge.flush()
    assert (len(widget.sent), widget.callbacks) == (n, [])
