"""Pictures, engines and folders that tests share. Nothing here reaches beyond loopback."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import PIL.Image
import pytest

REPO = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _own_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the key, the engine or the MLflow store of whoever runs it, and none leaves files behind."""
    for name in ("FAL_KEY", "FAL_KEY_ID", "FAL_KEY_SECRET", "SEEDANCE_LAB_ENGINE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def picture() -> bytes:
    """A small landscape with something in it, as PNG bytes."""
    image = PIL.Image.radial_gradient("L").resize((480, 320)).convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def start_server(folder: Path, *options: str, port: int = 0) -> tuple[subprocess.Popen[str], str]:
    """A served engine as a process of its own, and its URL."""
    command = [
        sys.executable,
        "-m",
        "seedance_lab.local.serve",
        "--folder",
        str(folder),
        "--port",
        str(port),
        *options,
    ]
    server = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(REPO)}
    )
    assert server.stdout is not None
    url = server.stdout.readline().strip()
    assert url.startswith("http"), f"the engine did not start: {url!r}"
    return server, url


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an engine on a loopback port that answers at once with still clips."""
    server, url = start_server(tmp_path_factory.mktemp("served"), "--stub")
    yield url
    server.terminate()
    server.wait(10)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    """Starts engines that this test may kill."""
    started: list[subprocess.Popen[str]] = []

    def start(folder: Path | None = None, *options: str, port: int = 0) -> tuple[subprocess.Popen[str], str]:
        server, url = start_server(folder or tmp_path / "engine", *(options or ("--stub",)), port=port)
        started.append(server)
        return server, url

    yield start
    for server in started:
        server.kill()
        server.wait(10)
