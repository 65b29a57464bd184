"""Pictures by URL: downloaded like the service would, and never from where only this machine can reach."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import httpx
import pytest

from seedance_lab.local.fetch import Fetcher, FetchError, FetchTooLargeError

PUBLIC = "93.184.216.34"


def fetch(
    url: str, to: Path, answer=None, *, addresses: dict[str, list[str]] | None = None, limit: int = 100
):
    """Returns the requests that left."""
    seen: list[httpx.Request] = []

    async def resolve(host: str, port: int) -> list[str]:
        return (addresses or {}).get(host, [PUBLIC])

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return answer(request) if callable(answer) else answer or httpx.Response(200, content=b"bytes")

    fetcher = Fetcher(resolve=resolve, transport=httpx.MockTransport(handle))
    asyncio.run(fetcher.fetch(url, to, limit=limit))
    return seen


def test_the_address_that_was_checked_is_the_one_connected_to(tmp_path: Path) -> None:
    """A name that resolves to something else a moment later gains nothing; TLS still checks the name."""
    (request,) = fetch("https://pictures.example:8443/a.png?x=1", tmp_path / "f")
    assert str(request.url) == f"https://{PUBLIC}:8443/a.png?x=1"
    assert request.headers["host"] == "pictures.example:8443"
    assert request.extensions["sni_hostname"] == "pictures.example"
    assert (tmp_path / "f").read_bytes() == b"bytes"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "0.0.0.0",
        "::1",
        "fe80::1%eth0",
        "::ffff:10.0.0.1",
    ],
)
def test_private_addresses_are_refused(tmp_path: Path, address: str) -> None:
    """169.254.169.254 hands out a cloud machine's credentials."""
    with pytest.raises(FetchError, match="not a public address"):
        fetch("http://pictures.example/a.png", tmp_path / "f", addresses={"pictures.example": [address]})


def test_one_private_address_among_public_ones_is_enough(tmp_path: Path) -> None:
    """Which of them would be connected to is not ours to choose."""
    with pytest.raises(FetchError, match="not a public address"):
        fetch("http://p.example/", tmp_path / "f", addresses={"p.example": [PUBLIC, "10.0.0.1"]})


def test_a_redirect_is_checked_like_the_first_url(tmp_path: Path) -> None:
    """Otherwise any public server could point us inward."""
    inward = httpx.Response(302, headers={"location": "http://inside.example/"})
    with pytest.raises(FetchError, match=r"inside\.example is not"):
        fetch("http://p.example/", tmp_path / "f", inward, addresses={"inside.example": ["10.0.0.1"]})


def test_redirects_are_followed_but_not_for_ever(tmp_path: Path) -> None:
    """Content servers redirect once or twice; a loop must end."""

    def once(request: httpx.Request) -> httpx.Response:
        moved = request.url.path == "/old"
        return (
            httpx.Response(301, headers={"location": "/new"}) if moved else httpx.Response(200, content=b"x")
        )

    assert [r.url.path for r in fetch("http://p.example/old", tmp_path / "f", once)] == ["/old", "/new"]
    with pytest.raises(FetchError, match="redirects"):
        fetch("http://p.example/", tmp_path / "f", httpx.Response(302, headers={"location": "/"}))


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://p.example/a", "picture.png", "http://", "", "data:x"]
)
def test_other_urls_are_refused(tmp_path: Path, url: str) -> None:
    """A path would read this machine's files."""
    with pytest.raises(FetchError):
        fetch(url, tmp_path / "f")


def test_an_error_status_is_a_failure(tmp_path: Path) -> None:
    """Its body is a page about the error, not a picture."""
    with pytest.raises(FetchError, match="HTTP 404"):
        fetch("http://p.example/", tmp_path / "f", httpx.Response(404, content=b"gone"))


def test_an_ipv6_host_is_connected_to(tmp_path: Path) -> None:
    """An address with colons must keep its brackets."""
    address = "2606:2800:220:1::1"
    (request,) = fetch("http://p.example/a", tmp_path / "f", addresses={"p.example": [address]})
    assert request.url == f"http://[{address}]/a"


def test_too_many_bytes_are_refused_while_they_come(tmp_path: Path) -> None:
    """Neither the disk nor the memory is the sender's."""
    with pytest.raises(FetchTooLargeError):
        fetch("http://p.example/", tmp_path / "f", httpx.Response(200, content=b"x" * 101))
    with pytest.raises(FetchTooLargeError):
        fetch("data:;base64," + base64.b64encode(b"x" * 101).decode(), tmp_path / "f")


@pytest.mark.parametrize(
    "url", ["data:image/png;base64,Ynl0ZXM=", "data:,bytes", "DATA:image/png;charset=x;BASE64,Ynl0ZXM="]
)
def test_data_urls_are_decoded(tmp_path: Path, url: str) -> None:
    """The Python client's encode helpers make them."""
    assert fetch(url, tmp_path / "f") == []
    assert (tmp_path / "f").read_bytes() == b"bytes"
