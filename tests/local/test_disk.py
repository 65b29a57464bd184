"""Room on the disk: what goes first, what never goes, and what is left behind by a process that was killed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from seedance_lab.endpoints import LITE, LITE_TEXT
from seedance_lab.errors import EngineError
from seedance_lab.local import database, disk
from seedance_lab.local.renderer import Job, Rendered
from seedance_lab.local.service import Service

from .support import LITE_URL, Engine, Hands, HeldRenderer, engine, picture

HISTORY = "/api/v1/models/requests/by-endpoint"
TEXT_URL = f"/queue/{LITE_TEXT.id}"
TEXT = {"prompt": "p", "duration": 2}
CLIP = 1000
DAY_S = 86_400.0


class Sized:
    """Renders clips of a thousand bytes."""

    async def render(self, job: Job, *, on_progress: Callable[[float], None]) -> Rendered:
        job.out.write_bytes(b"c" * CLIP)
        return Rendered(48, CLIP, 0.0)

    async def aclose(self) -> None:
        pass


def room(folder: Path, clock: Hands | None = None, **options: Any):
    """An engine for three clips."""
    return engine(
        folder, **{"renderer": Sized(), "clock": clock or Hands(), "disk_bytes": 3 * CLIP, **options}
    )


async def clip(lab: Engine) -> str:
    """URL of a new one."""
    answer = await lab.client.post(TEXT_URL, json=TEXT)
    assert answer.status_code == 200, answer.text
    await asyncio.wait_for(lab.service.wait(answer.json()["request_id"]), 5)
    return str((await lab.client.get(answer.json()["response_url"])).json()["video"]["url"])


async def status(lab: Engine, url: str, **headers: str) -> int:
    return (await lab.client.get(url, headers=headers)).status_code


def on_disk(lab: Engine) -> int:
    return sum(path.stat().st_size for path in lab.service.store.files.rglob("*") if path.is_file())


def test_the_oldest_clip_that_was_fetched_goes_first_and_its_record_stays(tmp_path: Path) -> None:
    """Its URL is answered as one that never was; history and result go on naming it."""

    async def main() -> None:
        clock = Hands()
        async with room(tmp_path, clock) as lab:
            urls = []
            for _ in range(3):
                urls.append(await clip(lab))
                clock.now += 1
            for url in (urls[2], urls[1]):  # the order of fetching is not the order of going
                assert await status(lab, url) == 200
            clock.now += 61
            urls.append(await clip(lab))
            assert [await status(lab, url) for url in urls] == [200, 404, 200, 200]
            gone = await lab.client.get(urls[1])
            assert gone.json() == {"detail": "File not found"}
            assert on_disk(lab) == lab.service.disk.held == 3 * CLIP
            params = {"endpoint_id": LITE_TEXT.id, "expand": "payloads"}
            items = (await lab.client.get(HISTORY, params=params)).json()["items"]
            assert [item["json_output"]["video"]["url"] for item in items] == urls[::-1]
            file = lab.service.store.find_file(urls[1].split("/")[-2])
            assert file is not None
            assert (file.size, file.removed_at) == (CLIP, clock.now)

    asyncio.run(main())


def test_a_clip_that_nobody_has_fetched_never_goes_and_new_work_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not after its result has expired either. The refusal is the platform's, says what to do, and is logged once."""

    async def main() -> None:
        clock = Hands()
        async with room(tmp_path, clock) as lab:
            urls = [await clip(lab) for _ in range(3)]
            clock.now += 365 * DAY_S
            asked = [
                ("POST", TEXT_URL, {"json": TEXT}),
                ("POST", TEXT_URL.replace("queue", "run"), {"json": TEXT}),
                ("POST", "/cdn/files/upload", {"content": b"x"}),
                ("POST", "/cdn/files/upload/multipart", {}),
                ("POST", "/rest/storage/upload/initiate", {"json": {}}),
            ]
            for method, url, body in asked * 2:
                answer = await lab.client.request(method, url, **body)
                assert answer.status_code == 507, url
                assert (
                    answer.json()["error_type"]
                    == answer.headers["x-fal-error-type"]
                    == "insufficient_storage"
                )
                assert answer.headers["x-fal-needs-retry"] == "0"
                for said in ("nobody has fetched", "nothing is charged", "--disk-gb"):
                    assert said in answer.json()["detail"]
            assert [await status(lab, url) for url in urls] == [200] * 3
            clock.now += 61
            assert await status(lab, await clip(lab)) == 200
            assert len(lab.service.store.ledger()) == 4

    with caplog.at_level(logging.WARNING, logger="seedance_lab.local.disk"):
        asyncio.run(main())
    assert [record.getMessage()[:9] for record in caplog.records] == ["The files"]


