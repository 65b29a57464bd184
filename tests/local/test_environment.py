"""What `serve --env` prints: for the server that runs, else for the one that is about to."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from seedance_lab.cli import main
from seedance_lab.errors import EngineError
from seedance_lab.local.environment import base_url, exports, running, variables

from .support import server


@pytest.mark.parametrize(
    ("host", "secure", "url"),
    [
        ("127.0.0.1", False, "http://127.0.0.1:80"),
        ("127.0.0.1", True, "https://localhost:80"),
        ("0.0.0.0", False, "http://127.0.0.1:80"),
        ("0.0.0.0", True, "https://localhost:80"),
        ("::", False, "http://[::1]:80"),
        ("::1", True, "https://localhost:80"),
        ("192.168.1.5", True, "https://192.168.1.5:80"),
        ("fe80::1", False, "http://[fe80::1]:80"),
    ],
)
def test_the_url_is_one_that_works_on_this_machine(host: str, secure: bool, url: str) -> None:
    """An address that means all of them is none that can be called."""
    assert base_url(host, 80, secure=secure) == url


def test_a_server_that_is_about_to_run(tmp_path: Path) -> None:
    """The certificate is there before the server is, because a client may be started first."""
    values = variables(tmp_path, host="127.0.0.1", port=8000)
    assert values == {
        "FAL_RUN_HOST": "localhost:8000/run",
        "FAL_QUEUE_RUN_HOST": "localhost:8000/queue",
        "FAL_KEY": "local:simulator",
        "SSL_CERT_FILE": str(tmp_path / "tls" / "ca.pem"),
        "NODE_EXTRA_CA_CERTS": str(tmp_path / "tls" / "ca.pem"),
        "SEEDANCE_LAB_ENGINE": "https://localhost:8000",
    }
    assert Path(values["SSL_CERT_FILE"]).is_file()


def test_a_running_server_is_found_by_its_folder_whatever_its_port(tmp_path: Path) -> None:
    """And the file that says so goes with it."""
    with server(tmp_path, "--stub", "--tls") as url:
        assert variables(tmp_path, host="127.0.0.1", port=1)["SEEDANCE_LAB_ENGINE"] == url
        assert running(tmp_path) == url
    assert running(tmp_path) is None  # killed, so the file is still there


def test_a_server_that_is_about_to_run_keeps_the_certificate(tmp_path: Path) -> None:
    """What `--env` promised is what the server then shows."""
    before = Path(variables(tmp_path, host="127.0.0.1", port=8000)["SSL_CERT_FILE"]).read_bytes()
    with server(tmp_path, "--stub", "--tls"):
        assert (tmp_path / "tls" / "ca.pem").read_bytes() == before


def test_an_unknown_port_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="its port is not known"):
        variables(tmp_path, host="127.0.0.1", port=0)


def test_a_running_server_of_plain_http_is_an_error(tmp_path: Path) -> None:
    """fal's Python client would speak TLS to it."""
    with server(tmp_path, "--stub"), pytest.raises(EngineError, match="Start it with --tls"):
        variables(tmp_path, host="127.0.0.1", port=8000)


@pytest.mark.parametrize("text", ["", "nonsense", "http://[", "http://127.0.0.1:99999", "http://127.0.0.1"])
def test_an_address_that_cannot_be_used_counts_as_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "address").write_text(text)
    assert running(tmp_path) is None


def test_an_address_where_nobody_listens_counts_as_none(tmp_path: Path) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        (tmp_path / "address").write_text(f"https://127.0.0.1:{bound.getsockname()[1]}\n")
        assert running(tmp_path) is None


def test_a_shell_takes_the_exports_whatever_the_folder_is_called(tmp_path: Path) -> None:
    """Blanks, quotes, dollars: nothing of it runs."""
    odd = 'it\'s $(touch x) `y` "z"\n&'
    done = subprocess.run(
        ["sh", "-c", 'eval "$1"; printf %s "$SSL_CERT_FILE"', "sh", exports({"SSL_CERT_FILE": odd})],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.stdout == odd


def test_the_command_prints_nothing_but_exports(tmp_path: Path) -> None:
    """It goes through `eval`; a complaint goes to stderr, so that nothing is set."""
    good = CliRunner().invoke(main, ["serve", "--env", "--folder", str(tmp_path), "--port", "8123"])
    assert good.exit_code == 0
    assert all(line.startswith("export ") for line in good.stdout.splitlines())
    assert "localhost:8123/queue" in good.stdout
    bad = CliRunner().invoke(main, ["serve", "--env", "--folder", str(tmp_path), "--port", "0"])
    assert (bad.exit_code, bad.stdout) == (3, "")
    assert "Start `seedance-lab serve --tls` first" in bad.stderr
