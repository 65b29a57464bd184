"""Files: every way in that the official clients use, and the way out with ranges."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path

import pytest

from seedance_lab.local import storage_routes

from .support import BASE, engine, picture


def test_a_token_has_what_the_python_client_reads(tmp_path: Path) -> None:
    """`expires_at` is compared with an aware now; without an offset that raises."""

    async def main() -> None:
        async with engine(tmp_path, clock=lambda: 0.0) as lab:
            body = (await lab.client.post("/rest/storage/auth/token?storage_type=fal-cdn-v3", json={})).json()
            assert body["base_url"] == f"{BASE}/cdn"
            assert dt.datetime.fromisoformat(body["expires_at"]) == dt.datetime(1970, 1, 1, 1, tzinfo=dt.UTC)
            assert body["token"]
            assert body["token_type"]

    asyncio.run(main())


def test_an_upload_comes_back_as_it_was(tmp_path: Path) -> None:
    """Bytes, type and name; anybody who has the URL may read it, as at the service."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            data = picture()
            url = await lab.upload(data)
            del lab.client.headers["Authorization"]
            answer = await lab.client.get(url)
            assert answer.content == data
            assert answer.headers["content-type"] == "image/png"
            assert (await lab.client.head(url)).headers["content-length"] == str(len(data))

    asyncio.run(main())


@pytest.mark.parametrize(
    ("asked", "status", "expected"),
    [
        ("bytes=2-4", 206, b"234"),
        ("bytes=7-", 206, b"789"),
        ("bytes=-2", 206, b"89"),
        ("bytes=99-", 416, None),
    ],
)
def test_ranges_are_served(tmp_path: Path, asked: str, status: int, expected: bytes | None) -> None:
    """A browser seeks in a video by them, Safari plays none without."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            url = await lab.upload(b"0123456789")
            answer = await lab.client.get(url, headers={"Range": asked})
            assert answer.status_code == status
            if expected is not None:
                assert answer.content == expected
                tagged = {"Range": asked, "If-Range": answer.headers["etag"]}
                assert (await lab.client.get(url, headers=tagged)).status_code == 206

    asyncio.run(main())


@pytest.mark.parametrize(
    "path",
    [
        "/cdn/files/../engine.db",
        "/cdn/files/..%2F..%2Fengine.db/x",
        "/cdn/files/%2e%2e/engine.db",
        "/cdn/files/engine.db/engine.db",
        "/cdn/files/....//engine.db",
        "/cdn/files/%00/x",
    ],
)
def test_no_path_leads_out_of_the_files(tmp_path: Path, path: str) -> None:
    """Files are looked up by id; a path of the caller's making is never opened."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            answer = await lab.client.get(path)
            assert answer.status_code in {404, 405}
            assert b"SQLite" not in answer.content

    asyncio.run(main())


@pytest.mark.parametrize(
    "name", ["../../x.png", "a b/ü.png", ".hidden", "", "x" * 500 + ".png", "..\\..\\x", '"; x="']
)
def test_any_name_becomes_a_plain_one(tmp_path: Path, name: str) -> None:
    """It goes into a URL and a header."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            headers = {"X-Fal-File-Name": name.encode(), "Content-Type": "image/png"}
            url = (await lab.client.post("/cdn/files/upload", content=b"x", headers=headers)).json()[
                "access_url"
            ]
            assert (await lab.client.get(url)).content == b"x"
            assert len(url) < 200
            assert {p.parent for p in lab.service.store.files.rglob("*")} == {lab.service.store.files}

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "application/javascript", "../../x"])
def test_what_a_browser_could_run_is_only_offered_for_download(tmp_path: Path, kind: str) -> None:
    """An uploaded page would run with the engine's origin."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            headers = {"X-Fal-File-Name": "x", "Content-Type": kind}
            url = (await lab.client.post("/cdn/files/upload", content=b"x", headers=headers)).json()[
                "access_url"
            ]
            answer = await lab.client.get(url)
            assert answer.headers["content-disposition"].startswith("attachment")
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "sandbox" in answer.headers["content-security-policy"]

    asyncio.run(main())