def test_what_was_accepted_is_made_though_the_room_is_used_up(tmp_path: Path) -> None:
    """A request that was taken in is a promise too."""

    async def main() -> None:
        async with room(tmp_path, slots=1) as lab:
            ids = [(await lab.client.post(TEXT_URL, json=TEXT)).json()["request_id"] for _ in range(5)]
            for request_id in ids:
                await asyncio.wait_for(lab.service.wait(request_id), 5)
            assert on_disk(lab) == lab.service.disk.held == 5 * CLIP
            assert (await lab.client.post(TEXT_URL, json=TEXT)).status_code == 507

    asyncio.run(main())


@pytest.mark.parametrize(
    ("method", "asked", "is_fetched"),
    [
        ("GET", "", True),
        ("GET", "bytes=0-", True),
        ("GET", "bytes=500-999", True),
        ("GET", "bytes=-1", True),
        ("GET", "bytes=0-998", False),
        ("GET", "bytes=0-0", False),
        ("GET", "bytes=5000-", False),
        ("HEAD", "", False),
    ],
)
def test_fetched_is_what_was_given_to_its_last_byte(
    tmp_path: Path, method: str, asked: str, is_fetched: bool
) -> None:
    """A file that is fetched in pieces is fetched with its last one."""

    async def main() -> None:
        async with room(tmp_path) as lab:
            url = await clip(lab)
            await lab.client.request(method, url, headers={"Range": asked} if asked else {})
            file = lab.service.store.find_file(url.split("/")[-2])
            assert file is not None
            assert (file.fetched_at is not None) == is_fetched

    asyncio.run(main())


@pytest.mark.parametrize("fault", ["cut", "short", "wrong-type", "drop-after", "502-after", "404"])
def test_a_spoiled_answer_does_not_count_as_fetched(tmp_path: Path, fault: str) -> None:
    """The application has said it all; the client has got half."""

    async def main() -> None:
        async with room(tmp_path) as lab:
            url = await clip(lab)
            lab.service.faults.add([f"file:{fault}"])
            with contextlib.suppress(httpx.TransportError):
                await lab.client.get(url)
            file = lab.service.store.find_file(url.split("/")[-2])
            assert file is not None
            assert file.fetched_at is None

    asyncio.run(main())


def test_a_client_that_leaves_has_not_fetched(tmp_path: Path) -> None:
    """The connection is closed between two pieces of the body."""

    async def main() -> None:
        async with room(tmp_path, disk_bytes=None) as lab:
            url = await lab.upload(b"x" * 200_000)
            left, sent = asyncio.Event(), 0

            async def receive() -> dict[str, Any]:
                await left.wait()
                return {"type": "http.disconnect"}

            async def send(message: dict[str, Any]) -> None:
                nonlocal sent
                sent += len(message.get("body", b""))
                if sent:
                    left.set()
                    await asyncio.sleep(0.05)

            scope = {"type": "http", "method": "GET", "path": httpx.URL(url).path, "query_string": b"", "root_path": "",
                     "headers": [(b"host", b"localhost")], "scheme": "http", "http_version": "1.1"}  # fmt: skip
            await lab.client._transport.app(scope, receive, send)  # type: ignore[attr-defined]
            assert 0 < sent < 200_000
            file = lab.service.store.find_file(url.split("/")[-2])
            assert file is not None
            assert file.fetched_at is None

    asyncio.run(main())


