"""MLflow's client as the tracker needs it: a run is made once, files cost no extra call, nothing is printed.

MLflow sets up a new SQLite file in many steps, some of which cannot be taken back: a process that is ended meanwhile
leaves a file that MLflow can neither use nor mend, and two processes at once trip over each other. So a new file is
set up elsewhere, and is whole when it comes to its place.

MLflow repeats any call whose answer was lost, seven times within four minutes, `runs/create` too: each answer that was
lost would leave an empty second run behind, for ever running. All its other calls may be repeated.
"""

from __future__ import annotations

import contextlib
import copy
import json
import mimetypes
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedance_lab import mlflow_store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def opened(uri: str, *, before: Callable[[], None] = lambda: None) -> MlflowClient:
    """A client of this store; a SQLite file that is not there yet is made.

    What differs from MLflow's own holds for this client only, never for the user's. It leans on a few private names;
    where a version of MLflow has moved them, its own ways are kept.

    Args:
        uri: Of the store.
        before: Called before what is done about a lost answer. What it raises ends that: who was waited for in vain,
            and left, must not make a run that another has made meanwhile.

    Raises:
        Unreachable: The database was left half made, by a process that was ended while MLflow set it up.
        Exception: Whatever MLflow raises.
    """
    from mlflow import MlflowClient

    path = None if "?" in uri else mlflow_store.sqlite_path(uri)
    if path is not None and not path.exists():
        _make(path)
    try:
        client = MlflowClient(tracking_uri=uri)
    except Exception as error:
        if path is None or mlflow_store.holds_runs(path):
            raise
        raise mlflow_store.Unreachable(
            f"the database {path} is half made, by a program that was ended while MLflow set it up, or by another "
            f"version of MLflow; it holds no runs, so nothing is lost with it. Type: rm '{path}'"
        ) from error
    with contextlib.suppress(AttributeError):
        # Over HTTP each ended run would print two lines on the user's page, after one more call for them;
        # the only public switch is an environment variable, which is the user's.
        client._tracking_client._log_url = _say_nothing  # noqa: SLF001
    with contextlib.suppress(AttributeError, ImportError):
        client.create_run = _made_once(client, before)
    with contextlib.suppress(AttributeError, ImportError):
        _put_files_straight(client, uri)
    return client


def _make(path: Path) -> None:
    """Put a whole, empty store at a place where nothing is; another process may be quicker."""
    from mlflow import MlflowClient

    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="seedance_lab-") as name:
        made = Path(name) / "mlflow.db"
        client = MlflowClient(tracking_uri=f"sqlite:///{made.as_posix()}")
        with contextlib.suppress(AttributeError):
            client._tracking_client.store.engine.dispose()  # noqa: SLF001  # its file is about to go
        part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
        try:
            shutil.copyfile(made, part)
            with part.open("rb") as file:
                os.fsync(file.fileno())
            _put_in_place(part, path)
        finally:
            part.unlink(missing_ok=True)


def _put_in_place(part: Path, path: Path) -> None:
    try:
        os.link(part, path)
    except FileExistsError:
        return
    except OSError:  # a file system without links
        if not path.exists():
            part.replace(path)


def _say_nothing(_: str) -> None:
    pass


def _made_once(client: MlflowClient, before: Callable[[], None]) -> Callable[..., Run]:
    """`create_run`, whose lost answer is looked for before it is asked for again.

    What no server received is sent again; what may still be worked on (a time-out, a gateway's 5xx) is an error, and
    the next pass finds the run if there is one.
    """
    from mlflow.exceptions import MlflowException

    create = _post_once(client)
    if create is None:  # no HTTP: an error is rolled back
        return client.create_run  # type: ignore[no-any-return]

    def careful(
        experiment_id: str, *, start_time: int, tags: Mapping[str, str], run_name: str | None = None
    ) -> Run:
        asked = {"start_time": start_time, "tags": tags, "run_name": run_name}
        try:
            return create(experiment_id, **asked)
        except MlflowException as error:
            if not _is_lost(error):
                raise
        before()
        for run in client.search_runs([experiment_id], f"attributes.start_time = {start_time}"):
            if tags.items() <= run.data.tags.items():
                return run
        before()
        return create(experiment_id, **asked)

    return careful


def _is_lost(error: Exception) -> bool:
    """Whether the connection broke: there is no answer, and nobody works on one."""
    import requests

    below = error.__cause__ or error.__context__
    return isinstance(below, requests.ConnectionError) and not isinstance(below, requests.Timeout)


def _post_once(client: MlflowClient) -> Callable[..., Run] | None:
    """`create_run` over HTTP with one POST; None for other stores."""
    from mlflow.entities import RunTag
    from mlflow.protos.service_pb2 import CreateRun
    from mlflow.store.tracking.rest_store import RestStore
    from mlflow.utils.proto_json_utils import parse_dict
    from mlflow.utils.rest_utils import http_request, verify_rest_response

    shared = client._tracking_client.store  # noqa: SLF001
    if not isinstance(shared, RestStore):
        return None
    path, method = shared._METHOD_TO_INFO[CreateRun]  # noqa: SLF001
    store = copy.copy(shared)  # the one that MLflow keeps is the user's too

    def call(api: Any, body: str, *_: Any, **__: Any) -> Any:
        answer = http_request(
            store.get_host_creds(),
            path,
            method,
            json=json.loads(body),
            max_retries=0,
            retry_codes=frozenset(),
        )
        said = api.Response()
        parse_dict(verify_rest_response(answer, path).json(), said)
        return said

    store._call_endpoint = call  # noqa: SLF001

    def create(experiment_id: str, *, start_time: int, tags: Mapping[str, str], run_name: str | None) -> Run:
        return store.create_run(
            experiment_id=experiment_id,
            user_id=tags.get("mlflow.user", "unknown"),
            start_time=start_time,
            tags=[RunTag(name, value) for name, value in tags.items()],
            run_name=run_name,
        )

    return create


def _put_files_straight(client: MlflowClient, uri: str) -> None:
    """Send a new run's files where its creation said; MLflow would ask for the whole run first.

    A server that cannot store them is asked twice: eight times within four minutes, as MLflow does, would hold up
    everything else that is to be written.
    """
    from mlflow.environment_variables import MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import augmented_raise_for_status, http_request

    create, log = client.create_run, client.log_artifacts
    most = MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE.get()
    places: dict[str, str] = {}

    def remembering(*args: Any, **kwargs: Any) -> Run:
        run = create(*args, **kwargs)
        if run.info.artifact_uri.startswith("mlflow-artifacts:"):
            places[run.info.run_id] = run.info.artifact_uri
        return run

    def straight(run_id: str, local_dir: str) -> None:
        place, files = places.get(run_id), sorted(Path(local_dir).iterdir())
        if place is None or any(path.stat().st_size >= most for path in files):
            log(run_id, local_dir)
            return
        server = get_default_host_creds(get_artifact_repository(place, tracking_uri=uri).artifact_uri)

        def put(path: Path) -> None:
            kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            with path.open("rb") as file:
                answer = http_request(
                    server,
                    f"/{path.name}",
                    "PUT",
                    max_retries=1,
                    data=file,
                    extra_headers={"Content-Type": kind},
                )
            augmented_raise_for_status(answer)

        with ThreadPoolExecutor(len(files) or 1) as pool:  # the server has several workers
            list(pool.map(put, files))

    client.create_run, client.log_artifacts = remembering, straight
