"""Pictures, engines and folders that tests share. Nothing here reaches beyond loopback."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import PIL.Image
import pytest

from seedance_lab.local.served import Served

REPO = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _own_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the key, the engine or the MLflow store of whoever runs it, and none leaves files behind."""
    for name in ("FAL_KEY", "FAL_KEY_ID", "FAL_KEY_SECRET", "SEEDANCE_LAB_ENGINE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("SEEDANCE_LAB_MEASURE", "off")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def picture() -> bytes:
    """A small landscape with something in it, as PNG bytes."""
    image = PIL.Image.radial_gradient("L").resize((480, 320)).convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an engine on a loopback port that answers at once with still clips."""
    with Served(tmp_path_factory.mktemp("served"), "--stub") as engine:
        yield engine.url


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Starts engines that this test may kill."""
    started: list[Served] = []

    def start(folder: Path | None = None, *options: str) -> Served:
        started.append(Served(folder or tmp_path / "engine", *(options or ("--stub",))))
        return started[-1].start()

    yield start
    for engine in started:
        engine.kill()