def test_the_picture_of_an_unfinished_request_never_goes(tmp_path: Path) -> None:
    """First and last frame, queued or at work, and after a restart; when nobody needs them, after ten minutes."""

    async def main() -> None:
        clock, held = Hands(), HeldRenderer()
        size = len(picture())
        async with room(tmp_path, clock, renderer=held, slots=1, disk_bytes=3.5 * size) as lab:
            first, last, other = [await lab.upload() for _ in range(3)]
            for body in ({"image_url": other}, {"image_url": first, "end_image_url": last}):
                assert (await lab.client.post(LITE_URL, json={**TEXT, **body})).status_code == 200
            await held.arrived(1)
            clock.now += DAY_S
            answer = await lab.client.post("/cdn/files/upload", content=picture())
            assert answer.status_code == 507
        async with room(tmp_path, clock, renderer=held, slots=2, disk_bytes=3.5 * size) as lab:
            assert (await lab.client.post("/cdn/files/upload", content=picture())).status_code == 507
            await held.arrived(3)
            for job in held.jobs[1:]:
                held.release(job.id)
                await lab.service.wait(job.id)
            clock.now += 599  # another request may name them again
            assert (await lab.client.post("/cdn/files/upload", content=picture())).status_code == 507
            clock.now += 2
            new = await lab.upload()
            seen = [await status(lab, url) for url in (first, last, other, new)]
            assert seen == [404, 200, 200, 200]
            # They are no longer needed by anybody.
            lab.service.disk.tidy()
            assert lab.service.disk._needed == {}

    asyncio.run(main())


def test_a_picture_that_is_in_the_way_is_not_removed_in_vain(tmp_path: Path) -> None:
    """When all that may go would not do, nothing goes."""

    async def main() -> None:
        clock = Hands()
        async with room(tmp_path, clock) as lab:
            old = await lab.upload(b"o" * CLIP)
            clip_url = await clip(lab)
            clock.now += DAY_S
            answer = await lab.client.post("/cdn/files/upload", content=b"n" * (2 * CLIP + 1))
            assert answer.status_code == 507
            assert [await status(lab, url) for url in (old, clip_url)] == [200, 200]
            assert on_disk(lab) == lab.service.disk.held == 2 * CLIP

    asyncio.run(main())


def test_an_upload_that_does_not_say_how_long_it_is_stops_where_the_room_does(tmp_path: Path) -> None:
    """Chunked bodies have no length; what had arrived is given back."""

    async def stream():
        for _ in range(40):
            yield b"x" * 100

    async def main() -> None:
        async with room(tmp_path) as lab:
            assert (await lab.client.post("/cdn/files/upload", content=stream())).status_code == 507
            begun = (await lab.client.post("/cdn/files/upload/multipart")).json()
            part = f"{begun['access_url']}/multipart/{begun['uploadId']}/1"
            assert (await lab.client.put(part, content=stream())).status_code == 507
            assert on_disk(lab) == lab.service.disk.held == 0
            assert list(lab.service.store.scratch.iterdir()) == []

    asyncio.run(main())


def test_every_byte_is_counted_once(tmp_path: Path) -> None:
    """Uploads in three ways, parts sent twice, the same bytes again, joined parts, clips; and after a restart."""

    async def main() -> None:
        async with room(tmp_path, disk_bytes=None) as lab:

            def agree(n_bytes: int) -> None:
                assert on_disk(lab) == lab.service.disk.held == n_bytes

            await lab.upload(b"a" * 10)
            agree(10)
            put = (await lab.client.post("/rest/storage/upload/initiate", json={})).json()["upload_url"]
            for content, answered in ((b"b" * 20, 200), (b"b" * 20, 200), (b"c" * 20, 409)):
                assert (await lab.client.put(put, content=content)).status_code == answered
                agree(30)
            begun = (await lab.client.post("/cdn/files/upload/multipart")).json()
            parts = f"{begun['access_url']}/multipart/{begun['uploadId']}"
            for number, size, total in ((1, 100, 130), (2, 50, 180), (1, 30, 110)):
                await lab.client.put(f"{parts}/{number}", content=b"d" * size)
                agree(total)
        async with room(tmp_path, disk_bytes=None) as lab:
            agree(110)
            done = {"parts": [{"partNumber": 1}, {"partNumber": 2}]}
            for _ in range(2):
                assert (await lab.client.post(f"{parts}/complete", json=done)).status_code == 200
                agree(110)
            await clip(lab)
            agree(110 + CLIP)
        async with room(tmp_path, disk_bytes=None) as lab:
            agree(110 + CLIP)

    asyncio.run(main())


