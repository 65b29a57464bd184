"""An engine with keys of its own: nobody else is let in, and the keys are written nowhere."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import httpx
import pytest

from seedance_lab.endpoints import LITE_TEXT
from seedance_lab.errors import EngineError
from seedance_lab.local import Service, create_app
from seedance_lab.local.documents import KEY as SCHEME
from seedance_lab.local.keys import Keys
from seedance_lab.local.served import Served

from .support import Hands, engine

GOOD, OTHER = "studio:open-sesame", "guest:let-me-in"
TEXT_URL = f"/queue/{LITE_TEXT.id}"
TEXT = {"prompt": "p", "duration": 2}


def operations(folder: Path) -> list[tuple[str, str]]:
    """Method and path of everything that needs a key, by the document."""
    paths = create_app(Service(folder), admin=True).openapi()["paths"]
    return [
        (method, re.sub(r"{\w+}", "x", path))
        for path, methods in paths.items()
        for method, said in methods.items()
        if {SCHEME: []} in said["security"]
    ]


@pytest.mark.parametrize(
    ("given", "detail"),
    [
        (f"Key {OTHER}", "invalid key credentials"),
        (f"Key {GOOD}x", "invalid key credentials"),
        (f"Key {GOOD.upper()}", "invalid key credentials"),
        ("Key schlüssel:geheim", "invalid key credentials"),
        ("Bearer a.b.c", "invalid key credentials"),
        ("Bearer x", "bearer: unable to decode issuer"),
        (f"Basic {GOOD}", "invalid key credentials"),
        ("", None),
    ],
)
def test_every_route_that_needs_a_key_refuses_another_one(
    tmp_path: Path, given: str, detail: str | None
) -> None:
    """In the form of the host that is asked; also where any key would have done."""

    async def main() -> None:
        async with engine(tmp_path, keys=[GOOD], admin=True) as lab:
            request_id = (
                await lab.client.post(TEXT_URL, json=TEXT, headers={"Authorization": f"Key {GOOD}"})
            ).json()["request_id"]
            del lab.client.headers["Authorization"]
            headers = {"Authorization": given.encode("latin-1")} if given else {}
            asked = operations(tmp_path)
            assert len(asked) > 25
            asked += [(m, path.replace("/x", f"/{request_id}")) for m, path in asked if "/requests/x" in path]
            for method, path in asked:
                answer = await lab.client.request(method, path, headers=headers)
                if not given and answer.status_code == 404 and "/requests/x" in path:
                    continue  # an unknown request is unknown to everybody, as at the service
                assert answer.status_code == 401, (method, path)
                if path.startswith("/api/"):
                    assert answer.json()["error"]["type"] == "authorization_error"
                elif detail and not path.startswith("/cdn/"):
                    assert answer.json() == {"detail": detail}

    asyncio.run(main())


def test_each_of_the_keys_is_good_and_all_are_one_account(tmp_path: Path) -> None:
    """What one has sent, the other sees."""

    async def main() -> None:
        async with engine(tmp_path, keys=[GOOD, OTHER]) as lab:
            for key in (GOOD, OTHER):
                headers = {"Authorization": f"Key {key}"}
                assert (await lab.client.post(TEXT_URL, json=TEXT, headers=headers)).status_code == 200
                params = {"endpoint_id": LITE_TEXT.id}
                answer = await lab.client.get(
                    "/api/v1/models/requests/by-endpoint", params=params, headers=headers
                )
            assert len(answer.json()["items"]) == 2

    asyncio.run(main())


def test_a_token_for_uploads_is_good_for_an_hour_and_after_a_restart(tmp_path: Path) -> None:
    """The Python client keeps it until it expires, and sends no key with its uploads."""

    async def main() -> None:
        clock = Hands()
        async with engine(tmp_path, keys=[OTHER, GOOD], clock=clock) as lab:
            told = (
                await lab.client.post("/rest/storage/auth/token", headers={"Authorization": f"Key {GOOD}"})
            ).json()
            assert GOOD not in told["token"]
        async with engine(tmp_path, keys=[OTHER, GOOD], clock=clock) as lab:

            async def upload(given: str) -> int:
                headers = {"Authorization": given.encode("latin-1")}
                return (await lab.client.post("/cdn/files/upload", content=b"x", headers=headers)).status_code

            token = told["token"]
            end, _, signature = token.partition(".")
            later = f"{int(end) + 1}.{signature}"
            for given in (f"Bearer {token}", f"Key {GOOD}"):
                assert await upload(given) == 200
            long = "9" * 40
            for wrong in (later, f"{end}.", "x", GOOD, f"².{signature}", f"{long}.{signature}"):
                assert await upload(f"Bearer {wrong}") == 401, wrong
            clock.now += 3600
            assert await upload(f"Bearer {token}") == 401
        async with engine(tmp_path, keys=["else:else"]) as lab:
            assert await upload(f"Bearer {token}") == 401

    asyncio.run(main())


def test_the_proxy_adds_no_key_that_opens_the_engine(tmp_path: Path) -> None:
    """It adds one for browser applications, where any is good."""

    async def main() -> None:
        for keys, answered in (((), 200), ((GOOD,), 401)):
            async with engine(tmp_path / str(answered), keys=keys) as lab:
                del lab.client.headers["Authorization"]
                headers = {"x-fal-target-url": f"https://queue.fal.run/{LITE_TEXT.id}"}
                assert (await lab.client.post("/proxy", json=TEXT, headers=headers)).status_code == answered

    asyncio.run(main())


@pytest.mark.parametrize(
    "key", ["", "sesame", "id:", ":secret", "id:two words", "id:geheimnis\n", "id:größe"]
)
def test_what_is_no_key_is_refused_without_being_repeated(tmp_path: Path, key: str) -> None:
    """It may be a real one with a slip."""
    with pytest.raises(EngineError, match="Key number 2 is no key") as caught:
        create_app(Service(tmp_path), keys=[GOOD, key])
    assert not key or key not in str(caught.value)


def test_keys_do_not_show(tmp_path: Path) -> None:
    """Neither as themselves nor in what holds them."""
    keys = Keys([GOOD])
    assert GOOD in keys
    assert "sesame" not in f"{keys!r} {vars(keys)}"


def test_the_key_is_in_no_file_of_the_engine(tmp_path: Path) -> None:
    """Neither in its log nor in its database, whatever was done with it, right or wrong."""
    with Served(tmp_path, "--stub", "--key", GOOD, "--admin") as served:
        with httpx.Client(base_url=served.url, headers={"Authorization": f"Key {GOOD}"}) as client:
            answer = client.post(TEXT_URL, json=TEXT, params={"fal_webhook": "http://127.0.0.1:1/"})
            assert answer.status_code == 200
            assert client.post("/rest/storage/auth/token", json={}).status_code == 200
            assert (
                client.post(TEXT_URL, content=b"{", headers={"Content-Type": "application/json"}).status_code
                == 422
            )
            wrong = {"Authorization": f"Key {OTHER}"}
            assert client.post(TEXT_URL, json=TEXT, headers=wrong).status_code == 401
            assert client.get("/api/v1/models/usage", headers=wrong).status_code == 401
        assert served.stop() == 0
        said = served.output
    texts = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()] + [said.encode()]
    for secret in (GOOD, GOOD.partition(":")[2], OTHER.partition(":")[2]):
        assert not any(secret.encode() in text for text in texts)
