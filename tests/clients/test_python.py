"""Every call of fal's Python client, sync and async, in a process that knows the engine by its environment only.

`tests/local/test_fal_client.py` looks at the same client's finer points inside this process.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from tests.local.support import server

from .python_calls import BYTES
from .support import CLIENTS, HARBOUR, at, blocks, environment_of, run


def call(what: str, url: str, folder: Path) -> Any:
    (uploads,) = (block for block in blocks("py") if "CDN_URL" in block)
    program = str(CLIENTS / "python_calls.py")
    env = environment_of(folder)
    return json.loads(run("python", program, what, at(url, uploads), str(HARBOUR), folder=folder, env=env))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("engine")
    with server(folder, "--stub", "--slots", "8", "--tls") as url:
        yield url, folder


@pytest.fixture(scope="module", params=["sync", "async"])
def said(engine: tuple[str, Path], request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(call(request.param, *engine))


def is_clip(made: dict[str, Any], url: str) -> bool:
    return made["seed"] == 11 and made["video"]["url"].startswith(f"{url}/cdn/files/")


def test_run(said: dict[str, Any], engine: tuple[str, Path]) -> None:
    assert is_clip(said["run"], engine[0])


def test_submit_status_and_events(said: dict[str, Any]) -> None:
    """The last event is the one that says it is over, and so does the status afterwards."""
    assert said["submit"]
    assert said["iter_events"][-1] == "Completed"
    assert set(said["iter_events"][:-1]) <= {"Queued", "InProgress"}
    assert said["status"] == "Completed"


def test_result(said: dict[str, Any], engine: tuple[str, Path]) -> None:
    """By the handle and by the id alone."""
    assert is_clip(said["result"], engine[0])
    assert said["result"] == said["get"]


def test_subscribe(said: dict[str, Any], engine: tuple[str, Path]) -> None:
    assert is_clip(said["subscribe"], engine[0])
    assert len(said["enqueued"]) == 1
    assert said["updates"][-1] == "Completed"


def test_uploads(said: dict[str, Any]) -> None:
    """What comes back is what was sent; `upload_image` encodes it anew, so there it is the size."""
    assert said["upload"] == hashlib.sha256(BYTES).hexdigest()
    assert said["upload_file"] == hashlib.sha256(HARBOUR.read_bytes()).hexdigest()
    with PIL.Image.open(HARBOUR) as picture:
        assert said["upload_image"] == list(picture.size)


def test_cancel_comes_too_late(said: dict[str, Any]) -> None:
    assert said["cancel"][0] == 400
    assert said["cancel"][1]["status"] == "ALREADY_COMPLETED"


@pytest.mark.parametrize("what", ["sync_cancel", "async_cancel"])
def test_cancel(what: str, tmp_path: Path) -> None:
    """One that runs (real workers, so that it takes a while) and one that waits behind it."""
    with server(tmp_path, "--slots", "1", "--workers", "1", "--tls") as url:
        assert call(what, url, tmp_path) == ["client_cancelled", "client_cancelled"]
