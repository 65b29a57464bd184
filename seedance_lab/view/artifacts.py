"""A clip that lies elsewhere, brought here when somebody looks at it, and kept in the user's cache."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

from seedance_lab.errors import ClipError

_VIDEO = ".mp4"


def fetched(address: str) -> Path:
    """The file at an address, fetched at most once.

    Args:
        address: Anything that MLflow reads artifacts from. With a slash at its end a folder, of which the first
            MP4 by name is taken.

    Raises:
        ClipError: There is no such file, or it cannot be had.
    """
    try:
        here = _local(address)
        return here if here is not None else _from_mlflow(address)
    except ClipError:
        raise
    except Exception as error:  # stores raise what they like: MLflow's, boto's, requests' own
        raise ClipError(f"{address} could not be fetched ({type(error).__name__}: {error}).") from error


def _local(address: str) -> Path | None:
    """The file where the address is one of this machine; None where it is not."""
    parts = urlsplit(address)
    if parts.scheme not in {"", "file"} or parts.netloc not in {"", "localhost"}:
        return None
    path = Path(unquote(parts.path) if parts.scheme else address)
    if not address.endswith("/"):
        if path.exists():
            return path
        raise ClipError(f"There is no file {path}.")
    videos = sorted(path.glob(f"*{_VIDEO}"))
    if not videos:
        raise ClipError(f"There is no MP4 among the artifacts in {path}.")
    return videos[0]


def _from_mlflow(address: str) -> Path:
    # MLflow costs a second, and a platform's folders are asked for only here.
    import mlflow
    import platformdirs

    folder = Path(platformdirs.user_cache_path("seedance-lab", appauthor=False)) / "artifacts"
    kept = folder / f"{hashlib.sha256(address.encode()).hexdigest()[:32]}{_VIDEO}"
    if kept.exists():
        return kept
    if address.endswith("/"):
        # With its slash: without it MLflow takes the folder for a file, and names what is in it from one level above.
        found = mlflow.artifacts.list_artifacts(artifact_uri=address)
        videos = sorted(file.path for file in found if not file.is_dir and file.path.endswith(_VIDEO))
        if not videos:
            raise ClipError(f"There is no MP4 among the artifacts of {address}.")
        address = f"{address}{videos[0]}"
    folder.mkdir(parents=True, exist_ok=True)
    # Beside its place and moved there whole: two kernels may look at it at once.
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        got = Path(mlflow.artifacts.download_artifacts(artifact_uri=address, dst_path=scratch))
        shutil.move(got, kept)
    return kept