def test_an_abandoned_upload_goes_an_hour_after_its_last_part(tmp_path: Path) -> None:
    """A token for uploads is good for as long. Who comes back later begins anew."""

    async def main() -> None:
        clock = Hands()
        async with room(tmp_path, clock) as lab:
            begun = (await lab.client.post("/cdn/files/upload/multipart")).json()
            parts = f"{begun['access_url']}/multipart/{begun['uploadId']}"
            assert (await lab.client.put(f"{parts}/1", content=b"x" * 2500)).status_code == 200
            clock.now += 3599
            assert (await lab.client.post("/cdn/files/upload", content=b"y" * CLIP)).status_code == 507
            clock.now += 2
            assert (await lab.client.post("/cdn/files/upload", content=b"y" * CLIP)).status_code == 200
            assert on_disk(lab) == lab.service.disk.held == CLIP
            for answer in (
                await lab.client.put(f"{parts}/2", content=b"x"),
                await lab.client.post(f"{parts}/complete", json={"parts": [{"partNumber": 1}]}),
            ):
                assert (answer.status_code, answer.json()) == (404, {"detail": "Upload not found"})

    asyncio.run(main())


def test_unfetched_clips_go_when_that_was_asked_for(tmp_path: Path) -> None:
    """Not before their results have expired, and not before all that was fetched."""

    async def main() -> None:
        clock = Hands()
        async with room(tmp_path, clock, forget_unfetched=True) as lab:
            urls = [await clip(lab) for _ in range(3)]
            assert await status(lab, urls[2]) == 200
            clock.now += 3599
            urls.append(await clip(lab))
            assert [await status(lab, url) for url in urls[2:]] == [404, 200]
            clock.now += 2
            urls.append(await clip(lab))
            assert [await status(lab, url) for url in urls] == [404, 200, 404, 200, 200]

    asyncio.run(main())


def test_without_a_limit_nothing_ever_goes(tmp_path: Path) -> None:
    """The engine of a study: its clips lie in the study's own folder."""

    async def main() -> None:
        clock = Hands()
        async with room(tmp_path, clock, disk_bytes=None, retention_s=None) as lab:
            urls = [await clip(lab) for _ in range(5)]
            assert [await status(lab, url) for url in urls] == [200] * 5
            clock.now += 1000 * DAY_S
            lab.service.disk.tidy()
            assert [await status(lab, url) for url in urls] == [200] * 5

    asyncio.run(main())


@pytest.mark.parametrize("limit", [0, -1, float("nan")])
def test_a_limit_that_is_none_is_refused(tmp_path: Path, limit: float) -> None:
    """Everything would be refused, or nothing."""
    with pytest.raises(EngineError, match="--disk-gb 0 for none"):
        Service(tmp_path, disk_bytes=limit)


class Killed(BaseException):
    """What a killed process does not get to say."""


