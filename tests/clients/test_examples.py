"""The three usage examples of the model's page at fal, as they stand there.

`example.sh`, `example.py` and `example.mjs` are the page's (read 2026-08-20) and not to be edited.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from seedance_lab.endpoints import LITE
from tests.local.support import KEY, server

from .support import CLIENTS, CONFIGS, SECTION, blocks, environment_of, need_node, node, run, surroundings


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with server(tmp_path_factory.mktemp("plain"), "--stub", "--slots", "8") as url:
        yield url


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("secure")
    with server(folder, "--stub", "--slots", "8", "--tls") as url:
        yield url, folder


def is_mp4(url: str, **options: ssl.SSLContext) -> bool:
    return httpx.get(url, **options).content[4:8] == b"ftyp"


def test_curl_with_another_host(url: str, tmp_path: Path) -> None:
    """The host alone is replaced; scheme and rest stay where the engine speaks TLS, below."""
    host = url.removeprefix("http://")
    script = (CLIENTS / "example.sh").read_text().replace("https://fal.run", f"http://{host}/run")
    made = json.loads(run("bash", "-c", script, folder=tmp_path, env=surroundings(FAL_KEY="any:key")))
    assert is_mp4(made["video"]["url"])
    assert isinstance(made["seed"], int)


def test_curl_over_tls_with_the_host_that_is_exported(secure: tuple[str, Path], tmp_path: Path) -> None:
    url, folder = secure
    env = environment_of(folder)
    script = (CLIENTS / "example.sh").read_text().replace("fal.run", env["FAL_RUN_HOST"])
    made = json.loads(run("bash", "-c", script, folder=tmp_path, env=env))
    assert made["video"]["url"].startswith(url)


def test_python_with_environment_variables_only(secure: tuple[str, Path], tmp_path: Path) -> None:
    """The file is run as it is; fal-client is the registry's."""
    url, folder = secure
    program = str(CLIENTS / "example.py")
    said = run("python", program, folder=tmp_path, env=environment_of(folder)).splitlines()
    made = ast.literal_eval(said[-1])
    assert made["video"]["url"].startswith(f"{url}/cdn/")
    trust = ssl.create_default_context(cafile=str(folder / "tls" / "ca.pem"))
    assert is_mp4(made["video"]["url"], verify=trust)


def test_python_as_the_readme_says(tmp_path: Path) -> None:
    """Both commands of README in one shell: the server in the background, then `--env`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shutil.copy(CLIENTS / "example.py", tmp_path / "uses_fal_client.py")
    _, lines, *_ = blocks("bash")
    assert lines.count("seedance-lab serve") == 2
    options = f"--port {port} --folder {tmp_path / 'engine'}"
    script = lines.replace("serve --env", f"serve --env {options}").replace(
        "serve --tls", f"serve --tls --stub {options}"
    )
    said = run("bash", "-c", f"trap 'kill %1' EXIT\n{script}", folder=tmp_path, env=surroundings())
    assert f"https://localhost:{port}/cdn/" in said


def test_curl_as_the_readme_says(url: str, tmp_path: Path) -> None:
    served, *_ = blocks("bash")
    assert served.startswith("seedance-lab serve &\n")
    script = served.split("\n", 1)[1].replace("http://127.0.0.1:8000", url)
    made = json.loads(run("bash", "-c", script, folder=tmp_path, env=surroundings()))
    assert is_mp4(made["video"]["url"])


@pytest.mark.parametrize("form", CONFIGS)
def test_javascript_in_each_form_that_the_readme_shows(form: str, url: str, tmp_path: Path) -> None:
    """The page's file itself; README's lines are imported before it."""
    need_node()
    said = node(tmp_path, form, url, "example.mjs")
    assert f"{url}/cdn/files/" in said
    request_id = said.split()[-1]
    events = httpx.get(f"{url}/api/v1/models/billing-events", params={"request_id": request_id}, headers=KEY)
    assert [event["request_id"] for event in events.json()["billing_events"]] == [request_id]


def test_javascript_over_tls(secure: tuple[str, Path], tmp_path: Path) -> None:
    """Node trusts what `serve --env` exports for it."""
    need_node()
    url, folder = secure
    trust = {"NODE_EXTRA_CA_CERTS": environment_of(folder)["NODE_EXTRA_CA_CERTS"]}
    assert f"{url}/cdn/files/" in node(tmp_path, "proxy", url, "example.mjs", **trust)


def test_a_client_of_any_kind_may_send_the_page_s_full_example(url: str) -> None:
    """All of its fields, and no network: the picture comes with the package."""
    body = {
        "prompt": "A little dog is running in the sunshine.",
        "aspect_ratio": "auto",
        "resolution": "720p",
        "duration": "5",
        "enable_safety_checker": True,
        "image_url": "https://fal.media/files/koala/f_xmiodPjhiKjdBkFmTu1.png",
    }
    answer = httpx.post(f"{url}/run/{LITE.id}", json=body, headers=KEY, timeout=30)
    assert answer.status_code == 200, answer.text


def test_every_test_that_the_readme_names_exists() -> None:
    """The table of calls is a promise."""
    rows = re.findall(r"\| `(test_\w+\.py)`(.*) \|", SECTION)
    assert len(rows) == 14
    for file, names in rows:
        text = (CLIENTS / file).read_text()
        for name in re.findall(r"`(test_\w+)`", names):
            assert f"def {name}(" in text, f"{file} has no {name}"
