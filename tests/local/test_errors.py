"""Every way in which the service says no, in its bodies and headers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from seedance_lab.endpoints import LITE, LITE_TEXT
from seedance_lab.local import safety
from seedance_lab.local.fetch import Fetcher

from .support import LITE_URL, engine

TEXT_URL = f"/queue/{LITE_TEXT.id}"
POLICY = "The content could not be processed because it contained material flagged by a content checker."


@pytest.mark.parametrize("prompt", ["a NUDE statue", "gore", "lots of blood-and-gore, slowly"])
def test_the_safety_checker_refuses_its_words(tmp_path: Path, prompt: str) -> None:
    """In the form of the model's errors, uncharged, and not worth trying again."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            answer = await lab.client.post(f"/run/{LITE_TEXT.id}", json={"prompt": prompt})
            assert answer.status_code == 422
            assert answer.json() == {
                "detail": [
                    {
                        "loc": ["body", "prompt"],
                        "msg": POLICY,
                        "type": "content_policy_violation",
                        "url": "https://docs.fal.ai/errors/#content_policy_violation",
                        "input": prompt,
                    }
                ]
            }
            headers = {name: answer.headers[name] for name in ("x-fal-retryable", "x-fal-needs-retry")}
            assert headers == {"x-fal-retryable": "false", "x-fal-needs-retry": "0"}
            assert answer.headers["x-fal-billable-units"] == "0"
            status = lab.service.view(answer.headers["x-fal-request-id"])
            assert status is not None
            assert status.error_type == "content_policy_violation"

    asyncio.run(main())


@pytest.mark.parametrize(
    "arguments",
    [
        {"prompt": "a gored bull, denuded hills"},
        {"prompt": "gore", "enable_safety_checker": False},
    ],
)
def test_the_safety_checker_knows_whole_words_and_can_be_switched_off(tmp_path: Path, arguments) -> None:
    """A list that hit parts of words would refuse what nobody objects to."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            answer = await lab.client.post(f"/run/{LITE_TEXT.id}", json=arguments)
            assert answer.status_code == 200, answer.text

    asyncio.run(main())


def test_the_safety_checkers_words_can_be_found_in_a_prompt() -> None:
    """A word in capitals or of two parts would never match."""
    assert [word for word in safety.WORDS if not safety.is_flagged(f"some {word}.")] == []


def test_a_balance_runs_down_and_then_nothing_is_taken(tmp_path: Path) -> None:
    """By the ledger, also over a restart; what was accepted before still runs."""
    text = {"prompt": "p", "duration": 2}

    async def main() -> None:
        async with engine(tmp_path, balance_usd=0.1) as lab:
            assert lab.service.balance_usd == 0.1
            for _ in range(2):  # $0.074 each
                assert (await lab.client.post(f"/run/{LITE_TEXT.id}", json=text)).status_code == 200
            assert lab.service.balance_usd < 0
            for url in (TEXT_URL, f"/run/{LITE_TEXT.id}"):
                answer = await lab.client.post(url, json=text)
                assert answer.status_code == 403
                assert answer.json()["detail"].startswith("User is locked. Reason: Exhausted balance.")
        async with engine(tmp_path, balance_usd=0.1) as lab:
            assert (await lab.client.post(TEXT_URL, json=text)).status_code == 403
        async with engine(tmp_path, balance_usd=0.2) as lab:
            assert (await lab.client.post(TEXT_URL, json=text)).status_code == 200

    asyncio.run(main())


@pytest.mark.parametrize(
    ("header", "detail"),
    [
        ("Basic x", "invalid key credentials"),
        ("Key ", "invalid key credentials"),
        ("Key", "invalid key credentials"),
        ("Bearer none", "bearer: unable to decode issuer"),
        (None, f'Cannot access application "{LITE.id}"'),
    ],
)
def test_a_bad_key_is_told_apart_from_none(tmp_path: Path, header: str | None, detail: str) -> None:
    """The words that users search for."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            del lab.client.headers["Authorization"]
            headers = {} if header is None else {"Authorization": header}
            answer = await lab.client.post(LITE_URL, json={}, headers=headers)
            assert answer.status_code == 401
            assert answer.json()["detail"].startswith(detail)

    asyncio.run(main())


def test_a_signed_in_user_needs_no_key(tmp_path: Path) -> None:
    """After `fal auth login` the client sends a JWT."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            answer = await lab.client.post(LITE_URL, json={}, headers={"Authorization": "Bearer e30.e30.x"})
            assert answer.status_code == 200

    asyncio.run(main())


def _moved(request: httpx.Request) -> httpx.Response:
    return httpx.Response(302, headers={"location": "/again.png"})


@pytest.mark.parametrize(
    "answer",
    [_moved, lambda _: httpx.Response(404), lambda _: httpx.Response(500)],
    ids=["loop", "404", "500"],
)
def test_a_picture_that_cannot_be_downloaded_is_said_so(tmp_path: Path, answer) -> None:
    """A redirect loop ends; a page that is not there is no picture."""

    async def resolve(host: str, port: int) -> list[str]:
        return ["93.184.216.34"]

    async def main() -> None:
        fetcher = Fetcher(resolve=resolve, transport=httpx.MockTransport(answer))
        async with engine(tmp_path, fetcher=fetcher) as lab:
            url = "https://pictures.example/a.png"
            refused = await lab.result(prompt="p", image_url=url)
            (item,) = refused.json()["detail"]
            assert (refused.status_code, item["type"], item["input"]) == (422, "file_download_error", url)
            assert item["url"].endswith("#file_download_error")

    asyncio.run(main())