@pytest.mark.parametrize("step", ["before the record", "before the bytes"])
def test_a_process_killed_while_it_removes_loses_no_record_and_leaks_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Before the record: nothing has happened. Before the bytes: the next start deletes them."""

    def die(*_: object) -> None:
        raise Killed

    async def main() -> None:
        clock = Hands()
        async with room(tmp_path, clock) as lab:
            urls = [await clip(lab) for _ in range(3)]
            assert await status(lab, urls[0]) == 200
            clock.now += 61
            with monkeypatch.context() as patch:
                if step == "before the record":
                    patch.setattr(lab.service.store, "note_removed", die)
                else:
                    patch.setattr(disk, "_delete", die)
                with pytest.raises(Killed):
                    lab.service.disk.make_room(CLIP)
            assert on_disk(lab) == 3 * CLIP
        async with room(tmp_path, clock) as lab:
            is_there = step == "before the record"
            assert [await status(lab, url) for url in urls] == [200 if is_there else 404, 200, 200]
            assert on_disk(lab) == lab.service.disk.held == (2 + is_there) * CLIP
            assert lab.service.store.db.execute("SELECT count(*) FROM files").fetchone() == (3,)

    asyncio.run(main())


def test_a_process_killed_while_bytes_arrive_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moved into place and not yet recorded: nobody was told, so nobody will ask. Its owner uploads again."""

    async def main() -> None:
        async with room(tmp_path) as lab:
            urls = (await lab.client.post("/rest/storage/upload/initiate", json={})).json()
            begun = (await lab.client.post("/cdn/files/upload/multipart")).json()
            parts = f"{begun['access_url']}/multipart/{begun['uploadId']}"
            await lab.client.put(f"{parts}/1", content=b"p" * 10)

            def die(*_: object) -> None:
                raise RuntimeError("killed")

            with monkeypatch.context() as patch:
                patch.setattr(lab.service.store, "put_file", die)
                assert (await lab.client.put(urls["upload_url"], content=b"u" * 20)).status_code == 500
                answer = await lab.client.post(f"{parts}/complete", json={"parts": [{"partNumber": 1}]})
                assert answer.status_code == 500
            folder = lab.service.store.files
            (folder / f"{uuid.uuid4().hex}.mp4").write_bytes(b"half a clip")
            (folder / f"{uuid.uuid4().hex}.parts").mkdir()
            next(folder.glob("*.parts/1")).with_name("2.0a0b").write_bytes(b"half a part")
        async with room(tmp_path) as lab:
            assert on_disk(lab) == lab.service.disk.held == 10
            assert (await lab.client.put(urls["upload_url"], content=b"v" * 20)).status_code == 200
            answer = await lab.client.post(f"{parts}/complete", json={"parts": [{"partNumber": 1}]})
            assert answer.status_code == 200
            assert (await lab.client.get(urls["file_url"])).content == b"v" * 20
            assert (await lab.client.get(answer.json()["access_url"])).content == b"p" * 10
            assert on_disk(lab) == lab.service.disk.held == 30

    asyncio.run(main())


def test_a_folder_of_the_second_layout_opens_and_its_clips_count_as_not_fetched(tmp_path: Path) -> None:
    """Whether they were is not known; to remove one that was not would break the promise."""
    request_id, upload_id = str(uuid.uuid4()), uuid.uuid4().hex
    clip_id = request_id.replace("-", "")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / f"{clip_id}.mp4").write_bytes(b"c" * CLIP)
    (tmp_path / "files" / f"{upload_id}.png").write_bytes(b"u" * CLIP)
    with contextlib.closing(sqlite3.connect(tmp_path / "engine.db")) as db:
        db.executescript(
            f"{database._FIRST}; {database._SECOND}; INSERT INTO engine VALUES ('e'); PRAGMA user_version=2;"
        )
        db.execute(
            "INSERT INTO requests (request_id, endpoint_id, state, sent_at, ended_at, status_code, input, output) "
            "VALUES (?, ?, 'COMPLETED', 1, 1, 200, '{}', '{}')",
            (request_id, LITE.id),
        )
        db.execute("INSERT INTO files VALUES (?, 'video.mp4', 'video/mp4', ?, NULL, 1)", (clip_id, CLIP))
        db.execute("INSERT INTO files VALUES (?, 'p.png', 'image/png', ?, NULL, 2)", (upload_id, CLIP))
        db.commit()

    async def main() -> None:
        clock = Hands()
        async with room(tmp_path, clock) as lab:
            assert lab.service.engine_id == "e"
            assert lab.service.disk.held == 2 * CLIP
            urls = [f"/cdn/files/{clip_id}/video.mp4", f"/cdn/files/{upload_id}/p.png"]
            for _ in range(2):
                await clip(lab)
            assert [await status(lab, url, Range="bytes=0-1") for url in urls] == [206, 404]

    asyncio.run(main())


def test_a_service_that_is_full_can_be_closed_and_started_again(tmp_path: Path) -> None:
    """The same object, as a notebook does it: nothing is counted twice."""

    async def main() -> None:
        service = Service(tmp_path, renderer=Sized(), disk_bytes=CLIP)
        for _ in range(2):
            await service.start()
            if service.disk.held == 0:
                request_id, _ = service.submit(LITE_TEXT, TEXT)
                await service.wait(request_id)
            assert service.disk.held == CLIP
            with pytest.raises(disk.FullError):
                service.disk.make_room()
            await service.aclose()

    asyncio.run(main())
