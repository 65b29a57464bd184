"""The certificate: right for this machine, private, kept, and made again when it no longer serves."""

from __future__ import annotations

import datetime as dt
import ssl
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from seedance_lab import sweep
from seedance_lab.errors import EngineError
from seedance_lab.local import tls
from seedance_lab.local.served import Served
from seedance_lab.local.tls import certificate
from seedance_lab.study import Study

from .support import picture, server


def trusting(ca: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(ca))


def test_it_is_kept_and_belongs_to_its_owner_only(tmp_path: Path) -> None:
    made = certificate(tmp_path)
    before = [path.read_bytes() for path in made]
    assert certificate(tmp_path) == made
    assert [path.read_bytes() for path in made] == before
    assert [stat.S_IMODE(path.stat().st_mode) for path in made] == [0o600, 0o600]


def test_the_authority_s_key_is_nowhere(tmp_path: Path) -> None:
    """Whoever steals the folder can pose as this server and as nobody else."""
    certificate(tmp_path)
    keys = [path.name for path in (tmp_path / "tls").iterdir() if b"PRIVATE KEY" in path.read_bytes()]
    assert keys == ["server.pem"]
    assert (tmp_path / "tls" / "server.pem").read_bytes().count(b"BEGIN EC PRIVATE KEY") == 1


def test_it_is_made_again_when_it_is_about_to_expire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "_LIFE", dt.timedelta(days=6))
    old = certificate(tmp_path).server.read_bytes()
    monkeypatch.undo()
    new = certificate(tmp_path).server.read_bytes()
    assert new != old
    left = x509.load_pem_x509_certificate(new).not_valid_after_utc - dt.datetime.now(dt.UTC)
    assert left > dt.timedelta(days=390)


@pytest.mark.parametrize("damage", ["missing", "cut short", "of another pair", "not a certificate"])
def test_it_is_made_again_when_its_files_are_no_pair(damage: str, tmp_path: Path) -> None:
    """A crash between the two files leaves such a state."""
    made = certificate(tmp_path)
    match damage:
        case "missing":
            made.ca.unlink()
        case "cut short":
            made.server.write_bytes(made.server.read_bytes()[:100])
        case "of another pair":
            made.ca.write_bytes(certificate(tmp_path / "other").ca.read_bytes())
        case "not a certificate":
            made.ca.write_text("nothing")
    again = certificate(tmp_path)
    assert tls._good(again, tls.NAMES)


def test_further_names_are_in_it_and_fewer_do_not_change_it(tmp_path: Path) -> None:
    """`serve --env` may ask with fewer names than the server that runs."""
    made = certificate(tmp_path, ["lab.example", "192.168.1.5"])
    before = made.server.read_bytes()
    assert certificate(tmp_path).server.read_bytes() == before
    assert certificate(tmp_path, ["other.example"]).server.read_bytes() != before


def test_many_who_ask_at_once_get_the_same(tmp_path: Path) -> None:
    """A server and `--env` start together in `serve --tls & eval "$(serve --env)"`."""
    together = threading.Barrier(4)

    def ask(_: int) -> bytes:
        together.wait()
        return certificate(tmp_path).ca.read_bytes()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(ask, range(4)))) == 1


def test_a_folder_that_cannot_be_written_is_an_engine_error(tmp_path: Path) -> None:
    (tmp_path / "tls").write_text("in the way")
    with pytest.raises(EngineError, match="cannot be made"):
        certificate(tmp_path)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_a_client_that_trusts_it_is_served_and_others_are_not(name: str, tmp_path: Path) -> None:
    with server(tmp_path, "--stub", "--tls") as url:
        assert url.startswith("https://localhost:")
        url = url.replace("localhost", name)
        said = httpx.get(url, verify=trusting(tmp_path / "tls" / "ca.pem")).json()
        assert "simulator" in said["engine"]
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(url, verify=ssl.create_default_context())


def test_the_exported_variable_replaces_what_httpx_trusts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """README promises that such a shell reaches no other service; here the other one is a second engine."""
    certificate(tmp_path / "mine")
    with server(tmp_path / "other", "--stub", "--tls") as url:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "other" / "tls" / "ca.pem"))
        assert httpx.get(url).status_code == 200
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "mine" / "tls" / "ca.pem"))
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(url)


def test_the_urls_that_it_returns_are_https_too(tmp_path: Path) -> None:
    """Clients follow them; one of plain http would leave the connection."""
    with server(tmp_path, "--stub", "--tls") as url:
        client = httpx.Client(
            verify=trusting(tmp_path / "tls" / "ca.pem"), headers={"Authorization": "Key k"}
        )
        with client:
            uploaded = client.post(f"{url}/cdn/files/upload", content=picture()).json()["access_url"]
            assert uploaded.startswith(f"{url}/cdn/files/")
            assert client.get(uploaded).content == picture()


def test_strangers_on_the_port_leave_no_trace_on_the_terminal(tmp_path: Path) -> None:
    """Plain http, or a handshake that the client breaks off."""
    with Served(tmp_path, "--stub", "--tls") as engine:
        with pytest.raises(httpx.HTTPError):
            httpx.get(engine.url.replace("https", "http"))
        with pytest.raises(httpx.ConnectError):
            httpx.get(engine.url, verify=ssl.create_default_context())
        assert (engine.stop(), engine.output) == (0, "")


def test_a_study_runs_on_an_engine_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same variable that leads fal's client there."""
    with server(tmp_path / "engine", "--stub", "--tls") as url:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "engine" / "tls" / "ca.pem"))
        study = Study(tmp_path / "study", engine=url, track=False)
        run = study.run(sweep(image=picture(), prompt="boats", duration=2, seed=[1, 2]))
        assert len(run.clips) == 2