def test_the_two_step_upload_needs_no_key_for_its_second_step(tmp_path: Path) -> None:
    """The JavaScript client PUTs with a plain fetch; Python's fallback repository does the same."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            asked = {"content_type": "image/png", "file_name": "p.png"}
            urls = (await lab.client.post("/rest/storage/upload/initiate", json=asked)).json()
            del lab.client.headers["Authorization"]
            assert (await lab.client.get(urls["file_url"])).status_code == 404
            assert (await lab.client.put(urls["file_url"], content=b"x")).status_code == 404
            assert (await lab.client.put(urls["upload_url"], content=b"data")).status_code == 200
            assert (await lab.client.get(urls["file_url"])).content == b"data"

    asyncio.run(main())


def test_a_complete_file_never_changes(tmp_path: Path) -> None:
    """A repeated PUT after a lost answer is fine; other bytes under a URL that was handed out are not."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            urls = (await lab.client.post("/rest/storage/upload/initiate", json={})).json()
            seen = [
                (await lab.client.put(urls["upload_url"], content=c)).status_code for c in (b"a", b"a", b"b")
            ]
            assert seen == [200, 200, 409]
            assert (await lab.client.get(urls["file_url"])).content == b"a"

    asyncio.run(main())


@pytest.mark.parametrize("client", ["python", "javascript"])
def test_an_upload_in_parts_is_joined_in_order(tmp_path: Path, client: str) -> None:
    """Parts arrive in any order; asking for the end twice is a repeated request, not an error."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            if client == "python":
                begun = (await lab.client.post("/cdn/files/upload/multipart")).json()
                url, parts = begun["access_url"], f"{begun['access_url']}/multipart/{begun['uploadId']}"
            else:
                begun = (await lab.client.post("/rest/storage/upload/initiate-multipart", json={})).json()
                url, parts = begun["file_url"], begun["upload_url"]
            done = []
            for number, data in ((10, b"C"), (2, b"B"), (1, b"x"), (1, b"A")):
                answer = await lab.client.put(f"{parts}/{number}", content=data)
                assert answer.json()["etag"] == answer.headers["etag"]
                done.append({"partNumber": number, "etag": answer.headers["etag"]})
            for _ in range(2):
                assert (await lab.client.post(f"{parts}/complete", json={"parts": done})).status_code == 200
            assert (await lab.client.get(url)).content == b"ABC"
            assert len(list(lab.service.store.files.iterdir())) == 1

    asyncio.run(main())


def test_bad_parts_are_declined(tmp_path: Path) -> None:
    """A hole in a file must not be papered over."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            begun = (await lab.client.post("/cdn/files/upload/multipart")).json()
            parts = f"{begun['access_url']}/multipart/{begun['uploadId']}"
            for number in ("0", "-1", "x", "99999999999", "²"):
                assert (await lab.client.put(f"{parts}/{number}", content=b"x")).status_code == 400
            for body in ({"parts": [{"partNumber": 1}]}, {"parts": []}):
                assert (await lab.client.post(f"{parts}/complete", json=body)).status_code == 400
            for body in ({}, [], {"parts": 3}, {"parts": [{}]}):
                assert (await lab.client.post(f"{parts}/complete", json=body)).status_code == 422
            other = parts[:-1] + ("0" if parts[-1] != "0" else "1")
            assert (await lab.client.put(f"{other}/1", content=b"x")).status_code == 404

    asyncio.run(main())


def test_a_file_above_the_limit_is_declined_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is the user's."""
    monkeypatch.setattr(storage_routes, "MAX_FILE_BYTES", 10)

    async def stream():
        for _ in range(3):
            yield b"12345"

    async def main() -> None:
        async with engine(tmp_path) as lab:
            assert (await lab.client.post("/cdn/files/upload", content=stream())).status_code == 413
            assert list(lab.service.store.scratch.iterdir()) == []
            assert list(lab.service.store.files.iterdir()) == []

    asyncio.run(main())
