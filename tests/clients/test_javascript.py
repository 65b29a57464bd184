"""Every call of fal's JavaScript client under Node, led here in each of the three forms that README shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.local.support import server

from .support import CONFIGS, HARBOUR, need_node, node


def call(form: str, url: str, folder: Path, what: str) -> Any:
    return json.loads(node(folder, form, url, "javascript_calls.mjs", what, str(HARBOUR)))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    need_node()
    with server(tmp_path_factory.mktemp("engine"), "--stub", "--slots", "8") as url:
        yield url


@pytest.fixture(scope="module", params=CONFIGS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def said(form: str, url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return dict(call(form, url, tmp_path_factory.mktemp("plain"), "plain"))


@pytest.fixture(scope="module")
def streamed(form: str, url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return dict(call(form, url, tmp_path_factory.mktemp("streaming"), "streaming"))


def is_clip(data: dict[str, Any], url: str) -> bool:
    return data["seed"] == 11 and data["video"]["url"].startswith(f"{url}/cdn/files/")


def test_run(said: dict[str, Any], url: str) -> None:
    """Data and request id, which the client reads from a header."""
    assert is_clip(said["run"]["data"], url)
    assert said["run"]["requestId"]


def test_upload(said: dict[str, Any], url: str) -> None:
    """By hand, and by the client itself for a file inside the input."""
    assert said["upload"] is True
    assert is_clip(said["uploaded_by_itself"]["data"], url)


def test_subscribe_by_polling(said: dict[str, Any], url: str) -> None:
    assert is_clip(said["subscribe"]["data"], url)
    assert said["subscribe"]["requestId"]
    assert said["subscribe"]["last"] == "COMPLETED"


def test_the_queue(said: dict[str, Any], url: str) -> None:
    assert said["submit"]["status"] == "IN_QUEUE"
    assert said["waited"]["status"] == said["status"]["status"] == "COMPLETED"
    assert {"message", "level", "source", "timestamp"} <= said["status"]["logs"][0].keys()
    assert said["status"]["metrics"]["inference_time"] >= 0
    assert is_clip(said["result"]["data"], url)
    assert said["result"]["requestId"] == said["submit"]["request_id"]


def test_cancel_comes_too_late(said: dict[str, Any]) -> None:
    assert said["cancel_too_late"]["name"] == "ApiError"
    assert said["cancel_too_late"]["status"] == 400
    assert said["cancel_too_late"]["body"]["status"] == "ALREADY_COMPLETED"


def test_a_refusal_reaches_the_program_as_a_validation_error(said: dict[str, Any]) -> None:
    """Which the client makes only of a JSON answer with status 422."""
    assert (said["refused"]["name"], said["refused"]["status"]) == ("ValidationError", 422)
    assert said["refused"]["body"]["detail"][0]["loc"] == ["body", "image_url"]


def test_subscribe_by_streaming(streamed: dict[str, Any], url: str) -> None:
    assert is_clip(streamed["subscribe"]["data"], url)
    assert streamed["subscribe"]["last"] == "COMPLETED"


def test_stream_status(streamed: dict[str, Any]) -> None:
    """Every event is a status; the last one ends the stream."""
    states = [event["status"] for event in streamed["events"]]
    assert states[-1] == "COMPLETED"
    assert set(states[:-1]) <= {"IN_QUEUE", "IN_PROGRESS"}
    assert streamed["done"]["status"] == "COMPLETED"


def test_cancel(form: str, tmp_path: Path) -> None:
    """One that runs (real workers, so that it takes a while) and one that waits behind it."""
    need_node()
    with server(tmp_path / "engine", "--slots", "1", "--workers", "1") as url:
        ended = call(form, url, tmp_path / "program", "cancelling")
    assert ended == ["client_cancelled", "client_cancelled"]
