"""Reading from a tracking server, seen from the server's side."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.utils import rest_utils

from seedance_lab.columns import KEY
from seedance_lab.errors import LabError
from seedance_lab.loading import rest, runs

N = 40


class Calls(ThreadingHTTPServer):
    """Answers as a tracking server with runs a second apart does, and keeps connections open as long as asked to.

    Attributes:
        ports: The client's port of each call for runs: equal ones were one connection.
        fails_at: From which of these calls on it answers that it has no space left; None: never.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.ports: list[int] = []
        self.fails_at: int | None = None
        self.lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def called(self, port: int) -> bool:
        """Whether this call is answered."""
        with self.lock:
            self.ports.append(port)
            return self.fails_at is None or len(self.ports) <= self.fails_at


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Calls

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name for it
        """Nothing."""

    def do_GET(self) -> None:
        if "get-by-name" in self.path:
            self.say(
                200, {"experiment": {"experiment_id": "1", "name": "harbour", "lifecycle_stage": "active"}}
            )
        else:
            self.say(200, {})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.server.called(self.client_address[1]):
            self.say(400, {"error_code": "INVALID_STATE", "message": "database or disk is full"})
            return
        begin, end = 0, N * 1000
        for part in asked["filter"].split(" AND "):
            if ">=" in part:
                begin = int(part.rpartition(" ")[2])
            elif "<" in part:
                end = int(part.rpartition(" ")[2])
        starts = [at for at in range(0, N * 1000, 1000) if begin <= at < end]
        if "DESC" in asked["order_by"][0]:
            starts.reverse()
        page = starts[: asked["max_results"]]
        more = {"next_page_token": "more"} if len(page) < len(starts) else {}
        self.say(200, {"runs": [_run(at) for at in page], **more})

    def say(self, status: int, told: dict[str, Any]) -> None:
        content = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _run(at: int) -> dict[str, Any]:
    return {
        "info": {"run_id": f"{at}", "start_time": at, "artifact_uri": "mlflow-artifacts:/1"},
        "data": {"tags": [{"key": KEY, "value": f"k1:{at:06}"}]},
    }


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Calls]:
    """With pages of three."""
    monkeypatch.setattr(rest, "PAGE", 3)
    with Calls() as calls:
        thread = threading.Thread(target=calls.serve_forever)
        thread.start()
        yield calls
        calls.shutdown()
        thread.join()


def test_each_page_comes_by_a_connection_of_its_own(server: Calls) -> None:
    """A worker of `mlflow server` keeps the connections that it took: all calls at once may end with one of four.

    Kept connections are fewer than pages.
    """
    rows = rest.read(server.url, ["1"], "")
    assert sorted(int(info.run_id) for info in rows.infos) == list(range(0, N * 1000, 1000))
    assert len(server.ports) > N / 3
    assert len(set(server.ports)) == len(server.ports)


def test_a_server_that_fails_in_the_middle_gives_no_half_a_table(server: Calls) -> None:
    """What is missing would not be seen."""
    server.fails_at = 5
    with pytest.raises(MlflowException, match="disk is full"):
        rest.read(server.url, ["1"], "")
    with pytest.raises(LabError, match=r"did not answer.*disk is full"):
        runs("harbour", tracking_uri=server.url)


@pytest.mark.parametrize(("scheme", "kept"), [("http", False), ("https", True)])
def test_connections_are_kept_where_they_are_dear(
    scheme: str, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over TLS each one costs several round trips."""
    asked = []

    def answer(*args: object, extra_headers: dict[str, str], **kwargs: object) -> SimpleNamespace:
        asked.append(extra_headers)
        return SimpleNamespace(status_code=200, content=b"{}")

    monkeypatch.setattr(rest_utils, "http_request", answer)
    rest.read(f"{scheme}://tracking.invalid", ["1"], "")
    assert asked == [{} if kept else {"Connection": "close"}]
